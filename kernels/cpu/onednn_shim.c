/* SPDX-License-Identifier: Apache-2.0
 * See onednn_shim.h. */
#include "onednn_shim.h"

#include <string.h>

#if DNNL_VERSION_MAJOR >= 3
#define MD(desc) ((desc)->md)
#else
#define MD(desc) (&(desc)->md)
#endif

dnnl_status_t trk_onednn_desc_init(onednn_desc *out, int n_dims, const dnnl_dim_t *dims, dnnl_data_type_t type,
                                   const dnnl_dim_t *strides)
{
    dnnl_dims_t all_dims = {0}, all_strides = {0};
    memcpy(all_dims, dims, (size_t)n_dims * sizeof *dims);
    memset(out, 0, sizeof *out);
    if (strides)
        memcpy(all_strides, strides, (size_t)n_dims * sizeof *strides);
#if DNNL_VERSION_MAJOR >= 3
    return strides ? dnnl_memory_desc_create_with_strides(&out->md, n_dims, all_dims, type, all_strides)
                   : dnnl_memory_desc_create_with_tag(&out->md, n_dims, all_dims, type, dnnl_format_tag_any);
#else
    return strides ? dnnl_memory_desc_init_by_strides(&out->md, n_dims, all_dims, type, all_strides)
                   : dnnl_memory_desc_init_by_tag(&out->md, n_dims, all_dims, type, dnnl_format_tag_any);
#endif
}

dnnl_status_t trk_onednn_desc_query(onednn_desc *out, const_dnnl_primitive_desc_t primitive, dnnl_query_t what)
{
    memset(out, 0, sizeof *out);
#if DNNL_VERSION_MAJOR >= 3
    return dnnl_memory_desc_clone(&out->md, dnnl_primitive_desc_query_md(primitive, what, 0));
#else
    const dnnl_memory_desc_t *md = dnnl_primitive_desc_query_md(primitive, what, 0);
    if (!md)
        return dnnl_invalid_arguments;
    out->md = *md;
    return dnnl_success;
#endif
}

void trk_onednn_desc_release(onednn_desc *desc)
{
#if DNNL_VERSION_MAJOR >= 3
    if (desc->md)
        dnnl_memory_desc_destroy(desc->md);
#endif
    memset(desc, 0, sizeof *desc);
}

int trk_onednn_desc_equal(const onednn_desc *a, const onednn_desc *b)
{
    return dnnl_memory_desc_equal(MD(a), MD(b));
}

size_t trk_onednn_desc_bytes(const onednn_desc *desc)
{
    return dnnl_memory_desc_get_size(MD(desc));
}

dnnl_status_t trk_onednn_memory_create(dnnl_memory_t *out, const onednn_desc *desc, dnnl_engine_t engine, void *data)
{
    return dnnl_memory_create(out, MD(desc), engine, data);
}

dnnl_status_t trk_onednn_attr_create(dnnl_primitive_attr_t *out, dnnl_alg_kind_t act, int sum)
{
    dnnl_post_ops_t post_ops = NULL;
    dnnl_status_t rc = dnnl_primitive_attr_create(out);
    if (rc == dnnl_success)
        rc = dnnl_post_ops_create(&post_ops);
#if DNNL_VERSION_MAJOR >= 3
    if (rc == dnnl_success && act != dnnl_alg_kind_undef)
        rc = dnnl_post_ops_append_eltwise(post_ops, act, 0.0f, 0.0f);
    if (rc == dnnl_success && sum)
        rc = dnnl_post_ops_append_sum(post_ops, 1.0f, 0, dnnl_data_type_undef);
#else
    if (rc == dnnl_success && act != dnnl_alg_kind_undef)
        rc = dnnl_post_ops_append_eltwise(post_ops, 1.0f, act, 0.0f, 0.0f);
    if (rc == dnnl_success && sum)
        rc = dnnl_post_ops_append_sum(post_ops, 1.0f);
#endif
    if (rc == dnnl_success)
        rc = dnnl_primitive_attr_set_post_ops(*out, post_ops);
    if (rc == dnnl_success)
        rc = dnnl_primitive_attr_set_scratchpad_mode(*out, dnnl_scratchpad_mode_user);
    if (post_ops)
        dnnl_post_ops_destroy(post_ops);
    return rc;
}

