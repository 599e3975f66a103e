/* SPDX-License-Identifier: Apache-2.0
 * J, F and their statistics. F works inside the window that holds both masks: a map of either boundary, then per column
 * the distance to the nearest pixel of the other boundary, so that "is one within the disc" takes a look at one row. */
#include "mask_scores.h"

#include <math.h>
#include <string.h>

#include "heap.h"

enum { FAR = UINT16_MAX }; /* distance of a column without boundary */

/* Part of the picture, pixels. */
typedef struct window {
    int x, y, width, height;
} window;

/* One mask as F sees it: void pixels are outside of every object. */
typedef struct shape {
    const uint8_t *mask, *ignore; /* [height][width]; ignore may be NULL */
    int width, height;
} shape;

/* Buffers of one comparison, [window.height][window.width] where nothing else is said; in the scratch. */
typedef struct boundaries {
    uint16_t *distances;    /* down or up the column to the next boundary pixel */
    uint16_t *reach;        /* [n_reach] height of half the disc, k pixels beside its centre */
    uint8_t *found, *truth; /* 1: boundary */
    uint8_t *rows[2];       /* [window.width + 1] */
    int n_reach;
} boundaries;

void mask_scratch_free(mask_scratch *scratch)
{
    trk_heap_release(scratch->bytes);
    *scratch = (mask_scratch){0};
}

static trk_status reserve(mask_scratch *scratch, size_t bytes)
{
    if (bytes <= scratch->capacity)
        return TRK_OK;
    mask_scratch_free(scratch);
    const size_t grown = bytes + bytes / 2;
    scratch->bytes = trk_heap_allocate(TRK_MEM_SCRATCH, "mask scores", grown);
    if (!scratch->bytes)
        return TRK_FAIL(TRK_E_MEMORY, "boundary similarity: out of memory (%zu bytes)", grown);
    scratch->capacity = grown;
    return TRK_OK;
}

double mask_region_similarity(const uint8_t *found, const uint8_t *truth, const uint8_t *ignore, int width, int height)
{
    uint64_t common = 0, either = 0;
    for (int y = 0; y < height; y++) {
        const size_t row = (size_t)y * (size_t)width;
        const uint8_t *f = found + row, *t = truth + row;
        uint32_t n_common = 0, n_either = 0; /* of a row, for narrow vector lanes */
        if (ignore) {
            for (int x = 0; x < width; x++) {
                n_common += (f[x] != 0) & (t[x] != 0) & (ignore[row + (size_t)x] == 0);
                n_either += ((f[x] | t[x]) != 0) & (ignore[row + (size_t)x] == 0);
            }
        } else {
            for (int x = 0; x < width; x++) {
                n_common += (f[x] != 0) & (t[x] != 0);
                n_either += (f[x] | t[x]) != 0;
            }
        }
        common += n_common;
        either += n_either;
    }
    return either ? (double)common / (double)either : 1;
}

/* The pixels of both masks and the row above and column to the left of them, where boundaries lie too. 0: no pixel.
 * columns: [width], overwritten. */
static int find_window(window *out, uint8_t *columns, const uint8_t *found, const uint8_t *truth, int width, int height)
{
    int top = -1, bottom = -1, left = 0, right = width - 1;
    memset(columns, 0, (size_t)width);
    for (int y = 0; y < height; y++) {
        const uint8_t *f = found + (size_t)y * (size_t)width, *t = truth + (size_t)y * (size_t)width;
        uint8_t any = 0;
        for (int x = 0; x < width; x++) {
            const uint8_t pixel = f[x] | t[x];
            columns[x] |= pixel;
            any |= pixel;
        }
        if (any) {
            top = top < 0 ? y : top;
            bottom = y;
        }
    }
    if (top < 0)
        return 0;
    while (!columns[left])
        left++;
    while (!columns[right])
        right--;
    out->x = left ? left - 1 : 0;
    out->y = top ? top - 1 : 0;
    out->width = right + 1 - out->x;
    out->height = bottom + 1 - out->y;
    return 1;
}

/* Radius of the disc in pixels. */
static double disc_radius(double tolerance, int width, int height)
{
    const double w = width, h = height;
    return tolerance >= 1 ? tolerance : ceil(tolerance * sqrt(h * h + w * w));
}

