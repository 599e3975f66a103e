/* SPDX-License-Identifier: Apache-2.0
 * Cases of linear, conv2d and matmul_nt. A product's error is measured against |row of in| * |row of weights|, the
 * largest its exact value could be: rounding errors scale with the terms, not with what is left of them. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "kcheck.h"

static const trk_dtype type_pairs[][2] = {
    {TRK_F32, TRK_F32}, {TRK_BF16, TRK_BF16}, {TRK_BF16, TRK_F32}, {TRK_F32, TRK_BF16}}; /* in, out */

static const char *types_text(const trk_dtype pair[2])
{
    static char text[16];
    snprintf(text, sizeof text, "%s %s", kcheck_dtype(pair[0]), kcheck_dtype(pair[1]));
    return text;
}

/* ---- linear ---- */

typedef struct linear_context {
    trk_mat in;
    const trk_linear *layer;
    trk_epilogue epilogue;
} linear_context;

static void run_linear(trk_exec *x, trk_mat out, const void *context)
{
    const linear_context *c = context;
    TRK_RUN(x, linear, out, c->in, c->layer, c->epilogue);
}

static const char *const act_names[] = {"", " relu", " gelu", " sigmoid"};

/* oneDNN 3 (3.7.2) says of the GELU of an infinity that it is no number, 2 (2.6.3) that of plus infinity is one. */
static int gelu_loses_infinity(kcheck *k, trk_act act)
{
    return act == TRK_ACT_GELU && trk_backend_on_host(kcheck_backend(k)) && strstr(trk_backend_describe(), "oneDNN 3");
}

static void linear_case(kcheck *k, kcheck_fill fill, const trk_dtype types[2], const int shape[3],
                        trk_epilogue epilogue, int extra)
{
    if (!kcheck_case(k, fill, types_text(types), "%dx%d->%d%s%s s%d", shape[0], shape[1], shape[2],
                     act_names[epilogue.act], epilogue.accumulate ? " acc" : "", extra))
        return;
    const linear_context c = {kcheck_input(k, shape[0], shape[1], extra, types[0]),
                              kcheck_linear(k, shape[1], shape[2], extra == 0), epilogue};
    trk_mat out = kcheck_shape(shape[0], shape[2], extra, types[1]);
    if (epilogue.accumulate)
        out = kcheck_input(k, shape[0], shape[2], extra, types[1]);
    const trk_mat weights = {
        .data = (void *)(uintptr_t)c.layer->weight, .rows = shape[2], .cols = shape[1], .stride = shape[1]};
    kcheck_bound bound = KCHECK_F32;
    /* bias and a saturated act are of order one */
    bound.scale = kcheck_row_norm(k, c.in) * kcheck_row_norm(k, weights) + 2;
    bound.nan_for_infinity = gelu_loses_infinity(k, epilogue.act);
    if (epilogue.accumulate && fill == FILL_OFFSET)
        bound.scale += 1000;
    if (fill == FILL_OFFSET) /* the terms are a thousand times what is left of them */
        bound.nmse = 1e-10;
    kcheck_run(k, out, run_linear, &c, bound, 2.0 * shape[0] * shape[1] * shape[2]);
}

