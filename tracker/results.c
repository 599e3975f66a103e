/* SPDX-License-Identifier: Apache-2.0
 * What a caller reads after a push. */
#include <math.h>
#include <string.h>

#include "tracker.h"

static int has_current(const trk_tracker *t, const trk_object *o)
{
    return t->started && o->has_result && o->result_frame == t->index;
}

static trk_status current_object(const trk_tracker *t, int id, trk_object **out)
{
    if (!t)
        return TRK_FAIL(TRK_E_ARGUMENT, "tracker must not be NULL");
    trk_status rc = trk_tracker_usable(t);
    if (rc < 0)
        return rc;
    trk_object *o = trk_object_find(t, id);
    if (!o)
        return TRK_FAIL(TRK_E_NOT_FOUND, "there is no object %d", id);
    if (!has_current(t, o))
        return TRK_FAIL(TRK_E_NOT_FOUND, "object %d has no result on frame %lld", id, (long long)t->index);
    *out = o;
    return TRK_OK;
}

size_t trk_tracker_objects(const trk_tracker *t, int *ids, size_t capacity)
{
    size_t n = 0;
    for (size_t i = 0; t && i < t->n_objects; i++) {
        if (!has_current(t, t->objects[i]))
            continue;
        if (ids && n < capacity)
            ids[n] = t->objects[i]->id;
        n++;
    }
    return n;
}

trk_status trk_tracker_result(const trk_tracker *t, int id, trk_result *out)
{
    trk_object *o;
    if (!out || out->struct_size < sizeof *out)
        return TRK_FAIL(TRK_E_ARGUMENT, "trk_tracker_result: set out->struct_size to sizeof(trk_result)");
    trk_status rc = current_object(t, id, &o);
    if (rc < 0)
        return rc;
    size_t size = out->struct_size;
    *out = (trk_result){.struct_size = size, .frame = t->index, .prompted = o->prompted,
                        .object_score = o->result.score, .iou = o->result.iou, .logits = o->result.logits,
                        .mask_size = trk_mask_side(t)};
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
    size_t n = (size_t)own.rows * (size_t)own.cols;
    trk_mat original = trk_new_mat(&t->seat->net, &t->seat->scratch, TRK_F32, own.rows, own.cols);
    trk_mat other = trk_new_mat(&t->seat->net, &t->seat->scratch, TRK_F32, own.rows, own.cols);
    TRK_RUN(&t->seat->net.exec, convert, original, own);
    for (size_t k = 0; k < t->n_objects; k++) {
        const trk_object *rival = t->objects[k];
        if (rival == o || !has_current(t, rival))
            continue;
        upsample(t, rival, other);
        if (t->seat->net.exec.status < 0 || t->pool->planning)
            return;
        const float *a = original.data, *b = other.data;
        float *out = own.data;
        for (size_t i = 0; i < n; i++)
            if (b[i] > a[i] || (b[i] == a[i] && rival->id < o->id))
                out[i] = fminf(a[i], -10.0f);
    }
}

/* logits at frame size in the scratch arena */
static trk_mat frame_logits(trk_tracker *t, const trk_object *o)
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
    trk_status rc = current_object(t, id, &o);
    if (rc < 0)
        return rc;
    if (!logits)
        return TRK_FAIL(TRK_E_ARGUMENT, "trk_tracker_logits: logits must not be NULL");
    if ((rc = trk_pool_enter(t, TRK_ANYWHERE)) < 0)
        return rc;
    trk_mat full = frame_logits(t, o);
    rc = trk_network_status(&t->seat->net);
    if (rc >= 0)
        memcpy(logits, full.data, (size_t)t->width * (size_t)t->height * sizeof *logits);
    trk_pool_exit(t);
    return rc;
}

trk_status trk_tracker_mask(trk_tracker *t, int id, uint8_t *mask, ptrdiff_t stride)
{
    trk_object *o;
    trk_status rc = current_object(t, id, &o);
    if (rc < 0)
        return rc;
    if (!mask || stride < t->width)
        return TRK_FAIL(TRK_E_ARGUMENT, "trk_tracker_mask: expected a mask with a stride of at least %d, got %td",
                        t->width, stride);
    if ((rc = trk_pool_enter(t, TRK_ANYWHERE)) < 0)
        return rc;
    trk_mat full = frame_logits(t, o);
    rc = trk_network_status(&t->seat->net);
    for (int y = 0; rc >= 0 && !t->pool->planning && y < t->height; y++) {
        const float *row = (const float *)full.data + (size_t)y * (size_t)t->width;
        for (int x = 0; x < t->width; x++)
            mask[y * stride + x] = row[x] > 0.0f;
    }
    trk_pool_exit(t);
    return rc;
}
