/* SPDX-License-Identifier: Apache-2.0
 * The kernels of product.cu: products of rows, out [n, m] = a [n, k] b [m, k]^T, with bias, activation and residual
 * done while the sums are in registers.
 *
 *   tensor_product    bf16 rows on 16 bytes, on tensor cores, through a ring of asynchronous copies
 *   plain_product     rows of any type and alignment, f32 multiply-adds
 *   few_rows_product  a of at most 8 rows: b is read once, at the speed of memory
 *   finish_rows       the rest of a layer over a product that is in memory */
#ifndef TRK_KERNELS_CUDA_TILE_PRODUCT_CUH
#define TRK_KERNELS_CUDA_TILE_PRODUCT_CUH

#include <type_traits>

#include "device.cuh"

/* What happens to a sum. */
struct product_tail {
    const float *bias; /* [m], 64-byte aligned, or NULL */
    int act, accumulate;
};

/* 8 elements from column c on, where a row has them: columns at or beyond `cols` stay untouched. wide: 16-byte access
 * is allowed to every eighth column of every row. */
template <class T>
__device__ __forceinline__ void put_8(const matrix<T> &m, int64_t row, int c, const float (&v)[8], int wide)
{
    if (wide && c + 8 <= m.cols) {
        union {
            T values[8];
            uint4 words[sizeof(T) / 2];
        } packed;
#pragma unroll
        for (int e = 0; e < 8; e++)
            packed.values[e] = from_float<T>(v[e]);
#pragma unroll
        for (int e = 0; e < (int)(sizeof(T) / 2); e++)
            reinterpret_cast<uint4 *>(m.at(row, c))[e] = packed.words[e];
        return;
    }
#pragma unroll
    for (int e = 0; e < 8; e++)
        if (c + e < m.cols)
            m.put(row, c + e, v[e]);
}

/* The same to v; 0 beyond the row. */
template <class T>
__device__ __forceinline__ void get_8(float (&v)[8], const matrix<T> &m, int64_t row, int c, int wide)
{
    if (wide && c + 8 <= m.cols) {
        union {
            std::remove_const_t<T> values[8];
            uint4 words[sizeof(T) / 2];
        } packed;
#pragma unroll
        for (int e = 0; e < (int)(sizeof(T) / 2); e++)
            packed.words[e] = reinterpret_cast<const uint4 *>(m.at(row, c))[e];
#pragma unroll
        for (int e = 0; e < 8; e++)
            v[e] = to_float(packed.values[e]);
        return;
    }
#pragma unroll
    for (int e = 0; e < 8; e++)
        v[e] = c + e < m.cols ? m.get(row, c + e) : 0.0f;
}

/* --- tensor cores --- */

#define TENSOR_STEP   32 /* factors of k at a time: rows of 64 bytes, 4 chunks of 16 */
#define TENSOR_STAGES 3
#define TENSOR_CHUNKS (TENSOR_STEP / 8)

/* Tiles of ROWS x COLUMNS sums; a warp has WARP_ROWS x 32 of them. */
template <int ROWS, int COLUMNS, int WARP_ROWS> struct tensor_tile {
    static constexpr int rows = ROWS, columns = COLUMNS, warp_rows = WARP_ROWS, warp_columns = 32;
    static constexpr int n_column_warps = COLUMNS / warp_columns;
    static constexpr int threads = ROWS / WARP_ROWS * n_column_warps * WARP;
    static constexpr int stage_bytes = (ROWS + COLUMNS) * TENSOR_STEP * 2;
    static constexpr int shared_bytes = TENSOR_STAGES * stage_bytes;
};

/* Byte of chunk c of row r. Chunks change places from row to row so that the 8 rows that one matrix load touches lie in
 * 8 different groups of banks: 8 rows in sequence (of a), or the rows 0, 1, 8, 9, 16, 17, 24, 25 and those 2, 4, 6
 * further (of b, see tensor_columns). */
__device__ __forceinline__ int tensor_chunk(int r, int c)
{
    return r * TENSOR_STEP * 2 + ((c ^ ((r >> 1) + (r >> 3))) & (TENSOR_CHUNKS - 1)) * 16;
}

