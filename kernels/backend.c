/* SPDX-License-Identifier: Apache-2.0
 * Backends: tables start from the reference, the CPU backend overrides, and a table with a hole is refused. */
#include "backend.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "backend_private.h"
#include "cpu/cpu.h"
#include "cpu/layer.h"
#include "cpu/team.h"
#include "cpu/workspace.h"
#include "ref/ref.h"

static const char *kind_name(trk_backend_kind kind)
{
    return kind == TRK_BACKEND_REF ? "ref" : "cpu";
}

static trk_status check_complete(const trk_backend *backend)
{
#define CHECK_MEMBER(name, args)                                                                                       \
    if (!backend->ops.name)                                                                                            \
        return TRK_FAIL(TRK_E_BACKEND, "backend %s: operator %s is missing", kind_name(backend->kind), #name);
    TRK_OP_LIST(CHECK_MEMBER)
#undef CHECK_MEMBER
    return TRK_OK;
}

/* ---- planning ---- */

#define NOTHING(name, args)                                                                                            \
    static void nothing_##name args                                                                                    \
    {                                                                                                                  \
    }
TRK_OP_LIST(NOTHING)
#undef NOTHING

/* The operators that obtain memory, in every backend and in the CPU backend: they look at x->planning once they have
 * it. For the others there is nothing to do. */
#define ALLOCATING_OPS(X)     X(attention) X(window_attention) X(resize_bilinear) X(fill_holes) X(frame_to_input)
#define ALLOCATING_CPU_OPS(X) X(linear) X(matmul_nt) X(conv2d)

static void fill_planning_ops(trk_backend *backend)
{
#define NO_OP(name, args) .name = nothing_##name,
    backend->planning_ops = (trk_ops){TRK_OP_LIST(NO_OP)};
#undef NO_OP
#define KEEP(name) backend->planning_ops.name = backend->ops.name;
    ALLOCATING_OPS(KEEP)
    if (backend->kind == TRK_BACKEND_CPU) {
        ALLOCATING_CPU_OPS(KEEP)
    }
#undef KEEP
}

void trk_exec_set_planning(trk_exec *x)
{
    x->planning = 1;
    x->ops = &x->backend->planning_ops;
}

int trk_backend_has_bf16(trk_backend_kind kind)
{
    return kind == TRK_BACKEND_REF || cpu_library_has_bf16();
}

/* cores this process may run on */
static int count_cores(void)
{
    cpu_set_t cores;
    return sched_getaffinity(0, sizeof cores, &cores) == 0 && CPU_COUNT(&cores) > 0 ? CPU_COUNT(&cores) : 1;
}

trk_status trk_backend_create(trk_backend **out, trk_backend_kind kind, trk_dtype activation, int n_threads,
                              trk_allocator *allocator)
{
    *out = NULL;
    if ((kind != TRK_BACKEND_REF && kind != TRK_BACKEND_CPU) || (activation != TRK_F32 && activation != TRK_BF16))
        return TRK_FAIL(TRK_E_ARGUMENT, "backend: unknown kind %d or activation type %d", (int)kind, (int)activation);
    if (n_threads < 0)
        return TRK_FAIL(TRK_E_ARGUMENT, "backend: %d threads, expected 0 (one per core) or more", n_threads);
    if (activation == TRK_BF16 && !trk_backend_has_bf16(kind))
        return TRK_FAIL(TRK_E_UNSUPPORTED, "backend %s: this machine or build has no bf16 products", kind_name(kind));
    trk_backend *backend = allocator->allocate(allocator, TRK_MEM_PINNED, "backend", sizeof *backend);
    if (!backend)
        return TRK_FAIL(TRK_E_MEMORY, "backend: no memory for %zu bytes", sizeof *backend);
    *backend = (trk_backend){.kind = kind, .activation = activation, .allocator = allocator, .ops = trk_ref_ops};
    backend->n_threads = n_threads ? n_threads : count_cores();
    trk_status rc = TRK_OK;
    if (kind == TRK_BACKEND_CPU) {
        cpu_fill_ops(&backend->ops);
        backend->kernels = cpu_kernels_best();
        TRK_CHECK(cpu_team_create(&backend->team, backend->n_threads));
        TRK_CHECK(cpu_library_create(&backend->library, backend->n_threads, allocator));
    }
    TRK_CHECK(check_complete(backend));
    fill_planning_ops(backend);
    *out = backend;
    backend = NULL;
done:
    trk_backend_destroy(&backend);
    return rc;
}

void trk_backend_destroy(trk_backend **backend)
{
    trk_backend *b = *backend;
    if (!b)
        return;
    cpu_library_destroy(&b->library);
    cpu_team_destroy(&b->team);
    b->allocator->release(b->allocator, TRK_MEM_PINNED, b, sizeof *b);
    *backend = NULL;
}

int trk_backend_threads(const trk_backend *backend)
{
    return backend->n_threads;
}

static char description[128];

static void describe(void)
{
    const char *library = cpu_library_name();
    snprintf(description, sizeof description, "cpu (%s%s%s%s), ref", library, *library ? ", " : "",
             cpu_kernels_best()->isa, cpu_library_has_bf16() ? ", bf16" : "");
}

const char *trk_backend_describe(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, describe);
    return description;
}

