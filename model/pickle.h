/* SPDX-License-Identifier: Apache-2.0
 * A restricted reader of Python pickles, protocols 2 to 5: it builds numbers, strings, tuples, lists, dicts and
 * descriptions of tensors, and nothing else. Names of Python objects are looked up in a short fixed list; any other
 * name ends the reading. Nothing is ever imported or run. */
#ifndef TRK_MODEL_PICKLE_H
#define TRK_MODEL_PICKLE_H

#include "checkpoint.h"

typedef enum trk_pickle_kind {
    TRK_PICKLE_NONE,
    TRK_PICKLE_BOOL,    /* integer */
    TRK_PICKLE_INT,     /* integer */
    TRK_PICKLE_FLOAT,   /* real */
    TRK_PICKLE_STRING,  /* text, n; UTF-8, not terminated */
    TRK_PICKLE_BYTES,   /* text, n */
    TRK_PICKLE_TUPLE,   /* items, n */
    TRK_PICKLE_LIST,    /* items, n */
    TRK_PICKLE_DICT,    /* items, n: key, value, key, value... in order of insertion */
    TRK_PICKLE_GLOBAL,  /* global */
    TRK_PICKLE_STORAGE, /* storage */
    TRK_PICKLE_TENSOR   /* tensor */
} trk_pickle_kind;

typedef struct trk_pickle_global trk_pickle_global;
typedef struct trk_pickle_value trk_pickle_value;

/* A raw array of the container, by its key there. */
typedef struct trk_pickle_storage {
    const char *dtype_name; /* "float32", "int64"...; static */
    int dtype;              /* trk_dtype, or -1: a type checkpoints may not use */
    const char *key;        /* not terminated */
    size_t key_bytes;
    int64_t n_elements; /* >= 0 */
} trk_pickle_storage;

typedef struct trk_pickle_tensor {
    const trk_pickle_storage *storage;
    int64_t offset; /* elements, >= 0; like dims and strides not yet held against the storage */
    int n_dims;
    int64_t dims[TRK_TENSOR_MAX_DIMS], strides[TRK_TENSOR_MAX_DIMS]; /* strides in elements */
} trk_pickle_tensor;

struct trk_pickle_value {
    trk_pickle_kind kind;
    union {
        int64_t integer;
        double real;
        const char *text; /* borrowed from the pickle's bytes */
        trk_pickle_value **items;
        const trk_pickle_global *global;
        trk_pickle_storage *storage;
        trk_pickle_tensor *tensor;
    };
    size_t n, capacity; /* bytes of text, or items */
};

typedef struct trk_pickle trk_pickle;

/* Reads one pickle that fills `bytes`, which must outlive it. TRK_E_FORMAT names the byte and what was found there. */
trk_status trk_pickle_read(trk_pickle **out, const uint8_t *bytes, size_t n_bytes);
void trk_pickle_free(trk_pickle **pickle); /* NULL-safe */

/* The object that the pickle describes; lives as long as the pickle. Lists and dicts may contain themselves. */
const trk_pickle_value *trk_pickle_top(const trk_pickle *pickle);

/* The value a dict has under a string key, or NULL. */
const trk_pickle_value *trk_pickle_get(const trk_pickle_value *dict, const char *key);

/* "a tuple", "a tensor"... */
const char *trk_pickle_kind_text(trk_pickle_kind kind);

#endif
