/* SPDX-License-Identifier: Apache-2.0
 * Masks and boxes of others, or of an earlier run, for --pred. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "dataset_internal.h"
#include "eval_clip.h"
#include "frame_names.h"
#include "heap.h"
#include "index_map.h"
#include "mask_files.h"
#include "outputs.h"
#include "scoring.h"
#include "target.h"

typedef struct clip_reading {
    const eval_shared *shared; /* borrowed, as clip */
    const dataset_clip *clip;
    clip_result result;
    char *folder; /* of the masks, owned */
    frame_names names;
    scoring *scored;
    trk_image *images; /* [n_objects], of a frame; the first alone for maps of indices; owned */
    uint8_t **masks;   /* [n_objects] their pixels; owned */
    XXH3_state_t hash;
    progress shown;
} clip_reading;

static trk_status no_memory(const dataset_clip *clip)
{
    return TRK_FAIL(TRK_E_MEMORY, "%s: out of memory", clip->name);
}

/* --- masks ------------------------------------------------------------------------------------------------------ */

/* 1: a folder per object, as SA-V has it. */
static int has_object_folders(const clip_reading *self)
{
    int found = 0;
    for (size_t i = 0; i < self->clip->n_objects && !found && self->clip->kind == TRUTH_BINARY; i++) {
        char *path = mask_files_object_folder(self->folder, &self->clip->objects[i]);
        found = trk_is_folder(path);
        trk_heap_release(path);
    }
    return found;
}

static trk_status take_size(clip_reading *self, const trk_image *image, const char *folder, const char *name)
{
    clip_result *out = &self->result;
    if (!out->width) {
        out->width = image->width;
        out->height = image->height;
    }
    if (image->width != out->width || image->height != out->height)
        return TRK_FAIL(TRK_E_FORMAT, "%s/%s.png: expected %d x %d pixels as the masks before it, got %d x %d", folder,
                        name, out->width, out->height, image->width, image->height);
    XXH3_64bits_update(&self->hash, image->data, (size_t)image->width * (size_t)image->height);
    return TRK_OK;
}

/* Where the file is not there and not needed masks[i] is NULL. */
static trk_status read_image(clip_reading *self, size_t i, const char *folder, const char *name, int needed)
{
    char *path = trk_heap_format("path", "%s/%s.png", folder, name);
    const int there = trk_is_file(path), only_indexed = folder == self->folder;
    trk_status rc = TRK_OK;
    trk_image_free(&self->images[i]);
    self->masks[i] = NULL;
    if (!path)
        return no_memory(self->clip);
    if (!there && needed)
        rc = TRK_FAIL(TRK_E_NOT_FOUND, "%s: missing: expected a mask of every frame that counts", path);
    else if (there)
        rc = only_indexed ? index_map_read(&self->images[i], path) : trk_image_read(&self->images[i], path, 1);
    trk_heap_release(path);
    if (!rc && there)
        rc = take_size(self, &self->images[i], folder, name);
    if (!rc && there)
        self->masks[i] = self->images[i].data;
    return rc;
}

static trk_status read_objects(clip_reading *self, int64_t frame, const char *name)
{
    trk_status rc = TRK_OK;
    for (size_t i = 0; i < self->clip->n_objects && !rc; i++) {
        const dataset_object *object = &self->clip->objects[i];
        int needed;
        if (object->first_frame > frame)
            continue;
        char *folder = mask_files_object_folder(self->folder, object);
        rc = folder ? scoring_counts(&needed, self->scored, i, frame) : no_memory(self->clip);
        if (!rc)
            rc = read_image(self, i, folder, name, needed);
        trk_heap_release(folder);
    }
    return rc;
}

static trk_status read_map(clip_reading *self, int64_t frame, const char *name)
{
    int needed = 0;
    trk_status rc = TRK_OK;
    for (size_t i = 0; i < self->clip->n_objects && !rc && !needed; i++)
        rc = scoring_counts(&needed, self->scored, i, frame);
    return rc ? rc : read_image(self, 0, self->folder, name, needed);
}

static int has_any_mask(const clip_reading *self)
{
    for (size_t i = 0; i < self->clip->n_objects; i++)
        if (self->masks[i])
            return 1;
    return 0;
}

static trk_status read_frame(clip_reading *self, int64_t frame, int by_object)
{
    char name[256];
    trk_status rc = TRK_OK;
    frame_name(name, sizeof name, &self->names, frame);
    rc = by_object ? read_objects(self, frame, name) : read_map(self, frame, name);
    if (rc)
        return rc;
    const found_masks found = {self->result.width, self->result.height, by_object ? NULL : self->masks[0], self->masks};
    rc = scoring_add_masks(self->scored, frame, has_any_mask(self) ? &found : NULL);
    if (!rc && progress_step(&self->shown))
        progress_draw(&self->shown, 0);
    return rc;
}

