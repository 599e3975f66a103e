/* SPDX-License-Identifier: Apache-2.0
 * What a tracker will need, before it needs it. Stages are rehearsed: the very calls of a real run, on addresses
 * without memory behind them and with operators that only obtain their buffers. The bank follows from its rules. */
#include <string.h>

#include "heap.h"
#include "log.h"
#include "plan.h"

/* Descriptions of products whose shapes a rehearsal does not meet (counts of memories and pointers in between, prompts on
 * frames far apart: 31 with three objects of eight prompts each), about three kilobytes and 80 bytes for each thread, and
 * arguments of products that run at the same time in several calls. */
static size_t products_to_come(int n_threads)
{
    return 48 * ((size_t)4096 + 128 * (size_t)n_threads);
}

size_t trk_plan_plus(size_t a, size_t b)
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

int trk_plan_together(const trk_model *model, size_t objects)
{
    int n = model->network->memory->on_host ? 1 : TRK_TOGETHER;
    while (n > 1 && (size_t)n > objects)
        n /= 2;
    return n;
}

/* --- rehearsing ----------------------------------------------------------------------------------------------- */

/* Frames after which nothing is larger: every prompt is there and every window is full. More prompted frames than are
 * read do not count. */
static int64_t frames_to_rehearse(const trk_plan_request *r, const trk_arch *a, size_t *prompts)
{
    enum { ENOUGH = 1024 }; /* prompts nobody gives; keeps the rehearsal short */
    const int most = r->params.max_prompts_in_memory;
    const size_t window = (size_t)(a->num_maskmem > a->max_pointers ? a->num_maskmem : a->max_pointers);
    *prompts = r->needs.prompts < ENOUGH ? r->needs.prompts : ENOUGH;
    if (most > 0 && *prompts > (size_t)most + window)
        *prompts = (size_t)most + window;
    return (int64_t)(*prompts + window + 1);
}

static trk_status give_points(trk_tracker *t, int n, int id, int64_t frame)
{
    if (n <= 0)
        return TRK_OK;
    trk_point *points = trk_heap_zeroed(TRK_MEM_SCRATCH, "points of a rehearsal", (size_t)n, sizeof *points);
    if (!points)
        return TRK_FAIL(TRK_E_MEMORY, "no memory for %d points", n);
    trk_status rc = trk_tracker_prompt_points(t, id, frame, points, (size_t)n);
    trk_heap_release(points);
    return rc;
}

static trk_status give_prompts(trk_tracker *t, const trk_plan_request *r, const trk_mask_size *mask, int id,
                               int64_t frame)
{
    static const trk_box box = {0, 0, 1, 1};
    trk_status rc = TRK_OK;
    if (mask->width && frame == 0) {
        trk_object *object;
        TRK_CHECK(trk_object_get(t, id, &object));
        trk_prompt *prompt = trk_prompt_new(t, frame);
        if (!prompt)
            return TRK_E_MEMORY;
        prompt->next = object->waiting;
        object->waiting = prompt;
        TRK_CHECK(trk_prompt_add_mask(t, prompt, mask->width, mask->height));
    }
    TRK_CHECK(trk_tracker_prompt_box(t, id, frame, &box));
    rc = give_points(t, r->needs.points, id, frame);
done:
    return rc;
}

/* Clicks one after the other on the current frame, then the rest at once: operators of every number of points. */
static trk_status refine(trk_tracker *t, const trk_plan_request *r, int64_t frame, int with_box)
{
    enum { EACH = 16 };
    static const trk_box box = {0, 0, 1, 1};
    trk_status rc = TRK_OK;
    if (with_box)
        TRK_CHECK(trk_tracker_prompt_box(t, 1, frame, &box));
    for (int i = 0; i < r->needs.points && i < EACH; i++)
        TRK_CHECK(give_points(t, 1, 1, frame));
    rc = give_points(t, r->needs.points - EACH, 1, frame);
done:
    return rc;
}

