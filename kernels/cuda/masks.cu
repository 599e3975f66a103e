/* SPDX-License-Identifier: Apache-2.0
 * Decisions about masks: holes, the choice of a hypothesis, boxes, presence, suppression, bytes.
 *
 * fill_holes finds components by union-find on labels: a label is the position of another pixel of the component that
 * comes earlier in raster order, or the pixel's own. Roots are joined by atomicMin, the later under the earlier, so the
 * last root of a component is its first pixel and areas are sums of integers: no result depends on the order of
 * threads. Labels are joined in tiles first, in shared memory, where a run of a row starts as one label and its length
 * is counted at once: what is left for the device's memory is the borders of tiles and the roots of tiles. */
#include <limits.h>

#include "plane.cuh"

/* ---- fill_holes ---- */

#define TILE_W    WARP
#define TILE_H    16
#define NOT_A_HOLE (-1)

/* volatile: other threads write meanwhile. A label that was read late is still of the same component. */
__device__ __forceinline__ int root_of(const volatile int *labels, int at)
{
    for (int label = labels[at]; label != at; label = labels[at])
        at = label;
    return at;
}

__device__ __forceinline__ void unite(int *labels, int a, int b)
{
    for (;;) {
        a = root_of(labels, a);
        b = root_of(labels, b);
        if (a == b)
            return;
        const int later = max(a, b), earlier = min(a, b), before = atomicMin(&labels[later], earlier);
        if (before == later)
            return;
        a = before; /* it was no root any more: what it was under has to be joined */
        b = earlier;
    }
}

__device__ __forceinline__ bool bit(uint32_t bits, int i)
{
    return i >= 0 && i < WARP && (bits >> i & 1);
}

/* Joins hole `at` of a tile (lane: its column) with the holes of the row above that its neighbours in the row do not
 * reach. row, above: a bit per hole of either row. */
__device__ __forceinline__ void join_above(int *labels, int at, int lane, uint32_t row, uint32_t above)
{
    if (bit(above, lane)) {
        if (!bit(row, lane - 1) || !bit(above, lane - 1))
            unite(labels, at, at - TILE_W);
        return;
    }
    if (bit(above, lane - 1) && !bit(row, lane - 1))
        unite(labels, at, at - TILE_W - 1);
    if (bit(above, lane + 1) && !bit(row, lane + 1))
        unite(labels, at, at - TILE_W + 1);
}

/* labels [rows * cols]: root within the tile. areas: of a tile's component at its root, 0 elsewhere. A warp is a row of
 * the tile. */
template <class T>
__global__ void __launch_bounds__(TILE_W *TILE_H) label_tiles(matrix<T> mask, int *labels, int *areas, int tiles_across)
{
    int *roots = shared_memory<int>(), *counts = roots + TILE_W * TILE_H; /* [TILE_H, TILE_W] each */
    uint32_t *holes = shared_memory<uint32_t>(2 * TILE_W * TILE_H * sizeof(int)); /* [TILE_H] */
    const int lane = threadIdx.x, y = threadIdx.y, at = y * TILE_W + lane;
    const int top = blockIdx.x / tiles_across * TILE_H, left = blockIdx.x % tiles_across * TILE_W;
    const bool inside = top + y < mask.rows && left + lane < mask.cols;
    const bool hole = inside && mask.get(top + y, left + lane) <= 0.0f;
    const uint32_t row = __ballot_sync(ALL_LANES, hole);
    const uint32_t before = ~row & ((1u << lane) - 1), after = ~(row >> lane); /* what ends the lane's run */
    const int start = WARP - __clz((int)before);
    roots[at] = y * TILE_W + start;
    counts[at] = 0;
    if (lane == 0)
        holes[y] = row;
    __syncthreads();
    if (hole && y > 0)
        join_above(roots, at, lane, row, holes[y - 1]);
    __syncthreads();
    const int root = hole ? root_of(roots, at) : 0;
    if (hole && lane == start)
        atomicAdd(&counts[root], after ? __ffs((int)after) - 1 : WARP);
    __syncthreads();
    if (!inside)
        return;
    const int pixel = (top + y) * mask.cols + left + lane;
    labels[pixel] = hole ? (top + root / TILE_W) * mask.cols + left + root % TILE_W : NOT_A_HOLE;
    areas[pixel] = hole ? counts[at] : 0;
}

/* Joins hole `at` with those of the tile on the other side of a border. over: from a pixel of the other side to the one
 * facing it; along: to the next along the border, n of them, of which this is number i; tile: so many to a tile. */