dnnl_status_t trk_onednn_matmul_create(dnnl_primitive_desc_t *out, dnnl_engine_t engine, dnnl_primitive_attr_t attr,
                                       const onednn_desc *in, const onednn_desc *weights, const onednn_desc *bias,
                                       const onednn_desc *out_desc)
{
#if DNNL_VERSION_MAJOR >= 3
    return dnnl_matmul_primitive_desc_create(out, engine, MD(in), MD(weights), bias ? MD(bias) : NULL, MD(out_desc),
                                             attr);
#else
    dnnl_matmul_desc_t operation;
    const dnnl_status_t rc =
        dnnl_matmul_desc_init(&operation, MD(in), MD(weights), bias ? MD(bias) : NULL, MD(out_desc));
    return rc == dnnl_success ? dnnl_primitive_desc_create(out, &operation, attr, engine, NULL) : rc;
#endif
}

dnnl_status_t trk_onednn_convolution_create(dnnl_primitive_desc_t *out, dnnl_engine_t engine,
                                            dnnl_primitive_attr_t attr, const onednn_desc *in,
                                            const onednn_desc *weights, const onednn_desc *bias,
                                            const onednn_desc *out_desc, int stride, const int padding[4])
{
    const dnnl_dims_t strides = {stride, stride}, before = {padding[0], padding[2]}, after = {padding[1], padding[3]};
#if DNNL_VERSION_MAJOR >= 3
    const dnnl_dims_t dilations = {0, 0};
    return dnnl_convolution_forward_primitive_desc_create(out, engine, dnnl_forward_inference, dnnl_convolution_direct,
                                                          MD(in), MD(weights), bias ? MD(bias) : NULL, MD(out_desc),
                                                          strides, dilations, before, after, attr);
#else
    dnnl_convolution_desc_t operation;
    const dnnl_status_t rc =
        dnnl_convolution_forward_desc_init(&operation, dnnl_forward_inference, dnnl_convolution_direct, MD(in),
                                           MD(weights), bias ? MD(bias) : NULL, MD(out_desc), strides, before, after);
    return rc == dnnl_success ? dnnl_primitive_desc_create(out, &operation, attr, engine, NULL) : rc;
#endif
}

dnnl_status_t trk_onednn_reorder(dnnl_engine_t engine, const onednn_desc *from, void *from_data, dnnl_memory_t to,
                                 const onednn_desc *to_desc)
{
    dnnl_primitive_desc_t description = NULL;
    dnnl_primitive_t primitive = NULL;
    dnnl_memory_t memory = NULL;
    dnnl_stream_t stream = NULL;
    dnnl_status_t rc = dnnl_reorder_primitive_desc_create(&description, MD(from), engine, MD(to_desc), engine, NULL);
    if (rc == dnnl_success)
        rc = dnnl_primitive_create(&primitive, description);
    if (rc == dnnl_success)
        rc = dnnl_memory_create(&memory, MD(from), engine, from_data);
    if (rc == dnnl_success)
        rc = dnnl_stream_create(&stream, engine, dnnl_stream_default_flags);
    if (rc == dnnl_success) {
        const dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, memory}, {DNNL_ARG_TO, to}};
        rc = dnnl_primitive_execute(primitive, stream, 2, args);
    }
    if (rc == dnnl_success)
        rc = dnnl_stream_wait(stream);
    if (stream)
        dnnl_stream_destroy(stream);
    if (memory)
        dnnl_memory_destroy(memory);
    if (primitive)
        dnnl_primitive_destroy(primitive);
    if (description)
        dnnl_primitive_desc_destroy(description);
    return rc;
}
