/* SPDX-License-Identifier: Apache-2.0
 * Opening a dataset: which layout it is, the checks that hold for all of them, and what its parts are made with.
 *
 * Where the conventions of the layouts differ, each as the code or page of its benchmark has it:
 *   DAVIS 2017   davis2017-evaluation, evaluation.py: first and last frame of a clip left out; index 255 is background
 *                in the semi-supervised task, not void. Its davis.py, get_all_masks: objects are 1 up to the highest
 *                index of the first frame, also those between that it does not show; higher ones do not count.
 *   SA-V         sav_dataset/utils/sav_benchmark.py: first and last PNG of each object left out, and of the others
 *                those before the object is in the truth or in what was found (Evaluator.feed_frame); 24 frames a
 *                second, of which every fourth has truth; masks may overlap.
 *   MOSE         as DAVIS 2017, without first and last frame of a clip. MOSEv2's own tool (MOSE-api, score.py) counts
 *                objects also on frames before their first, adds one pixel to both parts of J's quotient and has
 *                another tolerance of F: not followed.
 *   LVOS         lvos-evaluation, evaluation_mp.py: an object counts from the first to the last mask of its frame_range
 *                in meta.json, these two left out; frames after it do not count.
 *   YouTube-VOS  an object is prompted on the first frame meta.json gives it and counts from it up to the end. What its
 *                server counts is not public; pytracking's analysis/evaluate_vos.py, for truth of one's own, leaves the
 *                first and the last frame out as MOSE does, hkchengrex/vos-benchmark -d leaves none. Of its valid (and
 *                LVOS's test, MOSE's valid) only the prompts are public: nothing counts. The overall mean of YouTube-
 *                VOS and LVOS as published is (J seen + F seen + J unseen + F unseen) / 4, over seen and unseen classes
 *                (of LVOS: unseen_videos.txt); here it is over all objects alike.
 *   manifest     every frame from the prompt on counts.
 *   LaSOT        LaSOT_Evaluation_Toolkit: frames with full_occlusion or out_of_view do not count.
 *   GOT-10k      got10k/experiments/got10k.py: the first frame and those with cover 0 do not count.
 *   TrackingNet  as LaSOT, without marks of absence; shares are of the frames with a box, as pytracking has it
 *                (extract_results.py). Of the test split only the prompt is public: nothing counts.
 *   MOTChallenge TrackEval, mot_challenge_2d_box.py: rows with a flag of 0 and classes other than pedestrians do not
 *                count; frames and pixels are numbered from 1 (motchallenge.net/instructions). */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "dataset_internal.h"
#include "heap.h"
#include "index_map.h"

/* --- layouts ---------------------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    trk_status (*open)(dataset *self, const char *split);
} layouts[] = {
    [DATASET_AUTO] = {"auto", NULL},
    [DATASET_MANIFEST] = {"manifest", dataset_open_manifest},
    [DATASET_MASKS] = {"masks", dataset_open_masks},
    [DATASET_DAVIS] = {"davis", dataset_open_davis},
    [DATASET_SAV] = {"sav", dataset_open_sav},
    [DATASET_YOUTUBE_VOS] = {"youtube-vos", dataset_open_youtube_vos},
    [DATASET_LASOT] = {"lasot", dataset_open_lasot},
    [DATASET_GOT10K] = {"got10k", dataset_open_got10k},
    [DATASET_TRACKINGNET] = {"trackingnet", dataset_open_trackingnet},
    [DATASET_MOT] = {"mot", dataset_open_mot},
};
enum { N_LAYOUTS = sizeof layouts / sizeof *layouts };

trk_status dataset_layout_parse(dataset_layout *out, const char *name)
{
    char known[160] = "";
    for (int i = 0; i < N_LAYOUTS; i++) {
        if (!strcmp(name, layouts[i].name)) {
            *out = (dataset_layout)i;
            return TRK_OK;
        }
        strcat(strcat(known, i ? ", " : ""), layouts[i].name);
    }
    return TRK_FAIL(TRK_E_ARGUMENT, "\"%s\": expected one of %s", name, known);
}

const char *dataset_layout_name(dataset_layout layout)
{
    return layouts[layout].name;
}

/* What a folder is as a clip with boxes. */
static dataset_layout layout_of_clip(const char *folder)
{
    if (dataset_has_file(folder, "groundtruth.txt"))
        return dataset_has_folder(folder, "img") ? DATASET_LASOT : DATASET_GOT10K;
    return dataset_has_file(folder, "gt/gt.txt") ? DATASET_MOT : DATASET_AUTO;
}

