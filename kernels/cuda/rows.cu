/* SPDX-License-Identifier: Apache-2.0
 * Operators that look at one row or one element at a time. All but layernorm read and write each element once, by the
 * same thread, so that an output may be an input. */
#include "groups.cuh"

/* --- layernorm --- */

namespace
{

/* A first estimate of the mean is off by its own rounding, which is large against a small spread. The moments about
 * it, which are small numbers, make it right: mean = center + shift, var = avg((v - center)^2) - shift^2. */
struct normal {
    float center, shift, scale;

    __device__ __forceinline__ normal(float center, float first, float second, int cols, float eps) : center(center)
    {
        shift = first / (float)cols;
        const float variance = second / (float)cols - shift * shift;
        scale = 1.0f / sqrtf((variance < 0.0f ? 0.0f : variance) + eps);
    }
    __device__ __forceinline__ float of(float v, float gamma, float beta) const
    {
        return (v - center - shift) * scale * gamma + beta;
    }
};

} /* namespace */

template <int N>
static __device__ __forceinline__ void add_moments(float &first, float &second, const float (&v)[N], float center)
{
#pragma unroll
    for (int i = 0; i < N; i++) {
        const float d = v[i] - center;
        first += d;
        second += d * d;
    }
}

/* gamma and beta from column c on; with N GROUP they are aligned as the row is */
template <int N>
static __device__ __forceinline__ void normalise(float (&v)[N], const normal &row, const float *gamma,
                                                 const float *beta, int act)
{
    float g[N], b[N];
    load_group(g, gamma);
    load_group(b, beta);
#pragma unroll
    for (int i = 0; i < N; i++)
        v[i] = activated(act, row.of(v[i], g[i], b[i]));
}

/* Over `lanes` neighbours, a power of two up to a warp; called by the whole warp. */
static __device__ __forceinline__ float lanes_sum(float v, int lanes)
{
    for (int step = lanes / 2; step > 0; step /= 2)
        v += __shfl_xor_sync(ALL_LANES, v, step);
    return v;
}

/* Rows of at most lanes * N * K columns, kept in registers; blockDim.x lanes a row. */
template <int N, int K, class O, class I>
static __global__ void __launch_bounds__(GROUP_THREADS)
    layernorm_narrow(matrix<O> out, matrix<I> in, const float *gamma, const float *beta, float eps, int act)
{
    const int64_t r = (int64_t)blockIdx.x * blockDim.y + threadIdx.y;
    const int lanes = blockDim.x, end = r < in.rows ? in.cols : 0, c = threadIdx.x * N, step = lanes * N;
    float v[K][N], sum = 0.0f, first = 0.0f, second = 0.0f;
#pragma unroll
    for (int k = 0; k < K; k++)
        if (c + k * step < end) {
            load_group(v[k], in.at(r, c + k * step));
#pragma unroll
            for (int i = 0; i < N; i++)
                sum += v[k][i];
        }
    const float center = lanes_sum(sum, lanes) / (float)in.cols;
#pragma unroll
    for (int k = 0; k < K; k++)
        if (c + k * step < end)
            add_moments(first, second, v[k], center);
    const normal row(center, lanes_sum(first, lanes), lanes_sum(second, lanes), in.cols, eps);
#pragma unroll
    for (int k = 0; k < K; k++)
        if (c + k * step < end) {
            normalise(v[k], row, gamma + c + k * step, beta + c + k * step, act);
            store_group(out.at(r, c + k * step), v[k]);
        }
}

/* A block a row, read three times, mostly from cache. Shared memory: 32 floats. */
template <int N, class O, class I>
static __global__ void __launch_bounds__(GROUP_THREADS)
    layernorm_wide(matrix<O> out, matrix<I> in, const float *gamma, const float *beta, float eps, int act)
{
    float *room = shared_memory<float>();
    const int64_t r = blockIdx.x, first_column = (int64_t)threadIdx.x * N, step = (int64_t)blockDim.x * N;
    float v[N], sum = 0.0f, first = 0.0f, second = 0.0f;
    for (int64_t c = first_column; c < in.cols; c += step) {
        load_group(v, in.at(r, c));
#pragma unroll
        for (int i = 0; i < N; i++)
            sum += v[i];
    }
    const float center = block_sum(sum, room) / (float)in.cols;
    for (int64_t c = first_column; c < in.cols; c += step) {
        load_group(v, in.at(r, c));
        add_moments(first, second, v, center);
    }
    first = block_sum(first, room);
    second = block_sum(second, room);
    const normal row(center, first, second, in.cols, eps);
    for (int64_t c = first_column; c < in.cols; c += step) {
        load_group(v, in.at(r, c));
        normalise(v, row, gamma + c, beta + c, act);
        store_group(out.at(r, c), v);
    }
}

