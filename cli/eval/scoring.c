/* SPDX-License-Identifier: Apache-2.0 */
#include "scoring.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "heap.h"

enum { LAST_FRAMES = 10 }; /* of region_last10 */

struct scoring {
    const dataset_clip *clip; /* borrowed */
    dataset_layout layout;
    int with_boundary;
    object_result *objects; /* [clip.n_objects] owned, until scoring_finish */
    trk_box **boxes;        /* TRUTH_BOXES: found, [clip.n_objects][clip.n_frames], owned */
    size_t at;              /* of clip.annotated, the first that is not before the last frame */
    int has_truth;          /* 1: truth is that of annotated[truth_at] */
    size_t truth_at;
    truth_masks truth;
    uint8_t *planes; /* [3][height][width]: found, true, void; owned */
    size_t n_planes; /* bytes */
    mask_scratch scratch;
};

static trk_status no_memory(const scoring *self)
{
    return TRK_FAIL(TRK_E_MEMORY, "%s: out of memory for its scores", self->clip->name);
}

/* --- opening ---------------------------------------------------------------------------------------------------- */

static void *zeroed(size_t n, size_t size)
{
    return trk_heap_zeroed(TRK_MEM_SCRATCH, "scores", n + !n, size);
}

static trk_status open_object(scoring *self, size_t i)
{
    const dataset_clip *clip = self->clip;
    object_result *out = &self->objects[i];
    size_t first = 0;
    out->id = clip->objects[i].id;
    out->first_frame = clip->objects[i].first_frame;
    if (clip->kind == TRUTH_BOXES) {
        self->boxes[i] = zeroed((size_t)clip->n_frames, sizeof **self->boxes);
        return self->boxes[i] ? TRK_OK : no_memory(self);
    }
    while (first < clip->n_annotated && clip->annotated[first] < out->first_frame)
        first++;
    const size_t n = clip->n_annotated - first; /* at most; counted up as frames come */
    out->index = zeroed(n, sizeof *out->index);
    out->region = zeroed(n, sizeof *out->region);
    out->boundary = zeroed(n, sizeof *out->boundary);
    out->present = zeroed(n, 1);
    return out->index && out->region && out->boundary && out->present ? TRK_OK : no_memory(self);
}

trk_status scoring_open(scoring **out, const dataset_clip *clip, dataset_layout layout, int with_boundary)
{
    trk_status rc = TRK_OK;
    scoring *self = zeroed(1, sizeof *self);
    if (!self)
        return TRK_FAIL(TRK_E_MEMORY, "%s: out of memory for its scores", clip->name);
    self->clip = clip;
    self->layout = layout;
    self->with_boundary = with_boundary;
    self->objects = zeroed(clip->n_objects, sizeof *self->objects);
    self->boxes = zeroed(clip->n_objects, sizeof *self->boxes);
    if (!self->objects || !self->boxes)
        TRK_CHECK(no_memory(self));
    for (size_t i = 0; i < clip->n_objects; i++)
        TRK_CHECK(open_object(self, i));
    *out = self;
    self = NULL;
done:
    scoring_destroy(&self);
    return rc;
}

void scoring_destroy(scoring **handle)
{
    scoring *self = *handle;
    if (!self)
        return;
    clip_result taken = {.objects = self->objects, .n_objects = self->objects ? self->clip->n_objects : 0};
    clip_result_free(&taken);
    for (size_t i = 0; self->boxes && i < self->clip->n_objects; i++)
        trk_heap_release(self->boxes[i]);
    trk_heap_release(self->boxes);
    trk_heap_release(self->planes);
    truth_masks_free(&self->truth);
    mask_scratch_free(&self->scratch);
    trk_heap_release(self);
    *handle = NULL;
}

/* --- the truth of a frame --------------------------------------------------------------------------------------- */

/* Frames come in ascending order: the search goes on from the last one. 1: the frame has truth, annotated[at]. */
static int find_truth(scoring *self, int64_t frame)
{
    const dataset_clip *clip = self->clip;
    if (self->at < clip->n_annotated && clip->annotated[self->at] > frame)
        self->at = 0;
    while (self->at < clip->n_annotated && clip->annotated[self->at] < frame)
        self->at++;
    return self->at < clip->n_annotated && clip->annotated[self->at] == frame;
}

