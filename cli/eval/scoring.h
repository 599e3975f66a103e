/* SPDX-License-Identifier: Apache-2.0
 * From what was found of a clip and its truth to a clip_result, frame by frame. What counts:
 * - of an object, the frames with truth of it from its first one to its last one; where the clip skips ends, not these
 *   two, where it skips unseen ones, not those before either mask shows the object;
 * - boxes by the convention of the layout (box_scores.h), from the object's first frame on. */
#ifndef TRK_CLI_EVAL_SCORING_H
#define TRK_CLI_EVAL_SCORING_H

#include "results.h"

typedef struct scoring scoring;

/* What was found on a frame: one map of indices, or one mask per object. */
typedef struct found_masks {
    int width, height;
    const uint8_t *indices; /* [height][width]; NULL: masks */
    uint8_t *const *masks;  /* [clip.n_objects][height][width], not 0 = object; NULL: nothing of that object */
} found_masks;

/* clip: borrowed until scoring_destroy. with_boundary: 0 leaves F out. */
trk_status scoring_open(scoring **out, const dataset_clip *clip, dataset_layout layout, int with_boundary);
void scoring_destroy(scoring **handle); /* NULL-safe */
/* Of a clip of boxes the tightest box of each mask is taken. Frames ascend; one without truth is passed over. found
 * NULL: nothing is known of the frame, which counts for no object (scoring_counts). */
trk_status scoring_add_masks(scoring *self, int64_t frame, const found_masks *found);
/* found: [clip.n_objects], for a clip of boxes. */
void scoring_add_boxes(scoring *self, int64_t frame, const trk_box *found);
/* *out: 1 if what is found of an object on a frame counts, so that it has to be there. */
trk_status scoring_counts(int *out, scoring *self, size_t object, int64_t frame);
/* The true mask of an object on a frame: *out is [*height][*width] bytes 0 or 1, borrowed until the next call.
 * TRK_E_FORMAT where there is no truth, or nothing of the object in it. */
trk_status scoring_true_mask(scoring *self, size_t object, int64_t frame, const uint8_t **out, int *width, int *height);
/* The objects of *out, whose width and height are set, with their summaries; scoring is over. */
trk_status scoring_finish(scoring *self, clip_result *out);

/* The tightest boxes of the objects of a map, [n] by clip.objects; without area where there is none. */
void scoring_boxes_of(trk_box *out, const dataset_clip *clip, const found_masks *found);

#endif
