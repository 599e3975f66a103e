/* SPDX-License-Identifier: Apache-2.0
 * The CUDA backend's driver: its table, what execs share, and one exec's stream with its way to and from the host.
 *
 * Host bytes are copied into page-locked staging buffers when an operator is called, and out of them when the exec is
 * finished; in between the device copies by itself. Staging buffers are reused after each finish. */
#include <stdlib.h>
#include <string.h>

#include "current.cuh"
#include "exec.cuh"
#include "heap.h"
#include "library.cuh"
#include "resample.cuh"

cudaStream_t cuda_stream(trk_exec *x)
{
    trk_status rc = cuda_use(exec_of(x)->device);
    if (rc < 0)
        trk_exec_fail(x, rc);
    return exec_of(x)->stream;
}

void cuda_expect(trk_exec *x, cudaError_t error, const char *what)
{
    trk_status rc = cuda_error(error, what);
    if (rc < 0)
        trk_exec_fail(x, rc);
}

/* --- staging --- */

static void staging_release(struct cuda_exec *e)
{
    while (e->staging) {
        struct staging *next = e->staging->next;
        trk_cuda_host_release(e->staging->data, e->staging->bytes);
        trk_heap_release(e->staging);
        e->staging = next;
    }
}

static struct staging *staging_grow(struct cuda_exec *e, size_t bytes)
{
    struct staging *s = static_cast<struct staging *>(trk_heap_zeroed(TRK_MEM_SCRATCH, "staging", 1, sizeof *s));
    if (!s)
        return NULL;
    s->data = static_cast<char *>(trk_cuda_host_allocate(bytes));
    if (!s->data) {
        trk_heap_release(s);
        return NULL;
    }
    s->bytes = bytes;
    s->next = e->staging;
    e->staging = s;
    return s;
}

/* Room that nobody else uses until the exec is finished; NULL, with the failure recorded, without memory. */
static char *staging_take(trk_exec *x, size_t bytes)
{
    cuda_stream(x); /* page-locked memory is of the current device's context */
    const size_t rounded = trk_aligned(bytes);
    struct cuda_exec *e = exec_of(x);
    struct staging *s = e->staging;
    if (!s || s->bytes - s->used < rounded) {
        const size_t least = s ? 2 * s->bytes : 64 * 1024;
        s = staging_grow(e, rounded > least ? rounded : least);
    }
    if (!s) {
        trk_exec_fail(x, TRK_FAIL(TRK_E_MEMORY, "cuda: no memory for %zu page-locked bytes", rounded));
        return NULL;
    }
    s->used += rounded;
    return s->data + s->used - rounded;
}

/* One buffer for all that was needed this time; nothing uses them any more. */
static void staging_reset(struct cuda_exec *e)
{
    size_t bytes = 0;
    for (const struct staging *s = e->staging; s; s = s->next)
        bytes += s->bytes;
    if (e->staging && e->staging->next) {
        staging_release(e);
        staging_grow(e, bytes); /* without memory: with the next request */
    }
    if (e->staging)
        e->staging->used = 0;
}

void trk_upload_cuda(trk_exec *x, void *to, const void *from, size_t row_bytes, size_t rows, ptrdiff_t stride)
{
    if (row_bytes * rows == 0)
        return;
    char *staged = staging_take(x, row_bytes * rows);
    if (!staged)
        return;
    for (size_t r = 0; r < rows; r++)
        memcpy(staged + r * row_bytes, static_cast<const char *>(from) + static_cast<ptrdiff_t>(r) * stride, row_bytes);
    const void *const told[] = {to, staged, reinterpret_cast<const void *>(row_bytes * rows)};
    if (cuda_tell(x, told, sizeof told))
        return;
    cudaStream_t stream = cuda_stream(x);
    cuda_expect(x, cudaMemcpyAsync(to, staged, row_bytes * rows, cudaMemcpyDefault, stream), "upload");
}

static int room_for_arrival(struct cuda_exec *e)
{
    if (e->n_arrivals < e->capacity)
        return 1;
    const size_t capacity = e->capacity ? 2 * e->capacity : 16;
    void *grown = trk_heap_resize(e->arrivals, TRK_MEM_SCRATCH, "downloads", capacity * sizeof *e->arrivals);
    if (!grown)
        return 0;
    e->arrivals = static_cast<struct arrival *>(grown);
    e->capacity = capacity;
    return 1;
}

