/* SPDX-License-Identifier: Apache-2.0 */
#include "tensor_list.h"

#include "heap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_NAME_BYTES 1024

static trk_status check_name(const char *name, size_t name_bytes)
{
    if (name_bytes == 0 || name_bytes > MAX_NAME_BYTES)
        return TRK_FAIL(TRK_E_FORMAT, "a tensor name of %zu bytes, expected 1 to %d", name_bytes, MAX_NAME_BYTES);
    for (size_t i = 0; i < name_bytes; i++)
        if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f)
            return TRK_FAIL(TRK_E_FORMAT, "a tensor name holds the control character 0x%02x at byte %zu",
                            (unsigned char)name[i], i);
    return TRK_OK;
}

trk_status trk_tensor_list_add(trk_tensor_list *list, const char *name, size_t name_bytes, const trk_tensor *tensor)
{
    trk_status rc = check_name(name, name_bytes);
    if (rc < 0)
        return rc;
    trk_tensor *items =
        trk_heap_grown(list->items, &list->capacity, list->n + 1, sizeof *items, TRK_MEM_SCRATCH, "checkpoint");
    if (!items)
        return TRK_FAIL(TRK_E_MEMORY, "no memory for %zu tensor descriptions", list->n + 1);
    list->items = items;
    char *copy = trk_heap_format("checkpoint", "%.*s", (int)name_bytes, name);
    if (!copy)
        return TRK_FAIL(TRK_E_MEMORY, "no memory for a tensor name");
    list->items[list->n] = *tensor;
    list->items[list->n++].name = copy;
    return TRK_OK;
}

trk_status trk_tensor_list_rename(trk_tensor_list *list, size_t i, const char *name)
{
    char *copy = trk_heap_text("checkpoint", name);
    if (!copy)
        return TRK_FAIL(TRK_E_MEMORY, "no memory for a tensor name");
    trk_heap_release((char *)list->items[i].name);
    list->items[i].name = copy;
    return TRK_OK;
}

void trk_tensor_list_remove(trk_tensor_list *list, size_t i)
{
    trk_heap_release((char *)list->items[i].name);
    list->items[i] = list->items[--list->n];
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const trk_tensor *)a)->name, ((const trk_tensor *)b)->name);
}

trk_status trk_tensor_list_sort(trk_tensor_list *list)
{
    if (list->n)
        qsort(list->items, list->n, sizeof *list->items, by_name);
    for (size_t i = 1; i < list->n; i++)
        if (strcmp(list->items[i - 1].name, list->items[i].name) == 0)
            return TRK_FAIL(TRK_E_FORMAT, "tensor \"%.200s\" is there twice", list->items[i].name);
    return TRK_OK;
}

void trk_tensor_list_free(trk_tensor_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        trk_heap_release((char *)list->items[i].name);
    trk_heap_release(list->items);
    *list = (trk_tensor_list){0};
}

trk_status trk_tensor_set_elements(trk_tensor *tensor)
{
    /* Half of SIZE_MAX, and a factor of 4 for the widest dtype: byte counts and pointer differences stay valid. */
    size_t n = 1, limit = SIZE_MAX / 8;
    for (int i = 0; i < tensor->n_dims; i++) {
        if (tensor->dims[i] < 0)
            return TRK_FAIL(TRK_E_FORMAT, "dimension %d is %lld", i, (long long)tensor->dims[i]);
        if (tensor->dims[i] && n > limit / (size_t)tensor->dims[i])
            return TRK_FAIL(TRK_E_FORMAT, "the product of its dimensions overflows");
        n *= (size_t)tensor->dims[i];
    }
    tensor->n_elements = n;
    return TRK_OK;
}

const char *trk_dims_text(char *text, size_t text_bytes, int n_dims, const int64_t *dims)
{
    size_t used = (size_t)snprintf(text, text_bytes, "[");
    for (int i = 0; i < n_dims && used < text_bytes; i++)
        used += (size_t)snprintf(text + used, text_bytes - used, "%s%lld", i ? ", " : "", (long long)dims[i]);
    if (used < text_bytes)
        snprintf(text + used, text_bytes - used, "]");
    return text;
}
