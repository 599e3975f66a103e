/* SPDX-License-Identifier: Apache-2.0
 * Cases of the operators over rows and elements: layernorm, add, convert, mask_to_memory, if_absent. */
#include <math.h>
#include <stdio.h>

#include "kcheck.h"

static const trk_dtype type_pairs[][2] = {
    {TRK_F32, TRK_F32}, {TRK_BF16, TRK_BF16}, {TRK_BF16, TRK_F32}, {TRK_F32, TRK_BF16}}; /* in, out */

/* ones, odd, around the vector width, around the narrow path and the span, the models' channel counts */
static const int row_shapes[][2] = {{1, 1},    {1, 17},   {17, 1},   {3, 4},    {65, 4},    {64, 15},  {63, 16},
                                    {7, 17},   {100, 32}, {5, 31},   {5, 33},   {9, 96},    {33, 255}, {40, 256},
                                    {3, 1023}, {2, 1024}, {2, 1025}, {3, 2050}, {700, 144}, {0, 8}};

static const char *types_text(const trk_dtype pair[2])
{
    static char text[16];
    snprintf(text, sizeof text, "%s %s", kcheck_dtype(pair[0]), kcheck_dtype(pair[1]));
    return text;
}

/* ---- layernorm ---- */

typedef struct layernorm_context {
    trk_mat in; /* data NULL: out is the input, too */
    const float *gamma, *beta;
    float eps;
    trk_act act;
} layernorm_context;

static void run_layernorm(trk_exec *x, trk_mat out, const void *context)
{
    const layernorm_context *c = context;
    TRK_RUN(x, layernorm, out, c->in.data ? c->in : out, c->gamma, c->beta, c->eps, c->act);
}

/* Normalised values are of order one whatever the input (times gamma up to 2, and up to sqrt(cols) for an outlier).
 * Where the spread is large against the eps, a value's own rounding decides: relative 2^-24 for most fills. With the
 * offset fill the inputs carry 1000 * 2^-24 = 6e-5 exactly in both computations, so only the mean's rounding is left.
 */
static void layernorm_case(kcheck *k, kcheck_fill fill, const trk_dtype types[2], int rows, int cols, trk_act act,
                           int extra, int in_place)
{
    if (kcheck_has_enough(k, fill, (double)rows * cols) ||
        !kcheck_case(k, fill, types_text(types), "%dx%d act%d s%d%s", rows, cols, (int)act, extra,
                     in_place ? " in place" : ""))
        return;
    layernorm_context c = {kcheck_input(k, rows, cols, extra, types[0]), kcheck_floats(k, (size_t)cols, -2, 2),
                           kcheck_floats(k, (size_t)cols, -1, 1), 1e-6f, act};
    trk_mat out = kcheck_shape(rows, cols, extra, types[1]);
    if (in_place) {
        out = c.in;
        c.in.data = NULL;
    }
    const kcheck_bound bound = {.max = 4e-6, .nmse = 1e-11, .scale = 4};
    kcheck_run(k, out, run_layernorm, &c, bound, 0);
}

void check_layernorm(kcheck *k)
{
    static const int models[][2] = {{65536, 96}, {16384, 192}, {4096, 384}, {4096, 256}, {262144, 4},
                                    {65536, 16}, {16384, 64},  {4096, 32},  {256, 96},   {8, 256}};
    if (kcheck_is_bench(k)) {
        for (int i = 0; i < KCHECK_OF(models); i++)
            for (int act = 0; act <= TRK_ACT_GELU; act += TRK_ACT_GELU)
                for (int t = 0; t < 4; t += 3)
                    layernorm_case(k, FILL_UNIFORM, type_pairs[t], models[i][0], models[i][1], (trk_act)act, 0, 0);
        return;
    }
    for (int i = 0; i < KCHECK_OF(row_shapes); i++)
        for (int t = 0; t < KCHECK_OF(type_pairs); t++)
            for (int fill = 0; fill < FILLS; fill++)
                for (int act = 0; act <= TRK_ACT_GELU; act += TRK_ACT_GELU) {
                    layernorm_case(k, (kcheck_fill)fill, type_pairs[t], row_shapes[i][0], row_shapes[i][1],
                                   (trk_act)act, fill % 3, 0);
                    if (t < 2)
                        layernorm_case(k, (kcheck_fill)fill, type_pairs[t], row_shapes[i][0], row_shapes[i][1],
                                       (trk_act)act, 0, 1);
                }
}

