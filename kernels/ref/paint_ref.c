/* SPDX-License-Identifier: Apache-2.0
 * Masks on pictures: where a mask is, and how it is drawn. Whole numbers only, so that every backend draws the same. */
#include "expect.h"
#include "ref.h"

void trk_mask_region_ref(trk_exec *x, trk_mask_region *region, const uint8_t *mask, ptrdiff_t stride, int width,
                         int height)
{
    TRK_EXPECT(x, "mask_region", width > 0 && height > 0);
    int left = width, right = -1, first = height, last = -1, area = 0;
    for (int y = 0; y < height; y++)
        for (int column = 0; column < width; column++) {
            if (!mask[y * stride + column])
                continue;
            left = column < left ? column : left;
            right = column > right ? column : right;
            first = y < first ? y : first;
            last = y;
            area++;
        }
    *region = (trk_mask_region){0};
    if (!area)
        return;
    *region = (trk_mask_region){left, first, right - left + 1, last - first + 1, area, first};
    for (int y = last; y >= first; y--)
        if (mask[y * stride + left + region->width / 2])
            region->top = y;
}

static int larger(int a, int b)
{
    return a > b ? a : b;
}

/* 1 if the mask has every pixel of the square around (column, y), those outside the picture not asked */
static int is_inside(const trk_painting *p, int column, int y)
{
    for (int j = larger(y - p->line_width, 0); j <= y + p->line_width && j < p->height; j++)
        for (int i = larger(column - p->line_width, 0); i <= column + p->line_width && i < p->width; i++)
            if (!p->mask[j * p->mask_stride + i])
                return 0;
    return 1;
}

void trk_paint_ref(trk_exec *x, uint8_t *rgb, ptrdiff_t stride, const trk_painting *p)
{
    TRK_EXPECT(x, "paint", p->width > 0 && p->height > 0 && p->line_width >= 0);
    TRK_EXPECT(x, "paint", p->fill_percent >= 0 && p->fill_percent <= 100);
    const int share = p->fill_percent * 256 / 100;
    for (int y = 0; y < p->height; y++)
        for (int column = 0; column < p->width; column++) {
            if (!p->mask[y * p->mask_stride + column])
                continue;
            const int filled = is_inside(p, column, y);
            for (int c = 0; c < 3; c++) {
                uint8_t *v = &rgb[y * stride + 3 * (ptrdiff_t)column + c];
                *v = filled ? (uint8_t)((*v * (256 - share) + p->colour[c] * share + 128) / 256) : p->colour[c];
            }
        }
}