void trk_download_cuda(trk_exec *x, void *to, ptrdiff_t stride, const void *from, size_t row_bytes, size_t rows)
{
    struct cuda_exec *e = exec_of(x);
    if (row_bytes * rows == 0)
        return;
    char *staged = staging_take(x, row_bytes * rows);
    if (!staged)
        return;
    if (!room_for_arrival(e)) {
        trk_exec_fail(x, TRK_FAIL(TRK_E_MEMORY, "cuda: no memory for a list of downloads"));
        return;
    }
    e->arrivals[e->n_arrivals++] = {to, stride, staged, row_bytes, rows};
    const void *const told[] = {staged, from, reinterpret_cast<const void *>(row_bytes * rows)};
    if (cuda_tell(x, told, sizeof told))
        return;
    cudaStream_t stream = cuda_stream(x);
    cuda_expect(x, cudaMemcpyAsync(staged, from, row_bytes * rows, cudaMemcpyDefault, stream), "download");
}

void trk_copy_bytes_cuda(trk_exec *x, void *to, const void *from, size_t bytes)
{
    const void *const told[] = {to, from, reinterpret_cast<const void *>(bytes)};
    if (bytes == 0 || cuda_tell(x, told, sizeof told))
        return;
    cudaStream_t stream = cuda_stream(x);
    cuda_expect(x, cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream), "copy");
}

void cuda_exec_borrow(trk_exec *x, const struct cuda_table *table)
{
    struct cuda_exec *e = exec_of(x);
    if (!table)
        return;
    if (e->n_borrowed == e->borrowed_capacity) {
        const size_t capacity = e->borrowed_capacity ? 2 * e->borrowed_capacity : 16;
        void *grown = trk_heap_resize(e->borrowed, TRK_MEM_SCRATCH, "borrowed tables", capacity * sizeof *e->borrowed);
        if (!grown) { /* it stays for good, which does no harm */
            trk_exec_fail(x, TRK_FAIL(TRK_E_MEMORY, "cuda: no memory for a list of tables"));
            return;
        }
        e->borrowed = static_cast<const struct cuda_table **>(grown);
        e->borrowed_capacity = capacity;
    }
    e->borrowed[e->n_borrowed++] = table;
}

static void return_tables(trk_exec *x)
{
    struct cuda_exec *e = exec_of(x);
    while (e->n_borrowed)
        cuda_table_return(x, e->borrowed[--e->n_borrowed]);
}

static void exec_finish(trk_exec *x)
{
    struct cuda_exec *e = exec_of(x);
    cudaStream_t stream = cuda_stream(x);
    cuda_expect(x, cudaStreamSynchronize(stream), "kernels"); /* also after a failure: buffers are reused */
    for (size_t i = 0; i < e->n_arrivals && x->status >= 0; i++) {
        const struct arrival *a = &e->arrivals[i];
        for (size_t r = 0; r < a->rows; r++)
            memcpy(static_cast<char *>(a->to) + static_cast<ptrdiff_t>(r) * a->stride, a->staged + r * a->row_bytes,
                   a->row_bytes);
    }
    e->n_arrivals = 0;
    staging_reset(e);
    return_tables(x);
}

static void exec_follow(trk_exec *x)
{
    struct cuda_exec *e = exec_of(x);
    cudaStream_t stream = cuda_stream(x);
    cuda_expect(x, cudaEventRecord(e->event, cudaStreamLegacy), "cudaEventRecord");
    cuda_expect(x, cudaStreamWaitEvent(stream, e->event, 0), "cudaStreamWaitEvent");
}

static trk_status exec_open(trk_exec *x)
{
    trk_status rc = trk_workspace_create(&x->workspace, x->allocator);
    if (rc < 0)
        return rc;
    struct cuda_exec *e = static_cast<struct cuda_exec *>(trk_heap_zeroed(TRK_MEM_SCRATCH, "cuda exec", 1, sizeof *e));
    if (!e)
        return TRK_FAIL(TRK_E_MEMORY, "cuda: no memory for an exec");
    x->device = e;
    e->device = x->backend->device;
    TRK_CHECK(cuda_use(e->device));
    TRK_CHECK(cuda_error(cudaStreamCreateWithFlags(&e->stream, cudaStreamNonBlocking), "cudaStreamCreate"));
    TRK_CHECK(cuda_error(cudaEventCreateWithFlags(&e->event, cudaEventDisableTiming), "cudaEventCreate"));
    TRK_CHECK(cuda_stages_create(&e->stages));
done:
    return rc; /* what is open is closed by the caller */
}

