/* SPDX-License-Identifier: Apache-2.0
 * Masks drawn on a picture where the model computes. On a GPU the picture goes there and back once, whatever the number
 * of objects; on the host it is drawn on where it is. */
#include "tracker.h"

_Static_assert(sizeof(trk_region) == sizeof(trk_mask_region), "regions are downloaded as the operator writes them");

#define LINE_WIDTH   2 /* unless the caller says otherwise */
#define FILL_PERCENT 45

typedef struct picture {
    uint8_t *rgb; /* in the model's memory; NULL: nothing is drawn */
    ptrdiff_t stride;
} picture;

static int on_host(const trk_tracker *t)
{
    return t->model->network->memory->on_host;
}

static void *take(trk_tracker *t, size_t bytes, const char *what)
{
    trk_exec *x = &t->seat->net.exec;
    if (x->status < 0)
        return NULL;
    void *out = trk_arena_allocate(&t->seat->scratch, bytes);
    if (!out)
        trk_exec_fail(x, TRK_FAIL(TRK_E_MEMORY, "no memory for %s of %d x %d", what, t->width, t->height));
    return out;
}

/* --- what is asked for ---------------------------------------------------------------------------------------- */

static trk_status check_object(const trk_tracker *t, const trk_paint_object *wanted)
{
    trk_object *object;
    if (wanted->mask && wanted->mask_stride < t->width)
        return TRK_FAIL(TRK_E_ARGUMENT, "trk_tracker_paint: expected masks with a stride of at least %d, got %td",
                        t->width, wanted->mask_stride);
    return trk_object_current(t, wanted->object, &object);
}

static trk_status check(const trk_tracker *t, const trk_paint *p, const uint8_t *rgb, ptrdiff_t stride)
{
    trk_status rc = trk_tracker_usable(t);
    if (rc < 0)
        return rc;
    if (p->n_objects && !p->objects)
        return TRK_FAIL(TRK_E_ARGUMENT, "trk_tracker_paint: %zu objects, but the list is NULL", p->n_objects);
    if (p->fill_percent > 100 || p->line_width > TRK_FRAME_SIDE)
        return TRK_FAIL(TRK_E_ARGUMENT,
                        "trk_tracker_paint: fill of %d percent, line of %d pixels: expected at most 100 and %d",
                        p->fill_percent, p->line_width, TRK_FRAME_SIDE);
    for (size_t i = 0; i < p->n_objects; i++)
        if ((rc = check_object(t, &p->objects[i])) < 0)
            return rc;
    if (rgb && stride < 3 * (ptrdiff_t)t->width)
        return TRK_FAIL(TRK_E_ARGUMENT, "trk_tracker_paint: expected a picture with a stride of at least %td, got %td",
                        3 * (ptrdiff_t)t->width, stride);
    return TRK_OK;
}

/* A number of the params: 0 is the default, negative none. */
static int or_default(int n, int standard)
{
    return n > 0 ? n : n < 0 ? 0 : standard;
}

/* --- drawing -------------------------------------------------------------------------------------------------- */

/* The caller's memory where operators write there, else dense. */
static uint8_t *mask_of(trk_tracker *t, const trk_paint_object *wanted, trk_mat logits, ptrdiff_t *stride)
{
    const int direct = on_host(t) && wanted->mask;
    uint8_t *mask = direct ? wanted->mask : take(t, (size_t)t->width * (size_t)t->height, "a mask");
    *stride = direct ? wanted->mask_stride : t->width;
    TRK_RUN(&t->seat->net.exec, mask_bytes, mask, *stride, logits);
    return mask;
}

