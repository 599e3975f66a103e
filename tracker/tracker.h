/* SPDX-License-Identifier: Apache-2.0
 * The tracker's state and the seams between its files. One tracker is one timeline: frames come with indices that go up
 * (or down) by one, and what is kept of earlier frames is what the next one can still read.
 *
 * trk_tracker_push(t):                                                                        (tracker.c)
 *   1 check the frame and the prompts waiting for it; nothing has changed if this fails
 *   2 enter the pool: a seat, and the bank back on the device if it was evicted               (pool.c)
 *   3 encode the frame                                                                        its holding's arena
 *   4 per object: drop what can not be read any more; track it (memory attention, head; on a GPU in one pass for
 *     several objects without a prompt); if a prompt waits, run it on top                     (objects.c)
 *     A policy that chooses among the hypotheses is asked in the middle of the head            (policy.h, choose.c)
 *   5 per object: encode its memory into the bank, fill holes of its logits
 *     wait: a GPU has only been told what to do so far; scores come to the host
 *   6 sweep by the rule, unless the frame is kept; leave the pool
 *
 * Upstream: sam2_video_predictor.py. Step 4 is its propagate step followed, where a prompt waits, by
 * add_new_points_or_box / add_new_mask on the tracked frame, with propagation going on at the next frame. */
#ifndef TRK_TRACKER_TRACKER_H
#define TRK_TRACKER_TRACKER_H

#include "bank.h"
#include "blob.h"
#include "network.h"
#include "policy.h"
#include "sweeper.h"
#include "track.h"

#define TRK_FRAME_LIMIT (INT64_MAX / 4) /* of frame numbers and their distances, either way; see trk_check_index */
#define TRK_TOGETHER 16 /* objects that are tracked in one pass, at most; a power of two */

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
    int n_evicted;            /* conditioning entries, while evicted */
    trk_head_output result;   /* in one block of the model's memory that starts at logits; owned, class BANK */
    float told[3];            /* result.info on the host: object score, iou, hypothesis; after trk_objects_collect */
    int kept;                 /* frames beyond the next may read the memory of result_frame */
    trk_memory_note before, note; /* the policy's: before and after note_frame */
    int64_t note_frame;       /* TRK_FRAME_NONE: `note` is of a frame that is over */
    float *host_logits;       /* copy of result.logits for the caller, where the host can not read them; or NULL; owned */
    int host_logits_current;
} trk_object;

/* What the sweeper keeps with a frame's features. */
typedef struct trk_held_frame {
    trk_features features; /* in the holding's arena */
    const uint8_t *rgb;    /* [height, width, 3] there as well; NULL: the frame itself was the caller's, or is gone */
} trk_held_frame;

/* What one object reads on one frame; on the host. */
typedef struct trk_read_lists {
    trk_memory_read *reads;   /* [capacity] each; one block, owned */
    trk_memory_ref *memories;
    trk_pointer_ref *pointers;
    size_t capacity;
} trk_read_lists;

/* What a call needs while it runs: taken from the pool at its start, given back at its end. */
typedef struct trk_seat {
    trk_network net;
    trk_arena scratch;
    trk_read_lists lists;
    struct trk_seat *next;
} trk_seat;

/* What one call of a tracker needs while it runs, as planned. */
typedef struct trk_call_sizes {
    size_t scratch;                /* of a seat's arena; 0: there is no plan yet */
    trk_workspace_sizes workspace; /* of its operators' buffers */
    size_t most_busy;              /* calls like it that the budget holds at once; 0: not limited */
} trk_call_sizes;

typedef struct trk_mask_size {
    int width, height; /* 0: no mask */
} trk_mask_size;

/* What a plan is made for, beside the size of the frames. */
typedef struct trk_needs {
    size_t objects, prompts; /* prompts: conditioning frames per object */
    int points;              /* most clicks of a prompt */
    struct trk_mask_needs {
        trk_mask_size largest, widest, tallest; /* one may need more of one buffer, another of another */
    } masks;
    trk_pixel_format format;
} trk_needs;

