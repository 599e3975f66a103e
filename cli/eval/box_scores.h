/* SPDX-License-Identifier: Apache-2.0
 * Scores of tracked boxes (x, y, width, height in pixels, edges at x and x + width) over the frames of a clip: the
 * success and precision of OTB and LaSOT, the overlap rates of GOT-10k. */
#ifndef TRK_CLI_EVAL_BOX_SCORES_H
#define TRK_CLI_EVAL_BOX_SCORES_H

#include <stddef.h>

#include "track.h"

typedef enum box_convention {
    /* As LaSOT's own toolkit (and pytracking): success at 21 thresholds 0, 0.05, ..., 1 (overlap > t). The first frame
     * gets the true box. A found box without area is that of the frame before. Frames that do not count (absent) are
     * misses in every share, but are left out of the average overlap. */
    BOX_CONVENTION_LASOT,
    /* As LASOT, but shares are of the frames that count, as pytracking takes them of other datasets; but for normalized
     * distances, where its frames without a box are hits. */
    BOX_CONVENTION_TRACKINGNET,
    /* As GOT-10k's toolkit: the first frame does not count; success at 101 thresholds. See boxes_bound. */
    BOX_CONVENTION_GOT10K,
    /* Everything else: 21 thresholds; every frame as it is, those that do not count or have a NaN as truth left out. */
    BOX_CONVENTION_PLAIN
} box_convention;

typedef enum box_score {
    BOX_AUC,                  /* area under the success curve, 0..1 */
    BOX_OP50,                 /* share of frames with overlap above 0.5 (GOT-10k: SR) */
    BOX_OP75,                 /* above 0.75 */
    BOX_PRECISION,            /* share of frames whose centres lie at most 20 pixels apart */
    BOX_NORMALIZED_PRECISION, /* the same, at most 0.2 apart in units of the true box's sides (LaSOT's toolkit) */
    BOX_NORMALIZED_AUC,       /* mean of it over 51 thresholds 0, 0.01, ..., 0.5 (TrackingNet) */
    BOX_AO,                   /* average overlap: mean IoU */
    N_BOX_SCORES
} box_score;
extern const char *const box_score_names[N_BOX_SCORES]; /* as results have them */

typedef struct box_scores {
    double of[N_BOX_SCORES];
    size_t n_frames; /* that the shares are of; 0: all others are NaN */
} box_scores;

/* IoU; 0 where one of them has no area. */
double box_overlap(const trk_box *a, const trk_box *b);

/* found, truth: [n]; counts: [n], 0 = the frame does not count (absent, out of view); NULL: all do. A found box without
 * area overlaps nothing and lies infinitely far. For GOT10K all boxes have gone through boxes_bound.
 * Means over clips: LaSOT takes every clip as one, GOT-10k weighs a clip by its n_frames. */
box_scores box_scores_of(const trk_box *found, const trk_box *truth, const unsigned char *counts, size_t n,
                         box_convention convention);

/* Limits boxes to the picture, as GOT-10k's toolkit does to found and true ones. */
void boxes_bound(trk_box *boxes, size_t n, int width, int height);

#endif
