/* SPDX-License-Identifier: Apache-2.0
 * Cases of the operators that draw masks on pictures: mask_region, paint, copy_bytes.
 *
 * Bytes are compared as in storage.c: a run waits until they are written and spreads them over the output, one float
 * each. */
#include <string.h>

#include "kcheck.h"

typedef enum mask_kind {
    BLOTS,   /* of all sizes, anywhere */
    SPECKS,  /* pixels scattered */
    NOTHING,
    ONE_PIXEL,
    EVERYTHING,
    ONE_HOLE,
    CORNERS, /* blocks in two corners: the middle column of the box is empty */
    MASKS
} mask_kind;

static const char *const mask_names[MASKS] = {"blots", "specks", "nothing", "pixel", "everything", "hole", "corners"};

static int is_set(kcheck *k, mask_kind kind, int x, int y, int width, int height)
{
    switch (kind) {
    case BLOTS:
        return (x / 7 * 5 + y / 6 * 3) % 7 < 3 || (x > width / 3 && y > height / 3 && y < height - 4);
    case SPECKS:
        return kcheck_random(k) % 4 == 0;
    case ONE_PIXEL:
        return x == width * 2 / 3 && y == height / 2;
    case EVERYTHING:
        return 1;
    case ONE_HOLE:
        return x != width / 2 || y != height / 2;
    case CORNERS:
        return (x < width / 3 && y < height / 3) || (x >= width - width / 3 && y >= height - height / 3);
    default:
        return 0;
    }
}

/* [height, stride], bytes between rows are no mask */
static uint8_t *new_mask(kcheck *k, mask_kind kind, int width, int height, ptrdiff_t stride)
{
    uint8_t *mask = kcheck_bytes(k, (size_t)stride * (size_t)height), *view = kcheck_view(k, mask);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            view[y * stride + x] = (uint8_t)is_set(k, kind, x, y, width, height);
    kcheck_send(k, mask);
    return mask;
}

static void spread(trk_exec *x, trk_mat out, const void *bytes, size_t n)
{
    trk_exec_finish(x);
    for (size_t i = 0; i < n; i++)
        ((float *)out.data)[i] = ((const uint8_t *)bytes)[i];
}

/* ---- mask_region ---- */

typedef struct region_context {
    const uint8_t *mask;
    ptrdiff_t stride;
    int width, height, compared;
    trk_mask_region *region;
} region_context;

static void run_region(trk_exec *x, trk_mat out, const void *context)
{
    const region_context *c = context;
    TRK_RUN(x, mask_region, c->region, c->mask, c->stride, c->width, c->height);
    if (c->compared)
        spread(x, out, c->region, sizeof *c->region);
}

static void region_case(kcheck *k, mask_kind kind, int width, int height, int gap)
{
    if (!kcheck_case(k, FILL_UNIFORM, "bytes", "%dx%d %s gap%d", width, height, mask_names[kind], gap))
        return;
    const region_context c = {new_mask(k, kind, width, height, width + gap), width + gap, width, height,
                              !kcheck_is_bench(k), (trk_mask_region *)(void *)kcheck_bytes(k, sizeof(trk_mask_region))};
    kcheck_run(k, kcheck_shape(1, (int)sizeof(trk_mask_region), 0, TRK_F32), run_region, &c, KCHECK_EXACT, 0);
}

static const int sizes[][2] = {{1, 1}, {1, 40}, {40, 1}, {3, 5}, {31, 33}, {32, 64}, {67, 50}, {100, 300}, {333, 71}};
static const int models[][2] = {{1920, 1080}, {854, 480}};

void check_mask_region(kcheck *k)
{
    for (int i = 0; i < KCHECK_OF(models) && kcheck_is_bench(k); i++)
        region_case(k, BLOTS, models[i][0], models[i][1], 0);
    for (int i = 0; i < KCHECK_OF(sizes) && !kcheck_is_bench(k); i++)
        for (int kind = 0; kind < MASKS; kind++)
            region_case(k, (mask_kind)kind, sizes[i][0], sizes[i][1], kind % 3);
}

/* ---- paint ---- */

typedef struct paint_context {
    trk_painting painting;
    uint8_t *rgb, *start; /* [bytes]; start: what it is before; NULL with --bench */
    size_t bytes;
    ptrdiff_t stride;
} paint_context;

