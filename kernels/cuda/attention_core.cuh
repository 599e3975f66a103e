/* SPDX-License-Identifier: Apache-2.0
 * What both attention cores share: how rows are read and written, how the work is cut, and the sum of its parts.
 *
 * The work is a number of instances (a head; a window and a head) of up to n_queries queries against n_keys keys. A
 * group of warps takes one tile of an instance's queries and all keys, or, where that would leave most of the card
 * idle, one of `splits` parts of them; parts leave (largest score, sum, unnormalised output) per query in the
 * workspace, and attention_combine adds them up in their order, so that results do not depend on the order of blocks.
 *
 * A core is a template over a source, which says where an instance's rows are:
 *     place = source.at(instance);           an instance's place, known to each thread
 *     source.queries(place)                  how many of the n_queries there are
 *     source.keys(place)                     how many of the n_keys there are, at least one
 *     source.query(place, i, corner)         row i of q; pooled: corners 0 .. 3, whose maximum is the query
 *     source.key(place, j), value(place, j)  rows of k and v
 *     source.result(place, i)                row i of the output
 *     source.pooled()                        whether there are corners */
#ifndef TRK_KERNELS_CUDA_ATTENTION_CORE_CUH
#define TRK_KERNELS_CUDA_ATTENTION_CORE_CUH

#include <float.h>

#include "launch.cuh"
#include "library.cuh"

/* --- rows --- */

/* One head of a row: element 0 and how elements are stored. */
struct element_row {
    void *data; /* NULL: a row of zeros */
    int is_bf16;
};

/* The same of every row of a matrix. Arguments of kernels have no padding: they are told byte for byte (launch.cuh). */
struct element_rows {
    char *data;
    int64_t stride_bytes;
    int64_t is_bf16;

    __device__ __forceinline__ element_row row(int64_t r, int64_t c) const
    {
        return element_row{data + r * stride_bytes + c * (is_bf16 ? 2 : 4), (int)is_bf16};
    }
};

static inline element_rows element_rows_of(trk_mat m)
{
    return element_rows{static_cast<char *>(m.data), m.stride * (int64_t)trk_dtype_bytes(m.dtype),
                        m.dtype == TRK_BF16};
}

__device__ __forceinline__ bool is_aligned(const void *p, int bytes)
{
    return (reinterpret_cast<uintptr_t>(p) & (uintptr_t)(bytes - 1)) == 0;
}

/* Element c of the row as f32. */
__device__ __forceinline__ float element_of(element_row row, int c)
{
    return row.is_bf16 ? to_float(static_cast<const bf16 *>(row.data)[c]) : static_cast<const float *>(row.data)[c];
}

__device__ __forceinline__ float low_half(uint32_t packed)
{
    return __uint_as_float(packed << 16);
}

__device__ __forceinline__ float high_half(uint32_t packed)
{
    return __uint_as_float(packed & 0xffff0000u);
}

/* v = elements first .. first + 7 as f32, zeros from `cols` on. */
__device__ __forceinline__ void load_8(float (&v)[8], element_row row, int first, int cols)
{
    const char *from = static_cast<const char *>(row.data) + (int64_t)first * (row.is_bf16 ? 2 : 4);
    if (first + 8 <= cols && is_aligned(from, 16)) {
        const uint4 low = *reinterpret_cast<const uint4 *>(from);
        if (row.is_bf16) {
            const uint32_t pairs[4] = {low.x, low.y, low.z, low.w};
#pragma unroll
            for (int i = 0; i < 8; i++)
                v[i] = i % 2 ? high_half(pairs[i / 2]) : low_half(pairs[i / 2]);
            return;
        }
        const uint4 high = *reinterpret_cast<const uint4 *>(from + 16);
        const uint32_t bits[8] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
#pragma unroll
        for (int i = 0; i < 8; i++)
            v[i] = __uint_as_float(bits[i]);
        return;
    }
#pragma unroll
    for (int i = 0; i < 8; i++)
        v[i] = first + i < cols ? element_of(row, first + i) : 0.0f;
}

/* The larger one; NaN wins, as in torch. */
__device__ __forceinline__ float larger(float a, float b)
{
    return a > b || isnan(a) ? a : b;
}

/* The same 8 elements of a query. */
template <class S, class P>
__device__ __forceinline__ void load_query_8(float (&v)[8], const S &source, const P &place, int i, int first, int cols)
{
    load_8(v, source.query(place, i, 0), first, cols);
    for (int corner = 1; source.pooled() && corner < 4; corner++) {
        float other[8];
        load_8(other, source.query(place, i, corner), first, cols);
#pragma unroll
        for (int j = 0; j < 8; j++)
            v[j] = larger(v[j], other[j]);
    }
}

