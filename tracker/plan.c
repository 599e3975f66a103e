/* SPDX-License-Identifier: Apache-2.0
 * What a tracker will need, before it needs it. Stages are rehearsed: the very calls of a real run, on addresses
 * without memory behind them and with operators that only obtain their buffers. The bank follows from its rules. */
#include <string.h>

#include "heap.h"
#include "log.h"
#include "tracker.h"

#define SLAB 8 /* slots */

/* Descriptions of products whose shapes a rehearsal does not meet (counts of memories and pointers in between, prompts on
 * frames far apart: 31 with three objects of eight prompts each), about three kilobytes and 80 bytes for each thread, and
 * arguments of products that run at the same time in several calls. */
static size_t products_to_come(int n_threads)
{
    return 48 * ((size_t)4096 + 128 * (size_t)n_threads);
}

typedef struct request {
    int width, height;
    trk_pixel_format format;
    size_t objects, prompts; /* prompts: conditioning frames per object */
    int points;              /* clicks of a prompt */
    int mask_width, mask_height; /* of the largest mask prompt; 0: there is none */
    int together; /* objects of one pass */
    size_t trackers, busy;
    trk_tracker_params params; /* defaults filled in */
    int keeps_masks;           /* slots of the compact form */
} request;

typedef struct rehearsal {
    size_t scratch, frame; /* bytes of the arenas */
    trk_workspace_sizes workspace; /* of the operators */
} rehearsal;

/* The last plan of a pool: trackers of a pool are often alike. */
struct trk_plan_cache {
    request asked;
    trk_plan plan;
    rehearsal arenas;
};

/* Sums and products that would not fit are SIZE_MAX: more than any budget. */
static size_t plus(size_t a, size_t b)
{
    size_t out;
    return __builtin_add_overflow(a, b, &out) ? SIZE_MAX : out;
}

static size_t times(size_t a, size_t b)
{
    size_t out;
    return __builtin_mul_overflow(a, b, &out) ? SIZE_MAX : out;
}

static size_t round_up(size_t n, size_t to)
{
    return n > SIZE_MAX - to ? SIZE_MAX : (n + to - 1) / to * to;
}

/* How many objects are tracked in one pass: on a CPU, which one object keeps busy, no more than that. */
static int together_of(const trk_model *model, size_t objects)
{
    int n = model->network->memory->on_host ? 1 : TRK_TOGETHER;
    while (n > 1 && (size_t)n > objects)
        n /= 2;
    return n;
}

/* --- rehearsing ----------------------------------------------------------------------------------------------- */

/* Frames after which nothing is larger: every prompt is there and every window is full. More prompted frames than are
 * read do not count. */
static int64_t frames_to_rehearse(const request *r, const trk_arch *a, size_t *prompts)
{
    enum { ENOUGH = 1024 }; /* prompts nobody gives; keeps the rehearsal short */
    const int most = r->params.max_prompts_in_memory;
    const size_t window = (size_t)(a->num_maskmem > a->max_pointers ? a->num_maskmem : a->max_pointers);
    *prompts = r->prompts < ENOUGH ? r->prompts : ENOUGH;
    if (most > 0 && *prompts > (size_t)most + window)
        *prompts = (size_t)most + window;
    return (int64_t)(*prompts + window + 1);
}