static trk_status lay_out(boundaries *out, mask_scratch *scratch, const window *part, double radius)
{
    const size_t width = (size_t)part->width, n = width * (size_t)part->height;
    out->n_reach = radius < part->width - 1 ? (int)radius + 1 : part->width;
    const size_t n_reach = (size_t)out->n_reach;
    trk_status rc = reserve(scratch, n * sizeof(uint16_t) + n_reach * sizeof(uint16_t) + 2 * n + 2 * (width + 1));
    if (rc < 0)
        return rc;
    out->distances = (uint16_t *)(void *)scratch->bytes; /* blocks start on TRK_ALIGNMENT */
    out->reach = out->distances + n;
    out->found = (uint8_t *)(out->reach + n_reach);
    out->truth = out->found + n;
    out->rows[0] = out->truth + n;
    out->rows[1] = out->rows[0] + width + 1;
    for (int k = 0; k < out->n_reach; k++) {
        const double half = floor(sqrt(radius * radius - (double)k * k)); /* of the disc x^2 + y^2 <= radius^2 */
        out->reach[k] = half < FAR ? (uint16_t)half : FAR - 1;
    }
    return TRK_OK;
}

/* Pixels of row y of the window as 0 and 1; nothing lies below and to the right of it. */
static void load_row(uint8_t *restrict out, const shape *picture, const window *part, int y)
{
    memset(out, 0, (size_t)part->width + 1);
    if (y == part->height)
        return;
    const size_t start = (size_t)(part->y + y) * (size_t)picture->width + (size_t)part->x;
    const uint8_t *mask = picture->mask + start;
    const uint8_t *ignore = picture->ignore ? picture->ignore + start : NULL;
    if (ignore)
        for (int x = 0; x < part->width; x++)
            out[x] = (mask[x] != 0) & (ignore[x] == 0);
    else
        for (int x = 0; x < part->width; x++)
            out[x] = mask[x] != 0;
}

/* One row of the boundary map: pixels that differ from the one to the right, below, or right below. In the last row of
 * the picture only the right one counts, in its last column only the one below, and their corner is never boundary
 * (DAVIS, seg2bmap). */
static void mark_row(uint8_t *restrict out, const uint8_t *row, const uint8_t *below, int width, int last_row,
                     int last_column)
{
    if (last_row)
        for (int x = 0; x < width; x++)
            out[x] = row[x] ^ row[x + 1];
    else
        for (int x = 0; x < width; x++)
            out[x] = (row[x] ^ row[x + 1]) | (row[x] ^ below[x]) | (row[x] ^ below[x + 1]);
    if (last_column)
        out[width - 1] = last_row ? 0 : row[width - 1] ^ below[width - 1];
}

/* The number of boundary pixels. */
static size_t mark_boundary(uint8_t *out, const shape *picture, const window *part, uint8_t *const rows[2])
{
    size_t n = 0;
    uint8_t *row = rows[0], *below = rows[1];
    load_row(row, picture, part, 0);
    for (int y = 0; y < part->height; y++, out += part->width) {
        load_row(below, picture, part, y + 1);
        mark_row(out, row, below, part->width, part->y + y == picture->height - 1,
                 part->x + part->width == picture->width);
        uint32_t n_row = 0;
        for (int x = 0; x < part->width; x++)
            n_row += out[x];
        n += n_row;
        uint8_t *const swap = row;
        row = below;
        below = swap;
    }
    return n;
}

static void measure_columns(uint16_t *distances, const uint8_t *map, int width, int height)
{
    const size_t w = (size_t)width;
    for (int y = 0; y < height; y++) {
        uint16_t *row = distances + (size_t)y * w;
        const uint16_t *above = row - (y ? w : 0);
        const uint8_t *marks = map + (size_t)y * w;
        for (size_t x = 0; x < w; x++) {
            const uint16_t next = y ? (uint16_t)(above[x] + (above[x] < FAR)) : FAR;
            row[x] = marks[x] ? 0 : next;
        }
    }
    for (int y = height - 2; y >= 0; y--) {
        uint16_t *row = distances + (size_t)y * w;
        const uint16_t *below = row + w;
        for (size_t x = 0; x < w; x++) {
            const uint16_t next = (uint16_t)(below[x] + (below[x] < FAR));
            row[x] = row[x] < next ? row[x] : next;
        }
    }
}

