/* SPDX-License-Identifier: Apache-2.0
 * oneDNN primitives by what they compute. Creating one generates code (a fraction of a millisecond); finding it again
 * is a hash look-up under a mutex. Layers of equal shape share primitives: weights are an argument, and all weights of
 * one layout (see onednn_layout) fit.
 *
 * A primitive may run in several threads at once, its argument objects may not: they come as a seat, taken for one
 * call and given back, kept for reuse. So a repeated call allocates nothing. */
#ifndef TRK_KERNELS_CPU_ONEDNN_CACHE_H
#define TRK_KERNELS_CPU_ONEDNN_CACHE_H

#include "layer.h"
#include "onednn_shim.h"

/* int64_t throughout: compared and hashed as bytes, so there must be no padding. */
typedef struct onednn_key {
    int64_t n_in, n_out, kernel, stride, padding, groups;
    int64_t pad_top, pad_bottom; /* of a band of a map; padding is that of the left and right */
    int64_t in_h, in_w;          /* linear: rows, 1 */
    int64_t in_type, out_type;   /* dnnl_data_type_t; weights have the in_type */
    int64_t act;                 /* dnnl_alg_kind_t, dnnl_alg_kind_undef for none */
    int64_t accumulate, has_bias;
} onednn_key;

/* A layout of packed weights. The cache keeps one of each, so layouts are compared by address. */
typedef struct onednn_layout {
    onednn_desc desc;
    struct onednn_layout *next;
} onednn_layout;

typedef struct onednn_seat {
    struct onednn_product *product;
    dnnl_primitive_t primitive;  /* of product */
    const onednn_layout *layout; /* of the weights product wants */
    size_t scratch_bytes;
    dnnl_stream_t stream; /* the rest is the seat's own */
    dnnl_memory_t in, bias /* NULL: none */, out, scratch /* NULL: none */;
    struct onednn_seat *next;
} onednn_seat;

dnnl_engine_t trk_onednn_cache_engine(const struct cpu_library *cache);

/* The weights layout the library prefers for `key`. */
trk_status trk_onednn_cache_layout(struct cpu_library *cache, const onednn_key *key, const onednn_layout **out);

/* A seat at the primitive for `key`, created at need: with `layout` where an optimised implementation takes it, else
 * with what the library prefers. */
trk_status trk_onednn_cache_take(struct cpu_library *cache, const onednn_key *key, const onednn_layout *layout,
                                 onednn_seat **out);
void trk_onednn_cache_give_back(struct cpu_library *cache, onednn_seat *seat);

#endif
