/* SPDX-License-Identifier: Apache-2.0
 * Frames of any pixel format as RGB bytes where the model computes. YUV: 8 bit, chroma taken from the nearest sample,
 * full-precision matrix. */
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
    const int64_t limit = TRK_FRAME_LIMIT;
    if (index > limit || index < -limit)
        return TRK_FAIL(TRK_E_ARGUMENT, "frame number %lld: expected at most %lld either way", (long long)index,
                        (long long)limit);
    return TRK_OK;
}

static trk_status check_matrix(const trk_frame *f)
{
    if (f->matrix == TRK_YUV_BT601 || f->matrix == TRK_YUV_BT709 || f->matrix == TRK_YUV_BT2020)
        return TRK_OK;
    return TRK_FAIL(TRK_E_ARGUMENT, "frame matrix %d: expected a trk_yuv_matrix", (int)f->matrix);
}

trk_status trk_frame_check(const trk_frame *f)
{
    trk_status rc = trk_check_index(f->index);
    if (rc < 0)
        return rc;
    if (f->width < 1 || f->height < 1 || f->width > TRK_FRAME_SIDE || f->height > TRK_FRAME_SIDE)
        return TRK_FAIL(TRK_E_ARGUMENT, "frame of %d x %d: expected sides of 1 to %d pixels", f->width, f->height,
                        TRK_FRAME_SIDE);
    if (f->place != TRK_ON_HOST && f->place != TRK_ON_DEVICE)
        return TRK_FAIL(TRK_E_ARGUMENT, "frame place %d: expected a trk_place", (int)f->place);
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
        TRK_CHECK(check_matrix(f));
        break;
    case TRK_PIXEL_NV12:
        TRK_CHECK(check_plane(f, 0, f->width, "Y"));
        TRK_CHECK(check_plane(f, 1, 2 * half, "UV"));
        TRK_CHECK(check_matrix(f));
        break;
    default:
        return TRK_FAIL(TRK_E_ARGUMENT, "pixel format %d: expected a trk_pixel_format", (int)f->format);
    }
done:
    return rc;
}

/* From the luma weights kr, kb: R = Y + 2 (1 - kr) V, B = Y + 2 (1 - kb) U, G from Y = kr R + kg G + kb B. */
static void set_matrix(trk_image *out, const trk_frame *f)
{
    float kr = f->matrix == TRK_YUV_BT709 ? 0.2126f : f->matrix == TRK_YUV_BT2020 ? 0.2627f : 0.299f;
    float kb = f->matrix == TRK_YUV_BT709 ? 0.0722f : f->matrix == TRK_YUV_BT2020 ? 0.0593f : 0.114f;
    float kg = 1.0f - kr - kb, chroma = f->full_range ? 1.0f : 255.0f / 224.0f;
    out->y_scale = f->full_range ? 1.0f : 255.0f / 219.0f;
    out->y_offset = f->full_range ? 0.0f : 16.0f;
    out->r_v = 2.0f * (1.0f - kr) * chroma;
    out->g_u = 2.0f * kb * (1.0f - kb) / kg * chroma;
    out->g_v = 2.0f * kr * (1.0f - kr) / kg * chroma;
    out->b_u = 2.0f * (1.0f - kb) * chroma;
}

typedef struct plane_size {
    int bytes, rows; /* of a row; 0: no such plane */
} plane_size;

static plane_size size_of_plane(const trk_frame *f, int plane)
{
    const int half_w = (f->width + 1) / 2, half_h = (f->height + 1) / 2;
    if (plane == 0)
        return (plane_size){f->format == TRK_PIXEL_RGB24 ? 3 * f->width : f->width, f->height};
    switch (f->format) {
    case TRK_PIXEL_I420:
        return (plane_size){half_w, half_h};
    case TRK_PIXEL_I422:
        return (plane_size){half_w, f->height};
    case TRK_PIXEL_I444:
        return (plane_size){f->width, f->height};
    case TRK_PIXEL_NV12:
        return plane == 1 ? (plane_size){2 * half_w, half_h} : (plane_size){0, 0};
    default:
        return (plane_size){0, 0};
    }
}

static uint8_t *take_bytes(trk_tracker *t, trk_arena *arena, size_t bytes)
{
    const int failed = t->seat->net.exec.status < 0;
    uint8_t *out = failed ? NULL : trk_arena_allocate(arena, bytes);
    if (!out && !failed)
        trk_exec_fail(&t->seat->net.exec, TRK_FAIL(TRK_E_MEMORY, "no memory for a frame of %zu bytes", bytes));
    return out;
}

/* A plane in the model's memory: the caller's, or a dense copy in the arena. */
static const uint8_t *plane_there(trk_tracker *t, const trk_frame *f, int plane, trk_arena *arena, ptrdiff_t *stride)
{
    const plane_size size = size_of_plane(f, plane);
    *stride = f->strides[plane];
    if (!size.bytes || t->model->network->memory->on_host || f->place == TRK_ON_DEVICE)
        return f->planes[plane];
    uint8_t *copy = take_bytes(t, arena, (size_t)size.bytes * (size_t)size.rows);
    TRK_RUN(&t->seat->net.exec, upload, copy, f->planes[plane], (size_t)size.bytes, (size_t)size.rows,
            f->strides[plane]);
    *stride = size.bytes;
    return copy;
}

static void convert(trk_tracker *t, const trk_frame *f, uint8_t *rgb)
{
    static const trk_image_format formats[] = {
        [TRK_PIXEL_GRAY8] = TRK_IMAGE_GRAY, [TRK_PIXEL_I420] = TRK_IMAGE_I420, [TRK_PIXEL_I422] = TRK_IMAGE_I422,
        [TRK_PIXEL_I444] = TRK_IMAGE_I444,  [TRK_PIXEL_NV12] = TRK_IMAGE_NV12};
    trk_arena_mark mark = trk_arena_here(&t->seat->scratch);
    trk_image image = {.width = f->width, .height = f->height, .format = formats[f->format]};
    set_matrix(&image, f);
    for (int i = 0; i < 3; i++)
        image.planes[i] = plane_there(t, f, i, &t->seat->scratch, &image.strides[i]);
    TRK_RUN(&t->seat->net.exec, frame_to_rgb, rgb, &image);
    trk_arena_rewind(&t->seat->scratch, mark);
}

trk_status trk_frame_check_place(const trk_tracker *t, const trk_frame *f)
{
    if (f->place == TRK_ON_DEVICE && t->model->network->memory->on_host)
        return TRK_FAIL(TRK_E_ARGUMENT, "frame %lld lies on a GPU; the model is on the CPU", (long long)f->index);
    return TRK_OK;
}

trk_status trk_frame_rgb(trk_tracker *t, const trk_frame *f, const uint8_t **rgb, ptrdiff_t *stride)
{
    trk_network *net = &t->seat->net;
    if (f->place == TRK_ON_DEVICE)
        trk_exec_follow(&net->exec);
    if (f->format == TRK_PIXEL_RGB24) {
        *rgb = plane_there(t, f, 0, net->frame, stride);
        return trk_network_status(net);
    }
    const size_t row = (size_t)f->width * 3;
    uint8_t *out = take_bytes(t, net->frame, row * (size_t)f->height);
    if (out)
        convert(t, f, out);
    *rgb = out;
    *stride = (ptrdiff_t)row;
    return trk_network_status(net);
}