static trk_status run_frames(trk_tracker *t, const trk_plan_request *r, const trk_mask_size *mask, trk_rehearsal *out)
{
    static uint8_t pixel;
    const int row = 3 * r->width;
    trk_frame frame = {.width = r->width, .height = r->height, .format = r->needs.format,
                       .planes = {&pixel, &pixel, &pixel}, .strides = {row, row, row}};
    trk_paint_object painted = {.object = 1}; /* nobody asks for its mask: it takes scratch memory on the host, too */
    const trk_paint paint = {.struct_size = sizeof paint, .objects = &painted, .n_objects = 1};
    /* a second one shares features and contends for pixels; with more, there is a pass of every size on every frame */
    const int n_objects = r->together > 1 ? 2 * r->together - 1 : r->needs.objects > 1 ? 2 : 1;
    size_t prompts;
    trk_status rc = TRK_OK;
    const int64_t n_frames = frames_to_rehearse(r, &t->model->network->arch, &prompts);
    for (; frame.index < n_frames; frame.index++) {
        for (int id = 1; id <= n_objects && frame.index < (int64_t)prompts; id++)
            TRK_CHECK(give_prompts(t, r, mask, id, frame.index));
        TRK_CHECK(trk_tracker_push(t, &frame));
        TRK_CHECK(trk_tracker_paint(t, &paint, &pixel, row)); /* needs all that a mask needs */
        if (r->needs.points && frame.index >= n_frames - 2)
            TRK_CHECK(refine(t, r, frame.index, frame.index == n_frames - 1));
        const size_t bytes = t->sweeper.holdings[t->sweeper.n_holdings - 1]->arena.peak;
        out->frame = bytes > out->frame ? bytes : out->frame;
    }
done:
    return rc;
}

static trk_status rehearse(const trk_model *model, const trk_plan_request *r, const trk_mask_size *mask,
                           trk_rehearsal *out)
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
    rc = run_frames(t, r, mask, out);
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

static void enlarge(trk_rehearsal *to, const trk_rehearsal *by)
{
    to->scratch = by->scratch > to->scratch ? by->scratch : to->scratch;
    to->frame = by->frame > to->frame ? by->frame : to->frame;
    trk_workspace_enlarge(&to->workspace, &by->workspace);
}

/* With each mask in turn. */
static trk_status rehearse_masks(const trk_model *model, const trk_plan_request *r, trk_rehearsal *out)
{
    const struct trk_mask_needs *masks = &r->needs.masks;
    const trk_mask_size *others[] = {&masks->widest, &masks->tallest};
    trk_status rc = rehearse(model, r, &masks->largest, out);
    for (size_t i = 0; rc >= 0 && i < 2; i++) {
        trk_rehearsal more;
        if (trk_is_same_mask(others[i], &masks->largest) || (i && trk_is_same_mask(others[1], others[0])))
            continue;
        rc = rehearse(model, r, others[i], &more);
        if (rc >= 0)
            enlarge(out, &more);
    }
    return rc;
}

/* --- the bank ------------------------------------------------------------------------------------------------- */

trk_slot_counts trk_plan_slots(const trk_plan_request *r, const trk_arch *a)
{
    trk_slot_counts out = {{0}};
    const size_t history = r->params.history > 0 ? (size_t)r->params.history : 0;
    const size_t recent = trk_plan_plus((size_t)a->num_maskmem, history), conditioning = r->needs.prompts;
    const size_t older_after = r->params.older_after ? trk_plan_plus((size_t)r->params.older_after, history) : 0;
    const trk_slot_kind own = (trk_slot_kind)r->params.memory_type, old = (trk_slot_kind)r->params.older_memory_type;
    const size_t young = older_after && older_after < recent ? older_after : recent;
    out.n[own] = trk_plan_plus(conditioning, young);
    const int by_age = trk_policy_of(r->params.policy)->window->by_age; /* else all may be old ones */
    out.n[old] = trk_plan_plus(out.n[old], older_after && !by_age ? recent : recent - young);
    out.n[TRK_SLOT_POINTER] = trk_plan_plus(trk_plan_plus(conditioning, (size_t)a->max_pointers), history);
    out.n[TRK_SLOT_MASK] = r->keeps_masks ? trk_plan_plus(conditioning, recent) : 0;
    return out;
}

trk_bank_params trk_bank_params_of(const trk_model *model, int with_masks)
{
    const trk_network_model *m = model->network;
    return (trk_bank_params){
        .n_tokens = m->grid * m->grid,
        .mem_dim = m->arch.mem_dim,
        .pointer_dim = m->arch.d_model,
        .mask_elements = with_masks ? 16 * m->grid * m->grid : 0,
        .slots_per_slab = TRK_BANK_SLAB,
    };
}

