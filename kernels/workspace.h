/* SPDX-License-Identifier: Apache-2.0
 * The grow-only buffers of one exec (trk_exec.workspace), in the backend's memory: operators borrow one per slot for
 * the length of a call, so that after the first frame no operator allocates. On a GPU a call's work ends after the call;
 * the next one follows it in the exec's stream, and the device waits before it takes memory back. */
#ifndef TRK_KERNELS_WORKSPACE_H
#define TRK_KERNELS_WORKSPACE_H

#include "ops.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One slot per buffer that may be in use at the same time inside one operator. */
typedef enum workspace_slot {
    WORKSPACE_ATTENTION, /* all threads' tiles */
    WORKSPACE_INPUT,     /* a converted or unrolled input (im2col, bf16 copy) */
    WORKSPACE_OUTPUT,    /* a result before it is converted or rearranged */
    WORKSPACE_LIBRARY,   /* scratch of oneDNN primitives, of cuBLASLt */
    WORKSPACE_OTHER,     /* anything else, one use per operator */
    WORKSPACE_TOKENS,    /* where the tokens of gather_tokens lie; stays until the next one */
    WORKSPACE_SLOTS
} workspace_slot;

struct workspace;

/* `allocator` is borrowed and must outlive the workspace; buffers are of class SCRATCH. */
trk_status trk_workspace_create(struct workspace **out, trk_allocator *allocator);
void trk_workspace_destroy(struct workspace **workspace); /* NULL-safe, clears the handle */

/* At least `bytes` aligned to TRK_ALIGNMENT, contents undefined, valid until the slot's next get. NULL after recording
 * TRK_E_MEMORY in `x` when there is no memory; the slot is then empty. One thread of the exec at a time. */
void *trk_workspace_get(trk_exec *x, int slot, size_t bytes);

/* Bytes of each buffer, and at least so many from now on. total: what the workspace takes in all. */
void trk_workspace_measure(const struct workspace *workspace, size_t bytes[WORKSPACE_SLOTS], size_t *total);
void trk_workspace_reserve(trk_exec *x, const size_t bytes[WORKSPACE_SLOTS]);

#ifdef __cplusplus
}
#endif

#endif
