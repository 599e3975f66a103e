/* SPDX-License-Identifier: Apache-2.0 */
#include "convert.h"

#include <stdlib.h>
#include <string.h>

#include <libavutil/opt.h>
#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>

#include "interleave.h"
#include "libav.h"
#include "log.h"

orientation trk_orientation_of(const int32_t *matrix)
{
    /* Row vectors: x' = x m[0] + y m[3] + .., y' = x m[1] + y m[4] + .., see libavutil/display.h. */
    orientation turn = {0, 0, 0};
    if (!matrix)
        return turn;
    int64_t a = matrix[0], b = matrix[1], c = matrix[3], d = matrix[4];
    int64_t straight = llabs(a) + llabs(d), crossed = llabs(b) + llabs(c);
    if (a && d && straight > 64 * crossed) {
        turn.flip_u = a < 0;
        turn.flip_v = d < 0;
    } else if (b && c && crossed > 64 * straight) {
        turn.transpose = 1;
        turn.flip_u = b < 0;
        turn.flip_v = c < 0;
    } else if (straight || crossed) {
        trk_log(TRK_LOG_WARNING, "video: a display rotation that is not a multiple of 90 degrees is ignored");
    }
    return turn;
}

/* The yuvj formats are the plain ones with the range said twice. */
static int without_range(int format, int *full_range)
{
    static const int pairs[][2] = {{AV_PIX_FMT_YUVJ420P, AV_PIX_FMT_YUV420P},
                                   {AV_PIX_FMT_YUVJ422P, AV_PIX_FMT_YUV422P},
                                   {AV_PIX_FMT_YUVJ444P, AV_PIX_FMT_YUV444P},
                                   {AV_PIX_FMT_YUVJ440P, AV_PIX_FMT_YUV440P},
                                   {AV_PIX_FMT_YUVJ411P, AV_PIX_FMT_YUV411P}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        if (format == pairs[i][0]) {
            *full_range = 1;
            return pairs[i][1];
        }
    }
    return format;
}

static int is_yuv(const AVPixFmtDescriptor *format)
{
    return !(format->flags & (AV_PIX_FMT_FLAG_RGB | AV_PIX_FMT_FLAG_PAL)) && format->nb_components >= 3;
}

int trk_converter_matrix(const AVFrame *frame, int still_image)
{
    switch (frame->colorspace) {
    case AVCOL_SPC_BT709:
        return SWS_CS_ITU709;
    case AVCOL_SPC_FCC:
        return SWS_CS_FCC;
    case AVCOL_SPC_BT470BG:
    case AVCOL_SPC_SMPTE170M:
        return SWS_CS_ITU601;
    case AVCOL_SPC_SMPTE240M:
        return SWS_CS_SMPTE240M;
    case AVCOL_SPC_BT2020_NCL:
    case AVCOL_SPC_BT2020_CL:
        return SWS_CS_BT2020;
    default:
        return still_image || frame->height < 720 ? SWS_CS_ITU601 : SWS_CS_ITU709;
    }
}

/* Position of the chroma samples in 1/256 luma pixels, as libswscale counts them. */
static void set_chroma_position(struct SwsContext *scaler, const AVPixFmtDescriptor *format, int location)
{
    int centre_x = location == AVCHROMA_LOC_CENTER || location == AVCHROMA_LOC_TOP || location == AVCHROMA_LOC_BOTTOM;
    int y = location == AVCHROMA_LOC_TOPLEFT || location == AVCHROMA_LOC_TOP         ? 0
            : location == AVCHROMA_LOC_BOTTOMLEFT || location == AVCHROMA_LOC_BOTTOM ? 256
                                                                                     : 128;
    if (format->log2_chroma_w == 1)
        av_opt_set_int(scaler, "src_h_chr_pos", centre_x ? 128 : 0, 0);
    if (format->log2_chroma_h == 1)
        av_opt_set_int(scaler, "src_v_chr_pos", y, 0);
}

static trk_status make_scaler(converter *convert, const AVFrame *frame, int format, int matrix, int full_range)
{
    const AVPixFmtDescriptor *descriptor = av_pix_fmt_desc_get((enum AVPixelFormat)format);
    if (!descriptor || !sws_isSupportedInput((enum AVPixelFormat)format))
        return TRK_FAIL(TRK_E_UNSUPPORTED, "pixel format %s cannot be converted to RGB",
                        descriptor ? descriptor->name : "unknown");
    sws_freeContext(convert->scaler);
    convert->target_format = is_yuv(descriptor) ? AV_PIX_FMT_GBRP : AV_PIX_FMT_RGB24;
    struct SwsContext *scaler = convert->scaler = sws_alloc_context();
    if (!scaler)
        return TRK_FAIL(TRK_E_MEMORY, "out of memory for a pixel format conversion");
    int same_size = frame->width == convert->width && frame->height == convert->height;
    av_opt_set_int(scaler, "srcw", frame->width, 0);
    av_opt_set_int(scaler, "srch", frame->height, 0);
    av_opt_set_int(scaler, "src_format", format, 0);
    av_opt_set_int(scaler, "dstw", convert->width, 0);
    av_opt_set_int(scaler, "dsth", convert->height, 0);
    av_opt_set_int(scaler, "dst_format", convert->target_format, 0);
    av_opt_set_int(scaler, "sws_flags",
                   (same_size ? SWS_BILINEAR : SWS_BICUBIC) | SWS_ACCURATE_RND | SWS_BITEXACT | SWS_FULL_CHR_H_INT |
                       SWS_FULL_CHR_H_INP,
                   0);
    set_chroma_position(scaler, descriptor, frame->chroma_location);
    const int *coefficients = sws_getCoefficients(matrix);
    sws_setColorspaceDetails(scaler, coefficients, full_range, sws_getCoefficients(SWS_CS_DEFAULT), 1, 0, 1 << 16,
                             1 << 16);
    if (sws_init_context(scaler, NULL, NULL) < 0)
        return TRK_FAIL(TRK_E_UNSUPPORTED, "no conversion from %s %dx%d to RGB", descriptor->name, frame->width,
                        frame->height);
    convert->source_width = frame->width;
    convert->source_height = frame->height;
    convert->source_format = format;
    convert->matrix = matrix;
    convert->full_range = full_range;
    convert->chroma_location = frame->chroma_location;
    return TRK_OK;
}

