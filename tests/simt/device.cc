/* SPDX-License-Identifier: Apache-2.0
 * The device, what can be asked about it, and launches of kernels. It has few multiprocessors, so that grids sized by
 * them stay small. */
#include <algorithm>
#include <cstdlib>
#include <map>
#include <string>

#include "simt_private.h"

static int n_devices()
{
    const char *wanted = getenv("SIMT_DEVICES");
    return wanted ? (int)strtol(wanted, NULL, 10) : 1;
}

static cudaError_t check_device(int device)
{
    if (n_devices() <= 0)
        return cudaErrorNoDevice;
    return device == 0 ? cudaSuccess : cudaErrorInvalidDevice;
}

cudaError_t cudaGetDeviceCount(int *count)
{
    if (!count)
        return simt_failed(cudaErrorInvalidValue);
    *count = std::min(n_devices(), 1);
    return simt_failed(*count > 0 ? cudaSuccess : cudaErrorNoDevice);
}

static const struct {
    cudaDeviceAttr attribute;
    int value;
} attributes[] = {
    {cudaDevAttrMaxThreadsPerBlock, 1024},
    {cudaDevAttrMaxBlockDimX, 1024},
    {cudaDevAttrMaxBlockDimY, 1024},
    {cudaDevAttrMaxBlockDimZ, 64},
    {cudaDevAttrMaxGridDimX, INT32_MAX},
    {cudaDevAttrMaxGridDimY, 65535},
    {cudaDevAttrMaxGridDimZ, 65535},
    {cudaDevAttrMaxSharedMemoryPerBlock, SIMT_SHARED_DEFAULT},
    {cudaDevAttrTotalConstantMemory, 64 * 1024},
    {cudaDevAttrWarpSize, 32},
    {cudaDevAttrMaxRegistersPerBlock, 65536},
    {cudaDevAttrMultiProcessorCount, 4},
    {cudaDevAttrIntegrated, 0},
    {cudaDevAttrCanMapHostMemory, 1},
    {cudaDevAttrConcurrentKernels, 1},
    {cudaDevAttrEccEnabled, 0},
    {cudaDevAttrL2CacheSize, 4 << 20},
    {cudaDevAttrMaxThreadsPerMultiProcessor, 2048},
    {cudaDevAttrAsyncEngineCount, 2},
    {cudaDevAttrUnifiedAddressing, 1},
    {cudaDevAttrComputeCapabilityMajor, 9},
    {cudaDevAttrComputeCapabilityMinor, 0},
    {cudaDevAttrStreamPrioritiesSupported, 1},
    {cudaDevAttrMaxSharedMemoryPerMultiprocessor, SIMT_SHARED_MOST + 1024},
    {cudaDevAttrMaxRegistersPerMultiprocessor, 65536},
    {cudaDevAttrManagedMemory, 0},
    {cudaDevAttrPageableMemoryAccess, 0},
    {cudaDevAttrCooperativeLaunch, 0},
    {cudaDevAttrMaxSharedMemoryPerBlockOptin, SIMT_SHARED_MOST},
    {cudaDevAttrMaxBlocksPerMultiprocessor, 32},
    {cudaDevAttrReservedSharedMemoryPerBlock, 1024},
    {cudaDevAttrMemoryPoolsSupported, 0},
};

cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr attribute, int device)
{
    cudaError_t error = check_device(device);
    if (error != cudaSuccess)
        return simt_failed(error);
    for (const auto &a : attributes)
        if (value && a.attribute == attribute) {
            *value = a.value;
            return cudaSuccess;
        }
    return simt_failed(cudaErrorInvalidValue);
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp *out, int device)
{
    cudaError_t error = out ? check_device(device) : cudaErrorInvalidValue;
    if (error != cudaSuccess)
        return simt_failed(error);
    size_t available;
    *out = {};
    snprintf(out->name, sizeof out->name, "SIMT emulation");
    cudaMemGetInfo(&available, &out->totalGlobalMem);
    out->sharedMemPerBlock = SIMT_SHARED_DEFAULT;
    out->sharedMemPerBlockOptin = SIMT_SHARED_MOST;
    out->sharedMemPerMultiprocessor = SIMT_SHARED_MOST + 1024;
    out->reservedSharedMemPerBlock = 1024;
    out->regsPerBlock = out->regsPerMultiprocessor = 65536;
    out->warpSize = 32;
    out->maxThreadsPerBlock = out->maxThreadsDim[0] = out->maxThreadsDim[1] = 1024;
    out->maxThreadsDim[2] = 64;
    out->maxGridSize[0] = INT32_MAX;
    out->maxGridSize[1] = out->maxGridSize[2] = 65535;
    out->totalConstMem = 64 * 1024;
    out->major = 9;
    out->multiProcessorCount = 4;
    out->canMapHostMemory = out->concurrentKernels = out->unifiedAddressing = out->streamPrioritiesSupported = 1;
    out->asyncEngineCount = 2;
    out->l2CacheSize = 4 << 20;
    out->maxThreadsPerMultiProcessor = 2048;
    out->maxBlocksPerMultiProcessor = 32;
    return cudaSuccess;
}

