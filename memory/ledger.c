/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger.h"

#include <stdlib.h>

#include "log.h"

static void raise_peak(size_t *peak, size_t value)
{
    size_t seen = __atomic_load_n(peak, __ATOMIC_RELAXED);
    while (value > seen && !__atomic_compare_exchange_n(peak, &seen, value, 1, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
}

static void count_in(trk_ledger *ledger, trk_mem_class mem_class, size_t bytes)
{
    raise_peak(&ledger->peak[mem_class], __atomic_add_fetch(&ledger->now[mem_class], bytes, __ATOMIC_RELAXED));
    raise_peak(&ledger->total_peak, __atomic_add_fetch(&ledger->total_now, bytes, __ATOMIC_RELAXED));
}

static void count_out(trk_ledger *ledger, trk_mem_class mem_class, size_t bytes)
{
    __atomic_sub_fetch(&ledger->now[mem_class], bytes, __ATOMIC_RELAXED);
    __atomic_sub_fetch(&ledger->total_now, bytes, __ATOMIC_RELAXED);
}

static void *allocate_counted(trk_allocator *self, trk_mem_class mem_class, const char *owner, size_t bytes)
{
    void *data = NULL;
    if (bytes == 0 || posix_memalign(&data, TRK_ALIGNMENT, bytes) != 0)
        return NULL;
    count_in((trk_ledger *)(void *)self, mem_class, bytes);
    trk_log(TRK_LOG_DEBUG, "memory: + %zu bytes %s (%s)", bytes, trk_mem_class_name(mem_class), owner);
    return data;
}

static void release_counted(trk_allocator *self, trk_mem_class mem_class, void *data, size_t bytes)
{
    if (!data)
        return;
    count_out((trk_ledger *)(void *)self, mem_class, bytes);
    free(data);
}

void trk_ledger_init(trk_ledger *ledger)
{
    *ledger = (trk_ledger){.allocator = {allocate_counted, release_counted}};
}

void trk_ledger_move(trk_ledger *ledger, trk_mem_class from, trk_mem_class to, size_t bytes)
{
    if (from == to)
        return;
    __atomic_sub_fetch(&ledger->now[from], bytes, __ATOMIC_RELAXED);
    raise_peak(&ledger->peak[to], __atomic_add_fetch(&ledger->now[to], bytes, __ATOMIC_RELAXED));
}

const char *trk_mem_class_name(trk_mem_class mem_class)
{
    static const char *const names[TRK_MEM_CLASSES] = {"pinned", "bank", "frame", "scratch"};
    return names[mem_class];
}
