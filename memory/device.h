/* SPDX-License-Identifier: Apache-2.0
 * Where bytes lie: an allocator and the few ways to move bytes that the rest of memory/ needs. The host is one device,
 * a GPU another; nothing above this file tells them apart. */
#ifndef TRK_MEMORY_DEVICE_H
#define TRK_MEMORY_DEVICE_H

#include <stddef.h>

#include "allocator.h"
#include "error.h"

typedef struct trk_device_memory {
    const char *name; /* "host", "cpu", "cuda:0"; for reports */
    int on_host;      /* the host may read and write its bytes */
    int works_later;  /* what it is told to compute is done later, in order, beside the host */
    int index;        /* number of the GPU */
    /* bytes > 0 aligned to TRK_ALIGNMENT, or NULL; thread safe */
    void *(*allocate)(const struct trk_device_memory *self, trk_mem_class mem_class, const char *owner, size_t bytes);
    void (*release)(const struct trk_device_memory *self, void *data, size_t bytes);
    /* The block serves another class and owner, for a device that counts for itself; or NULL. */
    void (*move)(const struct trk_device_memory *self, void *data, trk_mem_class mem_class, const char *owner);
    /* host <- device, device <- host, device <- device; done when they return, after all work given to the device
     * before */
    trk_status (*read)(const struct trk_device_memory *self, void *host, const void *data, size_t bytes);
    trk_status (*write)(const struct trk_device_memory *self, void *data, const void *host, size_t bytes);
    trk_status (*copy)(const struct trk_device_memory *self, void *to, const void *from, size_t bytes);
    void (*fill)(const struct trk_device_memory *self, void *data, int byte, size_t bytes);
    /* bytes that could be allocated now; SIZE_MAX: not known. The host: MemAvailable and the limits of its cgroups. */
    size_t (*available)(const struct trk_device_memory *self);
    /* 1: this thread gets none now, whatever others give back; or NULL */
    int (*is_closed)(const struct trk_device_memory *self);
} trk_device_memory;

/* Host memory for bookkeeping and for what was evicted; and the same memory as the CPU backend's device. Both on
 * base/heap. */
extern const trk_device_memory trk_host_memory; /* "host" */
extern const trk_device_memory trk_cpu_memory;  /* "cpu" */
/* Addresses without memory behind them until touched (mmap, not counted against the machine): what plans are made on.
 * Here nothing touches them: reading gives zeros, writing, copying and filling do nothing. */
extern const trk_device_memory trk_plan_memory; /* "plan" */
/* A GPU's memory ("cuda:0"), by way of kernels/cuda; NULL for an impossible number. device_cuda.c */
const trk_device_memory *trk_cuda_memory(int index);

/* 1: what was given back is filled with 0xff, NaN in every float format, so that reading it again fails loudly: in debug
 * builds, and in others with TRK_POISON=1 in the environment when first asked. Arenas do it under AddressSanitizer, too. */
int trk_device_poisons(void);

#endif