/* Looks for a clip with boxes in the folders of path, then in theirs. */
static trk_status find_clip(dataset_layout *out, const char *path, int depth)
{
    dataset_names names = {0};
    trk_status rc = TRK_OK;
    *out = DATASET_AUTO;
    TRK_CHECK(dataset_names_of_folders(&names, path));
    for (int deeper = 0; deeper <= (depth > 0); deeper++)
        for (size_t i = 0; i < names.n && *out == DATASET_AUTO; i++) {
            char *folder = dataset_path(path, names.items[i]);
            if (!folder)
                TRK_CHECK(dataset_no_memory(path));
            *out = deeper ? DATASET_AUTO : layout_of_clip(folder);
            rc = deeper ? find_clip(out, folder, depth - 1) : TRK_OK;
            trk_heap_release(folder);
            if (rc)
                goto done;
        }
done:
    dataset_names_free(&names);
    return rc;
}

static int has_split_with(const char *path, const char *split, const char *folder)
{
    static const char *const usual[] = {".", "valid", "val", "test", "train", "TEST"};
    char below[600];
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++) {
        snprintf(below, sizeof below, "%s/%s", usual[i], folder);
        if (dataset_has_folder(path, below))
            return 1;
    }
    snprintf(below, sizeof below, "%.512s/%s", split ? split : ".", folder);
    return dataset_has_folder(path, below);
}

static trk_status fail_layout(const char *path)
{
    return TRK_FAIL(TRK_E_FORMAT,
                    "%s: of no layout known; expected manifest.json, JPEGImages, anno and frames, clips with "
                    "groundtruth.txt or gt/gt.txt, or PNGs named by number",
                    path);
}

static trk_status find_layout(dataset_layout *out, const char *path, const char *split)
{
    const size_t n = strlen(path);
    if (dataset_has_file(path, NULL)) {
        *out = DATASET_MANIFEST;
        return n > 5 && !strcasecmp(path + n - 5, ".json")
                   ? TRK_OK
                   : TRK_FAIL(TRK_E_FORMAT, "%s: a file, expected a folder or a manifest NAME.json", path);
    }
    if (!dataset_has_folder(path, NULL))
        return TRK_FAIL(TRK_E_IO, "%s: not there, expected the folder of a dataset or a manifest NAME.json", path);
    if (dataset_has_file(path, "manifest.json"))
        *out = DATASET_MANIFEST;
    else if (dataset_has_folder(path, "JPEGImages_24fps"))
        *out = DATASET_SAV;
    else if (dataset_has_folder(path, "ImageSets/2017") || dataset_has_folder(path, "JPEGImages/480p"))
        *out = DATASET_DAVIS;
    else if (has_split_with(path, split, "JPEGImages"))
        *out = DATASET_YOUTUBE_VOS;
    else if (has_split_with(path, split, "anno") && has_split_with(path, split, "frames"))
        *out = DATASET_TRACKINGNET;
    else {
        trk_status rc = find_clip(out, path, 1);
        if (rc || *out)
            return rc;
        trk_numbered_images frames = {0};
        rc = dataset_images_read(&frames, path, 1);
        trk_numbered_images_free(&frames);
        *out = DATASET_MASKS;
        return rc == TRK_E_FORMAT ? fail_layout(path) : rc;
    }
    return TRK_OK;
}

/* --- parts ------------------------------------------------------------------------------------------------------ */

int dataset_wants(dataset *self, const char *name)
{
    const char *at = self->only;
    const size_t n = strlen(name);
    int wanted = !at;
    for (; !wanted && (at = strstr(at, name)); at++)
        wanted = (at == self->only || at[-1] == ',') && (!at[n] || at[n] == ',');
    self->n_left_out += !wanted;
    return wanted;
}

