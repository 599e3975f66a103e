/* SPDX-License-Identifier: Apache-2.0
 * Choosing and creating a compute backend. A backend holds what is shared (kernel choice, prepared weights' code,
 * primitive cache; thread safe); a trk_exec is one thread's seat on it. */
#ifndef TRK_KERNELS_BACKEND_H
#define TRK_KERNELS_BACKEND_H

#include "ops.h"

typedef enum trk_backend_kind { TRK_BACKEND_REF, TRK_BACKEND_CPU } trk_backend_kind;

/* activation TRK_BF16: TRK_E_UNSUPPORTED unless trk_backend_has_bf16 (the reference backend always does).
 * n_threads 0 = one per core this process may use. */
trk_status trk_backend_create(trk_backend **out, trk_backend_kind kind, trk_dtype activation, int n_threads,
                              trk_allocator *allocator);
void trk_backend_destroy(trk_backend **backend); /* NULL-safe; after every exec and layer of it */
int trk_backend_has_bf16(trk_backend_kind kind); /* 1 when this machine multiplies bf16 in hardware */
trk_dtype trk_backend_activation(const trk_backend *backend);
int trk_backend_threads(const trk_backend *backend);
const char *trk_backend_describe(void); /* "cpu (oneDNN 2.6.3, avx512, bf16), ref"; static storage */

trk_status trk_exec_init(trk_exec *x, trk_backend *backend, trk_allocator *allocator);
/* Before the exec's first operator: from now on operators obtain the workspace they would need for their shapes, record
 * it when there is none, and return; mats, slots and host arrays are not touched and may lie where no memory is. */
void trk_exec_set_planning(trk_exec *x);
void trk_exec_release(trk_exec *x); /* accepts a zeroed struct */

/* The operators' own buffers of an exec, by use; their sum and what manages them is total. */
typedef struct trk_workspace_sizes {
    size_t bytes[8];
    size_t total;
} trk_workspace_sizes;
void trk_exec_workspace(const trk_exec *x, trk_workspace_sizes *out);
/* Makes each buffer at least as large, so that operators of these sizes obtain nothing more. */
trk_status trk_exec_reserve(trk_exec *x, const trk_workspace_sizes *sizes);

/* Packs the weights (class PINNED of `allocator`). The struct's other fields are set by the caller beforehand. */
trk_status trk_linear_prepare(trk_linear *layer, trk_backend *backend, trk_allocator *allocator);
void trk_linear_release(trk_linear *layer, trk_backend *backend, trk_allocator *allocator);
trk_status trk_conv_prepare(trk_conv *layer, trk_backend *backend, trk_allocator *allocator);
void trk_conv_release(trk_conv *layer, trk_backend *backend, trk_allocator *allocator);

#endif
