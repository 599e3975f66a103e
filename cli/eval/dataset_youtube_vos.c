/* SPDX-License-Identifier: Apache-2.0
 * YouTube-VOS, MOSE and LVOS: JPEGImages/CLIP/NNNNN.jpg, Annotations/CLIP/NNNNN.png with the objects as indices, below
 * the dataset's folder or below SPLIT. Names may have gaps; a frame is the position among the images. meta.json (LVOS:
 * SPLIT_meta.json, also in a folder of another name: its "valid" is often "val") tells the objects and, for each, the
 * frames that show it (YouTube-VOS: "frames", of which the first one is the prompt) or the range of frames that counts
 * (LVOS: "frame_range"). Where neither is told (MOSE) an object starts on the first mask that has its index: all masks
 * are read for it.
 * Splits whose truth is not public (YouTube-VOS valid, LVOS test) have masks of the frames on which an object starts
 * alone, and in them only the new objects: prompts, but no truth of the others. */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "dataset_internal.h"
#include "heap.h"
#include "log.h"
#include "number.h"

typedef struct source {
    char *folder, *images, *masks, *meta; /* owned; meta NULL: there is none */
    json_t *root;                         /* of meta */
    size_t n_unscored;                    /* clips whose masks are prompts alone */
    const char *last_unscored;            /* borrowed from its clip */
} source;

static void source_free(source *from)
{
    trk_heap_release(from->folder);
    trk_heap_release(from->images);
    trk_heap_release(from->masks);
    trk_heap_release(from->meta);
    json_decref(from->root);
}

/* --- meta.json -------------------------------------------------------------------------------------------------- */

static trk_status find_meta(source *from)
{
    char own[600], whole[PATH_MAX]; /* own: of the folder's last part; the folder may be "." */
    const char *folder = realpath(from->folder, whole) ? whole : from->folder, *slash = strrchr(folder, '/');
    snprintf(own, sizeof own, "%.500s_meta.json", slash ? slash + 1 : folder);
    const char *const names[] = {"meta.json", own, "valid_meta.json", "val_meta.json"};
    const size_t n = sizeof names / sizeof names[0];
    size_t i = 0;
    while (i < n && !dataset_has_file(from->folder, names[i]))
        i++;
    if (i == n) {
        trk_log(TRK_LOG_INFO, "%s: no meta.json and no %s: objects are those of the masks, as MOSE has them",
                from->folder, own);
        return TRK_OK;
    }
    from->meta = dataset_path(from->folder, names[i]);
    return from->meta ? TRK_OK : dataset_no_memory(from->folder);
}

static trk_status read_meta(source *from)
{
    trk_status rc = dataset_json_read(&from->root, from->meta);
    if (rc)
        return rc;
    if (!json_is_object(json_object_get(from->root, "videos")))
        return TRK_FAIL(TRK_E_FORMAT, "%s: no \"videos\", expected {\"videos\": {CLIP: {\"objects\": ...}}}",
                        from->meta);
    return TRK_OK;
}

/* A frame's name as a number, "00005" or 5; -1: it is none. */
static int64_t number_of(const json_t *value)
{
    int64_t number;
    if (json_is_integer(value)) {
        const json_int_t n = json_integer_value(value);
        return n >= 0 && n <= INT64_MAX / 4 ? (int64_t)n : -1;
    }
    return json_is_string(value) && number_whole(json_string_value(value), 0, INT64_MAX / 4, &number) ? number : -1;
}

/* The last frame of an object's range, the one that is left out with the first: that of its last mask. The range's end
 * is said with the number of that mask or with one behind it; "frame_nums" counts the masks, every RANGE_STEP-th image
 * having one (lvos-evaluation, evaluation_mp.py). Found at or before `first`: the range is empty. */
static int64_t last_of_range(const dataset_clip *clip, const trk_numbered_images *images, int64_t first,
                             const json_t *range)
{
    enum { RANGE_STEP = 5 };
    const int64_t n_masks = number_of(json_object_get(range, "frame_nums"));
    int64_t until = number_of(json_object_get(range, "end"));
    if (n_masks > 0 && (until - images->items[first].number) / RANGE_STEP >= n_masks)
        until = images->items[first].number + RANGE_STEP * (n_masks - 1);
    size_t i = clip->n_annotated;
    while (i > 0 && images->items[clip->annotated[i - 1]].number > until)
        i--;
    return i > 0 ? clip->annotated[i - 1] : -1;
}