static void paint_object(trk_tracker *t, const trk_paint *p, trk_paint_object *wanted, const picture *on)
{
    trk_exec *x = &t->seat->net.exec;
    const size_t width = (size_t)t->width, height = (size_t)t->height;
    trk_object *object = trk_object_find(t, wanted->object);
    trk_mask_region *region = take(t, sizeof *region, "the region of a mask");
    trk_painting painting = {.width = t->width,
                             .height = t->height,
                             .region = region,
                             .colour = {wanted->colour[0], wanted->colour[1], wanted->colour[2]},
                             .line_width = or_default(p->line_width, LINE_WIDTH),
                             .fill_percent = or_default(p->fill_percent, FILL_PERCENT)};
    painting.mask = mask_of(t, wanted, trk_frame_logits(t, object), &painting.mask_stride);
    TRK_RUN(x, mask_region, region, painting.mask, painting.mask_stride, t->width, t->height);
    if (on->rgb)
        TRK_RUN(x, paint, on->rgb, on->stride, &painting);
    TRK_RUN(x, download, &wanted->region, (ptrdiff_t)sizeof *region, region, sizeof *region, 1);
    if (wanted->mask && painting.mask != wanted->mask)
        TRK_RUN(x, download, wanted->mask, wanted->mask_stride, painting.mask, width, height);
}

/* The picture where the model computes, to be drawn on. */
static picture bring(trk_tracker *t, const trk_paint *p, uint8_t *rgb, ptrdiff_t stride)
{
    trk_exec *x = &t->seat->net.exec;
    const size_t row = 3 * (size_t)t->width, height = (size_t)t->height;
    picture out = {rgb, stride};
    if (!rgb)
        return out;
    if (!on_host(t))
        out = (picture){take(t, row * height, "a picture"), (ptrdiff_t)row};
    if (!p->on_frame && !on_host(t))
        TRK_RUN(x, upload, out.rgb, rgb, row, height, stride);
    else if (p->on_frame && on_host(t))
        TRK_RUN(x, download, rgb, stride, trk_current_picture(t), row, height);
    else if (p->on_frame)
        TRK_RUN(x, copy_bytes, out.rgb, trk_current_picture(t), row * height);
    return out;
}

static void paint_all(trk_tracker *t, const trk_paint *p, uint8_t *rgb, ptrdiff_t stride)
{
    trk_arena *scratch = &t->seat->scratch;
    const picture on = bring(t, p, rgb, stride);
    for (size_t i = 0; i < p->n_objects; i++) {
        const trk_arena_mark mark = trk_arena_here(scratch);
        paint_object(t, p, &p->objects[i], &on);
        trk_arena_rewind(scratch, mark);
    }
    if (on.rgb != rgb)
        TRK_RUN(&t->seat->net.exec, download, rgb, stride, on.rgb, 3 * (size_t)t->width, (size_t)t->height);
}

/* Of a tracker that is in a call, and so is not evicted meanwhile. */
static trk_status check_held(const trk_tracker *t)
{
    if (!trk_current_picture(t))
        return TRK_FAIL(TRK_E_NOT_FOUND, "the picture of frame %lld is not held", (long long)t->index);
    return TRK_OK;
}

trk_status trk_tracker_paint(trk_tracker *t, const trk_paint *paint, uint8_t *rgb, ptrdiff_t stride)
{
    trk_paint p;
    if (!t || !paint)
        return TRK_FAIL(TRK_E_ARGUMENT, "trk_tracker_paint: tracker and paint must not be NULL");
    trk_status rc = trk_params_read(&p, sizeof p, paint, "trk_paint");
    if (rc < 0 || (rc = check(t, &p, rgb, stride)) < 0)
        return rc;
    if ((rc = trk_pool_enter(t, TRK_ANYWHERE)) < 0)
        return rc;
    const int on_frame = rgb && p.on_frame;
    if (on_frame) {
        TRK_CHECK(check_held(t));
        trk_use_current(t); /* scratch memory could be made room for by sweeping it */
    }
    paint_all(t, &p, rgb, stride);
    rc = trk_network_finish(&t->seat->net);
    if (on_frame)
        trk_finish_current(t);
done:
    trk_pool_exit(t);
    return rc;
}
