/* SPDX-License-Identifier: Apache-2.0
 * Back from the compact form: memories are encoded again from frames the caller gives once more and from the masks that
 * were kept. Masks are kept to 0.1 of a logit, so memories come back nearly, not exactly, as they were. */
#include "log.h"
#include "tracker.h"

static trk_status encode_entry(trk_tracker *t, trk_features *features, trk_memory_entry *entry)
{
    trk_network *net = &t->seat->net;
    const trk_storage storage = (trk_storage)t->params.memory_type;
    const int side = trk_mask_side(t);
    void *mask, *memory;
    trk_slot slot = {0, 0};
    trk_status rc = trk_slot_take(&t->pool->bank, (trk_slot_kind)storage, &slot);
    if (rc < 0)
        return rc;
    trk_arena_mark mark = trk_arena_here(&t->seat->scratch);
    TRK_CHECK(trk_slot_data(&t->pool->bank, entry->mask, &mask));
    TRK_CHECK(trk_slot_data(&t->pool->bank, slot, &memory));
    trk_mat logits = trk_new_mat(net, &t->seat->scratch, TRK_F32, side, side);
    trk_mat score = trk_new_mat(net, &t->seat->scratch, TRK_F32, 1, 1);
    TRK_RUN(&net->exec, unpack_mask, logits, mask);
    trk_set_mat(net, score, &entry->score);
    if (net->exec.status >= 0)
        trk_encode_memory(net, features, logits.data, entry->binarize, score.data, storage, memory);
    TRK_CHECK(trk_network_finish(net));
    entry->memory = slot;
    slot = (trk_slot){0, 0};
done:
    trk_arena_rewind(&t->seat->scratch, mark);
    trk_slot_drop(&t->pool->bank, slot);
    return rc;
}

static trk_status encode_list(trk_tracker *t, trk_features *features, const trk_entry_list *list, int64_t frame)
{
    trk_status rc = TRK_OK;
    for (int i = 0; rc >= 0 && i < list->n; i++)
        if (list->items[i].frame == frame && trk_entry_is_left_out(&list->items[i]))
            rc = encode_entry(t, features, &list->items[i]);
    return rc;
}

/* The frame once more, from the caller. */
static trk_status ask_source(trk_tracker *t, int64_t index, trk_frame *out)
{
    *out = (trk_frame){.index = index};
    if (!t->params.source)
        return TRK_FAIL(TRK_E_STATE, "frame %lld is needed again, but the tracker has no source", (long long)index);
    trk_status rc = t->params.source(t->params.source_user, index, out);
    if (rc != TRK_OK)
        return TRK_FAIL(rc < 0 ? rc : TRK_E_STATE, "the source did not give frame %lld again (status %d)",
                        (long long)index, (int)rc);
    if ((rc = trk_frame_check(out)) < 0 || (rc = trk_frame_check_place(t, out)) < 0)
        return rc;
    if (out->index != index || out->width != t->width || out->height != t->height)
        return TRK_FAIL(TRK_E_ARGUMENT, "the source gave frame %lld of %d x %d, expected frame %lld of %d x %d",
                        (long long)out->index, out->width, out->height, (long long)index, t->width, t->height);
    return TRK_OK;
}

/* Every memory of the frame, of all objects. */
static trk_status encode_frame(trk_tracker *t, int64_t index)
{
    trk_frame frame;
    trk_features features;
    const uint8_t *rgb;
    ptrdiff_t stride;
    trk_arena arena;
    trk_status rc = ask_source(t, index, &frame);
    if (rc < 0)
        return rc;
    trk_arena_init(&arena, &t->pool->chunks, TRK_MEM_FRAME, "features of a frame", t->sweeper.frame_bytes);
    t->seat->net.frame = &arena;
    TRK_CHECK(trk_frame_rgb(t, &frame, &rgb, &stride));
    trk_encode_image(&t->seat->net, rgb, frame.width, frame.height, stride, &features);
    TRK_CHECK(trk_network_status(&t->seat->net));
    for (size_t i = 0; i < t->n_objects; i++) {
        trk_sequence *s = &t->objects[i]->memories;
        TRK_CHECK(encode_list(t, &features, &s->conditioning, index));
        TRK_CHECK(encode_list(t, &features, &s->recent, index));
    }
done:
    trk_exec_finish(&t->seat->net.exec);
    trk_arena_sweep(&arena);
    t->seat->net.frame = NULL;
    return rc;
}

static const trk_memory_entry *left_out_of(const trk_entry_list *list)
{
    for (int i = 0; i < list->n; i++)
        if (trk_entry_is_left_out(&list->items[i]))
            return &list->items[i];
    return NULL;
}

static const trk_memory_entry *next_left_out(const trk_tracker *t)
{
    const trk_memory_entry *entry = NULL;
    for (size_t i = 0; !entry && i < t->n_objects; i++) {
        const trk_sequence *s = &t->objects[i]->memories;
        entry = left_out_of(&s->conditioning);
        entry = entry ? entry : left_out_of(&s->recent);
    }
    return entry;
}

trk_status trk_rebuild_memories(trk_tracker *t)
{
    const trk_memory_entry *entry;
    trk_status rc = TRK_OK;
    while (rc >= 0 && (entry = next_left_out(t))) {
        trk_log(TRK_LOG_DEBUG, "pool: encoding frame %lld again", (long long)entry->frame);
        rc = encode_frame(t, entry->frame);
    }
    return rc;
}
