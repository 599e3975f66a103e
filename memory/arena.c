/* SPDX-License-Identifier: Apache-2.0 */
#include "arena.h"

#include <string.h>

#include "heap.h"
#include "log.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TRK_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(TRK_ASAN)
#undef TRK_ASAN
#define TRK_ASAN 1
#include <sanitizer/asan_interface.h>
#else
#define TRK_ASAN 0
#endif

#define MIN_CHUNK ((size_t)1 << 20)

struct trk_chunk {
    trk_chunk *next;     /* below on a stack, larger in the pool */
    unsigned char *data; /* on the device */
    size_t size, used;   /* bytes in all, handed out */
};

static size_t round_up(size_t bytes, size_t to)
{
    return (bytes + to - 1) / to * to;
}

/* --- poison --- */

/* Nobody may address these bytes. */
static void close_bytes(const trk_chunk_pool *pool, const unsigned char *data, size_t bytes)
{
#if TRK_ASAN
    if (pool->ledger->device->on_host)
        __asan_poison_memory_region(data, bytes);
#endif
}

static void open_bytes(const trk_chunk_pool *pool, const unsigned char *data, size_t bytes)
{
#if TRK_ASAN
    if (pool->ledger->device->on_host)
        __asan_unpoison_memory_region(data, bytes);
#endif
}

/* What was taken back must not be read again: makes it fail loudly. */
static void poison(const trk_chunk_pool *pool, unsigned char *data, size_t bytes)
{
    if (TRK_ASAN || trk_device_poisons())
        pool->ledger->device->fill(pool->ledger->device, data, 0xff, bytes);
    close_bytes(pool, data, bytes);
}

/* --- pool of chunks --- */

void trk_chunk_pool_init(trk_chunk_pool *pool, trk_ledger *ledger)
{
    *pool = (trk_chunk_pool){.ledger = ledger};
    pthread_mutex_init(&pool->mutex, NULL);
}

void trk_chunk_pool_release(trk_chunk_pool *pool)
{
    if (!pool->ledger)
        return;
    trk_chunk_pool_trim(pool, SIZE_MAX);
    pthread_mutex_destroy(&pool->mutex);
    *pool = (trk_chunk_pool){0};
}

/* The smallest idle chunk of size .. most bytes. */
static trk_chunk *take_idle(trk_chunk_pool *pool, size_t size, size_t most)
{
    pthread_mutex_lock(&pool->mutex);
    trk_chunk **link = &pool->idle;
    while (*link && (*link)->size < size)
        link = &(*link)->next;
    trk_chunk *chunk = *link;
    if (chunk && chunk->size > most)
        chunk = NULL;
    if (chunk) {
        *link = chunk->next;
        pool->idle_bytes -= chunk->size;
        pool->n_reused++;
    }
    pthread_mutex_unlock(&pool->mutex);
    return chunk;
}

/* The chunk is counted as idle already. */
static void give_idle(trk_chunk_pool *pool, trk_chunk *chunk)
{
    pthread_mutex_lock(&pool->mutex);
    trk_chunk **link = &pool->idle;
    while (*link && (*link)->size < chunk->size)
        link = &(*link)->next;
    chunk->next = *link;
    chunk->used = 0;
    *link = chunk;
    pool->idle_bytes += chunk->size;
    pthread_mutex_unlock(&pool->mutex);
}

size_t trk_chunk_pool_trim(trk_chunk_pool *pool, size_t bytes)
{
    size_t freed = 0;
    while (freed < bytes) {
        pthread_mutex_lock(&pool->mutex);
        trk_chunk *chunk = pool->idle;
        if (chunk) {
            pool->idle = chunk->next;
            pool->idle_bytes -= chunk->size;
        }
        pthread_mutex_unlock(&pool->mutex);
        if (!chunk)
            break;
        open_bytes(pool, chunk->data, chunk->size);
        freed += chunk->size;
        trk_ledger_release(pool->ledger, TRK_MEM_SCRATCH, chunk->data, chunk->size);
        trk_heap_release(chunk);
    }
    return freed;
}

/* A chunk of size .. most bytes counted under class and owner: an idle one, else from the device, else what reclaiming
 * frees. */
static trk_chunk *obtain_chunk(trk_chunk_pool *pool, trk_mem_class mem_class, const char *owner, size_t size, size_t most)
{
    trk_chunk *idle = take_idle(pool, size, most);
    trk_chunk *fresh = idle ? NULL : trk_heap_zeroed(TRK_MEM_SCRATCH, "descriptors of chunks", 1, sizeof *fresh);
    while (!idle && fresh) {
        fresh->data = trk_ledger_try(pool->ledger, mem_class, owner, size);
        if (fresh->data) {
            fresh->size = size;
            close_bytes(pool, fresh->data, size);
            return fresh;
        }
        if (!trk_ledger_reclaim(pool->ledger, size))
            break;
        idle = take_idle(pool, size, most);
    }
    trk_heap_release(fresh);
    if (!idle)
        return NULL;
    trk_ledger_move(pool->ledger, idle->data, mem_class, owner);
    trk_log(TRK_LOG_DEBUG, "memory: idle chunk of %zu bytes reused for %s", idle->size, owner);
    return idle;
}

/* The largest chunk that is taken for a planned one of `size`. */
static size_t most_for_planned(size_t size)
{
    return size + size / 8;
}

