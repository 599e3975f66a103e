/* SPDX-License-Identifier: Apache-2.0
 * A few cases of attention, window_attention and rope through the operator table, and their --bench. The many cases of
 * these operators, in every instruction set, are in attention.c, a program of its own. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bf16.h"
#include "kcheck.h"

typedef struct attention_context {
    trk_mat q, k, v;
    int heads, batch, h, w, window, pool, n_positions;
    const float *bias, *table;
} attention_context;

static trk_dtype candidate_dtype(kcheck *k)
{
    trk_exec x;
    trk_dtype dtype = TRK_F32;
    if (trk_exec_init(&x, kcheck_backend(k), kcheck_allocator(k)) == TRK_OK)
        dtype = x.activation;
    trk_exec_release(&x);
    return dtype;
}

/* bf16: both sides round p, relative to different maxima: 2^-8 of the values, 2^-6 where they cancel. f32: sums of
 * thousands of terms and an exponential. */
static kcheck_bound attention_bound(trk_dtype dtype)
{
    return (kcheck_bound){.max = dtype == TRK_BF16 ? 0x1p-6 : 2e-5, .nmse = dtype == TRK_BF16 ? 2e-5 : 4e-10};
}

static void run_attention(trk_exec *x, trk_mat out, const void *context)
{
    const attention_context *c = context;
    TRK_RUN(x, attention, out, c->q, c->k, c->v, c->heads, c->batch, 1 / sqrtf((float)(c->q.cols / c->heads)));
}

/* n queries and m keys of each part */
static void attention_case(kcheck *k, int n, int m, int heads, int dk, int dv, int batch)
{
    const trk_dtype dtype = candidate_dtype(k);
    if (!kcheck_case(k, FILL_UNIFORM, kcheck_dtype(dtype), "%d x %d by %d heads%d %d %d", batch, n, m, heads, dk, dv))
        return;
    /* odd strides have no aligned rows; what is timed is as in a model */
    const attention_context c = {.q = kcheck_input(k, batch * n, heads * dk, 0, dtype),
                                 .k = kcheck_input(k, batch * m, heads * dk, kcheck_is_bench(k) ? 0 : 3, dtype),
                                 .v = kcheck_input(k, batch * m, heads * dv, 0, dtype),
                                 .heads = heads,
                                 .batch = batch};
    kcheck_run(k, kcheck_shape(batch * n, heads * dv, 1, TRK_F32), run_attention, &c, attention_bound(dtype),
               2.0 * batch * n * m * heads * (dk + dv));
}

/* Memory attention's widths, rows dense and aligned: shapes that Hopper has kernels of its own for. */
enum { PLAIN, NAN_QUERY, NAN_VALUE, INFINITE_KEY, POISONS };

static void poison(kcheck *k, trk_mat m, int row, int column, float value)
{
    char *at = (char *)kcheck_view(k, m.data) + (size_t)(row * m.stride + column) * trk_dtype_bytes(m.dtype);
    const uint16_t half = trk_f32_to_bf16(value);
    memcpy(at, m.dtype == TRK_BF16 ? (const void *)&half : &value, trk_dtype_bytes(m.dtype));
    kcheck_send(k, m.data);
}

static void memory_case(kcheck *k, kcheck_fill fill, int what, int n, int m, int dv)
{
    static const char *const names[POISONS] = {"plain", "NaN in q", "NaN in v", "infinity in k"};
    const trk_dtype dtype = candidate_dtype(k);
    if (!kcheck_case(k, fill, kcheck_dtype(dtype), "memory %d by %d, %d, %s", n, m, dv, names[what]))
        return;
    const attention_context c = {.q = kcheck_input(k, n, 256, 0, dtype),
                                 .k = kcheck_input(k, m, 256, 8, dtype),
                                 .v = kcheck_input(k, m, dv, 0, dtype),
                                 .heads = 1,
                                 .batch = 1};
    if (what == NAN_QUERY)
        poison(k, c.q, n - 1, 255, NAN);
    if (what == NAN_VALUE)
        poison(k, c.v, m - 1, dv - 1, NAN);
    if (what == INFINITE_KEY) /* weight 0 where q is below 0, else NaN */
        poison(k, c.k, m / 2, 200, INFINITY);
    kcheck_run(k, kcheck_shape(n, dv, 1, n % 2 ? TRK_F32 : dtype), run_attention, &c, attention_bound(dtype),
               2.0 * n * m * (256 + dv));
}

