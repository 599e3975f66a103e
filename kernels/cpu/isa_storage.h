/* SPDX-License-Identifier: Apache-2.0
 * Memories as f16 and q8, and packed masks. Included once per instruction set, after isa_rows.h. Storage works on
 * blocks of TRK_Q8_BLOCK elements in raster order, which may go on in the next row of the matrix. */
#include "stored.h"

/* Columns of `row` from `col` on that belong to a block of which `done` elements are handled already. */
static inline int block_part(trk_mat m, int col, int done)
{
    return m.cols - col < TRK_Q8_BLOCK - done ? m.cols - col : TRK_Q8_BLOCK - done;
}

/* A block as f32: in place when it lies so, else in buffer. */
static inline const float *load_block(float *buffer, trk_mat m, int64_t block)
{
    int64_t row = block * TRK_Q8_BLOCK / m.cols;
    int col = (int)(block * TRK_Q8_BLOCK % m.cols);
    if (block_part(m, col, 0) == TRK_Q8_BLOCK)
        return load_span(buffer, m, row, col, TRK_Q8_BLOCK);
    float part[TRK_Q8_BLOCK];
    for (int done = 0, n; done < TRK_Q8_BLOCK; done += n, row++, col = 0) {
        n = block_part(m, col, done);
        memcpy(buffer + done, load_span(part, m, row, col, n), (size_t)n * sizeof *buffer);
    }
    return buffer;
}

static inline void put_block(trk_mat m, int64_t block, const float *values)
{
    int64_t row = block * TRK_Q8_BLOCK / m.cols;
    int col = (int)(block * TRK_Q8_BLOCK % m.cols);
    for (int done = 0, n; done < TRK_Q8_BLOCK; done += n, row++, col = 0) {
        n = block_part(m, col, done);
        if (m.dtype == TRK_F32)
            memcpy((float *)m.data + row * m.stride + col, values + done, (size_t)n * sizeof *values);
        else
            narrow_span((uint16_t *)m.data + row * m.stride + col, values + done, n);
    }
}

/* Magnitudes are compared as bits, where NaN is above everything. */
static inline void quantise_block(int8_t *restrict out, uint16_t *restrict scale, const float *restrict v)
{
    uint32_t largest = 0;
#pragma omp simd reduction(max : largest)
    for (int i = 0; i < TRK_Q8_BLOCK; i++) {
        const uint32_t magnitude = bits_of_float(v[i]) & 0x7fffffffu;
        largest = magnitude > largest ? magnitude : largest;
    }
    *scale = largest > 0x7f800000u ? TRK_Q8_NAN_SCALE : narrow_f16(float_of_bits(largest) / 127.0f);
    const float step = widen_f16(*scale);
    if (!(step > 0)) {
        memset(out, 0, TRK_Q8_BLOCK);
        return;
    }
#pragma omp simd
    for (int i = 0; i < TRK_Q8_BLOCK; i++) {
        float q = v[i] / step;
        q = q < -127.0f ? -127.0f : q;
        q = q > 127.0f ? 127.0f : q;
        out[i] = (int8_t)(int32_t)rintf(q);
    }
}

static void store(const void *args, int64_t begin, int64_t end, int worker)
{
    const cpu_storage_args *a = args;
    uint16_t *halves = a->slot, *scales = trk_stored_scales(a->slot, (int64_t)a->mat.rows * a->mat.cols);
    int8_t *bytes = a->slot;
    float buffer[TRK_Q8_BLOCK];
    for (int64_t block = begin; block < end; block++) {
        const float *v = load_block(buffer, a->mat, block);
        if (a->storage == TRK_STORE_Q8) {
            quantise_block(bytes + block * TRK_Q8_BLOCK, scales + block, v);
            continue;
        }
        uint16_t *restrict out = halves + block * TRK_Q8_BLOCK;
#pragma omp simd
        for (int i = 0; i < TRK_Q8_BLOCK; i++)
            out[i] = narrow_f16(v[i]);
    }
}

static void fetch(const void *args, int64_t begin, int64_t end, int worker)
{
    const cpu_storage_args *a = args;
    const uint16_t *scales = trk_stored_scales(a->slot, (int64_t)a->mat.rows * a->mat.cols);
    float values[TRK_Q8_BLOCK];
    for (int64_t block = begin; block < end; block++) {
        const uint16_t *halves = (const uint16_t *)a->slot + block * TRK_Q8_BLOCK;
        const int8_t *bytes = (const int8_t *)a->slot + block * TRK_Q8_BLOCK;
        if (a->storage == TRK_STORE_Q8) {
            const float step = widen_f16(scales[block]);
#pragma omp simd
            for (int i = 0; i < TRK_Q8_BLOCK; i++)
                values[i] = (float)bytes[i] * step;
        } else {
#pragma omp simd
            for (int i = 0; i < TRK_Q8_BLOCK; i++)
                values[i] = widen_f16(halves[i]);
        }
        put_block(a->mat, block, values);
    }
}

static void pack_mask(const void *args, int64_t begin, int64_t end, int worker)
{
    const cpu_storage_args *a = args;
    float buffer[SPAN];
    for (int64_t row = begin; row < end; row++) {
        for (int c = 0; c < a->mat.cols; c += SPAN) {
            const int n = span_length(a->mat.cols, c);
            const float *v = load_span(buffer, a->mat, row, c, n);
            int8_t *restrict out = (int8_t *)a->slot + row * a->mat.cols + c;
#pragma omp simd
            for (int i = 0; i < n; i++) {
                float clamped = v[i] < -12.7f ? -12.7f : v[i];
                clamped = clamped > 12.7f ? 12.7f : clamped;
                clamped = clamped == clamped ? clamped : 0.0f;
                out[i] = (int8_t)(int32_t)rintf(clamped * 10.0f); /* a call, so that nothing is contracted */
            }
        }
    }
}

static void unpack_mask(const void *args, int64_t begin, int64_t end, int worker)
{
    const cpu_storage_args *a = args;
    float buffer[SPAN];
    for (int64_t row = begin; row < end; row++) {
        for (int c = 0; c < a->mat.cols; c += SPAN) {
            const int n = span_length(a->mat.cols, c);
            const int8_t *in = (const int8_t *)a->slot + row * a->mat.cols + c;
            float *out = target_span(buffer, a->mat, row, c);
#pragma omp simd
            for (int i = 0; i < n; i++)
                out[i] = (float)in[i] / 10.0f;
            store_span(a->mat, row, c, out, n);
        }
    }
}