static trk_status give_prompts(trk_tracker *t, const request *r, int id, int64_t frame)
{
    static const trk_box box = {0, 0, 1, 1};
    trk_point *points = NULL;
    trk_status rc = TRK_OK;
    if (r->mask_width && frame == 0) {
        trk_object *object;
        TRK_CHECK(trk_object_get(t, id, &object));
        trk_prompt *prompt = trk_prompt_new(t, frame);
        if (!prompt)
            return TRK_E_MEMORY;
        prompt->next = object->waiting;
        object->waiting = prompt;
        TRK_CHECK(trk_prompt_add_mask(t, prompt, r->mask_width, r->mask_height));
    }
    TRK_CHECK(trk_tracker_prompt_box(t, id, frame, &box));
    if (r->points) {
        points = trk_heap_zeroed(TRK_MEM_SCRATCH, "points of a rehearsal", (size_t)r->points, sizeof *points);
        if (!points)
            TRK_CHECK(TRK_FAIL(TRK_E_MEMORY, "no memory for %d points", r->points));
        TRK_CHECK(trk_tracker_prompt_points(t, id, frame, points, (size_t)r->points));
    }
done:
    trk_heap_release(points);
    return rc;
}

/* Clicks one after the other on the current frame: operators of every number of prompt points. */
static trk_status refine(trk_tracker *t, const request *r, int64_t frame, int with_box)
{
    enum { EACH = 16 }; /* beyond it only the most */
    static const trk_box box = {0, 0, 1, 1};
    const trk_point point = {0, 0, 1};
    trk_status rc = TRK_OK;
    if (with_box)
        TRK_CHECK(trk_tracker_prompt_box(t, 1, frame, &box));
    for (int i = 0; i < r->points && i < EACH; i++)
        TRK_CHECK(trk_tracker_prompt_points(t, 1, frame, &point, 1));
done:
    return rc;
}

static trk_status run_frames(trk_tracker *t, const request *r, rehearsal *out)
{
    static uint8_t pixel;
    const int row = 3 * r->width;
    trk_frame frame = {.width = r->width, .height = r->height, .format = r->format,
                       .planes = {&pixel, &pixel, &pixel}, .strides = {row, row, row}};
    trk_paint_object painted = {.object = 1}; /* nobody asks for its mask: it takes scratch memory on the host, too */
    const trk_paint paint = {.struct_size = sizeof paint, .objects = &painted, .n_objects = 1};
    /* a second one shares features and contends for pixels; with more, there is a pass of every size on every frame */
    const int n_objects = r->together > 1 ? 2 * r->together - 1 : r->objects > 1 ? 2 : 1;
    size_t prompts;
    trk_status rc = TRK_OK;
    const int64_t n_frames = frames_to_rehearse(r, &t->model->network->arch, &prompts);
    for (; frame.index < n_frames; frame.index++) {
        for (int id = 1; id <= n_objects && frame.index < (int64_t)prompts; id++)
            TRK_CHECK(give_prompts(t, r, id, frame.index));
        TRK_CHECK(trk_tracker_push(t, &frame));
        TRK_CHECK(trk_tracker_paint(t, &paint, &pixel, row)); /* needs all that a mask needs */
        if (r->points && frame.index >= n_frames - 2)
            TRK_CHECK(refine(t, r, frame.index, frame.index == n_frames - 1));
        const size_t bytes = t->sweeper.holdings[t->sweeper.n_holdings - 1]->arena.peak;
        out->frame = bytes > out->frame ? bytes : out->frame;
    }
done:
    return rc;
}

static trk_status rehearse(const trk_model *model, const request *r, rehearsal *out)
{
    const trk_pool_params alone = {.struct_size = sizeof alone, .evict = TRK_EVICT_OFF};
    trk_tracker_params params = r->params;
    trk_pool *pool = NULL;
    trk_tracker *t = NULL;
    trk_status rc = TRK_OK;
    memset(out, 0, sizeof *out);
    TRK_CHECK(trk_pool_open(&pool, model, &alone, &trk_plan_memory));
    pool->planning = 1;
    params.pool = pool;
    params.sweep = TRK_SWEEP_EVERY;
    params.sweep_every = params.keep_frame = 1;
    params.reverse = 0;
    params.history = 0;
    params.source = NULL;
    params.correct_as_condition = TRK_ON;
    TRK_CHECK(trk_tracker_open(&t, model, &params));
    t->together = r->together;
    trk_log_mute(1);
    rc = run_frames(t, r, out);
    trk_log_mute(0);
    TRK_CHECK(rc);
    const trk_seat *seat = pool->idle_seats; /* the only one */
    out->scratch = seat->scratch.peak;
    trk_exec_workspace(&seat->net.exec, &out->workspace);
done:
    trk_tracker_destroy(&t);
    trk_pool_leave(pool);
    return rc;
}

