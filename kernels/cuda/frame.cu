/* SPDX-License-Identifier: Apache-2.0
 * Frames: pixel formats to RGB bytes, and RGB bytes to the network's input (Pillow's 8-bit bicubic resize to the bit:
 * sums of 22-bit fixed point, bytes between the passes). */
#include "plane.cuh"
#include "resample.cuh"

/* ---- frame_to_rgb ---- */

__device__ __forceinline__ uint8_t to_byte(float v)
{
    return v <= 0.0f ? 0 : v >= 255.0f ? 255 : (uint8_t)(v + 0.5f);
}

/* One pixel, to rgb [3]. Every operation is rounded, as the reference has them: no fused multiply and add. */
__device__ __forceinline__ void pixel_to_rgb(uint8_t *rgb, const trk_image &m, uint8_t luma, uint8_t cb, uint8_t cr)
{
    const float l = __fmul_rn((float)luma - m.y_offset, m.y_scale);
    const float u = (float)cb - 128.0f, v = (float)cr - 128.0f;
    rgb[0] = to_byte(__fadd_rn(l, __fmul_rn(m.r_v, v)));
    rgb[1] = to_byte(__fadd_rn(__fadd_rn(l, -__fmul_rn(m.g_u, u)), -__fmul_rn(m.g_v, v)));
    rgb[2] = to_byte(__fadd_rn(l, __fmul_rn(m.b_u, u)));
}

__global__ void planes_to_rgb(uint8_t *rgb, trk_image m)
{
    const int64_t x = plane_column();
    if (x >= m.width)
        return;
    const bool interleaved = m.format == TRK_IMAGE_NV12, halved_rows = m.format == TRK_IMAGE_I420 || interleaved;
    const bool halved_columns = m.format != TRK_IMAGE_I444;
    const int64_t chroma = (halved_columns ? x / 2 : x) * (interleaved ? 2 : 1);
    for (int64_t y = plane_row(); y < m.height; y += plane_rows()) {
        const uint8_t luma = m.planes[0][y * m.strides[0] + x];
        uint8_t *pixel = rgb + (y * m.width + x) * 3;
        if (m.format == TRK_IMAGE_GRAY) {
            pixel[0] = pixel[1] = pixel[2] = luma;
            continue;
        }
        const int64_t chroma_row = halved_rows ? y / 2 : y;
        const uint8_t *cb = m.planes[1] + chroma_row * m.strides[1] + chroma;
        const uint8_t *cr = interleaved ? cb + 1 : m.planes[2] + chroma_row * m.strides[2] + chroma;
        pixel_to_rgb(pixel, m, luma, *cb, *cr);
    }
}

void trk_frame_to_rgb_cuda(trk_exec *x, uint8_t *rgb, const trk_image *image)
{
    TRK_EXPECT(x, "frame_to_rgb", image->width > 0 && image->height > 0 && image->planes[0]);
    TRK_LAUNCH(x, planes_to_rgb, plane_grid(image->height, image->width, 2), plane_block(), 0, rgb, *image);
}

/* ---- frame_to_input ---- */

#define ROWS_EACH 4 /* rows of a thread in the pass along rows: they share the weights */

__device__ __forceinline__ uint8_t clip8(int sum)
{
    return (uint8_t)min(max(sum >> TRK_RESAMPLE_BITS, 0), 255);
}

