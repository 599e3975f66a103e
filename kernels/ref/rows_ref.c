/* SPDX-License-Identifier: Apache-2.0
 * Operators that look at one row or one element at a time. */
#include "element.h"
#include "expect.h"
#include "ref.h"

#include <string.h>

/* mean = sum v / n, var = sum (v - mean)^2 / n, out = act((v - mean) / sqrt(var + eps) * gamma + beta) */
void trk_layernorm_ref(trk_exec *x, trk_mat out, trk_mat in, const float *gamma, const float *beta, float eps,
                       trk_act act)
{
    TRK_EXPECT(x, "layernorm", in.rows == out.rows && in.cols == out.cols && in.cols > 0);
    for (int r = 0; r < in.rows; r++) {
        double mean = 0, variance = 0;
        for (int c = 0; c < in.cols; c++)
            mean += element_get(in, r, c);
        mean /= in.cols;
        for (int c = 0; c < in.cols; c++) {
            const double d = element_get(in, r, c) - mean;
            variance += d * d;
        }
        const double scale = 1 / sqrt(variance / in.cols + (double)eps);
        for (int c = 0; c < in.cols; c++)
            element_put(out, r, c, element_act(act, (element_get(in, r, c) - mean) * scale * gamma[c] + beta[c]));
    }
}

void trk_add_ref(trk_exec *x, trk_mat out, trk_mat a, trk_mat b)
{
    TRK_EXPECT(x, "add", out.rows == a.rows && out.cols == a.cols && b.cols == a.cols && (b.rows > 0 || !a.rows));
    for (int r = 0; r < a.rows; r++)
        for (int c = 0; c < a.cols; c++)
            element_put(out, r, c, element_get(a, r, c) + element_get(b, r % b.rows, c));
}

void trk_convert_ref(trk_exec *x, trk_mat out, trk_mat in)
{
    TRK_EXPECT(x, "convert", out.cols == in.cols && (in.rows > 0 || !out.rows));
    for (int r = 0; r < out.rows; r++)
        for (int c = 0; c < out.cols; c++)
            element_put(out, r, c, element_get(in, r % in.rows, c));
}

void trk_mask_to_memory_ref(trk_exec *x, trk_mat out, trk_mat in, int binarize, float scale, float bias)
{
    TRK_EXPECT(x, "mask_to_memory", out.rows == in.rows && out.cols == in.cols);
    for (int r = 0; r < in.rows; r++) {
        for (int c = 0; c < in.cols; c++) {
            const double v = element_get(in, r, c);
            const double mask = binarize ? (v > 0 ? 1.0 : 0.0) : element_act(TRK_ACT_SIGMOID, v);
            element_put(out, r, c, mask * scale + bias);
        }
    }
}

void trk_if_absent_ref(trk_exec *x, trk_mat io, const float *row, const float *score, float present_above, int replace)
{
    if (score[0] > present_above) /* as select_mask: NaN counts as absent */
        return;
    for (int r = 0; r < io.rows; r++)
        for (int c = 0; c < io.cols; c++)
            element_put(io, r, c, replace ? row[c] : element_get(io, r, c) + row[c]);
}

static int same_f32(trk_mat a, trk_mat b)
{
    return a.dtype == TRK_F32 && b.dtype == TRK_F32 && a.rows == b.rows && a.cols == b.cols;
}

void trk_clamp_ref(trk_exec *x, trk_mat out, trk_mat in, float low, float high)
{
    TRK_EXPECT(x, "clamp", same_f32(out, in));
    for (int r = 0; r < in.rows; r++)
        for (int c = 0; c < in.cols; c++)
            element_put(out, r, c, fminf(fmaxf((float)element_get(in, r, c), low), high));
}

void trk_threshold_ref(trk_exec *x, trk_mat out, trk_mat in, float level)
{
    TRK_EXPECT(x, "threshold", same_f32(out, in));
    for (int r = 0; r < in.rows; r++)
        for (int c = 0; c < in.cols; c++)
            element_put(out, r, c, element_get(in, r, c) >= (double)level ? 1.0 : 0.0);
}

/* ---- to and from the host: here both sides are ---- */

void trk_copy_bytes_ref(trk_exec *x, void *to, const void *from, size_t bytes)
{
    if (bytes)
        memcpy(to, from, bytes);
}

void trk_upload_ref(trk_exec *x, void *to, const void *from, size_t row_bytes, size_t rows, ptrdiff_t stride)
{
    for (size_t r = 0; r < rows && row_bytes; r++)
        memcpy((char *)to + r * row_bytes, (const char *)from + (ptrdiff_t)r * stride, row_bytes);
}

void trk_download_ref(trk_exec *x, void *to, ptrdiff_t stride, const void *from, size_t row_bytes, size_t rows)
{
    for (size_t r = 0; r < rows && row_bytes; r++)
        memcpy((char *)to + (ptrdiff_t)r * stride, (const char *)from + r * row_bytes, row_bytes);
}