trk_status dataset_clip_add(dataset_clip **out, dataset *self, const char *name)
{
    if (self->n_clips == DATASET_MOST_CLIPS)
        return TRK_FAIL(TRK_E_FORMAT, "%s: expected at most %d clips", self->path, DATASET_MOST_CLIPS);
    dataset_clip *clips = dataset_grown(self->clips, self->n_clips, sizeof *clips);
    if (!clips)
        return dataset_no_memory(self->path);
    self->clips = clips;
    *out = &clips[self->n_clips++];
    **out = (dataset_clip){.name = trk_heap_text("dataset", name), .n_frames = -1, .void_label = -1};
    return (*out)->name ? TRK_OK : dataset_no_memory(self->path);
}

trk_status dataset_object_add(dataset_object **out, dataset_clip *clip, int id)
{
    dataset_object *objects = dataset_grown(clip->objects, clip->n_objects, sizeof *objects);
    if (!objects)
        return dataset_no_memory(clip->name);
    clip->objects = objects;
    *out = &objects[clip->n_objects++];
    **out = (dataset_object){.id = id, .last_frame = -1};
    return TRK_OK;
}

trk_status dataset_boxes_add(dataset_object **out, dataset_clip *clip, int id)
{
    trk_status rc = dataset_object_add(out, clip, id);
    if (rc)
        return rc;
    if ((int64_t)clip->n_objects > DATASET_MOST_BOXES / clip->n_frames)
        return TRK_FAIL(TRK_E_FORMAT, "%s: expected at most %d boxes, objects times frames", clip->truth,
                        DATASET_MOST_BOXES);
    dataset_object *object = *out;
    object->boxes = trk_heap_zeroed(TRK_MEM_SCRATCH, "dataset", (size_t)clip->n_frames, sizeof *object->boxes);
    object->visible = trk_heap_zeroed(TRK_MEM_SCRATCH, "dataset", (size_t)clip->n_frames, 1);
    return object->boxes && object->visible ? TRK_OK : dataset_no_memory(clip->truth);
}

trk_status dataset_annotated_add(dataset_clip *clip, int64_t frame, char *file)
{
    int64_t *annotated = dataset_grown(clip->annotated, clip->n_annotated, sizeof *annotated);
    if (annotated)
        clip->annotated = annotated;
    char **files = dataset_grown(clip->files, clip->n_annotated, sizeof *files);
    if (files)
        clip->files = files;
    if (!annotated || !files) {
        trk_heap_release(file);
        return dataset_no_memory(clip->name);
    }
    annotated[clip->n_annotated] = frame;
    files[clip->n_annotated++] = file;
    return TRK_OK;
}

trk_status dataset_clip_images(dataset_clip *clip, trk_numbered_images *images, const char *folder)
{
    clip->frames = trk_heap_text("dataset", folder);
    if (!clip->frames)
        return dataset_no_memory(folder);
    trk_status rc = dataset_images_read(images, folder, 0);
    clip->n_frames = (int64_t)images->n;
    return rc;
}

trk_status dataset_clip_indexed(dataset_clip *clip, const char *folder, const trk_numbered_images *images)
{
    trk_numbered_images masks = {0};
    trk_status rc = TRK_OK;
    clip->kind = TRUTH_INDEXED;
    clip->truth = trk_heap_text("dataset", folder);
    if (!clip->truth)
        TRK_CHECK(dataset_no_memory(folder));
    TRK_CHECK(dataset_images_read(&masks, folder, 1));
    for (size_t i = 0; i < masks.n; i++) {
        const trk_numbered_image *mask = &masks.items[i];
        const int64_t frame = images ? trk_numbered_images_find(images, mask->number) : mask->number;
        if (frame < 0 || frame >= DATASET_MOST_FRAMES)
            TRK_CHECK(TRK_FAIL(TRK_E_FORMAT, "%s/%s: expected an image of the same number in %s", folder, mask->name,
                               clip->frames ? clip->frames : "the video"));
        char *file = dataset_path(folder, mask->name);
        if (!file)
            TRK_CHECK(dataset_no_memory(folder));
        TRK_CHECK(dataset_annotated_add(clip, frame, file));
    }
done:
    trk_numbered_images_free(&masks);
    return rc;
}

