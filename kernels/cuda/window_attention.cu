/* SPDX-License-Identifier: Apache-2.0
 * window_attention of the CUDA backend: an instance is a head of a window, whose rows are found in the map where they
 * lie, so that windows are neither partitioned nor padded in memory; see attention_core.cuh. */
#include "attention_f32.cuh"
#include "attention_mma.cuh"

namespace
{

#define QUOTIENT_BITS 40

struct window_source {
    element_rows qkv, out;
    const float *bias; /* [3 channels] */
    int h, w, heads, channels, dim;
    int window_h, window_w; /* in tokens */
    int windows_x;          /* windows per row of windows */
    int step;               /* 2 with pooling, else 1 */
    int is_map;             /* there is one window, the whole map */
    int64_t inverse;        /* 2^QUOTIENT_BITS / window_w, rounded up */

    struct place {
        int head, y, x; /* token at the window's top left */
        int rows, cols; /* queries inside the map */
    };

    __device__ __forceinline__ place at(int instance) const
    {
        const int window = instance / heads;
        place p;
        p.head = instance % heads;
        p.y = window / windows_x * window_h;
        p.x = window % windows_x * window_w;
        p.rows = min(window_h, h - p.y) / step;
        p.cols = min(window_w, w - p.x) / step;
        return p;
    }
    __device__ __forceinline__ int queries(const place &p) const
    {
        return p.rows * p.cols;
    }
    __device__ __forceinline__ int keys(const place &) const
    {
        return window_h * window_w;
    }
    __device__ __forceinline__ bool pooled() const
    {
        return step == 2;
    }
    __device__ __forceinline__ element_row query(const place &p, int i, int corner) const
    {
        const int y = p.y + i / p.cols * step + corner / 2, x = p.x + i % p.cols * step + corner % 2;
        return qkv.row((int64_t)y * w + x, (int64_t)p.head * dim);
    }
    /* Token j of the window, columns of part 1 (k) or 2 (v). */
    __device__ __forceinline__ element_row token(const place &p, int j, int part) const
    {
        const int64_t c = (int64_t)part * channels + (int64_t)p.head * dim;
        if (is_map)
            return qkv.row(j, c);
        const int row = (int)(j * inverse >> QUOTIENT_BITS); /* j / window_w, see quotient_of */
        const int y = p.y + row, x = p.x + j - row * window_w;
        if (y < h && x < w)
            return qkv.row((int64_t)y * w + x, c);
        return element_row{const_cast<float *>(bias + c), 0};
    }
    __device__ __forceinline__ element_row key(const place &p, int j) const
    {
        return token(p, j, 1);
    }
    __device__ __forceinline__ element_row value(const place &p, int j) const
    {
        return token(p, j, 2);
    }
    __device__ __forceinline__ element_row result(const place &p, int i) const
    {
        const int y = p.y / step + i / p.cols, x = p.x / step + i % p.cols;
        return out.row((int64_t)y * (w / step) + x, (int64_t)p.head * dim);
    }
};

static_assert(sizeof(window_source) == 2 * sizeof(element_rows) + 2 * 8 + 10 * 4, "no padding");

/* Division by a product is exact as long as what the rounding adds, less than n * by, stays below 2^QUOTIENT_BITS. */
int64_t quotient_of(int by)
{
    return (((int64_t)1 << QUOTIENT_BITS) + by - 1) / by;
}

/* Widths of the models have tiles of their own: 96 (tiny, small), 56 (base+), 72 (large). */
void run_bf16(trk_exec *x, const window_source &source, const attention_shape &shape)
{
    const int dim = shape.dk;
    if (dim <= 32)
        run_mma<32, 32>(x, source, shape);
    else if (dim <= 64)
        run_mma<64, 64>(x, source, shape);
    else if (dim <= 80)
        run_mma<80, 80>(x, source, shape);
    else if (dim <= 96)
        run_mma<96, 96>(x, source, shape);
    else if (dim <= 128)
        run_mma<128, 128>(x, source, shape);
    else if (dim <= 256)
        run_mma<256, 256>(x, source, shape);
    else
        run_f32(x, source, shape);
}

} // namespace

extern "C" void trk_window_attention_cuda(trk_exec *x, trk_mat out, trk_mat qkv, int h, int w, int heads, int window,
                                          int pool, const float *bias)
{
    TRK_EXPECT(x, "window_attention", heads > 0 && h > 0 && w > 0 && qkv.cols > 0 && qkv.cols % (3 * heads) == 0);
    TRK_EXPECT(x, "window_attention", qkv.rows == h * w && out.cols == qkv.cols / 3);
    TRK_EXPECT(x, "window_attention", out.rows == (pool ? (h / 2) * (w / 2) : h * w));
    TRK_EXPECT(x, "window_attention", !pool || (h % 2 == 0 && w % 2 == 0 && window % 2 == 0));
    TRK_EXPECT(x, "window_attention", window >= 0 && (bias || !window || (h % window == 0 && w % window == 0)));
    const int window_h = window ? window : h, window_w = window ? window : w, step = pool ? 2 : 1;
    const int channels = qkv.cols / 3, dim = channels / heads;
    const int windows_x = divided_up(w, window_w), windows = windows_x * divided_up(h, window_h);
    /* a window larger than the map has queries in one part of it only */
    const int rows = window_h < h ? window_h : h, cols = window_w < w ? window_w : w;
    const attention_shape shape = {windows * heads, rows / step * (cols / step), window_h * window_w, dim, dim,
                                   1.0f / sqrtf((float)dim)};
    const int whole = window_h == h && window_w == w;
    const window_source source = {element_rows_of(qkv), element_rows_of(out), bias, h, w, heads, channels, dim,
                                  window_h, window_w, windows_x, step, whole, quotient_of(window_w)};
    if (x->activation == TRK_BF16)
        run_bf16(x, source, shape);
    else
        run_f32(x, source, shape);
}
