/* SPDX-License-Identifier: Apache-2.0
 *     kcheck [--op NAME] [--backend NAME] [--seed N] [--shape TEXT] [--fill NAME] [--types TEXT] [--threads N]
 *            [--bench] [--list]
 * See kcheck.h. Exit status: 0 all held, 1 some did not, 2 misuse, 77 nothing could run. */
#include "kcheck.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backend_private.h"
#include "bf16.h"
#include "cpu.h"
#include "layer.h"

#define GUARD_BYTES 256  /* poisoned on both sides of every buffer */
#define POISON      0xff /* all-ones bytes are NaN in f32 and bf16 */
#define MAX_BUFFERS 64
#define MAX_LAYERS  4

typedef struct buffer {
    char *data; /* with GUARD_BYTES before and after */
    size_t bytes;
} buffer;

struct kcheck {
    const char *op, *backend_name; /* current */
    const char *only_shape, *only_fill, *only_types;
    int bench, max_threads;
    uint32_t seed, random;
    kcheck_fill fill;
    char shape[160], types[64];
    trk_allocator allocator;
    trk_backend *reference, *candidate;
    trk_exec reference_exec, exec;
    buffer buffers[MAX_BUFFERS];
    int n_buffers;
    trk_linear linears[MAX_LAYERS];
    trk_conv convs[MAX_LAYERS];
    int n_linears, n_convs;
    int n_cases, n_failed, case_failed;
};

static const char *const fill_names[FILLS + 1] = {"uniform", "zeros", "constant", "huge", "tiny", "offset", "nan"};

static const struct {
    const char *name;
    void (*check)(kcheck *k);
} operators[] = {{"backend", check_backend},   /* creation, misuse, concurrency */
                 {"planning", check_planning}, /* execs that only size their workspace */
                 {"upstream", check_upstream}, /* results of Pillow and torch */
#define ENTRY(name, args) {#name, check_##name},
                 TRK_OP_LIST(ENTRY)
#undef ENTRY
};

/* ---- memory ---- */

static void *allocate(trk_allocator *self, trk_mem_class mem_class, const char *owner, size_t bytes)
{
    (void)self, (void)mem_class, (void)owner;
    return aligned_alloc(TRK_ALIGNMENT, (bytes + TRK_ALIGNMENT - 1) / TRK_ALIGNMENT * TRK_ALIGNMENT);
}

static void release(trk_allocator *self, trk_mem_class mem_class, void *data, size_t bytes)
{
    (void)self, (void)mem_class, (void)bytes;
    free(data);
}

static char *new_buffer(kcheck *k, size_t bytes)
{
    const size_t all = (bytes + 2 * GUARD_BYTES + TRK_ALIGNMENT - 1) / TRK_ALIGNMENT * TRK_ALIGNMENT;
    char *data = k->n_buffers < MAX_BUFFERS ? aligned_alloc(TRK_ALIGNMENT, all) : NULL;
    if (!data) {
        fprintf(stderr, "kcheck: no memory for %zu bytes\n", all);
        exit(2);
    }
    memset(data, POISON, all);
    k->buffers[k->n_buffers++] = (buffer){data, bytes};
    return data + GUARD_BYTES;
}

static int all_poison(const char *data, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        if ((unsigned char)data[i] != POISON)
            return 0;
    return 1;
}

/* Between the rows; what is before the first and after the last is the buffer's own guard. */
static int gaps_intact(trk_mat m)
{
    const size_t element = trk_dtype_bytes(m.dtype), gap = (size_t)(m.stride - m.cols) * element;
    for (int r = 0; r + 1 < m.rows; r++)
        if (!all_poison((char *)m.data + (size_t)(r * m.stride + m.cols) * element, gap))
            return 0;
    return 1;
}

static void end_case(kcheck *k)
{
    for (int i = 0; i < k->n_buffers; i++) {
        const buffer *b = &k->buffers[i];
        kcheck_expect(k, all_poison(b->data, GUARD_BYTES) && all_poison(b->data + GUARD_BYTES + b->bytes, GUARD_BYTES),
                      "nothing written before or after a buffer");
        free(b->data);
    }
    for (int i = 0; i < k->n_linears; i++)
        trk_linear_release(&k->linears[i], k->candidate, &k->allocator);
    for (int i = 0; i < k->n_convs; i++)
        trk_conv_release(&k->convs[i], k->candidate, &k->allocator);
    k->n_buffers = k->n_linears = k->n_convs = 0;
}

