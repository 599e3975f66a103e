/* SPDX-License-Identifier: Apache-2.0
 * Cases of the operators over maps: maxpool2x2, add_upsampled2x, depth_to_space2x, resize_bilinear. */
#include <stdio.h>

#include "kcheck.h"

static const trk_dtype type_pairs[][2] = {
    {TRK_F32, TRK_F32}, {TRK_BF16, TRK_BF16}, {TRK_BF16, TRK_F32}, {TRK_F32, TRK_BF16}}; /* in, out */

static const int map_shapes[][3] = {{2, 2, 1},  {2, 4, 3},    {6, 2, 16},   {4, 10, 17}, {2, 2, 1025},
                                    {8, 6, 32}, {16, 16, 96}, {12, 14, 31}, {40, 40, 33}}; /* h, w, channels */

typedef struct map_context {
    trk_mat in, addend;
    int h, w;
    trk_act act;
} map_context;

static const char *types_text(const trk_dtype pair[2])
{
    static char text[16];
    snprintf(text, sizeof text, "%s %s", kcheck_dtype(pair[0]), kcheck_dtype(pair[1]));
    return text;
}

static void run_maxpool(trk_exec *x, trk_mat out, const void *context)
{
    const map_context *c = context;
    TRK_RUN(x, maxpool2x2, out, c->in, c->h, c->w);
}

static void maxpool_case(kcheck *k, kcheck_fill fill, const trk_dtype types[2], const int s[3])
{
    if (!kcheck_case(k, fill, types_text(types), "%dx%dx%d", s[0], s[1], s[2]))
        return;
    const map_context c = {.in = kcheck_input(k, s[0] * s[1], s[2], 3, types[0]), .h = s[0], .w = s[1]};
    kcheck_run(k, kcheck_shape(s[0] * s[1] / 4, s[2], 1, types[1]), run_maxpool, &c, KCHECK_EXACT, 0);
}

void check_maxpool2x2(kcheck *k)
{
    static const int models[][3] = {{256, 256, 192}, {128, 128, 384}, {64, 64, 64}};
    for (int i = 0; i < KCHECK_OF(models) && kcheck_is_bench(k); i++)
        maxpool_case(k, FILL_UNIFORM, type_pairs[0], models[i]);
    for (int i = 0; i < KCHECK_OF(map_shapes) && !kcheck_is_bench(k); i++)
        for (int t = 0; t < KCHECK_OF(type_pairs); t++)
            for (int fill = 0; fill <= FILL_NAN; fill++)
                maxpool_case(k, (kcheck_fill)fill, type_pairs[t], map_shapes[i]);
}

static void run_upsampled(trk_exec *x, trk_mat out, const void *context)
{
    const map_context *c = context;
    TRK_RUN(x, add_upsampled2x, out, c->in, c->h, c->w);
}

static void upsampled_case(kcheck *k, kcheck_fill fill, const trk_dtype types[2], const int s[3])
{
    if (kcheck_has_enough(k, fill, 4.0 * s[0] * s[1] * s[2]) ||
        !kcheck_case(k, fill, types_text(types), "%dx%dx%d", s[0], s[1], s[2]))
        return;
    const map_context c = {.in = kcheck_input(k, s[0] * s[1], s[2], 3, types[0]), .h = s[0], .w = s[1]};
    kcheck_run(k, kcheck_input(k, 4 * s[0] * s[1], s[2], 1, types[1]), run_upsampled, &c, KCHECK_EXACT, 0);
}

void check_add_upsampled2x(kcheck *k)
{
    static const int models[][3] = {{32, 32, 256}, {8, 8, 96}};
    for (int i = 0; i < KCHECK_OF(models) && kcheck_is_bench(k); i++)
        upsampled_case(k, FILL_UNIFORM, type_pairs[0], models[i]);
    for (int i = 0; i < KCHECK_OF(map_shapes) && !kcheck_is_bench(k); i++)
        for (int t = 0; t < KCHECK_OF(type_pairs); t++)
            for (int fill = 0; fill < FILLS; fill++)
                upsampled_case(k, (kcheck_fill)fill, type_pairs[t], map_shapes[i]);
}

