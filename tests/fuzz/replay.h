/* SPDX-License-Identifier: Apache-2.0
 * Shared by the fuzz targets: libFuzzer's entry point, and a reader that touches every byte a target accepted. */
#ifndef TRK_TESTS_FUZZ_REPLAY_H
#define TRK_TESTS_FUZZ_REPLAY_H

#include "tensor_list.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

/* A checksum of them all, so that no read is optimised away. */
static inline uint8_t read_all_elements(const trk_tensor_list *tensors)
{
    uint8_t sum = 0;
    for (size_t i = 0; i < tensors->n; i++) {
        const uint8_t *data = tensors->items[i].data;
        size_t n = tensors->items[i].n_elements * trk_dtype_bytes(tensors->items[i].dtype);
        for (size_t k = 0; k < n; k++)
            sum ^= data[k];
    }
    return sum;
}

#endif
