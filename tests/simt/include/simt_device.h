/* SPDX-License-Identifier: Apache-2.0
 * What kernels use: the words of the language, the indices of a thread, barriers, warp intrinsics, atomics and the
 * arithmetic that <math.h> lacks.
 *
 * A kernel runs in one OS thread, so indices are plain variables that the scheduler sets when it switches, and atomics
 * are plain code. Whatever waits is a call into block.cc. */
#ifndef SIMT_DEVICE_H
#define SIMT_DEVICE_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "simt_vector.h"

#define __host__
#define __device__
#define __global__
#define __constant__
#define __grid_constant__
#define __shared__      simt_has_no_static_shared_memory
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __align__(n)        __attribute__((aligned(n)))
#define __builtin_assume(x) ((void)0)

extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;
static constexpr int warpSize = 32;

/* --- the scheduler, block.cc --- */

/* A rendezvous of the lanes in `mask`: when the last has come, `meet` is called once with what each of them gave (NULL
 * outside the mask), and all go on. Lanes meet in the same function with the same mask, or it is an error. */
typedef void simt_meeting(void *const given[32], unsigned mask);
void simt_meet(simt_meeting *meet, const char *what, unsigned mask, void *given);
void simt_barrier(const char *what);
/* Sum of v over the threads of the block. */
int simt_barrier_count(const char *what, int v);
[[noreturn]] void simt_trap(void);

/* --- barriers --- */

static inline void __syncthreads(void)
{
    simt_barrier("__syncthreads");
}

static inline int __syncthreads_count(int predicate)
{
    return simt_barrier_count("__syncthreads_count", predicate != 0);
}

static inline int __syncthreads_or(int predicate)
{
    return simt_barrier_count("__syncthreads_or", predicate != 0) > 0;
}

static inline int __syncthreads_and(int predicate)
{
    return simt_barrier_count("__syncthreads_and", predicate == 0) == 0;
}

void simt_meet_nothing(void *const given[32], unsigned mask);

static inline void __syncwarp(unsigned mask = 0xffffffffu)
{
    char nothing = 0;
    simt_meet(simt_meet_nothing, "__syncwarp", mask, &nothing);
}

static inline void __threadfence(void)
{
}

static inline void __threadfence_block(void)
{
}

static inline void __trap(void)
{
    simt_trap();
}

/* --- shuffles and votes, warp.cc --- */

struct simt_shuffle {
    uint64_t value, result;
    int by, width; /* the lane, step or mask, and the size of a segment */
};

simt_meeting simt_meet_shuffle, simt_meet_shuffle_up, simt_meet_shuffle_down, simt_meet_shuffle_xor;

template <class T>
static inline T simt_shuffled(simt_meeting *meet, const char *what, unsigned mask, T v, int by, int width)
{
    static_assert(sizeof v <= sizeof(uint64_t), "a shuffle moves at most 8 bytes");
    simt_shuffle s = {0, 0, by, width};
    memcpy(&s.value, &v, sizeof v);
    simt_meet(meet, what, mask, &s);
    memcpy(&v, &s.result, sizeof v);
    return v;
}

template <class T> static inline T __shfl_sync(unsigned mask, T v, int lane, int width = 32)
{
    return simt_shuffled(simt_meet_shuffle, "__shfl_sync", mask, v, lane, width);
}

template <class T> static inline T __shfl_up_sync(unsigned mask, T v, unsigned step, int width = 32)
{
    return simt_shuffled(simt_meet_shuffle_up, "__shfl_up_sync", mask, v, (int)step, width);
}

template <class T> static inline T __shfl_down_sync(unsigned mask, T v, unsigned step, int width = 32)
{
    return simt_shuffled(simt_meet_shuffle_down, "__shfl_down_sync", mask, v, (int)step, width);
}

template <class T> static inline T __shfl_xor_sync(unsigned mask, T v, int bits, int width = 32)
{
    return simt_shuffled(simt_meet_shuffle_xor, "__shfl_xor_sync", mask, v, bits, width);
}

struct simt_vote {
    uint64_t value;
    unsigned result;
};

simt_meeting simt_meet_ballot, simt_meet_match_any;

static inline unsigned simt_voted(simt_meeting *meet, const char *what, unsigned mask, uint64_t value)
{
    simt_vote v = {value, 0};
    simt_meet(meet, what, mask, &v);
    return v.result;
}

static inline unsigned __ballot_sync(unsigned mask, int predicate)
{
    return simt_voted(simt_meet_ballot, "__ballot_sync", mask, predicate != 0);
}

static inline int __any_sync(unsigned mask, int predicate)
{
    return simt_voted(simt_meet_ballot, "__any_sync", mask, predicate != 0) != 0;
}

static inline int __all_sync(unsigned mask, int predicate)
{
    return simt_voted(simt_meet_ballot, "__all_sync", mask, predicate == 0) == 0;
}

