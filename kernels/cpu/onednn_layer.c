/* SPDX-License-Identifier: Apache-2.0
 * Layers on oneDNN: weights are packed once into the layout the library prefers for a map of usual size. A shape that
 * wants another layout gets a second copy the first time it is met. */
#include <omp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "backend_private.h"
#include "cpu.h"
#include "layer.h"
#include "onednn_cache.h"
#include "workspace.h"

/* Rows of a linear layer that one worker takes at a time: inputs and outputs stay in the second-level cache. */
#define STRIP_ROWS 1024

/* Strips a product is cut into at least, so that as many threads have work. */
#define SHARES 8

/* What weights are packed for: rows of a linear layer, side of the map a convolution reads. */
#define USUAL_ROWS STRIP_ROWS
#define USUAL_SIDE 64

/* Multiply-adds below which a product stays on one thread: ten to twenty microseconds, where waking others, and waiting
 * for them on a busy machine, costs more than they save. */
#define SERIAL_PRODUCTS (1 << 20)

typedef struct packed_weights {
    const onednn_layout *layout;
    dnnl_memory_t memory; /* on data */
    void *data;           /* owned */
    size_t bytes;
    struct packed_weights *next;
} packed_weights;

struct cpu_layer {
    trk_layer_shape shape;
    const float *weight, *bias; /* borrowed */
    trk_dtype dtype;            /* of the packed weights and the inputs */
    trk_allocator *allocator;   /* borrowed */
    struct cpu_library *cache;  /* borrowed */
    const onednn_layout *usual; /* of the weights for the usual input: asked for first for all others, so that what
                                   they run as does not depend on which came before */
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
    case TRK_ACT_GELU:
        return dnnl_eltwise_gelu_erf;
    case TRK_ACT_SIGMOID:
        return dnnl_eltwise_logistic;
    case TRK_ACT_RELU: /* theirs makes 0 of NaN: relu_in_place follows the product */
    case TRK_ACT_NONE:
        break;
    }
    return dnnl_alg_kind_undef;
}

/* Of dense rows; NaN stays. */
static void relu_in_place(trk_mat m)
{
    const int64_t n = (int64_t)m.rows * m.cols;
    if (m.dtype == TRK_F32) {
        float *v = m.data;
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            v[i] = v[i] < 0 ? 0 : v[i];
        return;
    }
    uint16_t *v = m.data;
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        v[i] = v[i] >= 0x8000 && v[i] <= 0xff80 ? 0 : v[i]; /* -0 to -infinity */
}

/* Primitives are made for and run by one thread: the work is divided here, over the backend's own team. oneDNN asks
 * OpenMP how many threads the calling one may use; that is one while this is in force. */
static int enter_single_thread(void)
{
    const int before = omp_get_max_threads();
    if (before != 1)
        omp_set_num_threads(1);
    return before;
}

static void leave_single_thread(int before)
{
    if (before != 1)
        omp_set_num_threads(before);
}

static onednn_key base_key(const struct cpu_layer *layer)
{
    const trk_layer_shape *s = &layer->shape;
    return (onednn_key){.n_in = s->n_in,
                        .n_out = s->n_out,
                        .kernel = s->kernel,
                        .stride = s->stride,
                        .padding = s->padding,
                        .groups = s->groups,
                        .pad_top = s->padding,
                        .pad_bottom = s->padding,
                        .in_type = onednn_type(layer->dtype),
                        .out_type = dnnl_f32,
                        .act = dnnl_alg_kind_undef,
                        .has_bias = layer->bias != NULL};
}

