/* SPDX-License-Identifier: Apache-2.0 */
#include "sheet.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "heap.h"

#define CAPACITY (2 * SHEET_PICTURES)
#define GAP      4 /* pixels between pictures */

typedef struct thumbnail {
    uint8_t *rgb; /* [height][width * 3] owned */
    int64_t frame;
} thumbnail;

struct sheet {
    int source_width, source_height;
    int width, height; /* of a thumbnail */
    int64_t n_seen, stride;
    int n_kept;
    thumbnail kept[CAPACITY]; /* all allocated at the start */
};

trk_status sheet_create(sheet **out, int width, int height)
{
    sheet *self = trk_heap_zeroed(TRK_MEM_FRAME, "sheet", 1, sizeof *self);
    if (!self)
        return TRK_FAIL(TRK_E_MEMORY, "contact sheet: out of memory");
    self->source_width = width;
    self->source_height = height;
    self->width = width < SHEET_WIDTH_MOST ? width : SHEET_WIDTH_MOST;
    self->height = (int)((int64_t)height * self->width / width);
    self->height = self->height > 0 ? self->height : 1;
    self->stride = 1;
    for (int i = 0; i < CAPACITY; i++) {
        self->kept[i].rgb = trk_heap_allocate(TRK_MEM_FRAME, "sheet", (size_t)self->height * (size_t)self->width * 3);
        if (!self->kept[i].rgb) {
            sheet_destroy(&self);
            return TRK_FAIL(TRK_E_MEMORY, "contact sheet: out of memory");
        }
    }
    *out = self;
    return TRK_OK;
}

void sheet_destroy(sheet **handle)
{
    if (!*handle)
        return;
    for (int i = 0; i < CAPACITY; i++)
        trk_heap_release((*handle)->kept[i].rgb);
    trk_heap_release(*handle);
    *handle = NULL;
}

static void drop_every_other(sheet *self)
{
    for (int i = 0; i < CAPACITY / 2; i++) {
        thumbnail dropped = self->kept[i];
        self->kept[i] = self->kept[2 * i];
        self->kept[2 * i] = dropped; /* its buffer is used again */
    }
    self->n_kept = CAPACITY / 2;
    self->stride *= 2;
}

int sheet_wants_next(sheet *self)
{
    int64_t ordinal = self->n_seen++;
    if (ordinal % self->stride)
        return 0;
    if (self->n_kept == CAPACITY)
        drop_every_other(self);
    return ordinal % self->stride == 0;
}

/* Mean of the source pixels that fall on a pixel of the thumbnail. */
static void shrink(const sheet *self, const canvas *picture, uint8_t *out)
{
    for (int y = 0; y < self->height; y++) {
        int top = (int)((int64_t)y * self->source_height / self->height);
        int bottom = (int)((int64_t)(y + 1) * self->source_height / self->height);
        for (int x = 0; x < self->width; x++) {
            int left = (int)((int64_t)x * self->source_width / self->width);
            int right = (int)((int64_t)(x + 1) * self->source_width / self->width);
            uint64_t sum[3] = {0}, n = (uint64_t)(right - left) * (uint64_t)(bottom - top);
            for (int row = top; row < bottom; row++)
                for (int column = left; column < right; column++)
                    for (int channel = 0; channel < 3; channel++)
                        sum[channel] +=
                            picture->rgb[(ptrdiff_t)row * picture->stride + 3 * (ptrdiff_t)column + channel];
            for (int channel = 0; channel < 3; channel++)
                *out++ = (uint8_t)((sum[channel] + n / 2) / n);
        }
    }
}

void sheet_add(sheet *self, const canvas *picture, int64_t frame)
{
    static const uint8_t label_colour[3] = {0, 0, 0};
    thumbnail *slot = &self->kept[self->n_kept++];
    char digits[24];
    canvas target = {slot->rgb, (ptrdiff_t)self->width * 3, self->width, self->height};
    shrink(self, picture, slot->rgb);
    slot->frame = frame;
    snprintf(digits, sizeof digits, "%" PRId64, frame);
    font_draw_label(&target, digits, 0, 0, 2, label_colour);
}

trk_status sheet_render(const sheet *self, canvas *out)
{
    if (!self->n_kept)
        return TRK_FAIL(TRK_E_STATE, "contact sheet: no picture was added");
    const int n = self->n_kept < SHEET_PICTURES ? self->n_kept : SHEET_PICTURES;
    const int columns = n < SHEET_COLUMNS ? n : SHEET_COLUMNS, rows = (n + columns - 1) / columns;
    *out = (canvas){0};
    out->width = columns * (self->width + GAP) + GAP;
    out->height = rows * (self->height + GAP) + GAP;
    out->stride = (ptrdiff_t)out->width * 3;
    out->rgb = trk_heap_allocate(TRK_MEM_FRAME, "sheet", (size_t)out->height * (size_t)out->stride);
    if (!out->rgb)
        return TRK_FAIL(TRK_E_MEMORY, "contact sheet: out of memory");
    memset(out->rgb, 255, (size_t)out->height * (size_t)out->stride);
    for (int i = 0; i < n; i++) {
        /* i-th of n evenly spaced ones of those kept, first and last among them */
        const int from = n > 1 ? (2 * i * (self->n_kept - 1) + n - 1) / (2 * (n - 1)) : 0;
        const ptrdiff_t x = GAP + (i % columns) * (self->width + GAP), y = GAP + (i / columns) * (self->height + GAP);
        for (int row = 0; row < self->height; row++)
            memcpy(out->rgb + (y + row) * out->stride + 3 * x,
                   self->kept[from].rgb + (size_t)row * (size_t)self->width * 3, (size_t)self->width * 3);
    }
    return TRK_OK;
}
