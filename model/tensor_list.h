/* SPDX-License-Identifier: Apache-2.0
 * The growable list of tensors that the container readers fill and a checkpoint owns. */
#ifndef TRK_MODEL_TENSOR_LIST_H
#define TRK_MODEL_TENSOR_LIST_H

#include "checkpoint.h"

typedef struct trk_tensor_list {
    trk_tensor *items; /* owned, names too; data is borrowed from the container */
    size_t n, capacity;
} trk_tensor_list;

/* Appends a copy of *tensor under a copy of name, which need not be terminated. TRK_E_FORMAT for a name that is empty,
 * longer than 1024 bytes or holds control characters: every error names tensors in one line. */
trk_status trk_tensor_list_add(trk_tensor_list *list, const char *name, size_t name_bytes, const trk_tensor *tensor);

/* Gives tensor `i` another name. */
trk_status trk_tensor_list_rename(trk_tensor_list *list, size_t i, const char *name);

/* Removes tensor `i`; the last one takes its place. */
void trk_tensor_list_remove(trk_tensor_list *list, size_t i);

/* Sorts by name; TRK_E_FORMAT when two tensors have the same one. */
trk_status trk_tensor_list_sort(trk_tensor_list *list);

void trk_tensor_list_free(trk_tensor_list *list);

/* Fills n_elements from dims; TRK_E_FORMAT if a dimension is negative or the size in bytes overflows. */
trk_status trk_tensor_set_elements(trk_tensor *tensor);

/* "[256, 64]" into text, for messages. Returns text. */
const char *trk_dims_text(char *text, size_t text_bytes, int n_dims, const int64_t *dims);

#endif
