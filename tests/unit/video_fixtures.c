/* SPDX-License-Identifier: Apache-2.0 */
#include "video_fixtures.h"

#include <math.h>
#include <string.h>

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/channel_layout.h>
#include <libavutil/pixdesc.h>

#define SOUND_RATE 44100

static double gradient(int component, int x, int y, int number)
{
    switch (component) {
    case 0:
        return 0.25 + 0.4 * fabs(sin(0.05 * x + 0.07 * y + 0.2 * number));
    case 1:
        return 0.5 + 0.2 * sin(0.03 * x + 0.1 * number);
    default:
        return 0.5 + 0.2 * cos(0.04 * y - 0.1 * number);
    }
}

static enum AVColorSpace matrix_of(const fixture *f)
{
    return f->matrix ? f->matrix : AVCOL_SPC_UNSPECIFIED;
}

static double value_at(const fixture *f, const AVPixFmtDescriptor *format, int component, int x, int y, int number)
{
    if (!f->plain && y < f->height / 4) {
        int field = x * FIXTURE_FIELDS / f->width, bit = number >> (FIXTURE_FIELDS - 1 - field) & 1;
        int neutral = component && !(format->flags & AV_PIX_FMT_FLAG_RGB);
        return neutral ? 0.5 : bit ? 0.9 : 0.1;
    }
    return (f->paint ? f->paint : gradient)(component, x, y, number);
}

void fixture_paint(AVFrame *frame, const fixture *f, int number)
{
    const AVPixFmtDescriptor *format = av_pix_fmt_desc_get((enum AVPixelFormat)frame->format);
    for (int c = 0; c < format->nb_components; c++) {
        const AVComponentDescriptor *component = &format->comp[c];
        int chroma = (c == 1 || c == 2) && !(format->flags & AV_PIX_FMT_FLAG_RGB);
        int shift_x = chroma ? format->log2_chroma_w : 0, shift_y = chroma ? format->log2_chroma_h : 0;
        int width = AV_CEIL_RSHIFT(frame->width, shift_x), height = AV_CEIL_RSHIFT(frame->height, shift_y);
        int full = (1 << component->depth) - 1;
        for (int y = 0; y < height; y++) {
            uint8_t *row = frame->data[component->plane] + y * frame->linesize[component->plane] + component->offset;
            for (int x = 0; x < width; x++) {
                double v = c == 3 ? 1.0 : value_at(f, format, c, x << shift_x, y << shift_y, number);
                uint16_t sample = (uint16_t)((unsigned)lrint(v * full) << component->shift);
                if (component->depth > 8)
                    memcpy(row + x * component->step, &sample, 2); /* native byte order, as the formats used are */
                else
                    row[x * component->step] = (uint8_t)sample;
            }
        }
    }
}

int fixture_number(const uint8_t *rgb, ptrdiff_t stride, int width, int height)
{
    int number = 0;
    for (int field = 0; field < FIXTURE_FIELDS; field++) {
        int x = (2 * field + 1) * width / (2 * FIXTURE_FIELDS), y = height / 8;
        number = 2 * number + (rgb[y * stride + 3 * x + 1] > 127);
    }
    return number;
}

typedef struct output {
    AVFormatContext *format;
    AVCodecContext *video, *audio;
    AVStream *video_stream, *audio_stream, *cover_stream;
    AVPacket *packet;
    AVFrame *frame;
} output;

static int write_packets(output *o, AVCodecContext *codec, const AVStream *stream, int decoding_times)
{
    while (!avcodec_receive_packet(codec, o->packet)) {
        if (!o->packet->duration && codec == o->video)
            o->packet->duration = 1;
        if (decoding_times)
            o->packet->pts = o->packet->dts += codec->has_b_frames; /* from 0 on */
        av_packet_rescale_ts(o->packet, codec->time_base, stream->time_base);
        o->packet->stream_index = stream->index;
        if (av_interleaved_write_frame(o->format, o->packet) < 0)
            return -1;
    }
    return 0;
}

