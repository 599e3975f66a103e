/* SPDX-License-Identifier: Apache-2.0
 * Products of cuBLASLt: D = epilogue(alpha op(A) op(B) + beta C + bias), in the combinations of types that the library
 * documents; anything else is CUBLAS_STATUS_NOT_SUPPORTED. Sums are f32, from k = 0 up.
 *
 * An algorithm carries the problem it was asked for, and is refused for another. It wants workspace, and fills it. */
#include <algorithm>
#include <vector>

#include <cublasLt.h>

#include "simt_private.h"

#define WORKSPACE_WANTED 65536
#define FULL_MATRIX      2 /* CUBLAS_FILL_MODE_FULL */

struct simt_blas {
    int unused;
};

struct simt_matmul_desc {
    int32_t compute, scale;
    int32_t pointer_mode, trans_a, trans_b, trans_c, fill_mode;
    uint32_t epilogue;
    const void *bias;
    int64_t bias_stride;
    int32_t bias_type; /* -1: that of D */
};

struct simt_matrix_layout {
    uint32_t type;
    int32_t order;
    uint64_t rows, cols;
    int64_t ld;
    int32_t batch;
    int64_t batch_stride;
};

struct simt_matmul_preference {
    uint32_t search_mode, reduction_mask;
    uint64_t workspace_bytes;
    uint32_t alignments[4]; /* of a, b, c, d */
};

/* --- handles and descriptors --- */

static int choices_left, products_left; /* before the first that fails; 0: none does */

extern "C" void simt_fail_products(int nth_choice, int nth_product)
{
    SIMT_LOCKED;
    choices_left = nth_choice;
    products_left = nth_product;
}

static int fails(int *left)
{
    if (*left > 1)
        --*left;
    else if (*left == 1)
        return 1;
    return 0;
}

/* Both may wait for the device. */
cublasStatus_t cublasLtCreate(cublasLtHandle_t *out)
{
    SIMT_LOCKED;
    if (!out)
        return CUBLAS_STATUS_INVALID_VALUE;
    if (simt_refuse_any_capture() != cudaSuccess)
        return CUBLAS_STATUS_NOT_INITIALIZED;
    *out = new simt_blas{};
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle)
{
    SIMT_LOCKED;
    if (simt_refuse_any_capture() != cudaSuccess)
        return CUBLAS_STATUS_EXECUTION_FAILED;
    delete handle;
    return CUBLAS_STATUS_SUCCESS;
}

const char *cublasLtGetStatusName(cublasStatus_t status)
{
    switch (status) {
    case CUBLAS_STATUS_SUCCESS:
        return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_NOT_INITIALIZED:
        return "CUBLAS_STATUS_NOT_INITIALIZED";
    case CUBLAS_STATUS_ALLOC_FAILED:
        return "CUBLAS_STATUS_ALLOC_FAILED";
    case CUBLAS_STATUS_INVALID_VALUE:
        return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_EXECUTION_FAILED:
        return "CUBLAS_STATUS_EXECUTION_FAILED";
    case CUBLAS_STATUS_NOT_SUPPORTED:
        return "CUBLAS_STATUS_NOT_SUPPORTED";
    default:
        return "CUBLAS_STATUS_INTERNAL_ERROR";
    }
}

const char *cublasLtGetStatusString(cublasStatus_t status)
{
    return cublasLtGetStatusName(status);
}

size_t cublasLtGetVersion()
{
    return CUBLAS_VERSION;
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *out, cublasComputeType_t compute, cudaDataType_t scale)
{
    if (!out)
        return CUBLAS_STATUS_INVALID_VALUE;
    *out = new simt_matmul_desc{};
    (*out)->compute = compute;
    (*out)->scale = scale;
    (*out)->fill_mode = FULL_MATRIX;
    (*out)->epilogue = CUBLASLT_EPILOGUE_DEFAULT;
    (*out)->bias_type = -1;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t desc)
{
    delete desc;
    return CUBLAS_STATUS_SUCCESS;
}

static cublasStatus_t set(void *field, size_t field_bytes, const void *value, size_t bytes)
{
    if (!value || bytes != field_bytes)
        return CUBLAS_STATUS_INVALID_VALUE;
    memcpy(field, value, bytes);
    return CUBLAS_STATUS_SUCCESS;
}

