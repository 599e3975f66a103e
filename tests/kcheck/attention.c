/* SPDX-License-Identifier: Apache-2.0
 * Holds the attention operators of the CPU backend, in every instruction set of this machine, to the reference:
 *     kcheck_attention [--kernels NAME] [--seed N] [--random N]
 * Outputs start as NaN with guard bands around every row; inputs are allocated to the byte, so that a sanitizer sees a
 * read past the last row; NaN must be where the reference has it and nowhere else.
 *
 * Bounds, on max |difference| / max |reference| and on the normalised mean squared error:
 * - f32: 2e-5. Sums of n terms grow like sqrt(n) * 2^-24 (1e-5 for 28736 keys in one chain); exp2 adds 2e-7.
 * - bf16: 2^-6 and 1e-4. Both sides round the same q, k and v, but p relative to another maximum and the output once
 *   more: each an error of up to 2^-9 (2^-8 for two at once), doubled where values cancel in the sum; as noise,
 *   2 * (2^-9)^2 / 3 = 2.5e-6 of the energy, and up to forty times that in outputs of a few elements that all cancel.
 * - and, since an error of a score is a relative error of its p: the f32 rounding of the largest possible score,
 *   2^-22 * scale * dk * max|q| * max|k|, on top of the first. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attention_cpu.h"
#include "backend.h"
#include "bf16.h"
#include "ref.h"
#include "workspace.h"

typedef enum fill { FILL_UNIFORM, FILL_OFFSET, FILL_CONSTANT, FILL_HUGE, FILL_TINY, FILL_RISING, FILLS } fill;

static const char *const fill_names[] = {"uniform", "offset", "constant", "huge", "tiny", "rising"};
static const float fill_bound[] = {1.0f, 8.5f, 0.75f, 60.0f, 1e-18f, 12.0f}; /* largest |q| and |k| */

static uint32_t state = 1;
static int n_checks, n_failures;
static char where[256]; /* the case being run */
static const attention_kernels *under_test[ATTENTION_ISAS];
static int n_under_test;

static uint32_t next_random(void)
{
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}

static int between(int low, int high)
{
    return low + (int)(next_random() % (uint32_t)(high - low + 1));
}

static float unit(void)
{
    return (float)(next_random() >> 8) * 0x1p-23f - 1.0f;
}

static void fail(const char *what)
{
    n_failures++;
    printf("FAIL %s, %s: %s\n", trk_attention_kernels_chosen()->name, where, what);
}

/* ---- buffers ---- */

enum { GUARD = 32 }; /* elements before the first row; rows are followed by stride - cols more */

static void *allocate(trk_allocator *self, trk_mem_class mem_class, const char *owner, size_t bytes)
{
    (void)self, (void)mem_class, (void)owner;
    void *data = NULL;
    return posix_memalign(&data, TRK_ALIGNMENT, bytes) == 0 ? data : NULL;
}

static void release(trk_allocator *self, trk_mem_class mem_class, void *data, size_t bytes)
{
    (void)self, (void)mem_class, (void)bytes;
    free(data);
}

static size_t mat_bytes(trk_mat m)
{
    const size_t last = m.rows ? (size_t)(m.rows - 1) * (size_t)m.stride + (size_t)m.cols : 0;
    return (GUARD + last) * trk_dtype_bytes(m.dtype);
}

static char *mat_start(trk_mat m)
{
    return (char *)m.data - GUARD * trk_dtype_bytes(m.dtype);
}

/* A matrix full of 0xff bytes (NaN in both types) that ends with the last element of its last row. */
static trk_mat poisoned(int rows, int cols, int extra, trk_dtype dtype)
{
    trk_mat m = {NULL, dtype, rows, cols, cols + extra};
    char *start = malloc(mat_bytes(m) ? mat_bytes(m) : 1);
    if (!start) {
        printf("no memory\n");
        exit(2);
    }
    memset(start, 0xff, mat_bytes(m));
    m.data = start + GUARD * trk_dtype_bytes(dtype);
    return m;
}

static trk_mat copy_of(trk_mat m)
{
    trk_mat copy = poisoned(m.rows, m.cols, (int)(m.stride - m.cols), m.dtype);
    memcpy(mat_start(copy), mat_start(m), mat_bytes(m));
    return copy;
}

