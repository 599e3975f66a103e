/* SPDX-License-Identifier: Apache-2.0
 * When a tracker's needs are planned: before its first push and whenever more is to be done than was planned for. What
 * does not fit is refused before anything has changed. */
#include <string.h>

#include "heap.h"
#include "log.h"
#include "plan.h"

/* The last plan of a pool: trackers of a pool are often alike. */
struct trk_plan_cache {
    trk_plan_request asked;
    trk_plan plan;
    trk_rehearsal arenas;
};

/* --- what a push needs ----------------------------------------------------------------------------------------- */

static void note_mask(trk_needs *needs, int width, int height)
{
    const trk_mask_size mask = {width, height};
    struct trk_mask_needs *had = &needs->masks;
    if ((int64_t)width * height > (int64_t)had->largest.width * had->largest.height)
        had->largest = mask;
    if (width > had->widest.width)
        had->widest = mask;
    if (height > had->tallest.height)
        had->tallest = mask;
}

/* n_before: points that the object has on the frame already. */
static void note_prompt(trk_needs *needs, const trk_prompt *p, size_t n_before)
{
    const int n_points = (int)(p->n_points + n_before);
    needs->points = n_points > needs->points ? n_points : needs->points;
    if (p->mask)
        note_mask(needs, p->mask_width, p->mask_height);
}

static void note_conditioning(const trk_tracker *t, trk_needs *needs, size_t n)
{
    if (t->params.correct_as_condition != TRK_ON && n > 1)
        n = 1;
    needs->prompts = n > needs->prompts ? n : needs->prompts;
}

static size_t conditioning_of(const trk_tracker *t, const trk_object *o)
{
    return (size_t)(t->evicted.bytes ? o->n_evicted : o->memories.conditioning.n);
}

/* The first time what waits for later frames counts, too: what can not fit is best told at once. */
static int is_to_come(const trk_tracker *t, const trk_prompt *p, int64_t frame)
{
    return t->planned ? p->frame == frame : (p->frame - frame) * trk_direction(t) >= 0;
}

/* On a device each object has a block of results from the start. */
static void note_objects(const trk_tracker *t, trk_needs *needs, int64_t frame)
{
    for (size_t i = 0; i < t->n_objects; i++) {
        size_t n = conditioning_of(t, t->objects[i]);
        for (const trk_prompt *p = t->objects[i]->waiting; p; p = p->next)
            if (is_to_come(t, p, frame)) {
                note_prompt(needs, p, 0);
                n++;
            }
        needs->objects += n > 0 || !t->model->network->memory->on_host;
        note_conditioning(t, needs, n);
    }
}

/* RGB is least; on the host nothing but the conversion counts, on a device the planes as well. */
static int rank_of(const trk_tracker *t, trk_pixel_format format)
{
    static const int ranks[] = {[TRK_PIXEL_GRAY8] = 1, [TRK_PIXEL_I420] = 2, [TRK_PIXEL_NV12] = 2,
                                [TRK_PIXEL_I422] = 3, [TRK_PIXEL_I444] = 4};
    return t->model->network->memory->on_host ? format != TRK_PIXEL_RGB24 : ranks[format];
}

/* Prompts' sizes and the format are those of the plan before, or more. Every byte is set, so that requests can be
 * compared as bytes. */
static trk_plan_request request_of(const trk_tracker *t, const trk_frame *frame)
{
    const trk_needs had = t->started ? t->planned_for : (trk_needs){0};
    trk_plan_request r;
    memset(&r, 0, sizeof r);
    memcpy(&r.params, &t->params, sizeof r.params);
    r.width = frame->width;
    r.height = frame->height;
    r.needs.points = had.points;
    r.needs.masks = had.masks;
    r.needs.format = rank_of(t, frame->format) > rank_of(t, had.format) ? frame->format : had.format;
    r.trackers = r.busy = r.needs.prompts = 1;
    pthread_mutex_lock(&t->pool->mutex); /* nobody evicts it meanwhile */
    note_objects(t, &r.needs, frame->index);
    pthread_mutex_unlock(&t->pool->mutex);
    r.needs.objects = r.needs.objects ? r.needs.objects : 1;
    r.together = trk_plan_together(t->model, r.needs.objects);
    r.keeps_masks = t->params.source && t->pool->bank.params.mask_elements > 0;
    r.params.pool = NULL;
    r.params.source = NULL;
    r.params.source_user = NULL;
    r.params.motion = NULL; /* no plan depends on it */
    return r;
}

