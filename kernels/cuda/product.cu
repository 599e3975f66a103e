/* SPDX-License-Identifier: Apache-2.0
 * linear and matmul_nt. A layer's product goes one of three ways:
 *
 *   by the library   cuBLASLt writes f32 sums to `out`, with bias and residual: f32 out without activation
 *   on its own       tensor_product (tile_product.cuh) does all else of bf16 rows of at most OWN_FACTORS factors
 *   in two passes    cuBLASLt writes f32 sums, finish_rows does the rest, in strips that stay in the card's cache
 *
 * cuBLASLt gets no more of a layer to do because it would do it less exactly: a bf16 result takes a bf16 bias, its GELU
 * is the tanh approximation, its ReLU turns NaN into 0, and there is no sigmoid. Nor may it write bf16 sums for a pass
 * of ours to finish: where bias and sum cancel, what is left would be off by more than the kernel check allows, which
 * is two roundings of the result itself. */
#include <atomic>

#include <pthread.h>
#include <string.h>

#include "current.cuh"
#include "heap.h"
#include "library.cuh"
#include "log.h"
#include "product.cuh"
#include "tile_product.cuh"

/* Up to here the own kernel is the better one for what cuBLASLt would need a second pass for, by arithmetic: a second
 * pass moves some 10 bytes for each sum (2 ps at 5 TB/s), and the own kernel, at half of cuBLASLt's 700 TFLOP/s, loses
 * 2 k / 700 ps. Not measured. */
#define OWN_FACTORS   640
#define LIBRARY_BYTES ((size_t)32 << 20) /* of cuBLASLt's workspace: what its manual asks for on the newest cards */
#define STRIP_BYTES   ((size_t)32 << 20) /* of f32 sums between two passes; an H200 has 50 MiB of cache */

/* Every row starts on 16 bytes. */
static int is_wide(trk_mat m)
{
    return (uintptr_t)m.data % 16 == 0 && (size_t)m.stride * trk_dtype_bytes(m.dtype) % 16 == 0;
}

/* --- the algorithms that cuBLASLt chose --- */

/* One product as cuBLASLt sees it, all of it in the heuristic's input. No padding: it is compared as bytes. */
struct product_key {
    int64_t in_stride, out_stride;
    int rows, n_out, k;
    int is_bf16, has_bias;
    int alignment; /* of out, in bytes: 4, 8 or 16 */
};

struct product_plan {
    struct product_plan *next; /* of the same bucket */
    struct product_key key;
    cublasLtMatrixLayout_t weight, in, out; /* owned */
    cublasLtMatmulAlgo_t algorithm;
    int is_usable; /* 0: cuBLASLt has none, or it failed; atomic */
};

#define BUCKETS 64

/* Grows by one plan for each product that differs; plans stay until the backend is closed. */
struct cuda_products {
    pthread_mutex_t lock;
    struct product_plan *buckets[BUCKETS]; /* owned */
};

trk_status cuda_products_create(struct cuda_products **out)
{
    *out = static_cast<struct cuda_products *>(trk_heap_zeroed(TRK_MEM_PINNED, "cuda products", 1, sizeof **out));
    if (!*out)
        return TRK_FAIL(TRK_E_MEMORY, "cuda: no memory for a list of products");
    pthread_mutex_init(&(*out)->lock, NULL);
    return TRK_OK;
}

static void plan_release(struct product_plan *plan)
{
    const cublasLtMatrixLayout_t layouts[] = {plan->weight, plan->in, plan->out};
    for (cublasLtMatrixLayout_t layout : layouts)
        if (layout)
            cublasLtMatrixLayoutDestroy(layout);
    trk_heap_release(plan);
}

void cuda_products_destroy(struct cuda_products **products)
{
    if (!*products)
        return;
    for (struct product_plan *plan : (*products)->buckets)
        while (plan) {
            struct product_plan *next = plan->next;
            plan_release(plan);
            plan = next;
        }
    pthread_mutex_destroy(&(*products)->lock);
    trk_heap_release(*products);
    *products = NULL;
}