#define SET(field) set(&(field), sizeof(field), value, bytes)

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t desc, cublasLtMatmulDescAttributes_t attribute,
                                              const void *value, size_t bytes)
{
    if (!desc)
        return CUBLAS_STATUS_INVALID_VALUE;
    switch (attribute) {
    case CUBLASLT_MATMUL_DESC_COMPUTE_TYPE:
        return SET(desc->compute);
    case CUBLASLT_MATMUL_DESC_SCALE_TYPE:
        return SET(desc->scale);
    case CUBLASLT_MATMUL_DESC_POINTER_MODE:
        return SET(desc->pointer_mode);
    case CUBLASLT_MATMUL_DESC_TRANSA:
        return SET(desc->trans_a);
    case CUBLASLT_MATMUL_DESC_TRANSB:
        return SET(desc->trans_b);
    case CUBLASLT_MATMUL_DESC_TRANSC:
        return SET(desc->trans_c);
    case CUBLASLT_MATMUL_DESC_FILL_MODE:
        return SET(desc->fill_mode);
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
        return SET(desc->epilogue);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
        return SET(desc->bias);
    case CUBLASLT_MATMUL_DESC_BIAS_BATCH_STRIDE:
        return SET(desc->bias_stride);
    case CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE:
        return SET(desc->bias_type);
    }
    return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *out, cudaDataType type, uint64_t rows, uint64_t cols,
                                          int64_t ld)
{
    if (!out)
        return CUBLAS_STATUS_INVALID_VALUE;
    *out = new simt_matrix_layout{(uint32_t)type, CUBLASLT_ORDER_COL, rows, cols, ld, 1, 0};
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout)
{
    delete layout;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout,
                                                cublasLtMatrixLayoutAttribute_t attribute, const void *value,
                                                size_t bytes)
{
    if (!layout)
        return CUBLAS_STATUS_INVALID_VALUE;
    switch (attribute) {
    case CUBLASLT_MATRIX_LAYOUT_TYPE:
        return SET(layout->type);
    case CUBLASLT_MATRIX_LAYOUT_ORDER:
        return SET(layout->order);
    case CUBLASLT_MATRIX_LAYOUT_ROWS:
        return SET(layout->rows);
    case CUBLASLT_MATRIX_LAYOUT_COLS:
        return SET(layout->cols);
    case CUBLASLT_MATRIX_LAYOUT_LD:
        return SET(layout->ld);
    case CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT:
        return SET(layout->batch);
    case CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET:
        return SET(layout->batch_stride);
    }
    return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *out)
{
    if (!out)
        return CUBLAS_STATUS_INVALID_VALUE;
    *out = new simt_matmul_preference{0, ~0u, 0, {256, 256, 256, 256}};
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference)
{
    delete preference;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t attribute, const void *value,
                                                    size_t bytes)
{
    if (!preference)
        return CUBLAS_STATUS_INVALID_VALUE;
    switch (attribute) {
    case CUBLASLT_MATMUL_PREF_SEARCH_MODE:
        return SET(preference->search_mode);
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES:
        return SET(preference->workspace_bytes);
    case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK:
        return SET(preference->reduction_mask);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES:
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES:
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES:
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES:
        return SET(preference->alignments[attribute - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES]);
    }
    return CUBLAS_STATUS_INVALID_VALUE;
}

/* --- what is supported --- */

struct problem {
    simt_matmul_desc desc;
    simt_matrix_layout a, b, c, d;
    uint64_t m, n, k;
};

static size_t type_bytes(uint32_t type)
{
    return type == CUDA_R_32F ? 4 : type == CUDA_R_16BF ? 2 : 0;
}

static int is_layout_valid(const simt_matrix_layout *l)
{
    const uint64_t line = l->order == CUBLASLT_ORDER_ROW ? l->cols : l->rows;
    const uint64_t lines = l->order == CUBLASLT_ORDER_ROW ? l->rows : l->cols;
    if (l->rows == 0 || l->cols == 0 || l->ld < (int64_t)line || l->batch < 1)
        return 0;
    return l->batch == 1 || l->batch_stride == 0 || l->batch_stride >= (int64_t)((lines - 1) * (uint64_t)l->ld + line);
}