/* A prompt for the current frame joins what the request is for. */
static void add_prompt(const trk_tracker *t, trk_plan_request *r, const trk_object *object, const trk_prompt *prompt)
{
    const trk_prompt *applied = object ? object->applied : NULL;
    pthread_mutex_lock(&t->pool->mutex);
    const size_t n = object ? conditioning_of(t, object) : 0;
    size_t n_others = 0;
    for (size_t i = 0; i < t->n_objects; i++)
        n_others += t->objects[i] != object && conditioning_of(t, t->objects[i]) > 0;
    pthread_mutex_unlock(&t->pool->mutex);
    note_prompt(&r->needs, prompt, applied ? applied->n_points : 0);
    note_conditioning(t, &r->needs, n + !applied);
    if (n_others + 1 > r->needs.objects)
        r->needs.objects = n_others + 1;
    r->together = trk_plan_together(t->model, r->needs.objects);
}

/* More of anything that was planned for. */
static int is_beyond(const trk_tracker *t, const trk_needs *needs)
{
    const trk_needs *had = &t->planned_for;
    return needs->objects > had->objects || needs->prompts > had->prompts || needs->points > had->points ||
           !trk_is_same_mask(&needs->masks.largest, &had->masks.largest) ||
           !trk_is_same_mask(&needs->masks.widest, &had->masks.widest) ||
           !trk_is_same_mask(&needs->masks.tallest, &had->masks.tallest) || needs->format != had->format;
}

/* --- making it, and keeping to it ------------------------------------------------------------------------------- */

/* As trk_plan_find, unless it is the pool's last one. */
static trk_status look_up_plan(trk_pool *pool, const trk_plan_request *r, trk_plan_cache *out)
{
    pthread_mutex_lock(&pool->mutex);
    const int known = pool->last_plan && !memcmp(&pool->last_plan->asked, r, sizeof *r);
    if (known)
        *out = *pool->last_plan;
    pthread_mutex_unlock(&pool->mutex);
    if (known)
        return TRK_OK;
    memcpy(&out->asked, r, sizeof *r);
    trk_status rc = trk_plan_find(pool->model, r, &out->plan, &out->arenas);
    if (rc < 0)
        return rc;
    pthread_mutex_lock(&pool->mutex);
    if (!pool->last_plan)
        pool->last_plan = trk_heap_allocate(TRK_MEM_SCRATCH, "plan", sizeof *out);
    if (pool->last_plan) /* else it is made again */
        memcpy(pool->last_plan, out, sizeof *out);
    pthread_mutex_unlock(&pool->mutex);
    return TRK_OK;
}

static trk_status refuse(const trk_plan *plan, const char *limit, size_t bytes)
{
    const double mb = 1e6;
    return TRK_FAIL(TRK_E_MEMORY,
                    "the plan needs %.1f MB (pinned %.1f, bank %.1f, frame %.1f, scratch %.1f); %s %.1f MB",
                    (double)plan->total / mb, (double)plan->pinned / mb, (double)plan->bank / mb,
                    (double)plan->frame / mb, (double)plan->scratch / mb, limit, (double)bytes / mb);
}

/* Slots of the bank that others use: a tracker's own are part of what it reserves. It may be evicted any time, but then
 * what it had is no longer used, either. */