/* ---- data ---- */

uint32_t kcheck_random(kcheck *k)
{
    k->random ^= k->random << 13;
    k->random ^= k->random >> 17;
    k->random ^= k->random << 5;
    return k->random;
}

static float uniform(kcheck *k, float low, float high)
{
    return low + (high - low) * ((float)(kcheck_random(k) >> 8) * 0x1p-24f);
}

static double get(trk_mat m, int64_t r, int64_t c)
{
    const int64_t at = r * m.stride + c;
    return m.dtype == TRK_BF16 ? trk_bf16_to_f32(((const uint16_t *)m.data)[at]) : ((const float *)m.data)[at];
}

static void put(trk_mat m, int64_t r, int64_t c, float value)
{
    const int64_t at = r * m.stride + c;
    if (m.dtype == TRK_BF16)
        ((uint16_t *)m.data)[at] = trk_f32_to_bf16(value);
    else
        ((float *)m.data)[at] = value;
}

static size_t mat_bytes(trk_mat m)
{
    return m.rows ? ((size_t)(m.rows - 1) * (size_t)m.stride + (size_t)m.cols) * trk_dtype_bytes(m.dtype) : 0;
}

trk_mat kcheck_shape(int rows, int cols, int extra, trk_dtype dtype)
{
    return (trk_mat){.dtype = dtype, .rows = rows, .cols = cols, .stride = cols + extra};
}

static trk_mat new_mat(kcheck *k, trk_mat shape)
{
    shape.data = new_buffer(k, mat_bytes(shape));
    return shape;
}

trk_mat kcheck_input(kcheck *k, int rows, int cols, int extra, trk_dtype dtype)
{
    trk_mat m = new_mat(k, kcheck_shape(rows, cols, extra, dtype));
    for (int r = 0; r < rows; r++) {
        const float row_value = uniform(k, -3, 3);
        for (int c = 0; c < cols; c++) {
            static const float specials[] = {NAN, INFINITY, -INFINITY};
            const float u = uniform(k, -1, 1), special = u > 0.7f ? specials[(int)(u * 1000) % 3] : u;
            const float value[FILLS + 1] = {u, 0, row_value, 1e15f * u, 1e-15f * u, 1000 + u, special};
            put(m, r, c, value[k->fill]);
        }
    }
    return m;
}

trk_mat kcheck_uniform(kcheck *k, int rows, int cols, trk_dtype dtype, float low, float high)
{
    trk_mat m = new_mat(k, kcheck_shape(rows, cols, 0, dtype));
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < cols; c++)
            put(m, r, c, uniform(k, low, high));
    return m;
}

float *kcheck_floats(kcheck *k, size_t n, float low, float high)
{
    float *values = (float *)(void *)new_buffer(k, n * sizeof *values);
    for (size_t i = 0; i < n; i++)
        values[i] = uniform(k, low, high);
    return values;
}

uint8_t *kcheck_bytes(kcheck *k, size_t n)
{
    uint8_t *bytes = (uint8_t *)new_buffer(k, n);
    for (size_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)(kcheck_random(k) >> 24);
    return bytes;
}

trk_backend *kcheck_backend(kcheck *k)
{
    return k->candidate;
}

trk_allocator *kcheck_allocator(kcheck *k)
{
    return &k->allocator;
}

static void require(trk_status rc)
{
    if (rc < 0) {
        fprintf(stderr, "kcheck: %s\n", trk_error_text());
        exit(1);
    }
}

const trk_linear *kcheck_linear(kcheck *k, int n_in, int n_out, int with_bias)
{
    trk_linear *layer = &k->linears[k->n_linears++];
    const float bound = 1.7f / sqrtf((float)n_in); /* unit variance of the sums for unit variance inputs */
    *layer = (trk_linear){.n_in = n_in, .n_out = n_out};
    layer->weight = kcheck_floats(k, (size_t)n_in * (size_t)n_out, -bound, bound);
    layer->bias = with_bias ? kcheck_floats(k, (size_t)n_out, -1, 1) : NULL;
    require(trk_linear_prepare(layer, k->candidate, &k->allocator));
    return layer;
}

