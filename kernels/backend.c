/* SPDX-License-Identifier: Apache-2.0
 * Backends: tables start from the reference, the driver of a kind overrides, and a table with a hole is refused. */
#include "backend.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "backend_private.h"
#include "cpu/cpu.h"
#include "cpu/layer.h"
#include "cuda/cuda.h"
#include "heap.h"
#include "machine.h"
#include "ref/ref.h"
#include "tokens.h"
#include "workspace.h"

static const trk_backend_driver *driver_of(trk_backend_kind kind)
{
    static const trk_backend_driver *const drivers[] = {
        [TRK_BACKEND_REF] = &trk_ref_driver, [TRK_BACKEND_CPU] = &trk_cpu_driver, [TRK_BACKEND_CUDA] = &trk_cuda_driver};
    return (unsigned)kind < sizeof drivers / sizeof *drivers ? drivers[kind] : NULL;
}

static const char *backend_name(const trk_backend *backend)
{
    return backend->driver->name;
}

static trk_status check_complete(const trk_backend *backend)
{
#define CHECK_MEMBER(name, args)                                                                                       \
    if (!backend->ops.name)                                                                                            \
        return TRK_FAIL(TRK_E_BACKEND, "backend %s: operator %s is missing", backend_name(backend), #name);
    TRK_OP_LIST(CHECK_MEMBER)
#undef CHECK_MEMBER
    return TRK_OK;
}

/* ---- planning: operators that obtain no memory have nothing to do ---- */

#define NOTHING(name, args)                                                                                            \
    static void nothing_##name args                                                                                    \
    {                                                                                                                  \
    }
TRK_OP_LIST(NOTHING)
#undef NOTHING

#define NO_OP(name, args) .name = nothing_##name,
static const trk_ops nothing_ops = {TRK_OP_LIST(NO_OP)};
#undef NO_OP

void trk_exec_set_planning(trk_exec *x)
{
    x->planning = 1;
    x->ops = &x->backend->planning_ops;
}

static void plan_tokens(trk_ops *planned)
{
    planned->gather_tokens = trk_gather_tokens;
    planned->token_keys = trk_token_keys;
    planned->attend_tokens = trk_attend_tokens;
}

/* ---- the reference ---- */

static trk_status check_always(int device)
{
    return TRK_OK;
}

static int always(void)
{
    return 1;
}

static trk_status open_ref(trk_backend *backend)
{
    plan_tokens(&backend->planning_ops);
    backend->planning_ops.attention = trk_attention_ref;
    backend->planning_ops.window_attention = trk_window_attention_ref;
    backend->planning_ops.resize_bilinear = trk_resize_bilinear_ref;
    backend->planning_ops.fill_holes = trk_fill_holes_ref;
    backend->planning_ops.frame_to_input = trk_frame_to_input_ref;
    return TRK_OK;
}

static void close_nothing(trk_backend *backend)
{
}

static trk_status open_no_exec(trk_exec *x)
{
    return TRK_OK;
}

static void nothing_to_do(trk_exec *x)
{
}

static int stage_was_run(trk_exec *x)
{
    return 1;
}

static uint64_t no_replays(const trk_exec *x)
{
    return 0;
}

static trk_status create_no_layer(void **out, trk_backend *backend, trk_allocator *allocator,
                                  const trk_layer_shape *shape, const float *weight, const float *bias)
{
    return TRK_OK;
}

static void release_no_layer(void **layer, trk_allocator *allocator)
{
}

const trk_backend_driver trk_ref_driver = {
    .name = "ref",
    .on_host = 1,
    .check = check_always,
    .has_bf16 = always,
    .open = open_ref,
    .close = close_nothing,
    .exec_open = open_no_exec,
    .exec_close = nothing_to_do,
    .finish = nothing_to_do,
    .follow = nothing_to_do,
    .stage_begin = nothing_to_do,
    .stage_end = stage_was_run,
    .replays = no_replays,
    .layer_create = create_no_layer,
    .layer_release = release_no_layer,
};

/* ---- the CPU ---- */

static trk_status open_cpu(trk_backend *backend)
{
    trk_status rc = TRK_OK;
    trk_cpu_fill_ops(&backend->ops);
    trk_ops *planned = &backend->planning_ops;
    plan_tokens(planned);
#define KEEP(name) planned->name = backend->ops.name
    KEEP(attention);
    KEEP(window_attention);
    KEEP(resize_bilinear);
    KEEP(fill_holes);
    KEEP(frame_to_input);
    KEEP(linear);
    KEEP(matmul_nt);
    KEEP(conv2d);
    KEEP(paint);
#undef KEEP
    backend->kernels = trk_cpu_kernels_best();
    TRK_CHECK(trk_cpu_team_create(&backend->team, &backend->n_threads, backend->least_threads));
    TRK_CHECK(trk_cpu_library_create(&backend->library, backend->n_threads, backend->allocator));
done:
    return rc;
}

static void close_cpu(trk_backend *backend)
{
    trk_cpu_library_destroy(&backend->library);
    trk_cpu_team_destroy(&backend->team);
}

static trk_status open_cpu_exec(trk_exec *x)
{
    return trk_workspace_create(&x->workspace, x->allocator);
}

static void close_cpu_exec(trk_exec *x)
{
    trk_workspace_destroy(&x->workspace);
}

static trk_status create_cpu_layer(void **out, trk_backend *backend, trk_allocator *allocator,
                                   const trk_layer_shape *shape, const float *weight, const float *bias)
{
    struct cpu_layer *layer;
    const trk_status rc = trk_cpu_layer_create(&layer, backend, allocator, shape, weight, bias);
    *out = layer;
    return rc;
}

static void release_cpu_layer(void **handle, trk_allocator *allocator)
{
    struct cpu_layer *layer = *handle;
    trk_cpu_layer_release(&layer, allocator);
    *handle = NULL;
}

const trk_backend_driver trk_cpu_driver = {
    .name = "cpu",
    .on_host = 1,
    .check = check_always,
    .has_bf16 = trk_cpu_library_has_bf16,
    .open = open_cpu,
    .close = close_cpu,
    .exec_open = open_cpu_exec,
    .exec_close = close_cpu_exec,
    .finish = nothing_to_do,
    .follow = nothing_to_do,
    .stage_begin = nothing_to_do,
    .stage_end = stage_was_run,
    .replays = no_replays,
    .layer_create = create_cpu_layer,
    .layer_release = release_cpu_layer,
};

/* ---- backends ---- */

enum { MOST_THREADS = 1024 };

static int usual_threads(void)
{
    const int cores = trk_machine_cores(&trk_this_machine);
    return cores < MOST_THREADS ? cores : MOST_THREADS;
}

int trk_backend_has_bf16(trk_backend_kind kind)
{
    return driver_of(kind)->has_bf16();
}

trk_status trk_backend_check(trk_backend_kind kind, int device)
{
    return driver_of(kind)->check(device);
}

static trk_status check_params(const trk_backend_params *p, const trk_backend_driver *driver)
{
    if (!driver || (p->activation != TRK_F32 && p->activation != TRK_BF16))
        return TRK_FAIL(TRK_E_ARGUMENT, "backend: unknown kind %d or activation type %d", (int)p->kind,
                        (int)p->activation);
    if (p->n_threads < 0 || p->n_threads > MOST_THREADS)
        return TRK_FAIL(TRK_E_ARGUMENT, "backend: %d threads, expected 1 to %d, or 0 (one per core)", p->n_threads,
                        MOST_THREADS);
    trk_status rc = driver->check(p->device);
    if (rc >= 0 && p->activation == TRK_BF16 && !driver->has_bf16())
        rc = TRK_FAIL(TRK_E_UNSUPPORTED, "backend %s: this machine or build has no bf16 products", driver->name);
    return rc;
}

trk_status trk_backend_create(trk_backend **out, const trk_backend_params *params, trk_allocator *allocator)
{
    const trk_backend_driver *driver = driver_of(params->kind);
    *out = NULL;
    trk_status rc = check_params(params, driver);
    if (rc < 0)
        return rc;
    trk_backend *backend = trk_heap_zeroed(TRK_MEM_PINNED, "backend", 1, sizeof *backend);
    if (!backend)
        return TRK_FAIL(TRK_E_MEMORY, "backend: no memory for %zu bytes", sizeof *backend);
    *backend = (trk_backend){.driver = driver,
                             .kind = params->kind,
                             .activation = params->activation,
                             .n_threads = params->n_threads ? params->n_threads : usual_threads(),
                             .least_threads = params->n_threads ? params->n_threads : 1,
                             .device = params->device,
                             .allocator = allocator,
                             .ops = trk_ref_ops,
                             .planning_ops = nothing_ops};
    TRK_CHECK(driver->open(backend));
    TRK_CHECK(check_complete(backend));
    *out = backend;
    backend = NULL;
done:
    trk_backend_destroy(&backend);
    return rc;
}

void trk_backend_destroy(trk_backend **backend)
{
    if (!*backend)
        return;
    (*backend)->driver->close(*backend);
    trk_heap_release(*backend);
    *backend = NULL;
}

int trk_backend_threads(const trk_backend *backend)
{
    return backend->n_threads;
}

size_t trk_backend_trim(trk_backend *backend, size_t bytes)
{
    return trk_cpu_library_trim(backend->library, bytes);
}

int trk_backend_on_host(const trk_backend *backend)
{
    return backend->driver->on_host;
}

trk_dtype trk_backend_activation(const trk_backend *backend)
{
    return backend->activation;
}

static char description[192];

static void describe(void)
{
    const char *library = trk_cpu_library_name(), *cuda = trk_cuda_describe();
    snprintf(description, sizeof description, "%s%scpu (%s%s%s%s), ref", cuda, *cuda ? ", " : "", library,
             *library ? ", " : "", trk_cpu_kernels_best()->isa, trk_cpu_library_has_bf16() ? ", bf16" : "");
}

const char *trk_backend_describe(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, describe);
    return description;
}

