/* SPDX-License-Identifier: Apache-2.0 */
#include "encoder.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <libavutil/opt.h>
#include <libswscale/swscale.h>

#include "hardware.h"
#include "heap.h"
#include "log.h"

#define TICKS                   16   /* of a frame's time at the average rate, to which times are rounded */
#define QUALITY                 "18" /* constant rate factor: no visible loss */
#define NVENC                   "h264_nvenc"
#define NVENC_QUALITY           "19" /* its constant quality, on about the same scale */
#define QUANTIZER               3    /* of encoders without a rate factor, 2 (best) .. 31 */
#define FALLBACK_BITS_PER_PIXEL 0.2  /* of encoders that want a bit rate */
#define THREADS                 2    /* leave the cores to the tracker */

static const char *container_of(const char *path)
{
    static const char *const known[][2] = {{".mp4", "mp4"}, {".mov", "mov"}, {".mkv", "matroska"}};
    const char *dot = strrchr(path, '.');
    for (size_t i = 0; dot && i < sizeof known / sizeof known[0]; i++)
        if (!strcasecmp(dot, known[i][0]))
            return known[i][1];
    return NULL;
}

static void set_nvenc(AVCodecContext *codec)
{
    av_opt_set(codec->priv_data, "preset", "p4", 0);
    av_opt_set(codec->priv_data, "tune", "hq", 0);
    av_opt_set(codec->priv_data, "rc", "vbr", 0);
    av_opt_set(codec->priv_data, "cq", NVENC_QUALITY, 0);
    codec->bit_rate = 0; /* else the rate is kept and the quality follows */
}

/* 0/1, unknown, for squares: what players take for them, and nothing more in the file. */
static AVRational pixel_shape(const trk_video_format *format)
{
    AVRational shape = {0, 1};
    if (format->pixel_width != format->pixel_height)
        av_reduce(&shape.num, &shape.den, format->pixel_width, format->pixel_height, 255); /* MPEG-4 has 8 bits */
    return shape.num > 0 && shape.den > 0 ? shape : (AVRational){0, 1};
}

/* device: of NVENC; NULL for the others. */
static trk_status try_codec(encoder *e, const AVCodec *candidate, const video_device *device,
                            const trk_video_format *format)
{
    const AVRational rate = {format->rate_num, format->rate_den};
    AVCodecContext *codec = avcodec_alloc_context3(candidate);
    if (!codec)
        return TRK_FAIL(TRK_E_MEMORY, "%s: out of memory for the encoder", e->path);
    codec->width = format->width;
    codec->height = format->height;
    codec->sample_aspect_ratio = pixel_shape(format);
    codec->pix_fmt = AV_PIX_FMT_YUV420P;
    codec->framerate = rate;
    codec->time_base = av_mul_q(av_inv_q(rate), (AVRational){1, TICKS});
    codec->thread_count = THREADS;
    codec->color_range = AVCOL_RANGE_MPEG;
    codec->colorspace = format->height < 720 ? AVCOL_SPC_SMPTE170M : AVCOL_SPC_BT709;
    codec->color_primaries = format->height < 720 ? AVCOL_PRI_SMPTE170M : AVCOL_PRI_BT709;
    codec->color_trc = format->height < 720 ? AVCOL_TRC_SMPTE170M : AVCOL_TRC_BT709;
    codec->chroma_sample_location = AVCHROMA_LOC_LEFT;
    if (e->format->oformat->flags & AVFMT_GLOBALHEADER)
        codec->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    if (device) {
        codec->hw_device_ctx = av_buffer_ref(device->device);
        set_nvenc(codec);
    } else if (candidate->id == AV_CODEC_ID_MPEG4) {
        codec->flags |= AV_CODEC_FLAG_QSCALE;
        codec->global_quality = QUANTIZER * FF_QP2LAMBDA;
        av_reduce(&codec->time_base.num, &codec->time_base.den, rate.den, rate.num, 65535); /* its syntax has 16 bits */
    } else if (!strcmp(candidate->name, "libx264")) {
        av_opt_set(codec->priv_data, "preset", "veryfast", 0);
        av_opt_set(codec->priv_data, "crf", QUALITY, 0);
    } else {
        codec->bit_rate = (int64_t)(FALLBACK_BITS_PER_PIXEL * format->width * format->height * av_q2d(rate));
    }
    int error = avcodec_open2(codec, candidate, NULL);
    if (error < 0) {
        avcodec_free_context(&codec);
        return trk_libav_fail(error, e->path, candidate->name);
    }
    e->codec = codec;
    return TRK_OK;
}

/* Frames go in from host memory. The context of the device is that of the CUDA runtime: one of its own would cost some
 * hundred MB of the device. */
