/* SPDX-License-Identifier: Apache-2.0
 * The tracker's state and the seams between its files. One tracker is one timeline: frames come with indices that go up
 * (or down) by one, and what is kept of earlier frames is what the next one can still read.
 *
 * trk_tracker_push(t):                                                                        (tracker.c)
 *   1 check the frame and the prompts waiting for it; nothing has changed if this fails
 *   2 sweep the previous frame's features (if they were kept), encode this frame               frame arena
 *   3 per object: track it (memory attention, head); if a prompt waits, run it on top         (objects.c)
 *   4 per object: encode its memory into the bank, fill holes of its logits
 *   5 drop what the next frame can not read any more; sweep, unless the frame is kept
 *
 * Upstream: sam2_video_predictor.py. Step 3 is its propagate step followed, where a prompt waits, by
 * add_new_points_or_box / add_new_mask on the tracked frame, with propagation going on at the next frame. */
#ifndef TRK_TRACKER_TRACKER_H
#define TRK_TRACKER_TRACKER_H

#include "bank.h"
#include "network.h"
#include "track.h"

struct trk_model {
    trk_network_model *network;
    trk_device device;
};

/* Prompts of one object for one frame, merged. */
typedef struct trk_prompt {
    struct trk_prompt *next;
    int64_t frame;
    int has_box;
    trk_box box;
    trk_point *points; /* [n_points] owned */
    size_t n_points;
    uint8_t *mask;     /* [mask_height, mask_width] 0/1, owned; NULL without mask */
    int mask_width, mask_height;
} trk_prompt;

typedef struct trk_object {
    int id;
    trk_sequence memories;
    trk_prompt *waiting;      /* for frames to come, any order; owned */
    trk_prompt *applied;      /* those of the frame `applied->frame`, for refinement of a kept frame; owned */
    int64_t result_frame;     /* frame the fields below are of */
    int has_result;
    int prompted;             /* the result comes from a prompt */
    int initial;              /* ... without memory: the object's first frame */
    trk_head_output result;   /* logits [4g, 4g] and pointer [d], owned, class BANK */
} trk_object;

struct trk_tracker {
    const trk_model *model;
    trk_ledger ledger;
    trk_chunk_pool chunks;
    trk_arena frame, scratch;
    trk_network net;
    trk_bank bank;
    trk_tracker_params params; /* defaults filled in */
    trk_object **objects;      /* ascending id; owned */
    size_t n_objects, objects_capacity;
    int width, height;         /* of the frames; 0 before the first */
    int started;
    int64_t index;             /* current frame */
    int has_features;
    trk_features features;     /* of the current frame, until the sweep */
    uint64_t n_sweeps;
    trk_status broken;         /* failure that ended the tracker, or TRK_OK */
};

/* --- prompts.c: the queue --- */
trk_prompt *trk_prompt_find(trk_prompt *list, int64_t frame);
void trk_prompt_free(trk_tracker *t, trk_prompt *prompt);
void trk_prompt_free_list(trk_tracker *t, trk_prompt **list);
trk_prompt *trk_prompt_take(trk_prompt **list, int64_t frame); /* unlinks; NULL if none */
/* Adds `from` to `into` (points add up, a box replaces, a mask replaces all); takes over what `from` owns. */
trk_status trk_prompt_merge(trk_tracker *t, trk_prompt *into, trk_prompt *from);
/* TRK_E_ARGUMENT if the prompt does not fit frames of this size. */
trk_status trk_prompt_check(const trk_prompt *prompt, int object, int width, int height);

/* --- objects.c: one object on the current frame --- */
int trk_mask_side(const trk_tracker *t); /* of the low-resolution logits */
trk_object *trk_object_find(const trk_tracker *t, int id);
trk_status trk_object_get(trk_tracker *t, int id, trk_object **out); /* finds or adds */
void trk_object_remove(trk_tracker *t, trk_object *object);
/* Steps 3 and 4 for one object; prompt may be NULL and is taken over. */
trk_status trk_object_step(trk_tracker *t, trk_object *object, trk_prompt *prompt);
/* Step 3 and 4 again for a prompt on the current, kept frame; the prompt is taken over. */
trk_status trk_object_refine(trk_tracker *t, trk_object *object, trk_prompt *prompt);

/* --- pixels.c --- */
/* Frame as RGB: the caller's plane for RGB24, else converted into the frame arena. */
trk_status trk_frame_check(const trk_frame *frame);
trk_status trk_check_index(int64_t index); /* refuses frame numbers so large that differences could overflow */
trk_status trk_frame_rgb(trk_tracker *t, const trk_frame *frame, const uint8_t **rgb, ptrdiff_t *stride);

/* --- tracker.c --- */
/* params with every field present; zeros mean defaults */
trk_status trk_tracker_open(trk_tracker **out, const trk_model *model, const trk_tracker_params *params);
trk_status trk_tracker_usable(const trk_tracker *t); /* TRK_E_STATE after a failure that ended it */

#endif
