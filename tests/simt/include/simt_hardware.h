/* SPDX-License-Identifier: Apache-2.0
 * The wrappers of kernels/cuda/hardware.cuh in host code, contracts as there. What the card only promises is made to
 * show: asynchronous copies arrive when they are waited for and not before, addresses are checked. */
#ifndef SIMT_HARDWARE_H
#define SIMT_HARDWARE_H

#include <cuda_runtime.h>

extern unsigned char *simt_shared_bytes; /* of the running block */

template <class T> static inline T *shared_memory(size_t bytes = 0)
{
    return reinterpret_cast<T *>(simt_shared_bytes + bytes);
}

static inline uint32_t simt_bf16(float v)
{
    uint32_t bits = __float_as_uint(v);
    if (v != v)
        return 0x7fff; /* the card's only NaN */
    return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

static inline uint32_t pack_bf16(float low, float high)
{
    return simt_bf16(high) << 16 | simt_bf16(low);
}

/* Subnormal numbers count as zero, coming and going. */
static inline float exp2_fast(float x)
{
    float y = exp2f(x);
    return y < 1.17549435e-38f ? 0.0f : y;
}

struct simt_mma {
    float *d;
    const uint32_t *a, *b;
};

simt_meeting simt_meet_mma, simt_meet_load, simt_meet_load_transposed;

static inline void mma_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2])
{
    simt_mma m = {d, a, b};
    simt_meet(simt_meet_mma, "mma_bf16", 0xffffffffu, &m);
}

struct simt_load {
    uint32_t *r;
    const void *row;
};

void simt_check_shared(const char *what, const void *p, size_t bytes);

static inline void load_matrices(uint32_t (&r)[4], const void *row)
{
    simt_load l = {r, row};
    simt_check_shared("load_matrices", row, 16);
    simt_meet(simt_meet_load, "load_matrices", 0xffffffffu, &l);
}

static inline void load_matrices_transposed(uint32_t (&r)[4], const void *row)
{
    simt_load l = {r, row};
    simt_check_shared("load_matrices_transposed", row, 16);
    simt_meet(simt_meet_load_transposed, "load_matrices_transposed", 0xffffffffu, &l);
}

void copy_async_16(void *shared, const void *global, bool valid);
void copies_commit();
void simt_copies_wait(int groups);

template <int N> static inline void copies_wait()
{
    static_assert(N >= 0, "a count of groups");
    simt_copies_wait(N);
}

/* --- products of a warpgroup (warpgroup.cc): done when they are waited for, and not before; misuse is an error --- */

#define TRK_WARPGROUPS 1

uint32_t
simt_shared_address(const void *p); /* as the card's: 128 divides the start of dynamic shared memory, no more */

template <class T> static inline T *shared_memory_of_atoms()
{
    return shared_memory<T>(-simt_shared_address(simt_shared_bytes) & 1023u);
}

static inline uint64_t matrix_descriptor(const void *start, unsigned leading, unsigned stride)
{
    return (uint64_t)(simt_shared_address(start) >> 4 & 0x3fffu) | (uint64_t)(leading >> 4 & 0x3fffu) << 16 |
           (uint64_t)(stride >> 4 & 0x3fffu) << 32 | (uint64_t)1 << 62;
}

static inline uint64_t matrix_further(uint64_t descriptor, unsigned bytes)
{
    return descriptor + (bytes >> 4);
}

struct simt_warpgroup_mma {
    float *d; /* [n / 2] */
    int n;
    const uint32_t *a; /* [4]; NULL: a_matrix */
    uint64_t a_matrix, b_matrix;
    int transposed, adds;
};

typedef void simt_warpgroup_meeting(void *const given[128], unsigned first_warp);

simt_warpgroup_meeting simt_meet_warpgroup_mma;
void simt_meet_warpgroup(simt_warpgroup_meeting *meet, const char *what, void *given);

void fence_async();
void warpgroup_fence();
void warpgroup_commit();
void simt_warpgroup_wait(int groups);

template <int N> static inline void warpgroup_wait()
{
    static_assert(N >= 0 && N <= 7, "a count of groups");
    simt_warpgroup_wait(N);
}

template <int N> static inline void warpgroup_results(float (&)[N][4])
{
}

template <int N> static inline void warpgroup_mma(float (&d)[N][4], uint64_t a, uint64_t b, int adds)
{
    static_assert(N == 8 || N == 16, "one that hardware.cuh has");
    simt_warpgroup_mma m = {d[0], 8 * N, NULL, a, b, 0, adds != 0};
    simt_meet_warpgroup(simt_meet_warpgroup_mma, "warpgroup_mma", &m);
}

template <int N> static inline void warpgroup_mma_transposed(float (&d)[N][4], const uint32_t (&a)[4], uint64_t b)
{
    static_assert(N == 8 || N == 32, "one that hardware.cuh has");
    simt_warpgroup_mma m = {d[0], 8 * N, a, 0, b, 1, 1};
    simt_meet_warpgroup(simt_meet_warpgroup_mma, "warpgroup_mma", &m);
}

#endif