static void exec_close(trk_exec *x)
{
    struct cuda_exec *e = exec_of(x);
    if (e) {
        if (e->event && cuda_use(e->device) >= 0)
            cuda_error(cudaEventDestroy(e->event), "cudaEventDestroy");
        if (e->stream && cuda_use(e->device) >= 0) {
            cuda_error(cudaStreamSynchronize(e->stream), "cudaStreamSynchronize");
            cuda_error(cudaStreamDestroy(e->stream), "cudaStreamDestroy");
        }
        return_tables(x);
        trk_heap_release(e->borrowed);
        cuda_stages_destroy(&e->stages);
        staging_release(e);
        trk_heap_release(e->arrivals);
        trk_heap_release(e);
    }
    trk_workspace_destroy(&x->workspace);
}

/* --- the backend --- */

trk_status cuda_blas_error(cublasStatus_t status, const char *what)
{
    if (status == CUBLAS_STATUS_SUCCESS)
        return TRK_OK;
    return TRK_FAIL(status == CUBLAS_STATUS_ALLOC_FAILED ? TRK_E_MEMORY : TRK_E_BACKEND, "cuda: cuBLASLt: %s: %s", what,
                    cublasLtGetStatusString(status));
}

static trk_status check(int device)
{
    return trk_cuda_device_open(device, NULL);
}

static int has_bf16(void)
{
    return 1; /* of every device that is opened */
}

static void backend_close(trk_backend *backend)
{
    struct cuda_library *library = backend->cuda;
    if (!library)
        return;
    cuda_products_destroy(&library->products);
    cuda_tables_destroy(&library->tables);
    if (library->blas && cuda_use(backend->device) >= 0) {
        cuda_quiet_begin(); /* it may wait for the device */
        cublasLtDestroy(library->blas);
        cuda_quiet_end();
    }
    trk_heap_release(library);
    backend->cuda = NULL;
}

/* Off unless it is asked for, since no card has run it. */
static int uses_wgmma(const cuda_device_info *info)
{
    const char *wanted = getenv("TRK_CUDA_WGMMA");
    return wanted && strcmp(wanted, "1") == 0 && info->major == 9 && info->minor == 0;
}

static trk_status create_blas(cublasLtHandle_t *out)
{
    cuda_quiet_begin(); /* it may wait for the device */
    const cublasStatus_t status = cublasLtCreate(out);
    cuda_quiet_end();
    return cuda_blas_error(status, "cublasLtCreate");
}

static trk_status backend_open(trk_backend *backend)
{
    trk_status rc = TRK_OK;
    backend->cuda =
        static_cast<struct cuda_library *>(trk_heap_zeroed(TRK_MEM_PINNED, "cuda library", 1, sizeof *backend->cuda));
    if (!backend->cuda)
        return TRK_FAIL(TRK_E_MEMORY, "cuda: no memory for a backend");
    struct cuda_library *library = backend->cuda;
#define REPLACE(name, args) backend->ops.name = trk_##name##_cuda;
    TRK_OP_LIST(REPLACE)
#undef REPLACE
    trk_ops *planned = &backend->planning_ops; /* the operators that use the workspace, all of which look at planning */
    const trk_ops *ops = &backend->ops;
    planned->linear = ops->linear;
    planned->matmul_nt = ops->matmul_nt;
    planned->conv2d = ops->conv2d;
    planned->attention = ops->attention;
    planned->window_attention = ops->window_attention;
    planned->gather_tokens = ops->gather_tokens;
    planned->token_keys = ops->token_keys;
    planned->attend_tokens = ops->attend_tokens;
    planned->fill_holes = ops->fill_holes;
    planned->resize_bilinear = ops->resize_bilinear;
    planned->select_mask = ops->select_mask;
    planned->frame_to_input = ops->frame_to_input;
    TRK_CHECK(trk_cuda_device_open(backend->device, &library->info));
    library->wgmma = uses_wgmma(&library->info);
    TRK_CHECK(cuda_use(backend->device));
    TRK_CHECK(create_blas(&library->blas));
    TRK_CHECK(cuda_products_create(&library->products));
    TRK_CHECK(cuda_tables_create(&library->tables, backend->allocator));
done:
    return rc; /* what is open is closed by the caller */
}

extern "C" const trk_backend_driver trk_cuda_driver = {
    "cuda",
    0,
    check,
    has_bf16,
    backend_open,
    backend_close,
    exec_open,
    exec_close,
    exec_finish,
    exec_follow,
    cuda_stage_begin,
    cuda_stage_end,
    cuda_replays,
    cuda_layer_create,
    cuda_layer_release,
};