/* out [height, n_out, 3] */
__global__ void frame_along_rows(uint8_t *out, const uint8_t *rgb, int64_t stride, int height, axis_taps<int> taps)
{
    const int64_t column = plane_column();
    if (column >= taps.n_out)
        return;
    const int first = taps.first[column], count = taps.count[column];
    for (int64_t row = plane_row() * ROWS_EACH; row < height; row += plane_rows() * ROWS_EACH) {
        const uint8_t *samples[ROWS_EACH]; /* those below the frame read its last row again */
        int sums[ROWS_EACH][3];
#pragma unroll
        for (int i = 0; i < ROWS_EACH; i++) {
            samples[i] = rgb + min(row + i, (int64_t)height - 1) * stride + (int64_t)first * 3;
            sums[i][0] = sums[i][1] = sums[i][2] = 1 << (TRK_RESAMPLE_BITS - 1);
        }
        for (int k = 0; k < count; k++) {
            const int weight = taps.weight(k, column);
#pragma unroll
            for (int i = 0; i < ROWS_EACH; i++)
                for (int c = 0; c < 3; c++)
                    sums[i][c] += samples[i][3 * k + c] * weight;
        }
#pragma unroll
        for (int i = 0; i < ROWS_EACH; i++)
            for (int c = 0; c < 3 && row + i < height; c++)
                out[((row + i) * taps.n_out + column) * 3 + c] = clip8(sums[i][c]);
    }
}

struct channel_scale {
    float mean[3], std[3];
};

/* rows [height, n_out, 3]; a thread makes one channel of one pixel. byte / 255 in f32 is what the reference's double
 * quotient rounds to, for each of the 256. */
template <class T>
__global__ void frame_along_columns(matrix<T> out, const uint8_t *rows, axis_taps<int> taps, channel_scale scale)
{
    const int64_t i = plane_column(), row_bytes = (int64_t)taps.n_out * 3;
    if (i >= row_bytes)
        return;
    const int c = (int)(i % 3);
    const float mean = c == 0 ? scale.mean[0] : c == 1 ? scale.mean[1] : scale.mean[2];
    const float std = c == 0 ? scale.std[0] : c == 1 ? scale.std[1] : scale.std[2];
    for (int64_t y = plane_row(); y < taps.n_out; y += plane_rows()) {
        const uint8_t *samples = rows + taps.first[y] * row_bytes + i;
        const int count = taps.count[y];
        int sum = 1 << (TRK_RESAMPLE_BITS - 1);
        for (int k = 0; k < count; k++)
            sum += samples[k * row_bytes] * taps.weight(k, y);
        out.put(y * taps.n_out + i / 3, c, ((float)clip8(sum) / 255.0f - mean) / std);
    }
}

static void frame_passes(trk_exec *x, trk_mat out, uint8_t *rows, const uint8_t *rgb, int height, ptrdiff_t stride,
                         axis_taps<int> taps_x, axis_taps<int> taps_y, const channel_scale &scale)
{
    const int size = taps_x.n_out;
    TRK_LAUNCH(x, frame_along_rows, plane_grid(height, size, ROWS_EACH), plane_block(), 0, rows, rgb, stride, height,
               taps_x);
    by_type(out.dtype, [&](auto o) {
        TRK_LAUNCH(x, (frame_along_columns<decltype(o)>), plane_grid(size, (int64_t)size * 3, 1), plane_block(), 0,
                   matrix_of<decltype(o)>(out), rows, taps_y, scale);
    });
}

void trk_frame_to_input_cuda(trk_exec *x, trk_mat out, const uint8_t *rgb, int width, int height, ptrdiff_t stride,
                             int size, const float *mean, const float *std)
{
    const trk_resample_kind kind = TRK_RESAMPLE_BICUBIC_8BIT;
    TRK_EXPECT(x, "frame_to_input", trk_resample_bytes(kind, width, size) && trk_resample_bytes(kind, height, size));
    TRK_EXPECT(x, "frame_to_input", out.cols == 3 && out.rows == size * size);
    uint8_t *rows = static_cast<uint8_t *>(
        trk_workspace_get(x, WORKSPACE_OUTPUT, (size_t)height * (size_t)size * 3)); /* after the pass along rows */
    const struct cuda_table *tx = cuda_table_borrow(x, kind, width, size);
    const struct cuda_table *ty = cuda_table_borrow(x, kind, height, size);
    if (rows && tx && ty && !x->planning) {
        const channel_scale scale = {{mean[0], mean[1], mean[2]}, {std[0], std[1], std[2]}};
        frame_passes(x, out, rows, rgb, height, stride, taps_of<int>(tx), taps_of<int>(ty), scale);
    }
}
