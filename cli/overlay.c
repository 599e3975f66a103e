/* SPDX-License-Identifier: Apache-2.0 */
#include "overlay.h"

#include <stdio.h>

int overlay_line_width(int height)
{
    int scaled = (height + 120) / 240;
    return scaled > 2 ? scaled : 2;
}

void overlay_draw_id(canvas *target, int object, const trk_region *where, const uint8_t colour[3])
{
    if (!where->area)
        return;
    char digits[16];
    snprintf(digits, sizeof digits, "%d", object);
    const int scale = overlay_line_width(target->height);
    const int width = font_label_width(digits, scale), height = font_label_height(scale);
    int x = where->x + (where->width - width) / 2;
    int y = where->top - height - scale < 0 ? where->top + 2 * scale : where->top - height - scale;
    if (x + width > target->width)
        x = target->width - width;
    if (y + height > target->height)
        y = target->height - height;
    font_draw_label(target, digits, x > 0 ? x : 0, y > 0 ? y : 0, scale, colour);
}
