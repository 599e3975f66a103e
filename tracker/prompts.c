/* SPDX-License-Identifier: Apache-2.0
 * Prompts: checking, queueing, merging, and the public calls that add and drop them. */
#include <math.h>
#include <string.h>

#include "log.h"
#include "tracker.h"

static void *take_bytes(trk_tracker *t, size_t bytes)
{
    return trk_ledger_allocate(&t->pool->host, TRK_MEM_BANK, "prompt", bytes);
}

static void give_points(trk_tracker *t, trk_prompt *p)
{
    trk_ledger_release(&t->pool->host, TRK_MEM_BANK, p->points, p->n_points * sizeof *p->points);
    p->points = NULL;
    p->n_points = 0;
}

static void give_mask(trk_tracker *t, trk_prompt *p)
{
    trk_ledger_release(&t->pool->host, TRK_MEM_BANK, p->mask, (size_t)p->mask_width * (size_t)p->mask_height);
    p->mask = NULL;
}

void trk_prompt_free(trk_tracker *t, trk_prompt *prompt)
{
    if (!prompt)
        return;
    give_points(t, prompt);
    give_mask(t, prompt);
    trk_ledger_release(&t->pool->host, TRK_MEM_BANK, prompt, sizeof *prompt);
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

/* Neither NaN nor so far away that what is computed from it overflows on a frame of one pixel. */
static int is_near(float v)
{
    return fabsf(v) <= (float)TRK_PROMPT_FAR;
}

int trk_point_is_valid(const trk_point *p)
{
    return is_near(p->x) && is_near(p->y);
}

int trk_box_is_valid(const trk_box *b)
{
    return is_near(b->x) && is_near(b->y) && is_near(b->width) && is_near(b->height) && b->width > 0 && b->height > 0;
}

static trk_status check_room(const trk_prompt *into, size_t n_more)
{
    const size_t n = into->n_points + n_more;
    if (n > TRK_PROMPT_POINTS)
        return TRK_FAIL(TRK_E_ARGUMENT, "%zu points on frame %lld: expected at most %d for one object", n,
                        (long long)into->frame, TRK_PROMPT_POINTS);
    return TRK_OK;
}

trk_status trk_prompt_add_points(trk_tracker *t, trk_prompt *into, const trk_point *more, size_t n_more)
{
    trk_status rc = check_room(into, n_more);
    if (rc < 0)
        return rc;
    const size_t n = into->n_points + n_more;
    trk_point *points = take_bytes(t, n * sizeof *points);
    if (!points)
        return TRK_FAIL(TRK_E_MEMORY, "no memory for %zu prompt points", n);
    if (into->n_points)
        memcpy(points, into->points, into->n_points * sizeof *points);
    memcpy(points + into->n_points, more, n_more * sizeof *points);
    give_points(t, into);
    into->points = points;
    into->n_points = n;
    return TRK_OK;
}

trk_status trk_prompt_merge(trk_tracker *t, trk_prompt *into, trk_prompt *from)
{
    trk_status rc = TRK_OK;
    if (from->n_points)
        TRK_CHECK(trk_prompt_add_points(t, into, from->points, from->n_points));
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
done:
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

/* Runs a prompt on the current frame, if its features are held. Takes the prompt over. */
static trk_status apply_now(trk_tracker *t, int id, trk_prompt *prompt)
{
    trk_object *object;
    if (!trk_current_features(t)) {
        trk_status rc = TRK_FAIL(TRK_E_STATE,
                                 "frame %lld was swept; create the tracker with keep_frame to prompt it again",
                                 (long long)prompt->frame);
        trk_prompt_free(t, prompt);
        return rc;
    }
    trk_use_current(t); /* before anything is allocated, for which they could be swept */
    trk_status rc = trk_object_get(t, id, &object);
    if (rc >= 0)
        return trk_settle_current(t, trk_object_refine(t, object, prompt));
    trk_finish_current(t);
    trk_prompt_free(t, prompt);
    return rc;
}

/* Puts a prompt among those waiting. Takes it over. */
static trk_status queue(trk_tracker *t, int id, trk_prompt *prompt)
{
    trk_object *object;
    trk_status rc = trk_object_get(t, id, &object);
    if (rc < 0) {
        trk_prompt_free(t, prompt);
        return rc;
    }
    trk_prompt *same = trk_prompt_find(object->waiting, prompt->frame);
    if (same)
        return trk_prompt_merge(t, same, prompt);
    prompt->next = object->waiting;
    object->waiting = prompt;
    return TRK_OK;
}

/* Takes back that the object was prompted on the current frame; without a prompted frame it has no past. */
static void remove_prompted(trk_tracker *t, trk_object *object)
{
    trk_sequence_remove(&object->memories, t->index, t->index);
    if (object->memories.conditioning.n)
        return;
    trk_sequence_clear(&object->memories);
    trk_choice_rewind(t, object, t->index); /* the policy's note goes as well */
}

/* Tracks the object into the current frame again as if it had not been prompted there, if the features are held; it has
 * no result if it began there. *found: 1 if that was done. */
static trk_status undo_now(trk_tracker *t, trk_object *object, int *found)
{
    trk_status rc = trk_plan_again(t, t->index);
    if (rc < 0 || (rc = trk_pool_enter(t, TRK_RESIDENT)) < 0)
        return rc;
    if (trk_current_features(t)) {
        *found = 1;
        trk_use_current(t);
        remove_prompted(t, object);
        rc = trk_settle_current(t, trk_object_step(t, object, NULL));
    }
    trk_pool_exit(t);
    return rc;
}

static trk_status check_prompt(const trk_tracker *t, int id, const trk_prompt *prompt, int64_t *ahead)
{
    trk_status rc = trk_tracker_usable(t);
    if (rc < 0 || (rc = trk_check_index(prompt->frame)) < 0)
        return rc;
    *ahead = (prompt->frame - t->index) * trk_direction(t);
    if (id <= 0)
        return TRK_FAIL(TRK_E_ARGUMENT, "object %d: expected a positive number", id);
    if (t->started && *ahead < 0)
        return TRK_FAIL(TRK_E_STATE, "frame %lld has passed; the current frame is %lld", (long long)prompt->frame,
                        (long long)t->index);
    if (t->rewound_past && *ahead == 0)
        return TRK_FAIL(TRK_E_STATE, "frame %lld has passed; the rewind went on to frame %lld, which is to be pushed",
                        (long long)prompt->frame, (long long)(t->index + trk_direction(t)));
    return t->started ? trk_prompt_check(prompt, id, t->width, t->height) : TRK_OK;
}

/* Whether a prompt can join those the object has on the current frame; what fails here does not end the tracker. */
static trk_status check_now(trk_tracker *t, const trk_object *object, const trk_prompt *prompt)
{
    const trk_prompt *applied = object ? object->applied : NULL;
    trk_status rc = applied ? check_room(applied, prompt->n_points) : TRK_OK;
    return rc < 0 ? rc : trk_plan_prompt(t, object, prompt);
}

/* Queues a prompt, or applies it at once to the current, held frame. Takes it over. */
static trk_status add_prompt(trk_tracker *t, int id, trk_prompt *prompt)
{
    int64_t ahead;
    trk_status rc = check_prompt(t, id, prompt, &ahead);
    trk_object *object = rc >= 0 ? trk_object_find(t, id) : NULL;
    int now = rc >= 0 && t->started && ahead == 0;
    if (object && !now)
        return queue(t, id, prompt);
    if (now)
        rc = check_now(t, object, prompt);
    if (rc >= 0)
        rc = trk_pool_enter(t, TRK_RESIDENT); /* also for a new object: what was evicted is of the objects there were */
    if (rc < 0) {
        trk_prompt_free(t, prompt);
        return rc;
    }
    rc = now ? apply_now(t, id, prompt) : queue(t, id, prompt);
    trk_pool_exit(t);
    return rc;
}

trk_prompt *trk_prompt_new(trk_tracker *t, int64_t frame)
{
    trk_prompt *prompt = take_bytes(t, sizeof *prompt);
    if (prompt)
        *prompt = (trk_prompt){.frame = frame};
    else
        TRK_FAIL(TRK_E_MEMORY, "no memory for a prompt");
    return prompt;
}

trk_status trk_prompt_add_mask(trk_tracker *t, trk_prompt *prompt, int width, int height)
{
    prompt->mask = take_bytes(t, (size_t)width * (size_t)height);
    if (!prompt->mask)
        return TRK_FAIL(TRK_E_MEMORY, "no memory for a mask prompt of %d x %d", width, height);
    prompt->mask_width = width;
    prompt->mask_height = height;
    return TRK_OK;
}

trk_status trk_prompt_copy_list(trk_tracker *t, trk_prompt **out, const trk_prompt *list)
{
    trk_prompt **link = out;
    trk_status rc = TRK_OK;
    for (*out = NULL; list; list = list->next, link = &(*link)->next) {
        if (!(*link = trk_prompt_new(t, list->frame)))
            return TRK_E_MEMORY;
        (*link)->has_box = list->has_box;
        (*link)->box = list->box;
        if (list->n_points)
            TRK_CHECK(trk_prompt_add_points(t, *link, list->points, list->n_points));
        if (list->mask) {
            TRK_CHECK(trk_prompt_add_mask(t, *link, list->mask_width, list->mask_height));
            memcpy((*link)->mask, list->mask, (size_t)list->mask_width * (size_t)list->mask_height);
        }
    }
done:
    return rc;
}

trk_status trk_tracker_prompt_box(trk_tracker *t, int object, int64_t frame, const trk_box *box)
{
    if (!t || !box)
        return TRK_FAIL(TRK_E_ARGUMENT, "trk_tracker_prompt_box: tracker and box must not be NULL");
    if (!trk_box_is_valid(box))
        return TRK_FAIL(TRK_E_ARGUMENT, "box %g,%g,%g,%g of object %d: expected " TRK_BOX_RULE, box->x, box->y,
                        box->width, box->height, object);
    trk_prompt *prompt = trk_prompt_new(t, frame);
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
    if (n == 0 || n > TRK_PROMPT_POINTS)
        return TRK_FAIL(TRK_E_ARGUMENT, "trk_tracker_prompt_points: expected 1 to %d points, got %zu", TRK_PROMPT_POINTS,
                        n);
    for (size_t i = 0; i < n; i++)
        if (!trk_point_is_valid(&points[i]))
            return TRK_FAIL(TRK_E_ARGUMENT, "point %zu of object %d is %g,%g: expected " TRK_POINT_RULE, i, object,
                            points[i].x, points[i].y);
    trk_prompt *prompt = trk_prompt_new(t, frame);
    if (!prompt)
        return TRK_E_MEMORY;
    trk_status rc = trk_prompt_add_points(t, prompt, points, n);
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
    if (width <= 0 || height <= 0 || width > TRK_MASK_SIDE || height > TRK_MASK_SIDE)
        return TRK_FAIL(TRK_E_ARGUMENT, "mask of %d x %d: expected sides of 1 to %d pixels", width, height,
                        TRK_MASK_SIDE);
    if ((stride < 0 ? -stride : stride) < width)
        return TRK_FAIL(TRK_E_ARGUMENT, "mask with stride %td: a row is %d bytes", stride, width);
    trk_prompt *prompt = trk_prompt_new(t, frame);
    if (!prompt)
        return TRK_E_MEMORY;
    trk_status rc = trk_prompt_add_mask(t, prompt, width, height);
    if (rc < 0) {
        trk_prompt_free(t, prompt);
        return rc;
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
    if (t->broken >= 0 && t->started && frame == t->index && object->applied)
        rc = undo_now(t, object, &found);
    if (rc >= 0 && !found)
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
    trk_status rc = trk_pool_enter(t, TRK_RESIDENT); /* what was evicted is of all objects */
    if (rc < 0)
        return rc;
    trk_object_remove(t, object);
    trk_pool_exit(t);
    return TRK_OK;
}