static trk_slot_counts used_by_others(const trk_tracker *t)
{
    trk_slot_counts own = {{0}}, out;
    trk_bank_use use;
    pthread_mutex_lock(&t->pool->mutex);
    for (size_t i = 0; i < t->n_objects; i++)
        trk_sequence_count_own(&t->objects[i]->memories, own.n);
    trk_bank_measure(&t->pool->bank, &use);
    pthread_mutex_unlock(&t->pool->mutex);
    for (trk_slot_kind kind = 0; kind < TRK_SLOT_KINDS; kind++)
        out.n[kind] = use.used[kind] > own.n[kind] ? use.used[kind] - own.n[kind] : 0;
    return out;
}

/* Chunks first, set aside until the slots are there: what is short of memory gives idle ones back. */
static trk_status reserve(trk_tracker *t, const trk_plan_request *r, const trk_plan_cache *found)
{
    trk_pool *pool = t->pool;
    const trk_plan *plan = &found->plan;
    const trk_slot_counts object = trk_plan_slots(r, &t->model->network->arch);
    const trk_slot_counts others = used_by_others(t);
    trk_chunk *claimed = NULL;
    trk_status rc = TRK_OK;
    const int has_frames = t->planned && found->arenas.frame <= t->sweeper.frame_bytes; /* of the plan before */
    for (int i = 0; i < plan->frames_held && !has_frames; i++)
        TRK_CHECK(trk_chunk_pool_claim(&pool->chunks, plan->frame_each, &claimed));
    TRK_CHECK(trk_chunk_pool_claim(&pool->chunks, found->arenas.scratch, &claimed));
    for (trk_slot_kind kind = 0; kind < TRK_SLOT_KINDS; kind++)
        if (object.n[kind])
            TRK_CHECK(trk_bank_reserve(&pool->bank, kind, others.n[kind] + object.n[kind] * r->needs.objects));
done:
    trk_chunk_pool_offer(&pool->chunks, &claimed);
    return rc;
}

/* From here on the tracker's calls are as large as planned, and no more run at once than the budget holds. */
static void adopt(trk_tracker *t, const trk_plan_cache *found)
{
    trk_pool *pool = t->pool;
    const trk_plan *plan = &found->plan;
    trk_call_sizes sizes = {.scratch = found->arenas.scratch, .workspace = found->arenas.workspace};
    if (pool->ledger.budget) /* it was compared with the plan */
        sizes.most_busy = (pool->ledger.budget - plan->pinned) / (plan->total - plan->pinned);
    trk_pool_size_calls(t, &sizes);
    pthread_mutex_lock(&pool->ledger.mutex);
    pool->ledger.under_at_least = plan->pinned;
    pthread_mutex_unlock(&pool->ledger.mutex);
}

static int exceeds_budget(const trk_tracker *t, const trk_plan *plan)
{
    return t->pool->ledger.budget && plan->total > t->pool->ledger.budget;
}

/* What a tracker has that was planned before is not available any more: only reserving the rest can tell. */
static int exceeds_device(const trk_tracker *t, const trk_plan *plan)
{
    const trk_device_memory *device = t->pool->ledger.device;
    return t->params.reserve && !t->planned && plan->total > trk_plan_plus(device->available(device), plan->pinned);
}

/* The plan that has as many objects tracked together as fit; where nothing fits, that of one at a time. */
static trk_status find_plan(const trk_tracker *t, trk_plan_request *r, trk_plan_cache *out)
{
    trk_status rc = look_up_plan(t->pool, r, out);
    while (rc >= 0 && r->together > 1 && (exceeds_budget(t, &out->plan) || exceeds_device(t, &out->plan))) {
        r->together /= 2;
        rc = look_up_plan(t->pool, r, out);
    }
    return rc;
}

static void forget_last_plan(trk_pool *pool)
{
    pthread_mutex_lock(&pool->mutex);
    trk_heap_release(pool->last_plan);
    pool->last_plan = NULL;
    pthread_mutex_unlock(&pool->mutex);
}

/* As find_plan. What does not fit is looked at again without operators that others have left prepared, which a plan counts
 * as pinned: for prompts that were refused, for shapes of another video. */
