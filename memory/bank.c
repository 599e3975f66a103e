/* SPDX-License-Identifier: Apache-2.0
 * Upstream: SAM2Base._prepare_memory_conditioned_features (which entries are read, and with what age). */
#include "bank.h"

#include <string.h>

struct trk_slot {
    trk_slot *next_free;
};

#define SLOT_HEADER TRK_ALIGNMENT /* the data of a slot starts on a cache line */

void *trk_slot_data(const trk_slot *slot)
{
    return (unsigned char *)(uintptr_t)slot + SLOT_HEADER;
}

static trk_slot *slot_take(trk_slot_pool *pool)
{
    trk_slot *slot = pool->free_slots;
    if (slot)
        pool->free_slots = slot->next_free;
    else
        slot = trk_ledger_allocate(pool->ledger, TRK_MEM_BANK, pool->owner, SLOT_HEADER + pool->slot_bytes);
    return slot;
}

static void slot_give(trk_slot_pool *pool, trk_slot *slot)
{
    if (!slot)
        return;
    slot->next_free = pool->free_slots;
    pool->free_slots = slot;
}

static void slot_pool_release(trk_slot_pool *pool)
{
    while (pool->free_slots) {
        trk_slot *slot = pool->free_slots;
        pool->free_slots = slot->next_free;
        trk_ledger_release(pool->ledger, TRK_MEM_BANK, slot, SLOT_HEADER + pool->slot_bytes);
    }
}

void trk_bank_init(trk_bank *bank, trk_ledger *ledger, size_t memory_bytes, size_t pointer_bytes, int n_memories,
                   int n_pointers)
{
    *bank = (trk_bank){
        .memories = {ledger, "memory of a frame", memory_bytes, NULL},
        .pointers = {ledger, "object pointer", pointer_bytes, NULL},
        .n_memories = n_memories,
        .n_pointers = n_pointers,
    };
}

void trk_bank_release(trk_bank *bank)
{
    slot_pool_release(&bank->memories);
    slot_pool_release(&bank->pointers);
}

static size_t recent_bytes(const trk_bank *bank)
{
    return (size_t)bank->n_pointers * sizeof(trk_memory_entry);
}

trk_status trk_sequence_init(trk_sequence *sequence, trk_bank *bank)
{
    *sequence = (trk_sequence){.bank = bank};
    sequence->recent =
        trk_ledger_allocate(bank->memories.ledger, TRK_MEM_BANK, "entries of a sequence", recent_bytes(bank));
    return sequence->recent ? TRK_OK : TRK_FAIL(TRK_E_MEMORY, "no memory for the entries of an object");
}

static void entry_drop(trk_bank *bank, trk_memory_entry *entry)
{
    slot_give(&bank->memories, entry->memory);
    slot_give(&bank->pointers, entry->pointer);
}

static void list_erase(trk_bank *bank, trk_memory_entry *list, int *n, int i)
{
    entry_drop(bank, &list[i]);
    memmove(&list[i], &list[i + 1], (size_t)(*n - i - 1) * sizeof *list);
    --*n;
}

void trk_sequence_release(trk_sequence *sequence)
{
    trk_bank *bank = sequence->bank;
    if (!bank)
        return;
    for (int i = 0; i < sequence->n_conditioning; i++)
        entry_drop(bank, &sequence->conditioning[i]);
    for (int i = 0; i < sequence->n_recent; i++)
        entry_drop(bank, &sequence->recent[i]);
    trk_ledger *ledger = bank->memories.ledger;
    trk_ledger_release(ledger, TRK_MEM_BANK, sequence->conditioning,
                       (size_t)sequence->conditioning_capacity * sizeof *sequence->conditioning);
    trk_ledger_release(ledger, TRK_MEM_BANK, sequence->recent, recent_bytes(bank));
    *sequence = (trk_sequence){0};
}

static int list_index(const trk_memory_entry *list, int n, int64_t frame)
{
    for (int i = 0; i < n; i++)
        if (list[i].frame == frame)
            return i;
    return -1;
}

static trk_status grow_conditioning(trk_sequence *sequence)
{
    if (sequence->n_conditioning < sequence->conditioning_capacity)
        return TRK_OK;
    trk_ledger *ledger = sequence->bank->memories.ledger;
    size_t old = (size_t)sequence->conditioning_capacity * sizeof *sequence->conditioning;
    int capacity = sequence->conditioning_capacity ? 2 * sequence->conditioning_capacity : 4;
    trk_memory_entry *list = trk_ledger_allocate(ledger, TRK_MEM_BANK, "conditioning entries of a sequence",
                                                 (size_t)capacity * sizeof *list);
    if (!list)
        return TRK_FAIL(TRK_E_MEMORY, "no memory for the list of prompted frames");
    if (old)
        memcpy(list, sequence->conditioning, old);
    trk_ledger_release(ledger, TRK_MEM_BANK, sequence->conditioning, old);
    sequence->conditioning = list;
    sequence->conditioning_capacity = capacity;
    return TRK_OK;
}

