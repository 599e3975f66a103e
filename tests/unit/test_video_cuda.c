/* SPDX-License-Identifier: Apache-2.0
 * libcuda.so.1 of the stand-in: contexts, memory and copies. Everything is done at once; streams and events are not
 * needed. Names and layouts are those of CUDA's driver interface. */
#include "test_video_driver.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define BYTES     ((size_t)256 << 20)
#define MOST      4096
#define GRANULE   512
#define NO_DEVICE 100
#define UNKNOWN   999
#define ON_HOST   1
#define ON_DEVICE 2

driver_state driver = {.decode_fails_after = -1};

/* --- memory ----------------------------------------------------------------------------------------------------- */

static uint8_t *shown, *hidden; /* [BYTES] the addresses, and the bytes behind them */
static size_t in_use[MOST];     /* granules of the block that begins in slot i * (BYTES / MOST), 0 free */

static int has_memory(void)
{
    if (shown)
        return 1;
    void *a = mmap(NULL, BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    void *b = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (a == MAP_FAILED || b == MAP_FAILED)
        return 0;
    hidden = b;
    shown = a;
    return 1;
}

static atomic_flag busy = ATOMIC_FLAG_INIT;

/* Blocks of whole slots; the first run that is free. */
unsigned long long driver_allocate(size_t bytes)
{
    const size_t slot = BYTES / MOST, n = (bytes + slot - 1) / slot;
    unsigned long long found = 0;
    while (atomic_flag_test_and_set(&busy))
        continue;
    for (size_t i = 0; n && has_memory() && i + n <= MOST && !found;) {
        size_t k = 0;
        while (k < n && !in_use[i + k])
            k++;
        if (k == n) {
            for (k = 0; k < n; k++)
                in_use[i + k] = n;
            found = (unsigned long long)(uintptr_t)(shown + i * slot);
            memset(hidden + i * slot, 0xA5, n * slot);
        }
        i += k + 1;
    }
    atomic_flag_clear(&busy);
    driver.n_blocks += found != 0;
    return found;
}

void driver_release(unsigned long long address)
{
    const size_t slot = BYTES / MOST, i = ((uintptr_t)address - (uintptr_t)shown) / slot;
    while (atomic_flag_test_and_set(&busy))
        continue;
    for (size_t n = in_use[i], k = 0; k < n; k++)
        in_use[i + k] = 0;
    atomic_flag_clear(&busy);
    driver.n_blocks--;
}

uint8_t *driver_bytes(const void *address)
{
    return hidden + ((const uint8_t *)address - shown);
}

/* --- the interface ---------------------------------------------------------------------------------------------- */

typedef struct copy_2d {
    size_t from_x, from_y;
    int from_kind;
    const void *from_host;
    unsigned long long from_device;
    void *from_array;
    size_t from_pitch, to_x, to_y;
    int to_kind;
    void *to_host;
    unsigned long long to_device;
    void *to_array;
    size_t to_pitch, width, height;
} copy_2d;

static int copy_rows(const copy_2d *c)
{
    const uint8_t *from = c->from_kind == ON_DEVICE ? driver_bytes((void *)(uintptr_t)c->from_device) : c->from_host;
    uint8_t *to = c->to_kind == ON_DEVICE ? driver_bytes((void *)(uintptr_t)c->to_device) : c->to_host;
    for (size_t y = 0; y < c->height; y++)
        memcpy(to + (c->to_y + y) * c->to_pitch + c->to_x, from + (c->from_y + y) * c->from_pitch + c->from_x,
               c->width);
    driver.n_downloads += c->to_kind == ON_HOST;
    return 0;
}

static int one; /* its address is every handle */

#define API(name, ...)                                                                                                 \
    DRIVER_API int name(__VA_ARGS__);                                                                                  \
    int name(__VA_ARGS__)

API(cuInit, unsigned flags)
{
    return driver.no_device ? NO_DEVICE : 0;
}

API(cuDeviceGetCount, int *n)
{
    *n = 1;
    return 0;
}

API(cuDeviceGet, int *device, int index)
{
    *device = index;
    return index == 0 ? 0 : 101; /* CUDA_ERROR_INVALID_DEVICE */
}

API(cuDeviceGetAttribute, int *value, int attribute, int device)
{
    *value = GRANULE; /* the only one asked for is the alignment of textures */
    return 0;
}

API(cuDeviceGetName, char *name, int n, int device)
{
    snprintf(name, (size_t)n, "stand-in");
    return 0;
}

API(cuDeviceComputeCapability, int *major, int *minor, int device)
{
    *major = 8;
    *minor = 0;
    return 0;
}

API(cuCtxCreate_v2, void **context, unsigned flags, int device)
{
    driver.n_contexts++;
    *context = &one;
    return 0;
}

API(cuCtxDestroy_v2, void *context)
{
    driver.n_contexts--;
    return 0;
}

API(cuCtxPushCurrent_v2, void *context)
{
    return context ? 0 : UNKNOWN;
}

API(cuCtxPopCurrent_v2, void **context)
{
    *context = &one;
    return 0;
}

API(cuDevicePrimaryCtxRetain, void **context, int device)
{
    driver.n_retained++;
    *context = &one;
    return 0;
}

API(cuDevicePrimaryCtxRelease, int device)
{
    driver.n_retained--;
    return 0;
}

API(cuDevicePrimaryCtxSetFlags, int device, unsigned flags)
{
    driver.primary_flags = flags;
    return 0;
}

API(cuDevicePrimaryCtxGetState, int device, unsigned *flags, int *active)
{
    *flags = driver.primary_flags;
    *active = driver.primary_active;
    return 0;
}

API(cuMemAlloc_v2, unsigned long long *address, size_t bytes)
{
    *address = driver_allocate(bytes);
    return *address ? 0 : 2; /* CUDA_ERROR_OUT_OF_MEMORY */
}

API(cuMemFree_v2, unsigned long long address)
{
    driver_release(address);
    return 0;
}

API(cuMemcpy2D_v2, const copy_2d *copy)
{
    return copy_rows(copy);
}

API(cuMemcpy2DAsync_v2, const copy_2d *copy, void *stream)
{
    return copy_rows(copy);
}

API(cuStreamSynchronize, void *stream)
{
    return 0;
}

API(cuGetErrorName, int error, const char **name)
{
    *name = error == NO_DEVICE ? "CUDA_ERROR_NO_DEVICE" : "CUDA_ERROR_UNKNOWN";
    return 0;
}

API(cuGetErrorString, int error, const char **text)
{
    *text = error == NO_DEVICE ? "no CUDA-capable device is detected" : "unknown error";
    return 0;
}

/* Loaded with the rest, and not called here. */
#define UNUSED(name)                                                                                                   \
    API(name, void)                                                                                                    \
    {                                                                                                                  \
        return UNKNOWN;                                                                                                \
    }
UNUSED(cuDriverGetVersion)
UNUSED(cuDeviceGetPCIBusId)
UNUSED(cuDeviceGetByPCIBusId)
UNUSED(cuDeviceGetUuid)
UNUSED(cuDeviceGetUuid_v2)
UNUSED(cuCtxSetLimit)
UNUSED(cuCtxGetDevice)
UNUSED(cuCtxGetCurrent)
UNUSED(cuCtxSetCurrent)
UNUSED(cuDevicePrimaryCtxReset)
UNUSED(cuMemAllocPitch_v2)
UNUSED(cuMemAllocManaged)
UNUSED(cuMemsetD8Async)
UNUSED(cuMemcpy)
UNUSED(cuMemcpyAsync)
UNUSED(cuMemcpyHtoD_v2)
UNUSED(cuMemcpyHtoDAsync_v2)
UNUSED(cuMemcpyDtoH_v2)
UNUSED(cuMemcpyDtoHAsync_v2)
UNUSED(cuMemcpyDtoD_v2)
UNUSED(cuMemcpyDtoDAsync_v2)
UNUSED(cuStreamCreate)
UNUSED(cuStreamQuery)
UNUSED(cuStreamDestroy_v2)
UNUSED(cuStreamAddCallback)
UNUSED(cuStreamWaitEvent)
UNUSED(cuEventCreate)
UNUSED(cuEventDestroy_v2)
UNUSED(cuEventSynchronize)
UNUSED(cuEventQuery)
UNUSED(cuEventRecord)
UNUSED(cuLaunchKernel)
UNUSED(cuLinkCreate)
UNUSED(cuLinkAddData)
UNUSED(cuLinkComplete)
UNUSED(cuLinkDestroy)
UNUSED(cuModuleLoadData)
UNUSED(cuModuleUnload)
UNUSED(cuModuleGetFunction)
UNUSED(cuModuleGetGlobal)
UNUSED(cuTexObjectCreate)
UNUSED(cuTexObjectDestroy)
UNUSED(cuGLGetDevices_v2)
UNUSED(cuGraphicsGLRegisterImage)
UNUSED(cuGraphicsUnregisterResource)
UNUSED(cuGraphicsMapResources)
UNUSED(cuGraphicsUnmapResources)
UNUSED(cuGraphicsSubResourceGetMappedArray)
UNUSED(cuGraphicsResourceGetMappedPointer_v2)
UNUSED(cuArrayCreate_v2)
UNUSED(cuArray3DCreate_v2)
UNUSED(cuArrayDestroy)
