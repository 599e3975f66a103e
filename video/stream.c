/* SPDX-License-Identifier: Apache-2.0 */
#include "stream.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

#include <libavutil/parseutils.h>

#include "heap.h"
#include "log.h"

/* Errors without any progress between them before a stream is given up: some demuxers return the same one for ever. */
#define MAX_ERRORS_IN_A_ROW (1 << 16)
/* What a local file may have opened in its turn: playlists and session descriptions name addresses. */
#define LOCAL_PROTOCOLS "file,crypto,data"

static int is_stopped(void *user)
{
    return trk_stop_is_set(((stream *)user)->stop);
}

/* Renders text as pictures: a text file with the right suffix is not a video. */
static int is_text_art(enum AVCodecID id)
{
    return id == AV_CODEC_ID_ANSI || id == AV_CODEC_ID_BINTEXT || id == AV_CODEC_ID_XBIN || id == AV_CODEC_ID_IDF;
}

/* Cover pictures and thumbnails are no video. */
static int is_video(const AVStream *candidate)
{
    return candidate->codecpar->codec_type == AVMEDIA_TYPE_VIDEO && !is_text_art(candidate->codecpar->codec_id) &&
           !(candidate->disposition & (AV_DISPOSITION_ATTACHED_PIC | AV_DISPOSITION_TIMED_THUMBNAILS));
}

/* The stream marked as default, else the first. */
static AVStream *choose_stream(AVFormatContext *format)
{
    AVStream *best = NULL;
    for (unsigned i = 0; i < format->nb_streams; i++) {
        AVStream *candidate = format->streams[i];
        if (is_video(candidate) && (!best || (candidate->disposition & ~best->disposition & AV_DISPOSITION_DEFAULT)))
            best = candidate;
    }
    return best;
}

/* Which of several was taken is not for the user to guess. */
static void tell_of_others(const stream *s)
{
    unsigned n = 0, place = 0;
    for (unsigned i = 0; i < s->format->nb_streams; i++) {
        n += is_video(s->format->streams[i]);
        place = s->format->streams[i] == s->video ? n : place;
    }
    if (n > 1)
        trk_log(TRK_LOG_WARNING, "%s: has %u video streams; number %u is read, of %dx%d pixels", s->path, n, place,
                s->video->codecpar->width, s->video->codecpar->height);
}

static trk_status fail_no_video(const stream *s)
{
    int covers = 0;
    for (unsigned i = 0; i < s->format->nb_streams; i++) {
        const AVStream *other = s->format->streams[i];
        if (is_text_art(other->codecpar->codec_id))
            return TRK_FAIL(TRK_E_FORMAT, "%s: not a video but a text file", s->path);
        covers += other->codecpar->codec_type == AVMEDIA_TYPE_VIDEO;
    }
    return TRK_FAIL(TRK_E_FORMAT, "%s: has no video stream (%s, %u other streams%s)", s->path, s->format->iformat->name,
                    s->format->nb_streams, covers ? ", one of them a cover picture" : "");
}

/* The decoder that uses the device, or NULL. One that only uses the device can not be tried on what comes once. */
static const AVCodec *find_on_device(const stream *s, const AVCodec *usual)
{
    const enum AVCodecID id = s->video->codecpar->codec_id;
    const AVCodec *decoder = trk_hardware_decoder(s->device, id);
    s->device->once = !trk_stream_can_seek(s);
    if (!decoder)
        snprintf(s->device->why_not, sizeof s->device->why_not, "FFmpeg has no way to decode %s there",
                 avcodec_get_name(id));
    else if (decoder != usual && usual && s->device->once) {
        snprintf(s->device->why_not, sizeof s->device->why_not, "%s from a pipe is decoded by the CPU",
                 avcodec_get_name(id));
        return NULL;
    }
    return decoder;
}