/* The weights as the checkpoint stores them. */
static dnnl_status_t plain_weights(const trk_layer_shape *s, onednn_desc *out)
{
    const dnnl_dim_t k = s->kernel, area = k * k;
    const dnnl_dim_t linear[] = {s->n_in, s->n_out}, linear_strides[] = {1, s->n_in};
    const dnnl_dim_t dense[] = {s->n_out, s->n_in, k, k}, dense_strides[] = {s->n_in * area, area, k, 1};
    const dnnl_dim_t depthwise[] = {s->n_out, 1, 1, k, k}, depthwise_strides[] = {area, area, area, k, 1};
    if (trk_layer_is_linear(s))
        return trk_onednn_desc_init(out, 2, linear, dnnl_f32, linear_strides);
    return s->groups > 1 ? trk_onednn_desc_init(out, 5, depthwise, dnnl_f32, depthwise_strides)
                         : trk_onednn_desc_init(out, 4, dense, dnnl_f32, dense_strides);
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
    const size_t bytes = trk_onednn_desc_bytes(&layout->desc);
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
    dnnl_engine_t engine = trk_onednn_cache_engine(layer->cache);
    dnnl_status_t rc = plain_weights(&layer->shape, &plain);
    if (rc == dnnl_success)
        rc = trk_onednn_memory_create(&p->memory, &layout->desc, engine, p->data);
    if (rc == dnnl_success) /* oneDNN takes inputs as void *, too */
        rc = trk_onednn_reorder(engine, &plain, (void *)(uintptr_t)layer->weight, p->memory, &layout->desc);
    trk_onednn_desc_release(&plain);
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

trk_status trk_cpu_layer_create(struct cpu_layer **out, trk_backend *backend, trk_allocator *allocator,
                                const trk_layer_shape *shape, const float *weight, const float *bias)
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
    const int threads_before = enter_single_thread();
    onednn_key key = base_key(layer);
    key.in_h = trk_layer_is_linear(shape) ? USUAL_ROWS : USUAL_SIDE;
    key.in_w = trk_layer_is_linear(shape) ? 1 : USUAL_SIDE;
    trk_status rc = TRK_OK;
    TRK_CHECK(trk_onednn_cache_layout(layer->cache, &key, &layer->usual));
    TRK_CHECK(pack(layer, layer->usual));
    *out = layer;
    layer = NULL;
done:
    leave_single_thread(threads_before);
    trk_cpu_layer_release(&layer, allocator);
    return rc;
}

