/* SPDX-License-Identifier: Apache-2.0
 * What an entry claims is held against the file before anything is allocated: entries are stored uncompressed, so one
 * is never larger than the file, and neither are all entries read together (overlapping entries would be). */
#include "torch_zip.h"

#include "heap.h"
#include "pickle.h"
#include "printable.h"

#include <stdio.h>
#include <string.h>
#include <zip.h>

#define MAX_NAME_BYTES 512

typedef struct container {
    zip_t *zip;
    size_t n_bytes;    /* of the file */
    size_t bytes_read; /* of all entries so far; at most n_bytes */
    size_t root_bytes; /* of "<root>/" */
    const char *root;  /* not terminated; owned by zip */
} container;

/* --- entries ------------------------------------------------------------------------------------------------- */

/* Takes the source, NULL if making it failed. */
static trk_status open_zip(container *c, zip_source_t *source, zip_error_t *error)
{
    zip_stat_t stat;
    zip_stat_init(&stat);
    if (source && zip_source_stat(source, &stat) == 0 && stat.valid & ZIP_STAT_SIZE)
        c->zip = zip_open_from_source(source, ZIP_RDONLY, error);
    if (c->zip) {
        c->n_bytes = (size_t)stat.size;
        return TRK_OK;
    }
    zip_source_free(source);
    return TRK_FAIL(TRK_E_FORMAT, "not a complete zip archive (%s): truncated or damaged", zip_error_strerror(error));
}

static trk_status check_entry(const container *c, const zip_stat_t *stat, const char *name)
{
    const zip_uint64_t needed = ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD | ZIP_STAT_ENCRYPTION_METHOD;
    if ((stat->valid & needed) != needed)
        return TRK_FAIL(TRK_E_FORMAT, "zip entry \"%s\" lacks its sizes", name);
    if (stat->encryption_method != ZIP_EM_NONE)
        return TRK_FAIL(TRK_E_FORMAT, "zip entry \"%s\" is encrypted", name);
    if (stat->comp_method != ZIP_CM_STORE || stat->size != stat->comp_size)
        return TRK_FAIL(TRK_E_FORMAT, "zip entry \"%s\" is compressed; checkpoints store theirs plainly", name);
    if (stat->size > c->n_bytes - c->bytes_read)
        return TRK_FAIL(TRK_E_FORMAT, "zip entry \"%s\" claims %llu bytes, the file of %zu has no room for them", name,
                        (unsigned long long)stat->size, c->n_bytes);
    return TRK_OK;
}

static trk_status read_entry(container *c, zip_uint64_t index, const char *name, void **out, size_t *n_bytes)
{
    zip_stat_t stat;
    zip_file_t *file = NULL;
    char *data = NULL, beyond;
    trk_status rc;
    zip_stat_init(&stat);
    if (zip_stat_index(c->zip, index, 0, &stat) < 0)
        return TRK_FAIL(TRK_E_FORMAT, "zip entry \"%s\": %s", name, zip_strerror(c->zip));
    TRK_CHECK(check_entry(c, &stat, name));
    file = zip_fopen_index(c->zip, index, 0);
    data = trk_heap_allocate(TRK_MEM_SCRATCH, "checkpoint", (size_t)stat.size + 1);
    if (!data) {
        rc = TRK_FAIL(TRK_E_MEMORY, "no memory for the %llu bytes of \"%s\"", (unsigned long long)stat.size, name);
        goto done;
    }
    /* the checksum is compared where the end is met: at the second call, which finds nothing more */
    if (!file || zip_fread(file, data, stat.size) != (zip_int64_t)stat.size || zip_fread(file, &beyond, 1) != 0) {
        rc = TRK_FAIL(TRK_E_FORMAT, "zip entry \"%s\" cannot be read: %s", name,
                      file ? zip_file_strerror(file) : zip_strerror(c->zip));
        goto done;
    }
    c->bytes_read += (size_t)stat.size;
    *n_bytes = (size_t)stat.size;
    *out = data;
    data = NULL;
done:
    trk_heap_release(data);
    if (file)
        zip_fclose(file);
    return rc;
}

/* The archive's top folder is named after the file that was saved: it is where data.pkl is. */
static trk_status find_root(container *c, zip_uint64_t *pickle_index)
{
    static const char suffix[] = "/data.pkl";
    zip_int64_t n = zip_get_num_entries(c->zip, 0);
    for (zip_int64_t i = 0; i < n; i++) {
        const char *name = zip_get_name(c->zip, (zip_uint64_t)i, ZIP_FL_ENC_RAW);
        size_t length = name ? strlen(name) : 0;
        if (length < sizeof suffix || strcmp(name + length - (sizeof suffix - 1), suffix) != 0)
            continue;
        if (c->root)
            return TRK_FAIL(TRK_E_FORMAT, "more than one zip entry ends in \"%s\"", suffix);
        c->root = name;
        c->root_bytes = length - strlen("data.pkl");
        *pickle_index = (zip_uint64_t)i;
    }
    if (!c->root)
        return TRK_FAIL(TRK_E_FORMAT, "a zip archive without an entry \"<name>/data.pkl\": not a PyTorch checkpoint");
    if (c->root_bytes > MAX_NAME_BYTES / 2)
        return TRK_FAIL(TRK_E_FORMAT, "the name of the folder of data.pkl has %zu bytes, expected at most %d",
                        c->root_bytes, MAX_NAME_BYTES / 2);
    return TRK_OK;
}

