/* SPDX-License-Identifier: Apache-2.0
 * Reader -> tracker -> map of indices -> scores; where the truth has a mask per object, which may overlap (SA-V), such
 * masks in place of the map. Each clip has a pool of its own: what is accounted to it then hardly depends on the
 * clips that are tracked at the same time. */
#include "eval_clip.h"

#include <inttypes.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "failure.h"
#include "frame_names.h"
#include "heap.h"
#include "index_map.h"
#include "machine.h"
#include "mask_files.h"
#include "output_file.h"
#include "palette.h"
#include "plan_report.h"
#include "run.h"
#include "scoring.h"

typedef struct clip_run {
    const eval_shared *shared; /* borrowed, as clip */
    const dataset_clip *clip;
    clip_result result;
    trk_video_reader *reader;
    const trk_video_info *info;
    trk_picture *picture; /* borrowed from the reader, to be released */
    trk_pool *pool;
    trk_motion_params motion; /* params point to it */
    trk_tracker_params params;
    trk_tracker *tracker;
    plan_report plan;
    int admitted; /* 1: session_leave is due */
    int started;  /* 1: an object has been prompted */
    scoring *scored;
    uint8_t *planes; /* [n_planes][height][width]: with by_object a mask per object, else a map of indices, and room */
    size_t n_planes;
    int by_object;
    uint8_t *masks[PALETTE_SIZE]; /* with by_object: the planes, [n_objects] */
    trk_box *found;               /* [n_objects] on a frame, for --boxes; owned; NULL: not wanted */
    box_files boxes;
    char *folder; /* of --masks, owned; NULL: not wanted */
    frame_names names;
    uint8_t palette[PALETTE_SIZE][3];
    XXH3_state_t hash;
    progress shown;
} clip_run;

static trk_status no_memory(const dataset_clip *clip)
{
    return TRK_FAIL(TRK_E_MEMORY, "%s: out of memory", clip->name);
}

/* --- opening ---------------------------------------------------------------------------------------------------- */

trk_status eval_clip_check_indices(const dataset_clip *clip)
{
    const int highest = dataset_clip_index(clip, clip->n_objects - 1);
    return highest <= PALETTE_MOST_OBJECT
               ? TRK_OK
               : TRK_FAIL(TRK_E_UNSUPPORTED, "%s: objects up to %d fit in a map of indices, got %d", clip->truth,
                          PALETTE_MOST_OBJECT, highest);
}

static trk_status check_clip(const dataset_clip *clip)
{
    if (!clip->frames)
        return TRK_FAIL(TRK_E_ARGUMENT, "%s: has masks but no frames to track: expected --pred", clip->truth);
    if (!clip->n_objects)
        return TRK_FAIL(TRK_E_FORMAT, "%s: no object to follow", clip->truth);
    return eval_clip_check_indices(clip);
}

/* TRK_END: stopped by a signal before the first picture. */
static trk_status open_video(clip_run *self)
{
    const options *wanted = self->shared->wanted;
    trk_model_info info = {.struct_size = sizeof info};
    trk_video_params params = {
        .start = -1, .n_frames = self->clip->n_frames, .queue = PICTURES_AHEAD, .stop = &session_stop_signal};
    trk_status rc = trk_model_get_info(self->shared->models->model, &info);
    if (rc)
        return failure_of_library(rc);
    const int on_gpu = info.device == TRK_DEVICE_CUDA;
    params.hardware.use = wanted->decoder == TRK_HARDWARE_TRY && !on_gpu ? TRK_HARDWARE_OFF : wanted->decoder;
    params.hardware.device = wanted->device_index;
    params.delivery = on_gpu ? TRK_DELIVER_PLANES : TRK_DELIVER_RGB;
    rc = trk_video_open(&self->reader, self->clip->frames, &params);
    if (rc)
        return rc;
    self->info = trk_video_get_info(self->reader);
    if (self->clip->width && (self->info->width != self->clip->width || self->info->height != self->clip->height))
        return TRK_FAIL(TRK_E_FORMAT, "%s: expected %d x %d pixels as %s says, got %d x %d", self->clip->frames,
                        self->clip->width, self->clip->height, self->clip->truth, self->info->width,
                        self->info->height);
    return TRK_OK;
}

