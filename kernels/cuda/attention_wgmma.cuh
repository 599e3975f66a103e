/* SPDX-License-Identifier: Apache-2.0
 * The attention core on Hopper's tensor cores, for the two shapes of memory attention: q and k of width 256, v of width
 * 64 (memory cross attention) or 256 (self attention). Results are those of attention_mma.cuh but for the order of
 * additions inside a product and for where tiles of keys begin.
 *
 * A block is two warpgroups of 64 queries each against the keys of the block's part. Queries lie in shared memory once;
 * keys and values in two buffers each, in the atoms of hardware.cuh: 64 columns and all rows of a tile follow each
 * other. Keys are one tile ahead of values, so that the scores of the next tile are computed while this one's become
 * weights:
 *
 *     barrier; copies of keys t + 2 and values t + 1 start; s' = q k[t + 1]^T starts; s becomes p (bf16, registers);
 *     output += p v[t] starts; wait for both; s = s'
 *
 * The accumulators are fragments as mma has them, 16 queries to a warp, so that softmax, the sum of p (a column of
 * ones) and what is written are the mma core's. */
#ifndef TRK_KERNELS_CUDA_ATTENTION_WGMMA_CUH
#define TRK_KERNELS_CUDA_ATTENTION_WGMMA_CUH

#include "attention_mma.cuh"

#define WGMMA_THREADS 256 /* of a block */
#define WGMMA_ROWS    128 /* queries of a block */
#define WGMMA_DK      256
#define WGMMA_ATOM    1024 /* bytes: 8 rows of 128 */

/* Shared memory in bytes: queries [4 slabs of 64 columns][128 rows][128] | keys [2][4][KEYS][128] |
 * values [2][DV / 64][KEYS][128]. */
template <int DV, int KEYS> struct WgmmaTile {
    static constexpr int QUERIES = WGMMA_ROWS * WGMMA_DK * 2;
    static constexpr int K_BUFFER = KEYS * WGMMA_DK * 2, V_BUFFER = KEYS * DV * 2;
    static constexpr int BYTES = WGMMA_ATOM + QUERIES + 2 * (K_BUFFER + V_BUFFER); /* with the way to the first atom */
};

/* --- tiles into shared memory --- */

/* Where piece `piece` (8 elements) of row `row` lies in a tile of ROWS rows. */
template <int ROWS> __device__ __forceinline__ bf16 *atom_piece(char *tile, int row, int piece)
{
    return reinterpret_cast<bf16 *>(tile + piece / 8 * (ROWS * 128) + row * 128 + ((piece ^ row) % 8) * 16);
}

/* ROWS rows of WIDTH elements in bf16, 16-byte aligned; zeros from `there` on. row_of(i): row i < there. */
template <int ROWS, int WIDTH, class F> __device__ __forceinline__ void stage_aligned(char *tile, int there, F row_of)
{
    constexpr int PIECES = WIDTH / 8;
#pragma unroll 2 /* more would spill registers */
    for (int i = threadIdx.x; i < ROWS * PIECES; i += WGMMA_THREADS) {
        const int row = i / PIECES, piece = i % PIECES;
        const element_row from = row_of(min(row, there - 1));
        copy_async_16(atom_piece<ROWS>(tile, row, piece), static_cast<const bf16 *>(from.data) + piece * 8,
                      row < there);
    }
}

template <int KEYS, class S, class P>
__device__ __forceinline__ void wgmma_stage_keys(char *tile, const S &source, const P &place, int first_key, int n_keys)
{
    stage_aligned<KEYS, WGMMA_DK>(tile, n_keys - first_key, [&](int i) { return source.key(place, first_key + i); });
}