/* Tails of queries and keys, one tile and many, keys in parts. */
static void check_memory_attention(kcheck *k)
{
    static const int shapes[][2] = {{70, 130}, {128, 200}, {1, 1},    {64, 128},
                                    {129, 64}, {3, 1000},  {20, 900}, {140, 257}};
    for (int i = 0; i < KCHECK_OF(shapes); i++)
        for (int dv = 64; dv <= 256; dv *= 4)
            memory_case(k, FILL_UNIFORM, PLAIN, shapes[i][0], shapes[i][1], dv);
    for (int dv = 64; dv <= 256; dv *= 4) {
        for (int what = NAN_QUERY; what < POISONS; what++) {
            memory_case(k, FILL_UNIFORM, what, 70, 130, dv);
            memory_case(k, FILL_UNIFORM, what, 20, 900, dv);
        }
        memory_case(k, FILL_ZEROS, PLAIN, 70, 130, dv);
        if (candidate_dtype(k) == TRK_BF16) /* scores of a hundred: more rounding than f32's bound has */
            memory_case(k, FILL_CONSTANT, PLAIN, 70, 400, dv);
        memory_case(k, FILL_NAN, PLAIN, 70, 130, dv);
    }
}

void check_attention(kcheck *k)
{
    static const int shapes[][5] = {{1, 1, 1, 16, 16},   {8, 300, 8, 16, 16},  {65, 8, 2, 32, 24},
                                    {100, 257, 1, 96, 32},  {17, 129, 1, 256, 256}, {66, 70, 1, 256, 64},
                                    {9, 64, 4, 32, 32},     {64, 1000, 1, 32, 32},  {31, 65, 3, 24, 40},
                                    {128, 128, 1, 64, 64}};
    static const int models[][5] = {{4096, 4096, 1, 256, 256},
                                    {4096, 28736, 1, 256, 64},
                                    {8, 4096, 8, 16, 16},
                                    {4096, 8, 8, 16, 16},
                                    {256, 1856, 1, 96, 32}};
    const int(*list)[5] = kcheck_is_bench(k) ? models : shapes;
    const int n = kcheck_is_bench(k) ? KCHECK_OF(models) : KCHECK_OF(shapes);
    for (int i = 0; i < n; i++)
        attention_case(k, list[i][0], list[i][1], list[i][2], list[i][3], list[i][4], 1);
    static const int parts[][6] = {{8, 16, 8, 16, 16, 3}, {16, 8, 8, 16, 16, 2}, {33, 100, 2, 24, 40, 3},
                                   {20, 400, 1, 256, 64, 2}, {65, 65, 1, 96, 96, 4}, {1, 1, 1, 16, 16, 5}};
    static const int model_parts[][6] = {
        {4096, 4096, 1, 256, 256, 8}, {8, 4096, 8, 16, 16, 16}, {4096, 8, 8, 16, 16, 16}};
    const int(*more)[6] = kcheck_is_bench(k) ? model_parts : parts;
    const int n_more = kcheck_is_bench(k) ? KCHECK_OF(model_parts) : KCHECK_OF(parts);
    for (int i = 0; i < n_more; i++)
        attention_case(k, more[i][0], more[i][1], more[i][2], more[i][3], more[i][4], more[i][5]);
    if (!kcheck_is_bench(k))
        check_memory_attention(k);
}