/* Element c of a query. */
template <class S, class P>
__device__ __forceinline__ float query_element(const S &source, const P &place, int i, int c)
{
    float v = element_of(source.query(place, i, 0), c);
    for (int corner = 1; source.pooled() && corner < 4; corner++)
        v = larger(v, element_of(source.query(place, i, corner), c));
    return v;
}

/* Elements c and c + 1 (where it is below cols) of an output row. */
__device__ __forceinline__ void store_pair(element_row row, int c, int cols, float low, float high)
{
    if (row.is_bf16) {
        bf16 *to = static_cast<bf16 *>(row.data) + c;
        if (c + 1 < cols && is_aligned(to, 4)) {
            *reinterpret_cast<uint32_t *>(to) = pack_bf16(low, high);
            return;
        }
        if (c < cols)
            to[0] = from_float<bf16>(low);
        if (c + 1 < cols)
            to[1] = from_float<bf16>(high);
        return;
    }
    float *to = static_cast<float *>(row.data) + c;
    if (c + 1 < cols && is_aligned(to, 8)) {
        *reinterpret_cast<float2 *>(to) = make_float2(low, high);
        return;
    }
    if (c < cols)
        to[0] = low;
    if (c + 1 < cols)
        to[1] = high;
}

/* --- the plan --- */

/* What an operator asks for. */
struct attention_shape {
    int instances, n_queries, n_keys, dk, dv;
    float scale;
};

/* How it is cut; depends on the shape and the card's number of processors alone. */
struct attention_plan {
    attention_shape shape;
    float steepness;            /* |scale| * log2(e), above 0 so that a masked score stays -infinity */
    int negative;               /* scale < 0: scores change their sign */
    int rounded;                /* f32 core: factors are rounded to bf16 */
    int tile_queries;           /* of a group */
    int tile_keys;              /* of one step */
    int query_tiles, key_tiles; /* of an instance */
    int slabs;                  /* f32 core: parts of the output's columns */
    int splits, tiles_per_split;
    int block_groups;      /* groups of a block */
    int stages;            /* buffers of keys and values */
    int64_t groups;        /* of the launch */
    float *partial_output; /* [splits, instances * n_queries, dv]; of more than one split */
    float2 *partial_sums;  /* [splits, instances * n_queries] (largest score, sum) */
};

static_assert(sizeof(element_rows) == 3 * 8 && sizeof(attention_plan) == 18 * 4 + 3 * 8, "no padding");

#define ATTENTION_MOST_SPLITS 64
#define ATTENTION_LEAST_TILES 2 /* of a split */

static inline int divided_up(int64_t n, int64_t by)
{
    return (int)((n + by - 1) / by);
}

/* Splits the keys until there are `blocks_wanted` blocks. The tiles and block_groups are set. */
static inline void plan_splits(attention_plan *plan, int blocks_wanted)
{
    const attention_shape *s = &plan->shape;
    plan->query_tiles = divided_up(s->n_queries, plan->tile_queries);
    const int key_tiles = divided_up(s->n_keys, plan->tile_keys);
    plan->key_tiles = key_tiles;
    const int64_t whole = (int64_t)s->instances * plan->query_tiles * plan->slabs;
    const int64_t blocks = (whole + plan->block_groups - 1) / plan->block_groups;
    int64_t splits = blocks_wanted / blocks;
    if (splits > key_tiles / ATTENTION_LEAST_TILES)
        splits = key_tiles / ATTENTION_LEAST_TILES;
    if (splits > ATTENTION_MOST_SPLITS)
        splits = ATTENTION_MOST_SPLITS;
    plan->tiles_per_split = divided_up(key_tiles, splits < 1 ? 1 : splits);
    plan->splits = divided_up(key_tiles, plan->tiles_per_split); /* none of them empty */
    plan->groups = whole * plan->splits;
    plan->stages = plan->tiles_per_split > 1 ? 2 : 1;
}

static inline attention_plan plan_start(const attention_shape *shape)
{
    attention_plan plan = {};
    plan.shape = *shape;
    plan.steepness = fmaxf(fabsf(shape->scale) * 1.44269504088896340736f, 1e-37f);
    plan.negative = shape->scale < 0;
    plan.slabs = 1;
    plan.block_groups = 1;
    return plan;
}

static inline size_t plan_rows(const attention_plan *plan)
{
    return (size_t)plan->shape.instances * (size_t)plan->shape.n_queries;
}

/* Obtains the room for partial results. 0: nothing is to be launched. */
static inline int plan_workspace(trk_exec *x, attention_plan *plan)
{
    if (plan->splits > 1) {
        const size_t rows = plan_rows(plan) * (size_t)plan->splits;
        const size_t sums_bytes = trk_aligned(rows * sizeof(float2));
        char *room = static_cast<char *>(
            trk_workspace_get(x, WORKSPACE_ATTENTION, sums_bytes + rows * (size_t)plan->shape.dv * sizeof(float)));
        if (!room)
            return 0;
        plan->partial_sums = reinterpret_cast<float2 *>(room);
        plan->partial_output = reinterpret_cast<float *>(room + sums_bytes);
    }
    return !x->planning;
}

