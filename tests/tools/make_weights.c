/* SPDX-License-Identifier: Apache-2.0
 * make_weights FAMILY SIZE OUT.safetensors: a checkpoint of an official configuration with generated weights, the ones
 * the goldens were computed with. Written under a temporary name and renamed. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch.h"
#include "seeded_weights.h"

#define PIECE 65536 /* elements generated at a time */

typedef struct writer {
    FILE *file;
    uint64_t seed;
    char *header; /* JSON text so far */
    size_t header_bytes, header_capacity;
    uint64_t data_bytes; /* of the tensors named so far */
} writer;

static size_t elements_of(int n_dims, const int64_t *dims)
{
    size_t n = 1;
    for (int i = 0; i < n_dims; i++)
        n *= (size_t)dims[i];
    return n;
}

static trk_status append(writer *w, const char *text)
{
    size_t n = strlen(text);
    if (w->header_bytes + n + 8 > w->header_capacity) {
        size_t capacity = 2 * (w->header_capacity + n) + 4096;
        char *grown = realloc(w->header, capacity);
        if (!grown)
            return TRK_FAIL(TRK_E_MEMORY, "out of memory");
        w->header = grown;
        w->header_capacity = capacity;
    }
    memcpy(w->header + w->header_bytes, text, n + 1);
    w->header_bytes += n;
    return TRK_OK;
}

static trk_status describe(void *user, const char *name, int n_dims, const int64_t *dims)
{
    writer *w = user;
    char entry[768], shape[256] = "";
    for (int i = 0, at = 0; i < n_dims; i++)
        at += snprintf(shape + at, sizeof shape - (size_t)at, "%s%" PRId64, i ? "," : "", dims[i]);
    uint64_t end = w->data_bytes + 4 * (uint64_t)elements_of(n_dims, dims);
    snprintf(entry, sizeof entry,
             "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[%s],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}",
             w->data_bytes ? "," : "{", name, shape, w->data_bytes, end);
    w->data_bytes = end;
    return append(w, entry);
}

static trk_status write_tensor(void *user, const char *name, int n_dims, const int64_t *dims)
{
    writer *w = user;
    static float values[PIECE];
    size_t n = elements_of(n_dims, dims);
    for (size_t at = 0; at < n; at += PIECE) {
        size_t count = n - at < PIECE ? n - at : PIECE;
        seeded_tensor(values, w->seed, name, n_dims, dims, at, count);
        if (fwrite(values, sizeof *values, count, w->file) != count)
            return TRK_FAIL(TRK_E_IO, "writing failed: %s", strerror(errno));
    }
    return TRK_OK;
}

static trk_status write_all(writer *w, const trk_arch *arch)
{
    trk_status rc = trk_arch_inventory(arch, describe, w);
    if (rc >= 0)
        rc = append(w, "}");
    while (rc >= 0 && w->header_bytes % 8)
        rc = append(w, " ");
    if (rc < 0)
        return rc;
    unsigned char length[8];
    for (int i = 0; i < 8; i++)
        length[i] = (unsigned char)((uint64_t)w->header_bytes >> (8 * i));
    if (fwrite(length, 1, 8, w->file) != 8 || fwrite(w->header, 1, w->header_bytes, w->file) != w->header_bytes)
        return TRK_FAIL(TRK_E_IO, "writing failed: %s", strerror(errno));
    return trk_arch_inventory(arch, write_tensor, w);
}

static trk_status make(const char *family, const char *size, const char *path)
{
    trk_arch arch;
    trk_status rc = trk_arch_official(&arch, family, size);
    if (rc < 0)
        return rc;
    char *temporary = malloc(strlen(path) + 5);
    if (!temporary)
        return TRK_FAIL(TRK_E_MEMORY, "out of memory");
    sprintf(temporary, "%s.tmp", path);
    writer w = {.file = fopen(temporary, "wb"), .seed = seeded_seed_of(size)};
    if (!w.file) {
        rc = TRK_FAIL(TRK_E_IO, "%s: %s", temporary, strerror(errno));
    } else {
        rc = write_all(&w, &arch);
        if (fclose(w.file) && rc >= 0)
            rc = TRK_FAIL(TRK_E_IO, "%s: %s", temporary, strerror(errno));
        if (rc >= 0 && rename(temporary, path))
            rc = TRK_FAIL(TRK_E_IO, "%s: %s", path, strerror(errno));
        if (rc < 0)
            remove(temporary);
    }
    free(w.header);
    free(temporary);
    return rc;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: make_weights sam2|sam2.1 tiny|small|base+|large OUT.safetensors\n");
        return 2;
    }
    if (make(argv[1], argv[2], argv[3]) < 0) {
        fprintf(stderr, "make_weights: %s\n", trk_error_text());
        return 1;
    }
    return 0;
}