/* Few lanes for the 4 and 16 channels of the mask downsampler, so that no lane of a warp is without work. */
template <int N, int K, class O, class I>
static void launch_narrow(trk_exec *x, trk_mat out, trk_mat in, const float *gamma, const float *beta, float eps,
                          trk_act act)
{
    unsigned lanes = 1;
    while ((int)lanes * N * K < in.cols)
        lanes *= 2;
    const unsigned rows = GROUP_THREADS / lanes;
    TRK_LAUNCH(x, (layernorm_narrow<N, K, O, I>), blocks_for(in.rows, rows), dim3(lanes, rows), 0, matrix_of<O>(out),
               matrix_of<I>(in), gamma, beta, eps, (int)act);
}

template <int N, class O, class I>
static void launch_layernorm(trk_exec *x, trk_mat out, trk_mat in, const float *gamma, const float *beta, float eps,
                             trk_act act)
{
    if (in.cols <= WARP * N)
        launch_narrow<N, 1, O, I>(x, out, in, gamma, beta, eps, act);
    else if (in.cols <= WARP * N * 2)
        launch_narrow<N, 2, O, I>(x, out, in, gamma, beta, eps, act);
    else if (in.cols <= WARP * N * 4)
        launch_narrow<N, 4, O, I>(x, out, in, gamma, beta, eps, act);
    else if (in.cols <= WARP * N * 8)
        launch_narrow<N, 8, O, I>(x, out, in, gamma, beta, eps, act);
    else
        TRK_LAUNCH(x, (layernorm_wide<N, O, I>), (unsigned)in.rows, GROUP_THREADS, WARP * sizeof(float),
                   matrix_of<O>(out), matrix_of<I>(in), gamma, beta, eps, (int)act);
}

void trk_layernorm_cuda(trk_exec *x, trk_mat out, trk_mat in, const float *gamma, const float *beta, float eps,
                        trk_act act)
{
    TRK_EXPECT(x, "layernorm", in.rows == out.rows && in.cols == out.cols && in.cols > 0);
    if (in.rows == 0)
        return;
    const bool vectors = in_groups(out) && in_groups(in) && in_groups(gamma) && in_groups(beta);
    by_width(vectors, [&](auto n) {
        by_types(out.dtype, in.dtype, [&](auto o, auto i) {
            launch_layernorm<decltype(n)::value, decltype(o), decltype(i)>(x, out, in, gamma, beta, eps, act);
        });
    });
}

/* --- two matrices --- */

template <int N, class O, class A, class B> static __global__ void add_elements(matrix<O> out, matrix<A> a, matrix<B> b)
{
    each_group<N>(out.rows, out.cols, [&](int64_t r, int64_t c) {
        float u[N], v[N];
        load_group(u, a.at(r, c));
        load_group(v, b.at(repeated(r, b.rows), c));
#pragma unroll
        for (int i = 0; i < N; i++)
            u[i] += v[i];
        store_group(out.at(r, c), u);
    });
}

void trk_add_cuda(trk_exec *x, trk_mat out, trk_mat a, trk_mat b)
{
    TRK_EXPECT(x, "add", out.rows == a.rows && out.cols == a.cols && b.cols == a.cols && (b.rows > 0 || !a.rows));
    if (out.rows == 0 || out.cols == 0)
        return;
    by_width(in_groups(out) && in_groups(a) && in_groups(b), [&](auto n) {
        constexpr int N = decltype(n)::value;
        const element_grid g = grid_over(out.rows, out.cols, N);
        by_type(out.dtype, [&](auto o) {
            by_types(a.dtype, b.dtype, [&](auto p, auto q) {
                using O = decltype(o);
                using A = decltype(p);
                using B = decltype(q);
                TRK_LAUNCH(x, (add_elements<N, O, A, B>), g.blocks, g.threads, 0, matrix_of<O>(out), matrix_of<A>(a),
                           matrix_of<B>(b));
            });
        });
    });
}

