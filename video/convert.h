/* SPDX-License-Identifier: Apache-2.0
 * Decoded frames of any pixel format to upright RGB24.
 *
 * YUV goes through libswscale to planar 8-bit RGB (its accurate, vectorised path) and is interleaved here, where the
 * rotation costs nothing extra; RGB, gray and palette formats go through its packed path, exact for 8 bits. Alpha is
 * dropped, not blended.
 *   matrix   the stream's; unspecified: BT.601 below 720 lines, BT.709 from there on (still images: always BT.601)
 *   range    the stream's; unspecified: 16..235 for YUV, full for gray
 *   chroma   bilinear, at the position the stream tells; unspecified: left, as MPEG-2 and later define
 * High dynamic range is not tone mapped. */
#ifndef TRK_VIDEO_CONVERT_H
#define TRK_VIDEO_CONVERT_H

#include <libavutil/frame.h>

#include "video.h"

struct SwsContext;

/* One of the eight ways to lay a picture down: the output pixel (x, y) is the stored pixel (u, v) with
 * (u, v) = transpose ? (y, x) : (x, y), then u and v counted from the other end where flipped. */
typedef struct orientation {
    int transpose, flip_u, flip_v;
} orientation;

/* matrix: a display matrix or NULL. Angles that are not quarter turns are ignored, with a warning. */
orientation trk_orientation_of(const int32_t *matrix);

typedef struct converter {
    orientation turn;
    int still_image;   /* unspecified matrix means BT.601 */
    int width, height; /* stored size of the first frame; later frames of another size are scaled to it */
    struct SwsContext *scaler;
    AVFrame *staging; /* planar (YUV) or packed RGB before interleaving or turning, owned */
    int source_width, source_height, source_format, matrix, full_range, chroma_location; /* what scaler was made for */
    int target_format;
    int warned;
} converter;

/* SWS_CS_* of a YUV frame. */
int trk_converter_matrix(const AVFrame *frame, int still_image);

/* Takes the size from the first frame, which may lie on a device. Before: set turn and still_image in a zeroed struct.
 */
trk_status trk_converter_init(converter *convert, const AVFrame *first);
void trk_converter_free(converter *convert);       /* accepts a zeroed struct */
int trk_converter_width(const converter *convert); /* of the output */
int trk_converter_height(const converter *convert);
trk_status trk_converter_run(converter *convert, const AVFrame *frame, uint8_t *rgb, ptrdiff_t stride);

#endif
