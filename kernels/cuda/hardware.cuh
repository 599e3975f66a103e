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


/* --- products of a warpgroup: cards of compute capability 9.0, machine code of 9.0a ---
 *
 * A warpgroup is four warps that follow each other, the first of a number that 4 divides. Its 128 threads all come to
 * each of these calls with the same descriptors. warpgroup_mma starts d += a b, or d = a b, of 64 rows: warp i of the
 * warpgroup has rows 16 i .. 16 i + 15 in the fragments above, d[n] columns 8 n .. 8 n + 7. Products that were started
 * are one group after warpgroup_commit, and done after warpgroup_wait; products with one d are done in their order.
 * Until then nobody reads or writes d, writes a in registers, nor writes the shared memory that they read.
 *
 * Before: what a thread wrote to shared memory (stores and asynchronous copies that were waited for) is there for
 * products after its fence_async and a barrier; what it did to the registers, after warpgroup_fence.
 *
 * Matrices in shared memory lie in atoms of 8 rows of 128 bytes (64 elements), each at an address that 1024 divides;
 * the 16-byte piece p of row r lies at piece p ^ (r % 8). The rows of
 * - a, and b unless it is transposed, are rows m or columns n of the product, 64 k to an atom, `stride` bytes from 8
 *   rows to the next 8; `leading` counts for nothing. 16 k further on is 32 bytes further on, within an atom.
 * - b transposed are its k, 64 columns n to an atom: `leading` bytes from 64 columns to the next 64, `stride` bytes
 *   from 8 k to the next 8. */

/* Whether the code that is compiled here may use them; elsewhere they are traps. */
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define TRK_WARPGROUPS 1
#define WARPGROUP_ASM(...) asm volatile(__VA_ARGS__)
#else
#define TRK_WARPGROUPS 0
#define WARPGROUP_ASM(...) __trap()
#endif

/* The block's dynamic shared memory from its first address that 1024 divides, at most 896 bytes after its start. */
template <class T> __device__ __forceinline__ T *shared_memory_of_atoms()
{
    return shared_memory<T>(-shared_address(trk_shared_bytes) & 1023u);
}

/* Start address, leading and stride offsets in 16 bytes, mode 1 of the swizzle. */
__device__ __forceinline__ uint64_t matrix_descriptor(const void *start, unsigned leading, unsigned stride)
{
    return (uint64_t)(shared_address(start) >> 4 & 0x3fffu) | (uint64_t)(leading >> 4 & 0x3fffu) << 16 |
           (uint64_t)(stride >> 4 & 0x3fffu) << 32 | (uint64_t)1 << 62;
}

/* The matrix that starts `bytes` later. */
__device__ __forceinline__ uint64_t matrix_further(uint64_t descriptor, unsigned bytes)
{
    return descriptor + (bytes >> 4);
}

__device__ __forceinline__ void fence_async()
{
    WARPGROUP_ASM("fence.proxy.async.shared::cta;" ::: "memory");
}

__device__ __forceinline__ void warpgroup_fence()
{
    WARPGROUP_ASM("wgmma.fence.sync.aligned;" ::: "memory");
}

__device__ __forceinline__ void warpgroup_commit()
{
    WARPGROUP_ASM("wgmma.commit_group.sync.aligned;" ::: "memory");
}

/* Waits until at most N groups are under way. */
template <int N> __device__ __forceinline__ void warpgroup_wait()
{
    WARPGROUP_ASM("wgmma.wait_group.sync.aligned %0;" : : "n"(N) : "memory");
}

/* The compiler takes d for known with the product's start: after the wait, this keeps it from using d before. */
template <int N> __device__ __forceinline__ void warpgroup_results(float (&d)[N][4])
{
#pragma unroll
    for (int i = 0; i < N; i++)
        asm volatile("" : "+f"(d[i][0]), "+f"(d[i][1]), "+f"(d[i][2]), "+f"(d[i][3])::"memory");
}

#define D4(i)  "+f"(d[i][0]), "+f"(d[i][1]), "+f"(d[i][2]), "+f"(d[i][3])
#define D32(i) D4(i), D4(i + 1), D4(i + 2), D4(i + 3), D4(i + 4), D4(i + 5), D4(i + 6), D4(i + 7)
#define D64    D32(0), D32(8)
#define D128   D64, D32(16), D32(24)
#define R32                                                                                                            \
    "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,"                                                           \
    "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31"
#define R32_64                                                                                                         \
    "%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,"                                                 \
    "%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63"
#define R64_128                                                                                                        \
    "%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79,"                                                 \
    "%80,%81,%82,%83,%84,%85,%86,%87,%88,%89,%90,%91,%92,%93,%94,%95,"                                                 \
    "%96,%97,%98,%99,%100,%101,%102,%103,%104,%105,%106,%107,%108,%109,%110,%111,"                                     \
    "%112,%113,%114,%115,%116,%117,%118,%119,%120,%121,%122,%123,%124,%125,%126,%127"

/* Both in shared memory. adds 0: d = a b */
__device__ __forceinline__ void warpgroup_mma(float (&d)[8][4], uint64_t a, uint64_t b, int adds)
{
    WARPGROUP_ASM("{.reg .pred p; setp.ne.b32 p, %34, 0; wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {" R32
                  "}, %32, %33, p, 1, 1, 0, 0;}"
                  : D32(0)
                  : "l"(a), "l"(b), "r"(adds));
}

__device__ __forceinline__ void warpgroup_mma(float (&d)[16][4], uint64_t a, uint64_t b, int adds)
{
    WARPGROUP_ASM("{.reg .pred p; setp.ne.b32 p, %66, 0; wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {" R32
                  "," R32_64 "}, %64, %65, p, 1, 1, 0, 0;}"
                  : D64
                  : "l"(a), "l"(b), "r"(adds));
}

/* a in registers, b in shared memory and transposed; d += a b */
__device__ __forceinline__ void warpgroup_mma_transposed(float (&d)[8][4], const uint32_t (&a)[4], uint64_t b)
{
    WARPGROUP_ASM("{.reg .pred p; setp.ne.b32 p, %37, 0; wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {" R32
                  "}, {%32,%33,%34,%35}, %36, p, 1, 1, 1;}"
                  : D32(0)
                  : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(1));
}

__device__ __forceinline__ void warpgroup_mma_transposed(float (&d)[32][4], const uint32_t (&a)[4], uint64_t b)
{
    WARPGROUP_ASM("{.reg .pred p; setp.ne.b32 p, %133, 0; wgmma.mma_async.sync.aligned.m64n256k16.f32.bf16.bf16 {" R32
                  "," R32_64 "," R64_128 "}, {%128,%129,%130,%131}, %132, p, 1, 1, 1;}"
                  : D128
                  : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(1));
}

#undef D4
#undef D32
#undef D64
#undef D128
#undef R32
#undef R32_64
#undef R64_128
#undef WARPGROUP_ASM

#endif
#endif
