/* SPDX-License-Identifier: Apache-2.0
 * Kernels over matrix rows. Included once per instruction set by kernels_<isa>.c; rows are handled in spans of at most
 * SPAN columns so that converted values fit on the stack. */
#include <math.h>

#include "elementary.h"
#include "kernels.h"

#define SPAN 1024

static inline int span_length(int cols, int col)
{
    return cols - col < SPAN ? cols - col : SPAN;
}

static inline void widen_span(float *restrict out, const uint16_t *restrict in, int n)
{
#pragma omp simd
    for (int i = 0; i < n; i++)
        out[i] = widen_bf16(in[i]);
}

static inline void narrow_span(uint16_t *restrict out, const float *restrict in, int n)
{
#pragma omp simd
    for (int i = 0; i < n; i++)
        out[i] = narrow_bf16(in[i]);
}

/* The n values from (row, col) on as f32: in place when they are, else converted into buffer [SPAN]. */
static inline const float *load_span(float *buffer, trk_mat m, int64_t row, int col, int n)
{
    const int64_t at = row * m.stride + col;
    if (m.dtype == TRK_F32)
        return (const float *)m.data + at;
    widen_span(buffer, (const uint16_t *)m.data + at, n);
    return buffer;
}

/* Where n values for (row, col) may be written as f32: in place, or in buffer for store_span to convert. */
static inline float *target_span(float *buffer, trk_mat m, int64_t row, int col)
{
    return m.dtype == TRK_F32 ? (float *)m.data + row * m.stride + col : buffer;
}

static inline void store_span(trk_mat m, int64_t row, int col, const float *values, int n)
{
    if (m.dtype != TRK_F32)
        narrow_span((uint16_t *)m.data + row * m.stride + col, values, n);
}

static void act_span(float *v, int n, trk_act act)
{
    switch (act) {
    case TRK_ACT_RELU:
#pragma omp simd
        for (int i = 0; i < n; i++)
            v[i] = v[i] < 0 ? 0 : v[i];
        break;
    case TRK_ACT_GELU:
#pragma omp simd
        for (int i = 0; i < n; i++)
            v[i] = gelu_f32(v[i]);
        break;
    case TRK_ACT_SIGMOID:
#pragma omp simd
        for (int i = 0; i < n; i++)
            v[i] = sigmoid_f32(v[i]);
        break;
    case TRK_ACT_NONE:
        break;
    }
}

static inline float sum_span(const float *v, int n)
{
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int i = 0; i < n; i++)
        sum += v[i];
    return sum;
}

/* Adds sum(v - center) and sum((v - center)^2). */
static inline void moments_span(float *first, float *second, const float *v, float center, int n)
{
    float a = 0, b = 0;
#pragma omp simd reduction(+ : a, b)
    for (int i = 0; i < n; i++) {
        const float d = v[i] - center;
        a += d;
        b += d * d;
    }
    *first += a;
    *second += b;
}

/* out = (v - center - shift) * scale * gamma + beta; out may be v */
static inline void normalise_span(float *out, const float *v, float center, float shift, float scale,
                                  const float *gamma, const float *beta, int n)
{
#pragma omp simd
    for (int i = 0; i < n; i++)
        out[i] = ((v[i] - center) - shift) * scale * gamma[i] + beta[i];
}

/* Rows wider than SPAN, or bf16. Two passes about a first estimate of the mean ("center"), whose own rounding error
 * (relative to the mean, so large against a small spread) is then removed: mean = center + shift with
 * shift = avg(v - center), var = avg((v - center)^2) - shift^2. */
static void layernorm_row(const cpu_layernorm_args *a, int64_t row)
{
    float in_buffer[SPAN], out_buffer[SPAN], sum = 0, first = 0, second = 0;
    const int cols = a->in.cols;
    for (int c = 0; c < cols; c += SPAN)
        sum += sum_span(load_span(in_buffer, a->in, row, c, span_length(cols, c)), span_length(cols, c));
    const float center = sum / (float)cols;
    for (int c = 0; c < cols; c += SPAN) {
        const int n = span_length(cols, c);
        moments_span(&first, &second, load_span(in_buffer, a->in, row, c, n), center, n);
    }
    const float shift = first / (float)cols, variance = second / (float)cols - shift * shift;
    const float scale = 1.0f / sqrtf((variance < 0 ? 0 : variance) + a->eps);
    for (int c = 0; c < cols; c += SPAN) {
        const int n = span_length(cols, c);
        float *out = target_span(out_buffer, a->out, row, c);
        normalise_span(out, load_span(in_buffer, a->in, row, c, n), center, shift, scale, a->gamma + c, a->beta + c, n);
        act_span(out, n, a->act);
        store_span(a->out, row, c, out, n);
    }
}

