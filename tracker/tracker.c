/* SPDX-License-Identifier: Apache-2.0
 * Life of a tracker, and the frame loop. See tracker.h for the order of things inside a push. */
#include "tracker.h"

#include <stdlib.h>

#include "heap.h"
#include "log.h"

trk_status trk_tracker_usable(const trk_tracker *t)
{
    if (t->broken < 0)
        return TRK_FAIL(TRK_E_STATE, "the tracker ended at frame %lld with an earlier failure; reset or destroy it",
                        (long long)t->index);
    return TRK_OK;
}

/* --- life ----------------------------------------------------------------------------------------------------- */

#ifndef NDEBUG
static void verify_tables(void *model)
{
    if (trk_network_model_verify_tables(model) < 0) {
        trk_log(TRK_LOG_ERROR, "%s", trk_error_text());
        abort();
    }
}
#endif

static trk_status init_sweeper(trk_tracker *t)
{
    static const trk_sweep_mode modes[] = {[TRK_SWEEP_EVERY] = TRK_SWEEPER_EVERY_N,
                                           [TRK_SWEEP_ABOVE] = TRK_SWEEPER_ABOVE,
                                           [TRK_SWEEP_NEVER] = TRK_SWEEPER_NEVER};
    const trk_sweep_rule rule = {modes[t->params.sweep], t->params.sweep_every, t->params.sweep_above};
    trk_status rc = trk_sweeper_init(&t->sweeper, &t->pool->chunks, &t->pool->host, rule, sizeof(trk_held_frame));
#ifndef NDEBUG
    t->sweeper.verify = verify_tables;
    t->sweeper.verify_user = t->model->network;
#endif
    return rc;
}

trk_status trk_tracker_open(trk_tracker **out, const trk_model *model, const trk_tracker_params *params)
{
    static const trk_pool_params alone = {.struct_size = sizeof alone, .evict = TRK_EVICT_OFF};
    trk_pool *own = NULL;
    trk_tracker *t = NULL;
    trk_status rc = TRK_OK;
    if (params->pool && params->pool->model != model)
        return TRK_FAIL(TRK_E_ARGUMENT, "the tracker's pool was made for another model");
    if (!params->pool)
        TRK_CHECK(trk_pool_open(&own, model, &alone, model->network->memory));
    t = trk_heap_zeroed(TRK_MEM_BANK, "tracker", 1, sizeof *t);
    if (!t)
        TRK_CHECK(TRK_FAIL(TRK_E_MEMORY, "no memory for a tracker"));
    t->model = model;
    t->params = *params;
    t->policy = trk_policy_of(params->policy);
    TRK_CHECK(trk_motion_read(&t->motion, params->motion, model->network->arch.embed_dim));
    t->params.motion = &t->motion;
    t->pool = t->params.pool = params->pool ? params->pool : own;
    TRK_CHECK(init_sweeper(t));
    trk_pool_add(t->pool, t);
    *out = t;
    t = NULL;
done:
    trk_heap_release(t);
    trk_pool_leave(own); /* the tracker has a reference of its own */
    return rc;
}

static void forget_all(trk_tracker *t)
{
    while (t->n_objects)
        trk_object_remove(t, t->objects[t->n_objects - 1]);
    pthread_mutex_lock(&t->pool->mutex);
    trk_blob_release(&t->evicted);
    pthread_mutex_unlock(&t->pool->mutex);
    trk_drop_features(t);
    trk_pool_size_calls(t, &(trk_call_sizes){0});
    trk_pool_trim_after_video(t->pool);
    t->broken = TRK_OK;
    t->started = t->planned = t->together = 0;
    t->planned_for = (trk_needs){0};
    t->width = t->height = 0;
    t->index = 0;
    t->rewound_past = 0;
    t->sweeper.n_sweeps = 0;
    t->sweeper.n_since = 0;
    t->n_prompts_left_out = 0;
    t->told_left_out = 0;
}

/* Keeps the pool from evicting a tracker that is being taken apart; needs no seat and can not fail. */
static void seclude(trk_tracker *t, int secluded)
{
    pthread_mutex_lock(&t->pool->mutex);
    t->busy = secluded;
    t->pool->n_busy += secluded ? 1 : (size_t)-1;
    pthread_cond_broadcast(&t->pool->changed);
    pthread_mutex_unlock(&t->pool->mutex);
}