static AVStream *add_stream(output *o, AVCodecContext *codec)
{
    AVStream *stream = avformat_new_stream(o->format, NULL);
    if (!stream || avcodec_parameters_from_context(stream->codecpar, codec) < 0)
        return NULL;
    stream->time_base = codec->time_base;
    return stream;
}

static int open_video(output *o, const fixture *f)
{
    const AVCodec *encoder = avcodec_find_encoder_by_name(f->encoder ? f->encoder : "libx264");
    if (!encoder)
        return 1;
    AVCodecContext *codec = o->video = avcodec_alloc_context3(encoder);
    codec->width = f->width;
    codec->height = f->height;
    codec->pix_fmt = f->format;
    codec->time_base = (AVRational){1, f->rate ? f->rate : 25};
    codec->framerate = av_inv_q(codec->time_base);
    codec->gop_size = f->gop ? f->gop : 12;
    codec->max_b_frames = f->b_frames;
    codec->colorspace = matrix_of(f);
    codec->color_range = f->range;
    codec->strict_std_compliance = FF_COMPLIANCE_UNOFFICIAL;
    codec->thread_count = 1;
    codec->bit_rate = 2000000;
    if (o->format->oformat->flags & AVFMT_GLOBALHEADER)
        codec->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    AVDictionary *options = NULL;
    if (f->options)
        av_dict_parse_string(&options, f->options, "=", ",", 0);
    int error = avcodec_open2(codec, encoder, &options);
    av_dict_free(&options);
    if (error < 0 || !(o->video_stream = add_stream(o, codec)))
        return -1;
    if (f->display) {
#if LIBAVFORMAT_VERSION_INT >= AV_VERSION_INT(60, 15, 100)
        AVCodecParameters *parameters = o->video_stream->codecpar;
        AVPacketSideData *data = av_packet_side_data_new(&parameters->coded_side_data, &parameters->nb_coded_side_data,
                                                         AV_PKT_DATA_DISPLAYMATRIX, 9 * sizeof(int32_t), 0);
        uint8_t *matrix = data ? data->data : NULL;
#else
        uint8_t *matrix = av_stream_new_side_data(o->video_stream, AV_PKT_DATA_DISPLAYMATRIX, 9 * sizeof(int32_t));
#endif
        if (!matrix)
            return -1;
        memcpy(matrix, f->display, 9 * sizeof(int32_t));
    }
    return 0;
}

static int open_audio(output *o)
{
    const AVCodec *encoder = avcodec_find_encoder(AV_CODEC_ID_AAC);
    if (!encoder)
        return 1;
    AVCodecContext *codec = o->audio = avcodec_alloc_context3(encoder);
    codec->sample_fmt = AV_SAMPLE_FMT_FLTP;
    codec->sample_rate = SOUND_RATE;
    av_channel_layout_default(&codec->ch_layout, 1);
    codec->time_base = (AVRational){1, SOUND_RATE};
    codec->bit_rate = 64000;
    if (o->format->oformat->flags & AVFMT_GLOBALHEADER)
        codec->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    return avcodec_open2(codec, encoder, NULL) < 0 || !(o->audio_stream = add_stream(o, codec)) ? -1 : 0;
}

static int write_audio(output *o, int n_blocks)
{
    for (int block = 0; block < n_blocks; block++) {
        av_frame_unref(o->frame);
        o->frame->nb_samples = o->audio->frame_size;
        o->frame->format = o->audio->sample_fmt;
        o->frame->sample_rate = SOUND_RATE;
        av_channel_layout_copy(&o->frame->ch_layout, &o->audio->ch_layout);
        if (av_frame_get_buffer(o->frame, 0) < 0)
            return -1;
        float *samples = (float *)(void *)o->frame->data[0];
        for (int i = 0; i < o->frame->nb_samples; i++)
            samples[i] = 0.1f * sinf(0.06f * (float)(block * o->frame->nb_samples + i));
        o->frame->pts = (int64_t)block * o->frame->nb_samples;
        if (avcodec_send_frame(o->audio, o->frame) < 0 || write_packets(o, o->audio, o->audio_stream, 0))
            return -1;
    }
    avcodec_send_frame(o->audio, NULL);
    return write_packets(o, o->audio, o->audio_stream, 0);
}

