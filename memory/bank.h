/* SPDX-License-Identifier: Apache-2.0
 * The memory bank: what tracking can still read of earlier frames, per object, and nothing more. One bank serves all
 * trackers of a pool.
 *
 * Slots. A *memory* is the encoded frame [n_tokens, mem_dim] in one of four storage types; a *pointer* is the object's
 * token of that frame, [d] f32; a *mask* is the low-resolution mask the memory was made from, one byte an element, kept
 * only where a compact form is wanted. Each kind and storage type has slots of exactly its size, cut from slabs of the
 * device's memory; slots never move and are read in place, by index.
 *
 * Sequences. A sequence is what one object has:
 * - conditioning entries (prompted frames), in the order they were made, kept for good;
 * - recent entries (tracked frames), of which a tracked frame t reads the memories that the sequence's window names, at
 *   most n_memories - 1, and the pointers of the n_pointers - 1 frames before it. What no frame from t on, nor from
 *   `history` frames before it on, can read is dropped by trk_sequence_advance.
 *
 * Invariants
 * - A slot handle is an index and a generation. The generation changes whenever a slot is freed, so a handle that
 *   outlived its slot is found out (TRK_E_STATE), never read as another memory.
 * - A slot is free, or counts exactly the entries that refer to it. A slot with more than one is never written:
 *   trk_sequence_put gives the writer one of its own (copy on write).
 * - Index 0 is the null slot: "no memory here". It is shared, never written, never freed.
 * - A frame is in at most one of the two lists of a sequence; a recent entry may have lost its memory or its pointer
 *   (null), not both.
 * - The bytes of a freed slot are overwritten where trk_device_poisons() says so.
 * Slots may be taken, shared and dropped from any thread; a sequence belongs to one thread at a time. */
#ifndef TRK_MEMORY_BANK_H
#define TRK_MEMORY_BANK_H

#include "error.h"
#include "ledger.h"
#include "storage.h"

typedef struct trk_slot {
    uint32_t index;      /* kind in the top three bits; 0: the null slot */
    uint32_t generation;
} trk_slot;

typedef enum trk_slot_kind {
    TRK_SLOT_BF16, TRK_SLOT_F32, TRK_SLOT_F16, TRK_SLOT_Q8, /* memories: as trk_storage, in this order */
    TRK_SLOT_POINTER,
    TRK_SLOT_MASK,
    TRK_SLOT_KINDS
} trk_slot_kind;

#define TRK_BANK_SLAB 8 /* slots that a bank without a budget takes at once; with one, no more than are used */

typedef struct trk_bank_params {
    int n_tokens, mem_dim;    /* of a memory */
    int pointer_dim;          /* d_model */
    int mask_elements;        /* of a mask slot, one byte each; 0: none are kept */
    int slots_per_slab;       /* growth by so many at a time, at least 1, with which any free slot can be given back */
} trk_bank_params;

typedef struct trk_slot_pool trk_slot_pool;

typedef struct trk_bank {
    trk_ledger *ledger, *host; /* borrowed: slabs on the device, bookkeeping on the host; class BANK */
    trk_bank_params params;
    pthread_mutex_t mutex;
    trk_slot_pool *pools;      /* [TRK_SLOT_KINDS] owned */
} trk_bank;

trk_status trk_bank_init(trk_bank *bank, trk_ledger *ledger, trk_ledger *host, const trk_bank_params *params);
void trk_bank_release(trk_bank *bank); /* after its sequences; accepts a zeroed struct */
size_t trk_bank_slot_bytes(const trk_bank_params *params, trk_slot_kind kind);
/* Makes sure that n slots of the kind exist, free or not. */
trk_status trk_bank_reserve(trk_bank *bank, trk_slot_kind kind, size_t n);
/* Gives slabs without a slot in use back to the device; returns the bytes. */
size_t trk_bank_trim(trk_bank *bank);

typedef struct trk_bank_use {
    size_t used[TRK_SLOT_KINDS], free[TRK_SLOT_KINDS]; /* slots; shared ones count once */
    size_t bytes_used;
    uint64_t n_taken, n_reused, n_copies; /* so far: taken, of those from the free list, copies on write */
} trk_bank_use;
void trk_bank_measure(trk_bank *bank, trk_bank_use *out);

