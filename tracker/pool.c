/* SPDX-License-Identifier: Apache-2.0
 * Who is on the device. A pool has one budget, one bank and one set of chunks for any number of trackers; who is in a
 * call has a seat, who is not can be evicted.
 *
 * Invariants
 * - A tracker is changed by its own call only, or, while no call runs (busy == 0), by eviction under the pool's mutex.
 * - A tracker that is not resident has no slot of the bank and no features: they are in `evicted`, bit for bit or in
 *   the compact form. Objects, prompts and results stay where they are: results can be read without coming back.
 * - Under a budget a call has a seat no larger than its own plan: what another tracker needed, or the same one for an
 *   earlier video, lies in seats that are idle and go when memory is short.
 * - Nobody holds the pool's mutex while computing or waiting for the source of frames. */
#include "heap.h"
#include "log.h"
#include "plan.h"
#include "state.h"
#include "tracker.h"

#define DEFAULT_BUDGET_SHARE 0.8 /* of what is free on a GPU; none on the CPU: everybody else shares its memory */

static _Thread_local trk_tracker *in_call; /* the tracker whose call runs in this thread */

/* --- seats ---------------------------------------------------------------------------------------------------- */

static size_t lists_bytes(size_t capacity)
{
    const trk_read_lists *l = NULL;
    return capacity * (sizeof *l->reads + sizeof *l->memories + sizeof *l->pointers);
}

trk_status trk_seat_lists(trk_tracker *t, size_t n)
{
    trk_read_lists *lists = &t->seat->lists;
    trk_ledger *host = &t->pool->host;
    if (n <= lists->capacity)
        return TRK_OK;
    n += n / 2;
    char *block = trk_ledger_allocate(host, TRK_MEM_SCRATCH, "lists of memories read", lists_bytes(n));
    if (!block) {
        trk_status rc = trk_ledger_fail(host, lists_bytes(n), "lists of memories read");
        trk_exec_fail(&t->seat->net.exec, rc);
        return rc;
    }
    trk_ledger_release(host, TRK_MEM_SCRATCH, lists->reads, lists_bytes(lists->capacity));
    lists->capacity = n;
    lists->reads = (trk_memory_read *)(void *)block;
    lists->memories = (trk_memory_ref *)(void *)(block + n * sizeof *lists->reads);
    lists->pointers = (trk_pointer_ref *)(void *)(lists->memories + n);
    return TRK_OK;
}

static void seat_free(trk_pool *pool, trk_seat *seat)
{
    trk_arena_sweep(&seat->scratch);
    trk_network_release(&seat->net);
    trk_ledger_release(&pool->host, TRK_MEM_SCRATCH, seat->lists.reads, lists_bytes(seat->lists.capacity));
    trk_ledger_release(&pool->host, TRK_MEM_SCRATCH, seat, sizeof *seat);
    pool->n_seats--;
}

static trk_status seat_new(trk_pool *pool, trk_seat **out)
{
    trk_seat *seat = trk_ledger_allocate(&pool->host, TRK_MEM_SCRATCH, "seat", sizeof *seat);
    if (!seat)
        return trk_ledger_fail(&pool->host, sizeof *seat, "a seat");
    *seat = (trk_seat){0};
    trk_arena_init(&seat->scratch, &pool->chunks, TRK_MEM_SCRATCH, "temporaries of stages", 0);
    pool->n_seats++;
    trk_status rc =
        trk_network_init(&seat->net, pool->model->network, &pool->ledger.allocator, NULL, &seat->scratch);
    if (rc < 0) {
        seat_free(pool, seat);
        return rc;
    }
    if (pool->planning)
        trk_exec_set_planning(&seat->net.exec);
    *out = seat;
    return TRK_OK;
}

/* The largest idle seat the tracker may have, so that smaller ones stay small; NULL: there is none. */
static trk_seat **find_seat(trk_pool *pool, const trk_tracker *t)
{
    trk_seat **found = NULL;
    size_t largest = 0;
    if (!pool->ledger.budget || !t->sizes.scratch)
        return pool->idle_seats ? &pool->idle_seats : NULL;
    for (trk_seat **link = &pool->idle_seats; *link; link = &(*link)->next) {
        trk_workspace_sizes has;
        trk_exec_workspace(&(*link)->net.exec, &has);
        if (!trk_workspace_is_within(&has, &t->sizes.workspace) || (found && has.total <= largest))
            continue;
        found = link;
        largest = has.total;
    }
    return found;
}

