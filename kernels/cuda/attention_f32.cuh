/* SPDX-License-Identifier: Apache-2.0
 * The attention core in f32 arithmetic, for any head width: the one a backend with f32 activations is checked by, and
 * on a bf16 backend (then with rounded factors) the one of heads wider than the tensor core's.
 *
 * A block of 16 x 16 threads takes 64 queries and up to 256 columns of the output (a slab). For each tile of 64 keys
 * it sums the scores over slices of 32 columns of q and k, a thread 4 x 4 of them; p goes through shared memory, and
 * the thread adds p v to its 4 rows x SLAB / 16 columns. Wider outputs repeat the scores in each slab. */
#ifndef TRK_KERNELS_CUDA_ATTENTION_F32_CUH
#define TRK_KERNELS_CUDA_ATTENTION_F32_CUH

#include "attention_core.cuh"

#define F32_SIDE    16 /* threads */
#define F32_THREADS (F32_SIDE * F32_SIDE)
#define F32_TILE    64 /* queries, and keys */
#define F32_SLICE   32 /* columns of q and k at a time */
#define F32_OWN     (F32_TILE / F32_SIDE)

/* Shared memory, floats: queries [64][33] | keys [64][33], in their place values [4096 / SLAB][SLAB]; weights [64][65].
 * Odd strides, so that lanes that differ in the row read different banks. */
#define F32_SLICE_STRIDE  (F32_SLICE + 1)
#define F32_WEIGHT_STRIDE (F32_TILE + 1)
#define F32_VALUES        4096
#define F32_INPUTS        (2 * F32_TILE * F32_SLICE_STRIDE)
#define F32_SHARED_BYTES  ((F32_INPUTS + F32_TILE * F32_WEIGHT_STRIDE) * sizeof(float))

/* What a thread knows of its 4 queries: rows 4 ty + r of the tile, columns tx + 16 c of the slab. */
template <int SLAB> struct f32_state {
    float output[F32_OWN][SLAB / F32_SIDE];
    float largest[F32_OWN], sum[F32_OWN];
};

__device__ __forceinline__ float as_factor(const attention_plan &plan, float v)
{
    return plan.rounded ? rounded_bf16(v) : v;
}

/* Columns first .. first + 31 of the block's queries and of a tile of keys into shared memory, zeros outside. */
template <class S, class P>
__device__ void f32_stage_slice(const S &source, const P &place, const attention_plan &plan, int query, int n_queries,
                                int key, int n_keys, int first)
{
    float *queries = shared_memory<float>(), *keys = queries + F32_TILE * F32_SLICE_STRIDE;
    const int column = threadIdx.x % F32_SLICE, c = first + column;
    for (int i = threadIdx.x / F32_SLICE; i < F32_TILE; i += F32_THREADS / F32_SLICE) {
        float q = 0.0f, k = 0.0f;
        if (c < plan.shape.dk && query + i < n_queries)
            q = query_element(source, place, query + i, c);
        if (c < plan.shape.dk && key + i < n_keys)
            k = element_of(source.key(place, key + i), c);
        queries[i * F32_SLICE_STRIDE + column] = as_factor(plan, q);
        keys[i * F32_SLICE_STRIDE + column] = as_factor(plan, k);
    }
}

