/* SPDX-License-Identifier: Apache-2.0
 * Slots: slabs, generations, references. */
#include "bank.h"

#include <string.h>

#include "log.h"

#define KIND_SHIFT  29
#define NUMBER_MASK ((1u << KIND_SHIFT) - 1)

typedef struct slot_state {
    uint32_t generation; /* of the handle that is valid now, or the next one to be handed out */
    uint32_t references; /* 0: free */
    uint32_t next_free;  /* number, 0: none */
} slot_state;

/* States outlive the bytes: a slab that was trimmed keeps its generations until bytes stand behind it again. */
typedef struct slab {
    unsigned char *data; /* on the device; NULL: trimmed */
    uint32_t n_slots, n_used;
    slot_state slots[]; /* [slots_per_slab] */
} slab;

/* Slot numbers start at 1: slab 0 has 1 .. slots_per_slab, and so on, also where a slab has fewer slots. */
struct trk_slot_pool {
    size_t bytes, stride; /* of a slot, from one slot to the next */
    slab **slabs;
    uint32_t n_slabs, slabs_capacity;
    uint32_t first_bare; /* no slab before it is trimmed */
    uint32_t free; /* number of the first free slot, 0: none */
    size_t n_used, n_free;
    uint64_t n_taken, n_reused, n_copies;
};

static const char *owner_of(trk_slot_kind kind)
{
    static const char *const owners[TRK_SLOT_KINDS] = {"memories bf16", "memories f32",    "memories f16",
                                                       "memories q8",   "object pointers", "masks of memories"};
    return (unsigned)kind < TRK_SLOT_KINDS ? owners[kind] : "no kind";
}

size_t trk_bank_slot_bytes(const trk_bank_params *params, trk_slot_kind kind)
{
    switch (kind) {
    case TRK_SLOT_POINTER:
        return (size_t)params->pointer_dim * sizeof(float);
    case TRK_SLOT_MASK:
        return (size_t)params->mask_elements;
    default:
        return trk_storage_bytes((trk_storage)kind, (size_t)params->n_tokens * (size_t)params->mem_dim);
    }
}

trk_status trk_bank_init(trk_bank *bank, trk_ledger *ledger, trk_ledger *host, const trk_bank_params *params)
{
    size_t bytes = TRK_SLOT_KINDS * sizeof(trk_slot_pool);
    *bank = (trk_bank){0};
    trk_slot_pool *pools = trk_ledger_allocate(host, TRK_MEM_BANK, "slots", bytes);
    if (!pools)
        return trk_ledger_fail(host, bytes, "the bank");
    memset(pools, 0, bytes);
    *bank = (trk_bank){.ledger = ledger, .host = host, .params = *params, .pools = pools};
    for (int kind = 0; kind < TRK_SLOT_KINDS; kind++) {
        size_t n = trk_bank_slot_bytes(params, (trk_slot_kind)kind);
        pools[kind].bytes = n;
        pools[kind].stride = trk_aligned(n);
    }
    pthread_mutex_init(&bank->mutex, NULL);
    return TRK_OK;
}

static size_t slab_states_bytes(const trk_bank *bank)
{
    return sizeof(slab) + (size_t)bank->params.slots_per_slab * sizeof(slot_state);
}

static size_t slab_data_bytes(const trk_slot_pool *pool, const slab *s)
{
    return s->n_slots * pool->stride;
}

static void release_pool(trk_bank *bank, trk_slot_kind kind)
{
    trk_slot_pool *pool = &bank->pools[kind];
    if (pool->n_used)
        trk_log(TRK_LOG_ERROR, "bank: %zu slots of %s were never dropped", pool->n_used, owner_of(kind));
    for (uint32_t i = 0; i < pool->n_slabs; i++) {
        trk_ledger_release(bank->ledger, TRK_MEM_BANK, pool->slabs[i]->data, slab_data_bytes(pool, pool->slabs[i]));
        trk_ledger_release(bank->host, TRK_MEM_BANK, pool->slabs[i], slab_states_bytes(bank));
    }
    trk_ledger_release(bank->host, TRK_MEM_BANK, pool->slabs, pool->slabs_capacity * sizeof *pool->slabs);
}

void trk_bank_release(trk_bank *bank)
{
    if (!bank->pools)
        return;
    for (int kind = 0; kind < TRK_SLOT_KINDS; kind++)
        release_pool(bank, (trk_slot_kind)kind);
    trk_ledger_release(bank->host, TRK_MEM_BANK, bank->pools, TRK_SLOT_KINDS * sizeof *bank->pools);
    pthread_mutex_destroy(&bank->mutex);
    *bank = (trk_bank){0};
}

