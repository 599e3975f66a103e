/* SPDX-License-Identifier: Apache-2.0
 * Layers on oneDNN: weights are packed once into the layout the library prefers for a map of usual size. A shape that
 * wants another layout gets a second copy the first time it is met. */
#include <omp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "backend_private.h"
#include "layer.h"
#include "onednn_cache.h"
#include "workspace.h"

/* What weights are packed for: rows of a linear layer, side of the map a convolution reads. */
#define USUAL_ROWS 4096
#define USUAL_SIDE 64

typedef struct packed_weights {
    const onednn_layout *layout;
    dnnl_memory_t memory; /* on data */
    void *data;           /* owned */
    size_t bytes;
    struct packed_weights *next;
} packed_weights;

struct cpu_layer {
    cpu_layer_shape shape;
    const float *weight, *bias; /* borrowed */
    trk_dtype dtype;            /* of the packed weights and the inputs */
    trk_allocator *allocator;   /* borrowed */
    struct cpu_library *cache;  /* borrowed */
    pthread_mutex_t mutex;      /* of additions to weights */
    _Atomic(packed_weights *) weights; /* only ever added to: read without the mutex */
};

static dnnl_data_type_t onednn_type(trk_dtype dtype)
{
    return dtype == TRK_BF16 ? dnnl_bf16 : dnnl_f32;
}

static dnnl_alg_kind_t onednn_act(trk_act act)
{
    switch (act) {
    case TRK_ACT_RELU:
        return dnnl_eltwise_relu;
    case TRK_ACT_GELU:
        return dnnl_eltwise_gelu_erf;
    case TRK_ACT_SIGMOID:
        return dnnl_eltwise_logistic;
    case TRK_ACT_NONE:
        break;
    }
    return dnnl_alg_kind_undef;
}

/* The threads of a oneDNN call are those OpenMP would give the calling thread: sets that, and leaves it set. */
static void set_threads(int n_threads)
{
    if (omp_get_max_threads() != n_threads)
        omp_set_num_threads(n_threads);
}

static onednn_key base_key(const struct cpu_layer *layer, int n_threads)
{
    const cpu_layer_shape *s = &layer->shape;
    return (onednn_key){.n_in = s->n_in,
                        .n_out = s->n_out,
                        .kernel = s->kernel,
                        .stride = s->stride,
                        .padding = s->padding,
                        .groups = s->groups,
                        .in_type = onednn_type(layer->dtype),
                        .out_type = dnnl_f32,
                        .in_stride = s->n_in,
                        .out_stride = s->n_out,
                        .act = dnnl_alg_kind_undef,
                        .has_bias = layer->bias != NULL,
                        .n_threads = n_threads};
}

/* The weights as the checkpoint stores them. */
static dnnl_status_t plain_weights(const cpu_layer_shape *s, onednn_desc *out)
{
    const dnnl_dim_t k = s->kernel, area = k * k;
    const dnnl_dim_t linear[] = {s->n_in, s->n_out}, linear_strides[] = {1, s->n_in};
    const dnnl_dim_t dense[] = {s->n_out, s->n_in, k, k}, dense_strides[] = {s->n_in * area, area, k, 1};
    const dnnl_dim_t depthwise[] = {s->n_out, 1, 1, k, k}, depthwise_strides[] = {area, area, area, k, 1};
    if (cpu_layer_is_linear(s))
        return onednn_desc_init(out, 2, linear, dnnl_f32, linear_strides);
    return s->groups > 1 ? onednn_desc_init(out, 5, depthwise, dnnl_f32, depthwise_strides)
                         : onednn_desc_init(out, 4, dense, dnnl_f32, dense_strides);
}

static void release_packed(trk_allocator *allocator, packed_weights *p)
{
    if (p->memory)
        dnnl_memory_destroy(p->memory);
    if (p->data)
        allocator->release(allocator, TRK_MEM_PINNED, p->data, p->bytes);
    allocator->release(allocator, TRK_MEM_PINNED, p, sizeof *p);
}

