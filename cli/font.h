/* SPDX-License-Identifier: Apache-2.0
 * A bitmap font of the ten digits, 5 x 7 pixels, for ids and frame numbers. */
#ifndef TRK_CLI_FONT_H
#define TRK_CLI_FONT_H

#include <stddef.h>
#include <stdint.h>

#define FONT_WIDTH  5
#define FONT_HEIGHT 7

typedef struct canvas {
    uint8_t *rgb;     /* [height][stride], R G B bytes, borrowed */
    ptrdiff_t stride; /* bytes */
    int width, height;
} canvas;

/* Size in pixels of a label: the digits, each font pixel `scale` wide, a margin of one around them. */
int font_label_width(const char *digits, int scale);
int font_label_height(int scale);
/* Draws digits on a filled box whose top left corner is (x, y); what lies outside the canvas is left out. The digits
 * are black or white, whichever stands out more. */
void font_draw_label(canvas *target, const char *digits, int x, int y, int scale, const uint8_t box_colour[3]);

#endif
