/* SPDX-License-Identifier: Apache-2.0
 * Choosing and creating a compute backend. A backend holds what is shared (kernel choice, prepared weights' code,
 * primitive cache; thread safe); a trk_exec is one thread's seat on it. */
#ifndef TRK_KERNELS_BACKEND_H
#define TRK_KERNELS_BACKEND_H

#include "ops.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum trk_backend_kind { TRK_BACKEND_REF, TRK_BACKEND_CPU, TRK_BACKEND_CUDA } trk_backend_kind;

typedef struct trk_backend_params {
    trk_backend_kind kind;
    trk_dtype activation; /* TRK_BF16: TRK_E_UNSUPPORTED unless trk_backend_has_bf16 */
    int n_threads;        /* 0: one per core this process may use */
    int device;           /* number of the GPU */
} trk_backend_params;

/* allocator: of the backend's memory, for what it keeps; it has to be able to hold pinned bytes. */
trk_status trk_backend_create(trk_backend **out, const trk_backend_params *params, trk_allocator *allocator);
void trk_backend_destroy(trk_backend **backend); /* NULL-safe; after every exec and layer of it */
int trk_backend_has_bf16(trk_backend_kind kind); /* 1 when it multiplies bf16 in hardware; the reference: always 1 */
/* TRK_E_UNSUPPORTED with the reason when the kind is not in this build or the machine has no such device. */
trk_status trk_backend_check(trk_backend_kind kind, int device);
int trk_backend_on_host(const trk_backend *backend); /* 1: its memory is the host's */
trk_dtype trk_backend_activation(const trk_backend *backend);
int trk_backend_threads(const trk_backend *backend);
/* Gives back what was prepared for products of shapes that came up, where none runs at the moment: the least recently
 * used first, until so many bytes are free. Returns the bytes. It is prepared again when the shape comes again. */
size_t trk_backend_trim(trk_backend *backend, size_t bytes);
const char *trk_backend_describe(void); /* "cpu (oneDNN 2.6.3, avx512, bf16), ref"; static storage */

/* allocator: of the backend's memory, for operators' own buffers. */
trk_status trk_exec_init(trk_exec *x, trk_backend *backend, trk_allocator *allocator);
/* Before the exec's first operator: from now on operators obtain the workspace they would need for their shapes, record
 * it when there is none, and return; mats, slots and host arrays are not touched and may lie where no memory is. */
void trk_exec_set_planning(trk_exec *x);
void trk_exec_release(trk_exec *x); /* accepts a zeroed struct */

/* What operators read from now on may come from work that was given to the device's default stream: they wait for it.
 * Nothing on the host. */
void trk_exec_follow(trk_exec *x);
/* A stage that recurs: operators between begin and end, of which end returns 1 when they were run, in whatever way, and 0
 * when begin and the same operators have to come once more. A GPU backend may only listen the first time, and replay a
 * recording if it has one of exactly these calls; so operators must not depend on each other's values through the host,
 * nor write what they were given, but for memory they fill from the start. */
void trk_exec_stage_begin(trk_exec *x);
int trk_exec_stage_end(trk_exec *x);
/* How many stages were replayed so far, in a GPU backend's exec. */
uint64_t trk_exec_replays(const trk_exec *x);
/* Waits until every operator of the exec has run and downloads have arrived; returns the exec's first failure. */
trk_status trk_exec_finish(trk_exec *x);

/* The operators' own buffers of an exec, by use, and their sum. */
typedef struct trk_workspace_sizes {
    size_t bytes[8];
    size_t total;
} trk_workspace_sizes;
void trk_exec_workspace(const trk_exec *x, trk_workspace_sizes *out);
/* Each buffer as large as the larger of the two; what that adds is added to the total. */
void trk_workspace_enlarge(trk_workspace_sizes *to, const trk_workspace_sizes *by);
/* 1: no buffer is larger than planned. */
int trk_workspace_is_within(const trk_workspace_sizes *has, const trk_workspace_sizes *planned);
/* Makes each buffer at least as large, so that operators of these sizes obtain nothing more. */
trk_status trk_exec_reserve(trk_exec *x, const trk_workspace_sizes *sizes);

/* Packs the weights (class PINNED of `allocator`). The struct's other fields are set by the caller beforehand; weight
 * and bias are the host's, and read only here by a backend whose memory is not. */
trk_status trk_linear_prepare(trk_linear *layer, trk_backend *backend, trk_allocator *allocator);
void trk_linear_release(trk_linear *layer, trk_backend *backend, trk_allocator *allocator);
trk_status trk_conv_prepare(trk_conv *layer, trk_backend *backend, trk_allocator *allocator);
void trk_conv_release(trk_conv *layer, trk_backend *backend, trk_allocator *allocator);

#ifdef __cplusplus
}
#endif

#endif
