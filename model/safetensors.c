/* SPDX-License-Identifier: Apache-2.0
 * Nothing of the header is believed: lengths, types, offsets and sizes are checked against the file, and the tensors
 * must cover the data exactly, so that no byte is read twice or left unexplained. */
#include "safetensors.h"

#include "heap.h"
#include "printable.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_HEADER_BYTES (4u << 20) /* 30,000 tensors; parsed, JSON takes up to eighty times its bytes */

typedef struct extent {
    size_t begin, end; /* bytes, from the start of the data */
    const char *name;
} extent;

static uint64_t read_u64(const uint8_t *bytes)
{
    uint64_t value = 0;
    for (int i = 7; i >= 0; i--)
        value = value << 8 | bytes[i];
    return value;
}

static trk_status read_dtype(trk_dtype *out, const json_t *entry)
{
    char shown[20];
    const char *text = json_string_value(json_object_get(entry, "dtype"));
    if (!text)
        return TRK_FAIL(TRK_E_FORMAT, "no dtype");
    if (strcmp(text, "F32") == 0)
        *out = TRK_F32;
    else if (strcmp(text, "F16") == 0)
        *out = TRK_F16;
    else if (strcmp(text, "BF16") == 0)
        *out = TRK_BF16;
    else
        return TRK_FAIL(TRK_E_FORMAT, "has dtype %s, expected F32, F16 or BF16",
                        trk_printable(shown, sizeof shown, text, strlen(text)));
    return TRK_OK;
}

static trk_status read_shape(trk_tensor *tensor, const json_t *entry)
{
    const json_t *shape = json_object_get(entry, "shape");
    if (!json_is_array(shape))
        return TRK_FAIL(TRK_E_FORMAT, "no shape");
    size_t n = json_array_size(shape);
    if (n > TRK_TENSOR_MAX_DIMS)
        return TRK_FAIL(TRK_E_FORMAT, "has %zu dimensions, expected at most %d", n, TRK_TENSOR_MAX_DIMS);
    for (size_t i = 0; i < n; i++) {
        const json_t *dim = json_array_get(shape, i);
        if (!json_is_integer(dim))
            return TRK_FAIL(TRK_E_FORMAT, "dimension %zu is not a whole number", i);
        tensor->dims[i] = json_integer_value(dim);
    }
    tensor->n_dims = (int)n;
    return trk_tensor_set_elements(tensor);
}

static trk_status read_extent(extent *out, const json_t *entry, size_t data_bytes)
{
    const json_t *offsets = json_object_get(entry, "data_offsets");
    const json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(begin) || !json_is_integer(end))
        return TRK_FAIL(TRK_E_FORMAT, "no pair of data_offsets");
    json_int_t first = json_integer_value(begin), last = json_integer_value(end);
    if (first < 0 || last < first || (uint64_t)last > data_bytes)
        return TRK_FAIL(TRK_E_FORMAT, "data_offsets %lld to %lld do not lie within the %zu bytes of data",
                        (long long)first, (long long)last, data_bytes);
    out->begin = (size_t)first;
    out->end = (size_t)last;
    return TRK_OK;
}

static trk_status read_entry(trk_tensor *tensor, extent *where, const json_t *entry, const uint8_t *data,
                             size_t data_bytes)
{
    trk_status rc;
    *tensor = (trk_tensor){0};
    if (!json_is_object(entry))
        return TRK_FAIL(TRK_E_FORMAT, "is not described by an object");
    TRK_CHECK(read_dtype(&tensor->dtype, entry));
    TRK_CHECK(read_shape(tensor, entry));
    TRK_CHECK(read_extent(where, entry, data_bytes));
    size_t expected = tensor->n_elements * trk_dtype_bytes(tensor->dtype);
    if (where->end - where->begin != expected) {
        char dims[160];
        rc = TRK_FAIL(TRK_E_FORMAT, "has %zu bytes, its shape %s needs %zu", where->end - where->begin,
                      trk_dims_text(dims, sizeof dims, tensor->n_dims, tensor->dims), expected);
        goto done;
    }
    tensor->data = data + where->begin;
done:
    return rc;
}

static int by_begin(const void *a, const void *b)
{
    const extent *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end);
}

static trk_status check_coverage(extent *extents, size_t n, size_t data_bytes)
{
    size_t covered = 0;
    const char *previous = "";
    if (n)
        qsort(extents, n, sizeof *extents, by_begin);
    for (size_t i = 0; i < n; i++) {
        if (extents[i].begin < covered)
            return TRK_FAIL(TRK_E_FORMAT, "tensors \"%.200s\" and \"%.200s\" overlap at data byte %zu", previous,
                            extents[i].name, extents[i].begin);
        if (extents[i].begin > covered)
            return TRK_FAIL(TRK_E_FORMAT, "no tensor uses the data bytes %zu to %zu before \"%.200s\"", covered,
                            extents[i].begin, extents[i].name);
        covered = extents[i].end;
        previous = extents[i].name;
    }
    if (covered != data_bytes)
        return TRK_FAIL(TRK_E_FORMAT, "%zu bytes after the last tensor", data_bytes - covered);
    return TRK_OK;
}