/* Adds a copy of the weights in `layout`. */
static trk_status pack(struct cpu_layer *layer, const onednn_layout *layout)
{
    trk_allocator *allocator = layer->allocator;
    const size_t bytes = onednn_desc_bytes(&layout->desc);
    onednn_desc plain = {0};
    packed_weights *p = allocator->allocate(allocator, TRK_MEM_PINNED, "packed weights", sizeof *p);
    if (!p)
        return TRK_FAIL(TRK_E_MEMORY, "packed weights: no memory for %zu bytes", sizeof *p);
    *p = (packed_weights){.layout = layout, .bytes = bytes};
    p->data = allocator->allocate(allocator, TRK_MEM_PINNED, "packed weights", bytes);
    if (!p->data) {
        release_packed(allocator, p);
        return TRK_FAIL(TRK_E_MEMORY, "packed weights: no memory for %zu bytes", bytes);
    }
    dnnl_engine_t engine = onednn_cache_engine(layer->cache);
    dnnl_status_t rc = plain_weights(&layer->shape, &plain);
    if (rc == dnnl_success)
        rc = onednn_memory_create(&p->memory, &layout->desc, engine, p->data);
    if (rc == dnnl_success) /* oneDNN takes inputs as void *, too */
        rc = onednn_reorder(engine, &plain, (void *)(uintptr_t)layer->weight, p->memory, &layout->desc);
    onednn_desc_release(&plain);
    if (rc != dnnl_success) {
        release_packed(allocator, p);
        return TRK_FAIL(TRK_E_BACKEND, "oneDNN: cannot pack %d x %d weights (status %d)", layer->shape.n_out,
                        layer->shape.n_in, (int)rc);
    }
    p->next = atomic_load_explicit(&layer->weights, memory_order_relaxed);
    atomic_store_explicit(&layer->weights, p, memory_order_release);
    return TRK_OK;
}

static packed_weights *find_packed(struct cpu_layer *layer, const onednn_layout *layout)
{
    packed_weights *p = atomic_load_explicit(&layer->weights, memory_order_acquire);
    while (p && p->layout != layout)
        p = p->next;
    return p;
}

static packed_weights *find_or_pack(trk_exec *x, struct cpu_layer *layer, const onednn_layout *layout)
{
    packed_weights *p = find_packed(layer, layout);
    if (p)
        return p;
    pthread_mutex_lock(&layer->mutex);
    p = find_packed(layer, layout); /* another thread may have come first */
    if (!p) {
        const trk_status rc = pack(layer, layout);
        if (rc < 0)
            trk_exec_fail(x, rc);
        else
            p = find_packed(layer, layout);
    }
    pthread_mutex_unlock(&layer->mutex);
    return p;
}

trk_status cpu_layer_create(struct cpu_layer **out, trk_backend *backend, trk_allocator *allocator,
                            const cpu_layer_shape *shape, const float *weight, const float *bias)
{
    *out = NULL;
    struct cpu_layer *layer = allocator->allocate(allocator, TRK_MEM_PINNED, "layer", sizeof *layer);
    if (!layer)
        return TRK_FAIL(TRK_E_MEMORY, "layer: no memory for %zu bytes", sizeof *layer);
    memset(layer, 0, sizeof *layer);
    layer->shape = *shape;
    layer->weight = weight;
    layer->bias = bias;
    layer->dtype = backend->activation;
    layer->allocator = allocator;
    layer->cache = backend->library;
    pthread_mutex_init(&layer->mutex, NULL);
    atomic_init(&layer->weights, NULL);
    set_threads(backend->n_threads);
    onednn_key key = base_key(layer, backend->n_threads);
    key.in_h = cpu_layer_is_linear(shape) ? USUAL_ROWS : USUAL_SIDE;
    key.in_w = cpu_layer_is_linear(shape) ? 1 : USUAL_SIDE;
    const onednn_layout *layout;
    trk_status rc = TRK_OK;
    TRK_CHECK(onednn_cache_layout(layer->cache, &key, &layout));
    TRK_CHECK(pack(layer, layout));
    *out = layer;
    layer = NULL;
done:
    cpu_layer_release(&layer, allocator);
    return rc;
}

