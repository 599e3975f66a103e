/* SPDX-License-Identifier: Apache-2.0
 * Where a reader's frames come from: a stream forwards, a stream backwards, or a folder of images. A source is used by
 * one thread at a time; only n_damaged may be read by another. */
#ifndef TRK_VIDEO_FRAME_SOURCE_H
#define TRK_VIDEO_FRAME_SOURCE_H

#include <stdatomic.h>

#include "convert.h"
#include "hardware.h"
#include "stop.h"
#include "video.h"

typedef struct frame_source {
    /* The next frame, its number in the video and its time in seconds; TRK_END after the last. */
    trk_status (*next)(struct frame_source *self, AVFrame *frame, int64_t *index, double *pts);
    void (*close)(struct frame_source *self); /* frees self */
    const char *codec_name;                   /* static storage */
    orientation turn;
    int still_images;
    int rate_num, rate_den;
    AVRational pixel; /* shape in which a stored pixel is to be shown */
    int64_t n_frames; /* that will be delivered; -1 unknown */
    int n_frames_exact;
    atomic_llong n_damaged;
} frame_source;

/* params: with start and n_frames as given. device: that decodes where it can, borrowed for the life of the source, or
 * NULL. stop: borrowed for the life of the source; once set, it ends every wait. */
trk_status trk_source_open_forward(frame_source **out, const char *path, const trk_video_params *params,
                                   video_device *device, const video_stop *stop);
trk_status trk_source_open_reverse(frame_source **out, const char *path, const trk_video_params *params,
                                   const video_stop *stop);
trk_status trk_source_open_folder(frame_source **out, const char *path, const trk_video_params *params);

/* How many frames params leave of a video of `total` frames (-1 unknown, gives params' own limit). */
int64_t trk_source_clip(const trk_video_params *params, int64_t total);
/* Where the first delivered frame is beyond the video's end. */
trk_status trk_source_fail_start(const char *path, int64_t start, int64_t total);

#endif
