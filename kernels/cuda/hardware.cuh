/* SPDX-License-Identifier: Apache-2.0
 * Instructions of the card that C++ has no word for, each behind one function, so that the emulation of tests/simt can
 * put a host definition in its place (simt_hardware.h, with the same contracts). Kernels use nothing else of the kind:
 * no inline assembly, no static __shared__ arrays, no warp intrinsics without _sync.
 *
 * Fragments are those of the PTX manual for mma.m16n8k16, for lane l, g = l / 4, t = l % 4, halves packed low first:
 *   a[0] (g, 2t..2t+1)  a[1] (g+8, 2t..)  a[2] (g, 2t+8..)  a[3] (g+8, 2t+8..)     of A [16 rows, 16 k]
 *   b[0] (2t..2t+1, g)  b[1] (2t+8.., g)                                           of B [16 k, 8 columns]
 *   d[0] (g, 2t)  d[1] (g, 2t+1)  d[2] (g+8, 2t)  d[3] (g+8, 2t+1)                 of D [16 rows, 8 columns] */
#ifndef TRK_KERNELS_CUDA_HARDWARE_CUH
#define TRK_KERNELS_CUDA_HARDWARE_CUH

#include <cuda_runtime.h>
#include <stdint.h>

#ifdef TRK_SIMT
#include "simt_hardware.h"
#else

extern __shared__ __align__(128) unsigned char trk_shared_bytes[];

/* The block's dynamic shared memory, `bytes` after its start. Its contents are undefined when a block starts. */
template <class T> __device__ __forceinline__ T *shared_memory(size_t bytes = 0)
{
    return reinterpret_cast<T *>(trk_shared_bytes + bytes);
}

/* Both rounded to bf16, to nearest even; low half first. */
__device__ __forceinline__ uint32_t pack_bf16(float low, float high)
{
    uint32_t packed;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
    return packed;
}

/* 2^x to about 2 ulp; 0 for -infinity. */
__device__ __forceinline__ float exp2_fast(float x)
{
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

/* d += a b on the whole warp: bf16 factors, f32 sums. */
__device__ __forceinline__ void mma_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2])
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
                 "{%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

__device__ __forceinline__ uint32_t shared_address(const void *p)
{
    return static_cast<uint32_t>(__cvta_generic_to_shared(p));
}

/* Four 8x8 matrices of 16-bit elements from shared memory: lanes 8i .. 8i+7 give the addresses (16-byte aligned) of
 * the eight rows of matrix i; lane l gets elements (l / 4, 2 (l % 4) ..) of matrix i in r[i]. */
__device__ __forceinline__ void load_matrices(uint32_t (&r)[4], const void *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row))
                 : "memory");
}

/* The same, each matrix transposed: lane l gets elements (2 (l % 4) .., l / 4). */
__device__ __forceinline__ void load_matrices_transposed(uint32_t (&r)[4], const void *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row))
                 : "memory");
}

/* Starts a copy of 16 bytes to shared memory, both 16-byte aligned; zeros instead, without reading, if not valid. The
 * bytes are there after copies_wait and, for other threads, a barrier. */
__device__ __forceinline__ void copy_async_16(void *shared, const void *global, bool valid)
{
    int bytes = valid ? 16 : 0;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
                 :
                 : "r"(shared_address(shared)), "l"(__cvta_generic_to_global(global)), "r"(bytes)
                 : "memory");
}

/* This thread's copies since the last call become one group. */
__device__ __forceinline__ void copies_commit()
{
    asm volatile("cp.async.commit_group;" ::: "memory");
}

/* Waits until at most N of this thread's groups are under way. */
template <int N> __device__ __forceinline__ void copies_wait()
{
    asm volatile("cp.async.wait_group %0;" : : "n"(N) : "memory");
}

#endif
#endif
