/* SPDX-License-Identifier: Apache-2.0
 * Files of a run. What goes into them frame by frame is frame_results'. */
#include "outputs.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "failure.h"
#include "frame_results.h"
#include "heap.h"
#include "index_map.h"
#include "npy.h"
#include "output_file.h"
#include "palette.h"
#include "sheet.h"

struct outputs {
    const options *wanted;
    frame_results results;             /* and the size of a frame */
    uint8_t (*palette)[3];             /* [256] for --masks, owned */
    int masks_created, logits_created; /* folders that were not there before */
    output_file jsonl;
    output_file *boxes;       /* [results.n_records] owned; NULL without --boxes */
    trk_video_writer *writer; /* for --overlay */
    uint8_t *scratch;         /* [height][3 width] RGB for --sheet without --overlay, owned */
    sheet *contact;           /* for --sheet */
    double first_pts;         /* seconds, of the first frame in the overlay */
    int is_drawn;             /* 1: the last frame is, and went to all that did not fail */
    int one_failed;           /* 1: a file could not be written and is gone */
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
    self->boxes = zeroed(self->results.n_records, sizeof *self->boxes);
    if (!self->boxes)
        return no_memory();
    for (size_t i = 0; i < self->results.n_records; i++) {
        char *path =
            outputs_boxes_path(self->wanted->boxes, self->results.records[i].object, self->results.n_records > 1);
        trk_status rc = path ? output_file_open(&self->boxes[i], path) : no_memory();
        trk_heap_release(path);
        if (rc)
            return trk_fail_prefix(rc, "--boxes");
    }
    return TRK_OK;
}

static trk_status open_masks(outputs *self)
{
    int highest = self->results.records[self->results.n_records - 1].object;
    if (highest > PALETTE_MOST_OBJECT)
        return TRK_FAIL(TRK_E_ARGUMENT, "--masks: object ids up to %d fit in a palette PNG, got %d",
                        PALETTE_MOST_OBJECT, highest);
    trk_status rc = output_folder_create(self->wanted->masks, &self->masks_created);
    if (rc)
        return trk_fail_prefix(rc, "--masks");
    self->palette = allocate(PALETTE_SIZE * sizeof *self->palette);
    if (!self->palette)
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
        TRK_CHECK(sheet_create(&self->contact, self->results.width, self->results.height));
    }
    if (wanted->sheet && !wanted->overlay) {
        self->scratch = allocate((size_t)self->results.width * (size_t)self->results.height * 3);
        if (!self->scratch)
            return no_memory();
    }
    if (wanted->overlay) {
        const trk_video_hardware hardware = {wanted->encoder, wanted->device_index};
        const trk_video_format format = {.width = self->results.width,
                                         .height = self->results.height,
                                         .rate_num = info->rate_num,
                                         .rate_den = info->rate_den,
                                         .pixel_width = info->pixel_width,
                                         .pixel_height = info->pixel_height};
        rc = trk_video_writer_open(&self->writer, wanted->overlay, &format, &hardware);
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
    TRK_CHECK(frame_results_open(&self->results, wanted, info->width, info->height, ids, n_ids));
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
        records_write_json(self->jsonl.stream, self->results.records, self->results.n_records, picture->index,
                           picture->pts, self->results.width, self->results.height);
        first_failure_note(&first, flush(self, &self->jsonl));
    }
    for (size_t i = 0; self->boxes && i < self->results.n_records; i++) {
        record_write_box(self->boxes[i].stream, &self->results.records[i]);
        first_failure_note(&first, flush(self, &self->boxes[i]));
    }
    return first_failure_tell(&first);
}

static trk_status write_logits_of(const outputs *self, const trk_result *result, int object)
{
    char *path =
        trk_heap_format("name of a file", "%s/%05" PRId64 "_%d.npy", self->wanted->logits, result->frame, object);
    if (!path)
        return no_memory();
    trk_status rc = npy_write(path, result->logits, result->mask_size, result->mask_size);
    trk_heap_release(path);
    return rc;
}

/* Of all objects that are there: one that can not be written leaves the others. */
static trk_status write_logits(const outputs *self, trk_tracker *tracker)
{
    first_failure first = {0};
    for (size_t i = 0; tracker && i < self->results.n_records; i++) {
        const record *of = &self->results.records[i];
        trk_result result = {.struct_size = sizeof result};
        if (!of->present)
            continue;
        trk_status rc = trk_tracker_result(tracker, of->object, &result);
        first_failure_note(&first, rc ? failure_of_library(rc) : write_logits_of(self, &result, of->object));
    }
    return first_failure_tell(&first);
}

static trk_status write_indices(const outputs *self, int64_t frame)
{
    char name[32];
    snprintf(name, sizeof name, "%05" PRId64, frame);
    return index_map_write(self->wanted->masks, name, self->results.indices, self->results.width, self->results.height,
                           (const uint8_t(*)[3])self->palette);
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

/* The video's writer's own picture as the canvas, where there is one. */
static trk_status begin_drawing(outputs *self, canvas *target, double pts, trk_picture **borrowed)
{
    if (!self->writer)
        return TRK_OK;
    trk_status rc = drop_failed_video(self, trk_video_writer_begin(self->writer, borrowed));
    if (rc)
        return rc;
    if (!(*borrowed)->index)
        self->first_pts = pts;
    (*borrowed)->pts = fabs(pts - self->first_pts); /* the video's own times, which need not be even; or backwards */
    target->rgb = (*borrowed)->rgb;
    target->stride = (*borrowed)->stride;
    return TRK_OK;
}

trk_status outputs_write(outputs *self, trk_tracker *tracker, trk_video_reader *reader, trk_picture *picture)
{
    trk_picture *borrowed = NULL; /* from the writer */
    first_failure first = {0};
    canvas target = {self->scratch, 3 * (ptrdiff_t)self->results.width, self->results.width, self->results.height};
    first_failure_note(&first, begin_drawing(self, &target, picture->pts, &borrowed));
    const int on_sheet = target.rgb && self->contact && sheet_wants_next(self->contact);
    trk_status rc = frame_results_take(&self->results, tracker, reader, picture, borrowed || on_sheet ? &target : NULL);
    self->is_drawn = !rc;
    if (rc)
        return rc;
    if (on_sheet)
        sheet_add(self->contact, &target, picture->index);
    if (self->results.indices) {
        rc = write_indices(self, picture->index);
        self->one_failed |= rc < 0;
        first_failure_note(&first, rc);
    }
    if (self->wanted->logits) {
        rc = write_logits(self, tracker);
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
    for (size_t i = 0; self->boxes && i < self->results.n_records; i++)
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
    for (size_t i = 0; self->boxes && i < self->results.n_records; i++)
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
    for (size_t i = 0; self->boxes && i < self->results.n_records; i++)
        output_file_discard(&self->boxes[i]);
    output_folder_remove_empty(self->wanted->masks, self->masks_created);
    output_folder_remove_empty(self->wanted->logits, self->logits_created);
    frame_results_close(&self->results);
    trk_heap_release(self->boxes);
    trk_heap_release(self->palette);
    trk_heap_release(self->scratch);
    trk_heap_release(self);
    *handle = NULL;
}
