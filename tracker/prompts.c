/* SPDX-License-Identifier: Apache-2.0
 * Prompts: checking, queueing, merging, and the public calls that add and drop them. */
#include <math.h>
#include <string.h>

#include "log.h"
#include "tracker.h"

static void *take_bytes(trk_tracker *t, size_t bytes)
{
    return trk_ledger_allocate(&t->ledger, TRK_MEM_BANK, "prompt", bytes);
}

static void give_points(trk_tracker *t, trk_prompt *p)
{
    trk_ledger_release(&t->ledger, TRK_MEM_BANK, p->points, p->n_points * sizeof *p->points);
    p->points = NULL;
    p->n_points = 0;
}

static void give_mask(trk_tracker *t, trk_prompt *p)
{
    trk_ledger_release(&t->ledger, TRK_MEM_BANK, p->mask, (size_t)p->mask_width * (size_t)p->mask_height);
    p->mask = NULL;
}

void trk_prompt_free(trk_tracker *t, trk_prompt *prompt)
{
    if (!prompt)
        return;
    give_points(t, prompt);
    give_mask(t, prompt);
    trk_ledger_release(&t->ledger, TRK_MEM_BANK, prompt, sizeof *prompt);
}

void trk_prompt_free_list(trk_tracker *t, trk_prompt **list)
{
    while (*list) {
        trk_prompt *next = (*list)->next;
        trk_prompt_free(t, *list);
        *list = next;
    }
}

trk_prompt *trk_prompt_find(trk_prompt *list, int64_t frame)
{
    while (list && list->frame != frame)
        list = list->next;
    return list;
}

trk_prompt *trk_prompt_take(trk_prompt **list, int64_t frame)
{
    while (*list && (*list)->frame != frame)
        list = &(*list)->next;
    trk_prompt *found = *list;
    if (found) {
        *list = found->next;
        found->next = NULL;
    }
    return found;
}

static trk_status append_points(trk_tracker *t, trk_prompt *into, const trk_prompt *from)
{
    size_t n = into->n_points + from->n_points;
    trk_point *points = take_bytes(t, n * sizeof *points);
    if (!points)
        return TRK_FAIL(TRK_E_MEMORY, "no memory for %zu prompt points", n);
    if (into->n_points)
        memcpy(points, into->points, into->n_points * sizeof *points);
    memcpy(points + into->n_points, from->points, from->n_points * sizeof *points);
    give_points(t, into);
    into->points = points;
    into->n_points = n;
    return TRK_OK;
}

trk_status trk_prompt_merge(trk_tracker *t, trk_prompt *into, trk_prompt *from)
{
    trk_status rc = TRK_OK;
    if (from->mask) {
        give_points(t, into);
        give_mask(t, into);
        into->has_box = 0;
        into->mask = from->mask;
        into->mask_width = from->mask_width;
        into->mask_height = from->mask_height;
        from->mask = NULL;
    }
    if (from->has_box) {
        into->has_box = 1;
        into->box = from->box;
    }
    if (from->n_points)
        rc = append_points(t, into, from);
    trk_prompt_free(t, from);
    return rc;
}

trk_status trk_prompt_check(const trk_prompt *p, int object, int width, int height)
{
    const trk_box *b = &p->box;
    if (p->has_box && (b->x >= (float)width || b->y >= (float)height || b->x + b->width <= 0 || b->y + b->height <= 0))
        return TRK_FAIL(TRK_E_ARGUMENT, "box %g,%g,%g,%g of object %d lies outside the %d x %d frame", b->x, b->y,
                        b->width, b->height, object, width, height);
    for (size_t i = 0; i < p->n_points; i++) {
        const trk_point *q = &p->points[i];
        if (q->x < 0 || q->y < 0 || q->x > (float)width || q->y > (float)height)
            return TRK_FAIL(TRK_E_ARGUMENT, "point %g,%g of object %d lies outside the %d x %d frame", q->x, q->y,
                            object, width, height);
    }
    return TRK_OK;
}

/* Queues a prompt, or applies it at once to the current, kept frame. Takes it over. */
static trk_status add_prompt(trk_tracker *t, int id, trk_prompt *prompt)
{
    trk_status rc = trk_tracker_usable(t);
    trk_object *object;
    int64_t ahead = 0;
    if (rc >= 0 && (rc = trk_check_index(prompt->frame)) >= 0)
        ahead = (prompt->frame - t->index) * (t->params.reverse ? -1 : 1);
    if (rc >= 0 && id <= 0)
        rc = TRK_FAIL(TRK_E_ARGUMENT, "object %d: expected a positive number", id);
    if (rc >= 0 && t->started && ahead < 0)
        rc = TRK_FAIL(TRK_E_STATE, "frame %lld has passed; the current frame is %lld", (long long)prompt->frame,
                      (long long)t->index);
    if (rc >= 0 && t->started && ahead == 0 && !t->has_features)
        rc = TRK_FAIL(TRK_E_STATE, "frame %lld was swept; create the tracker with keep_frame to prompt it again",
                      (long long)prompt->frame);
    if (rc >= 0 && t->started)
        rc = trk_prompt_check(prompt, id, t->width, t->height);
    if (rc >= 0)
        rc = trk_object_get(t, id, &object);
    if (rc < 0) {
        trk_prompt_free(t, prompt);
        return rc;
    }
    if (t->started && ahead == 0) {
        rc = trk_object_refine(t, object, prompt);
        if (rc < 0)
            t->broken = rc; /* result, memory and shared features may be half made */
        return rc;
    }
    trk_prompt *same = trk_prompt_find(object->waiting, prompt->frame);
    if (same)
        return trk_prompt_merge(t, same, prompt);
    prompt->next = object->waiting;
    object->waiting = prompt;
    return TRK_OK;
}

