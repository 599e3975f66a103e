/* SPDX-License-Identifier: Apache-2.0
 * Policies: which hypothesis of the mask decoder is taken, and which memories are kept and read. One file each
 * (policy_*.c); nothing else of the tracker knows which one it is. A policy sees one object at a time. What it carries
 * from frame to frame is a note: the object has the one after the current frame and the one before it, every memory the
 * one after its frame, so that going back, branching and saving need nothing of the policy. */
#ifndef TRK_TRACKER_POLICY_H
#define TRK_TRACKER_POLICY_H

#include "bank.h"
#include "blob.h"
#include "track.h"

/* The three hypotheses of one object on one frame. */
typedef struct trk_choices {
    float iou[3];    /* predicted */
    float box[3][4]; /* x0, y0, x1, y1 of the mask at the model's image size, both ends inclusive; all 0: empty */
} trk_choices;

/* What became of an object on a frame. */
typedef struct trk_verdict {
    float object_score, iou; /* of the mask that was taken */
    int64_t n_since_start;   /* frames since the object's first one; 0 on it */
    int64_t frame;
} trk_verdict;

typedef struct trk_policy {
    const trk_window *window; /* which tracked frames' memories a frame reads */
    /* A frame begins; NULL: nothing to do. */
    void (*begin)(trk_memory_note *note);
    /* A mask takes the place of what was chosen on this frame, without a choice: of a box, several clicks, a mask prompt;
     * NULL: nothing to do. */
    void (*overrule)(trk_memory_note *note);
    /* The number, 0..2, of the hypothesis to take, and the note, begun or not, moved on; NULL: the best by IoU, without asking. */
    int (*choose)(const trk_motion_params *params, trk_memory_note *note, const trk_choices *given);
    /* Object score above which the object is there; NULL: 0. */
    double (*present_above)(const trk_motion_params *params);
    /* 1: frames beyond the next may read the memory of this one; NULL: always. */
    int (*keep)(const trk_motion_params *params, const trk_memory_note *note, const trk_verdict *verdict);
    /* The note in numbers for a state file, and back, checked; NULL: it has none. */
    void (*put)(const trk_memory_note *note, trk_blob *out);
    trk_status (*take)(trk_memory_note *note, const trk_motion_params *params, trk_blob_reader *in);
    /* side: of the model's input. NULL: there is no motion model. */
    void (*describe)(const trk_memory_note *note, int side, int width, int height, trk_motion *out);
} trk_policy;

extern const trk_policy trk_policy_sam2;    /* policy.c */
extern const trk_policy trk_policy_samurai; /* policy_samurai.c */

/* The policy of a kind; NULL: there is no such kind. (policy.c) */
const trk_policy *trk_policy_of(trk_policy_kind kind);
/* A caller's parameters, of any age, checked; NULL: the published values for models as wide as embed_dim. (policy.c) */
trk_status trk_motion_read(trk_motion_params *out, const trk_motion_params *given, int embed_dim);

#endif
