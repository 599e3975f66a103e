/* SPDX-License-Identifier: Apache-2.0
 * How the elements of a memory are stored in the bank. */
#ifndef TRK_BASE_STORAGE_H
#define TRK_BASE_STORAGE_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum trk_storage {
    TRK_STORE_BF16, /* as the reference rounds */
    TRK_STORE_F32,
    TRK_STORE_F16,  /* finite: beyond +-65504 saturates */
    TRK_STORE_Q8,   /* blocks of 32: n int8, then n / 32 scales in f16; value = int8 * scale, scale = largest / 127 */
    TRK_STORAGES
} trk_storage;

#define TRK_Q8_BLOCK 32

/* bytes of n elements; n a multiple of TRK_Q8_BLOCK */
static inline size_t trk_storage_bytes(trk_storage storage, size_t n)
{
    switch (storage) {
    case TRK_STORE_F32:
        return 4 * n;
    case TRK_STORE_Q8:
        return n + n / TRK_Q8_BLOCK * 2;
    default:
        return 2 * n;
    }
}

const char *trk_storage_name(trk_storage storage); /* "bf16", ... */

#ifdef __cplusplus
}
#endif

#endif
