/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "heap.h"
#include "log.h"

struct trk_live_block {
    void *data; /* NULL: empty */
    size_t bytes;
    const char *owner;
    trk_mem_class mem_class;
};

#define FIRST_CAPACITY 64 /* a power of two; at most three quarters are taken */

/* --- table of live blocks, under the mutex --- */

static size_t home_of(const trk_ledger *ledger, const void *data)
{
    uint64_t hash = (uint64_t)((uintptr_t)data / TRK_ALIGNMENT) * 0x9e3779b97f4a7c15u;
    return (size_t)(hash >> 32) & (ledger->live_capacity - 1);
}

static trk_live_block *find_place(const trk_ledger *ledger, const void *data)
{
    size_t i = home_of(ledger, data);
    while (ledger->live[i].data && ledger->live[i].data != data)
        i = (i + 1) & (ledger->live_capacity - 1);
    return &ledger->live[i];
}

static trk_live_block *find_block(const trk_ledger *ledger, const void *data)
{
    trk_live_block *block = ledger->live_capacity ? find_place(ledger, data) : NULL;
    return block && block->data ? block : NULL;
}

static int make_room(trk_ledger *ledger)
{
    if (4 * (ledger->n_live + 1) <= 3 * ledger->live_capacity)
        return 1;
    trk_live_block *old = ledger->live;
    size_t n_old = ledger->live_capacity, capacity = n_old ? 2 * n_old : FIRST_CAPACITY;
    trk_live_block *live = trk_heap_zeroed(TRK_MEM_BANK, "table of live blocks", capacity, sizeof *live);
    if (!live)
        return 0;
    ledger->live = live;
    ledger->live_capacity = capacity;
    for (size_t i = 0; i < n_old; i++)
        if (old[i].data)
            *find_place(ledger, old[i].data) = old[i];
    trk_heap_release(old);
    return 1;
}

/* Later blocks of the same run move up, so that none is cut off from its home by the hole. */
static void erase_block(trk_ledger *ledger, trk_live_block *block)
{
    size_t mask = ledger->live_capacity - 1, hole = (size_t)(block - ledger->live);
    for (size_t i = (hole + 1) & mask; ledger->live[i].data; i = (i + 1) & mask) {
        size_t home = home_of(ledger, ledger->live[i].data);
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            ledger->live[hole] = ledger->live[i];
            hole = i;
        }
    }
    ledger->live[hole].data = NULL;
    ledger->n_live--;
}

/* --- counting --- */

static size_t total_of(trk_ledger *ledger)
{
    pthread_mutex_lock(&ledger->account.mutex);
    size_t total = ledger->account.total_now;
    pthread_mutex_unlock(&ledger->account.mutex);
    return total;
}

static size_t used_locked(trk_ledger *ledger)
{
    size_t under = ledger->under ? total_of(ledger->under) : 0;
    under = under > ledger->under_at_least ? under : ledger->under_at_least;
    return total_of(ledger) + ledger->in_transit + under;
}

static size_t left_locked(trk_ledger *ledger)
{
    size_t used = ledger->budget ? used_locked(ledger) : 0;
    return !ledger->budget ? SIZE_MAX : used < ledger->budget ? ledger->budget - used : 0;
}

size_t trk_ledger_excess(trk_ledger *ledger)
{
    pthread_mutex_lock(&ledger->mutex);
    size_t used = ledger->budget ? used_locked(ledger) : 0;
    pthread_mutex_unlock(&ledger->mutex);
    return used > ledger->budget ? used - ledger->budget : 0;
}

size_t trk_ledger_left(trk_ledger *ledger)
{
    pthread_mutex_lock(&ledger->mutex);
    size_t left = left_locked(ledger);
    pthread_mutex_unlock(&ledger->mutex);
    return left;
}

/* Takes the bytes out of the budget while the device is asked for them without the mutex. */
static int begin_transit(trk_ledger *ledger, size_t bytes)
{
    pthread_mutex_lock(&ledger->mutex);
    int fits = bytes <= left_locked(ledger);
    if (fits)
        ledger->in_transit += bytes;
    pthread_mutex_unlock(&ledger->mutex);
    return fits;
}

static void end_transit(trk_ledger *ledger, size_t bytes)
{
    pthread_mutex_lock(&ledger->mutex);
    ledger->in_transit -= bytes;
    pthread_mutex_unlock(&ledger->mutex);
}

/* The bytes become a live block; 0 when the table has no memory to grow. */
static int enter_block(trk_ledger *ledger, const trk_live_block *block)
{
    pthread_mutex_lock(&ledger->mutex);
    int entered = make_room(ledger);
    if (entered) {
        *find_place(ledger, block->data) = *block;
        ledger->n_live++;
        ledger->in_transit -= block->bytes;
        trk_account_add(&ledger->account, block->mem_class, block->owner, block->bytes);
    }
    pthread_mutex_unlock(&ledger->mutex);
    return entered;
}

void *trk_ledger_try(trk_ledger *ledger, trk_mem_class mem_class, const char *owner, size_t bytes)
{
    const trk_device_memory *device = ledger->device;
    if (bytes == 0 || bytes > SIZE_MAX / 2 || !begin_transit(ledger, bytes))
        return NULL;
    trk_live_block block = {device->allocate(device, mem_class, owner, bytes), bytes, owner, mem_class};
    if (block.data && !enter_block(ledger, &block)) {
        device->release(device, block.data, bytes);
        block.data = NULL;
    }
    if (!block.data) {
        end_transit(ledger, bytes);
        return NULL;
    }
    trk_log(TRK_LOG_DEBUG, "memory: + %zu bytes %s (%s) on %s", bytes, trk_mem_class_name(mem_class), owner,
            device->name);
    return block.data;
}

