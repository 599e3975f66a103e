/* SPDX-License-Identifier: Apache-2.0 */
#include "sweeper.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "log.h"

#define HELD_OWNER "held frame"

static size_t payload_offset(void)
{
    return trk_aligned(sizeof(trk_holding));
}

static size_t holding_bytes(const trk_sweeper *sweeper)
{
    return payload_offset() + sweeper->payload_bytes;
}

trk_status trk_sweeper_init(trk_sweeper *sweeper, trk_chunk_pool *pool, trk_ledger *host, trk_sweep_rule rule,
                            size_t payload_bytes)
{
    switch (rule.mode) {
    case TRK_SWEEPER_EVERY_N:
        if (rule.every < 1)
            return TRK_FAIL(TRK_E_ARGUMENT, "sweeping after every %d frames, expected 1 or more", rule.every);
        break;
    case TRK_SWEEPER_ABOVE:
        if (!(rule.above >= 0 && rule.above <= 1))
            return TRK_FAIL(TRK_E_ARGUMENT, "sweeping above %g of the budget, expected 0 to 1", rule.above);
        if (!pool->ledger->budget)
            return TRK_FAIL(TRK_E_ARGUMENT, "sweeping above %g of the budget, but there is no budget", rule.above);
        break;
    case TRK_SWEEPER_NEVER:
        break;
    default:
        return TRK_FAIL(TRK_E_ARGUMENT, "sweep rule %d, expected 0 to 2", (int)rule.mode);
    }
    *sweeper = (trk_sweeper){.pool = pool, .host = host, .rule = rule, .payload_bytes = payload_bytes};
    return TRK_OK;
}

static void log_sweep(const trk_sweeper *sweeper, int64_t frame, size_t bytes)
{
    char rule[32] = "never";
    if (sweeper->rule.mode == TRK_SWEEPER_EVERY_N)
        snprintf(rule, sizeof rule, "every %d", sweeper->rule.every);
    else if (sweeper->rule.mode == TRK_SWEEPER_ABOVE)
        snprintf(rule, sizeof rule, "above %.2f", sweeper->rule.above);
    trk_log(TRK_LOG_DEBUG, "sweep: frame %" PRId64 ", %zu bytes returned, rule %s", frame, bytes, rule);
}

/* Returns the bytes its arena held. */
static size_t sweep(trk_sweeper *sweeper, size_t i)
{
    trk_holding *holding = sweeper->holdings[i];
    size_t bytes = trk_arena_bytes(&holding->arena);
    sweeper->n_holdings--;
    memmove(&sweeper->holdings[i], &sweeper->holdings[i + 1], (sweeper->n_holdings - i) * sizeof *sweeper->holdings);
    trk_arena_sweep(&holding->arena);
    sweeper->n_sweeps++;
    log_sweep(sweeper, holding->frame, bytes);
    trk_ledger_release(sweeper->host, TRK_MEM_FRAME, holding, holding_bytes(sweeper));
#ifndef NDEBUG
    if (sweeper->verify)
        sweeper->verify(sweeper->verify_user);
#endif
    return bytes;
}

static size_t index_of(const trk_sweeper *sweeper, int64_t frame)
{
    size_t i = 0;
    while (i < sweeper->n_holdings && sweeper->holdings[i]->frame != frame)
        i++;
    return i;
}

void trk_sweeper_release(trk_sweeper *sweeper)
{
    while (sweeper->n_holdings)
        sweep(sweeper, 0);
    if (sweeper->host)
        trk_ledger_release(sweeper->host, TRK_MEM_FRAME, sweeper->holdings,
                           sweeper->capacity * sizeof *sweeper->holdings);
    *sweeper = (trk_sweeper){0};
}

/* Reclaiming may sweep holdings meanwhile: the list may then be shorter than it was, not longer. */
static trk_status grow(trk_sweeper *sweeper)
{
    trk_holding **list = trk_ledger_grown(sweeper->host, sweeper->holdings, &sweeper->capacity, sweeper->n_holdings + 1,
                                          sizeof *list, TRK_MEM_FRAME, "list of held frames");
    if (!list)
        return TRK_E_MEMORY;
    sweeper->holdings = list;
    return TRK_OK;
}

