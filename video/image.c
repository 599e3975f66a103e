/* SPDX-License-Identifier: Apache-2.0
 * Single images in and out: masks, palettes, contact sheets. */
#include <string.h>

#include <libavutil/opt.h>
#include <libavutil/pixdesc.h>

#include "convert.h"
#include "heap.h"
#include "image_decode.h"
#include "libav.h"
#include "temporary.h"

/* Rows of one byte per pixel, straight from the decoder's first plane. */
static void copy_rows(const AVFrame *frame, uint8_t *data)
{
    for (int y = 0; y < frame->height; y++)
        memcpy(data + (size_t)y * frame->width, frame->data[0] + (ptrdiff_t)y * frame->linesize[0],
               (size_t)frame->width);
}

/* Luma of ITU-R BT.601 in place, weights in 1/65536; equal channels keep their value. Only black is 0, as all else
 * counts in a mask. */
static void to_luma(uint8_t *data, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const uint8_t *rgb = data + 3 * i;
        const int is_black = !(rgb[0] | rgb[1] | rgb[2]);
        const uint8_t luma = (uint8_t)((19595u * rgb[0] + 38470u * rgb[1] + 7471u * rgb[2] + 32768u) >> 16);
        data[i] = luma || is_black ? luma : 1;
    }
}

static int is_transparent(const AVFrame *frame, const AVPixFmtDescriptor *format)
{
    const AVComponentDescriptor *alpha = &format->comp[format->nb_components - 1];
    for (int y = 0; y < frame->height; y++) {
        const uint8_t *row = frame->data[alpha->plane] + (ptrdiff_t)y * frame->linesize[alpha->plane] + alpha->offset;
        for (int x = 0; x < frame->width; x++)
            if (row[(ptrdiff_t)x * alpha->step] != 255)
                return 1;
    }
    return 0;
}

/* What in one channel would be another mask than is meant: in 8 bits small values of deeper images are 0, which is nothing
 * in a mask, another object in a map of indices; lossy formats have values near 0 where there was 0; what is hidden by
 * transparency has colours. */
static trk_status check_mask(const AVFrame *frame, const char *codec)
{
    const AVPixFmtDescriptor *format = av_pix_fmt_desc_get(frame->format);
    if (!format)
        return TRK_OK;
    if (format->comp[0].depth > 8)
        return TRK_FAIL(TRK_E_FORMAT, "%d bits for a value of a pixel, expected at most 8 in a mask",
                        format->comp[0].depth);
    if (!strcmp(codec, "mjpeg") || (format->nb_components >= 3 && !(format->flags & AV_PIX_FMT_FLAG_RGB)))
        return TRK_FAIL(TRK_E_FORMAT, "compressed with loss (%s), expected a PNG as mask", codec);
    if (frame->format != AV_PIX_FMT_PAL8 && format->flags & AV_PIX_FMT_FLAG_ALPHA && is_transparent(frame, format))
        return TRK_FAIL(TRK_E_FORMAT, "has transparent pixels, expected a mask in gray, colours or a palette alone");
    return TRK_OK;
}

static trk_status to_pixels(const AVFrame *frame, uint8_t *data, int channels)
{
    if (channels == 1 && (frame->format == AV_PIX_FMT_PAL8 || frame->format == AV_PIX_FMT_GRAY8)) {
        copy_rows(frame, data);
        return TRK_OK;
    }
    converter convert = {.still_image = 1};
    trk_status rc = trk_converter_init(&convert, frame);
    if (rc >= 0)
        rc = trk_converter_run(&convert, frame, data, (ptrdiff_t)frame->width * 3);
    if (rc >= 0 && channels == 1)
        to_luma(data, (size_t)frame->width * (size_t)frame->height);
    trk_converter_free(&convert);
    return rc;
}

