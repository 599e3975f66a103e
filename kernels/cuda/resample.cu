/* SPDX-License-Identifier: Apache-2.0
 * Bilinear resizing of planes, and the cache of resize tables.
 *
 * Without antialias an output has two taps along each axis, whose weights are a few operations: one pass that needs no
 * table. With antialias the taps grow with the shrink factor: a pass along rows into the workspace, [in_h, out_w], and
 * one along columns. */
#include <pthread.h>
#include <string.h>

#include "heap.h"
#include "plane.cuh"
#include "exec.cuh"
#include "resample.cuh"

/* ---- tables ---- */

#define MOST_TABLES 64
#define OWNER       "resize tables"

struct cuda_tables {
    pthread_mutex_t lock; /* of all that follows */
    trk_allocator *allocator;
    struct cuda_table *first;
    int n;
    uint64_t clock;
};

trk_status cuda_tables_create(struct cuda_tables **out, trk_allocator *allocator)
{
    struct cuda_tables *tables =
        static_cast<struct cuda_tables *>(trk_heap_zeroed(TRK_MEM_PINNED, OWNER, 1, sizeof *tables));
    *out = tables;
    if (!tables)
        return TRK_FAIL(TRK_E_MEMORY, "cuda: no memory for resize tables");
    pthread_mutex_init(&tables->lock, NULL);
    tables->allocator = allocator;
    return TRK_OK;
}

static void table_release(struct cuda_tables *tables, struct cuda_table *t)
{
    tables->allocator->release(tables->allocator, TRK_MEM_PINNED, t->data, t->bytes);
    trk_heap_release(t);
}

void cuda_tables_destroy(struct cuda_tables **handle)
{
    struct cuda_tables *tables = *handle;
    if (!tables)
        return;
    while (tables->first) {
        struct cuda_table *next = tables->first->next;
        table_release(tables, tables->first);
        tables->first = next;
    }
    pthread_mutex_destroy(&tables->lock);
    trk_heap_release(tables);
    *handle = NULL;
}

static struct cuda_table *table_find(struct cuda_tables *tables, trk_resample_kind kind, int n_in, int n_out)
{
    struct cuda_table *t = tables->first;
    while (t && (t->kind != kind || t->n_in != n_in || t->n_out != n_out))
        t = t->next;
    return t;
}

/* Unlinks what is too much and used by nobody, oldest first; under the lock. Returns the list of them. */
static struct cuda_table *take_oldest(struct cuda_tables *tables)
{
    struct cuda_table *taken = NULL;
    while (tables->n > MOST_TABLES) {
        struct cuda_table **oldest = NULL;
        for (struct cuda_table **t = &tables->first; *t; t = &(*t)->next)
            if ((*t)->n_users == 0 && (!oldest || (*t)->last_used < (*oldest)->last_used))
                oldest = t;
        if (!oldest)
            break; /* all are in use: some more than that many */
        struct cuda_table *t = *oldest;
        *oldest = t->next;
        t->next = taken;
        taken = t;
        tables->n--;
    }
    return taken;
}

static void release_list(struct cuda_tables *tables, struct cuda_table *list)
{
    while (list) {
        struct cuda_table *next = list->next;
        table_release(tables, list);
        list = next;
    }
}

/* The layout of cuda_table.data on the host, heap memory; NULL without memory. *bytes: its size. */
static int *table_layout(const trk_resample *built, size_t *bytes)
{
    const size_t n = (size_t)built->n_out;
    size_t taps = 1;
    for (size_t i = 0; i < n; i++)
        taps = (size_t)built->count[i] > taps ? (size_t)built->count[i] : taps;
    *bytes = (2 + taps) * n * sizeof(int);
    int *layout = static_cast<int *>(trk_heap_allocate(TRK_MEM_SCRATCH, OWNER, *bytes));
    if (!layout)
        return NULL;
    const void *weights = built->fixed ? static_cast<const void *>(built->fixed) : built->weights;
    memcpy(layout, built->first, n * sizeof(int));
    memcpy(layout + n, built->count, n * sizeof(int));
    for (size_t i = 0; i < n; i++) /* bits of either type of weight */
        for (size_t k = 0; k < taps; k++)
            memcpy(layout + (2 + k) * n + i,
                   static_cast<const char *>(weights) + (i * (size_t)built->max_taps + k) * sizeof(int), sizeof(int));
    return layout;
}

