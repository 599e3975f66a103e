/* SPDX-License-Identifier: Apache-2.0 */
#include "box_files.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "dataset_places.h"
#include "heap.h"
#include "output_file.h"
#include "target.h"

static trk_status no_memory(const char *name)
{
    return TRK_FAIL(TRK_E_MEMORY, "%s: out of memory for its boxes", name);
}

/* --- names ------------------------------------------------------------------------------------------------------ */

static const char *const names[] = {
    [BOX_LAYOUT_LASOT] = "lasot", [BOX_LAYOUT_GOT10K] = "got10k", [BOX_LAYOUT_TRACKINGNET] = "trackingnet"};
enum { N_LAYOUTS = sizeof names / sizeof *names };

trk_status box_layout_parse(box_layout *out, const char *name, dataset_layout of)
{
    const char *wanted = name ? name : dataset_layout_name(of);
    for (int i = 0; i < N_LAYOUTS; i++)
        if (!strcmp(wanted, names[i])) {
            *out = (box_layout)i;
            return TRK_OK;
        }
    if (name)
        return TRK_FAIL(TRK_E_ARGUMENT, "--box-layout: expected lasot, got10k or trackingnet, got \"%s\"", name);
    *out = BOX_LAYOUT_LASOT;
    return TRK_OK;
}

/* NAME, owned by the caller. */
static char *name_of(const dataset_clip *clip, size_t object)
{
    return clip->n_objects > 1 ? trk_heap_format("path", "%s_%d", clip->name, clip->objects[object].id)
                               : trk_heap_text("path", clip->name);
}

/* what: behind the name within the folder of an object. */
static char *path_within(const char *folder, const char *name, const char *what)
{
    const char *slash = strrchr(name, '/');
    return trk_heap_format("path", "%s/%s/%s%s.txt", folder, name, slash ? slash + 1 : name, what);
}

char *box_files_path(const char *folder, box_layout layout, const dataset_clip *clip, size_t object)
{
    char *name = name_of(clip, object), *path = NULL;
    if (name)
        path = layout == BOX_LAYOUT_GOT10K ? path_within(folder, name, "_001")
                                           : trk_heap_format("path", "%s/%s.txt", folder, name);
    trk_heap_release(name);
    return path;
}

/* The file of times beside it; NULL also where the layout has none. */
static char *times_path(const char *folder, const dataset_clip *clip, size_t object)
{
    char *name = name_of(clip, object);
    char *path = name ? path_within(folder, name, "_time") : NULL;
    trk_heap_release(name);
    return path;
}

/* --- frames ----------------------------------------------------------------------------------------------------- */

/* Room for another frame. */
static trk_status grow(box_files *self)
{
    const size_t n_objects = self->clip->n_objects + !self->clip->n_objects, n = self->n_frames + 1;
    trk_box *boxes = trk_heap_grown(self->boxes, &self->boxes_capacity, n, n_objects * sizeof *boxes, TRK_MEM_SCRATCH,
                                    "boxes");
    if (boxes)
        self->boxes = boxes;
    double *seconds =
        trk_heap_grown(self->seconds, &self->seconds_capacity, n, sizeof *seconds, TRK_MEM_SCRATCH, "boxes");
    if (seconds)
        self->seconds = seconds;
    return boxes && seconds ? TRK_OK : no_memory(self->clip->name);
}

trk_status box_files_add(box_files *self, const trk_box *boxes, double seconds)
{
    const size_t n_objects = self->clip->n_objects;
    trk_status rc = grow(self);
    if (rc)
        return rc;
    memcpy(self->boxes + self->n_frames * n_objects, boxes, n_objects * sizeof *boxes);
    self->seconds[self->n_frames++] = seconds;
    return TRK_OK;
}

void box_files_free(box_files *self)
{
    trk_heap_release(self->boxes);
    trk_heap_release(self->seconds);
    *self = (box_files){0};
}

/* --- writing ---------------------------------------------------------------------------------------------------- */