static void run_window(trk_exec *x, trk_mat out, const void *context)
{
    const attention_context *c = context;
    TRK_RUN(x, window_attention, out, c->q, c->h, c->w, c->heads, c->window, c->pool, c->bias);
}

static void window_case(kcheck *k, int h, int w, int heads, int dim, int window, int pool)
{
    const trk_dtype dtype = candidate_dtype(k);
    if (!kcheck_case(k, FILL_UNIFORM, kcheck_dtype(dtype), "%dx%d heads%d dim%d window%d pool%d", h, w, heads, dim,
                     window, pool))
        return;
    const int cols = heads * dim, tokens = window ? window * window : h * w;
    const attention_context c = {.q = kcheck_input(k, h * w, 3 * cols, 0, dtype),
                                 .heads = heads,
                                 .h = h,
                                 .w = w,
                                 .window = window,
                                 .pool = pool,
                                 .bias = kcheck_floats(k, (size_t)cols * 3, -1, 1)};
    kcheck_run(k, kcheck_shape(h * w / (pool ? 4 : 1), cols, 0, dtype), run_window, &c, attention_bound(dtype),
               4.0 * h * w / (pool ? 4 : 1) * tokens * cols);
}

void check_window_attention(kcheck *k)
{
    static const int shapes[][6] = {{16, 16, 1, 96, 8, 0}, {12, 8, 4, 24, 4, 1},   {20, 30, 2, 32, 14, 0},
                                    {8, 8, 3, 8, 0, 0},    {14, 10, 2, 48, 8, 1},  {15, 9, 1, 56, 7, 0},
                                    {9, 11, 2, 16, 4, 0},  {16, 12, 1, 112, 0, 0}, {16, 16, 2, 72, 14, 1}};
    static const int models[][6] = {{256, 256, 1, 96, 8, 0},
                                    {128, 128, 2, 96, 4, 0},
                                    {64, 64, 4, 96, 14, 0},
                                    {64, 64, 4, 96, 0, 0},
                                    {64, 64, 1, 32, 8, 0}};
    const int(*list)[6] = kcheck_is_bench(k) ? models : shapes;
    const int n = kcheck_is_bench(k) ? KCHECK_OF(models) : KCHECK_OF(shapes);
    for (int i = 0; i < n; i++)
        window_case(k, list[i][0], list[i][1], list[i][2], list[i][3], list[i][4], list[i][5]);
}

static void run_rope(trk_exec *x, trk_mat out, const void *context)
{
    const attention_context *c = context;
    TRK_RUN(x, rope, out, c->table, c->n_positions);
}

static void rope_case(kcheck *k, int rows, int cols, int extra, int n_positions, trk_dtype dtype)
{
    if (!kcheck_case(k, FILL_UNIFORM, kcheck_dtype(dtype), "%dx%d s%d positions%d", rows, cols, extra, n_positions))
        return;
    const attention_context c = {.table = kcheck_floats(k, (size_t)n_positions * (size_t)cols, -1, 1),
                                 .n_positions = n_positions};
    kcheck_run(k, kcheck_input(k, rows, cols, extra, dtype), run_rope, &c, KCHECK_F32, 0);
}

void check_rope(kcheck *k)
{
    for (int dtype = 0; dtype < 2; dtype++) {
        if (kcheck_is_bench(k)) {
            rope_case(k, 28672, 256, 0, 4096, (trk_dtype)dtype);
            continue;
        }
        rope_case(k, 1, 2, 2, 1, (trk_dtype)dtype);
        rope_case(k, 5, 30, 2, 3, (trk_dtype)dtype);
        rope_case(k, 7, 32, 0, 3, (trk_dtype)dtype);
        rope_case(k, 64, 256, 0, 32, (trk_dtype)dtype); /* dense, as queries and keys are */
        rope_case(k, 900, 96, 2, 100, (trk_dtype)dtype);
    }
}