static trk_status make_plan(clip_run *self)
{
    const dataset_clip *clip = self->clip;
    prompt_list prompts = {0};
    prompts.items = trk_heap_zeroed(TRK_MEM_SCRATCH, "plan", clip->n_objects, sizeof *prompts.items);
    if (!prompts.items)
        return no_memory(clip);
    for (size_t i = 0; i < clip->n_objects; i++) {
        const dataset_object *object = &clip->objects[i];
        if (!object->unprompted)
            prompts.items[prompts.n_items++] = (prompt){
                .kind = object->has_box ? PROMPT_BOX : PROMPT_MASK, .object = object->id, .frame = object->first_frame};
    }
    trk_status rc = plan_report_make(&self->plan, self->shared->models->model, &self->params, &prompts, prompts.n_items,
                                     self->info->width, self->info->height);
    trk_heap_release(prompts.items);
    return rc ? rc : plan_report_check(&self->plan);
}

/* The masks of a frame are scored in one map: the official vos_inference.py then has each pixel go to the object with
 * the highest logit (non_overlap_masks). Masks by object may overlap, and boxes are those of whole masks. */
static int is_scored_as_a_map(const dataset_clip *clip)
{
    return clip->kind == TRUTH_INDEXED || clip->kind == TRUTH_RLE;
}

static trk_status open_tracker(clip_run *self)
{
    session *models = self->shared->models;
    trk_pool_params params = TRK_POOL_PARAMS_INIT;
    trk_status rc = TRK_OK;
    params.budget = self->shared->budget;
    rc = trk_pool_create(&self->pool, models->model, &params);
    if (rc)
        return failure_of_library(rc);
    rc = run_tracker_params(&self->params, &self->motion, self->shared->wanted, models->model, self->pool);
    self->params.non_overlap = is_scored_as_a_map(self->clip) ? TRK_ON : TRK_OFF;
    if (!rc)
        rc = make_plan(self);
    if (rc)
        return rc;
    session_enter(models, plan_report_needs(&self->plan),
                  self->plan.budget ? self->plan.budget - self->plan.found.pinned : SIZE_MAX);
    self->admitted = 1;
    rc = trk_tracker_create(&self->tracker, models->model, &self->params);
    return rc ? failure_of_library(rc) : TRK_OK;
}

/* Indices are below PALETTE_SIZE, and so is their number. */
static trk_status open_planes(clip_run *self)
{
    const size_t n_pixels = (size_t)self->info->width * (size_t)self->info->height;
    self->by_object = self->clip->kind == TRUTH_BINARY;
    self->n_planes = self->by_object ? self->clip->n_objects : 2;
    self->planes = trk_heap_allocate(TRK_MEM_SCRATCH, "masks", self->n_planes * n_pixels);
    for (size_t i = 0; self->planes && self->by_object && i < self->n_planes; i++)
        self->masks[i] = self->planes + i * n_pixels;
    return self->planes ? TRK_OK : no_memory(self->clip);
}

/* The folder of the clip's masks, or of one of its objects. */
static trk_status create_folder(const clip_run *self, const char *path)
{
    int created;
    trk_status rc = path ? output_folder_create(path, &created) : no_memory(self->clip);
    return rc && path ? trk_fail_prefix(rc, "--masks") : rc;
}

static trk_status open_boxes(clip_run *self)
{
    if (!self->shared->wanted->boxes)
        return TRK_OK;
    self->boxes.clip = self->clip;
    self->found = trk_heap_zeroed(TRK_MEM_SCRATCH, "boxes", self->clip->n_objects, sizeof *self->found);
    return self->found ? TRK_OK : no_memory(self->clip);
}

static trk_status open_outputs(clip_run *self)
{
    trk_status rc = open_boxes(self);
    palette_fill(self->palette);
    if (rc || !self->shared->wanted->masks)
        return rc;
    TRK_CHECK(frame_names_open(&self->names, self->clip));
    self->folder = mask_files_folder(self->shared->wanted->masks, self->clip);
    TRK_CHECK(create_folder(self, self->folder));
    for (size_t i = 0; self->by_object && i < self->n_planes && !rc; i++) {
        char *path = mask_files_object_folder(self->folder, &self->clip->objects[i]);
        rc = create_folder(self, path);
        trk_heap_release(path);
    }
done:
    return rc;
}

static trk_status open_all(clip_run *self)
{
    trk_status rc = TRK_OK;
    TRK_CHECK(check_clip(self->clip));
    TRK_CHECK(scoring_open(&self->scored, self->clip, self->shared->data->layout, !self->shared->wanted->no_boundary));
    TRK_CHECK(open_video(self));
    if (rc == TRK_END)
        goto done;
    TRK_CHECK(open_tracker(self));
    TRK_CHECK(open_planes(self));
    TRK_CHECK(open_outputs(self));
    XXH3_INITSTATE(&self->hash);
    XXH3_64bits_reset(&self->hash);
    self->result.width = self->info->width;
    self->result.height = self->info->height;
    progress_start(&self->shown, self->shared->progress, self->shared->wanted->quiet, -1, 0);
done:
    return rc;
}

