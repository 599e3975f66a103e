/* SPDX-License-Identifier: Apache-2.0
 * The attention core on tensor cores: factors in bf16, sums in f32, head widths up to 256.
 *
 * A group of warps takes a tile of queries, 16 per warp, against the keys of its part, KEYS at a time. Queries, keys
 * and values lie in shared memory as bf16, widths rounded up to DK and DV with zeros; while a tile of keys is used the
 * next one arrives in the other buffer. A block holds several groups where an instance has few queries (small windows,
 * the decoder's tokens), each with keys of its own; the barriers are the block's.
 *
 * Per warp and tile: scores s = q k^T [16, KEYS] in the accumulators of mma; p = 2^(steepness * (s - largest)), which
 * become the fragments of the second product as they are, rounded to bf16; output += p v [16, DV]. The sum of p is one
 * more column tile of that product, with ones for values, so that the weights add up to one as they were rounded.
 *
 * mma_scores and mma_add_values are all that touches tiles in shared memory; MmaTile is how they lie. */
#ifndef TRK_KERNELS_CUDA_ATTENTION_MMA_CUH
#define TRK_KERNELS_CUDA_ATTENTION_MMA_CUH

#include "attention_core.cuh"

#define MMA_ROWS           16         /* queries of a warp */
#define MMA_WARPS          4          /* of a block, at most */
#define MMA_FEW_KEYS       16         /* a tile of instances with no more */
#define MMA_MOST_BYTES     (99 * 1024) /* of shared memory that a block may have on every card */
#define MMA_MULTIPROCESSOR (228 * 1024) /* of shared memory; only how far keys are split depends on it */
#define MMA_ONES           0x3f803f80u /* a pair */

/* Shared memory of one group. Rows are an odd number of 16 bytes apart, so that the 8 rows of a matrix that is loaded
 * lie in different banks. In elements: queries [warps * 16] rows | per buffer keys [KEYS], values [KEYS] rows. */
template <int DK, int DV, int KEYS> struct MmaTile {
    static constexpr int K_STRIDE = DK + 8, V_STRIDE = DV + 8;
    static constexpr int BUFFER = KEYS * (K_STRIDE + V_STRIDE);
    /* Queries stay in registers where these suffice: fragments of q, output, scores. */
    static constexpr bool KEEPS_QUERIES = DK / 4 + DV / 2 + KEYS / 2 <= 160;

    __host__ __device__ static constexpr int elements(int warps, int stages)
    {
        return warps * MMA_ROWS * K_STRIDE + stages * BUFFER;
    }
};

/* What a lane holds of its warp's 16 queries, in rows g and g + 8 (hardware.cuh). */
template <int DV> struct mma_state {
    float output[DV / 8][4];
    float sum[4];
    float largest[2];
};

template <int DV> __device__ __forceinline__ void mma_start(mma_state<DV> &state)
{
    state.largest[0] = state.largest[1] = -FLT_MAX;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        state.sum[i] = 0.0f;
#pragma unroll
        for (int n = 0; n < DV / 8; n++)
            state.output[n][i] = 0.0f;
    }
}

/* --- tiles into shared memory --- */

/* 8 elements to `to` (16-byte aligned), zeros from `cols` on and for a row that is not there. Bytes that are copied
 * asynchronously and bytes that are stored are both there after copies_wait and a barrier. */
__device__ __forceinline__ void stage_8(bf16 *to, element_row row, int first, int cols)
{
    if (row.data && row.is_bf16 && first + 8 <= cols) {
        const bf16 *from = static_cast<const bf16 *>(row.data) + first;
        if (is_aligned(from, 16)) {
            copy_async_16(to, from, true);
            return;
        }
    }
    float v[8] = {};
    if (row.data && first < cols)
        load_8(v, row, first, cols);
    *reinterpret_cast<uint4 *>(to) =
        make_uint4(pack_bf16(v[0], v[1]), pack_bf16(v[2], v[3]), pack_bf16(v[4], v[5]), pack_bf16(v[6], v[7]));
}

