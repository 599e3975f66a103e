/* SPDX-License-Identifier: Apache-2.0
 * Devices and their memory: the C interface of cuda.h. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "cuda.h"
#include "current.cuh"
#include "heap.h"
#include "log.h"

#define LEAST_MAJOR 8 /* bf16 tensor cores, asynchronous copies */

const char *trk_cuda_describe(void)
{
    static char text[32];
    snprintf(text, sizeof text, "cuda %d.%d", CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10);
    return text;
}

trk_status cuda_error(cudaError_t error, const char *what)
{
    if (error == cudaSuccess)
        return TRK_OK;
    cudaGetLastError(); /* it is told once */
    return TRK_FAIL(error == cudaErrorMemoryAllocation ? TRK_E_MEMORY : TRK_E_BACKEND, "cuda: %s: %s", what,
                    cudaGetErrorString(error));
}

/* Once per device: threads that wait sleep, which is also what FFmpeg's decoders ask of a context they share. */
static trk_status init_device(int device)
{
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    static int is_done[CUDA_DEVICES];
    trk_status rc = TRK_OK;
    pthread_mutex_lock(&mutex);
    if (!is_done[device])
        rc = cuda_error(cudaInitDevice(device, cudaDeviceScheduleBlockingSync, cudaInitDeviceFlagsAreValid),
                        "cudaInitDevice");
    is_done[device] |= rc >= 0;
    pthread_mutex_unlock(&mutex);
    return rc;
}

/* Always set: the program around the library may have made another device current in this thread, or a context of its
 * own on the same one, which cudaGetDevice does not tell from ours. */
trk_status cuda_use(int device)
{
    static thread_local int initialised = -1; /* the device that this thread has used before */
    trk_status rc = TRK_OK;
    if (initialised != device)
        TRK_CHECK(init_device(device));
    TRK_CHECK(cuda_error(cudaSetDevice(device), "cudaSetDevice"));
    initialised = device;
done:
    return rc;
}

static trk_status no_driver(cudaError_t error)
{
    int driver = 0;
    if (cudaDriverGetVersion(&driver) != cudaSuccess || driver == 0)
        return TRK_FAIL(TRK_E_UNSUPPORTED, "device cuda: no NVIDIA driver");
    if (driver < CUDART_VERSION / 1000 * 1000)
        return TRK_FAIL(TRK_E_UNSUPPORTED, "device cuda: the driver is for CUDA %d.%d, expected %d.0 or newer",
                        driver / 1000, driver % 1000 / 10, CUDART_VERSION / 1000);
    return TRK_FAIL(TRK_E_UNSUPPORTED, "device cuda: %s", cudaGetErrorString(error));
}

static __global__ void nothing()
{
}

/* What a build has machine code for, only its kernels know. */
static trk_status check_code(int device, const cudaDeviceProp *properties)
{
    cudaFuncAttributes unused;
    trk_status rc = cuda_use(device);
    if (rc < 0)
        return rc;
    const cudaError_t error = cudaFuncGetAttributes(&unused, (const void *)nothing);
    if (error != cudaErrorNoKernelImageForDevice && error != cudaErrorUnsupportedPtxVersion &&
        error != cudaErrorInvalidDeviceFunction)
        return cuda_error(error, "cudaFuncGetAttributes");
    cudaGetLastError();
    return TRK_FAIL(TRK_E_UNSUPPORTED, "device cuda:%d: this build does not run on %s, compute capability %d.%d: %s",
                    device, properties->name, properties->major, properties->minor, cudaGetErrorString(error));
}

trk_status trk_cuda_device_open(int device, cuda_device_info *out)
{
    int n = 0;
    cudaDeviceProp properties;
    cuda_device_info info = {};
    cudaError_t error = cudaGetDeviceCount(&n);
    if (error != cudaSuccess) {
        cudaGetLastError();
        return no_driver(error);
    }
    if (device < 0 || device >= n || device >= CUDA_DEVICES)
        return TRK_FAIL(TRK_E_UNSUPPORTED, "device cuda:%d: this machine has %d", device, n);
    error = cudaGetDeviceProperties(&properties, device);
    if (error != cudaSuccess) {
        cudaGetLastError();
        return TRK_FAIL(TRK_E_UNSUPPORTED, "device cuda:%d: %s", device, cudaGetErrorString(error));
    }
    if (properties.major < LEAST_MAJOR)
        return TRK_FAIL(TRK_E_UNSUPPORTED, "device cuda:%d: %s has compute capability %d.%d, expected %d.0 or newer",
                        device, properties.name, properties.major, properties.minor, LEAST_MAJOR);
    trk_status rc = check_code(device, &properties);
    if (rc < 0)
        return rc;
    snprintf(info.name, sizeof info.name, "%s", properties.name);
    info.major = properties.major;
    info.minor = properties.minor;
    info.n_processors = properties.multiProcessorCount;
    info.bytes = properties.totalGlobalMem;
    cudaDriverGetVersion(&info.driver);
    cudaRuntimeGetVersion(&info.runtime);
    if (out)
        *out = info;
    return TRK_OK;
}

/* --- memory --- */

/* One at a time: whoever waits for a whole device, and whoever records a graph, which must not be waited for. */
static pthread_mutex_t quiet = PTHREAD_MUTEX_INITIALIZER;
static thread_local int is_recording;

