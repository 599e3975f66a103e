/* SPDX-License-Identifier: Apache-2.0
 * Local files, named pipes and standard input as FFmpeg input. A file descriptor of our own, not FFmpeg's file
 * protocol, so that any file name is only a file name and a read that waits for a pipe can be called off. */
#ifndef TRK_VIDEO_BYTE_INPUT_H
#define TRK_VIDEO_BYTE_INPUT_H

#include <libavformat/avio.h>
#include <sys/types.h>

#include "error.h"
#include "stop.h"

typedef struct byte_input {
    int fd; /* -1 = closed */
    int owned, seekable;
    int has_read;           /* 1: there was at least a byte */
    off_t origin;           /* offset that counts as the start (standard input may be handed over half read) */
    const video_stop *stop; /* borrowed; once set, calls a waiting read off */
    AVIOContext *io;        /* owned */
} byte_input;

/* 1: path is opened here; 0: it is an address for FFmpeg's protocols. */
int trk_byte_input_is_local(const char *path);
/* The struct must stay where it is until closed: io points to it. */
trk_status trk_byte_input_open(byte_input *input, const char *path, const video_stop *stop);
trk_status trk_byte_input_rewind(byte_input *input, const char *path); /* a fresh io at the start */
void trk_byte_input_close(byte_input *input);                          /* of an opened or failed one */

#endif
