/* SPDX-License-Identifier: Apache-2.0
 * attention and rope on the CPU: picks the kernels this machine runs, cuts the work into tiles and hands them to the
 * backend's team. */
#include "attention_cpu.h"

#include <stdatomic.h>

#include "cpu.h"
#include "expect.h"
#include "workspace.h"

enum {
    TILE_BYTES = 384 << 10, /* packed queries and outputs of a tile; keys and values share the rest of a 1 MiB L2 */
    SERIAL_OPERATIONS = 1 << 20, /* about ten microseconds of one core, what waking a thread may cost */
    SERIAL_ROPE_ELEMENTS = 1 << 16,
};

static _Atomic(const attention_kernels *) forced_kernels;

const attention_kernels *trk_attention_kernels_of(attention_isa isa)
{
    switch (isa) {
#ifdef __x86_64__
    case ATTENTION_AVX512_BF16:
        return trk_attention_kernels_of(ATTENTION_AVX512) && __builtin_cpu_supports("avx512bf16")
                   ? &trk_attention_kernels_avx512_bf16
                   : NULL;
    case ATTENTION_AVX512:
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                       __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")
                   ? &trk_attention_kernels_avx512
                   : NULL;
    case ATTENTION_AVX2:
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? &trk_attention_kernels_avx2 : NULL;
#endif
    case ATTENTION_PORTABLE:
        return &trk_attention_kernels_portable;
    default:
        return NULL;
    }
}

const attention_kernels *trk_attention_kernels_chosen(void)
{
    const attention_kernels *kernels = atomic_load_explicit(&forced_kernels, memory_order_acquire);
    for (int isa = ATTENTION_ISAS - 1; !kernels; isa--)
        kernels = trk_attention_kernels_of((attention_isa)isa);
    return kernels;
}

void trk_attention_force_kernels(const attention_kernels *kernels)
{
    atomic_store_explicit(&forced_kernels, kernels, memory_order_release);
}

typedef struct task_run {
    const attention_tasks *tasks;
    const attention_kernels *kernels;
    char *scratch;   /* [workers, tasks->scratch_bytes] */
    atomic_int next; /* first task nobody has taken */
} task_run;

static void take_tasks(void *context, int worker, int n_workers)
{
    task_run *run = context;
    const attention_tasks *tasks = run->tasks;
    /* neighbours go to the same worker as long as there are enough tasks to even out */
    const int share = tasks->n_tasks / (16 * n_workers), chunk = share > 1 ? share : 1;
    for (;;) {
        const int first = atomic_fetch_add_explicit(&run->next, chunk, memory_order_relaxed);
        const int end = first + chunk < tasks->n_tasks ? first + chunk : tasks->n_tasks;
        if (first >= end)
            return;
        for (int task = first; task < end; task++)
            tasks->run(tasks->context, task, run->kernels, run->scratch + tasks->scratch_bytes * (size_t)worker);
    }
}

void trk_attention_run_tasks(trk_exec *x, const attention_kernels *kernels, const attention_tasks *tasks)
{
    const int serial = tasks->operations < SERIAL_OPERATIONS || tasks->n_tasks < 2 || x->n_threads < 2;
    task_run run = {.tasks = tasks, .kernels = kernels};
    run.scratch = trk_workspace_get(x, WORKSPACE_ATTENTION, tasks->scratch_bytes * (size_t)(serial ? 1 : x->n_threads));
    if (run.scratch)
        trk_cpu_run(x, serial ? 1 : tasks->n_tasks, take_tasks, &run);
}

int trk_attention_tile_queries(const attention_kernels *kernels, int n_queries, int dk, int dv, int groups,
                               int n_threads)
{
    const int panel = kernels->lanes * kernels->panel_vectors;
    const int fitting = TILE_BYTES / (4 * (dk + dv)) / panel * panel;
    const int most = fitting > panel ? fitting : panel;
    int n_tiles = (n_queries + most - 1) / most;
    while (n_tiles < n_queries / panel && (int64_t)groups * n_tiles % n_threads != 0)
        n_tiles++;
    const int even = (n_queries + n_tiles - 1) / n_tiles;
    return (even + kernels->lanes - 1) / kernels->lanes * kernels->lanes;
}

/* ---- attention ---- */

typedef struct attention_call {
    attention_tile tile; /* rows of head 0, all queries */
    int heads, tile_queries, n_tiles, bf16;
} attention_call;

static attention_rows attention_rows_of(trk_mat m)
{
    return (attention_rows){
        .base = m.data, .stride_bytes = m.stride * (int64_t)trk_dtype_bytes(m.dtype), .dtype = m.dtype};
}

