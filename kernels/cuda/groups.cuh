/* SPDX-License-Identifier: Apache-2.0
 * Kernels over the elements of a matrix: a thread takes groups of N neighbours in a row, N 4 where alignment allows and
 * less where not. A block is `width` groups of one row times as many rows as fit, so that no thread divides. */
#ifndef TRK_KERNELS_CUDA_GROUPS_CUH
#define TRK_KERNELS_CUDA_GROUPS_CUH

#include <type_traits>

#include "launch.cuh"

#define GROUP         4   /* elements of a vector access: 16 bytes of f32, 8 of bf16 */
#define GROUP_THREADS 256 /* of a block */

/* N elements; with N GROUP, p is aligned to so many. */
template <int N, class T> __device__ __forceinline__ void load_group(float (&v)[N], const T *p)
{
    if constexpr (N == GROUP && sizeof(T) == 4) {
        const float4 u = *reinterpret_cast<const float4 *>(p);
        v[0] = u.x, v[1] = u.y, v[2] = u.z, v[3] = u.w;
    } else if constexpr (N == GROUP) {
        const uint2 u = *reinterpret_cast<const uint2 *>(p);
        v[0] = __uint_as_float(u.x << 16), v[1] = __uint_as_float(u.x & 0xffff0000u);
        v[2] = __uint_as_float(u.y << 16), v[3] = __uint_as_float(u.y & 0xffff0000u);
    } else {
#pragma unroll
        for (int i = 0; i < N; i++)
            v[i] = to_float(p[i]);
    }
}

template <int N, class T> __device__ __forceinline__ void store_group(T *p, const float (&v)[N])
{
    if constexpr (N == GROUP && sizeof(T) == 4) {
        *reinterpret_cast<float4 *>(p) = make_float4(v[0], v[1], v[2], v[3]);
    } else if constexpr (N == GROUP) {
        *reinterpret_cast<uint2 *>(p) = make_uint2(pack_bf16(v[0], v[1]), pack_bf16(v[2], v[3]));
    } else {
#pragma unroll
        for (int i = 0; i < N; i++)
            p[i] = from_float<T>(v[i]);
    }
}

/* f(row, first column) for every group that is this thread's in a launch of element_grid. N divides cols. */
template <int N, class F> __device__ __forceinline__ void each_group(int rows, int cols, F f)
{
    const int64_t r = (int64_t)blockIdx.x * blockDim.y + threadIdx.y, step = (int64_t)gridDim.y * blockDim.x * N;
    for (int64_t c = ((int64_t)blockIdx.y * blockDim.x + threadIdx.x) * N; r < rows && c < cols; c += step)
        f(r, c);
}

/* Row r of a matrix whose n rows repeat. */
__device__ __forceinline__ int64_t repeated(int64_t r, int n)
{
    return r < n ? r : (int64_t)((unsigned)r % (unsigned)n);
}

/* The host's side */

struct element_grid {
    dim3 blocks, threads;
};

/* rows, cols > 0 */
static inline element_grid grid_over(int rows, int cols, int n)
{
    const unsigned groups = blocks_for(cols, n), chunks = blocks_for(groups, GROUP_THREADS);
    const unsigned width = blocks_for(groups, chunks), height = GROUP_THREADS / width;
    return {dim3(blocks_for(rows, height), chunks < 65535 ? chunks : 65535), dim3(width, height)};
}

/* Whether every row starts where a vector access may, and ends after a whole number of them. */
static inline bool in_groups(trk_mat m)
{
    const size_t vector = GROUP * trk_dtype_bytes(m.dtype);
    return m.cols % GROUP == 0 && m.stride % GROUP == 0 && (uintptr_t)m.data % vector == 0;
}

static inline bool in_groups(const float *v)
{
    return (uintptr_t)v % (GROUP * sizeof *v) == 0;
}

/* Calls f with the width of a group, std::integral_constant<int, GROUP or other>. */
template <int OTHER = 1, class F> void by_width(bool vectors, F f)
{
    if (vectors)
        f(std::integral_constant<int, GROUP>{});
    else
        f(std::integral_constant<int, OTHER>{});
}

/* Calls f with the width of a group, values of both element types and the grid over out, unless out is empty. */
template <class F> void by_groups(trk_mat out, trk_mat in, F f)
{
    if (out.rows == 0 || out.cols == 0)
        return;
    by_width(in_groups(out) && in_groups(in), [&](auto n) {
        const element_grid g = grid_over(out.rows, out.cols, decltype(n)::value);
        by_types(out.dtype, in.dtype, [&](auto o, auto i) { f(n, o, i, g); });
    });
}

#endif