/* What the call is, but for the matrices. Rows of ours are columns of cuBLASLt: out^T [n_out, n] = W in^T, and W's rows
 * are the columns of a matrix that it transposes. */
static trk_status describe(cublasLtMatmulDesc_t *out, const float *bias)
{
    trk_status rc = TRK_OK;
    const int32_t transposed = CUBLAS_OP_T, f32 = CUDA_R_32F;
    const uint32_t epilogue = bias ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_DEFAULT;
    const struct {
        cublasLtMatmulDescAttributes_t name;
        const void *value;
        size_t bytes;
    } attributes[] = {{CUBLASLT_MATMUL_DESC_TRANSA, &transposed, sizeof transposed},
                      {CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue},
                      {CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, &f32, sizeof f32},
                      {CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof bias}};
    *out = NULL;
    TRK_CHECK(
        cuda_blas_error(cublasLtMatmulDescCreate(out, CUBLAS_COMPUTE_32F, CUDA_R_32F), "cublasLtMatmulDescCreate"));
    for (int i = 0; i < (bias ? 4 : 2); i++)
        TRK_CHECK(cuda_blas_error(
            cublasLtMatmulDescSetAttribute(*out, attributes[i].name, attributes[i].value, attributes[i].bytes),
            "cublasLtMatmulDescSetAttribute"));
done:
    if (rc < 0 && *out) {
        cublasLtMatmulDescDestroy(*out);
        *out = NULL;
    }
    return rc;
}

static trk_status layout_create(cublasLtMatrixLayout_t *out, int is_bf16, int rows, int cols, int64_t stride)
{
    return cuda_blas_error(
        cublasLtMatrixLayoutCreate(out, is_bf16 ? CUDA_R_16BF : CUDA_R_32F, (uint64_t)cols, (uint64_t)rows, stride),
        "cublasLtMatrixLayoutCreate");
}

static trk_status prefer(cublasLtMatmulPreference_t preference, const struct product_key *key)
{
    trk_status rc = TRK_OK;
    const uint64_t bytes = LIBRARY_BYTES;
    const uint32_t reduction = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE; /* in the output itself the order may vary */
    const uint32_t factors = 16, out = (uint32_t)key->alignment; /* weights and packed rows start on 16 bytes */
    const struct {
        cublasLtMatmulPreferenceAttributes_t name;
        const void *value;
        size_t bytes;
    } attributes[] = {{CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &bytes, sizeof bytes},
                      {CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &reduction, sizeof reduction},
                      {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, &factors, sizeof factors},
                      {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, &factors, sizeof factors},
                      {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, &out, sizeof out},
                      {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, &out, sizeof out}};
    for (const auto &a : attributes)
        TRK_CHECK(cuda_blas_error(cublasLtMatmulPreferenceSetAttribute(preference, a.name, a.value, a.bytes),
                                  "cublasLtMatmulPreferenceSetAttribute"));
done:
    return rc;
}

/* TRK_E_UNSUPPORTED: not our fault, and the own kernels can do what the library could not. */
static trk_status library_error(cublasStatus_t status, const char *what)
{
    const trk_status rc = cuda_blas_error(status, what);
    return status == CUBLAS_STATUS_NOT_SUPPORTED || status == CUBLAS_STATUS_INTERNAL_ERROR ||
                   status == CUBLAS_STATUS_ARCH_MISMATCH || status == CUBLAS_STATUS_EXECUTION_FAILED ||
                   status == CUBLAS_STATUS_INVALID_VALUE /* of an algorithm that the heuristic should not have named */
               ? TRK_E_UNSUPPORTED
               : rc;
}