/* s[r][j]: the score of the thread's query r and key tx + 16 j of the tile; -infinity beyond the last key. */
template <class S, class P>
__device__ void f32_scores(float (&s)[F32_OWN][F32_OWN], const S &source, const P &place, const attention_plan &plan,
                           int query, int n_queries, int key, int n_keys)
{
    const float *queries = shared_memory<float>(), *keys = queries + F32_TILE * F32_SLICE_STRIDE;
    const int tx = threadIdx.x % F32_SIDE, ty = threadIdx.x / F32_SIDE;
#pragma unroll
    for (int i = 0; i < F32_OWN * F32_OWN; i++)
        s[i / F32_OWN][i % F32_OWN] = 0.0f;
    for (int first = 0; first < plan.shape.dk; first += F32_SLICE) {
        __syncthreads(); /* nobody reads the last slice, or values, any more */
        f32_stage_slice(source, place, plan, query, n_queries, key, n_keys, first);
        __syncthreads();
        for (int d = 0; d < F32_SLICE; d++) {
            float q[F32_OWN], k[F32_OWN];
#pragma unroll
            for (int i = 0; i < F32_OWN; i++) {
                q[i] = queries[(ty * F32_OWN + i) * F32_SLICE_STRIDE + d];
                k[i] = keys[(tx + i * F32_SIDE) * F32_SLICE_STRIDE + d];
            }
#pragma unroll
            for (int i = 0; i < F32_OWN * F32_OWN; i++)
                s[i / F32_OWN][i % F32_OWN] += q[i / F32_OWN] * k[i % F32_OWN];
        }
    }
#pragma unroll
    for (int i = 0; i < F32_OWN * F32_OWN; i++) {
        float *score = &s[i / F32_OWN][i % F32_OWN];
        *score = key + tx + i % F32_OWN * F32_SIDE >= n_keys ? -INFINITY : plan.negative ? -*score : *score;
    }
}

/* Scores become weights, in shared memory; what was summed before is scaled to the new largest score. */
template <int SLAB>
__device__ __forceinline__ void f32_weights(f32_state<SLAB> &state, const float (&s)[F32_OWN][F32_OWN],
                                            const attention_plan &plan)
{
    float *weights = shared_memory<float>() + F32_INPUTS;
    const int tx = threadIdx.x % F32_SIDE, ty = threadIdx.x / F32_SIDE;
#pragma unroll
    for (int r = 0; r < F32_OWN; r++) {
        float largest = state.largest[r];
#pragma unroll
        for (int j = 0; j < F32_OWN; j++)
            largest = fmaxf(largest, s[r][j]);
        for (int step = F32_SIDE / 2; step > 0; step /= 2) /* the 16 lanes of a row are neighbours */
            largest = fmaxf(largest, __shfl_xor_sync(ALL_LANES, largest, step));
        const float factor = exp2f((state.largest[r] - largest) * plan.steepness);
        float sum = 0.0f;
#pragma unroll
        for (int j = 0; j < F32_OWN; j++) {
            const float p = as_factor(plan, exp2f((s[r][j] - largest) * plan.steepness));
            weights[(ty * F32_OWN + r) * F32_WEIGHT_STRIDE + tx + j * F32_SIDE] = p;
            sum += p;
        }
        for (int step = F32_SIDE / 2; step > 0; step /= 2)
            sum += __shfl_xor_sync(ALL_LANES, sum, step);
        state.sum[r] = state.sum[r] * factor + sum;
        state.largest[r] = largest;
#pragma unroll
        for (int c = 0; c < SLAB / F32_SIDE; c++)
            state.output[r][c] *= factor;
    }
}

/* output += weights times the values of a tile of keys, columns first .. first + SLAB - 1. */
template <int SLAB, class S, class P>
__device__ void f32_add_values(f32_state<SLAB> &state, const S &source, const P &place, const attention_plan &plan,
                               int key, int n_keys, int first)
{
    constexpr int ROWS = F32_VALUES / SLAB < F32_TILE ? F32_VALUES / SLAB : F32_TILE;
    float *values = shared_memory<float>();
    const float *weights = values + F32_INPUTS;
    const int tx = threadIdx.x % F32_SIDE, ty = threadIdx.x / F32_SIDE;
    for (int row = 0; row < F32_TILE && key + row < n_keys; row += ROWS) {
        __syncthreads();
        for (int i = threadIdx.x; i < ROWS * SLAB; i += F32_THREADS) {
            const int j = key + row + i / SLAB, c = first + i % SLAB;
            const bool inside = j < n_keys && c < plan.shape.dv;
            values[i] = inside ? as_factor(plan, element_of(source.value(place, j), c)) : 0.0f;
        }
        __syncthreads();
        for (int j = 0; j < ROWS; j++) {
            float p[F32_OWN];
#pragma unroll
            for (int r = 0; r < F32_OWN; r++)
                p[r] = weights[(ty * F32_OWN + r) * F32_WEIGHT_STRIDE + row + j];
#pragma unroll
            for (int c = 0; c < SLAB / F32_SIDE; c++) {
                const float v = values[j * SLAB + tx + c * F32_SIDE];
#pragma unroll
                for (int r = 0; r < F32_OWN; r++)
                    state.output[r][c] += p[r] * v;
            }
        }
    }
}