/* --- slabs --- */

static int room_for_slab(trk_bank *bank, trk_slot_pool *pool)
{
    if (pool->n_slabs < pool->slabs_capacity)
        return 1;
    uint32_t capacity = pool->slabs_capacity ? 2 * pool->slabs_capacity : 8;
    slab **slabs = trk_ledger_try(bank->host, TRK_MEM_BANK, "slots", capacity * sizeof *slabs);
    if (!slabs)
        return 0;
    if (pool->n_slabs)
        memcpy(slabs, pool->slabs, pool->n_slabs * sizeof *slabs);
    trk_ledger_release(bank->host, TRK_MEM_BANK, pool->slabs, pool->slabs_capacity * sizeof *slabs);
    pool->slabs = slabs;
    pool->slabs_capacity = capacity;
    return 1;
}

/* A trimmed slab, or one more; under the mutex. NULL: no memory for the states, or no numbers left. */
static slab *bare_slab(trk_bank *bank, trk_slot_pool *pool, uint32_t *index)
{
    for (*index = pool->first_bare; *index < pool->n_slabs; ++*index, pool->first_bare = *index)
        if (!pool->slabs[*index]->data)
            return pool->slabs[*index];
    if ((uint64_t)(*index + 1) * (uint32_t)bank->params.slots_per_slab > NUMBER_MASK || !room_for_slab(bank, pool))
        return NULL;
    slab *s = trk_ledger_try(bank->host, TRK_MEM_BANK, "slots", slab_states_bytes(bank));
    if (!s)
        return NULL;
    memset(s, 0, slab_states_bytes(bank));
    for (int i = 0; i < bank->params.slots_per_slab; i++)
        s->slots[i].generation = 1;
    pool->slabs[pool->n_slabs++] = s;
    return s;
}

static void free_all_of(trk_bank *bank, trk_slot_pool *pool, uint32_t index)
{
    slab *s = pool->slabs[index];
    for (uint32_t i = s->n_slots; i-- > 0;) {
        s->slots[i].next_free = pool->free;
        pool->free = 1 + index * (uint32_t)bank->params.slots_per_slab + i;
    }
}

enum { GROWN, NO_DEVICE_MEMORY, NO_HOST_MEMORY };

static int grow(trk_bank *bank, trk_slot_kind kind, int n)
{
    trk_slot_pool *pool = &bank->pools[kind];
    size_t bytes = (size_t)n * pool->stride;
    uint32_t index;
    unsigned char *data = trk_ledger_try(bank->ledger, TRK_MEM_BANK, owner_of(kind), bytes);
    if (!data)
        return NO_DEVICE_MEMORY;
    pthread_mutex_lock(&bank->mutex);
    slab *s = bare_slab(bank, pool, &index);
    if (s) {
        s->data = data;
        s->n_slots = (uint32_t)n;
        pool->n_free += (size_t)n;
        free_all_of(bank, pool, index);
    }
    pthread_mutex_unlock(&bank->mutex);
    if (!s)
        trk_ledger_release(bank->ledger, TRK_MEM_BANK, data, bytes);
    return s ? GROWN : NO_HOST_MEMORY;
}

/* A whole slab, else one of a single slot, else what reclaiming makes possible. TRK_OK: look again for a free slot. */
static trk_status grow_or_reclaim(trk_bank *bank, trk_slot_kind kind)
{
    size_t stride = bank->pools[kind].stride;
    int rc = grow(bank, kind, bank->params.slots_per_slab);
    if (rc == NO_DEVICE_MEMORY && bank->params.slots_per_slab > 1)
        rc = grow(bank, kind, 1);
    if (rc == NO_HOST_MEMORY)
        return trk_ledger_fail(bank->host, slab_states_bytes(bank), "slots of the bank");
    if (rc == NO_DEVICE_MEMORY && !trk_ledger_reclaim(bank->ledger, stride))
        return trk_ledger_fail(bank->ledger, stride, owner_of(kind));
    return TRK_OK;
}

static trk_status check_kind(const trk_bank *bank, trk_slot_kind kind)
{
    if (bank->pools[kind].bytes > 0)
        return TRK_OK;
    return TRK_FAIL(TRK_E_ARGUMENT, "the bank was made without %s", owner_of(kind));
}

/* Reclaiming may trim what was reserved so far. That can make room for more of it, by what other kinds had; once it has
 * not, it never will. */
