/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as a safetensors file. What is accepted is read to the last element. */
#include "heap.h"
#include "hf_names.h"
#include "replay.h"
#include "safetensors.h"

static volatile uint8_t checksum;

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes)
{
    trk_tensor_list tensors = {0};
    trk_metadata metadata = {0};
    int found;
    if (trk_safetensors_read(bytes, n_bytes, &tensors, &metadata) == TRK_OK &&
        trk_hf_names_apply(&tensors, &found) == TRK_OK && trk_tensor_list_sort(&tensors) == TRK_OK)
        checksum = read_all_elements(&tensors);
    trk_tensor_list_free(&tensors);
    trk_metadata_free(&metadata);
    return 0;
}