cudaError_t cudaInitDevice(int device, unsigned, unsigned flags)
{
    return simt_failed(flags > cudaInitDeviceFlagsAreValid ? cudaErrorInvalidValue : check_device(device));
}

cudaError_t cudaSetDevice(int device)
{
    return simt_failed(check_device(device));
}

cudaError_t cudaGetDevice(int *device)
{
    cudaError_t error = device ? check_device(0) : cudaErrorInvalidValue;
    if (error == cudaSuccess)
        *device = 0;
    return simt_failed(error);
}

cudaError_t cudaDriverGetVersion(int *version)
{
    *version = n_devices() > 0 ? CUDART_VERSION : 0;
    return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int *version)
{
    *version = CUDART_VERSION;
    return cudaSuccess;
}

/* --- kernels --- */

static std::map<const void *, int> shared_allowed; /* bytes, of kernels that asked */

cudaError_t cudaFuncSetAttribute(const void *function, cudaFuncAttribute attribute, int value)
{
    SIMT_LOCKED;
    if (!function)
        return simt_failed(cudaErrorInvalidDeviceFunction);
    if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize)
        return simt_failed(attribute == cudaFuncAttributePreferredSharedMemoryCarveout ? cudaSuccess
                                                                                       : cudaErrorInvalidValue);
    if (value < 0 || value > SIMT_SHARED_MOST)
        return simt_failed(cudaErrorInvalidValue);
    shared_allowed[function] = value;
    return cudaSuccess;
}

static size_t shared_allowed_of(const void *function)
{
    auto found = shared_allowed.find(function);
    return found == shared_allowed.end() ? SIMT_SHARED_DEFAULT : std::max(found->second, SIMT_SHARED_DEFAULT);
}

static int has_code()
{
    const char *wanted = getenv("SIMT_CODE");
    return !wanted || strcmp(wanted, "0") != 0;
}

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes *out, const void *function)
{
    SIMT_LOCKED;
    if (!out || !function)
        return simt_failed(cudaErrorInvalidValue);
    if (!has_code())
        return simt_failed(cudaErrorNoKernelImageForDevice);
    *out = {};
    out->maxThreadsPerBlock = 1024;
    out->ptxVersion = out->binaryVersion = 90;
    out->maxDynamicSharedSizeBytes = (int)shared_allowed_of(function);
    return cudaSuccess;
}

static cudaError_t check_launch(const void *kernel, dim3 grid, dim3 block, size_t shared_bytes)
{
    if (grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.x > INT32_MAX || grid.y > 65535 || grid.z > 65535)
        return cudaErrorInvalidConfiguration;
    if (block.x == 0 || block.y == 0 || block.z == 0 || block.x > 1024 || block.y > 1024 || block.z > 64 ||
        (uint64_t)block.x * block.y * block.z > 1024)
        return cudaErrorInvalidConfiguration;
    return shared_bytes > shared_allowed_of(kernel) ? cudaErrorInvalidValue : cudaSuccess;
}

/* Pointers among the words of the arguments: `uses` gets those to page-locked memory, and pageable memory of the host,
 * which the device does not see, is an error. */
static void look_at_arguments(const char *name, const simt_call *call, std::vector<const void *> *uses)
{
    size_t bytes;
    for (int i = 0; const void *argument = call->argument(i, &bytes); i++)
        for (size_t at = 0; at + sizeof(void *) <= bytes; at += sizeof(void *)) {
            const void *p;
            memcpy(&p, (const char *)argument + at, sizeof p);
            if (simt_is_page_locked(p))
                uses->push_back(p);
            else if (simt_is_host(p))
                simt_error("%s: argument %d has a pointer to host memory, %p", name, i, p);
        }
}

void simt_launch_call(const char *name, const void *kernel, dim3 grid, dim3 block, size_t shared_bytes,
                      cudaStream_t stream, std::shared_ptr<const simt_call> call)
{
    SIMT_LOCKED;
    cudaError_t error = check_launch(kernel, grid, block, shared_bytes);
    if (error != cudaSuccess) {
        simt_failed(error);
        return;
    }
    std::vector<const void *> uses;
    look_at_arguments(name, call.get(), &uses);
    auto run = [=, kept = std::string(name)] {
        const simt_grid g = {kept.c_str(), grid, block, shared_bytes, call.get()};
        if (!simt_run_grid(&g))
            simt_note_failure();
        simt_check_slack(kept.c_str());
    };
    simt_failed(simt_enqueue(stream, run, std::move(uses)));
}