trk_status dataset_clip_scan(dataset_clip *clip, size_t n_files)
{
    unsigned char known[256] = {0};
    trk_status rc = TRK_OK;
    for (size_t i = 0; i < clip->n_objects; i++)
        known[clip->objects[i].id & 255] = 1;
    for (size_t i = 0; i < n_files && i < clip->n_annotated && !rc; i++) {
        unsigned char found[256] = {0};
        trk_image image = {0};
        rc = index_map_read(&image, clip->files[i]);
        for (size_t k = 0; !rc && k < (size_t)image.width * (size_t)image.height; k++)
            found[image.data[k]] = 1;
        trk_image_free(&image);
        for (int id = 1; id <= PALETTE_MOST_OBJECT && !rc; id++) {
            dataset_object *object;
            if (!found[id] || known[id])
                continue;
            known[id] = 1;
            rc = dataset_object_add(&object, clip, id);
            if (!rc)
                object->first_frame = clip->annotated[i];
        }
    }
    return rc;
}

static int by_id(const void *a, const void *b)
{
    const dataset_object *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

trk_status dataset_objects_sort(dataset_clip *clip)
{
    if (clip->n_objects)
        qsort(clip->objects, clip->n_objects, sizeof *clip->objects, by_id);
    for (size_t i = 1; i < clip->n_objects; i++)
        if (clip->objects[i].id == clip->objects[i - 1].id)
            return TRK_FAIL(TRK_E_FORMAT, "%s: clip %s: two objects with the id %d", clip->truth, clip->name,
                            clip->objects[i].id);
    return TRK_OK;
}

/* --- checks ----------------------------------------------------------------------------------------------------- */

int dataset_clip_index(const dataset_clip *clip, size_t i)
{
    const int highest = clip->objects[clip->n_objects - 1].id;
    return clip->kind == TRUTH_BOXES && highest > PALETTE_MOST_OBJECT ? (int)i + 1 : clip->objects[i].id;
}

size_t dataset_clip_annotation(const dataset_clip *clip, int64_t frame)
{
    size_t low = 0, high = clip->n_annotated;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (clip->annotated[middle] < frame)
            low = middle + 1;
        else
            high = middle;
    }
    return low < clip->n_annotated && clip->annotated[low] == frame ? low : clip->n_annotated;
}

static trk_status check_object(const dataset_clip *clip, dataset_object *object)
{
    const int most = clip->kind == TRUTH_BOXES ? INT32_MAX : PALETTE_MOST_OBJECT;
    if (object->id < 1 || object->id > most)
        return TRK_FAIL(TRK_E_FORMAT, "%s: clip %s: object %d, expected ids from 1 to %d", clip->truth, clip->name,
                        object->id, most);
    if (clip->n_frames >= 0 && object->first_frame >= clip->n_frames)
        return TRK_FAIL(TRK_E_FORMAT, "%s: clip %s: object %d starts on frame %" PRId64 ", expected one below %" PRId64,
                        clip->truth, clip->name, object->id, object->first_frame, clip->n_frames);
    if (!object->has_box && dataset_clip_annotation(clip, object->first_frame) == clip->n_annotated)
        return TRK_FAIL(TRK_E_FORMAT, "%s: clip %s: no mask of frame %" PRId64 ", expected that of object %d as prompt",
                        clip->truth, clip->name, object->first_frame, object->id);
    if (object->last_frame < 0)
        object->last_frame = clip->n_annotated ? clip->annotated[clip->n_annotated - 1] : clip->n_frames - 1;
    return TRK_OK;
}

/* A file that is missing would be a frame that does not count. Where only the video tells how long it is, the last file
 * stands for its end, until that is known. */