/* Fills t->data and t->bytes. */
static trk_status table_upload(struct cuda_tables *tables, struct cuda_table *t, int device)
{
    trk_resample built;
    trk_status rc = TRK_E_MEMORY;
    int *layout = NULL;
    const size_t build_bytes = trk_resample_bytes(t->kind, t->n_in, t->n_out);
    void *memory = trk_heap_allocate(TRK_MEM_SCRATCH, OWNER, build_bytes);
    if (memory) {
        trk_resample_build(&built, memory, t->kind, t->n_in, t->n_out);
        layout = table_layout(&built, &t->bytes);
    }
    if (layout)
        t->data = static_cast<int *>(
            tables->allocator->allocate(tables->allocator, TRK_MEM_PINNED, OWNER, t->bytes));
    if (t->data)
        rc = trk_cuda_write(device, t->data, layout, t->bytes);
    else
        TRK_FAIL(rc, "cuda: no memory for a table of a resize from %d to %d", t->n_in, t->n_out);
    trk_heap_release(layout);
    trk_heap_release(memory);
    return rc;
}

/* Not yet among the others. */
static trk_status table_make(struct cuda_table **out, struct cuda_tables *tables, const struct cuda_table *wanted,
                             int device)
{
    *out = NULL;
    struct cuda_table *t = static_cast<struct cuda_table *>(trk_heap_zeroed(TRK_MEM_PINNED, OWNER, 1, sizeof *t));
    if (!t)
        return TRK_FAIL(TRK_E_MEMORY, "cuda: no memory for a resize table");
    *t = *wanted;
    const trk_status rc = table_upload(tables, t, device);
    if (rc < 0) {
        table_release(tables, t);
        return rc;
    }
    *out = t;
    return TRK_OK;
}

/* Marks the table as used; under the lock. */
static struct cuda_table *use(struct cuda_tables *tables, struct cuda_table *t)
{
    if (t) {
        t->n_users++;
        t->last_used = ++tables->clock;
    }
    return t;
}

/* Puts a table among the others, unless another thread was faster, and returns the one to be used. */
static struct cuda_table *add(struct cuda_tables *tables, struct cuda_table *made)
{
    struct cuda_table *spare = NULL;
    pthread_mutex_lock(&tables->lock);
    struct cuda_table *t = table_find(tables, made->kind, made->n_in, made->n_out);
    if (t) {
        spare = made;
        spare->next = NULL;
    } else {
        t = made;
        t->next = tables->first;
        tables->first = t;
        tables->n++;
    }
    use(tables, t);
    struct cuda_table *old = take_oldest(tables);
    pthread_mutex_unlock(&tables->lock);
    release_list(tables, spare);
    release_list(tables, old);
    return t;
}

const struct cuda_table *cuda_table_borrow(trk_exec *x, trk_resample_kind kind, int n_in, int n_out)
{
    struct cuda_tables *tables = x->backend->cuda->tables;
    pthread_mutex_lock(&tables->lock);
    struct cuda_table *t = use(tables, table_find(tables, kind, n_in, n_out));
    pthread_mutex_unlock(&tables->lock);
    if (!t) { /* what waits for a device holds no lock meanwhile: who records a stage may want it */
        const struct cuda_table wanted = {NULL, kind, n_in, n_out, 0, 0, NULL, 0};
        const trk_status rc = table_make(&t, tables, &wanted, x->backend->device);
        if (rc < 0)
            trk_exec_fail(x, rc);
        t = t ? add(tables, t) : NULL;
    }
    cuda_exec_borrow(x, t);
    return t;
}

void cuda_table_return(trk_exec *x, const struct cuda_table *table)
{
    struct cuda_tables *tables = x->backend->cuda->tables;
    pthread_mutex_lock(&tables->lock);
    const_cast<struct cuda_table *>(table)->n_users--;
    pthread_mutex_unlock(&tables->lock);
}

/* ---- two taps ---- */

struct two_taps {
    int first, n; /* n 1: the border, no second tap */
    float left, right;

    __device__ __forceinline__ float of(float a, float b) const
    {
        return n == 2 ? left * a + right * b : a;
    }
};