static void bench_linear(kcheck *k)
{
    static const struct {
        int shape[3];
        trk_act act;
        int accumulate;
    } shapes[] = {
        {{65536, 96, 288}, 0, 0},
        {{65536, 96, 96}, 0, 0},
        {{65536, 96, 96}, 0, 1},
        {{65536, 96, 384}, TRK_ACT_GELU, 0},
        {{65536, 384, 96}, 0, 1},
        {{16384, 192, 576}, 0, 0},
        {{16384, 192, 768}, TRK_ACT_GELU, 0},
        {{4096, 384, 1152}, 0, 0},
        {{4096, 384, 1536}, TRK_ACT_GELU, 0},
        {{4096, 1536, 384}, 0, 1},
        {{1024, 768, 3072}, TRK_ACT_GELU, 0},
        {{4096, 256, 256}, 0, 0},
        {{28672, 64, 256}, 0, 0},
        {{4096, 256, 2048}, TRK_ACT_RELU, 0},
        {{4096, 2048, 256}, 0, 1},
        {{8, 256, 256}, 0, 0},
        {{8, 256, 2048}, TRK_ACT_RELU, 0},
        {{1, 256, 4}, TRK_ACT_SIGMOID, 0},
        {{4096, 32, 96}, 0, 0},
        {{256, 96, 96}, 0, 0},
        {{256, 96, 256}, TRK_ACT_RELU, 0},
    };
    for (int i = 0; i < KCHECK_OF(shapes); i++)
        for (int t = 0; t < 3; t++)
            if (!shapes[i].accumulate || type_pairs[t][1] == TRK_F32)
                linear_case(k, FILL_UNIFORM, type_pairs[t], shapes[i].shape,
                            (trk_epilogue){shapes[i].act, shapes[i].accumulate}, 0);
}

void check_linear(kcheck *k)
{
    /* rows, in, out: ones, odd, around the vector and panel widths, the models' widths with fewer rows */
    static const int shapes[][3] = {{1, 1, 1},     {1, 256, 4},   {3, 5, 7},      {2, 33, 1},
                                    {17, 31, 33},  {5, 64, 63},   {64, 64, 64},   {65, 63, 65},
                                    {4, 16, 32},   {8, 256, 256}, {100, 96, 288}, {50, 384, 96},
                                    {40, 64, 256}, {300, 32, 96}, {33, 768, 100}, {0, 8, 8}};
    if (kcheck_is_bench(k)) {
        bench_linear(k);
        return;
    }
    for (int i = 0; i < KCHECK_OF(shapes); i++)
        for (int t = 0; t < KCHECK_OF(type_pairs); t++)
            for (int e = 0; e < 6; e++) {
                const trk_epilogue epilogues[] = {{TRK_ACT_NONE, 0},    {TRK_ACT_RELU, 0}, {TRK_ACT_GELU, 0},
                                                  {TRK_ACT_SIGMOID, 0}, {TRK_ACT_NONE, 1}, {TRK_ACT_RELU, 1}};
                if (epilogues[e].accumulate && type_pairs[t][1] != TRK_F32)
                    continue;
                linear_case(k, (kcheck_fill)((i + e) % FILLS), type_pairs[t], shapes[i], epilogues[e], 0);
                linear_case(k, FILL_UNIFORM, type_pairs[t], shapes[i], epilogues[e], 1 + (i + e) % 9);
            }
    static const int wide[3] = {1025, 256, 128}; /* the CPU backend cuts it into strips */
    for (int fill = 0; fill <= FILL_NAN; fill++)
        for (int t = 0; t < 2; t++)
            linear_case(k, (kcheck_fill)fill, type_pairs[t], wide,
                        (trk_epilogue){(trk_act)((fill + t) % 4), (fill + t) % 4 == TRK_ACT_NONE && t == 0}, 0);
    static const int long_rows[3] = {1500, 64, 96};
    linear_case(k, FILL_UNIFORM, type_pairs[0], long_rows, (trk_epilogue){TRK_ACT_GELU, 0}, 0);
    linear_case(k, FILL_UNIFORM, type_pairs[0], long_rows, (trk_epilogue){TRK_ACT_NONE, 1}, 0);
    static const int narrow[3] = {20, 32, 48};
    for (int t = 0; t < KCHECK_OF(type_pairs); t++)
        for (int act = 0; act < 4; act++)
            linear_case(k, FILL_NAN, type_pairs[t], narrow, (trk_epilogue){(trk_act)act, 0}, t);
    linear_case(k, FILL_NAN, type_pairs[0], narrow, (trk_epilogue){TRK_ACT_RELU, 1}, 0);
}

/* ---- conv2d ---- */

typedef struct conv_context {
    trk_mat in;
    int h, w;
    const trk_conv *layer;
    trk_act act;
} conv_context;

