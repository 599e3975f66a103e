/* SPDX-License-Identifier: Apache-2.0
 * The memory bank: what tracking can still read of earlier frames, per object, and nothing more.
 *
 * A *memory* is the encoded frame (bf16, tokens x channels); a *pointer* is the object's token of that frame (f32). Both
 * live in slots of exactly their size, taken from a free list and given back to it; slots never move.
 *
 * A sequence holds one object's entries:
 * - conditioning entries (prompted frames), in the order they were made, kept for good;
 * - recent entries (tracked frames), of which a tracked frame t reads the memories of the n_memories - 1 frames before
 *   it and the pointers of the n_pointers - 1 frames before it. What is older can never be read again and is dropped
 *   by trk_sequence_advance.
 *
 * Invariants: a frame is in at most one of the two lists; a recent entry without a memory slot still has its pointer;
 * every slot is owned by one entry or on the free list. */
#ifndef TRK_MEMORY_BANK_H
#define TRK_MEMORY_BANK_H

#include "error.h"
#include "ledger.h"

typedef struct trk_slot trk_slot;

/* Slots of one size, class BANK. */
typedef struct trk_slot_pool {
    trk_ledger *ledger; /* borrowed */
    const char *owner;
    size_t slot_bytes;
    trk_slot *free_slots;
} trk_slot_pool;

typedef struct trk_bank {
    trk_slot_pool memories, pointers;
    int n_memories; /* slots of a tracked frame's attention: 7 */
    int n_pointers; /* 16 */
} trk_bank;

void trk_bank_init(trk_bank *bank, trk_ledger *ledger, size_t memory_bytes, size_t pointer_bytes, int n_memories,
                   int n_pointers);
void trk_bank_release(trk_bank *bank); /* after its sequences; accepts a zeroed struct */

typedef struct trk_memory_entry {
    int64_t frame;
    trk_slot *memory;  /* NULL once only the pointer can still be read */
    trk_slot *pointer;
} trk_memory_entry;

/* The bytes of a slot. */
void *trk_slot_data(const trk_slot *slot);

typedef struct trk_sequence {
    trk_bank *bank; /* borrowed */
    trk_memory_entry *conditioning;
    int n_conditioning, conditioning_capacity;
    trk_memory_entry *recent; /* capacity n_pointers */
    int n_recent;
} trk_sequence;

trk_status trk_sequence_init(trk_sequence *sequence, trk_bank *bank);
void trk_sequence_release(trk_sequence *sequence); /* accepts a zeroed struct */

/* Makes (or finds, to be overwritten) the entry of `frame` in the wanted list, with both slots; an entry of that frame
 * in the other list goes, except that a conditioning entry stays what it is. Borrowed until the next call. */
trk_status trk_sequence_put(trk_sequence *sequence, int64_t frame, int conditioning, trk_memory_entry **out);
/* Drops the entry of a frame from either list; returns 1 if there was one. */
int trk_sequence_remove(trk_sequence *sequence, int64_t frame);
/* Entry of `frame`, or NULL; *conditioning tells the list. */
const trk_memory_entry *trk_sequence_find(const trk_sequence *sequence, int64_t frame, int *conditioning);
/* The next frame to be tracked is `frame`: drops what no frame from there on can read. */
void trk_sequence_advance(trk_sequence *sequence, int64_t frame);

/* What a tracked frame reads, in the order the keys are concatenated. */
typedef struct trk_memory_read {
    const trk_slot *slot;
    int age; /* memories: 0 = conditioning, else frames back, 1 = the previous frame.  pointers: frames back */
} trk_memory_read;

/* Number of memories (at most n_conditioning + n_memories - 1) and pointers (n_conditioning + n_pointers - 1) read by
 * frame t; direction +1 or -1 is the direction of tracking. Conditioning entries in the future give a memory but no
 * pointer. The arrays are the caller's. */
int trk_sequence_memories(const trk_sequence *sequence, int64_t t, int direction, trk_memory_read *out);
int trk_sequence_pointers(const trk_sequence *sequence, int64_t t, int direction, trk_memory_read *out);

#endif