trk_status trk_sweeper_begin(trk_sweeper *sweeper, int64_t frame, trk_holding **out)
{
    size_t same = index_of(sweeper, frame);
    int n_locks = same < sweeper->n_holdings ? sweeper->holdings[same]->n_locks : 0;
    if (same < sweeper->n_holdings)
        sweep(sweeper, same);
    if (grow(sweeper) < 0)
        return TRK_E_MEMORY;
    size_t bytes = holding_bytes(sweeper);
    trk_holding *holding = trk_ledger_allocate(sweeper->host, TRK_MEM_FRAME, HELD_OWNER, bytes);
    if (!holding)
        return trk_ledger_fail(sweeper->host, bytes, "a " HELD_OWNER);
    memset(holding, 0, bytes);
    holding->frame = frame;
    holding->n_locks = n_locks + 1;
    holding->payload = (unsigned char *)holding + payload_offset();
    trk_arena_init(&holding->arena, sweeper->pool, TRK_MEM_FRAME, "features of a frame", sweeper->frame_bytes);
    sweeper->holdings[sweeper->n_holdings++] = holding;
    *out = holding;
    return TRK_OK;
}

trk_holding *trk_sweeper_find(const trk_sweeper *sweeper, int64_t frame)
{
    size_t i = index_of(sweeper, frame);
    return i < sweeper->n_holdings ? sweeper->holdings[i] : NULL;
}

void trk_sweeper_lock(trk_holding *holding)
{
    holding->n_locks++;
    trk_log(TRK_LOG_DEBUG, "lock: frame %" PRId64 ", %d locks", holding->frame, holding->n_locks);
}

void trk_sweeper_unlock(trk_sweeper *sweeper, trk_holding *holding)
{
    if (holding->n_locks == 0)
        return;
    holding->n_locks--;
    trk_log(TRK_LOG_DEBUG, "unlock: frame %" PRId64 ", %d locks", holding->frame, holding->n_locks);
    if (holding->n_locks == 0 && holding->due)
        sweep(sweeper, index_of(sweeper, holding->frame));
}

/* Idle chunks do not count: they are what a sweep makes, and the next frame's features take them again. */
static int is_above(const trk_sweeper *sweeper)
{
    trk_ledger *ledger = sweeper->pool->ledger;
    pthread_mutex_lock(&sweeper->pool->mutex);
    size_t idle = sweeper->pool->idle_bytes;
    pthread_mutex_unlock(&sweeper->pool->mutex);
    size_t left = trk_ledger_left(ledger), used = left < ledger->budget ? ledger->budget - left : 0;
    return (double)(used > idle ? used - idle : 0) > sweeper->rule.above * (double)ledger->budget;
}

/* Oldest first, as long as the rule wants it; a locked holding becomes due. */
static void sweep_while(trk_sweeper *sweeper, int (*wanted)(const trk_sweeper *))
{
    size_t i = 0;
    while (i < sweeper->n_holdings && (!wanted || wanted(sweeper)))
        if (sweeper->holdings[i]->n_locks)
            sweeper->holdings[i++]->due = 1;
        else
            sweep(sweeper, i);
}

void trk_sweeper_after_frame(trk_sweeper *sweeper)
{
    if (sweeper->rule.mode == TRK_SWEEPER_ABOVE)
        sweep_while(sweeper, is_above);
    if (sweeper->rule.mode != TRK_SWEEPER_EVERY_N || ++sweeper->n_since < sweeper->rule.every)
        return;
    sweep_while(sweeper, NULL);
    sweeper->n_since = 0;
}

size_t trk_sweeper_reclaim(trk_sweeper *sweeper)
{
    size_t bytes = 0, i = 0;
    while (i < sweeper->n_holdings)
        if (sweeper->holdings[i]->n_locks)
            i++;
        else
            bytes += sweep(sweeper, i);
    return bytes;
}

void trk_sweeper_rebase(trk_sweeper *sweeper, int64_t delta)
{
    for (size_t i = 0; i < sweeper->n_holdings; i++)
        sweeper->holdings[i]->frame += delta;
}
