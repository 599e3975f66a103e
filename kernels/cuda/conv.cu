/* SPDX-License-Identifier: Apache-2.0
 * Convolution on channel-last maps. Three ways, chosen when the layer is made (layer.cu):
 *   few factors      every weight in shared memory, a thread computes 4 channels of one pixel
 *   depthwise        a thread computes one channel of 8 pixels in a row, neighbours have neighbouring channels
 *   else             windows are unrolled into rows of factors, for cuda_product, in strips of bounded size
 * On a bf16 backend factors are rounded to bf16 on all of them (the weights are already); sums are f32. */
#include "product.cuh"

#define THREADS 256

/* What the kernels know of the layer and the maps. */
struct conv_shape {
    int in_h, in_w, out_h, out_w;
    int kernel, stride, padding;
    int n_in, n_out, n_out_padded;
    int rounds; /* factors to bf16 */
    int act;
};

template <class I> __device__ __forceinline__ float factor(const matrix<I> &in, int64_t row, int c, int rounds)
{
    const float v = in.get(row, c);
    return rounds && sizeof(I) == sizeof(float) ? rounded_bf16(v) : v;
}

/* --- few factors --- */

/* All channels of one input pixel, for 4 outputs. */
template <class I>
__device__ __forceinline__ void add_position(float (&sum)[4], const matrix<I> &in, int64_t row, const float *w,
                                             const conv_shape &s)
{
    for (int c = 0; c < s.n_in; c++) {
        const float v = factor(in, row, c, s.rounds);
        const float4 f = *reinterpret_cast<const float4 *>(w + c * s.n_out_padded);
        sum[0] = fmaf(v, f.x, sum[0]);
        sum[1] = fmaf(v, f.y, sum[1]);
        sum[2] = fmaf(v, f.z, sum[2]);
        sum[3] = fmaf(v, f.w, sum[3]);
    }
}

/* Grid-stride over (pixel, group of 4 channels), groups first. Shared: weight [k, n_out_padded]. */
template <class O, class I>
__global__ void __launch_bounds__(THREADS)
    conv_direct(matrix<O> out, matrix<I> in, const float *weight, const float *bias, conv_shape s)
{
    float *w = shared_memory<float>();
    const int n_weights = s.kernel * s.kernel * s.n_in * s.n_out_padded, n_groups = s.n_out_padded / 4;
    for (int i = threadIdx.x; i < n_weights; i += blockDim.x)
        w[i] = weight[i];
    __syncthreads();
    const int64_t n = (int64_t)s.out_h * s.out_w * n_groups, step = (int64_t)gridDim.x * blockDim.x;
    for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += step) {
        const int pixel = (int)(i / n_groups), o = (int)(i % n_groups) * 4;
        const int y = pixel / s.out_w * s.stride - s.padding, x = pixel % s.out_w * s.stride - s.padding;
        float sum[4] = {0.0f, 0.0f, 0.0f, 0.0f};
        for (int ky = 0; ky < s.kernel; ky++)
            for (int kx = 0; kx < s.kernel; kx++)
                if (y + ky >= 0 && y + ky < s.in_h && x + kx >= 0 && x + kx < s.in_w)
                    add_position(sum, in, (int64_t)(y + ky) * s.in_w + x + kx,
                                 w + (ky * s.kernel + kx) * s.n_in * s.n_out_padded + o, s);
#pragma unroll
        for (int e = 0; e < 4; e++)
            if (o + e < s.n_out)
                out.put(pixel, o + e, activated(s.act, sum[e] + (bias ? bias[o + e] : 0.0f)));
    }
}

/* --- depthwise --- */

#define RUN 8 /* pixels of one thread */