/* The scaler and the staging frame for this frame's format. */
static trk_status prepare(converter *convert, const AVFrame *frame)
{
    int full_range = frame->color_range == AVCOL_RANGE_JPEG;
    int format = without_range(frame->format, &full_range);
    int matrix = trk_converter_matrix(frame, convert->still_image);
    if (convert->scaler && convert->source_width == frame->width && convert->source_height == frame->height &&
        convert->source_format == format && convert->matrix == matrix && convert->full_range == full_range &&
        convert->chroma_location == (int)frame->chroma_location)
        return TRK_OK;
    if ((frame->width != convert->width || frame->height != convert->height) && !convert->warned) {
        trk_log(TRK_LOG_WARNING, "video: the picture changes from %dx%d to %dx%d; scaled to the first size",
                convert->width, convert->height, frame->width, frame->height);
        convert->warned = 1;
    }
    convert->source_format = AV_PIX_FMT_NONE; /* a failure below leaves no half-made scaler in use */
    trk_status rc = make_scaler(convert, frame, format, matrix, full_range);
    if (rc < 0)
        return rc;
    if (convert->staging && convert->staging->format == convert->target_format)
        return TRK_OK;
    av_frame_free(&convert->staging);
    if (!(convert->staging = av_frame_alloc()))
        return TRK_FAIL(TRK_E_MEMORY, "out of memory for a frame");
    convert->staging->width = convert->width;
    convert->staging->height = convert->height;
    convert->staging->format = convert->target_format;
    if (av_frame_get_buffer(convert->staging, 0) < 0) {
        av_frame_free(&convert->staging);
        convert->source_format = AV_PIX_FMT_NONE;
        return TRK_FAIL(TRK_E_MEMORY, "out of memory for a frame of %dx%d", convert->width, convert->height);
    }
    return TRK_OK;
}

trk_status trk_converter_init(converter *convert, const AVFrame *first)
{
    if (first->width <= 0 || first->height <= 0 || (int64_t)first->width * first->height > TRK_MAX_PIXELS)
        return TRK_FAIL(TRK_E_FORMAT, "a picture of %dx%d pixels: expected 1 to %lld", first->width, first->height,
                        (long long)TRK_MAX_PIXELS);
    convert->width = first->width;
    convert->height = first->height;
    convert->source_format = AV_PIX_FMT_NONE;
    return first->hw_frames_ctx ? TRK_OK : prepare(convert, first);
}

void trk_converter_free(converter *convert)
{
    sws_freeContext(convert->scaler);
    convert->scaler = NULL;
    av_frame_free(&convert->staging);
}

int trk_converter_width(const converter *convert)
{
    return convert->turn.transpose ? convert->height : convert->width;
}

int trk_converter_height(const converter *convert)
{
    return convert->turn.transpose ? convert->width : convert->height;
}

/* The staging frame, turned, to packed RGB. */
static void lay_down(const converter *convert, uint8_t *rgb, ptrdiff_t stride)
{
    const AVFrame *from = convert->staging;
    int planar = from->format == AV_PIX_FMT_GBRP;
    ptrdiff_t row = from->linesize[0], step = planar ? 1 : 3;
    interleave_source source = {.r = planar ? from->data[2] : from->data[0],
                                .g = planar ? from->data[0] : from->data[0] + 1,
                                .b = planar ? from->data[1] : from->data[0] + 2};
    ptrdiff_t du = convert->turn.flip_u ? -step : step, dv = convert->turn.flip_v ? -row : row;
    ptrdiff_t origin = (convert->turn.flip_u ? (convert->width - 1) * step : 0) +
                       (convert->turn.flip_v ? (convert->height - 1) * row : 0);
    source.r += origin;
    source.g += origin;
    source.b += origin;
    source.dx = convert->turn.transpose ? dv : du;
    source.dy = convert->turn.transpose ? du : dv;
    trk_interleave(&source, trk_converter_width(convert), trk_converter_height(convert), rgb, stride);
}

trk_status trk_converter_run(converter *convert, const AVFrame *frame, uint8_t *rgb, ptrdiff_t stride)
{
    trk_status rc = prepare(convert, frame);
    if (rc < 0)
        return rc;
    AVFrame *to = convert->staging;
    int rows = sws_scale(convert->scaler, (const uint8_t *const *)frame->data, frame->linesize, 0, frame->height,
                         to->data, to->linesize);
    if (rows != convert->height)
        return TRK_FAIL(TRK_E_FORMAT, "the conversion to RGB gave %d of %d rows", rows, convert->height);
    lay_down(convert, rgb, stride);
    return TRK_OK;
}
