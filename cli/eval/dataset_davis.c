/* SPDX-License-Identifier: Apache-2.0
 * DAVIS 2017, semi-supervised: JPEGImages/480p/CLIP/00000.jpg, Annotations/480p/CLIP/00000.png with the objects as
 * indices, ImageSets/2017/SPLIT.txt with the clips' names. Prompts are the masks of the first frame; an index below its
 * highest one that it does not show is an object too, for the scores alone. */
#include "dataset_internal.h"
#include "heap.h"

/* The objects of the first frame, ascending, and those between them. */
static trk_status add_objects(dataset_clip *clip)
{
    trk_status rc = dataset_clip_scan(clip, 1);
    const size_t n_shown = clip->n_objects;
    int id = 1;
    for (size_t i = 0; i < n_shown && !rc; i++, id++)
        for (; id < clip->objects[i].id && !rc; id++) {
            dataset_object *object;
            rc = dataset_object_add(&object, clip, id);
            if (!rc)
                object->unprompted = 1;
        }
    return rc;
}

static trk_status add_clip(dataset *self, const char *images_folder, const char *masks_folder, const char *name)
{
    dataset_clip *clip;
    trk_numbered_images images = {0};
    trk_status rc = TRK_OK;
    char *frames = dataset_path(images_folder, name), *masks = dataset_path(masks_folder, name);
    if (!frames || !masks)
        TRK_CHECK(dataset_no_memory(self->path));
    TRK_CHECK(dataset_clip_add(&clip, self, name));
    clip->skips_ends = 1;
    TRK_CHECK(dataset_clip_images(clip, &images, frames));
    TRK_CHECK(dataset_clip_indexed(clip, masks, &images));
    if (clip->annotated[0])
        TRK_CHECK(
            TRK_FAIL(TRK_E_FORMAT, "%s: no mask of %s, expected one of the first frame", masks, images.items[0].name));
    if (clip->n_annotated != 1 && clip->n_annotated != images.n) /* test-dev has the prompts alone */
        TRK_CHECK(TRK_FAIL(TRK_E_FORMAT,
                           "%s: %zu masks, expected one for each of %zu images of %s, or of the first alone", masks,
                           clip->n_annotated, images.n, frames));
    rc = add_objects(clip);
done:
    trk_numbered_images_free(&images);
    trk_heap_release(frames);
    trk_heap_release(masks);
    return rc;
}

trk_status dataset_open_davis(dataset *self, const char *split)
{
    const char *size = dataset_has_folder(self->path, "JPEGImages/480p") ? "480p" : "Full-Resolution";
    dataset_names names = {0};
    trk_status rc = TRK_OK;
    char *list = NULL, *images = NULL, *masks = NULL;
    if (split && !dataset_name_is_safe(split))
        return TRK_FAIL(TRK_E_ARGUMENT, "split \"%s\": expected the name of a list in %s/ImageSets/2017", split,
                        self->path);
    list = trk_heap_format("dataset", "%s/ImageSets/2017/%s.txt", self->path, split ? split : "val");
    images = trk_heap_format("dataset", "%s/JPEGImages/%s", self->path, size);
    masks = trk_heap_format("dataset", "%s/Annotations/%s", self->path, size);
    if (!list || !images || !masks)
        TRK_CHECK(dataset_no_memory(self->path));
    TRK_CHECK(dataset_names_of_list(&names, list));
    for (size_t i = 0; i < names.n; i++)
        if (dataset_wants(self, names.items[i]))
            TRK_CHECK(add_clip(self, images, masks, names.items[i]));
done:
    dataset_names_free(&names);
    trk_heap_release(list);
    trk_heap_release(images);
    trk_heap_release(masks);
    return rc;
}
