/* SPDX-License-Identifier: Apache-2.0
 * Grow-only buffers: a slot is reallocated, without keeping its contents, when a larger one is asked for. */
#include "workspace.h"

#include "heap.h"

struct workspace {
    trk_allocator *allocator; /* borrowed */
    struct {
        void *data; /* owned, NULL while bytes is 0 */
        size_t bytes;
    } slots[WORKSPACE_SLOTS];
};

trk_status trk_workspace_create(struct workspace **out, trk_allocator *allocator)
{
    *out = NULL;
    struct workspace *w = trk_heap_zeroed(TRK_MEM_SCRATCH, "workspace", 1, sizeof *w);
    if (!w)
        return TRK_FAIL(TRK_E_MEMORY, "workspace: no memory for %zu bytes", sizeof *w);
    w->allocator = allocator;
    *out = w;
    return TRK_OK;
}

static void release_slot(struct workspace *w, int slot)
{
    w->allocator->release(w->allocator, TRK_MEM_SCRATCH, w->slots[slot].data, w->slots[slot].bytes);
    w->slots[slot].data = NULL;
    w->slots[slot].bytes = 0;
}

void trk_workspace_destroy(struct workspace **workspace)
{
    struct workspace *w = *workspace;
    if (!w)
        return;
    for (int slot = 0; slot < WORKSPACE_SLOTS; slot++)
        release_slot(w, slot);
    trk_heap_release(w);
    *workspace = NULL;
}

/* Bytes a buffer gets: an eighth of room at most, so that small growth is free. A step function of `bytes`, and its own
 * results stay as they are: the buffer in the end depends on the largest request, not on the order they came in, and a
 * plan finds it exactly. */
static size_t rounded_up(size_t bytes)
{
    size_t step = 4096 / 8;
    while (step < bytes / 16 + (bytes % 16 != 0))
        step *= 2;
    return bytes < 4096 ? 4096 : bytes + (step - bytes % step) % step;
}

void *trk_workspace_get(trk_exec *x, int slot, size_t bytes)
{
    struct workspace *w = x->workspace;
    if (w->slots[slot].bytes >= bytes && w->slots[slot].data)
        return w->slots[slot].data;
    const size_t rounded = rounded_up(bytes);
    release_slot(w, slot);
    w->slots[slot].data = w->allocator->allocate(w->allocator, TRK_MEM_SCRATCH, "workspace", rounded);
    if (!w->slots[slot].data) {
        trk_exec_fail(x, TRK_FAIL(TRK_E_MEMORY, "workspace: no memory for %zu bytes", rounded));
        return NULL;
    }
    w->slots[slot].bytes = rounded;
    return w->slots[slot].data;
}

void trk_workspace_measure(const struct workspace *w, size_t bytes[WORKSPACE_SLOTS], size_t *total)
{
    *total = 0;
    for (int slot = 0; slot < WORKSPACE_SLOTS; slot++) {
        bytes[slot] = w->slots[slot].bytes;
        *total += bytes[slot];
    }
}

void trk_workspace_reserve(trk_exec *x, const size_t bytes[WORKSPACE_SLOTS])
{
    for (int slot = 0; slot < WORKSPACE_SLOTS; slot++)
        if (bytes[slot])
            trk_workspace_get(x, slot, bytes[slot]);
}