/* Rows first .. of `m` [n, k], factors at .. at + TENSOR_STEP, to shared memory; zeros where there are none. */
template <class T>
__device__ __forceinline__ void tensor_load(unsigned char *to, const matrix<const bf16> &m, int64_t first, int n_rows,
                                            int at)
{
    for (int i = threadIdx.x; i < n_rows * TENSOR_CHUNKS; i += T::threads) {
        const int r = i / TENSOR_CHUNKS, c = i % TENSOR_CHUNKS;
        const bool valid = first + r < m.rows && at + c * 8 < m.cols;
        copy_async_16(to + tensor_chunk(r, c), valid ? m.at(first + r, at + c * 8) : m.data, valid);
    }
}

/* One step of a warp. Matrix p of the four that make its 32 columns has the columns 8 j + 2 p and 8 j + 2 p + 1,
 * j = 0 .. 3: then a lane holds 8 columns in sequence of each of its rows, which it writes at once. */
template <class T>
__device__ __forceinline__ void tensor_step(float (&sum)[T::warp_rows / 16][4][4], const unsigned char *a,
                                            const unsigned char *b, int warp_row, int warp_column)
{
    const int lane = threadIdx.x % WARP;
#pragma unroll
    for (int half = 0; half < TENSOR_STEP / 16; half++) {
        uint32_t left[T::warp_rows / 16][4], right[4][2];
#pragma unroll
        for (int i = 0; i < T::warp_rows / 16; i++)
            load_matrices(left[i], a + tensor_chunk(warp_row + i * 16 + lane % 16, half * 2 + lane / 16));
#pragma unroll
        for (int p = 0; p < 4; p += 2) {
            const int column = lane % 8 / 2 * 8 + (p + lane / 16) * 2 + lane % 2;
            uint32_t r[4];
            load_matrices(r, b + tensor_chunk(warp_column + column, half * 2 + lane / 8 % 2));
            right[p][0] = r[0], right[p][1] = r[1], right[p + 1][0] = r[2], right[p + 1][1] = r[3];
        }
#pragma unroll
        for (int i = 0; i < T::warp_rows / 16; i++)
#pragma unroll
            for (int p = 0; p < 4; p++)
                mma_bf16(sum[i][p], left[i], right[p]);
    }
}

/* Bias, activation, residual and the way out, of the warp's sums. */
template <class T, class O>
__device__ __forceinline__ void tensor_finish(const matrix<O> &out, const float (&sum)[T::warp_rows / 16][4][4],
                                              const product_tail &tail, int64_t row, int column, int wide)
{
    const int lane = threadIdx.x % WARP, c = column + lane % 4 * 8;
    float bias[8];
#pragma unroll
    for (int e = 0; e < 8; e++)
        bias[e] = tail.bias && c + e < out.cols ? __ldg(tail.bias + c + e) : 0.0f;
#pragma unroll
    for (int i = 0; i < T::warp_rows / 16; i++)
#pragma unroll
        for (int low = 0; low < 2; low++) {
            const int64_t r = row + i * 16 + low * 8 + lane / 4;
            float v[8], before[8];
            if (r >= out.rows)
                continue;
#pragma unroll
            for (int e = 0; e < 8; e++)
                v[e] = activated(tail.act, sum[i][e / 2][low * 2 + e % 2] + bias[e]);
            if (tail.accumulate) {
                get_8(before, out, r, c, wide);
#pragma unroll
                for (int e = 0; e < 8; e++)
                    v[e] += before[e];
            }
            put_8(out, r, c, v, wide);
        }
}

/* Rows of a and b start on 16 bytes; k, their columns, is a multiple of 8. One block a tile, tiles of one row of tiles
 * in sequence, so that a is read from memory once. */
