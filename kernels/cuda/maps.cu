/* SPDX-License-Identifier: Apache-2.0
 * Operators on channel-last maps, and the rotation of queries and keys. A thread makes groups of output channels; what
 * several outputs read is read again, from cache. */
#include "groups.cuh"

namespace
{

/* The pixel of row r in a map of `width` columns; maps have fewer than 2^31 pixels. */
struct pixel {
    int64_t y, x;

    __device__ __forceinline__ pixel(int64_t r, int width)
    {
        y = (unsigned)r / (unsigned)width;
        x = r - y * width;
    }
};

} /* namespace */

/* --- maxpool2x2 --- */

template <int N, class O, class I> static __global__ void maxpool(matrix<O> out, matrix<I> in, int w)
{
    each_group<N>(out.rows, out.cols, [&](int64_t r, int64_t c) {
        const pixel at(r, w / 2);
        float largest[N];
#pragma unroll
        for (int i = 0; i < N; i++)
            largest[i] = -INFINITY;
#pragma unroll
        for (int part = 0; part < 4; part++) {
            float v[N];
            load_group(v, in.at((2 * at.y + part / 2) * w + 2 * at.x + part % 2, c));
#pragma unroll
            for (int i = 0; i < N; i++)
                if (v[i] > largest[i] || isnan(v[i])) /* NaN stays */
                    largest[i] = v[i];
        }
        store_group(out.at(r, c), largest);
    });
}

void trk_maxpool2x2_cuda(trk_exec *x, trk_mat out, trk_mat in, int h, int w)
{
    TRK_EXPECT(x, "maxpool2x2", h % 2 == 0 && w % 2 == 0 && in.rows == h * w && out.rows == h * w / 4);
    TRK_EXPECT(x, "maxpool2x2", in.cols == out.cols);
    by_groups(out, in, [&](auto n, auto o, auto i, const element_grid &g) {
        constexpr int N = decltype(n)::value;
        using O = decltype(o);
        using I = decltype(i);
        TRK_LAUNCH(x, (maxpool<N, O, I>), g.blocks, g.threads, 0, matrix_of<O>(out), matrix_of<I>(in), w);
    });
}

/* --- add_upsampled2x --- */

/* w: of in */
template <int N, class O, class I> static __global__ void add_upsampled(matrix<O> out, matrix<I> in, int w)
{
    each_group<N>(out.rows, out.cols, [&](int64_t r, int64_t c) {
        const pixel at(r, 2 * w);
        float u[N], v[N];
        load_group(u, out.at(r, c));
        load_group(v, in.at(at.y / 2 * w + at.x / 2, c));
#pragma unroll
        for (int i = 0; i < N; i++)
            u[i] += v[i];
        store_group(out.at(r, c), u);
    });
}

void trk_add_upsampled2x_cuda(trk_exec *x, trk_mat out, trk_mat in, int h, int w)
{
    TRK_EXPECT(x, "add_upsampled2x", in.rows == h * w && out.rows == 4 * h * w && in.cols == out.cols);
    by_groups(out, in, [&](auto n, auto o, auto i, const element_grid &g) {
        constexpr int N = decltype(n)::value;
        using O = decltype(o);
        using I = decltype(i);
        TRK_LAUNCH(x, (add_upsampled<N, O, I>), g.blocks, g.threads, 0, matrix_of<O>(out), matrix_of<I>(in), w);
    });
}

/* --- depth_to_space2x --- */

/* w: of in. addend.data may be NULL. */
template <int N, class O, class I, class A>
static __global__ void depth_to_space(matrix<O> out, matrix<I> in, matrix<A> addend, int w, int act)
{
    each_group<N>(out.rows, out.cols, [&](int64_t r, int64_t c) {
        const pixel at(r, 2 * w);
        const int64_t part = at.y % 2 * 2 + at.x % 2;
        float v[N];
        load_group(v, in.at(at.y / 2 * w + at.x / 2, part * out.cols + c));
        if (addend.data) {
            float u[N];
            load_group(u, addend.at(repeated(r, addend.rows), c));
#pragma unroll
            for (int i = 0; i < N; i++)
                v[i] += u[i];
        }
#pragma unroll
        for (int i = 0; i < N; i++)
            v[i] = activated(act, v[i]);
        store_group(out.at(r, c), v);
    });
}

void trk_depth_to_space2x_cuda(trk_exec *x, trk_mat out, trk_mat in, int h, int w, trk_mat addend, trk_act act)
{
    TRK_EXPECT(x, "depth_to_space2x", in.rows == h * w && out.rows == 4 * h * w && in.cols == 4 * out.cols);
    TRK_EXPECT(x, "depth_to_space2x", !addend.data || (addend.rows > 0 && addend.cols == out.cols));
    if (out.rows == 0 || out.cols == 0)
        return;
    by_width(in_groups(out) && in_groups(in) && (!addend.data || in_groups(addend)), [&](auto n) {
        constexpr int N = decltype(n)::value;
        const element_grid g = grid_over(out.rows, out.cols, N);
        by_type(addend.dtype, [&](auto a) {
            by_types(out.dtype, in.dtype, [&](auto o, auto i) {
                using O = decltype(o);
                using I = decltype(i);
                using A = decltype(a);
                TRK_LAUNCH(x, (depth_to_space<N, O, I, A>), g.blocks, g.threads, 0, matrix_of<O>(out), matrix_of<I>(in),
                           matrix_of<A>(addend), w, (int)act);
            });
        });
    });
}

/* --- rope --- */

/* N is 2 or 4: whole pairs */
template <int N, class T> static __global__ void rotate(matrix<T> qk, const float *table, int n_positions)
{
    each_group<N>(qk.rows, qk.cols, [&](int64_t r, int64_t c) {
        float v[N], turn[N]; /* turn: cos, sin of each pair */
        load_group(v, qk.at(r, c));
        load_group(turn, table + repeated(r, n_positions) * qk.cols + c);
#pragma unroll
        for (int i = 0; i < N; i += 2) {
            const float a = v[i], b = v[i + 1];
            v[i] = a * turn[i] - b * turn[i + 1];
            v[i + 1] = a * turn[i + 1] + b * turn[i];
        }
        store_group(qk.at(r, c), v);
    });
}

void trk_rope_cuda(trk_exec *x, trk_mat qk, const float *table, int n_positions)
{
    TRK_EXPECT(x, "rope", qk.cols % 2 == 0 && n_positions > 0);
    if (qk.rows == 0 || qk.cols == 0)
        return;
    by_width<2>(in_groups(qk) && in_groups(table), [&](auto n) {
        constexpr int N = decltype(n)::value;
        const element_grid g = grid_over(qk.rows, qk.cols, N);
        by_type(qk.dtype, [&](auto t) {
            using T = decltype(t);
            TRK_LAUNCH(x, (rotate<N, T>), g.blocks, g.threads, 0, matrix_of<T>(qk), table, n_positions);
        });
    });
}
