/* SPDX-License-Identifier: Apache-2.0
 * The memories of a state, for eviction and for files: per object from which frame on its memories are whole and its
 * entries, conditioning ones in their order, then recent ones; then the held frames that are locked. */
#include "state.h"

#include <limits.h>

#define NO_MEMORY_KIND (-1) /* in place of a storage: the entry's memory is null or left out */
#define ENTRY_BINARIZE 1
#define ENTRY_MASK 2
#define ENTRY_POINTER 4
#define ENTRY_GOOD 8
#define ENTRY_FLAGS (ENTRY_BINARIZE | ENTRY_MASK | ENTRY_POINTER | ENTRY_GOOD)

/* --- bytes on the device -------------------------------------------------------------------------------------- */

static trk_status put_from_device(trk_tracker *t, const void *data, size_t bytes, trk_blob *out)
{
    const trk_device_memory *device = t->pool->ledger.device;
    void *room = trk_blob_extend(out, bytes);
    return room ? device->read(device, room, data, bytes) : out->status;
}

static trk_status take_to_device(trk_tracker *t, void *data, size_t bytes, trk_blob_reader *in)
{
    const trk_device_memory *device = t->pool->ledger.device;
    const void *given = trk_blob_take(in, bytes);
    return given ? device->write(device, data, given, bytes) : in->status;
}

static trk_status put_slot(trk_tracker *t, trk_slot slot, size_t bytes, trk_blob *out)
{
    void *data;
    trk_status rc = trk_slot_data(&t->pool->bank, slot, &data);
    return rc < 0 ? rc : put_from_device(t, data, bytes, out);
}

static trk_status take_slot(trk_tracker *t, trk_slot slot, size_t bytes, trk_blob_reader *in)
{
    void *data;
    trk_status rc = trk_slot_data(&t->pool->bank, slot, &data);
    return rc < 0 ? rc : take_to_device(t, data, bytes, in);
}

/* --- entries of a sequence ------------------------------------------------------------------------------------ */

static size_t memory_bytes(const trk_tracker *t, int64_t kind)
{
    const trk_network_model *m = t->model->network;
    return kind < 0 ? 0 : trk_storage_bytes((trk_storage)kind, (size_t)m->grid * (size_t)m->grid *
                                                                   (size_t)m->arch.mem_dim);
}

static size_t mask_bytes(const trk_tracker *t)
{
    return (size_t)trk_mask_side(t) * (size_t)trk_mask_side(t);
}

#define ENTRY_BYTES (3 * sizeof(int64_t) + sizeof(float)) /* the least an entry takes */

static trk_status put_entry(trk_tracker *t, const trk_memory_entry *e, int compact, trk_blob *out)
{
    int has_mask = !trk_slot_is_null(e->mask), has_pointer = !trk_slot_is_null(e->pointer);
    int left_out = trk_slot_is_null(e->memory) || (compact && has_mask);
    int64_t kind = left_out ? NO_MEMORY_KIND : (int64_t)trk_slot_kind_of(e->memory);
    trk_status rc = TRK_OK;
    trk_blob_put_i64(out, e->frame);
    trk_blob_put_i64(out, (e->binarize ? ENTRY_BINARIZE : 0) | (has_mask ? ENTRY_MASK : 0) |
                              (has_pointer ? ENTRY_POINTER : 0) | (e->good ? ENTRY_GOOD : 0));
    trk_blob_put_f32(out, e->score);
    trk_blob_put_i64(out, kind);
    trk_state_put_note(t, &e->note, out);
    if (!left_out)
        TRK_CHECK(put_slot(t, e->memory, memory_bytes(t, kind), out));
    if (has_pointer)
        TRK_CHECK(put_slot(t, e->pointer, trk_state_pointer_bytes(t), out));
    if (has_mask)
        TRK_CHECK(put_slot(t, e->mask, mask_bytes(t), out));
done:
    return rc;
}

/* Recent entries may be in any order: those without a memory come first, then those without a pointer, so that the slot
 * a taken one has for a moment is used again by the next. */
static int turn_of(const trk_memory_entry *e)
{
    return trk_slot_is_null(e->memory) ? 0 : trk_slot_is_null(e->pointer) ? 1 : 2;
}

static trk_status put_sequence(trk_tracker *t, const trk_sequence *s, int compact, trk_blob *out)
{
    trk_status rc = TRK_OK;
    trk_blob_put_i64(out, s->whole_from);
    trk_blob_put_i64(out, s->conditioning.n);
    trk_blob_put_i64(out, s->recent.n);
    for (int i = 0; i < s->conditioning.n; i++)
        TRK_CHECK(put_entry(t, &s->conditioning.items[i], compact, out));
    for (int turn = 0; turn <= 2; turn++)
        for (int i = 0; i < s->recent.n; i++)
            if (turn_of(&s->recent.items[i]) == turn)
                TRK_CHECK(put_entry(t, &s->recent.items[i], compact, out));
done:
    return rc;
}