/* Released while recording; under `quiet`. Each block's first bytes are the device's, so the list is apart. */
struct late_release {
    struct late_release *next;
    int device; /* ON_HOST: page-locked memory */
    void *data;
};
#define ON_HOST -1
static struct late_release *late;

void cuda_quiet_begin(void)
{
    pthread_mutex_lock(&quiet);
}

void cuda_quiet_end(void)
{
    pthread_mutex_unlock(&quiet);
}

/* What was launched may still use the memory: cudaFree may wait for it, which its manual does not promise. */
static void free_unused(void *data)
{
    cuda_error(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
    cuda_error(cudaFree(data), "cudaFree");
}

void cuda_recording(int on)
{
    if (on)
        pthread_mutex_lock(&quiet);
    is_recording = on;
    while (!on && late) {
        struct late_release *next = late->next;
        if (late->device == ON_HOST)
            cuda_error(cudaFreeHost(late->data), "cudaFreeHost");
        else if (cuda_use(late->device) >= 0)
            free_unused(late->data);
        trk_heap_release(late);
        late = next;
    }
    if (!on)
        pthread_mutex_unlock(&quiet);
}

static void release_later(int device, void *data)
{
    struct late_release *l =
        static_cast<struct late_release *>(trk_heap_zeroed(TRK_MEM_SCRATCH, "release", 1, sizeof *l));
    if (!l) {
        trk_log(TRK_LOG_ERROR, "cuda: no memory to remember a block that is to be released");
        return;
    }
    *l = {late, device, data};
    late = l;
}

/* 1: it went well. Its callers say that there is no memory; what else was wrong, perhaps with what ran before, is told
 * here. */
static int has_memory(cudaError_t error, const char *call)
{
    if (error == cudaErrorMemoryAllocation)
        cudaGetLastError();
    else if (cuda_error(error, call) < 0)
        trk_log(TRK_LOG_ERROR, "%s", trk_error_text());
    return error == cudaSuccess;
}

void *trk_cuda_allocate(int device, size_t bytes)
{
    void *data = NULL;
    return !is_recording && cuda_use(device) >= 0 && has_memory(cudaMalloc(&data, bytes), "cudaMalloc") ? data : NULL;
}

void trk_cuda_release(int device, void *data)
{
    if (!data)
        return;
    if (is_recording) {
        release_later(device, data);
        return;
    }
    if (cuda_use(device) < 0)
        return;
    pthread_mutex_lock(&quiet);
    free_unused(data);
    pthread_mutex_unlock(&quiet);
}

/* Execs have streams that do not wait for this one: what they were given to do comes first. */
static trk_status settled(int device)
{
    trk_status rc = cuda_use(device);
    if (rc >= 0 && is_recording)
        rc = TRK_FAIL(TRK_E_BACKEND, "cuda: a transfer while a stage is recorded");
    if (rc < 0)
        return rc;
    pthread_mutex_lock(&quiet);
    rc = cuda_error(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
    pthread_mutex_unlock(&quiet);
    return rc;
}

static trk_status transfer(int device, void *to, const void *from, size_t bytes, cudaMemcpyKind kind)
{
    trk_status rc = settled(device);
    if (rc >= 0)
        rc = cuda_error(cudaMemcpy(to, from, bytes, kind), "cudaMemcpy");
    return rc < 0 || kind == cudaMemcpyDeviceToHost ? rc : settled(device); /* others can return before they are done */
}

trk_status trk_cuda_read(int device, void *host, const void *data, size_t bytes)
{
    return transfer(device, host, data, bytes, cudaMemcpyDeviceToHost);
}

trk_status trk_cuda_write(int device, void *data, const void *host, size_t bytes)
{
    return transfer(device, data, host, bytes, cudaMemcpyHostToDevice);
}

trk_status trk_cuda_copy(int device, void *to, const void *from, size_t bytes)
{
    return transfer(device, to, from, bytes, cudaMemcpyDeviceToDevice);
}

void trk_cuda_fill(int device, void *data, int byte, size_t bytes)
{
    if (settled(device) >= 0 && cuda_error(cudaMemset(data, byte, bytes), "cudaMemset") >= 0)
        settled(device);
}

int trk_cuda_is_recording(void)
{
    return is_recording;
}

size_t trk_cuda_available(int device)
{
    size_t available = 0, total = 0;
    return cuda_use(device) >= 0 && has_memory(cudaMemGetInfo(&available, &total), "cudaMemGetInfo") ? available : 0;
}

void *trk_cuda_host_allocate(size_t bytes)
{
    void *data = NULL;
    if (is_recording || trk_heap_refuses() ||
        !has_memory(cudaHostAlloc(&data, bytes, cudaHostAllocPortable), "cudaHostAlloc"))
        return NULL;
    trk_heap_count(TRK_MEM_SCRATCH, "page-locked buffers", bytes, 1);
    return data;
}

void trk_cuda_host_release(void *data, size_t bytes)
{
    if (!data)
        return;
    if (is_recording) {
        release_later(ON_HOST, data);
    } else {
        pthread_mutex_lock(&quiet); /* it may wait for the device */
        cuda_error(cudaFreeHost(data), "cudaFreeHost");
        pthread_mutex_unlock(&quiet);
    }
    trk_heap_count(TRK_MEM_SCRATCH, "page-locked buffers", bytes, 0);
}
