/* SPDX-License-Identifier: Apache-2.0
 * The attention operators of the CPU backend (contracts in ops.h) and the choice of their instruction set. */
#ifndef TRK_KERNELS_CPU_ATTENTION_CPU_H
#define TRK_KERNELS_CPU_ATTENTION_CPU_H

#include "attention_tile.h"
#include "ops.h"

void trk_attention_cpu(trk_exec *x, trk_mat out, trk_mat q, trk_mat k, trk_mat v, int heads, int batch, float scale);
void trk_window_attention_cpu(trk_exec *x, trk_mat out, trk_mat qkv, int h, int w, int heads, int window, int pool,
                              const float *bias);
void trk_rope_cpu(trk_exec *x, trk_mat qk, const float *table, int n_positions);

/* Worst to best; the best available one is used unless another is forced. */
typedef enum attention_isa {
    ATTENTION_PORTABLE,
    ATTENTION_AVX2,
    ATTENTION_AVX512,
    ATTENTION_AVX512_BF16,
    ATTENTION_ISAS
} attention_isa;

/* The kernels of one instruction set, NULL when this build or machine lacks it. */
const attention_kernels *trk_attention_kernels_of(attention_isa isa);

/* The kernels in use: never NULL. */
const attention_kernels *trk_attention_kernels_chosen(void);

/* For tests and benchmarks: makes every later call of the process use these; NULL = the best again. */
void trk_attention_force_kernels(const attention_kernels *kernels);

/* Shared by the operators: a list of independent tasks, each computing one tile into its own part of the output. */
typedef struct attention_tasks {
    void (*run)(const void *context, int task, const attention_kernels *kernels, void *scratch);
    const void *context;
    int n_tasks;
    size_t scratch_bytes; /* per thread, multiple of TRK_ALIGNMENT */
    double operations;    /* of all tasks; few are not worth waking threads for */
} attention_tasks;

void trk_attention_run_tasks(trk_exec *x, const attention_kernels *kernels, const attention_tasks *tasks);

/* Queries per tile such that a tile's buffers stay in the second-level cache and the threads get equal shares. */
int trk_attention_tile_queries(const attention_kernels *kernels, int n_queries, int dk, int dv, int groups,
                               int n_threads);

#endif
