/* SPDX-License-Identifier: Apache-2.0
 * MOTChallenge: [SPLIT/]CLIP/img1/000001.jpg, CLIP/gt/gt.txt, CLIP/seqinfo.ini. A line of gt.txt is
 * frame,id,left,top,width,height,flag,class,visibility (MOT16 and later, DanceTrack), or with 10 numbers
 * frame,id,left,top,width,height,flag,x,y,z (2015, all of them pedestrians); frames and pixels are numbered from 1.
 * Each id is an object; its prompt is the first box that is visible and reaches into the picture. */
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "dataset_internal.h"
#include "heap.h"
#include "number.h"

enum { PEDESTRIAN = 1, MOST_ROWS = 1 << 25 };

typedef struct row {
    int64_t id, frame; /* frame from 0 */
    size_t line;
    trk_box box;
    int shown; /* visibility above 0 */
} row;

typedef struct rows {
    row *items; /* owned */
    size_t n;
} rows;

/* --- seqinfo.ini ------------------------------------------------------------------------------------------------ */

typedef struct sequence {
    char folder[256]; /* of the images */
    int64_t n_frames, width, height;
} sequence;

static trk_status read_setting(sequence *out, const char *path, size_t at, char *line)
{
    const struct {
        const char *key;
        int64_t most, *value;
    } numbers[] = {{"seqLength", DATASET_MOST_FRAMES, &out->n_frames},
                   {"imWidth", DATASET_MOST_SIDE, &out->width},
                   {"imHeight", DATASET_MOST_SIDE, &out->height}};
    char *equals = strchr(line, '=');
    if (!equals)
        return TRK_OK; /* [Sequence], comments */
    char *value = equals + 1 + strspn(equals + 1, " \t");
    while (equals > line && (equals[-1] == ' ' || equals[-1] == '\t'))
        equals--;
    *equals = 0;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (!strcasecmp(line, numbers[i].key) && !number_whole(value, 1, numbers[i].most, numbers[i].value))
            return TRK_FAIL(TRK_E_FORMAT, "%s:%zu: %s is \"%.40s\", expected a whole number from 1 to %" PRId64, path,
                            at, numbers[i].key, value, numbers[i].most);
    if (strcasecmp(line, "imDir"))
        return TRK_OK;
    if (!dataset_name_is_safe(value) || strchr(value, '/') || strlen(value) >= sizeof out->folder)
        return TRK_FAIL(TRK_E_FORMAT, "%s:%zu: imDir is \"%.40s\", expected the name of a folder", path, at, value);
    memcpy(out->folder, value, strlen(value) + 1);
    return TRK_OK;
}

static trk_status read_sequence(sequence *out, const char *folder)
{
    char *text = NULL, *path = dataset_path(folder, "seqinfo.ini");
    trk_status rc = TRK_OK;
    *out = (sequence){.folder = "img1"};
    if (!path)
        TRK_CHECK(dataset_no_memory(folder));
    TRK_CHECK(dataset_text_read(&text, path));
    char *rest = text, *line;
    for (size_t at = 1; (line = dataset_text_line(&rest)); at++)
        TRK_CHECK(read_setting(out, path, at, line));
    if (!out->n_frames || !out->width || !out->height)
        rc = TRK_FAIL(TRK_E_FORMAT, "%s: expected seqLength, imWidth and imHeight", path);
done:
    trk_heap_release(text);
    trk_heap_release(path);
    return rc;
}

/* --- gt.txt ----------------------------------------------------------------------------------------------------- */

/* *counts: the row is of an object to follow. */
static int read_row(row *out, int *counts, const char *line, const sequence *of)
{
    double v[10];
    const size_t n = dataset_text_numbers(line, v, 10);
    if (n < 9 || v[0] != floor(v[0]) || v[0] < 1 || v[0] > (double)of->n_frames)
        return 0;
    if (v[1] != floor(v[1]) || v[1] < 1 || !(v[4] > 0) || !(v[5] > 0))
        return 0;
    *out = (row){.id = (int64_t)v[1],
                 .frame = (int64_t)v[0] - 1,
                 .box = {(float)(v[2] - 1), (float)(v[3] - 1), (float)v[4], (float)v[5]},
                 .shown = n == 10 || v[8] > 0};
    *counts = v[6] != 0 && (n == 10 || v[7] == PEDESTRIAN);
    return 1;
}

static trk_status read_rows(rows *out, const char *path, const sequence *of)
{
    char *text = NULL;
    trk_status rc = TRK_OK;
    TRK_CHECK(dataset_text_read(&text, path));
    char *rest = text, *line;
    for (size_t at = 1; (line = dataset_text_line(&rest)); at++) {
        row found;
        int counts;
        if (!read_row(&found, &counts, line, of))
            TRK_CHECK(TRK_FAIL(TRK_E_FORMAT,
                               "%s:%zu: \"%.80s\", expected frame (1 to %" PRId64
                               "), id (from 1), left, top, width and "
                               "height (above 0), flag, and class, visibility or x, y, z",
                               path, at, line, of->n_frames));
        if (!counts)
            continue;
        row *items = dataset_grown(out->items, out->n, sizeof *items);
        if (!items)
            TRK_CHECK(dataset_no_memory(path));
        out->items = items;
        found.line = at;
        items[out->n++] = found;
        if (out->n > MOST_ROWS)
            TRK_CHECK(TRK_FAIL(TRK_E_FORMAT, "%s: expected at most %d lines", path, MOST_ROWS));
    }
done:
    trk_heap_release(text);
    return rc;
}