/* Truth of annotated[at], and planes of its size. */
static trk_status read_truth(scoring *self)
{
    if (self->has_truth && self->truth_at == self->at)
        return TRK_OK;
    self->has_truth = 0;
    trk_status rc = dataset_clip_truth(&self->truth, self->clip, self->at);
    if (rc)
        return rc;
    const size_t n_needed = 3 * (size_t)self->truth.width * (size_t)self->truth.height;
    if (self->n_planes < n_needed) {
        trk_heap_release(self->planes);
        self->planes = trk_heap_allocate(TRK_MEM_SCRATCH, "scores", n_needed);
        self->n_planes = self->planes ? n_needed : 0;
        if (!self->planes)
            return no_memory(self);
    }
    self->has_truth = 1;
    self->truth_at = self->at;
    return TRK_OK;
}

trk_status scoring_true_mask(scoring *self, size_t object, int64_t frame, const uint8_t **out, int *width, int *height)
{
    const dataset_clip *clip = self->clip;
    if (clip->kind == TRUTH_BOXES || !find_truth(self, frame))
        return TRK_FAIL(TRK_E_FORMAT, "%s: object %d: no true mask on its first frame, %" PRId64, clip->truth,
                        clip->objects[object].id, frame);
    trk_status rc = read_truth(self);
    if (rc)
        return rc;
    const size_t n_pixels = (size_t)self->truth.width * (size_t)self->truth.height;
    truth_masks_object(self->planes, &self->truth, clip, object);
    if (!memchr(self->planes, 1, n_pixels))
        return TRK_FAIL(TRK_E_FORMAT, "%s: object %d: its true mask is empty on its first frame, %" PRId64, clip->truth,
                        clip->objects[object].id, frame);
    *out = self->planes;
    *width = self->truth.width;
    *height = self->truth.height;
    return TRK_OK;
}

/* --- a frame ---------------------------------------------------------------------------------------------------- */

/* Of annotated[at], whose truth is read. */
static int counts(const scoring *self, size_t object)
{
    const dataset_object *one = &self->clip->objects[object];
    const int64_t frame = self->clip->annotated[self->at];
    const int skipped = self->clip->skips_ends != 0;
    const int has_truth = self->truth.indices || self->truth.masks[object];
    return has_truth && frame >= one->first_frame + skipped && frame <= one->last_frame - skipped;
}

trk_status scoring_counts(int *out, scoring *self, size_t object, int64_t frame)
{
    *out = self->clip->kind == TRUTH_BOXES;
    if (*out || !find_truth(self, frame))
        return TRK_OK;
    trk_status rc = read_truth(self);
    if (!rc)
        *out = counts(self, object);
    return rc;
}

static void take_found(uint8_t *out, const found_masks *found, int id, size_t object, size_t n_pixels)
{
    if (found->indices)
        for (size_t i = 0; i < n_pixels; i++)
            out[i] = found->indices[i] == id;
    else if (found->masks[object])
        for (size_t i = 0; i < n_pixels; i++)
            out[i] = found->masks[object][i] != 0;
    else
        memset(out, 0, n_pixels);
}

/* NULL where the layout has no such pixels. */
static const uint8_t *void_pixels(scoring *self, size_t n_pixels)
{
    const int label = self->clip->void_label;
    uint8_t *out = self->planes + 2 * n_pixels;
    if (label < 0 || !self->truth.indices)
        return NULL;
    for (size_t i = 0; i < n_pixels; i++)
        out[i] = self->truth.indices[i] == label;
    return out;
}

/* Neither mask shows the object yet, on any frame that counts. */
static int is_unseen(const object_result *of, const uint8_t *mask, size_t n_pixels)
{
    for (size_t i = 0; i < of->n_frames; i++)
        if (!isnan(of->region[i]))
            return 0;
    return !of->present[of->n_frames - 1] && !memchr(mask, 1, n_pixels);
}