/* Rows of v may be stored in any way unless they are known to be ALIGNED as those of q and k. */
template <int DV, int KEYS, bool ALIGNED, class S, class P>
__device__ __forceinline__ void wgmma_stage_values(char *tile, const S &source, const P &place, int first_key,
                                                   int n_keys)
{
    if constexpr (ALIGNED) {
        stage_aligned<KEYS, DV>(tile, n_keys - first_key, [&](int i) { return source.value(place, first_key + i); });
    } else {
        for (int i = threadIdx.x; i < KEYS * (DV / 8); i += WGMMA_THREADS) {
            const int row = i / (DV / 8), piece = i % (DV / 8), key = first_key + row;
            stage_8(atom_piece<KEYS>(tile, row, piece), key < n_keys ? source.value(place, key) : element_row{NULL, 0},
                    piece * 8, DV);
        }
    }
}

/* --- the two products --- */

/* Starts s = q k^T. */
template <int KEYS>
__device__ __forceinline__ void wgmma_start_scores(float (&s)[KEYS / 8][4], uint64_t queries, uint64_t keys)
{
    warpgroup_fence();
#pragma unroll
    for (int step = 0; step < WGMMA_DK / 16; step++) { /* 4 to a slab */
        const unsigned slab = step / 4, inside = step % 4 * 32;
        warpgroup_mma(s, matrix_further(queries, slab * WGMMA_ROWS * 128 + inside),
                      matrix_further(keys, slab * KEYS * 128 + inside), step > 0);
    }
    warpgroup_commit();
}

/* Starts output += p v; p as fragments. */
template <int DV, int KEYS>
__device__ __forceinline__ void wgmma_start_values(float (&output)[DV / 8][4], const uint32_t (&p)[KEYS / 16][4],
                                                   uint64_t values)
{
    warpgroup_results(output); /* what was done to them comes before the fence */
    warpgroup_fence();
#pragma unroll
    for (int step = 0; step < KEYS / 16; step++)
        warpgroup_mma_transposed(output, p[step], matrix_further(values, step * 2 * WGMMA_ATOM));
    warpgroup_commit();
}

/* s, which is p, as fragments; and its sum. */
template <int KEYS>
__device__ __forceinline__ void wgmma_pack(uint32_t (&p)[KEYS / 16][4], float (&sum)[4], const float (&s)[KEYS / 8][4])
{
    const uint32_t ones[2] = {MMA_ONES, MMA_ONES};
#pragma unroll
    for (int step = 0; step < KEYS / 16; step++) {
#pragma unroll
        for (int i = 0; i < 4; i++)
            p[step][i] = pack_bf16(s[2 * step + i / 2][i % 2 * 2], s[2 * step + i / 2][i % 2 * 2 + 1]);
        mma_bf16(sum, p[step], ones);
    }
}

/* --- the kernel --- */