static trk_status add_object(int *told, dataset_clip *clip, const source *from, const char *key, const json_t *value,
                             const trk_numbered_images *images)
{
    const json_t *shown = json_object_get(value, "frames"), *range = json_object_get(value, "frame_range");
    const json_t *first = range ? json_object_get(range, "start") : json_array_get(shown, 0);
    dataset_object *object;
    int64_t id;
    if (!number_whole(key, 1, PALETTE_MOST_OBJECT, &id))
        return TRK_FAIL(TRK_E_FORMAT, "%s: clip %s: object \"%.40s\", expected a number from 1 to %d", from->meta,
                        clip->name, key, PALETTE_MOST_OBJECT);
    *told &= shown || range;
    if (!shown && !range)
        return TRK_OK;
    trk_status rc = dataset_object_add(&object, clip, (int)id);
    if (rc)
        return rc;
    object->first_frame = trk_numbered_images_find(images, number_of(first));
    object->last_frame =
        range && object->first_frame >= 0 ? last_of_range(clip, images, object->first_frame, range) : -1;
    clip->skips_ends |= range != NULL;
    if (object->first_frame < 0 || (range && object->last_frame < object->first_frame))
        return TRK_FAIL(
            TRK_E_FORMAT,
            "%s: clip %s: object %s: expected \"frames\" [FRAME, ...] or \"frame_range\" {\"start\": FRAME, "
            "\"end\": FRAME} with the numbers of images of %s",
            from->meta, clip->name, key, clip->frames);
    return TRK_OK;
}

/* *told: 1 if meta.json says where the clip's objects start. */
static trk_status add_objects(int *told, dataset_clip *clip, const source *from, const trk_numbered_images *images)
{
    json_t *video = json_object_get(json_object_get(from->root, "videos"), clip->name), *value;
    json_t *objects = json_object_get(video, "objects");
    const char *key;
    trk_status rc = TRK_OK;
    *told = from->root && !json_is_array(objects); /* MOSE: a list of ids */
    if (!*told)
        return TRK_OK;
    if (!json_is_object(objects))
        return TRK_FAIL(TRK_E_FORMAT, "%s: clip %s of %s is not there, expected it with its \"objects\"", from->meta,
                        clip->name, from->masks);
    json_object_foreach(objects, key, value)
    {
        rc = add_object(told, clip, from, key, value, images);
        if (rc)
            break;
    }
    return rc;
}

/* --- clips ------------------------------------------------------------------------------------------------------ */

/* 1: on every frame with a mask an object starts, as where no more than prompts is public. */
static int has_prompts_alone(const dataset_clip *clip)
{
    for (size_t i = 0; i < clip->n_annotated; i++) {
        size_t k = 0;
        while (k < clip->n_objects && clip->objects[k].first_frame != clip->annotated[i])
            k++;
        if (k == clip->n_objects)
            return 0;
    }
    return 1;
}

/* No frame lies between the ends of any object. */
static void count_nothing(dataset_clip *clip)
{
    clip->skips_ends = 1;
    for (size_t i = 0; i < clip->n_objects; i++)
        clip->objects[i].last_frame = clip->objects[i].first_frame;
}

static trk_status add_clip(dataset *self, source *from, const char *name)
{
    dataset_clip *clip;
    trk_numbered_images images = {0};
    int told;
    trk_status rc = TRK_OK;
    char *frames = dataset_path(from->images, name), *masks = dataset_path(from->masks, name);
    if (!frames || !masks)
        TRK_CHECK(dataset_no_memory(self->path));
    TRK_CHECK(dataset_clip_add(&clip, self, name));
    TRK_CHECK(dataset_clip_images(clip, &images, frames));
    TRK_CHECK(dataset_clip_indexed(clip, masks, &images));
    TRK_CHECK(add_objects(&told, clip, from, &images));
    if (!told) {
        clip->skips_ends = 1;
        TRK_CHECK(dataset_clip_scan(clip, clip->n_annotated));
    }
    if (has_prompts_alone(clip)) {
        count_nothing(clip);
        from->last_unscored = clip->name;
        from->n_unscored++;
    }
done:
    trk_numbered_images_free(&images);
    trk_heap_release(frames);
    trk_heap_release(masks);
    return rc;
}

trk_status dataset_open_youtube_vos(dataset *self, const char *split)
{
    static const char *const usual[] = {"valid", "val", NULL};
    source from = {0};
    dataset_names names = {0};
    trk_status rc = TRK_OK;
    TRK_CHECK(dataset_split_folder(&from.folder, self->path, split, "JPEGImages", usual));
    from.images = dataset_path(from.folder, "JPEGImages");
    from.masks = dataset_path(from.folder, "Annotations");
    if (!from.images || !from.masks)
        TRK_CHECK(dataset_no_memory(self->path));
    if (!dataset_has_folder(from.images, NULL))
        TRK_CHECK(
            TRK_FAIL(TRK_E_IO, "%s: no such folder; expected the images there, or a split to be named", from.images));
    TRK_CHECK(find_meta(&from));
    if (from.meta)
        TRK_CHECK(read_meta(&from));
    TRK_CHECK(dataset_names_of_folders(&names, from.masks));
    for (size_t i = 0; i < names.n; i++)
        if (dataset_wants(self, names.items[i]))
            TRK_CHECK(add_clip(self, &from, names.items[i]));
    if (from.n_unscored && from.n_unscored < self->n_clips) /* else it is a split of prompts */
        trk_log(TRK_LOG_WARNING, "%s: %zu of %zu clips (the last: %s) have masks where objects start alone; not scored",
                from.masks, from.n_unscored, self->n_clips, from.last_unscored);
done:
    dataset_names_free(&names);
    source_free(&from);
    return rc;
}