struct trk_tracker {
    const trk_model *model;
    trk_pool *pool;            /* a reference is held */
    trk_tracker_params params; /* defaults filled in */
    const trk_policy *policy;  /* of params.policy */
    trk_motion_params motion;  /* what params.motion points to */
    trk_object **objects;      /* ascending id; owned */
    size_t n_objects, objects_capacity;
    int width, height;         /* of the frames; 0 before the first */
    int started;
    int planned;               /* the plan for frames of this size was made and fits */
    int together;              /* objects that are tracked in one pass, as planned: a power of two; 0: one */
    trk_needs planned_for;     /* what this was planned for */
    int64_t index;             /* current frame */
    int rewound_past;          /* 1: a rewind goes on at the next one; this one has no results and takes no prompts */
    int64_t first;             /* the earliest one (in order of tracking) that was pushed */
    trk_sweeper sweeper;
    int current_locked;        /* the tracker's own lock on the features of the current frame */
    uint64_t n_prompts_left_out;
    int told_left_out;         /* the log line about it was written */
    trk_status broken;         /* failure that ended the tracker, or TRK_OK */
    /* the pool's side, under its mutex */
    trk_seat *seat;            /* while a call runs; else NULL */
    trk_call_sizes sizes;
    int busy;
    trk_blob evicted;          /* where the sequences and features are while the tracker is not resident */
    int resident;
    uint64_t last_used;        /* the pool's clock */
    struct trk_tracker *next_in_pool;
    struct trk_tracker *caller; /* whose call this thread was in before this one's (source of frames, fork) */
};

typedef struct trk_plan_cache trk_plan_cache; /* plan_push.c */

/* --- pool.c: who is on the device --- */
struct trk_pool {
    const trk_model *model;
    trk_pool_params params;
    trk_ledger ledger, host; /* of the model's device, of the host */
    trk_chunk_pool chunks;
    trk_bank bank;
    pthread_mutex_t mutex;   /* recursive; of what follows */
    pthread_cond_t changed;  /* a tracker became idle */
    int n_references;        /* the creator's and one per tracker */
    int planning;            /* 1: a pool of plan.c: operators compute nothing */
    trk_seat *idle_seats;
    size_t n_seats;
    trk_plan_cache *last_plan; /* or NULL; owned */
    trk_tracker *trackers;
    size_t n_trackers, n_resident, n_busy;
    size_t most_busy;        /* the least of its trackers' sizes; 0: not limited */
    uint64_t clock, n_evictions, n_returns;
};

typedef enum trk_residence {
    TRK_ANYWHERE,      /* the call needs no memories */
    TRK_RESIDENT,      /* bank and features on the device; waits for a place */
    TRK_RESIDENT_ALSO  /* the same beyond most_resident: for a second tracker of one call */
} trk_residence;

trk_status trk_pool_open(trk_pool **out, const trk_model *model, const trk_pool_params *params,
                         const trk_device_memory *device);
void trk_pool_leave(trk_pool *pool); /* one reference less; the last one frees it; NULL-safe */
void trk_pool_add(trk_pool *pool, trk_tracker *t); /* a member, with a reference, not resident */
void trk_pool_remove(trk_tracker *t); /* idle or secluded; the reference stays, for trk_pool_leave */
/* What the tracker's calls need from now on; all 0: it has no plan any more. */
void trk_pool_size_calls(trk_tracker *t, const trk_call_sizes *sizes);
/* A tracker's video is over, the next one's frames may be of any size: idle chunks go, unless a budget bounds them
 * already or another tracker has reserved them. */
void trk_pool_trim_after_video(trk_pool *pool);
/* Room for n reads in the seat's lists. */
trk_status trk_seat_lists(trk_tracker *t, size_t n);
/* Between enter and exit the tracker has a seat and can not be evicted. After a failed enter there is no exit. */
trk_status trk_pool_enter(trk_tracker *t, trk_residence residence);
void trk_pool_exit(trk_tracker *t);

/* --- plan_push.c --- */
/* Before the first push of a video, or after a resume: sizes the pool's arenas for the tracker's frames, refuses what can
 * not fit, reserves if wanted. Before a later push: does so again where that has bounds and the frame needs more than was
 * planned for: new objects, more or larger prompts, another pixel format. */
trk_status trk_plan_push(trk_tracker *t, const trk_frame *frame);
/* Plans again, if there are bounds, before a prompt is applied to the current frame. object: the prompt's, NULL where it
 * is new. */
trk_status trk_plan_prompt(trk_tracker *t, const trk_object *object, const trk_prompt *prompt);
/* Before `frame` may be tracked again from held features: the same, for objects that were copied since and after a resume;
 * the first push after that plans with what it is given. */
