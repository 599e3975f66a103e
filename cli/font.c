/* SPDX-License-Identifier: Apache-2.0 */
#include "font.h"

#include <string.h>

/* A row of a character is 5 bits, the left pixel the highest. */
static const char characters[] = "0123456789msx.-";
static const uint8_t glyphs[sizeof characters - 1][FONT_HEIGHT] = {
    {0x0e, 0x11, 0x13, 0x15, 0x19, 0x11, 0x0e}, {0x04, 0x0c, 0x04, 0x04, 0x04, 0x04, 0x0e},
    {0x0e, 0x11, 0x01, 0x06, 0x08, 0x10, 0x1f}, {0x1e, 0x01, 0x01, 0x0e, 0x01, 0x01, 0x1e},
    {0x02, 0x06, 0x0a, 0x12, 0x1f, 0x02, 0x02}, {0x1f, 0x10, 0x1e, 0x01, 0x01, 0x11, 0x0e},
    {0x06, 0x08, 0x10, 0x1e, 0x11, 0x11, 0x0e}, {0x1f, 0x01, 0x02, 0x04, 0x04, 0x08, 0x08},
    {0x0e, 0x11, 0x11, 0x0e, 0x11, 0x11, 0x0e}, {0x0e, 0x11, 0x11, 0x0f, 0x01, 0x02, 0x0c},
    {0x00, 0x00, 0x1a, 0x15, 0x15, 0x15, 0x15}, {0x00, 0x00, 0x0f, 0x10, 0x0e, 0x01, 0x1e},
    {0x00, 0x00, 0x11, 0x0a, 0x04, 0x0a, 0x11}, {0x00, 0x00, 0x00, 0x00, 0x00, 0x0c, 0x0c},
    {0x00, 0x00, 0x00, 0x0e, 0x00, 0x00, 0x00},
};

/* NULL: it has none. */
static const uint8_t *glyph_of(char character)
{
    const char *at = character ? strchr(characters, character) : NULL;
    return at ? glyphs[at - characters] : NULL;
}

int font_label_width(const char *text, int scale)
{
    return ((int)strlen(text) * (FONT_WIDTH + 1) + 1) * scale;
}

int font_label_height(int scale)
{
    return (FONT_HEIGHT + 2) * scale;
}

void canvas_fill(canvas *target, int x, int y, int width, int height, const uint8_t colour[3])
{
    int right = x + width < target->width ? x + width : target->width;
    int bottom = y + height < target->height ? y + height : target->height;
    for (int row = y > 0 ? y : 0; row < bottom; row++)
        for (int column = x > 0 ? x : 0; column < right; column++)
            memcpy(target->rgb + (ptrdiff_t)row * target->stride + (ptrdiff_t)column * 3, colour, 3);
}

void font_draw_label(canvas *target, const char *text, int x, int y, int scale, const uint8_t box_colour[3])
{
    /* luma of BT.601 in 1/1000 */
    int bright = 299 * box_colour[0] + 587 * box_colour[1] + 114 * box_colour[2] > 127500;
    const uint8_t ink[3] = {bright ? 0 : 255, bright ? 0 : 255, bright ? 0 : 255};
    canvas_fill(target, x, y, font_label_width(text, scale), font_label_height(scale), box_colour);
    for (int i = 0; text[i]; i++) {
        const uint8_t *glyph = glyph_of(text[i]);
        for (int row = 0; glyph && row < FONT_HEIGHT; row++)
            for (int column = 0; column < FONT_WIDTH; column++)
                if (glyph[row] >> (FONT_WIDTH - 1 - column) & 1)
                    canvas_fill(target, x + (i * (FONT_WIDTH + 1) + 1 + column) * scale, y + (1 + row) * scale, scale,
                                scale, ink);
    }
}
