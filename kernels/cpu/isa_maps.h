/* SPDX-License-Identifier: Apache-2.0
 * Kernels over channel-last maps and planes. Included once per instruction set, after isa_rows.h. */

/* NaN wins: a comparison with NaN is false, which keeps b, and a NaN in a is looked for. */
static inline float larger(float a, float b)
{
    const float max = a > b ? a : b;
    return a != a ? a : max;
}

static inline void largest_of_four(float *restrict out, const float *a, const float *b, const float *c, const float *d,
                                   int n)
{
#pragma omp simd
    for (int i = 0; i < n; i++)
        out[i] = larger(larger(a[i], b[i]), larger(c[i], d[i]));
}

static void maxpool2x2(const void *args, int64_t begin, int64_t end, int worker)
{
    const cpu_map_args *a = args;
    const int out_w = a->w / 2, cols = a->in.cols;
    float buffers[4][SPAN], out_buffer[SPAN];
    for (int64_t y = begin; y < end; y++) {
        for (int x = 0; x < out_w; x++) {
            for (int c = 0; c < cols; c += SPAN) {
                const int n = span_length(cols, c);
                const float *v[4];
                for (int i = 0; i < 4; i++)
                    v[i] = load_span(buffers[i], a->in, (2 * y + i / 2) * a->w + 2 * x + i % 2, c, n);
                float *out = target_span(out_buffer, a->out, y * out_w + x, c);
                largest_of_four(out, v[0], v[1], v[2], v[3], n);
                store_span(a->out, y * out_w + x, c, out, n);
            }
        }
    }
}

static void add_upsampled2x(const void *args, int64_t begin, int64_t end, int worker)
{
    const cpu_map_args *a = args;
    const int cols = a->in.cols;
    float in_buffer[SPAN], old_buffer[SPAN], out_buffer[SPAN];
    for (int64_t y = begin; y < end; y++) {
        for (int i = 0; i < 4 * a->w; i++) { /* the two output map rows of y */
            const int64_t out_row = 4 * y * a->w + i, in_row = y * a->w + i % (2 * a->w) / 2;
            for (int c = 0; c < cols; c += SPAN) {
                const int n = span_length(cols, c);
                const float *in = load_span(in_buffer, a->in, in_row, c, n);
                const float *old = load_span(old_buffer, a->out, out_row, c, n);
                float *out = target_span(out_buffer, a->out, out_row, c);
#pragma omp simd
                for (int j = 0; j < n; j++)
                    out[j] = old[j] + in[j];
                store_span(a->out, out_row, c, out, n);
            }
        }
    }
}

/* values [n] = columns first .. first + n of the input's part for output pixel i of map row y, plus the addend */
static inline void gather_pixel(float *values, const cpu_map_args *a, int64_t y, int i, int first, int n)
{
    float in_buffer[SPAN], addend_buffer[SPAN];
    const int x = i % (2 * a->w), part = (i / (2 * a->w) * 2 + x % 2) * a->out.cols;
    const float *in = load_span(in_buffer, a->in, y * a->w + x / 2, part + first, n);
    if (!a->addend.data) {
        memcpy(values, in, (size_t)n * sizeof *values);
        return;
    }
    int64_t row = 4 * y * a->w + i;
    if (row >= a->addend.rows)
        row %= a->addend.rows;
    const float *addend = load_span(addend_buffer, a->addend, row, first, n);
#pragma omp simd
    for (int j = 0; j < n; j++)
        values[j] = in[j] + addend[j];
}

/* As many pixels at once as a span holds: few channels would leave most of a vector empty in the activation. */
static void depth_to_space2x(const void *args, int64_t begin, int64_t end, int worker)
{
    const cpu_map_args *a = args;
    const int cols = a->out.cols, group = cols < SPAN ? SPAN / cols : 1;
    float values[SPAN];
    for (int64_t y = begin; y < end; y++) {
        for (int i = 0; i < 4 * a->w; i += group) {
            const int n_pixels = 4 * a->w - i < group ? 4 * a->w - i : group;
            for (int c = 0; c < cols; c += SPAN) {
                const int n = span_length(cols, c);
                for (int p = 0; p < n_pixels; p++)
                    gather_pixel(values + p * n, a, y, i + p, c, n);
                act_span(values, n_pixels * n, a->act);
                for (int p = 0; p < n_pixels; p++) {
                    float *out = target_span(values, a->out, 4 * y * a->w + i + p, c);
                    if (a->out.dtype == TRK_F32)
                        memcpy(out, values + p * n, (size_t)n * sizeof *out);
                    else
                        store_span(a->out, 4 * y * a->w + i + p, c, values + p * n, n);
                }
            }
        }
    }
}

/* columns[x] = sum_k weights[k] in[first + k][x]; one zero behind the row, read with weight 0 by the two-tap case */
static void combine_rows(float *columns, const cpu_resize_args *a, int64_t y)
{
    const float *weights = a->y.weights + y * a->y.max_taps;
    const float *in = (const float *)a->in.data + a->y.first[y] * a->in.stride;
    const int n = a->in.cols, taps = a->y.count[y];
    if (taps == 2) {
        const float *below = in + a->in.stride, w0 = weights[0], w1 = weights[1];
#pragma omp simd
        for (int i = 0; i < n; i++)
            columns[i] = w0 * in[i] + w1 * below[i];
    } else {
        memset(columns, 0, (size_t)n * sizeof *columns);
        for (int k = 0; k < taps; k++)
#pragma omp simd
            for (int i = 0; i < n; i++)
                columns[i] += weights[k] * in[k * a->in.stride + i];
    }
    columns[n] = 0;
}

static void resize_bilinear(const void *args, int64_t begin, int64_t end, int worker)
{
    const cpu_resize_args *a = args;
    const int n_out = a->out.cols, taps = a->x.max_taps;
    const int32_t *first = a->x.first;
    const float *weights = a->x.weights;
    float *columns = a->columns + worker * a->columns_stride;
    for (int64_t y = begin; y < end; y++) {
        float *out = (float *)a->out.data + y * a->out.stride;
        combine_rows(columns, a, y);
        if (taps == 2) {
#pragma omp simd
            for (int i = 0; i < n_out; i++)
                out[i] = weights[2 * i] * columns[first[i]] + weights[2 * i + 1] * columns[first[i] + 1];
            continue;
        }
        for (int i = 0; i < n_out; i++) {
            float sum = 0;
            for (int k = 0; k < a->x.count[i]; k++)
                sum += weights[(int64_t)i * taps + k] * columns[first[i] + k];
            out[i] = sum;
        }
    }
}