/* --- a frame ---------------------------------------------------------------------------------------------------- */

static trk_status prompt_object(clip_run *self, size_t i)
{
    const dataset_object *object = &self->clip->objects[i];
    const uint8_t *mask;
    int width, height;
    trk_status rc;
    if (object->has_box)
        rc = trk_tracker_prompt_box(self->tracker, object->id, object->first_frame, &object->box);
    else {
        rc = scoring_true_mask(self->scored, i, object->first_frame, &mask, &width, &height);
        if (rc)
            return rc;
        rc = trk_tracker_prompt_mask(self->tracker, object->id, object->first_frame, mask, width, height, width);
    }
    if (!rc)
        return TRK_OK;
    char where[64];
    snprintf(where, sizeof where, "prompt of object %d", object->id);
    failure_of_library(rc);
    return trk_fail_prefix(rc, where);
}

static trk_status prompt_objects(clip_run *self, int64_t frame)
{
    trk_status rc = TRK_OK;
    for (size_t i = 0; i < self->clip->n_objects && !rc; i++)
        if (self->clip->objects[i].first_frame == frame && !self->clip->objects[i].unprompted) {
            rc = prompt_object(self, i);
            self->started = 1;
        }
    return rc;
}

/* Into planes of zeros. From the highest id down, so that lower ones stay in a map. */
static trk_status draw_masks(clip_run *self)
{
    const int width = self->info->width;
    const size_t n_pixels = (size_t)width * (size_t)self->info->height;
    uint8_t *room = self->planes + n_pixels;
    trk_status rc = TRK_OK;
    for (size_t i = self->clip->n_objects; i-- > 0 && !rc;) {
        const int id = self->clip->objects[i].id;
        rc = trk_tracker_mask(self->tracker, id, self->by_object ? self->masks[i] : room, width);
        if (!rc && !self->by_object)
            index_map_draw(self->planes, room, n_pixels, dataset_clip_index(self->clip, i));
        else if (rc == TRK_E_NOT_FOUND)
            rc = TRK_OK; /* it starts later, or never */
    }
    return rc ? failure_of_library(rc) : TRK_OK;
}

static trk_status note_memory(clip_run *self)
{
    clip_result *out = &self->result;
    trk_memory_use use = {.struct_size = sizeof use};
    trk_status rc = trk_tracker_memory(self->tracker, &use);
    if (rc)
        return failure_of_library(rc);
    size_t *bytes = trk_heap_grown(out->bytes, &out->bytes_capacity, out->n_bytes + 1, sizeof *bytes, TRK_MEM_SCRATCH,
                                   "results");
    if (!bytes)
        return no_memory(self->clip);
    out->bytes = bytes;
    out->bytes[out->n_bytes++] = use.devices[0].total_now;
    out->peak_bytes = use.devices[0].total_peak;
    if (progress_step(&self->shown))
        progress_draw(&self->shown, use.total_now);
    return TRK_OK;
}

/* *seconds: in the tracker. */
static trk_status track_frame(clip_run *self, double *seconds)
{
    const trk_frame frame = run_frame(self->picture);
    const double begun = trk_seconds();
    trk_status rc = trk_tracker_push(self->tracker, &frame);
    if (rc)
        return failure_of_library(rc);
    rc = draw_masks(self);
    *seconds = trk_seconds() - begun;
    self->result.seconds += *seconds;
    return rc ? rc : note_memory(self);
}

static trk_status write_plane(const clip_run *self, const char *folder, const char *name, const uint8_t *plane)
{
    return index_map_write(folder, name, plane, self->info->width, self->info->height,
                           (const uint8_t(*)[3])self->palette);
}

static trk_status write_masks(const clip_run *self, int64_t frame)
{
    char name[256];
    trk_status rc = TRK_OK;
    frame_name(name, sizeof name, &self->names, frame);
    if (!self->by_object)
        return write_plane(self, self->folder, name, self->planes);
    for (size_t i = 0; i < self->n_planes && !rc; i++) {
        char *folder = mask_files_object_folder(self->folder, &self->clip->objects[i]);
        rc = folder ? write_plane(self, folder, name, self->masks[i]) : no_memory(self->clip);
        trk_heap_release(folder);
    }
    return rc;
}

