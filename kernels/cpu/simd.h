/* SPDX-License-Identifier: Apache-2.0
 * One vector of SIMD_LANES floats, as wide as the compiler flags of the including file allow: kernels are written once
 * on top of this and compiled once per instruction set. Everything is static: files of different flags never share
 * code. Arithmetic is that of GCC vector extensions; a multiply and an add in one expression become one FMA where the
 * target has it (-ffp-contract=fast). */
#ifndef TRK_KERNELS_CPU_SIMD_H
#define TRK_KERNELS_CPU_SIMD_H

#include <stdint.h>
#include <string.h>

#include "ops.h"

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
#include <immintrin.h>
#define SIMD_AVX512 1
#define SIMD_LANES  16
#elif defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>
#define SIMD_AVX2  1
#define SIMD_LANES 8
#else
#define SIMD_LANES 4
#endif
#if defined(SIMD_AVX512) && defined(__AVX512BF16__)
#define SIMD_BF16 1 /* the machine multiplies pairs of bf16 */
#endif

#define SIMD_INLINE static inline __attribute__((always_inline, unused))
#ifdef __clang__
#define SIMD_UNROLL _Pragma("unroll")
#else
#define SIMD_UNROLL _Pragma("GCC unroll 16")
#endif

typedef float vf __attribute__((vector_size(4 * SIMD_LANES)));
typedef int32_t vi __attribute__((vector_size(4 * SIMD_LANES)));
typedef uint32_t vu __attribute__((vector_size(4 * SIMD_LANES)));
typedef uint16_t vh __attribute__((vector_size(2 * SIMD_LANES))); /* as many 16-bit values */

/* The same types in memory at any address. */
typedef float vf_memory __attribute__((vector_size(4 * SIMD_LANES), may_alias, aligned(1)));
typedef uint32_t vu_memory __attribute__((vector_size(4 * SIMD_LANES), may_alias, aligned(1)));
typedef uint16_t vh_memory __attribute__((vector_size(2 * SIMD_LANES), may_alias, aligned(1)));

SIMD_INLINE vf vf_set1(float value)
{
    return value - (vf){0};
}

SIMD_INLINE vf vf_load(const float *p)
{
    return *(const vf_memory *)(const void *)p;
}

SIMD_INLINE void vf_store(float *p, vf v)
{
    *(vf_memory *)(void *)p = v;
}

SIMD_INLINE vu vu_load(const void *p)
{
    return *(const vu_memory *)p;
}

SIMD_INLINE void vu_store(void *p, vu v)
{
    *(vu_memory *)p = v;
}

/* b where either is NaN, so vf_max(bound, value) keeps a NaN value. */
SIMD_INLINE vf vf_max(vf a, vf b)
{
#if defined(SIMD_AVX512)
    return (vf)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined(SIMD_AVX2)
    return (vf)_mm256_max_ps((__m256)a, (__m256)b);
#else
    const vi take_a = (vi)(a > b);
    return (vf)(((vi)a & take_a) | ((vi)b & ~take_a));
#endif
}

/* NaN where either is. */
SIMD_INLINE vf vf_max_nan(vf a, vf b)
{
    const vi nan = (vi)(a != a);
    return (vf)(((vi)a & nan) | ((vi)vf_max(a, b) & ~nan));
}

/* The 16 bits of bf16(v), round to nearest even, NaN kept, in the low half of each lane. */
SIMD_INLINE vu vu_bf16_bits(vf v)
{
#ifdef SIMD_BF16
    return (vu)_mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)v));
#else
    const vu u = (vu)v, nan = (vu)(v != v);
    const vu rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
    return (rounded & ~nan) | (((u >> 16) | 0x40u) & nan);
#endif
}

SIMD_INLINE vf vf_round_bf16(vf v)
{
    return (vf)(vu_bf16_bits(v) << 16);
}

/* The first n floats at p, zeros behind; never reads further. */
SIMD_INLINE vf vf_load_n(const float *p, int n)
{
    if (n >= SIMD_LANES)
        return vf_load(p);
#if defined(SIMD_AVX512)
    return (vf)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1u), p);
#else
    float lanes[SIMD_LANES] = {0};
    for (int i = 0; i < n; i++)
        lanes[i] = p[i];
    return vf_load(lanes);
#endif
}

SIMD_INLINE void vf_store_n(float *p, vf v, int n)
{
    if (n >= SIMD_LANES) {
        vf_store(p, v);
        return;
    }
#if defined(SIMD_AVX512)
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1u), (__m512)v);
#else
    float lanes[SIMD_LANES];
    vf_store(lanes, v);
    for (int i = 0; i < n; i++)
        p[i] = lanes[i];
#endif
}