static size_t slot_bytes(const trk_bank_params *bank, trk_slot_kind kind)
{
    return trk_aligned(trk_bank_slot_bytes(bank, kind));
}

static void plan_bank(const trk_model *model, const trk_plan_request *r, trk_plan *out)
{
    const trk_bank_params bank = trk_bank_params_of(model, 1);
    const trk_slot_counts object = trk_plan_slots(r, &model->network->arch);
    for (trk_slot_kind kind = 0; kind < TRK_SLOT_KINDS; kind++) {
        const size_t bytes = slot_bytes(&bank, kind);
        const size_t n = times(times(object.n[kind], r->needs.objects), r->trackers);
        out->bank_per_object = trk_plan_plus(out->bank_per_object, times(object.n[kind], bytes));
        out->bank = trk_plan_plus(out->bank, times(round_up(n, (size_t)bank.slots_per_slab), bytes));
    }
    const size_t mask_bytes = r->keeps_masks ? slot_bytes(&bank, TRK_SLOT_MASK) : 0;
    out->bank_per_prompt =
        slot_bytes(&bank, (trk_slot_kind)r->params.memory_type) + slot_bytes(&bank, TRK_SLOT_POINTER) + mask_bytes;
    if (out->bank_per_object < SIZE_MAX)
        out->bank_per_object -= (r->needs.prompts - 1) * out->bank_per_prompt;
    if (!model->network->memory->on_host) {
        const size_t results = trk_aligned(trk_result_bytes(model->network));
        out->bank_per_object = trk_plan_plus(out->bank_per_object, results);
        out->bank = trk_plan_plus(out->bank, times(times(results, r->needs.objects), r->trackers));
    }
    if (r->params.history < 0)
        out->bank_per_frame = times(times(out->bank_per_prompt, r->needs.objects), r->trackers);
}

/* --- the plan ------------------------------------------------------------------------------------------------- */

static int frames_held(const trk_tracker_params *p)
{
    return p->sweep == TRK_SWEEP_EVERY ? p->sweep_every : 0;
}

trk_status trk_plan_find(const trk_model *model, const trk_plan_request *r, trk_plan *out, trk_rehearsal *arenas)
{
    trk_status rc = rehearse_masks(model, r, arenas);
    if (rc < 0)
        return rc;
    *out = (trk_plan){.struct_size = sizeof *out, .frames_held = frames_held(&r->params)};
    plan_bank(model, r, out);
    out->frame_each = trk_aligned(arenas->frame);
    out->frame = times(times(out->frame_each, (size_t)(out->frames_held ? out->frames_held : 1)),
                       r->params.keep_frame || out->frames_held != 1 ? r->trackers : r->busy);
    out->scratch_each = trk_aligned(arenas->scratch) + arenas->workspace.total;
    out->scratch = times(out->scratch_each, r->busy);
    trk_account has;
    trk_account_read(&model->network->ledger.account, &has);
    out->pinned = has.total_now + products_to_come(trk_backend_threads(model->network->backend));
    out->total = trk_plan_plus(trk_plan_plus(out->pinned, out->bank), trk_plan_plus(out->frame, out->scratch));
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
    trk_rehearsal arenas;
    trk_plan plan;
    trk_status rc = trk_out_check("trk_plan_make", params ? model : NULL, out, sizeof *out);
    if (rc < 0 || (rc = trk_params_read(&p, sizeof p, params, "trk_plan_params")) < 0 || (rc = check_counts(&p)) < 0)
        return rc;
    const trk_mask_size mask = {p.mask_prompts ? p.width : 0, p.mask_prompts ? p.height : 0};
    trk_plan_request r = {.width = p.width, .height = p.height, .trackers = or_one(p.trackers), .busy = or_one(p.busy),
                 .needs = {.objects = or_one(p.objects), .prompts = or_one(p.prompts), .points = p.prompt_points,
                           .masks = {mask, mask, mask}, .format = p.format}};
    if ((rc = trk_tracker_params_read(&r.params, p.tracker)) < 0)
        return rc;
    r.together = trk_plan_together(model, r.needs.objects);
    r.keeps_masks = r.params.source && r.params.pool && r.params.pool->bank.params.mask_elements > 0;
    if ((rc = trk_plan_find(model, &r, &plan, &arenas)) < 0)
        return rc;
    plan.struct_size = out->struct_size;
    *out = plan;
    return TRK_OK;
}

