/* SPDX-License-Identifier: Apache-2.0 */
#include "overlay.h"

#include <math.h>
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

/* --- motion ----------------------------------------------------------------------------------------------------- */

/* Pixels: edges of a box, high ones behind it, and how it is drawn. */
typedef struct dashed_box {
    int x0, y0, x1, y1;
    int line, dash, gap;
} dashed_box;

/* Boxes reach far outside now and then: up to 2 pictures away numbers stay exact, what is further is not seen anyway.
 */
static int pixel_of(double at, int size)
{
    return (int)lround(fmin(fmax(at, -2.0 * size), 3.0 * size));
}

/* Half white: of a thin line video keeps little but its brightness, as colours are halved in resolution. */
static void draw_dashes(canvas *target, const dashed_box *box, const uint8_t of_object[3])
{
    const uint8_t colour[3] = {(uint8_t)((of_object[0] + 255) / 2), (uint8_t)((of_object[1] + 255) / 2),
                               (uint8_t)((of_object[2] + 255) / 2)};
    const int step = box->dash + box->gap, bottom = box->y1 - box->line, right = box->x1 - box->line;
    for (int x = box->x0; x < box->x1; x += step) {
        const int length = box->x1 - x < box->dash ? box->x1 - x : box->dash;
        canvas_fill(target, x, box->y0, length, box->line, colour);
        canvas_fill(target, x, bottom, length, box->line, colour);
    }
    for (int y = box->y0; y < box->y1; y += step) {
        const int length = box->y1 - y < box->dash ? box->y1 - y : box->dash;
        canvas_fill(target, box->x0, y, box->line, length, colour);
        canvas_fill(target, right, y, box->line, length, colour);
    }
}

/* Below the box, or inside it where there is no room. */
static void draw_motion_label(canvas *target, const dashed_box *box, const char *text, const uint8_t colour[3])
{
    const int scale = box->line, width = font_label_width(text, scale), height = font_label_height(scale);
    int x = box->x0, y = box->y1 + scale;
    if (y + height > target->height)
        y = box->y1 - height - 2 * scale;
    x = x + width > target->width ? target->width - width : x;
    y = y + height > target->height ? target->height - height : y;
    font_draw_label(target, text, x > 0 ? x : 0, y > 0 ? y : 0, scale, colour);
}

void overlay_draw_motion(canvas *target, const trk_motion *motion, int kept, const uint8_t colour[3])
{
    const double left = (double)motion->predicted.x, top = (double)motion->predicted.y;
    const double right = left + (double)motion->predicted.width, bottom = top + (double)motion->predicted.height;
    const int line = overlay_line_width(target->height) / 2;
    char score[16] = "-", text[48];
    if (!motion->has_prediction || !isfinite(left) || !isfinite(top) || !isfinite(right) || !isfinite(bottom))
        return;
    const dashed_box box = {pixel_of(left, target->width),
                            pixel_of(top, target->height),
                            pixel_of(right, target->width),
                            pixel_of(bottom, target->height),
                            line,
                            6 * line,
                            4 * line};
    if (motion->has_score)
        snprintf(score, sizeof score, "%.2f", motion->score);
    snprintf(text, sizeof text, "m %s s %d%s", score, motion->n_stable, kept ? "" : " x");
    draw_dashes(target, &box, colour);
    draw_motion_label(target, &box, text, colour);
}
