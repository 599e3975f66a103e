/* SPDX-License-Identifier: Apache-2.0
 * What the operators hand to a kernel: one head, some queries, all keys. A tile is computed by one thread; the result
 * of a query does not depend on which other queries share its tile. */
#ifndef TRK_KERNELS_CPU_ATTENTION_TILE_H
#define TRK_KERNELS_CPU_ATTENTION_TILE_H

#include "ops.h"

/* Where row i of a matrix starts: list[i] when there is a list, else base + i * stride_bytes. */
typedef struct attention_rows {
    char *base;
    int64_t stride_bytes;
    void *const *list; /* or NULL */
    trk_dtype dtype;
    const float *f32_row; /* the one address whose row is f32 whatever dtype says, or NULL */
} attention_rows;

typedef struct attention_tile {
    attention_rows q, k, v, out; /* rows of dk, dk, dv, dv elements */
    int n_queries, n_keys, dk, dv;
    int pool; /* 1: query i is the maximum of the rows q.list[4 i .. 4 i + 3] */
    float scale;
    /* Optional hint: the same thread will next read soon_bytes from each of soon[i] + {0, 1, 2} * soon_step bytes. */
    void *const *soon;
    int n_soon;
    int soon_bytes;
    int64_t soon_step;
} attention_tile;

typedef struct attention_kernels {
    const char *name;
    int lanes;         /* queries are handled in groups of this many */
    int panel_vectors; /* of which up to this many are handled at once */
    /* Bytes of scratch (aligned to TRK_ALIGNMENT) that either tile function needs for a tile of this size. */
    size_t (*scratch_bytes)(int n_queries, int dk, int dv);
    void (*tile_f32)(const attention_tile *tile, void *scratch);
    void (*tile_bf16)(const attention_tile *tile, void *scratch); /* factors of both products rounded to bf16 */
    void (*rotate_rows)(char *rows, int64_t stride_bytes, trk_dtype dtype, int n_rows, int cols, const float *table,
                        int first_row, int n_positions);
} attention_kernels;

/* One per instruction set; only the portable one exists on every machine. */
extern const attention_kernels trk_attention_kernels_portable;
#ifdef __x86_64__
extern const attention_kernels trk_attention_kernels_avx2;
extern const attention_kernels trk_attention_kernels_avx512;
extern const attention_kernels trk_attention_kernels_avx512_bf16;
#endif

#endif