static int do_shapes_fit(const problem *p)
{
    const int ta = p->desc.trans_a != CUBLAS_OP_N, tb = p->desc.trans_b != CUBLAS_OP_N;
    return is_layout_valid(&p->a) && is_layout_valid(&p->b) && is_layout_valid(&p->c) && is_layout_valid(&p->d) &&
           (ta ? p->a.cols : p->a.rows) == p->m && (tb ? p->b.rows : p->b.cols) == p->n &&
           (tb ? p->b.cols : p->b.rows) == p->k && p->c.rows == p->m && p->c.cols == p->n && p->a.batch == p->d.batch &&
           p->b.batch == p->d.batch && p->c.batch == p->d.batch && (p->d.batch == 1 || p->d.batch_stride != 0);
}

/* Reported: the backend takes its own kernels then, which must not hide it. */
static cublasStatus_t check_shapes(const problem *p)
{
    if (do_shapes_fit(p))
        return CUBLAS_STATUS_SUCCESS;
    simt_error("cublasLt: the layouts of a product do not fit");
    return CUBLAS_STATUS_INVALID_VALUE;
}

static int is_type_supported(const problem *p)
{
    const simt_matmul_desc *e = &p->desc;
    if (e->scale != CUDA_R_32F || p->a.type != p->b.type || p->c.type != p->d.type)
        return 0;
    switch (e->compute) {
    case CUBLAS_COMPUTE_32F:
    case CUBLAS_COMPUTE_32F_PEDANTIC:
        return p->a.type == CUDA_R_16BF ? type_bytes(p->d.type) != 0
                                        : p->a.type == CUDA_R_32F && p->d.type == CUDA_R_32F;
    case CUBLAS_COMPUTE_32F_FAST_16BF:
    case CUBLAS_COMPUTE_32F_FAST_TF32:
        return p->a.type == CUDA_R_32F && p->d.type == CUDA_R_32F;
    default:
        return 0;
    }
}

static int is_order_supported(const simt_matrix_layout *l)
{
    return l->order == CUBLASLT_ORDER_COL || l->order == CUBLASLT_ORDER_ROW;
}

static int is_operation(int32_t v)
{
    return v == CUBLAS_OP_N || v == CUBLAS_OP_T;
}

/* A bias goes along the rows of a D in columns, and has D's type. */
static int is_epilogue_supported(const problem *p)
{
    const simt_matmul_desc *e = &p->desc;
    switch (e->epilogue) {
    case CUBLASLT_EPILOGUE_DEFAULT:
    case CUBLASLT_EPILOGUE_RELU:
    case CUBLASLT_EPILOGUE_GELU:
        return 1;
    case CUBLASLT_EPILOGUE_BIAS:
    case CUBLASLT_EPILOGUE_RELU_BIAS:
    case CUBLASLT_EPILOGUE_GELU_BIAS:
        return p->d.order == CUBLASLT_ORDER_COL && (e->bias_type == -1 || (uint32_t)e->bias_type == p->d.type);
    default:
        return 0;
    }
}

static cublasStatus_t check_problem(const problem *p)
{
    const simt_matmul_desc *e = &p->desc;
    if (!is_operation(e->trans_a) || !is_operation(e->trans_b) || e->trans_c != CUBLAS_OP_N ||
        e->fill_mode != FULL_MATRIX)
        return CUBLAS_STATUS_NOT_SUPPORTED;
    if (!is_order_supported(&p->a) || !is_order_supported(&p->b) || !is_order_supported(&p->c) ||
        !is_order_supported(&p->d) || p->c.order != p->d.order)
        return CUBLAS_STATUS_NOT_SUPPORTED;
    if (!is_type_supported(p) || !is_epilogue_supported(p))
        return CUBLAS_STATUS_NOT_SUPPORTED;
    if (e->pointer_mode != CUBLASLT_POINTER_MODE_HOST && e->pointer_mode != CUBLASLT_POINTER_MODE_DEVICE)
        return CUBLAS_STATUS_NOT_SUPPORTED;
    return check_shapes(p);
}

static cublasStatus_t problem_of(problem *out, cublasLtMatmulDesc_t desc, cublasLtMatrixLayout_t a,
                                 cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d)
{
    if (!desc || !a || !b || !c || !d)
        return CUBLAS_STATUS_INVALID_VALUE;
    *out = {*desc, *a, *b, *c, *d, d->rows, d->cols, desc->trans_a == CUBLAS_OP_N ? a->cols : a->rows};
    return check_problem(out);
}

/* --- algorithms --- */

