/* SPDX-License-Identifier: Apache-2.0
 * Objects are taken from the highest id down, so that lower ids end up on top in pictures; records go out ascending. */
#include "outputs.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "failure.h"
#include "heap.h"
#include "index_map.h"
#include "npy.h"
#include "output_file.h"
#include "overlay.h"
#include "palette.h"
#include "records.h"
#include "sheet.h"

/* With masks on the host, so many are had at a time: on a GPU a picture goes over once for each such group. */
#define MASKS_AT_ONCE 4

struct outputs {
    const options *wanted;
    int width, height;
    record *records; /* [n_records] owned, ascending by object */
    size_t n_records;
    trk_paint_object *drawn; /* [n_at_once] owned */
    record **drawn_records;  /* [n_at_once] theirs; owned */
    size_t n_at_once;
    uint8_t *masks;                    /* [n_at_once][height][width], where masks are wanted on the host; owned */
    uint8_t *indices;                  /* [height][width] for --masks, owned */
    uint8_t (*palette)[3];             /* [256] for --masks, owned */
    int masks_created, logits_created; /* folders that were not there before */
    output_file jsonl;
    output_file *boxes;       /* [n_records] owned; NULL without --boxes */
    trk_video_writer *writer; /* for --overlay */
    uint8_t *scratch;         /* [height][3 width] RGB for --sheet without --overlay, owned */
    sheet *contact;           /* for --sheet */
    int is_drawn;             /* 1: the last frame is, and went to all that did not fail */
    int one_failed;           /* 1: a file could not be written and is gone */
};

/* What a frame is drawn on. */
typedef struct drawing {
    canvas target;
    trk_video_reader *reader; /* borrowed, like picture */
    trk_picture *picture;
    int empty; /* 1: the picture is not in target yet; the tracker may have it where the model computes */
} drawing;

static void *allocate(size_t bytes)
{
    return trk_heap_allocate(TRK_MEM_SCRATCH, "outputs", bytes);
}

static void *zeroed(size_t n, size_t size)
{
    return trk_heap_zeroed(TRK_MEM_SCRATCH, "outputs", n, size);
}

char *outputs_boxes_path(const char *path, int object, int several)
{
    const char *slash = strrchr(path, '/'), *dot = strrchr(path, '.');
    if (!several)
        return trk_heap_text("name of a file", path);
    if (!dot || (slash && dot < slash) || dot == path || dot[-1] == '/')
        dot = path + strlen(path);
    return trk_heap_format("name of a file", "%.*s_%d%s", (int)(dot - path), path, object, dot);
}

/* --- opening ---------------------------------------------------------------------------------------------------- */

static trk_status no_memory(void)
{
    return TRK_FAIL(TRK_E_MEMORY, "outputs: out of memory");
}

static trk_status open_boxes(outputs *self)
{
    self->boxes = zeroed(self->n_records, sizeof *self->boxes);
    if (!self->boxes)
        return no_memory();
    for (size_t i = 0; i < self->n_records; i++) {
        char *path = outputs_boxes_path(self->wanted->boxes, self->records[i].object, self->n_records > 1);
        trk_status rc = path ? output_file_open(&self->boxes[i], path) : no_memory();
        trk_heap_release(path);
        if (rc)
            return trk_fail_prefix(rc, "--boxes");
    }
    return TRK_OK;
}

static trk_status open_masks(outputs *self)
{
    int highest = self->records[self->n_records - 1].object;
    if (highest > PALETTE_MOST_OBJECT)
        return TRK_FAIL(TRK_E_ARGUMENT, "--masks: object ids up to %d fit in a palette PNG, got %d",
                        PALETTE_MOST_OBJECT, highest);
    trk_status rc = output_folder_create(self->wanted->masks, &self->masks_created);
    if (rc)
        return trk_fail_prefix(rc, "--masks");
    self->palette = allocate(PALETTE_SIZE * sizeof *self->palette);
    self->indices = allocate((size_t)self->width * (size_t)self->height);
    if (!self->palette || !self->indices)
        return no_memory();
    palette_fill(self->palette);
    return TRK_OK;
}

