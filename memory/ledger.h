/* SPDX-License-Identifier: Apache-2.0
 * The accounting: every byte of a device is allocated through a ledger, under a lifetime class and an owner's name, and
 * counted now and at its peak. A model has one (pinned), a pool of trackers one for its device and one for the host.
 *
 * Invariants
 * - An allocation never takes the bytes of the ledger and of the one under it above the budget: it is refused, after the
 *   reclaim function was asked for what can be spared. What the ledger under it takes later (operators of shapes that
 *   come up) is within under_at_least as planned; beyond, it is an excess that the pool makes up for with the next call.
 * - Every allocation is in the table of live ones, with class, owner and size; releasing what is not there aborts in
 *   Debug builds and is ignored with an error line otherwise.
 * Thread safe, but for init and destroy. The reclaim function is called without the ledger's mutex held; who calls
 * trk_ledger_allocate or trk_ledger_reclaim holds no mutex of memory/ either, because reclaiming takes them (order:
 * pool of trackers, bank or chunk pool, ledger, account). */
#ifndef TRK_MEMORY_LEDGER_H
#define TRK_MEMORY_LEDGER_H

#include <stdint.h>

#include "account.h"
#include "device.h"

typedef struct trk_live_block trk_live_block;

typedef struct trk_ledger {
    trk_allocator allocator;         /* first: pass &ledger->allocator to code below memory/ */
    const trk_device_memory *device; /* borrowed, static */
    trk_account account;
    struct trk_ledger *under;        /* its bytes count against this ledger's budget too; or NULL */
    size_t under_at_least;           /* bytes that count for `under` even while it has less: room for it to grow */
    size_t budget;                   /* bytes; 0: none */
    /* Frees what can be spared; returns 1 when something was freed, so that trying again makes sense. */
    int (*reclaim)(void *user, size_t bytes);
    void *reclaim_user;
    pthread_mutex_t mutex;           /* of what follows */
    trk_live_block *live;            /* open-addressing table by address; owned, on the heap */
    size_t n_live, live_capacity;
    size_t in_transit;               /* bytes being asked of the device or given back to it; they count as in use */
} trk_ledger;

void trk_ledger_init(trk_ledger *ledger, const trk_device_memory *device);
/* Everything was released; what was not is logged as an error by owner. Accepts a zeroed struct. */
void trk_ledger_destroy(trk_ledger *ledger);
/* The block at `data` becomes another class and owner: a swept frame chunk becomes idle scratch, and back. */
void trk_ledger_move(trk_ledger *ledger, void *data, trk_mem_class to, const char *owner);
/* As trk_ledger_allocate, but does not ask for anything to be reclaimed. For pools that must look at their own free
 * lists again after a reclaim: try, reclaim, look, and so on until reclaim returns 0. */
void *trk_ledger_try(trk_ledger *ledger, trk_mem_class mem_class, const char *owner, size_t bytes);
int trk_ledger_reclaim(trk_ledger *ledger, size_t bytes); /* 0: nothing (more) could be freed */
/* Bytes that could still be allocated: what the budget leaves; SIZE_MAX without a budget. */
size_t trk_ledger_left(trk_ledger *ledger);
size_t trk_ledger_excess(trk_ledger *ledger); /* bytes above the budget; 0 without one */
/* Records TRK_E_MEMORY: "no memory for N bytes of WHAT: U of B bytes in use (pinned P, bank K, frame F, scratch S)" */
trk_status trk_ledger_fail(trk_ledger *ledger, size_t bytes, const char *what);

/* A list with room for `needed` elements of `size` bytes, as trk_heap_grown has them: `data` if *capacity says so, else
 * a larger block that what `data` held was moved to. Memory may have been reclaimed when it returns. NULL, recorded as
 * "no memory for N bytes of OWNER": data and *capacity stay. */
void *trk_ledger_grown(trk_ledger *ledger, void *data, size_t *capacity, size_t needed, size_t size,
                       trk_mem_class mem_class, const char *owner);

static inline void *trk_ledger_allocate(trk_ledger *l, trk_mem_class c, const char *owner, size_t bytes)
{
    return l->allocator.allocate(&l->allocator, c, owner, bytes);
}
/* class and bytes must be those of the allocation; accepts NULL */
static inline void trk_ledger_release(trk_ledger *l, trk_mem_class c, void *data, size_t bytes)
{
    l->allocator.release(&l->allocator, c, data, bytes);
}

#endif