/* --- the bank ------------------------------------------------------------------------------------------------- */

typedef struct slot_counts {
    size_t n[TRK_SLOT_KINDS];
} slot_counts;

/* Most slots of one object at any time: those a frame reads and the one it writes. */
static slot_counts slots_of_object(const request *r, const trk_arch *a)
{
    slot_counts out = {{0}};
    const size_t history = r->params.history > 0 ? (size_t)r->params.history : 0;
    const size_t recent = plus((size_t)a->num_maskmem, history), conditioning = r->prompts;
    const size_t older_after = r->params.older_after ? plus((size_t)r->params.older_after, history) : 0;
    const trk_slot_kind own = (trk_slot_kind)r->params.memory_type, old = (trk_slot_kind)r->params.older_memory_type;
    const size_t young = older_after && older_after < recent ? older_after : recent;
    out.n[own] = plus(conditioning, young);
    const int by_age = trk_policy_of(r->params.policy)->window->by_age; /* else all may be old ones */
    out.n[old] = plus(out.n[old], older_after && !by_age ? recent : recent - young);
    out.n[TRK_SLOT_POINTER] = plus(plus(conditioning, (size_t)a->max_pointers), history);
    out.n[TRK_SLOT_MASK] = r->keeps_masks ? plus(conditioning, recent) : 0;
    return out;
}

static trk_bank_params bank_of(const trk_model *model)
{
    const trk_network_model *m = model->network;
    return (trk_bank_params){.n_tokens = m->grid * m->grid, .mem_dim = m->arch.mem_dim, .pointer_dim = m->arch.d_model,
                             .mask_elements = 16 * m->grid * m->grid};
}

static size_t slot_bytes(const trk_bank_params *bank, trk_slot_kind kind)
{
    return trk_aligned(trk_bank_slot_bytes(bank, kind));
}

static void plan_bank(const trk_model *model, const request *r, trk_plan *out)
{
    const trk_bank_params bank = bank_of(model);
    const slot_counts object = slots_of_object(r, &model->network->arch);
    for (trk_slot_kind kind = 0; kind < TRK_SLOT_KINDS; kind++) {
        const size_t bytes = slot_bytes(&bank, kind);
        const size_t n = times(times(object.n[kind], r->objects), r->trackers);
        out->bank_per_object = plus(out->bank_per_object, times(object.n[kind], bytes));
        out->bank = plus(out->bank, times(round_up(n, SLAB), bytes));
    }
    const size_t mask_bytes = r->keeps_masks ? slot_bytes(&bank, TRK_SLOT_MASK) : 0;
    out->bank_per_prompt =
        slot_bytes(&bank, (trk_slot_kind)r->params.memory_type) + slot_bytes(&bank, TRK_SLOT_POINTER) + mask_bytes;
    if (out->bank_per_object < SIZE_MAX)
        out->bank_per_object -= (r->prompts - 1) * out->bank_per_prompt;
    if (!model->network->memory->on_host) {
        const size_t results = trk_aligned(trk_result_bytes(model->network));
        out->bank_per_object = plus(out->bank_per_object, results);
        out->bank = plus(out->bank, times(times(results, r->objects), r->trackers));
    }
    if (r->params.history < 0)
        out->bank_per_frame = times(times(out->bank_per_prompt, r->objects), r->trackers);
}

/* --- the plan ------------------------------------------------------------------------------------------------- */

static int frames_held(const trk_tracker_params *p)
{
    return p->sweep == TRK_SWEEP_EVERY ? p->sweep_every : 0;
}

