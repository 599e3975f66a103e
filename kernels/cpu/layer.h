/* SPDX-License-Identifier: Apache-2.0
 * Layers with packed weights: what linear and conv2d run on. Implemented by onednn_layer.c, or by plain_layer.c in a
 * build without oneDNN. */
#ifndef TRK_KERNELS_CPU_LAYER_H
#define TRK_KERNELS_CPU_LAYER_H

#include "backend_private.h"

typedef struct cpu_layer_call {
    trk_mat out; /* f32, or bf16 on a bf16 backend; dense rows */
    trk_mat in;  /* of the backend's activation type; dense rows */
    int in_h, in_w;
    trk_epilogue epilogue; /* not both ReLU and accumulate */
} cpu_layer_call;

struct cpu_layer;   /* one layer's packed weights */
struct cpu_library; /* what all layers of a backend share */

/* n_workers: that may run a layer at the same time without allocating; more may. */
trk_status trk_cpu_library_create(struct cpu_library **out, int n_workers, trk_allocator *allocator);
void trk_cpu_library_destroy(struct cpu_library **library);             /* NULL-safe, clears the handle */
size_t trk_cpu_library_trim(struct cpu_library *library, size_t bytes); /* see trk_backend_trim; NULL-safe */
int trk_cpu_library_has_bf16(void);
const char *trk_cpu_library_name(void); /* "oneDNN 2.6.3", "" for none; static storage */

/* weight [n_out, n_in / groups, kernel, kernel] and bias [n_out] (or NULL) are borrowed until release. */
trk_status trk_cpu_layer_create(struct cpu_layer **out, trk_backend *backend, trk_allocator *allocator,
                                const trk_layer_shape *shape, const float *weight, const float *bias);
void trk_cpu_layer_release(struct cpu_layer **layer, trk_allocator *allocator); /* NULL-safe, clears the handle */

/* Any number of execs may run a layer at the same time. */
void trk_cpu_layer_run(trk_exec *x, struct cpu_layer *layer, const cpu_layer_call *call);

#endif