/* Largest power of two up to 16 that divides v. */
static uint64_t alignment_of(uint64_t v)
{
    return v % 16 == 0 ? 16 : v & (~v + 1);
}

static uint64_t line_alignment(const simt_matrix_layout *l)
{
    return alignment_of((uint64_t)l->ld * type_bytes(l->type)) << 8 | (uint64_t)l->order << 7 | l->type;
}

/* What an algorithm is for, and [6] the alignments it counts on, [7] the workspace it wants. */
static void describe(cublasLtMatmulAlgo_t *out, const problem *p)
{
    const simt_matmul_desc *e = &p->desc;
    *out = {};
    out->data[0] = p->m;
    out->data[1] = p->n;
    out->data[2] = p->k;
    out->data[3] = (uint64_t)e->compute << 32 | e->epilogue << 8 | (uint64_t)e->trans_a << 4 | (uint64_t)e->trans_b;
    out->data[4] =
        line_alignment(&p->a) | line_alignment(&p->b) << 16 | line_alignment(&p->c) << 32 | line_alignment(&p->d) << 48;
    out->data[5] = (uint64_t)p->d.batch;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int requested,
                                              cublasLtMatmulHeuristicResult_t results[], int *returned)
{
    SIMT_LOCKED;
    problem p;
    if (!handle || !preference || !results || !returned || requested < 1)
        return CUBLAS_STATUS_INVALID_VALUE;
    *returned = 0;
    cublasStatus_t status = problem_of(&p, desc, a, b, c, d);
    if (status != CUBLAS_STATUS_SUCCESS)
        return status;
    if (fails(&choices_left))
        return CUBLAS_STATUS_INTERNAL_ERROR;
    const uint64_t most = std::min<uint64_t>(preference->workspace_bytes, WORKSPACE_WANTED);
    for (int i = 0; i < std::min(requested, 2); i++) {
        cublasLtMatmulHeuristicResult_t *r = &results[(*returned)++];
        *r = {};
        describe(&r->algo, &p);
        for (int m = 0; m < 4; m++)
            r->algo.data[6] |= alignment_of(preference->alignments[m]) << 8 * m;
        r->workspaceSize = r->algo.data[7] = i == 0 ? most : 0;
        r->wavesCount = 1.0f;
    }
    return CUBLAS_STATUS_SUCCESS;
}

static cublasStatus_t check_algorithm(const cublasLtMatmulAlgo_t *algo, const problem *p, const void *const data[4],
                                      size_t workspace_bytes)
{
    cublasLtMatmulAlgo_t own;
    describe(&own, p);
    if (memcmp(own.data, algo->data, 6 * sizeof own.data[0]) != 0) {
        simt_error("cublasLtMatmul: the algorithm is of another problem");
        return CUBLAS_STATUS_NOT_SUPPORTED;
    }
    for (int m = 0; m < 4; m++)
        if ((uintptr_t)data[m] % (algo->data[6] >> 8 * m & 0xff) != 0) {
            simt_error("cublasLtMatmul: matrix %c at %p is not aligned to %d as was promised", "ABCD"[m], data[m],
                       (int)(algo->data[6] >> 8 * m & 0xff));
            return CUBLAS_STATUS_INVALID_VALUE;
        }
    if (workspace_bytes >= algo->data[7])
        return CUBLAS_STATUS_SUCCESS;
    simt_error("cublasLtMatmul: a workspace of %zu bytes, expected %zu", workspace_bytes, (size_t)algo->data[7]);
    return CUBLAS_STATUS_INVALID_VALUE;
}

/* --- products --- */

struct product {
    problem p;
    const void *a, *b, *c, *bias;
    void *d;
    float alpha, beta;
    const float *alpha_later, *beta_later; /* on the device, or NULL */
};

static float element(const void *data, uint32_t type, int64_t i)
{
    if (type == CUDA_R_32F)
        return static_cast<const float *>(data)[i];
    return __uint_as_float((uint32_t) static_cast<const uint16_t *>(data)[i] << 16);
}

