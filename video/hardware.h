/* SPDX-License-Identifier: Apache-2.0
 * Decoders and encoders of a GPU through FFmpeg's interfaces alone; no header of CUDA is needed, and its driver is
 * loaded by FFmpeg only when a device is opened. Written for any kind of device FFmpeg knows; used for CUDA.
 *
 * No card has run this: what a driver answers is rehearsed by tests/unit/test_video_hardware.c with a stand-in. */
#ifndef TRK_VIDEO_HARDWARE_H
#define TRK_VIDEO_HARDWARE_H

#include <libavutil/hwcontext.h>

#include "libav.h"
#include "video.h"

typedef struct video_device {
    enum AVHWDeviceType type;
    AVBufferRef *device; /* owned; NULL: not open */
    int extra_frames;    /* decoded frames that are held at once outside the decoder */
    int attached;        /* 1: a decoder was opened with it */
    int once;            /* 1: of a stream that cannot be opened again */
    char why_not[256];   /* why it does not decode, "" while nothing speaks against it */
} video_device;

/* On failure the text names the reason alone: no path. CUDA: opens the device's primary context, the one that the CUDA
 * runtime uses, so that addresses mean the same to both. */
trk_status trk_hardware_open(video_device *h, enum AVHWDeviceType type, int device);
void trk_hardware_close(video_device *h); /* accepts a zeroed struct */

/* The decoder of FFmpeg that uses the device and can fall back to the CPU by itself, else one that only uses the device
 * (AV1), else NULL. */
const AVCodec *trk_hardware_decoder(const video_device *h, enum AVCodecID id);
/* Before avcodec_open2. */
trk_status trk_hardware_attach(video_device *h, AVCodecContext *codec);
/* AVCodecContext.get_format of an attached decoder. */
enum AVPixelFormat trk_hardware_choose(AVCodecContext *codec, const enum AVPixelFormat *offered);

/* 1: lies in device memory. */
int trk_hardware_owns(const AVFrame *frame);
/* What the frame's pixels are laid out as there, or plainly frame->format. */
enum AVPixelFormat trk_hardware_layout(const AVFrame *frame);
/* The frame in host memory, with what conversion has to know and the cropping applied. `to` keeps its buffers from one
 * call to the next. */
trk_status trk_hardware_download(AVFrame *to, AVFrame *from);
/* 1: *out is filled; 0: a tracker could not take the frame as it is. */
int trk_hardware_planes(trk_device_planes *out, const AVFrame *frame);

#endif