static trk_status make_plan(const trk_model *model, const request *r, trk_plan *out, rehearsal *arenas)
{
    trk_status rc = rehearse(model, r, arenas);
    if (rc < 0)
        return rc;
    *out = (trk_plan){.struct_size = sizeof *out, .frames_held = frames_held(&r->params)};
    plan_bank(model, r, out);
    out->frame_each = trk_aligned(arenas->frame);
    out->frame = times(times(out->frame_each, (size_t)(out->frames_held ? out->frames_held : 1)),
                       r->params.keep_frame || out->frames_held != 1 ? r->trackers : r->busy);
    out->scratch_each = trk_aligned(arenas->scratch) + arenas->workspace.total;
    out->scratch = times(out->scratch_each, r->busy);
    out->pinned = model->network->ledger.account.total_now +
                  products_to_come(trk_backend_threads(model->network->backend));
    out->total = plus(plus(out->pinned, out->bank), plus(out->frame, out->scratch));
    return TRK_OK;
}

static trk_status check_counts(const trk_plan_params *p)
{
    if (p->objects < 0 || p->prompts < 0 || p->prompt_points < 0 || p->trackers < 0 || p->busy < 0)
        return TRK_FAIL(TRK_E_ARGUMENT,
                        "trk_plan_make: a negative count (objects %d, prompts %d, points %d, trackers %d, busy %d)",
                        p->objects, p->prompts, p->prompt_points, p->trackers, p->busy);
    if (p->prompt_points > TRK_PROMPT_POINTS)
        return TRK_FAIL(TRK_E_ARGUMENT, "trk_plan_make: %d clicks in a prompt, expected at most %d", p->prompt_points,
                        TRK_PROMPT_POINTS);
    const uint8_t *any = (const uint8_t *)"";
    const ptrdiff_t row = 3 * (ptrdiff_t)p->width;
    const trk_frame frame = {.width = p->width, .height = p->height, .format = p->format, .planes = {any, any, any},
                             .strides = {row, row, row}};
    return trk_frame_check(&frame);
}

static size_t or_one(int n)
{
    return n ? (size_t)n : 1;
}

trk_status trk_plan_make(trk_plan *out, const trk_model *model, const trk_plan_params *params)
{
    trk_plan_params p;
    rehearsal arenas;
    trk_plan plan;
    trk_status rc = trk_out_check("trk_plan_make", params ? model : NULL, out, sizeof *out);
    if (rc < 0 || (rc = trk_params_read(&p, sizeof p, params, "trk_plan_params")) < 0 || (rc = check_counts(&p)) < 0)
        return rc;
    request r = {.width = p.width, .height = p.height, .objects = or_one(p.objects), .prompts = or_one(p.prompts),
                 .trackers = or_one(p.trackers), .busy = or_one(p.busy), .points = p.prompt_points,
                 .format = p.format,
                 .mask_width = p.mask_prompts ? p.width : 0, .mask_height = p.mask_prompts ? p.height : 0};
    if ((rc = trk_tracker_params_read(&r.params, p.tracker)) < 0)
        return rc;
    r.together = together_of(model, r.objects);
    r.keeps_masks = r.params.source && r.params.pool && r.params.pool->bank.params.mask_elements > 0;
    if ((rc = make_plan(model, &r, &plan, &arenas)) < 0)
        return rc;
    plan.struct_size = out->struct_size;
    *out = plan;
    return TRK_OK;
}

/* --- the first push ------------------------------------------------------------------------------------------- */

/* The request is for the prompt, too. n_before: points it has already. */
static void note_prompt(request *r, const trk_prompt *p, size_t n_before)
{
    const int n_points = (int)(p->n_points + n_before);
    r->points = n_points > r->points ? n_points : r->points;
    if (!p->mask || (int64_t)p->mask_width * p->mask_height <= (int64_t)r->mask_width * r->mask_height)
        return;
    r->mask_width = p->mask_width;
    r->mask_height = p->mask_height;
}

