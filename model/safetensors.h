/* SPDX-License-Identifier: Apache-2.0
 * The safetensors container: 8 bytes little endian header length, a JSON header, then the tensors' bytes without gaps.
 */
#ifndef TRK_MODEL_SAFETENSORS_H
#define TRK_MODEL_SAFETENSORS_H

#include "tensor_list.h"

/* Adds every tensor of the file held in `bytes`, which must outlive the list: data points into it. *architecture
 * becomes a heap copy of __metadata__.architecture, or stays as it is. On failure the list may hold some of the
 * tensors. */
trk_status trk_safetensors_read(const uint8_t *bytes, size_t n_bytes, trk_tensor_list *tensors, char **architecture);

#endif
