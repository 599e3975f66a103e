/* SPDX-License-Identifier: Apache-2.0
 * Arenas: memory that is handed out by bumping a pointer and taken back all at once. A tracker has two, over one pool
 * of chunks: FRAME (features, until the sweep) and SCRATCH (temporaries, rewound at the end of each stage).
 *
 * Invariants
 * - A chunk is in exactly one place: on an arena's stack or idle in the pool. Idle chunks count as SCRATCH.
 * - Rewinding returns chunks to the pool, never to the system: after the first frames nothing is allocated any more.
 * - Sweeping an arena is rewinding it to empty; nothing outside it may still point into it. */
#ifndef TRK_MEMORY_ARENA_H
#define TRK_MEMORY_ARENA_H

#include "ledger.h"

typedef struct trk_chunk trk_chunk;

typedef struct trk_chunk_pool {
    trk_ledger *ledger; /* borrowed */
    trk_chunk *idle;    /* ascending by size; owned */
} trk_chunk_pool;

void trk_chunk_pool_init(trk_chunk_pool *pool, trk_ledger *ledger);
void trk_chunk_pool_release(trk_chunk_pool *pool); /* after its arenas were swept; accepts a zeroed struct */

typedef struct trk_arena {
    trk_chunk_pool *pool; /* borrowed */
    trk_mem_class mem_class;
    trk_chunk *top;       /* the stack of chunks in use */
} trk_arena;

typedef struct trk_arena_mark {
    trk_chunk *top;
    size_t used;
} trk_arena_mark;

void trk_arena_init(trk_arena *arena, trk_chunk_pool *pool, trk_mem_class mem_class);
/* `bytes` aligned to TRK_ALIGNMENT, uninitialised, or NULL. Valid until rewound past. */
void *trk_arena_allocate(trk_arena *arena, size_t bytes);
trk_arena_mark trk_arena_here(const trk_arena *arena);
void trk_arena_rewind(trk_arena *arena, trk_arena_mark mark);
void trk_arena_sweep(trk_arena *arena); /* rewinds to empty; accepts a zeroed struct */

#endif