/* Asks for an algorithm; that there is none is no failure. */
static trk_status choose(struct product_plan *plan, cublasLtHandle_t blas, cublasLtMatmulDesc_t call)
{
    trk_status rc = TRK_OK;
    cublasLtMatmulPreference_t preference = NULL;
    cublasLtMatmulHeuristicResult_t result;
    cublasStatus_t status;
    int n = 0;
    memset(&result, 0, sizeof result);
    TRK_CHECK(cuda_blas_error(cublasLtMatmulPreferenceCreate(&preference), "cublasLtMatmulPreferenceCreate"));
    TRK_CHECK(prefer(preference, &plan->key));
    status = cublasLtMatmulAlgoGetHeuristic(blas, call, plan->weight, plan->in, plan->out, plan->out, preference, 1,
                                            &result, &n);
    plan->is_usable = status == CUBLAS_STATUS_SUCCESS && n > 0 && result.state == CUBLAS_STATUS_SUCCESS &&
                      result.workspaceSize <= LIBRARY_BYTES;
    plan->algorithm = result.algo;
    if (status != CUBLAS_STATUS_NOT_SUPPORTED)
        rc = library_error(status, "cublasLtMatmulAlgoGetHeuristic");
done:
    if (preference)
        cublasLtMatmulPreferenceDestroy(preference);
    return rc;
}

static trk_status plan_create(struct product_plan **out, const struct product_key *key, cublasLtHandle_t blas,
                              cublasLtMatmulDesc_t call)
{
    trk_status rc = TRK_OK;
    struct product_plan *plan =
        static_cast<struct product_plan *>(trk_heap_zeroed(TRK_MEM_PINNED, "cuda products", 1, sizeof *plan));
    *out = NULL;
    if (!plan)
        return TRK_FAIL(TRK_E_MEMORY, "cuda: no memory for a product");
    plan->key = *key;
    TRK_CHECK(layout_create(&plan->weight, key->is_bf16, key->n_out, key->k, key->k));
    TRK_CHECK(layout_create(&plan->in, key->is_bf16, key->rows, key->k, key->in_stride));
    TRK_CHECK(layout_create(&plan->out, 0, key->rows, key->n_out, key->out_stride));
    TRK_CHECK(choose(plan, blas, call));
    *out = plan;
    plan = NULL;
done:
    if (plan)
        plan_release(plan);
    return rc;
}

static unsigned bucket_of(const struct product_key *key)
{
    const unsigned char *bytes = reinterpret_cast<const unsigned char *>(key);
    unsigned hash = 2166136261u;
    for (size_t i = 0; i < sizeof *key; i++)
        hash = (hash ^ bytes[i]) * 16777619u;
    return hash % BUCKETS;
}

/* The plan of `key`, which is made on the first call. Valid as long as the backend. */
static trk_status find_plan(struct product_plan **out, struct cuda_library *library, const struct product_key *key,
                            cublasLtMatmulDesc_t call)
{
    trk_status rc = TRK_OK;
    struct cuda_products *products = library->products;
    struct product_plan **bucket = &products->buckets[bucket_of(key)], *plan;
    pthread_mutex_lock(&products->lock);
    for (plan = *bucket; plan && memcmp(&plan->key, key, sizeof *key) != 0;)
        plan = plan->next;
    if (!plan) {
        rc = plan_create(&plan, key, library->blas, call);
        if (plan) {
            plan->next = *bucket;
            *bucket = plan;
        }
    }
    pthread_mutex_unlock(&products->lock);
    *out = plan;
    return rc;
}

/* --- products of packed rows --- */

/* out f32 [n, n_out] = in W^T + bias (+ out) */
struct product_call {
    trk_mat out, in; /* in: ready, see is_ready */
    const struct cuda_layer *layer;
    const float *bias; /* NULL for none */
    int accumulate;
};

static struct product_key key_of(const struct product_call *call)
{
    const uintptr_t address = (uintptr_t)call->out.data;
    struct product_key key;
    memset(&key, 0, sizeof key);
    key.in_stride = call->in.stride;
    key.out_stride = call->out.stride;
    key.rows = call->out.rows;
    key.n_out = call->out.cols;
    key.k = call->in.cols;
    key.is_bf16 = call->in.dtype == TRK_BF16;
    key.has_bias = call->bias != NULL;
    key.alignment = address % 16 == 0 ? 16 : address % 8 == 0 ? 8 : 4;
    return key;
}

