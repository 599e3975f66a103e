/* SPDX-License-Identifier: Apache-2.0
 * Going back, branching and renumbering: operations on what a tracker remembers, between frames. */
#include <string.h>

#include "heap.h"
#include "log.h"
#include "tracker.h"

static trk_status usable(const trk_tracker *t, const char *call)
{
    if (!t)
        return TRK_FAIL(TRK_E_ARGUMENT, "%s: tracker must not be NULL", call);
    return trk_tracker_usable(t);
}

static trk_status enter_object(trk_tracker *t, const char *call, int id, trk_object **out)
{
    trk_status rc = usable(t, call);
    if (rc < 0)
        return rc;
    *out = trk_object_find(t, id);
    if (!*out)
        return TRK_FAIL(TRK_E_NOT_FOUND, "there is no object %d", id);
    return trk_pool_enter(t, TRK_RESIDENT);
}

/* --- locks ---------------------------------------------------------------------------------------------------- */

/* Locks of the tracker itself (keep_frame) are not the caller's to undo. */
static int own_locks(const trk_tracker *t, const trk_holding *holding)
{
    return t->current_locked && holding->frame == t->index;
}

static trk_status change_lock(trk_tracker *t, int64_t frame, int locked)
{
    trk_status rc = trk_pool_enter(t, TRK_RESIDENT);
    if (rc < 0)
        return rc;
    trk_holding *holding = trk_sweeper_find(&t->sweeper, frame);
    if (!holding)
        rc = TRK_FAIL(TRK_E_NOT_FOUND, "the features of frame %lld are not held", (long long)frame);
    else if (locked)
        trk_sweeper_lock(holding);
    else if (holding->n_locks <= own_locks(t, holding))
        rc = TRK_FAIL(TRK_E_STATE, "frame %lld is not locked", (long long)frame);
    else
        trk_sweeper_unlock(&t->sweeper, holding);
    trk_pool_exit(t);
    return rc;
}

trk_status trk_tracker_lock_frame(trk_tracker *t, int64_t frame)
{
    trk_status rc = usable(t, "trk_tracker_lock_frame");
    return rc < 0 ? rc : change_lock(t, frame, 1);
}

trk_status trk_tracker_unlock_frame(trk_tracker *t, int64_t frame)
{
    trk_status rc = usable(t, "trk_tracker_unlock_frame");
    return rc < 0 ? rc : change_lock(t, frame, 0);
}

/* --- reach and rewind ----------------------------------------------------------------------------------------- */

/* a comes before b in order of tracking */
static int before(const trk_tracker *t, int64_t a, int64_t b)
{
    return (b - a) * trk_direction(t) > 0;
}

static int has_started(const trk_object *o)
{
    return o->memories.conditioning.n > 0;
}

/* The frame is the object's first, or reads nothing that was dropped. */
static int reaches(const trk_tracker *t, const trk_object *o, int64_t frame)
{
    return !before(t, trk_object_start(t, o), frame) || trk_sequence_reaches(&o->memories, frame, trk_direction(t));
}

static int64_t first_in_reach(const trk_tracker *t, const trk_object *o)
{
    return trk_sequence_reach(&o->memories, trk_object_start(t, o), trk_direction(t));
}

trk_status trk_tracker_reach(trk_tracker *t, int id, int64_t *first, int64_t *last)
{
    trk_object *o;
    if (!first || !last)
        return TRK_FAIL(TRK_E_ARGUMENT, "trk_tracker_reach: first and last must not be NULL");
    trk_status rc = enter_object(t, "trk_tracker_reach", id, &o);
    if (rc < 0)
        return rc;
    if (has_started(o)) {
        *first = first_in_reach(t, o);
        *last = t->index;
    } else {
        rc = TRK_FAIL(TRK_E_NOT_FOUND, "object %d has not started", id);
    }
    trk_pool_exit(t);
    return rc;
}

static trk_status check_rewind(const trk_tracker *t, int64_t frame)
{
    if (!t->started)
        return TRK_FAIL(TRK_E_STATE, "rewind to frame %lld: no frame was pushed yet", (long long)frame);
    if (before(t, t->index, frame) || before(t, frame, t->first))
        return TRK_FAIL(TRK_E_STATE, "rewind to frame %lld: expected one of the frames tracked, %lld to %lld",
                        (long long)frame, (long long)t->first, (long long)t->index);
    for (size_t i = 0; i < t->n_objects; i++) {
        const trk_object *o = t->objects[i];
        if (has_started(o) && before(t, trk_object_start(t, o), frame) && !reaches(t, o, frame))
            return TRK_FAIL(TRK_E_STATE,
                            "rewind to frame %lld: what object %d reads there was dropped; the first frame in reach is "
                            "%lld (history)",
                            (long long)frame, o->id, (long long)first_in_reach(t, o));
    }
    return TRK_OK;
}