static void discard(trk_mat m)
{
    free(mat_start(m));
}

static float get(trk_mat m, int row, int col)
{
    const int64_t i = row * m.stride + col;
    return m.dtype == TRK_BF16 ? trk_bf16_to_f32(((const uint16_t *)m.data)[i]) : ((const float *)m.data)[i];
}

static void put(trk_mat m, int row, int col, float value)
{
    const int64_t i = row * m.stride + col;
    if (m.dtype == TRK_BF16)
        ((uint16_t *)m.data)[i] = trk_f32_to_bf16(value);
    else
        ((float *)m.data)[i] = value;
}

static void fill_mat(trk_mat m, fill how)
{
    for (int r = 0; r < m.rows; r++)
        for (int c = 0; c < m.cols; c++) {
            const float u = unit();
            const float value[] = {u,         8.0f + 0.5f * u, 0.75f,
                                   60.0f * u, 1e-18f * u,      12.0f * u * (float)(r + 1) / (float)m.rows};
            put(m, r, c, value[how]);
        }
}

/* 1 when the 0xff around the rows is untouched. */
static int guards_intact(trk_mat m)
{
    const unsigned char *p = (const unsigned char *)mat_start(m);
    const size_t size = trk_dtype_bytes(m.dtype), n = mat_bytes(m) / size;
    for (size_t i = 0; i < n; i++) {
        const int64_t at = (int64_t)i - GUARD;
        if (at >= 0 && at % m.stride < m.cols)
            continue;
        for (size_t b = 0; b < size; b++)
            if (p[i * size + b] != 0xff)
                return 0;
    }
    return 1;
}

/* ---- comparing ---- */

static void compare(trk_mat out, trk_mat expected, double max_bound, double nmse_bound)
{
    double worst = 0, largest = 0, error = 0, energy = 0;
    n_checks++;
    for (int r = 0; r < out.rows; r++)
        for (int c = 0; c < out.cols; c++) {
            const double a = (double)get(out, r, c), b = (double)get(expected, r, c);
            if (isnan(a) && isnan(b))
                continue;
            if (isnan(a) != isnan(b)) {
                char line[96];
                snprintf(line, sizeof line, "row %d column %d is %g, expected %g", r, c, a, b);
                fail(line);
                return;
            }
            worst = fmax(worst, fabs(a - b));
            largest = fmax(largest, fabs(b));
            error += (a - b) * (a - b);
            energy += b * b;
        }
    const double relative = largest > 0 ? worst / largest : worst, nmse = energy > 0 ? error / energy : error;
    if (!(relative <= max_bound) || !(nmse <= nmse_bound)) {
        char line[128];
        snprintf(line, sizeof line, "max error %.3g (bound %.3g), nmse %.3g (bound %.3g)", relative, max_bound, nmse,
                 nmse_bound);
        fail(line);
    }
    if (!guards_intact(out))
        fail("wrote outside its output");
}

static void compare_exactly(trk_mat a, trk_mat b, const char *what)
{
    n_checks++;
    for (int r = 0; r < a.rows; r++)
        if (memcmp((char *)a.data + r * a.stride * (int64_t)trk_dtype_bytes(a.dtype),
                   (char *)b.data + r * b.stride * (int64_t)trk_dtype_bytes(b.dtype),
                   (size_t)a.cols * trk_dtype_bytes(a.dtype)) != 0) {
            fail(what);
            return;
        }
}

typedef struct bounds {
    double max, nmse;
} bounds;

static bounds bounds_for(const trk_exec *x, trk_dtype out, int dk, double scale, fill how)
{
    const int rounded = x->activation == TRK_BF16 || out == TRK_BF16;
    const double largest = (double)fill_bound[how];
    const double score = 0x1p-22 * fabs(scale) * dk * largest * largest;
    bounds b = {(rounded ? 0x1p-6 : 2e-5) + score, rounded ? 1e-4 : 4e-10};
    b.nmse += score * score;
    return b;
}

/* ---- attention ---- */

typedef struct attention_case {
    int n_queries, n_keys, heads, dk, dv;
    trk_dtype q, k, v, out;
    fill how;
    float scale;
    int extra; /* stride - cols */
    int nan;   /* 1: one query row, 2: one key element */
} attention_case;

