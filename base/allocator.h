/* SPDX-License-Identifier: Apache-2.0
 * The interface through which every long-lived or per-frame byte is obtained. memory/ implements it (accounting by
 * class); everything below memory/ only sees this struct. */
#ifndef TRK_BASE_ALLOCATOR_H
#define TRK_BASE_ALLOCATOR_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How long bytes live. The sweeper gives back FRAME, by its rule, and nothing else. */
typedef enum trk_mem_class {
    TRK_MEM_PINNED,  /* weights, RoPE tables, positional constants: as long as the model or tracker */
    TRK_MEM_BANK,    /* memories, object pointers, per-object state: as long as tracking can still read them */
    TRK_MEM_FRAME,   /* image features of one frame */
    TRK_MEM_SCRATCH, /* temporaries inside one stage */
    TRK_MEM_CLASSES
} trk_mem_class;

#define TRK_ALIGNMENT 64 /* bytes; every allocation starts on a cache line */

/* n bytes, rounded up to a multiple of TRK_ALIGNMENT. */
static inline size_t trk_aligned(size_t n)
{
    return (n + TRK_ALIGNMENT - 1) / TRK_ALIGNMENT * TRK_ALIGNMENT;
}

typedef struct trk_allocator {
    /* Returns `bytes` (> 0) aligned to TRK_ALIGNMENT, uninitialised, or NULL (no error recorded). `owner` is a string
     * literal naming what the bytes are, for reports. Thread safe. */
    void *(*allocate)(struct trk_allocator *self, trk_mem_class mem_class, const char *owner, size_t bytes);
    /* Accepts NULL. class and bytes must be those of the allocation. Thread safe. */
    void (*release)(struct trk_allocator *self, trk_mem_class mem_class, void *data, size_t bytes);
} trk_allocator;

#ifdef __cplusplus
}
#endif

#endif