static trk_status find_fitting_plan(const trk_tracker *t, trk_plan_request *r, trk_plan_cache *out)
{
    const int together = r->together;
    trk_status rc = find_plan(t, r, out);
    if (rc < 0 || !(exceeds_budget(t, &out->plan) || exceeds_device(t, &out->plan)) ||
        !trk_backend_trim(t->model->network->backend, SIZE_MAX))
        return rc;
    forget_last_plan(t->pool);
    r->together = together;
    return find_plan(t, r, out);
}

/* Every reason to refuse a plan that was found. */
static trk_status check_plan(const trk_tracker *t, const trk_plan *plan)
{
    const trk_ledger *ledger = &t->pool->ledger;
    if (exceeds_budget(t, plan))
        return refuse(plan, "the memory budget is", ledger->budget);
    if (exceeds_device(t, plan))
        return refuse(plan, "there are", ledger->device->available(ledger->device));
    return TRK_OK;
}

/* A plan that can not be reserved is as good as refused: until then nothing has changed. */
static trk_status commit_plan(trk_tracker *t, const trk_plan_request *r, const trk_plan_cache *found)
{
    trk_status rc = t->params.reserve ? reserve(t, r, found) : TRK_OK;
    if (rc < 0)
        return rc;
    adopt(t, found);
    t->sweeper.frame_bytes = found->arenas.frame;
    t->planned = 1;
    t->together = r->together;
    t->planned_for = r->needs;
    return TRK_OK;
}

static trk_status plan_and_commit(trk_tracker *t, trk_plan_request *r)
{
    trk_plan_cache found;
    const trk_plan *plan = &found.plan;
    trk_status rc;
    TRK_CHECK(find_fitting_plan(t, r, &found));
    TRK_CHECK(check_plan(t, plan));
    trk_log(TRK_LOG_INFO, "plan: %zu bytes: pinned %zu, bank %zu, frame %zu, scratch %zu", plan->total, plan->pinned,
            plan->bank, plan->frame, plan->scratch);
    rc = commit_plan(t, r, &found);
done:
    return rc;
}

/* Plans bound something: memory, or how many objects a device tracks together. */
static int is_bounded(const trk_tracker *t)
{
    return t->pool->ledger.budget || t->params.reserve || !t->model->network->memory->on_host;
}

trk_status trk_plan_push(trk_tracker *t, const trk_frame *frame)
{
    if (t->pool->planning || (t->planned && !is_bounded(t)))
        return TRK_OK; /* planning: this is the rehearsal */
    trk_plan_request r = request_of(t, frame);
    return !t->planned || is_beyond(t, &r.needs) ? plan_and_commit(t, &r) : TRK_OK;
}

/* Plans for work on features that are held, without a frame. */
static trk_status plan_held(trk_tracker *t, trk_plan_request *r)
{
    if (t->planned)
        return is_beyond(t, &r->needs) ? plan_and_commit(t, r) : TRK_OK;
    trk_status rc = plan_and_commit(t, r);
    t->planned = 0; /* the first push plans with what it is given */
    return rc;
}

static int is_held(const trk_tracker *t, int64_t frame)
{
    pthread_mutex_lock(&t->pool->mutex); /* nobody evicts it meanwhile */
    const int held = t->evicted.bytes || trk_sweeper_find(&t->sweeper, frame);
    pthread_mutex_unlock(&t->pool->mutex);
    return held;
}

trk_status trk_plan_prompt(trk_tracker *t, const trk_object *object, const trk_prompt *prompt)
{
    const trk_frame size = {.width = t->width, .height = t->height, .index = t->index};
    if (t->pool->planning || !is_bounded(t) || !is_held(t, t->index))
        return TRK_OK;
    trk_plan_request r = request_of(t, &size);
    add_prompt(t, &r, object, prompt);
    return plan_held(t, &r);
}

trk_status trk_plan_again(trk_tracker *t, int64_t frame)
{
    const trk_frame size = {.width = t->width, .height = t->height, .index = frame};
    if (!t->started || t->pool->planning || (t->planned && !is_bounded(t)) || !is_held(t, frame))
        return TRK_OK;
    trk_plan_request r = request_of(t, &size);
    return plan_held(t, &r);
}