trk_status trk_bank_reserve(trk_bank *bank, trk_slot_kind kind, size_t n)
{
    trk_status rc = check_kind(bank, kind);
    for (size_t had = 0, most = 0; rc >= 0;) {
        pthread_mutex_lock(&bank->mutex);
        const size_t has = bank->pools[kind].n_used + bank->pools[kind].n_free;
        pthread_mutex_unlock(&bank->mutex);
        if (has >= n)
            break;
        if (has < had && had <= most)
            return trk_ledger_fail(bank->ledger, bank->pools[kind].stride, owner_of(kind));
        most = has < had ? had : most;
        had = has;
        rc = grow_or_reclaim(bank, kind);
    }
    return rc;
}

static size_t trim_pool(trk_bank *bank, trk_slot_pool *pool)
{
    size_t bytes = 0;
    pool->free = 0;
    for (uint32_t i = pool->n_slabs; i-- > 0;) {
        slab *s = pool->slabs[i];
        if (s->data && s->n_used == 0) {
            bytes += slab_data_bytes(pool, s);
            trk_ledger_release(bank->ledger, TRK_MEM_BANK, s->data, slab_data_bytes(pool, s));
            pool->n_free -= s->n_slots;
            s->data = NULL;
            s->n_slots = 0;
        }
        if (!s->data)
            pool->first_bare = i;
        for (uint32_t k = s->n_slots; k-- > 0;)
            if (s->slots[k].references == 0) {
                s->slots[k].next_free = pool->free;
                pool->free = 1 + i * (uint32_t)bank->params.slots_per_slab + k;
            }
    }
    return bytes;
}

size_t trk_bank_trim(trk_bank *bank)
{
    size_t bytes = 0;
    pthread_mutex_lock(&bank->mutex);
    for (int kind = 0; kind < TRK_SLOT_KINDS; kind++)
        bytes += trim_pool(bank, &bank->pools[kind]);
    pthread_mutex_unlock(&bank->mutex);
    return bytes;
}

void trk_bank_measure(trk_bank *bank, trk_bank_use *out)
{
    *out = (trk_bank_use){0};
    pthread_mutex_lock(&bank->mutex);
    for (int kind = 0; kind < TRK_SLOT_KINDS; kind++) {
        const trk_slot_pool *pool = &bank->pools[kind];
        out->used[kind] = pool->n_used;
        out->free[kind] = pool->n_free;
        out->bytes_used += pool->n_used * pool->bytes;
        out->n_taken += pool->n_taken;
        out->n_reused += pool->n_reused;
        out->n_copies += pool->n_copies;
    }
    pthread_mutex_unlock(&bank->mutex);
}

/* --- slots --- */

int trk_slot_is_null(trk_slot slot)
{
    return slot.index == 0;
}

trk_slot_kind trk_slot_kind_of(trk_slot slot)
{
    return (trk_slot_kind)(slot.index >> KIND_SHIFT);
}

typedef struct found_slot {
    trk_slot_pool *pool;
    slab *slab;
    slot_state *state; /* NULL: no such slot */
    uint32_t at;       /* in the slab */
} found_slot;

/* Where a number lives, whatever its generation; under the mutex. */
static found_slot locate(const trk_bank *bank, uint32_t index)
{
    uint32_t kind = index >> KIND_SHIFT, number = index & NUMBER_MASK, n = (uint32_t)bank->params.slots_per_slab;
    found_slot f = {0};
    if (kind >= TRK_SLOT_KINDS || number == 0 || (number - 1) / n >= bank->pools[kind].n_slabs)
        return f;
    f.pool = &bank->pools[kind];
    f.slab = f.pool->slabs[(number - 1) / n];
    f.at = (number - 1) % n;
    f.state = &f.slab->slots[f.at];
    return f;
}

static int is_valid(const found_slot *f, trk_slot slot)
{
    return f->state && f->state->references > 0 && f->state->generation == slot.generation;
}

static int pop_free(trk_bank *bank, trk_slot_kind kind, trk_slot *out)
{
    pthread_mutex_lock(&bank->mutex);
    trk_slot_pool *pool = &bank->pools[kind];
    uint32_t number = pool->free;
    if (number) {
        out->index = (uint32_t)kind << KIND_SHIFT | number;
        found_slot f = locate(bank, out->index);
        out->generation = f.state->generation;
        f.state->references = 1;
        f.slab->n_used++;
        pool->free = f.state->next_free;
        pool->n_free--;
        pool->n_used++;
        pool->n_taken++;
        pool->n_reused += f.state->generation > 1;
    }
    pthread_mutex_unlock(&bank->mutex);
    return number != 0;
}