static trk_status score_object(scoring *self, size_t object, const found_masks *found, const uint8_t *ignore)
{
    const dataset_clip *clip = self->clip;
    const int width = self->truth.width, height = self->truth.height;
    const size_t n_pixels = (size_t)width * (size_t)height;
    uint8_t *mask = self->planes, *truth = self->planes + n_pixels;
    object_result *out = &self->objects[object];
    const size_t k = out->n_frames;
    truth_masks_object(truth, &self->truth, clip, object);
    out->index[k] = clip->annotated[self->at];
    out->present[k] = memchr(truth, 1, n_pixels) != NULL;
    out->region[k] = out->boundary[k] = NAN;
    out->n_frames++;
    if (!found || !counts(self, object))
        return TRK_OK;
    take_found(mask, found, out->id, object, n_pixels);
    if (clip->skips_unseen && is_unseen(out, mask, n_pixels))
        return TRK_OK;
    out->region[k] = mask_region_similarity(mask, truth, ignore, width, height);
    return self->with_boundary ? mask_boundary_similarity(&out->boundary[k], &self->scratch, mask, truth, ignore, width,
                                                          height, MASK_SCORES_TOLERANCE)
                               : TRK_OK;
}

/* width, height: of the truth. */
static trk_status check_size(const scoring *self, int64_t frame, const found_masks *found, int width, int height)
{
    if (!found || (found->width == width && found->height == height))
        return TRK_OK;
    return TRK_FAIL(TRK_E_FORMAT, "%s: frame %" PRId64 ": expected masks of %d x %d pixels as in %s, got %d x %d",
                    self->clip->name, frame, width, height, self->clip->truth, found->width, found->height);
}

static trk_status score_masks(scoring *self, int64_t frame, const found_masks *found)
{
    const dataset_clip *clip = self->clip;
    if (!find_truth(self, frame))
        return TRK_OK;
    int width, height;
    dataset_clip_truth_size(clip, &width, &height);
    trk_status rc = width ? check_size(self, frame, found, width, height) : TRK_OK; /* a few bytes can make it large */
    rc = rc ? rc : read_truth(self);
    rc = rc ? rc : check_size(self, frame, found, self->truth.width, self->truth.height);
    if (rc)
        return rc;
    const uint8_t *ignore = void_pixels(self, (size_t)self->truth.width * (size_t)self->truth.height);
    for (size_t i = 0; i < clip->n_objects && !rc; i++)
        if (frame >= clip->objects[i].first_frame)
            rc = score_object(self, i, found, ignore);
    return rc;
}

void scoring_add_boxes(scoring *self, int64_t frame, const trk_box *found)
{
    if (frame >= 0 && frame < self->clip->n_frames)
        for (size_t i = 0; i < self->clip->n_objects; i++)
            self->boxes[i][frame] = found[i];
}

/* Edges of what is set, high ones behind it; high 0: nothing. */
typedef struct bounds {
    int low_x, low_y, high_x, high_y;
} bounds;

static void widen(bounds *b, int x, int y)
{
    b->low_x = !b->high_x || x < b->low_x ? x : b->low_x;
    b->low_y = b->high_x ? b->low_y : y; /* rows come from the top */
    b->high_x = x >= b->high_x ? x + 1 : b->high_x;
    b->high_y = y + 1;
}

static trk_box box_of(const bounds *b)
{
    return (trk_box){(float)b->low_x, (float)b->low_y, (float)(b->high_x - b->low_x), (float)(b->high_y - b->low_y)};
}

static bounds bounds_of_mask(const uint8_t *mask, int width, int height)
{
    bounds out = {0};
    for (int y = 0; mask && y < height; y++)
        for (int x = 0; x < width; x++)
            if (mask[(size_t)y * (size_t)width + (size_t)x])
                widen(&out, x, y);
    return out;
}

static void bounds_of_map(bounds out[256], const found_masks *found)
{
    const uint8_t *row = found->indices;
    memset(out, 0, 256 * sizeof *out);
    for (int y = 0; y < found->height; y++, row += found->width)
        for (int x = 0; x < found->width; x++)
            if (row[x])
                widen(&out[row[x]], x, y);
}