void trk_metadata_free(trk_metadata *metadata)
{
    trk_heap_release(metadata->architecture);
    trk_heap_release(metadata->made);
    *metadata = (trk_metadata){0};
}

static trk_status read_text(char **out, const json_t *metadata, const char *key)
{
    const json_t *text = json_object_get(metadata, key);
    if (!text)
        return TRK_OK;
    if (!json_is_string(text))
        return TRK_FAIL(TRK_E_FORMAT, "header: __metadata__.%s is not a string", key);
    *out = trk_heap_text("checkpoint", json_string_value(text));
    return *out ? TRK_OK : TRK_FAIL(TRK_E_MEMORY, "no memory for the metadata");
}

/* There is one: the header has no key twice. */
static trk_status read_metadata(trk_metadata *out, const json_t *metadata)
{
    if (!json_is_object(metadata))
        return TRK_FAIL(TRK_E_FORMAT, "header: __metadata__ is not an object");
    trk_status rc = read_text(&out->architecture, metadata, "architecture");
    return rc < 0 ? rc : read_text(&out->made, metadata, "made");
}

static trk_status read_header(json_t *header, const uint8_t *data, size_t data_bytes, trk_tensor_list *tensors,
                              trk_metadata *metadata)
{
    trk_status rc = TRK_OK;
    size_t n = 0;
    extent *extents = trk_heap_zeroed(TRK_MEM_SCRATCH, "checkpoint", json_object_size(header) + 1, sizeof *extents);
    if (!extents)
        return TRK_FAIL(TRK_E_MEMORY, "no memory for %zu header entries", json_object_size(header));
    const char *name;
    json_t *entry;
    json_object_foreach(header, name, entry)
    {
        if (strcmp(name, "__metadata__") == 0) {
            TRK_CHECK(read_metadata(metadata, entry));
            continue;
        }
        trk_tensor tensor;
        rc = read_entry(&tensor, &extents[n], entry, data, data_bytes);
        if (rc < 0) {
            char where[256], shown[200];
            snprintf(where, sizeof where, "tensor \"%s\"", trk_printable(shown, sizeof shown, name, strlen(name)));
            trk_fail_prefix(rc, where);
            goto done;
        }
        extents[n++].name = name;
        TRK_CHECK(trk_tensor_list_add(tensors, name, strlen(name), &tensor));
    }
    TRK_CHECK(check_coverage(extents, n, data_bytes));
done:
    trk_heap_release(extents);
    return rc;
}

static trk_status fail_json(const json_error_t *error)
{
    char text[sizeof error->text];
    return TRK_FAIL(TRK_E_FORMAT, "header is not valid JSON at byte %d: %s", 8 + error->position,
                    trk_printable(text, sizeof text, error->text, strlen(error->text))); /* it quotes the file */
}

trk_status trk_safetensors_read(const uint8_t *bytes, size_t n_bytes, trk_tensor_list *tensors, trk_metadata *metadata)
{
    if (n_bytes < 8)
        return TRK_FAIL(TRK_E_FORMAT, "%zu bytes, too short for a safetensors header", n_bytes);
    uint64_t header_bytes = read_u64(bytes);
    if (header_bytes > MAX_HEADER_BYTES && header_bytes <= n_bytes - 8)
        return TRK_FAIL(TRK_E_FORMAT, "a safetensors header of %llu bytes, expected at most %u",
                        (unsigned long long)header_bytes, MAX_HEADER_BYTES);
    if (header_bytes > n_bytes - 8)
        return TRK_FAIL(TRK_E_FORMAT, "a safetensors header of %llu bytes in a file of %zu: truncated or damaged",
                        (unsigned long long)header_bytes, n_bytes);
    json_error_t error;
    json_t *header = json_loadb((const char *)bytes + 8, (size_t)header_bytes, JSON_REJECT_DUPLICATES, &error);
    if (!header)
        return fail_json(&error);
    trk_status rc;
    if (json_is_object(header))
        rc = read_header(header, bytes + 8 + header_bytes, n_bytes - 8 - (size_t)header_bytes, tensors, metadata);
    else
        rc = TRK_FAIL(TRK_E_FORMAT, "header is not a JSON object");
    json_decref(header);
    return rc;
}