/* For what was planned for before and what waits now. Every byte is set, so that requests can be compared as bytes. */
static request request_of(const trk_tracker *t, const trk_frame *frame)
{
    const trk_planned had = t->started ? t->planned_for : (trk_planned){0};
    request r;
    memset(&r, 0, sizeof r);
    memcpy(&r.params, &t->params, sizeof r.params);
    r.width = frame->width;
    r.height = frame->height;
    r.format = frame->format == TRK_PIXEL_RGB24 ? had.format : frame->format; /* no other needs less */
    r.points = had.points;
    r.mask_width = had.mask_width;
    r.mask_height = had.mask_height;
    r.trackers = r.busy = r.prompts = 1;
    r.objects = t->n_objects ? t->n_objects : 1;
    r.together = together_of(t->model, r.objects);
    pthread_mutex_lock(&t->pool->mutex); /* nobody evicts it meanwhile */
    for (size_t i = 0; i < t->n_objects; i++) {
        size_t n = (size_t)(t->evicted.bytes ? t->objects[i]->n_evicted : t->objects[i]->memories.n_conditioning);
        for (const trk_prompt *p = t->objects[i]->waiting; p; p = p->next, n++)
            note_prompt(&r, p, 0);
        if (t->params.correct_as_condition != TRK_ON && n > 1)
            n = 1;
        r.prompts = n > r.prompts ? n : r.prompts;
    }
    pthread_mutex_unlock(&t->pool->mutex);
    r.keeps_masks = t->params.source && t->pool->bank.params.mask_elements > 0;
    r.params.pool = NULL;
    r.params.source = NULL;
    r.params.source_user = NULL;
    r.params.motion = NULL; /* no plan depends on it */
    return r;
}