template <class T, class O>
__global__ void __launch_bounds__(T::threads)
    tensor_product(matrix<O> out, matrix<const bf16> a, matrix<const bf16> b, product_tail tail, int wide)
{
    unsigned char *shared = shared_memory<unsigned char>();
    const int n_columns = (out.cols + T::columns - 1) / T::columns, n_steps = (a.cols + TENSOR_STEP - 1) / TENSOR_STEP;
    const int64_t row = (int64_t)(blockIdx.x / n_columns) * T::rows;
    const int column = (int)(blockIdx.x % n_columns) * T::columns;
    const int warp = threadIdx.x / WARP;
    const int warp_row = warp / T::n_column_warps * T::warp_rows;
    const int warp_column = warp % T::n_column_warps * T::warp_columns;
    auto load = [&](int step) {
        unsigned char *to = shared + step % TENSOR_STAGES * T::stage_bytes;
        if (step < n_steps) {
            tensor_load<T>(to, a, row, T::rows, step * TENSOR_STEP);
            tensor_load<T>(to + T::rows * TENSOR_STEP * 2, b, column, T::columns, step * TENSOR_STEP);
        }
        copies_commit(); /* also an empty group: the wait below counts them */
    };
    for (int step = 0; step < TENSOR_STAGES - 1; step++)
        load(step);
    float sum[T::warp_rows / 16][4][4] = {};
    for (int step = 0; step < n_steps; step++) {
        copies_wait<TENSOR_STAGES - 2>();
        __syncthreads(); /* this step is there for all, and all are done with the one before */
        load(step + TENSOR_STAGES - 1);
        const unsigned char *from = shared + step % TENSOR_STAGES * T::stage_bytes;
        tensor_step<T>(sum, from, from + T::rows * TENSOR_STEP * 2, warp_row, warp_column);
    }
    copies_wait<0>();
    tensor_finish<T>(out, sum, tail, row + warp_row, column + warp_column, wide);
}

/* --- any rows --- */

#define PLAIN_TILE  64
#define PLAIN_STEP  16
#define PLAIN_PITCH (PLAIN_TILE + 4) /* keeps float4 aligned, and columns apart in their banks */
#define PLAIN_SHARED_BYTES (2 * PLAIN_STEP * PLAIN_PITCH * (int)sizeof(float))
#define PLAIN_THREADS 256 /* 16 x 16, each with 4 x 4 sums */

/* Rows first .. of m, factors at .., as f32 columns [PLAIN_STEP, PLAIN_PITCH] of shared memory. */
template <class T>
__device__ __forceinline__ void plain_load(float *to, const matrix<const T> &m, int64_t first, int at, int rounds)
{
    for (int i = threadIdx.x; i < PLAIN_TILE * PLAIN_STEP; i += PLAIN_THREADS) {
        const int r = i / PLAIN_STEP, c = i % PLAIN_STEP;
        const float v = first + r < m.rows && at + c < m.cols ? m.get(first + r, at + c) : 0.0f;
        to[c * PLAIN_PITCH + r] = rounds ? rounded_bf16(v) : v;
    }
}

/* rounds: factors to bf16. */
template <class A, class B>
__global__ void __launch_bounds__(PLAIN_THREADS)
    plain_product(matrix<float> out, matrix<const A> a, matrix<const B> b, product_tail tail, int rounds)
{
    float *left = shared_memory<float>(), *right = left + PLAIN_STEP * PLAIN_PITCH;
    const int n_columns = (out.cols + PLAIN_TILE - 1) / PLAIN_TILE;
    const int64_t row = (int64_t)(blockIdx.x / n_columns) * PLAIN_TILE;
    const int column = (int)(blockIdx.x % n_columns) * PLAIN_TILE, tx = threadIdx.x % 16 * 4, ty = threadIdx.x / 16 * 4;
    float sum[4][4] = {};
    for (int at = 0; at < a.cols; at += PLAIN_STEP) {
        plain_load(left, a, row, at, rounds);
        plain_load(right, b, column, at, rounds);
        __syncthreads();
        float part[4][4] = {}; /* sums of sums lose less */
#pragma unroll
        for (int c = 0; c < PLAIN_STEP; c++) {
            const float4 l = *reinterpret_cast<const float4 *>(left + c * PLAIN_PITCH + ty);
            const float4 r = *reinterpret_cast<const float4 *>(right + c * PLAIN_PITCH + tx);
            const float ls[4] = {l.x, l.y, l.z, l.w}, rs[4] = {r.x, r.y, r.z, r.w};
#pragma unroll
            for (int i = 0; i < 16; i++)
                part[i / 4][i % 4] = fmaf(ls[i / 4], rs[i % 4], part[i / 4][i % 4]);
        }
#pragma unroll
        for (int i = 0; i < 16; i++)
            sum[i / 4][i % 4] += part[i / 4][i % 4];
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < 16; i++) {
        const int64_t r = row + ty + i / 4;
        const int c = column + tx + i % 4;
        if (r >= out.rows || c >= out.cols)
            continue;
        const float v = activated(tail.act, sum[i / 4][i % 4] + (tail.bias ? tail.bias[c] : 0.0f));
        out.put(r, c, tail.accumulate ? v + out.get(r, c) : v);
    }
}