int trk_ledger_reclaim(trk_ledger *ledger, size_t bytes)
{
    const trk_device_memory *device = ledger->device;
    if (device->is_closed && device->is_closed(device))
        return 0;
    return ledger->reclaim ? ledger->reclaim(ledger->reclaim_user, bytes) : 0;
}

static void *allocate_counted(trk_allocator *self, trk_mem_class mem_class, const char *owner, size_t bytes)
{
    trk_ledger *ledger = (trk_ledger *)(void *)self;
    void *data = NULL;
    if (bytes == 0 || bytes > SIZE_MAX / 2)
        return NULL;
    do
        data = trk_ledger_try(ledger, mem_class, owner, bytes);
    while (!data && trk_ledger_reclaim(ledger, bytes));
    return data;
}

static void complain(const trk_ledger *ledger, const void *data, const char *what)
{
    trk_log(TRK_LOG_ERROR, "memory: %p on %s: %s", data, ledger->device->name, what);
#ifndef NDEBUG
    abort();
#endif
}

static void release_counted(trk_allocator *self, trk_mem_class mem_class, void *data, size_t bytes)
{
    trk_ledger *ledger = (trk_ledger *)(void *)self;
    if (!data)
        return;
    pthread_mutex_lock(&ledger->mutex);
    trk_live_block *found = find_block(ledger, data), block = {0};
    if (found) {
        block = *found;
        erase_block(ledger, found);
        trk_account_remove(&ledger->account, block.mem_class, block.owner, block.bytes);
        ledger->in_transit += block.bytes;
    }
    pthread_mutex_unlock(&ledger->mutex);
    if (!found) {
        complain(ledger, data, "released, but not a live block");
        return;
    }
    if (block.bytes != bytes || block.mem_class != mem_class)
        complain(ledger, data, "released with another size or class than it was allocated with");
    ledger->device->release(ledger->device, data, block.bytes);
    end_transit(ledger, block.bytes);
    trk_log(TRK_LOG_DEBUG, "memory: - %zu bytes %s (%s) on %s", block.bytes, trk_mem_class_name(block.mem_class),
            block.owner, ledger->device->name);
}

void trk_ledger_move(trk_ledger *ledger, void *data, trk_mem_class to, const char *owner)
{
    pthread_mutex_lock(&ledger->mutex);
    trk_live_block *block = find_block(ledger, data);
    if (block) {
        trk_account_move(&ledger->account, block->mem_class, block->owner, to, owner, block->bytes);
        block->mem_class = to;
        block->owner = owner;
        if (ledger->device->move)
            ledger->device->move(ledger->device, data, to, owner);
    }
    pthread_mutex_unlock(&ledger->mutex);
    if (!block)
        complain(ledger, data, "moved to another class, but not a live block");
}

trk_status trk_ledger_fail(trk_ledger *ledger, size_t bytes, const char *what)
{
    trk_account used;
    trk_account_read(&ledger->account, &used);
    if (ledger->under) {
        trk_account under;
        trk_account_read(&ledger->under->account, &under);
        used.total_now += under.total_now;
        for (int i = 0; i < TRK_MEM_CLASSES; i++)
            used.now[i] += under.now[i];
    }
    char of[32] = "";
    if (ledger->budget)
        snprintf(of, sizeof of, " of %zu", ledger->budget);
    return TRK_FAIL(TRK_E_MEMORY,
                    "no memory for %zu bytes of %s: %zu%s bytes in use (pinned %zu, bank %zu, frame %zu, scratch %zu)",
                    bytes, what, used.total_now, of, used.now[TRK_MEM_PINNED], used.now[TRK_MEM_BANK],
                    used.now[TRK_MEM_FRAME], used.now[TRK_MEM_SCRATCH]);
}

void trk_ledger_init(trk_ledger *ledger, const trk_device_memory *device)
{
    *ledger = (trk_ledger){.allocator = {allocate_counted, release_counted}, .device = device};
    trk_account_init(&ledger->account);
    pthread_mutex_init(&ledger->mutex, NULL);
}

void trk_ledger_destroy(trk_ledger *ledger)
{
    if (!ledger->device)
        return;
    for (size_t i = 0; i < ledger->account.n_owners; i++) {
        const trk_owner_use *use = &ledger->account.owners[i];
        if (use->n_now)
            trk_log(TRK_LOG_ERROR, "memory: %zu blocks, %zu bytes of %s (%s) on %s were never released", use->n_now,
                    use->now, use->owner, trk_mem_class_name(use->mem_class), ledger->device->name);
    }
    trk_heap_release(ledger->live);
    trk_account_destroy(&ledger->account);
    pthread_mutex_destroy(&ledger->mutex);
    *ledger = (trk_ledger){0};
}

void *trk_ledger_grown(trk_ledger *ledger, void *data, size_t *capacity, size_t needed, size_t size,
                       trk_mem_class mem_class, const char *owner)
{
    enum { FEWEST = 4 };
    const size_t wanted = trk_grown_capacity(*capacity, needed, FEWEST);
    size_t bytes;
    if (needed <= *capacity)
        return data;
    if (__builtin_mul_overflow(wanted, size, &bytes))
        bytes = SIZE_MAX;
    void *out = trk_ledger_allocate(ledger, mem_class, owner, bytes);
    if (!out) {
        trk_ledger_fail(ledger, bytes, owner);
        return NULL;
    }
    if (data)
        memcpy(out, data, *capacity * size);
    trk_ledger_release(ledger, mem_class, data, *capacity * size);
    *capacity = wanted;
    return out;
}