static uint16_t bf16_of(float v)
{
    const uint32_t bits = __float_as_uint(v);
    return v != v ? 0x7fff : (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* Where element (row, column) of a batch is. */
static int64_t place(const simt_matrix_layout *l, uint64_t row, uint64_t column, int batch)
{
    const uint64_t line = l->order == CUBLASLT_ORDER_ROW ? row : column;
    const uint64_t at = l->order == CUBLASLT_ORDER_ROW ? column : row;
    return (int64_t)batch * l->batch_stride + (int64_t)(line * (uint64_t)l->ld + at);
}

/* A factor of a product as the compute type takes it. */
static float factor(const problem *p, float v)
{
    if (p->desc.compute == CUBLAS_COMPUTE_32F_FAST_16BF)
        return __uint_as_float((uint32_t)bf16_of(v) << 16);
    if (p->desc.compute == CUBLAS_COMPUTE_32F_FAST_TF32 && v == v)
        return __uint_as_float((__float_as_uint(v) + 0x1000) & 0xffffe000u);
    return v;
}

/* op(M)[row, column] for rows first .. first + n as out[column * stride + row - first]; zeros beyond `rows`. */
static void gather(const problem *p, const simt_matrix_layout *l, const void *data, int transposed, int batch,
                   uint64_t first, uint64_t n, uint64_t rows, uint64_t columns, float *out)
{
    for (uint64_t column = 0; column < columns; column++)
        for (uint64_t i = 0; i < n; i++) {
            const uint64_t row = first + i;
            float v = 0.0f;
            if (row < rows)
                v = element(data, l->type, transposed ? place(l, column, row, batch) : place(l, row, column, batch));
            out[column * n + i] = factor(p, v);
        }
}

static float activated(uint32_t epilogue, float v)
{
    if (epilogue & CUBLASLT_EPILOGUE_RELU)
        return v > 0.0f ? v : 0.0f; /* NaN: 0 */
    if (epilogue & CUBLASLT_EPILOGUE_GELU)
        return 0.5f * v * (1.0f + tanhf(0.79788456080286535588f * (v + 0.044715f * v * v * v)));
    return v;
}

static void put(const product *q, uint64_t row, uint64_t column, int batch, float sum)
{
    const problem *p = &q->p;
    float v = q->alpha * sum;
    if (q->beta != 0.0f)
        v += q->beta * element(q->c, p->c.type, place(&p->c, row, column, batch));
    if (p->desc.epilogue & CUBLASLT_EPILOGUE_BIAS)
        v += element(q->bias, p->d.type, (int64_t)row + batch * p->desc.bias_stride);
    v = activated(p->desc.epilogue, v);
    const int64_t at = place(&p->d, row, column, batch);
    if (p->d.type == CUDA_R_32F)
        static_cast<float *>(q->d)[at] = v;
    else
        static_cast<uint16_t *>(q->d)[at] = bf16_of(v);
}

#define TILE_M 64
#define TILE_N 4

/* a: [k][TILE_M], b: [k][TILE_N] */
static void multiply_tile(const float *a, const float *b, uint64_t k, float sums[TILE_N][TILE_M])
{
    memset(sums, 0, sizeof(float) * TILE_N * TILE_M);
    for (uint64_t i = 0; i < k; i++)
        for (int n = 0; n < TILE_N; n++)
            for (int m = 0; m < TILE_M; m++)
                sums[n][m] += a[i * TILE_M + m] * b[i * TILE_N + n];
}

static void multiply_batch(const product *q, int batch)
{
    const problem *p = &q->p;
    const uint64_t n_padded = (p->n + TILE_N - 1) / TILE_N * TILE_N;
    std::vector<float> a(p->k * TILE_M), b(p->k * n_padded);
    for (uint64_t n = 0; n < p->n; n += TILE_N) /* op(B) transposed: its rows are columns */
        gather(p, &p->b, q->b, p->desc.trans_b == CUBLAS_OP_N, batch, n, TILE_N, p->n, p->k, &b[n * p->k]);
    for (uint64_t m = 0; m < p->m; m += TILE_M) {
        gather(p, &p->a, q->a, p->desc.trans_a != CUBLAS_OP_N, batch, m, TILE_M, p->m, p->k, a.data());
        for (uint64_t n = 0; n < p->n; n += TILE_N) {
            float sums[TILE_N][TILE_M];
            multiply_tile(a.data(), &b[n * p->k], p->k, sums);
            for (uint64_t j = 0; j < TILE_N && n + j < p->n; j++)
                for (uint64_t i = 0; i < TILE_M && m + i < p->m; i++)
                    put(q, m + i, n + j, batch, sums[j][i]);
        }
    }
}

static void multiply(product q)
{
    if (q.alpha_later) {
        q.alpha = *q.alpha_later;
        q.beta = *q.beta_later;
    }
    for (int batch = 0; batch < q.p.d.batch; batch++)
        multiply_batch(&q, batch);
}

static size_t span_bytes(const simt_matrix_layout *l)
{
    return ((size_t)place(l, l->rows - 1, l->cols - 1, l->batch - 1) + 1) * type_bytes(l->type);
}

static int is_data_valid(const char *what, const void *data, size_t bytes, size_t alignment)
{
    if ((simt_is_allocated(data, bytes) || simt_is_page_locked(data)) && (uintptr_t)data % alignment == 0)
        return 1;
    simt_error("cublasLtMatmul: %s of %zu bytes at %p is not aligned or not in one device buffer", what, bytes, data);
    return 0;
}

static cublasStatus_t check_data(const product *q)
{
    const problem *p = &q->p;
    const size_t bias_bytes =
        (p->m + (uint64_t)(p->d.batch - 1) * (uint64_t)p->desc.bias_stride) * type_bytes(p->d.type);
    if (!is_data_valid("A", q->a, span_bytes(&p->a), type_bytes(p->a.type)) ||
        !is_data_valid("B", q->b, span_bytes(&p->b), type_bytes(p->b.type)) ||
        !is_data_valid("D", q->d, span_bytes(&p->d), type_bytes(p->d.type)))
        return CUBLAS_STATUS_INVALID_VALUE;
    if ((q->beta != 0.0f || q->beta_later) && !is_data_valid("C", q->c, span_bytes(&p->c), type_bytes(p->c.type)))
        return CUBLAS_STATUS_INVALID_VALUE;
    if ((p->desc.epilogue & CUBLASLT_EPILOGUE_BIAS) &&
        !is_data_valid("the bias", q->bias, bias_bytes, type_bytes(p->d.type)))
        return CUBLAS_STATUS_INVALID_VALUE;
    if (q->c != q->d || (p->c.ld == p->d.ld && p->c.batch_stride == p->d.batch_stride))
        return CUBLAS_STATUS_SUCCESS;
    simt_error("cublasLtMatmul: C and D are one matrix with two layouts");
    return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, const void *alpha, const void *a,
                              cublasLtMatrixLayout_t a_layout, const void *b, cublasLtMatrixLayout_t b_layout,
                              const void *beta, const void *c, cublasLtMatrixLayout_t c_layout, void *d,
                              cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t *algo, void *workspace,
                              size_t workspace_bytes, cudaStream_t stream)
{
    SIMT_LOCKED;
    product q = {{}, a, b, c, NULL, d, 0.0f, 0.0f, NULL, NULL};
    if (!handle || !alpha || !beta)
        return CUBLAS_STATUS_INVALID_VALUE;
    cublasStatus_t status = problem_of(&q.p, desc, a_layout, b_layout, c_layout, d_layout);
    if (status != CUBLAS_STATUS_SUCCESS)
        return status;
    q.bias = desc->bias;
    if (desc->pointer_mode == CUBLASLT_POINTER_MODE_DEVICE) {
        q.alpha_later = static_cast<const float *>(alpha);
        q.beta_later = static_cast<const float *>(beta);
    } else {
        memcpy(&q.alpha, alpha, sizeof q.alpha);
        memcpy(&q.beta, beta, sizeof q.beta);
    }
    status = check_data(&q);
    const void *const data[4] = {a, b, c ? c : d, d};
    const size_t used = algo ? (size_t)algo->data[7] : 0;
    if (status == CUBLAS_STATUS_SUCCESS && algo)
        status = check_algorithm(algo, &q.p, data, workspace_bytes);
    if (status == CUBLAS_STATUS_SUCCESS && used > 0 && !is_data_valid("the workspace", workspace, workspace_bytes, 16))
        status = CUBLAS_STATUS_INVALID_VALUE;
    if (status == CUBLAS_STATUS_SUCCESS && fails(&products_left))
        status = CUBLAS_STATUS_INVALID_VALUE;
    if (status != CUBLAS_STATUS_SUCCESS)
        return status;
    const cudaError_t error = simt_enqueue(stream, [=] {
        if (used > 0)
            memset(workspace, 0xff, used);
        multiply(q);
        if (used > 0)
            memset(workspace, 0xff, used);
        simt_check_slack("cublasLtMatmul");
    });
    return error == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
}
