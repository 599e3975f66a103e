/* SPDX-License-Identifier: Apache-2.0
 * A device whose addresses the host can not read: one bit of each is flipped, and only its own functions flip it back.
 * Code that reads or writes device memory by itself crashes on it. Counts its bytes and can be full. */
#ifndef TRK_TESTS_FAKE_DEVICE_H
#define TRK_TESTS_FAKE_DEVICE_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"

#define FAKE_BIT ((uintptr_t)1 << 60)

static size_t fake_now, fake_peak, fake_limit = SIZE_MAX; /* bytes; atomic */

static inline void *fake_flip(const void *data)
{
    return (void *)((uintptr_t)data ^ FAKE_BIT);
}

static void *fake_allocate(const trk_device_memory *self, trk_mem_class mem_class, const char *owner, size_t bytes)
{
    (void)self, (void)mem_class, (void)owner;
    void *data = NULL;
    size_t now = __atomic_add_fetch(&fake_now, bytes, __ATOMIC_SEQ_CST), peak = fake_peak;
    if (now > fake_limit || posix_memalign(&data, TRK_ALIGNMENT, bytes) != 0) {
        __atomic_sub_fetch(&fake_now, bytes, __ATOMIC_SEQ_CST);
        return NULL;
    }
    while (peak < now && !__atomic_compare_exchange_n(&fake_peak, &peak, now, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        ;
    return fake_flip(data);
}

static void fake_release(const trk_device_memory *self, void *data, size_t bytes)
{
    (void)self;
    free(fake_flip(data));
    __atomic_sub_fetch(&fake_now, bytes, __ATOMIC_SEQ_CST);
}

static trk_status fake_read(const trk_device_memory *self, void *host, const void *data, size_t bytes)
{
    (void)self;
    memcpy(host, fake_flip(data), bytes);
    return TRK_OK;
}

static trk_status fake_write(const trk_device_memory *self, void *data, const void *host, size_t bytes)
{
    (void)self;
    memcpy(fake_flip(data), host, bytes);
    return TRK_OK;
}

static trk_status fake_copy(const trk_device_memory *self, void *to, const void *from, size_t bytes)
{
    (void)self;
    memcpy(fake_flip(to), fake_flip(from), bytes);
    return TRK_OK;
}

static void fake_fill(const trk_device_memory *self, void *data, int byte, size_t bytes)
{
    (void)self;
    memset(fake_flip(data), byte, bytes);
}

static size_t fake_available(const trk_device_memory *self)
{
    (void)self;
    return fake_limit - fake_now;
}

static int fake_closed;

static int fake_is_closed(const trk_device_memory *self)
{
    return fake_closed;
}

static const trk_device_memory fake_device = {
    "fake",    0,          0,         0,         fake_allocate,  fake_release,   NULL,
    fake_read, fake_write, fake_copy, fake_fill, fake_available, fake_is_closed,
};

#endif
