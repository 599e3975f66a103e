/* SPDX-License-Identifier: Apache-2.0
 * The grow-only buffers of one exec of the CPU backend (trk_exec.workspace): operators borrow one per slot for the
 * length of a call, so that after the first frame no operator allocates. */
#ifndef TRK_KERNELS_CPU_WORKSPACE_H
#define TRK_KERNELS_CPU_WORKSPACE_H

#include "ops.h"

/* One slot per buffer that may be in use at the same time inside one operator. */
typedef enum cpu_workspace_slot {
    CPU_WORKSPACE_ATTENTION, /* all threads' tiles */
    CPU_WORKSPACE_INPUT,     /* a converted or unrolled input (im2col, bf16 copy) */
    CPU_WORKSPACE_OUTPUT,    /* a result before it is converted or rearranged */
    CPU_WORKSPACE_LIBRARY,   /* scratch of oneDNN primitives */
    CPU_WORKSPACE_OTHER,     /* anything else, one use per operator */
    CPU_WORKSPACE_SLOTS
} cpu_workspace_slot;

struct cpu_workspace;

/* `allocator` is borrowed and must outlive the workspace; buffers are of class SCRATCH. */
trk_status cpu_workspace_create(struct cpu_workspace **out, trk_allocator *allocator);
void cpu_workspace_destroy(struct cpu_workspace **workspace); /* NULL-safe, clears the handle */

/* At least `bytes` aligned to TRK_ALIGNMENT, contents undefined, valid until the slot's next get. NULL after recording
 * TRK_E_MEMORY in `x` when there is no memory; the slot is then empty. One thread of the exec at a time. */
void *cpu_workspace_get(trk_exec *x, int slot, size_t bytes);

/* Bytes of each buffer, and at least so many from now on. total: what the workspace takes in all. */
void cpu_workspace_sizes(const struct cpu_workspace *workspace, size_t bytes[CPU_WORKSPACE_SLOTS], size_t *total);
void cpu_workspace_reserve(trk_exec *x, const size_t bytes[CPU_WORKSPACE_SLOTS]);

#endif
