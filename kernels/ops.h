/* SPDX-License-Identifier: Apache-2.0
 * The operator table: everything the network computes goes through it, so that the network is written once for every
 * backend. One X-list makes the table, the completeness check and the kernel check's registry.
 *
 * Conventions
 * - A trk_mat is a row-major matrix; images are channel-last: [height * width, channels], rows in raster order.
 * - Operators return nothing. trk_exec keeps the first failure; once failed, operators do nothing; stages ask once.
 * - Outputs never alias inputs unless the comment says so. Outputs are fully overwritten unless `accumulate`.
 * - dtypes: every mat is f32 or bf16, in any mix an operator's comment does not exclude. Products of a bf16 backend
 *   round both inputs to bf16 and accumulate in f32; everything else is f32 inside.
 * - Parameters (gamma, beta, bias, tables) are f32, 64-byte aligned, in the backend's memory.
 */
#ifndef TRK_KERNELS_OPS_H
#define TRK_KERNELS_OPS_H

#include <stddef.h>
#include <stdint.h>

#include "allocator.h"
#include "error.h"
#include "storage.h"

typedef enum trk_dtype { TRK_F32, TRK_BF16, TRK_F16 /* stored weights only */ } trk_dtype;

static inline size_t trk_dtype_bytes(trk_dtype dtype)
{
    return dtype == TRK_F32 ? 4 : 2;
}

typedef struct trk_mat {
    void *data; /* [rows, cols], element (r, c) at r * stride + c; borrowed */
    trk_dtype dtype;
    int rows, cols;
    int64_t stride; /* elements between rows, >= cols */
} trk_mat;

typedef enum trk_act { TRK_ACT_NONE, TRK_ACT_RELU, TRK_ACT_GELU /* exact, erf */, TRK_ACT_SIGMOID } trk_act;

/* out = act(product + bias) (+ out if accumulate) */
typedef struct trk_epilogue {
    trk_act act;
    int accumulate; /* out must be f32 */
} trk_epilogue;

/* A fully connected layer. Created by trk_linear_prepare, immutable afterwards, shared by threads. */
typedef struct trk_linear {
    int n_in, n_out;
    const float *weight; /* [n_out, n_in] borrowed, stays valid until trk_linear_release */
    const float *bias;   /* [n_out] borrowed, or NULL */
    void *prepared;      /* the backend's own form; NULL before prepare and in the reference backend */
} trk_linear;

typedef struct trk_conv {
    int in_channels, out_channels, kernel, stride, padding; /* square kernels, zero padding */
    int groups;          /* 1, or in_channels == out_channels (depthwise) */
    const float *weight; /* [out, in / groups, kernel, kernel] borrowed, as trk_linear */
    const float *bias;   /* [out] */
    void *prepared;
} trk_conv;

/* What the mask decoder leaves for one object; see select_mask. */
typedef struct trk_mask_choice {
    trk_mat masks;  /* [4, n] f32 logits of the four hypotheses */
    trk_mat tokens; /* [4, d] */
    const float *ious;  /* [4] */
    const float *score; /* [1] object score logit */
    int multimask;      /* 1: best of hypotheses 1..3 by iou; 0: hypothesis 0 */
    int stability;      /* with multimask 0: fall back to the best of 1..3 when hypothesis 0 is unstable */
    float stability_delta, stability_threshold;
} trk_mask_choice;

typedef struct trk_backend trk_backend;
struct trk_ops;

typedef struct trk_exec {
    const struct trk_ops *ops;
    trk_backend *backend;
    trk_allocator *allocator; /* for kernels' own buffers, class SCRATCH */
    void *workspace;          /* the backend's grow-only buffers of this exec */
    trk_dtype activation;     /* dtype stages give to activations that feed products: f32, or bf16 on a bf16 backend */
    int n_threads;
    int planning;             /* 1: operators obtain the buffers they would need and return; mats are not touched */
    trk_status status;        /* first failure, else TRK_OK */
} trk_exec;