/* As make_plan, unless it is the pool's last one. */
static trk_status look_up_plan(trk_pool *pool, const request *r, trk_plan_cache *out)
{
    pthread_mutex_lock(&pool->mutex);
    const int known = pool->last_plan && !memcmp(&pool->last_plan->asked, r, sizeof *r);
    if (known)
        *out = *pool->last_plan;
    pthread_mutex_unlock(&pool->mutex);
    if (known)
        return TRK_OK;
    memcpy(&out->asked, r, sizeof *r);
    trk_status rc = make_plan(pool->model, r, &out->plan, &out->arenas);
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
static slot_counts used_by_others(const trk_tracker *t)
{
    slot_counts own = {{0}}, out;
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
static trk_status reserve(trk_tracker *t, const request *r, const trk_plan_cache *found)
{
    trk_pool *pool = t->pool;
    const trk_plan *plan = &found->plan;
    const slot_counts object = slots_of_object(r, &t->model->network->arch);
    const slot_counts others = used_by_others(t);
    trk_chunk *claimed = NULL;
    trk_status rc = TRK_OK;
    const int has_frames = t->planned && found->arenas.frame <= t->sweeper.frame_bytes; /* of the plan before */
    for (int i = 0; i < plan->frames_held && !has_frames; i++)
        TRK_CHECK(trk_chunk_pool_claim(&pool->chunks, plan->frame_each, &claimed));
    TRK_CHECK(trk_chunk_pool_claim(&pool->chunks, found->arenas.scratch, &claimed));
    for (trk_slot_kind kind = 0; kind < TRK_SLOT_KINDS; kind++)
        if (object.n[kind])
            TRK_CHECK(trk_bank_reserve(&pool->bank, kind, others.n[kind] + object.n[kind] * r->objects));
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
    if (plan->pinned > pool->ledger.under_at_least)
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
    return t->params.reserve && !t->planned && plan->total > plus(device->available(device), plan->pinned);
}

/* The plan that has as many objects tracked together as fit; where nothing fits, that of one at a time. */
static trk_status find_plan(const trk_tracker *t, request *r, trk_plan_cache *out)
{
    trk_status rc = look_up_plan(t->pool, r, out);
    while (rc >= 0 && r->together > 1 && (exceeds_budget(t, &out->plan) || exceeds_device(t, &out->plan))) {
        r->together /= 2;
        rc = look_up_plan(t->pool, r, out);
    }
    return rc;
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
static trk_status commit_plan(trk_tracker *t, const request *r, const trk_plan_cache *found)
{
    trk_status rc = t->params.reserve ? reserve(t, r, found) : TRK_OK;
    if (rc < 0)
        return rc;
    adopt(t, found);
    t->sweeper.frame_bytes = found->arenas.frame;
    t->planned = 1;
    t->together = r->together;
    t->planned_for = (trk_planned){.objects = t->n_objects, .points = r->points, .mask_width = r->mask_width,
                                   .mask_height = r->mask_height, .format = r->format};
    return TRK_OK;
}

static trk_status plan_and_commit(trk_tracker *t, request *r)
{
    trk_plan_cache found;
    const trk_plan *plan = &found.plan;
    trk_status rc;
    TRK_CHECK(find_plan(t, r, &found));
    TRK_CHECK(check_plan(t, plan));
    trk_log(TRK_LOG_INFO, "plan: %zu bytes: pinned %zu, bank %zu, frame %zu, scratch %zu", plan->total, plan->pinned,
            plan->bank, plan->frame, plan->scratch);
    rc = commit_plan(t, r, &found);
done:
    return rc;
}

/* There are more objects than were planned: has more of them tracked together if that fits. */
static trk_status plan_more_together(trk_tracker *t, request *r)
{
    trk_plan_cache found;
    t->planned_for.objects = t->n_objects;
    trk_status rc = find_plan(t, r, &found);
    if (rc < 0 || r->together <= t->together || exceeds_budget(t, &found.plan))
        return rc;
    adopt(t, &found);
    t->together = r->together;
    return TRK_OK;
}

/* Some call will need more than was planned: a larger prompt, pixels that must be converted. */
static int is_beyond(const request *r, const trk_planned *had)
{
    return r->points > had->points || r->mask_width != had->mask_width || r->mask_height != had->mask_height ||
           r->format != had->format;
}

static trk_status plan_later_push(trk_tracker *t, request *r)
{
    if (is_beyond(r, &t->planned_for))
        return plan_and_commit(t, r);
    if (together_of(t->model, t->n_objects) > together_of(t->model, t->planned_for.objects))
        return plan_more_together(t, r);
    return TRK_OK;
}

trk_status trk_plan_push(trk_tracker *t, const trk_frame *frame)
{
    if (t->pool->planning)
        return TRK_OK; /* this is the rehearsal */
    request r = request_of(t, frame);
    return t->planned ? plan_later_push(t, &r) : plan_and_commit(t, &r);
}

/* Plans for work on features that are held, without a frame. */
static trk_status plan_held(trk_tracker *t, request *r)
{
    if (t->planned)
        return is_beyond(r, &t->planned_for) ? plan_and_commit(t, r) : TRK_OK;
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

trk_status trk_plan_prompt(trk_tracker *t, const trk_prompt *applied, const trk_prompt *prompt)
{
    const trk_frame size = {.width = t->width, .height = t->height};
    if (t->pool->planning || !is_held(t, t->index))
        return TRK_OK;
    request r = request_of(t, &size);
    note_prompt(&r, prompt, applied ? applied->n_points : 0);
    return plan_held(t, &r);
}

trk_status trk_plan_again(trk_tracker *t, int64_t frame)
{
    const trk_frame size = {.width = t->width, .height = t->height};
    if (!t->started || t->planned || t->pool->planning || !is_held(t, frame))
        return TRK_OK;
    request r = request_of(t, &size);
    return plan_held(t, &r);
}