const trk_conv *kcheck_conv(kcheck *k, int in_channels, int out_channels, int kernel, int stride, int padding,
                            int groups)
{
    trk_conv *layer = &k->convs[k->n_convs++];
    const size_t terms = (size_t)(in_channels / groups) * (size_t)kernel * (size_t)kernel;
    const float bound = 1.7f / sqrtf((float)terms);
    *layer = (trk_conv){in_channels, out_channels, kernel, stride, padding, groups, NULL, NULL, NULL};
    layer->weight = kcheck_floats(k, terms * (size_t)out_channels, -bound, bound);
    layer->bias = kcheck_floats(k, (size_t)out_channels, -1, 1);
    require(trk_conv_prepare(layer, k->candidate, &k->allocator));
    return layer;
}

double kcheck_row_norm(trk_mat m)
{
    double largest = 0;
    for (int r = 0; r < m.rows; r++) {
        double sum = 0;
        for (int c = 0; c < m.cols; c++)
            sum += get(m, r, c) * get(m, r, c);
        largest = fmax(largest, sqrt(sum));
    }
    return largest;
}

/* ---- cases ---- */

static int selected(const char *only, const char *name)
{
    return !only || strcmp(only, name) == 0;
}

int kcheck_case(kcheck *k, kcheck_fill fill, const char *types, const char *shape, ...)
{
    end_case(k);
    va_list args;
    va_start(args, shape);
    vsnprintf(k->shape, sizeof k->shape, shape, args);
    va_end(args);
    snprintf(k->types, sizeof k->types, "%s", types);
    k->fill = fill;
    if (!selected(k->only_shape, k->shape) || !selected(k->only_types, k->types) ||
        !selected(k->only_fill, fill_names[fill]))
        return 0;
    uint32_t hash = 2166136261u ^ k->seed; /* so that a case alone sees what it sees in the whole run */
    for (const char *text = k->shape; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 16777619u;
    k->random = (hash ^ (uint32_t)fill * 2654435761u) | 1u;
    k->n_cases++;
    k->case_failed = 0;
    k->reference_exec.status = k->exec.status = TRK_OK;
    return 1;
}

int kcheck_is_bench(const kcheck *k)
{
    return k->bench;
}

static void fail(kcheck *k, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void fail(kcheck *k, const char *format, ...)
{
    k->n_failed += !k->case_failed;
    k->case_failed = 1;
    printf("FAIL ");
    va_list args;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n  kcheck --op %s --backend %s --shape '%s' --fill %s --types '%s' --seed %u\n", k->op, k->backend_name,
           k->shape, fill_names[k->fill], k->types, (unsigned)k->seed);
}

void kcheck_expect(kcheck *k, int condition, const char *what)
{
    if (!condition)
        fail(k, "expected: %s", what);
}

/* ---- comparing ---- */

/* Equal bits, or both NaN. */
static int same_element(trk_mat a, trk_mat b, int64_t r, int64_t c)
{
    const size_t element = trk_dtype_bytes(a.dtype);
    return memcmp((char *)a.data + (size_t)(r * a.stride + c) * element,
                  (char *)b.data + (size_t)(r * b.stride + c) * element, element) == 0 ||
           (isnan(get(a, r, c)) && isnan(get(b, r, c)));
}

static void compare_exactly(kcheck *k, trk_mat got, trk_mat want, const char *against)
{
    for (int r = 0; r < got.rows; r++)
        for (int c = 0; c < got.cols; c++)
            if (!same_element(got, want, r, c)) {
                fail(k, "row %d column %d differs from %s: %.9g instead of %.9g", r, c, against, get(got, r, c),
                     get(want, r, c));
                return;
            }
}

static double largest_finite(trk_mat m)
{
    double largest = 0;
    for (int r = 0; r < m.rows; r++)
        for (int c = 0; c < m.cols; c++)
            if (isfinite(get(m, r, c)))
                largest = fmax(largest, fabs(get(m, r, c)));
    return largest;
}

static void compare(kcheck *k, trk_mat got, trk_mat want, kcheck_bound bound)
{
    const double scale = bound.scale > 0 ? bound.scale : largest_finite(want);
    /* bf16: the sides may round to neighbours, which are up to 2^-7 apart; few elements do */
    const double rounding = got.dtype == TRK_BF16 ? 0x1p-7 : 0, nmse = bound.nmse + rounding * rounding / 16;
    double error = 0, energy = 0;
    for (int r = 0; r < got.rows; r++) {
        for (int c = 0; c < got.cols; c++) {
            const double g = get(got, r, c), w = get(want, r, c), d = g - w;
            if (!isfinite(w)) {
                if (isnan(w) ? !isnan(g) : g != w) {
                    fail(k, "row %d column %d is %g, expected %g", r, c, g, w);
                    return;
                }
                continue;
            }
            if (!(fabs(d) <= bound.max * scale + rounding * fabs(w))) {
                fail(k, "row %d column %d is %.9g, expected %.9g (allowed %.3g)", r, c, g, w,
                     bound.max * scale + rounding * fabs(w));
                return;
            }
            error += d * d;
            energy += w * w;
        }
    }
    /* a single element far below the rest of its row may be all rounding error of the larger terms it cancels from */
    const double floor = bound.max * scale * bound.max * scale * 1e-3 * (double)got.rows * got.cols;
    if (!(error <= nmse * energy + floor))
        fail(k, "normalised squared error %.3g (allowed %.3g)", error / energy, nmse);
}

/* ---- running ---- */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void bench(kcheck *k, trk_mat out, kcheck_function *run, const void *context, double work)
{
    double best = INFINITY, total = 0;
    run(&k->exec, out, context);
    for (int i = 0; i < 5000 && (total < 0.2 || i < 3); i++) {
        const double start = now();
        run(&k->exec, out, context);
        const double seconds = now() - start;
        best = fmin(best, seconds);
        total += seconds;
    }
    printf("%-16s %-9s %-14s %-40s %10.1f us", k->op, k->backend_name, k->types, k->shape, best * 1e6);
    if (work > 0)
        printf(" %8.1f GFLOP/s\n", work / best * 1e-9);
    else
        printf(" %8.2f GB/s out\n", (double)mat_bytes(out) / best * 1e-9);
    fflush(stdout);
}

static trk_mat output(kcheck *k, trk_mat out)
{
    trk_mat m = new_mat(k, out);
    if (out.data)
        memcpy(m.data, out.data, mat_bytes(out));
    return m;
}

void kcheck_run(kcheck *k, trk_mat out, kcheck_function *run, const void *context, kcheck_bound bound, double work)
{
    trk_mat got = output(k, out);
    if (k->bench) {
        bench(k, got, run, context, work);
        kcheck_expect(k, k->exec.status == TRK_OK, trk_error_text());
        return;
    }
    trk_mat want = output(k, out), alone = output(k, out);
    run(&k->reference_exec, want, context);
    kcheck_expect(k, k->reference_exec.status == TRK_OK, trk_error_text());
    run(&k->exec, got, context);
    k->exec.n_threads = 1;
    run(&k->exec, alone, context);
    k->exec.n_threads = k->max_threads;
    if (k->exec.status < 0 || k->reference_exec.status < 0) {
        fail(k, "failed: %s", trk_error_text());
        return;
    }
    if (bound.exact)
        compare_exactly(k, got, want, "the reference");
    else
        compare(k, got, want, bound);
    compare_exactly(k, alone, got, "the result with more threads");
    kcheck_expect(k, gaps_intact(got) && gaps_intact(alone), "nothing written between rows");
}

/* ---- backends ---- */

typedef struct candidate {
    const char *name;
    trk_backend_kind kind;
    trk_dtype activation;
    const cpu_kernels *kernels; /* NULL: the backend's own choice */
} candidate;

/* Instruction sets below the best one are checked, too, but only on f32: their kernels are the same text. */
static int list_candidates(candidate *out)
{
    int n = 0;
    out[n++] = (candidate){"cpu", TRK_BACKEND_CPU, TRK_F32, NULL};
    out[n++] = (candidate){"cpu-bf16", TRK_BACKEND_CPU, TRK_BF16, NULL};
#ifdef __x86_64__
    if (cpu_kernels_best() == &cpu_kernels_avx512)
        out[n++] = (candidate){"cpu-avx2", TRK_BACKEND_CPU, TRK_F32, &cpu_kernels_avx2};
    if (cpu_kernels_best() != &cpu_kernels_base)
        out[n++] = (candidate){"cpu-base", TRK_BACKEND_CPU, TRK_F32, &cpu_kernels_base};
#endif
    return n;
}

/* What does not run on the kernels that a candidate may replace. */
static int is_library_operator(const char *name)
{
    static const char *const own[] = {"attention", "window_attention", "rope"}; /* attention.c checks them all */
    for (int i = 0; i < KCHECK_OF(own); i++)
        if (strcmp(own[i], name) == 0)
            return 1;
    return *cpu_library_name() && (strcmp(name, "linear") == 0 || strcmp(name, "conv2d") == 0);
}

static void check_candidate(kcheck *k, const candidate *c, const char *only_op)
{
    k->backend_name = c->name;
    require(trk_backend_create(&k->reference, TRK_BACKEND_REF, c->activation, 1, &k->allocator));
    require(trk_backend_create(&k->candidate, c->kind, c->activation, k->max_threads, &k->allocator));
    if (c->kernels)
        k->candidate->kernels = c->kernels;
    require(trk_exec_init(&k->reference_exec, k->reference, &k->allocator));
    require(trk_exec_init(&k->exec, k->candidate, &k->allocator));
    for (int i = 0; i < KCHECK_OF(operators); i++) {
        if (only_op && strcmp(only_op, operators[i].name) != 0)
            continue;
        if (c->kernels && is_library_operator(operators[i].name)) {
            if (!k->bench)
                printf("skip %-16s %-9s the same as on backend cpu\n", operators[i].name, c->name);
            continue;
        }
        const int cases = k->n_cases, failed = k->n_failed;
        const double start = now();
        k->op = operators[i].name;
        operators[i].check(k);
        end_case(k);
        if (!k->bench)
            printf("%-4s %-16s %-9s %5d cases %5.1f s\n", k->n_failed > failed ? "FAIL" : "ok", k->op, c->name,
                   k->n_cases - cases, now() - start);
    }
    trk_exec_release(&k->exec);
    trk_exec_release(&k->reference_exec);
    trk_backend_destroy(&k->candidate);
    trk_backend_destroy(&k->reference);
}

static int known_operator(const char *name)
{
    for (int i = 0; i < KCHECK_OF(operators); i++)
        if (strcmp(operators[i].name, name) == 0)
            return 1;
    return 0;
}

static int misuse(const char *what, const char *value)
{
    fprintf(stderr, "kcheck: %s '%s'\n", what, value);
    return 2;
}

int main(int argc, char **argv)
{
    const char *only_op = NULL, *only_backend = NULL;
    kcheck *k = calloc(1, sizeof *k);
    candidate candidates[4];
    const int n_candidates = list_candidates(candidates);
    if (!k)
        return 2;
    k->seed = 1;
    k->max_threads = 2; /* also on one core: more threads than one is what has to be checked */
    k->allocator = (trk_allocator){allocate, release};
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--list") == 0) {
            for (int j = 0; j < KCHECK_OF(operators); j++)
                printf("%s\n", operators[j].name);
            free(k);
            return 0;
        }
        if (strcmp(argv[i], "--bench") == 0) {
            k->bench = 1;
            continue;
        }
        if (strcmp(argv[i], "--op") == 0 && known_operator(value))
            only_op = value;
        else if (strcmp(argv[i], "--backend") == 0)
            only_backend = value;
        else if (strcmp(argv[i], "--seed") == 0)
            k->seed = (uint32_t)strtoul(value, NULL, 10);
        else if (strcmp(argv[i], "--threads") == 0 && atoi(value) > 0)
            k->max_threads = atoi(value);
        else if (strcmp(argv[i], "--shape") == 0)
            k->only_shape = value;
        else if (strcmp(argv[i], "--fill") == 0)
            k->only_fill = value;
        else if (strcmp(argv[i], "--types") == 0)
            k->only_types = value;
        else
            return misuse("unknown option or operator", argv[i]);
        i++;
    }
    printf("%s\n", trk_backend_describe());
    int n_run = 0;
    for (int i = 0; i < n_candidates; i++) {
        if (only_backend && strcmp(only_backend, candidates[i].name) != 0)
            continue;
        if (candidates[i].activation == TRK_BF16 && !trk_backend_has_bf16(candidates[i].kind)) {
            printf("not supported on this machine: %s\n", candidates[i].name);
            continue;
        }
        check_candidate(k, &candidates[i], only_op);
        n_run++;
    }
    const int n_failed = k->n_failed, n_cases = k->n_cases;
    free(k);
    if (!n_run)
        return only_backend && strcmp(only_backend, "cpu-bf16") != 0 ? misuse("unknown backend", only_backend) : 77;
    if (!n_cases && only_backend == NULL)
        return misuse("no case matches the selection of operator", only_op ? only_op : "any");
    return n_failed ? 1 : 0;
}
