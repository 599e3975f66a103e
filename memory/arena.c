/* SPDX-License-Identifier: Apache-2.0 */
#include "arena.h"

#include <string.h>

#define MIN_CHUNK ((size_t)1 << 20)

struct trk_chunk {
    trk_chunk *next; /* below on a stack, larger in the pool */
    size_t size;     /* bytes in all, this header included */
    size_t used;     /* bytes handed out, header included */
};

static const size_t header_bytes = (sizeof(trk_chunk) + TRK_ALIGNMENT - 1) / TRK_ALIGNMENT * TRK_ALIGNMENT;

void trk_chunk_pool_init(trk_chunk_pool *pool, trk_ledger *ledger)
{
    *pool = (trk_chunk_pool){ledger, NULL};
}

void trk_chunk_pool_release(trk_chunk_pool *pool)
{
    while (pool->idle) {
        trk_chunk *chunk = pool->idle;
        pool->idle = chunk->next;
        trk_ledger_release(pool->ledger, TRK_MEM_SCRATCH, chunk, chunk->size);
    }
}

/* The smallest idle chunk of at least `size`, unless it would waste more than three quarters of itself. */
static trk_chunk *take_idle(trk_chunk_pool *pool, size_t size)
{
    trk_chunk **link = &pool->idle;
    while (*link && (*link)->size < size)
        link = &(*link)->next;
    trk_chunk *chunk = *link;
    if (!chunk || (chunk->size > 4 * MIN_CHUNK && chunk->size / 4 > size))
        return NULL;
    *link = chunk->next;
    return chunk;
}

static void give_idle(trk_chunk_pool *pool, trk_chunk *chunk)
{
    trk_chunk **link = &pool->idle;
    while (*link && (*link)->size < chunk->size)
        link = &(*link)->next;
    chunk->next = *link;
    *link = chunk;
}

static trk_chunk *take_chunk(trk_arena *arena, size_t size)
{
    trk_chunk_pool *pool = arena->pool;
    trk_chunk *chunk = take_idle(pool, size);
    if (chunk) {
        trk_ledger_move(pool->ledger, TRK_MEM_SCRATCH, arena->mem_class, chunk->size);
        return chunk;
    }
    size = (size + MIN_CHUNK - 1) / MIN_CHUNK * MIN_CHUNK;
    chunk = trk_ledger_allocate(pool->ledger, arena->mem_class, "arena chunk", size);
    if (chunk)
        chunk->size = size;
    return chunk;
}

void trk_arena_init(trk_arena *arena, trk_chunk_pool *pool, trk_mem_class mem_class)
{
    *arena = (trk_arena){pool, mem_class, NULL};
}

void *trk_arena_allocate(trk_arena *arena, size_t bytes)
{
    if (bytes > SIZE_MAX / 2)
        return NULL;
    bytes = (bytes + TRK_ALIGNMENT - 1) / TRK_ALIGNMENT * TRK_ALIGNMENT;
    trk_chunk *top = arena->top;
    if (!top || top->size - top->used < bytes) {
        trk_chunk *chunk = take_chunk(arena, header_bytes + bytes);
        if (!chunk)
            return NULL;
        chunk->used = header_bytes;
        chunk->next = top;
        arena->top = top = chunk;
    }
    void *data = (unsigned char *)top + top->used;
    top->used += bytes;
    return data;
}

trk_arena_mark trk_arena_here(const trk_arena *arena)
{
    return (trk_arena_mark){arena->top, arena->top ? arena->top->used : 0};
}

void trk_arena_rewind(trk_arena *arena, trk_arena_mark mark)
{
    while (arena->top != mark.top) {
        trk_chunk *chunk = arena->top;
        arena->top = chunk->next;
        trk_ledger_move(arena->pool->ledger, arena->mem_class, TRK_MEM_SCRATCH, chunk->size);
        give_idle(arena->pool, chunk);
    }
    if (arena->top) {
#ifndef NDEBUG
        /* what was taken back must not be read again: make it fail loudly */
        memset((unsigned char *)arena->top + mark.used, 0xff, arena->top->used - mark.used);
#endif
        arena->top->used = mark.used;
    }
}

void trk_arena_sweep(trk_arena *arena)
{
    if (arena->pool)
        trk_arena_rewind(arena, (trk_arena_mark){NULL, 0});
}