static void run_conv(trk_exec *x, trk_mat out, const void *context)
{
    const conv_context *c = context;
    TRK_RUN(x, conv2d, out, c->in, c->h, c->w, c->layer, c->act);
}

typedef struct conv_shape {
    int h, w, in, out, kernel, stride, padding, groups;
} conv_shape;

/* Processors multiply bf16 in pairs of channels. oneDNN (2.6.3, avx512_bf16) completes an odd number of them by what lies
 * next, times zero: finite numbers vanish, the NaN of another pixel does not. */
static int reads_beside(kcheck *k, const conv_shape *s)
{
    const trk_backend *b = kcheck_backend(k);
    return trk_backend_on_host(b) && trk_backend_activation(b) == TRK_BF16 && s->groups == 1 && s->in % 2;
}

static void conv_case(kcheck *k, kcheck_fill fill, const trk_dtype types[2], const conv_shape *s, trk_act act,
                      int extra)
{
    if (!kcheck_case(k, fill, types_text(types), "%dx%d %d->%d k%d s%d p%d g%d%s s%d", s->h, s->w, s->in, s->out,
                     s->kernel, s->stride, s->padding, s->groups, act_names[act], extra))
        return;
    const int out_h = (s->h + 2 * s->padding - s->kernel) / s->stride + 1;
    const int out_w = (s->w + 2 * s->padding - s->kernel) / s->stride + 1;
    const conv_context c = {kcheck_input(k, s->h * s->w, s->in, extra, types[0]), s->h, s->w,
                            kcheck_conv(k, s->in, s->out, s->kernel, s->stride, s->padding, s->groups), act};
    const int terms = s->in / s->groups * s->kernel * s->kernel;
    const trk_mat weights = {
        .data = (void *)(uintptr_t)c.layer->weight, .rows = s->out, .cols = terms, .stride = terms};
    kcheck_bound bound = KCHECK_F32;
    bound.scale = kcheck_row_norm(k, c.in) * s->kernel * kcheck_row_norm(k, weights) + 2;
    bound.nan_for_infinity = gelu_loses_infinity(k, act);
    if (fill == FILL_OFFSET)
        bound.nmse = 1e-10;
    kcheck_run(k, kcheck_shape(out_h * out_w, s->out, extra, types[1]), run_conv, &c, bound,
               2.0 * out_h * out_w * s->out * terms);
}

