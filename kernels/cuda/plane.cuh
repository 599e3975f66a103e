/* SPDX-License-Identifier: Apache-2.0
 * Kernels over planes of rows and columns: blocks of a warp's width and eight rows, lanes along a row. A thread starts
 * at (plane_row(), plane_column()) and goes on by (plane_rows(), plane_columns()): any grid covers any plane. */
#ifndef TRK_KERNELS_CUDA_PLANE_CUH
#define TRK_KERNELS_CUDA_PLANE_CUH

#include "launch.cuh"

#define PLANE_ROWS 8 /* of a block */

__device__ __forceinline__ int64_t plane_row()
{
    return (int64_t)blockIdx.y * blockDim.y + threadIdx.y;
}

__device__ __forceinline__ int64_t plane_column()
{
    return (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
}

__device__ __forceinline__ int64_t plane_rows()
{
    return (int64_t)gridDim.y * blockDim.y;
}

__device__ __forceinline__ int64_t plane_columns()
{
    return (int64_t)gridDim.x * blockDim.x;
}

static inline dim3 plane_block()
{
    return dim3(WARP, PLANE_ROWS);
}

/* Blocks for a plane that is not empty, each thread with one column and about `rows_each` rows. */
static inline dim3 plane_grid(int64_t rows, int64_t cols, int rows_each)
{
    const unsigned limit = 65535, n = blocks_for(rows, (int64_t)PLANE_ROWS * rows_each);
    return dim3(blocks_for(cols, WARP), n < limit ? n : limit);
}

#endif