static trk_status open_nvenc(encoder *e, int index, const trk_video_format *format)
{
    video_device device = {.device = NULL};
    const AVCodec *nvenc = avcodec_find_encoder_by_name(NVENC);
    if (!nvenc)
        return TRK_FAIL(TRK_E_UNSUPPORTED, "this FFmpeg has no " NVENC);
    trk_status rc = trk_hardware_open(&device, AV_HWDEVICE_TYPE_CUDA, index);
    if (rc < 0)
        return rc;
    trk_libav_forget();
    rc = try_codec(e, nvenc, &device, format);
    if (rc < 0 && *trk_libav_first_error())
        rc = TRK_FAIL(TRK_E_UNSUPPORTED, NVENC ": %s", trk_libav_first_error());
    trk_hardware_close(&device); /* the encoder has its own reference */
    return rc;
}

/* libx264, else any H.264 encoder of the CPU that opens, else MPEG-4. */
static trk_status open_on_cpu(encoder *e, const trk_video_format *format)
{
    const AVCodec *preferred = avcodec_find_encoder_by_name("libx264"), *candidate;
    if (preferred && !try_codec(e, preferred, NULL, format))
        return TRK_OK;
    void *position = NULL;
    while ((candidate = av_codec_iterate(&position)))
        if (candidate != preferred && candidate->id == AV_CODEC_ID_H264 && av_codec_is_encoder(candidate) &&
            !(candidate->capabilities & AV_CODEC_CAP_HARDWARE) && !try_codec(e, candidate, NULL, format))
            return TRK_OK;
    candidate = avcodec_find_encoder(AV_CODEC_ID_MPEG4);
    if (!candidate)
        return TRK_FAIL(TRK_E_UNSUPPORTED, "%s: this FFmpeg has no encoder for H.264 or MPEG-4", e->path);
    trk_status rc = try_codec(e, candidate, NULL, format);
    if (!rc)
        trk_log(TRK_LOG_WARNING, "%s: no H.264 encoder works here, written as MPEG-4", e->path);
    return rc;
}

static trk_status open_codec(encoder *e, const trk_video_format *format, const trk_video_hardware *hardware)
{
    if (!hardware || hardware->use == TRK_HARDWARE_OFF)
        return open_on_cpu(e, format);
    trk_status rc = open_nvenc(e, hardware->device, format);
    if (rc >= 0) {
        trk_log(TRK_LOG_INFO, "%s: encoded by CUDA device %d", e->path, hardware->device);
        return rc;
    }
    char reason[256];
    snprintf(reason, sizeof reason, "%.255s", trk_error_text());
    if (hardware->use == TRK_HARDWARE_MUST)
        return TRK_FAIL(TRK_E_UNSUPPORTED, "%s: cannot be encoded by the GPU: %s", e->path, reason);
    trk_log(TRK_LOG_INFO, "%s: encoded by the CPU: %s", e->path, reason);
    return open_on_cpu(e, format);
}

static trk_status make_frame(encoder *e)
{
    e->frame = av_frame_alloc();
    e->packet = av_packet_alloc();
    e->scaler =
        sws_getContext(e->codec->width, e->codec->height, AV_PIX_FMT_RGB24, e->codec->width, e->codec->height,
                       AV_PIX_FMT_YUV420P, SWS_BILINEAR | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INP, NULL, NULL, NULL);
    if (!e->frame || !e->packet || !e->scaler)
        return TRK_FAIL(TRK_E_MEMORY, "%s: out of memory for the encoder", e->path);
    e->frame->width = e->codec->width;
    e->frame->height = e->codec->height;
    e->frame->format = AV_PIX_FMT_YUV420P;
    e->frame->colorspace = e->codec->colorspace;
    e->frame->color_range = e->codec->color_range;
    if (av_frame_get_buffer(e->frame, 0) < 0)
        return TRK_FAIL(TRK_E_MEMORY, "%s: out of memory for the encoder", e->path);
    int matrix = e->codec->colorspace == AVCOL_SPC_BT709 ? SWS_CS_ITU709 : SWS_CS_ITU601;
    sws_setColorspaceDetails(e->scaler, sws_getCoefficients(matrix), 1, sws_getCoefficients(matrix), 0, 0, 1 << 16,
                             1 << 16);
    return TRK_OK;
}

static trk_status make_format(encoder *e, const char *container, const char *file)
{
    /* with the protocol in front, FFmpeg takes it as a file name whatever characters it has */
    char *url = trk_heap_format("path", "file:%s", file);
    if (!url)
        return TRK_FAIL(TRK_E_MEMORY, "%s: out of memory", e->path);
    int error = avformat_alloc_output_context2(&e->format, NULL, container, url);
    trk_heap_release(url);
    if (error == AVERROR(ENOMEM))
        return TRK_FAIL(TRK_E_MEMORY, "%s: out of memory for the output", e->path);
    if (error < 0)
        return TRK_FAIL(TRK_E_UNSUPPORTED, "%s: this FFmpeg cannot write %s files", e->path, container);
    return TRK_OK;
}

