/* SPDX-License-Identifier: Apache-2.0 */
#include "late_write.h"

#include <cstring>

#include <cuda_runtime.h>

/* One page-locked buffer, which is waited for before it is used again. */
int late_write(void *to, const void *from, size_t bytes)
{
    static void *staged;
    static size_t staged_bytes;
    if (cudaStreamSynchronize(cudaStreamLegacy) != cudaSuccess)
        return -1;
    if (staged_bytes < bytes) {
        cudaFreeHost(staged);
        staged_bytes = 0;
        if (cudaHostAlloc(&staged, bytes, cudaHostAllocDefault) != cudaSuccess)
            return -1;
        staged_bytes = bytes;
    }
    std::memcpy(staged, from, bytes);
    return cudaMemcpyAsync(to, staged, bytes, cudaMemcpyHostToDevice, cudaStreamLegacy) == cudaSuccess ? 0 : -1;
}
