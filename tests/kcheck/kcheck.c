/* SPDX-License-Identifier: Apache-2.0
 *     kcheck [--op NAME] [--backend NAME] [--seed N] [--shape TEXT] [--fill NAME] [--types TEXT] [--threads N]
 *            [--bench] [--list]
 * See kcheck.h. Backends: cpu, cpu-bf16, cpu-avx2, cpu-base (all of these if none is named), cuda, cuda-bf16; cuda-all:
 * the last two. Exit status: 0 all held, 1 some did not, 2 misuse, 77 nothing could run. */
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
#include "cuda/cuda.h"
#include "emulation.h"
#include "layer.h"

#define GUARD_BYTES 256  /* poisoned on both sides of every buffer */
#define POISON      0xff /* all-ones bytes are NaN in f32 and bf16 */
#define MAX_BUFFERS 64
#define MAX_LAYERS  4

/* The emulation runs some ten million elements a second, three times; multiply-adds of products faster. */
#define LARGEST_EMULATED 3e6
#define MANY_EMULATED    3e4 /* elements of a shape that gets few fills */

typedef struct buffer {
    char *data; /* with GUARD_BYTES before and after */
    char *host; /* data, or with --bench on a GPU what data is a copy of */
    size_t bytes;
} buffer;

struct kcheck {
    const char *op, *backend_name; /* current */
    const char *only_shape, *only_fill, *only_types;
    int bench, max_threads;
    uint32_t seed, random;
    kcheck_fill fill;
    int aligned; /* rows of inputs and outputs start on whole vectors */
    char shape[160], types[64];
    trk_allocator host, device; /* of memory of the host and of GPU 0 */
    trk_allocator *allocator;   /* one of these: the candidate's */
    int is_cuda, is_emulated;   /* the candidate */
    int is_second;              /* of the same kind */
    trk_backend *reference, *candidate;
    trk_exec reference_exec, exec;
    buffer buffers[MAX_BUFFERS];
    int n_buffers;
    trk_linear linears[MAX_LAYERS];
    trk_conv convs[MAX_LAYERS];
    int n_linears, n_convs;
    int n_cases, n_failed, n_too_large, n_skipped, case_failed;
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

static void require(trk_status rc)
{
    if (rc < 0) {
        fprintf(stderr, "kcheck: %s\n", trk_error_text());
        exit(1);
    }
}

static void *allocate(trk_allocator *self, trk_mem_class mem_class, const char *owner, size_t bytes)
{
    return aligned_alloc(TRK_ALIGNMENT, trk_aligned(bytes));
}

static void release(trk_allocator *self, trk_mem_class mem_class, void *data, size_t bytes)
{
    free(data);
}

static void *allocate_on_device(trk_allocator *self, trk_mem_class mem_class, const char *owner, size_t bytes)
{
    return trk_cuda_allocate(0, bytes);
}

static void release_on_device(trk_allocator *self, trk_mem_class mem_class, void *data, size_t bytes)
{
    trk_cuda_release(0, data);
}

void *kcheck_pages(kcheck *k, size_t bytes)
{
    void *data = k->is_cuda ? trk_cuda_host_allocate(bytes) : aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
    if (data)
        memset(data, 0, bytes);
    return data;
}

void kcheck_pages_release(kcheck *k, void *data, size_t bytes)
{
    if (k->is_cuda)
        trk_cuda_host_release(data, bytes);
    else
        free(data);
}

/* Bytes of a buffer with its guards. */
static size_t guarded(size_t bytes)
{
    return trk_aligned(bytes + 2 * GUARD_BYTES);
}

/* On the host; with --bench on a GPU only kcheck_send makes the device's copy of it. */
static char *new_buffer(kcheck *k, size_t bytes)
{
    const size_t all = guarded(bytes);
    const int is_full = k->n_buffers == MAX_BUFFERS, on_device = k->bench && k->is_cuda;
    char *host = is_full                    ? NULL
                 : k->is_cuda && !on_device ? trk_cuda_host_allocate(all)
                                            : aligned_alloc(TRK_ALIGNMENT, all);
    char *data = on_device && host ? trk_cuda_allocate(0, all) : host;
    if (!data) {
        fprintf(stderr, "kcheck: no memory for %zu bytes\n", all);
        exit(2);
    }
    memset(host, POISON, all);
    k->buffers[k->n_buffers++] = (buffer){data, host, bytes};
    return data + GUARD_BYTES;
}

static const buffer *buffer_of(const kcheck *k, const void *data)
{
    for (int i = 0; i < k->n_buffers; i++)
        if (k->buffers[i].data + GUARD_BYTES == data)
            return &k->buffers[i];
    return NULL;
}

void *kcheck_view(kcheck *k, const void *data)
{
    const buffer *b = buffer_of(k, data);
    return b ? b->host + GUARD_BYTES : (void *)(uintptr_t)data;
}

void kcheck_send(kcheck *k, const void *data)
{
    const buffer *b = buffer_of(k, data);
    if (b && b->host != b->data)
        require(trk_cuda_write(0, b->data, b->host, guarded(b->bytes)));
}

static void release_buffer(kcheck *k, const buffer *b)
{
    if (k->is_cuda && b->host == b->data) {
        trk_cuda_host_release(b->data, guarded(b->bytes));
        return;
    }
    if (b->host != b->data)
        trk_cuda_release(0, b->data);
    free(b->host);
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
    const char *error = emulation_take_error();
    kcheck_expect(k, !error, error);
    for (int i = 0; i < k->n_buffers; i++) {
        const buffer *b = &k->buffers[i];
        kcheck_expect(k, all_poison(b->host, GUARD_BYTES) && all_poison(b->host + GUARD_BYTES + b->bytes, GUARD_BYTES),
                      "nothing written before or after a buffer");
        release_buffer(k, b);
    }
    for (int i = 0; i < k->n_linears; i++)
        trk_linear_release(&k->linears[i], k->candidate, k->allocator);
    for (int i = 0; i < k->n_convs; i++)
        trk_conv_release(&k->convs[i], k->candidate, k->allocator);
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

/* In half of the cases the gaps between rows grow until every row starts where vectors may be moved. */
static trk_mat spaced(const kcheck *k, trk_mat shape)
{
    if (k->aligned)
        shape.stride = (shape.stride + 7) / 8 * 8;
    return shape;
}

static trk_mat new_mat(kcheck *k, trk_mat shape)
{
    shape.data = new_buffer(k, mat_bytes(shape));
    return shape;
}

/* The mat as the host sees it. */
static trk_mat view_of(kcheck *k, trk_mat m)
{
    m.data = kcheck_view(k, m.data);
    return m;
}

trk_mat kcheck_input(kcheck *k, int rows, int cols, int extra, trk_dtype dtype)
{
    const trk_mat m = new_mat(k, spaced(k, kcheck_shape(rows, cols, extra, dtype))), view = view_of(k, m);
    for (int r = 0; r < rows; r++) {
        const float row_value = uniform(k, -3, 3);
        for (int c = 0; c < cols; c++) {
            static const float specials[] = {NAN, INFINITY, -INFINITY};
            const float u = uniform(k, -1, 1), special = u > 0.7f ? specials[(int)(u * 1000) % 3] : u;
            const float value[FILLS + 1] = {u, 0, row_value, 1e15f * u, 1e-15f * u, 1000 + u, special};
            put(view, r, c, value[k->fill]);
        }
    }
    kcheck_send(k, m.data);
    return m;
}

trk_mat kcheck_uniform(kcheck *k, int rows, int cols, trk_dtype dtype, float low, float high)
{
    const trk_mat m = new_mat(k, kcheck_shape(rows, cols, 0, dtype)), view = view_of(k, m);
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < cols; c++)
            put(view, r, c, uniform(k, low, high));
    kcheck_send(k, m.data);
    return m;
}

float *kcheck_floats(kcheck *k, size_t n, float low, float high)
{
    float *values = (float *)(void *)new_buffer(k, n * sizeof *values), *view = kcheck_view(k, values);
    for (size_t i = 0; i < n; i++)
        view[i] = uniform(k, low, high);
    kcheck_send(k, values);
    return values;
}

uint8_t *kcheck_bytes(kcheck *k, size_t n)
{
    uint8_t *bytes = (uint8_t *)new_buffer(k, n), *view = kcheck_view(k, bytes);
    for (size_t i = 0; i < n; i++)
        view[i] = (uint8_t)(kcheck_random(k) >> 24);
    kcheck_send(k, bytes);
    return bytes;
}

trk_backend *kcheck_backend(kcheck *k)
{
    return k->candidate;
}

trk_allocator *kcheck_allocator(kcheck *k)
{
    return k->allocator;
}

trk_allocator *kcheck_host_allocator(kcheck *k)
{
    return &k->host;
}

/* Weights are the host's, which prepares them. */
static const float *host_floats(kcheck *k, size_t n, float low, float high)
{
    return kcheck_view(k, kcheck_floats(k, n, low, high));
}

const trk_linear *kcheck_linear(kcheck *k, int n_in, int n_out, int with_bias)
{
    trk_linear *layer = &k->linears[k->n_linears++];
    const float bound = 1.7f / sqrtf((float)n_in); /* unit variance of the sums for unit variance inputs */
    *layer = (trk_linear){.n_in = n_in, .n_out = n_out};
    layer->weight = host_floats(k, (size_t)n_in * (size_t)n_out, -bound, bound);
    layer->bias = with_bias ? host_floats(k, (size_t)n_out, -1, 1) : NULL;
    require(trk_linear_prepare(layer, k->candidate, k->allocator));
    return layer;
}

const trk_conv *kcheck_conv(kcheck *k, int in_channels, int out_channels, int kernel, int stride, int padding,
                            int groups)
{
    trk_conv *layer = &k->convs[k->n_convs++];
    const size_t terms = (size_t)(in_channels / groups) * (size_t)kernel * (size_t)kernel;
    const float bound = 1.7f / sqrtf((float)terms);
    *layer = (trk_conv){in_channels, out_channels, kernel, stride, padding, groups, NULL, NULL, NULL};
    layer->weight = host_floats(k, terms * (size_t)out_channels, -bound, bound);
    layer->bias = host_floats(k, (size_t)out_channels, -1, 1);
    require(trk_conv_prepare(layer, k->candidate, k->allocator));
    return layer;
}

double kcheck_row_norm(kcheck *k, trk_mat m)
{
    double largest = 0;
    m = view_of(k, m);
    for (int r = 0; r < m.rows; r++) {
        double sum = 0;
        for (int c = 0; c < m.cols; c++)
            if (isfinite(get(m, r, c)))
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
    hash ^= (uint32_t)fill * 2654435761u;
    k->random = hash | 1u;
    k->aligned = hash >> 9 & 1;
    k->n_cases++;
    k->case_failed = 0;
    k->reference_exec.status = k->exec.status = TRK_OK;
    return 1;
}

int kcheck_is_bench(const kcheck *k)
{
    return k->bench;
}

int kcheck_is_emulated(const kcheck *k)
{
    return k->is_emulated;
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
                if (!(isnan(g) && (isnan(w) || bound.nan_for_infinity)) && g != w) {
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

/* Seconds of n runs, until their results are there. */
static double seconds_of(kcheck *k, trk_mat out, kcheck_function *run, const void *context, int n)
{
    const double start = now();
    for (int i = 0; i < n; i++)
        run(&k->exec, out, context);
    trk_exec_finish(&k->exec);
    return now() - start;
}

/* A run at a time on the CPU; on a GPU so many that launching the first and waiting for the last do not count. */
static double best_seconds(kcheck *k, trk_mat out, kcheck_function *run, const void *context)
{
    double best = INFINITY, total = 0;
    int n = 1;
    seconds_of(k, out, run, context, 1);
    while (k->is_cuda && n < 4096 && seconds_of(k, out, run, context, n) < 0.05)
        n *= 2;
    for (int i = 0; i < 5000 && (total < 0.2 || i < 3); i++) {
        const double seconds = seconds_of(k, out, run, context, n);
        best = fmin(best, seconds / n);
        total += seconds;
    }
    return best;
}

static void bench(kcheck *k, trk_mat out, kcheck_function *run, const void *context, double work)
{
    const double best = best_seconds(k, out, run, context);
    printf("%-16s %-9s %-14s %-40s %10.1f us", k->op, k->backend_name, k->types, k->shape, best * 1e6);
    if (work > 0)
        printf(" %8.1f GFLOP/s\n", work / best * 1e-9);
    else
        printf(" %8.2f GB/s out\n", (double)mat_bytes(out) / best * 1e-9);
    fflush(stdout);
}

static trk_mat output(kcheck *k, trk_mat out)
{
    const trk_mat m = new_mat(k, out.data ? out : spaced(k, out));
    if (out.data)
        memcpy(kcheck_view(k, m.data), kcheck_view(k, out.data), mat_bytes(out));
    kcheck_send(k, m.data);
    return m;
}

int kcheck_too_large(kcheck *k, double work)
{
    double elements = 0;
    for (int i = 0; i < k->n_buffers; i++)
        elements += (double)k->buffers[i].bytes / 4;
    if (!k->is_emulated || fmax(elements, work / 16) <= LARGEST_EMULATED)
        return 0;
    k->n_too_large++;
    return 1;
}

int kcheck_has_enough(const kcheck *k, kcheck_fill fill, double elements)
{
    return k->is_emulated && elements > MANY_EMULATED && fill != FILL_UNIFORM && fill != FILL_OFFSET;
}

/* One more run, in another order than the first: on one thread, or as the emulation's schedule says. */
static void run_again(kcheck *k, trk_mat out, trk_mat first, kcheck_function *run, const void *context, int schedule)
{
    const trk_mat again = output(k, out);
    if (k->is_emulated)
        emulation_use_schedule(schedule);
    k->exec.n_threads = 1;
    run(&k->exec, again, context);
    k->exec.n_threads = k->max_threads;
    if (trk_exec_finish(&k->exec) < 0)
        return;
    compare_exactly(k, again, first, k->is_cuda ? "the first result" : "the result with more threads");
    kcheck_expect(k, gaps_intact(again), "nothing written between rows");
}

static void run_and_compare(kcheck *k, trk_mat out, kcheck_function *run, const void *context, kcheck_bound bound)
{
    const trk_mat got = output(k, out), want = output(k, out);
    run(&k->reference_exec, want, context);
    if (k->is_emulated)
        emulation_use_schedule(0);
    run(&k->exec, got, context);
    if (k->reference_exec.status < 0 || trk_exec_finish(&k->exec) < 0)
        return;
    if (bound.exact)
        compare_exactly(k, got, want, "the reference");
    else
        compare(k, got, want, bound);
    kcheck_expect(k, gaps_intact(got), "nothing written between rows");
    for (int i = 1; i < (k->is_emulated ? emulation_schedules() : 2); i++)
        run_again(k, out, got, run, context, i);
}

int kcheck_run(kcheck *k, trk_mat out, kcheck_function *run, const void *context, kcheck_bound bound, double work)
{
    if (k->bench) {
        bench(k, output(k, out), run, context, work);
        kcheck_expect(k, k->exec.status == TRK_OK, trk_error_text());
        return 0;
    }
    if (kcheck_too_large(k, work))
        return 0;
    run_and_compare(k, out, run, context, bound);
    if (k->exec.status < 0 || k->reference_exec.status < 0)
        fail(k, "failed: %s", trk_error_text());
    return k->exec.status >= 0 && k->reference_exec.status >= 0;
}

/* ---- backends ---- */

typedef struct candidate {
    const char *name;
    trk_backend_kind kind;
    trk_dtype activation;
    const cpu_kernels *kernels; /* NULL: the backend's own choice */
} candidate;

#define MAX_CANDIDATES 6

/* Instruction sets below the best one are checked, too, but only on f32: their kernels are the same text. */
static int list_candidates(candidate *out)
{
    int n = 0;
    out[n++] = (candidate){"cpu", TRK_BACKEND_CPU, TRK_F32, NULL};
    out[n++] = (candidate){"cpu-bf16", TRK_BACKEND_CPU, TRK_BF16, NULL};
#ifdef __x86_64__
    if (trk_cpu_kernels_best() == &trk_cpu_kernels_avx512)
        out[n++] = (candidate){"cpu-avx2", TRK_BACKEND_CPU, TRK_F32, &trk_cpu_kernels_avx2};
    if (trk_cpu_kernels_best() != &trk_cpu_kernels_base)
        out[n++] = (candidate){"cpu-base", TRK_BACKEND_CPU, TRK_F32, &trk_cpu_kernels_base};
#endif
    out[n++] = (candidate){"cuda", TRK_BACKEND_CUDA, TRK_F32, NULL};
    out[n++] = (candidate){"cuda-bf16", TRK_BACKEND_CUDA, TRK_BF16, NULL};
    return n;
}

/* Without a choice: what every machine has. */
static int is_chosen(const candidate *c, const char *only)
{
    if (!only)
        return c->kind == TRK_BACKEND_CPU;
    return strcmp(only, c->name) == 0 || (strcmp(only, "cuda-all") == 0 && c->kind == TRK_BACKEND_CUDA);
}

/* What does not run on the kernels that a candidate may replace. */
static int is_library_operator(const char *name)
{
    static const char *const own[] = {"attention", "window_attention", "rope"}; /* attention.c checks them all */
    for (int i = 0; i < KCHECK_OF(own); i++)
        if (strcmp(own[i], name) == 0)
            return 1;
    return *trk_cpu_library_name() && (strcmp(name, "linear") == 0 || strcmp(name, "conv2d") == 0);
}

/* Kernels of the CUDA backend that are not told what its activations are. */
static int is_of_any_activation(const char *name)
{
    static const char *const those[] = {
        "upstream",     "layernorm",        "add",         "convert",        "maxpool2x2",      "add_upsampled2x",
        "rope",         "depth_to_space2x", "store",       "fetch",          "resize_bilinear", "mask_to_memory",
        "pack_mask",    "unpack_mask",      "if_absent",   "frame_to_input", "frame_to_rgb",    "select_mask",
        "fill_holes",   "upload",           "download",    "clamp",          "threshold",       "score_mask",
        "suppress",     "mask_bytes",       "mask_boxes"};
    for (int i = 0; i < KCHECK_OF(those); i++)
        if (strcmp(those[i], name) == 0)
            return 1;
    return 0;
}

static void check_operator(kcheck *k, int i)
{
    const int cases = k->n_cases, failed = k->n_failed, too_large = k->n_too_large;
    const double start = now();
    k->op = operators[i].name;
    operators[i].check(k);
    end_case(k);
    if (k->bench)
        return;
    const int n_run = k->n_cases - cases - (k->n_too_large - too_large);
    const int is_selection = k->only_shape || k->only_fill || k->only_types;
    k->n_failed += !n_run && !is_selection; /* an operator that nothing was asked of has not passed */
    printf("%-4s %-16s %-9s %5d cases %5.1f s", k->n_failed > failed ? "FAIL" : "ok", k->op, k->backend_name, n_run,
           now() - start);
    if (k->n_too_large > too_large)
        printf(", %d too large for the emulation", k->n_too_large - too_large);
    printf("\n");
}

static void check_candidate(kcheck *k, const candidate *c, const char *only_op)
{
    k->backend_name = c->name;
    k->is_cuda = c->kind == TRK_BACKEND_CUDA;
    k->is_emulated = k->is_cuda && emulation_schedules() > 0;
    k->allocator = k->is_cuda ? &k->device : &k->host;
    const trk_backend_params of_reference = {.kind = TRK_BACKEND_REF, .activation = c->activation, .n_threads = 1};
    const trk_backend_params params = {.kind = c->kind, .activation = c->activation, .n_threads = k->max_threads};
    require(trk_backend_create(&k->reference, &of_reference, &k->host));
    require(trk_backend_create(&k->candidate, &params, k->allocator));
    if (c->kernels)
        k->candidate->kernels = c->kernels;
    require(trk_exec_init(&k->reference_exec, k->reference, &k->host));
    require(trk_exec_init(&k->exec, k->candidate, k->allocator));
    for (int i = 0; i < KCHECK_OF(operators); i++) {
        if (only_op && strcmp(only_op, operators[i].name) != 0)
            continue;
        if (c->kernels && is_library_operator(operators[i].name)) {
            if (!k->bench)
                printf("skip %-16s %-9s the same as on backend cpu\n", operators[i].name, c->name);
            k->n_skipped++;
            continue;
        }
        if (k->is_emulated && k->is_second && is_of_any_activation(operators[i].name)) {
            printf("skip %-16s %-9s the same as on backend cuda\n", operators[i].name, c->name);
            continue;
        }
        check_operator(k, i);
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
    candidate candidates[MAX_CANDIDATES];
    const int n_candidates = list_candidates(candidates);
    if (!k)
        return 2;
    k->seed = 1;
    k->max_threads = 2; /* also on one core: more threads than one is what has to be checked */
    k->host = (trk_allocator){allocate, release};
    k->device = (trk_allocator){allocate_on_device, release_on_device};
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
    int n_run = 0, n_chosen = 0;
    for (int i = 0; i < n_candidates; i++) {
        const candidate *c = &candidates[i];
        if (!is_chosen(c, only_backend))
            continue;
        n_chosen++;
        if (trk_backend_check(c->kind, 0) == TRK_E_UNSUPPORTED) {
            printf("skipped: no device (%s)\n", trk_error_text());
            continue;
        }
        if (c->activation == TRK_BF16 && !trk_backend_has_bf16(c->kind)) {
            printf("not supported on this machine: %s\n", c->name);
            continue;
        }
        k->is_second = n_run > 0;
        check_candidate(k, c, only_op);
        n_run++;
    }
    const int n_failed = k->n_failed, n_found = k->n_cases + k->n_skipped;
    free(k);
    if (!n_chosen)
        return misuse("unknown backend, or not of this machine", only_backend);
    if (!n_run)
        return 77;
    if (!n_found)
        return misuse("no case matches the selection of operator", only_op ? only_op : "any");
    return n_failed ? 1 : 0;
}