/* Forgets frame and what came after it. An object that starts there goes, or, if a prompt waits for it, begins anew. */
static void forget_from(trk_tracker *t, int64_t frame)
{
    for (size_t i = t->n_objects; i-- > 0;) {
        trk_object *o = t->objects[i];
        trk_prompt_free_list(t, &o->applied);
        o->has_result = o->prompted = 0;
        if (!has_started(o))
            continue;
        if (t->params.reverse)
            trk_sequence_remove(&o->memories, INT64_MIN, frame);
        else
            trk_sequence_remove(&o->memories, frame, INT64_MAX);
        if (!has_started(o) && !o->waiting)
            trk_object_remove(t, o);
        else if (!has_started(o))
            trk_sequence_clear(&o->memories);
    }
    for (size_t i = 0; i < t->n_objects; i++)
        trk_choice_rewind(t, t->objects[i], frame);
}

/* In the same passes as when the frame was pushed: a GPU's products may round otherwise in others. */
static trk_status track_again(trk_tracker *t)
{
    trk_use_current(t);
    return trk_settle_current(t, trk_objects_step(t, 1));
}

trk_status trk_tracker_rewind(trk_tracker *t, int64_t frame, int64_t *next)
{
    trk_status rc = usable(t, "trk_tracker_rewind");
    if (rc < 0 || (rc = trk_check_index(frame)) < 0)
        return rc;
    if ((rc = trk_plan_again(t, frame)) < 0 || (rc = trk_pool_enter(t, TRK_RESIDENT)) < 0)
        return rc;
    TRK_CHECK(check_rewind(t, frame));
    if (frame != t->index)
        trk_unlock_current(t);
    forget_from(t, frame);
    t->rewound_past = !trk_sweeper_find(&t->sweeper, frame);
    t->index = t->rewound_past ? frame - trk_direction(t) : frame;
    if (!t->rewound_past)
        TRK_CHECK(track_again(t));
    if (next)
        *next = t->index + trk_direction(t);
done:
    trk_pool_exit(t);
    return rc;
}

/* --- forgetting ----------------------------------------------------------------------------------------------- */

trk_status trk_tracker_forget(trk_tracker *t, int id, int64_t first, int64_t last)
{
    trk_object *o;
    trk_status rc = enter_object(t, "trk_tracker_forget", id, &o);
    if (rc < 0)
        return rc;
    int n_going = 0;
    for (int i = 0; i < o->memories.conditioning.n; i++)
        n_going += o->memories.conditioning.items[i].frame >= first && o->memories.conditioning.items[i].frame <= last;
    if (n_going && n_going == o->memories.conditioning.n)
        rc = TRK_FAIL(TRK_E_STATE, "object %d has its only prompted frames in %lld .. %lld; remove the object instead",
                      id, (long long)first, (long long)last);
    else
        trk_sequence_remove(&o->memories, first, last);
    trk_pool_exit(t);
    return rc;
}

trk_status trk_tracker_keep_object(trk_tracker *t, int id)
{
    trk_object *kept;
    trk_status rc = enter_object(t, "trk_tracker_keep_object", id, &kept);
    if (rc < 0)
        return rc;
    for (size_t i = t->n_objects; i-- > 0;)
        if (t->objects[i] != kept)
            trk_object_remove(t, t->objects[i]);
    trk_pool_exit(t);
    return TRK_OK;
}

/* --- branching ------------------------------------------------------------------------------------------------ */

/* to: fresh, in a tracker of the same model and pool */
static trk_status copy_object(trk_tracker *to_tracker, trk_object *to, const trk_object *from)
{
    const trk_device_memory *memory = to_tracker->model->network->memory;
    trk_status rc = TRK_OK;
    trk_sequence memories = {0};
    TRK_CHECK(trk_sequence_fork(&memories, &from->memories));
    trk_sequence_release(&to->memories);
    to->memories = memories;
    TRK_CHECK(trk_prompt_copy_list(to_tracker, &to->waiting, from->waiting));
    TRK_CHECK(trk_prompt_copy_list(to_tracker, &to->applied, from->applied));
    TRK_CHECK(
        memory->copy(memory, to->result.logits, from->result.logits, trk_result_bytes(to_tracker->model->network)));
    memcpy(to->told, from->told, sizeof to->told);
    to->host_logits_current = 0;
    to->result_frame = from->result_frame;
    to->has_result = from->has_result;
    to->prompted = from->prompted;
    to->initial = from->initial;
    to->kept = from->kept;
    to->before = from->before;
    to->note = from->note;
    to->note_frame = from->note_frame;
done:
    return rc;
}