/* A slot with one reference. TRK_E_MEMORY when there is none. */
trk_status trk_slot_take(trk_bank *bank, trk_slot_kind kind, trk_slot *out);
trk_slot trk_slot_share(trk_bank *bank, trk_slot slot);  /* one more reference; the null slot as it is */
void trk_slot_drop(trk_bank *bank, trk_slot slot);       /* one less; accepts the null slot */
/* Makes *slot one of this kind that the caller alone refers to and may write: as it is, or a fresh one in its place
 * whose bytes are not set. On failure *slot is null. */
trk_status trk_slot_own(trk_bank *bank, trk_slot_kind kind, trk_slot *slot);
int trk_slot_is_null(trk_slot slot);
int trk_slot_is_shared(trk_bank *bank, trk_slot slot);   /* 1: more than one refer to it */
trk_slot_kind trk_slot_kind_of(trk_slot slot);           /* not of the null slot */
/* The bytes of a slot, on the device. TRK_E_STATE: the handle is stale or null (the text has its number
 * and kind, the generation found and the one expected). */
trk_status trk_slot_data(trk_bank *bank, trk_slot slot, void **out);

/* What somebody else wants to know again when tracking is taken up after this frame; zeros at first. */
typedef struct trk_memory_note {
    double values[32];
} trk_memory_note;

typedef struct trk_memory_entry {
    int64_t frame;
    trk_slot memory;    /* null once only the pointer can still be read */
    trk_slot pointer;   /* null once only the memory can still be read */
    trk_slot mask;      /* null unless kept */
    float score;        /* object score the memory was encoded with */
    int8_t conditioning;
    int8_t binarize;    /* how the memory was encoded */
    int8_t good;        /* for the window: it went well. 1 until trk_sequence_judge says otherwise */
    trk_memory_note note;
} trk_memory_entry;

/* It has one, or a mask to make one from. */
static inline int trk_entry_has_memory(const trk_memory_entry *entry)
{
    return !trk_slot_is_null(entry->memory) || !trk_slot_is_null(entry->mask);
}

/* It is to be made from its mask again. */
static inline int trk_entry_is_left_out(const trk_memory_entry *entry)
{
    return trk_slot_is_null(entry->memory) && !trk_slot_is_null(entry->mask);
}

/* Of a sequence: the block is on the bank's host ledger, class BANK. */
typedef struct trk_entry_list {
    trk_memory_entry *items;
    int n;
    size_t capacity;
} trk_entry_list;

typedef struct trk_sequence trk_sequence;

/* Which tracked frames' memories a frame reads. */
typedef struct trk_window {
    /* The entry that frame t reads with `age` as its place in time, 1 (the newest) to n_memories - 1, or NULL. May be one
     * of a conditioning frame, which is then read if it was not selected as such. */
    const trk_memory_entry *(*at)(const trk_sequence *sequence, int64_t t, int direction, int age);
    /* The last frame, in order of tracking, that can read the entry's memory; its own frame when none can,
     * TRK_FRAME_NONE as long as that is open. */
    int64_t (*last_reader)(const trk_sequence *sequence, const trk_memory_entry *entry, int direction);
    int by_age; /* 1: nothing older than n_memories - 1 frames is read */
} trk_window;
#define TRK_FRAME_NONE INT64_MIN

/* The frames just before: as in SAM 2. */
extern const trk_window trk_window_recent;

struct trk_sequence {
    trk_bank *bank; /* borrowed */
    const trk_window *window; /* static */
    int n_memories, n_pointers; /* slots of a tracked frame's attention: 7 and 16 */
    int64_t history;            /* frames kept beyond reach, so that tracking can be taken up there again; -1: all */
    trk_entry_list conditioning; /* in the order they were made */
    trk_entry_list recent;       /* in any order */
    int64_t whole_from; /* first frame, in order of tracking, that reads nothing which was dropped; TRK_FRAME_NONE: all */
};

void trk_sequence_init(trk_sequence *sequence, trk_bank *bank, const trk_window *window, int n_memories, int n_pointers,
                       int64_t history);
void trk_sequence_release(trk_sequence *sequence); /* accepts a zeroed struct */