static int may_be_stored(const trk_tracker_params *p, int64_t kind)
{
    return kind == (int64_t)p->memory_type || (p->older_after > 0 && kind == (int64_t)p->older_memory_type);
}

typedef struct entry_head {
    int64_t frame, flags, kind;
    float score;
    trk_memory_note note;
} entry_head;

static trk_status take_entry_head(const trk_tracker *t, const trk_sequence *s, int conditioning, entry_head *head,
                                  trk_blob_reader *in)
{
    head->frame = trk_state_frame(in, "frame of a memory");
    head->flags = trk_blob_take_within(in, 0, ENTRY_FLAGS, "flags of a memory");
    head->score = trk_blob_take_f32(in);
    head->kind = trk_blob_take_within(in, NO_MEMORY_KIND, TRK_STORAGES - 1, "storage of a memory");
    trk_state_take_note(t, &head->note, in);
    if (in->status < 0)
        return in->status;
    int can_rebuild = (head->flags & ENTRY_MASK) && t->pool->bank.params.mask_elements;
    if (trk_sequence_find(s, head->frame))
        return TRK_FAIL(TRK_E_FORMAT, "state: two memories of one object on frame %lld", (long long)head->frame);
    if (head->kind >= 0 && !may_be_stored(&t->params, head->kind))
        return TRK_FAIL(TRK_E_FORMAT, "state: the memory of frame %lld is stored as %s: expected %s",
                        (long long)head->frame, trk_storage_name((trk_storage)head->kind),
                        trk_storage_name((trk_storage)t->params.memory_type));
    if (head->kind < 0 && conditioning && !can_rebuild)
        return TRK_FAIL(TRK_E_FORMAT, "state: the conditioning frame %lld has no memory", (long long)head->frame);
    if (!(head->flags & ENTRY_POINTER) && (conditioning || (head->kind < 0 && !(head->flags & ENTRY_MASK))))
        return TRK_FAIL(TRK_E_FORMAT, "state: frame %lld has no object pointer", (long long)head->frame);
    return TRK_OK;
}

static void drop(trk_sequence *s, trk_slot *slot)
{
    trk_slot_drop(s->bank, *slot);
    *slot = (trk_slot){0};
}

static trk_status take_entry(trk_tracker *t, trk_sequence *s, int conditioning, trk_blob_reader *in)
{
    entry_head head;
    trk_memory_entry *e;
    trk_status rc;
    TRK_CHECK(take_entry_head(t, s, conditioning, &head, in));
    int with_mask = (head.flags & ENTRY_MASK) && t->pool->bank.params.mask_elements;
    trk_storage storage = (trk_storage)(head.kind < 0 ? (int64_t)t->params.memory_type : head.kind);
    TRK_CHECK(trk_sequence_put(s, head.frame, conditioning, storage, with_mask, &e));
    e->score = head.score;
    e->binarize = head.flags & ENTRY_BINARIZE;
    e->good = (head.flags & ENTRY_GOOD) != 0;
    e->note = head.note;
    if (head.kind < 0)
        drop(s, &e->memory);
    else
        TRK_CHECK(take_slot(t, e->memory, memory_bytes(t, head.kind), in));
    if (head.flags & ENTRY_POINTER)
        TRK_CHECK(take_slot(t, e->pointer, trk_state_pointer_bytes(t), in));
    else
        drop(s, &e->pointer);
    if (with_mask)
        rc = take_slot(t, e->mask, mask_bytes(t), in);
    else if (head.flags & ENTRY_MASK)
        trk_blob_take(in, mask_bytes(t)); /* this pool keeps none */
done:
    return rc < 0 ? rc : in->status;
}

static int64_t take_whole_from(trk_blob_reader *in)
{
    int64_t whole = trk_blob_take_i64(in);
    if (in->status >= 0 && whole != TRK_FRAME_NONE && (whole > TRK_FRAME_LIMIT || whole < -TRK_FRAME_LIMIT))
        in->status = TRK_FAIL(TRK_E_FORMAT, "state: memories whole from frame %lld on: expected at most %lld either way",
                              (long long)whole, (long long)TRK_FRAME_LIMIT);
    return whole;
}

/* Those whose mask was there to make a memory from, but this pool keeps no masks; after all of them: who would have read
 * them depends on the others. */