/* ---- execs ---- */

trk_status trk_exec_init(trk_exec *x, trk_backend *backend, trk_allocator *allocator)
{
    *x = (trk_exec){.ops = &backend->ops,
                    .backend = backend,
                    .allocator = allocator,
                    .activation = backend->activation,
                    .n_threads = backend->n_threads,
                    .status = TRK_OK};
    return backend->driver->exec_open(x);
}

void trk_exec_release(trk_exec *x)
{
    if (x->backend)
        x->backend->driver->exec_close(x);
    memset(x, 0, sizeof *x);
}

trk_status trk_exec_finish(trk_exec *x)
{
    x->backend->driver->finish(x);
    return x->status;
}

void trk_exec_stage_begin(trk_exec *x)
{
    x->backend->driver->stage_begin(x);
}

int trk_exec_stage_end(trk_exec *x)
{
    return x->backend->driver->stage_end(x);
}

uint64_t trk_exec_replays(const trk_exec *x)
{
    return x->backend->driver->replays(x);
}

void trk_exec_follow(trk_exec *x)
{
    x->backend->driver->follow(x);
}

_Static_assert(WORKSPACE_SLOTS <= 8, "trk_workspace_sizes has room for every slot");

void trk_exec_workspace(const trk_exec *x, trk_workspace_sizes *out)
{
    *out = (trk_workspace_sizes){{0}, 0};
    if (x->workspace)
        trk_workspace_measure(x->workspace, out->bytes, &out->total);
}