trk_status trk_slot_take(trk_bank *bank, trk_slot_kind kind, trk_slot *out)
{
    trk_slot slot;
    trk_status rc = check_kind(bank, kind);
    while (rc >= 0 && !pop_free(bank, kind, &slot))
        rc = grow_or_reclaim(bank, kind);
    if (rc < 0)
        return rc;
    *out = slot;
    trk_log(TRK_LOG_DEBUG, "bank: slot %u taken for %s, generation %u", slot.index & NUMBER_MASK, owner_of(kind),
            slot.generation);
    return rc;
}

static void push_free(trk_bank *bank, const found_slot *f, uint32_t index)
{
    const trk_device_memory *device = bank->ledger->device;
    if (trk_device_poisons())
        device->fill(device, f->slab->data + f->at * f->pool->stride, 0xff, f->pool->stride);
    f->state->generation += f->state->generation == UINT32_MAX ? 2 : 1; /* never 0 */
    f->state->next_free = f->pool->free;
    f->pool->free = index & NUMBER_MASK;
    f->slab->n_used--;
    f->pool->n_used--;
    f->pool->n_free++;
}

static trk_status fail_stale(trk_slot slot, const found_slot *f)
{
    return TRK_FAIL(TRK_E_STATE, "bank slot %u of %s: handle of generation %u, expected %u: it outlived the slot",
                    slot.index & NUMBER_MASK, owner_of(slot.index >> KIND_SHIFT), slot.generation,
                    f->state ? f->state->generation : 0);
}

trk_slot trk_slot_share(trk_bank *bank, trk_slot slot)
{
    if (trk_slot_is_null(slot))
        return slot;
    pthread_mutex_lock(&bank->mutex);
    found_slot f = locate(bank, slot.index);
    int valid = is_valid(&f, slot);
    if (valid)
        f.state->references++;
    else
        fail_stale(slot, &f);
    pthread_mutex_unlock(&bank->mutex);
    if (valid)
        return slot;
    trk_log(TRK_LOG_ERROR, "shared: %s", trk_error_text());
    return (trk_slot){0, 0};
}

int trk_slot_is_shared(trk_bank *bank, trk_slot slot)
{
    if (trk_slot_is_null(slot))
        return 0;
    pthread_mutex_lock(&bank->mutex);
    found_slot f = locate(bank, slot.index);
    const int shared = is_valid(&f, slot) && f.state->references > 1;
    pthread_mutex_unlock(&bank->mutex);
    return shared;
}

void trk_slot_drop(trk_bank *bank, trk_slot slot)
{
    if (trk_slot_is_null(slot))
        return;
    pthread_mutex_lock(&bank->mutex);
    found_slot f = locate(bank, slot.index);
    int valid = is_valid(&f, slot), freed = valid && --f.state->references == 0;
    if (!valid)
        fail_stale(slot, &f);
    else if (freed)
        push_free(bank, &f, slot.index);
    pthread_mutex_unlock(&bank->mutex);
    if (!valid)
        trk_log(TRK_LOG_ERROR, "dropped: %s", trk_error_text());
    else if (freed)
        trk_log(TRK_LOG_DEBUG, "bank: slot %u of %s is free", slot.index & NUMBER_MASK,
                owner_of(trk_slot_kind_of(slot)));
}

trk_status trk_slot_data(trk_bank *bank, trk_slot slot, void **out)
{
    if (trk_slot_is_null(slot))
        return TRK_FAIL(TRK_E_STATE, "bank slot 0: the null slot has no bytes");
    pthread_mutex_lock(&bank->mutex);
    found_slot f = locate(bank, slot.index);
    trk_status rc = TRK_OK;
    if (is_valid(&f, slot))
        *out = f.slab->data + f.at * f.pool->stride;
    else
        rc = fail_stale(slot, &f);
    pthread_mutex_unlock(&bank->mutex);
    return rc;
}

trk_status trk_slot_own(trk_bank *bank, trk_slot_kind kind, trk_slot *slot)
{
    if (!trk_slot_is_null(*slot)) {
        pthread_mutex_lock(&bank->mutex);
        found_slot f = locate(bank, slot->index);
        int shared = is_valid(&f, *slot) && f.state->references > 1;
        int keep = is_valid(&f, *slot) && !shared && trk_slot_kind_of(*slot) == kind;
        if (shared)
            f.pool->n_copies++;
        pthread_mutex_unlock(&bank->mutex);
        if (keep)
            return TRK_OK;
        trk_slot_drop(bank, *slot);
        *slot = (trk_slot){0, 0};
    }
    return trk_slot_take(bank, kind, slot);
}
