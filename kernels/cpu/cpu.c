/* SPDX-License-Identifier: Apache-2.0
 * The CPU backend's table, its choice of instruction set, and the one place that starts threads for its kernels. */
#include "cpu.h"

#include "attention_cpu.h"
#include "backend_private.h"

/* About ten microseconds of one core, what waking the others may cost. */
#define SERIAL_WORK (1 << 16)

void trk_cpu_fill_ops(trk_ops *ops)
{
#define REPLACE(name) ops->name = trk_##name##_cpu;
    REPLACE(linear) REPLACE(matmul_nt) REPLACE(conv2d) REPLACE(layernorm) REPLACE(add) REPLACE(convert)
    REPLACE(maxpool2x2) REPLACE(add_upsampled2x) REPLACE(depth_to_space2x) REPLACE(rope) REPLACE(attention)
    REPLACE(window_attention) REPLACE(resize_bilinear) REPLACE(mask_to_memory) REPLACE(fill_holes) REPLACE(select_mask)
    REPLACE(store) REPLACE(fetch) REPLACE(pack_mask) REPLACE(unpack_mask) REPLACE(mask_boxes) REPLACE(if_absent)
    REPLACE(frame_to_input) REPLACE(frame_to_rgb) REPLACE(suppress) REPLACE(mask_bytes) REPLACE(mask_region)
    REPLACE(paint)
#undef REPLACE
    /* the rest is the reference's: rare, or small */
}

const cpu_kernels *trk_cpu_kernels_best(void)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl"))
        return &trk_cpu_kernels_avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return &trk_cpu_kernels_avx2;
#endif
    return &trk_cpu_kernels_base;
}

void trk_cpu_run(const trk_exec *x, int n_pieces, cpu_team_work *work, void *context)
{
    if (x->planning)
        return;
    /* buffers are for x->n_threads workers, and the team is all or nothing */
    const int together = n_pieces > 1 && x->n_threads >= x->backend->n_threads;
    trk_cpu_team_run(together ? x->backend->team : NULL, work, context);
}

typedef struct range {
    cpu_kernel *kernel;
    const void *args;
    int64_t n;
} range;

static void run_share(void *context, int worker, int n_workers)
{
    const range *r = context;
    const int64_t begin = r->n * worker / n_workers, end = r->n * (worker + 1) / n_workers;
    if (begin < end)
        r->kernel(r->args, begin, end, worker);
}

void trk_cpu_for(const trk_exec *x, cpu_kernel *kernel, const void *args, int64_t n, int64_t item_work)
{
    range all = {kernel, args, n};
    trk_cpu_run(x, n > 1 && n * item_work >= SERIAL_WORK ? 2 : 1, run_share, &all);
}