static void run_paint(trk_exec *x, trk_mat out, const void *context)
{
    const paint_context *c = context;
    const trk_painting *p = &c->painting;
    if (c->start)
        memcpy(c->rgb, c->start, c->bytes);
    TRK_RUN(x, mask_region, (trk_mask_region *)(uintptr_t)p->region, p->mask, p->mask_stride, p->width, p->height);
    TRK_RUN(x, paint, c->rgb, c->stride, p);
    if (c->start)
        spread(x, out, c->rgb, c->bytes);
}

static void paint_case(kcheck *k, mask_kind kind, const int size[2], int line_width, int percent, int gap)
{
    const int width = size[0], height = size[1];
    if (!kcheck_case(k, FILL_UNIFORM, "bytes", "%dx%d %s line%d fill%d gap%d", width, height, mask_names[kind],
                     line_width, percent, gap))
        return;
    paint_context c = {.stride = 3 * (ptrdiff_t)width + gap};
    c.bytes = (size_t)c.stride * (size_t)height;
    c.rgb = kcheck_bytes(k, c.bytes);
    c.start = kcheck_is_bench(k) ? NULL : kcheck_bytes(k, c.bytes);
    c.painting = (trk_painting){.mask = new_mask(k, kind, width, height, width + gap),
                                .mask_stride = width + gap,
                                .width = width,
                                .height = height,
                                .region = (trk_mask_region *)(void *)kcheck_bytes(k, sizeof(trk_mask_region)),
                                .colour = {(uint8_t)kcheck_random(k), 255, (uint8_t)kcheck_random(k)},
                                .line_width = line_width,
                                .fill_percent = percent};
    const int n = kcheck_is_bench(k) ? 1 : (int)c.bytes;
    kcheck_run(k, kcheck_shape(1, n, 0, TRK_F32), run_paint, &c, KCHECK_EXACT, 0);
}

void check_paint(kcheck *k)
{
    static const int lines[] = {0, 1, 2, 5, 33, 400}, percents[] = {0, 45, 100};
    for (int i = 0; i < KCHECK_OF(models) && kcheck_is_bench(k); i++)
        paint_case(k, BLOTS, models[i], i ? 2 : 5, 45, 0);
    for (int i = 0; i < KCHECK_OF(sizes) && !kcheck_is_bench(k); i++)
        for (int kind = 0; kind < MASKS; kind++)
            for (int l = 0; l < KCHECK_OF(lines); l++) {
                if (lines[l] > 5 && sizes[i][0] * sizes[i][1] > 4000)
                    continue; /* the reference looks at whole squares */
                paint_case(k, (mask_kind)kind, sizes[i], lines[l], percents[(i + kind + l) % 3], (kind + l) % 3);
            }
}

/* ---- copy_bytes ---- */

typedef struct copy_context {
    const uint8_t *from;
    uint8_t *to; /* [n + 1] */
    size_t n;
    int compared;
} copy_context;

static void run_copy(trk_exec *x, trk_mat out, const void *context)
{
    const copy_context *c = context;
    if (c->compared)
        memset(c->to, 0xa5, c->n + 1);
    TRK_RUN(x, copy_bytes, c->to, c->from, c->n);
    if (c->compared)
        spread(x, out, c->to, c->n + 1);
}

static void copy_case(kcheck *k, int n)
{
    if (!kcheck_case(k, FILL_UNIFORM, "bytes", "%d", n))
        return;
    const copy_context c = {kcheck_bytes(k, (size_t)n), kcheck_bytes(k, (size_t)n + 1), (size_t)n,
                            !kcheck_is_bench(k)};
    kcheck_run(k, kcheck_shape(1, n + 1, 0, TRK_F32), run_copy, &c, KCHECK_EXACT, 0);
}

void check_copy_bytes(kcheck *k)
{
    static const int counts[] = {0, 1, 3, 64, 1000, 65537};
    for (int i = 0; i < KCHECK_OF(counts) && !kcheck_is_bench(k); i++)
        copy_case(k, counts[i]);
    if (kcheck_is_bench(k))
        copy_case(k, 3 * 1920 * 1080);
}