/* The first n 16-bit values at p, zeros behind, one per lane. */
SIMD_INLINE vu vu_load_u16_n(const uint16_t *p, int n)
{
    if (n >= SIMD_LANES)
        return __builtin_convertvector(*(const vh_memory *)(const void *)p, vu);
#if defined(SIMD_AVX512)
    return (vu)_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16((__mmask16)((1u << n) - 1u), p));
#else
    uint32_t lanes[SIMD_LANES] = {0};
    for (int i = 0; i < n; i++)
        lanes[i] = p[i];
    return vu_load(lanes);
#endif
}

SIMD_INLINE void vu_store_u16_n(uint16_t *p, vu bits, int n)
{
    const vh narrow = __builtin_convertvector(bits, vh);
    if (n >= SIMD_LANES)
        *(vh_memory *)(void *)p = narrow;
    else
        memcpy(p, &narrow, 2 * (size_t)n);
}

/* Elements [first, first + n) of a row of f32 or bf16, as f32, zeros behind. */
SIMD_INLINE vf vf_load_row(const void *row, trk_dtype dtype, int first, int n)
{
    if (dtype == TRK_F32)
        return vf_load_n((const float *)row + first, n);
    return (vf)(vu_load_u16_n((const uint16_t *)row + first, n) << 16);
}

SIMD_INLINE void vf_store_row(void *row, trk_dtype dtype, int first, vf v, int n)
{
    if (dtype == TRK_F32)
        vf_store_n((float *)row + first, v, n);
    else
        vu_store_u16_n((uint16_t *)row + first, vu_bf16_bits(v), n);
}

#if SIMD_LANES == 16
#define SIMD_SHUFFLE_LOW  0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define SIMD_SHUFFLE_HIGH 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#define SIMD_LOG2_LANES   4
#elif SIMD_LANES == 8
#define SIMD_SHUFFLE_LOW  0, 8, 1, 9, 2, 10, 3, 11
#define SIMD_SHUFFLE_HIGH 4, 12, 5, 13, 6, 14, 7, 15
#define SIMD_LOG2_LANES   3
#else
#define SIMD_SHUFFLE_LOW  0, 4, 1, 5
#define SIMD_SHUFFLE_HIGH 2, 6, 3, 7
#define SIMD_LOG2_LANES   2
#endif

/* Transposes SIMD_LANES vectors in place: log2 perfect shuffles of row i with row i + SIMD_LANES / 2. */
SIMD_INLINE void vu_transpose(vu rows[SIMD_LANES])
{
    SIMD_UNROLL
    for (int stage = 0; stage < SIMD_LOG2_LANES; stage++) {
        vu next[SIMD_LANES];
        SIMD_UNROLL
        for (int i = 0; i < SIMD_LANES / 2; i++) {
            next[2 * i] = __builtin_shufflevector(rows[i], rows[i + SIMD_LANES / 2], SIMD_SHUFFLE_LOW);
            next[2 * i + 1] = __builtin_shufflevector(rows[i], rows[i + SIMD_LANES / 2], SIMD_SHUFFLE_HIGH);
        }
        SIMD_UNROLL
        for (int i = 0; i < SIMD_LANES; i++)
            rows[i] = next[i];
    }
}

#ifdef SIMD_BF16
/* accumulator + a.even * b.even + a.odd * b.odd per lane of bf16 pairs */
SIMD_INLINE vf vf_dot_pairs(vf accumulator, vu a, vu b)
{
    return (vf)_mm512_dpbf16_ps((__m512)accumulator, (__m512bh)a, (__m512bh)b);
}

/* One bf16 pair in every lane. */
SIMD_INLINE vu vu_set1_pair(const void *pair)
{
    int32_t bits;
    memcpy(&bits, pair, sizeof bits);
    return (vu)_mm512_set1_epi32(bits);
}

/* Lane i: bf16(even[i]) in the low half, bf16(odd[i]) in the high half. */
SIMD_INLINE vu vu_pair_lanes(vf even, vf odd)
{
    const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                                           21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    const __m512i halves = (__m512i)_mm512_cvtne2ps_pbh((__m512)odd, (__m512)even);
    return (vu)_mm512_permutexvar_epi16(order, halves);
}

/* Elements [first, first + n) of a row, n <= 2 SIMD_LANES, as bf16 in memory order, zeros behind. */
SIMD_INLINE vu vu_load_row_bf16(const void *row, trk_dtype dtype, int first, int n)
{
    if (dtype == TRK_BF16) {
        const uint16_t *p = (const uint16_t *)row + first;
        if (n >= 2 * SIMD_LANES)
            return vu_load(p);
        return (vu)_mm512_maskz_loadu_epi16((__mmask32)((1u << n) - 1u), p);
    }
    const vf low = vf_load_n((const float *)row + first, n);
    const vf high = n > SIMD_LANES ? vf_load_n((const float *)row + first + SIMD_LANES, n - SIMD_LANES) : (vf){0};
    return (vu)_mm512_cvtne2ps_pbh((__m512)high, (__m512)low);
}
#endif

#endif