trk_status trk_exec_init(trk_exec *x, trk_backend *backend, trk_allocator *allocator)
{
    *x = (trk_exec){.ops = &backend->ops,
                    .backend = backend,
                    .allocator = allocator,
                    .activation = backend->activation,
                    .n_threads = backend->n_threads,
                    .status = TRK_OK};
    if (backend->kind == TRK_BACKEND_REF)
        return TRK_OK;
    struct cpu_workspace *workspace;
    const trk_status rc = cpu_workspace_create(&workspace, allocator);
    x->workspace = workspace;
    return rc;
}

void trk_exec_release(trk_exec *x)
{
    struct cpu_workspace *workspace = x->workspace;
    cpu_workspace_destroy(&workspace);
    memset(x, 0, sizeof *x);
}

_Static_assert(CPU_WORKSPACE_SLOTS <= 8, "trk_workspace_sizes has room for every slot");

void trk_exec_workspace(const trk_exec *x, trk_workspace_sizes *out)
{
    *out = (trk_workspace_sizes){{0}, 0};
    if (x->workspace)
        cpu_workspace_sizes(x->workspace, out->bytes, &out->total);
}

trk_status trk_exec_reserve(trk_exec *x, const trk_workspace_sizes *sizes)
{
    if (x->workspace)
        cpu_workspace_reserve(x, sizes->bytes);
    const trk_status status = x->status;
    x->status = TRK_OK;
    return status;
}

static trk_status prepare(void **prepared, trk_backend *backend, trk_allocator *allocator, const cpu_layer_shape *shape,
                          const float *weight, const float *bias)
{
    *prepared = NULL;
    if (shape->n_in < 1 || shape->n_out < 1 || shape->kernel < 1 || shape->stride < 1 || shape->padding < 0 || !weight)
        return TRK_FAIL(TRK_E_ARGUMENT, "layer: bad shape %d -> %d, kernel %d, stride %d, padding %d or no weights",
                        shape->n_in, shape->n_out, shape->kernel, shape->stride, shape->padding);
    if (shape->groups != 1 && (shape->groups != shape->n_in || shape->n_in != shape->n_out))
        return TRK_FAIL(TRK_E_ARGUMENT, "layer: %d groups of %d -> %d channels, expected 1 or one per channel",
                        shape->groups, shape->n_in, shape->n_out);
    if (backend->kind == TRK_BACKEND_REF)
        return TRK_OK;
    struct cpu_layer *layer;
    const trk_status rc = cpu_layer_create(&layer, backend, allocator, shape, weight, bias);
    *prepared = layer;
    return rc;
}

static void release(void **prepared, trk_allocator *allocator)
{
    struct cpu_layer *layer = *prepared;
    cpu_layer_release(&layer, allocator);
    *prepared = NULL;
}

trk_status trk_linear_prepare(trk_linear *layer, trk_backend *backend, trk_allocator *allocator)
{
    const cpu_layer_shape shape = {.n_in = layer->n_in, .n_out = layer->n_out, .kernel = 1, .stride = 1, .groups = 1};
    return prepare(&layer->prepared, backend, allocator, &shape, layer->weight, layer->bias);
}

void trk_linear_release(trk_linear *layer, trk_backend *backend, trk_allocator *allocator)
{
    (void)backend;
    release(&layer->prepared, allocator);
}

trk_status trk_conv_prepare(trk_conv *layer, trk_backend *backend, trk_allocator *allocator)
{
    const cpu_layer_shape shape = {.n_in = layer->in_channels,
                                   .n_out = layer->out_channels,
                                   .kernel = layer->kernel,
                                   .stride = layer->stride,
                                   .padding = layer->padding,
                                   .groups = layer->groups};
    return prepare(&layer->prepared, backend, allocator, &shape, layer->weight, layer->bias);
}

void trk_conv_release(trk_conv *layer, trk_backend *backend, trk_allocator *allocator)
{
    (void)backend;
    release(&layer->prepared, allocator);
}

trk_dtype trk_backend_activation(const trk_backend *backend)
{
    return backend->activation;
}