trk_status trk_plan_again(trk_tracker *t, int64_t frame);

/* --- rebuild.c: from the compact form --- */
/* Encodes again, from frames of params.source, every memory that is null while its mask is there and it can be read. */
trk_status trk_rebuild_memories(trk_tracker *t);

_Static_assert((int)TRK_MEMORY_Q8 == (int)TRK_STORE_Q8 && (int)TRK_STORE_Q8 == (int)TRK_SLOT_Q8, "cast into each other");
_Static_assert((int)TRK_CLASSES == (int)TRK_MEM_CLASSES, "arrays of one are read by the other");

#define TRK_DEFAULT_FILL_HOLES        8 /* low-resolution pixels; upstream's builder */
#define TRK_DEFAULT_PROMPTS_IN_MEMORY 8

#define TRK_PROMPT_POINTS 65536 /* of one object on one frame, at most */
#define TRK_FRAME_SIDE    32768 /* pixels, at most */
#define TRK_MASK_SIDE     65536 /* of a prompt, at most */

#define TRK_PROMPT_FAR    16777216 /* pixels either way, of points and boxes; 2^24 */
#define TRK_TEXT_OF(x)    TRK_TEXT_OF_(x)
#define TRK_TEXT_OF_(x)   #x
#define TRK_POINT_RULE    "numbers within " TRK_TEXT_OF(TRK_PROMPT_FAR) " either way"
#define TRK_BOX_RULE      TRK_POINT_RULE ", width and height positive"

/* --- prompts.c: the queue --- */
int trk_point_is_valid(const trk_point *p); /* TRK_POINT_RULE */
int trk_box_is_valid(const trk_box *b);     /* TRK_BOX_RULE */
trk_prompt *trk_prompt_find(trk_prompt *list, int64_t frame);
void trk_prompt_free(trk_tracker *t, trk_prompt *prompt);
void trk_prompt_free_list(trk_tracker *t, trk_prompt **list);
trk_prompt *trk_prompt_take(trk_prompt **list, int64_t frame); /* unlinks; NULL if none */
trk_prompt *trk_prompt_new(trk_tracker *t, int64_t frame); /* NULL, TRK_E_MEMORY recorded */
trk_status trk_prompt_add_points(trk_tracker *t, trk_prompt *into, const trk_point *more, size_t n_more);
/* Room for a mask prompt that is to be filled. */
trk_status trk_prompt_add_mask(trk_tracker *t, trk_prompt *prompt, int width, int height);
/* On failure *out holds what was copied. */
trk_status trk_prompt_copy_list(trk_tracker *t, trk_prompt **out, const trk_prompt *list);
/* Adds `from` to `into` (points add up, a box replaces, a mask replaces all); takes over what `from` owns. */
trk_status trk_prompt_merge(trk_tracker *t, trk_prompt *into, trk_prompt *from);
/* TRK_E_ARGUMENT if the prompt does not fit frames of this size. */
trk_status trk_prompt_check(const trk_prompt *prompt, int object, int width, int height);

static inline int trk_direction(const trk_tracker *t)
{
    return t->params.reverse ? -1 : 1;
}

/* --- objects.c: one object on the current frame --- */
int trk_mask_side(const trk_tracker *t); /* of the low-resolution logits */
size_t trk_logits_bytes(const trk_tracker *t);
size_t trk_result_bytes(const trk_network_model *m); /* of an object's block of results */
trk_object *trk_object_find(const trk_tracker *t, int id);
int trk_object_is_current(const trk_tracker *t, const trk_object *o); /* it has a result of the current frame */
trk_status trk_object_get(trk_tracker *t, int id, trk_object **out); /* finds or adds */
/* The frame it started on: its first conditioning frame in order of tracking. There is one. */
int64_t trk_object_start(const trk_tracker *t, const trk_object *o);
void trk_object_remove(trk_tracker *t, trk_object *object);
/* Memories that are old enough change to older_memory_type. */
trk_status trk_object_recode(trk_tracker *t, trk_object *object);
/* Steps 4 and 5 for one object; prompt may be NULL and is taken over. */
trk_status trk_object_step(trk_tracker *t, trk_object *object, trk_prompt *prompt);
/* The same for up to TRK_TOGETHER objects that have conditioning memories and no prompt, in one pass. */
trk_status trk_objects_track(trk_tracker *t, trk_object *const *objects, int n);
/* The same for all objects of the tracker on its present frame, as many in a pass as were planned. again: a frame that
 * is tracked once more, by nothing new: prompts wait, memories are as they are. */