/* --- few rows --- */

#define FEW_ROWS    8
#define FEW_FACTORS 1024 /* at most: a is in shared memory */
#define FEW_THREADS 256

/* One thread a row of b. Shared: a, rounded, [k padded to 8][N] with zeros in the padding. */
template <int N, class A, class B>
__global__ void __launch_bounds__(FEW_THREADS)
    few_rows_product(matrix<float> out, matrix<const A> a, matrix<const B> b, int rounds, int wide)
{
    float *factors = shared_memory<float>();
    const int k_padded = (a.cols + 7) / 8 * 8;
    for (int i = threadIdx.x; i < k_padded * N; i += FEW_THREADS) {
        const int r = i % N, c = i / N;
        const float v = r < a.rows && c < a.cols ? a.get(r, c) : 0.0f;
        factors[i] = rounds ? rounded_bf16(v) : v;
    }
    __syncthreads();
    const int64_t j = (int64_t)blockIdx.x * FEW_THREADS + threadIdx.x;
    if (j >= b.rows)
        return;
    float sum[N] = {};
#pragma unroll 4
    for (int at = 0; at < b.cols; at += 8) {
        float v[8], part[N] = {}; /* sums of sums lose less */
        get_8(v, b, j, at, wide);
#pragma unroll
        for (int e = 0; e < 8; e++) {
            const float f = rounds ? rounded_bf16(v[e]) : v[e];
            const float4 *row = reinterpret_cast<const float4 *>(factors + (at + e) * N);
#pragma unroll
            for (int i = 0; i < N; i += 4) {
                const float4 w = row[i / 4];
                part[i] = fmaf(f, w.x, part[i]);
                part[i + 1] = fmaf(f, w.y, part[i + 1]);
                part[i + 2] = fmaf(f, w.z, part[i + 2]);
                part[i + 3] = fmaf(f, w.w, part[i + 3]);
            }
        }
#pragma unroll
        for (int i = 0; i < N; i++)
            sum[i] += part[i];
    }
#pragma unroll
    for (int i = 0; i < N; i++)
        if (i < out.rows)
            out.put(i, j, sum[i]);
}

/* --- passes over rows --- */

#define ROWS_THREADS 256

/* out = act(sums + bias) (+ out), 8 columns a thread; sums may be out. */
template <class O>
__global__ void __launch_bounds__(ROWS_THREADS)
    finish_rows(matrix<O> out, matrix<float> sums, product_tail tail, int wide_out, int wide_sums)
{
    const int n_groups = (out.cols + 7) / 8;
    const int64_t i = (int64_t)blockIdx.x * ROWS_THREADS + threadIdx.x;
    if (i >= (int64_t)out.rows * n_groups)
        return;
    const int r = (int)(i / n_groups), c = (int)(i % n_groups) * 8;
    float v[8], before[8] = {};
    get_8(v, sums, r, c, wide_sums);
    if (tail.accumulate)
        get_8(before, out, r, c, wide_out);
#pragma unroll
    for (int e = 0; e < 8; e++) {
        const float bias = tail.bias && c + e < out.cols ? __ldg(tail.bias + c + e) : 0.0f;
        v[e] = activated(tail.act, v[e] + bias) + before[e];
    }
    put_8(out, r, c, v, wide_out);
}

/* out [n, k padded] = in [n, k] in out's type, zeros beyond k. */
template <class O, class I>
__global__ void __launch_bounds__(ROWS_THREADS) pack_rows(matrix<O> out, matrix<const I> in, int wide)
{
    const int n_groups = out.cols / 8;
    const int64_t i = (int64_t)blockIdx.x * ROWS_THREADS + threadIdx.x;
    if (i >= (int64_t)out.rows * n_groups)
        return;
    const int r = (int)(i / n_groups), c = (int)(i % n_groups) * 8;
    float v[8];
    get_8(v, in, r, c, wide);
    put_8(out, r, c, v, 1);
}

#endif
