/* SPDX-License-Identifier: Apache-2.0
 * What every file of this folder needs from FFmpeg: quiet messages, error lines, and the few calls whose form changed
 * between FFmpeg 5.1 and 7. */
#ifndef TRK_VIDEO_LIBAV_H
#define TRK_VIDEO_LIBAV_H

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/avutil.h>

#include "error.h"

/* Pixels a coded picture may have: a header that claims more is refused before anything is allocated. */
#define TRK_MAX_PIXELS ((int64_t)1 << 28)

/* Takes over FFmpeg's message callback, once per process. Every entry point of this folder calls it first. */
void trk_libav_init(void);

/* "path: what: FFmpeg's text", with the status that fits the AVERROR code. */
trk_status trk_libav_fail(int averror, const char *path, const char *what);

/* FFmpeg's own first error line of this thread since trk_libav_forget: where an AVERROR code says too little. "": none;
 * valid until the next trk_libav_forget. */
const char *trk_libav_first_error(void);
void trk_libav_forget(void);

/* The 3x3 display matrix of a stream, or NULL. Borrowed from the stream. */
const int32_t *trk_libav_display_matrix(const AVStream *stream);

/* Decoded, but with concealed or missing parts. */
int trk_libav_frame_damaged(const AVFrame *frame);

#endif