static trk_status take_seat(trk_pool *pool, trk_tracker *t)
{
    trk_seat **link = find_seat(pool, t);
    if (!link)
        return seat_new(pool, &t->seat);
    t->seat = *link;
    *link = t->seat->next;
    t->seat->next = NULL;
    return TRK_OK;
}

static void give_seat(trk_pool *pool, trk_tracker *t)
{
    trk_workspace_sizes has;
    trk_arena_sweep(&t->seat->scratch);
    t->seat->net.frame = NULL;
    t->seat->net.exec.status = TRK_OK;
    trk_exec_workspace(&t->seat->net.exec, &has);
    if (t->sizes.scratch) /* a call that went beyond the plan has made the seat its tracker's own */
        trk_workspace_enlarge(&t->sizes.workspace, &has);
    t->seat->next = pool->idle_seats;
    pool->idle_seats = t->seat;
    t->seat = NULL;
}

void trk_pool_size_calls(trk_tracker *t, const trk_call_sizes *sizes)
{
    trk_pool *pool = t->pool;
    pthread_mutex_lock(&pool->mutex);
    const trk_call_sizes had = t->sizes;
    t->sizes = *sizes;
    if (had.scratch && sizes->scratch >= had.scratch) /* what its seat has is its own, see give_seat */
        trk_workspace_enlarge(&t->sizes.workspace, &had.workspace);
    pool->most_busy = 0;
    for (const trk_tracker *o = pool->trackers; o; o = o->next_in_pool)
        if (o->sizes.most_busy && (!pool->most_busy || o->sizes.most_busy < pool->most_busy))
            pool->most_busy = o->sizes.most_busy;
    pthread_cond_broadcast(&pool->changed);
    pthread_mutex_unlock(&pool->mutex);
}

void trk_pool_trim_after_video(trk_pool *pool)
{
    pthread_mutex_lock(&pool->mutex);
    int are_wanted = pool->ledger.budget > 0;
    for (const trk_tracker *t = pool->trackers; t; t = t->next_in_pool)
        are_wanted |= t->params.reserve && t->sizes.scratch;
    if (!are_wanted)
        trk_chunk_pool_trim(&pool->chunks, SIZE_MAX);
    pthread_mutex_unlock(&pool->mutex);
}

/* --- eviction ------------------------------------------------------------------------------------------------- */

/* Locked features are to stay as they are, which the compact form does not do. */
static int holds_locked(const trk_tracker *t)
{
    int locked = 0;
    for (size_t i = 0; i < t->sweeper.n_holdings; i++)
        locked |= t->sweeper.holdings[i]->n_locks > 0;
    return locked;
}

static trk_status evict(trk_pool *pool, trk_tracker *t)
{
    int compact = pool->params.evict == TRK_EVICT_COMPACT && t->params.source && !holds_locked(t);
    trk_blob_init(&t->evicted, &pool->host, "evicted tracker");
    trk_status rc = trk_state_put_memories(t, &t->evicted, compact);
    if (rc < 0) {
        trk_blob_release(&t->evicted);
        return rc;
    }
    for (size_t i = 0; i < t->n_objects; i++)
        t->objects[i]->n_evicted = t->objects[i]->memories.conditioning.n;
    trk_blob_trim(&t->evicted);
    trk_state_forget_memories(t);
    t->resident = 0;
    pool->n_resident--;
    pool->n_evictions++;
    trk_log(TRK_LOG_DEBUG, "pool: tracker at frame %lld evicted, %zu bytes %s; %zu resident", (long long)t->index,
            t->evicted.bytes, compact ? "in the compact form" : "in host memory", pool->n_resident);
    return TRK_OK;
}

static trk_tracker *least_recent_idle(const trk_pool *pool)
{
    trk_tracker *oldest = NULL;
    for (trk_tracker *t = pool->trackers; t; t = t->next_in_pool)
        if (t->resident && !t->busy && (!oldest || t->last_used < oldest->last_used))
            oldest = t;
    return oldest;
}