trk_status trk_encoder_open(encoder *e, const char *path, const char *file, const trk_video_format *format,
                            const trk_video_hardware *hardware)
{
    trk_status rc = TRK_OK;
    AVDictionary *options = NULL;
    memset(e, 0, sizeof *e);
    e->last_pts = -1;
    e->path = path;
    const char *container = container_of(path);
    if (!container)
        return TRK_FAIL(TRK_E_ARGUMENT, "%s: expected a name that ends in .mp4, .mov or .mkv", path);
    TRK_CHECK(make_format(e, container, file));
    TRK_CHECK(open_codec(e, format, hardware));
    TRK_CHECK(make_frame(e));
    e->stream = avformat_new_stream(e->format, NULL);
    if (!e->stream || avcodec_parameters_from_context(e->stream->codecpar, e->codec) < 0) {
        rc = TRK_FAIL(TRK_E_MEMORY, "%s: out of memory for the output", path);
        goto done;
    }
    e->stream->time_base = e->codec->time_base;
    e->stream->avg_frame_rate = e->codec->framerate;
    e->stream->sample_aspect_ratio = e->codec->sample_aspect_ratio;
    int error = avio_open(&e->format->pb, e->format->url, AVIO_FLAG_WRITE);
    if (error < 0) {
        rc = trk_libav_fail(error, path, "cannot be written");
        goto done;
    }
    if (strcmp(container, "matroska"))
        av_dict_set(&options, "movflags", "+faststart", 0);
    error = avformat_write_header(e->format, &options);
    if (error < 0)
        rc = trk_libav_fail(error, path, "cannot be written");
done:
    av_dict_free(&options);
    if (rc < 0)
        trk_encoder_close(e);
    return rc;
}

/* Errors of the disk are sticky in pb; the muxer itself may not have looked. */
static trk_status check_output(const encoder *e, int error)
{
    if (error >= 0 && e->format->pb)
        error = e->format->pb->error;
    return error < 0 ? trk_libav_fail(error, e->path, "cannot be written") : TRK_OK;
}

/* Passes what the encoder has ready to the file. */
static trk_status drain(encoder *e)
{
    for (;;) {
        int error = avcodec_receive_packet(e->codec, e->packet);
        if (error == AVERROR(EAGAIN) || error == AVERROR_EOF)
            return TRK_OK;
        if (error < 0)
            return trk_libav_fail(error, e->path, "encoding");
        av_packet_rescale_ts(e->packet, e->codec->time_base, e->stream->time_base);
        if (!e->packet->duration)
            e->packet->duration = av_rescale_q(1, av_inv_q(e->codec->framerate), e->stream->time_base);
        e->packet->stream_index = e->stream->index;
        trk_status rc = check_output(e, av_interleaved_write_frame(e->format, e->packet));
        if (rc < 0)
            return rc;
    }
}

/* MPEG-4 counts whole frames. */
static int64_t next_pts(encoder *e, double seconds)
{
    const double frame = 1 / av_q2d(e->codec->framerate), tick = av_q2d(e->codec->time_base);
    const int64_t given = tick < frame && seconds < 1e9 ? (int64_t)(seconds / tick + 0.5) : 0;
    return e->last_pts = given > e->last_pts ? given : e->last_pts + 1;
}

trk_status trk_encoder_add(encoder *e, const uint8_t *rgb, ptrdiff_t stride, double seconds)
{
    if (av_frame_make_writable(e->frame) < 0)
        return TRK_FAIL(TRK_E_MEMORY, "%s: out of memory for a frame", e->path);
    const uint8_t *planes[4] = {rgb};
    int strides[4] = {(int)stride};
    sws_scale(e->scaler, planes, strides, 0, e->codec->height, e->frame->data, e->frame->linesize);
    e->frame->pts = next_pts(e, seconds);
    int error = avcodec_send_frame(e->codec, e->frame);
    return error < 0 ? trk_libav_fail(error, e->path, "encoding") : drain(e);
}

trk_status trk_encoder_finish(encoder *e)
{
    int error = avcodec_send_frame(e->codec, NULL);
    trk_status rc = error < 0 ? trk_libav_fail(error, e->path, "encoding") : drain(e);
    if (rc < 0)
        return rc;
    error = av_write_trailer(e->format);
    if (error >= 0 && e->format->pb)
        avio_flush(e->format->pb);
    rc = check_output(e, error);
    error = avio_closep(&e->format->pb);
    return rc < 0 ? rc : check_output(e, error);
}

void trk_encoder_close(encoder *e)
{
    if (e->format) {
        avio_closep(&e->format->pb);
        avformat_free_context(e->format);
        e->format = NULL;
    }
    avcodec_free_context(&e->codec);
    av_frame_free(&e->frame);
    av_packet_free(&e->packet);
    sws_freeContext(e->scaler);
    e->scaler = NULL;
}
