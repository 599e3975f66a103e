/* SPDX-License-Identifier: Apache-2.0
 * GPUs as devices of memory/. */
#include "cuda.h"
#include "device.h"
#include "heap.h"

static void *allocate(const trk_device_memory *self, trk_mem_class mem_class, const char *owner, size_t bytes)
{
    return trk_heap_refuses() ? NULL : trk_cuda_allocate(self->index, bytes);
}

static void release(const trk_device_memory *self, void *data, size_t bytes)
{
    trk_cuda_release(self->index, data);
}

static trk_status read_bytes(const trk_device_memory *self, void *host, const void *data, size_t bytes)
{
    return trk_cuda_read(self->index, host, data, bytes);
}

static trk_status write_bytes(const trk_device_memory *self, void *data, const void *host, size_t bytes)
{
    return trk_cuda_write(self->index, data, host, bytes);
}

static trk_status copy_bytes(const trk_device_memory *self, void *to, const void *from, size_t bytes)
{
    return trk_cuda_copy(self->index, to, from, bytes);
}

static void fill_bytes(const trk_device_memory *self, void *data, int byte, size_t bytes)
{
    trk_cuda_fill(self->index, data, byte, bytes);
}

static size_t available(const trk_device_memory *self)
{
    return trk_cuda_available(self->index);
}

static int is_closed(const trk_device_memory *self)
{
    return trk_cuda_is_recording();
}

#define DEVICE(name, index)                                                                                            \
    {name, 0, 1, index, allocate, release, NULL, read_bytes, write_bytes, copy_bytes, fill_bytes, available,         \
     is_closed}

static const trk_device_memory devices[CUDA_DEVICES] = {
    DEVICE("cuda:0", 0),   DEVICE("cuda:1", 1),   DEVICE("cuda:2", 2),   DEVICE("cuda:3", 3),
    DEVICE("cuda:4", 4),   DEVICE("cuda:5", 5),   DEVICE("cuda:6", 6),   DEVICE("cuda:7", 7),
    DEVICE("cuda:8", 8),   DEVICE("cuda:9", 9),   DEVICE("cuda:10", 10), DEVICE("cuda:11", 11),
    DEVICE("cuda:12", 12), DEVICE("cuda:13", 13), DEVICE("cuda:14", 14), DEVICE("cuda:15", 15),
};

const trk_device_memory *trk_cuda_memory(int index)
{
    return index >= 0 && index < CUDA_DEVICES ? &devices[index] : NULL;
}
