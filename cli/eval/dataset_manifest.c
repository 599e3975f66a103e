/* SPDX-License-Identifier: Apache-2.0
 * Our own layout, one JSON file; paths in it are relative to its folder, keys it does not know are left alone:
 *   {"format": "track-samples-1", "clips": [{"name": TEXT, "tests": TEXT, "video": FILE or FOLDER,
 *     "truth": FOLDER of palette PNGs NNNNN.png, or {"rle": FILE}, "frames": N, "width": N, "height": N,
 *     "objects": [{"id": 1..254, "frame": N, "box": [x, y, w, h], "prompt": "box" or "mask"}]}]}
 * "tests", "frames", "width" and "height" may be left out. The prompt is the box where there is one, else the true mask
 * of "frame" (0 where left out); "prompt" chooses where both could be meant.
 * The file of run lengths: {"size": [h, w], "frames": [{"1": TEXT, "2": TEXT}, ...]}, an entry for every frame, in it
 * the compressed run lengths of every object that shows. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include <jansson.h>

#include "dataset_internal.h"
#include "heap.h"
#include "number.h"
#include "rle.h"

#define FORMAT "track-samples-1"

typedef struct source {
    char *file, *folder; /* owned: the manifest, and what its paths are relative to */
    size_t clip;         /* index in "clips", for messages */
} source;

static trk_status bad_clip(const source *at, const char *key, const char *expected)
{
    return TRK_FAIL(TRK_E_FORMAT, "%s: clips[%zu]%s%s: expected %s", at->file, at->clip, *key ? "." : "", key,
                    expected);
}

static trk_status bad_object(const source *at, size_t object, const char *key, const char *expected)
{
    return TRK_FAIL(TRK_E_FORMAT, "%s: clips[%zu].objects[%zu]%s%s: expected %s", at->file, at->clip, object,
                    *key ? "." : "", key, expected);
}

/* A whole number from low to high; `missing` where the key is not there. 0: something else is there. */
static int whole(const json_t *object, const char *key, int64_t low, int64_t high, int64_t missing, int64_t *out)
{
    const json_t *value = json_object_get(object, key);
    *out = missing;
    if (!value)
        return 1;
    if (!json_is_integer(value) || json_integer_value(value) < low || json_integer_value(value) > high)
        return 0;
    *out = (int64_t)json_integer_value(value);
    return 1;
}

/* A path of the manifest; *out is owned by the caller. */
static trk_status resolve(char **out, const source *at, const json_t *value, const char *key)
{
    const char *name = json_string_value(value);
    if (!name || !*name)
        return bad_clip(at, key, "the path of a file or folder");
    *out = *name == '/' ? trk_heap_text("dataset", name) : dataset_path(at->folder, name);
    return *out ? TRK_OK : dataset_no_memory(at->file);
}

/* --- truth as run lengths --------------------------------------------------------------------------------------- */

static trk_status add_text(dataset_rle *truth, size_t frame, size_t object, const json_t *value, const char *path)
{
    rle scratch = {0};
    const char *text = json_string_value(value);
    if (!text)
        return TRK_FAIL(TRK_E_FORMAT, "%s: frames[%zu]: expected texts of run lengths", path, frame);
    char **copy = &truth->texts[frame * truth->n_objects + object];
    if (*copy)
        return TRK_FAIL(TRK_E_FORMAT, "%s: frames[%zu]: the same object twice, expected one text of each", path, frame);
    *copy = trk_heap_text("dataset", text);
    trk_status rc = *copy ? rle_decode(&scratch, NULL, truth->width, truth->height, 0, text) : dataset_no_memory(path);
    rle_free(&scratch);
    if (rc == TRK_E_FORMAT) {
        char *where = trk_heap_format("dataset", "%s: frames[%zu]", path, frame);
        trk_fail_prefix(rc, where ? where : path);
        trk_heap_release(where);
    }
    return rc;
}