static void run_depth_to_space(trk_exec *x, trk_mat out, const void *context)
{
    const map_context *c = context;
    TRK_RUN(x, depth_to_space2x, out, c->in, c->h, c->w, c->addend, c->act);
}

/* addend: 0 none, 1 of the output's type, 2 f32, 3 f32 and shared by two images */
static void depth_case(kcheck *k, kcheck_fill fill, const trk_dtype types[2], const int s[3], int addend, trk_act act)
{
    if (kcheck_has_enough(k, fill, 4.0 * s[0] * s[1] * s[2]) ||
        !kcheck_case(k, fill, types_text(types), "%dx%dx%d addend%d act%d", s[0], s[1], s[2], addend, (int)act))
        return;
    map_context c = {.in = kcheck_input(k, s[0] * s[1], 4 * s[2], 3, types[0]), .h = s[0], .w = s[1], .act = act};
    if (addend)
        c.addend = kcheck_input(k, 4 * s[0] * s[1] / (addend == 3 ? 2 : 1), s[2], 2,
                                addend == 1 ? types[1] : TRK_F32);
    kcheck_run(k, kcheck_shape(4 * s[0] * s[1], s[2], 1, types[1]), run_depth_to_space, &c, KCHECK_F32, 0);
}

void check_depth_to_space2x(kcheck *k)
{
    static const int models[][3] = {{64, 64, 64}, {128, 128, 32}, {16, 16, 24}, {32, 32, 12}};
    for (int i = 0; i < KCHECK_OF(models) && kcheck_is_bench(k); i++)
        for (int act = 0; act <= TRK_ACT_GELU; act += TRK_ACT_GELU)
            depth_case(k, FILL_UNIFORM, type_pairs[0], models[i], 1, (trk_act)act);
    for (int i = 0; i < KCHECK_OF(map_shapes) && !kcheck_is_bench(k); i++)
        for (int t = 0; t < KCHECK_OF(type_pairs); t++)
            for (int fill = 0; fill < FILLS; fill++)
                for (int addend = 0; addend < 4; addend++)
                    depth_case(k, (kcheck_fill)fill, type_pairs[t], map_shapes[i], addend,
                               (trk_act)((fill + addend) % 4));
}

typedef struct resize_context {
    trk_mat in;
    int antialias;
} resize_context;

static void run_resize(trk_exec *x, trk_mat out, const void *context)
{
    const resize_context *c = context;
    TRK_RUN(x, resize_bilinear, out, c->in, c->antialias);
}

static void resize_case(kcheck *k, kcheck_fill fill, const int s[4], int antialias)
{
    if (!kcheck_case(k, fill, "f32 f32", "%dx%d->%dx%d%s", s[0], s[1], s[2], s[3], antialias ? " antialias" : ""))
        return;
    const resize_context c = {kcheck_input(k, s[0], s[1], 3, TRK_F32), antialias};
    kcheck_run(k, kcheck_shape(s[2], s[3], 2, TRK_F32), run_resize, &c, KCHECK_F32, 0);
}

void check_resize_bilinear(kcheck *k)
{
    static const int shapes[][4] = {{1, 1, 1, 1},       {1, 1, 5, 7},     {5, 7, 1, 1},        {8, 8, 8, 8},
                                    {16, 16, 64, 64},   {64, 64, 16, 16}, {33, 17, 41, 90},    {90, 41, 17, 33},
                                    {64, 64, 270, 480}, {100, 3, 3, 100}, {256, 256, 300, 517}};
    static const int models[][4] = {
        {256, 256, 1024, 1024}, {256, 256, 1080, 1920}, {64, 64, 256, 256}, {64, 64, 480, 480}};
    for (int i = 0; i < KCHECK_OF(models) && kcheck_is_bench(k); i++)
        resize_case(k, FILL_UNIFORM, models[i], 0);
    for (int i = 0; i < KCHECK_OF(shapes) && !kcheck_is_bench(k); i++)
        for (int fill = 0; fill < FILLS; fill++)
            for (int antialias = 0; antialias < 2; antialias++)
                resize_case(k, (kcheck_fill)fill, shapes[i], antialias);
}