trk_status trk_tracker_fork_object(trk_tracker *t, int id, int copy)
{
    trk_object *from, *to;
    trk_status rc = enter_object(t, "trk_tracker_fork_object", id, &from);
    if (rc < 0)
        return rc;
    if (copy <= 0)
        TRK_CHECK(TRK_FAIL(TRK_E_ARGUMENT, "object %d: expected a positive number", copy));
    if (trk_object_find(t, copy))
        TRK_CHECK(TRK_FAIL(TRK_E_ARGUMENT, "object %d is in use already", copy));
    TRK_CHECK(trk_object_get(t, copy, &to));
    rc = copy_object(t, to, from);
    if (rc < 0)
        trk_object_remove(t, to);
done:
    trk_pool_exit(t);
    return rc;
}

static trk_status copy_tracker(trk_tracker *to, const trk_tracker *from)
{
    trk_status rc = TRK_OK;
    for (size_t i = 0; i < from->n_objects; i++) {
        trk_object *object;
        TRK_CHECK(trk_object_get(to, from->objects[i]->id, &object));
        TRK_CHECK(copy_object(to, object, from->objects[i]));
    }
    to->width = from->width;
    to->height = from->height;
    to->started = from->started;
    to->planned = from->planned && !from->params.reserve; /* it has nothing reserved yet */
    to->together = from->together;
    to->planned_for = from->planned_for;
    trk_pool_size_calls(to, &from->sizes);
    to->sweeper.frame_bytes = from->sweeper.frame_bytes;
    to->index = from->index;
    to->rewound_past = from->rewound_past;
    to->first = from->first;
    to->n_prompts_left_out = from->n_prompts_left_out;
done:
    return rc;
}

trk_status trk_tracker_fork(trk_tracker **out, trk_tracker *t)
{
    trk_tracker *fork = NULL;
    if (!out)
        return TRK_FAIL(TRK_E_ARGUMENT, "trk_tracker_fork: out must not be NULL");
    trk_status rc = usable(t, "trk_tracker_fork");
    if (rc < 0 || (rc = trk_pool_enter(t, TRK_RESIDENT)) < 0)
        return rc;
    TRK_CHECK(trk_tracker_open(&fork, t->model, &t->params));
    TRK_CHECK(trk_pool_enter(fork, TRK_RESIDENT_ALSO));
    rc = copy_tracker(fork, t);
    trk_pool_exit(fork);
    if (rc >= 0) {
        *out = fork;
        fork = NULL;
    }
done:
    trk_tracker_destroy(&fork);
    trk_pool_exit(t);
    return rc;
}

/* --- renumbering ---------------------------------------------------------------------------------------------- */

static trk_status check_rebase(const trk_tracker *t, int64_t delta)
{
    trk_status rc = trk_check_index(t->first + delta);
    for (size_t i = 0; rc >= 0 && i < t->n_objects; i++)
        for (const trk_prompt *p = t->objects[i]->waiting; rc >= 0 && p; p = p->next)
            rc = trk_check_index(p->frame + delta);
    return rc;
}

static void move_prompts(trk_prompt *list, int64_t delta)
{
    for (; list; list = list->next)
        list->frame += delta;
}

trk_status trk_tracker_rebase(trk_tracker *t, int64_t index)
{
    trk_status rc = usable(t, "trk_tracker_rebase");
    if (rc < 0)
        return rc;
    if (!t->started)
        return TRK_FAIL(TRK_E_STATE, "trk_tracker_rebase: no frame was pushed yet");
    if ((rc = trk_check_index(index)) < 0)
        return rc;
    const int64_t delta = index - t->index;
    if ((rc = check_rebase(t, delta)) < 0 || (rc = trk_pool_enter(t, TRK_RESIDENT)) < 0)
        return rc;
    for (size_t i = 0; i < t->n_objects; i++) {
        trk_object *o = t->objects[i];
        trk_sequence_rebase(&o->memories, delta);
        move_prompts(o->waiting, delta);
        move_prompts(o->applied, delta);
        if (o->has_result)
            o->result_frame += delta;
        if (o->note_frame != TRK_FRAME_NONE)
            o->note_frame += delta;
    }
    trk_sweeper_rebase(&t->sweeper, delta);
    t->first += delta;
    t->index = index;
    trk_pool_exit(t);
    return TRK_OK;
}
