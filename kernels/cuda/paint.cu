/* SPDX-License-Identifier: Apache-2.0
 * Masks on pictures: where a mask is, and how it is drawn. A warp looks at 32 columns of a row at a time, as a word of
 * bits: what lies left and right of a pixel is in the words of its row, and what lies above and below is a count of
 * whole rows on the way down. */
#include <limits.h>

#include "plane.cuh"

/* ---- mask_region ---- */

#define REGION_ROWS    32 /* of a thread: they share their atomics */
#define COLUMN_THREADS 256

/* While it is being found: x, y least, width, height largest column and row. */
__global__ void start_region(trk_mask_region *region)
{
    *region = trk_mask_region{INT_MAX, INT_MAX, -1, -1, 0, INT_MAX};
}

__device__ __forceinline__ int warp_least(int v)
{
    for (int step = WARP / 2; step > 0; step /= 2)
        v = min(v, __shfl_xor_sync(ALL_LANES, v, step));
    return v;
}

/* A warp's lanes have neighbouring columns: what it saw of them is a word of bits. */
__global__ void find_region(trk_mask_region *region, const uint8_t *mask, int64_t stride, int width, int height)
{
    const int64_t column = plane_column();
    int first = INT_MAX, last = -1, area = 0;
    unsigned seen = 0;
    for (int64_t y = plane_row(); y < height; y += plane_rows()) {
        const unsigned row = __ballot_sync(ALL_LANES, column < width && mask[y * stride + column]);
        seen |= row;
        area += __popc(row);
        first = row && first == INT_MAX ? (int)y : first;
        last = row ? (int)y : last;
    }
    if (!seen || threadIdx.x != 0)
        return;
    atomicMin(&region->x, (int)column + __ffs((int)seen) - 1);
    atomicMin(&region->y, first);
    atomicMax(&region->width, (int)column + WARP - 1 - __clz((int)seen));
    atomicMax(&region->height, last);
    atomicAdd(&region->area, area);
}

/* One block: from the ends to the sizes, and the first row of the middle column. */
__global__ void __launch_bounds__(COLUMN_THREADS)
    finish_region(trk_mask_region *region, const uint8_t *mask, int64_t stride)
{
    int *least = shared_memory<int>(); /* [warps] */
    const trk_mask_region found = *region;
    const int width = found.width - found.x + 1;
    int top = INT_MAX;
    for (int64_t y = found.y + (int64_t)threadIdx.x; found.area && y <= found.height && top == INT_MAX; y += blockDim.x)
        top = mask[y * stride + found.x + width / 2] ? (int)y : top;
    top = warp_least(top);
    if (threadIdx.x % WARP == 0)
        least[threadIdx.x / WARP] = top;
    __syncthreads();
    if (threadIdx.x != 0)
        return;
    for (int i = 1; i < (int)blockDim.x / WARP; i++)
        top = min(top, least[i]);
    if (found.area)
        *region = trk_mask_region{found.x, found.y, width, found.height - found.y + 1, found.area,
                                  top == INT_MAX ? found.y : top};
    else
        *region = trk_mask_region{};
}

void trk_mask_region_cuda(trk_exec *x, trk_mask_region *region, const uint8_t *mask, ptrdiff_t stride, int width,
                          int height)
{
    TRK_EXPECT(x, "mask_region", width > 0 && height > 0);
    TRK_LAUNCH(x, start_region, 1, 1, 0, region);
    TRK_LAUNCH(x, find_region, plane_grid(height, width, REGION_ROWS), plane_block(), 0, region, mask, stride, width,
               height);
    TRK_LAUNCH(x, finish_region, 1, COLUMN_THREADS, COLUMN_THREADS / WARP * sizeof(int), region, mask, stride);
}

/* ---- paint ---- */

#define PAINT_ROWS 32 /* of a warp: below and above them, line_width rows are looked at as well */

/* Of the lane's pixel: 1 if the mask has all from line_width left of it to line_width right of it. The whole warp
 * comes here; row: of the mask, first: column of lane 0. */
__device__ __forceinline__ bool row_is_inside(const uint8_t *row, int first, int lane, const trk_painting &p)
{
    const int words = (p.line_width + WARP - 1) / WARP;
    bool inside = true;
    for (int word = -words; word <= words; word++) {
        const int from = first + word * WARP, column = from + lane;
        const unsigned set = __ballot_sync(ALL_LANES, column < 0 || column >= p.width || row[column]);
        const int low = max(lane - p.line_width - word * WARP, 0);
        const int high = min(lane + p.line_width - word * WARP, WARP - 1);
        if (low <= high)
            inside &= (~set << (WARP - 1 - high) >> (WARP - 1 - high + low)) == 0;
    }
    return inside;
}

__device__ __forceinline__ void paint_pixel(uint8_t *rgb, const trk_painting &p, bool inside)
{
    const int share = p.fill_percent * 256 / 100;
    for (int c = 0; c < 3; c++)
        rgb[c] = inside ? (uint8_t)((rgb[c] * (256 - share) + p.colour[c] * share + 128) >> 8) : p.colour[c];
}

/* A warp has 32 columns and PAINT_ROWS rows: it goes down from line_width rows above the first to line_width rows below
 * the last, and counts rows that are inside from left to right. Beyond the picture all are. */
__global__ void paint_columns(uint8_t *rgb, int64_t stride, trk_painting p)
{
    const trk_mask_region where = *p.region;
    const int lane = threadIdx.x, first = blockIdx.x * WARP, column = first + lane, reach = p.line_width;
    if (!where.area || first >= where.x + where.width || first + WARP <= where.x)
        return;
    for (int64_t begin = plane_row() * PAINT_ROWS; begin < p.height; begin += plane_rows() * PAINT_ROWS) {
        const int top = max((int)begin, where.y);
        const int bottom = min(min((int)begin + PAINT_ROWS, p.height), where.y + where.height);
        int n_inside = 0; /* rows in a row */
        for (int row = top - reach; top < bottom && row < bottom + reach; row++) {
            const bool outside = row < 0 || row >= p.height;
            n_inside = outside || row_is_inside(p.mask + row * p.mask_stride, first, lane, p) ? n_inside + 1 : 0;
            const int y = row - reach;
            if (y >= top && column < p.width && p.mask[y * p.mask_stride + column])
                paint_pixel(rgb + y * stride + 3 * (int64_t)column, p, n_inside > 2 * reach);
        }
    }
}

void trk_paint_cuda(trk_exec *x, uint8_t *rgb, ptrdiff_t stride, const trk_painting *painting)
{
    TRK_EXPECT(x, "paint", painting->width > 0 && painting->height > 0 && painting->line_width >= 0);
    TRK_EXPECT(x, "paint", painting->fill_percent >= 0 && painting->fill_percent <= 100);
    const int most = painting->width > painting->height ? painting->width : painting->height;
    trk_painting p = *painting;
    p.line_width = p.line_width < most ? p.line_width : most; /* wider lines draw the same */
    TRK_LAUNCH(x, paint_columns, plane_grid(p.height, p.width, PAINT_ROWS), plane_block(), 0, rgb, stride, p);
}
