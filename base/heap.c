/* SPDX-License-Identifier: Apache-2.0 */
#include "heap.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct block_header {
    uint64_t magic;
    trk_mem_class mem_class;
    const char *owner;
    size_t bytes;
} block_header;

#define HEADER_BYTES TRK_ALIGNMENT /* so that what follows is aligned as well */
#define FEWEST       8               /* elements of a list that grows */
#define LIVE_MAGIC   0x6b636f6c62206b72u
#define DEAD_MAGIC   0x6461656420206b72u

_Static_assert(sizeof(block_header) <= HEADER_BYTES, "a header fits in front of a block");

static trk_account heap_account = {.mutex = PTHREAD_MUTEX_INITIALIZER};
static uint64_t n_calls, fail_first, fail_last; /* atomic; fail_last 0: none fails */

int trk_heap_refuses(void)
{
    uint64_t n = __atomic_add_fetch(&n_calls, 1, __ATOMIC_RELAXED);
    uint64_t last = __atomic_load_n(&fail_last, __ATOMIC_RELAXED);
    return last && n <= last && n >= __atomic_load_n(&fail_first, __ATOMIC_RELAXED);
}

uint64_t trk_heap_fail(uint64_t first, uint64_t count)
{
    uint64_t last = count == 0 ? 0 : count > UINT64_MAX - first ? UINT64_MAX : first + count - 1;
    __atomic_store_n(&fail_last, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&fail_first, first, __ATOMIC_SEQ_CST);
    uint64_t n = __atomic_exchange_n(&n_calls, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&fail_last, last, __ATOMIC_SEQ_CST);
    return n;
}

static block_header *header_of(const void *data)
{
    block_header *header = (block_header *)(void *)((unsigned char *)(uintptr_t)data - HEADER_BYTES);
#ifndef NDEBUG
    if (header->magic != LIVE_MAGIC) {
        fprintf(stderr, "heap: %p is not a live block\n", data);
        abort();
    }
#endif
    return header;
}

void *trk_heap_allocate(trk_mem_class mem_class, const char *owner, size_t bytes)
{
    void *block = NULL;
    if (trk_heap_refuses() || bytes == 0 || bytes > SIZE_MAX / 2 ||
        posix_memalign(&block, TRK_ALIGNMENT, HEADER_BYTES + bytes) != 0)
        return NULL;
    *(block_header *)block = (block_header){LIVE_MAGIC, mem_class, owner, bytes};
    trk_account_add(&heap_account, mem_class, owner, bytes);
    return (unsigned char *)block + HEADER_BYTES;
}

void *trk_heap_zeroed(trk_mem_class mem_class, const char *owner, size_t n, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes))
        return NULL;
    void *data = trk_heap_allocate(mem_class, owner, bytes);
    return data ? memset(data, 0, bytes) : NULL;
}

void *trk_heap_resize(void *data, trk_mem_class mem_class, const char *owner, size_t bytes)
{
    if (!data)
        return trk_heap_allocate(mem_class, owner, bytes);
    const block_header *header = header_of(data);
    void *out = trk_heap_allocate(header->mem_class, header->owner, bytes);
    if (out) {
        memcpy(out, data, bytes < header->bytes ? bytes : header->bytes);
        trk_heap_release(data);
    }
    return out;
}

size_t trk_grown_capacity(size_t capacity, size_t needed, size_t fewest)
{
    size_t wanted = capacity > SIZE_MAX / 2 ? SIZE_MAX : 2 * capacity;
    if (wanted < fewest)
        wanted = fewest;
    return wanted < needed ? needed : wanted;
}

void *trk_heap_grown(void *data, size_t *capacity, size_t needed, size_t size, trk_mem_class mem_class,
                     const char *owner)
{
    if (data && needed <= *capacity)
        return data;
    const size_t wanted = trk_grown_capacity(*capacity, needed, FEWEST);
    size_t bytes;
    if (__builtin_mul_overflow(wanted, size, &bytes))
        return NULL;
    void *out = trk_heap_resize(data, mem_class, owner, bytes);
    if (out)
        *capacity = wanted;
    return out;
}

char *trk_heap_text(const char *owner, const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *out = trk_heap_allocate(TRK_MEM_SCRATCH, owner, bytes);
    return out ? memcpy(out, text, bytes) : NULL;
}

char *trk_heap_format(const char *owner, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *out = n < 0 ? NULL : trk_heap_allocate(TRK_MEM_SCRATCH, owner, (size_t)n + 1);
    if (!out)
        return NULL;
    va_start(args, format);
    vsnprintf(out, (size_t)n + 1, format, args);
    va_end(args);
    return out;
}

void trk_heap_move(void *data, trk_mem_class mem_class, const char *owner)
{
    block_header *header = header_of(data);
    trk_account_move(&heap_account, header->mem_class, header->owner, mem_class, owner, header->bytes);
    header->mem_class = mem_class;
    header->owner = owner;
}

void trk_heap_release(void *data)
{
    if (!data)
        return;
    block_header *header = header_of(data);
    trk_account_remove(&heap_account, header->mem_class, header->owner, header->bytes);
    header->magic = DEAD_MAGIC;
#ifndef NDEBUG
    memset(data, 0xdd, header->bytes);
#endif
    __asm__ volatile("" : : "r"(header) : "memory"); /* keeps the stores, which nothing reads before free */
    free(header);
}

size_t trk_heap_bytes(const void *data)
{
    return header_of(data)->bytes;
}

void trk_heap_count(trk_mem_class mem_class, const char *owner, size_t bytes, int taken)
{
    if (taken)
        trk_account_add(&heap_account, mem_class, owner, bytes);
    else
        trk_account_remove(&heap_account, mem_class, owner, bytes);
}

void trk_heap_measure(trk_account *out)
{
    trk_account_read(&heap_account, out);
}