static trk_status open_decoder(stream *s)
{
    const AVCodecParameters *parameters = s->video->codecpar;
    const AVCodec *usual = avcodec_find_decoder(parameters->codec_id);
    const AVCodec *on_device = s->device ? find_on_device(s, usual) : NULL;
    const AVCodec *decoder = on_device ? on_device : usual;
    if (!decoder)
        return TRK_FAIL(TRK_E_UNSUPPORTED, "%s: no decoder for its video format %s", s->path,
                        avcodec_get_name(parameters->codec_id));
    s->codec = avcodec_alloc_context3(decoder);
    if (!s->codec || avcodec_parameters_to_context(s->codec, parameters) < 0)
        return TRK_FAIL(TRK_E_MEMORY, "%s: out of memory for the decoder", s->path);
    s->codec->thread_count = s->threads;
    s->codec->pkt_timebase = s->video->time_base;
    s->codec->max_pixels = TRK_MAX_PIXELS;
    trk_status rc = on_device ? trk_hardware_attach(s->device, s->codec) : TRK_OK;
    if (rc < 0)
        return rc;
    int error = avcodec_open2(s->codec, decoder, NULL);
    return error < 0 ? trk_libav_fail(error, s->path, "cannot open its decoder") : TRK_OK;
}

static trk_status fail_pipe(const stream *s)
{
    if (!s->input.has_read)
        return TRK_FAIL(TRK_E_FORMAT, "%s: empty, expected a video", s->path);
    return TRK_FAIL(TRK_E_FORMAT, "%s: not a video that can be read from a pipe (an MP4 needs its index in front)",
                    s->path);
}

static trk_status open_format(stream *s)
{
    s->format = avformat_alloc_context();
    if (!s->format)
        return TRK_FAIL(TRK_E_MEMORY, "%s: out of memory", s->path);
    s->format->interrupt_callback = (AVIOInterruptCB){is_stopped, s};
    if (s->local && !(s->format->protocol_whitelist = av_strdup(LOCAL_PROTOCOLS)))
        return TRK_FAIL(TRK_E_MEMORY, "%s: out of memory", s->path);
    s->format->pb = s->local ? s->input.io : NULL;
    int error = avformat_open_input(&s->format, s->path, NULL, NULL);
    if (error == AVERROR_INVALIDDATA && s->local && !s->input.seekable)
        return fail_pipe(s);
    if (error == AVERROR_INVALIDDATA)
        return TRK_FAIL(TRK_E_FORMAT, "%s: not a video (no known format, or its header is damaged)", s->path);
    if (error < 0)
        return trk_libav_fail(error, s->path, "cannot open");
    error = avformat_find_stream_info(s->format, NULL);
    if (error < 0)
        return trk_libav_fail(error, s->path, "cannot find out what it contains");
    s->video = choose_stream(s->format);
    if (!s->video)
        return fail_no_video(s);
    for (unsigned i = 0; i < s->format->nb_streams; i++)
        if (s->format->streams[i] != s->video)
            s->format->streams[i]->discard = AVDISCARD_ALL;
    return TRK_OK;
}

trk_status trk_stream_open(stream *s, const char *path, int threads, video_device *device, const video_stop *stop)
{
    trk_status rc = TRK_OK;
    trk_libav_init();
    *s = (stream){.stop = stop, .threads = threads > 0 ? threads : 1, .device = device, .input = {.fd = -1}};
    s->path = trk_heap_text("path", path);
    s->packet = av_packet_alloc();
    if (!s->path || !s->packet) {
        rc = TRK_FAIL(TRK_E_MEMORY, "%s: out of memory", path);
        goto done;
    }
    s->local = trk_byte_input_is_local(path);
    if (s->local)
        TRK_CHECK(trk_byte_input_open(&s->input, path, stop));
    TRK_CHECK(open_format(s));
    TRK_CHECK(open_decoder(s));
    tell_of_others(s);
done:
    if (rc < 0)
        trk_stream_close(s);
    return rc;
}

