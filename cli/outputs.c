/* SPDX-License-Identifier: Apache-2.0
 * Objects are taken from the highest id down, so that lower ids end up on top in pictures; records go out ascending. */
#include "outputs.h"

#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "failure.h"
#include "heap.h"
#include "npy.h"
#include "output_file.h"
#include "overlay.h"
#include "palette.h"
#include "records.h"
#include "sheet.h"

struct outputs {
    const options *wanted;
    int width, height;
    record *records; /* [n_records] owned, ascending by object */
    size_t n_records;
    uint8_t *mask;                     /* [height][width] of one object, owned */
    uint8_t *indices;                  /* [height][width] for --masks, owned */
    uint8_t (*palette)[3];             /* [256] for --masks, owned */
    int masks_created, logits_created; /* folders that were not there before */
    output_file jsonl;
    output_file *boxes;        /* [n_records] owned; NULL without --boxes */
    trk_video_writer *writer;  /* for --overlay */
    overlay *painter;          /* for --overlay and --sheet */
    uint8_t *scratch;          /* [height][3 width] RGB for --sheet without --overlay, owned */
    sheet *contact;            /* for --sheet */
    output_file contact_probe; /* shows early that FILE.png cannot be written */
};

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
    if (highest >= PALETTE_SIZE)
        return TRK_FAIL(TRK_E_ARGUMENT, "--masks: object ids up to %d fit in a palette PNG, got %d", PALETTE_SIZE - 1,
                        highest);
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
    if (wanted->overlay || wanted->sheet)
        TRK_CHECK(overlay_create(&self->painter, self->width, self->height));
    if (wanted->sheet) {
        rc = output_file_open(&self->contact_probe, wanted->sheet);
        if (rc)
            return trk_fail_prefix(rc, "--sheet");
        output_file_discard(&self->contact_probe);
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
    self->mask = allocate((size_t)info->width * (size_t)info->height);
    if (!self->records || !self->mask)
        TRK_CHECK(no_memory());
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
    char *path = trk_heap_format("name of a file", "%s/%05" PRId64 "_%d.npy", self->wanted->logits, result->frame,
                                 object);
    if (!path)
        return no_memory();
    trk_status rc = npy_write(path, result->logits, result->mask_size, result->mask_size);
    trk_heap_release(path);
    return rc;
}

static void draw_indices(outputs *self, int object)
{
    const size_t n_pixels = (size_t)self->width * (size_t)self->height;
    for (size_t i = 0; i < n_pixels; i++)
        self->indices[i] = self->mask[i] ? (uint8_t)object : self->indices[i];
}

/* One object: scores, mask, and whatever is made of its mask. target: NULL where nothing is drawn. */
static trk_status take_object(outputs *self, record *self_record, trk_tracker *tracker, canvas *target)
{
    trk_result result = {.struct_size = sizeof result};
    trk_status rc = trk_tracker_result(tracker, self_record->object, &result);
    self_record->present = !rc;
    if (rc == TRK_E_NOT_FOUND)
        return TRK_OK; /* starts on a later frame */
    if (rc)
        return failure_of_library(rc);
    self_record->object_score = result.object_score;
    self_record->iou = result.iou;
    if (self->wanted->logits)
        TRK_CHECK(write_logits(self, &result, self_record->object));
    rc = trk_tracker_mask(tracker, self_record->object, self->mask, self->width);
    if (rc)
        return failure_of_library(rc);
    self_record->where = region_of_mask(self->mask, self->width, self->height, self->width);
    if (self->wanted->jsonl)
        TRK_CHECK(rle_encode(&self_record->runs, self->mask, self->width, self->height, self->width));
    if (self->indices && self_record->where.area)
        draw_indices(self, self_record->object);
    if (target) {
        uint8_t colour[3];
        palette_drawing_colour(self_record->object, colour);
        overlay_draw_mask(self->painter, target, self->mask, self->width, &self_record->where, colour);
    }
done:
    return rc;
}

static void draw_ids(const outputs *self, canvas *target)
{
    for (size_t i = self->n_records; i-- > 0;) {
        uint8_t colour[3];
        palette_drawing_colour(self->records[i].object, colour);
        if (self->records[i].present)
            overlay_draw_id(target, self->records[i].object, &self->records[i].where, colour);
    }
}

static void copy_rows(canvas *target, const trk_picture *picture)
{
    for (int y = 0; y < target->height; y++)
        memcpy(target->rgb + y * target->stride, picture->rgb + y * picture->stride, 3 * (size_t)target->width);
}