static int evict_one(trk_pool *pool)
{
    trk_tracker *oldest = pool->params.evict == TRK_EVICT_OFF ? NULL : least_recent_idle(pool);
    return oldest && evict(pool, oldest) >= 0;
}

/* Features nobody has locked, of trackers no other thread can be working on. */
static size_t sweep_unlocked(trk_pool *pool)
{
    size_t bytes = 0;
    for (trk_tracker *t = pool->trackers; t; t = t->next_in_pool)
        if (!t->busy || t == in_call)
            bytes += trk_sweep_unlocked(t);
    return bytes;
}

static int free_idle_seats(trk_pool *pool)
{
    int freed = pool->idle_seats != NULL;
    while (pool->idle_seats) {
        trk_seat *seat = pool->idle_seats;
        pool->idle_seats = seat->next;
        seat_free(pool, seat);
    }
    return freed;
}

/* What the ledger asks for when an allocation does not fit: the cheapest to get back first. */
static int reclaim(void *user, size_t bytes)
{
    trk_pool *pool = user;
    pthread_mutex_lock(&pool->mutex);
    int freed = trk_chunk_pool_trim(&pool->chunks, bytes) > 0 || trk_bank_trim(&pool->bank) > 0 ||
                sweep_unlocked(pool) > 0 ||
                (pool->ledger.budget && trk_backend_trim(pool->model->network->backend, bytes) > 0) ||
                free_idle_seats(pool) || evict_one(pool);
    pthread_mutex_unlock(&pool->mutex);
    return freed;
}

/* --- entering and leaving ------------------------------------------------------------------------------------- */

/* Under the mutex: a place among the residents. */
static trk_status take_place(trk_pool *pool, trk_tracker *t, trk_residence residence)
{
    size_t most = (size_t)pool->params.most_resident;
    while (residence == TRK_RESIDENT && most && pool->n_resident >= most) {
        if (evict_one(pool))
            continue;
        if (pool->params.evict == TRK_EVICT_OFF || least_recent_idle(pool))
            return TRK_FAIL(TRK_E_MEMORY, "the pool has its %zu resident trackers, and none %s be evicted", most,
                            pool->params.evict == TRK_EVICT_OFF ? "is to" : "could");
        pthread_cond_wait(&pool->changed, &pool->mutex);
    }
    t->resident = 1;
    pool->n_resident++;
    return TRK_OK;
}

/* Under the mutex: calls beyond what the budget holds at once wait; not a call inside another. */
static void take_turn(trk_pool *pool)
{
    while (!in_call && pool->most_busy && pool->n_busy >= pool->most_busy)
        pthread_cond_wait(&pool->changed, &pool->mutex);
}

static trk_status come_back(trk_pool *pool, trk_tracker *t)
{
    trk_status rc = TRK_OK;
    if (!t->evicted.bytes)
        return TRK_OK;
    trk_blob_reader in = {.data = t->evicted.data, .bytes = t->evicted.bytes};
    TRK_CHECK(trk_state_take_memories(t, &in));
    TRK_CHECK(trk_rebuild_memories(t));
    pthread_mutex_lock(&pool->mutex);
    trk_blob_release(&t->evicted);
    pool->n_returns++;
    pthread_mutex_unlock(&pool->mutex);
    trk_log(TRK_LOG_DEBUG, "pool: tracker at frame %lld is back", (long long)t->index);
    return TRK_OK;
done:
    trk_state_forget_memories(t); /* what it was evicted to is still whole */
    return rc;
}

/* Makes up for what went beyond a limit since: the model's operators of new shapes, and forks. */
static void keep_limits(trk_pool *pool)
{
    const size_t most = (size_t)pool->params.most_resident, excess = trk_ledger_excess(&pool->ledger);
    if (excess > 0)
        (void)trk_backend_trim(pool->model->network->backend, excess);
    while (trk_ledger_excess(&pool->ledger) > 0 && trk_ledger_reclaim(&pool->ledger, 1))
        ;
    while (most && pool->n_resident > most && evict_one(pool))
        ;
}