__device__ __forceinline__ void join_over(int *labels, int at, int over, int along, int i, int n, int tile)
{
    if (labels[at] < 0)
        return;
    const int facing = at - over;
    const bool before = i > 0 && labels[facing - along] >= 0, after = i + 1 < n && labels[facing + along] >= 0;
    if (labels[facing] >= 0) { /* and so are the two beside it, which are its neighbours */
        const bool same_tile = i % tile != 0 && labels[at - along] >= 0; /* as the one before, which has joined them */
        if (!before || !same_tile)
            unite(labels, at, facing);
        return;
    }
    if (before)
        unite(labels, at, facing - along);
    if (after)
        unite(labels, at, facing + along);
}

/* A thread per pixel below a border, n_below of them, then per pixel to the right of one. */
__global__ void join_tiles(int *labels, int rows, int cols, int n_below, int n)
{
    int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (i >= n)
        return;
    if (i < n_below) {
        const int y = (i / cols + 1) * TILE_H, column = i % cols;
        join_over(labels, y * cols + column, cols, 1, column, cols, TILE_W);
    } else {
        i -= n_below;
        const int y = i % rows, column = (i / rows + 1) * TILE_W;
        join_over(labels, y * cols + column, 1, cols, y, rows, TILE_H);
    }
}

/* Roots of tiles give their areas to the root of the whole component and then name it. */
__global__ void add_areas(int *labels, int *areas, int n)
{
    const int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n || labels[i] < 0 || areas[i] == 0)
        return;
    const int root = root_of(labels, (int)i);
    if (root == i)
        return;
    atomicAdd(&areas[root], areas[i]);
    labels[i] = root;
}

template <class T>
__global__ void fill_small(matrix<T> mask, const int *labels, const int *areas, int max_area)
{
    const int64_t c = plane_column();
    if (c >= mask.cols)
        return;
    for (int64_t r = plane_row(); r < mask.rows; r += plane_rows()) {
        const int label = labels[r * mask.cols + c]; /* of the tile's root, or of the root if it is one itself */
        if (label >= 0 && areas[labels[label]] <= max_area)
            mask.put(r, c, TRK_HOLE_VALUE);
    }
}

void trk_fill_holes_cuda(trk_exec *x, trk_mat mask, int max_area)
{
    const int64_t pixels = (int64_t)mask.rows * mask.cols;
    if (!pixels || max_area <= 0)
        return;
    TRK_EXPECT(x, "fill_holes", pixels <= INT_MAX - 256);
    const int n = (int)pixels;
    int *labels = static_cast<int *>(trk_workspace_get(x, WORKSPACE_OTHER, 2 * (size_t)n * sizeof(int)));
    if (!labels || x->planning)
        return;
    int *areas = labels + n;
    const int across = (mask.cols + TILE_W - 1) / TILE_W, down = (mask.rows + TILE_H - 1) / TILE_H;
    const int n_below = (down - 1) * mask.cols, n_borders = n_below + (across - 1) * mask.rows;
    const size_t shared_bytes = (2 * TILE_W + 1) * TILE_H * sizeof(int);
    by_type(mask.dtype, [&](auto t) {
        TRK_LAUNCH(x, (label_tiles<decltype(t)>), across * down, dim3(TILE_W, TILE_H), shared_bytes,
                   matrix_of<decltype(t)>(mask), labels, areas, across);
    });
    if (n_borders)
        TRK_LAUNCH(x, join_tiles, blocks_for(n_borders, 128), 128, 0, labels, mask.rows, mask.cols, n_below, n_borders);
    if (n_borders)
        TRK_LAUNCH(x, add_areas, blocks_for(n, 256), 256, 0, labels, areas, n);
    by_type(mask.dtype, [&](auto t) {
        TRK_LAUNCH(x, (fill_small<decltype(t)>), plane_grid(mask.rows, mask.cols, 1), plane_block(), 0,
                   matrix_of<decltype(t)>(mask), labels, areas, max_area);
    });
}

/* ---- select_mask ---- */

#define SELECT_THREADS 256 /* and at most so many blocks, so that a thread sums what one block counted */

/* Elements of a mat of either type: a choice that is the same for all threads, and no kernel for each of 16 mixes. */
__device__ __forceinline__ float load(const trk_mat &m, int64_t r, int64_t c)
{
    const int64_t i = r * m.stride + c;
    return m.dtype == TRK_BF16 ? to_float(static_cast<const bf16 *>(m.data)[i]) : static_cast<const float *>(m.data)[i];
}