static trk_mat rows_from(trk_mat m, int first, int n)
{
    m.data = (char *)m.data + first * m.stride * (int64_t)trk_dtype_bytes(m.dtype);
    m.rows = n;
    return m;
}

/* The same queries in other tiles, other company and on other threads must give the same bits. */
static void check_tiling(trk_exec *x, const attention_case *c, trk_mat out, trk_mat q, trk_mat k, trk_mat v)
{
    trk_exec other = *x;
    other.n_threads = x->n_threads == 1 ? 2 : 1;
    trk_mat again = poisoned(out.rows, out.cols, c->extra, c->out);
    trk_attention_cpu(&other, again, q, k, v, c->heads, 1, c->scale);
    compare_exactly(again, out, "result depends on the number of threads");
    const int first = between(0, c->n_queries - 1), n = between(1, c->n_queries - first);
    trk_attention_cpu(&other, rows_from(again, first, n), rows_from(q, first, n), k, v, c->heads, 1, c->scale);
    compare_exactly(rows_from(again, first, n), rows_from(out, first, n), "result depends on the tiling of queries");
    discard(again);
}

static void check_attention(trk_exec *x, const attention_case *c)
{
    snprintf(where, sizeof where,
             "attention %s nq %d nk %d heads %d dk %d dv %d types q%d k%d v%d out%d fill %s scale %g extra %d nan %d",
             x->activation == TRK_BF16 ? "bf16" : "f32", c->n_queries, c->n_keys, c->heads, c->dk, c->dv, (int)c->q,
             (int)c->k, (int)c->v, (int)c->out, fill_names[c->how], (double)c->scale, c->extra, c->nan);
    trk_mat q = poisoned(c->n_queries, c->heads * c->dk, c->extra, c->q);
    trk_mat k = poisoned(c->n_keys, c->heads * c->dk, c->extra, c->k);
    trk_mat v = poisoned(c->n_keys, c->heads * c->dv, c->extra, c->v);
    trk_mat expected = poisoned(c->n_queries, c->heads * c->dv, c->extra, c->out);
    fill_mat(q, c->how);
    fill_mat(k, c->how);
    fill_mat(v, c->how == FILL_HUGE || c->how == FILL_RISING ? FILL_UNIFORM : c->how);
    if (c->nan == 1)
        put(q, between(0, c->n_queries - 1), between(0, q.cols - 1), NAN);
    if (c->nan == 2)
        put(k, between(0, c->n_keys - 1), between(0, k.cols - 1), NAN);
    trk_attention_ref(x, expected, q, k, v, c->heads, 1, c->scale);
    const bounds b = bounds_for(x, c->out, c->dk, (double)c->scale, c->how);
    for (int i = 0; i < n_under_test; i++) {
        trk_attention_force_kernels(under_test[i]);
        trk_mat out = poisoned(c->n_queries, c->heads * c->dv, c->extra, c->out);
        trk_attention_cpu(x, out, q, k, v, c->heads, 1, c->scale);
        compare(out, expected, b.max, b.nmse);
        check_tiling(x, c, out, q, k, v);
        discard(out);
    }
    discard(q), discard(k), discard(v), discard(expected);
}