/* Whether the disc around pixel x of a row meets the boundary that the row's distances lead to. */
static int is_near(const uint16_t *row, int x, int width, const boundaries *lines)
{
    for (int k = 0; k < lines->n_reach; k++) {
        if ((k <= x && row[x - k] <= lines->reach[k]) || (k < width - x && row[x + k] <= lines->reach[k]))
            return 1;
    }
    return 0;
}

/* Pixels of boundary `map` that have a pixel of boundary `other` within the disc. */
static size_t count_near(const uint8_t *map, const uint8_t *other, const window *part, const boundaries *lines)
{
    size_t n = 0;
    measure_columns(lines->distances, other, part->width, part->height);
    for (int y = 0; y < part->height; y++) {
        const uint8_t *marks = map + (size_t)y * (size_t)part->width;
        const uint16_t *row = lines->distances + (size_t)y * (size_t)part->width;
        const uint8_t *mark = marks, *end = marks + part->width;
        while ((mark = memchr(mark, 1, (size_t)(end - mark))) != NULL)
            n += (size_t)is_near(row, (int)(mark++ - marks), part->width, lines);
    }
    return n;
}

trk_status mask_boundary_similarity(double *out, mask_scratch *scratch, const uint8_t *found, const uint8_t *truth,
                                    const uint8_t *ignore, int width, int height, double tolerance)
{
    window part;
    boundaries lines;
    trk_status rc = reserve(scratch, (size_t)width);
    if (rc < 0)
        return rc;
    *out = 1;
    if (!find_window(&part, scratch->bytes, found, truth, width, height))
        return TRK_OK;
    rc = lay_out(&lines, scratch, &part, disc_radius(tolerance, width, height));
    if (rc < 0)
        return rc;
    const size_t n_found = mark_boundary(lines.found, &(shape){found, ignore, width, height}, &part, lines.rows);
    const size_t n_truth = mark_boundary(lines.truth, &(shape){truth, ignore, width, height}, &part, lines.rows);
    if (!n_found || !n_truth) {
        *out = n_found == n_truth;
        return TRK_OK;
    }
    const double precision = (double)count_near(lines.found, lines.truth, &part, &lines) / (double)n_found;
    const double recall = (double)count_near(lines.truth, lines.found, &part, &lines) / (double)n_truth;
    *out = precision + recall > 0 ? 2 * precision * recall / (precision + recall) : 0;
    return TRK_OK;
}

/* First of the n frames in quarter i, which is also the last of quarter i - 1: i (n - 1) / 4, halves rounded up. DAVIS
 * keeps these numbers in a byte, which wraps in clips of more than 255 frames; ours do not wrap. */
static size_t quarter(size_t n, size_t i)
{
    return (i * (n - 1) + 2) / 4;
}

/* Mean of the scores numbered first .. last among those that count. */
static double mean_between(const double *scores, size_t n, size_t first, size_t last)
{
    double sum = 0;
    size_t counted = 0;
    for (size_t i = 0; i < n; i++) {
        if (isnan(scores[i]))
            continue;
        if (counted >= first && counted <= last)
            sum += scores[i];
        counted++;
    }
    return sum / (double)(last - first + 1);
}

score_summary score_summarize(const double *scores, size_t n)
{
    size_t counted = 0, above = 0;
    for (size_t i = 0; i < n; i++) {
        counted += !isnan(scores[i]);
        above += scores[i] > 0.5;
    }
    if (!counted)
        return (score_summary){NAN, NAN, NAN, 0};
    const double first = mean_between(scores, n, 0, quarter(counted, 1));
    const double last = mean_between(scores, n, quarter(counted, 3), counted - 1);
    return (score_summary){.mean = mean_between(scores, n, 0, counted - 1),
                           .recall = (double)above / (double)counted,
                           .decay = first - last,
                           .n_frames = counted};
}