__device__ __forceinline__ void save(const trk_mat &m, int64_t c, float v)
{
    if (m.dtype == TRK_BF16)
        static_cast<bf16 *>(m.data)[c] = from_float<bf16>(v);
    else
        static_cast<float *>(m.data)[c] = v;
}

/* Sum over the block; every thread gets it. room: one int of shared memory, this sum's own. */
__device__ __forceinline__ int block_total(int v, int *room)
{
    if (threadIdx.x == 0)
        *room = 0;
    __syncthreads();
    for (int step = WARP / 2; step > 0; step /= 2)
        v += __shfl_xor_sync(ALL_LANES, v, step);
    if (threadIdx.x % WARP == 0)
        atomicAdd(room, v);
    __syncthreads();
    return *room;
}

/* counts [gridDim.x][2]: logits of hypothesis 0 above delta, and above -delta */
__global__ void __launch_bounds__(SELECT_THREADS) count_stable(int2 *counts, trk_mat masks, float delta)
{
    int inner = 0, outer = 0;
    for (int64_t c = plane_column(); c < masks.cols; c += plane_columns()) {
        const float v = load(masks, 0, c);
        inner += v > delta;
        outer += v > -delta;
    }
    inner = block_total(inner, shared_memory<int>());
    outer = block_total(outer, shared_memory<int>() + 1);
    if (threadIdx.x == 0)
        counts[blockIdx.x] = make_int2(inner, outer);
}

struct selection {
    trk_mat mask, token;   /* [1, n], [1, d] */
    trk_mat masks, tokens; /* [4, n], [4, d] */
    const float *ious, *score, *chosen; /* chosen: NULL, or the number to take */
    float *info;
    const int2 *counts; /* [n_counts], on the device; NULL: stability does not matter */
    int n_counts, multimask;
    float threshold, present_above;
};

/* Called by whole blocks. */
__device__ __forceinline__ bool is_unstable(const selection &s)
{
    if (!s.counts)
        return false;
    const int2 mine = (int)threadIdx.x < s.n_counts ? s.counts[threadIdx.x] : make_int2(0, 0);
    const int inner = block_total(mine.x, shared_memory<int>()), outer = block_total(mine.y, shared_memory<int>() + 1);
    const float stability = outer ? (float)inner / (float)outer : 1.0f;
    return stability < s.threshold;
}

/* Every block comes to the same choice and copies its part. */
__global__ void __launch_bounds__(SELECT_THREADS) choose_and_copy(selection s)
{
    int best = 1; /* of hypotheses 1..3, the first on ties */
    for (int i = 2; i < 4; i++)
        if (s.ious[i] > s.ious[best])
            best = i;
    if (s.multimask && s.chosen)
        best = (int)*s.chosen;
    const bool unstable = is_unstable(s);
    const int index = s.multimask || unstable ? best : 0, token_index = s.multimask ? best : 0;
    const float score = *s.score;
    for (int64_t c = plane_column(); c < s.mask.cols; c += plane_columns())
        save(s.mask, c, score > s.present_above ? load(s.masks, index, c) : TRK_NO_OBJECT);
    for (int64_t c = plane_column(); c < s.token.cols; c += plane_columns())
        save(s.token, c, load(s.tokens, token_index, c));
    if (plane_column() == 0) {
        s.info[0] = score;
        s.info[1] = s.ious[index];
        s.info[2] = (float)index;
    }
}

void trk_select_mask_cuda(trk_exec *x, trk_mat mask, trk_mat token, float *info, const trk_mask_choice *choice)
{
    TRK_EXPECT(x, "select_mask", choice->masks.rows == 4 && choice->tokens.rows == 4);
    TRK_EXPECT(x, "select_mask", mask.rows == 1 && mask.cols == choice->masks.cols);
    TRK_EXPECT(x, "select_mask", token.rows == 1 && token.cols == choice->tokens.cols);
    const unsigned wanted = blocks_for(mask.cols > 0 ? mask.cols : 1, SELECT_THREADS);
    const unsigned blocks = wanted < SELECT_THREADS ? wanted : SELECT_THREADS;
    int2 *counts = static_cast<int2 *>(trk_workspace_get(x, WORKSPACE_OTHER, SELECT_THREADS * sizeof *counts));
    if (!counts || x->planning)
        return;
    const bool counted = !choice->multimask && choice->stability;
    const selection s = {mask, token, choice->masks, choice->tokens, choice->ious, choice->score, choice->chosen, info,
                         counted ? counts : NULL, (int)blocks, choice->multimask, choice->stability_threshold,
                         choice->present_above};
    if (counted)
        TRK_LAUNCH(x, count_stable, blocks, SELECT_THREADS, 2 * sizeof(int), counts, choice->masks,
                   choice->stability_delta);
    TRK_LAUNCH(x, choose_and_copy, blocks, SELECT_THREADS, 2 * sizeof(int), s);
}

