/* SPDX-License-Identifier: Apache-2.0
 * Tensor names of Hugging Face transformers (Sam2VideoModel) and the official ones they stand for. */
#ifndef TRK_MODEL_HF_NAMES_H
#define TRK_MODEL_HF_NAMES_H

#include "tensor_list.h"

/* Writes the official name of `name` and returns 1; returns 0 if it is none of the port's names. */
int trk_hf_name_to_official(char *out, size_t out_bytes, const char *name);

/* Renames in place if the list is named as in the port, perhaps with a common prefix, and says so in *found. The four
 * rows of point_embed become four tensors; the second copy of the Fourier matrix is dropped if it equals the first.
 * Names without an official counterpart stay. */
trk_status trk_hf_names_apply(trk_tensor_list *tensors, int *found);

#endif
