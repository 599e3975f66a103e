/* SPDX-License-Identifier: Apache-2.0 */
#include "account.h"

#include <string.h>

/* One "other" per class always finds room behind the named owners. */
#define NAMED_OWNERS (TRK_ACCOUNT_OWNERS - TRK_MEM_CLASSES)

void trk_account_init(trk_account *account)
{
    *account = (trk_account){0};
    pthread_mutex_init(&account->mutex, NULL);
}

void trk_account_destroy(trk_account *account)
{
    pthread_mutex_destroy(&account->mutex);
}

static trk_owner_use *find_use(trk_account *account, trk_mem_class mem_class, const char *owner)
{
    for (size_t i = 0; i < account->n_owners; i++)
        if (account->owners[i].owner == owner && account->owners[i].mem_class == mem_class)
            return &account->owners[i];
    /* the same literal has another address in another file */
    for (size_t i = 0; i < account->n_owners; i++)
        if (account->owners[i].mem_class == mem_class && strcmp(account->owners[i].owner, owner) == 0)
            return &account->owners[i];
    return NULL;
}

/* Owners never leave the table, so who was counted under "other" once always is. */
static trk_owner_use *owner_use(trk_account *account, trk_mem_class mem_class, const char *owner)
{
    trk_owner_use *use = find_use(account, mem_class, owner);
    if (!use && account->n_owners >= NAMED_OWNERS) {
        owner = "other";
        use = find_use(account, mem_class, owner);
    }
    if (!use) {
        use = &account->owners[account->n_owners++];
        *use = (trk_owner_use){.owner = owner, .mem_class = mem_class};
    }
    return use;
}

static void raise_to(size_t *peak, size_t value)
{
    if (*peak < value)
        *peak = value;
}

static void put_in(trk_account *account, trk_mem_class mem_class, const char *owner, size_t bytes)
{
    trk_owner_use *use = owner_use(account, mem_class, owner);
    use->now += bytes;
    use->n_now++;
    account->now[mem_class] += bytes;
    raise_to(&use->peak, use->now);
    raise_to(&account->peak[mem_class], account->now[mem_class]);
}

static void take_out(trk_account *account, trk_mem_class mem_class, const char *owner, size_t bytes)
{
    trk_owner_use *use = owner_use(account, mem_class, owner);
    use->now -= bytes;
    use->n_now--;
    account->now[mem_class] -= bytes;
}

void trk_account_add(trk_account *account, trk_mem_class mem_class, const char *owner, size_t bytes)
{
    pthread_mutex_lock(&account->mutex);
    put_in(account, mem_class, owner, bytes);
    account->n_now++;
    account->total_now += bytes;
    raise_to(&account->total_peak, account->total_now);
    pthread_mutex_unlock(&account->mutex);
}

void trk_account_remove(trk_account *account, trk_mem_class mem_class, const char *owner, size_t bytes)
{
    pthread_mutex_lock(&account->mutex);
    take_out(account, mem_class, owner, bytes);
    account->n_now--;
    account->total_now -= bytes;
    pthread_mutex_unlock(&account->mutex);
}

void trk_account_move(trk_account *account, trk_mem_class from, const char *from_owner, trk_mem_class to,
                      const char *to_owner, size_t bytes)
{
    pthread_mutex_lock(&account->mutex);
    take_out(account, from, from_owner, bytes);
    put_in(account, to, to_owner, bytes);
    pthread_mutex_unlock(&account->mutex);
}

void trk_account_read(trk_account *account, trk_account *out)
{
    pthread_mutex_lock(&account->mutex);
    *out = *account;
    pthread_mutex_unlock(&account->mutex);
}

const char *trk_mem_class_name(trk_mem_class mem_class)
{
    static const char *const names[TRK_MEM_CLASSES] = {"pinned", "bank", "frame", "scratch"};
    return names[mem_class];
}