/* The same rows from `row` on, shifted by `cols` elements. */
static attention_rows part_of(attention_rows rows, int row, int64_t cols)
{
    rows.base += row * rows.stride_bytes + cols * (int64_t)trk_dtype_bytes(rows.dtype);
    return rows;
}

static void run_attention_task(const void *context, int task, const attention_kernels *kernels, void *scratch)
{
    const attention_call *call = context;
    const int head = task / call->n_tiles, first = task % call->n_tiles * call->tile_queries;
    attention_tile tile = call->tile;
    tile.n_queries = tile.n_queries - first < call->tile_queries ? tile.n_queries - first : call->tile_queries;
    tile.q = part_of(tile.q, first, (int64_t)head * tile.dk);
    tile.k = part_of(tile.k, 0, (int64_t)head * tile.dk);
    tile.v = part_of(tile.v, 0, (int64_t)head * tile.dv);
    tile.out = part_of(tile.out, first, (int64_t)head * tile.dv);
    (call->bf16 ? kernels->tile_bf16 : kernels->tile_f32)(&tile, scratch);
}

static void attend_part(trk_exec *x, trk_mat out, trk_mat q, trk_mat k, trk_mat v, int heads, float scale)
{
    const attention_kernels *kernels = trk_attention_kernels_chosen();
    const int dk = q.cols / heads, dv = v.cols / heads;
    attention_call call = {
        .tile = {attention_rows_of(q), attention_rows_of(k), attention_rows_of(v), attention_rows_of(out), q.rows,
                 k.rows, dk, dv, .scale = scale},
        .heads = heads,
        .bf16 = x->activation == TRK_BF16,
    };
    call.tile_queries = trk_attention_tile_queries(kernels, q.rows, dk, dv, heads, x->n_threads > 0 ? x->n_threads : 1);
    call.n_tiles = (q.rows + call.tile_queries - 1) / call.tile_queries;
    const attention_tasks tasks = {
        .run = run_attention_task,
        .context = &call,
        .n_tasks = heads * call.n_tiles,
        .scratch_bytes = kernels->scratch_bytes(call.tile_queries, dk, dv),
        .operations = 2.0 * q.rows * k.rows * (dk + dv) * heads,
    };
    trk_attention_run_tasks(x, kernels, &tasks);
}

void trk_attention_cpu(trk_exec *x, trk_mat out, trk_mat q, trk_mat k, trk_mat v, int heads, int batch, float scale)
{
    TRK_EXPECT(x, "attention", heads > 0 && q.cols % heads == 0 && v.cols % heads == 0);
    TRK_EXPECT(x, "attention", q.cols == k.cols && v.cols == out.cols && q.rows == out.rows && k.rows == v.rows);
    TRK_EXPECT(x, "attention", k.rows > 0 && q.cols > 0 && v.cols > 0);
    TRK_EXPECT(x, "attention", batch > 0 && q.rows % batch == 0 && k.rows % batch == 0);
    const int n_q = q.rows / batch, n_k = k.rows / batch;
    for (int i = 0; i < batch && n_q > 0; i++)
        attend_part(x, trk_rows(out, i * n_q, n_q), trk_rows(q, i * n_q, n_q), trk_rows(k, i * n_k, n_k),
                    trk_rows(v, i * n_k, n_k), heads, scale);
}

/* ---- rope ---- */

typedef struct rope_call {
    const attention_kernels *kernels;
    trk_mat qk;
    const float *table;
    int n_positions;
} rope_call;

static void rotate_share(void *context, int worker, int n_workers)
{
    const rope_call *c = context;
    const int64_t stride_bytes = c->qk.stride * (int64_t)trk_dtype_bytes(c->qk.dtype);
    const int first = (int)((int64_t)c->qk.rows * worker / n_workers);
    const int end = (int)((int64_t)c->qk.rows * (worker + 1) / n_workers);
    c->kernels->rotate_rows((char *)c->qk.data + first * stride_bytes, stride_bytes, c->qk.dtype, end - first,
                            c->qk.cols, c->table, first, c->n_positions);
}

void trk_rope_cpu(trk_exec *x, trk_mat qk, const float *table, int n_positions)
{
    TRK_EXPECT(x, "rope", qk.cols % 2 == 0 && n_positions > 0);
    rope_call call = {trk_attention_kernels_chosen(), qk, table, n_positions};
    trk_cpu_run(x, (int64_t)qk.rows * qk.cols < SERIAL_ROPE_ELEMENTS ? 1 : 2, rotate_share, &call);
}