template <class T> static inline unsigned __match_any_sync(unsigned mask, T v)
{
    static_assert(sizeof v <= sizeof(uint64_t), "a match compares at most 8 bytes");
    uint64_t bits = 0;
    memcpy(&bits, &v, sizeof v);
    return simt_voted(simt_meet_match_any, "__match_any_sync", mask, bits);
}

/* --- bits --- */

template <class To, class From> static inline To simt_bits(From v)
{
    static_assert(sizeof(To) == sizeof(From), "same size");
    To out;
    memcpy(&out, &v, sizeof out);
    return out;
}

static inline int __float_as_int(float v)
{
    return simt_bits<int>(v);
}

static inline unsigned __float_as_uint(float v)
{
    return simt_bits<unsigned>(v);
}

static inline float __int_as_float(int v)
{
    return simt_bits<float>(v);
}

static inline float __uint_as_float(unsigned v)
{
    return simt_bits<float>(v);
}

static inline long long __double_as_longlong(double v)
{
    return simt_bits<long long>(v);
}

static inline double __longlong_as_double(long long v)
{
    return simt_bits<double>(v);
}

static inline int __popc(unsigned v)
{
    return __builtin_popcount(v);
}

static inline int __popcll(unsigned long long v)
{
    return __builtin_popcountll(v);
}

static inline int __clz(int v)
{
    return v ? __builtin_clz((unsigned)v) : 32;
}

static inline int __clzll(long long v)
{
    return v ? __builtin_clzll((unsigned long long)v) : 64;
}

static inline int __ffs(int v)
{
    return __builtin_ffs(v);
}

static inline int __ffsll(long long v)
{
    return __builtin_ffsll(v);
}

static inline unsigned __brev(unsigned v)
{
    unsigned out = 0;
    for (int i = 0; i < 32; i++)
        out |= (v >> i & 1u) << (31 - i);
    return out;
}

static inline int __mulhi(int a, int b)
{
    return (int)((long long)a * b >> 32);
}

static inline unsigned __umulhi(unsigned a, unsigned b)
{
    return (unsigned)((unsigned long long)a * b >> 32);
}

/* --- loads and stores with a hint of caching --- */

#define SIMT_LOAD(name)                                                                                                \
    template <class T> static inline T name(const T *p)                                                                \
    {                                                                                                                  \
        return *p;                                                                                                     \
    }
SIMT_LOAD(__ldg)
SIMT_LOAD(__ldca)
SIMT_LOAD(__ldcg)
SIMT_LOAD(__ldcs)
SIMT_LOAD(__ldlu)
SIMT_LOAD(__ldcv)
#undef SIMT_LOAD

#define SIMT_STORE(name)                                                                                               \
    template <class T> static inline void name(T *p, T v)                                                              \
    {                                                                                                                  \
        *p = v;                                                                                                        \
    }
SIMT_STORE(__stwb)
SIMT_STORE(__stcg)
SIMT_STORE(__stcs)
SIMT_STORE(__stwt)
#undef SIMT_STORE

/* --- atomics: the former value --- */

#define SIMT_ATOMIC(T, name, expression)                                                                               \
    static inline T name(T *p, T v)                                                                                    \
    {                                                                                                                  \
        T old = *p;                                                                                                    \
        *p = (expression);                                                                                             \
        return old;                                                                                                    \
    }
#define SIMT_ATOMICS_INTEGER(T)                                                                                        \
    SIMT_ATOMIC(T, atomicMin, v < old ? v : old)                                                                       \
    SIMT_ATOMIC(T, atomicMax, v > old ? v : old)                                                                       \
    SIMT_ATOMIC(T, atomicAnd, old &v)                                                                                  \
    SIMT_ATOMIC(T, atomicOr, old | v)                                                                                  \
    SIMT_ATOMIC(T, atomicXor, old ^ v)                                                                                 \
    static inline T atomicCAS(T *p, T compare, T v)                                                                    \
    {                                                                                                                  \
        T old = *p;                                                                                                    \
        *p = old == compare ? v : old;                                                                                 \
        return old;                                                                                                    \
    }
SIMT_ATOMIC(int, atomicAdd, (int)((unsigned)old + (unsigned)v))
SIMT_ATOMIC(int, atomicSub, (int)((unsigned)old - (unsigned)v))
SIMT_ATOMIC(unsigned, atomicAdd, old + v)
SIMT_ATOMIC(unsigned, atomicSub, old - v)
SIMT_ATOMIC(unsigned long long, atomicAdd, old + v)
SIMT_ATOMIC(float, atomicAdd, old + v)
SIMT_ATOMIC(double, atomicAdd, old + v)
SIMT_ATOMIC(unsigned, atomicInc, old >= v ? 0u : old + 1u)
SIMT_ATOMIC(unsigned, atomicDec, old == 0u || old > v ? v : old - 1u)
SIMT_ATOMIC(int, atomicExch, v)
SIMT_ATOMIC(unsigned, atomicExch, v)
SIMT_ATOMIC(unsigned long long, atomicExch, v)
SIMT_ATOMIC(float, atomicExch, v)
SIMT_ATOMICS_INTEGER(int)
SIMT_ATOMICS_INTEGER(unsigned)
SIMT_ATOMICS_INTEGER(long long)
SIMT_ATOMICS_INTEGER(unsigned long long)
#undef SIMT_ATOMICS_INTEGER
#undef SIMT_ATOMIC

