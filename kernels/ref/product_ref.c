/* SPDX-License-Identifier: Apache-2.0
 * Products: fully connected layer, convolution, product of two activations.
 * On a bf16 backend both factors are rounded to bf16 first (element_factor); sums are double here. */
#include "element.h"
#include "expect.h"
#include "ref.h"

/* out[r][o] = act(sum_i in[r][i] W[o][i] + b[o]) (+ out[r][o]) */
void trk_linear_ref(trk_exec *x, trk_mat out, trk_mat in, const trk_linear *layer, trk_epilogue epilogue)
{
    TRK_EXPECT(x, "linear", in.cols == layer->n_in && out.cols == layer->n_out && out.rows == in.rows);
    TRK_EXPECT(x, "linear", !epilogue.accumulate || out.dtype == TRK_F32);
    for (int r = 0; r < in.rows; r++) {
        for (int o = 0; o < layer->n_out; o++) {
            const float *weight = layer->weight + (size_t)o * layer->n_in;
            double sum = 0;
            for (int i = 0; i < layer->n_in; i++)
                sum += element_factor(x, element_get(in, r, i)) * element_factor(x, weight[i]);
            sum = element_act(epilogue.act, sum + (layer->bias ? layer->bias[o] : 0.0));
            element_put(out, r, o, epilogue.accumulate ? sum + element_get(out, r, o) : sum);
        }
    }
}

/* out[i][j] = sum_c a[i][c] b[j][c] */
void trk_matmul_nt_ref(trk_exec *x, trk_mat out, trk_mat a, trk_mat b)
{
    TRK_EXPECT(x, "matmul_nt", a.cols == b.cols && out.rows == a.rows && out.cols == b.rows && out.dtype == TRK_F32);
    for (int i = 0; i < a.rows; i++) {
        for (int j = 0; j < b.rows; j++) {
            double sum = 0;
            for (int c = 0; c < a.cols; c++)
                sum += element_factor(x, element_get(a, i, c)) * element_factor(x, element_get(b, j, c));
            element_put(out, i, j, sum);
        }
    }
}

/* Output channel o at (y, x): sum over its group's input channels and the kernel window, zeros beyond the border. */
static double convolve(trk_exec *x, trk_mat in, int in_h, int in_w, const trk_conv *layer, int y, int column, int o)
{
    const int k = layer->kernel, n_channels = layer->in_channels / layer->groups;
    const int first = o / (layer->out_channels / layer->groups) * n_channels; /* the group's first input channel */
    const float *weight = layer->weight + (size_t)o * n_channels * k * k;     /* [n_channels, k, k] */
    double sum = 0;
    for (int ky = 0; ky < k; ky++) {
        for (int kx = 0; kx < k; kx++) {
            const int in_y = y * layer->stride - layer->padding + ky;
            const int in_x = column * layer->stride - layer->padding + kx;
            if (in_y < 0 || in_y >= in_h || in_x < 0 || in_x >= in_w)
                continue;
            for (int c = 0; c < n_channels; c++)
                sum += element_factor(x, element_get(in, (int64_t)in_y * in_w + in_x, first + c)) *
                       element_factor(x, weight[(c * k + ky) * k + kx]);
        }
    }
    return sum;
}

/* out = act(in * W + b) */
void trk_conv2d_ref(trk_exec *x, trk_mat out, trk_mat in, int in_h, int in_w, const trk_conv *layer, trk_act act)
{
    TRK_EXPECT(x, "conv2d", in.rows == in_h * in_w && in.cols == layer->in_channels && out.cols == layer->out_channels);
    const int out_h = (in_h + 2 * layer->padding - layer->kernel) / layer->stride + 1;
    const int out_w = (in_w + 2 * layer->padding - layer->kernel) / layer->stride + 1;
    TRK_EXPECT(x, "conv2d", out.rows == out_h * out_w);
    for (int y = 0; y < out_h; y++)
        for (int column = 0; column < out_w; column++)
            for (int o = 0; o < layer->out_channels; o++) {
                const double sum = convolve(x, in, in_h, in_w, layer, y, column, o);
                element_put(out, (int64_t)y * out_w + column, o,
                            element_act(act, sum + (layer->bias ? layer->bias[o] : 0.0)));
            }
}
