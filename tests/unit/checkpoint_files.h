/* SPDX-License-Identifier: Apache-2.0
 * Small checkpoints for the tests, assembled byte by byte: a growable buffer, pickle opcodes, the two containers and a
 * temporary directory. Failures of the scaffolding itself end the test. */
#ifndef TRK_TESTS_CHECKPOINT_FILES_H
#define TRK_TESTS_CHECKPOINT_FILES_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zip.h>

#include "error.h"
#include "scratch_folder.h"

/* The call fails with this status, and the line it leaves has this text in it. */
#define assert_fails(call, status, text)                                                                               \
    do {                                                                                                               \
        assert_int_equal((call), (status));                                                                            \
        if (!strstr(trk_error_text(), (text)))                                                                         \
            fail_msg("\"%s\" is not in \"%s\"", (text), trk_error_text());                                             \
        assert_null(strchr(trk_error_text(), '\n'));                                                                   \
    } while (0)

#define assert_works(call)                                                                                             \
    do {                                                                                                               \
        if ((call) < 0)                                                                                                \
            fail_msg("%s", trk_error_text());                                                                          \
    } while (0)

/* --- bytes --------------------------------------------------------------------------------------------------- */

typedef struct bytes {
    uint8_t *data;
    size_t n, capacity;
} bytes;

static inline void add(bytes *b, const void *data, size_t n)
{
    if (b->n + n > b->capacity) {
        b->capacity = 2 * (b->n + n) + 64;
        b->data = realloc(b->data, b->capacity);
        assert_non_null(b->data);
    }
    if (n)
        memcpy(b->data + b->n, data, n);
    b->n += n;
}

static inline void add_text(bytes *b, const char *text)
{
    add(b, text, strlen(text));
}

static inline void add_byte(bytes *b, int byte)
{
    uint8_t one = (uint8_t)byte;
    add(b, &one, 1);
}

static inline void add_uint(bytes *b, uint64_t value, int n)
{
    for (int i = 0; i < n; i++)
        add_byte(b, (int)(value >> (8 * i) & 255));
}

static inline void add_f32(bytes *b, float value)
{
    add(b, &value, sizeof value);
}

static inline void clear(bytes *b)
{
    free(b->data);
    *b = (bytes){0};
}

/* --- pickles ------------------------------------------------------------------------------------------------- */

static inline void start_pickle(bytes *b, int protocol)
{
    add_byte(b, 0x80);
    add_byte(b, protocol);
}

static inline void add_string(bytes *b, const char *text)
{
    add_byte(b, 'X');
    add_uint(b, strlen(text), 4);
    add_text(b, text);
}

static inline void add_int(bytes *b, int64_t value)
{
    add_byte(b, 0x8a);
    add_byte(b, 8);
    add_uint(b, (uint64_t)value, 8);
}

static inline void add_ints(bytes *b, int n, const int64_t *values)
{
    add_byte(b, '(');
    for (int i = 0; i < n; i++)
        add_int(b, values[i]);
    add_byte(b, 't');
}

typedef struct tensor_spec {
    const char *storage; /* "FloatStorage" */
    const char *key;
    int64_t n_stored, offset;
    int n_dims;
    int64_t dims[9], strides[9];
} tensor_spec;

/* torch._utils._rebuild_tensor_v2(storage, offset, size, stride, False, OrderedDict()) */
static inline void add_tensor(bytes *b, const tensor_spec *t)
{
    add_text(b, "ctorch._utils\n_rebuild_tensor_v2\n((");
    add_string(b, "storage");
    add_text(b, "ctorch\n");
    add_text(b, t->storage);
    add_text(b, "\n");
    add_string(b, t->key);
    add_string(b, "cpu");
    add_int(b, t->n_stored);
    add_text(b, "tQ");
    add_int(b, t->offset);
    add_ints(b, t->n_dims, t->dims);
    add_ints(b, t->n_dims, t->strides);
    add_text(b, "\x89"
                "ccollections\nOrderedDict\n)RtR");
}

/* --- files --------------------------------------------------------------------------------------------------- */

static char temporary_directory[64];

static inline int make_temporary_directory(void **state)
{
    (void)state;
    strcpy(temporary_directory, "trk-test-XXXXXX");
    return mkdtemp(temporary_directory) ? 0 : -1;
}

static inline int remove_temporary_directory(void **state)
{
    (void)state;
    return scratch_remove(temporary_directory);
}

/* Static storage, overwritten by the second next call. */
static inline const char *in_directory(const char *name)
{
    static char paths[2][256];
    static int next;
    next = !next;
    snprintf(paths[next], sizeof paths[next], "%s/%s", temporary_directory, name);
    return paths[next];
}

static inline const char *write_file(const char *name, const void *data, size_t n)
{
    const char *path = in_directory(name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
    return path;
}

/* A safetensors file with this header and data_bytes zeros (a hole where the file system has them). */
static inline const char *write_safetensors(const char *name, const char *header, uint64_t header_bytes,
                                            size_t data_bytes)
{
    bytes b = {0};
    add_uint(&b, header_bytes, 8);
    add_text(&b, header);
    const char *path = write_file(name, b.data, b.n);
    assert_int_equal(truncate(path, (off_t)(b.n + data_bytes)), 0);
    clear(&b);
    return path;
}

typedef struct zip_entry {
    const char *name;
    const bytes *content;
    int compressed;
} zip_entry;

static inline const char *write_zip(const char *name, const zip_entry *entries, int n)
{
    const char *path = in_directory(name);
    zip_t *zip = zip_open(path, ZIP_CREATE | ZIP_TRUNCATE, NULL);
    assert_non_null(zip);
    for (int i = 0; i < n; i++) {
        zip_source_t *source = zip_source_buffer(zip, entries[i].content->data, entries[i].content->n, 0);
        zip_int64_t index = zip_file_add(zip, entries[i].name, source, ZIP_FL_ENC_UTF_8);
        assert_true(index >= 0);
        assert_int_equal(zip_set_file_compression(zip, (zip_uint64_t)index,
                                                  entries[i].compressed ? ZIP_CM_DEFLATE : ZIP_CM_STORE, 0),
                         0);
    }
    assert_int_equal(zip_close(zip), 0);
    return path;
}

static inline bytes read_whole_file(const char *path)
{
    bytes b = {0};
    uint8_t block[4096];
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    for (size_t n; (n = fread(block, 1, sizeof block, file)) > 0;)
        add(&b, block, n);
    fclose(file);
    return b;
}

#endif
