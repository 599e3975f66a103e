/* SPDX-License-Identifier: Apache-2.0
 * Three colour planes, or packed pixels, walked in any direction, to rows of R G B bytes. */
#ifndef TRK_VIDEO_INTERLEAVE_H
#define TRK_VIDEO_INTERLEAVE_H

#include <stddef.h>
#include <stdint.h>

typedef struct interleave_source {
    const uint8_t *r, *g, *b; /* of the output's top left pixel, borrowed */
    ptrdiff_t dx, dy;         /* bytes to the source of the next output pixel to the right, and of the one below */
} interleave_source;

void trk_interleave(const interleave_source *source, int width, int height, uint8_t *rgb, ptrdiff_t stride);

#endif