/* A group's part of the work. */
struct attention_part {
    int instance, first_query, slab, split;
    int first_tile, tiles; /* of n_keys keys; tiles 0 for groups beyond the last one */
};

__device__ __forceinline__ attention_part part_of(const attention_plan &plan, int64_t group)
{
    const bool exists = group < plan.groups;
    attention_part part;
    int64_t rest = exists ? group : 0;
    part.split = (int)(rest % plan.splits);
    rest /= plan.splits;
    part.slab = (int)(rest % plan.slabs);
    rest /= plan.slabs;
    part.first_query = (int)(rest % plan.query_tiles) * plan.tile_queries;
    part.instance = (int)(rest / plan.query_tiles);
    part.first_tile = part.split * plan.tiles_per_split;
    part.tiles = exists ? min(plan.tiles_per_split, plan.key_tiles - part.first_tile) : 0;
    return part;
}

/* Tiles of the part that have any of the instance's own keys. */
__device__ __forceinline__ int tiles_with_keys(const attention_plan &plan, const attention_part &part, int n_keys)
{
    const int own = (int)(((unsigned)n_keys + (unsigned)plan.tile_keys - 1) / (unsigned)plan.tile_keys);
    return min(part.tiles, max(own - part.first_tile, 0));
}

/* Row of the partial results for query i. */
__device__ __forceinline__ int64_t partial_row(const attention_plan &plan, int split, int instance, int i)
{
    return ((int64_t)split * plan.shape.instances + instance) * plan.shape.n_queries + i;
}

/* --- the sum of the parts --- */

/* Of a query's parts, split `lane` and every 32nd after it to a lane: the factor that makes the part relative to the
 * largest score of all. sum: of all parts, so weighted. The sum of a part with NaN is NaN, which reaches the row. */
__device__ __forceinline__ void combine_weights(float (&weights)[ATTENTION_MOST_SPLITS / WARP], float *sum,
                                                const attention_plan &plan, int64_t rows, int64_t row, int lane)
{
    float2 parts[ATTENTION_MOST_SPLITS / WARP];
    float largest = -FLT_MAX, own = 0.0f;
#pragma unroll
    for (int k = 0; k < ATTENTION_MOST_SPLITS / WARP; k++) {
        const int split = k * WARP + lane;
        parts[k] = split < plan.splits ? plan.partial_sums[split * rows + row] : make_float2(-FLT_MAX, 0.0f);
        largest = fmaxf(largest, parts[k].x);
    }
    largest = warp_max(largest);
#pragma unroll
    for (int k = 0; k < ATTENTION_MOST_SPLITS / WARP; k++) {
        weights[k] = exp2f((parts[k].x - largest) * plan.steepness);
        own += weights[k] * parts[k].y;
    }
    *sum = warp_sum(own);
}

/* One warp per query. */
template <class S>
__global__ void __launch_bounds__(128) attention_combine(const S source, const attention_plan plan)
{
    const int64_t rows = (int64_t)plan.shape.instances * plan.shape.n_queries;
    const int64_t row = (int64_t)blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
    if (row >= rows)
        return;
    const int instance = (int)(row / plan.shape.n_queries), i = (int)(row % plan.shape.n_queries);
    const auto place = source.at(instance);
    if (i >= source.queries(place))
        return;
    const int lane = threadIdx.x % WARP, dv = plan.shape.dv;
    float weights[ATTENTION_MOST_SPLITS / WARP], sum;
    combine_weights(weights, &sum, plan, rows, row, lane);
    const element_row to = source.result(place, i);
    for (int first = 0; first < dv; first += 2 * WARP) {
        const int c = first + 2 * lane;
        float low = 0.0f, high = 0.0f;
#pragma unroll
        for (int many = 0; many < ATTENTION_MOST_SPLITS; many += WARP) {
#pragma unroll 8
            for (int split = many; split < min(plan.splits, many + WARP); split++) {
                const float weight = __shfl_sync(ALL_LANES, weights[many / WARP], split - many);
                const float *from = plan.partial_output + (split * rows + row) * dv + c;
                low += c < dv ? weight * from[0] : 0.0f;
                high += c + 1 < dv ? weight * from[1] : 0.0f;
            }
        }
        store_pair(to, c, dv, low / sum, high / sum);
    }
}

template <class S> void launch_combine(trk_exec *x, const S &source, const attention_plan &plan)
{
    if (plan.splits > 1)
        TRK_LAUNCH(x, (attention_combine<S>), blocks_for((int64_t)plan_rows(&plan), 4), 128, 0, source, plan);
}

#endif
