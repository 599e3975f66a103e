/* SPDX-License-Identifier: Apache-2.0
 * Small videos made on the spot, of every kind the reader has to cope with. Each frame carries its number as a row of
 * black and white fields along its upper edge, so that any decoder's output tells which frame it is. */
#ifndef TRK_TESTS_VIDEO_FIXTURES_H
#define TRK_TESTS_VIDEO_FIXTURES_H

#include <libavutil/frame.h>
#include <stddef.h>
#include <stdint.h>

#define FIXTURE_FIELDS                                                                                                 \
    8 /* bits of the frame number, most significant at the left; each width / 8 wide, height / 4 high */

typedef struct fixture {
    const char *encoder;   /* NULL = libx264 */
    const char *options;   /* of the encoder: "key=value,key=value"; NULL = none */
    const char *container; /* FFmpeg's short name; NULL = mp4 */
    enum AVPixelFormat format;
    int width, height, n_frames;
    int rate;                 /* frames per second; 0 = 25 */
    int gop, b_frames;        /* gop 0 = 12 */
    enum AVColorSpace matrix; /* 0 = unspecified */
    enum AVColorRange range;
    const int32_t *display; /* [9] display matrix; NULL = none */
    int audio, cover;       /* 1: a sound track beside it; a cover picture before it */
    int no_video;           /* 1: only those */
    const int *stamps;      /* [n_frames] presentation times in frames; NULL = 0, 1, 2, ... */
    int decoding_times;     /* 1: those of decoding are written in their place */
    /* A component (0..2: Y U V or R G B) of a pixel, 0..1 of its full depth; NULL = a moving gradient */
    double (*paint)(int component, int x, int y, int number);
    int plain; /* 1: without the number fields */
} fixture;

/* 0 = written, 1 = this FFmpeg has no such encoder, -1 = failed. */
int fixture_write(const char *path, const fixture *f);
/* The number carried by an RGB picture. */
int fixture_number(const uint8_t *rgb, ptrdiff_t stride, int width, int height);
/* Fills a frame with allocated buffers. */
void fixture_paint(AVFrame *frame, const fixture *f, int number);

#endif