/* Few columns (the mask downsampler's 4 and 16 channels): a vector holds one column of several rows. */
#define NARROW_COLS 16
#define NARROW_ROWS 64
static void layernorm_narrow(const cpu_layernorm_args *a, int64_t row, int n_rows)
{
    float columns[NARROW_COLS][NARROW_ROWS], center[NARROW_ROWS] = {0}, shift[NARROW_ROWS] = {0};
    float scale[NARROW_ROWS] = {0}, buffer[SPAN];
    const int cols = a->in.cols;
    for (int r = 0; r < n_rows; r++) {
        const float *v = load_span(buffer, a->in, row + r, 0, cols);
        for (int c = 0; c < cols; c++)
            columns[c][r] = v[c];
    }
    for (int r = n_rows; r < NARROW_ROWS; r++)
        for (int c = 0; c < cols; c++)
            columns[c][r] = 0;
    for (int c = 0; c < cols; c++)
#pragma omp simd
        for (int r = 0; r < NARROW_ROWS; r++)
            center[r] += columns[c][r];
#pragma omp simd
    for (int r = 0; r < NARROW_ROWS; r++)
        center[r] /= (float)cols;
    for (int c = 0; c < cols; c++)
#pragma omp simd
        for (int r = 0; r < NARROW_ROWS; r++) {
            columns[c][r] -= center[r];
            shift[r] += columns[c][r];
            scale[r] += columns[c][r] * columns[c][r];
        }
#pragma omp simd
    for (int r = 0; r < NARROW_ROWS; r++) {
        shift[r] /= (float)cols;
        const float variance = scale[r] / (float)cols - shift[r] * shift[r];
        scale[r] = 1.0f / sqrtf((variance < 0 ? 0 : variance) + a->eps);
    }
    for (int c = 0; c < cols; c++) {
        const float gamma = a->gamma[c], beta = a->beta[c];
#pragma omp simd
        for (int r = 0; r < NARROW_ROWS; r++)
            columns[c][r] = (columns[c][r] - shift[r]) * scale[r] * gamma + beta;
        act_span(columns[c], NARROW_ROWS, a->act);
    }
    for (int r = 0; r < n_rows; r++) {
        float *out = target_span(buffer, a->out, row + r, 0);
        for (int c = 0; c < cols; c++)
            out[c] = columns[c][r];
        store_span(a->out, row + r, 0, out, cols);
    }
}

static void layernorm(const void *args, int64_t begin, int64_t end, int worker)
{
    const cpu_layernorm_args *a = args;
    if (a->in.cols <= NARROW_COLS) {
        for (int64_t row = begin; row < end; row += NARROW_ROWS)
            layernorm_narrow(a, row, (int)(end - row < NARROW_ROWS ? end - row : NARROW_ROWS));
        return;
    }
    for (int64_t row = begin; row < end; row++)
        layernorm_row(a, row);
}

static void add(const void *args, int64_t begin, int64_t end, int worker)
{
    const cpu_add_args *s = args;
    float a_buffer[SPAN], b_buffer[SPAN], out_buffer[SPAN];
    int64_t b_row = begin % s->b.rows;
    for (int64_t row = begin; row < end; row++) {
        for (int c = 0; c < s->out.cols; c += SPAN) {
            const int n = span_length(s->out.cols, c);
            const float *a = load_span(a_buffer, s->a, row, c, n), *b = load_span(b_buffer, s->b, b_row, c, n);
            float *out = target_span(out_buffer, s->out, row, c);
#pragma omp simd
            for (int i = 0; i < n; i++)
                out[i] = a[i] + b[i];
            store_span(s->out, row, c, out, n);
        }
        b_row = b_row + 1 < s->b.rows ? b_row + 1 : 0;
    }
}

static void convert(const void *args, int64_t begin, int64_t end, int worker)
{
    const cpu_convert_args *a = args;
    const size_t element = trk_dtype_bytes(a->out.dtype);
    int64_t in_row = begin % a->in.rows;
    for (int64_t row = begin; row < end; row++) {
        char *out = (char *)a->out.data + (size_t)(row * a->out.stride) * element;
        const char *in = (const char *)a->in.data + (size_t)(in_row * a->in.stride) * trk_dtype_bytes(a->in.dtype);
        if (a->out.dtype == a->in.dtype)
            memcpy(out, in, (size_t)a->out.cols * element);
        else if (a->out.dtype == TRK_F32)
            widen_span((float *)(void *)out, (const uint16_t *)(const void *)in, a->out.cols);
        else
            narrow_span((uint16_t *)(void *)out, (const float *)(const void *)in, a->out.cols);
        in_row = in_row + 1 < a->in.rows ? in_row + 1 : 0;
    }
}

static void mask_to_memory(const void *args, int64_t begin, int64_t end, int worker)
{
    const cpu_mask_to_memory_args *a = args;
    float in_buffer[SPAN], out_buffer[SPAN];
    const float on = a->scale + a->bias, off = a->bias;
    for (int64_t row = begin; row < end; row++) {
        for (int c = 0; c < a->in.cols; c += SPAN) {
            const int n = span_length(a->in.cols, c);
            const float *v = load_span(in_buffer, a->in, row, c, n);
            float *out = target_span(out_buffer, a->out, row, c);
            if (a->binarize) {
#pragma omp simd
                for (int i = 0; i < n; i++)
                    out[i] = v[i] > 0 ? on : off;
            } else {
#pragma omp simd
                for (int i = 0; i < n; i++)
                    out[i] = sigmoid_f32(v[i]) * a->scale + a->bias;
            }
            store_span(a->out, row, c, out, n);
        }
    }
}