/* --- arithmetic --- */

#define SIMT_LEAST_MOST(R, A, B)                                                                                       \
    static constexpr inline R min(A a, B b)                                                                            \
    {                                                                                                                  \
        return (R)a < (R)b ? (R)a : (R)b;                                                                              \
    }                                                                                                                  \
    static constexpr inline R max(A a, B b)                                                                            \
    {                                                                                                                  \
        return (R)a > (R)b ? (R)a : (R)b;                                                                              \
    }
#define SIMT_LEAST_MOST_MIXED(S, U)                                                                                    \
    SIMT_LEAST_MOST(S, S, S)                                                                                           \
    SIMT_LEAST_MOST(U, U, U)                                                                                           \
    SIMT_LEAST_MOST(U, S, U)                                                                                           \
    SIMT_LEAST_MOST(U, U, S)
SIMT_LEAST_MOST_MIXED(int, unsigned)
SIMT_LEAST_MOST_MIXED(long, unsigned long)
SIMT_LEAST_MOST_MIXED(long long, unsigned long long)
#undef SIMT_LEAST_MOST_MIXED
#undef SIMT_LEAST_MOST

/* As fminf and fmaxf: a number wins over NaN. */
static inline float min(float a, float b)
{
    return fminf(a, b);
}

static inline float max(float a, float b)
{
    return fmaxf(a, b);
}

static inline double min(double a, double b)
{
    return fmin(a, b);
}

static inline double max(double a, double b)
{
    return fmax(a, b);
}

static inline float rsqrtf(float v)
{
    return 1.0f / sqrtf(v);
}

static inline float __saturatef(float v)
{
    return fminf(fmaxf(v, 0.0f), 1.0f); /* NaN: 0 */
}

/* Less exact on a card. Macros, as the host's library has functions of these names. */
#define __expf(v)    expf(v)
#define __exp10f(v)  exp10f(v)
#define __logf(v)    logf(v)
#define __log2f(v)   log2f(v)
#define __log10f(v)  log10f(v)
#define __sinf(v)    sinf(v)
#define __cosf(v)    cosf(v)
#define __tanf(v)    tanf(v)
#define __tanhf(v)   tanhf(v)
#define __powf(a, b) powf(a, b)

#define SIMT_UNARY(name, expression)                                                                                   \
    static inline float name(float v)                                                                                  \
    {                                                                                                                  \
        return expression;                                                                                             \
    }
SIMT_UNARY(__frcp_rn, 1.0f / v)
SIMT_UNARY(__fsqrt_rn, sqrtf(v))
SIMT_UNARY(__frsqrt_rn, 1.0f / sqrtf(v))
#undef SIMT_UNARY

#define SIMT_BINARY(name, expression)                                                                                  \
    static inline float name(float a, float b)                                                                         \
    {                                                                                                                  \
        return expression;                                                                                             \
    }
SIMT_BINARY(__fadd_rn, a + b)
SIMT_BINARY(__fsub_rn, a - b)
SIMT_BINARY(__fmul_rn, a *b)
SIMT_BINARY(__fdiv_rn, a / b)
SIMT_BINARY(__fdividef, a / b)
#undef SIMT_BINARY

static inline float __fmaf_rn(float a, float b, float c)
{
    return fmaf(a, b, c);
}

/* Conversions as the card makes them: NaN is 0, what does not fit is the nearest end. */
static inline int simt_to_int(float v)
{
    if (!(v == v))
        return 0;
    return v >= 2147483648.0f ? INT32_MAX : v < -2147483648.0f ? INT32_MIN : (int)v;
}

static inline unsigned simt_to_unsigned(float v)
{
    if (!(v > 0.0f))
        return 0;
    return v >= 4294967296.0f ? UINT32_MAX : (unsigned)v;
}

#define SIMT_CONVERT(suffix, rounded)                                                                                  \
    static inline int __float2int_##suffix(float v)                                                                    \
    {                                                                                                                  \
        return simt_to_int(rounded(v));                                                                                \
    }                                                                                                                  \
    static inline unsigned __float2uint_##suffix(float v)                                                              \
    {                                                                                                                  \
        return simt_to_unsigned(rounded(v));                                                                           \
    }
SIMT_CONVERT(rn, rintf)
SIMT_CONVERT(rz, truncf)
SIMT_CONVERT(rd, floorf)
SIMT_CONVERT(ru, ceilf)
#undef SIMT_CONVERT

static inline float __int2float_rn(int v)
{
    return (float)v;
}

static inline float __uint2float_rn(unsigned v)
{
    return (float)v;
}

#endif
