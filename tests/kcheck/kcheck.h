/* SPDX-License-Identifier: Apache-2.0
 * The kernel check: every operator of a backend against the reference, on the same seeded data.
 *
 * A file per family defines `void check_<op>(kcheck *k)`, which walks its cases:
 *
 *     if (kcheck_case(k, fill, "f32 f32", "%dx%d", rows, cols)) {      selects, names and seeds the case
 *         context c = {kcheck_input(k, rows, cols, extra, dtype), ...};
 *         kcheck_run(k, kcheck_shape(rows, cols, extra, dtype), run, &c, bound);
 *     }
 *
 * kcheck_run calls `run` on the reference and on the candidate, each with an output of its own that starts as NaN
 * between guard bands, once more on one thread (in the emulation of a GPU: with blocks and threads in other orders), and
 * compares: see kcheck_bound. With --bench it times the candidate.
 *
 * Buffers are page-locked memory for a GPU, which both sides use at one address; what the candidate wrote is there after
 * trk_exec_finish, which kcheck_run calls. Only --bench on a GPU gives buffers on the device: see kcheck_view.
 *
 * Adding an operator: a function here and in kcheck.c's table (which must cover TRK_OP_LIST), cases in its file. */
#ifndef TRK_TESTS_KCHECK_H
#define TRK_TESTS_KCHECK_H

#include "backend.h"

typedef enum kcheck_fill {
    FILL_UNIFORM, /* -1 .. 1 */
    FILL_ZEROS,
    FILL_CONSTANT, /* every row one value */
    FILL_HUGE,     /* 1e15 times uniform: squares and sums of squares stay finite in f32 */
    FILL_TINY,     /* 1e-15 times uniform */
    FILL_OFFSET,   /* 1000 plus uniform: a large mean and a small spread */
    FILLS,
    FILL_NAN = FILLS /* uniform with NaN and infinities strewn in; for operators whose NaN is worth a promise */
} kcheck_fill;

typedef struct kcheck kcheck;

#define KCHECK_DECLARE(name, args) void check_##name(kcheck *k);
TRK_OP_LIST(KCHECK_DECLARE)
#undef KCHECK_DECLARE
void check_backend(kcheck *k);
void check_planning(kcheck *k);
void check_upstream(kcheck *k);

/* Error allowed: |got - want| <= max * scale + rounding of the output type for every element, and
 * mean (got - want)^2 <= nmse * mean want^2. scale 0: the largest |want|. All conditions are written so that NaN
 * fails; where the reference is NaN or infinite the candidate has to be the same. exact: equal bits. */
typedef struct kcheck_bound {
    double max, nmse, scale;
    int exact;
    int nan_for_infinity; /* allowed: nothing after it is a number either way */
} kcheck_bound;

/* f32 arithmetic in another order: a few roundings of 2^-24, growing with the root of the number of terms. */
#define KCHECK_F32   ((kcheck_bound){.max = 2e-6, .nmse = 1e-12})
#define KCHECK_EXACT ((kcheck_bound){.exact = 1})

typedef void kcheck_function(trk_exec *x, trk_mat out, const void *context);

/* 1 if the case is to be run: then the random stream is seeded from its name and buffers are empty. */
int kcheck_case(kcheck *k, kcheck_fill fill, const char *types, const char *shape, ...)
    __attribute__((format(printf, 4, 5)));
int kcheck_is_bench(const kcheck *k);
int kcheck_is_emulated(const kcheck *k); /* the candidate: a GPU's, on the host */

/* Buffers live until the next case. `extra` elements between rows, in half of the cases a few more, so that rows start
 * on whole vectors (poisoned as the guard bands are); only kcheck_uniform is dense. */
trk_mat kcheck_shape(int rows, int cols, int extra, trk_dtype dtype);            /* no data: for kcheck_run */
trk_mat kcheck_input(kcheck *k, int rows, int cols, int extra, trk_dtype dtype); /* the case's fill */
trk_mat kcheck_uniform(kcheck *k, int rows, int cols, trk_dtype dtype, float low, float high);
float *kcheck_floats(kcheck *k, size_t n, float low, float high);
uint8_t *kcheck_bytes(kcheck *k, size_t n);
uint32_t kcheck_random(kcheck *k);
trk_backend *kcheck_backend(kcheck *k);          /* the candidate */
trk_allocator *kcheck_allocator(kcheck *k);      /* of its memory */
trk_allocator *kcheck_host_allocator(kcheck *k); /* of memory that the host reads and writes */

/* A buffer (or the address of a mat's data) as the host may read and change it, and the changes' way back. */
void *kcheck_view(kcheck *k, const void *data);
void kcheck_send(kcheck *k, const void *data);

/* Page-locked memory for a GPU candidate, else zeroed pages; the caller releases it. NULL: none. */
void *kcheck_pages(kcheck *k, size_t bytes);
void kcheck_pages_release(kcheck *k, void *data, size_t bytes);

/* 1 if the candidate is emulated, the shape large, and the fill one that smaller shapes are checked with. */
int kcheck_has_enough(const kcheck *k, kcheck_fill fill, double elements);

/* 1 if the candidate is emulated and this is too much for it: then the case does not count. work as for kcheck_run. */
int kcheck_too_large(kcheck *k, double work);

/* Prepared for the candidate, released with the buffers. Weights are uniform and scaled to keep sums near one. */
const trk_linear *kcheck_linear(kcheck *k, int n_in, int n_out, int with_bias);
const trk_conv *kcheck_conv(kcheck *k, int in_channels, int out_channels, int kernel, int stride, int padding,
                            int groups);

/* out: shape; with data: the initial contents of both outputs, for operators that work in place.
 * work: multiply-adds times two for --bench, 0 to print bytes per second instead.
 * 0 if nothing was compared: with --bench, after a failure, or when the case is too large (see kcheck_too_large). */
int kcheck_run(kcheck *k, trk_mat out, kcheck_function *run, const void *context, kcheck_bound bound, double work);

/* Any other condition of the current case; `what` says what was expected. */
void kcheck_expect(kcheck *k, int condition, const char *what);

double kcheck_row_norm(kcheck *k, trk_mat m); /* largest Euclidean norm of a row */

#define KCHECK_OF(x) ((int)(sizeof(x) / sizeof *(x)))
static inline const char *kcheck_dtype(trk_dtype dtype)
{
    return dtype == TRK_BF16 ? "bf16" : "f32";
}

#endif