/* Ids that the manifest does not list are left out. */
static trk_status add_frame(dataset_clip *clip, size_t frame, json_t *value)
{
    dataset_rle *truth = clip->rle;
    const char *key;
    json_t *text;
    trk_status rc = TRK_OK;
    if (!json_is_object(value))
        return TRK_FAIL(TRK_E_FORMAT, "%s: frames[%zu]: expected {\"ID\": TEXT, ...}", clip->truth, frame);
    json_object_foreach(value, key, text)
    {
        int64_t id;
        if (!number_whole(key, 1, PALETTE_MOST_OBJECT, &id))
            return TRK_FAIL(TRK_E_FORMAT, "%s: frames[%zu]: object \"%.40s\", expected a number from 1 to %d",
                            clip->truth, frame, key, PALETTE_MOST_OBJECT);
        for (size_t i = 0; i < clip->n_objects && !rc; i++)
            if (clip->objects[i].id == id)
                rc = add_text(truth, frame, i, text, clip->truth);
        if (rc)
            return rc;
    }
    return dataset_annotated_add(clip, (int64_t)frame, NULL);
}

static trk_status read_size(dataset_clip *clip, const json_t *size)
{
    const json_t *height = json_array_get(size, 0), *width = json_array_get(size, 1);
    dataset_rle *truth = clip->rle;
    if (json_array_size(size) != 2 || !json_is_integer(height) || !json_is_integer(width) ||
        json_integer_value(height) < 1 || json_integer_value(height) > DATASET_MOST_SIDE ||
        json_integer_value(width) < 1 || json_integer_value(width) > DATASET_MOST_SIDE)
        return TRK_FAIL(TRK_E_FORMAT, "%s: size: expected [height, width], each from 1 to %d", clip->truth,
                        DATASET_MOST_SIDE);
    truth->width = (int)json_integer_value(width);
    truth->height = (int)json_integer_value(height);
    if ((int64_t)truth->width * truth->height > INT32_MAX)
        return TRK_FAIL(TRK_E_FORMAT, "%s: size: %d x %d pixels, expected at most 2147483647", clip->truth,
                        truth->width, truth->height);
    if (clip->width && (clip->width != truth->width || clip->height != truth->height))
        return TRK_FAIL(TRK_E_FORMAT, "%s: size: %d x %d pixels, expected the %d x %d of clip %s", clip->truth,
                        truth->width, truth->height, clip->width, clip->height, clip->name);
    clip->width = truth->width;
    clip->height = truth->height;
    return TRK_OK;
}

/* After the objects, which are sorted. */
static trk_status read_rle(dataset_clip *clip, char *path)
{
    json_t *root = NULL;
    trk_status rc = TRK_OK;
    clip->truth = path;
    clip->kind = TRUTH_RLE;
    TRK_CHECK(dataset_json_read(&root, path));
    const json_t *frames = json_object_get(root, "frames");
    const size_t n = json_array_size(frames);
    if (!n || n > DATASET_MOST_FRAMES || (clip->n_frames >= 0 && (int64_t)n != clip->n_frames))
        TRK_CHECK(TRK_FAIL(TRK_E_FORMAT, "%s: frames: %zu entries, expected one for each of %" PRId64 " frames", path,
                           n, clip->n_frames));
    clip->n_frames = (int64_t)n;
    dataset_rle *truth = clip->rle = trk_heap_zeroed(TRK_MEM_SCRATCH, "dataset", 1, sizeof *truth);
    if (!truth)
        TRK_CHECK(dataset_no_memory(path));
    truth->texts = trk_heap_zeroed(TRK_MEM_SCRATCH, "dataset", n * clip->n_objects, sizeof *truth->texts);
    if (!truth->texts)
        TRK_CHECK(dataset_no_memory(path));
    truth->n_frames = n;
    truth->n_objects = clip->n_objects;
    TRK_CHECK(read_size(clip, json_object_get(root, "size")));
    for (size_t i = 0; i < n; i++)
        TRK_CHECK(add_frame(clip, i, json_array_get(frames, i)));
done:
    json_decref(root);
    return rc;
}

/* --- objects ---------------------------------------------------------------------------------------------------- */