void trk_cpu_layer_release(struct cpu_layer **layer, trk_allocator *allocator)
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
static dnnl_status_t execute(onednn_seat *seat, const packed_weights *weights, const float *bias, void *in, void *out,
                             void *scratch)
{
    dnnl_exec_arg_t args[5] = {
        {DNNL_ARG_SRC, seat->in}, {DNNL_ARG_DST, seat->out}, {DNNL_ARG_WEIGHTS, weights->memory}};
    int n_args = 3;
    dnnl_status_t rc = dnnl_memory_set_data_handle(seat->in, in);
    if (rc == dnnl_success)
        rc = dnnl_memory_set_data_handle(seat->out, out);
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

/* ---- strips ---- */

/* A call is cut into strips of output rows (of a linear layer) or map rows (of a convolution), any of which one worker
 * computes alone. Strips are few shapes, so few primitives: all alike, but for the first and last of a padded map and a
 * shorter last one. */
typedef struct strip_run {
    trk_exec *x;
    struct cpu_layer *layer;
    const cpu_layer_call *call;
    int is_linear, n_units, strip_units, n_strips; /* unit: an output row, or a map row of the output */
    char *scratch;                                 /* [workers, scratch_bytes] */
    size_t scratch_bytes;
    atomic_int next;   /* first strip nobody has taken */
    atomic_int failed; /* first dnnl_status_t or trk_status that is not success */
} strip_run;

typedef struct strip {
    onednn_key key;
    void *in;
    trk_mat out;
} strip;

/* NULL for a matrix without data, which an exec that plans may be given. */
static char *row_data(trk_mat m, int64_t row)
{
    if (!m.data)
        return NULL;
    return (char *)m.data + row * m.stride * (int64_t)trk_dtype_bytes(m.dtype);
}

static strip strip_at(const strip_run *run, int index)
{
    const trk_layer_shape *s = &run->layer->shape;
    const cpu_layer_call *call = run->call;
    const int64_t begin = (int64_t)index * run->strip_units;
    const int64_t end = begin + run->strip_units < run->n_units ? begin + run->strip_units : run->n_units;
    const int64_t unit_rows = call->out.rows / run->n_units;
    strip out = {.key = base_key(run->layer), .out = call->out};
    out.out.data = row_data(call->out, begin * unit_rows);
    out.out.rows = (int)((end - begin) * unit_rows);
    out.key.out_type = onednn_type(call->out.dtype);
    out.key.act = onednn_act(call->epilogue.act);
    out.key.accumulate = call->epilogue.accumulate != 0;
    if (run->is_linear) {
        out.key.in_h = end - begin;
        out.key.in_w = 1;
        out.in = row_data(call->in, begin);
        return out;
    }
    const int64_t top = begin * s->stride - s->padding, bottom = (end - 1) * s->stride - s->padding + s->kernel;
    const int64_t first = top > 0 ? top : 0, last = bottom < call->in_h ? bottom : call->in_h;
    out.key.pad_top = first - top;
    out.key.pad_bottom = bottom - last;
    out.key.in_h = last - first;
    out.key.in_w = call->in_w;
    out.in = row_data(call->in, first * call->in_w);
    return out;
}

static onednn_seat *take_seat(struct cpu_layer *layer, const onednn_key *key, trk_status *rc)
{
    onednn_seat *seat = NULL;
    *rc = trk_onednn_cache_take(layer->cache, key, layer->usual, &seat);
    return *rc < 0 ? NULL : seat;
}

/* Makes sure that the primitive and the weights for a strip exist, and that the scratch memory will do. */
static int ready_strip(strip_run *run, int index)
{
    trk_status rc;
    const strip s = strip_at(run, index);
    onednn_seat *seat = take_seat(run->layer, &s.key, &rc);
    if (!seat) {
        trk_exec_fail(run->x, rc);
        return 0;
    }
    const int has_weights = find_or_pack(run->x, run->layer, seat->layout) != NULL;
    if (seat->scratch_bytes > run->scratch_bytes)
        run->scratch_bytes = trk_aligned(seat->scratch_bytes);
    trk_onednn_cache_give_back(run->layer->cache, seat);
    return has_weights;
}

static void run_strips(void *context, int worker, int n_workers)
{
    (void)n_workers;
    strip_run *run = context;
    const int threads_before = enter_single_thread();
    for (;;) {
        const int index = atomic_fetch_add_explicit(&run->next, 1, memory_order_relaxed);
        if (index >= run->n_strips)
            break;
        trk_status rc;
        const strip s = strip_at(run, index);
        onednn_seat *seat = take_seat(run->layer, &s.key, &rc);
        int status = rc;
        if (seat) {
            /* both are there since ready_strip, unless the cache made the primitive anew in between */
            const packed_weights *weights = find_packed(run->layer, seat->layout);
            status = !weights || seat->scratch_bytes > run->scratch_bytes
                         ? (int)dnnl_runtime_error
                         : (int)execute(seat, weights, run->layer->bias, s.in, s.out.data,
                                        run->scratch + run->scratch_bytes * (size_t)worker);
            trk_onednn_cache_give_back(run->layer->cache, seat);
            if (status == 0 && run->call->epilogue.act == TRK_ACT_RELU)
                relu_in_place(s.out);
        }
        int none = 0;
        if (status != 0)
            atomic_compare_exchange_strong(&run->failed, &none, status);
    }
    leave_single_thread(threads_before);
}

/* Units of a strip. It must not depend on the number of threads: the library may add up the rows of a strip's tail in
 * another order than the others (its AVX2 products do), and results are to be the same bits with any number. */
static int strip_units(const strip_run *run, int several)
{
    const int most = run->is_linear ? STRIP_ROWS : run->n_units;
    int pieces = (run->n_units + most - 1) / most;
    if (several && pieces < SHARES)
        pieces = SHARES;
    const int multiple = run->is_linear && several ? 16 : 1;
    return ((run->n_units + pieces - 1) / pieces + multiple - 1) / multiple * multiple;
}

void trk_cpu_layer_run(trk_exec *x, struct cpu_layer *layer, const cpu_layer_call *call)
{
    const trk_layer_shape *s = &layer->shape;
    const int64_t products = (int64_t)call->out.rows * s->n_out * s->n_in / s->groups * s->kernel * s->kernel;
    const int n_threads = products < SERIAL_PRODUCTS ? 1 : x->n_threads;
    strip_run run = {.x = x, .layer = layer, .call = call, .is_linear = trk_layer_is_linear(s)};
    run.n_units = run.is_linear ? call->out.rows : (call->in_h + 2 * s->padding - s->kernel) / s->stride + 1;
    run.strip_units = strip_units(&run, products >= SERIAL_PRODUCTS);
    run.n_strips = (run.n_units + run.strip_units - 1) / run.strip_units;

    const int threads_before = enter_single_thread();
    int ready = ready_strip(&run, 0) && ready_strip(&run, run.n_strips - 1);
    for (int i = 1; ready && !run.is_linear && i < run.n_strips - 1; i++)
        ready = ready_strip(&run, i);
    leave_single_thread(threads_before);
    if (ready && run.scratch_bytes) {
        run.scratch = trk_workspace_get(x, WORKSPACE_LIBRARY, run.scratch_bytes * (size_t)n_threads);
        ready = run.scratch != NULL;
    }
    if (!ready)
        return;
    trk_cpu_run(x, n_threads > 1 ? run.n_strips : 1, run_strips, &run);
    const int status = atomic_load(&run.failed);
    if (status < 0) /* a trk_status: the worker's text is its own thread's */
        trk_exec_fail(x, TRK_FAIL((trk_status)status, "oneDNN: no arguments for a product of %d -> %d channels",
                                  s->n_in, s->n_out));
    else if (status > 0)
        trk_exec_fail(x, TRK_FAIL(TRK_E_BACKEND, "oneDNN: product failed (status %d)", status));
}
