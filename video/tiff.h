/* SPDX-License-Identifier: Apache-2.0
 * What has to be done to a TIFF file before FFmpeg's decoder sees it. */
#ifndef TRK_VIDEO_TIFF_H
#define TRK_VIDEO_TIFF_H

#include <stddef.h>
#include <stdint.h>

/* A decoder that is to refuse what is damaged refuses every entry of the directory that it does not know: units of
 * resolution, cameras, programs' notes. Takes those that do not decide pixels out of the first directory of the n bytes of a
 * file, in place. What is cut off or makes no sense stays as it is, for the decoder to tell. Source: TIFF 6.0. */
void trk_tiff_drop_notes(uint8_t *bytes, size_t n);

#endif
