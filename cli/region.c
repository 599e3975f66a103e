/* SPDX-License-Identifier: Apache-2.0 */
#include "region.h"

#include <string.h>

static int64_t row_area(const uint8_t *row, int width)
{
    uint32_t area = 0;
    for (int x = 0; x < width; x++)
        area += row[x];
    return area;
}

static int first_row_set(const uint8_t *column, int top, int bottom, ptrdiff_t stride)
{
    for (int y = top; y <= bottom; y++)
        if (column[(ptrdiff_t)y * stride])
            return y;
    return top;
}

region region_of_mask(const uint8_t *mask, int width, int height, ptrdiff_t stride)
{
    region out = {0};
    int left = width, right = -1, top = -1, bottom = -1;
    for (int y = 0; y < height; y++) {
        const uint8_t *row = mask + (ptrdiff_t)y * stride;
        int64_t area = row_area(row, width);
        if (!area)
            continue;
        out.area += area;
        top = top < 0 ? y : top;
        bottom = y;
        const uint8_t *first = memchr(row, 1, (size_t)width), *last = memrchr(row, 1, (size_t)width);
        left = first - row < left ? (int)(first - row) : left;
        right = last - row > right ? (int)(last - row) : right;
    }
    if (out.area) {
        out.x = left;
        out.y = top;
        out.width = right - left + 1;
        out.height = bottom - top + 1;
        out.top = first_row_set(mask + out.x + out.width / 2, top, bottom, stride);
    }
    return out;
}
