/* SPDX-License-Identifier: Apache-2.0
 * Objects are taken from the highest id down, so that lower ids end up on top in pictures; records stay ascending. */
#include "frame_results.h"

#include <string.h>

#include "failure.h"
#include "heap.h"
#include "index_map.h"
#include "overlay.h"
#include "palette.h"

/* With masks on the host, so many are had at a time: on a GPU a picture goes over once for each such group. */
#define MASKS_AT_ONCE 4

/* What a frame is drawn on. */
typedef struct drawing {
    canvas *target; /* borrowed, like reader and picture */
    trk_video_reader *reader;
    trk_picture *picture;
    int empty; /* 1: the picture is not in target yet; the tracker may have it where the model computes */
} drawing;

static void *zeroed(size_t n, size_t size)
{
    return trk_heap_zeroed(TRK_MEM_SCRATCH, "outputs", n, size);
}

static trk_status no_memory(void)
{
    return TRK_FAIL(TRK_E_MEMORY, "outputs: out of memory");
}

/* The list for trk_tracker_paint. */
static trk_status open_drawn(frame_results *self)
{
    const size_t n_pixels = (size_t)self->width * (size_t)self->height;
    const int masks_on_host = self->wanted->jsonl || self->wanted->masks;
    self->n_at_once = masks_on_host && self->n_records > MASKS_AT_ONCE ? MASKS_AT_ONCE : self->n_records;
    self->drawn = zeroed(self->n_at_once, sizeof *self->drawn);
    self->drawn_records = zeroed(self->n_at_once, sizeof *self->drawn_records);
    if (masks_on_host)
        self->masks = trk_heap_allocate(TRK_MEM_SCRATCH, "outputs", self->n_at_once * n_pixels);
    if (!self->drawn || !self->drawn_records || (masks_on_host && !self->masks))
        return no_memory();
    for (size_t i = 0; i < self->n_at_once; i++) {
        self->drawn[i].mask = self->masks ? self->masks + i * n_pixels : NULL;
        self->drawn[i].mask_stride = self->width;
    }
    return TRK_OK;
}

trk_status frame_results_open(frame_results *self, const options *wanted, int width, int height, const int *ids,
                              size_t n_ids)
{
    self->wanted = wanted;
    self->width = width;
    self->height = height;
    self->n_records = n_ids;
    self->records = zeroed(n_ids, sizeof *self->records);
    if (!self->records)
        return no_memory();
    for (size_t i = 0; i < n_ids; i++)
        self->records[i].object = ids[i];
    if (wanted->masks && !(self->indices = zeroed((size_t)height, (size_t)width)))
        return no_memory();
    return open_drawn(self);
}

static trk_status take_scores(record *taken, trk_tracker *tracker)
{
    trk_result result = {.struct_size = sizeof result};
    trk_status rc = trk_tracker_result(tracker, taken->object, &result);
    taken->present = !rc;
    if (rc == TRK_E_NOT_FOUND)
        return TRK_OK; /* starts on a later frame */
    if (rc)
        return failure_of_library(rc);
    taken->object_score = result.object_score;
    taken->iou = result.iou;
    taken->hypothesis = result.hypothesis;
    taken->kept = result.kept;
    taken->motion = result.motion;
    return TRK_OK;
}

/* The picture as the video has it. */
static trk_status fill(drawing *on)
{
    const canvas *target = on->target;
    if (!on->picture->rgb) {
        trk_status rc = trk_video_pixels(on->reader, on->picture);
        if (rc)
            return rc;
    }
    for (int y = 0; y < target->height; y++)
        memcpy(target->rgb + y * target->stride, on->picture->rgb + y * on->picture->stride, 3 * (size_t)target->width);
    on->empty = 0;
    return TRK_OK;
}