void cpu_layer_release(struct cpu_layer **layer, trk_allocator *allocator)
{
    if (!*layer)
        return;
    packed_weights *p = atomic_load_explicit(&(*layer)->weights, memory_order_acquire);
    while (p) {
        packed_weights *next = p->next;
        release_packed(allocator, p);
        p = next;
    }
    pthread_mutex_destroy(&(*layer)->mutex);
    allocator->release(allocator, TRK_MEM_PINNED, *layer, sizeof **layer);
    *layer = NULL;
}

/* Points the seat's arguments at this call's data and runs. */
static dnnl_status_t execute(onednn_seat *seat, const cpu_layer_call *call, const packed_weights *weights,
                             const float *bias, void *scratch)
{
    dnnl_exec_arg_t args[5] = {
        {DNNL_ARG_SRC, seat->in}, {DNNL_ARG_DST, seat->out}, {DNNL_ARG_WEIGHTS, weights->memory}};
    int n_args = 3;
    dnnl_status_t rc = dnnl_memory_set_data_handle(seat->in, call->in.data);
    if (rc == dnnl_success)
        rc = dnnl_memory_set_data_handle(seat->out, call->out.data);
    if (rc == dnnl_success && seat->bias) {
        args[n_args++] = (dnnl_exec_arg_t){DNNL_ARG_BIAS, seat->bias};
        rc = dnnl_memory_set_data_handle(seat->bias, (void *)(uintptr_t)bias);
    }
    if (rc == dnnl_success && seat->scratch) {
        args[n_args++] = (dnnl_exec_arg_t){DNNL_ARG_SCRATCHPAD, seat->scratch};
        rc = dnnl_memory_set_data_handle(seat->scratch, scratch);
    }
    if (rc == dnnl_success)
        rc = dnnl_primitive_execute(seat->primitive, seat->stream, n_args, args);
    return rc == dnnl_success ? dnnl_stream_wait(seat->stream) : rc;
}

void cpu_layer_run(trk_exec *x, struct cpu_layer *layer, const cpu_layer_call *call)
{
    const int is_linear = cpu_layer_is_linear(&layer->shape);
    onednn_key key = base_key(layer, x->n_threads);
    key.in_h = is_linear ? call->in.rows : call->in_h;
    key.in_w = is_linear ? 1 : call->in_w;
    key.in_stride = call->in.stride;
    key.out_stride = call->out.stride;
    key.out_type = onednn_type(call->out.dtype);
    key.act = onednn_act(call->epilogue.act);
    key.accumulate = call->epilogue.accumulate != 0;
    set_threads(x->n_threads);
    onednn_seat *seat;
    const packed_weights *first = atomic_load_explicit(&layer->weights, memory_order_acquire);
    const trk_status rc = onednn_cache_take(layer->cache, &key, first->layout, &seat);
    if (rc < 0) {
        trk_exec_fail(x, rc);
        return;
    }
    const packed_weights *weights = find_or_pack(x, layer, seat->layout);
    void *scratch = seat->scratch_bytes ? cpu_workspace_get(x, CPU_WORKSPACE_LIBRARY, seat->scratch_bytes) : NULL;
    if (weights && (scratch || !seat->scratch_bytes)) {
        const dnnl_status_t status = execute(seat, call, weights, layer->bias, scratch);
        if (status != dnnl_success)
            trk_exec_fail(x, TRK_FAIL(TRK_E_BACKEND, "oneDNN: product failed (status %d)", (int)status));
    }
    onednn_cache_give_back(layer->cache, seat);
}
