/* SPDX-License-Identifier: Apache-2.0 */
#include "dataset_places.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "heap.h"

static int compare(const void *a, const void *b)
{
    const dataset_inode *x = a, *y = b;
    if (x->device != y->device)
        return x->device < y->device ? -1 : 1;
    return (x->number > y->number) - (x->number < y->number);
}

static int inode_of(dataset_inode *out, const char *path)
{
    struct stat status;
    if (!path || stat(path, &status))
        return 0;
    *out = (dataset_inode){status.st_dev, status.st_ino};
    return 1;
}

trk_status dataset_places_collect(dataset_places *out, const dataset_clip *const *clips, size_t n_clips)
{
    *out = (dataset_places){0};
    out->items = trk_heap_zeroed(TRK_MEM_SCRATCH, "files of a dataset", 2 * n_clips + 1, sizeof *out->items);
    if (!out->items)
        return TRK_FAIL(TRK_E_MEMORY, "no memory for the files of %zu clips", n_clips);
    for (size_t i = 0; i < n_clips; i++) {
        out->n += (size_t)inode_of(&out->items[out->n], clips[i]->frames);
        out->n += (size_t)inode_of(&out->items[out->n], clips[i]->truth);
    }
    qsort(out->items, out->n, sizeof *out->items, compare);
    return TRK_OK;
}

int dataset_places_have(const dataset_places *self, const char *path)
{
    dataset_inode wanted;
    return inode_of(&wanted, path) && bsearch(&wanted, self->items, self->n, sizeof *self->items, compare);
}

void dataset_places_free(dataset_places *self)
{
    trk_heap_release(self->items);
    *self = (dataset_places){0};
}
