/* SPDX-License-Identifier: Apache-2.0
 * Hiera's windowed attention: the kernels read and write the map in place through lists of row addresses, so windows
 * are neither partitioned nor padded in memory; a token beyond the border is the address of the bias. */
#include "attention_cpu.h"

#include <math.h>

#include "expect.h"

typedef struct window_call {
    trk_mat out, qkv;
    int h, w, heads, channels, dim;
    int window_h, window_w; /* in tokens */
    int windows_x;          /* windows per row of windows */
    int pool;
    int tile_queries, n_tiles; /* per window */
    const float *bias;         /* [3 channels] */
    int bf16;
    size_t lists_bytes; /* row lists at the start of a thread's scratch */
} window_call;

static void *element(trk_mat m, int64_t row, int64_t col)
{
    return (char *)m.data + (row * m.stride + col) * (int64_t)trk_dtype_bytes(m.dtype);
}

/* Rows of one of the three parts (1: k, 2: v) of a window's tokens. list [window_h * window_w] is filled. */
static attention_rows token_rows(const window_call *call, void **list, int part, int head, int y0, int x0)
{
    const int64_t col = (int64_t)part * call->channels + (int64_t)head * call->dim;
    const float *outside = call->bias ? call->bias + col : NULL;
    attention_rows rows = {.list = list, .dtype = call->qkv.dtype, .f32_row = outside};
    for (int y = y0; y < y0 + call->window_h; y++)
        for (int x = x0; x < x0 + call->window_w; x++)
            *list++ = y < call->h && x < call->w ? element(call->qkv, (int64_t)y * call->w + x, col)
                                                 : (void *)(uintptr_t)outside;
    return rows;
}

/* The whole map as one window needs no list. */
static attention_rows map_rows(const window_call *call, int part, int head)
{
    return (attention_rows){
        .base = element(call->qkv, 0, (int64_t)part * call->channels + (int64_t)head * call->dim),
        .stride_bytes = call->qkv.stride * (int64_t)trk_dtype_bytes(call->qkv.dtype),
        .dtype = call->qkv.dtype,
    };
}

/* Lists rows of q (four each when pooling) and out for queries [first, first + tile_queries) of a window, counting only
 * those inside the map. Returns how many there are. */
static int list_queries(const window_call *call, void **q, void **out, int head, int y0, int x0, int first)
{
    const int step = call->pool ? 2 : 1, out_w = call->w / step;
    const int rows = ((y0 + call->window_h < call->h ? y0 + call->window_h : call->h) - y0) / step;
    const int cols = ((x0 + call->window_w < call->w ? x0 + call->window_w : call->w) - x0) / step;
    const int64_t col = (int64_t)head * call->dim;
    int n = 0;
    for (int i = first; i < rows * cols && n < call->tile_queries; i++, n++) {
        const int64_t y = y0 / step + i / cols, x = x0 / step + i % cols;
        out[n] = element(call->out, y * out_w + x, col);
        if (!call->pool) {
            q[n] = element(call->qkv, y * call->w + x, col);
            continue;
        }
        for (int corner = 0; corner < 4; corner++)
            q[4 * n + corner] = element(call->qkv, (2 * y + corner / 2) * call->w + 2 * x + corner % 2, col);
    }
    return n;
}

/* Where the tokens of the task after `task` start (their q, then k and v further on), inside the map. */
static int list_soon(const window_call *call, int task, void **list)
{
    const int head = (task + 1) % call->heads, window = (task + 1) / call->heads;
    const int y0 = window / call->windows_x * call->window_h, x0 = window % call->windows_x * call->window_w;
    int n = 0;
    for (int y = y0; y < y0 + call->window_h && y < call->h; y++)
        for (int x = x0; x < x0 + call->window_w && x < call->w; x++)
            list[n++] = element(call->qkv, (int64_t)y * call->w + x, (int64_t)head * call->dim);
    return n;
}

