/* SPDX-License-Identifier: Apache-2.0
 * The accounting: every byte is allocated here under a lifetime class, and is counted now and at its peak. A ledger may
 * have a parent, to which everything is counted as well (a tracker's ledger reports to nobody else; the model has its
 * own). */
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
