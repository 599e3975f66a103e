/* SPDX-License-Identifier: Apache-2.0
 * The host heap: the one place where this project calls malloc. Every block has a lifetime class and an owner, is
 * counted in one process-wide account, and can be made to fail by tests.
 *
 * Invariants
 * - Blocks start on TRK_ALIGNMENT; class, owner and size stand in a header in front, so that release needs the pointer
 *   only.
 * - A block is released exactly once; in Debug builds its bytes are overwritten then, and a broken header aborts.
 * What libraries (FFmpeg, oneDNN, jansson, libzip, libc) allocate for themselves is theirs and not counted. */
#ifndef TRK_BASE_HEAP_H
#define TRK_BASE_HEAP_H

#include "account.h"

#ifdef __cplusplus
extern "C" {
#endif

/* `bytes` (> 0), uninitialised; NULL when there is none (no error recorded). owner: static storage. */
void *trk_heap_allocate(trk_mem_class mem_class, const char *owner, size_t bytes);
/* n elements of `size` bytes, zeroed; NULL also when n * size overflows or is 0. */
void *trk_heap_zeroed(trk_mem_class mem_class, const char *owner, size_t n, size_t size);
/* As realloc: keeps what fits; class and owner stay those of the block; data NULL allocates. On failure data stays. */
void *trk_heap_resize(void *data, trk_mem_class mem_class, const char *owner, size_t bytes);
/* The elements of a list that `needed` are too many for, grown: twice its capacity, at least `fewest` and `needed`. */
size_t trk_grown_capacity(size_t capacity, size_t needed, size_t fewest);
/* A list with room for `needed` elements of `size` bytes: `data` if *capacity says so, else a block twice as large at
 * least, into which what `data` held has moved, and *capacity its elements; what is new is uninitialised. data NULL:
 * *capacity is 0. NULL when there is no memory: data and *capacity stay. */
void *trk_heap_grown(void *data, size_t *capacity, size_t needed, size_t size, trk_mem_class mem_class,
                     const char *owner);
/* Copies of a text: class SCRATCH. */
char *trk_heap_text(const char *owner, const char *text);
char *trk_heap_format(const char *owner, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The block becomes another class and owner. */
void trk_heap_move(void *data, trk_mem_class mem_class, const char *owner);
void trk_heap_release(void *data); /* accepts NULL */
size_t trk_heap_bytes(const void *data); /* as asked for */

/* For host memory that only a library can allocate (page-locked): told to the account; and whether a test wants the
 * allocation that is about to be made to fail. */
void trk_heap_count(trk_mem_class mem_class, const char *owner, size_t bytes, int taken);
int trk_heap_refuses(void);

/* The process-wide account, since the start. */
void trk_heap_measure(trk_account *out);

/* For tests. Lets the allocations numbered first .. first + count - 1 from now on fail (1 = the next one); count 0:
 * none fails. Returns how many there were since the last call. */
uint64_t trk_heap_fail(uint64_t first, uint64_t count);

#ifdef __cplusplus
}
#endif

#endif
