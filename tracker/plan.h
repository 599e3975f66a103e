/* SPDX-License-Identifier: Apache-2.0
 * plan.c finds out what a tracker will need; plan_push.c decides when that is done and holds the tracker to it. */
#ifndef TRK_TRACKER_PLAN_H
#define TRK_TRACKER_PLAN_H

#include "tracker.h"

/* Who needs it, and for what. */
typedef struct trk_plan_request {
    int width, height;
    trk_needs needs;
    int together; /* objects of one pass */
    size_t trackers, busy;
    trk_tracker_params params; /* defaults filled in */
    int keeps_masks;           /* slots of the compact form */
} trk_plan_request;

/* What a request was found to need at once. */
typedef struct trk_rehearsal {
    size_t scratch, frame; /* bytes of the arenas */
    trk_workspace_sizes workspace; /* of the operators */
} trk_rehearsal;

typedef struct trk_slot_counts {
    size_t n[TRK_SLOT_KINDS];
} trk_slot_counts;

/* Sums that would not fit are SIZE_MAX: more than any budget. */
size_t trk_plan_plus(size_t a, size_t b);
/* How many objects are tracked in one pass: on a CPU, which one object keeps busy, no more than that. */
int trk_plan_together(const trk_model *model, size_t objects);
/* Most slots of one object at any time: those a frame reads and the one it writes. */
trk_slot_counts trk_plan_slots(const trk_plan_request *r, const trk_arch *a);
/* Of the bank that the model's pools have; with_masks: slots of the compact form, too. */
trk_bank_params trk_bank_params_of(const trk_model *model, int with_masks);
/* Rehearses the request. arenas: what it found, of one call and one frame. */
trk_status trk_plan_find(const trk_model *model, const trk_plan_request *r, trk_plan *out, trk_rehearsal *arenas);

static inline int trk_is_same_mask(const trk_mask_size *a, const trk_mask_size *b)
{
    return a->width == b->width && a->height == b->height;
}

#endif
