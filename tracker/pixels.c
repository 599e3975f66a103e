/* SPDX-License-Identifier: Apache-2.0
 * Frames of any pixel format as RGB bytes. YUV: 8 bit, chroma taken from the nearest sample, full-precision matrix. */
#include "tracker.h"

static trk_status check_plane(const trk_frame *f, int plane, int bytes, const char *name)
{
    ptrdiff_t stride = f->strides[plane] < 0 ? -f->strides[plane] : f->strides[plane];
    if (!f->planes[plane])
        return TRK_FAIL(TRK_E_ARGUMENT, "frame plane %d (%s) is NULL", plane, name);
    if (stride < bytes)
        return TRK_FAIL(TRK_E_ARGUMENT, "frame plane %d (%s) has stride %td; a row is %d bytes", plane, name,
                        f->strides[plane], bytes);
    return TRK_OK;
}

trk_status trk_check_index(int64_t index)
{
    const int64_t limit = INT64_MAX / 4;
    if (index > limit || index < -limit)
        return TRK_FAIL(TRK_E_ARGUMENT, "frame number %lld: expected at most %lld either way", (long long)index,
                        (long long)limit);
    return TRK_OK;
}

trk_status trk_frame_check(const trk_frame *f)
{
    trk_status rc = trk_check_index(f->index);
    if (rc < 0)
        return rc;
    if (f->width < 1 || f->height < 1 || f->width > 32768 || f->height > 32768)
        return TRK_FAIL(TRK_E_ARGUMENT, "frame of %d x %d: expected sides of 1 to 32768 pixels", f->width, f->height);
    int half = (f->width + 1) / 2;
    switch (f->format) {
    case TRK_PIXEL_RGB24:
        return check_plane(f, 0, 3 * f->width, "RGB");
    case TRK_PIXEL_GRAY8:
        return check_plane(f, 0, f->width, "gray");
    case TRK_PIXEL_I420:
    case TRK_PIXEL_I422:
    case TRK_PIXEL_I444:
        TRK_CHECK(check_plane(f, 0, f->width, "Y"));
        TRK_CHECK(check_plane(f, 1, f->format == TRK_PIXEL_I444 ? f->width : half, "U"));
        TRK_CHECK(check_plane(f, 2, f->format == TRK_PIXEL_I444 ? f->width : half, "V"));
        break;
    case TRK_PIXEL_NV12:
        TRK_CHECK(check_plane(f, 0, f->width, "Y"));
        TRK_CHECK(check_plane(f, 1, 2 * half, "UV"));
        break;
    default:
        return TRK_FAIL(TRK_E_ARGUMENT, "pixel format %d: expected a trk_pixel_format", (int)f->format);
    }
done:
    return rc;
}

static uint8_t to_byte(float v)
{
    return v <= 0.0f ? 0 : v >= 255.0f ? 255 : (uint8_t)(v + 0.5f);
}

typedef struct yuv_matrix {
    float y_scale, y_offset, r_v, g_u, g_v, b_u;
} yuv_matrix;

/* From the luma weights kr, kb: R = Y + 2 (1 - kr) V, B = Y + 2 (1 - kb) U, G from Y = kr R + kg G + kb B. */
static yuv_matrix matrix_of(const trk_frame *f)
{
    float kr = f->matrix == TRK_YUV_BT709 ? 0.2126f : f->matrix == TRK_YUV_BT2020 ? 0.2627f : 0.299f;
    float kb = f->matrix == TRK_YUV_BT709 ? 0.0722f : f->matrix == TRK_YUV_BT2020 ? 0.0593f : 0.114f;
    float kg = 1.0f - kr - kb, chroma = f->full_range ? 1.0f : 255.0f / 224.0f;
    return (yuv_matrix){f->full_range ? 1.0f : 255.0f / 219.0f, f->full_range ? 0.0f : 16.0f,
                        2.0f * (1.0f - kr) * chroma, 2.0f * kb * (1.0f - kb) / kg * chroma,
                        2.0f * kr * (1.0f - kr) / kg * chroma, 2.0f * (1.0f - kb) * chroma};
}

static void yuv_row(const trk_frame *f, const yuv_matrix *m, int y, uint8_t *out)
{
    int halved_rows = f->format == TRK_PIXEL_I420 || f->format == TRK_PIXEL_NV12;
    int halved_columns = f->format != TRK_PIXEL_I444, interleaved = f->format == TRK_PIXEL_NV12;
    int chroma_row = halved_rows ? y / 2 : y;
    const uint8_t *luma = f->planes[0] + y * f->strides[0];
    const uint8_t *u_row = f->planes[1] + chroma_row * f->strides[1];
    const uint8_t *v_row = interleaved ? u_row + 1 : f->planes[2] + chroma_row * f->strides[2];
    for (int x = 0; x < f->width; x++, out += 3) {
        int c = (halved_columns ? x / 2 : x) * (interleaved ? 2 : 1);
        float l = ((float)luma[x] - m->y_offset) * m->y_scale;
        float u = (float)u_row[c] - 128.0f, v = (float)v_row[c] - 128.0f;
        out[0] = to_byte(l + m->r_v * v);
        out[1] = to_byte(l - m->g_u * u - m->g_v * v);
        out[2] = to_byte(l + m->b_u * u);
    }
}

static void gray_row(const trk_frame *f, int y, uint8_t *out)
{
    const uint8_t *luma = f->planes[0] + y * f->strides[0];
    for (int x = 0; x < f->width; x++)
        out[3 * x] = out[3 * x + 1] = out[3 * x + 2] = luma[x];
}

trk_status trk_frame_rgb(trk_tracker *t, const trk_frame *f, const uint8_t **rgb, ptrdiff_t *stride)
{
    if (f->format == TRK_PIXEL_RGB24) {
        *rgb = f->planes[0];
        *stride = f->strides[0];
        return TRK_OK;
    }
    size_t row = (size_t)f->width * 3;
    uint8_t *out = trk_arena_allocate(t->seat->net.frame, row * (size_t)f->height);
    if (!out)
        return TRK_FAIL(TRK_E_MEMORY, "no memory for a frame of %d x %d", f->width, f->height);
    yuv_matrix matrix = matrix_of(f);
    for (int y = 0; !t->pool->planning && y < f->height; y++) {
        if (f->format == TRK_PIXEL_GRAY8)
            gray_row(f, y, out + (size_t)y * row);
        else
            yuv_row(f, &matrix, y, out + (size_t)y * row);
    }
    *rgb = out;
    *stride = (ptrdiff_t)row;
    return TRK_OK;
}