template <class T, class O>
static void launch_tensor(trk_exec *x, trk_mat out, trk_mat in, trk_mat weight, product_tail tail)
{
    const unsigned n_tiles = blocks_for(out.rows, T::rows) * blocks_for(out.cols, T::columns);
    TRK_LAUNCH(x, (tensor_product<T, O>), n_tiles, T::threads, T::shared_bytes, matrix_of<O>(out),
               matrix_of<const bf16>(in), matrix_of<const bf16>(weight), tail, is_wide(out));
}

/* in: bf16, ready. */
static void run_tensor(trk_exec *x, trk_mat out, trk_mat in, trk_mat weight, product_tail tail)
{
    typedef tensor_tile<128, 128, 64> large;
    typedef tensor_tile<64, 64, 32> small;
    const int64_t n_large = (int64_t)blocks_for(out.rows, large::rows) * blocks_for(out.cols, large::columns);
    const int is_large = n_large >= x->backend->cuda->info.n_processors; /* else most processors would be idle */
    by_type(out.dtype, [&](auto o) {
        if (is_large)
            launch_tensor<large, decltype(o)>(x, out, in, weight, tail);
        else
            launch_tensor<small, decltype(o)>(x, out, in, weight, tail);
    });
}

static void run_plain(trk_exec *x, trk_mat out, trk_mat a, trk_mat b, product_tail tail)
{
    const unsigned n_tiles = blocks_for(out.rows, PLAIN_TILE) * blocks_for(out.cols, PLAIN_TILE);
    by_types(a.dtype, b.dtype, [&](auto l, auto r) {
        TRK_LAUNCH(x, (plain_product<decltype(l), decltype(r)>), n_tiles, PLAIN_THREADS, PLAIN_SHARED_BYTES,
                   matrix_of<float>(out), matrix_of<const decltype(l)>(a), matrix_of<const decltype(r)>(b), tail,
                   x->activation == TRK_BF16);
    });
}

static trk_mat weight_of(const struct cuda_layer *layer)
{
    return trk_mat{layer->weight, layer->dtype, layer->shape.n_out, layer->k_padded, layer->k_padded};
}

/* For what cuBLASLt has no algorithm for, or fails at. */
static void run_own(trk_exec *x, const struct product_call *call)
{
    const product_tail tail = {call->bias, TRK_ACT_NONE, call->accumulate};
    if (call->in.dtype == TRK_BF16)
        run_tensor(x, call->out, call->in, weight_of(call->layer), tail);
    else
        run_plain(x, call->out, call->in, weight_of(call->layer), tail);
}

/* The product to those who listen; a plan stays where it is as long as the backend. */
static int told(trk_exec *x, const struct product_plan *plan, const struct product_call *call, const void *workspace)
{
    const void *const all[] = {plan,      call->layer->weight,           call->in.data, call->out.data, call->bias,
                               workspace, call->accumulate ? plan : NULL};
    return cuda_tell(x, all, sizeof all);
}

/* The own kernels do every product, if slower: a library that fails is no reason to end a run. */
static void note_failure(const struct product_key *key)
{
    static std::atomic_flag is_told = ATOMIC_FLAG_INIT;
    trk_log(is_told.test_and_set() ? TRK_LOG_DEBUG : TRK_LOG_WARNING, "%s (%d x %d x %d); own kernels do such products",
            trk_error_text(), key->rows, key->n_out, key->k);
}

static cublasStatus_t multiply(trk_exec *x, const struct product_plan *plan, cublasLtMatmulDesc_t description,
                               const struct product_call *call, void *workspace)
{
    const float one = 1.0f, beta = call->accumulate ? 1.0f : 0.0f;
    cudaStream_t stream = cuda_stream(x); /* makes the device current, too */
    return cublasLtMatmul(x->backend->cuda->blas, description, &one, call->layer->weight, plan->weight, call->in.data,
                          plan->in, &beta, call->out.data, plan->out, call->out.data, plan->out, &plan->algorithm,
                          workspace, LIBRARY_BYTES, stream);
}

