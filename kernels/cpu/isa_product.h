/* SPDX-License-Identifier: Apache-2.0
 * Small products, and the products of a build without oneDNN. Included once per instruction set, after isa_rows.h;
 * LANES is the number of floats in a vector. */

typedef float lanes __attribute__((vector_size(LANES * 4)));

/* In-place transposition of LANES x LANES floats: rounds that exchange blocks of 1, 2, 4, ... */
#define TOP(l, d)      ((l) & (d) ? LANES + (l) - (d) : (l))
#define BOTTOM(l, d)   ((l) & (d) ? LANES + (l) : (l) + (d))
#define LIST4(f, l, d) f(l, d), f((l) + 1, d), f((l) + 2, d), f((l) + 3, d)
#if LANES == 16
#define LIST(f, d) LIST4(f, 0, d), LIST4(f, 4, d), LIST4(f, 8, d), LIST4(f, 12, d)
#elif LANES == 8
#define LIST(f, d) LIST4(f, 0, d), LIST4(f, 4, d)
#else
#define LIST(f, d) LIST4(f, 0, d)
#endif
#define EXCHANGE(v, d)                                                                                                 \
    for (int i = 0; i < LANES; i++)                                                                                    \
        if (!(i & (d))) {                                                                                              \
            const lanes top = (v)[i], bottom = (v)[i + (d)];                                                           \
            (v)[i] = __builtin_shufflevector(top, bottom, LIST(TOP, d));                                               \
            (v)[i + (d)] = __builtin_shufflevector(top, bottom, LIST(BOTTOM, d));                                      \
        }

static inline void transpose_lanes(lanes v[LANES])
{
    EXCHANGE(v, 1)
    EXCHANGE(v, 2)
#if LANES > 4
    EXCHANGE(v, 4)
#endif
#if LANES > 8
    EXCHANGE(v, 8)
#endif
}

/* Columns col .. col + LANES of row `row` of b, zeros beyond k. */
static inline lanes load_lanes(const cpu_matmul_args *a, int64_t row, int col)
{
    const int n = a->k - col < LANES ? a->k - col : LANES;
    const int64_t at = row * a->b.stride + col;
    float values[LANES] = {0};
    lanes v;
    if (a->b.dtype == TRK_F32) {
        if (n == LANES)
            memcpy(values, (const float *)a->b.data + at, sizeof values);
        else
            memcpy(values, (const float *)a->b.data + at, (size_t)n * 4);
        if (a->round_to_bf16)
            for (int i = 0; i < LANES; i++)
                values[i] = widen_bf16(narrow_bf16(values[i]));
    } else {
        for (int i = 0; i < n; i++)
            values[i] = widen_bf16(((const uint16_t *)a->b.data)[at + i]);
    }
    memcpy(&v, values, sizeof v);
    return v;
}

#define MATMUL_GROUP 4 /* rows of a summed at once */

/* out[i][row ..] for LANES rows of b: their columns are transposed so that a lane is a row. */
static void matmul_lanes(const cpu_matmul_args *a, int64_t row)
{
    const int n_rows = a->b.rows - row < LANES ? (int)(a->b.rows - row) : LANES;
    for (int i0 = 0; i0 < a->out.rows; i0 += MATMUL_GROUP) {
        const int group = a->out.rows - i0 < MATMUL_GROUP ? a->out.rows - i0 : MATMUL_GROUP;
        const float *factors[MATMUL_GROUP];
        lanes sums[MATMUL_GROUP] = {{0}};
        for (int i = 0; i < MATMUL_GROUP; i++)
            factors[i] = a->a + (i0 + (i < group ? i : group - 1)) * a->a_stride;
        for (int col = 0; col < a->k; col += LANES) {
            lanes block[LANES];
            for (int r = 0; r < LANES; r++)
                block[r] = load_lanes(a, row + (r < n_rows ? r : n_rows - 1), col);
            transpose_lanes(block);
            for (int c = 0; c < LANES; c++)
                for (int i = 0; i < MATMUL_GROUP; i++)
                    sums[i] += factors[i][col + c] * block[c];
        }
        for (int i = 0; i < group; i++)
            memcpy((float *)a->out.data + (i0 + i) * a->out.stride + row, &sums[i], (size_t)n_rows * 4);
    }
}

static void matmul_nt(const void *args, int64_t begin, int64_t end, int worker)
{
    const cpu_matmul_args *a = args;
    for (int64_t block = begin; block < end; block++)
        for (int64_t row = block * CPU_MATMUL_BLOCK; row < (block + 1) * CPU_MATMUL_BLOCK && row < a->b.rows;
             row += LANES)
            matmul_lanes(a, row);
}

#define PANEL_LANES (CPU_LINEAR_PANEL / LANES)

/* sums [ROWS][PANEL] = rows times one panel [n_in, PANEL] */
static void panel_product(float *sums, const float *const rows[CPU_LINEAR_ROWS], const float *panel, int n_in)
{
    lanes tile[CPU_LINEAR_ROWS][PANEL_LANES];
    memset(tile, 0, sizeof tile);
    for (int k = 0; k < n_in; k++) {
        lanes weights[PANEL_LANES];
        memcpy(weights, panel + (size_t)k * CPU_LINEAR_PANEL, sizeof weights);
        for (int r = 0; r < CPU_LINEAR_ROWS; r++)
            for (int j = 0; j < PANEL_LANES; j++)
                tile[r][j] += rows[r][k] * weights[j];
    }
    memcpy(sums, tile, sizeof tile);
}