/* the recent entry furthest from `frame` makes room */
static void make_room(trk_sequence *sequence, int64_t frame)
{
    int furthest = 0;
    for (int i = 1; i < sequence->n_recent; i++) {
        int64_t a = sequence->recent[i].frame - frame, b = sequence->recent[furthest].frame - frame;
        if ((a < 0 ? -a : a) > (b < 0 ? -b : b))
            furthest = i;
    }
    list_erase(sequence->bank, sequence->recent, &sequence->n_recent, furthest);
}

static trk_status entry_fill(trk_bank *bank, trk_memory_entry *entry)
{
    if (!entry->memory)
        entry->memory = slot_take(&bank->memories);
    if (!entry->pointer)
        entry->pointer = slot_take(&bank->pointers);
    return entry->memory && entry->pointer ? TRK_OK : TRK_FAIL(TRK_E_MEMORY, "no memory for a slot of the bank");
}

trk_status trk_sequence_put(trk_sequence *sequence, int64_t frame, int conditioning, trk_memory_entry **out)
{
    trk_bank *bank = sequence->bank;
    trk_memory_entry *entry;
    int i = list_index(sequence->conditioning, sequence->n_conditioning, frame);
    int j = list_index(sequence->recent, sequence->n_recent, frame);
    if (i >= 0) {
        entry = &sequence->conditioning[i];
    } else if (conditioning) {
        if (grow_conditioning(sequence) < 0)
            return TRK_E_MEMORY;
        if (j >= 0)
            list_erase(bank, sequence->recent, &sequence->n_recent, j);
        entry = &sequence->conditioning[sequence->n_conditioning++];
        *entry = (trk_memory_entry){.frame = frame};
    } else if (j >= 0) {
        entry = &sequence->recent[j];
    } else {
        if (sequence->n_recent == bank->n_pointers)
            make_room(sequence, frame);
        entry = &sequence->recent[sequence->n_recent++];
        *entry = (trk_memory_entry){.frame = frame};
    }
    trk_status rc = entry_fill(bank, entry);
    if (rc < 0) {
        trk_sequence_remove(sequence, frame);
        return rc;
    }
    *out = entry;
    return TRK_OK;
}

int trk_sequence_remove(trk_sequence *sequence, int64_t frame)
{
    int i = list_index(sequence->conditioning, sequence->n_conditioning, frame);
    if (i >= 0)
        list_erase(sequence->bank, sequence->conditioning, &sequence->n_conditioning, i);
    int j = list_index(sequence->recent, sequence->n_recent, frame);
    if (j >= 0)
        list_erase(sequence->bank, sequence->recent, &sequence->n_recent, j);
    return i >= 0 || j >= 0;
}

const trk_memory_entry *trk_sequence_find(const trk_sequence *sequence, int64_t frame, int *conditioning)
{
    int i = list_index(sequence->conditioning, sequence->n_conditioning, frame);
    *conditioning = i >= 0;
    if (i >= 0)
        return &sequence->conditioning[i];
    int j = list_index(sequence->recent, sequence->n_recent, frame);
    return j >= 0 ? &sequence->recent[j] : NULL;
}

void trk_sequence_advance(trk_sequence *sequence, int64_t frame)
{
    trk_bank *bank = sequence->bank;
    for (int i = sequence->n_recent - 1; i >= 0; i--) {
        trk_memory_entry *entry = &sequence->recent[i];
        int64_t age = frame > entry->frame ? frame - entry->frame : entry->frame - frame;
        if (age >= bank->n_pointers) {
            list_erase(bank, sequence->recent, &sequence->n_recent, i);
        } else if (age >= bank->n_memories && entry->memory) {
            slot_give(&bank->memories, entry->memory);
            entry->memory = NULL;
        }
    }
}

int trk_sequence_memories(const trk_sequence *sequence, int64_t t, int direction, trk_memory_read *out)
{
    int n = 0;
    for (int i = 0; i < sequence->n_conditioning; i++)
        out[n++] = (trk_memory_read){sequence->conditioning[i].memory, 0};
    for (int age = sequence->bank->n_memories - 1; age >= 1; age--) {
        int j = list_index(sequence->recent, sequence->n_recent, t - (int64_t)direction * age);
        if (j >= 0 && sequence->recent[j].memory)
            out[n++] = (trk_memory_read){sequence->recent[j].memory, age};
    }
    return n;
}

int trk_sequence_pointers(const trk_sequence *sequence, int64_t t, int direction, trk_memory_read *out)
{
    int n = 0;
    for (int i = 0; i < sequence->n_conditioning; i++) {
        int64_t age = (t - sequence->conditioning[i].frame) * direction;
        if (age >= 0)
            out[n++] = (trk_memory_read){sequence->conditioning[i].pointer, (int)(age > INT32_MAX ? INT32_MAX : age)};
    }
    for (int age = 1; age < sequence->bank->n_pointers; age++) {
        int j = list_index(sequence->recent, sequence->n_recent, t - (int64_t)direction * age);
        if (j >= 0)
            out[n++] = (trk_memory_read){sequence->recent[j].pointer, age};
    }
    return n;
}