static trk_status open_pictures(outputs *self, const trk_video_info *info)
{
    const options *wanted = self->wanted;
    trk_status rc = TRK_OK;
    if (wanted->sheet) {
        rc = output_file_probe(wanted->sheet, 0);
        if (rc)
            return trk_fail_prefix(rc, "--sheet");
        TRK_CHECK(sheet_create(&self->contact, self->width, self->height));
    }
    if (wanted->sheet && !wanted->overlay) {
        self->scratch = allocate((size_t)self->width * (size_t)self->height * 3);
        if (!self->scratch)
            return no_memory();
    }
    if (wanted->overlay) {
        const trk_video_hardware hardware = {wanted->encoder, wanted->device_index};
        rc = trk_video_writer_open_on(&self->writer, wanted->overlay, self->width, self->height, info->rate_num,
                                      info->rate_den, &hardware);
        if (rc)
            return trk_fail_prefix(rc, "--overlay");
    }
done:
    return rc;
}

/* The list for trk_tracker_paint. */
static trk_status open_drawn(outputs *self)
{
    const size_t n_pixels = (size_t)self->width * (size_t)self->height;
    const int masks_on_host = self->wanted->jsonl || self->wanted->masks;
    self->n_at_once = masks_on_host && self->n_records > MASKS_AT_ONCE ? MASKS_AT_ONCE : self->n_records;
    self->drawn = zeroed(self->n_at_once, sizeof *self->drawn);
    self->drawn_records = zeroed(self->n_at_once, sizeof *self->drawn_records);
    if (masks_on_host)
        self->masks = allocate(self->n_at_once * n_pixels);
    if (!self->drawn || !self->drawn_records || (masks_on_host && !self->masks))
        return no_memory();
    for (size_t i = 0; i < self->n_at_once; i++) {
        self->drawn[i].mask = self->masks ? self->masks + i * n_pixels : NULL;
        self->drawn[i].mask_stride = self->width;
    }
    return TRK_OK;
}

trk_status outputs_open(outputs **out, const options *wanted, const trk_video_info *info, const int *ids, size_t n_ids)
{
    trk_status rc = TRK_OK;
    outputs *self = zeroed(1, sizeof *self);
    if (!self)
        return no_memory();
    self->wanted = wanted;
    self->width = info->width;
    self->height = info->height;
    self->n_records = n_ids;
    self->records = zeroed(n_ids, sizeof *self->records);
    if (!self->records)
        TRK_CHECK(no_memory());
    TRK_CHECK(open_drawn(self));
    for (size_t i = 0; i < n_ids; i++)
        self->records[i].object = ids[i];
    if (wanted->masks)
        TRK_CHECK(open_masks(self));
    if (wanted->logits && (rc = output_folder_create(wanted->logits, &self->logits_created)))
        TRK_CHECK(trk_fail_prefix(rc, "--logits"));
    if (wanted->jsonl && (rc = output_file_open(&self->jsonl, wanted->jsonl)))
        TRK_CHECK(trk_fail_prefix(rc, "--jsonl"));
    if (wanted->boxes)
        TRK_CHECK(open_boxes(self));
    TRK_CHECK(open_pictures(self, info));
    *out = self;
    self = NULL;
done:
    outputs_destroy(&self);
    return rc;
}

/* --- writing ---------------------------------------------------------------------------------------------------- */

static trk_status write_logits(const outputs *self, const trk_result *result, int object)
{
    char *path =
        trk_heap_format("name of a file", "%s/%05" PRId64 "_%d.npy", self->wanted->logits, result->frame, object);
    if (!path)
        return no_memory();
    trk_status rc = npy_write(path, result->logits, result->mask_size, result->mask_size);
    trk_heap_release(path);
    return rc;
}

static trk_status take_scores(const outputs *self, record *taken, trk_tracker *tracker)
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
    return self->wanted->logits ? write_logits(self, &result, taken->object) : TRK_OK;
}

