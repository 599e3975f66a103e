/* SPDX-License-Identifier: Apache-2.0
 * The video stream of a file: packets out of the container, frames out of the decoder. What cannot be decoded is
 * skipped and counted. */
#ifndef TRK_VIDEO_STREAM_H
#define TRK_VIDEO_STREAM_H

#include "byte_input.h"
#include "convert.h"
#include "hardware.h"

typedef struct stream {
    char *path;             /* owned */
    const video_stop *stop; /* borrowed; once set, ends every wait, as if the stream were at its end */
    int threads;
    video_device *device; /* that decodes where it can; borrowed; NULL: the CPU does */
    int local;            /* input is in use */
    byte_input input;
    AVFormatContext *format;
    AVStream *video; /* borrowed from format */
    AVCodecContext *codec;
    AVPacket *packet;
    int holds_packet; /* packet is the next to decode, already read */
    int draining, errors_in_a_row;
    int64_t n_damaged; /* packets and frames not decoded, or only with concealment */
    int64_t n_awaited; /* packets counted as damaged whose frames need not be counted again */
    /* With tag set, each packet enters the decoder with this number as its only time stamp, which comes out as the pts
     * of the frame that was coded in it. */
    int64_t (*tag)(void *user, const AVPacket *packet);
    void *tag_user;
} stream;

/* device: borrowed for the life of the stream, or NULL. */
trk_status trk_stream_open(stream *s, const char *path, int threads, video_device *device, const video_stop *stop);
void trk_stream_close(stream *s);        /* accepts a zeroed struct */
trk_status trk_stream_reopen(stream *s); /* again from the start */
int trk_stream_can_seek(const stream *s);
/* Forgets what the decoder holds and the packet read ahead; the next packet should be a keyframe's. */
void trk_stream_flush(stream *s);
/* Next packet of the video stream into s->packet, or TRK_END. */
trk_status trk_stream_read(stream *s);
/* Next frame in presentation order, or TRK_END. frame is unreferenced first. */
trk_status trk_stream_decode(stream *s, AVFrame *frame);

orientation trk_stream_orientation(const stream *s);
void trk_stream_rate(const stream *s, int *num, int *den); /* average frames per second; 25/1 where unknown */
/* Shape in which a stored pixel is to be shown; 1:1 where unknown. */
AVRational trk_stream_pixel(const stream *s);
int64_t trk_stream_count(const stream *s, int *exact);     /* frames by the container; -1 unknown */

#endif
