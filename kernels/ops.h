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
 * - Every pointer is into the backend's memory, but for structs, `mean` and `std`, which are read during the call, and
 *   the host's side of upload and download. Parameters (gamma, beta, bias, tables) are f32, 64-byte aligned.
 * - A backend may compute later than the call returns, in order: results are there after trk_exec_finish (backend.h).
 */
#ifndef TRK_KERNELS_OPS_H
#define TRK_KERNELS_OPS_H

#include <stddef.h>
#include <stdint.h>

#include "allocator.h"
#include "error.h"
#include "storage.h"

#ifdef __cplusplus
extern "C" {
#endif

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

/* Some of its rows; NULL data, of an exec that plans, stay NULL. */
static inline trk_mat trk_rows(trk_mat mat, int first, int count)
{
    if (mat.data)
        mat.data = (char *)mat.data + first * mat.stride * (int64_t)trk_dtype_bytes(mat.dtype);
    mat.rows = count;
    return mat;
}

/* Dense f32 that is only read. */
static inline trk_mat trk_wrap_mat(const float *data, int rows, int cols)
{
    const trk_mat mat = {(void *)(uintptr_t)data, TRK_F32, rows, cols, cols};
    return mat;
}

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

/* Planes of a frame that is not RGB, in the backend's memory; see frame_to_rgb. */
typedef enum trk_image_format {
    TRK_IMAGE_GRAY, /* planes[0] */
    TRK_IMAGE_I420, /* 8 bit Y, U, V; chroma halved both ways, its side rounded up */
    TRK_IMAGE_I422, /* halved across */
    TRK_IMAGE_I444,
    TRK_IMAGE_NV12  /* Y, then U and V interleaved, halved both ways */
} trk_image_format;

typedef struct trk_image {
    int width, height;
    trk_image_format format;
    const uint8_t *planes[3];
    ptrdiff_t strides[3]; /* bytes between rows; may be negative */
    /* R = l + r_v V, G = l - g_u U - g_v V, B = l + b_u U; l = (Y - y_offset) * y_scale, U and V less 128 */
    float y_scale, y_offset, r_v, g_u, g_v, b_u;
} trk_image;

/* Where a mask is; see mask_region. */
typedef struct trk_mask_region {
    int32_t x, y, width, height; /* box, pixels; all 0 for an empty mask */
    int32_t area;                /* pixels set */
    int32_t top;                 /* first row set in the middle column of the box; y where that column is empty */
} trk_mask_region;

/* A mask to be drawn on a picture of its size; see paint. */
typedef struct trk_painting {
    const uint8_t *mask; /* [height, width] bytes 0 or 1 */
    ptrdiff_t mask_stride;
    int width, height;
    const trk_mask_region *region; /* of this mask; like it in the backend's memory */
    uint8_t colour[3];             /* R G B */
    int line_width;                /* of the contour, pixels; 0: none */
    int fill_percent;              /* share of the colour in the rest of the mask, 0..100 */
} trk_painting;

/* What the mask decoder leaves for one object; see select_mask. */
typedef struct trk_mask_choice {
    trk_mat masks;  /* [4, n] f32 logits of the four hypotheses */
    trk_mat tokens; /* [4, d] */
    const float *ious;   /* [4] */
    const float *score;  /* [1] object score logit */
    const float *chosen; /* [1] with multimask: number of the hypothesis to take, 1..3; NULL: the best by iou */
    float present_above; /* the object is there when its score is higher than this */
    int multimask;       /* 1: one of hypotheses 1..3; 0: hypothesis 0 */
    int stability;       /* with multimask 0: fall back to the best of 1..3 when hypothesis 0 is unstable */
    float stability_delta, stability_threshold;
} trk_mask_choice;

/* What memory attention reads for one object, or for several, one after the other: of each its memories, where they lie
 * in the bank, then its pointers. Keys are made of memory + position, values are the memories themselves. */
typedef struct trk_token_source {
    const void *memory; /* [n, width] in `storage` */
    trk_storage storage;
    const float *position; /* [n, width] */
} trk_token_source;

typedef struct trk_token_counts {
    int memories, pointers; /* of one object */
} trk_token_counts;

typedef struct trk_tokens {
    const trk_token_counts *objects;  /* [n_objects], the host's; NULL: one object, whose all of them are */
    int n_objects;
    const trk_token_source *memories; /* [n_memories], likewise; for gather_tokens and those after it */
    int n_memories, n, width;
    const float *const *pointers;     /* [n_pointers], likewise: each [split, width] */
    int n_pointers, split;
    trk_mat pointer_positions;        /* [n_pointers * split, width] f32 */
    /* room for gather_tokens, of the activation type: [trk_tokens_rows, width] */
    trk_mat with_positions, values;
    trk_mat fetched; /* [n, width] f32, where a storage is not one that operators read in place; else data NULL */
} trk_tokens;

static inline int trk_tokens_rows(const trk_tokens *tokens)
{
    return tokens->n_memories * tokens->n + tokens->n_pointers * tokens->split;
}

static inline int trk_tokens_objects(const trk_tokens *tokens)
{
    return tokens->objects ? tokens->n_objects : 1;
}

static inline trk_token_counts trk_tokens_of(const trk_tokens *tokens, int object)
{
    const trk_token_counts all = {tokens->n_memories, tokens->n_pointers};
    return tokens->objects ? tokens->objects[object] : all;
}

/* Rows of one object. */
static inline int trk_tokens_rows_of(const trk_tokens *tokens, int object)
{
    const trk_token_counts counts = trk_tokens_of(tokens, object);
    return counts.memories * tokens->n + counts.pointers * tokens->split;
}

typedef struct trk_backend trk_backend;
struct trk_ops;

typedef struct trk_exec {
    const struct trk_ops *ops;
    trk_backend *backend;
    trk_allocator *allocator; /* for kernels' own buffers, class SCRATCH */
    struct workspace *workspace; /* the backend's grow-only buffers of this exec; NULL in the reference backend */
    void *device;             /* a GPU backend's own: stream and staging buffers */
    trk_dtype activation;     /* dtype stages give to activations that feed products: f32, or bf16 on a bf16 backend */
    int n_threads;
    int planning;             /* 1: operators obtain the buffers they would need and return; mats are not touched */
    trk_status status;        /* first failure, else TRK_OK */
} trk_exec;

#define TRK_HOLE_VALUE 0.1f     /* fill_holes: what a filled pixel becomes */
#define TRK_NO_OBJECT  -1024.0f /* select_mask: every logit of an object that is not in the frame */
#define TRK_LOSER      -10.0f   /* suppress: most a logit is where another object has the pixel */

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
     * pixel (2y + ky, 2x + kx) of out [2h * 2w, c]; out = act(that + addend); row r uses addend's r % addend.rows,    \
     * data NULL for none */                                                                                           \
    X(depth_to_space2x, (trk_exec * x, trk_mat out, trk_mat in, int h, int w, trk_mat addend, trk_act act))            \
    /* in place: rotates pairs (2i, 2i+1) of row r by table[r % n_positions][i] = (cos, sin) */                        \
    X(rope, (trk_exec * x, trk_mat qk, const float *table, int n_positions))                                           \
    /* per head softmax(scale q k^T) v; q [n, heads * dk], k [m, heads * dk], v [m, heads * dv], out [n, heads * dv];  \
     * never materialises the scores. The rows of each are `batch` equal parts, of which part i attends to part i */   \
    X(attention, (trk_exec * x, trk_mat out, trk_mat q, trk_mat k, trk_mat v, int heads, int batch, float scale))      \
    /* Makes the tokens ready for the next two: copies them into their room, or, where a backend can read them in the      \
     * bank, only the pointers */                                                                                      \
    X(gather_tokens, (trk_exec * x, const trk_tokens *tokens))                                                        \
    /* keys [rows, d] = (memory or pointer + position) W^T + b, those of memories turned as by rope with n positions */ \
    X(token_keys, (trk_exec * x, trk_mat keys, const trk_tokens *tokens, const trk_linear *layer, const float *table)) \
    /* attention of each object's part of q with its own keys and tokens as values; one head; out [n, width]; q [n, d],\
     * or the rows of one object, which all share */                                                                   \
    X(attend_tokens, (trk_exec * x, trk_mat out, trk_mat q, trk_mat keys, const trk_tokens *tokens, float scale))      \
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
    /* upstream's choice: index by choice->multimask, chosen and stability; mask [1, n] = that hypothesis, or all      \
     * -1024 when score <= present_above; token [1, d]: with multimask the chosen one, else token 0 (also after a      \
     * stability fallback); info [3] = score, iou of the chosen, its index, in the backend's memory */                 \
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
    /* boxes [planes.rows, 4]: of each plane, f32 [side * side], resized to [scale side]^2 as by resize_bilinear, the  \
     * first and last column and row with an element above 0, which NaN is not: x0, y0, x1, y1, both ends inclusive;   \
     * all 0 where there is none. scale: a power of two, scale side <= 2^24. Samples of weight 0 do not count */       \
    X(mask_boxes, (trk_exec * x, float *boxes, trk_mat planes, int side, int scale))                                   \
    /* if score[0] <= present_above: every row of io becomes `row` (replace) or gains it (not replace); else nothing */\
    X(if_absent, (trk_exec * x, trk_mat io, const float *row, const float *score, float present_above, int replace))   \
    /* RGB bytes [height, width, 3] -> out [size * size, 3] f32: Pillow's 8-bit antialiased bicubic resize (bit        \
     * exact), / 255 (double, rounded to f32), - mean, / std */                                                        \
    X(frame_to_input, (trk_exec * x, trk_mat out, const uint8_t *rgb, int width, int height, ptrdiff_t stride,         \
                       int size, const float *mean, const float *std))                                                \
    /* rgb [height, width, 3] dense <- planes: 8 bit, chroma from the nearest sample, f32 arithmetic in the order       \
     * written at trk_image, rounded half up */                                                                       \
    X(frame_to_rgb, (trk_exec * x, uint8_t *rgb, const trk_image *image))                                             \
    /* f32: out = min(max(in, low), high); out may be in */                                                           \
    X(clamp, (trk_exec * x, trk_mat out, trk_mat in, float low, float high))                                          \
    /* f32: out = in >= level ? 1 : 0; out may be in */                                                               \
    X(threshold, (trk_exec * x, trk_mat out, trk_mat in, float level))                                                \
    /* score[0] = present if any element of the f32 `in` is above 0, else absent */                                   \
    X(score_mask, (trk_exec * x, float *score, trk_mat in, float present, float absent))                              \
    /* f32 logits of one size: where rival is above original, or equal to it with rival_first: io = min(original, -10);\
     * elsewhere io stays */                                                                                          \
    X(suppress, (trk_exec * x, trk_mat io, trk_mat original, trk_mat rival, int rival_first))                         \
    /* bytes out = in > 0, f32 in [h, w], rows `stride` bytes apart */                                                \
    X(mask_bytes, (trk_exec * x, uint8_t *out, ptrdiff_t stride, trk_mat in))                                         \
    /* region of a mask of bytes 0 or 1, rows `stride` bytes apart */                                                  \
    X(mask_region, (trk_exec * x, trk_mask_region *region, const uint8_t *mask, ptrdiff_t stride, int width,           \
                    int height))                                                                                       \
    /* in place on RGB bytes, rows `stride` bytes apart. Pixels of the mask with a pixel outside it (but inside the    \
     * picture) within line_width columns and line_width rows become the colour, the others                            \
     * (rgb * (256 - share) + colour * share + 128) / 256 with share = fill_percent * 256 / 100, all rounded down */   \
    X(paint, (trk_exec * x, uint8_t *rgb, ptrdiff_t stride, const trk_painting *painting))                             \
    /* dense bytes from one place of the backend's memory to another */                                                \
    X(copy_bytes, (trk_exec * x, void *to, const void *from, size_t bytes))                                            \
    /* from the host: rows of row_bytes, `stride` bytes apart, to `to`, dense; `from` may change once this returns */ \
    X(upload, (trk_exec * x, void *to, const void *from, size_t row_bytes, size_t rows, ptrdiff_t stride))            \
    /* to the host: dense rows to rows `stride` bytes apart, which are there after trk_exec_finish */                 \
    X(download, (trk_exec * x, void *to, ptrdiff_t stride, const void *from, size_t row_bytes, size_t rows))

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

#ifdef __cplusplus
}
#endif

#endif
