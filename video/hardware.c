/* SPDX-License-Identifier: Apache-2.0 */
#include "hardware.h"

#include <stdio.h>
#include <string.h>

#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>

#include "convert.h"

/* AV_CUDA_USE_PRIMARY_CONTEXT of libavutil/hwcontext_cuda.h, which asks for the headers of CUDA. As a flag, because the
 * option "primary_ctx" is younger than FFmpeg 5.1. */
#define USE_PRIMARY_CONTEXT 1

/* --- device ----------------------------------------------------------------------------------------------------- */

trk_status trk_hardware_open(video_device *h, enum AVHWDeviceType type, int device)
{
    char name[16], text[AV_ERROR_MAX_STRING_SIZE] = "";
    *h = (video_device){.type = type};
    snprintf(name, sizeof name, "%d", device);
    trk_libav_forget();
    int error =
        av_hwdevice_ctx_create(&h->device, type, name, NULL, type == AV_HWDEVICE_TYPE_CUDA ? USE_PRIMARY_CONTEXT : 0);
    if (error >= 0)
        return TRK_OK;
    av_strerror(error, text, sizeof text);
    snprintf(h->why_not, sizeof h->why_not, "%s device %d cannot be used by FFmpeg: %s",
             type == AV_HWDEVICE_TYPE_CUDA ? "CUDA" : av_hwdevice_get_type_name(type), device,
             *trk_libav_first_error() ? trk_libav_first_error() : text);
    return TRK_FAIL(error == AVERROR(ENOMEM) ? TRK_E_MEMORY : TRK_E_UNSUPPORTED, "%s", h->why_not);
}

void trk_hardware_close(video_device *h)
{
    av_buffer_unref(&h->device);
}

/* --- decoder ---------------------------------------------------------------------------------------------------- */

/* The format of frames that the decoder leaves on such a device; AV_PIX_FMT_NONE: it does not use one, or only through
 * a decoder of its maker inside, which has no way back to the CPU and parses for itself. */
static enum AVPixelFormat format_on(const AVCodec *decoder, enum AVHWDeviceType type)
{
    const AVCodecHWConfig *config;
    for (int i = 0; (config = avcodec_get_hw_config(decoder, i)); i++)
        if (config->device_type == type && config->methods & AV_CODEC_HW_CONFIG_METHOD_HW_DEVICE_CTX &&
            !(config->methods & AV_CODEC_HW_CONFIG_METHOD_INTERNAL))
            return config->pix_fmt;
    return AV_PIX_FMT_NONE;
}

const AVCodec *trk_hardware_decoder(const video_device *h, enum AVCodecID id)
{
    const AVCodec *usual = avcodec_find_decoder(id), *candidate;
    void *position = NULL;
    if (usual && format_on(usual, h->type) != AV_PIX_FMT_NONE)
        return usual;
    while ((candidate = av_codec_iterate(&position)))
        if (candidate->id == id && av_codec_is_decoder(candidate) && format_on(candidate, h->type) != AV_PIX_FMT_NONE)
            return candidate;
    return NULL;
}

/* Gray would come back with chroma and another range, RGB as if it were YUV. */
static int is_colour_yuv(enum AVPixelFormat format)
{
    const AVPixFmtDescriptor *descriptor = av_pix_fmt_desc_get(format);
    return descriptor && descriptor->nb_components == 3 && !(descriptor->flags & AV_PIX_FMT_FLAG_RGB);
}

/* FFmpeg asks again, without the device's format, when the device turns the stream down. */
enum AVPixelFormat trk_hardware_choose(AVCodecContext *codec, const enum AVPixelFormat *offered)
{
    const AVHWDeviceContext *device = (const AVHWDeviceContext *)(const void *)codec->hw_device_ctx->data;
    const enum AVPixelFormat wanted = format_on(codec->codec, device->type);
    enum AVPixelFormat plain = AV_PIX_FMT_NONE;
    int has_wanted = 0, is_right = 1;
#ifdef AV_HWACCEL_FLAG_UNSAFE_OUTPUT /* such an FFmpeg copies frames, odd ones wrongly: see bytes_to_plane */
    is_right = codec->coded_width % 2 == 0 && codec->coded_height % 2 == 0;
#endif
    for (; *offered != AV_PIX_FMT_NONE; offered++) {
        has_wanted |= *offered == wanted;
        if (plain == AV_PIX_FMT_NONE && !(av_pix_fmt_desc_get(*offered)->flags & AV_PIX_FMT_FLAG_HWACCEL))
            plain = *offered;
    }
    /* a decoder that only uses the device offers no plain format: sw_pix_fmt tells what it has found */
    return has_wanted && is_right && is_colour_yuv(plain != AV_PIX_FMT_NONE ? plain : codec->sw_pix_fmt) ? wanted
                                                                                                         : plain;
}

