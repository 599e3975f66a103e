/* SPDX-License-Identifier: Apache-2.0
 * Frames of any pixel format as RGB bytes (8 bit, chroma from the nearest sample, full-precision matrix), and
 * preprocessing: Pillow's 8-bit antialiased bicubic resize, bit exact, then scaling and normalisation in f32.
 *   pass(sample) = clip8((2^21 + sum_k sample[first + k] fixed[k]) >> 22), along rows first, rounded to bytes, then
 *   along columns; out = (f32(v / 255) - mean) / std. A pass at equal size is the identity (its centre weight is 2^22,
 *   the others 0), so nothing has to be skipped. */
#include "element.h"
#include "expect.h"
#include "ref.h"
#include "resample.h"

static uint8_t clip8(int32_t sum)
{
    const int32_t v = sum >> TRK_RESAMPLE_BITS;
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

/* samples: `step` bytes from one to the next */
static uint8_t resample_8bit(const trk_resample *t, int i, const uint8_t *samples, ptrdiff_t step)
{
    int32_t sum = 1 << (TRK_RESAMPLE_BITS - 1);
    for (int k = 0; k < t->count[i]; k++)
        sum += samples[(t->first[i] + k) * step] * t->fixed[(size_t)i * (size_t)t->max_taps + (size_t)k];
    return clip8(sum);
}

void trk_frame_to_input_ref(trk_exec *x, trk_mat out, const uint8_t *rgb, int width, int height, ptrdiff_t stride,
                            int size, const float *mean, const float *std)
{
    const trk_resample_kind kind = TRK_RESAMPLE_BICUBIC_8BIT;
    const size_t bytes_x = trk_resample_bytes(kind, width, size), bytes_y = trk_resample_bytes(kind, height, size);
    TRK_EXPECT(x, "frame_to_input", bytes_x && bytes_y && out.cols == 3 && out.rows == size * size);
    const size_t bytes_rows = (size_t)height * (size_t)size * 3; /* the frame after the first pass, [height, size, 3] */
    void *memory_x = x->allocator->allocate(x->allocator, TRK_MEM_SCRATCH, "resize table", bytes_x);
    void *memory_y = x->allocator->allocate(x->allocator, TRK_MEM_SCRATCH, "resize table", bytes_y);
    uint8_t *rows = x->allocator->allocate(x->allocator, TRK_MEM_SCRATCH, "resized rows", bytes_rows);
    if (!memory_x || !memory_y || !rows) {
        trk_exec_fail(x, TRK_FAIL(TRK_E_MEMORY, "frame_to_input: no memory for %zu bytes", bytes_rows));
        goto done;
    }
    if (x->planning)
        goto done;
    trk_resample tx, ty;
    trk_resample_build(&tx, memory_x, kind, width, size);
    trk_resample_build(&ty, memory_y, kind, height, size);
    for (int y = 0; y < height; y++)
        for (int column = 0; column < size; column++)
            for (int c = 0; c < 3; c++)
                rows[((size_t)y * (size_t)size + (size_t)column) * 3 + (size_t)c] =
                    resample_8bit(&tx, column, rgb + y * stride + c, 3);
    for (int y = 0; y < size; y++)
        for (int column = 0; column < size; column++)
            for (int c = 0; c < 3; c++) {
                const uint8_t v = resample_8bit(&ty, y, rows + (size_t)column * 3 + (size_t)c, (ptrdiff_t)size * 3);
                element_put(out, (int64_t)y * size + column, c, ((float)(v / 255.0) - mean[c]) / std[c]);
            }
done:
    x->allocator->release(x->allocator, TRK_MEM_SCRATCH, memory_x, bytes_x);
    x->allocator->release(x->allocator, TRK_MEM_SCRATCH, memory_y, bytes_y);
    x->allocator->release(x->allocator, TRK_MEM_SCRATCH, rows, bytes_rows);
}

static uint8_t to_byte(float v)
{
    return v <= 0.0f ? 0 : v >= 255.0f ? 255 : (uint8_t)(v + 0.5f);
}

static void yuv_row(const trk_image *m, int y, uint8_t *out)
{
    const int interleaved = m->format == TRK_IMAGE_NV12, halved_rows = m->format == TRK_IMAGE_I420 || interleaved;
    const int halved_columns = m->format != TRK_IMAGE_I444, chroma_row = halved_rows ? y / 2 : y;
    const uint8_t *luma = m->planes[0] + y * m->strides[0];
    const uint8_t *u_row = m->planes[1] + chroma_row * m->strides[1];
    const uint8_t *v_row = interleaved ? u_row + 1 : m->planes[2] + chroma_row * m->strides[2];
    for (int x = 0; x < m->width; x++, out += 3) {
        const int c = (halved_columns ? x / 2 : x) * (interleaved ? 2 : 1);
        const float l = ((float)luma[x] - m->y_offset) * m->y_scale;
        const float u = (float)u_row[c] - 128.0f, v = (float)v_row[c] - 128.0f;
        out[0] = to_byte(l + m->r_v * v);
        out[1] = to_byte(l - m->g_u * u - m->g_v * v);
        out[2] = to_byte(l + m->b_u * u);
    }
}

static void gray_row(const trk_image *m, int y, uint8_t *out)
{
    const uint8_t *luma = m->planes[0] + y * m->strides[0];
    for (int x = 0; x < m->width; x++)
        out[3 * x] = out[3 * x + 1] = out[3 * x + 2] = luma[x];
}

void trk_frame_row_to_rgb(uint8_t *row, const trk_image *image, int y)
{
    if (image->format == TRK_IMAGE_GRAY)
        gray_row(image, y, row);
    else
        yuv_row(image, y, row);
}

void trk_frame_to_rgb_ref(trk_exec *x, uint8_t *rgb, const trk_image *image)
{
    TRK_EXPECT(x, "frame_to_rgb", image->width > 0 && image->height > 0 && image->planes[0]);
    for (int y = 0; y < image->height; y++)
        trk_frame_row_to_rgb(rgb + (size_t)y * (size_t)image->width * 3, image, y);
}