/* 1 if a call of this tracker runs in this thread already: its source of frames has called it. */
static int is_inside(const trk_tracker *t)
{
    const trk_tracker *caller = in_call;
    while (caller && caller != t)
        caller = caller->caller;
    return caller != NULL;
}

trk_status trk_pool_enter(trk_tracker *t, trk_residence residence)
{
    trk_pool *pool = t->pool;
    trk_status rc = TRK_OK;
    if (is_inside(t))
        return TRK_FAIL(TRK_E_STATE, "the tracker is inside a call of its own");
    pthread_mutex_lock(&pool->mutex);
    take_turn(pool);
    t->busy = 1;
    t->last_used = ++pool->clock;
    pool->n_busy++;
    keep_limits(pool);
    t->caller = in_call;
    in_call = t;
    int returning = residence != TRK_ANYWHERE && !t->resident;
    if (returning) {
        rc = take_place(pool, t, t->caller ? TRK_RESIDENT_ALSO : residence);
        returning = rc >= 0;
    }
    if (rc >= 0)
        rc = take_seat(pool, t);
    const trk_workspace_sizes workspace = t->sizes.workspace;
    if (rc >= 0)
        t->seat->scratch.first_bytes = t->sizes.scratch;
    pthread_mutex_unlock(&pool->mutex);
    if (rc >= 0)
        rc = trk_exec_reserve(&t->seat->net.exec, &workspace);
    if (rc >= 0 && returning)
        rc = come_back(pool, t);
    if (rc >= 0)
        return rc;
    pthread_mutex_lock(&pool->mutex);
    if (returning) {
        t->resident = 0;
        pool->n_resident--;
    }
    pthread_mutex_unlock(&pool->mutex);
    trk_pool_exit(t);
    return rc;
}

/* Nothing is at work any more on what the call used. */
static void settle(trk_tracker *t)
{
    trk_exec_finish(&t->seat->net.exec);
    for (size_t i = 0; i < t->sweeper.n_holdings; i++)
        trk_arena_settle(&t->sweeper.holdings[i]->arena);
}

void trk_pool_exit(trk_tracker *t)
{
    trk_pool *pool = t->pool;
    if (t->seat)
        settle(t);
    pthread_mutex_lock(&pool->mutex);
    if (t->seat)
        give_seat(pool, t);
    t->busy = 0;
    pool->n_busy--;
    in_call = t->caller;
    t->caller = NULL;
    pthread_cond_broadcast(&pool->changed);
    pthread_mutex_unlock(&pool->mutex);
}

/* --- members -------------------------------------------------------------------------------------------------- */

void trk_pool_add(trk_pool *pool, trk_tracker *t)
{
    pthread_mutex_lock(&pool->mutex);
    t->next_in_pool = pool->trackers;
    pool->trackers = t;
    pool->n_trackers++;
    pool->n_references++;
    pthread_mutex_unlock(&pool->mutex);
}

void trk_pool_remove(trk_tracker *t)
{
    trk_pool *pool = t->pool;
    pthread_mutex_lock(&pool->mutex);
    trk_tracker **link = &pool->trackers;
    while (*link != t)
        link = &(*link)->next_in_pool;
    *link = t->next_in_pool;
    pool->n_trackers--;
    pool->n_busy -= t->busy != 0;
    if (t->resident)
        pool->n_resident--;
    pthread_cond_broadcast(&pool->changed);
    pthread_mutex_unlock(&pool->mutex);
}

/* --- life ----------------------------------------------------------------------------------------------------- */