/* --- one matrix, element by element --- */

namespace
{

struct keep {
    __device__ __forceinline__ float operator()(float v) const
    {
        return v;
    }
};

struct to_memory {
    int binarize;
    float scale, bias;

    __device__ __forceinline__ float operator()(float v) const
    {
        const float mask = binarize ? (v > 0.0f ? 1.0f : 0.0f) : activated(TRK_ACT_SIGMOID, v);
        return fmaf(mask, scale, bias);
    }
};

/* NaN becomes low */
struct clamped {
    float low, high;

    __device__ __forceinline__ float operator()(float v) const
    {
        return fminf(fmaxf(v, low), high);
    }
};

struct at_least {
    float level;

    __device__ __forceinline__ float operator()(float v) const
    {
        return v >= level ? 1.0f : 0.0f;
    }
};

} /* namespace */

/* out = f(in); in's rows repeat */
template <int N, class O, class I, class F> static __global__ void map_elements(matrix<O> out, matrix<I> in, F f)
{
    each_group<N>(out.rows, out.cols, [&](int64_t r, int64_t c) {
        float v[N];
        load_group(v, in.at(repeated(r, in.rows), c));
#pragma unroll
        for (int i = 0; i < N; i++)
            v[i] = f(v[i]);
        store_group(out.at(r, c), v);
    });
}

template <class F> static void launch_map(trk_exec *x, trk_mat out, trk_mat in, F f)
{
    by_groups(out, in, [&](auto n, auto o, auto i, const element_grid &g) {
        constexpr int N = decltype(n)::value;
        using O = decltype(o);
        using I = decltype(i);
        TRK_LAUNCH(x, (map_elements<N, O, I, F>), g.blocks, g.threads, 0, matrix_of<O>(out), matrix_of<I>(in), f);
    });
}

void trk_convert_cuda(trk_exec *x, trk_mat out, trk_mat in)
{
    TRK_EXPECT(x, "convert", out.cols == in.cols && (in.rows > 0 || !out.rows));
    launch_map(x, out, in, keep{});
}

void trk_mask_to_memory_cuda(trk_exec *x, trk_mat out, trk_mat in, int binarize, float scale, float bias)
{
    TRK_EXPECT(x, "mask_to_memory", out.rows == in.rows && out.cols == in.cols);
    launch_map(x, out, in, to_memory{binarize, scale, bias});
}

void trk_clamp_cuda(trk_exec *x, trk_mat out, trk_mat in, float low, float high)
{
    TRK_EXPECT(x, "clamp", out.rows == in.rows && out.cols == in.cols && in.dtype == TRK_F32 && out.dtype == TRK_F32);
    launch_map(x, out, in, clamped{low, high});
}

void trk_threshold_cuda(trk_exec *x, trk_mat out, trk_mat in, float level)
{
    TRK_EXPECT(x, "threshold",
               out.rows == in.rows && out.cols == in.cols && in.dtype == TRK_F32 && out.dtype == TRK_F32);
    launch_map(x, out, in, at_least{level});
}

/* --- if_absent --- */

template <int N, class T>
static __global__ void fill_if_absent(matrix<T> io, const float *row, const float *score, float present_above,
                                      int replace)
{
    if (score[0] > present_above) /* as select_mask: NaN counts as absent */
        return;
    each_group<N>(io.rows, io.cols, [&](int64_t r, int64_t c) {
        float u[N], v[N];
        load_group(u, row + c);
        if (!replace) {
            load_group(v, io.at(r, c));
#pragma unroll
            for (int i = 0; i < N; i++)
                u[i] += v[i];
        }
        store_group(io.at(r, c), u);
    });
}

void trk_if_absent_cuda(trk_exec *x, trk_mat io, const float *row, const float *score, float present_above, int replace)
{
    if (io.rows == 0 || io.cols == 0)
        return;
    by_width(in_groups(io) && in_groups(row), [&](auto n) {
        constexpr int N = decltype(n)::value;
        const element_grid g = grid_over(io.rows, io.cols, N);
        by_type(io.dtype, [&](auto t) {
            using T = decltype(t);
            TRK_LAUNCH(x, (fill_if_absent<N, T>), g.blocks, g.threads, 0, matrix_of<T>(io), row, score, present_above,
                       replace);
        });
    });
}
