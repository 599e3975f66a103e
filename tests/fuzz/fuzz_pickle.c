/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as data.pkl. What is accepted is looked at as the .pt reader looks at it. */
#include "pickle.h"
#include "replay.h"

static volatile int64_t checksum;

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes)
{
    trk_pickle *pickle = NULL;
    if (trk_pickle_read(&pickle, bytes, n_bytes) != TRK_OK)
        return 0;
    const trk_pickle_value *top = trk_pickle_top(pickle), *model = trk_pickle_get(top, "model");
    const trk_pickle_value *state = model ? model : top;
    int64_t sum = 0;
    for (size_t i = 0; state->kind == TRK_PICKLE_DICT && i + 1 < state->n; i += 2) {
        const trk_pickle_value *key = state->items[i], *value = state->items[i + 1];
        for (size_t k = 0; key->kind == TRK_PICKLE_STRING && k < key->n; k++)
            sum += key->text[k];
        if (value->kind == TRK_PICKLE_TENSOR)
            for (int d = 0; d < value->tensor->n_dims; d++)
                sum ^= value->tensor->dims[d] ^ value->tensor->strides[d] ^ value->tensor->storage->n_elements;
    }
    checksum = sum;
    trk_pickle_free(&pickle);
    return 0;
}