/* The thread's rows into the output, or as they are into the partial results. */
template <int SLAB, class S, class P>
__device__ void f32_write(const f32_state<SLAB> &state, const S &source, const P &place, const attention_plan &plan,
                          const attention_part &part, int n_queries)
{
    const int tx = threadIdx.x % F32_SIDE, ty = threadIdx.x / F32_SIDE, dv = plan.shape.dv;
#pragma unroll
    for (int r = 0; r < F32_OWN; r++) {
        const int i = part.first_query + ty * F32_OWN + r;
        if (i >= n_queries)
            continue;
        const int64_t row = partial_row(plan, part.split, part.instance, i);
        const element_row to =
            plan.splits > 1 ? element_row{plan.partial_output + row * dv, 0} : source.result(place, i);
        const float divisor = plan.splits > 1 ? 1.0f : state.sum[r];
        if (plan.splits > 1 && part.slab == 0 && tx == 0)
            plan.partial_sums[row] = make_float2(state.largest[r], state.sum[r]);
#pragma unroll
        for (int c = 0; c < SLAB / F32_SIDE; c++) {
            const int column = part.slab * SLAB + tx + c * F32_SIDE;
            store_pair(to, column, min(dv, column + 1), state.output[r][c] / divisor, 0.0f);
        }
    }
}

template <class S, int SLAB>
__global__ void __launch_bounds__(F32_THREADS, 1) attend_f32(const S source, const attention_plan plan)
{
    const attention_part part = part_of(plan, blockIdx.x);
    const auto place = source.at(part.instance);
    const int n_queries = source.queries(place), n_keys = source.keys(place);
    if (part.first_query >= n_queries)
        return; /* the whole block */
    f32_state<SLAB> state;
#pragma unroll
    for (int r = 0; r < F32_OWN; r++) {
        state.largest[r] = -FLT_MAX;
        state.sum[r] = 0.0f;
#pragma unroll
        for (int c = 0; c < SLAB / F32_SIDE; c++)
            state.output[r][c] = 0.0f;
    }
    const int end = part.first_tile + tiles_with_keys(plan, part, n_keys);
    for (int tile = part.first_tile; tile < end; tile++) {
        float s[F32_OWN][F32_OWN];
        f32_scores(s, source, place, plan, part.first_query, n_queries, tile * F32_TILE, n_keys);
        f32_weights(state, s, plan);
        f32_add_values(state, source, place, plan, tile * F32_TILE, n_keys, part.slab * SLAB);
    }
    f32_write(state, source, place, plan, part, n_queries);
}

static inline int f32_slab(int dv)
{
    return dv <= 64 ? 64 : dv <= 128 ? 128 : 256;
}

static inline attention_plan f32_plan(trk_exec *x, const attention_shape &shape)
{
    attention_plan plan = plan_start(&shape);
    plan.tile_queries = plan.tile_keys = F32_TILE;
    plan.slabs = divided_up(shape.dv, f32_slab(shape.dv));
    plan.rounded = x->activation == TRK_BF16;
    plan_splits(&plan, 2 * x->backend->cuda->info.n_processors);
    return plan;
}

template <class S> void run_f32(trk_exec *x, const S &source, const attention_shape &shape)
{
    attention_plan plan = f32_plan(x, shape);
    if (!plan_workspace(x, &plan))
        return;
    const unsigned blocks = (unsigned)plan.groups;
    const int slab = f32_slab(shape.dv);
    if (slab == 64)
        TRK_LAUNCH(x, (attend_f32<S, 64>), blocks, F32_THREADS, F32_SHARED_BYTES, source, plan);
    else if (slab == 128)
        TRK_LAUNCH(x, (attend_f32<S, 128>), blocks, F32_THREADS, F32_SHARED_BYTES, source, plan);
    else
        TRK_LAUNCH(x, (attend_f32<S, 256>), blocks, F32_THREADS, F32_SHARED_BYTES, source, plan);
    launch_combine(x, source, plan);
}

#endif