/* Number of the entry "<root>/<folder><key>", or -1. */
static zip_int64_t locate(const container *c, const char *folder, const char *key, size_t key_bytes)
{
    char name[MAX_NAME_BYTES];
    size_t folder_bytes = strlen(folder);
    if (key_bytes > 64 || memchr(key, 0, key_bytes))
        return -1;
    memcpy(name, c->root, c->root_bytes);
    memcpy(name + c->root_bytes, folder, folder_bytes);
    memcpy(name + c->root_bytes + folder_bytes, key, key_bytes);
    name[c->root_bytes + folder_bytes + key_bytes] = 0;
    return zip_name_locate(c->zip, name, ZIP_FL_ENC_RAW);
}

static trk_status check_byte_order(container *c)
{
    zip_int64_t index = locate(c, "", "byteorder", strlen("byteorder"));
    if (index < 0)
        return TRK_OK; /* written since PyTorch 2.1; before that little endian was the only one in use */
    void *text = NULL;
    size_t n;
    trk_status rc = read_entry(c, (zip_uint64_t)index, "byteorder", &text, &n);
    if (rc == TRK_OK && (n != strlen("little") || memcmp(text, "little", n) != 0))
        rc = TRK_FAIL(TRK_E_FORMAT, "byteorder is not \"little\": big-endian checkpoints are not supported");
    trk_heap_release(text);
    return rc;
}

/* --- tensors ------------------------------------------------------------------------------------------------- */

static trk_status load_storage(container *c, trk_storages *storages, const trk_pickle_storage *storage,
                               const uint8_t **out)
{
    size_t item_bytes = trk_dtype_bytes((trk_dtype)storage->dtype);
    char key[65];
    trk_printable(key, sizeof key, storage->key, storage->key_bytes);
    zip_int64_t index = locate(c, "data/", storage->key, storage->key_bytes);
    if (index < 0 || (size_t)index >= storages->n)
        return TRK_FAIL(TRK_E_FORMAT, "its storage \"%s\" is not in the archive", key);
    zip_stat_t stat;
    zip_stat_init(&stat);
    if (zip_stat_index(c->zip, (zip_uint64_t)index, 0, &stat) < 0 || !(stat.valid & ZIP_STAT_SIZE) ||
        (uint64_t)storage->n_elements > UINT64_MAX / item_bytes ||
        stat.size != (uint64_t)storage->n_elements * item_bytes)
        return TRK_FAIL(TRK_E_FORMAT, "its storage \"%s\" has %llu bytes, expected %lld elements of %s", key,
                        (unsigned long long)stat.size, (long long)storage->n_elements, storage->dtype_name);
    if (!storages->data[index]) {
        size_t n_bytes;
        trk_status rc = read_entry(c, (zip_uint64_t)index, key, &storages->data[index], &n_bytes);
        if (rc < 0)
            return rc;
    }
    *out = storages->data[index];
    return TRK_OK;
}

/* Row-major without gaps; dimensions of one element may have any stride. */
static int is_contiguous(const trk_pickle_tensor *tensor)
{
    int64_t expected = 1;
    for (int i = tensor->n_dims - 1; i >= 0; i--) {
        if (tensor->dims[i] != 1 && tensor->strides[i] != expected)
            return 0;
        expected *= tensor->dims[i]; /* no overflow: the product of all was checked */
    }
    return 1;
}

static trk_status make_tensor(container *c, trk_storages *storages, const trk_pickle_tensor *from, trk_tensor *out)
{
    const trk_pickle_storage *storage = from->storage;
    const uint8_t *data;
    trk_status rc;
    *out = (trk_tensor){.n_dims = from->n_dims};
    memcpy(out->dims, from->dims, sizeof out->dims);
    if (storage->dtype < 0)
        return TRK_FAIL(TRK_E_FORMAT, "has dtype %s, expected float32, float16 or bfloat16", storage->dtype_name);
    out->dtype = (trk_dtype)storage->dtype;
    TRK_CHECK(trk_tensor_set_elements(out));
    if (out->n_elements && !is_contiguous(from)) {
        char dims[160], strides[160];
        rc = TRK_FAIL(TRK_E_FORMAT, "of shape %s has strides %s: only contiguous tensors are supported",
                      trk_dims_text(dims, sizeof dims, from->n_dims, from->dims),
                      trk_dims_text(strides, sizeof strides, from->n_dims, from->strides));
        goto done;
    }
    if (from->offset > storage->n_elements || out->n_elements > (uint64_t)(storage->n_elements - from->offset)) {
        rc = TRK_FAIL(TRK_E_FORMAT, "needs elements %lld to %lld + %zu of a storage of %lld", (long long)from->offset,
                      (long long)from->offset, out->n_elements, (long long)storage->n_elements);
        goto done;
    }
    TRK_CHECK(load_storage(c, storages, storage, &data));
    out->data = data + (size_t)from->offset * trk_dtype_bytes(out->dtype);
done:
    return rc;
}

