/* SPDX-License-Identifier: Apache-2.0
 * The CPU backend's table, its choice of instruction set, and the one place that starts threads for its kernels. */
#include "cpu.h"

#include <omp.h>

#include "attention_cpu.h"

/* About ten microseconds of one core, what waking the others may cost. */
#define SERIAL_WORK (1 << 16)

void cpu_fill_ops(trk_ops *ops)
{
#define REPLACE(name, args) ops->name = name##_cpu;
    TRK_OP_LIST(REPLACE)
#undef REPLACE
}

const cpu_kernels *cpu_kernels_best(void)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl"))
        return &cpu_kernels_avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return &cpu_kernels_avx2;
#endif
    return &cpu_kernels_base;
}

/* All threads or none: a smaller team would make the OpenMP library end threads and start them again. */
void cpu_for(const trk_exec *x, cpu_kernel *kernel, const void *args, int64_t n, int64_t item_work)
{
    const int n_threads = x->n_threads;
    if (n_threads <= 1 || n <= 1 || n * item_work < SERIAL_WORK) {
        if (n > 0)
            kernel(args, 0, n);
        return;
    }
#pragma omp parallel num_threads(n_threads)
    {
        const int64_t thread = omp_get_thread_num(), n_team = omp_get_num_threads();
        const int64_t begin = n * thread / n_team, end = n * (thread + 1) / n_team;
        if (begin < end)
            kernel(args, begin, end);
    }
}