/* ---- add ---- */

typedef struct add_context {
    trk_mat a, b; /* data NULL: out itself */
} add_context;

static void run_add(trk_exec *x, trk_mat out, const void *context)
{
    const add_context *c = context;
    TRK_RUN(x, add, out, c->a.data ? c->a : out, c->b.data ? c->b : out);
}

static void add_case(kcheck *k, kcheck_fill fill, const trk_dtype types[2], int rows, int cols, int b_rows, int alias)
{
    if (kcheck_has_enough(k, fill, (double)rows * cols) ||
        !kcheck_case(k, fill, types_text(types), "%dx%d by %d rows alias%d", rows, cols, b_rows, alias))
        return;
    add_context c = {kcheck_input(k, rows, cols, 3, types[0]), kcheck_input(k, b_rows, cols, 1, types[0])};
    trk_mat out = kcheck_shape(rows, cols, 2, types[1]);
    if (alias == 1) {
        out = c.a;
        c.a.data = NULL;
    } else if (alias == 2) {
        out = c.b;
        c.b.data = NULL;
    }
    kcheck_run(k, out, run_add, &c, KCHECK_EXACT, 0);
}

/* The reference adds in double and rounds once; an f32 sum is rounded the same, and bf16 sums of bf16 are exact in
 * f32 up to that same rounding but for double rounding, which the exact bound would show: none of the fills has it. */
void check_add(kcheck *k)
{
    if (kcheck_is_bench(k)) {
        add_case(k, FILL_UNIFORM, type_pairs[0], 65536, 96, 65536, 0);
        add_case(k, FILL_UNIFORM, type_pairs[3], 65536, 96, 65536, 0);
        add_case(k, FILL_UNIFORM, type_pairs[0], 4096, 256, 4096, 0);
        add_case(k, FILL_UNIFORM, type_pairs[0], 256, 96, 256, 0);
        add_case(k, FILL_UNIFORM, type_pairs[0], 8, 256, 8, 0);
        return;
    }
    for (int i = 0; i < KCHECK_OF(row_shapes); i++)
        for (int t = 0; t < KCHECK_OF(type_pairs); t++)
            for (int fill = 0; fill <= FILL_NAN; fill++) {
                const int rows = row_shapes[i][0], cols = row_shapes[i][1];
                add_case(k, (kcheck_fill)fill, type_pairs[t], rows, cols, rows, 0);
                add_case(k, (kcheck_fill)fill, type_pairs[t], rows, cols, (rows + 2) / 3, 0);
                add_case(k, (kcheck_fill)fill, type_pairs[t], rows, cols, 1, 0);
                if (t < 2) {
                    add_case(k, (kcheck_fill)fill, type_pairs[t], rows, cols, rows, 1);
                    add_case(k, (kcheck_fill)fill, type_pairs[t], rows, cols, rows, 2);
                }
            }
}

/* ---- convert ---- */

static void run_convert(trk_exec *x, trk_mat out, const void *context)
{
    const trk_mat *in = context;
    TRK_RUN(x, convert, out, *in);
}

static void convert_case(kcheck *k, kcheck_fill fill, const trk_dtype types[2], int rows, int cols, int in_rows)
{
    if (kcheck_has_enough(k, fill, (double)rows * cols) ||
        !kcheck_case(k, fill, types_text(types), "%dx%d from %d rows", rows, cols, in_rows))
        return;
    const trk_mat in = kcheck_input(k, in_rows, cols, 5, types[0]);
    kcheck_run(k, kcheck_shape(rows, cols, 2, types[1]), run_convert, &in, KCHECK_EXACT, 0);
}

void check_convert(kcheck *k)
{
    if (kcheck_is_bench(k)) {
        for (int t = 0; t < KCHECK_OF(type_pairs); t++) {
            convert_case(k, FILL_UNIFORM, type_pairs[t], 65536, 96, 65536);
            convert_case(k, FILL_UNIFORM, type_pairs[t], 256, 96, 256);
        }
        return;
    }
    for (int i = 0; i < KCHECK_OF(row_shapes); i++)
        for (int t = 0; t < KCHECK_OF(type_pairs); t++)
            for (int fill = 0; fill <= FILL_NAN; fill++) {
                convert_case(k, (kcheck_fill)fill, type_pairs[t], row_shapes[i][0], row_shapes[i][1], row_shapes[i][0]);
                convert_case(k, (kcheck_fill)fill, type_pairs[t], row_shapes[i][0], row_shapes[i][1], 1);
                convert_case(k, (kcheck_fill)fill, type_pairs[t], row_shapes[i][0], row_shapes[i][1], 3);
            }
}