/* `rows` queries from `first_query` on, by `threads` threads of which this is number `thread`. */
template <int DK, class S, class P>
__device__ void mma_stage_queries(bf16 *shared, const S &source, const P &place, int first_query, int n_queries, int dk,
                                  int rows, int thread, int threads)
{
    for (int i = thread; i < rows * (DK / 8); i += threads) {
        const int row = i / (DK / 8), first = i % (DK / 8) * 8, query = first_query + row;
        bf16 *to = shared + row * (DK + 8) + first;
        if (!source.pooled() || query >= n_queries || first >= dk) {
            stage_8(to, query < n_queries ? source.query(place, query, 0) : element_row{NULL, 0}, first, dk);
            continue;
        }
        float v[8];
        load_query_8(v, source, place, query, first, dk);
        *reinterpret_cast<uint4 *>(to) =
            make_uint4(pack_bf16(v[0], v[1]), pack_bf16(v[2], v[3]), pack_bf16(v[4], v[5]), pack_bf16(v[6], v[7]));
    }
}

/* KEYS rows of k and v from `first_key` on into one buffer, zeros from n_keys on. */
template <int DK, int DV, int KEYS, class S, class P>
__device__ void mma_stage_keys(bf16 *buffer, const S &source, const P &place, int first_key, int n_keys,
                               const attention_shape &shape, int thread, int threads)
{
    using tile = MmaTile<DK, DV, KEYS>;
    for (int i = thread; i < KEYS * (DK / 8); i += threads) {
        const int row = i / (DK / 8), first = i % (DK / 8) * 8, key = first_key + row;
        stage_8(buffer + row * tile::K_STRIDE + first,
                key < n_keys ? source.key(place, key) : element_row{NULL, 0}, first, shape.dk);
    }
    buffer += KEYS * tile::K_STRIDE;
    for (int i = thread; i < KEYS * (DV / 8); i += threads) {
        const int row = i / (DV / 8), first = i % (DV / 8) * 8, key = first_key + row;
        stage_8(buffer + row * tile::V_STRIDE + first,
                key < n_keys ? source.value(place, key) : element_row{NULL, 0}, first, shape.dv);
    }
}

/* --- the two products --- */

/* Fragment of the warp's queries, columns 16 step .. 16 step + 15. */
template <int STRIDE>
__device__ __forceinline__ void mma_query(uint32_t (&a)[4], const bf16 *queries, int step, int lane)
{
    load_matrices(a, queries + lane % 16 * STRIDE + step * 16 + lane / 16 * 8);
}

/* s = q k^T: s[n] is the accumulator of keys 8 n .. 8 n + 7. `kept`: the fragments of q, if they are kept. */
template <int DK, int DV, int KEYS, int KEPT>
__device__ __forceinline__ void mma_scores(float (&s)[KEYS / 8][4], const uint32_t (&kept)[KEPT][4],
                                           const bf16 *queries, const bf16 *keys, int lane)
{
    using tile = MmaTile<DK, DV, KEYS>;
    const bf16 *from = keys + (lane / 16 * 8 + lane % 8) * tile::K_STRIDE + lane / 8 % 2 * 8;
#pragma unroll
    for (int n = 0; n < KEYS / 8; n++)
        s[n][0] = s[n][1] = s[n][2] = s[n][3] = 0.0f;
#pragma unroll
    for (int step = 0; step < DK / 16; step++) {
        uint32_t a[4];
        if constexpr (tile::KEEPS_QUERIES) {
#pragma unroll
            for (int i = 0; i < 4; i++)
                a[i] = kept[step][i];
        } else {
            mma_query<tile::K_STRIDE>(a, queries, step, lane);
        }
#pragma unroll
        for (int n = 0; n < KEYS / 16; n++) {
            uint32_t r[4]; /* keys 16 n ..: columns 0-7, 8-15; keys 16 n + 8 ..: the same */
            load_matrices(r, from + n * 16 * tile::K_STRIDE + step * 16);
            const uint32_t low[2] = {r[0], r[1]}, high[2] = {r[2], r[3]};
            mma_bf16(s[2 * n], a, low);
            mma_bf16(s[2 * n + 1], a, high);
        }
    }
}

