/* SPDX-License-Identifier: Apache-2.0 */
#include "rle.h"

#include <string.h>

#include "heap.h"

static void *reserve(void *data, size_t *capacity, size_t needed, size_t element_bytes)
{
    return trk_heap_grown(data, capacity, needed, element_bytes, TRK_MEM_FRAME, "run lengths");
}

static int reserve_columns(rle *out, size_t n)
{
    uint32_t *columns = reserve(out->column_starts, &out->columns_capacity, n, sizeof *columns);
    if (columns)
        out->column_starts = columns;
    return columns != NULL;
}

static int reserve_counts(rle *out, size_t n)
{
    uint32_t *counts = reserve(out->counts, &out->counts_capacity, n, sizeof *counts);
    if (counts)
        out->counts = counts;
    return counts != NULL;
}

static int reserve_counts_and_text(rle *out, size_t n)
{
    char *text = reserve_counts(out, n) ? reserve(out->text, &out->text_capacity, n * 7 + 1, 1) : NULL;
    if (text)
        out->text = text;
    return text != NULL; /* a count below 2^32 takes at most 7 characters of 5 bits */
}

typedef void change_visit(rle *out, int x, int y, int height);

/* Calls visit wherever a pixel differs from the one before it in column order, row by row, x ascending in a row. The
 * pixel before a column's top one is the bottom one of the column to the left. */
static void visit_changes(rle *out, const uint8_t *mask, int width, int height, ptrdiff_t stride, change_visit *visit)
{
    const uint8_t *bottom = mask + (ptrdiff_t)(height - 1) * stride;
    for (int x = 0; x < width; x++)
        if (mask[x] != (x ? bottom[x - 1] : 0))
            visit(out, x, 0, height);
    for (int y = 1; y < height; y++) {
        const uint8_t *row = mask + (ptrdiff_t)y * stride, *above = row - stride;
        int x = 0;
        for (; x + 8 <= width; x += 8) {
            uint64_t a, b;
            memcpy(&a, row + x, 8);
            memcpy(&b, above + x, 8);
            for (int i = 0; a != b && i < 8; i++)
                if (row[x + i] != above[x + i])
                    visit(out, x + i, y, height);
        }
        for (; x < width; x++)
            if (row[x] != above[x])
                visit(out, x, y, height);
    }
}

static void count_change(rle *out, int x, int y, int height)
{
    (void)y, (void)height;
    out->column_starts[x + 1]++;
}

static void store_change(rle *out, int x, int y, int height)
{
    out->counts[out->column_starts[x]++] = (uint32_t)x * (uint32_t)height + (uint32_t)y;
}

/* Counts hold positions of changes, ascending; turns them into the lengths between them. */
static void positions_to_lengths(rle *out, size_t n_changes, uint32_t n_pixels)
{
    uint32_t previous = 0;
    for (size_t i = 0; i < n_changes; i++) {
        uint32_t position = out->counts[i];
        out->counts[i] = position - previous;
        previous = position;
    }
    out->counts[n_changes] = n_pixels - previous;
    out->n_counts = n_changes + 1;
}

static void compress_counts(rle *out)
{
    char *text = out->text;
    for (size_t i = 0; i < out->n_counts; i++) {
        int64_t value = (int64_t)out->counts[i] - (i > 2 ? (int64_t)out->counts[i - 2] : 0);
        int more;
        do {
            int group = (int)(value & 31);
            value >>= 5;
            more = (group & 16) ? value != -1 : value != 0;
            *text++ = (char)((more ? group | 32 : group) + 48);
        } while (more);
    }
    *text = 0;
}