/* Stride 1 and a kernel known to the compiler: each input is loaded once for the KERNEL pixels that it is part of. */
template <class O, class I, int KERNEL>
__global__ void __launch_bounds__(THREADS)
    conv_depthwise_run(matrix<O> out, matrix<I> in, const float *weight, const float *bias, conv_shape s)
{
    const int n_runs = (s.out_w + RUN - 1) / RUN;
    const int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= (int64_t)s.out_h * n_runs * s.n_out)
        return;
    const int c = (int)(i % s.n_out), first = (int)(i / s.n_out % n_runs) * RUN, y = (int)(i / s.n_out / n_runs);
    float sum[RUN] = {};
    for (int ky = 0; ky < KERNEL; ky++) {
        const int in_y = y - s.padding + ky;
        if (in_y < 0 || in_y >= s.in_h)
            continue;
        float v[RUN + KERNEL - 1], w[KERNEL];
#pragma unroll
        for (int j = 0; j < RUN + KERNEL - 1; j++) {
            const int in_x = first - s.padding + j;
            v[j] = in_x >= 0 && in_x < s.in_w ? factor(in, (int64_t)in_y * s.in_w + in_x, c, s.rounds) : 0.0f;
        }
#pragma unroll
        for (int kx = 0; kx < KERNEL; kx++)
            w[kx] = __ldg(weight + (ky * KERNEL + kx) * s.n_out_padded + c);
#pragma unroll
        for (int j = 0; j < RUN; j++)
#pragma unroll
            for (int kx = 0; kx < KERNEL; kx++)
                sum[j] = fmaf(v[j + kx], w[kx], sum[j]);
    }
    const float b = bias ? bias[c] : 0.0f;
#pragma unroll
    for (int j = 0; j < RUN; j++)
        if (first + j < s.out_w)
            out.put((int64_t)y * s.out_w + first + j, c, activated(s.act, sum[j] + b));
}

/* Any kernel and stride; a thread computes one channel of one pixel. */
template <class O, class I>
__global__ void __launch_bounds__(THREADS)
    conv_depthwise(matrix<O> out, matrix<I> in, const float *weight, const float *bias, conv_shape s)
{
    const int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= (int64_t)s.out_h * s.out_w * s.n_out)
        return;
    const int c = (int)(i % s.n_out), pixel = (int)(i / s.n_out);
    const int y = pixel / s.out_w * s.stride - s.padding, x = pixel % s.out_w * s.stride - s.padding;
    float sum = 0.0f;
    for (int ky = 0; ky < s.kernel; ky++)
        for (int kx = 0; kx < s.kernel; kx++)
            if (y + ky >= 0 && y + ky < s.in_h && x + kx >= 0 && x + kx < s.in_w)
                sum = fmaf(factor(in, (int64_t)(y + ky) * s.in_w + x + kx, c, s.rounds),
                           weight[(ky * s.kernel + kx) * s.n_out_padded + c], sum);
    out.put(pixel, c, activated(s.act, sum + (bias ? bias[c] : 0.0f)));
}

static void run_direct(trk_exec *x, trk_mat out, trk_mat in, const struct cuda_layer *layer, const conv_shape &s)
{
    const float *weight = static_cast<const float *>(layer->weight), *bias = layer->bias;
    const int64_t n_pixels = out.rows;
    by_types(out.dtype, in.dtype, [&](auto o, auto i) {
        const auto to = matrix_of<decltype(o)>(out);
        const auto from = matrix_of<decltype(i)>(in);
        if (layer->shape.groups == 1) {
            /* blocks load all weights: no more of them than keep a card busy */
            const unsigned blocks = min(blocks_for(n_pixels * (s.n_out_padded / 4), THREADS), 4096u);
            const size_t bytes = (size_t)layer->k * (size_t)s.n_out_padded * sizeof(float);
            TRK_LAUNCH(x, (conv_direct<decltype(o), decltype(i)>), blocks, THREADS, bytes, to, from, weight, bias, s);
        } else if (s.kernel == 7 && s.stride == 1) {
            const int64_t n_runs = (int64_t)s.out_h * ((s.out_w + RUN - 1) / RUN);
            TRK_LAUNCH(x, (conv_depthwise_run<decltype(o), decltype(i), 7>), blocks_for(n_runs * s.n_out, THREADS),
                       THREADS, 0, to, from, weight, bias, s);
        } else {
            TRK_LAUNCH(x, (conv_depthwise<decltype(o), decltype(i)>), blocks_for(n_pixels * s.n_out, THREADS), THREADS,
                       0, to, from, weight, bias, s);
        }
    });
}

/* --- unrolled windows --- */

#define STRIP_BYTES ((size_t)64 << 20) /* of unrolled windows at a time */

/* Windows of the pixels from `first` on, one row of `out` each: (window row, window column, channel), zeros beyond the
 * border and the last factor. A thread writes PRODUCT_PAD factors. */