static trk_status create_folder_of(const char *path)
{
    int created;
    char *folder = trk_heap_text("path", path);
    if (!folder)
        return no_memory(path);
    *strrchr(folder, '/') = 0; /* there is one: path is below --boxes */
    trk_status rc = *folder ? output_folder_create(folder, &created) : TRK_OK;
    trk_heap_release(folder);
    return rc;
}

/* object SIZE_MAX: the times. path: taken over. */
static trk_status write_lines(const box_files *self, char *path, size_t object)
{
    output_file file = {0};
    trk_status rc = TRK_OK;
    if (!path)
        return no_memory(self->clip->name);
    TRK_CHECK(create_folder_of(path));
    TRK_CHECK(output_file_open(&file, path));
    for (size_t i = 0; i < self->n_frames; i++)
        if (object == SIZE_MAX)
            fprintf(file.stream, "%.8f\n", self->seconds[i]);
        else {
            const trk_box *box = &self->boxes[i * self->clip->n_objects + object];
            fprintf(file.stream, "%ld,%ld,%ld,%ld\n", lroundf(box->x), lroundf(box->y), lroundf(box->width),
                    lroundf(box->height));
        }
    rc = output_file_finish(&file);
done:
    output_file_discard(&file);
    trk_heap_release(path);
    return rc ? trk_fail_prefix(rc, "--boxes") : TRK_OK;
}

trk_status box_files_write(const box_files *self, const char *folder, box_layout layout)
{
    trk_status rc = TRK_OK;
    for (size_t i = 0; i < self->clip->n_objects && !rc; i++) {
        rc = write_lines(self, box_files_path(folder, layout, self->clip, i), i);
        if (!rc && layout == BOX_LAYOUT_GOT10K)
            rc = write_lines(self, times_path(folder, self->clip, i), SIZE_MAX);
    }
    return rc;
}

/* --- what is there already -------------------------------------------------------------------------------------- */

int box_files_are_there(const char *folder, box_layout layout, const dataset_clip *clip)
{
    int there = 1;
    for (size_t i = 0; i < clip->n_objects && there; i++) {
        char *path = box_files_path(folder, layout, clip, i);
        char *times = layout == BOX_LAYOUT_GOT10K ? times_path(folder, clip, i) : NULL;
        there = trk_is_file(path) && (layout != BOX_LAYOUT_GOT10K || trk_is_file(times));
        trk_heap_release(path);
        trk_heap_release(times);
    }
    return there;
}

static int by_name(const void *key, const void *item)
{
    return strcmp(key, (*(const dataset_clip *const *)item)->name);
}

static trk_status refuse_one(char *path, const dataset_clip *clip, size_t object, const dataset_clip *const *clips,
                             size_t n_clips, const dataset_places *places)
{
    char *name = name_of(clip, object);
    trk_status rc = TRK_OK;
    if (!path || !name)
        TRK_CHECK(no_memory(clip->name));
    if (dataset_places_have(places, path))
        TRK_CHECK(TRK_FAIL(TRK_E_ARGUMENT, "--boxes: %s belongs to the dataset, and would be overwritten", path));
    const dataset_clip *const *other =
        clip->n_objects > 1 ? bsearch(name, clips, n_clips, sizeof *clips, by_name) : NULL;
    if (other && (*other)->n_objects == 1)
        rc = TRK_FAIL(TRK_E_ARGUMENT, "--boxes: %s would be of clip %s and of object %d of clip %s", path,
                      (*other)->name, clip->objects[object].id, clip->name);
done:
    trk_heap_release(name);
    return rc;
}

trk_status box_files_refuse(const char *folder, box_layout layout, const dataset_clip *const *clips, size_t n_clips)
{
    dataset_places places;
    trk_status rc = dataset_places_collect(&places, clips, n_clips);
    for (size_t i = 0; i < n_clips && !rc; i++)
        for (size_t k = 0; k < clips[i]->n_objects && !rc; k++) {
            char *path = box_files_path(folder, layout, clips[i], k);
            rc = refuse_one(path, clips[i], k, clips, n_clips, &places);
            trk_heap_release(path);
        }
    dataset_places_free(&places);
    return rc;
}