static int by_id_and_frame(const void *a, const void *b)
{
    const row *x = a, *y = b;
    if (x->id != y->id)
        return (x->id > y->id) - (x->id < y->id);
    if (x->frame != y->frame)
        return (x->frame > y->frame) - (x->frame < y->frame);
    return (x->line > y->line) - (x->line < y->line);
}

/* --- objects ---------------------------------------------------------------------------------------------------- */

/* The part of a box in the picture; 0: there is none. */
static int clip_box(trk_box *out, const trk_box *box, const sequence *of)
{
    const float right = fminf(box->x + box->width, (float)of->width);
    const float bottom = fminf(box->y + box->height, (float)of->height);
    const float x = fmaxf(box->x, 0), y = fmaxf(box->y, 0);
    *out = (trk_box){x, y, right - x, bottom - y};
    return out->width > 0 && out->height > 0;
}

/* Rows of one id, by frame. One that never can be prompted is left out. */
static trk_status add_object(dataset_clip *clip, const row *items, size_t n, const sequence *of)
{
    dataset_object *object;
    trk_box prompt;
    size_t first = 0;
    for (size_t i = 1; i < n; i++)
        if (items[i].frame == items[i - 1].frame)
            return TRK_FAIL(TRK_E_FORMAT, "%s:%zu: frame %" PRId64 " of id %" PRId64 " once more, after line %zu",
                            clip->truth, items[i].line, items[i].frame + 1, items[i].id, items[i - 1].line);
    while (first < n && !(items[first].shown && clip_box(&prompt, &items[first].box, of)))
        first++;
    if (first == n)
        return TRK_OK;
    if (items->id > INT_MAX)
        return TRK_FAIL(TRK_E_FORMAT, "%s:%zu: id %" PRId64 ", expected at most %d", clip->truth, items->line,
                        items->id, INT_MAX);
    trk_status rc = dataset_boxes_add(&object, clip, (int)items->id);
    if (rc)
        return rc;
    object->box = prompt;
    object->has_box = 1;
    object->first_frame = items[first].frame;
    object->last_frame = items[n - 1].frame;
    for (size_t i = first; i < n; i++) {
        object->boxes[items[i].frame] = items[i].box;
        object->visible[items[i].frame] = 1;
    }
    return TRK_OK;
}

static trk_status add_objects(dataset_clip *clip, const rows *all, const sequence *of)
{
    trk_status rc = TRK_OK;
    for (size_t i = 0, n; i < all->n && !rc; i += n) {
        for (n = 1; i + n < all->n && all->items[i + n].id == all->items[i].id;)
            n++;
        rc = add_object(clip, all->items + i, n, of);
    }
    return rc;
}

static trk_status add_clip(dataset *self, const char *parent, const char *name)
{
    dataset_clip *clip;
    trk_numbered_images images = {0};
    rows all = {0};
    sequence of;
    trk_status rc = TRK_OK;
    char *folder = dataset_path(parent, name), *frames = NULL;
    if (!folder)
        TRK_CHECK(dataset_no_memory(parent));
    TRK_CHECK(dataset_clip_add(&clip, self, name));
    clip->kind = TRUTH_BOXES;
    clip->truth = dataset_path(folder, "gt/gt.txt");
    TRK_CHECK(read_sequence(&of, folder));
    frames = dataset_path(folder, of.folder);
    if (!frames || !clip->truth)
        TRK_CHECK(dataset_no_memory(folder));
    TRK_CHECK(dataset_clip_images(clip, &images, frames));
    if (clip->n_frames != of.n_frames)
        TRK_CHECK(TRK_FAIL(TRK_E_FORMAT, "%s: %" PRId64 " images, expected the %" PRId64 " of seqinfo.ini", frames,
                           clip->n_frames, of.n_frames));
    clip->width = (int)of.width;
    clip->height = (int)of.height;
    TRK_CHECK(read_rows(&all, clip->truth, &of));
    if (all.n)
        qsort(all.items, all.n, sizeof *all.items, by_id_and_frame);
    rc = add_objects(clip, &all, &of);
done:
    trk_numbered_images_free(&images);
    trk_heap_release(all.items);
    trk_heap_release(frames);
    trk_heap_release(folder);
    return rc;
}

trk_status dataset_open_mot(dataset *self, const char *split)
{
    static const char *const usual[] = {"train", NULL}; /* the truth of the others is not public */
    dataset_names names = {0};
    trk_status rc = TRK_OK;
    char *folder = NULL;
    TRK_CHECK(dataset_split_folder(&folder, self->path, split, NULL, usual));
    TRK_CHECK(dataset_names_of_folders(&names, folder));
    for (size_t i = 0; i < names.n; i++) {
        char file[600];
        snprintf(file, sizeof file, "%.500s/seqinfo.ini", names.items[i]);
        if (!dataset_has_file(folder, file)) /* others beside the clips: lists of them, results */
            continue;
        if (dataset_wants(self, names.items[i]))
            TRK_CHECK(add_clip(self, folder, names.items[i]));
    }
    if (!self->n_clips && !self->n_left_out)
        rc = TRK_FAIL(TRK_E_FORMAT, "%s: no CLIP/seqinfo.ini, expected at least one", folder);
done:
    dataset_names_free(&names);
    trk_heap_release(folder);
    return rc;
}
