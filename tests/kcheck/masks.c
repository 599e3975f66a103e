/* SPDX-License-Identifier: Apache-2.0
 * Cases of the decisions about masks: fill_holes, select_mask, mask_boxes. */
#include <math.h>

#include "kcheck.h"

typedef struct holes_context {
    int max_area;
} holes_context;

static void run_holes(trk_exec *x, trk_mat out, const void *context)
{
    const holes_context *c = context;
    TRK_RUN(x, fill_holes, out, c->max_area);
}

/* density: of each 100 pixels so many are background, scattered; or, from 100 on, in blots. */
static void holes_case(kcheck *k, int h, int w, int max_area, int density, trk_dtype dtype)
{
    if (!kcheck_case(k, FILL_UNIFORM, kcheck_dtype(dtype), "%dx%d area%d density%d", h, w, max_area, density))
        return;
    const holes_context c = {max_area};
    const trk_mat mask = kcheck_input(k, h, w, dtype == TRK_F32 ? 5 : 0, dtype);
    void *view = kcheck_view(k, mask.data);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            const int blot = (x / 3 * 7 + y / 2 * 13) % 11 < 3 && kcheck_random(k) % 100 < (uint32_t)density - 20;
            const int background = density >= 100 ? blot : kcheck_random(k) % 100 < (uint32_t)density;
            const uint32_t bits = background ? kcheck_random(k) % 4 ? 0xbf800000u : 0 : 0x3f800000u; /* -1, 0, 1 */
            if (dtype == TRK_F32)
                ((uint32_t *)view)[y * mask.stride + x] = bits;
            else
                ((uint16_t *)view)[y * mask.stride + x] = (uint16_t)(bits >> 16);
        }
    kcheck_send(k, mask.data);
    kcheck_run(k, mask, run_holes, &c, KCHECK_EXACT, 0);
}

void check_fill_holes(kcheck *k)
{
    static const int sizes[][2] = {{1, 1}, {1, 9}, {9, 1}, {3, 3}, {16, 16}, {31, 47}, {256, 256}};
    static const int areas[] = {0, 1, 2, 8, 50, 1 << 30}, densities[] = {0, 5, 30, 45, 70, 100, 120};
    if (kcheck_is_bench(k)) {
        holes_case(k, 256, 256, 8, 5, TRK_F32);
        holes_case(k, 256, 256, 8, 45, TRK_F32);
        holes_case(k, 64, 64, 8, 45, TRK_F32);
        return;
    }
    for (int i = 0; i < KCHECK_OF(sizes); i++)
        for (int a = 0; a < KCHECK_OF(areas); a++)
            for (int d = 0; d < KCHECK_OF(densities); d++)
                for (int dtype = 0; dtype < 2; dtype++)
                    if (areas[a] == 8 || sizes[i][0] < 256 || !kcheck_is_emulated(k))
                        holes_case(k, sizes[i][0], sizes[i][1], areas[a], densities[d], (trk_dtype)dtype);
}

/* The three outputs share one row: mask [n] | token [d] | info [3]. */
typedef struct select_context {
    trk_mask_choice choice;
} select_context;

static trk_mat part(trk_mat row, int first, int cols)
{
    row.data = (float *)row.data + first;
    row.cols = cols;
    row.stride = cols;
    return row;
}

static void run_select(trk_exec *x, trk_mat out, const void *context)
{
    const trk_mask_choice *c = &((const select_context *)context)->choice;
    const int n = c->masks.cols, d = c->tokens.cols;
    TRK_RUN(x, select_mask, part(out, 0, n), part(out, n, d), (float *)out.data + n + d, c);
}

/* What decides; chosen 0: none. spread 1: half of hypothesis 0 lies within the stability delta, so it is unstable;
 * 1000: hardly any does. */
typedef struct select_flags {
    int multimask, stability, ties, chosen, spread;
    float score, present_above;
} select_flags;

