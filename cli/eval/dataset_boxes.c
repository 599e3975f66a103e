/* SPDX-License-Identifier: Apache-2.0
 * One object a clip with a box a frame: LaSOT and GOT-10k. Both have groundtruth.txt, a line x,y,w,h for every image,
 * and prompt with the first box; they differ in where the images lie and in how an absent object is told.
 *   LaSOT     [CLASS/]CLIP/img/00000001.jpg; full_occlusion.txt and out_of_view.txt: 0 or 1 for every image, between
 *             commas; testing_set.txt and training_set.txt name the clips, CLASS-NUMBER.
 *   GOT-10k   SPLIT/CLIP/00000001.jpg; absence.label (0, 1) and cover.label (0..8): a number a line; SPLIT/list.txt. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "dataset_internal.h"
#include "heap.h"

static trk_status bad_line(const char *path, size_t line, const char *text, const char *expected)
{
    return TRK_FAIL(TRK_E_FORMAT, "%s:%zu: \"%.80s\", expected %s", path, line, text, expected);
}

/* A frame with a box without area does not count. */
static trk_status read_boxes(dataset_object *object, int64_t *n_boxes, int64_t n_frames, const char *path)
{
    char *text = NULL;
    trk_status rc = TRK_OK;
    TRK_CHECK(dataset_text_read(&text, path));
    char *rest = text, *line;
    int64_t n = 0;
    for (; (line = dataset_text_line(&rest)); n++) {
        double v[4];
        if (n == n_frames)
            TRK_CHECK(
                TRK_FAIL(TRK_E_FORMAT, "%s: more lines, expected %lld, one for each image", path, (long long)n_frames));
        if (dataset_text_numbers(line, v, 4) != 4)
            TRK_CHECK(bad_line(path, (size_t)n + 1, line, "a box x,y,w,h"));
        object->boxes[n] = (trk_box){(float)v[0], (float)v[1], (float)v[2], (float)v[3]};
        object->visible[n] = object->boxes[n].width > 0 && object->boxes[n].height > 0;
    }
    *n_boxes = n;
    if (!object->visible[0])
        rc = TRK_FAIL(TRK_E_FORMAT, "%s:1: a box without area, expected that of the prompt", path);
done:
    trk_heap_release(text);
    return rc;
}

/* Marks of a frame each, between commas or line ends. absent 1: not 0 = the frame does not count; 0: 0 = it does not.
 */
static trk_status read_marks(dataset_object *object, int64_t n_frames, const char *folder, const char *name, int absent)
{
    char *text = NULL, *path = dataset_path(folder, name);
    trk_status rc = TRK_OK;
    if (!path)
        TRK_CHECK(dataset_no_memory(folder));
    TRK_CHECK(dataset_text_read(&text, path));
    for (char *comma = text; (comma = strchr(comma, ',')); comma++)
        *comma = '\n';
    char *rest = text, *line;
    int64_t n = 0;
    for (; (line = dataset_text_line(&rest)); n++) {
        double mark;
        if (dataset_text_numbers(line, &mark, 1) != 1 || mark < 0 || mark > 8 || mark != floor(mark))
            TRK_CHECK(TRK_FAIL(TRK_E_FORMAT, "%s: mark %lld is \"%.40s\", expected a small whole number", path,
                               (long long)n + 1, line));
        if (n < n_frames && (mark != 0) == absent)
            object->visible[n] = 0;
    }
    if (n != n_frames)
        rc = TRK_FAIL(TRK_E_FORMAT, "%s: %lld marks, expected %lld, one for each image", path, (long long)n,
                      (long long)n_frames);
done:
    trk_heap_release(text);
    trk_heap_release(path);
    return rc;
}

/* folder: the clip's; images: the folder of its images. */
static trk_status add_clip(dataset *self, const char *name, const char *folder, const char *images_folder)
{
    dataset_clip *clip;
    dataset_object *object;
    dataset_frames images = {0};
    int64_t n_boxes = 0;
    trk_status rc = TRK_OK;
    TRK_CHECK(dataset_clip_add(&clip, self, name));
    clip->kind = TRUTH_BOXES;
    clip->truth = dataset_path(folder, "groundtruth.txt");
    if (!clip->truth)
        TRK_CHECK(dataset_no_memory(folder));
    TRK_CHECK(dataset_clip_images(clip, &images, images_folder));
    TRK_CHECK(dataset_boxes_add(&object, clip, 1));
    TRK_CHECK(read_boxes(object, &n_boxes, clip->n_frames, clip->truth));
    object->box = object->boxes[0];
    object->has_box = 1;
    const int prompt_alone = self->layout == DATASET_GOT10K && n_boxes == 1; /* the test split */
    if (n_boxes != clip->n_frames && !prompt_alone)
        TRK_CHECK(TRK_FAIL(TRK_E_FORMAT, "%s: %lld lines, expected %lld, one for each image of %s", clip->truth,
                           (long long)n_boxes, (long long)clip->n_frames, images_folder));
    if (self->layout == DATASET_LASOT) {
        TRK_CHECK(read_marks(object, clip->n_frames, folder, "full_occlusion.txt", 1));
        TRK_CHECK(read_marks(object, clip->n_frames, folder, "out_of_view.txt", 1));
    } else if (!prompt_alone) {
        TRK_CHECK(read_marks(object, clip->n_frames, folder, "absence.label", 1));
        if (dataset_has_file(folder, "cover.label"))
            TRK_CHECK(read_marks(object, clip->n_frames, folder, "cover.label", 0));
    }
done:
    dataset_frames_free(&images);
    return rc;
}