/* out = act(sums + bias) (+ out) for n columns of one row */
static void finish_panel(const trk_mat *out, int64_t row, int col, float *sums, const float *bias, int n,
                         trk_epilogue epilogue)
{
    for (int j = 0; j < n && bias; j++)
        sums[j] += bias[col + j];
    act_span(sums, n, epilogue.act);
    float *f32 = (float *)out->data + row * out->stride + col;
    if (out->dtype == TRK_BF16)
        narrow_span((uint16_t *)out->data + row * out->stride + col, sums, n);
    else
        for (int j = 0; j < n; j++)
            f32[j] = epilogue.accumulate ? f32[j] + sums[j] : sums[j];
}

/* n_rows (<= ROWS) rows of out from as many rows of n_in values */
static void row_products(const trk_mat *out, int64_t row, int n_rows, const float *const rows[CPU_LINEAR_ROWS],
                         const float *panels, const float *bias, int n_in, int n_out, trk_epilogue epilogue)
{
    float sums[CPU_LINEAR_ROWS * CPU_LINEAR_PANEL];
    for (int col = 0; col < n_out; col += CPU_LINEAR_PANEL) {
        const int n = n_out - col < CPU_LINEAR_PANEL ? n_out - col : CPU_LINEAR_PANEL;
        panel_product(sums, rows, panels + (size_t)col * (size_t)n_in, n_in);
        for (int r = 0; r < n_rows; r++)
            finish_panel(out, row + r, col, sums + r * CPU_LINEAR_PANEL, bias, n, epilogue);
    }
}

static void linear(const void *args, int64_t begin, int64_t end, int worker)
{
    const cpu_linear_args *a = args;
    for (int64_t block = begin; block < end; block++) {
        const int64_t row = block * CPU_LINEAR_ROWS;
        const int n_rows = a->in.rows - row < CPU_LINEAR_ROWS ? (int)(a->in.rows - row) : CPU_LINEAR_ROWS;
        const float *rows[CPU_LINEAR_ROWS];
        for (int r = 0; r < CPU_LINEAR_ROWS; r++)
            rows[r] = (const float *)a->in.data + (row + (r < n_rows ? r : n_rows - 1)) * a->in.stride;
        row_products(&a->out, row, n_rows, rows, a->panels, a->bias, a->n_in, a->n_out, a->epilogue);
    }
}

/* patch [kernel, kernel, n_in]: the window of output pixel (y, x), zeros beyond the border */
static void unroll_window(float *patch, const cpu_convolution_args *a, int64_t y, int x)
{
    const trk_layer_shape *l = &a->shape;
    const size_t bytes = (size_t)l->n_in * sizeof *patch;
    for (int ky = 0; ky < l->kernel; ky++) {
        for (int kx = 0; kx < l->kernel; kx++, patch += l->n_in) {
            const int64_t in_y = y * l->stride - l->padding + ky, in_x = (int64_t)x * l->stride - l->padding + kx;
            if (in_y < 0 || in_y >= a->in_h || in_x < 0 || in_x >= a->in_w)
                memset(patch, 0, bytes);
            else
                memcpy(patch, (const float *)a->in.data + (in_y * a->in_w + in_x) * a->in.stride, bytes);
        }
    }
}

static void depthwise_pixel(float *sums, const cpu_convolution_args *a, int64_t y, int x)
{
    const trk_layer_shape *l = &a->shape;
    memset(sums, 0, (size_t)l->n_out * sizeof *sums);
    for (int ky = 0; ky < l->kernel; ky++) {
        for (int kx = 0; kx < l->kernel; kx++) {
            const int64_t in_y = y * l->stride - l->padding + ky, in_x = (int64_t)x * l->stride - l->padding + kx;
            if (in_y < 0 || in_y >= a->in_h || in_x < 0 || in_x >= a->in_w)
                continue;
            const float *in = (const float *)a->in.data + (in_y * a->in_w + in_x) * a->in.stride;
            const float *weights = a->panels + (size_t)(ky * l->kernel + kx) * (size_t)l->n_out;
#pragma omp simd
            for (int c = 0; c < l->n_out; c++)
                sums[c] += in[c] * weights[c];
        }
    }
}

static void convolution(const void *args, int64_t begin, int64_t end, int worker)
{
    const cpu_convolution_args *a = args;
    const trk_layer_shape *l = &a->shape;
    const int n_in = l->kernel * l->kernel * l->n_in, depthwise = l->groups > 1;
    const trk_epilogue epilogue = {.act = a->act};
    float *patches = a->patches + worker * a->patch_stride;
    for (int64_t y = begin; y < end; y++) {
        for (int x = 0; x < a->out_w; x += depthwise ? 1 : CPU_LINEAR_ROWS) {
            const int64_t row = y * a->out_w + x;
            if (depthwise) {
                depthwise_pixel(patches, a, y, x);
                finish_panel(&a->out, row, 0, patches, a->bias, l->n_out, epilogue);
                continue;
            }
            const int n_rows = a->out_w - x < CPU_LINEAR_ROWS ? a->out_w - x : CPU_LINEAR_ROWS;
            const float *rows[CPU_LINEAR_ROWS];
            for (int r = 0; r < CPU_LINEAR_ROWS; r++) {
                rows[r] = patches + (size_t)(r < n_rows ? r : n_rows - 1) * (size_t)n_in;
                if (r < n_rows)
                    unroll_window(patches + (size_t)r * (size_t)n_in, a, y, x + r);
            }
            row_products(&a->out, row, n_rows, rows, a->panels, a->bias, n_in, l->n_out, epilogue);
        }
    }
}