/* output += p v, sum += p; s holds p. */
template <int DK, int DV, int KEYS>
__device__ __forceinline__ void mma_add_values(mma_state<DV> &state, const float (&s)[KEYS / 8][4], const bf16 *values,
                                               int lane)
{
    using tile = MmaTile<DK, DV, KEYS>;
    const bf16 *from = values + lane % 16 * tile::V_STRIDE + lane / 16 * 8;
    const uint32_t ones[2] = {MMA_ONES, MMA_ONES};
#pragma unroll
    for (int step = 0; step < KEYS / 16; step++) {
        const float(&low)[4] = s[2 * step], (&high)[4] = s[2 * step + 1];
        const uint32_t p[4] = {pack_bf16(low[0], low[1]), pack_bf16(low[2], low[3]), pack_bf16(high[0], high[1]),
                               pack_bf16(high[2], high[3])};
        mma_bf16(state.sum, p, ones);
#pragma unroll
        for (int n = 0; n < DV / 16; n++) {
            uint32_t r[4]; /* columns 16 n ..: keys 0-7, 8-15; columns 16 n + 8 ..: the same */
            load_matrices_transposed(r, from + step * 16 * tile::V_STRIDE + n * 16);
            const uint32_t b0[2] = {r[0], r[1]}, b1[2] = {r[2], r[3]};
            mma_bf16(state.output[2 * n], p, b0);
            mma_bf16(state.output[2 * n + 1], p, b1);
        }
    }
}

/* --- softmax --- */

/* Scores of keys from n_keys on become -infinity; all change their sign with a negative scale. */
template <int KEYS>
__device__ __forceinline__ void mma_mask(float (&s)[KEYS / 8][4], const attention_plan &plan, int first_key, int n_keys,
                                         int lane)
{
    if (plan.negative) {
#pragma unroll
        for (int n = 0; n < KEYS / 2; n++)
            s[n / 4][n % 4] = -s[n / 4][n % 4];
    }
    if (first_key + KEYS <= n_keys)
        return;
#pragma unroll
    for (int n = 0; n < KEYS / 2; n++) {
        const int key = first_key + n / 4 * 8 + lane % 4 * 2 + n % 2;
        s[n / 4][n % 4] = key < n_keys ? s[n / 4][n % 4] : -INFINITY;
    }
}

/* s becomes p, relative to the largest score so far; what was summed before follows it. Largest scores are never NaN
 * nor -infinity: a NaN stays in p, and from there reaches the sum and with it the row. */
template <int DV, int KEYS>
__device__ __forceinline__ void mma_weights(mma_state<DV> &state, float (&s)[KEYS / 8][4], float steepness)
{
    float largest[2] = {state.largest[0], state.largest[1]}, factor[2];
#pragma unroll
    for (int n = 0; n < KEYS / 2; n++)
        largest[n % 4 / 2] = fmaxf(largest[n % 4 / 2], s[n / 4][n % 4]);
#pragma unroll
    for (int half = 0; half < 2; half++) { /* the four lanes of a row */
        largest[half] = fmaxf(largest[half], __shfl_xor_sync(ALL_LANES, largest[half], 1));
        largest[half] = fmaxf(largest[half], __shfl_xor_sync(ALL_LANES, largest[half], 2));
    }
    if (__any_sync(ALL_LANES, largest[0] > state.largest[0] || largest[1] > state.largest[1])) {
#pragma unroll
        for (int half = 0; half < 2; half++) {
            factor[half] = exp2_fast((state.largest[half] - largest[half]) * steepness);
            state.largest[half] = largest[half];
        }
#pragma unroll
        for (int i = 0; i < 4; i++) {
            state.sum[i] *= factor[i / 2];
#pragma unroll
            for (int n = 0; n < DV / 8; n++)
                state.output[n][i] *= factor[i / 2];
        }
    }
#pragma unroll
    for (int n = 0; n < KEYS / 2; n++)
        s[n / 4][n % 4] = exp2_fast((s[n / 4][n % 4] - largest[n % 4 / 2]) * steepness);
}