/* Makes (or finds, to be overwritten) the entry of `frame` in the wanted list; an entry of that frame in the other list
 * goes, except that a conditioning entry stays what it is. Its memory slot is of `storage`, it and the pointer slot
 * (and the mask slot, if wanted) are the entry's own: slots it shared are replaced by fresh ones without copying, since
 * the caller writes all of them. Borrowed until the next call. On failure the entry of the frame is gone. */
trk_status trk_sequence_put(trk_sequence *sequence, int64_t frame, int conditioning, trk_storage storage, int with_mask,
                            trk_memory_entry **out);
/* What is known of the memory of `frame` when it has been computed. No entry: nothing. */
typedef struct trk_judgement {
    float score; /* object score it was encoded with */
    int good;
    trk_memory_note note;
} trk_judgement;
void trk_sequence_judge(trk_sequence *sequence, int64_t frame, const trk_judgement *judgement);
/* The note of the newest entry, in order of tracking, that comes before `frame`; NULL: there is none. */
const trk_memory_note *trk_sequence_note_before(const trk_sequence *sequence, int64_t frame, int direction);
/* An entry came without a memory, which is gone: the frames that would have read it are not in reach. */
void trk_sequence_miss(trk_sequence *sequence, const trk_memory_entry *entry, int direction);
/* Drops the entries of frames first .. last from both lists; returns how many. */
int trk_sequence_remove(trk_sequence *sequence, int64_t first, int64_t last);
/* Drops everything; the sequence is as it was after init. */
void trk_sequence_clear(trk_sequence *sequence);
/* Entry of `frame`, or NULL. */
const trk_memory_entry *trk_sequence_find(const trk_sequence *sequence, int64_t frame);
/* The next frame to be tracked is `frame`: drops what no frame from there on, nor `history` frames back, can read. */
void trk_sequence_advance(trk_sequence *sequence, int64_t frame, int direction);
/* into (uninitialised) becomes a copy that shares every slot. */
trk_status trk_sequence_fork(trk_sequence *into, const trk_sequence *from);
/* Adds how many slots of each kind nobody but this sequence refers to. */
void trk_sequence_count_own(const trk_sequence *sequence, size_t n[TRK_SLOT_KINDS]);
/* Adds delta to every frame number. */
void trk_sequence_rebase(trk_sequence *sequence, int64_t delta);
/* 1 if a frame could be tracked (or prompted) at t with everything it would have read at first: nothing it reads was
 * dropped. 0 also without a conditioning entry before t. */
int trk_sequence_reaches(const trk_sequence *sequence, int64_t t, int direction);
/* The first frame from which on trk_sequence_reaches holds, for an object that starts (needing nothing) on `start`. */
int64_t trk_sequence_reach(const trk_sequence *sequence, int64_t start, int direction);
/* Recent entries at least `age` frames before t whose memory is not of `storage` yet: the caller recodes each into a
 * slot of its own. Returns the next one or NULL. */
trk_memory_entry *trk_sequence_next_to_recode(trk_sequence *sequence, int64_t t, int direction, int64_t age,
                                              trk_storage storage);

/* What a tracked frame reads, in the order the keys are concatenated. */
typedef struct trk_memory_read {
    trk_slot slot;
    int64_t frame;
    int age; /* memories: 0 = conditioning, else frames back, 1 = the previous frame.  pointers: frames back */
} trk_memory_read;

typedef struct trk_read_rule {
    int direction;        /* +1 or -1: of tracking */
    int most_conditioning;/* conditioning entries read at most, nearest ones (select_closest_cond_frames); 0: all */
    int64_t without;      /* an entry of this frame is passed over (the frame's own); INT64_MIN: none */
} trk_read_rule;

/* Number of memories (at most conditioning.n + n_memories - 1) and pointers (conditioning.n + n_pointers - 1) read by
 * frame t. Conditioning entries in the future give a memory but no pointer. A conditioning entry that was not selected
 * takes part like a tracked one when its frame lies in the window. *n_left_out: conditioning entries not read. */
int trk_sequence_memories(const trk_sequence *sequence, int64_t t, const trk_read_rule *rule, trk_memory_read *out,
                          int *n_left_out);
int trk_sequence_pointers(const trk_sequence *sequence, int64_t t, const trk_read_rule *rule, trk_memory_read *out);

#endif
