/* SPDX-License-Identifier: Apache-2.0
 * What calls off whatever waits or reads on: the reader being closed, or its user. */
#ifndef TRK_VIDEO_STOP_H
#define TRK_VIDEO_STOP_H

#include <stdatomic.h>
#include <stddef.h>

typedef struct video_stop {
    atomic_int closing;
    const atomic_int *asked; /* borrowed: of trk_video_params; NULL: there is none */
} video_stop;

static inline int trk_stop_is_asked(const video_stop *stop)
{
    return stop->asked && atomic_load(stop->asked);
}

static inline int trk_stop_is_set(const video_stop *stop)
{
    return atomic_load(&stop->closing) || trk_stop_is_asked(stop);
}

#endif