/* The first n of the list, with masks and regions. on: NULL where nothing is drawn. */
static trk_status paint(frame_results *self, size_t n, trk_tracker *tracker, drawing *on)
{
    trk_paint wanted = TRK_PAINT_INIT;
    trk_status rc = TRK_OK;
    wanted.objects = self->drawn;
    wanted.n_objects = n;
    wanted.line_width = overlay_line_width(self->height);
    wanted.fill_percent = OVERLAY_FILL_PERCENT;
    wanted.on_frame = on && on->empty;
    rc = trk_tracker_paint(tracker, &wanted, on ? on->target->rgb : NULL, on ? on->target->stride : 0);
    if (rc == TRK_E_NOT_FOUND && wanted.on_frame) { /* it was not kept, or the tracker was evicted meanwhile */
        TRK_CHECK(fill(on));
        wanted.on_frame = 0;
        rc = trk_tracker_paint(tracker, &wanted, on->target->rgb, on->target->stride);
    }
    if (rc)
        return failure_of_library(rc);
    if (on)
        on->empty = 0;
done:
    return rc;
}

/* What is made of the masks of the first n of the list. */
static trk_status take_masks(frame_results *self, size_t n, trk_tracker *tracker, drawing *on)
{
    trk_status rc = TRK_OK;
    TRK_CHECK(paint(self, n, tracker, on));
    for (size_t i = 0; i < n; i++) {
        record *taken = self->drawn_records[i];
        const uint8_t *mask = self->drawn[i].mask;
        taken->where = self->drawn[i].region;
        if (self->wanted->jsonl)
            TRK_CHECK(rle_encode(&taken->runs, mask, self->width, self->height, self->width));
        if (self->indices && taken->where.area)
            index_map_draw(self->indices, mask, (size_t)self->width * (size_t)self->height, taken->object);
    }
done:
    return rc;
}

static trk_status take_objects(frame_results *self, trk_tracker *tracker, drawing *on)
{
    trk_status rc = TRK_OK;
    size_t n = 0;
    for (size_t i = self->n_records; i-- > 0;) {
        record *taken = &self->records[i];
        TRK_CHECK(take_scores(taken, tracker));
        if (taken->present) {
            self->drawn[n].object = taken->object;
            palette_drawing_colour(taken->object, self->drawn[n].colour);
            self->drawn_records[n++] = taken;
        }
        if (n && (n == self->n_at_once || i == 0)) {
            TRK_CHECK(take_masks(self, n, tracker, on));
            n = 0;
        }
    }
done:
    return rc;
}

/* Ids on top of all predicted boxes. */
static void draw_marks(const frame_results *self, canvas *target)
{
    uint8_t colour[3];
    for (size_t i = self->n_records; i-- > 0 && self->wanted->motion.draw;) {
        const record *taken = &self->records[i];
        palette_drawing_colour(taken->object, colour);
        if (taken->present)
            overlay_draw_motion(target, &taken->motion, taken->kept, colour);
    }
    for (size_t i = self->n_records; i-- > 0;) {
        palette_drawing_colour(self->records[i].object, colour);
        if (self->records[i].present)
            overlay_draw_id(target, self->records[i].object, &self->records[i].where, colour);
    }
}

trk_status frame_results_take(frame_results *self, trk_tracker *tracker, trk_video_reader *reader, trk_picture *picture,
                              canvas *target)
{
    trk_status rc = TRK_OK;
    drawing surface = {target, reader, picture, 1}, *on = target ? &surface : NULL;
    if (self->indices)
        memset(self->indices, 0, (size_t)self->width * (size_t)self->height);
    if (on && (!tracker || picture->rgb))
        TRK_CHECK(fill(on));
    if (tracker)
        TRK_CHECK(take_objects(self, tracker, on));
    if (on && on->empty) /* no object is there */
        TRK_CHECK(fill(on));
    if (on)
        draw_marks(self, target);
done:
    return rc;
}

void frame_results_close(frame_results *self)
{
    for (size_t i = 0; self->records && i < self->n_records; i++)
        rle_free(&self->records[i].runs);
    trk_heap_release(self->records);
    trk_heap_release(self->indices);
    trk_heap_release(self->drawn);
    trk_heap_release(self->drawn_records);
    trk_heap_release(self->masks);
    *self = (frame_results){0};
}
