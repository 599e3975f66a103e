/* SPDX-License-Identifier: Apache-2.0
 * A bitmap font of the ten digits and m s x . -, 5 x 7 pixels, for ids, frame numbers and scores. */
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

/* What lies outside the canvas is left out. */
void canvas_fill(canvas *target, int x, int y, int width, int height, const uint8_t colour[3]);

/* Size in pixels of a label: the text, each font pixel `scale` wide, a margin of one around it. */
int font_label_width(const char *text, int scale);
int font_label_height(int scale);
/* Draws text on a filled box whose top left corner is (x, y); what lies outside the canvas is left out, and characters
 * that the font lacks are blank. The text is black or white, whichever stands out more. */
void font_draw_label(canvas *target, const char *text, int x, int y, int scale, const uint8_t box_colour[3]);

#endif
