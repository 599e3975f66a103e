/* SPDX-License-Identifier: Apache-2.0
 * The selective sweeper: what is returned after a frame, and when. It owns the FRAME class of one tracker: a holding
 * per frame whose features still lie in memory, each with an arena of its own.
 *
 * Invariants
 * - It returns FRAME memory and nothing else: pinned tables, bank and scratch are not reachable from here.
 * - A locked holding is never swept; it is swept at once when its last lock goes and the rule would have had it.
 * - The newest holding (the frame being worked on) is locked by the tracker from begin to the end of its push.
 * - Whatever the rule, results are the same bits: features are only ever read, or computed again from the same frame.
 *
 * Who may free what: docs/memory.md. */
#ifndef TRK_MEMORY_SWEEPER_H
#define TRK_MEMORY_SWEEPER_H

#include "arena.h"

typedef enum trk_sweep_mode {
    TRK_SWEEPER_EVERY_N, /* after every n-th frame, all frames that came since (n = 1: after every frame) */
    /* when the ledger's bytes, idle chunks not counted, are above a share of its budget: oldest first until below */
    TRK_SWEEPER_ABOVE,
    TRK_SWEEPER_NEVER  /* only under pressure (trk_sweeper_reclaim) and at reset */
} trk_sweep_mode;

typedef struct trk_sweep_rule {
    trk_sweep_mode mode;
    int every;    /* EVERY_N: >= 1 */
    double above; /* ABOVE: share of the budget, 0..1 */
} trk_sweep_rule;

typedef struct trk_holding {
    int64_t frame;
    trk_arena arena;
    int n_locks;
    int due;       /* the rule wanted it while it was locked */
    void *payload; /* [payload_bytes] on the host, zeroed at begin: what the owner knows about the features */
} trk_holding;

typedef struct trk_sweeper {
    trk_chunk_pool *pool;  /* borrowed */
    trk_ledger *host;      /* borrowed: bookkeeping, class FRAME */
    trk_sweep_rule rule;
    size_t payload_bytes, frame_bytes; /* frame_bytes: planned size of a frame's arena, or 0 */
    trk_holding **holdings; /* [n_holdings] ascending by age: the newest last; owned */
    size_t n_holdings, capacity;
    int n_since;            /* EVERY_N: frames since the last sweep */
    uint64_t n_sweeps;      /* frames whose features were returned */
    /* Debug builds: called after each sweep, to check the pinned tables; or NULL */
    void (*verify)(void *user);
    void *verify_user;
} trk_sweeper;

/* TRK_E_ARGUMENT for a rule that makes no sense (ABOVE without a budget on the pool's ledger included). */
trk_status trk_sweeper_init(trk_sweeper *sweeper, trk_chunk_pool *pool, trk_ledger *host, trk_sweep_rule rule,
                            size_t payload_bytes);
void trk_sweeper_release(trk_sweeper *sweeper); /* sweeps everything, locked or not; accepts a zeroed struct */

/* A new holding for `frame`, with one lock; one of that frame that is still there goes first and leaves it its locks. */
trk_status trk_sweeper_begin(trk_sweeper *sweeper, int64_t frame, trk_holding **out);
trk_holding *trk_sweeper_find(const trk_sweeper *sweeper, int64_t frame); /* or NULL */
void trk_sweeper_lock(trk_holding *holding);
void trk_sweeper_unlock(trk_sweeper *sweeper, trk_holding *holding); /* may sweep it */
/* The frame is done: applies the rule. */
void trk_sweeper_after_frame(trk_sweeper *sweeper);
/* Sweeps every holding without a lock; returns the bytes. */
size_t trk_sweeper_reclaim(trk_sweeper *sweeper);
void trk_sweeper_rebase(trk_sweeper *sweeper, int64_t delta); /* adds delta to every frame number */

#endif
