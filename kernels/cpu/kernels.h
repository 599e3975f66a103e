/* SPDX-License-Identifier: Apache-2.0
 * The vectorised kernels of the CPU backend, compiled once per instruction set (kernels_<isa>.c), chosen at run time.
 * Every kernel handles the half-open range [begin, end) of its items; items do not depend on each other, so results do
 * not depend on how trk_cpu_for splits the range over workers. `worker` < the exec's n_threads says whose buffer to
 * use. */
#ifndef TRK_KERNELS_CPU_KERNELS_H
#define TRK_KERNELS_CPU_KERNELS_H

#include "layer.h"
#include "ops.h"
#include "resample.h"

typedef void cpu_kernel(const void *args, int64_t begin, int64_t end, int worker);

/* name of kernel, args struct, item of the range */
#define CPU_KERNEL_LIST(X)                                                                                             \
    X(layernorm)        /* cpu_layernorm_args, rows */                                                                 \
    X(add)              /* cpu_add_args, rows of out */                                                                \
    X(convert)          /* cpu_convert_args, rows of out */                                                            \
    X(mask_to_memory)   /* cpu_mask_to_memory_args, rows */                                                            \
    X(store)            /* cpu_storage_args, blocks of TRK_Q8_BLOCK elements: f16 and q8 */                            \
    X(fetch)            /* as store */                                                                                 \
    X(pack_mask)        /* cpu_storage_args, rows */                                                                   \
    X(unpack_mask)      /* as pack_mask */                                                                             \
    X(maxpool2x2)       /* cpu_map_args, map rows of out */                                                            \
    X(add_upsampled2x)  /* cpu_map_args, map rows of in */                                                             \
    X(depth_to_space2x) /* cpu_map_args, map rows of in */                                                             \
    X(resize_bilinear)  /* cpu_resize_args, rows of out */                                                             \
    X(frame_columns)    /* cpu_frame_args, strips of CPU_FRAME_STRIP source rows: first pass of frame_to_input */      \
    X(frame_rows)       /* cpu_frame_args, rows of out: second pass */                                                 \
    X(matmul_nt)        /* cpu_matmul_args, blocks of CPU_MATMUL_BLOCK rows of b */                                    \
    X(linear)           /* cpu_linear_args, blocks of CPU_LINEAR_ROWS rows: products without oneDNN */                 \
    X(convolution)      /* cpu_convolution_args, map rows of out: convolution without oneDNN */

typedef struct cpu_kernels {
    const char *isa;
#define CPU_KERNEL_MEMBER(name) cpu_kernel *name;
    CPU_KERNEL_LIST(CPU_KERNEL_MEMBER)
#undef CPU_KERNEL_MEMBER
} cpu_kernels;

extern const cpu_kernels trk_cpu_kernels_base, trk_cpu_kernels_avx2, trk_cpu_kernels_avx512;

typedef struct cpu_layernorm_args {
    trk_mat out, in;
    const float *gamma, *beta; /* [cols] */
    float eps;
    trk_act act;
} cpu_layernorm_args;

typedef struct cpu_add_args {
    trk_mat out, a, b;
} cpu_add_args;

typedef struct cpu_convert_args {
    trk_mat out, in;
} cpu_convert_args;

typedef struct cpu_mask_to_memory_args {
    trk_mat out, in;
    int binarize;
    float scale, bias;
} cpu_mask_to_memory_args;

typedef struct cpu_storage_args {
    trk_mat mat;
    void *slot; /* or a packed mask; dense, written by store and pack_mask, read by the others */
    trk_storage storage;
} cpu_storage_args;

typedef struct cpu_map_args {
    trk_mat out, in, addend; /* addend.data NULL: none */
    int w;                   /* pixels in a map row of in */
    trk_act act;
} cpu_map_args;

typedef struct cpu_resize_args {
    trk_mat out, in;
    trk_resample x, y;
    float *columns;         /* [threads, columns_stride]: a thread's vertically combined row */
    int64_t columns_stride; /* >= in.cols + 1 */
} cpu_resize_args;

#define CPU_FRAME_STRIP 16
typedef struct cpu_frame_args {
    trk_mat out;
    const uint8_t *rgb;
    ptrdiff_t stride;
    int width, height, size;
    trk_resample x, y;
    uint8_t *strips;       /* [threads, strip_bytes]: a strip transposed, before [width * 3, 16] and after [.., 16] */
    size_t strip_bytes;    /* (width + size) * 3 * 16 */
    uint8_t *rows;         /* [height, size * 3] after the first pass */
    const float *mean, *std; /* [size * 3] periodic */
} cpu_frame_args;

#define CPU_MATMUL_BLOCK 16 /* rows of b */
typedef struct cpu_matmul_args {
    trk_mat out, b;
    const float *a; /* [out.rows, a_stride], columns beyond k zero */
    int64_t a_stride; /* multiple of CPU_MATMUL_BLOCK, >= k */
    int k;
    int round_to_bf16; /* round b first */
} cpu_matmul_args;

#define CPU_LINEAR_ROWS 4
#define CPU_LINEAR_PANEL 32 /* columns of a packed panel */
typedef struct cpu_linear_args {
    trk_mat out, in;     /* in f32 */
    const float *panels; /* [ceil(n_out / PANEL), n_in, PANEL], columns beyond n_out zero */
    const float *bias;   /* [n_out] or NULL */
    int n_in, n_out;
    trk_epilogue epilogue;
} cpu_linear_args;

typedef struct cpu_convolution_args {
    trk_mat out, in;       /* in f32 */
    trk_layer_shape shape;
    const float *panels;   /* as cpu_linear_args with n_in = kernel^2 * n_in; depthwise: [kernel^2, channels] */
    const float *bias;     /* [n_out] or NULL */
    int in_h, in_w, out_w;
    trk_act act;
    float *patches;        /* [threads, patch_stride]: CPU_LINEAR_ROWS unrolled windows */
    int64_t patch_stride;  /* depthwise: >= channels */
} cpu_convolution_args;

#endif