static void select_case(kcheck *k, const int size[2], select_flags f)
{
    const int n = size[0], d = size[1];
    if (!kcheck_case(k, FILL_UNIFORM, "f32", "n%d d%d multimask%d stability%d ties%d score%g above%g spread%d chosen%d",
                     n, d, f.multimask, f.stability, f.ties, (double)f.score, (double)f.present_above, f.spread,
                     f.chosen))
        return;
    float *ious = kcheck_floats(k, 4, 0, 1), *view = kcheck_view(k, ious);
    if (f.ties)
        view[1] = view[2] = view[3];
    kcheck_send(k, ious);
    const float range = 0.1f * (float)f.spread, chosen = (float)f.chosen;
    const select_context c = {{.masks = kcheck_uniform(k, 4, n, TRK_F32, -range, range),
                               .tokens = kcheck_uniform(k, 4, d, TRK_F32, -1, 1),
                               .ious = ious,
                               .score = kcheck_floats(k, 1, f.score, f.score),
                               .chosen = f.chosen ? kcheck_floats(k, 1, chosen, chosen) : NULL,
                               .present_above = f.present_above,
                               .multimask = f.multimask,
                               .stability = f.stability,
                               .stability_delta = 0.05f,
                               .stability_threshold = 0.98f}};
    kcheck_run(k, kcheck_shape(1, n + d + 3, 0, TRK_F32), run_select, &c, KCHECK_EXACT, 0);
}

static const int select_sizes[][2] = {{1, 1}, {17, 3}, {4096, 96}, {65536, 256}};

/* The hypothesis by IoU, every way, and a choice from outside, which counts with multimask only. */
static void select_cases(kcheck *k, const int size[2], float score, float present_above)
{
    static const int spreads[] = {0, 1, 1000}; /* 0: all logits 0, nothing above -delta is missing */
    for (int r = 0; r < KCHECK_OF(spreads); r++)
        for (int flags = 0; flags < 8 && (spreads[r] == 1 || present_above == 0); flags++)
            select_case(k, size, (select_flags){.multimask = flags & 1, .stability = flags >> 1 & 1, .ties = flags >> 2,
                                                .spread = spreads[r], .score = score, .present_above = present_above});
    for (int chosen = 1; chosen <= 3; chosen++)
        for (int multimask = 0; multimask < 2; multimask++)
            select_case(k, size, (select_flags){.multimask = multimask, .stability = !multimask, .chosen = chosen,
                                                .spread = 1, .score = score, .present_above = present_above});
}

void check_select_mask(kcheck *k)
{
    static const float scores[][2] = {{2, 0},   {0, 0},      {-1, 0},    {-2, -1},
                                      {-1, -1}, {-0.5f, -1}, {0.5f, -1}, {NAN, 0}}; /* and what present is above */
    if (kcheck_is_bench(k)) {
        select_case(k, select_sizes[3], (select_flags){.stability = 1, .spread = 1000, .score = 2});
        select_case(k, select_sizes[3], (select_flags){.multimask = 1, .spread = 1000, .score = -2});
        return;
    }
    for (int i = 0; i < KCHECK_OF(select_sizes); i++)
        for (int s = 0; s < KCHECK_OF(scores); s++)
            if (s == 0 || select_sizes[i][0] < 65536 || !kcheck_is_emulated(k))
                select_cases(k, select_sizes[i], scores[s][0], scores[s][1]);
}

/* ---- mask_boxes ----
 * Samples are whole 64ths, few bits more than the weights: every sum is exact in f32, too, so whether an element is
 * above 0 is no matter of rounding, and boxes are the same to the last one. */

typedef enum plane_kind {
    BELOW,      /* everything below 0 */
    ZERO,       /* everything 0, which is not above */
    ABOVE,      /* everything above */
    NOISE,      /* around 0, with zeros */
    SPARSE,     /* below, a sample of a hundred above */
    STRONG_DOT, /* one sample far above; in a corner, the middle or at an edge, as the number of the plane says */
    WEAK_DOT,   /* one sample a little above, all others far below: resized, only in a corner there is one above */
    BLOB,       /* round, likewise */
    LINE,       /* one row or column */
    NAN_NOISE,  /* with NaN and infinities strewn in */
    NAN_BLOB,   /* with NaN at its rim */
    PLANE_KINDS
} plane_kind;

static const char *const plane_names[PLANE_KINDS] = {"below",    "zero", "above", "noise",     "sparse",  "strong_dot",
                                                     "weak_dot", "blob", "line",  "nan_noise", "nan_blob"};

/* Of a plane's dot or blob, 0 .. side - 1: corners, middle, edges, in turn. */
static int place_of(int plane, int axis, int side)
{
    static const int places[][2] = {{0, 0}, {2, 2}, {1, 1}, {2, 0}, {0, 2}, {1, 0}, {2, 1}, {1, 2}, {0, 1}};
    const int third = places[plane % KCHECK_OF(places)][axis];
    return third == 0 ? 0 : third == 1 ? side / 2 : side - 1;
}