/* --- results --- */

/* The warp's rows into the output, or as they are into the partial results. `query`: the warp's first. */
template <int DV, class S, class P>
__device__ void mma_write(const mma_state<DV> &state, const S &source, const P &place, const attention_plan &plan,
                          const attention_part &part, int query, int n_queries, int lane)
{
    const int dv = plan.shape.dv;
#pragma unroll
    for (int half = 0; half < 2; half++) {
        const int i = query + half * 8 + lane / 4;
        if (i >= n_queries)
            continue;
        const int64_t row = partial_row(plan, part.split, part.instance, i);
        const element_row to =
            plan.splits > 1 ? element_row{plan.partial_output + row * dv, 0} : source.result(place, i);
        const float factor = plan.splits > 1 ? 1.0f : 1.0f / state.sum[2 * half];
        if (plan.splits > 1 && lane % 4 == 0)
            plan.partial_sums[row] = make_float2(state.largest[half], state.sum[2 * half]);
#pragma unroll
        for (int n = 0; n < DV / 8; n++)
            store_pair(to, n * 8 + lane % 4 * 2, dv, state.output[n][2 * half] * factor,
                       state.output[n][2 * half + 1] * factor);
    }
}

/* --- the kernel --- */

template <class S, int DK, int DV, int KEYS>
__global__ void __launch_bounds__(MMA_WARPS * WARP) attend_mma(const S source, const attention_plan plan)
{
    using tile = MmaTile<DK, DV, KEYS>;
    constexpr int KEPT = tile::KEEPS_QUERIES ? DK / 16 : 1;
    const int warps = plan.tile_queries / MMA_ROWS, threads = warps * WARP;
    const int in_block = threadIdx.x / threads, thread = threadIdx.x % threads, lane = threadIdx.x % WARP;
    const attention_part part = part_of(plan, (int64_t)blockIdx.x * plan.block_groups + in_block);
    const auto place = source.at(part.instance);
    const int n_queries = part.tiles ? source.queries(place) : 0, query = part.first_query + thread / WARP * MMA_ROWS;
    const int n_keys = source.keys(place);
    if (plan.block_groups == 1 && part.first_query >= n_queries)
        return; /* the whole block */

    bf16 *queries = shared_memory<bf16>() + in_block * tile::elements(warps, plan.stages);
    bf16 *buffers = queries + plan.tile_queries * tile::K_STRIDE;
    mma_stage_queries<DK>(queries, source, place, part.first_query, n_queries, plan.shape.dk, plan.tile_queries, thread,
                          threads);
    queries += thread / WARP * MMA_ROWS * tile::K_STRIDE; /* the warp's */
    mma_stage_keys<DK, DV, KEYS>(buffers, source, place, part.first_tile * KEYS, n_keys, plan.shape, thread, threads);
    copies_commit();
    copies_wait<0>();
    __syncthreads();

    uint32_t kept[KEPT][4];
    if constexpr (tile::KEEPS_QUERIES) {
#pragma unroll
        for (int step = 0; step < DK / 16; step++)
            mma_query<tile::K_STRIDE>(kept[step], queries, step, lane);
    }
    mma_state<DV> state;
    mma_start(state);

    /* every group of a block takes as many steps as the largest part has; keys beyond its own weigh nothing */
    const int tiles = plan.block_groups == 1 ? tiles_with_keys(plan, part, n_keys) : plan.tiles_per_split;
    for (int t = 0; t < tiles; t++) {
        const int key = (part.first_tile + t) * KEYS;
        const bf16 *keys = buffers + t % 2 * tile::BUFFER;
        if (t > 0) { /* this tile has arrived, and nobody uses the last one any more */
            copies_wait<0>();
            __syncthreads();
        }
        if (t + 1 < tiles) {
            mma_stage_keys<DK, DV, KEYS>(buffers + (t + 1) % 2 * tile::BUFFER, source, place, key + KEYS, n_keys,
                                         plan.shape, thread, threads);
            copies_commit();
        }
        if (query >= n_queries)
            continue; /* the whole warp */
        float s[KEYS / 8][4];
        mma_scores<DK, DV, KEYS, KEPT>(s, kept, queries, keys, lane);
        mma_mask<KEYS>(s, plan, key, n_keys, lane);
        mma_weights<DV, KEYS>(state, s, plan.steepness);
        mma_add_values<DK, DV, KEYS>(state, s, keys + KEYS * tile::K_STRIDE, lane);
    }
    mma_write<DV>(state, source, place, plan, part, query, n_queries, lane);
}