/* The picture as the video has it. */
static trk_status fill(drawing *on)
{
    const canvas *target = &on->target;
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
static trk_status paint(outputs *self, size_t n, trk_tracker *tracker, drawing *on)
{
    trk_paint wanted = TRK_PAINT_INIT;
    trk_status rc = TRK_OK;
    wanted.objects = self->drawn;
    wanted.n_objects = n;
    wanted.line_width = overlay_line_width(self->height);
    wanted.fill_percent = OVERLAY_FILL_PERCENT;
    wanted.on_frame = on && on->empty;
    rc = trk_tracker_paint(tracker, &wanted, on ? on->target.rgb : NULL, on ? on->target.stride : 0);
    if (rc == TRK_E_NOT_FOUND && wanted.on_frame) { /* it was not kept, or the tracker was evicted meanwhile */
        TRK_CHECK(fill(on));
        wanted.on_frame = 0;
        rc = trk_tracker_paint(tracker, &wanted, on->target.rgb, on->target.stride);
    }
    if (rc)
        return failure_of_library(rc);
    if (on)
        on->empty = 0;
done:
    return rc;
}

/* What is made of the masks of the first n of the list. */
static trk_status take_masks(outputs *self, size_t n, trk_tracker *tracker, drawing *on)
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

static trk_status take_objects(outputs *self, trk_tracker *tracker, drawing *on)
{
    trk_status rc = TRK_OK;
    size_t n = 0;
    for (size_t i = self->n_records; i-- > 0;) {
        record *taken = &self->records[i];
        TRK_CHECK(take_scores(self, taken, tracker));
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
static void draw_marks(const outputs *self, canvas *target)
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

/* A file that fails is gone; the others are finished without it. */
static trk_status flush(outputs *self, output_file *file)
{
    trk_status rc = output_file_flush(file);
    if (!rc)
        return TRK_OK;
    self->one_failed = 1;
    output_file_discard(file);
    return rc;
}

static trk_status write_text(outputs *self, const trk_picture *picture)
{
    first_failure first = {0};
    if (self->wanted->jsonl) {
        records_write_json(self->jsonl.stream, self->records, self->n_records, picture->index, picture->pts,
                           self->width, self->height);
        first_failure_note(&first, flush(self, &self->jsonl));
    }
    for (size_t i = 0; self->boxes && i < self->n_records; i++) {
        record_write_box(self->boxes[i].stream, &self->records[i]);
        first_failure_note(&first, flush(self, &self->boxes[i]));
    }
    return first_failure_tell(&first);
}

static trk_status write_indices(const outputs *self, int64_t frame)
{
    char name[32];
    snprintf(name, sizeof name, "%05" PRId64, frame);
    return index_map_write(self->wanted->masks, name, self->indices, self->width, self->height,
                           (const uint8_t(*)[3])self->palette);
}

/* Masks, predicted boxes and ids. */
static trk_status draw(outputs *self, trk_tracker *tracker, drawing *on)
{
    trk_status rc = TRK_OK;
    if (on && (!tracker || on->picture->rgb))
        TRK_CHECK(fill(on));
    if (tracker)
        TRK_CHECK(take_objects(self, tracker, on));
    if (on && on->empty) /* no object is there */
        TRK_CHECK(fill(on));
    if (on)
        draw_marks(self, &on->target);
done:
    return rc;
}

/* rc: what the video's writer said. */
static trk_status drop_failed_video(outputs *self, trk_status rc)
{
    trk_error_line said;
    if (!rc)
        return TRK_OK;
    self->one_failed = 1;
    trk_error_keep(&said);
    trk_video_writer_destroy(&self->writer);
    trk_error_restore(&said);
    return rc;
}

/* The canvas for a frame, from the video's writer where there is one. */
static trk_status begin_drawing(outputs *self, drawing *on, trk_picture **borrowed)
{
    on->target = (canvas){self->scratch, 3 * (ptrdiff_t)self->width, self->width, self->height};
    if (!self->writer)
        return TRK_OK;
    trk_status rc = drop_failed_video(self, trk_video_writer_begin(self->writer, borrowed));
    if (rc)
        return rc;
    on->target.rgb = (*borrowed)->rgb;
    on->target.stride = (*borrowed)->stride;
    return TRK_OK;
}

trk_status outputs_write(outputs *self, trk_tracker *tracker, trk_video_reader *reader, trk_picture *picture)
{
    trk_picture *borrowed = NULL; /* from the writer */
    first_failure first = {0};
    drawing on = {.reader = reader, .picture = picture, .empty = 1};
    first_failure_note(&first, begin_drawing(self, &on, &borrowed));
    const int on_sheet = on.target.rgb && self->contact && sheet_wants_next(self->contact);
    if (self->indices)
        memset(self->indices, 0, (size_t)self->width * (size_t)self->height);
    trk_status rc = draw(self, tracker, borrowed || on_sheet ? &on : NULL);
    self->is_drawn = !rc;
    if (rc)
        return rc;
    if (on_sheet)
        sheet_add(self->contact, &on.target, picture->index);
    if (self->indices) {
        rc = write_indices(self, picture->index);
        self->one_failed |= rc < 0;
        first_failure_note(&first, rc);
    }
    first_failure_note(&first, write_text(self, picture));
    if (borrowed)
        first_failure_note(&first, drop_failed_video(self, trk_video_writer_submit(self->writer, borrowed)));
    return first_failure_tell(&first);
}

/* --- the end ---------------------------------------------------------------------------------------------------- */

static trk_status finish_sheet(outputs *self)
{
    canvas picture;
    trk_status rc = sheet_render(self->contact, &picture);
    if (rc)
        return rc;
    rc = trk_image_write_rgb(self->wanted->sheet, picture.rgb, picture.width, picture.height, picture.stride);
    trk_heap_release(picture.rgb);
    return rc;
}

int outputs_have_frame(const outputs *self)
{
    return self->is_drawn;
}

const char *outputs_kept(const outputs *self)
{
    int some = self->writer || self->contact || self->jsonl.stream || self->wanted->masks || self->wanted->logits;
    for (size_t i = 0; self->boxes && i < self->n_records; i++)
        some |= self->boxes[i].stream != NULL;
    return !some ? NULL : self->one_failed ? "the other outputs" : "the outputs";
}

trk_status outputs_finish(outputs *self)
{
    first_failure first = {0};
    if (self->writer)
        first_failure_note(&first, trk_video_writer_finish(self->writer));
    if (self->contact)
        first_failure_note(&first, finish_sheet(self));
    if (self->jsonl.stream)
        first_failure_note(&first, output_file_finish(&self->jsonl));
    for (size_t i = 0; self->boxes && i < self->n_records; i++)
        if (self->boxes[i].stream)
            first_failure_note(&first, output_file_finish(&self->boxes[i]));
    return first_failure_tell(&first);
}

void outputs_destroy(outputs **handle)
{
    outputs *self = *handle;
    if (!self)
        return;
    trk_video_writer_destroy(&self->writer);
    sheet_destroy(&self->contact);
    output_file_discard(&self->jsonl);
    for (size_t i = 0; i < self->n_records; i++) {
        if (self->records)
            rle_free(&self->records[i].runs);
        if (self->boxes)
            output_file_discard(&self->boxes[i]);
    }
    output_folder_remove_empty(self->wanted->masks, self->masks_created);
    output_folder_remove_empty(self->wanted->logits, self->logits_created);
    trk_heap_release(self->boxes);
    trk_heap_release(self->records);
    trk_heap_release(self->drawn);
    trk_heap_release(self->drawn_records);
    trk_heap_release(self->masks);
    trk_heap_release(self->indices);
    trk_heap_release(self->palette);
    trk_heap_release(self->scratch);
    trk_heap_release(self);
    *handle = NULL;
}