trk_status trk_tracker_reset(trk_tracker *t)
{
    if (!t)
        return TRK_FAIL(TRK_E_ARGUMENT, "trk_tracker_reset: tracker must not be NULL");
    seclude(t, 1);
    forget_all(t);
    seclude(t, 0);
    return TRK_OK;
}

void trk_tracker_destroy(trk_tracker **handle)
{
    if (!handle || !*handle)
        return;
    trk_tracker *t = *handle;
    trk_pool *pool = t->pool;
    *handle = NULL;
    seclude(t, 1);
    forget_all(t);
    trk_ledger_release(&pool->host, TRK_MEM_BANK, t->objects, t->objects_capacity * sizeof *t->objects);
    trk_sweeper_release(&t->sweeper);
    trk_pool_remove(t); /* without becoming idle in between */
    trk_heap_release(t);
    trk_pool_leave(pool);
}

/* --- features of frames --------------------------------------------------------------------------------------- */

trk_features *trk_current_features(trk_tracker *t)
{
    const trk_holding *holding = t->started ? trk_sweeper_find(&t->sweeper, t->index) : NULL;
    return holding ? &((trk_held_frame *)holding->payload)->features : NULL;
}

const uint8_t *trk_current_picture(const trk_tracker *t)
{
    const trk_holding *holding = t->started ? trk_sweeper_find(&t->sweeper, t->index) : NULL;
    return holding ? ((const trk_held_frame *)holding->payload)->rgb : NULL;
}

size_t trk_sweep_unlocked(trk_tracker *t)
{
    return trk_sweeper_reclaim(&t->sweeper);
}

void trk_drop_features(trk_tracker *t)
{
    for (size_t i = 0; i < t->sweeper.n_holdings; i++)
        t->sweeper.holdings[i]->n_locks = 0;
    t->current_locked = 0;
    trk_sweeper_reclaim(&t->sweeper);
}

void trk_use_current(trk_tracker *t)
{
    trk_holding *holding = trk_sweeper_find(&t->sweeper, t->index);
    if (!t->current_locked)
        trk_sweeper_lock(holding);
    t->current_locked = 1;
    t->seat->net.frame = &holding->arena;
}

void trk_unlock_current(trk_tracker *t)
{
    trk_holding *holding = t->current_locked ? trk_sweeper_find(&t->sweeper, t->index) : NULL;
    t->current_locked = 0;
    if (holding)
        trk_sweeper_unlock(&t->sweeper, holding);
}

void trk_finish_current(trk_tracker *t)
{
    trk_exec_finish(&t->seat->net.exec); /* also after a failure: nothing may be at work on what goes now */
    if (!t->params.keep_frame)
        trk_unlock_current(t);
}

trk_status trk_settle_current(trk_tracker *t, trk_status rc)
{
    if (rc >= 0)
        rc = trk_objects_collect(t);
    if (rc < 0)
        t->broken = rc;
    trk_finish_current(t);
    return rc;
}

/* --- push ----------------------------------------------------------------------------------------------------- */

static trk_status check_push(const trk_tracker *t, const trk_frame *frame)
{
    trk_status rc = trk_frame_check(frame);
    if (rc < 0)
        return rc;
    if ((rc = trk_frame_check_place(t, frame)) < 0)
        return rc;
    int64_t expected = t->index + trk_direction(t);
    if (t->started && frame->index != expected)
        return TRK_FAIL(TRK_E_ARGUMENT, "frame index %lld: expected %lld after frame %lld", (long long)frame->index,
                        (long long)expected, (long long)t->index);
    if (t->started && (frame->width != t->width || frame->height != t->height))
        return TRK_FAIL(TRK_E_ARGUMENT, "frame %lld is %d x %d; the frames before it are %d x %d",
                        (long long)frame->index, frame->width, frame->height, t->width, t->height);
    for (size_t i = 0; i < t->n_objects; i++) {
        const trk_prompt *prompt = trk_prompt_find(t->objects[i]->waiting, frame->index);
        if (prompt && (rc = trk_prompt_check(prompt, t->objects[i]->id, frame->width, frame->height)) < 0)
            return rc;
    }
    return TRK_OK;
}