static void close_format(stream *s)
{
    avcodec_free_context(&s->codec);
    avformat_close_input(&s->format);
    s->video = NULL;
    if (s->packet)
        av_packet_unref(s->packet);
    s->holds_packet = s->draining = s->errors_in_a_row = 0;
    s->n_awaited = 0;
}

trk_status trk_stream_reopen(stream *s)
{
    trk_status rc = TRK_OK;
    close_format(s);
    if (s->local)
        TRK_CHECK(trk_byte_input_rewind(&s->input, s->path));
    TRK_CHECK(open_format(s));
    TRK_CHECK(open_decoder(s));
done:
    return rc;
}

void trk_stream_close(stream *s)
{
    if (!s->path && !s->packet)
        return;
    close_format(s);
    if (s->local)
        trk_byte_input_close(&s->input);
    av_packet_free(&s->packet);
    trk_heap_release(s->path);
    s->path = NULL;
}

int trk_stream_can_seek(const stream *s)
{
    return s->local ? s->input.seekable : s->format->pb && s->format->pb->seekable & AVIO_SEEKABLE_NORMAL;
}

void trk_stream_flush(stream *s)
{
    avcodec_flush_buffers(s->codec);
    av_packet_unref(s->packet);
    s->holds_packet = s->draining = 0;
}

/* Counts one thing that could not be read or decoded; fails once nothing else has happened for too long. */
static trk_status count_error(stream *s, int error)
{
    s->n_damaged++;
    s->errors_in_a_row++;
    if (error != AVERROR(ENOMEM) && s->errors_in_a_row <= MAX_ERRORS_IN_A_ROW)
        return TRK_OK;
    if (s->local && !s->input.seekable && s->errors_in_a_row == s->n_damaged)
        return fail_pipe(s);
    return trk_libav_fail(error, s->path, "decoding");
}

trk_status trk_stream_read(stream *s)
{
    for (;;) {
        av_packet_unref(s->packet);
        int error = trk_stop_is_set(s->stop) ? AVERROR_EXIT : av_read_frame(s->format, s->packet);
        if (error == AVERROR(EAGAIN)) {
            poll(NULL, 0, 1);
            continue;
        }
        const AVIOContext *io = s->format->pb;
        if (error == AVERROR_EOF && io && io->error < 0 && io->error != AVERROR_EOF)
            error = io->error;
        if (error == AVERROR_EOF || error == AVERROR_EXIT)
            return TRK_END;
        if (error < 0 && error != AVERROR_INVALIDDATA)
            return trk_libav_fail(error, s->path, "reading");
        if (error < 0) {
            trk_status rc = count_error(s, error);
            if (rc < 0)
                return rc;
        } else if (s->packet->stream_index == s->video->index && s->packet->size > 0) {
            if (s->packet->flags & AV_PKT_FLAG_CORRUPT) {
                s->n_damaged++;
                s->n_awaited++;
            }
            return TRK_OK;
        }
    }
}

/* Gives the decoder the next packet, or tells it that there is none. */
static trk_status feed(stream *s)
{
    if (!s->holds_packet) {
        trk_status rc = trk_stream_read(s);
        if (rc < 0)
            return rc;
        if (rc == TRK_END) {
            s->draining = 1;
            avcodec_send_packet(s->codec, NULL);
            return TRK_OK;
        }
    }
    s->holds_packet = 0;
    if (s->tag) {
        s->packet->pts = s->tag(s->tag_user, s->packet);
        s->packet->dts = AV_NOPTS_VALUE;
    }
    int error = avcodec_send_packet(s->codec, s->packet);
    av_packet_unref(s->packet);
    return error < 0 && error != AVERROR_EOF ? count_error(s, error) : TRK_OK;
}

