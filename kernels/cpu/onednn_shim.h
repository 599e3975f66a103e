/* SPDX-License-Identifier: Apache-2.0
 * The few oneDNN calls this project makes, the same for the C interfaces of versions 2 and 3: in 2 memory descriptors
 * are structs and operations have descriptors of their own, in 3 both are handles. */
#ifndef TRK_KERNELS_CPU_ONEDNN_SHIM_H
#define TRK_KERNELS_CPU_ONEDNN_SHIM_H

#include <oneapi/dnnl/dnnl.h>

/* A memory descriptor of ours: release it once; a zeroed one may be released. */
typedef struct onednn_desc {
    dnnl_memory_desc_t md;
} onednn_desc;

/* strides NULL: any layout, the library chooses */
dnnl_status_t trk_onednn_desc_init(onednn_desc *out, int n_dims, const dnnl_dim_t *dims, dnnl_data_type_t type,
                                   const dnnl_dim_t *strides);
dnnl_status_t trk_onednn_desc_query(onednn_desc *out, const_dnnl_primitive_desc_t primitive, dnnl_query_t what);
void trk_onednn_desc_release(onednn_desc *desc);
int trk_onednn_desc_equal(const onednn_desc *a, const onednn_desc *b);
size_t trk_onednn_desc_bytes(const onednn_desc *desc);

dnnl_status_t trk_onednn_memory_create(dnnl_memory_t *out, const onednn_desc *desc, dnnl_engine_t engine, void *data);

/* act: dnnl_alg_kind_undef for none; sum: add to the destination, after act. Scratch memory is the user's. */
dnnl_status_t trk_onednn_attr_create(dnnl_primitive_attr_t *out, dnnl_alg_kind_t act, int sum);

/* bias NULL: none; padding: top, bottom, left, right */
dnnl_status_t trk_onednn_matmul_create(dnnl_primitive_desc_t *out, dnnl_engine_t engine, dnnl_primitive_attr_t attr,
                                       const onednn_desc *in, const onednn_desc *weights, const onednn_desc *bias,
                                       const onednn_desc *out_desc);
dnnl_status_t trk_onednn_convolution_create(dnnl_primitive_desc_t *out, dnnl_engine_t engine,
                                            dnnl_primitive_attr_t attr, const onednn_desc *in,
                                            const onednn_desc *weights, const onednn_desc *bias,
                                            const onednn_desc *out_desc, int stride, const int padding[4]);

/* Copies between layouts and types; waits until done. */
dnnl_status_t trk_onednn_reorder(dnnl_engine_t engine, const onednn_desc *from, void *from_data, dnnl_memory_t to,
                                 const onednn_desc *to_desc);

#endif
