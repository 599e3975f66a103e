/* SPDX-License-Identifier: Apache-2.0
 * RGB24 pictures to an H.264 file, one after the other, on one thread. */
#ifndef TRK_VIDEO_ENCODER_H
#define TRK_VIDEO_ENCODER_H

#include "libav.h"
#include "video.h"

struct SwsContext;

typedef struct encoder {
    const char *path; /* for error lines, borrowed */
    AVFormatContext *format;
    AVStream *stream; /* borrowed from format */
    AVCodecContext *codec;
    AVFrame *frame; /* the picture in the encoder's pixel format */
    AVPacket *packet;
    struct SwsContext *scaler;
    int64_t last_pts; /* in the codec's time base; -1: none yet */
} encoder;

/* Opens `file` for the container that the suffix of `path` names. Width and height are even. */
trk_status trk_encoder_open(encoder *e, const char *path, const char *file, const trk_video_format *format,
                            const trk_video_hardware *hardware);
/* seconds: when it is shown, to a sixteenth of a frame's time at the rate; one that is not later than the one before is
 * shown right after it. */
trk_status trk_encoder_add(encoder *e, const uint8_t *rgb, ptrdiff_t stride, double seconds);
trk_status trk_encoder_finish(encoder *e); /* everything is in the file, and the file closed, on success */
void trk_encoder_close(encoder *e);        /* accepts a zeroed struct */

#endif