trk_status trk_objects_step(trk_tracker *t, int again);
/* Steps 4 and 5 again for a prompt on the current, kept frame; the prompt is taken over. */
trk_status trk_object_refine(trk_tracker *t, trk_object *object, trk_prompt *prompt);
/* Waits for all that was computed and brings scores of the current frame to the host and to their memories. */
trk_status trk_objects_collect(trk_tracker *t);

/* --- choose.c: the mask decoder, with the policy's choice --- */
/* Readies the object's note for the current frame. */
void trk_choice_begin(trk_tracker *t, trk_object *object);
/* A prompt's mask takes the place of a chosen one. */
void trk_choice_overrule(trk_tracker *t, trk_object *object);
/* What the policy carried before `frame`, for tracking it again. */
void trk_choice_rewind(trk_tracker *t, trk_object *object, int64_t frame);
float trk_present_above(const trk_tracker *t);
/* 1: the policy chooses among the three hypotheses of a head like this. */
int trk_chooses(const trk_tracker *t, const trk_head_input *in);
/* Waits for the hypotheses of n objects, asks the policy, and takes what it chose into the objects' results. */
void trk_choose(trk_tracker *t, trk_object *const *objects, int n, const trk_head_input *in, const trk_hypotheses *given);
/* What became of the object on the current frame, told to its memory; `told` is there. */
void trk_choice_judge(trk_tracker *t, trk_object *object);

/* --- results.c --- */
/* The object, if it has a result on the current frame. */
trk_status trk_object_current(const trk_tracker *t, int id, trk_object **out);
/* Its logits at the frame's size [height, width], in the seat's scratch arena. */
trk_mat trk_frame_logits(trk_tracker *t, const trk_object *object);

/* --- pixels.c --- */
trk_status trk_frame_check(const trk_frame *frame);
trk_status trk_frame_check_place(const trk_tracker *t, const trk_frame *frame); /* refuses a GPU's for a CPU's model */
trk_status trk_check_index(int64_t index); /* refuses frame numbers so large that differences could overflow */
/* Frame as RGB in the model's memory: the caller's plane for RGB24 that lies there, else dense in the frame arena. */
trk_status trk_frame_rgb(trk_tracker *t, const trk_frame *frame, const uint8_t **rgb, ptrdiff_t *stride);

/* --- tracker.c --- */
/* params with every field present; zeros mean defaults */
trk_status trk_tracker_open(trk_tracker **out, const trk_model *model, const trk_tracker_params *params);
/* library.c: a params struct of a caller of any version, which starts with its size; `name` for messages */
trk_status trk_params_read(void *out, size_t size, const void *params, const char *name);
/* library.c: of a call that fills a struct, which starts with its size: handle and out are there and out is large enough */
trk_status trk_out_check(const char *call, const void *handle, const void *out, size_t size);
/* library.c: a caller's params, of any age, or NULL, with every field present, checked and defaults filled in */
trk_status trk_tracker_params_read(trk_tracker_params *out, const trk_tracker_params *params);
trk_features *trk_current_features(trk_tracker *t); /* NULL when they are not held */
const uint8_t *trk_current_picture(const trk_tracker *t); /* [height, width, 3]; NULL when it is not held */
/* Locks the held features of the current frame and lets the stages' frame arena be theirs; finish undoes the lock
 * unless the frame is kept. */
void trk_use_current(trk_tracker *t);
void trk_finish_current(trk_tracker *t);
/* After what changed objects on the current frame, in use, and ended with rc: brings scores to the host and finishes. A
 * failure, rc or later, is returned and ends the tracker: results, memories and shared features may be half made. */
trk_status trk_settle_current(trk_tracker *t, trk_status rc);
void trk_unlock_current(trk_tracker *t); /* the tracker's own lock; features may go */
void trk_drop_features(trk_tracker *t);    /* of all frames, locked or not */
size_t trk_sweep_unlocked(trk_tracker *t); /* under pressure; returns the bytes */
trk_status trk_tracker_usable(const trk_tracker *t); /* TRK_E_STATE after a failure that ended it */

#endif