static void miss_memories(const trk_tracker *t, trk_sequence *s)
{
    for (int i = 0; i < s->recent.n; i++)
        if (!trk_entry_has_memory(&s->recent.items[i]))
            trk_sequence_miss(s, &s->recent.items[i], trk_direction(t));
}

static trk_status take_sequence(trk_tracker *t, trk_sequence *s, trk_blob_reader *in)
{
    s->whole_from = take_whole_from(in);
    int64_t n_conditioning = trk_state_count(in, ENTRY_BYTES, "number of conditioning frames");
    int64_t n_recent = trk_state_count(in, ENTRY_BYTES, "number of tracked frames");
    trk_status rc = in->status;
    for (int64_t i = 0; i < n_conditioning + n_recent && rc >= 0; i++)
        rc = take_entry(t, s, i < n_conditioning, in);
    if (rc >= 0)
        miss_memories(t, s);
    return rc;
}

/* --- held frames ---------------------------------------------------------------------------------------------- */

/* In the order of the file. From FIRST_SHARED on: made on first use by the objects of the frame. */
enum { LEVEL0, LEVEL1, LEVEL2, ATTENDED, QUERIES, PROJECTED, N_MATS, FIRST_SHARED = ATTENDED };
#define HELD_BYTES (3 * sizeof(int64_t) + N_MATS * sizeof(int64_t))

static trk_mat *mat_of(trk_features *f, int which)
{
    trk_mat *mats[N_MATS] = {
        [LEVEL0] = &f->level0,     [LEVEL1] = &f->level1,   [LEVEL2] = &f->level2,
        [ATTENDED] = &f->attended, [QUERIES] = &f->queries, [PROJECTED] = &f->projected,
    };
    return mats[which];
}

/* What the model says that matrix looks like. */
static trk_mat expected_mat(const trk_tracker *t, int which)
{
    int n = t->model->network->grid * t->model->network->grid, d = t->model->network->arch.d_model;
    int rows = which == LEVEL0 ? 16 * n : which == LEVEL1 ? 4 * n : n;
    int cols = which == LEVEL0 ? d / 8 : which == LEVEL1 ? d / 4 : d;
    trk_dtype dtype = which == QUERIES ? trk_state_precision(t) : TRK_F32;
    return (trk_mat){.dtype = dtype, .rows = rows, .cols = cols, .stride = cols};
}

static size_t mat_bytes(trk_mat mat, trk_dtype dtype)
{
    return (size_t)mat.rows * (size_t)mat.cols * trk_dtype_bytes(dtype);
}

static trk_status put_held(trk_tracker *t, trk_holding *h, trk_blob *out)
{
    trk_features *f = &((trk_held_frame *)h->payload)->features;
    trk_status rc = TRK_OK;
    trk_blob_put_i64(out, h->frame);
    trk_blob_put_i64(out, h->n_locks);
    trk_blob_put_i64(out, h->due != 0);
    for (int i = 0; i < N_MATS && rc >= 0; i++) {
        trk_mat mat = *mat_of(f, i);
        trk_blob_put_i64(out, mat.data != NULL);
        if (!mat.data)
            continue;
        trk_blob_put_i64(out, mat.rows);
        trk_blob_put_i64(out, mat.cols);
        trk_blob_put_i64(out, mat.dtype);
        rc = put_from_device(t, mat.data, mat_bytes(mat, mat.dtype), out);
    }
    return rc;
}

static trk_status put_held_frames(trk_tracker *t, int compact, trk_blob *out)
{
    const trk_sweeper *s = &t->sweeper;
    trk_status rc = TRK_OK;
    int64_t n = 0;
    for (size_t i = 0; i < s->n_holdings && !compact; i++)
        n += s->holdings[i]->n_locks > 0;
    trk_blob_put_i64(out, n);
    trk_blob_put_i64(out, n && t->current_locked);
    for (size_t i = 0; i < s->n_holdings && n && rc >= 0; i++)
        if (s->holdings[i]->n_locks > 0)
            rc = put_held(t, s->holdings[i], out);
    return rc;
}