void check_conv2d(kcheck *k)
{
    /* patch embedding, mask downsampler, mask prompts, depthwise; odd sizes and channel counts of each */
    static const conv_shape shapes[] = {
        {16, 16, 3, 96, 7, 4, 3, 1}, {15, 21, 3, 33, 7, 4, 3, 1},    {16, 18, 1, 4, 3, 2, 1, 1},
        {14, 10, 4, 16, 3, 2, 1, 1}, {12, 12, 16, 64, 3, 2, 1, 1},   {8, 6, 64, 256, 3, 2, 1, 1},
        {9, 7, 5, 6, 3, 2, 1, 1},    {8, 8, 1, 4, 2, 2, 0, 1},       {8, 12, 4, 16, 2, 2, 0, 1},
        {16, 16, 1, 1, 4, 4, 0, 1},  {9, 9, 256, 256, 7, 1, 3, 256}, {5, 8, 33, 33, 7, 1, 3, 33},
        {4, 4, 96, 96, 7, 1, 3, 96}, {7, 5, 16, 24, 1, 1, 0, 1},     {1, 1, 1, 1, 1, 1, 0, 1},
        {1, 1, 2, 3, 3, 1, 1, 1},    {6, 5, 8, 40, 5, 1, 2, 1},      {4, 4, 7, 7, 1, 2, 0, 1}};
    /* cut into bands of several map rows by the CPU backend */
    static const conv_shape large[] = {{64, 60, 3, 96, 7, 4, 3, 1}, {25, 31, 64, 64, 7, 1, 3, 64},
                                       {41, 36, 16, 64, 3, 2, 1, 1}, {38, 30, 24, 40, 3, 1, 1, 1}};
    static const conv_shape models[] = {{1024, 1024, 3, 96, 7, 4, 3, 1}, {1024, 1024, 1, 4, 3, 2, 1, 1},
                                        {512, 512, 4, 16, 3, 2, 1, 1},   {256, 256, 16, 64, 3, 2, 1, 1},
                                        {128, 128, 64, 256, 3, 2, 1, 1}, {64, 64, 256, 256, 7, 1, 3, 256},
                                        {64, 64, 256, 256, 1, 1, 0, 1},  {256, 256, 3, 32, 7, 4, 3, 1},
                                        {256, 256, 1, 4, 3, 2, 1, 1},    {16, 16, 96, 96, 7, 1, 3, 96}};
    if (kcheck_is_bench(k)) {
        for (int i = 0; i < KCHECK_OF(models); i++)
            for (int t = 0; t < 3; t++)
                conv_case(k, FILL_UNIFORM, type_pairs[t], &models[i], TRK_ACT_NONE, 0);
        return;
    }
    for (int i = 0; i < KCHECK_OF(shapes); i++)
        for (int t = 0; t < KCHECK_OF(type_pairs); t++)
            for (int fill = 0; fill <= FILL_NAN - reads_beside(k, &shapes[i]); fill++)
                conv_case(k, (kcheck_fill)fill, type_pairs[t], &shapes[i], (trk_act)((i + fill + t) % 4), fill % 3 * 3);
    for (int i = 0; i < KCHECK_OF(large); i++)
        for (int t = 0; t < 2; t++)
            conv_case(k, FILL_UNIFORM, type_pairs[t], &large[i], (trk_act)((i + t) % 4), 0);
}

/* ---- matmul_nt ---- */

typedef struct matmul_context {
    trk_mat a, b;
} matmul_context;

static void run_matmul(trk_exec *x, trk_mat out, const void *context)
{
    const matmul_context *c = context;
    TRK_RUN(x, matmul_nt, out, c->a, c->b);
}

static void matmul_case(kcheck *k, kcheck_fill fill, const trk_dtype types[2], const int shape[3], int extra)
{
    if (!kcheck_case(k, fill, types_text(types), "%dx%d by %d s%d", shape[0], shape[1], shape[2], extra))
        return;
    const matmul_context c = {kcheck_uniform(k, shape[0], shape[1], types[0], -1, 1),
                              kcheck_input(k, shape[2], shape[1], extra, types[1])};
    kcheck_bound bound = KCHECK_F32;
    bound.scale = kcheck_row_norm(k, c.a) * kcheck_row_norm(k, c.b);
    if (fill == FILL_OFFSET)
        bound.nmse = 1e-10;
    kcheck_run(k, kcheck_shape(shape[0], shape[2], extra, TRK_F32), run_matmul, &c, bound,
               2.0 * shape[0] * shape[1] * shape[2]);
}

void check_matmul_nt(kcheck *k)
{
    static const int shapes[][3] = {{1, 1, 1},   {4, 32, 4096}, {4, 12, 100}, {3, 5, 7},    {5, 17, 33},
                                    {9, 16, 16}, {4, 31, 15},   {4, 33, 17},  {2, 64, 300}, {1, 256, 40}};
    static const int models[][3] = {{4, 32, 65536}, {4, 12, 4096}};
    if (kcheck_is_bench(k)) {
        for (int i = 0; i < KCHECK_OF(models); i++)
            for (int t = 0; t < 2; t++)
                matmul_case(k, FILL_UNIFORM, type_pairs[t], models[i], 0);
        return;
    }
    for (int i = 0; i < KCHECK_OF(shapes); i++)
        for (int t = 0; t < KCHECK_OF(type_pairs); t++)
            for (int fill = 0; fill < FILLS; fill++)
                matmul_case(k, (kcheck_fill)fill, type_pairs[t], shapes[i], fill % 4);
}