void trk_workspace_enlarge(trk_workspace_sizes *to, const trk_workspace_sizes *by)
{
    for (size_t i = 0; i < sizeof to->bytes / sizeof *to->bytes; i++) {
        const size_t more = by->bytes[i] > to->bytes[i] ? by->bytes[i] - to->bytes[i] : 0;
        to->bytes[i] += more;
        to->total += more;
    }
}

int trk_workspace_is_within(const trk_workspace_sizes *has, const trk_workspace_sizes *planned)
{
    int within = 1;
    for (size_t i = 0; i < sizeof has->bytes / sizeof *has->bytes; i++)
        within &= has->bytes[i] <= planned->bytes[i];
    return within;
}

trk_status trk_exec_reserve(trk_exec *x, const trk_workspace_sizes *sizes)
{
    if (x->workspace)
        trk_workspace_reserve(x, sizes->bytes);
    const trk_status status = x->status;
    x->status = TRK_OK;
    return status;
}

/* ---- layers ---- */

static trk_status prepare(void **prepared, trk_backend *backend, trk_allocator *allocator, const trk_layer_shape *shape,
                          const float *weight, const float *bias)
{
    *prepared = NULL;
    if (shape->n_in < 1 || shape->n_out < 1 || shape->kernel < 1 || shape->stride < 1 || shape->padding < 0 || !weight)
        return TRK_FAIL(TRK_E_ARGUMENT, "layer: bad shape %d -> %d, kernel %d, stride %d, padding %d or no weights",
                        shape->n_in, shape->n_out, shape->kernel, shape->stride, shape->padding);
    if (shape->groups != 1 && (shape->groups != shape->n_in || shape->n_in != shape->n_out))
        return TRK_FAIL(TRK_E_ARGUMENT, "layer: %d groups of %d -> %d channels, expected 1 or one per channel",
                        shape->groups, shape->n_in, shape->n_out);
    return backend->driver->layer_create(prepared, backend, allocator, shape, weight, bias);
}

trk_status trk_linear_prepare(trk_linear *layer, trk_backend *backend, trk_allocator *allocator)
{
    const trk_layer_shape shape = {.n_in = layer->n_in, .n_out = layer->n_out, .kernel = 1, .stride = 1, .groups = 1};
    return prepare(&layer->prepared, backend, allocator, &shape, layer->weight, layer->bias);
}

void trk_linear_release(trk_linear *layer, trk_backend *backend, trk_allocator *allocator)
{
    backend->driver->layer_release(&layer->prepared, allocator);
}

trk_status trk_conv_prepare(trk_conv *layer, trk_backend *backend, trk_allocator *allocator)
{
    const trk_layer_shape shape = {.n_in = layer->in_channels,
                                   .n_out = layer->out_channels,
                                   .kernel = layer->kernel,
                                   .stride = layer->stride,
                                   .padding = layer->padding,
                                   .groups = layer->groups};
    return prepare(&layer->prepared, backend, allocator, &shape, layer->weight, layer->bias);
}

void trk_conv_release(trk_conv *layer, trk_backend *backend, trk_allocator *allocator)
{
    backend->driver->layer_release(&layer->prepared, allocator);
}