/* One PNG as an attached picture; the muxer takes it as an ordinary packet of that stream. */
static int make_cover(output *o, AVPacket *out)
{
    const AVCodec *encoder = avcodec_find_encoder(AV_CODEC_ID_PNG);
    AVCodecContext *codec = avcodec_alloc_context3(encoder);
    AVFrame *frame = av_frame_alloc();
    codec->width = frame->width = 48;
    codec->height = frame->height = 48;
    codec->pix_fmt = AV_PIX_FMT_RGB24;
    frame->format = AV_PIX_FMT_RGB24;
    codec->time_base = (AVRational){1, 25};
    int failed = avcodec_open2(codec, encoder, NULL) < 0 || av_frame_get_buffer(frame, 0) < 0;
    if (!failed) {
        for (int y = 0; y < 48; y++)
            memset(frame->data[0] + y * frame->linesize[0], 5 * y, 3 * 48);
        avcodec_send_frame(codec, frame);
        avcodec_send_frame(codec, NULL);
        failed = avcodec_receive_packet(codec, out) < 0 || !(o->cover_stream = add_stream(o, codec));
    }
    if (!failed)
        o->cover_stream->disposition = AV_DISPOSITION_ATTACHED_PIC;
    av_frame_free(&frame);
    avcodec_free_context(&codec);
    return failed ? -1 : 0;
}

static int write_video(output *o, const fixture *f)
{
    for (int number = 0; number < f->n_frames; number++) {
        av_frame_unref(o->frame);
        o->frame->width = f->width;
        o->frame->height = f->height;
        o->frame->format = f->format;
        o->frame->colorspace = matrix_of(f);
        o->frame->color_range = f->range;
        if (av_frame_get_buffer(o->frame, 0) < 0)
            return -1;
        fixture_paint(o->frame, f, number);
        o->frame->pts = f->stamps ? f->stamps[number] : number;
        if (avcodec_send_frame(o->video, o->frame) < 0 || write_packets(o, o->video, o->video_stream, f->decoding_times))
            return -1;
    }
    avcodec_send_frame(o->video, NULL);
    return write_packets(o, o->video, o->video_stream, f->decoding_times);
}

int fixture_write(const char *path, const fixture *f)
{
    output o = {0};
    AVPacket *cover = av_packet_alloc();
    int result = -1;
    o.packet = av_packet_alloc();
    o.frame = av_frame_alloc();
    if (avformat_alloc_output_context2(&o.format, NULL, f->container ? f->container : "mp4", path) < 0)
        goto done;
    if (f->cover && make_cover(&o, cover))
        goto done;
    if (!f->no_video && (result = open_video(&o, f)))
        goto done;
    if (f->audio && (result = open_audio(&o)))
        goto done;
    result = -1;
    if (avio_open(&o.format->pb, path, AVIO_FLAG_WRITE) < 0 || avformat_write_header(o.format, NULL) < 0)
        goto done;
    if (f->cover) {
        cover->stream_index = o.cover_stream->index;
        if (av_interleaved_write_frame(o.format, cover) < 0)
            goto done;
    }
    if ((!f->no_video && write_video(&o, f)) || (f->audio && write_audio(&o, 40)))
        goto done;
    result = av_write_trailer(o.format) < 0 ? -1 : 0;
done:
    if (o.format)
        avio_closep(&o.format->pb);
    avformat_free_context(o.format);
    avcodec_free_context(&o.video);
    avcodec_free_context(&o.audio);
    av_frame_free(&o.frame);
    av_packet_free(&o.packet);
    av_packet_free(&cover);
    return result;
}