static trk_status write_text(outputs *self, const trk_picture *picture)
{
    trk_status rc = TRK_OK;
    if (self->wanted->jsonl) {
        records_write_json(self->jsonl.stream, self->records, self->n_records, picture->index, picture->pts,
                           self->width, self->height);
        TRK_CHECK(output_file_flush(&self->jsonl));
    }
    for (size_t i = 0; self->boxes && i < self->n_records; i++) {
        record_write_box(self->boxes[i].stream, &self->records[i]);
        TRK_CHECK(output_file_flush(&self->boxes[i]));
    }
done:
    return rc;
}

static trk_status write_indices(const outputs *self, int64_t frame)
{
    char *path = trk_heap_format("name of a file", "%s/%05" PRId64 ".png", self->wanted->masks, frame);
    if (!path)
        return no_memory();
    trk_status rc = trk_image_write_indexed(path, self->indices, self->width, self->height, self->width,
                                            (const uint8_t(*)[3])self->palette);
    trk_heap_release(path);
    return rc;
}

int outputs_want_pixels(const outputs *self)
{
    return self->writer || (self->contact && sheet_wants_next(self->contact));
}

trk_status outputs_write(outputs *self, trk_tracker *tracker, const trk_picture *picture)
{
    trk_picture *borrowed = NULL; /* from the writer */
    const int on_sheet = self->contact && sheet_wants_next(self->contact);
    canvas drawing = {self->scratch, 3 * (ptrdiff_t)self->width, self->width, self->height}, *target = NULL;
    trk_status rc = TRK_OK;
    if (self->writer) {
        TRK_CHECK(trk_video_writer_begin(self->writer, &borrowed));
        drawing.rgb = borrowed->rgb;
        drawing.stride = borrowed->stride;
    }
    if (self->writer || on_sheet) {
        target = &drawing;
        copy_rows(target, picture);
    }
    if (self->indices)
        memset(self->indices, 0, (size_t)self->width * (size_t)self->height);
    for (size_t i = self->n_records; tracker && i-- > 0;)
        TRK_CHECK(take_object(self, &self->records[i], tracker, target));
    if (target)
        draw_ids(self, target);
    if (on_sheet)
        sheet_add(self->contact, target, picture->index);
    if (self->indices)
        TRK_CHECK(write_indices(self, picture->index));
    TRK_CHECK(write_text(self, picture));
    if (self->writer)
        TRK_CHECK(trk_video_writer_submit(self->writer, borrowed));
done:
    return rc;
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

trk_status outputs_finish(outputs *self)
{
    trk_status rc = TRK_OK;
    if (self->writer)
        TRK_CHECK(trk_video_writer_finish(self->writer));
    if (self->contact)
        TRK_CHECK(finish_sheet(self));
    if (self->wanted->jsonl)
        TRK_CHECK(output_file_finish(&self->jsonl));
    for (size_t i = 0; self->boxes && i < self->n_records; i++)
        TRK_CHECK(output_file_finish(&self->boxes[i]));
done:
    return rc;
}

/* Folders made for a run that then wrote nothing: removes the innermost `created` ones if they are empty. Allocates
 * nothing, as this also follows a failed allocation. */
static void remove_empty_folders(const char *path, int created)
{
    char copy[PATH_MAX];
    if (!created || strlen(path) >= sizeof copy)
        return;
    for (strcpy(copy, path); created > 0 && !rmdir(copy); created--) {
        char *slash = strrchr(copy, '/');
        if (!slash)
            break;
        *slash = 0;
    }
}

void outputs_destroy(outputs **handle)
{
    outputs *self = *handle;
    if (!self)
        return;
    trk_video_writer_destroy(&self->writer);
    sheet_destroy(&self->contact);
    overlay_destroy(&self->painter);
    output_file_discard(&self->contact_probe);
    output_file_discard(&self->jsonl);
    for (size_t i = 0; i < self->n_records; i++) {
        if (self->records)
            rle_free(&self->records[i].runs);
        if (self->boxes)
            output_file_discard(&self->boxes[i]);
    }
    remove_empty_folders(self->wanted->masks, self->masks_created);
    remove_empty_folders(self->wanted->logits, self->logits_created);
    trk_heap_release(self->boxes);
    trk_heap_release(self->records);
    trk_heap_release(self->mask);
    trk_heap_release(self->indices);
    trk_heap_release(self->palette);
    trk_heap_release(self->scratch);
    trk_heap_release(self);
    *handle = NULL;
}