template <class O, class I>
__global__ void __launch_bounds__(THREADS) unroll_windows(matrix<O> out, matrix<I> in, int first, int k, conv_shape s)
{
    const int n_groups = out.cols / PRODUCT_PAD;
    const int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= (int64_t)out.rows * n_groups)
        return;
    const int row = (int)(i / n_groups), at = (int)(i % n_groups) * PRODUCT_PAD, pixel = first + row;
    const int y = pixel / s.out_w * s.stride - s.padding, x = pixel % s.out_w * s.stride - s.padding;
    int c = at % s.n_in, kx = at / s.n_in % s.kernel, ky = at / s.n_in / s.kernel;
    union {
        O values[PRODUCT_PAD];
        uint4 words[PRODUCT_PAD * sizeof(O) / sizeof(uint4)];
    } factors;
#pragma unroll
    for (int e = 0; e < PRODUCT_PAD; e++) {
        const int in_y = y + ky, in_x = x + kx;
        const bool inside = at + e < k && in_y >= 0 && in_y < s.in_h && in_x >= 0 && in_x < s.in_w;
        factors.values[e] = from_float<O>(inside ? in.get((int64_t)in_y * s.in_w + in_x, c) : 0.0f);
        if (++c == s.n_in) {
            c = 0;
            if (++kx == s.kernel) {
                kx = 0;
                ky++;
            }
        }
    }
    uint4 *to = reinterpret_cast<uint4 *>(out.at(row, at)); /* the workspace is aligned, rows are padded */
#pragma unroll
    for (int e = 0; e < (int)(PRODUCT_PAD * sizeof(O) / sizeof(uint4)); e++)
        to[e] = factors.words[e];
}

static void run_unrolled(trk_exec *x, trk_mat out, trk_mat in, const struct cuda_layer *layer, const conv_shape &s)
{
    const size_t row_bytes = (size_t)layer->k_padded * trk_dtype_bytes(layer->dtype);
    const int most = (int)(STRIP_BYTES / row_bytes < 128 ? 128 : STRIP_BYTES / row_bytes / 128 * 128);
    trk_mat windows = {NULL, layer->dtype, min(out.rows, most), layer->k_padded, layer->k_padded};
    windows.data = trk_workspace_get(x, WORKSPACE_INPUT, (size_t)windows.rows * row_bytes);
    if (!windows.data)
        return;
    for (int first = 0; first < out.rows; first += most) {
        trk_mat strip = out;
        strip.rows = windows.rows = min(out.rows - first, most);
        strip.data = static_cast<char *>(out.data) + (size_t)(first * out.stride) * trk_dtype_bytes(out.dtype);
        if (!x->planning)
            by_types(layer->dtype, in.dtype, [&](auto o, auto i) {
                const int64_t n_threads = (int64_t)windows.rows * (windows.cols / PRODUCT_PAD);
                TRK_LAUNCH(x, (unroll_windows<decltype(o), decltype(i)>), blocks_for(n_threads, THREADS), THREADS, 0,
                           matrix_of<decltype(o)>(windows), matrix_of<decltype(i)>(in), first, layer->k, s);
            });
        cuda_product(x, strip, windows, layer, trk_epilogue{(trk_act)s.act, 0});
    }
}

void trk_conv2d_cuda(trk_exec *x, trk_mat out, trk_mat in, int in_h, int in_w, const trk_conv *conv, trk_act act)
{
    TRK_EXPECT(x, "conv2d", conv->prepared);
    TRK_EXPECT(x, "conv2d", in.rows == in_h * in_w && in.cols == conv->in_channels && out.cols == conv->out_channels);
    const int out_h = (in_h + 2 * conv->padding - conv->kernel) / conv->stride + 1;
    const int out_w = (in_w + 2 * conv->padding - conv->kernel) / conv->stride + 1;
    TRK_EXPECT(x, "conv2d", out.rows == out_h * out_w);
    const struct cuda_layer *layer = static_cast<const struct cuda_layer *>(conv->prepared);
    const conv_shape s = {in_h, in_w, out_h, out_w, conv->kernel, conv->stride, conv->padding, conv->in_channels,
                          conv->out_channels, layer->n_out_padded, x->activation == TRK_BF16, act};
    if (out.rows == 0)
        return;
    if (layer->form == LAYER_DIRECT) {
        if (!x->planning)
            run_direct(x, out, in, layer, s);
    } else if (trk_layer_is_linear(&layer->shape)) {
        cuda_product(x, out, in, layer, trk_epilogue{act, 0});
    } else {
        run_unrolled(x, out, in, layer, s);
    }
}
