/* SPDX-License-Identifier: Apache-2.0 */
#include "device.h"

#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "heap.h"
#include "machine.h"

/* --- the host --- */

static void *heap_allocate(const trk_device_memory *self, trk_mem_class mem_class, const char *owner, size_t bytes)
{
    return trk_heap_allocate(mem_class, owner, bytes);
}

static void heap_release(const trk_device_memory *self, void *data, size_t bytes)
{
    trk_heap_release(data);
}

static void heap_move(const trk_device_memory *self, void *data, trk_mem_class mem_class, const char *owner)
{
    trk_heap_move(data, mem_class, owner);
}

static trk_status host_copy(const trk_device_memory *self, void *to, const void *from, size_t bytes)
{
    memcpy(to, from, bytes);
    return TRK_OK;
}

static void host_fill(const trk_device_memory *self, void *data, int byte, size_t bytes)
{
    memset(data, byte, bytes);
}

static size_t host_available(const trk_device_memory *self)
{
    return trk_machine_memory(&trk_this_machine);
}

/* Two names, so that what the model computes in is told from what the library itself keeps. */
#define MEMORY_OF_HOST(label)                                                                                          \
    {                                                                                                                  \
        .name = (label), .on_host = 1, .allocate = heap_allocate, .release = heap_release, .move = heap_move,          \
        .read = host_copy, .write = host_copy, .copy = host_copy, .fill = host_fill, .available = host_available,      \
    }
const trk_device_memory trk_host_memory = MEMORY_OF_HOST("host");
const trk_device_memory trk_cpu_memory = MEMORY_OF_HOST("cpu");

/* --- what was given back --- */

static int poisons;

static void read_poisons(void)
{
#ifdef NDEBUG
    const char *wanted = getenv("TRK_POISON");
    poisons = wanted && strcmp(wanted, "1") == 0;
#else
    poisons = 1;
#endif
}

int trk_device_poisons(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, read_poisons);
    return poisons;
}

/* --- plans: addresses only, whose pages nothing here may touch --- */

static void *plan_allocate(const trk_device_memory *self, trk_mem_class mem_class, const char *owner, size_t bytes)
{
    void *data = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return data == MAP_FAILED ? NULL : data;
}

static void plan_release(const trk_device_memory *self, void *data, size_t bytes)
{
    munmap(data, bytes);
}

static trk_status plan_read(const trk_device_memory *self, void *host, const void *data, size_t bytes)
{
    memset(host, 0, bytes);
    return TRK_OK;
}

static trk_status plan_copy(const trk_device_memory *self, void *to, const void *from, size_t bytes)
{
    return TRK_OK;
}

static void plan_fill(const trk_device_memory *self, void *data, int byte, size_t bytes)
{
}

static size_t plan_available(const trk_device_memory *self)
{
    return SIZE_MAX;
}

const trk_device_memory trk_plan_memory = {
    .name = "plan",
    .on_host = 0,
    .allocate = plan_allocate,
    .release = plan_release,
    .read = plan_read,
    .write = plan_copy,
    .copy = plan_copy,
    .fill = plan_fill,
    .available = plan_available,
};
