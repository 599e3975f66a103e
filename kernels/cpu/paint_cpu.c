/* SPDX-License-Identifier: Apache-2.0
 * Masks on pictures. Inside the region of a mask: erode (a row pass, then a column pass of byte ANDs over the rows
 * around), class each pixel, paint runs of one class. */
#include <string.h>

#include "cpu.h"
#include "expect.h"
#include "workspace.h"

/* ---- mask_region ---- */

static int row_area(const uint8_t *row, int width)
{
    int area = 0;
    for (int x = 0; x < width; x++)
        area += row[x];
    return area;
}

void trk_mask_region_cpu(trk_exec *x, trk_mask_region *region, const uint8_t *mask, ptrdiff_t stride, int width,
                         int height)
{
    TRK_EXPECT(x, "mask_region", width > 0 && height > 0);
    int left = width, right = -1, first = -1, last = -1, all = 0;
    for (int y = 0; y < height; y++) {
        const uint8_t *row = mask + y * stride;
        const int area = row_area(row, width);
        if (!area)
            continue;
        all += area;
        first = first < 0 ? y : first;
        last = y;
        const int begin = (int)((const uint8_t *)memchr(row, 1, (size_t)width) - row);
        const int end = (int)((const uint8_t *)memrchr(row, 1, (size_t)width) - row);
        left = begin < left ? begin : left;
        right = end > right ? end : right;
    }
    *region = (trk_mask_region){0};
    if (!all)
        return;
    *region = (trk_mask_region){left, first, right - left + 1, last - first + 1, all, first};
    const uint8_t *middle = mask + left + region->width / 2;
    for (int y = first; y <= last; y++)
        if (middle[y * stride]) {
            region->top = y;
            return;
        }
}

/* ---- paint ---- */

enum { OUTSIDE = 0, CONTOUR = 1, INSIDE = 2 };

typedef struct brush {
    const trk_painting *painting;
    trk_mask_region where;
    int radius, n_ring;
    uint8_t *padded;       /* [width + 2 radius]: a mask row, its end pixels repeated */
    uint8_t *ring;         /* [n_ring, width]: row y % n_ring: AND over x - radius .. x + radius of row y */
    uint8_t *classes;      /* [width] */
    uint8_t *solid;        /* [3 width]: the colour, repeated */
    uint16_t *translucent; /* [3 width]: the colour times its share of 256, plus 128 for rounding */
} brush;

/* out &= in, n bytes */
static void and_into(uint8_t *restrict out, const uint8_t *restrict in, int n)
{
    for (int i = 0; i < n; i++)
        out[i] &= in[i];
}

static uint8_t *eroded_row(const brush *b, int y)
{
    return b->ring + (size_t)(y % b->n_ring) * (size_t)b->painting->width + b->where.x;
}

static const uint8_t *mask_row(const brush *b, int y)
{
    return b->painting->mask + y * b->painting->mask_stride;
}

/* The columns of the region of row y, into the ring. */
static void erode_row(const brush *b, int y)
{
    const int radius = b->radius, width = b->painting->width;
    const uint8_t *row = mask_row(b, y);
    uint8_t *out = eroded_row(b, y);
    memset(b->padded, row[0], (size_t)radius);
    memcpy(b->padded + radius, row, (size_t)width);
    memset(b->padded + radius + width, row[width - 1], (size_t)radius);
    memcpy(out, b->padded + b->where.x, (size_t)b->where.width);
    for (int shift = 1; shift <= 2 * radius; shift++)
        and_into(out, b->padded + b->where.x + shift, b->where.width);
}

/* The columns of the region of row y; the ring holds the rows around it. */
static void classify_row(const brush *b, int y)
{
    uint8_t *classes = b->classes + b->where.x;
    const uint8_t *row = mask_row(b, y) + b->where.x;
    const int height = b->painting->height, n = b->where.width;
    const int top = y - b->radius > 0 ? y - b->radius : 0;
    const int bottom = y + b->radius < height ? y + b->radius : height - 1;
    if (top < b->where.y || bottom >= b->where.y + b->where.height)
        memset(classes, 0, (size_t)n);
    else {
        memcpy(classes, row, (size_t)n);
        for (int i = top; i <= bottom; i++)
            and_into(classes, eroded_row(b, i), n);
    }
    for (int x = 0; x < n; x++)
        classes[x] = (uint8_t)(classes[x] + row[x]); /* OUTSIDE, CONTOUR or INSIDE */
}

static unsigned colour_share(const brush *b)
{
    return (unsigned)b->painting->fill_percent * 256 / 100;
}

static void blend(uint8_t *restrict rgb, const uint16_t *restrict colour, int n, unsigned keep)
{
    for (int i = 0; i < n; i++)
        rgb[i] = (uint8_t)((rgb[i] * keep + colour[i]) >> 8);
}

static void paint_row(const brush *b, uint8_t *rgb)
{
    const int end = b->where.x + b->where.width;
    for (int x = b->where.x, next; x < end; x = next) {
        const uint8_t class = b->classes[x];
        for (next = x + 1; next < end && b->classes[next] == class;)
            next++;
        if (class == CONTOUR)
            memcpy(rgb + 3 * (ptrdiff_t)x, b->solid, 3 * (size_t)(next - x));
        else if (class == INSIDE)
            blend(rgb + 3 * (ptrdiff_t)x, b->translucent, 3 * (next - x), 256 - colour_share(b));
    }
}

static void prepare_colour(const brush *b)
{
    for (int x = 0; x < b->where.width; x++)
        for (int c = 0; c < 3; c++) {
            b->solid[3 * x + c] = b->painting->colour[c];
            b->translucent[3 * x + c] = (uint16_t)(b->painting->colour[c] * colour_share(b) + 128);
        }
}

static int take_room(trk_exec *x, brush *b)
{
    const size_t width = (size_t)b->painting->width;
    uint8_t *memory = trk_workspace_get(x, WORKSPACE_OTHER, width * (11 + (size_t)b->n_ring) + 2 * (size_t)b->radius);
    if (!memory)
        return 0;
    b->translucent = (uint16_t *)(void *)memory;
    b->solid = memory + 6 * width;
    b->classes = b->solid + 3 * width;
    b->ring = b->classes + width;
    b->padded = b->ring + (size_t)b->n_ring * width;
    return 1;
}

void trk_paint_cpu(trk_exec *x, uint8_t *rgb, ptrdiff_t stride, const trk_painting *p)
{
    TRK_EXPECT(x, "paint", p->width > 0 && p->height > 0 && p->line_width >= 0);
    TRK_EXPECT(x, "paint", p->fill_percent >= 0 && p->fill_percent <= 100);
    const int most = p->width > p->height ? p->width : p->height; /* wider lines draw the same */
    brush b = {.painting = p, .radius = p->line_width < most ? p->line_width : most};
    b.n_ring = 2 * b.radius + 1 < p->height ? 2 * b.radius + 1 : p->height;
    if (!take_room(x, &b) || x->planning || !p->region->area)
        return;
    b.where = *p->region;
    prepare_colour(&b);
    const int end = b.where.y + b.where.height;
    for (int y = b.where.y, eroded = y; y < end; y++) {
        for (; eroded < end && eroded <= y + b.radius; eroded++)
            erode_row(&b, eroded);
        classify_row(&b, y);
        paint_row(&b, rgb + y * stride);
    }
}
