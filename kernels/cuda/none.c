/* SPDX-License-Identifier: Apache-2.0
 * In place of the CUDA backend in a build without it. */
#include <string.h>

#include "backend_private.h"
#include "cuda.h"

static trk_status refuse(void)
{
    return TRK_FAIL(TRK_E_UNSUPPORTED, "device cuda: this build has no CUDA backend");
}

const char *trk_cuda_describe(void)
{
    return "";
}

trk_status trk_cuda_device_open(int device, cuda_device_info *out)
{
    return refuse();
}

void *trk_cuda_allocate(int device, size_t bytes)
{
    return NULL;
}

void trk_cuda_release(int device, void *data)
{
}

trk_status trk_cuda_read(int device, void *host, const void *data, size_t bytes)
{
    return refuse();
}

trk_status trk_cuda_write(int device, void *data, const void *host, size_t bytes)
{
    return refuse();
}

trk_status trk_cuda_copy(int device, void *to, const void *from, size_t bytes)
{
    return refuse();
}

void trk_cuda_fill(int device, void *data, int byte, size_t bytes)
{
}

int trk_cuda_is_recording(void)
{
    return 0;
}

size_t trk_cuda_available(int device)
{
    return 0;
}

void *trk_cuda_host_allocate(size_t bytes)
{
    return NULL;
}

void trk_cuda_host_release(void *data, size_t bytes)
{
}

static trk_status check(int device)
{
    return refuse();
}

static int has_bf16(void)
{
    return 0;
}

const trk_backend_driver trk_cuda_driver = {.name = "cuda", .check = check, .has_bf16 = has_bf16};
