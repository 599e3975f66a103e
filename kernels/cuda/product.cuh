/* SPDX-License-Identifier: Apache-2.0
 * Layers on the device and the product that they run on: what layer.cu, product.cu and conv.cu share. */
#ifndef TRK_KERNELS_CUDA_PRODUCT_CUH
#define TRK_KERNELS_CUDA_PRODUCT_CUH

#include "launch.cuh"

/* Rows of factors are padded with zeros to a multiple of this, so that each starts on 16 bytes in either type. */
#define PRODUCT_PAD 8

enum cuda_layer_form {
    LAYER_PRODUCT, /* weight [n_out, k_padded] of `dtype`, for cuda_product */
    LAYER_DIRECT,  /* weight [k, n_out_padded] f32 (rounded to bf16 on a bf16 backend), for the kernels of conv.cu */
};

/* One layer's packed weights; immutable. The k factors of an output are in the order (window row, window column,
 * channel of the group). */
struct cuda_layer {
    trk_layer_shape shape;
    enum cuda_layer_form form;
    trk_dtype dtype;   /* the backend's activation type */
    int k, k_padded;   /* factors of one output; padded to PRODUCT_PAD */
    int n_out_padded;  /* to 4, in the direct form */
    void *weight;      /* on the device, with the bias behind it; owned */
    const float *bias; /* [n_out], 64-byte aligned; NULL for none */
    size_t bytes;
};

static inline int product_padded(int n, int multiple)
{
    return (n + multiple - 1) / multiple * multiple;
}

/* out [n, n_out] = act(in [n, k] W^T + bias) (+ out). in has layer->k columns, or k_padded of which those beyond k are
 * finite (they meet zeros). Uses the workspace's slots LIBRARY, OUTPUT and INPUT; the last one not if `in` has k_padded
 * columns, the backend's type and rows that start on 16 bytes. When planning, it only obtains them. */
void cuda_product(trk_exec *x, trk_mat out, trk_mat in, const struct cuda_layer *layer, trk_epilogue epilogue);

#endif