/* Prompts for frames that will not come any more: only possible before the first push, or by its index. */
static void drop_missed_prompts(trk_tracker *t)
{
    for (size_t i = 0; i < t->n_objects; i++) {
        for (trk_prompt **link = &t->objects[i]->waiting; *link;) {
            trk_prompt *prompt = *link;
            if ((prompt->frame - t->index) * trk_direction(t) > 0) {
                link = &prompt->next;
                continue;
            }
            trk_log(TRK_LOG_WARNING, "prompt of object %d on frame %lld is dropped: tracking is past it at frame %lld",
                    t->objects[i]->id, (long long)prompt->frame, (long long)t->index);
            *link = prompt->next;
            trk_prompt_free(t, prompt);
        }
    }
}

static trk_status encode(trk_tracker *t, const trk_frame *frame)
{
    const uint8_t *rgb;
    ptrdiff_t stride;
    trk_holding *holding;
    trk_status rc = trk_sweeper_begin(&t->sweeper, frame->index, &holding);
    if (rc < 0)
        return rc;
    t->current_locked = 1;
    t->seat->net.frame = &holding->arena;
    rc = trk_frame_rgb(t, frame, &rgb, &stride);
    if (rc < 0)
        return rc;
    trk_held_frame *held = holding->payload;
    held->rgb = rgb == frame->planes[0] ? NULL : rgb;
    trk_encode_image(&t->seat->net, rgb, frame->width, frame->height, stride, &held->features);
    return trk_network_status(&t->seat->net);
}

/* Tracks n objects, in passes over a power of two of them: sizes that were planned, and few for a GPU to learn. */
static trk_status track_together(trk_tracker *t, trk_object *const *objects, int n)
{
    trk_status rc = TRK_OK;
    for (int size = TRK_TOGETHER; size && rc >= 0; size /= 2) {
        if (n >= size) {
            rc = trk_objects_track(t, objects, size);
            objects += size;
            n -= size;
        }
    }
    return rc;
}

static trk_status make_ready(trk_tracker *t, trk_object *object)
{
    trk_sequence_advance(&object->memories, t->index, trk_direction(t));
    return trk_object_recode(t, object);
}

/* Objects that are merely tracked wait until there are enough of them, or until one with a prompt comes. */
trk_status trk_objects_step(trk_tracker *t, int again)
{
    trk_object *waiting[TRK_TOGETHER];
    const int most = t->together ? t->together : 1;
    trk_status rc = TRK_OK;
    int n = 0;
    for (size_t i = 0; i < t->n_objects; i++) {
        trk_object *object = t->objects[i];
        if (!again)
            TRK_CHECK(make_ready(t, object));
        const int prompted = !again && trk_prompt_find(object->waiting, t->index) != NULL;
        const int tracked = !prompted && object->memories.conditioning.n > 0;
        if (tracked)
            waiting[n++] = object;
        if (n == most || prompted) {
            TRK_CHECK(track_together(t, waiting, n));
            n = 0;
        }
        if (!tracked)
            TRK_CHECK(trk_object_step(t, object, again ? NULL : trk_prompt_take(&object->waiting, t->index)));
    }
    TRK_CHECK(track_together(t, waiting, n));
done:
    return rc;
}

static trk_status push(trk_tracker *t, const trk_frame *frame)
{
    trk_status rc = TRK_OK;
    trk_unlock_current(t);
    t->width = frame->width;
    t->height = frame->height;
    t->index = frame->index;
    t->rewound_past = 0;
    t->first = t->started ? t->first : frame->index;
    t->started = 1;
    TRK_CHECK(encode(t, frame));
    TRK_CHECK(trk_objects_step(t, 0));
    TRK_CHECK(trk_objects_collect(t));
    drop_missed_prompts(t);
done:
    trk_finish_current(t);
    trk_sweeper_after_frame(&t->sweeper);
    if (rc < 0)
        t->broken = rc;
    return rc;
}

trk_status trk_tracker_push(trk_tracker *t, const trk_frame *frame)
{
    trk_status rc;
    if (!t || !frame)
        return TRK_FAIL(TRK_E_ARGUMENT, "trk_tracker_push: tracker and frame must not be NULL");
    if ((rc = trk_tracker_usable(t)) < 0 || (rc = check_push(t, frame)) < 0)
        return rc;
    if ((rc = trk_plan_push(t, frame)) < 0)
        return rc;
    if ((rc = trk_pool_enter(t, TRK_RESIDENT)) < 0) {
        t->planned = t->planned && t->started; /* the first frame to come may be of another size */
        return rc;
    }
    rc = push(t, frame);
    trk_pool_exit(t);
    return rc;
}