static trk_prompt *new_prompt(trk_tracker *t, int64_t frame)
{
    trk_prompt *prompt = take_bytes(t, sizeof *prompt);
    if (prompt)
        *prompt = (trk_prompt){.frame = frame};
    else
        TRK_FAIL(TRK_E_MEMORY, "no memory for a prompt");
    return prompt;
}

trk_status trk_tracker_prompt_box(trk_tracker *t, int object, int64_t frame, const trk_box *box)
{
    if (!t || !box)
        return TRK_FAIL(TRK_E_ARGUMENT, "trk_tracker_prompt_box: tracker and box must not be NULL");
    if (!isfinite(box->x) || !isfinite(box->y) || !(box->width > 0) || !(box->height > 0) || !isfinite(box->width) ||
        !isfinite(box->height))
        return TRK_FAIL(TRK_E_ARGUMENT, "box %g,%g,%g,%g of object %d: expected finite numbers, width and height positive",
                        box->x, box->y, box->width, box->height, object);
    trk_prompt *prompt = new_prompt(t, frame);
    if (!prompt)
        return TRK_E_MEMORY;
    prompt->has_box = 1;
    prompt->box = *box;
    return add_prompt(t, object, prompt);
}

trk_status trk_tracker_prompt_points(trk_tracker *t, int object, int64_t frame, const trk_point *points, size_t n)
{
    if (!t || !points)
        return TRK_FAIL(TRK_E_ARGUMENT, "trk_tracker_prompt_points: tracker and points must not be NULL");
    if (n == 0 || n > 65536)
        return TRK_FAIL(TRK_E_ARGUMENT, "trk_tracker_prompt_points: expected 1 to 65536 points, got %zu", n);
    for (size_t i = 0; i < n; i++)
        if (!isfinite(points[i].x) || !isfinite(points[i].y))
            return TRK_FAIL(TRK_E_ARGUMENT, "point %zu of object %d is not finite", i, object);
    trk_prompt *prompt = new_prompt(t, frame);
    if (!prompt)
        return TRK_E_MEMORY;
    trk_prompt given = {.points = (trk_point *)(uintptr_t)points, .n_points = n};
    trk_status rc = append_points(t, prompt, &given);
    if (rc < 0) {
        trk_prompt_free(t, prompt);
        return rc;
    }
    return add_prompt(t, object, prompt);
}

trk_status trk_tracker_prompt_mask(trk_tracker *t, int object, int64_t frame, const uint8_t *mask, int width, int height,
                                   ptrdiff_t stride)
{
    if (!t || !mask)
        return TRK_FAIL(TRK_E_ARGUMENT, "trk_tracker_prompt_mask: tracker and mask must not be NULL");
    if (width <= 0 || height <= 0 || width > 65536 || height > 65536)
        return TRK_FAIL(TRK_E_ARGUMENT, "mask of %d x %d: expected sides of 1 to 65536 pixels", width, height);
    if ((stride < 0 ? -stride : stride) < width)
        return TRK_FAIL(TRK_E_ARGUMENT, "mask with stride %td: a row is %d bytes", stride, width);
    trk_prompt *prompt = new_prompt(t, frame);
    if (!prompt)
        return TRK_E_MEMORY;
    prompt->mask_width = width;
    prompt->mask_height = height;
    prompt->mask = take_bytes(t, (size_t)width * (size_t)height);
    if (!prompt->mask) {
        trk_prompt_free(t, prompt);
        return TRK_FAIL(TRK_E_MEMORY, "no memory for a mask prompt of %d x %d", width, height);
    }
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            prompt->mask[(size_t)y * (size_t)width + (size_t)x] = mask[y * stride + x] != 0;
    return add_prompt(t, object, prompt);
}

trk_status trk_tracker_clear_prompts(trk_tracker *t, int id, int64_t frame)
{
    if (!t)
        return TRK_FAIL(TRK_E_ARGUMENT, "trk_tracker_clear_prompts: tracker must not be NULL");
    trk_object *object = trk_object_find(t, id);
    if (!object)
        return TRK_FAIL(TRK_E_NOT_FOUND, "there is no object %d", id);
    trk_status rc = TRK_OK;
    trk_prompt *waiting = trk_prompt_take(&object->waiting, frame);
    int found = waiting != NULL;
    trk_prompt_free(t, waiting);
    if (t->broken >= 0 && t->started && frame == t->index && t->has_features && object->applied) {
        trk_sequence_remove(&object->memories, frame);
        found = 1;
        rc = trk_object_step(t, object, NULL); /* as if it had not been prompted: tracked, if it was there before */
        if (rc < 0)
            t->broken = rc;
    }
    if (!found)
        return TRK_FAIL(TRK_E_NOT_FOUND, "object %d has no prompt on frame %lld", id, (long long)frame);
    return rc;
}

trk_status trk_tracker_remove_object(trk_tracker *t, int id)
{
    if (!t)
        return TRK_FAIL(TRK_E_ARGUMENT, "trk_tracker_remove_object: tracker must not be NULL");
    trk_object *object = trk_object_find(t, id);
    if (!object)
        return TRK_FAIL(TRK_E_NOT_FOUND, "there is no object %d", id);
    trk_object_remove(t, object);
    return TRK_OK;
}