static void run_library(trk_exec *x, const struct product_call *call, void *workspace)
{
    trk_status rc = TRK_OK;
    const struct product_key key = key_of(call);
    struct product_plan *plan = NULL;
    cublasLtMatmulDesc_t description = NULL;
    trk_error_line kept;
    int is_done = 0;
    trk_error_keep(&kept);
    TRK_CHECK(cuda_use(x->backend->device));
    TRK_CHECK(describe(&description, call->bias));
    rc = find_plan(&plan, x->backend->cuda, &key, description);
    if (rc >= 0 && __atomic_load_n(&plan->is_usable, __ATOMIC_RELAXED)) {
        is_done = told(x, plan, call, workspace);
        rc = is_done ? TRK_OK : library_error(multiply(x, plan, description, call, workspace), "cublasLtMatmul");
        is_done |= rc >= 0;
        if (rc == TRK_E_UNSUPPORTED && trk_cuda_is_recording()) /* its fault perhaps: the stage runs again */
            rc = TRK_E_BACKEND;
        else if (!is_done) /* of later frames those who listen are told of the own kernels at once */
            __atomic_store_n(&plan->is_usable, 0, __ATOMIC_RELAXED);
    }
    if (rc == TRK_E_UNSUPPORTED) {
        note_failure(&key);
        trk_error_restore(&kept);
        rc = TRK_OK;
    }
    if (rc >= 0 && !is_done)
        run_own(x, call);
done:
    if (description)
        cublasLtMatmulDescDestroy(description);
    if (rc < 0)
        trk_exec_fail(x, rc);
}

/* --- layers --- */

/* Rows as the products take them: of the layer's type, k_padded factors, on 16 bytes. */
static int is_ready(trk_mat in, const struct cuda_layer *layer)
{
    return in.dtype == layer->dtype && in.cols == layer->k_padded && is_wide(in);
}

/* `in`, or a copy that is ready; data NULL and the exec failed without memory. */
static trk_mat ready_input(trk_exec *x, trk_mat in, const struct cuda_layer *layer)
{
    if (is_ready(in, layer))
        return in;
    trk_mat packed = {NULL, layer->dtype, in.rows, layer->k_padded, layer->k_padded};
    packed.data = trk_workspace_get(x, WORKSPACE_INPUT,
                                    (size_t)in.rows * (size_t)layer->k_padded * trk_dtype_bytes(layer->dtype));
    if (!packed.data || x->planning)
        return packed;
    const int64_t n_threads = (int64_t)in.rows * (layer->k_padded / 8);
    by_types(packed.dtype, in.dtype, [&](auto o, auto i) {
        TRK_LAUNCH(x, (pack_rows<decltype(o), decltype(i)>), blocks_for(n_threads, ROWS_THREADS), ROWS_THREADS, 0,
                   matrix_of<decltype(o)>(packed), matrix_of<const decltype(i)>(in), is_wide(in));
    });
    return packed;
}

static void run_finish(trk_exec *x, trk_mat out, trk_mat sums, product_tail tail)
{
    const int64_t n_threads = (int64_t)out.rows * ((out.cols + 7) / 8);
    by_type(out.dtype, [&](auto o) {
        TRK_LAUNCH(x, (finish_rows<decltype(o)>), blocks_for(n_threads, ROWS_THREADS), ROWS_THREADS, 0,
                   matrix_of<decltype(o)>(out), matrix_of<float>(sums), tail, is_wide(out), is_wide(sums));
    });
}

