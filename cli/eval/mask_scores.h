/* SPDX-License-Identifier: Apache-2.0
 * Similarity of a found mask and a true one, as DAVIS defines it (Perazzi et al., "A Benchmark Dataset and Evaluation
 * Methodology for Video Object Segmentation", CVPR 2016) and davis2017-evaluation and SA-V's sav_benchmark compute it.
 * Masks are [height][width] bytes, 0 or not 0; width and height are at least 1. */
#ifndef TRK_CLI_EVAL_MASK_SCORES_H
#define TRK_CLI_EVAL_MASK_SCORES_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"

#define MASK_SCORES_TOLERANCE 0.008 /* of the diagonal in pixels, rounded up: how far a boundary may lie off */

/* Scratch of the boundary measure, kept from frame to frame; zeroed at first. */
typedef struct mask_scratch {
    uint8_t *bytes; /* owned */
    size_t capacity;
} mask_scratch;
void mask_scratch_free(mask_scratch *scratch);

/* J: intersection over union; of two empty masks 1. ignore: [height][width], where not 0 pixels do not count; NULL:
 * none. The void label of DAVIS is ignored by its unsupervised task alone; its semi-supervised one takes it as
 * background. */
double mask_region_similarity(const uint8_t *found, const uint8_t *truth, const uint8_t *ignore, int width, int height);

/* F: harmonic mean of the shares of either boundary that lies within the tolerance of the other's. The boundaries are
 * those of the masks with void pixels taken out. Neither has a boundary: 1; one of them has none: 0. A mask that fills
 * the picture has none, so that it equals an empty one here. tolerance: as MASK_SCORES_TOLERANCE; 1 and more: pixels
 * (whole numbers, up to 65534). *out is undefined on failure (memory). */
trk_status mask_boundary_similarity(double *out, mask_scratch *scratch, const uint8_t *found, const uint8_t *truth,
                                    const uint8_t *ignore, int width, int height, double tolerance);

/* Statistics of one object's scores over the frames that count. */
typedef struct score_summary {
    double mean, recall, decay; /* recall: share above 0.5; decay: mean of the first quarter less that of the last */
    size_t n_frames;
} score_summary;
/* scores: [n]; NaN: the frame does not count, and the quarters are those of the others. n == 0 or all NaN: all NaN. */
score_summary score_summarize(const double *scores, size_t n);

#endif
