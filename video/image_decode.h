/* SPDX-License-Identifier: Apache-2.0
 * One image file to one decoded frame. */
#ifndef TRK_VIDEO_IMAGE_DECODE_H
#define TRK_VIDEO_IMAGE_DECODE_H

#include <libavutil/frame.h>

#include "error.h"

/* The format is told by the file's first bytes, not by its name. codec_name may be NULL; else static storage. An
 * orientation tag (EXIF) is not applied. Errors name the path. */
trk_status trk_image_decode(AVFrame *frame, const char *path, const char **codec_name);

#endif