template <class S, int DV, int KEYS, bool ALIGNED>
__global__ void __launch_bounds__(WGMMA_THREADS, 1) attend_wgmma(const S source, const attention_plan plan)
{
#if TRK_WARPGROUPS
    using tile = WgmmaTile<DV, KEYS>;
    const int warp = __shfl_sync(ALL_LANES, threadIdx.x / WARP, 0), lane = threadIdx.x % WARP;
    const attention_part part = part_of(plan, blockIdx.x);
    const auto place = source.at(part.instance);
    const int n_queries = source.queries(place), n_keys = source.keys(place);
    const int tiles = tiles_with_keys(plan, part, n_keys); /* perhaps none */
    const int first_key = part.first_tile * KEYS;
    if (part.first_query >= n_queries)
        return; /* the whole block */

    char *queries = shared_memory_of_atoms<char>(), *keys = queries + tile::QUERIES;
    char *values = keys + 2 * tile::K_BUFFER;
    const auto stage_keys = [&](int t) {
        if (t < tiles)
            wgmma_stage_keys<KEYS>(keys + t % 2 * tile::K_BUFFER, source, place, first_key + t * KEYS, n_keys);
    };
    const auto stage_values = [&](int t) {
        if (t < tiles)
            wgmma_stage_values<DV, KEYS, ALIGNED>(values + t % 2 * tile::V_BUFFER, source, place, first_key + t * KEYS,
                                                  n_keys);
    };
    stage_aligned<WGMMA_ROWS, WGMMA_DK>(queries, n_queries - part.first_query,
                                        [&](int i) { return source.query(place, part.first_query + i, 0); });
    stage_keys(0);
    copies_commit();
    stage_keys(1);
    stage_values(0);
    copies_commit();

    mma_state<DV> state;
    mma_start(state);
    const uint64_t own_queries = matrix_descriptor(queries + warp / 4 * (WGMMA_ROWS / 2 * 128), 16, WGMMA_ATOM);
    const uint64_t all_keys = matrix_descriptor(keys, 16, WGMMA_ATOM);
    const uint64_t all_values = matrix_descriptor(values, KEYS * 128, WGMMA_ATOM);
    float s[KEYS / 8][4], next[KEYS / 8][4];
    uint32_t p[KEYS / 16][4];
    copies_wait<1>();
    fence_async();
    __syncthreads();
    wgmma_start_scores<KEYS>(s, own_queries, all_keys);
    warpgroup_wait<0>();
    warpgroup_results(s);

    for (int t = 0; t < tiles; t++) {
        copies_wait<0>(); /* keys t + 1 and values t have arrived, nobody uses keys t and values t - 1 any more */
        fence_async();
        __syncthreads();
        stage_keys(t + 2);
        stage_values(t + 1);
        copies_commit();
        if (t + 1 < tiles)
            wgmma_start_scores<KEYS>(next, own_queries, matrix_further(all_keys, (t + 1) % 2 * tile::K_BUFFER));

        mma_mask<KEYS>(s, plan, first_key + t * KEYS, n_keys, lane);
        mma_weights<DV, KEYS>(state, s, plan.steepness);
        wgmma_pack<KEYS>(p, state.sum, s);
        wgmma_start_values<DV, KEYS>(state.output, p, matrix_further(all_values, t % 2 * tile::V_BUFFER));
        warpgroup_wait<0>();
        warpgroup_results(state.output);
        warpgroup_results(next);
#pragma unroll
        for (int n = 0; n < KEYS / 2; n++)
            s[n / 4][n % 4] = next[n / 4][n % 4];
    }
    mma_write<DV>(state, source, place, plan, part, part.first_query + warp * MMA_ROWS, n_queries, lane);
#else
    __trap();
#endif
}

/* --- the choice --- */

/* Rows of bf16 that can be copied 16 bytes at a time. */
static inline int wgmma_reads(const element_rows &m)
{
    return m.is_bf16 && (uintptr_t)m.data % 16 == 0 && m.stride_bytes % 16 == 0;
}

/* 0: for the mma core. ALIGNED: rows of v are, too. A plan has to have room for both, since where the rows will lie is
 * known when they do. */
template <int DV, bool ALIGNED, class S>
int run_wgmma(trk_exec *x, const S &source, const attention_shape &shape, int rows_are_aligned)
{
    constexpr int KEYS = DV > 64 ? 64 : 128;
    const struct cuda_library *library = x->backend->cuda;
    if (!library->wgmma || shape.dk != WGMMA_DK || shape.dv != DV || (!x->planning && !rows_are_aligned))
        return 0;
    attention_plan plan = plan_start(&shape);
    plan.tile_keys = KEYS;
    plan.tile_queries = WGMMA_ROWS;
    plan_splits(&plan, library->info.n_processors);
    if (!plan_workspace(x, &plan))
        return !x->planning;
    TRK_LAUNCH(x, (attend_wgmma<S, DV, KEYS, ALIGNED>), blocks_for(plan.groups, 1), WGMMA_THREADS,
               (size_t)(WgmmaTile<DV, KEYS>::BYTES), source, plan);
    launch_combine(x, source, plan);
    return 1;
}

#endif
