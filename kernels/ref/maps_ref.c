/* SPDX-License-Identifier: Apache-2.0
 * Operators on channel-last maps and planes. */
#include <limits.h>
#include <math.h>

#include "element.h"
#include "expect.h"
#include "ref.h"
#include "resample.h"

void trk_maxpool2x2_ref(trk_exec *x, trk_mat out, trk_mat in, int h, int w)
{
    TRK_EXPECT(x, "maxpool2x2", h % 2 == 0 && w % 2 == 0 && in.rows == h * w && out.rows == h * w / 4);
    TRK_EXPECT(x, "maxpool2x2", in.cols == out.cols);
    for (int y = 0; y < h / 2; y++) {
        for (int column = 0; column < w / 2; column++) {
            for (int c = 0; c < in.cols; c++) {
                double max = -INFINITY;
                for (int i = 0; i < 4; i++) {
                    const double v = element_get(in, (int64_t)(2 * y + i / 2) * w + 2 * column + i % 2, c);
                    if (v > max || isnan(v))
                        max = v;
                }
                element_put(out, (int64_t)y * (w / 2) + column, c, max);
            }
        }
    }
}

void trk_add_upsampled2x_ref(trk_exec *x, trk_mat out, trk_mat in, int h, int w)
{
    TRK_EXPECT(x, "add_upsampled2x", in.rows == h * w && out.rows == 4 * h * w && in.cols == out.cols);
    for (int y = 0; y < 2 * h; y++)
        for (int column = 0; column < 2 * w; column++)
            for (int c = 0; c < in.cols; c++) {
                const int64_t row = (int64_t)y * 2 * w + column;
                element_put(out, row, c,
                            element_get(out, row, c) + element_get(in, (int64_t)(y / 2) * w + column / 2, c));
            }
}

void trk_depth_to_space2x_ref(trk_exec *x, trk_mat out, trk_mat in, int h, int w, trk_mat addend, trk_act act)
{
    TRK_EXPECT(x, "depth_to_space2x", in.rows == h * w && out.rows == 4 * h * w && in.cols == 4 * out.cols);
    TRK_EXPECT(x, "depth_to_space2x", !addend.data || (addend.rows > 0 && addend.cols == out.cols));
    for (int y = 0; y < 2 * h; y++) {
        for (int column = 0; column < 2 * w; column++) {
            const int64_t row = (int64_t)y * 2 * w + column, in_row = (int64_t)(y / 2) * w + column / 2;
            const int part = (y % 2 * 2 + column % 2) * out.cols;
            for (int c = 0; c < out.cols; c++) {
                const double more = addend.data ? element_get(addend, row % addend.rows, c) : 0.0;
                element_put(out, row, c, element_act(act, element_get(in, in_row, part + c) + more));
            }
        }
    }
}

/* out[y][x] = sum_i sum_j wy[y][i] wx[x][j] in[first_y + i][first_x + j] */
void trk_resize_bilinear_ref(trk_exec *x, trk_mat out, trk_mat in, int antialias)
{
    const trk_resample_kind kind = antialias ? TRK_RESAMPLE_BILINEAR_ANTIALIAS : TRK_RESAMPLE_BILINEAR;
    const size_t bytes_x = trk_resample_bytes(kind, in.cols, out.cols);
    const size_t bytes_y = trk_resample_bytes(kind, in.rows, out.rows);
    TRK_EXPECT(x, "resize_bilinear", bytes_x && bytes_y && in.dtype == TRK_F32 && out.dtype == TRK_F32);
    void *memory_x = x->allocator->allocate(x->allocator, TRK_MEM_SCRATCH, "resize table", bytes_x);
    void *memory_y = x->allocator->allocate(x->allocator, TRK_MEM_SCRATCH, "resize table", bytes_y);
    if (!memory_x || !memory_y) {
        trk_exec_fail(x, TRK_FAIL(TRK_E_MEMORY, "resize_bilinear: no memory for %zu bytes", bytes_x + bytes_y));
        goto done;
    }
    if (x->planning)
        goto done;
    trk_resample tx, ty;
    trk_resample_build(&tx, memory_x, kind, in.cols, out.cols);
    trk_resample_build(&ty, memory_y, kind, in.rows, out.rows);
    for (int y = 0; y < out.rows; y++) {
        for (int column = 0; column < out.cols; column++) {
            double sum = 0;
            for (int i = 0; i < ty.count[y]; i++)
                for (int j = 0; j < tx.count[column]; j++)
                    sum += (double)ty.weights[(size_t)y * (size_t)ty.max_taps + (size_t)i] *
                           tx.weights[(size_t)column * (size_t)tx.max_taps + (size_t)j] *
                           element_get(in, ty.first[y] + i, tx.first[column] + j);
            element_put(out, y, column, sum);
        }
    }
done:
    x->allocator->release(x->allocator, TRK_MEM_SCRATCH, memory_x, bytes_x);
    x->allocator->release(x->allocator, TRK_MEM_SCRATCH, memory_y, bytes_y);
}

/* ---- mask_boxes ---- */

/* Element i of n, of an axis that is resized by `scale`, a power of two: between which samples it lies, and how far. */
static double tap_of(int i, int n, int scale, int *first)
{
    const double source = fmax((i + 0.5) / scale - 0.5, 0.0);
    *first = (int)source;
    return *first + 1 < n ? source - *first : 0.0;
}

/* b does not count where its weight is 0, even if it is no number. */
static double mix(double a, double b, double weight)
{
    return weight > 0 ? (1 - weight) * a + weight * b : a;
}

/* An element of the plane in row `plane` of planes, resized. */
static double resized(trk_mat planes, int plane, int side, int scale, int row, int column)
{
    int y, x;
    const double down = tap_of(row, side, scale, &y), right = tap_of(column, side, scale, &x);
    const int below = down > 0 ? side : 0, beside = right > 0;
    const int64_t at = (int64_t)y * side + x;
    const double upper = mix(element_get(planes, plane, at), element_get(planes, plane, at + beside), right);
    const double lower =
        mix(element_get(planes, plane, at + below), element_get(planes, plane, at + below + beside), right);
    return mix(upper, lower, down);
}

void trk_mask_boxes_ref(trk_exec *x, float *boxes, trk_mat planes, int side, int scale)
{
    TRK_EXPECT(x, "mask_boxes", side > 0 && planes.dtype == TRK_F32 && planes.cols == (int64_t)side * side);
    TRK_EXPECT(x, "mask_boxes", scale > 0 && (scale & (scale - 1)) == 0 && side <= (1 << 24) / scale);
    for (int p = 0; p < planes.rows; p++) {
        int x0 = INT_MAX, y0 = INT_MAX, x1 = -1, y1 = -1;
        for (int r = 0; r < scale * side; r++)
            for (int c = 0; c < scale * side; c++)
                if (resized(planes, p, side, scale, r, c) > 0) {
                    x0 = c < x0 ? c : x0;
                    x1 = c > x1 ? c : x1;
                    y0 = r < y0 ? r : y0;
                    y1 = r;
                }
        const int box[4] = {x0, y0, x1, y1};
        for (int i = 0; i < 4; i++)
            boxes[4 * p + i] = x1 < 0 ? 0 : (float)box[i];
    }
}
