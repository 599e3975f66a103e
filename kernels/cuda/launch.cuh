/* SPDX-License-Identifier: Apache-2.0
 * The host's side of a kernel: an exec's stream, launches, and the choice of a kernel by element types.
 *
 *     by_types(out.dtype, in.dtype, [&](auto o, auto i) {
 *         TRK_LAUNCH(x, (convert<decltype(o), decltype(i)>), blocks_for(n, 256), 256, 0, matrix_of<decltype(o)>(out), ...);
 *     });
 *
 * Operators check their shapes with TRK_EXPECT as the reference does, return at once when there is nothing to do (a grid
 * of zero blocks is an error), and never wait. Every launch goes through TRK_LAUNCH: it does nothing once the exec has
 * failed, and the emulation of tests/simt takes it over. */
#ifndef TRK_KERNELS_CUDA_LAUNCH_CUH
#define TRK_KERNELS_CUDA_LAUNCH_CUH

#include "backend_private.h"
#include "cuda.h"
#include "device.cuh"
#include "expect.h"
#include "workspace.h"

/* Shared memory that a block may have on every card from 8.6 on. Kernels that ask for more, on cards that have it, always
 * ask for the same. */
#define CUDA_SHARED_BYTES (99 * 1024)

#define CUDA_OP(name, args) void trk_##name##_cuda args;
extern "C" {
TRK_OP_LIST(CUDA_OP)
}
#undef CUDA_OP

/* One exec's stream and staging buffers (trk_exec.device). */
struct cuda_exec;
/* The exec's stream, with its device made current in this thread. */
cudaStream_t cuda_stream(trk_exec *x);
/* Records an error of the runtime in the exec: "cuda: WHAT: text". cudaSuccess is none. */
void cuda_expect(trk_exec *x, cudaError_t error, const char *what);
/* Everything that is given to the stream is told first, byte for byte; 1: it has been told only, and is not to be given
 * now (stages.cu). */
int cuda_tell(trk_exec *x, const void *bytes, size_t n);

/* Bytes between a value's fields are whatever was there before: they are no part of what is told. */
template <class T> int cuda_tell_value(trk_exec *x, T value)
{
#if defined(__has_builtin)
#if __has_builtin(__builtin_clear_padding)
    __builtin_clear_padding(&value);
#endif
#endif
    return cuda_tell(x, &value, sizeof value);
}

template <class... P, class... A>
void cuda_launch(trk_exec *x, const char *name, void (*kernel)(P...), dim3 grid, dim3 block, size_t shared_bytes,
                 A... arguments)
{
    struct {
        const void *kernel;
        unsigned grid[3], block[3];
        size_t shared_bytes;
    } const head = {(const void *)kernel, {grid.x, grid.y, grid.z}, {block.x, block.y, block.z}, shared_bytes};
    if (x->status < 0)
        return;
    int told = cuda_tell(x, &head, sizeof head);
    ((told = cuda_tell_value(x, static_cast<P>(arguments))), ...);
    if (told)
        return;
    cudaStream_t stream = cuda_stream(x);
    /* more than every card gives unasked; one limit, because it is the kernel's, not this thread's */
    const size_t limit = shared_bytes > CUDA_SHARED_BYTES ? shared_bytes : CUDA_SHARED_BYTES;
    if (shared_bytes > 48 * 1024)
        cuda_expect(x, cudaFuncSetAttribute((const void *)kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                            (int)limit), name);
#ifdef TRK_SIMT
    simt_launch(name, kernel, grid, block, shared_bytes, stream, static_cast<P>(arguments)...);
#else
    kernel<<<grid, block, shared_bytes, stream>>>(static_cast<P>(arguments)...);
#endif
    cuda_expect(x, cudaGetLastError(), name);
}

#define TRK_LAUNCH(x, kernel, grid, block, shared_bytes, ...)                                                          \
    cuda_launch((x), #kernel, kernel, (grid), (block), (shared_bytes), __VA_ARGS__)

/* Blocks of `each` threads for n threads; n > 0. */
static inline unsigned blocks_for(int64_t n, int64_t each)
{
    return (unsigned)((n + each - 1) / each);
}

/* Calls f with a value of the element type. */
template <class F> void by_type(trk_dtype dtype, F f)
{
    if (dtype == TRK_BF16)
        f(bf16{});
    else
        f(float{});
}

template <class F> void by_types(trk_dtype first, trk_dtype second, F f)
{
    by_type(first, [&](auto a) { by_type(second, [&](auto b) { f(a, b); }); });
}

#endif
