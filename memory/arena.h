/* SPDX-License-Identifier: Apache-2.0
 * Arenas: memory that is handed out by bumping a pointer and taken back all at once: one SCRATCH arena per seat
 * (rewound at the end of each stage) and one FRAME arena per frame whose features are held, all over one pool of
 * chunks.
 *
 * Invariants
 * - A chunk is in exactly one place: on an arena's stack, idle in the pool, or on its claimer's list. Idle and claimed
 *   chunks count as SCRATCH, owner "idle chunks".
 * - Rewinding returns chunks to the pool, never to the system: after the first frames nothing is allocated any more.
 *   trk_chunk_pool_trim gives idle ones back, under pressure and where no budget bounds them when a video is over.
 * - Sweeping an arena is rewinding it to empty; nothing outside it may still point into it. What was taken
 *   back is poisoned where trk_device_poisons() says so, and under AddressSanitizer also unaddressable until handed out
 *   again.
 * - On a device that works later than it is told, a chunk that a rewind takes back rests with its
 *   arena, for it alone, until trk_arena_settle says that all work given to the device is done: another arena's user
 *   might be ahead of it. Sweeping settles.
 * - Descriptors of chunks lie on the host heap; a chunk's own bytes are the device's and are never read here.
 * The pool is thread safe; an arena belongs to one thread at a time. */
#ifndef TRK_MEMORY_ARENA_H
#define TRK_MEMORY_ARENA_H

#include "ledger.h"

typedef struct trk_chunk trk_chunk;

typedef struct trk_chunk_pool {
    trk_ledger *ledger; /* borrowed */
    pthread_mutex_t mutex;
    trk_chunk *idle;    /* ascending by size; owned */
    size_t idle_bytes;
    uint64_t n_reused;  /* chunks taken from the idle ones */
} trk_chunk_pool;

void trk_chunk_pool_init(trk_chunk_pool *pool, trk_ledger *ledger);
void trk_chunk_pool_release(trk_chunk_pool *pool); /* after its arenas were swept; accepts a zeroed struct */
/* Sets a chunk aside that an arena planned with `bytes` would take: an idle one, else one from the device, touched so that
 * it is there when needed. *claimed is a list, NULL at first; nobody else gets or trims what is in it. After a failure it
 * is as it was. */
trk_status trk_chunk_pool_claim(trk_chunk_pool *pool, size_t bytes, trk_chunk **claimed);
void trk_chunk_pool_offer(trk_chunk_pool *pool, trk_chunk **claimed); /* makes them idle, and the list empty */
/* Gives idle chunks back to the system, until `bytes` are free or none is left; returns the bytes given back. */
size_t trk_chunk_pool_trim(trk_chunk_pool *pool, size_t bytes);

typedef struct trk_arena {
    trk_chunk_pool *pool; /* borrowed */
    trk_mem_class mem_class;
    const char *owner;    /* of its chunks, for reports */
    size_t first_bytes;   /* size of the first chunk: what the plan says the arena needs; 0: not known */
    trk_chunk *top;       /* the stack of chunks in use */
    trk_chunk *resting;   /* taken back, but perhaps still being worked on; owned */
    size_t peak;          /* most bytes in use at once, over its lifetime */
} trk_arena;

typedef struct trk_arena_mark {
    trk_chunk *top;
    size_t used;
} trk_arena_mark;

void trk_arena_init(trk_arena *arena, trk_chunk_pool *pool, trk_mem_class mem_class, const char *owner,
                    size_t first_bytes);
/* `bytes` aligned to TRK_ALIGNMENT, uninitialised, or NULL. Valid until rewound past. */
void *trk_arena_allocate(trk_arena *arena, size_t bytes);
trk_arena_mark trk_arena_here(const trk_arena *arena);
void trk_arena_rewind(trk_arena *arena, trk_arena_mark mark);
/* The device has done what it was given: resting chunks go to the pool. Accepts a zeroed struct. */
void trk_arena_settle(trk_arena *arena);
void trk_arena_sweep(trk_arena *arena); /* rewinds to empty and settles; accepts a zeroed struct */
size_t trk_arena_bytes(const trk_arena *arena); /* in use now */

#endif