/* cuBLASLt's sums in `out` itself where they have room, else in the workspace. */
static void run_two_passes(trk_exec *x, trk_mat out, trk_mat in, const struct cuda_layer *layer, product_tail tail,
                           void *workspace)
{
    const int stride = product_padded(out.cols, PRODUCT_PAD); /* of the sums */
    const size_t row_bytes = (size_t)stride * sizeof(float);
    const int most = (int)(STRIP_BYTES / row_bytes < 128 ? 128 : STRIP_BYTES / row_bytes / 128 * 128);
    const int in_place = out.dtype == TRK_F32 && !tail.accumulate;
    trk_mat room = {NULL, TRK_F32, min(out.rows, most), out.cols, stride};
    if (!in_place) {
        room.data = trk_workspace_get(x, WORKSPACE_OUTPUT, (size_t)room.rows * row_bytes);
        if (!room.data)
            return;
    }
    for (int first = 0; first < out.rows && !x->planning; first += most) {
        const int n = min(out.rows - first, most);
        const trk_mat strip = trk_rows(out, first, n), sums = in_place ? strip : trk_rows(room, 0, n);
        const struct product_call call = {sums, trk_rows(in, first, n), layer, NULL, 0};
        run_library(x, &call, workspace);
        run_finish(x, strip, sums, tail);
    }
}

void cuda_product(trk_exec *x, trk_mat out, trk_mat in, const struct cuda_layer *layer, trk_epilogue epilogue)
{
    if (out.rows == 0)
        return;
    const int is_direct = out.dtype == TRK_F32 && epilogue.act == TRK_ACT_NONE;
    const product_tail tail = {layer->bias, epilogue.act, epilogue.accumulate};
    in = ready_input(x, in, layer);
    if (x->status < 0)
        return;
    if (!is_direct && layer->dtype == TRK_BF16 && layer->k_padded <= OWN_FACTORS) {
        if (!x->planning)
            run_tensor(x, out, in, weight_of(layer), tail);
        return;
    }
    /* as much for every product, so that a plan does not depend on what the heuristic says */
    void *workspace = trk_workspace_get(x, WORKSPACE_LIBRARY, LIBRARY_BYTES);
    if (!workspace)
        return;
    const struct product_call call = {out, in, layer, layer->bias, epilogue.accumulate};
    if (!is_direct)
        run_two_passes(x, out, in, layer, tail, workspace);
    else if (!x->planning)
        run_library(x, &call, workspace);
}

void trk_linear_cuda(trk_exec *x, trk_mat out, trk_mat in, const trk_linear *layer, trk_epilogue epilogue)
{
    TRK_EXPECT(x, "linear", layer->prepared);
    TRK_EXPECT(x, "linear", in.cols == layer->n_in && out.cols == layer->n_out && out.rows == in.rows);
    TRK_EXPECT(x, "linear", !epilogue.accumulate || out.dtype == TRK_F32);
    cuda_product(x, out, in, static_cast<const struct cuda_layer *>(layer->prepared), epilogue);
}

/* --- products of two activations --- */

template <int N> static void run_few_rows(trk_exec *x, trk_mat out, trk_mat a, trk_mat b)
{
    const size_t bytes = (size_t)product_padded(a.cols, 8) * N * sizeof(float);
    by_types(a.dtype, b.dtype, [&](auto l, auto r) {
        TRK_LAUNCH(x, (few_rows_product<N, decltype(l), decltype(r)>), blocks_for(b.rows, FEW_THREADS), FEW_THREADS,
                   bytes, matrix_of<float>(out), matrix_of<const decltype(l)>(a), matrix_of<const decltype(r)>(b),
                   x->activation == TRK_BF16, is_wide(b));
    });
}

void trk_matmul_nt_cuda(trk_exec *x, trk_mat out, trk_mat a, trk_mat b)
{
    TRK_EXPECT(x, "matmul_nt", a.cols == b.cols && out.rows == a.rows && out.cols == b.rows && out.dtype == TRK_F32);
    if (out.rows == 0 || out.cols == 0 || x->planning) /* needs no workspace */
        return;
    if (a.rows <= 4 && a.cols <= FEW_FACTORS)
        run_few_rows<4>(x, out, a, b);
    else if (a.rows <= FEW_ROWS && a.cols <= FEW_FACTORS)
        run_few_rows<FEW_ROWS>(x, out, a, b);
    else /* no stage has such a product */
        run_plain(x, out, a, b, product_tail{NULL, TRK_ACT_NONE, 0});
}
