/* SPDX-License-Identifier: Apache-2.0
 * Frames: their colours, and separable resizing, of bilinear planes and the frame's 8-bit bicubic. Its tables are small
 * beside the image and built per call (a few hundred taps per side), so that an exec holds no state between calls. */
#include <string.h>

#include "backend_private.h"
#include "cpu.h"
#include "expect.h"
#include "ref.h"
#include "workspace.h"

void trk_resize_bilinear_cpu(trk_exec *x, trk_mat out, trk_mat in, int antialias)
{
    const trk_resample_kind kind = antialias ? TRK_RESAMPLE_BILINEAR_ANTIALIAS : TRK_RESAMPLE_BILINEAR;
    const size_t bytes_x = trk_resample_bytes(kind, in.cols, out.cols);
    const size_t bytes_y = trk_resample_bytes(kind, in.rows, out.rows);
    TRK_EXPECT(x, "resize_bilinear", bytes_x && bytes_y && in.dtype == TRK_F32 && out.dtype == TRK_F32);
    const size_t row_bytes = trk_aligned(((size_t)in.cols + 1) * sizeof(float));
    char *memory = trk_workspace_get(x, WORKSPACE_OTHER,
                                     trk_aligned(bytes_x) + trk_aligned(bytes_y) + row_bytes * (size_t)x->n_threads);
    if (!memory || x->planning)
        return;
    cpu_resize_args args = {.out = out, .in = in, .columns_stride = (int64_t)(row_bytes / sizeof(float))};
    trk_resample_build(&args.x, memory, kind, in.cols, out.cols);
    trk_resample_build(&args.y, memory + trk_aligned(bytes_x), kind, in.rows, out.rows);
    args.columns = (float *)(void *)(memory + trk_aligned(bytes_x) + trk_aligned(bytes_y));
    trk_cpu_for(x, x->backend->kernels->resize_bilinear, &args, out.rows, in.cols + 4 * (int64_t)out.cols);
}

/* values [n] = three values over and over */
static void repeat3(float *values, const float *three, int n)
{
    for (int i = 0; i < n; i++)
        values[i] = three[i % 3];
}

void trk_frame_to_input_cpu(trk_exec *x, trk_mat out, const uint8_t *rgb, int width, int height, ptrdiff_t stride,
                            int size, const float *mean, const float *std)
{
    const trk_resample_kind kind = TRK_RESAMPLE_BICUBIC_8BIT;
    const size_t bytes_x = trk_resample_bytes(kind, width, size), bytes_y = trk_resample_bytes(kind, height, size);
    TRK_EXPECT(x, "frame_to_input", bytes_x && bytes_y && out.cols == 3 && out.rows == size * size);
    const size_t row = (size_t)size * 3;
    const size_t table_bytes = trk_aligned(bytes_x) + trk_aligned(bytes_y), row_bytes = trk_aligned(row * sizeof(float));
    cpu_frame_args args = {.out = out, .rgb = rgb, .stride = stride, .width = width, .height = height, .size = size};
    args.strip_bytes = ((size_t)width + (size_t)size) * 3 * CPU_FRAME_STRIP;
    char *tables = trk_workspace_get(x, WORKSPACE_OTHER, table_bytes + 2 * row_bytes);
    args.strips = trk_workspace_get(x, WORKSPACE_INPUT, args.strip_bytes * (size_t)x->n_threads);
    args.rows = trk_workspace_get(x, WORKSPACE_OUTPUT, (size_t)height * row);
    if (!tables || !args.strips || !args.rows || x->planning)
        return;
    float *means = (float *)(void *)(tables + table_bytes), *stds = (float *)(void *)(tables + table_bytes + row_bytes);
    repeat3(means, mean, (int)row);
    repeat3(stds, std, (int)row);
    args.mean = means;
    args.std = stds;
    trk_resample_build(&args.x, tables, kind, width, size);
    trk_resample_build(&args.y, tables + trk_aligned(bytes_x), kind, height, size);
    trk_cpu_for(x, x->backend->kernels->frame_columns, &args, (height + CPU_FRAME_STRIP - 1) / CPU_FRAME_STRIP,
                (int64_t)size * CPU_FRAME_STRIP * args.x.max_taps);
    trk_cpu_for(x, x->backend->kernels->frame_rows, &args, size, (int64_t)size * args.y.max_taps);
}

#define PIXEL_WORK 8 /* a pixel of frame_to_rgb in elements moved */

typedef struct rgb_args {
    uint8_t *rgb;
    const trk_image *image;
} rgb_args;

static void rows_to_rgb(const void *args, int64_t begin, int64_t end, int worker)
{
    const rgb_args *a = args;
    (void)worker;
    for (int64_t y = begin; y < end; y++)
        trk_frame_row_to_rgb(a->rgb + (size_t)y * (size_t)a->image->width * 3, a->image, (int)y);
}

void trk_frame_to_rgb_cpu(trk_exec *x, uint8_t *rgb, const trk_image *image)
{
    TRK_EXPECT(x, "frame_to_rgb", image->width > 0 && image->height > 0 && image->planes[0]);
    const rgb_args args = {rgb, image};
    trk_cpu_for(x, rows_to_rgb, &args, image->height, PIXEL_WORK * (int64_t)image->width);
}
