/* SPDX-License-Identifier: Apache-2.0
 * Per object and frame: erode inside the bounding box (a row pass, then a column pass of byte ANDs), class each pixel,
 * paint runs of one class. */
#include "overlay.h"

#include <stdio.h>
#include <string.h>

#include "heap.h"

enum { OUTSIDE = 0, CONTOUR = 1, INSIDE = 2 };

struct overlay {
    int width, height, radius;
    uint8_t *padded;       /* [width + 2 radius]: a mask row, its end pixels repeated */
    uint8_t *row_eroded;   /* [height][width]: AND over x - radius .. x + radius; only rows of the region are valid */
    uint8_t *classes;      /* [width] */
    uint8_t *solid;        /* [3 width]: the colour, repeated */
    uint16_t *translucent; /* [3 width]: the colour times its share of 256, plus 128 for rounding */
};

int overlay_line_width(int height)
{
    int scaled = (height + 120) / 240;
    return scaled > 2 ? scaled : 2;
}

trk_status overlay_create(overlay **out, int width, int height)
{
    overlay *self = trk_heap_zeroed(TRK_MEM_FRAME, "overlay", 1, sizeof *self);
    if (!self)
        return TRK_FAIL(TRK_E_MEMORY, "overlay: out of memory");
    self->width = width;
    self->height = height;
    self->radius = overlay_line_width(height);
    self->padded = trk_heap_allocate(TRK_MEM_FRAME, "overlay", (size_t)width + 2 * (size_t)self->radius);
    self->row_eroded = trk_heap_allocate(TRK_MEM_FRAME, "overlay", (size_t)width * (size_t)height);
    self->classes = trk_heap_allocate(TRK_MEM_FRAME, "overlay", (size_t)width);
    self->solid = trk_heap_allocate(TRK_MEM_FRAME, "overlay", 3 * (size_t)width);
    self->translucent = trk_heap_allocate(TRK_MEM_FRAME, "overlay", 3 * (size_t)width * sizeof *self->translucent);
    if (!self->padded || !self->row_eroded || !self->classes || !self->solid || !self->translucent) {
        overlay_destroy(&self);
        return TRK_FAIL(TRK_E_MEMORY, "overlay of %d x %d pixels: out of memory", width, height);
    }
    *out = self;
    return TRK_OK;
}

void overlay_destroy(overlay **handle)
{
    if (!*handle)
        return;
    trk_heap_release((*handle)->padded);
    trk_heap_release((*handle)->row_eroded);
    trk_heap_release((*handle)->classes);
    trk_heap_release((*handle)->solid);
    trk_heap_release((*handle)->translucent);
    trk_heap_release(*handle);
    *handle = NULL;
}

/* out &= in, n bytes */
static void and_into(uint8_t *restrict out, const uint8_t *restrict in, int n)
{
    for (int i = 0; i < n; i++)
        out[i] &= in[i];
}

/* row_eroded of the columns of the region, for one row of the mask */
static void erode_row(overlay *self, const uint8_t *row, const region *where, uint8_t *out)
{
    const int radius = self->radius, width = self->width;
    memset(self->padded, row[0], (size_t)radius);
    memcpy(self->padded + radius, row, (size_t)width);
    memset(self->padded + radius + width, row[width - 1], (size_t)radius);
    memcpy(out + where->x, self->padded + where->x, (size_t)where->width);
    for (int shift = 1; shift <= 2 * radius; shift++)
        and_into(out + where->x, self->padded + where->x + shift, where->width);
}

/* classes of the columns of the region in row y */
static void classify_row(overlay *self, const uint8_t *row, const region *where, int y)
{
    uint8_t *classes = self->classes + where->x;
    const int top = y - self->radius > 0 ? y - self->radius : 0;
    const int bottom = y + self->radius < self->height ? y + self->radius : self->height - 1;
    row += where->x;
    if (top < where->y || bottom >= where->y + where->height)
        memset(classes, 0, (size_t)where->width);
    else {
        memcpy(classes, row, (size_t)where->width);
        for (int i = top; i <= bottom; i++)
            and_into(classes, self->row_eroded + (size_t)i * (size_t)self->width + where->x, where->width);
    }
    for (int x = 0; x < where->width; x++)
        classes[x] = (uint8_t)(classes[x] + row[x]); /* OUTSIDE, CONTOUR or INSIDE */
}

static void blend(uint8_t *restrict rgb, const uint16_t *restrict colour, int n, unsigned keep)
{
    for (int i = 0; i < n; i++)
        rgb[i] = (uint8_t)((rgb[i] * keep + colour[i]) >> 8);
}

static void paint_row(const overlay *self, uint8_t *rgb, const region *where)
{
    const unsigned keep = 256 - OVERLAY_FILL_PERCENT * 256 / 100;
    const int end = where->x + where->width;
    for (int x = where->x, next; x < end; x = next) {
        const uint8_t class = self->classes[x];
        for (next = x + 1; next < end && self->classes[next] == class;)
            next++;
        if (class == CONTOUR)
            memcpy(rgb + 3 * (ptrdiff_t)x, self->solid, 3 * (size_t)(next - x));
        else if (class == INSIDE)
            blend(rgb + 3 * (ptrdiff_t)x, self->translucent, 3 * (next - x), keep);
    }
}

static void prepare_colour(overlay *self, int n_pixels, const uint8_t colour[3])
{
    const unsigned share = OVERLAY_FILL_PERCENT * 256 / 100;
    for (int x = 0; x < n_pixels; x++)
        for (int channel = 0; channel < 3; channel++) {
            self->solid[3 * x + channel] = colour[channel];
            self->translucent[3 * x + channel] = (uint16_t)(colour[channel] * share + 128);
        }
}

void overlay_draw_mask(overlay *self, canvas *target, const uint8_t *mask, ptrdiff_t stride, const region *where,
                       const uint8_t colour[3])
{
    if (!where->area)
        return;
    prepare_colour(self, where->width, colour);
    for (int y = where->y; y < where->y + where->height; y++)
        erode_row(self, mask + (ptrdiff_t)y * stride, where, self->row_eroded + (size_t)y * (size_t)self->width);
    for (int y = where->y; y < where->y + where->height; y++) {
        classify_row(self, mask + (ptrdiff_t)y * stride, where, y);
        paint_row(self, target->rgb + (ptrdiff_t)y * target->stride, where);
    }
}

void overlay_draw_id(canvas *target, int object, const region *where, const uint8_t colour[3])
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