void scoring_boxes_of(trk_box *out, const dataset_clip *clip, const found_masks *found)
{
    bounds of_ids[256];
    if (found->indices)
        bounds_of_map(of_ids, found);
    for (size_t i = 0; i < clip->n_objects; i++) {
        const int index = dataset_clip_index(clip, i);
        const bounds none = {0},
                     one = found->indices ? none : bounds_of_mask(found->masks[i], found->width, found->height);
        out[i] = box_of(!found->indices ? &one : index < 256 ? &of_ids[index] : &none);
    }
}

static trk_status score_boxes_of_masks(scoring *self, int64_t frame, const found_masks *found)
{
    trk_box *boxes = zeroed(self->clip->n_objects, sizeof *boxes);
    if (!boxes)
        return no_memory(self);
    scoring_boxes_of(boxes, self->clip, found);
    scoring_add_boxes(self, frame, boxes);
    trk_heap_release(boxes);
    return TRK_OK;
}

trk_status scoring_add_masks(scoring *self, int64_t frame, const found_masks *found)
{
    return self->clip->kind == TRUTH_BOXES ? score_boxes_of_masks(self, frame, found) : score_masks(self, frame, found);
}

/* --- the end ---------------------------------------------------------------------------------------------------- */

/* Of the last frames that count. */
static double last_mean(const double *scores, size_t n)
{
    double sum = 0;
    int n_taken = 0;
    for (size_t i = n; i-- > 0 && n_taken < LAST_FRAMES;)
        if (!isnan(scores[i])) {
            sum += scores[i];
            n_taken++;
        }
    return n_taken ? sum / n_taken : NAN;
}

static void summarize_masks(const scoring *self, object_result *out)
{
    out->region_summary = score_summarize(out->region, out->n_frames);
    out->region_last10 = last_mean(out->region, out->n_frames);
    if (self->with_boundary)
        out->boundary_summary = score_summarize(out->boundary, out->n_frames);
    else {
        trk_heap_release(out->boundary);
        out->boundary = NULL;
    }
}

static box_convention convention_of(dataset_layout layout)
{
    switch (layout) {
    case DATASET_LASOT:
        return BOX_CONVENTION_LASOT;
    case DATASET_TRACKINGNET:
        return BOX_CONVENTION_TRACKINGNET;
    case DATASET_GOT10K:
        return BOX_CONVENTION_GOT10K;
    default:
        return BOX_CONVENTION_PLAIN;
    }
}

static trk_status summarize_boxes(scoring *self, size_t object, int width, int height)
{
    const dataset_object *true_one = &self->clip->objects[object];
    const box_convention convention = convention_of(self->layout);
    const size_t first = (size_t)true_one->first_frame, total = (size_t)self->clip->n_frames;
    const size_t n = first < total ? total - first : 0;
    trk_box *found = self->boxes[object] + (n ? first : 0), *truth = zeroed(n, sizeof *truth);
    if (!truth)
        return no_memory(self);
    if (n) {
        memcpy(truth, true_one->boxes + first, n * sizeof *truth);
        if (convention == BOX_CONVENTION_GOT10K) {
            boxes_bound(found, n, width, height);
            boxes_bound(truth, n, width, height);
        }
        self->objects[object].boxes =
            box_scores_of(found, truth, true_one->visible ? true_one->visible + first : NULL, n, convention);
    }
    trk_heap_release(truth);
    return TRK_OK;
}

trk_status scoring_finish(scoring *self, clip_result *out)
{
    trk_status rc = TRK_OK;
    for (size_t i = 0; i < self->clip->n_objects && !rc; i++)
        if (self->clip->kind == TRUTH_BOXES)
            rc = summarize_boxes(self, i, out->width, out->height);
        else
            summarize_masks(self, &self->objects[i]);
    if (rc)
        return rc;
    out->objects = self->objects;
    out->n_objects = self->clip->n_objects;
    self->objects = NULL;
    return TRK_OK;
}
