/* SPDX-License-Identifier: Apache-2.0
 * FFmpeg's messages, error lines and versions. FFmpeg has one message callback per process; this one never prints. */
#include "libav.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <libavutil/display.h>
#include <libavutil/log.h>
#include <libswscale/swscale.h>

#include "log.h"
#include "video.h"

static atomic_int verbose;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static char versions[160];
static _Thread_local char first_error[160];

static void keep_first_error(const char *format, va_list args)
{
    if (!*first_error)
        vsnprintf(first_error, sizeof first_error, format, args);
    first_error[strcspn(first_error, "\r\n")] = 0;
}

const char *trk_libav_first_error(void)
{
    return first_error;
}

void trk_libav_forget(void)
{
    *first_error = 0;
}

static void take_message(void *context, int level, const char *format, va_list args)
{
    if (level <= AV_LOG_ERROR) {
        va_list copy;
        va_copy(copy, args);
        keep_first_error(format, copy);
        va_end(copy);
    }
    if (!atomic_load_explicit(&verbose, memory_order_relaxed) || level > AV_LOG_VERBOSE)
        return;
    char line[512];
    int print_prefix = 1;
    av_log_format_line2(context, level, format, args, line, sizeof line, &print_prefix);
    size_t n = strlen(line);
    while (n && (line[n - 1] == '\n' || line[n - 1] == '\r'))
        line[--n] = 0;
    if (n)
        trk_log(TRK_LOG_DEBUG, "FFmpeg: %s", line);
}

static void init_once(void)
{
    av_log_set_callback(take_message);
    unsigned codec = avcodec_version(), format = avformat_version(), scale = swscale_version();
    snprintf(versions, sizeof versions, "libavcodec %u.%u.%u, libavformat %u.%u.%u, libswscale %u.%u.%u", codec >> 16,
             codec >> 8 & 255, codec & 255, format >> 16, format >> 8 & 255, format & 255, scale >> 16,
             scale >> 8 & 255, scale & 255);
}

void trk_libav_init(void)
{
    pthread_once(&once, init_once);
}

const char *trk_video_versions(void)
{
    trk_libav_init();
    return versions;
}

void trk_video_set_verbose(int on)
{
    trk_libav_init();
    atomic_store(&verbose, on);
}

trk_status trk_libav_fail(int averror, const char *path, const char *what)
{
    char text[AV_ERROR_MAX_STRING_SIZE] = "";
    av_strerror(averror, text, sizeof text);
    trk_status code = TRK_E_IO;
    if (averror == AVERROR(ENOMEM))
        code = TRK_E_MEMORY;
    else if (averror == AVERROR_INVALIDDATA || averror == AVERROR_PATCHWELCOME || averror == AVERROR_BUG ||
             averror == AVERROR_EOF)
        code = TRK_E_FORMAT;
    else if (averror == AVERROR_DECODER_NOT_FOUND || averror == AVERROR_DEMUXER_NOT_FOUND ||
             averror == AVERROR_PROTOCOL_NOT_FOUND)
        code = TRK_E_UNSUPPORTED;
    return TRK_FAIL(code, "%s: %s: %s", path, what, text);
}

const int32_t *trk_libav_display_matrix(const AVStream *stream)
{
#if LIBAVFORMAT_VERSION_INT >= AV_VERSION_INT(60, 15, 100)
    const AVPacketSideData *data = av_packet_side_data_get(
        stream->codecpar->coded_side_data, stream->codecpar->nb_coded_side_data, AV_PKT_DATA_DISPLAYMATRIX);
    return data && data->size >= 9 * sizeof(int32_t) ? (const int32_t *)(const void *)data->data : NULL;
#else
    size_t size = 0;
    const uint8_t *data = av_stream_get_side_data(stream, AV_PKT_DATA_DISPLAYMATRIX, &size);
    return data && size >= 9 * sizeof(int32_t) ? (const int32_t *)(const void *)data : NULL;
#endif
}

int trk_libav_frame_damaged(const AVFrame *frame)
{
    return frame->decode_error_flags != 0 || (frame->flags & AV_FRAME_FLAG_CORRUPT) != 0;
}
