/* SPDX-License-Identifier: Apache-2.0
 * One file, mapped read-only, told apart by its first bytes and handed to the reader of its container. */
#include "checkpoint.h"

#include "bf16.h"
#include "heap.h"
#include "hf_names.h"
#include "safetensors.h"
#include "tensor_list.h"
#include "torch_zip.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct trk_checkpoint {
    trk_tensor_list tensors; /* sorted by name */
    uint8_t *map;            /* [map_bytes] a safetensors file; else NULL */
    size_t map_bytes;
    trk_storages storages; /* of a .pt */
    trk_metadata metadata; /* of a safetensors file */
    const char *container, *naming;
};

/* --- opening ------------------------------------------------------------------------------------------------- */

static trk_status map_file(trk_checkpoint *c, const char *path)
{
    struct stat status;
    trk_status rc = TRK_OK;
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe would wait for its writer */
    if (file < 0 || fstat(file, &status) < 0) {
        rc = TRK_FAIL(TRK_E_IO, "cannot open: %s", strerror(errno));
    } else if (!S_ISREG(status.st_mode)) {
        rc = TRK_FAIL(TRK_E_IO, "is not a regular file");
    } else if (status.st_size == 0) {
        rc = TRK_FAIL(TRK_E_FORMAT, "is empty");
    } else {
        void *map = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, file, 0);
        if (map == MAP_FAILED)
            rc = TRK_FAIL(TRK_E_IO, "cannot map %lld bytes: %s", (long long)status.st_size, strerror(errno));
        else {
            c->map = map;
            c->map_bytes = (size_t)status.st_size;
        }
    }
    if (file >= 0)
        close(file);
    return rc;
}

static void unmap_file(trk_checkpoint *c)
{
    if (c->map)
        munmap(c->map, c->map_bytes);
    c->map = NULL;
}

static trk_status read_container(trk_checkpoint *c, const char *path)
{
    const uint8_t *b = c->map;
    size_t n = c->map_bytes;
    if (n >= 4 && memcmp(b, "PK\3\4", 4) == 0) {
        c->container = "pt";
        unmap_file(c); /* read instead: pages of the map would count on top of the copies */
        return trk_torch_zip_read_file(path, &c->tensors, &c->storages);
    }
    if (n >= 9 && b[8] == '{') { /* first: the length before it may begin as a pickle does */
        c->container = "safetensors";
        return trk_safetensors_read(b, n, &c->tensors, &c->metadata);
    }
    if (n >= 2 && b[0] == 0x80 && b[1] >= 2 && b[1] <= 5)
        return TRK_FAIL(TRK_E_FORMAT, "a bare pickle, as PyTorch wrote before 1.6; load and save it again with a newer "
                                      "PyTorch to get the zip container");
    return TRK_FAIL(TRK_E_FORMAT, "is neither a PyTorch zip (.pt) nor a safetensors file");
}

static trk_status open_checkpoint(trk_checkpoint *c, const char *path)
{
    int is_huggingface = 0;
    trk_status rc;
    TRK_CHECK(map_file(c, path));
    TRK_CHECK(read_container(c, path));
    TRK_CHECK(trk_hf_names_apply(&c->tensors, &is_huggingface));
    c->naming = is_huggingface ? "huggingface" : "official";
    rc = trk_tensor_list_sort(&c->tensors);
done:
    return rc;
}

trk_status trk_checkpoint_open(trk_checkpoint **out, const char *path)
{
    trk_checkpoint *c = trk_heap_zeroed(TRK_MEM_SCRATCH, "checkpoint", 1, sizeof *c);
    if (!c)
        return TRK_FAIL(TRK_E_MEMORY, "no memory for a checkpoint");
    trk_status rc = open_checkpoint(c, path);
    if (rc < 0) {
        trk_fail_prefix(rc, path);
        trk_checkpoint_close(&c);
        return rc;
    }
    *out = c;
    return rc;
}

void trk_checkpoint_close(trk_checkpoint **checkpoint)
{
    trk_checkpoint *c = *checkpoint;
    if (!c)
        return;
    trk_tensor_list_free(&c->tensors);
    trk_storages_free(&c->storages);
    unmap_file(c);
    trk_metadata_free(&c->metadata);
    trk_heap_release(c);
    *checkpoint = NULL;
}

/* --- reading ------------------------------------------------------------------------------------------------- */

size_t trk_checkpoint_count(const trk_checkpoint *checkpoint)
{
    return checkpoint->tensors.n;
}

const trk_tensor *trk_checkpoint_at(const trk_checkpoint *checkpoint, size_t i)
{
    return &checkpoint->tensors.items[i];
}

static int compare_name(const void *name, const void *tensor)
{
    return strcmp(name, ((const trk_tensor *)tensor)->name);
}

const trk_tensor *trk_checkpoint_find(const trk_checkpoint *checkpoint, const char *name)
{
    const trk_tensor_list *list = &checkpoint->tensors;
    return list->n ? bsearch(name, list->items, list->n, sizeof *list->items, compare_name) : NULL;
}

const trk_metadata *trk_checkpoint_metadata(const trk_checkpoint *checkpoint)
{
    return &checkpoint->metadata;
}

const char *trk_checkpoint_container(const trk_checkpoint *checkpoint)
{
    return checkpoint->container;
}

const char *trk_checkpoint_naming(const trk_checkpoint *checkpoint)
{
    return checkpoint->naming;
}

void trk_tensor_to_f32(const trk_tensor *tensor, float *out)
{
    const uint8_t *data = tensor->data;
    if (tensor->dtype == TRK_F32) {
        if (tensor->n_elements)
            memcpy(out, data, tensor->n_elements * sizeof *out);
        return;
    }
    for (size_t i = 0; i < tensor->n_elements; i++) {
        uint16_t half;
        memcpy(&half, data + 2 * i, sizeof half);
        out[i] = tensor->dtype == TRK_BF16 ? trk_bf16_to_f32(half) : trk_f16_to_f32(half);
    }
}