trk_status rle_encode(rle *out, const uint8_t *mask, int width, int height, ptrdiff_t stride)
{
    if ((uint64_t)width * (uint64_t)height > UINT32_MAX)
        return TRK_FAIL(TRK_E_ARGUMENT, "mask of %d x %d pixels: run lengths do not fit", width, height);
    size_t n_columns = (size_t)width + 1, n_changes = 0;
    if (!reserve_columns(out, n_columns))
        goto no_memory;
    memset(out->column_starts, 0, n_columns * sizeof *out->column_starts);
    visit_changes(out, mask, width, height, stride, count_change);
    for (int x = 0; x < width; x++) {
        n_changes += out->column_starts[x + 1];
        out->column_starts[x + 1] = (uint32_t)n_changes;
    }
    if (!reserve_counts_and_text(out, n_changes + 1))
        goto no_memory;
    visit_changes(out, mask, width, height, stride, store_change);
    positions_to_lengths(out, n_changes, (uint32_t)width * (uint32_t)height);
    compress_counts(out);
    return TRK_OK;
no_memory:
    return TRK_FAIL(TRK_E_MEMORY, "run-length encoding: out of memory");
}

/* Reads one count before its sum with an earlier one; returns what follows it, NULL where the text ends inside it, has
 * another character, or goes on beyond what any count needs. */
static const char *read_count(const char *text, int64_t *out)
{
    enum { MOST_GROUPS = 7 }; /* 35 bits: a count has 32, and a sign */
    int64_t value = 0;
    for (int i = 0; i < MOST_GROUPS; i++) {
        const int group = text[i] - 48;
        if (group < 0 || group > 63)
            return NULL;
        value |= (int64_t)(group & 31) << (5 * i);
        if (group & 32)
            continue;
        *out = group & 16 ? value - ((int64_t)1 << (5 * (i + 1))) : value;
        return text + i + 1;
    }
    return NULL;
}

static trk_status read_counts(rle *out, const char *text, int64_t n_pixels)
{
    int64_t left = n_pixels, value;
    out->n_counts = 0;
    for (const char *next = text; *next; out->n_counts++) {
        const size_t i = out->n_counts, at = (size_t)(next - text);
        next = read_count(next, &value);
        if (!next)
            return TRK_FAIL(TRK_E_FORMAT, "run lengths: character %zu: expected a count of characters '0' to 'o'", at);
        value += i > 2 ? (int64_t)out->counts[i - 2] : 0;
        if (value < 0 || value > left)
            return TRK_FAIL(TRK_E_FORMAT, "run lengths: character %zu: a run of %lld pixels, expected 0 to %lld", at,
                            (long long)value, (long long)left);
        left -= value;
        out->counts[i] = (uint32_t)value;
    }
    if (left)
        return TRK_FAIL(TRK_E_FORMAT, "run lengths: %lld pixels in all, expected %lld", (long long)(n_pixels - left),
                        (long long)n_pixels);
    return TRK_OK;
}

static void fill_run(uint8_t *mask, int height, ptrdiff_t stride, uint32_t first, uint32_t n)
{
    uint32_t x = first / (uint32_t)height, y = first % (uint32_t)height;
    for (; n; n--) {
        mask[(ptrdiff_t)y * stride + (ptrdiff_t)x] = 1;
        if (++y == (uint32_t)height) {
            y = 0;
            x++;
        }
    }
}

trk_status rle_decode(rle *scratch, uint8_t *mask, int width, int height, ptrdiff_t stride, const char *text)
{
    if (width < 1 || height < 1 || (uint64_t)width * (uint64_t)height > UINT32_MAX)
        return TRK_FAIL(TRK_E_ARGUMENT, "mask of %d x %d pixels: run lengths do not fit", width, height);
    if (!reserve_counts(scratch, strlen(text) + 1)) /* a count has one character at least */
        return TRK_FAIL(TRK_E_MEMORY, "run-length decoding: out of memory");
    trk_status rc = read_counts(scratch, text, (int64_t)width * height);
    if (rc || !mask)
        return rc;
    for (int y = 0; y < height; y++)
        memset(mask + (ptrdiff_t)y * stride, 0, (size_t)width);
    uint32_t at = 0;
    for (size_t i = 0; i < scratch->n_counts; at += scratch->counts[i], i++)
        if (i & 1)
            fill_run(mask, height, stride, at, scratch->counts[i]);
    return TRK_OK;
}

void rle_free(rle *out)
{
    trk_heap_release(out->counts);
    trk_heap_release(out->text);
    trk_heap_release(out->column_starts);
    *out = (rle){0};
}
