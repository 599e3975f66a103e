/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as a .pt file. What is accepted is read to the last element. */
#include "replay.h"
#include "torch_zip.h"

static volatile uint8_t checksum;

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes)
{
    trk_tensor_list tensors = {0};
    trk_storages storages = {0};
    if (trk_torch_zip_read(bytes, n_bytes, &tensors, &storages) == TRK_OK)
        checksum = read_all_elements(&tensors);
    trk_tensor_list_free(&tensors);
    trk_storages_free(&storages);
    return 0;
}