trk_status trk_stream_decode(stream *s, AVFrame *frame)
{
    av_frame_unref(frame);
    for (;;) {
        trk_status rc = TRK_OK;
        int error = avcodec_receive_frame(s->codec, frame);
        if (!error) {
            s->errors_in_a_row = 0;
            if (trk_libav_frame_damaged(frame)) {
                s->n_damaged += !s->n_awaited;
                s->n_awaited -= s->n_awaited > 0;
            }
            return TRK_OK;
        }
        if (error == AVERROR_EOF || trk_stop_is_set(s->stop))
            return TRK_END;
        if (error != AVERROR(EAGAIN))
            rc = count_error(s, error);
        else if (s->draining)
            return TRK_END;
        else
            rc = feed(s);
        if (rc < 0)
            return rc;
    }
}

orientation trk_stream_orientation(const stream *s)
{
    return trk_orientation_of(trk_libav_display_matrix(s->video));
}

static int is_sane(AVRational rate)
{
    return rate.num > 0 && rate.den > 0 && av_q2d(rate) <= 1000.0 && av_q2d(rate) >= 1e-3;
}

void trk_stream_rate(const stream *s, int *num, int *den)
{
    AVRational rate = s->video->avg_frame_rate;
    if (!is_sane(rate))
        rate = s->video->r_frame_rate;
    if (!is_sane(rate))
        rate = (AVRational){25, 1};
    *num = rate.num;
    *den = rate.den;
}

AVRational trk_stream_pixel(const stream *s)
{
    const AVRational shape = av_guess_sample_aspect_ratio(s->format, s->video, NULL);
    return shape.num > 0 && shape.den > 0 ? shape : (AVRational){1, 1};
}

/* Matroska tells when its streams end, counted from 0, and a recording that was cut into files begins anywhere. FFmpeg
 * takes it for the length of streams of which it knows no other. A tag of the stream, "HH:MM:SS.fraction", is nearer
 * than what the file says of all; mkvmerge's statistics alone are lengths. */
static double matroska_seconds(const stream *s)
{
    const AVDictionary *tags = s->video->metadata;
    const AVDictionaryEntry *tag = av_dict_get(tags, "DURATION", NULL, 0);
    const AVIndexEntry *first = avformat_index_get_entry(s->video, 0); /* known even where the start is not */
    const int64_t start = first ? first->timestamp : s->video->start_time;
    const int is_statistics = tag && av_dict_get(tags, "_STATISTICS_TAGS", NULL, 0);
    int64_t end = s->format->duration, told;
    if (tag && av_parse_time(&told, tag->value, 1) >= 0 && told > 0)
        end = told;
    if (end == AV_NOPTS_VALUE)
        return -1;
    const int begins_later = start != AV_NOPTS_VALUE && start > 0 && !is_statistics;
    return (double)end / AV_TIME_BASE - (begins_later ? (double)start * av_q2d(s->video->time_base) : 0);
}

/* How long the video lasts; -1: not known. */
static double seconds_of(const stream *s)
{
    if (!strncmp(s->format->iformat->name, "matroska", strlen("matroska")))
        return matroska_seconds(s);
    if (s->video->duration != AV_NOPTS_VALUE)
        return (double)s->video->duration * av_q2d(s->video->time_base);
    return s->format->duration != AV_NOPTS_VALUE ? (double)s->format->duration / AV_TIME_BASE : -1;
}

int64_t trk_stream_count(const stream *s, int *exact)
{
    const AVStream *video = s->video;
    *exact = 0;
    if (video->nb_frames > 0) {
        /* An edit list leaves samples in the index that are decoded but not shown. */
        int64_t indexed = avformat_index_get_entries_count(video), shown = 0;
        for (int i = 0; i < indexed; i++)
            shown += !(avformat_index_get_entry(s->video, i)->flags & AVINDEX_DISCARD_FRAME);
        *exact = indexed == video->nb_frames && shown > 0;
        return *exact ? shown : video->nb_frames;
    }
    int num, den;
    trk_stream_rate(s, &num, &den);
    const double seconds = seconds_of(s);
    const double frames = seconds * num / den + 0.5;
    return seconds > 0 && frames < 1e12 ? (int64_t)frames : -1;
}
