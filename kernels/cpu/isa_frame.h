/* SPDX-License-Identifier: Apache-2.0
 * The two passes of frame_to_input. Included once per instruction set, after isa_rows.h.
 * Along rows neighbouring outputs read overlapping bytes at uneven distances, which no vector load fits; so the first
 * pass takes CPU_FRAME_STRIP source rows at once, transposed: a vector is one byte column of the strip and every lane
 * uses the same weight. The second pass is a weighted sum of whole rows. All sums are exact in int32. */

typedef uint8_t bytes16 __attribute__((vector_size(16)));

/* In-place transposition of a 16 x 16 byte block: four rounds that exchange blocks of 1, 2, 4, 8. */
#define T16(l, d) ((l) & (d) ? 16 + (l) - (d) : (l))
#define B16(l, d) ((l) & (d) ? 16 + (l) : (l) + (d))
#define LIST16(f, d)                                                                                                   \
    f(0, d), f(1, d), f(2, d), f(3, d), f(4, d), f(5, d), f(6, d), f(7, d), f(8, d), f(9, d), f(10, d), f(11, d),      \
        f(12, d), f(13, d), f(14, d), f(15, d)
#define EXCHANGE16(v, d)                                                                                               \
    for (int i = 0; i < 16; i++)                                                                                       \
        if (!(i & (d))) {                                                                                              \
            const bytes16 top = (v)[i], bottom = (v)[i + (d)];                                                         \
            (v)[i] = __builtin_shufflevector(top, bottom, LIST16(T16, d));                                             \
            (v)[i + (d)] = __builtin_shufflevector(top, bottom, LIST16(B16, d));                                       \
        }

static inline void transpose16(bytes16 v[16])
{
    EXCHANGE16(v, 1)
    EXCHANGE16(v, 2)
    EXCHANGE16(v, 4)
    EXCHANGE16(v, 8)
}

/* out [n, 16] = the n byte columns of rows first_row .. first_row + 15 (the last row repeated beyond the frame) */
static void gather_strip(uint8_t *out, const cpu_frame_args *a, int64_t first_row, int n)
{
    const uint8_t *rows[16];
    for (int r = 0; r < 16; r++)
        rows[r] = a->rgb + (first_row + r < a->height ? first_row + r : a->height - 1) * a->stride;
    int column = 0;
    for (; column + 16 <= n; column += 16) {
        bytes16 block[16];
        for (int r = 0; r < 16; r++)
            memcpy(&block[r], rows[r] + column, 16);
        transpose16(block);
        memcpy(out + (size_t)column * 16, block, sizeof block);
    }
    for (; column < n; column++)
        for (int r = 0; r < 16; r++)
            out[(size_t)column * 16 + (size_t)r] = rows[r][column];
}

/* The inverse: rows first_row .. of a->rows from in [n, 16]. */
static void scatter_strip(const cpu_frame_args *a, int64_t first_row, const uint8_t *in, int n)
{
    const int n_rows = a->height - first_row < 16 ? (int)(a->height - first_row) : 16;
    uint8_t *rows = a->rows + (size_t)first_row * (size_t)n;
    int column = 0;
    for (; column + 16 <= n; column += 16) {
        bytes16 block[16];
        memcpy(block, in + (size_t)column * 16, sizeof block);
        transpose16(block);
        for (int r = 0; r < n_rows; r++)
            memcpy(rows + (size_t)r * (size_t)n + column, &block[r], 16);
    }
    for (; column < n; column++)
        for (int r = 0; r < n_rows; r++)
            rows[(size_t)r * (size_t)n + (size_t)column] = in[(size_t)column * 16 + (size_t)r];
}

/* out[i] = clip8((2^21 + sum_k weights[k] in[k * step + i]) >> 22) for n <= 48 values */
static inline void weighted_bytes(uint8_t *restrict out, const uint8_t *restrict in, ptrdiff_t step,
                                  const int32_t *restrict weights, int taps, int n)
{
    int32_t sum[48];
    for (int i = 0; i < n; i++)
        sum[i] = 1 << (TRK_RESAMPLE_BITS - 1);
    for (int k = 0; k < taps; k++)
#pragma omp simd
        for (int i = 0; i < n; i++)
            sum[i] += in[k * step + i] * weights[k];
#pragma omp simd
    for (int i = 0; i < n; i++) {
        int32_t v = sum[i] >> TRK_RESAMPLE_BITS;
        v = v < 0 ? 0 : v;
        out[i] = (uint8_t)(v > 255 ? 255 : v);
    }
}

static void frame_columns(const void *args, int64_t begin, int64_t end, int worker)
{
    const cpu_frame_args *a = args;
    uint8_t *before = a->strips + (size_t)worker * a->strip_bytes;
    uint8_t *after = before + (size_t)a->width * 3 * 16;
    for (int64_t strip = begin; strip < end; strip++) {
        gather_strip(before, a, strip * 16, a->width * 3);
        for (int x = 0; x < a->size; x++) {
            const int32_t *weights = a->x.fixed + (size_t)x * (size_t)a->x.max_taps;
            /* three channels of 16 rows are 48 neighbouring bytes, a source pixel further is 48 bytes on */
            weighted_bytes(after + (size_t)x * 48, before + (size_t)a->x.first[x] * 48, 48, weights, a->x.count[x], 48);
        }
        scatter_strip(a, strip * 16, after, a->size * 3);
    }
}

static void frame_rows(const void *args, int64_t begin, int64_t end, int worker)
{
    const cpu_frame_args *a = args;
    const int n = a->size * 3;
    float buffer[48];
    uint8_t bytes[48];
    for (int64_t y = begin; y < end; y++) {
        const int32_t *weights = a->y.fixed + y * a->y.max_taps;
        const uint8_t *in = a->rows + (size_t)a->y.first[y] * (size_t)n;
        const int dense = a->out.dtype == TRK_F32 && a->out.stride == 3;
        for (int i = 0; i < n; i += 48) { /* 16 pixels */
            const int part = n - i < 48 ? n - i : 48;
            if (part == 48)
                weighted_bytes(bytes, in + i, n, weights, a->y.count[y], 48);
            else
                weighted_bytes(bytes, in + i, n, weights, a->y.count[y], part);
            float *out = dense ? (float *)a->out.data + y * n + i : buffer;
#pragma omp simd
            for (int j = 0; j < part; j++)
                out[j] = ((float)bytes[j] / 255.0f - a->mean[i + j]) / a->std[i + j];
            for (int j = 0; j < part && !dense; j++) {
                const int64_t at = (y * a->size + (i + j) / 3) * a->out.stride + (i + j) % 3;
                if (a->out.dtype == TRK_F32)
                    ((float *)a->out.data)[at] = out[j];
                else
                    ((uint16_t *)a->out.data)[at] = narrow_bf16(out[j]);
            }
        }
    }
}
