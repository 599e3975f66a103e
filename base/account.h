/* SPDX-License-Identifier: Apache-2.0
 * A count of bytes by lifetime class and by owner: now and at the peak. One per ledger, and one for the process's heap.
 * Every call is thread safe. */
#ifndef TRK_BASE_ACCOUNT_H
#define TRK_BASE_ACCOUNT_H

#include <pthread.h>
#include <stdint.h>

#include "allocator.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TRK_ACCOUNT_OWNERS 96 /* further ones are counted under "other" */

typedef struct trk_owner_use {
    const char *owner; /* static storage */
    trk_mem_class mem_class;
    size_t now, peak; /* bytes */
    size_t n_now;     /* allocations */
} trk_owner_use;

typedef struct trk_account {
    pthread_mutex_t mutex;
    size_t now[TRK_MEM_CLASSES], peak[TRK_MEM_CLASSES];
    size_t total_now, total_peak;
    size_t n_now; /* allocations */
    trk_owner_use owners[TRK_ACCOUNT_OWNERS];
    size_t n_owners;
} trk_account;

void trk_account_init(trk_account *account);
void trk_account_destroy(trk_account *account);
void trk_account_add(trk_account *account, trk_mem_class mem_class, const char *owner, size_t bytes);
void trk_account_remove(trk_account *account, trk_mem_class mem_class, const char *owner, size_t bytes);
/* Bytes change class and owner without changing hands: a swept chunk becomes idle scratch, and back. */
void trk_account_move(trk_account *account, trk_mem_class from, const char *from_owner, trk_mem_class to,
                      const char *to_owner, size_t bytes);
/* A consistent copy; the copy's mutex is not to be used. */
void trk_account_read(trk_account *account, trk_account *out);
const char *trk_mem_class_name(trk_mem_class mem_class); /* "pinned" ... */

#ifdef __cplusplus
}
#endif

#endif
