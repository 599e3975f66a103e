/* SPDX-License-Identifier: Apache-2.0
 * Memories in their slots, and packed masks; the conventions for what is not finite are those of ref/storage_ref.c,
 * and slots are the same byte by byte. A thread takes N neighbours in raster order, 4 where alignment allows. */
#include "groups.cuh"
#include "stored.h"

#define F16_LARGEST 0x477fe000u /* 65504 as f32 */
#define F16_NORMAL  0x38800000u /* 2^-14 */

/* --- formats --- */

/* As trk_f32_to_bf16 of base/bf16.h: NaN keeps its upper bits, which pack_bf16 does not promise. */
static __device__ __forceinline__ uint16_t to_bf16(float v)
{
    const uint32_t u = __float_as_uint(v);
    if ((u & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)(u >> 16 | 0x40u);
    return (uint16_t)((u + 0x7fffu + (u >> 16 & 1u)) >> 16);
}

/* To nearest even, saturated; NaN keeps its upper bits. */
static __device__ __forceinline__ uint16_t to_f16(float v)
{
    const uint32_t u = __float_as_uint(v), sign = u >> 16 & 0x8000u, magnitude = u & 0x7fffffffu;
    if (magnitude > 0x7f800000u)
        return (uint16_t)(sign | 0x7e00u | (u >> 13 & 0x1ffu));
    if (magnitude >= F16_LARGEST)
        return (uint16_t)(sign | 0x7bffu);
    if (magnitude < F16_NORMAL) /* in units of 2^-24 */
        return (uint16_t)(sign | (uint32_t)rintf(__uint_as_float(magnitude) * 0x1p24f));
    const uint32_t rounded = magnitude + 0xfffu + (magnitude >> 13 & 1u);
    return (uint16_t)(sign | ((rounded >> 13) - (112u << 10)));
}

/* As trk_f16_to_f32 of base/bf16.h. */
static __device__ __forceinline__ float from_f16(uint16_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exponent = h >> 10 & 31u, mantissa = h & 0x3ffu;
    if (exponent == 31u)
        return __uint_as_float(sign | 0x7f800000u | mantissa << 13);
    if (exponent)
        return __uint_as_float(sign | (exponent + 112u) << 23 | mantissa << 13);
    return __uint_as_float(sign | __float_as_uint((float)mantissa * 0x1p-24f));
}

namespace
{

/* Elements as they lie in a slot. */
struct stored_f32 {
    float v;
};
struct stored_bf16 {
    uint16_t bits;
};
struct stored_f16 {
    uint16_t bits;
};

} /* namespace */

static __device__ __forceinline__ void encode(stored_f32 &s, float v)
{
    s.v = v;
}
static __device__ __forceinline__ void encode(stored_bf16 &s, float v)
{
    s.bits = to_bf16(v);
}
static __device__ __forceinline__ void encode(stored_f16 &s, float v)
{
    s.bits = to_f16(v);
}

static __device__ __forceinline__ float decode(stored_f32 s)
{
    return s.v;
}
static __device__ __forceinline__ float decode(stored_bf16 s)
{
    return to_float(bf16{s.bits});
}
static __device__ __forceinline__ float decode(stored_f16 s)
{
    return from_f16(s.bits);
}

namespace
{

/* N elements of a slot, moved at once. */
template <class S, int N> struct alignas(sizeof(S) * N) pack {
    S s[N];
};

/* --- raster order --- */

/* A matrix by the number of an element in raster order. Groups of N do not cross rows. */
template <int N, class T> struct raster {
    matrix<T> m;

    __device__ __forceinline__ T *at(int64_t i) const
    {
        return m.stride == m.cols ? m.data + i : m.at(i / m.cols, i % m.cols);
    }
    __device__ __forceinline__ void get(float (&v)[N], int64_t i) const
    {
        load_group(v, at(i));
    }
    __device__ __forceinline__ void put(int64_t i, const float (&v)[N]) const
    {
        store_group(at(i), v);
    }
};

} /* namespace */

static __device__ __forceinline__ int64_t first_element(int n)
{
    return ((int64_t)blockIdx.x * blockDim.x + threadIdx.x) * n;
}

static int64_t elements(trk_mat m)
{
    return (int64_t)m.rows * m.cols;
}

/* --- store and fetch --- */

template <class S, int N, class T> static __global__ void store_elements(S *slot, raster<N, T> in, int64_t n)
{
    const int64_t i = first_element(N);
    if (i >= n)
        return;
    float v[N];
    pack<S, N> packed;
    in.get(v, i);
#pragma unroll
    for (int j = 0; j < N; j++)
        encode(packed.s[j], v[j]);
    *reinterpret_cast<pack<S, N> *>(slot + i) = packed;
}

template <class S, int N, class T> static __global__ void fetch_elements(raster<N, T> out, const S *slot, int64_t n)
{
    const int64_t i = first_element(N);
    if (i >= n)
        return;
    float v[N];
    const pack<S, N> packed = *reinterpret_cast<const pack<S, N> *>(slot + i);
#pragma unroll
    for (int j = 0; j < N; j++)
        v[j] = decode(packed.s[j]);
    out.put(i, v);
}

/* Of the block that TRK_Q8_BLOCK / N neighbouring lanes hold, NaN if one of them is; called by the whole warp. */
template <int N> static __device__ __forceinline__ float block_largest(const float (&v)[N])
{
    float largest = 0.0f;
#pragma unroll
    for (int j = 0; j < N; j++)
        largest = fabsf(v[j]) > largest || isnan(v[j]) ? fabsf(v[j]) : largest;
#pragma unroll
    for (int step = TRK_Q8_BLOCK / N / 2; step > 0; step /= 2) {
        const float other = __shfl_xor_sync(ALL_LANES, largest, step);
        largest = other > largest || isnan(other) ? other : largest;
    }
    return largest;
}

/* scale = f16(largest / 127), q = round(v / f16 scale); a block whose scale is 0 or NaN is zeros */
template <int N, class T> static __global__ void quantise(int8_t *slot, uint16_t *scales, raster<N, T> in, int64_t n)
{
    const int64_t i = first_element(N);
    float v[N] = {};
    if (i < n)
        in.get(v, i);
    const float largest = block_largest(v);
    const uint16_t scale = isnan(largest) ? TRK_Q8_NAN_SCALE : to_f16(largest / 127.0f);
    const float step = from_f16(scale);
    pack<int8_t, N> packed;
#pragma unroll
    for (int j = 0; j < N; j++)
        packed.s[j] = step > 0.0f ? (int8_t)rintf(fminf(fmaxf(v[j] / step, -127.0f), 127.0f)) : 0;
    if (i >= n)
        return;
    *reinterpret_cast<pack<int8_t, N> *>(slot + i) = packed;
    if (i % TRK_Q8_BLOCK == 0)
        scales[i / TRK_Q8_BLOCK] = scale;
}

/* The product of an int8 and an f16 is exact in f32. */
template <int N, class T>
static __global__ void dequantise(raster<N, T> out, const int8_t *slot, const uint16_t *scales, int64_t n)
{
    const int64_t i = first_element(N);
    if (i >= n)
        return;
    const pack<int8_t, N> packed = *reinterpret_cast<const pack<int8_t, N> *>(slot + i);
    const float scale = from_f16(scales[i / TRK_Q8_BLOCK]);
    float v[N];
#pragma unroll
    for (int j = 0; j < N; j++)
        v[j] = (float)packed.s[j] * scale;
    out.put(i, v);
}

/* f with an element of the slot; int8_t stands for Q8 */
template <class F> static void by_storage(trk_storage storage, F f)
{
    switch (storage) {
    case TRK_STORE_F32:
        return f(stored_f32{});
    case TRK_STORE_BF16:
        return f(stored_bf16{});
    case TRK_STORE_F16:
        return f(stored_f16{});
    default:
        return f(int8_t{});
    }
}

static bool slot_in_groups(const void *slot)
{
    return (uintptr_t)slot % (GROUP * sizeof(float)) == 0;
}

void trk_store_cuda(trk_exec *x, void *slot, trk_storage storage, trk_mat in)
{
    TRK_EXPECT(x, "store", trk_stored_fits(storage, in));
    const int64_t n = elements(in);
    if (n == 0)
        return;
    by_width(in_groups(in) && slot_in_groups(slot), [&](auto width) {
        constexpr int N = decltype(width)::value;
        const unsigned blocks = blocks_for(n, (int64_t)GROUP_THREADS * N);
        by_type(in.dtype, [&](auto t) {
            using T = decltype(t);
            const raster<N, T> from = {matrix_of<T>(in)};
            by_storage(storage, [&](auto s) {
                using S = decltype(s);
                if constexpr (std::is_same<S, int8_t>::value)
                    TRK_LAUNCH(x, (quantise<N, T>), blocks, GROUP_THREADS, 0, static_cast<S *>(slot),
                               trk_stored_scales(slot, n), from, n);
                else
                    TRK_LAUNCH(x, (store_elements<S, N, T>), blocks, GROUP_THREADS, 0, static_cast<S *>(slot), from, n);
            });
        });
    });
}

void trk_fetch_cuda(trk_exec *x, trk_mat out, const void *slot, trk_storage storage)
{
    TRK_EXPECT(x, "fetch", trk_stored_fits(storage, out));
    const int64_t n = elements(out);
    if (n == 0)
        return;
    by_width(in_groups(out) && slot_in_groups(slot), [&](auto width) {
        constexpr int N = decltype(width)::value;
        const unsigned blocks = blocks_for(n, (int64_t)GROUP_THREADS * N);
        by_type(out.dtype, [&](auto t) {
            using T = decltype(t);
            const raster<N, T> to = {matrix_of<T>(out)};
            by_storage(storage, [&](auto s) {
                using S = decltype(s);
                if constexpr (std::is_same<S, int8_t>::value)
                    TRK_LAUNCH(x, (dequantise<N, T>), blocks, GROUP_THREADS, 0, to, static_cast<const S *>(slot),
                               trk_stored_scales(slot, n), n);
                else
                    TRK_LAUNCH(x, (fetch_elements<S, N, T>), blocks, GROUP_THREADS, 0, to, static_cast<const S *>(slot),
                               n);
            });
        });
    });
}

/* --- packed masks --- */

template <int N, class T> static __global__ void pack_elements(int8_t *out, raster<N, T> in, int64_t n)
{
    const int64_t i = first_element(N);
    if (i >= n)
        return;
    float v[N];
    pack<int8_t, N> packed;
    in.get(v, i);
#pragma unroll
    for (int j = 0; j < N; j++)
        packed.s[j] = isnan(v[j]) ? 0 : (int8_t)rintf(fminf(fmaxf(v[j], -12.7f), 12.7f) * 10.0f);
    *reinterpret_cast<pack<int8_t, N> *>(out + i) = packed;
}

template <int N, class T> static __global__ void unpack_elements(raster<N, T> out, const int8_t *in, int64_t n)
{
    const int64_t i = first_element(N);
    if (i >= n)
        return;
    float v[N];
    const pack<int8_t, N> packed = *reinterpret_cast<const pack<int8_t, N> *>(in + i);
#pragma unroll
    for (int j = 0; j < N; j++)
        v[j] = (float)packed.s[j] / 10.0f;
    out.put(i, v);
}

void trk_pack_mask_cuda(trk_exec *x, int8_t *out, trk_mat in)
{
    const int64_t n = elements(in);
    if (n == 0)
        return;
    by_width(in_groups(in) && slot_in_groups(out), [&](auto width) {
        constexpr int N = decltype(width)::value;
        by_type(in.dtype, [&](auto t) {
            using T = decltype(t);
            const raster<N, T> from = {matrix_of<T>(in)};
            TRK_LAUNCH(x, (pack_elements<N, T>), blocks_for(n, (int64_t)GROUP_THREADS * N), GROUP_THREADS, 0, out, from,
                       n);
        });
    });
}

void trk_unpack_mask_cuda(trk_exec *x, trk_mat out, const int8_t *in)
{
    const int64_t n = elements(out);
    if (n == 0)
        return;
    by_width(in_groups(out) && slot_in_groups(in), [&](auto width) {
        constexpr int N = decltype(width)::value;
        by_type(out.dtype, [&](auto t) {
            using T = decltype(t);
            const raster<N, T> to = {matrix_of<T>(out)};
            TRK_LAUNCH(x, (unpack_elements<N, T>), blocks_for(n, (int64_t)GROUP_THREADS * N), GROUP_THREADS, 0, to, in,
                       n);
        });
    });
}