static int read_box(trk_box *out, const json_t *value, const dataset_clip *clip)
{
    double v[4];
    if (json_array_size(value) != 4)
        return 0;
    for (size_t i = 0; i < 4; i++) {
        const json_t *number = json_array_get(value, i);
        if (!json_is_number(number) || !(fabs(json_number_value(number)) <= DATASET_MOST_SIDE))
            return 0;
        v[i] = json_number_value(number);
    }
    if (v[0] < 0 || v[1] < 0 || !(v[2] > 0) || !(v[3] > 0))
        return 0;
    if (clip->width && (v[0] + v[2] > clip->width || v[1] + v[3] > clip->height))
        return 0;
    *out = (trk_box){(float)v[0], (float)v[1], (float)v[2], (float)v[3]};
    return 1;
}

static trk_status add_object(dataset_clip *clip, const source *at, size_t index, const json_t *value)
{
    dataset_object *object;
    int64_t id, frame;
    const json_t *box = json_object_get(value, "box"), *prompt = json_object_get(value, "prompt");
    const char *kind = prompt ? json_string_value(prompt) : box ? "box" : "mask";
    if (!json_is_object(value))
        return bad_object(at, index, "", "{\"id\": ..., \"frame\": ...}");
    if (!whole(value, "id", 1, PALETTE_MOST_OBJECT, 0, &id) || !id)
        return bad_object(at, index, "id", "a whole number from 1 to 254");
    if (!whole(value, "frame", 0, DATASET_MOST_FRAMES, 0, &frame))
        return bad_object(at, index, "frame", "a whole number from 0 on");
    if (!kind || (strcmp(kind, "box") && strcmp(kind, "mask")) || (!box && !strcmp(kind, "box")))
        return bad_object(at, index, "prompt", "\"box\", with a box, or \"mask\"");
    trk_status rc = dataset_object_add(&object, clip, (int)id);
    if (rc)
        return rc;
    object->first_frame = frame;
    object->has_box = !strcmp(kind, "box");
    if (box && !read_box(&object->box, box, clip))
        return bad_object(at, index, "box", "[x, y, w, h] inside the picture, w and h above 0");
    return TRK_OK;
}

static trk_status add_objects(dataset_clip *clip, const source *at, const json_t *values)
{
    const size_t n = json_array_size(values);
    trk_status rc = TRK_OK;
    if (!n || n > PALETTE_MOST_OBJECT)
        return bad_clip(at, "objects", "a list of 1 to 254 objects");
    for (size_t i = 0; i < n && !rc; i++)
        rc = add_object(clip, at, i, json_array_get(values, i));
    for (size_t i = 0; i + 1 < n && !rc; i++)
        for (size_t k = i + 1; k < n; k++)
            if (clip->objects[i].id == clip->objects[k].id)
                return bad_object(at, k, "id", "one that no other object of the clip has");
    return rc ? rc : dataset_objects_sort(clip);
}

/* --- clips ------------------------------------------------------------------------------------------------------ */

static trk_status read_video(dataset_clip *clip, const source *at, const json_t *value)
{
    char *path = NULL;
    trk_numbered_images images = {0};
    trk_status rc = TRK_OK;
    const int64_t told = clip->n_frames;
    TRK_CHECK(resolve(&path, at, value, "video"));
    if (dataset_has_file(path, NULL)) {
        clip->frames = path;
        return TRK_OK;
    }
    if (!dataset_has_folder(path, NULL))
        TRK_CHECK(TRK_FAIL(TRK_E_IO, "%s: clips[%zu].video: %s is not there", at->file, at->clip, path));
    TRK_CHECK(dataset_clip_images(clip, &images, path));
    if (told >= 0 && clip->n_frames != told)
        rc = TRK_FAIL(TRK_E_FORMAT, "%s: clips[%zu].frames: %" PRId64 ", expected the %" PRId64 " images of %s",
                      at->file, at->clip, told, clip->n_frames, path);
done:
    trk_numbered_images_free(&images);
    trk_heap_release(path);
    return rc;
}

static trk_status read_truth(dataset_clip *clip, const source *at, const json_t *value)
{
    const json_t *runs = json_object_get(value, "rle");
    char *path = NULL;
    trk_status rc = resolve(&path, at, runs ? runs : value, runs ? "truth.rle" : "truth");
    if (rc)
        return rc;
    if (runs)
        return read_rle(clip, path);
    rc = dataset_clip_indexed(clip, path, NULL);
    trk_heap_release(path);
    return rc;
}