/* ---- mask_boxes ---- */

#define BOX_THREADS 512

/* First and last column and row seen. */
struct seen_box {
    int x0, y0, x1, y1;

    __device__ __forceinline__ bool has(int x, int y) const
    {
        return x >= x0 && x <= x1 && y >= y0 && y <= y1;
    }
    __device__ __forceinline__ void add(int x, int y)
    {
        x0 = min(x0, x);
        y0 = min(y0, y);
        x1 = max(x1, x);
        y1 = max(y1, y);
    }
};

/* First element of the resized axis that lies on sample i or between it and the next one. */
__device__ __forceinline__ int first_element(int i, int side, int scale)
{
    return i == 0 ? 0 : i == side ? side * scale : i * scale + scale / 2;
}

/* How far element i is from its sample to the next one, 0..1; 0 before the first sample. */
__device__ __forceinline__ float share_of_next(int i, int sample, int scale)
{
    const int position = 2 * (i - sample * scale) + 1 - scale; /* two samples are 2 scale from each other */
    return position > 0 ? (float)position / (float)(2 * scale) : 0.0f;
}

/* Products are rounded apart, so that opposite ones cancel as they do in the reference; b does not count where its
 * weight is 0. */
__device__ __forceinline__ float mixed(float a, float b, float weight)
{
    return weight > 0.0f ? __fadd_rn(__fmul_rn(1.0f - weight, a), __fmul_rn(weight, b)) : a;
}

/* Adds the elements above 0 that lie on sample (y, x) or between it, the next column and the next row; the last one is
 * its own next. */
__device__ __forceinline__ void add_elements(seen_box &box, const float *plane, int y, int x, int side, int scale)
{
    const int beside = x + 1 < side, below = y + 1 < side ? side : 0;
    const float *p = plane + (int64_t)y * side + x;
    const float corners[4] = {p[0], p[beside], p[below], p[below + beside]};
    if (!(corners[0] > 0.0f || corners[1] > 0.0f || corners[2] > 0.0f || corners[3] > 0.0f))
        return;
    const int end_row = first_element(y + 1, side, scale), end_column = first_element(x + 1, side, scale);
    for (int row = first_element(y, side, scale); row < end_row; row++) {
        const float down = share_of_next(row, y, scale);
        for (int column = first_element(x, side, scale); column < end_column; column++) {
            const float right = share_of_next(column, x, scale);
            if (!box.has(column, row) &&
                mixed(mixed(corners[0], corners[1], right), mixed(corners[2], corners[3], right), down) > 0.0f)
                box.add(column, row);
        }
    }
}

/* What a warp has seen becomes part of what its block has: least, most [2] each, shared and set. */
__device__ __forceinline__ void share_box(int *least, int *most, seen_box box)
{
    for (int step = WARP / 2; step > 0; step /= 2) {
        box.x0 = min(box.x0, __shfl_xor_sync(ALL_LANES, box.x0, step));
        box.y0 = min(box.y0, __shfl_xor_sync(ALL_LANES, box.y0, step));
        box.x1 = max(box.x1, __shfl_xor_sync(ALL_LANES, box.x1, step));
        box.y1 = max(box.y1, __shfl_xor_sync(ALL_LANES, box.y1, step));
    }
    if (threadIdx.x % WARP != 0)
        return;
    atomicMin(&least[0], box.x0);
    atomicMin(&least[1], box.y0);
    atomicMax(&most[0], box.x1);
    atomicMax(&most[1], box.y1);
}