static trk_status add_tensor(container *c, trk_storages *storages, trk_tensor_list *tensors,
                             const trk_pickle_value *key, const trk_pickle_value *value)
{
    if (key->kind != TRK_PICKLE_STRING)
        return TRK_FAIL(TRK_E_FORMAT, "data.pkl: a tensor is named by %s, expected a string",
                        trk_pickle_kind_text(key->kind));
    trk_tensor tensor = {0};
    trk_status rc = trk_tensor_list_add(tensors, key->text, key->n, &tensor);
    if (rc < 0)
        return rc;
    trk_tensor *added = &tensors->items[tensors->n - 1];
    if (value->kind == TRK_PICKLE_TENSOR)
        rc = make_tensor(c, storages, value->tensor, &tensor);
    else
        rc = TRK_FAIL(TRK_E_FORMAT, "is %s", trk_pickle_kind_text(value->kind));
    if (rc < 0) {
        char where[256];
        snprintf(where, sizeof where, "tensor \"%.200s\"", added->name);
        return trk_fail_prefix(rc, where);
    }
    tensor.name = added->name;
    *added = tensor;
    return TRK_OK;
}

static trk_status read_state_dict(container *c, trk_storages *storages, trk_tensor_list *tensors,
                                  const trk_pickle_value *top)
{
    const trk_pickle_value *model = trk_pickle_get(top, "model");
    const trk_pickle_value *state = model && model->kind == TRK_PICKLE_DICT ? model : top;
    if (state->kind != TRK_PICKLE_DICT || state->n == 0)
        return TRK_FAIL(TRK_E_FORMAT, "data.pkl holds %s, expected a dict of tensors or {\"model\": such a dict}",
                        state->kind == TRK_PICKLE_DICT ? "an empty dict" : trk_pickle_kind_text(state->kind));
    trk_status rc = TRK_OK;
    for (size_t i = 0; rc == TRK_OK && i + 1 < state->n; i += 2)
        rc = add_tensor(c, storages, tensors, state->items[i], state->items[i + 1]);
    return rc;
}

static trk_status read_container(container *c, trk_tensor_list *tensors, trk_storages *storages)
{
    zip_uint64_t pickle_index = 0;
    void *pickle_bytes = NULL;
    size_t n_pickle_bytes;
    trk_pickle *pickle = NULL;
    trk_status rc;
    TRK_CHECK(find_root(c, &pickle_index));
    TRK_CHECK(check_byte_order(c));
    TRK_CHECK(read_entry(c, pickle_index, "data.pkl", &pickle_bytes, &n_pickle_bytes));
    rc = trk_pickle_read(&pickle, pickle_bytes, n_pickle_bytes);
    if (rc < 0) {
        trk_fail_prefix(rc, "data.pkl");
        goto done;
    }
    storages->n = (size_t)zip_get_num_entries(c->zip, 0);
    storages->data = trk_heap_zeroed(TRK_MEM_SCRATCH, "checkpoint", storages->n, sizeof *storages->data);
    if (!storages->data) {
        storages->n = 0;
        rc = TRK_FAIL(TRK_E_MEMORY, "no memory for the list of storages");
        goto done;
    }
    rc = read_state_dict(c, storages, tensors, trk_pickle_top(pickle));
done:
    trk_pickle_free(&pickle);
    trk_heap_release(pickle_bytes);
    return rc;
}

static trk_status read_source(zip_source_t *source, zip_error_t *error, trk_tensor_list *tensors,
                              trk_storages *storages)
{
    container c = {0};
    trk_status rc = open_zip(&c, source, error);
    if (rc == TRK_OK) {
        rc = read_container(&c, tensors, storages);
        zip_discard(c.zip);
    }
    zip_error_fini(error);
    return rc;
}

trk_status trk_torch_zip_read(const uint8_t *bytes, size_t n_bytes, trk_tensor_list *tensors, trk_storages *storages)
{
    zip_error_t error;
    zip_error_init(&error);
    return read_source(zip_source_buffer_create(bytes, n_bytes, 0, &error), &error, tensors, storages);
}

trk_status trk_torch_zip_read_file(const char *path, trk_tensor_list *tensors, trk_storages *storages)
{
    zip_error_t error;
    zip_error_init(&error);
    return read_source(zip_source_file_create(path, 0, 0, &error), &error, tensors, storages);
}

void trk_storages_free(trk_storages *storages)
{
    for (size_t i = 0; i < storages->n; i++)
        trk_heap_release(storages->data[i]);
    trk_heap_release(storages->data);
    *storages = (trk_storages){0};
}