trk_status trk_hardware_attach(video_device *h, AVCodecContext *codec)
{
    codec->hw_device_ctx = av_buffer_ref(h->device);
    if (!codec->hw_device_ctx)
        return TRK_FAIL(TRK_E_MEMORY, "out of memory for the decoder");
    codec->get_format = trk_hardware_choose;
    codec->extra_hw_frames = h->extra_frames;
    codec->thread_count = 1; /* more would only hold more frames of the device */
    h->attached = 1;
    return TRK_OK;
}

/* --- frames ----------------------------------------------------------------------------------------------------- */

static const AVHWFramesContext *frames_of(const AVFrame *frame)
{
    return (const AVHWFramesContext *)(const void *)frame->hw_frames_ctx->data;
}

int trk_hardware_owns(const AVFrame *frame)
{
    return frame->hw_frames_ctx != NULL;
}

enum AVPixelFormat trk_hardware_layout(const AVFrame *frame)
{
    return trk_hardware_owns(frame) ? frames_of(frame)->sw_format : (enum AVPixelFormat)frame->format;
}

/* The device begins a plane in an even row ("NVDEC output has luma height aligned by 2", NvDecoder.cpp of its SDK),
 * FFmpeg looks for it right below an odd number of rows: how many bytes before it. Where frames are copied already
 * (since FFmpeg 6.1) it is too late: see trk_hardware_choose. */
static ptrdiff_t bytes_to_plane(const AVFrame *frame, int plane)
{
    const ptrdiff_t below = (ptrdiff_t)frame->linesize[0] * frame->height;
    const int is_below = frame->data[plane] && frame->data[plane] - frame->data[0] == plane * below;
    return frame->height % 2 && is_below ? plane * (ptrdiff_t)frame->linesize[0] : 0;
}

trk_status trk_hardware_download(AVFrame *to, AVFrame *from)
{
    const int odd = from->height & 1;
    uint8_t *const planes[2] = {from->data[1], from->data[2]};
    const ptrdiff_t steps[2] = {bytes_to_plane(from, 1), bytes_to_plane(from, 2)};
    if (to->buf[0] && (to->format != (int)frames_of(from)->sw_format || to->width != from->width ||
                       to->height != from->height || from->crop_left || from->crop_top))
        av_frame_unref(to);
    from->height += odd; /* it copies half the rows of chroma, rounded down */
    for (int i = 0; i < 2; i++)
        if (steps[i])
            from->data[1 + i] += steps[i];
    int error = av_hwframe_transfer_data(to, from, 0);
    from->data[1] = planes[0];
    from->data[2] = planes[1];
    from->height -= odd;
    if (error < 0) {
        av_frame_unref(to);
        return trk_libav_fail(error, "a frame", "cannot be brought over from the device");
    }
    to->height = from->height;
    to->colorspace = from->colorspace;
    to->color_range = from->color_range;
    to->chroma_location = from->chroma_location;
    to->crop_left = from->crop_left;
    to->crop_top = from->crop_top;
    /* at the right and bottom the decoder has done it */
    error = av_frame_apply_cropping(to, AV_FRAME_CROP_UNALIGNED);
    return error < 0 ? trk_libav_fail(error, "a frame", "cannot be cropped") : TRK_OK;
}

static int matrix_number(const AVFrame *frame)
{
    switch (trk_converter_matrix(frame, 0)) {
    case SWS_CS_ITU601:
        return 601;
    case SWS_CS_ITU709:
        return 709;
    case SWS_CS_BT2020:
        return 2020;
    default:
        return 0;
    }
}

int trk_hardware_planes(trk_device_planes *out, const AVFrame *frame)
{
    const int matrix = matrix_number(frame);
    if (!trk_hardware_owns(frame) || frames_of(frame)->sw_format != AV_PIX_FMT_NV12 || !matrix || frame->crop_left ||
        frame->crop_top || !frame->data[0] || !frame->data[1])
        return 0;
    *out = (trk_device_planes){.planes = {frame->data[0], frame->data[1] + bytes_to_plane(frame, 1)},
                               .strides = {frame->linesize[0], frame->linesize[1]},
                               .matrix = matrix,
                               .full_range = frame->color_range == AVCOL_RANGE_JPEG};
    return 1;
}
