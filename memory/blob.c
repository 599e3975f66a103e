/* SPDX-License-Identifier: Apache-2.0 */
#include "blob.h"

#include <inttypes.h>
#include <string.h>

#define FIRST_CAPACITY 4096

void trk_blob_init(trk_blob *blob, trk_ledger *host, const char *owner)
{
    *blob = (trk_blob){.ledger = host, .owner = owner};
}

void trk_blob_release(trk_blob *blob)
{
    if (blob->ledger)
        trk_ledger_release(blob->ledger, TRK_MEM_BANK, blob->data, blob->capacity);
    *blob = (trk_blob){0};
}

static trk_status grow(trk_blob *blob, size_t bytes)
{
    size_t capacity = blob->capacity ? blob->capacity : FIRST_CAPACITY;
    while (capacity < bytes && capacity <= SIZE_MAX / 4)
        capacity *= 2;
    unsigned char *data =
        capacity < bytes ? NULL : trk_ledger_allocate(blob->ledger, TRK_MEM_BANK, blob->owner, capacity);
    if (!data)
        return trk_ledger_fail(blob->ledger, bytes, blob->owner);
    if (blob->bytes)
        memcpy(data, blob->data, blob->bytes);
    trk_ledger_release(blob->ledger, TRK_MEM_BANK, blob->data, blob->capacity);
    blob->data = data;
    blob->capacity = capacity;
    return TRK_OK;
}

void trk_blob_trim(trk_blob *blob)
{
    if (blob->bytes == 0 || blob->bytes == blob->capacity)
        return;
    unsigned char *data = trk_ledger_allocate(blob->ledger, TRK_MEM_BANK, blob->owner, blob->bytes);
    if (!data)
        return;
    memcpy(data, blob->data, blob->bytes);
    trk_ledger_release(blob->ledger, TRK_MEM_BANK, blob->data, blob->capacity);
    blob->data = data;
    blob->capacity = blob->bytes;
}

void *trk_blob_extend(trk_blob *blob, size_t bytes)
{
    if (blob->status < 0)
        return NULL;
    if (bytes > SIZE_MAX - blob->bytes)
        blob->status = trk_ledger_fail(blob->ledger, bytes, blob->owner);
    else if (!blob->data || bytes > blob->capacity - blob->bytes)
        blob->status = grow(blob, blob->bytes + bytes);
    if (blob->status < 0)
        return NULL;
    blob->bytes += bytes;
    return blob->data + blob->bytes - bytes;
}

void trk_blob_put(trk_blob *blob, const void *data, size_t bytes)
{
    void *room = trk_blob_extend(blob, bytes);
    if (room && bytes)
        memcpy(room, data, bytes);
}

static void put_unsigned(trk_blob *blob, uint64_t value, size_t bytes)
{
    unsigned char *room = trk_blob_extend(blob, bytes);
    for (size_t i = 0; room && i < bytes; i++)
        room[i] = (unsigned char)(value >> (8 * i));
}

void trk_blob_put_i64(trk_blob *blob, int64_t value)
{
    put_unsigned(blob, (uint64_t)value, 8);
}

void trk_blob_put_f32(trk_blob *blob, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_unsigned(blob, bits, 4);
}

void trk_blob_put_f64(trk_blob *blob, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_unsigned(blob, bits, 8);
}

const void *trk_blob_take(trk_blob_reader *reader, size_t bytes)
{
    if (reader->status < 0)
        return NULL;
    if (bytes > reader->bytes - reader->at) {
        reader->status =
            TRK_FAIL(TRK_E_FORMAT, "truncated: %zu bytes wanted at %zu, %zu in all", bytes, reader->at, reader->bytes);
        return NULL;
    }
    reader->at += bytes;
    return bytes ? reader->data + reader->at - bytes : (const void *)"";
}

static uint64_t take_unsigned(trk_blob_reader *reader, size_t bytes)
{
    const unsigned char *data = trk_blob_take(reader, bytes);
    uint64_t value = 0;
    for (size_t i = 0; data && i < bytes; i++)
        value |= (uint64_t)data[i] << (8 * i);
    return value;
}

int64_t trk_blob_take_i64(trk_blob_reader *reader)
{
    return (int64_t)take_unsigned(reader, 8);
}

float trk_blob_take_f32(trk_blob_reader *reader)
{
    uint32_t bits = (uint32_t)take_unsigned(reader, 4);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

double trk_blob_take_f64(trk_blob_reader *reader)
{
    uint64_t bits = take_unsigned(reader, 8);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

int64_t trk_blob_take_within(trk_blob_reader *reader, int64_t low, int64_t high, const char *what)
{
    int64_t value = trk_blob_take_i64(reader);
    if (reader->status >= 0 && value >= low && value <= high)
        return value;
    if (reader->status >= 0)
        reader->status =
            TRK_FAIL(TRK_E_FORMAT, "%s is %" PRId64 ", expected %" PRId64 " to %" PRId64, what, value, low, high);
    return 0;
}
