/* SPDX-License-Identifier: Apache-2.0
 * What a caller reads after a push. */
#include "tracker.h"

trk_status trk_object_current(const trk_tracker *t, int id, trk_object **out)
{
    if (!t)
        return TRK_FAIL(TRK_E_ARGUMENT, "tracker must not be NULL");
    trk_status rc = trk_tracker_usable(t);
    if (rc < 0)
        return rc;
    trk_object *o = trk_object_find(t, id);
    if (!o)
        return TRK_FAIL(TRK_E_NOT_FOUND, "there is no object %d", id);
    if (!trk_object_is_current(t, o))
        return TRK_FAIL(TRK_E_NOT_FOUND, "object %d has no result on frame %lld", id, (long long)t->index);
    *out = o;
    return TRK_OK;
}

size_t trk_tracker_objects(const trk_tracker *t, int *ids, size_t capacity)
{
    size_t n = 0;
    for (size_t i = 0; t && i < t->n_objects; i++) {
        if (!trk_object_is_current(t, t->objects[i]))
            continue;
        if (ids && n < capacity)
            ids[n] = t->objects[i]->id;
        n++;
    }
    return n;
}

/* The logits themselves, or the object's copy of them. */
static trk_status logits_on_host(const trk_tracker *t, trk_object *o, const float **out)
{
    const trk_device_memory *memory = t->model->network->memory;
    trk_ledger *host = &t->pool->host;
    *out = o->result.logits;
    if (memory->on_host)
        return TRK_OK;
    if (!o->host_logits)
        o->host_logits = trk_ledger_allocate(host, TRK_MEM_BANK, "logits of an object", trk_logits_bytes(t));
    if (!o->host_logits)
        return trk_ledger_fail(host, trk_logits_bytes(t), "logits of an object");
    *out = o->host_logits;
    if (o->host_logits_current)
        return TRK_OK;
    trk_status rc = memory->read(memory, o->host_logits, o->result.logits, trk_logits_bytes(t));
    o->host_logits_current = rc >= 0;
    return rc;
}

trk_status trk_tracker_result(const trk_tracker *t, int id, trk_result *out)
{
    trk_object *o;
    trk_status rc = trk_out_check("trk_tracker_result", t, out, sizeof *out);
    if (rc < 0 || (rc = trk_object_current(t, id, &o)) < 0)
        return rc;
    const float *logits;
    if ((rc = logits_on_host(t, o, &logits)) < 0)
        return rc;
    size_t size = out->struct_size;
    *out = (trk_result){.struct_size = size, .frame = t->index, .prompted = o->prompted,
                        .object_score = o->told[0], .iou = o->told[1], .logits = logits,
                        .mask_size = trk_mask_side(t), .hypothesis = (int)o->told[2], .kept = o->kept};
    if (t->policy->describe)
        t->policy->describe(&o->note, t->model->network->image_size, t->width, t->height, &out->motion);
    return TRK_OK;
}

static void upsample(trk_tracker *t, const trk_object *o, trk_mat out)
{
    int side = trk_mask_side(t);
    TRK_RUN(&t->seat->net.exec, resize_bilinear, out, trk_wrap_mat(o->result.logits, side, side), 0);
}

/* Where another object is higher (an equal one with a smaller id counts), logits are at most -10. Upstream:
 * SAM2Base._apply_non_overlapping_constraints. */
static void suppress_losers(trk_tracker *t, const trk_object *o, trk_mat own)
{
    trk_mat original = trk_new_mat(&t->seat->net, &t->seat->scratch, TRK_F32, own.rows, own.cols);
    trk_mat other = trk_new_mat(&t->seat->net, &t->seat->scratch, TRK_F32, own.rows, own.cols);
    TRK_RUN(&t->seat->net.exec, convert, original, own);
    for (size_t k = 0; k < t->n_objects; k++) {
        const trk_object *rival = t->objects[k];
        if (rival == o || !trk_object_is_current(t, rival))
            continue;
        upsample(t, rival, other);
        TRK_RUN(&t->seat->net.exec, suppress, own, original, other, rival->id < o->id);
    }
}

trk_mat trk_frame_logits(trk_tracker *t, const trk_object *o)
{
    trk_mat out = trk_new_mat(&t->seat->net, &t->seat->scratch, TRK_F32, t->height, t->width);
    upsample(t, o, out);
    if (t->params.non_overlap == TRK_ON)
        suppress_losers(t, o, out);
    return out;
}

trk_status trk_tracker_logits(trk_tracker *t, int id, float *logits)
{
    trk_object *o;
    trk_status rc = trk_object_current(t, id, &o);
    if (rc < 0)
        return rc;
    if (!logits)
        return TRK_FAIL(TRK_E_ARGUMENT, "trk_tracker_logits: logits must not be NULL");
    if ((rc = trk_pool_enter(t, TRK_ANYWHERE)) < 0)
        return rc;
    trk_mat full = trk_frame_logits(t, o);
    TRK_RUN(&t->seat->net.exec, download, logits, 0, full.data,
            (size_t)t->width * (size_t)t->height * sizeof *logits, 1);
    rc = trk_network_finish(&t->seat->net);
    trk_pool_exit(t);
    return rc;
}

static void write_mask(trk_tracker *t, trk_mat logits, trk_place place, uint8_t *mask, ptrdiff_t stride)
{
    trk_network *net = &t->seat->net;
    const size_t width = (size_t)t->width, height = (size_t)t->height;
    if (place == TRK_ON_DEVICE) /* work of the caller's may still read what lay there */
        trk_exec_follow(&net->exec);
    if (place == TRK_ON_DEVICE || t->model->network->memory->on_host) {
        TRK_RUN(&net->exec, mask_bytes, mask, stride, logits);
        return;
    }
    uint8_t *bytes = trk_arena_allocate(&t->seat->scratch, width * height);
    if (!bytes) {
        trk_exec_fail(&net->exec, TRK_FAIL(TRK_E_MEMORY, "no memory for a mask of %d x %d", t->width, t->height));
        return;
    }
    TRK_RUN(&net->exec, mask_bytes, bytes, t->width, logits);
    TRK_RUN(&net->exec, download, mask, stride, bytes, width, height);
}

trk_status trk_tracker_mask(trk_tracker *t, int id, uint8_t *mask, ptrdiff_t stride)
{
    return trk_tracker_mask_to(t, id, TRK_ON_HOST, mask, stride);
}

trk_status trk_tracker_mask_to(trk_tracker *t, int id, trk_place place, uint8_t *mask, ptrdiff_t stride)
{
    trk_object *o;
    trk_status rc = trk_object_current(t, id, &o);
    if (rc < 0)
        return rc;
    if (place != TRK_ON_HOST && place != TRK_ON_DEVICE)
        return TRK_FAIL(TRK_E_ARGUMENT, "mask at place %d: expected a trk_place", (int)place);
    if (place == TRK_ON_DEVICE && t->model->network->memory->on_host)
        return TRK_FAIL(TRK_E_ARGUMENT, "mask wanted on a GPU; the model is on the CPU");
    if (!mask)
        return TRK_FAIL(TRK_E_ARGUMENT, "mask must not be NULL");
    if (stride < t->width)
        return TRK_FAIL(TRK_E_ARGUMENT, "mask with stride %td: a row is %d bytes", stride, t->width);
    if ((rc = trk_pool_enter(t, TRK_ANYWHERE)) < 0)
        return rc;
    write_mask(t, trk_frame_logits(t, o), place, mask, stride);
    rc = trk_network_finish(&t->seat->net);
    trk_pool_exit(t);
    return rc;
}