static float in_64ths(float v)
{
    return rintf(v * 64) / 64;
}

static float noise(kcheck *k, float low, float high)
{
    return in_64ths(low + (high - low) * (float)(kcheck_random(k) >> 8) * 0x1p-24f);
}

/* Above 0 within a third of the side. */
static float blob_at(int side, float x, float y)
{
    const float third = (float)side / 3, square = (x * x + y * y) / (third * third);
    return in_64ths(fmaxf(1 - square, -8));
}

static float nan_noise(kcheck *k)
{
    static const float specials[] = {NAN, INFINITY, -INFINITY, NAN};
    return kcheck_random(k) % 16 ? noise(k, -2, 0.25f) : specials[kcheck_random(k) % 4];
}

static float sample_at(kcheck *k, plane_kind kind, int plane, int side, int x, int y)
{
    const int dx = x - place_of(plane, 0, side), dy = y - place_of(plane, 1, side), dot = dx == 0 && dy == 0;
    const float blob = blob_at(side, (float)dx, (float)dy);
    switch (kind) {
    case ZERO:
        return 0;
    case ABOVE:
        return noise(k, 1.0f / 64, 2);
    case NOISE:
        return noise(k, -0.25f, 0.25f);
    case SPARSE:
        return kcheck_random(k) % 100 ? noise(k, -2, -1.0f / 64) : noise(k, 0.5f, 4);
    case STRONG_DOT:
        return dot ? 12 : noise(k, -1, -0.5f);
    case WEAK_DOT:
        return dot ? 1.0f / 64 : noise(k, -12, -8);
    case BLOB:
        return blob;
    case LINE:
        return (plane % 2 ? dx : dy) == 0 ? noise(k, 0.5f, 3) : noise(k, -2, -0.5f);
    case NAN_NOISE:
        return nan_noise(k);
    case NAN_BLOB:
        return fabsf(blob) < 0.25f && kcheck_random(k) % 2 ? NAN : blob;
    default:
        return noise(k, -4, -1.0f / 64);
    }
}

typedef struct boxes_context {
    trk_mat planes;
    int side, scale;
} boxes_context;

static void run_boxes(trk_exec *x, trk_mat out, const void *context)
{
    const boxes_context *c = context;
    TRK_RUN(x, mask_boxes, out.data, c->planes, c->side, c->scale);
}

static void boxes_case(kcheck *k, plane_kind kind, int planes, int side, int scale, int extra)
{
    if (!kcheck_case(k, FILL_UNIFORM, "f32", "%dx%dx%d scale%d %s s%d", planes, side, side, scale, plane_names[kind],
                     extra))
        return;
    const boxes_context c = {kcheck_input(k, planes, side * side, extra, TRK_F32), side, scale};
    float *view = kcheck_view(k, c.planes.data);
    for (int p = 0; p < planes; p++)
        for (int i = 0; i < side * side; i++)
            view[p * c.planes.stride + i] = sample_at(k, kind, p, side, i % side, i / side);
    kcheck_send(k, c.planes.data);
    kcheck_run(k, kcheck_shape(1, 4 * planes, 0, TRK_F32), run_boxes, &c, KCHECK_EXACT, 0);
}

static void boxes_bench(kcheck *k)
{
    static const plane_kind kinds[] = {BLOB, BELOW, NOISE, LINE};
    for (int i = 0; i < KCHECK_OF(kinds); i++)
        for (int side = 64; side <= 256; side *= 4)
            boxes_case(k, kinds[i], 3, side, 4, 0);
}

void check_mask_boxes(kcheck *k)
{
    static const int sides[] = {1, 2, 7, 16, 64, 256}, scales[] = {1, 2, 4};
    if (kcheck_is_bench(k)) {
        boxes_bench(k);
        return;
    }
    boxes_case(k, NOISE, 0, 16, 4, 0);
    for (int i = 0; i < KCHECK_OF(sides); i++)
        for (int s = 0; s < KCHECK_OF(scales); s++)
            for (int kind = 0; kind < PLANE_KINDS; kind++) {
                const int planes = sides[i] < (kcheck_is_emulated(k) ? 64 : 256) ? 9 : 3;
                if (sides[i] < 256 || (scales[s] == 4 && (kind == BLOB || !kcheck_is_emulated(k))))
                    boxes_case(k, (plane_kind)kind, planes, sides[i], scales[s], 5 * (kind % 2));
            }
}
