/* SPDX-License-Identifier: Apache-2.0
 * What the header of a PNG says about its pixels, which a decoded image no longer tells. */
#ifndef TRK_CLI_PNG_HEADER_H
#define TRK_CLI_PNG_HEADER_H

/* Colour types of the PNG specification, 11.2.2. */
enum { PNG_GRAY = 0, PNG_RGB = 2, PNG_PALETTE = 3, PNG_GRAY_ALPHA = 4, PNG_RGB_ALPHA = 6 };

/* Bits of a value, and the colour type. -1: not readable or not a PNG. */
int png_header_depth(const char *path);
int png_header_colour_type(const char *path);

#endif