static trk_status read_numbers(dataset_clip *clip, const source *at, const json_t *value)
{
    int64_t width, height;
    if (!whole(value, "frames", 1, DATASET_MOST_FRAMES, -1, &clip->n_frames))
        return bad_clip(at, "frames", "a whole number from 1 on");
    if (!whole(value, "width", 1, DATASET_MOST_SIDE, 0, &width))
        return bad_clip(at, "width", "a whole number from 1 to 65536");
    if (!whole(value, "height", 1, DATASET_MOST_SIDE, 0, &height) || !width != !height)
        return bad_clip(at, "height", "a whole number from 1 to 65536 where there is a width");
    clip->width = (int)width;
    clip->height = (int)height;
    return TRK_OK;
}

static trk_status add_clip(dataset *self, const source *at, const json_t *value)
{
    dataset_clip *clip;
    const char *name = json_string_value(json_object_get(value, "name"));
    const json_t *tests = json_object_get(value, "tests");
    trk_status rc = TRK_OK;
    if (!json_is_object(value))
        return bad_clip(at, "", "{\"name\": ..., \"video\": ..., \"truth\": ..., \"objects\": [...]}");
    if (!name || !dataset_name_is_safe(name))
        return bad_clip(at, "name", "a name without \"..\", for the folders of results");
    if (tests && !json_is_string(tests))
        return bad_clip(at, "tests", "a text");
    if (!dataset_wants(self, name))
        return TRK_OK;
    TRK_CHECK(dataset_clip_add(&clip, self, name));
    clip->is_dense = 1;
    clip->tests = tests ? trk_heap_text("dataset", json_string_value(tests)) : NULL;
    if (tests && !clip->tests)
        TRK_CHECK(dataset_no_memory(at->file));
    TRK_CHECK(read_numbers(clip, at, value));
    TRK_CHECK(read_video(clip, at, json_object_get(value, "video")));
    TRK_CHECK(add_objects(clip, at, json_object_get(value, "objects")));
    rc = read_truth(clip, at, json_object_get(value, "truth"));
done:
    return rc;
}

static trk_status find_manifest(source *out, const char *path)
{
    const char *slash = strrchr(path, '/');
    const int is_file = !dataset_has_folder(path, NULL);
    out->file = is_file ? trk_heap_text("dataset", path) : dataset_path(path, "manifest.json");
    out->folder = !is_file ? trk_heap_text("dataset", path)
                  : slash  ? trk_heap_format("dataset", "%.*s", (int)(slash - path) + (slash == path), path)
                           : trk_heap_text("dataset", ".");
    return out->file && out->folder ? TRK_OK : dataset_no_memory(path);
}

trk_status dataset_open_manifest(dataset *self, const char *split)
{
    source at = {0};
    json_t *root = NULL;
    trk_status rc = TRK_OK;
    if (split)
        return TRK_FAIL(TRK_E_ARGUMENT, "split \"%s\": a manifest has none", split);
    TRK_CHECK(find_manifest(&at, self->path));
    TRK_CHECK(dataset_json_read(&root, at.file));
    const char *format = json_string_value(json_object_get(root, "format"));
    const json_t *clips = json_object_get(root, "clips");
    if (!format || strcmp(format, FORMAT))
        TRK_CHECK(TRK_FAIL(TRK_E_FORMAT,
                           "%s: format \"%.40s\", expected {\"format\": \"" FORMAT "\", \"clips\": [...]}", at.file,
                           format ? format : ""));
    if (!json_array_size(clips))
        TRK_CHECK(TRK_FAIL(TRK_E_FORMAT, "%s: clips: expected a list of at least one clip", at.file));
    for (; at.clip < json_array_size(clips); at.clip++)
        TRK_CHECK(add_clip(self, &at, json_array_get(clips, at.clip)));
done:
    json_decref(root);
    trk_heap_release(at.file);
    trk_heap_release(at.folder);
    return rc;
}
