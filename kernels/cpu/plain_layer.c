/* SPDX-License-Identifier: Apache-2.0
 * Layers without oneDNN, f32 only: weights in panels of CPU_LINEAR_PANEL output columns, products by the vectorised
 * kernels. Simple rather than fast: a build with oneDNN does not contain this file. */
#include <string.h>

#include "backend_private.h"
#include "cpu.h"
#include "kernels.h"
#include "layer.h"
#include "workspace.h"

struct cpu_layer {
    trk_layer_shape shape;
    const float *bias; /* borrowed */
    float *panels;     /* owned, [ceil(n_out / PANEL), kernel^2 * n_in, PANEL]; depthwise: [kernel^2, n_out] */
    size_t bytes;
};

trk_status trk_cpu_library_create(struct cpu_library **out, int n_workers, trk_allocator *allocator)
{
    (void)allocator;
    *out = NULL; /* nothing is shared */
    return TRK_OK;
}

void trk_cpu_library_destroy(struct cpu_library **library)
{
    *library = NULL;
}

size_t trk_cpu_library_trim(struct cpu_library *library, size_t bytes)
{
    (void)library, (void)bytes;
    return 0;
}

int trk_cpu_library_has_bf16(void)
{
    return 0;
}

const char *trk_cpu_library_name(void)
{
    return "";
}

/* Input k of the unrolled window [kernel^2, n_in] reads weight [o][k % n_in][k / n_in]. */
static void pack_panels(struct cpu_layer *layer, const float *weight)
{
    const trk_layer_shape *s = &layer->shape;
    const int area = s->kernel * s->kernel;
    memset(layer->panels, 0, layer->bytes);
    for (int o = 0; o < s->n_out; o++) {
        if (s->groups > 1) {
            for (int i = 0; i < area; i++)
                layer->panels[(size_t)i * (size_t)s->n_out + (size_t)o] = weight[(size_t)o * (size_t)area + (size_t)i];
            continue;
        }
        const size_t n_in = (size_t)s->n_in * (size_t)area;
        const size_t panel = (size_t)o / CPU_LINEAR_PANEL * n_in * CPU_LINEAR_PANEL;
        for (size_t k = 0; k < n_in; k++)
            layer->panels[panel + k * CPU_LINEAR_PANEL + (size_t)o % CPU_LINEAR_PANEL] =
                weight[(size_t)o * n_in + k % (size_t)s->n_in * (size_t)area + k / (size_t)s->n_in];
    }
}

trk_status trk_cpu_layer_create(struct cpu_layer **out, trk_backend *backend, trk_allocator *allocator,
                                const trk_layer_shape *shape, const float *weight, const float *bias)
{
    (void)backend;
    *out = NULL;
    struct cpu_layer *layer = allocator->allocate(allocator, TRK_MEM_PINNED, "layer", sizeof *layer);
    if (!layer)
        return TRK_FAIL(TRK_E_MEMORY, "layer: no memory for %zu bytes", sizeof *layer);
    const size_t area = (size_t)shape->kernel * (size_t)shape->kernel;
    const size_t columns = ((size_t)shape->n_out + CPU_LINEAR_PANEL - 1) / CPU_LINEAR_PANEL * CPU_LINEAR_PANEL;
    *layer = (struct cpu_layer){.shape = *shape, .bias = bias};
    layer->bytes = area * (shape->groups > 1 ? (size_t)shape->n_out : columns * (size_t)shape->n_in) * sizeof(float);
    layer->panels = allocator->allocate(allocator, TRK_MEM_PINNED, "packed weights", layer->bytes);
    if (!layer->panels) {
        allocator->release(allocator, TRK_MEM_PINNED, layer, sizeof *layer);
        return TRK_FAIL(TRK_E_MEMORY, "packed weights: no memory for %zu bytes", layer->bytes);
    }
    pack_panels(layer, weight);
    *out = layer;
    return TRK_OK;
}

void trk_cpu_layer_release(struct cpu_layer **layer, trk_allocator *allocator)
{
    if (!*layer)
        return;
    allocator->release(allocator, TRK_MEM_PINNED, (*layer)->panels, (*layer)->bytes);
    allocator->release(allocator, TRK_MEM_PINNED, *layer, sizeof **layer);
    *layer = NULL;
}

static void run_convolution(trk_exec *x, struct cpu_layer *layer, const cpu_layer_call *call)
{
    const trk_layer_shape *s = &layer->shape;
    const int out_h = (call->in_h + 2 * s->padding - s->kernel) / s->stride + 1;
    const int out_w = (call->in_w + 2 * s->padding - s->kernel) / s->stride + 1;
    const int64_t window = (int64_t)s->kernel * s->kernel * (s->groups > 1 ? 1 : s->n_in);
    cpu_convolution_args args = {.out = call->out,
                                 .in = call->in,
                                 .shape = *s,
                                 .panels = layer->panels,
                                 .bias = layer->bias,
                                 .in_h = call->in_h,
                                 .in_w = call->in_w,
                                 .out_w = out_w,
                                 .act = call->epilogue.act,
                                 .patch_stride = s->groups > 1 ? s->n_out : window * CPU_LINEAR_ROWS};
    args.patches =
        trk_workspace_get(x, WORKSPACE_LIBRARY, (size_t)args.patch_stride * (size_t)x->n_threads * sizeof(float));
    if (args.patches)
        trk_cpu_for(x, x->backend->kernels->convolution, &args, out_h, out_w * window * s->n_out / 8);
}

void trk_cpu_layer_run(trk_exec *x, struct cpu_layer *layer, const cpu_layer_call *call)
{
    if (!trk_layer_is_linear(&layer->shape)) {
        run_convolution(x, layer, call);
        return;
    }
    const cpu_linear_args args = {.out = call->out,
                                  .in = call->in,
                                  .panels = layer->panels,
                                  .bias = layer->bias,
                                  .n_in = layer->shape.n_in,
                                  .n_out = layer->shape.n_out,
                                  .epilogue = call->epilogue};
    trk_cpu_for(x, x->backend->kernels->linear, &args, (call->in.rows + CPU_LINEAR_ROWS - 1) / CPU_LINEAR_ROWS,
                (int64_t)CPU_LINEAR_ROWS * args.n_in * args.n_out / 8);
}