/* *other_precision: the queries are of another precision than this backend's. */
static trk_status take_mat(trk_tracker *t, trk_holding *h, int which, int *other_precision, trk_blob_reader *in)
{
    trk_mat mat = expected_mat(t, which);
    int has_data = trk_state_flag(in, "\"has data\" of features");
    if (in->status < 0 || (!has_data && which >= FIRST_SHARED))
        return in->status;
    if (!has_data)
        return TRK_FAIL(TRK_E_FORMAT, "state: level %d of held frame %lld is missing", which, (long long)h->frame);
    trk_blob_take_within(in, mat.rows, mat.rows, "rows of features");
    trk_blob_take_within(in, mat.cols, mat.cols, "columns of features");
    const trk_dtype highest = which == QUERIES ? TRK_BF16 : TRK_F32;
    trk_dtype dtype = (trk_dtype)trk_blob_take_within(in, TRK_F32, highest, "type of features");
    if (in->status < 0)
        return in->status;
    if (dtype != mat.dtype) {
        *other_precision = 1;
        return trk_blob_take(in, mat_bytes(mat, dtype)) ? TRK_OK : in->status;
    }
    mat.data = trk_arena_allocate(&h->arena, mat_bytes(mat, dtype));
    if (!mat.data)
        return trk_ledger_fail(&t->pool->ledger, mat_bytes(mat, dtype), "features of a held frame");
    *mat_of(&((trk_held_frame *)h->payload)->features, which) = mat;
    return take_to_device(t, mat.data, mat_bytes(mat, dtype), in);
}

static trk_status take_mats(trk_tracker *t, trk_holding *h, trk_blob_reader *in)
{
    trk_features *f = &((trk_held_frame *)h->payload)->features;
    int other_precision = 0;
    trk_status rc = TRK_OK;
    for (int i = 0; i < N_MATS && rc >= 0; i++)
        rc = take_mat(t, h, i, &other_precision, in);
    if (other_precision || !f->attended.data || !f->queries.data) /* these two come together, or are made again */
        f->attended = f->queries = (trk_mat){0};
    return rc < 0 ? rc : in->status;
}

/* So that a tracker that has no plan yet takes no more for a frame than one that has. */
static size_t held_bytes(const trk_tracker *t)
{
    size_t bytes = 0;
    for (int i = 0; i < N_MATS; i++) {
        const trk_mat mat = expected_mat(t, i);
        bytes += trk_aligned(mat_bytes(mat, mat.dtype));
    }
    return bytes;
}

static trk_status take_held(trk_tracker *t, trk_blob_reader *in)
{
    trk_holding *h;
    int64_t frame = trk_state_frame(in, "held frame");
    int64_t n_locks = trk_blob_take_within(in, 1, INT_MAX / 2, "locks of a held frame");
    int64_t due = trk_state_flag(in, "\"due\" of a held frame");
    if (in->status < 0)
        return in->status;
    if (trk_sweeper_find(&t->sweeper, frame))
        return TRK_FAIL(TRK_E_FORMAT, "state: frame %lld is held twice", (long long)frame);
    if (!t->sweeper.frame_bytes)
        t->sweeper.frame_bytes = held_bytes(t);
    trk_status rc = trk_sweeper_begin(&t->sweeper, frame, &h);
    if (rc < 0)
        return rc;
    h->n_locks = (int)n_locks;
    h->due = (int)due;
    return take_mats(t, h, in);
}

static trk_status take_held_frames(trk_tracker *t, trk_blob_reader *in)
{
    int64_t n = trk_state_count(in, HELD_BYTES, "number of held frames");
    int64_t current_locked = trk_state_flag(in, "\"current frame is kept\"");
    trk_status rc = in->status;
    for (int64_t i = 0; i < n && rc >= 0; i++)
        rc = take_held(t, in);
    if (rc >= 0 && current_locked && !trk_current_features(t))
        rc = TRK_FAIL(TRK_E_FORMAT, "state: the features of the current frame, %lld, are kept but not there",
                      (long long)t->index);
    t->current_locked = (int)current_locked;
    return rc;
}

/* --- both ----------------------------------------------------------------------------------------------------- */

trk_status trk_state_put_memories(trk_tracker *t, trk_blob *out, int compact)
{
    trk_status rc = TRK_OK;
    for (size_t i = 0; i < t->n_objects && rc >= 0; i++)
        rc = put_sequence(t, &t->objects[i]->memories, compact, out);
    if (rc >= 0)
        rc = put_held_frames(t, compact, out);
    return rc < 0 ? rc : out->status;
}

void trk_state_forget_memories(trk_tracker *t)
{
    for (size_t i = 0; i < t->n_objects; i++)
        trk_sequence_clear(&t->objects[i]->memories);
    trk_drop_features(t);
}

trk_status trk_state_take_memories(trk_tracker *t, trk_blob_reader *in)
{
    trk_status rc = in->status;
    for (size_t i = 0; i < t->n_objects && rc >= 0; i++)
        rc = take_sequence(t, &t->objects[i]->memories, in);
    if (rc >= 0)
        rc = take_held_frames(t, in);
    if (rc >= 0 && in->at != in->bytes)
        rc = TRK_FAIL(TRK_E_FORMAT, "state: %zu bytes after its end, which is at byte %zu", in->bytes - in->at, in->at);
    if (rc < 0)
        trk_state_forget_memories(t);
    return rc;
}