static trk_status check_dense(const dataset_clip *clip)
{
    const int64_t behind = clip->n_annotated ? clip->annotated[clip->n_annotated - 1] + 1 : 0,
                  n_frames = clip->n_frames >= 0 ? clip->n_frames : behind;
    int64_t first = clip->objects[0].first_frame, n = 0;
    for (size_t i = 1; i < clip->n_objects; i++)
        first = clip->objects[i].first_frame < first ? clip->objects[i].first_frame : first;
    for (size_t i = 0; i < clip->n_annotated; i++)
        n += clip->annotated[i] >= first;
    if (first < n_frames && n != n_frames - first)
        return TRK_FAIL(TRK_E_FORMAT,
                        "%s: clip %s: masks of %" PRId64 " frames, expected one for each of %" PRId64
                        " from the first prompt on",
                        clip->truth, clip->name, n, n_frames - first);
    return TRK_OK;
}

static trk_status check_clip(dataset_clip *clip)
{
    trk_status rc = dataset_objects_sort(clip);
    if (!rc && !clip->n_objects)
        rc = TRK_FAIL(TRK_E_FORMAT, "%s: clip %s: no object, expected at least one", clip->truth, clip->name);
    const int64_t last = clip->n_annotated ? clip->annotated[clip->n_annotated - 1] : 0;
    if (!rc && clip->n_frames >= 0 && last >= clip->n_frames)
        rc = TRK_FAIL(TRK_E_FORMAT, "%s: clip %s: truth of frame %" PRId64 ", expected frames below %" PRId64,
                      clip->truth, clip->name, last, clip->n_frames);
    for (size_t i = 0; i < clip->n_objects && !rc; i++)
        rc = check_object(clip, &clip->objects[i]);
    return rc || !clip->is_dense ? rc : check_dense(clip);
}

static int by_name(const void *a, const void *b)
{
    const dataset_clip *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static trk_status check_clips(dataset *self)
{
    if (!self->n_clips && !self->n_left_out)
        return TRK_FAIL(TRK_E_FORMAT, "%s: no clip, expected at least one", self->path);
    if (self->n_clips)
        qsort(self->clips, self->n_clips, sizeof *self->clips, by_name);
    trk_status rc = TRK_OK;
    for (size_t i = 0; i < self->n_clips && !rc; i++) {
        if (i && !strcmp(self->clips[i].name, self->clips[i - 1].name))
            return TRK_FAIL(TRK_E_FORMAT, "%s: two clips named %s, expected each name once", self->path,
                            self->clips[i].name);
        rc = check_clip(&self->clips[i]);
    }
    return rc;
}

/* --- opening ---------------------------------------------------------------------------------------------------- */

trk_status dataset_open(dataset *out, const char *path, dataset_layout layout, const char *split, const char *only)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') /* names are made of what follows the last one */
        n--;
    *out = (dataset){.layout = layout, .path = trk_heap_format("dataset", "%.*s", (int)n, path), .only = only};
    trk_status rc = out->path ? TRK_OK : dataset_no_memory(path);
    if (!rc && layout == DATASET_AUTO)
        rc = find_layout(&out->layout, path, split);
    if (!rc)
        rc = layouts[out->layout].open(out, split);
    out->only = NULL;
    return rc ? rc : check_clips(out);
}

static void object_free(dataset_object *object)
{
    trk_heap_release(object->name);
    trk_heap_release(object->boxes);
    trk_heap_release(object->visible);
}

static void clip_free(dataset_clip *clip)
{
    for (size_t i = 0; i < clip->n_objects; i++)
        object_free(&clip->objects[i]);
    for (size_t i = 0; i < clip->n_annotated; i++)
        trk_heap_release(clip->files[i]);
    trk_heap_release(clip->objects);
    trk_heap_release(clip->annotated);
    trk_heap_release(clip->files);
    trk_heap_release(clip->name);
    trk_heap_release(clip->frames);
    trk_heap_release(clip->truth);
    trk_heap_release(clip->tests);
    dataset_rle_free(clip->rle);
}

void dataset_close(dataset *self)
{
    for (size_t i = 0; i < self->n_clips; i++)
        clip_free(&self->clips[i]);
    trk_heap_release(self->clips);
    trk_heap_release(self->path);
    *self = (dataset){0};
}