static trk_status choose_budget(trk_pool *pool, const trk_pool_params *params)
{
    trk_ledger *model = &pool->model->network->ledger;
    const trk_device_memory *memory = pool->model->network->memory;
    const int on_gpu = !memory->on_host && pool->ledger.device == memory; /* else a plan, or the CPU */
    double share = params->budget_share ? params->budget_share : on_gpu ? DEFAULT_BUDGET_SHARE : 0.0;
    if (!(params->budget_share >= 0) || params->budget_share > 1)
        return TRK_FAIL(TRK_E_ARGUMENT, "budget_share %g: expected 0 to 1", params->budget_share);
    if (params->most_resident < 0)
        return TRK_FAIL(TRK_E_ARGUMENT, "most_resident %d: expected 0 or more", params->most_resident);
    if ((int)params->evict < TRK_EVICT_HOST || params->evict > TRK_EVICT_OFF)
        return TRK_FAIL(TRK_E_ARGUMENT, "evict %d: expected a trk_evict", (int)params->evict);
    trk_account has;
    trk_account_read(&model->account, &has);
    pool->ledger.budget = params->budget;
    if (!params->budget && share > 0) {
        size_t available = pool->ledger.device->available(pool->ledger.device);
        if (available == SIZE_MAX)
            return TRK_FAIL(TRK_E_UNSUPPORTED, "budget_share %g: how much memory is free is not known here", share);
        pool->ledger.budget = (size_t)(share * ((double)available + (double)has.total_now));
    }
    if (pool->ledger.budget && pool->ledger.budget < has.total_now)
        return TRK_FAIL(TRK_E_MEMORY, "the memory budget is %zu bytes; the model alone has %zu", pool->ledger.budget,
                        has.total_now);
    return TRK_OK;
}

static void init_sync(trk_pool *pool)
{
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE); /* reclaim may come while it is held */
    pthread_mutex_init(&pool->mutex, &attr);
    pthread_mutexattr_destroy(&attr);
    pthread_cond_init(&pool->changed, NULL);
}

trk_status trk_pool_open(trk_pool **out, const trk_model *model, const trk_pool_params *params,
                         const trk_device_memory *device)
{
    trk_status rc = TRK_OK;
    trk_pool *pool = trk_heap_zeroed(TRK_MEM_BANK, "pool of trackers", 1, sizeof *pool);
    if (!pool)
        return TRK_FAIL(TRK_E_MEMORY, "no memory for a pool of trackers");
    pool->model = model;
    pool->params = *params;
    pool->n_references = 1;
    init_sync(pool);
    trk_ledger_init(&pool->ledger, device);
    trk_ledger_init(&pool->host, &trk_host_memory);
    pool->ledger.under = &model->network->ledger;
    pool->ledger.reclaim = reclaim;
    pool->ledger.reclaim_user = pool;
    trk_chunk_pool_init(&pool->chunks, &pool->ledger);
    TRK_CHECK(choose_budget(pool, params));
    trk_bank_params bank = trk_bank_params_of(model, params->evict == TRK_EVICT_COMPACT);
    /* slots of a tracker that stays must not keep those of one that was evicted */
    bank.slots_per_slab = pool->ledger.budget ? 1 : TRK_BANK_SLAB;
    TRK_CHECK(trk_bank_init(&pool->bank, &pool->ledger, &pool->host, &bank));
    *out = pool;
    pool = NULL;
done:
    trk_pool_leave(pool);
    return rc;
}

void trk_pool_leave(trk_pool *pool)
{
    if (!pool)
        return;
    pthread_mutex_lock(&pool->mutex);
    int last = --pool->n_references == 0;
    if (last)
        free_idle_seats(pool);
    pthread_mutex_unlock(&pool->mutex);
    if (!last)
        return;
    trk_heap_release(pool->last_plan);
    trk_bank_release(&pool->bank);
    trk_chunk_pool_release(&pool->chunks);
    trk_ledger_destroy(&pool->ledger);
    trk_ledger_destroy(&pool->host);
    pthread_cond_destroy(&pool->changed);
    pthread_mutex_destroy(&pool->mutex);
    trk_heap_release(pool);
}

trk_status trk_pool_get_info(trk_pool *pool, trk_pool_info *out)
{
    trk_status rc = trk_out_check("trk_pool_get_info", pool, out, sizeof *out);
    if (rc < 0)
        return rc;
    pthread_mutex_lock(&pool->mutex);
    *out = (trk_pool_info){.struct_size = out->struct_size,
                           .budget = pool->ledger.budget,
                           .n_trackers = pool->n_trackers,
                           .n_resident = pool->n_resident,
                           .n_busy = pool->n_busy,
                           .n_evictions = pool->n_evictions,
                           .n_returns = pool->n_returns};
    for (const trk_tracker *t = pool->trackers; t; t = t->next_in_pool)
        out->bytes_evicted += t->evicted.bytes;
    pthread_mutex_unlock(&pool->mutex);
    return TRK_OK;
}