static int64_t first_prompt(const dataset_clip *clip)
{
    int64_t first = INT64_MAX;
    for (size_t i = 0; i < clip->n_objects; i++)
        first = clip->objects[i].first_frame < first ? clip->objects[i].first_frame : first;
    return first;
}

static trk_status read_masks(clip_reading *self)
{
    const dataset_clip *clip = self->clip;
    const int of_boxes = clip->kind == TRUTH_BOXES, by_object = has_object_folders(self);
    const int64_t first = first_prompt(clip);
    const size_t n = of_boxes ? (size_t)clip->n_frames : clip->n_annotated;
    self->images = trk_heap_zeroed(TRK_MEM_SCRATCH, "masks", clip->n_objects + 1, sizeof *self->images);
    self->masks = trk_heap_zeroed(TRK_MEM_SCRATCH, "masks", clip->n_objects + 1, sizeof *self->masks);
    trk_status rc = self->images && self->masks ? TRK_OK : no_memory(clip);
    XXH3_INITSTATE(&self->hash);
    XXH3_64bits_reset(&self->hash);
    for (size_t i = 0; i < n && !rc; i++) {
        const int64_t frame = of_boxes ? (int64_t)i : clip->annotated[i];
        if (frame >= first)
            rc = read_frame(self, frame, by_object);
        if (!rc && session_stop_signal)
            rc = TRK_END;
    }
    self->result.mask_hash = XXH3_64bits_digest(&self->hash);
    return rc;
}

/* --- boxes ------------------------------------------------------------------------------------------------------ */

/* x, y, width, height with commas, tabs or spaces between: 1, and *line behind it. */
static int parse_box(char **line, trk_box *out)
{
    float *const parts[] = {&out->x, &out->y, &out->width, &out->height};
    char *at = *line, *end;
    for (size_t i = 0; i < 4; i++) {
        at += strspn(at, " \t");
        if (i && *at == ',')
            at++;
        *parts[i] = strtof(at, &end);
        if (end == at || memchr(at, '\n', (size_t)(end - at)))
            return 0;
        at = end;
    }
    at += strspn(at, " \t\r");
    if (*at && *at != '\n')
        return 0;
    *line = at + (*at == '\n');
    return 1;
}

static trk_status parse_boxes(clip_reading *self, trk_box *out, char *text, const char *path)
{
    const int64_t n = self->clip->n_frames;
    int64_t i = 0;
    for (; i < n && *text; i++)
        if (!parse_box(&text, &out[i])) {
            text[strcspn(text, "\r\n")] = 0;
            return TRK_FAIL(TRK_E_FORMAT, "%s:%" PRId64 ": \"%.80s\", expected x,y,w,h", path, i + 1, text);
        }
    if (i < n)
        return TRK_FAIL(TRK_E_FORMAT, "%s: expected a box for each of %" PRId64 " frames, got %" PRId64, path, n, i);
    if (text[strspn(text, " \t\r\n")])
        return TRK_FAIL(TRK_E_FORMAT, "%s: expected a box for each of %" PRId64 " frames, got more", path, n);
    return TRK_OK;
}

/* PRED/CLIP.txt, with _ID where there are several objects; of "a/b" also PRED/b.txt. Owned by the caller. */
static char *flat_path(const clip_reading *self, size_t object)
{
    const char *folder = self->shared->wanted->pred, *slash = strrchr(self->clip->name, '/');
    const char *const names[] = {self->clip->name, slash ? slash + 1 : NULL};
    char *first = NULL;
    for (int i = 0; i < 2 && names[i]; i++) {
        char *one = trk_heap_format("path", "%s/%s.txt", folder, names[i]);
        char *path = one ? outputs_boxes_path(one, self->clip->objects[object].id, self->clip->n_objects > 1) : NULL;
        trk_heap_release(one);
        if (i && !trk_is_file(path)) {
            trk_heap_release(path);
            break;
        }
        trk_heap_release(first);
        first = path;
        if (trk_is_file(path))
            break;
    }
    return first;
}

/* That, or where it is not there and the nested one of GOT-10k is, this. Owned by the caller. */
static char *boxes_path(const clip_reading *self, size_t object)
{
    char *path = flat_path(self, object);
    if (!path || trk_is_file(path))
        return path;
    char *nested = box_files_path(self->shared->wanted->pred, BOX_LAYOUT_GOT10K, self->clip, object);
    char *unused = trk_is_file(nested) ? path : nested;
    trk_heap_release(unused);
    return unused == path ? nested : path;
}

static trk_status read_object_boxes(clip_reading *self, size_t object, trk_box *out)
{
    char *path = boxes_path(self, object), *text = NULL;
    trk_status rc = path ? dataset_text_read(&text, path) : no_memory(self->clip);
    if (!rc)
        rc = parse_boxes(self, out, text, path);
    trk_heap_release(text);
    trk_heap_release(path);
    return rc;
}