/* --- LaSOT ------------------------------------------------------------------------------------------------------ */

/* parent/name, if it has a ground truth; *added says so. */
static trk_status try_lasot_clip(int *added, dataset *self, const char *parent, const char *name)
{
    trk_status rc = TRK_OK;
    char *folder = dataset_path(parent, name), *images = folder ? dataset_path(folder, "img") : NULL;
    if (!images)
        TRK_CHECK(dataset_no_memory(parent));
    *added = dataset_has_file(folder, "groundtruth.txt");
    if (*added)
        rc = add_clip(self, name, folder, images);
done:
    trk_heap_release(images);
    trk_heap_release(folder);
    return rc;
}

/* A clip of a list: in the folder of its class, or not. */
static trk_status add_listed_lasot_clip(dataset *self, const char *name)
{
    const char *dash = strrchr(name, '-');
    int added = 0;
    char *parent = trk_heap_format("dataset", "%s/%.*s", self->path, dash ? (int)(dash - name) : 0, name);
    if (!parent)
        return dataset_no_memory(self->path);
    trk_status rc = dash ? try_lasot_clip(&added, self, parent, name) : TRK_OK;
    if (!rc && !added)
        rc = try_lasot_clip(&added, self, self->path, name);
    if (!rc && !added)
        rc = TRK_FAIL(TRK_E_IO, "%s/%s/groundtruth.txt: not there, nor %s/%s/groundtruth.txt, expected one of them",
                      parent, name, self->path, name);
    trk_heap_release(parent);
    return rc;
}

/* All clips below path. */
static trk_status add_lasot_clips(dataset *self, const char *path, int depth)
{
    dataset_names names = {0};
    trk_status rc = TRK_OK;
    TRK_CHECK(dataset_names_of_folders(&names, path));
    for (size_t i = 0; i < names.n; i++) {
        int added;
        TRK_CHECK(try_lasot_clip(&added, self, path, names.items[i]));
        char *folder = added || !depth ? NULL : dataset_path(path, names.items[i]);
        if (!added && depth) {
            rc = folder ? add_lasot_clips(self, folder, depth - 1) : dataset_no_memory(path);
            trk_heap_release(folder);
            if (rc)
                goto done;
        }
    }
done:
    dataset_names_free(&names);
    return rc;
}

trk_status dataset_open_lasot(dataset *self, const char *split)
{
    dataset_names names = {0};
    trk_status rc = TRK_OK;
    char *list = NULL;
    const int training = split && !strcmp(split, "train");
    const char *file = training ? "training_set.txt" : "testing_set.txt";
    if (split && !training && strcmp(split, "test"))
        return TRK_FAIL(TRK_E_ARGUMENT, "split \"%s\": expected test or train", split);
    if (!split && !dataset_has_file(self->path, file))
        return add_lasot_clips(self, self->path, 1);
    list = dataset_path(self->path, file);
    if (!list)
        TRK_CHECK(dataset_no_memory(self->path));
    TRK_CHECK(dataset_names_of_list(&names, list));
    for (size_t i = 0; i < names.n; i++)
        TRK_CHECK(add_listed_lasot_clip(self, names.items[i]));
done:
    dataset_names_free(&names);
    trk_heap_release(list);
    return rc;
}

/* --- GOT-10k ---------------------------------------------------------------------------------------------------- */

trk_status dataset_open_got10k(dataset *self, const char *split)
{
    static const char *const usual[] = {"val", NULL};
    dataset_names names = {0};
    trk_status rc = TRK_OK;
    char *folder = NULL, *list = NULL, *clip = NULL;
    TRK_CHECK(dataset_split_folder(&folder, self->path, split, "list.txt", usual));
    list = dataset_path(folder, "list.txt");
    if (!list)
        TRK_CHECK(dataset_no_memory(self->path));
    TRK_CHECK(dataset_has_file(list, NULL) ? dataset_names_of_list(&names, list)
                                           : dataset_names_of_folders(&names, folder));
    for (size_t i = 0; i < names.n; i++) {
        trk_heap_release(clip);
        clip = dataset_path(folder, names.items[i]);
        if (!clip)
            TRK_CHECK(dataset_no_memory(folder));
        TRK_CHECK(add_clip(self, names.items[i], clip, clip));
    }
done:
    dataset_names_free(&names);
    trk_heap_release(clip);
    trk_heap_release(list);
    trk_heap_release(folder);
    return rc;
}