/* ---- mask_to_memory ---- */

typedef struct mask_context {
    trk_mat in; /* data NULL: in place */
    int binarize;
    float scale, bias;
} mask_context;

static void run_mask(trk_exec *x, trk_mat out, const void *context)
{
    const mask_context *c = context;
    TRK_RUN(x, mask_to_memory, out, c->in.data ? c->in : out, c->binarize, c->scale, c->bias);
}

static void mask_case(kcheck *k, kcheck_fill fill, const trk_dtype types[2], int rows, int cols, int binarize,
                      int in_place)
{
    if (!kcheck_case(k, fill, types_text(types), "%dx%d binarize%d%s", rows, cols, binarize,
                     in_place ? " in place" : ""))
        return;
    mask_context c = {kcheck_input(k, rows, cols, 4, types[0]), binarize, 20, -10};
    trk_mat out = kcheck_shape(rows, cols, 1, types[1]);
    if (in_place) {
        out = c.in;
        c.in.data = NULL;
    }
    const kcheck_bound bound = {.max = 2e-7, .nmse = 1e-12, .scale = 20};
    kcheck_run(k, out, run_mask, &c, bound, 0);
}

void check_mask_to_memory(kcheck *k)
{
    if (kcheck_is_bench(k)) {
        mask_case(k, FILL_UNIFORM, type_pairs[0], 1024, 1024, 0, 1);
        mask_case(k, FILL_UNIFORM, type_pairs[0], 256, 256, 0, 1);
        mask_case(k, FILL_UNIFORM, type_pairs[0], 1024, 1024, 1, 1);
        return;
    }
    for (int i = 0; i < KCHECK_OF(row_shapes); i++)
        for (int t = 0; t < KCHECK_OF(type_pairs); t++)
            for (int fill = 0; fill < FILLS; fill++)
                for (int binarize = 0; binarize < 2; binarize++)
                    mask_case(k, (kcheck_fill)fill, type_pairs[t], row_shapes[i][0], row_shapes[i][1], binarize,
                              t < 2 && fill % 2);
}

/* ---- if_absent ---- */

typedef struct absent_context {
    const float *row, *score;
    float present_above;
    int replace;
} absent_context;

static void run_absent(trk_exec *x, trk_mat out, const void *context)
{
    const absent_context *c = context;
    TRK_RUN(x, if_absent, out, c->row, c->score, c->present_above, c->replace);
}

static void absent_case(kcheck *k, trk_dtype dtype, const int shape[2], float score, float present_above, int replace)
{
    const int rows = shape[0], cols = shape[1];
    if (!kcheck_case(k, FILL_UNIFORM, kcheck_dtype(dtype), "%dx%d score%g above%g replace%d", rows, cols, (double)score,
                     (double)present_above, replace))
        return;
    const absent_context c = {kcheck_floats(k, (size_t)cols, -1, 1), kcheck_floats(k, 1, score, score), present_above,
                              replace};
    kcheck_run(k, kcheck_input(k, rows, cols, 2, dtype), run_absent, &c, KCHECK_EXACT, 0);
}

void check_if_absent(kcheck *k)
{
    static const float scores[][2] = {{-3, 0}, {0, 0},   {-0.0f, 0}, {1e-30f, 0}, {5, 0},
                                      {-2, -1}, {-1, -1}, {-0.5f, -1}, {0.5f, -1},
                                      {NAN, 0}}; /* and what present is above */
    for (int i = 0; i < KCHECK_OF(row_shapes) && !kcheck_is_bench(k); i++)
        for (int dtype = 0; dtype < 2; dtype++)
            for (int s = 0; s < KCHECK_OF(scores); s++)
                for (int replace = 0; replace < 2; replace++)
                    absent_case(k, (trk_dtype)dtype, row_shapes[i], scores[s][0], scores[s][1], replace);
}
