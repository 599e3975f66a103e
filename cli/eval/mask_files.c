/* SPDX-License-Identifier: Apache-2.0 */
#include "mask_files.h"

#include "frame_names.h"
#include "heap.h"
#include "target.h"

char *mask_files_folder(const char *folder, const dataset_clip *clip)
{
    return trk_heap_format("path", "%s/%s", folder, clip->name);
}

char *mask_files_object_folder(const char *folder, const dataset_object *object)
{
    return object->name ? trk_heap_format("path", "%s/%s", folder, object->name)
                        : trk_heap_format("path", "%s/%d", folder, object->id);
}

/* In one folder. */
static int are_in(const char *folder, const frame_names *names, int64_t n_frames)
{
    int there = folder != NULL;
    for (int64_t t = 0; t < n_frames && there; t++) {
        char name[256];
        frame_name(name, sizeof name, names, t);
        char *path = trk_heap_format("path", "%s/%s.png", folder, name);
        there = trk_is_file(path);
        trk_heap_release(path);
    }
    return there;
}

int mask_files_are_there(const char *folder, const dataset_clip *clip, int64_t n_frames)
{
    const int by_object = clip->kind == TRUTH_BINARY;
    frame_names names = {0};
    char *of_clip = mask_files_folder(folder, clip);
    int there = of_clip && !frame_names_open(&names, clip);
    if (there && !by_object)
        there = are_in(of_clip, &names, n_frames);
    for (size_t i = 0; i < clip->n_objects && by_object && there; i++) {
        char *of_object = mask_files_object_folder(of_clip, &clip->objects[i]);
        there = are_in(of_object, &names, n_frames);
        trk_heap_release(of_object);
    }
    frame_names_free(&names);
    trk_heap_release(of_clip);
    return there;
}