trk_status trk_image_read(trk_image *out, const char *path, int channels)
{
    trk_libav_init();
    if (channels != 1 && channels != 3)
        return TRK_FAIL(TRK_E_ARGUMENT, "%d channels: expected 1 or 3", channels);
    uint8_t *data = NULL;
    const char *codec = "";
    trk_status rc = TRK_OK;
    AVFrame *frame = av_frame_alloc();
    if (!frame) {
        rc = TRK_FAIL(TRK_E_MEMORY, "%s: out of memory", path);
        goto done;
    }
    TRK_CHECK(trk_image_decode(frame, path, &codec));
    /* Three bytes a pixel also for one channel: luma is made from colour in place. */
    data = trk_heap_allocate(TRK_MEM_FRAME, "image", (size_t)frame->width * (size_t)frame->height * 3);
    if (!data) {
        rc = TRK_FAIL(TRK_E_MEMORY, "%s: out of memory for %dx%d pixels", path, frame->width, frame->height);
        goto done;
    }
    rc = channels == 1 ? check_mask(frame, codec) : TRK_OK;
    rc = rc ? rc : to_pixels(frame, data, channels);
    if (rc < 0) {
        trk_fail_prefix(rc, path);
        goto done;
    }
    *out = (trk_image){frame->width, frame->height, channels, data};
    data = NULL;
done:
    trk_heap_release(data);
    av_frame_free(&frame);
    return rc;
}

void trk_image_free(trk_image *image)
{
    trk_heap_release(image->data);
    *image = (trk_image){0};
}

static trk_status encode_png(AVPacket *packet, const AVFrame *frame)
{
    const AVCodec *encoder = avcodec_find_encoder(AV_CODEC_ID_PNG);
    if (!encoder)
        return TRK_FAIL(TRK_E_UNSUPPORTED, "this FFmpeg has no PNG encoder");
    AVCodecContext *codec = avcodec_alloc_context3(encoder);
    if (!codec)
        return TRK_FAIL(TRK_E_MEMORY, "out of memory for the PNG encoder");
    codec->width = frame->width;
    codec->height = frame->height;
    codec->pix_fmt = frame->format;
    codec->time_base = (AVRational){1, 25};
    codec->thread_count = 1;
    if (frame->format == AV_PIX_FMT_RGB24)
        av_opt_set(codec->priv_data, "pred", "mixed", 0);
    int error = avcodec_open2(codec, encoder, NULL);
    if (!error)
        error = avcodec_send_frame(codec, frame);
    if (!error)
        error = avcodec_send_frame(codec, NULL);
    if (!error)
        error = avcodec_receive_packet(codec, packet);
    avcodec_free_context(&codec);
    if (error < 0)
        return trk_libav_fail(error, "PNG", "cannot encode");
    return TRK_OK;
}

static trk_status write_png(const char *path, const uint8_t *pixels, int width, int height, ptrdiff_t stride,
                            const uint8_t (*palette)[3])
{
    trk_libav_init();
    if (width <= 0 || height <= 0 || (int64_t)width * height > TRK_MAX_PIXELS)
        return TRK_FAIL(TRK_E_ARGUMENT, "%s: an image of %dx%d pixels", path, width, height);
    trk_status rc = TRK_OK;
    AVFrame *frame = av_frame_alloc();
    AVPacket *packet = av_packet_alloc();
    if (frame) {
        frame->width = width;
        frame->height = height;
        frame->format = palette ? AV_PIX_FMT_PAL8 : AV_PIX_FMT_RGB24;
    }
    if (!frame || !packet || av_frame_get_buffer(frame, 0) < 0) {
        rc = TRK_FAIL(TRK_E_MEMORY, "%s: out of memory for %dx%d pixels", path, width, height);
        goto done;
    }
    for (int y = 0; y < height; y++)
        memcpy(frame->data[0] + (ptrdiff_t)y * frame->linesize[0], pixels + y * stride,
               (size_t)width * (palette ? 1 : 3));
    for (int i = 0; palette && i < 256; i++) {
        uint32_t argb = 0xff000000u | (uint32_t)palette[i][0] << 16 | (uint32_t)palette[i][1] << 8 | palette[i][2];
        memcpy(frame->data[1] + 4 * i, &argb, sizeof argb);
    }
    rc = encode_png(packet, frame);
    if (rc < 0) {
        trk_fail_prefix(rc, path);
        goto done;
    }
    rc = trk_temporary_write(path, packet->data, (size_t)packet->size);
done:
    av_frame_free(&frame);
    av_packet_free(&packet);
    return rc;
}

trk_status trk_image_write_indexed(const char *path, const uint8_t *indices, int width, int height, ptrdiff_t stride,
                                   const uint8_t palette[256][3])
{
    return write_png(path, indices, width, height, stride, palette);
}

trk_status trk_image_write_rgb(const char *path, const uint8_t *rgb, int width, int height, ptrdiff_t stride)
{
    return write_png(path, rgb, width, height, stride, NULL);
}
