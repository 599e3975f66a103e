/* SPDX-License-Identifier: Apache-2.0
 * SA-V val and test: JPEGImages_24fps/CLIP/00000.jpg, Annotations_6fps/CLIP/OBJECT/00000.png (OBJECT "000", "001", ...,
 * masks of 0 and not 0 that may overlap, every fourth frame), sav_SPLIT.txt with the clips' names. An object is
 * prompted with its first PNG. */
#include <stdio.h>
#include <string.h>

#include "dataset_internal.h"
#include "heap.h"

/* The PNGs of an object: its frames, and their names into `all`. */
static trk_status read_object(dataset_clip *clip, trk_numbered_images *all, const char *name,
                              const trk_numbered_images *images)
{
    dataset_object *object;
    trk_numbered_images masks = {0};
    trk_status rc = TRK_OK;
    char *folder = dataset_path(clip->truth, name);
    if (!folder)
        TRK_CHECK(dataset_no_memory(clip->truth));
    TRK_CHECK(dataset_object_add(&object, clip, (int)clip->n_objects + 1));
    object->name = trk_heap_text("dataset", name);
    if (!object->name)
        TRK_CHECK(dataset_no_memory(folder));
    TRK_CHECK(dataset_images_read(&masks, folder, 1));
    for (size_t i = 0; i < masks.n; i++) {
        const int64_t frame = trk_numbered_images_find(images, masks.items[i].number);
        if (frame < 0)
            TRK_CHECK(TRK_FAIL(TRK_E_FORMAT, "%s/%s: expected an image of the same number in %s", folder,
                               masks.items[i].name, clip->frames));
        TRK_CHECK(trk_numbered_images_add(all, frame, masks.items[i].name));
        object->first_frame = i ? object->first_frame : frame;
        object->last_frame = frame;
    }
done:
    trk_numbered_images_free(&masks);
    trk_heap_release(folder);
    return rc;
}

/* The frames of any object, each once. */
static trk_status merge(dataset_clip *clip, trk_numbered_images *all)
{
    trk_numbered_images_sort(all);
    for (size_t i = 0; i < all->n; i++) {
        trk_numbered_image *frame = &all->items[i];
        if (i && frame->number == frame[-1].number) {
            if (strcmp(frame->name, clip->files[clip->n_annotated - 1]))
                return TRK_FAIL(TRK_E_FORMAT, "%s: %s and %s, expected the same name for the same frame", clip->truth,
                                clip->files[clip->n_annotated - 1], frame->name);
            continue;
        }
        char *name = trk_heap_text("dataset", frame->name);
        trk_status rc = name ? dataset_annotated_add(clip, frame->number, name) : dataset_no_memory(clip->truth);
        if (rc)
            return rc;
    }
    return TRK_OK;
}

static trk_status add_clip(dataset *self, const char *name)
{
    dataset_clip *clip;
    dataset_names objects = {0};
    trk_numbered_images images = {0}, all = {0};
    trk_status rc = TRK_OK;
    char *frames = trk_heap_format("dataset", "%s/JPEGImages_24fps/%s", self->path, name);
    if (!frames)
        TRK_CHECK(dataset_no_memory(self->path));
    TRK_CHECK(dataset_clip_add(&clip, self, name));
    clip->kind = TRUTH_BINARY;
    clip->skips_ends = 1;
    clip->skips_unseen = 1;
    clip->truth = trk_heap_format("dataset", "%s/Annotations_6fps/%s", self->path, name);
    if (!clip->truth)
        TRK_CHECK(dataset_no_memory(self->path));
    TRK_CHECK(dataset_clip_images(clip, &images, frames));
    TRK_CHECK(dataset_names_of_folders(&objects, clip->truth));
    if (!objects.n || objects.n > PALETTE_MOST_OBJECT)
        TRK_CHECK(TRK_FAIL(TRK_E_FORMAT, "%s: %zu folders, expected 1 to %d, one for each object", clip->truth,
                           objects.n, PALETTE_MOST_OBJECT));
    for (size_t i = 0; i < objects.n; i++)
        TRK_CHECK(read_object(clip, &all, objects.items[i], &images));
    rc = merge(clip, &all);
done:
    dataset_names_free(&objects);
    trk_numbered_images_free(&images);
    trk_numbered_images_free(&all);
    trk_heap_release(frames);
    return rc;
}

/* *out: path of the list of names, NULL: there is none. */
static trk_status find_list(char **out, const dataset *self, const char *split)
{
    static const char *const usual[] = {"sav_val", "sav_test"};
    char name[600];
    *out = NULL;
    if (split && !dataset_name_is_safe(split))
        return TRK_FAIL(TRK_E_ARGUMENT, "split \"%s\": expected the name of a list in %s", split, self->path);
    for (int i = 0; i < 2; i++) {
        snprintf(name, sizeof name, "%s%s.txt", split && !i ? "sav_" : "", split ? split : usual[i]);
        if (!dataset_has_file(self->path, name))
            continue;
        *out = dataset_path(self->path, name);
        return *out ? TRK_OK : dataset_no_memory(self->path);
    }
    return split ? TRK_FAIL(TRK_E_IO, "%s: neither sav_%s.txt nor %s.txt, expected the list of the split's clips",
                            self->path, split, split)
                 : TRK_OK;
}

trk_status dataset_open_sav(dataset *self, const char *split)
{
    dataset_names names = {0};
    trk_status rc = TRK_OK;
    char *list = NULL, *masks = dataset_path(self->path, "Annotations_6fps");
    if (!masks)
        TRK_CHECK(dataset_no_memory(self->path));
    TRK_CHECK(find_list(&list, self, split));
    TRK_CHECK(list ? dataset_names_of_list(&names, list) : dataset_names_of_folders(&names, masks));
    for (size_t i = 0; i < names.n; i++)
        if (dataset_wants(self, names.items[i]))
            TRK_CHECK(add_clip(self, names.items[i]));
done:
    dataset_names_free(&names);
    trk_heap_release(list);
    trk_heap_release(masks);
    return rc;
}