static void check_attention_shapes(trk_exec *x)
{
    static const int shapes[][5] = {
        /* n_queries, n_keys, heads, dk, dv: one, odd, around a register tile and a block, the models' own */
        {1, 1, 1, 1, 1},      {1, 1, 1, 256, 256},    {3, 1, 2, 16, 16},       {8, 8, 8, 32, 32},
        {8, 300, 8, 16, 16},  {300, 8, 8, 16, 16},    {47, 95, 1, 96, 32},     {48, 96, 1, 96, 32},
        {49, 97, 1, 96, 32},  {65, 193, 2, 72, 56},   {33, 49, 3, 56, 72},     {17, 64, 2, 17, 19},
        {50, 129, 1, 31, 33}, {7, 1000, 1, 256, 64},  {200, 130, 4, 96, 96},   {500, 40, 1, 256, 256},
        {64, 7, 2, 2, 3},     {256, 1856, 1, 96, 32}, {20, 28736, 1, 256, 64},
    };
    const trk_dtype types[][4] = {{TRK_F32, TRK_F32, TRK_F32, TRK_F32},
                                  {TRK_BF16, TRK_BF16, TRK_BF16, TRK_BF16},
                                  {TRK_BF16, TRK_F32, TRK_BF16, TRK_F32},
                                  {TRK_F32, TRK_BF16, TRK_F32, TRK_BF16}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (size_t t = 0; t < 4; t++)
            for (int how = 0; how < FILLS; how++) {
                const int *s = shapes[i], large = s[0] * s[1] > 100000;
                if (large && (size_t)how != (t < 2 ? FILL_RISING : FILL_UNIFORM)) /* the reference takes its time */
                    continue;
                attention_case c = {.n_queries = s[0], .n_keys = s[1], .heads = s[2], .dk = s[3], .dv = s[4]};
                c.q = types[t][0], c.k = types[t][1], c.v = types[t][2], c.out = types[t][3];
                c.how = (fill)how;
                c.scale = 1.0f / sqrtf((float)c.dk);
                c.extra = (int)t * 5;
                c.nan = how == FILL_UNIFORM ? (int)(i + t) % 3 : 0;
                check_attention(x, &c);
            }
}

static trk_dtype random_dtype(void)
{
    return next_random() & 64 ? TRK_BF16 : TRK_F32;
}

static void check_attention_random(trk_exec *x, int n)
{
    for (int i = 0; i < n; i++) {
        const int narrow = between(0, 1);
        attention_case c = {.n_queries = between(1, 150)};
        c.n_keys = between(1, 300);
        c.heads = between(1, 3);
        c.dk = between(1, narrow ? 20 : 130);
        c.dv = between(1, narrow ? 20 : 130);
        c.q = random_dtype(), c.k = random_dtype(), c.v = random_dtype(), c.out = random_dtype();
        c.how = (fill)between(0, FILLS - 1);
        c.scale = unit() * 0.3f;
        c.extra = between(0, 9);
        c.nan = between(0, 5);
        check_attention(x, &c);
    }
}

/* Scores of -infinity weigh nothing; equal scores give the mean; a huge negative block before a finite one is left
 * behind. Values are chosen so that the answer is known without the reference. */
static void check_attention_extremes(trk_exec *x)
{
    enum { KEYS = 250, D = 8 };
    snprintf(where, sizeof where, "attention %s extremes", x->activation == TRK_BF16 ? "bf16" : "f32");
    trk_mat q = poisoned(2, D, 0, TRK_F32), k = poisoned(KEYS, D, 0, TRK_F32), v = poisoned(KEYS, D, 0, TRK_F32);
    trk_mat out = poisoned(2, D, 3, TRK_F32), expected = copy_of(out);
    for (int d = 0; d < D; d++) {
        put(q, 0, d, d == 0 ? 1.0f : 0.0f);
        put(q, 1, d, 0.0f);
        put(expected, 0, d, (float)d);
        put(expected, 1, d, 0.5f * (float)d);
        for (int j = 0; j < KEYS; j++) {
            put(k, j, d, d ? 0.0f : j < KEYS / 2 ? -3.0e38f : 3.0e4f);
            put(v, j, d, j < KEYS / 2 ? 0.0f : (float)d);
        }
    }
    trk_attention_cpu(x, out, q, k, v, 1, 1, 1.0f);
    compare(out, expected, 1e-6, 1e-12);
    for (int j = 0; j < KEYS / 2; j++)
        put(k, j, 0, -INFINITY); /* 0 * infinity makes the second query NaN */
    for (int d = 0; d < D; d++)
        put(expected, 1, d, NAN);
    trk_attention_cpu(x, out, q, k, v, 1, 1, 1.0f);
    compare(out, expected, 1e-6, 1e-12);
    discard(q), discard(k), discard(v), discard(out), discard(expected);
}

/* ---- window attention ---- */

typedef struct window_case {
    int h, w, heads, dim, window, pool;
    trk_dtype qkv, out;
    fill how;
    int nan;
} window_case;

static void check_window(trk_exec *x, const window_case *c)
{
    snprintf(where, sizeof where,
             "window_attention %s %dx%d heads %d dim %d window %d pool %d types %d %d fill %s nan %d",
             x->activation == TRK_BF16 ? "bf16" : "f32", c->h, c->w, c->heads, c->dim, c->window, c->pool, (int)c->qkv,
             (int)c->out, fill_names[c->how], c->nan);
    const int channels = c->heads * c->dim, step = c->pool ? 2 : 1;
    trk_mat qkv = poisoned(c->h * c->w, 3 * channels, 6, c->qkv);
    trk_mat expected = poisoned(c->h / step * (c->w / step), channels, 4, c->out);
    trk_mat bias = poisoned(1, 3 * channels, 0, TRK_F32);
    fill_mat(qkv, c->how);
    fill_mat(bias, c->how);
    if (c->nan)
        put(qkv, between(0, qkv.rows - 1), between(0, qkv.cols - 1), NAN);
    trk_exec other = *x;
    other.n_threads = x->n_threads == 1 ? 2 : 1;
    trk_window_attention_ref(x, expected, qkv, c->h, c->w, c->heads, c->window, c->pool, bias.data);
    const bounds b = bounds_for(x, c->out, c->dim, 1 / sqrt(c->dim), c->how);
    for (int i = 0; i < n_under_test; i++) {
        trk_attention_force_kernels(under_test[i]);
        trk_mat out = poisoned(expected.rows, channels, 4, c->out), again = copy_of(out);
        trk_window_attention_cpu(x, out, qkv, c->h, c->w, c->heads, c->window, c->pool, bias.data);
        trk_window_attention_cpu(&other, again, qkv, c->h, c->w, c->heads, c->window, c->pool, bias.data);
        compare(out, expected, b.max, b.nmse);
        compare_exactly(again, out, "result depends on the number of threads");
        discard(out), discard(again);
    }
    discard(qkv), discard(expected), discard(bias);
}

static void check_windows(trk_exec *x, int n_random)
{
    static const int shapes[][6] = {
        {16, 16, 1, 96, 8, 0},  {16, 16, 2, 96, 8, 1},  {12, 12, 2, 96, 4, 0},  {12, 8, 4, 96, 4, 1},
        {20, 30, 4, 96, 14, 0}, {20, 18, 4, 96, 14, 1}, {9, 16, 8, 96, 7, 0},   {8, 8, 3, 72, 0, 0},
        {16, 20, 2, 56, 0, 0},  {8, 12, 2, 32, 0, 1},   {10, 6, 1, 72, 4, 1},   {64, 64, 1, 32, 8, 0},
        {1, 1, 1, 8, 7, 0},     {5, 3, 2, 5, 2, 0},     {32, 32, 1, 16, 32, 0}, {30, 36, 1, 16, 36, 0},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int types = 0; types < 4; types++)
            for (int how = 0; how < FILLS; how++) {
                const int *s = shapes[i];
                window_case c = {.h = s[0], .w = s[1], .heads = s[2], .dim = s[3], .window = s[4], .pool = s[5]};
                c.qkv = types & 1 ? TRK_BF16 : TRK_F32;
                c.out = types & 2 ? TRK_BF16 : TRK_F32;
                c.how = (fill)how;
                c.nan = how == FILL_UNIFORM && types == 0;
                if (how == FILL_UNIFORM || s[0] * s[1] < 400)
                    check_window(x, &c);
            }
    for (int i = 0; i < n_random; i++) {
        window_case c = {.pool = between(0, 1)};
        c.h = between(1, 20);
        c.w = between(1, 20);
        c.heads = between(1, 3);
        c.dim = between(1, 50);
        c.window = between(0, 9);
        if (c.pool)
            c.h = 2 * ((c.h + 1) / 2), c.w = 2 * ((c.w + 1) / 2), c.window &= ~1;
        c.qkv = random_dtype(), c.out = random_dtype();
        c.how = (fill)between(0, FILLS - 1);
        c.nan = between(0, 9) == 0;
        check_window(x, &c);
    }
}

/* ---- rope ---- */

static void check_rope(trk_exec *x, int rows, int cols, int n_positions, trk_dtype dtype, int extra)
{
    snprintf(where, sizeof where, "rope [%d, %d] positions %d type %d extra %d", rows, cols, n_positions, (int)dtype,
             extra);
    trk_mat rotated = poisoned(rows, cols, extra, dtype), table = poisoned(n_positions, cols, 0, TRK_F32);
    fill_mat(rotated, FILL_UNIFORM);
    fill_mat(table, FILL_UNIFORM);
    trk_mat expected = copy_of(rotated);
    trk_rope_ref(x, expected, table.data, n_positions);
    /* two products and a sum of values up to 1: three roundings of 2^-24; in bf16 a result next to the middle of two
     * values may be rounded to the other one, 2^-7 apart where the largest are */
    for (int i = 0; i < n_under_test; i++) {
        trk_attention_force_kernels(under_test[i]);
        trk_mat out = copy_of(rotated);
        trk_exec other = *x;
        other.n_threads = 2;
        trk_rope_cpu(&other, out, table.data, n_positions);
        compare(out, expected, dtype == TRK_BF16 ? 0x1p-7 : 0x1p-22, dtype == TRK_BF16 ? 1e-7 : 1e-12);
        discard(out);
    }
    discard(rotated), discard(table), discard(expected);
}

static void check_ropes(trk_exec *x)
{
    for (int extra = 0; extra < 8; extra += 7)
        for (int dtype = 0; dtype < 2; dtype++) {
            check_rope(x, 1, 2, 1, (trk_dtype)dtype, extra);
            check_rope(x, 5, 30, 3, (trk_dtype)dtype, extra);
            check_rope(x, 64, 96, 16, (trk_dtype)dtype, extra);
            check_rope(x, 900, 256, 100, (trk_dtype)dtype, extra);
            check_rope(x, 4096, 256, 4096, (trk_dtype)dtype, extra);
        }
}

int main(int argc, char **argv)
{
    const char *only = NULL;
    int n_random = 150;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--kernels") == 0)
            only = argv[i + 1];
        else if (strcmp(argv[i], "--seed") == 0)
            state = (uint32_t)strtoul(argv[i + 1], NULL, 10) | 1u;
        else if (strcmp(argv[i], "--random") == 0)
            n_random = atoi(argv[i + 1]);
    }
    const uint32_t seed = state;
    trk_allocator allocator = {allocate, release};
    struct workspace *workspace = NULL;
    trk_backend *backend = NULL; /* for its team of two */
    const trk_backend_params params = {.kind = TRK_BACKEND_CPU, .activation = TRK_F32, .n_threads = 2};
    if (trk_workspace_create(&workspace, &allocator) < 0 || trk_backend_create(&backend, &params, &allocator) < 0)
        return 2;
    for (int isa = 0; isa < ATTENTION_ISAS; isa++) {
        const attention_kernels *kernels = trk_attention_kernels_of((attention_isa)isa);
        if (!kernels)
            printf("instruction set %d: not on this machine, skipped\n", isa);
        else if (!only || strcmp(only, kernels->name) == 0)
            under_test[n_under_test++] = kernels;
    }
    for (int bf16 = 0; bf16 < 2; bf16++) {
        trk_exec x = {.backend = backend, .allocator = &allocator, .workspace = workspace, .n_threads = 1};
        x.activation = bf16 ? TRK_BF16 : TRK_F32;
        const int checks_before = n_checks, failures_before = n_failures;
        check_attention_shapes(&x);
        for (int i = 0; i < n_under_test; i++) {
            trk_attention_force_kernels(under_test[i]);
            check_attention_extremes(&x);
        }
        check_attention_random(&x, n_random);
        check_windows(&x, n_random);
        check_ropes(&x);
        if (x.status < 0)
            fail("an operator recorded a failure");
        printf("%-4s products: %d checks, %d failed; kernels", bf16 ? "bf16" : "f32", n_checks - checks_before,
               n_failures - failures_before);
        for (int i = 0; i < n_under_test; i++)
            printf(" %s", under_test[i]->name);
        printf("\n");
    }
    trk_workspace_destroy(&workspace);
    trk_backend_destroy(&backend);
    if (n_failures)
        printf("rerun with --seed %u --random %d\n", (unsigned)seed, n_random);
    return n_failures || !n_checks ? 1 : 0;
}
