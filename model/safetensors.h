/* SPDX-License-Identifier: Apache-2.0
 * The safetensors container: 8 bytes little endian header length, a JSON header, then the tensors' bytes without gaps.
 */
#ifndef TRK_MODEL_SAFETENSORS_H
#define TRK_MODEL_SAFETENSORS_H

#include "tensor_list.h"

void trk_metadata_free(trk_metadata *metadata);

/* Adds every tensor of the file held in `bytes`, which must outlive the list: data points into it. *metadata, {0}
 * before, gets what __metadata__ has of its fields. On failure both may hold something. */
trk_status trk_safetensors_read(const uint8_t *bytes, size_t n_bytes, trk_tensor_list *tensors, trk_metadata *metadata);

#endif