/* --- the choice of tiles --- */

/* Warps of a group: no more than it has queries for, a power of two so that groups fill a block. */
static inline int mma_warps(int n_queries)
{
    int warps = 1;
    while (warps < MMA_WARPS && warps * MMA_ROWS < n_queries)
        warps *= 2;
    return warps;
}

template <int DK, int DV, int KEYS> attention_plan mma_plan(trk_exec *x, const attention_shape &shape)
{
    using tile = MmaTile<DK, DV, KEYS>;
    attention_plan plan = plan_start(&shape);
    const int stages = shape.n_keys > KEYS ? 2 : 1; /* at most */
    const int warps = mma_warps(shape.n_queries);
    const int bytes = tile::elements(warps, stages) * 2;
    plan.tile_keys = KEYS;
    plan.tile_queries = warps * MMA_ROWS;
    while (plan.block_groups * 2 * warps <= MMA_WARPS && plan.block_groups * 2 * bytes <= MMA_MOST_BYTES)
        plan.block_groups *= 2;
    const int resident = MMA_MULTIPROCESSOR / (plan.block_groups * bytes + 1024); /* blocks of a multiprocessor */
    plan_splits(&plan, x->backend->cuda->info.n_processors * (resident < 1 ? 1 : resident > 4 ? 4 : resident));
    return plan;
}

template <int DK, int DV, int KEYS, class S>
void run_mma_tiles(trk_exec *x, const S &source, const attention_shape &shape)
{
    using tile = MmaTile<DK, DV, KEYS>;
    attention_plan plan = mma_plan<DK, DV, KEYS>(x, shape);
    if (!plan_workspace(x, &plan))
        return;
    const int warps = plan.tile_queries / MMA_ROWS;
    const size_t bytes = (size_t)plan.block_groups * tile::elements(warps, plan.stages) * sizeof(bf16);
    TRK_LAUNCH(x, (attend_mma<S, DK, DV, KEYS>), blocks_for(plan.groups, plan.block_groups),
               plan.block_groups * warps * WARP, bytes, source, plan);
    launch_combine(x, source, plan);
}

/* Heads of up to DK and DV. */
template <int DK, int DV, class S> void run_mma(trk_exec *x, const S &source, const attention_shape &shape)
{
    constexpr int KEYS = DK > 128 || DV > 128 ? 32 : 64;
    if constexpr (KEYS == 64) {
        if (shape.n_keys <= MMA_FEW_KEYS) {
            run_mma_tiles<DK, DV, MMA_FEW_KEYS>(x, source, shape);
            return;
        }
    }
    run_mma_tiles<DK, DV, KEYS>(x, source, shape);
}

#endif
