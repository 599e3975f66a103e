/* SPDX-License-Identifier: Apache-2.0
 * A tracker's state as bytes. Two users: eviction (the sequences and held features of a tracker whose objects stay
 * where they are) and state files (everything).
 *
 * File: "TRKSTATE", version (u32), reserved (u32, 0), payload bytes (u64), fingerprint of the model (u64), XXH3-64 of
 * the payload (u64), XXH3-64 of this header up to here (u64), payload. Little-endian. */
#ifndef TRK_TRACKER_STATE_H
#define TRK_TRACKER_STATE_H

#include "tracker.h"

#define TRK_STATE_VERSION 3

/* Sequences of all objects, and the features of held frames that are locked (or kept). compact: memories whose mask is
 * kept are left out; features too. What is read from the device goes through pool->ledger.device. */
trk_status trk_state_put_memories(trk_tracker *t, trk_blob *out, int compact);
/* The inverse, for the same objects with empty sequences. In the compact form memories left out stay null. On failure
 * the sequences are empty. */
trk_status trk_state_take_memories(trk_tracker *t, trk_blob_reader *in);
/* Empties all sequences and drops all held features. */
void trk_state_forget_memories(trk_tracker *t);

/* Everything: parameters that decide results, timeline, objects, prompts, results, then the memories. */
trk_status trk_state_put(trk_tracker *t, trk_blob *out);
/* Into a tracker that was just opened. On failure the tracker is only good for destruction. Every value is checked: the
 * bytes may come from anywhere. */
trk_status trk_state_take(trk_tracker *t, trk_blob_reader *in);

/* What a state file must agree with: weights, architecture and image size; XXH3-64. */
uint64_t trk_state_fingerprint(const trk_model *model);
/* Checks a file's bytes and hands out its payload. */
trk_status trk_state_check(const void *data, size_t bytes, uint64_t fingerprint, trk_blob_reader *payload);

/* --- what the files of the state share --- */
/* A note as the tracker's policy writes it; nothing if it has none. */
static inline void trk_state_put_note(const trk_tracker *t, const trk_memory_note *note, trk_blob *out)
{
    if (t->policy->put)
        t->policy->put(note, out);
}
static inline void trk_state_take_note(const trk_tracker *t, trk_memory_note *note, trk_blob_reader *in)
{
    *note = (trk_memory_note){{0}};
    trk_status rc = t->policy->take && in->status >= 0 ? t->policy->take(note, &t->motion, in) : TRK_OK;
    if (rc < 0 && in->status >= 0)
        in->status = rc;
}
static inline int trk_state_flag(trk_blob_reader *in, const char *what)
{
    return (int)trk_blob_take_within(in, 0, 1, what);
}
/* A number of things that take at least `each` bytes. */
static inline int64_t trk_state_count(trk_blob_reader *in, size_t each, const char *what)
{
    return trk_blob_take_within(in, 0, (int64_t)((in->bytes - in->at) / each), what);
}
static inline int64_t trk_state_frame(trk_blob_reader *in, const char *what)
{
    return trk_blob_take_within(in, -TRK_FRAME_LIMIT, TRK_FRAME_LIMIT, what);
}
static inline size_t trk_state_pointer_bytes(const trk_tracker *t)
{
    return (size_t)t->model->network->arch.d_model * sizeof(float);
}
static inline trk_dtype trk_state_precision(const trk_tracker *t)
{
    return trk_backend_activation(t->model->network->backend);
}

#endif
