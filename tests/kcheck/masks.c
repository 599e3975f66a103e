/* SPDX-License-Identifier: Apache-2.0
 * Cases of the decisions about masks: fill_holes, select_mask. */
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

static void select_case(kcheck *k, int n, int d, int multimask, int stability, int ties, float score, int spread)
{
    if (!kcheck_case(k, FILL_UNIFORM, "f32", "n%d d%d multimask%d stability%d ties%d score%g spread%d", n, d, multimask,
                     stability, ties, (double)score, spread))
        return;
    float *ious = kcheck_floats(k, 4, 0, 1), *scores = kcheck_floats(k, 1, score, score), *view = kcheck_view(k, ious);
    if (ties)
        view[1] = view[2] = view[3];
    kcheck_send(k, ious);
    /* spread 1: half of hypothesis 0 lies within the stability delta, so it is unstable; 1000: hardly any does */
    const float range = 0.1f * (float)spread;
    const select_context c = {{.masks = kcheck_uniform(k, 4, n, TRK_F32, -range, range),
                               .tokens = kcheck_uniform(k, 4, d, TRK_F32, -1, 1),
                               .ious = ious,
                               .score = scores,
                               .multimask = multimask,
                               .stability = stability,
                               .stability_delta = 0.05f,
                               .stability_threshold = 0.98f}};
    kcheck_run(k, kcheck_shape(1, n + d + 3, 0, TRK_F32), run_select, &c, KCHECK_EXACT, 0);
}

void check_select_mask(kcheck *k)
{
    static const int sizes[][2] = {{1, 1}, {17, 3}, {4096, 96}, {65536, 256}};
    static const float scores[] = {2, 0, -1};
    static const int spreads[] = {0, 1, 1000}; /* 0: all logits 0, nothing above -delta is missing */
    if (kcheck_is_bench(k)) {
        select_case(k, 65536, 256, 0, 1, 0, 2, 1000);
        select_case(k, 65536, 256, 1, 0, 0, -2, 1000);
        return;
    }
    for (int i = 0; i < KCHECK_OF(sizes); i++)
        for (int flags = 0; flags < 8; flags++)
            for (int s = 0; s < KCHECK_OF(scores); s++)
                for (int r = 0; r < KCHECK_OF(spreads); r++)
                    if (s == 0 || sizes[i][0] < 65536 || !kcheck_is_emulated(k))
                        select_case(k, sizes[i][0], sizes[i][1], flags & 1, flags >> 1 & 1, flags >> 2, scores[s],
                                    spreads[r]);
}
