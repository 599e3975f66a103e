/* SPDX-License-Identifier: Apache-2.0
 * The accounting: every byte is allocated here under a lifetime class, and is counted now and at its peak. The
 * model has one ledger, each tracker its own. */
#ifndef TRK_MEMORY_LEDGER_H
#define TRK_MEMORY_LEDGER_H

#include <stdint.h>

#include "allocator.h"

typedef struct trk_ledger {
    trk_allocator allocator; /* first: pass &ledger->allocator to code below memory/ */
    size_t now[TRK_MEM_CLASSES], peak[TRK_MEM_CLASSES]; /* bytes; atomics inside */
    size_t total_now, total_peak;
} trk_ledger;

void trk_ledger_init(trk_ledger *ledger);
/* Bytes change class without changing hands: a swept frame chunk becomes idle scratch, and back. */
void trk_ledger_move(trk_ledger *ledger, trk_mem_class from, trk_mem_class to, size_t bytes);
const char *trk_mem_class_name(trk_mem_class mem_class); /* "pinned" ... */

static inline void *trk_ledger_allocate(trk_ledger *l, trk_mem_class c, const char *owner, size_t bytes)
{
    return l->allocator.allocate(&l->allocator, c, owner, bytes);
}
static inline void trk_ledger_release(trk_ledger *l, trk_mem_class c, void *data, size_t bytes)
{
    l->allocator.release(&l->allocator, c, data, bytes);
}

#endif
