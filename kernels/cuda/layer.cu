/* SPDX-License-Identifier: Apache-2.0
 * Layers on the device: weights are packed on the host for the kernels that use them (struct cuda_layer) and sent over
 * once. */
#include <string.h>

#include "bf16.h"
#include "heap.h"
#include "library.cuh"
#include "product.cuh"

/* A convolution of less factors is computed directly: unrolled rows would be mostly padding and traffic, and the
 * product of so short rows has nothing to keep tensor cores busy with. */
#define DIRECT_FACTORS 64
/* All weights of a direct convolution are in shared memory, of which every card has 48 KiB for a block. */
#define DIRECT_BYTES (32 * 1024)

static int is_depthwise(const trk_layer_shape *s)
{
    return s->groups > 1;
}

static enum cuda_layer_form form_of(const trk_layer_shape *s, int k)
{
    if (is_depthwise(s))
        return LAYER_DIRECT;
    const size_t bytes = (size_t)k * (size_t)product_padded(s->n_out, 4) * sizeof(float);
    return !trk_layer_is_linear(s) && k < DIRECT_FACTORS && bytes <= DIRECT_BYTES ? LAYER_DIRECT : LAYER_PRODUCT;
}

static size_t weight_bytes(const struct cuda_layer *layer)
{
    if (layer->form == LAYER_DIRECT)
        return (size_t)layer->k * (size_t)layer->n_out_padded * sizeof(float);
    return (size_t)layer->shape.n_out * (size_t)layer->k_padded * trk_dtype_bytes(layer->dtype);
}

/* `packed` is zeroed; weight [n_out, channels, kernel, kernel] */
static void pack(const struct cuda_layer *layer, void *packed, const float *weight)
{
    const size_t k = (size_t)layer->k, area = (size_t)layer->shape.kernel * (size_t)layer->shape.kernel;
    const size_t channels = k / area;
    for (size_t o = 0; o < (size_t)layer->shape.n_out; o++)
        for (size_t i = 0; i < k; i++) {
            const float w = weight[o * k + i % channels * area + i / channels];
            const uint16_t rounded = trk_f32_to_bf16(w);
            const size_t at = o * (size_t)layer->k_padded + i;
            if (layer->form == LAYER_DIRECT)
                static_cast<float *>(packed)[i * (size_t)layer->n_out_padded + o] =
                    layer->dtype == TRK_BF16 ? trk_bf16_to_f32(rounded) : w;
            else if (layer->dtype == TRK_BF16)
                static_cast<uint16_t *>(packed)[at] = rounded;
            else
                static_cast<float *>(packed)[at] = w;
        }
}

/* Packs on the host and sends. */
static trk_status fill(struct cuda_layer *layer, int device, const float *weight, const float *bias)
{
    char *packed = static_cast<char *>(trk_heap_zeroed(TRK_MEM_SCRATCH, "packed weights", 1, layer->bytes));
    if (!packed)
        return TRK_FAIL(TRK_E_MEMORY, "packed weights: no memory for %zu bytes", layer->bytes);
    const size_t bias_at = trk_aligned(weight_bytes(layer));
    pack(layer, packed, weight);
    if (bias) {
        memcpy(packed + bias_at, bias, (size_t)layer->shape.n_out * sizeof *bias);
        layer->bias = reinterpret_cast<const float *>(static_cast<char *>(layer->weight) + bias_at);
    }
    trk_status rc = trk_cuda_write(device, layer->weight, packed, layer->bytes);
    trk_heap_release(packed);
    return rc;
}

static void describe(struct cuda_layer *layer, trk_dtype dtype, const trk_layer_shape *shape, int with_bias)
{
    layer->shape = *shape;
    layer->dtype = dtype;
    layer->k = shape->n_in / shape->groups * shape->kernel * shape->kernel;
    layer->k_padded = product_padded(layer->k, PRODUCT_PAD);
    layer->n_out_padded = product_padded(shape->n_out, 4);
    layer->form = form_of(shape, layer->k);
    layer->bytes = trk_aligned(weight_bytes(layer)) + (with_bias ? (size_t)shape->n_out * sizeof(float) : 0);
}

trk_status cuda_layer_create(void **out, trk_backend *backend, trk_allocator *allocator, const trk_layer_shape *shape,
                             const float *weight, const float *bias)
{
    *out = NULL;
    struct cuda_layer *layer =
        static_cast<struct cuda_layer *>(trk_heap_zeroed(TRK_MEM_PINNED, "cuda layer", 1, sizeof *layer));
    if (!layer)
        return TRK_FAIL(TRK_E_MEMORY, "layer: no memory for %zu bytes", sizeof *layer);
    describe(layer, backend->activation, shape, bias != NULL);
    trk_status rc = TRK_OK;
    layer->weight = allocator->allocate(allocator, TRK_MEM_PINNED, "packed weights", layer->bytes);
    if (layer->weight)
        rc = fill(layer, backend->device, weight, bias);
    else
        rc = TRK_FAIL(TRK_E_MEMORY, "packed weights: no memory for %zu bytes", layer->bytes);
    void *handle = layer;
    if (rc < 0)
        cuda_layer_release(&handle, allocator);
    *out = handle;
    return rc;
}

void cuda_layer_release(void **handle, trk_allocator *allocator)
{
    struct cuda_layer *layer = static_cast<struct cuda_layer *>(*handle);
    if (!layer)
        return;
    allocator->release(allocator, TRK_MEM_PINNED, layer->weight, layer->bytes);
    trk_heap_release(layer);
    *handle = NULL;
}