/* Counted as idle, touched. */
static trk_status new_chunk(trk_chunk_pool *pool, size_t size, trk_chunk **out)
{
    trk_chunk *chunk = trk_heap_zeroed(TRK_MEM_SCRATCH, "descriptors of chunks", 1, sizeof *chunk);
    if (chunk)
        chunk->data = trk_ledger_allocate(pool->ledger, TRK_MEM_SCRATCH, "idle chunks", size);
    if (!chunk || !chunk->data) {
        trk_heap_release(chunk);
        return trk_ledger_fail(pool->ledger, size, "a reserved chunk");
    }
    chunk->size = size;
    pool->ledger->device->fill(pool->ledger->device, chunk->data, 0xff, size);
    close_bytes(pool, chunk->data, size);
    *out = chunk;
    return TRK_OK;
}

trk_status trk_chunk_pool_claim(trk_chunk_pool *pool, size_t bytes, trk_chunk **claimed)
{
    if (bytes > SIZE_MAX / 2)
        return trk_ledger_fail(pool->ledger, bytes, "a reserved chunk");
    const size_t size = trk_aligned(bytes ? bytes : 1);
    trk_chunk *chunk = take_idle(pool, size, most_for_planned(size));
    trk_status rc = chunk ? TRK_OK : new_chunk(pool, size, &chunk);
    if (rc < 0)
        return rc;
    chunk->next = *claimed;
    *claimed = chunk;
    return TRK_OK;
}

void trk_chunk_pool_offer(trk_chunk_pool *pool, trk_chunk **claimed)
{
    while (*claimed) {
        trk_chunk *chunk = *claimed;
        *claimed = chunk->next;
        give_idle(pool, chunk);
    }
}

/* --- arenas --- */

void trk_arena_init(trk_arena *arena, trk_chunk_pool *pool, trk_mem_class mem_class, const char *owner,
                    size_t first_bytes)
{
    *arena = (trk_arena){.pool = pool, .mem_class = mem_class, .owner = owner, .first_bytes = first_bytes};
}

static trk_chunk *take_resting(trk_arena *arena, size_t size, size_t most)
{
    for (trk_chunk **link = &arena->resting; *link; link = &(*link)->next)
        if ((*link)->size >= size && (*link)->size <= most) {
            trk_chunk *chunk = *link;
            *link = chunk->next;
            chunk->used = 0;
            return chunk;
        }
    return NULL;
}

/* The first chunk is what was planned, so that a reserved one fits and none is taken that was planned for another arena;
 * others are coarse, to be reused. */
static int push_chunk(trk_arena *arena, size_t bytes)
{
    int planned = !arena->top && arena->first_bytes >= bytes && arena->first_bytes > 0;
    size_t size = planned ? trk_aligned(arena->first_bytes) : round_up(bytes ? bytes : 1, MIN_CHUNK);
    size_t most = planned ? most_for_planned(size) : size > MIN_CHUNK ? 4 * size : 4 * MIN_CHUNK;
    trk_chunk *chunk = take_resting(arena, size, most);
    if (!chunk)
        chunk = obtain_chunk(arena->pool, arena->mem_class, arena->owner, size, most);
    if (!chunk)
        return 0;
    chunk->next = arena->top;
    arena->top = chunk;
    return 1;
}

void *trk_arena_allocate(trk_arena *arena, size_t bytes)
{
    if (bytes > SIZE_MAX / 2)
        return NULL;
    bytes = trk_aligned(bytes);
    if ((!arena->top || arena->top->size - arena->top->used < bytes) && !push_chunk(arena, bytes))
        return NULL;
    unsigned char *data = arena->top->data + arena->top->used;
    arena->top->used += bytes;
    open_bytes(arena->pool, data, bytes);
    size_t in_use = trk_arena_bytes(arena);
    arena->peak = in_use > arena->peak ? in_use : arena->peak;
    return data;
}

trk_arena_mark trk_arena_here(const trk_arena *arena)
{
    return (trk_arena_mark){arena->top, arena->top ? arena->top->used : 0};
}

static void retire(trk_chunk_pool *pool, trk_chunk *chunk)
{
    trk_ledger_move(pool->ledger, chunk->data, TRK_MEM_SCRATCH, "idle chunks");
    give_idle(pool, chunk);
}

void trk_arena_settle(trk_arena *arena)
{
    while (arena->resting) {
        trk_chunk *chunk = arena->resting;
        arena->resting = chunk->next;
        poison(arena->pool, chunk->data, chunk->size);
        retire(arena->pool, chunk);
    }
}

void trk_arena_rewind(trk_arena *arena, trk_arena_mark mark)
{
    trk_chunk_pool *pool = arena->pool;
    const int works_later = pool->ledger->device->works_later;
    while (arena->top != mark.top) {
        trk_chunk *chunk = arena->top;
        arena->top = chunk->next;
        if (!works_later) {
            poison(pool, chunk->data, chunk->used);
            retire(pool, chunk);
            continue;
        }
        chunk->next = arena->resting;
        arena->resting = chunk;
    }
    if (arena->top) {
        if (!works_later) /* else work on it may still be under way */
            poison(pool, arena->top->data + mark.used, arena->top->used - mark.used);
        arena->top->used = mark.used;
    }
}

void trk_arena_sweep(trk_arena *arena)
{
    if (arena->pool)
        trk_arena_rewind(arena, (trk_arena_mark){NULL, 0});
    trk_arena_settle(arena);
}

size_t trk_arena_bytes(const trk_arena *arena)
{
    size_t bytes = 0;
    for (const trk_chunk *chunk = arena->top; chunk; chunk = chunk->next)
        bytes += chunk->used;
    return bytes;
}
