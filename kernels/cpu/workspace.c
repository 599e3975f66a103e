/* SPDX-License-Identifier: Apache-2.0
 * Grow-only buffers: a slot is reallocated, without keeping its contents, when a larger one is asked for. */
#include "workspace.h"

struct cpu_workspace {
    trk_allocator *allocator; /* borrowed */
    struct {
        void *data; /* owned, NULL while bytes is 0 */
        size_t bytes;
    } slots[CPU_WORKSPACE_SLOTS];
};

trk_status cpu_workspace_create(struct cpu_workspace **out, trk_allocator *allocator)
{
    *out = NULL;
    struct cpu_workspace *w = allocator->allocate(allocator, TRK_MEM_SCRATCH, "cpu workspace", sizeof *w);
    if (!w)
        return TRK_FAIL(TRK_E_MEMORY, "cpu workspace: no memory for %zu bytes", sizeof *w);
    *w = (struct cpu_workspace){.allocator = allocator};
    *out = w;
    return TRK_OK;
}

static void release_slot(struct cpu_workspace *w, int slot)
{
    w->allocator->release(w->allocator, TRK_MEM_SCRATCH, w->slots[slot].data, w->slots[slot].bytes);
    w->slots[slot].data = NULL;
    w->slots[slot].bytes = 0;
}

void cpu_workspace_destroy(struct cpu_workspace **workspace)
{
    struct cpu_workspace *w = *workspace;
    if (!w)
        return;
    for (int slot = 0; slot < CPU_WORKSPACE_SLOTS; slot++)
        release_slot(w, slot);
    w->allocator->release(w->allocator, TRK_MEM_SCRATCH, w, sizeof *w);
    *workspace = NULL;
}

void *cpu_workspace_get(trk_exec *x, int slot, size_t bytes)
{
    struct cpu_workspace *w = x->workspace;
    if (w->slots[slot].bytes >= bytes && w->slots[slot].data)
        return w->slots[slot].data;
    size_t rounded = bytes < 4096 ? 4096 : bytes + bytes / 8; /* a little room, so that small growth is free */
    release_slot(w, slot);
    w->slots[slot].data = w->allocator->allocate(w->allocator, TRK_MEM_SCRATCH, "cpu workspace", rounded);
    if (!w->slots[slot].data) {
        trk_exec_fail(x, TRK_FAIL(TRK_E_MEMORY, "cpu workspace: no memory for %zu bytes", rounded));
        return NULL;
    }
    w->slots[slot].bytes = rounded;
    return w->slots[slot].data;
}
