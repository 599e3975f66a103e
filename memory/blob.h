/* SPDX-License-Identifier: Apache-2.0
 * A growing run of bytes on the host, and a bounded way to read one: what evicted trackers and state files are made of.
 * Little-endian, no padding. */
#ifndef TRK_MEMORY_BLOB_H
#define TRK_MEMORY_BLOB_H

#include <stdint.h>

#include "ledger.h"

typedef struct trk_blob {
    trk_ledger *ledger; /* borrowed, of the host; class BANK */
    const char *owner;
    unsigned char *data;/* owned */
    size_t bytes, capacity;
    trk_status status;  /* first failure; later puts do nothing */
} trk_blob;

void trk_blob_init(trk_blob *blob, trk_ledger *host, const char *owner);
void trk_blob_release(trk_blob *blob); /* accepts a zeroed struct */
void trk_blob_put(trk_blob *blob, const void *data, size_t bytes);
void trk_blob_trim(trk_blob *blob); /* gives back what is not used, if that can be done */
void *trk_blob_extend(trk_blob *blob, size_t bytes); /* room to be filled by the caller at once; NULL on failure */
void trk_blob_put_i64(trk_blob *blob, int64_t value);
void trk_blob_put_f32(trk_blob *blob, float value);
void trk_blob_put_f64(trk_blob *blob, double value);

/* Reads never go past the end: the first one that would records TRK_E_FORMAT, and all later ones give zeros. */
typedef struct trk_blob_reader {
    const unsigned char *data; /* borrowed */
    size_t bytes, at;
    trk_status status;
} trk_blob_reader;

const void *trk_blob_take(trk_blob_reader *reader, size_t bytes); /* NULL on failure */
int64_t trk_blob_take_i64(trk_blob_reader *reader);
float trk_blob_take_f32(trk_blob_reader *reader);
double trk_blob_take_f64(trk_blob_reader *reader);
/* A number within bounds, else TRK_E_FORMAT naming `what`, the value and the bounds. */
int64_t trk_blob_take_within(trk_blob_reader *reader, int64_t low, int64_t high, const char *what);

#endif
