/* SPDX-License-Identifier: Apache-2.0
 * What kernels share on the device: element types, matrices, sums over a warp and a block. */
#ifndef TRK_KERNELS_CUDA_DEVICE_CUH
#define TRK_KERNELS_CUDA_DEVICE_CUH

#include <math.h>

#include "hardware.cuh"
#include "ops.h"

#define WARP 32
#define ALL_LANES 0xffffffffu

/* An element as it is stored. */
struct bf16 {
    uint16_t bits;
};

__device__ __forceinline__ float to_float(float v)
{
    return v;
}

__device__ __forceinline__ float to_float(bf16 v)
{
    return __uint_as_float((uint32_t)v.bits << 16);
}

template <class T> __device__ __forceinline__ T from_float(float v);

template <> __device__ __forceinline__ float from_float<float>(float v)
{
    return v;
}

template <> __device__ __forceinline__ bf16 from_float<bf16>(float v)
{
    return bf16{(uint16_t)pack_bf16(v, 0.0f)};
}

/* v as a factor of a product in bf16: rounded, and a float again. */
__device__ __forceinline__ float rounded_bf16(float v)
{
    return __uint_as_float(pack_bf16(0.0f, v) & 0xffff0000u);
}

/* A trk_mat on the device, passed to kernels by value. */
template <class T> struct matrix {
    T *data;
    int rows, cols;
    int64_t stride;

    __device__ __forceinline__ T *at(int64_t r, int64_t c) const
    {
        return data + r * stride + c;
    }
    __device__ __forceinline__ float get(int64_t r, int64_t c) const
    {
        return to_float(data[r * stride + c]);
    }
    __device__ __forceinline__ void put(int64_t r, int64_t c, float v) const
    {
        data[r * stride + c] = from_float<T>(v);
    }
};

template <class T> matrix<T> matrix_of(trk_mat m)
{
    return matrix<T>{static_cast<T *>(m.data), m.rows, m.cols, m.stride};
}

/* The activations, as ref/element.h defines them; exact erf. */
__device__ __forceinline__ float activated(int act, float v)
{
    switch (act) {
    case TRK_ACT_RELU:
        return v < 0.0f ? 0.0f : v; /* NaN stays */
    case TRK_ACT_GELU:
        return 0.5f * v * (1.0f + erff(v * 0.70710678118654752440f));
    case TRK_ACT_SIGMOID:
        return 1.0f / (1.0f + expf(-v));
    default:
        return v;
    }
}

/* Sum, largest, ... over the lanes of a full warp; every lane gets it. */
__device__ __forceinline__ float warp_sum(float v)
{
    for (int step = WARP / 2; step > 0; step /= 2)
        v += __shfl_xor_sync(ALL_LANES, v, step);
    return v;
}

__device__ __forceinline__ float warp_max(float v)
{
    for (int step = WARP / 2; step > 0; step /= 2)
        v = fmaxf(v, __shfl_xor_sync(ALL_LANES, v, step));
    return v;
}

/* Sum over a block of full warps; every thread gets it. `room`: 32 floats of shared memory, free again afterwards. */
__device__ __forceinline__ float block_sum(float v, float *room)
{
    const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP, n_warps = blockDim.x / WARP;
    v = warp_sum(v);
    if (lane == 0)
        room[warp] = v;
    __syncthreads();
    v = 0.0f;
    for (int i = 0; i < n_warps; i++)
        v += room[i];
    __syncthreads();
    return v;
}

#endif