static trk_status pass_frame(clip_run *self)
{
    const trk_picture *picture = self->picture;
    const size_t n_pixels = (size_t)self->info->width * (size_t)self->info->height;
    const size_t n_bytes = self->by_object ? self->n_planes * n_pixels : n_pixels;
    const found_masks found = {self->info->width, self->info->height, self->by_object ? NULL : self->planes,
                               self->masks};
    double seconds = 0;
    trk_status rc = TRK_OK;
    memset(self->planes, 0, n_bytes);
    TRK_CHECK(prompt_objects(self, picture->index));
    if (self->started)
        TRK_CHECK(track_frame(self, &seconds));
    XXH3_64bits_update(&self->hash, self->planes, n_bytes);
    TRK_CHECK(scoring_add_masks(self->scored, picture->index, &found));
    if (self->folder)
        TRK_CHECK(write_masks(self, picture->index));
    if (self->found) {
        scoring_boxes_of(self->found, self->clip, &found);
        TRK_CHECK(box_files_add(&self->boxes, self->found, seconds));
    }
    self->result.n_frames = picture->index + 1;
done:
    return rc;
}

static trk_status pass_frames(clip_run *self)
{
    trk_status rc;
    while ((rc = trk_video_read(self->reader, &self->picture)) == TRK_OK) {
        char where[64];
        const int64_t index = self->picture->index;
        rc = pass_frame(self);
        trk_video_release(self->reader, self->picture);
        self->picture = NULL;
        if (rc) {
            snprintf(where, sizeof where, "frame %" PRId64, index);
            return trk_fail_prefix(rc, where);
        }
        if (session_stop_signal)
            return TRK_END;
    }
    return rc == TRK_END && !session_stop_signal ? TRK_OK : rc;
}

/* --- the end ---------------------------------------------------------------------------------------------------- */

static trk_status finish(clip_run *self)
{
    const dataset_clip *clip = self->clip;
    const int64_t last = clip->n_annotated ? clip->annotated[clip->n_annotated - 1] + 1 : 0;
    const int64_t n_needed = clip->n_frames >= 0 ? clip->n_frames : last;
    const int64_t n_damaged = trk_video_damaged(self->reader);
    if (self->result.n_frames < n_needed || (clip->is_dense && self->result.n_frames > n_needed))
        return TRK_FAIL(TRK_E_FORMAT, "%s: %" PRId64 " frames, expected %" PRId64 " as in %s", clip->frames,
                        self->result.n_frames, n_needed, clip->truth);
    for (size_t i = 0; i < clip->n_objects; i++)
        if (clip->objects[i].first_frame >= self->result.n_frames)
            return TRK_FAIL(TRK_E_FORMAT, "%s: prompt of object %d on frame %" PRId64 ", %s has %" PRId64, clip->truth,
                            clip->objects[i].id, clip->objects[i].first_frame, clip->frames, self->result.n_frames);
    if (n_damaged) /* numbers of frames could be off: no result is better than a wrong one */
        return TRK_FAIL(TRK_E_FORMAT, "%s: %" PRId64 " damaged packet%s", clip->frames, n_damaged,
                        n_damaged == 1 ? "" : "s");
    if (self->found) {
        trk_status rc = box_files_write(&self->boxes, self->shared->wanted->boxes, self->shared->boxes);
        if (rc)
            return rc;
    }
    self->result.mask_hash = XXH3_64bits_digest(&self->hash);
    self->result.name = trk_heap_text("results", clip->name);
    self->result.tests = clip->tests ? trk_heap_text("results", clip->tests) : NULL;
    if (!self->result.name || (clip->tests && !self->result.tests))
        return no_memory(clip);
    return scoring_finish(self->scored, &self->result);
}

trk_status eval_clip_track(clip_result *out, const eval_shared *shared, const dataset_clip *clip)
{
    clip_run self = {.shared = shared, .clip = clip};
    trk_status rc = open_all(&self);
    if (!rc)
        rc = pass_frames(&self);
    if (!rc)
        rc = finish(&self);
    trk_tracker_destroy(&self.tracker);
    trk_pool_destroy(&self.pool);
    if (self.admitted)
        session_leave(shared->models, plan_report_needs(&self.plan));
    trk_video_close(&self.reader);
    scoring_destroy(&self.scored);
    trk_heap_release(self.planes);
    trk_heap_release(self.found);
    box_files_free(&self.boxes);
    trk_heap_release(self.folder);
    frame_names_free(&self.names);
    if (rc)
        clip_result_free(&self.result);
    else
        *out = self.result;
    return rc;
}