/* Of boxes: GOT-10k cuts them at the picture. */
static trk_status find_size(clip_reading *self)
{
    const dataset_clip *clip = self->clip;
    trk_video_reader *reader = NULL;
    self->result.width = clip->width;
    self->result.height = clip->height;
    if (clip->width || !clip->frames)
        return TRK_OK;
    trk_status rc = trk_video_open(&reader, clip->frames, &(trk_video_params){.start = -1, .n_frames = 1});
    if (!rc) {
        self->result.width = trk_video_get_info(reader)->width;
        self->result.height = trk_video_get_info(reader)->height;
    }
    trk_video_close(&reader);
    return rc == TRK_END ? TRK_FAIL(TRK_E_FORMAT, "%s: no frame in it", clip->frames) : rc;
}

static trk_status read_boxes(clip_reading *self)
{
    const dataset_clip *clip = self->clip;
    const size_t n = (size_t)clip->n_frames, n_objects = clip->n_objects;
    trk_box *all = trk_heap_zeroed(TRK_MEM_SCRATCH, "boxes", n * n_objects + 1, sizeof *all);
    trk_box *frame = trk_heap_zeroed(TRK_MEM_SCRATCH, "boxes", n_objects + 1, sizeof *frame);
    trk_status rc = all && frame ? TRK_OK : no_memory(clip);
    for (size_t i = 0; i < n_objects && !rc; i++)
        rc = read_object_boxes(self, i, all + i * n);
    if (!rc)
        rc = find_size(self);
    for (size_t t = 0; t < n && !rc; t++) {
        for (size_t i = 0; i < n_objects; i++)
            frame[i] = all[i * n + t];
        scoring_add_boxes(self->scored, (int64_t)t, frame);
    }
    trk_heap_release(all);
    trk_heap_release(frame);
    return rc;
}

/* --- a clip ----------------------------------------------------------------------------------------------------- */

/* A folder of the clip's name has masks, or boxes as GOT-10k's results have them. */
static int has_masks(const clip_reading *self)
{
    char *boxes = box_files_path(self->shared->wanted->pred, BOX_LAYOUT_GOT10K, self->clip, 0);
    const int found = trk_is_folder(self->folder) && !trk_is_file(boxes);
    trk_heap_release(boxes);
    return found;
}

static trk_status open_all(clip_reading *self)
{
    const dataset_clip *clip = self->clip;
    const options *wanted = self->shared->wanted;
    trk_status rc = TRK_OK;
    self->folder = self->shared->data->layout == DATASET_MASKS ? trk_heap_text("path", wanted->pred)
                                                               : mask_files_folder(wanted->pred, clip);
    if (!self->folder)
        return no_memory(clip);
    if (!clip->n_objects)
        return TRK_FAIL(TRK_E_FORMAT, "%s: no object in it", clip->truth);
    if (clip->kind == TRUTH_BOXES && has_masks(self))
        TRK_CHECK(eval_clip_check_indices(clip));
    TRK_CHECK(scoring_open(&self->scored, clip, self->shared->data->layout, !wanted->no_boundary));
    TRK_CHECK(frame_names_open(&self->names, clip));
    progress_start(&self->shown, self->shared->progress, wanted->quiet, -1, 0);
done:
    return rc;
}

/* Boxes, or masks that boxes are taken of. */
static trk_status read_all(clip_reading *self)
{
    return self->clip->kind == TRUTH_BOXES && !has_masks(self) ? read_boxes(self) : read_masks(self);
}

static trk_status finish(clip_reading *self)
{
    const dataset_clip *clip = self->clip;
    self->result.n_frames = clip->n_frames >= 0 ? clip->n_frames : (int64_t)clip->n_annotated;
    self->result.name = trk_heap_text("results", clip->name);
    self->result.tests = clip->tests ? trk_heap_text("results", clip->tests) : NULL;
    if (!self->result.name || (clip->tests && !self->result.tests))
        return no_memory(clip);
    return scoring_finish(self->scored, &self->result);
}

trk_status eval_clip_read(clip_result *out, const eval_shared *shared, const dataset_clip *clip)
{
    clip_reading self = {.shared = shared, .clip = clip};
    trk_status rc = open_all(&self);
    if (!rc)
        rc = read_all(&self);
    if (!rc)
        rc = finish(&self);
    for (size_t i = 0; self.images && i < clip->n_objects; i++)
        trk_image_free(&self.images[i]);
    trk_heap_release(self.images);
    trk_heap_release(self.masks);
    trk_heap_release(self.folder);
    frame_names_free(&self.names);
    scoring_destroy(&self.scored);
    if (rc)
        clip_result_free(&self.result);
    else
        *out = self.result;
    return rc;
}