static void run_window_task(const void *context, int task, const attention_kernels *kernels, void *scratch)
{
    const window_call *call = context;
    const int first = task % call->n_tiles * call->tile_queries;
    const int head = task / call->n_tiles % call->heads;
    const int window = task / call->n_tiles / call->heads;
    const int y0 = window / call->windows_x * call->window_h, x0 = window % call->windows_x * call->window_w;
    const int whole_map = call->window_h == call->h && call->window_w == call->w;
    void **q = scratch, **out = q + 4 * (size_t)call->tile_queries, **k = out + call->tile_queries;
    void **v = k + (whole_map ? 0 : call->window_h * call->window_w);
    void **soon = v + (whole_map ? 0 : call->window_h * call->window_w);
    attention_tile tile = {
        .q = {.list = q, .dtype = call->qkv.dtype},
        .k = whole_map ? map_rows(call, 1, head) : token_rows(call, k, 1, head, y0, x0),
        .v = whole_map ? map_rows(call, 2, head) : token_rows(call, v, 2, head, y0, x0),
        .out = {.list = out, .dtype = call->out.dtype},
        .n_queries = list_queries(call, q, out, head, y0, x0, first),
        .n_keys = call->window_h * call->window_w,
        .dk = call->dim,
        .dv = call->dim,
        .pool = call->pool,
        .scale = 1.0f / sqrtf((float)call->dim),
    };
    if (!whole_map && call->n_tiles == 1) {
        tile.soon = soon;
        tile.n_soon = list_soon(call, task, soon);
        tile.soon_bytes = call->dim * (int)trk_dtype_bytes(call->qkv.dtype);
        tile.soon_step = call->channels * (int64_t)trk_dtype_bytes(call->qkv.dtype);
    }
    if (tile.n_queries > 0)
        (call->bf16 ? kernels->tile_bf16 : kernels->tile_f32)(&tile, (char *)scratch + call->lists_bytes);
}

void trk_window_attention_cpu(trk_exec *x, trk_mat out, trk_mat qkv, int h, int w, int heads, int window, int pool,
                              const float *bias)
{
    TRK_EXPECT(x, "window_attention", heads > 0 && h > 0 && w > 0 && qkv.cols > 0 && qkv.cols % (3 * heads) == 0);
    TRK_EXPECT(x, "window_attention", qkv.rows == h * w && out.cols == qkv.cols / 3);
    TRK_EXPECT(x, "window_attention", out.rows == (pool ? (h / 2) * (w / 2) : h * w));
    TRK_EXPECT(x, "window_attention", !pool || (h % 2 == 0 && w % 2 == 0 && window % 2 == 0));
    TRK_EXPECT(x, "window_attention", window >= 0 && (bias || !window || (h % window == 0 && w % window == 0)));
    const attention_kernels *kernels = trk_attention_kernels_chosen();
    const int channels = qkv.cols / 3, dim = channels / heads;
    const int window_h = window ? window : h, window_w = window ? window : w;
    window_call call = {
        .out = out,
        .qkv = qkv,
        .h = h,
        .w = w,
        .heads = heads,
        .channels = channels,
        .dim = dim,
        .window_h = window_h,
        .window_w = window_w,
        .windows_x = (w + window_w - 1) / window_w,
        .pool = pool,
        .bias = bias,
        .bf16 = x->activation == TRK_BF16,
    };
    const int n_windows = call.windows_x * ((h + window_h - 1) / window_h);
    const int n_keys = window_h * window_w, n_queries = pool ? n_keys / 4 : n_keys;
    call.tile_queries = trk_attention_tile_queries(kernels, n_queries, dim, dim, n_windows * heads,
                                                   x->n_threads > 0 ? x->n_threads : 1);
    call.n_tiles = (n_queries + call.tile_queries - 1) / call.tile_queries;
    const size_t listed_keys = window_h == h && window_w == w ? 0 : (size_t)n_keys;
    call.lists_bytes = (5 * (size_t)call.tile_queries + 3 * listed_keys) * sizeof(void *);
    call.lists_bytes = trk_aligned(call.lists_bytes);
    const attention_tasks tasks = {
        .run = run_window_task,
        .context = &call,
        .n_tasks = n_windows * heads * call.n_tiles,
        .scratch_bytes = call.lists_bytes + kernels->scratch_bytes(call.tile_queries, dim, dim),
        .operations = 4.0 * n_windows * heads * n_queries * n_keys * dim,
    };
    trk_attention_run_tasks(x, kernels, &tasks);
}
