/* SPDX-License-Identifier: Apache-2.0
 * One object a clip with a box a frame: LaSOT, GOT-10k and TrackingNet. All have a text with a line x,y,w,h for every
 * image, and prompt with the first box; they differ in where these lie and in how an absent object is told.
 *   LaSOT        [CLASS/]CLIP/img/00000001.jpg, groundtruth.txt; full_occlusion.txt and out_of_view.txt: 0 or 1 for
 *                every image, between commas; testing_set.txt and training_set.txt name the clips, CLASS-NUMBER.
 *   GOT-10k      SPLIT/CLIP/00000001.jpg, groundtruth.txt; absence.label (0, 1) and cover.label (0..8): a number
 *                a line; SPLIT/list.txt.
 *   TrackingNet  SPLIT/frames/CLIP/0.jpg, SPLIT/anno/CLIP.txt; SPLIT: TEST, TRAIN_0 ... TRAIN_11. Nothing tells of an
 *                absent object.
 * Of the test splits of the last two only the first line is public. */
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

/* A clip with its prompt and boxes. truth: the file of boxes, taken over. *prompt_alone: it has the prompt's only, and
 * may: then no frame but the first is visible. *out: valid until the next clip. */
static trk_status add_clip(dataset_clip **out, int *prompt_alone, dataset *self, const char *name,
                           const char *images_folder, char *truth)
{
    dataset_clip *clip;
    dataset_object *object;
    trk_numbered_images images = {0};
    int64_t n_boxes = 0;
    trk_status rc = truth ? dataset_clip_add(&clip, self, name) : dataset_no_memory(images_folder);
    if (rc) {
        trk_heap_release(truth);
        return rc;
    }
    clip->kind = TRUTH_BOXES;
    clip->truth = truth;
    TRK_CHECK(dataset_clip_images(clip, &images, images_folder));
    TRK_CHECK(dataset_boxes_add(&object, clip, 1));
    TRK_CHECK(read_boxes(object, &n_boxes, clip->n_frames, clip->truth));
    object->box = object->boxes[0];
    object->has_box = 1;
    *prompt_alone = self->layout != DATASET_LASOT && n_boxes == 1; /* the test split */
    if (n_boxes != clip->n_frames && !*prompt_alone)
        TRK_CHECK(TRK_FAIL(TRK_E_FORMAT, "%s: %lld lines, expected %lld, one for each image of %s", clip->truth,
                           (long long)n_boxes, (long long)clip->n_frames, images_folder));
    *out = clip;
done:
    trk_numbered_images_free(&images);
    return rc;
}

/* --- LaSOT ------------------------------------------------------------------------------------------------------ */

static trk_status add_lasot_clip(dataset *self, const char *name, const char *folder, const char *images)
{
    dataset_clip *clip;
    int prompt_alone;
    trk_status rc = add_clip(&clip, &prompt_alone, self, name, images, dataset_path(folder, "groundtruth.txt"));
    if (!rc)
        rc = read_marks(&clip->objects[0], clip->n_frames, folder, "full_occlusion.txt", 1);
    return rc ? rc : read_marks(&clip->objects[0], clip->n_frames, folder, "out_of_view.txt", 1);
}

/* parent/name, if it has a ground truth; *added says so, also of one that is not asked for. */
static trk_status try_lasot_clip(int *added, dataset *self, const char *parent, const char *name)
{
    trk_status rc = TRK_OK;
    char *folder = dataset_path(parent, name), *images = folder ? dataset_path(folder, "img") : NULL;
    if (!images)
        TRK_CHECK(dataset_no_memory(parent));
    *added = dataset_has_file(folder, "groundtruth.txt");
    if (*added && dataset_wants(self, name))
        rc = add_lasot_clip(self, name, folder, images);
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
        if (dataset_wants(self, names.items[i]))
            TRK_CHECK(add_listed_lasot_clip(self, names.items[i]));
done:
    dataset_names_free(&names);
    trk_heap_release(list);
    return rc;
}

/* --- a folder of clips ------------------------------------------------------------------------------------------ */

/* folder: the split's, in which the clip is. */
typedef trk_status clip_adder(dataset *self, const char *folder, const char *name);

/* The clips named by a list, or by the folders of `below` (owned by the caller; NULL: out of memory) where there is no
 * such list. */
static trk_status add_clips(dataset *self, const char *folder, const char *list, char *below, clip_adder *add)
{
    dataset_names names = {0};
    trk_status rc = TRK_OK;
    char *path = list ? dataset_path(folder, list) : NULL;
    if (!below || (list && !path))
        TRK_CHECK(dataset_no_memory(folder));
    TRK_CHECK(path && dataset_has_file(path, NULL) ? dataset_names_of_list(&names, path)
                                                   : dataset_names_of_folders(&names, below));
    for (size_t i = 0; i < names.n; i++)
        if (dataset_wants(self, names.items[i]))
            TRK_CHECK(add(self, folder, names.items[i]));
done:
    dataset_names_free(&names);
    trk_heap_release(path);
    return rc;
}

/* --- GOT-10k ---------------------------------------------------------------------------------------------------- */

static trk_status add_got10k_clip(dataset *self, const char *parent, const char *name)
{
    dataset_clip *clip;
    int prompt_alone;
    trk_status rc = TRK_OK;
    char *folder = dataset_path(parent, name);
    if (!folder)
        return dataset_no_memory(parent);
    TRK_CHECK(add_clip(&clip, &prompt_alone, self, name, folder, dataset_path(folder, "groundtruth.txt")));
    if (!prompt_alone) {
        TRK_CHECK(read_marks(&clip->objects[0], clip->n_frames, folder, "absence.label", 1));
        if (dataset_has_file(folder, "cover.label"))
            TRK_CHECK(read_marks(&clip->objects[0], clip->n_frames, folder, "cover.label", 0));
    }
done:
    trk_heap_release(folder);
    return rc;
}

trk_status dataset_open_got10k(dataset *self, const char *split)
{
    static const char *const usual[] = {"val", NULL};
    char *folder = NULL;
    trk_status rc = dataset_split_folder(&folder, self->path, split, "list.txt", usual);
    if (!rc)
        rc = add_clips(self, folder, "list.txt", folder, add_got10k_clip);
    trk_heap_release(folder);
    return rc;
}

/* --- TrackingNet ------------------------------------------------------------------------------------------------ */

static trk_status add_trackingnet_clip(dataset *self, const char *parent, const char *name)
{
    dataset_clip *clip;
    int prompt_alone;
    char *images = trk_heap_format("dataset", "%s/frames/%s", parent, name);
    if (!images)
        return dataset_no_memory(parent);
    trk_status rc =
        add_clip(&clip, &prompt_alone, self, name, images, trk_heap_format("dataset", "%s/anno/%s.txt", parent, name));
    if (!rc && prompt_alone)
        clip->objects[0].visible[0] = 0; /* the prompt by itself is no score */
    trk_heap_release(images);
    return rc;
}

trk_status dataset_open_trackingnet(dataset *self, const char *split)
{
    static const char *const usual[] = {"TEST", NULL};
    char *folder = NULL, *frames = NULL;
    trk_status rc = dataset_split_folder(&folder, self->path, split, "frames", usual);
    if (!rc) {
        frames = dataset_path(folder, "frames");
        rc = add_clips(self, folder, NULL, frames, add_trackingnet_clip);
    }
    trk_heap_release(frames);
    trk_heap_release(folder);
    return rc;
}