#define TRK_OP_LIST(X)                                                                                                 \
    /* out[n, n_out] = act(in[n, n_in] W^T + b) (+ out) */                                                             \
    X(linear, (trk_exec * x, trk_mat out, trk_mat in, const trk_linear *layer, trk_epilogue epilogue))                 \
    /* out[n, m] = a[n, k] b[m, k]^T; f32 out; for products of two activations */                                      \
    X(matmul_nt, (trk_exec * x, trk_mat out, trk_mat a, trk_mat b))                                                    \
    /* in [in_h * in_w, in_c] -> out [out_h * out_w, out_c], out_h = (in_h + 2 padding - kernel) / stride + 1 */       \
    X(conv2d, (trk_exec * x, trk_mat out, trk_mat in, int in_h, int in_w, const trk_conv *layer, trk_act act))         \
    /* per row: (in - mean) / sqrt(var + eps) * gamma + beta, biased variance, then act; out may be in */              \
    X(layernorm, (trk_exec * x, trk_mat out, trk_mat in, const float *gamma, const float *beta, float eps,             \
                  trk_act act))                                                                                        \
    /* out = a + b; row r uses b's row r % b.rows; out may be a or b */                                                \
    X(add, (trk_exec * x, trk_mat out, trk_mat a, trk_mat b))                                                          \
    /* out = in, converting dtype; row r of out takes in's row r % in.rows */                                          \
    X(convert, (trk_exec * x, trk_mat out, trk_mat in))                                                                \
    /* in [h * w, c] -> out [(h/2) * (w/2), c]; h and w even */                                                        \
    X(maxpool2x2, (trk_exec * x, trk_mat out, trk_mat in, int h, int w))                                               \
    /* out [2h * 2w, c] += nearest-neighbour doubled in [h * w, c] */                                                  \
    X(add_upsampled2x, (trk_exec * x, trk_mat out, trk_mat in, int h, int w))                                          \
    /* tail of a 2x2 stride-2 transposed convolution: in [h * w, 4c], column (ky * 2 + kx) * c + channel, becomes      \
     * pixel (2y + ky, 2x + kx) of out [2h * 2w, c]; out = act(that + addend); addend as out, data NULL for none */    \
    X(depth_to_space2x, (trk_exec * x, trk_mat out, trk_mat in, int h, int w, trk_mat addend, trk_act act))            \
    /* in place: rotates pairs (2i, 2i+1) of row r by table[r % n_positions][i] = (cos, sin) */                        \
    X(rope, (trk_exec * x, trk_mat qk, const float *table, int n_positions))                                           \
    /* per head softmax(scale q k^T) v; q [n, heads * dk], k [m, heads * dk], v [m, heads * dv], out [n, heads * dv];  \
     * never materialises the scores */                                                                                \
    X(attention, (trk_exec * x, trk_mat out, trk_mat q, trk_mat k, trk_mat v, int heads, float scale))                 \
    /* Hiera attention on qkv [h * w, 3 c], columns q | k | v each [heads][c / heads], scale 1/sqrt(c / heads).        \
     * window 0: one window, the whole map. Otherwise window x window tiles from the top left; tokens beyond the       \
     * border take part as keys with k and v equal to the bias of the qkv layer (bias [3c]). pool: q is 2x2 max-pooled \
     * inside the window and out is [(h/2) * (w/2), c]; else out is [h * w, c]. */                                     \
    X(window_attention, (trk_exec * x, trk_mat out, trk_mat qkv, int h, int w, int heads, int window, int pool,        \
                         const float *bias))                                                                           \
    /* one f32 plane, [in_h, in_w] -> [out_h, out_w] (mats of one channel plane, rows = height, cols = width): torch   \
     * bilinear, align_corners false; antialias: the triangle widens when shrinking */                                 \
    X(resize_bilinear, (trk_exec * x, trk_mat out, trk_mat in, int antialias))                                         \
    /* out = (binarize ? in > 0 : sigmoid(in)) * scale + bias; out may be in */                                        \
    X(mask_to_memory, (trk_exec * x, trk_mat out, trk_mat in, int binarize, float scale, float bias))                  \
    /* in place on [h, w]: 8-connected components of logits <= 0 with area <= max_area become 0.1 */                   \
    X(fill_holes, (trk_exec * x, trk_mat mask, int max_area))                                                          \
    /* upstream's choice: index by choice->multimask / stability; mask [1, n] = that hypothesis, or all -1024 when     \
     * score <= 0; token [1, d]: with multimask the chosen one, else token 0 (also after a stability fallback);        \
     * info[0] = score, info[1] = iou of the chosen, info[2] = its index, in memory the host reads after the stage */ \
    X(select_mask, (trk_exec * x, trk_mat mask, trk_mat token, float *info, const trk_mask_choice *choice))            \
    /* slot <- in [rows, cols], rows * cols a multiple of TRK_Q8_BLOCK: rounds to nearest even into `storage`, dense   \
     * in raster order. Infinities saturate in f16 and q8; NaN stays NaN, in q8 with its whole block */                \
    X(store, (trk_exec * x, void *slot, trk_storage storage, trk_mat in))                                              \
    /* out [rows, cols] <- slot */                                                                                     \
    X(fetch, (trk_exec * x, trk_mat out, const void *slot, trk_storage storage))                                       \
    /* the low-resolution mask a memory is made from, one byte an element: out = round(clamp(in, -12.7, 12.7) * 10),   \
     * as int8, NaN 0; and back: out = in / 10 */                                                                      \
    X(pack_mask, (trk_exec * x, int8_t *out, trk_mat in))                                                              \
    X(unpack_mask, (trk_exec * x, trk_mat out, const int8_t *in))                                                      \
    /* if score[0] <= 0: every row of io becomes `row` (replace) or gains it (not replace); else nothing */            \
    X(if_absent, (trk_exec * x, trk_mat io, const float *row, const float *score, int replace))                        \
    /* RGB bytes [height, width, 3] -> out [size * size, 3] f32: Pillow's 8-bit antialiased bicubic resize (bit        \
     * exact), / 255 (double, rounded to f32), - mean, / std */                                                        \
    X(frame_to_input, (trk_exec * x, trk_mat out, const uint8_t *rgb, int width, int height, ptrdiff_t stride,         \
                       int size, const float *mean, const float *std))

#define TRK_OP_MEMBER(name, args) void(*name) args;
typedef struct trk_ops {
    TRK_OP_LIST(TRK_OP_MEMBER)
} trk_ops;
#undef TRK_OP_MEMBER

/* Runs an operator unless an earlier one failed: TRK_RUN(x, linear, out, in, layer, epilogue); */
#define TRK_RUN(x, op, ...)                                                                                            \
    do {                                                                                                               \
        if ((x)->status >= 0)                                                                                          \
            (x)->ops->op((x), __VA_ARGS__);                                                                            \
    } while (0)

/* For operators: records the first failure. */
static inline void trk_exec_fail(trk_exec *x, trk_status status)
{
    if (x->status >= 0)
        x->status = status;
}

#endif
