/* SPDX-License-Identifier: Apache-2.0
 * The .pt container: a zip of <root>/data.pkl, which describes the tensors, and <root>/data/<key>, their storages. */
#ifndef TRK_MODEL_TORCH_ZIP_H
#define TRK_MODEL_TORCH_ZIP_H

#include "tensor_list.h"

/* One heap copy per storage; tensors of one storage share it. */
typedef struct trk_storages {
    void **data; /* [n] owned, by number of the zip entry; NULL: not read */
    size_t n;
} trk_storages;

/* Adds every tensor of the state dict in the file; data points into *storages. The state dict is the top object or what
 * it has under "model". On failure both may be partly filled. */
trk_status trk_torch_zip_read_file(const char *path, trk_tensor_list *tensors, trk_storages *storages);

/* The same for a file held in `bytes`, which need not outlive the call. */
trk_status trk_torch_zip_read(const uint8_t *bytes, size_t n_bytes, trk_tensor_list *tensors, trk_storages *storages);

void trk_storages_free(trk_storages *storages);

#endif