/* A block per plane. */
__global__ void __launch_bounds__(BOX_THREADS) find_boxes(float *boxes, matrix<float> planes, int side, int scale)
{
    int *least = shared_memory<int>(), *most = least + 2;
    const float *plane = planes.at(blockIdx.x, 0);
    seen_box box = {INT_MAX, INT_MAX, -1, -1};
    if (threadIdx.x < 2) {
        least[threadIdx.x] = INT_MAX;
        most[threadIdx.x] = -1;
    }
    __syncthreads();
    for (int i = threadIdx.x; i < planes.cols; i += BOX_THREADS)
        add_elements(box, plane, i / side, i % side, side, scale);
    share_box(least, most, box);
    __syncthreads();
    if (threadIdx.x < 4) /* x0, y0, x1, y1 */
        boxes[4 * (int64_t)blockIdx.x + threadIdx.x] = most[0] < 0 ? 0.0f : (float)least[threadIdx.x];
}

void trk_mask_boxes_cuda(trk_exec *x, float *boxes, trk_mat planes, int side, int scale)
{
    TRK_EXPECT(x, "mask_boxes", side > 0 && planes.dtype == TRK_F32 && planes.cols == (int64_t)side * side);
    TRK_EXPECT(x, "mask_boxes", scale > 0 && (scale & (scale - 1)) == 0 && side <= (1 << 24) / scale);
    if (planes.rows <= 0)
        return;
    TRK_LAUNCH(x, find_boxes, (unsigned)planes.rows, BOX_THREADS, 4 * sizeof(int), boxes, matrix_of<float>(planes),
               side, scale);
}

/* ---- whole maps of f32 logits ---- */

__global__ void set_score(float *score, float value)
{
    *score = value;
}

/* All that write write the same. */
__global__ void find_present(float *score, matrix<float> in, float present)
{
    bool found = false;
    for (int64_t r = plane_row(); r < in.rows; r += plane_rows())
        for (int64_t c = plane_column(); c < in.cols; c += plane_columns())
            found |= in.get(r, c) > 0.0f;
    if (found)
        *score = present;
}

void trk_score_mask_cuda(trk_exec *x, float *score, trk_mat in, float present, float absent)
{
    TRK_EXPECT(x, "score_mask", in.dtype == TRK_F32);
    TRK_LAUNCH(x, set_score, 1, 1, 0, score, absent);
    if (in.rows <= 0 || in.cols <= 0)
        return;
    const dim3 all = plane_grid(in.rows, in.cols, 1);
    const dim3 grid(all.x < 32 ? all.x : 32, all.y < 16 ? all.y : 16); /* of a large map, many elements a thread */
    TRK_LAUNCH(x, find_present, grid, plane_block(), 0, score, matrix_of<float>(in), present);
}

__global__ void suppress_losers(matrix<float> io, matrix<float> original, matrix<float> rival, int rival_first)
{
    const int64_t c = plane_column();
    if (c >= io.cols)
        return;
    for (int64_t r = plane_row(); r < io.rows; r += plane_rows()) {
        const float a = original.get(r, c), b = rival.get(r, c);
        if (b > a || (b == a && rival_first))
            io.put(r, c, fminf(a, TRK_LOSER));
    }
}

void trk_suppress_cuda(trk_exec *x, trk_mat io, trk_mat original, trk_mat rival, int rival_first)
{
    TRK_EXPECT(x, "suppress", io.dtype == TRK_F32 && original.dtype == TRK_F32 && rival.dtype == TRK_F32);
    TRK_EXPECT(x, "suppress", io.rows == original.rows && io.cols == original.cols);
    TRK_EXPECT(x, "suppress", io.rows == rival.rows && io.cols == rival.cols);
    if (io.rows <= 0 || io.cols <= 0)
        return;
    TRK_LAUNCH(x, suppress_losers, plane_grid(io.rows, io.cols, 2), plane_block(), 0, matrix_of<float>(io),
               matrix_of<float>(original), matrix_of<float>(rival), rival_first);
}

__global__ void to_bytes(uint8_t *out, int64_t stride, matrix<float> in)
{
    const int64_t c = plane_column();
    if (c >= in.cols)
        return;
    for (int64_t r = plane_row(); r < in.rows; r += plane_rows())
        out[r * stride + c] = in.get(r, c) > 0.0f;
}

void trk_mask_bytes_cuda(trk_exec *x, uint8_t *out, ptrdiff_t stride, trk_mat in)
{
    TRK_EXPECT(x, "mask_bytes", in.dtype == TRK_F32);
    if (in.rows <= 0 || in.cols <= 0)
        return;
    TRK_LAUNCH(x, to_bytes, plane_grid(in.rows, in.cols, 2), plane_block(), 0, out, stride, matrix_of<float>(in));
}