/* As ref/resample.c has it, to the bit: multiply and add are rounded apart. */
__device__ __forceinline__ two_taps two_taps_of(int i, float scale, int n_in)
{
    const float source = fmaxf(__fadd_rn(__fmul_rn(scale, (float)i + 0.5f), -0.5f), 0.0f);
    two_taps t;
    t.first = min((int)source, n_in - 1);
    t.n = t.first + 1 < n_in ? 2 : 1;
    t.right = fminf(source - (float)t.first, 1.0f);
    t.left = 1.0f - t.right;
    return t;
}

__global__ void resize_two_taps(matrix<float> out, matrix<float> in, float scale_x, float scale_y)
{
    const int64_t c = plane_column();
    if (c >= out.cols)
        return;
    const two_taps tx = two_taps_of((int)c, scale_x, in.cols);
    for (int64_t r = plane_row(); r < out.rows; r += plane_rows()) {
        const two_taps ty = two_taps_of((int)r, scale_y, in.rows);
        const float *above = in.at(ty.first, tx.first), *below = above + (ty.n - 1) * in.stride;
        const int next = tx.n - 1;
        out.put(r, c, ty.of(tx.of(above[0], above[next]), tx.of(below[0], below[next])));
    }
}

/* ---- antialias ---- */

/* out [in.rows, n_out] */
__global__ void resize_along_rows(float *out, matrix<float> in, axis_taps<float> taps)
{
    const int64_t c = plane_column();
    if (c >= taps.n_out)
        return;
    const int first = taps.first[c], count = taps.count[c];
    for (int64_t r = plane_row(); r < in.rows; r += plane_rows()) {
        const float *samples = in.at(r, first);
        float sum = 0;
        for (int k = 0; k < count; k++)
            sum += taps.weight(k, c) * samples[k];
        out[r * taps.n_out + c] = sum;
    }
}

/* in [in_h, out.cols] */
__global__ void resize_along_columns(matrix<float> out, const float *in, axis_taps<float> taps)
{
    const int64_t c = plane_column();
    if (c >= out.cols)
        return;
    for (int64_t r = plane_row(); r < out.rows; r += plane_rows()) {
        const int first = taps.first[r], count = taps.count[r];
        float sum = 0;
        for (int k = 0; k < count; k++)
            sum += taps.weight(k, r) * in[(int64_t)(first + k) * out.cols + c];
        out.put(r, c, sum);
    }
}

static void resize_antialias(trk_exec *x, trk_mat out, trk_mat in)
{
    const trk_resample_kind kind = TRK_RESAMPLE_BILINEAR_ANTIALIAS;
    float *rows = static_cast<float *>(
        trk_workspace_get(x, WORKSPACE_OUTPUT, (size_t)in.rows * (size_t)out.cols * sizeof(float)));
    const struct cuda_table *tx = cuda_table_borrow(x, kind, in.cols, out.cols);
    const struct cuda_table *ty = cuda_table_borrow(x, kind, in.rows, out.rows);
    if (rows && tx && ty && !x->planning) {
        TRK_LAUNCH(x, resize_along_rows, plane_grid(in.rows, out.cols, 1), plane_block(), 0, rows,
                   matrix_of<float>(in), taps_of<float>(tx));
        TRK_LAUNCH(x, resize_along_columns, plane_grid(out.rows, out.cols, 1), plane_block(), 0,
                   matrix_of<float>(out), rows, taps_of<float>(ty));
    }
}

void trk_resize_bilinear_cuda(trk_exec *x, trk_mat out, trk_mat in, int antialias)
{
    const trk_resample_kind kind = antialias ? TRK_RESAMPLE_BILINEAR_ANTIALIAS : TRK_RESAMPLE_BILINEAR;
    TRK_EXPECT(x, "resize_bilinear", trk_resample_bytes(kind, in.cols, out.cols));
    TRK_EXPECT(x, "resize_bilinear", trk_resample_bytes(kind, in.rows, out.rows));
    TRK_EXPECT(x, "resize_bilinear", in.dtype == TRK_F32 && out.dtype == TRK_F32);
    if (antialias) {
        resize_antialias(x, out, in);
        return;
    }
    if (x->planning)
        return;
    const float scale_x = (float)in.cols / (float)out.cols, scale_y = (float)in.rows / (float)out.rows;
    TRK_LAUNCH(x, resize_two_taps, plane_grid(out.rows, out.cols, 2), plane_block(), 0, matrix_of<float>(out),
               matrix_of<float>(in), scale_x, scale_y);
}
