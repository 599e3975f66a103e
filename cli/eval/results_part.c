/* SPDX-License-Identifier: Apache-2.0
 * Reads the file of a single clip that results_json.c wrote, if it is of the same evaluation. */
#include "results.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "heap.h"

/* A file of this program that is being read; the first thing that is not as written is kept. */
typedef struct reading {
    const char *path;
    trk_status rc;
} reading;

static void expected(reading *r, const char *what)
{
    if (!r->rc)
        r->rc = TRK_FAIL(TRK_E_FORMAT, "%s: expected %s", r->path, what);
}

static void *zeroed(reading *r, size_t n, size_t size)
{
    void *out = trk_heap_zeroed(TRK_MEM_SCRATCH, "results", n + !n, size);
    if (!out && !r->rc)
        r->rc = TRK_FAIL(TRK_E_MEMORY, "%s: out of memory", r->path);
    return out;
}

/* null: NaN. */
static double real_of(reading *r, const json_t *value, const char *key)
{
    if (json_is_null(value))
        return NAN;
    if (!json_is_number(value))
        expected(r, key);
    return json_number_value(value);
}

static double get_real(reading *r, const json_t *object, const char *key)
{
    return real_of(r, json_object_get(object, key), key);
}

static int64_t get_whole(reading *r, const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    if (!json_is_integer(value))
        expected(r, key);
    return json_integer_value(value);
}

/* NULL where it is not there. */
static char *get_text(reading *r, const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    char *out = text ? trk_heap_text("results", text) : NULL;
    if (text && !out && !r->rc)
        r->rc = TRK_FAIL(TRK_E_MEMORY, "%s: out of memory", r->path);
    return out;
}

static double *get_reals(reading *r, const json_t *object, const char *key, size_t n)
{
    const json_t *list = json_object_get(object, key);
    double *out = zeroed(r, n, sizeof *out);
    if (json_array_size(list) != n)
        expected(r, key);
    for (size_t i = 0; out && i < n; i++)
        out[i] = real_of(r, json_array_get(list, i), key);
    return out;
}

static score_summary get_summary(reading *r, const json_t *object, const double *scores, size_t n)
{
    score_summary out = {get_real(r, object, "mean"), get_real(r, object, "recall"), get_real(r, object, "decay"), 0};
    for (size_t i = 0; scores && i < n; i++)
        out.n_frames += !isnan(scores[i]);
    return out;
}

static box_scores get_boxes(reading *r, const json_t *object)
{
    box_scores out = {.n_frames = (size_t)get_whole(r, object, "frames")};
    for (int i = 0; i < N_BOX_SCORES; i++)
        out.of[i] = get_real(r, object, box_score_names[i]);
    return out;
}

static void get_frames(reading *r, object_result *out, const json_t *frames)
{
    const json_t *index = json_object_get(frames, "index"), *present = json_object_get(frames, "present");
    const size_t n = out->n_frames = json_array_size(index);
    out->index = zeroed(r, n, sizeof *out->index);
    out->present = zeroed(r, n, 1);
    out->region = get_reals(r, frames, "J", n);
    if (json_object_get(frames, "F"))
        out->boundary = get_reals(r, frames, "F", n);
    if (json_array_size(present) != n)
        expected(r, "present");
    for (size_t i = 0; i < n && out->index && out->present; i++) {
        out->index[i] = json_integer_value(json_array_get(index, i));
        out->present[i] = json_integer_value(json_array_get(present, i)) != 0;
    }
}

static void get_object(reading *r, object_result *out, const json_t *object)
{
    const json_t *region = json_object_get(object, "J"), *boundary = json_object_get(object, "F"),
                 *boxes = json_object_get(object, "boxes");
    out->id = (int)get_whole(r, object, "id");
    out->first_frame = get_whole(r, object, "first_frame");
    if (region) {
        get_frames(r, out, json_object_get(object, "frames"));
        out->region_summary = get_summary(r, region, out->region, out->n_frames);
        out->region_last10 = get_real(r, region, "last10");
    }
    if (boundary)
        out->boundary_summary = get_summary(r, boundary, out->boundary, out->n_frames);
    if (boxes)
        out->boxes = get_boxes(r, boxes);
}

static void get_run(reading *r, clip_result *out, const json_t *run)
{
    const json_t *bytes = json_object_get(run, "bytes");
    out->seconds = get_real(r, run, "seconds");
    out->peak_bytes = (size_t)get_whole(r, run, "peak_bytes");
    out->n_bytes = out->bytes_capacity = json_array_size(bytes);
    out->bytes = zeroed(r, out->n_bytes, sizeof *out->bytes);
    for (size_t i = 0; out->bytes && i < out->n_bytes; i++)
        out->bytes[i] = (size_t)json_integer_value(json_array_get(bytes, i));
}

/* 16 hexadecimal digits; 0 where they are not there. */
static uint64_t get_hash(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? strtoull(text, NULL, 16) : 0;
}

static void get_clip(reading *r, clip_result *out, const json_t *clip)
{
    const json_t *objects = json_object_get(clip, "objects"), *run = json_object_get(clip, "run");
    out->name = get_text(r, clip, "name");
    out->tests = get_text(r, clip, "tests");
    out->n_frames = get_whole(r, clip, "frames");
    if (json_object_get(clip, "width")) {
        out->width = (int)get_whole(r, clip, "width");
        out->height = (int)get_whole(r, clip, "height");
    }
    out->mask_hash = get_hash(clip, "mask_hash");
    out->n_objects = json_array_size(objects);
    out->objects = zeroed(r, out->n_objects, sizeof *out->objects);
    for (size_t i = 0; out->objects && i < out->n_objects && !r->rc; i++)
        get_object(r, &out->objects[i], json_array_get(objects, i));
    if (run)
        get_run(r, out, run);
    if (!out->name)
        expected(r, "name");
}

/* NULL: nothing. */
static int is_text(const json_t *found, const char *text)
{
    const char *value = json_string_value(found);
    if (!text || !value)
        return !text && !found;
    if (!strcmp(value, text))
        return 1;
    size_t i = 0;
    while (value[i] && value[i] == eval_results_ascii(text[i]))
        i++;
    return !value[i] && !text[i];
}

static int has_text(const json_t *object, const char *key, const char *text)
{
    return is_text(json_object_get(object, key), text);
}

static int has_hash(const json_t *object, const char *key, uint64_t hash)
{
    char text[17];
    snprintf(text, sizeof text, "%016" PRIx64, hash);
    return has_text(object, key, text);
}

/* Under whatever spelling. */
static int is_of_dataset(const json_t *root, const eval_results *of)
{
    char found[PATH_MAX], wanted[PATH_MAX];
    const char *text = json_string_value(json_object_get(root, "dataset"));
    if (has_text(root, "dataset", of->dataset))
        return 1;
    return text && realpath(text, found) && realpath(of->dataset, wanted) && !strcmp(found, wanted);
}

static int has_same_options(const json_t *root, const eval_results *of)
{
    const json_t *list = json_object_get(root, "options");
    int same = json_array_size(list) == of->n_options;
    for (size_t i = 0; same && i < of->n_options; i++)
        same = is_text(json_array_get(list, i), of->options[i]);
    return same;
}

/* NULL: the results are of the same kind. */
static const char *find_difference(const json_t *root, const eval_results *of)
{
    if (!is_of_dataset(root, of) || !has_text(root, "layout", dataset_layout_name(of->layout)))
        return "another dataset";
    if (!has_text(root, "model", of->model) || (of->model && !has_hash(root, "weights", of->weights)))
        return "another model";
    if (!has_text(root, "device", of->device) || !has_text(root, "precision", of->precision) ||
        !has_same_options(root, of))
        return "other options";
    if (!has_text(root, "version", trk_version()) || !has_hash(root, "program", of->program))
        return "another build of the program";
    return has_text(root, "machine", of->machine) ? NULL : "another machine";
}

trk_status clip_result_read(clip_result *out, const eval_results *of, const char *path)
{
    json_error_t error;
    reading r = {path, TRK_OK};
    *out = (clip_result){0};
    if (access(path, F_OK) && errno == ENOENT)
        return TRK_FAIL(TRK_E_NOT_FOUND, "%s: not there", path);
    json_t *root = json_load_file(path, 0, &error);
    const char *difference = root ? find_difference(root, of) : NULL;
    if (!root)
        r.rc = TRK_FAIL(json_error_code(&error) == json_error_out_of_memory ? TRK_E_MEMORY : TRK_E_FORMAT, "%s:%d: %s",
                        path, error.line, error.text);
    else if (!has_text(root, "format", "track-eval-clip-1"))
        expected(&r, "\"format\": \"track-eval-clip-1\"");
    else if (difference)
        r.rc = TRK_FAIL(TRK_E_STATE, "%s: results of %s", path, difference);
    else {
        out->source = get_hash(root, "source");
        out->masks_at = get_hash(root, "masks_at");
        out->boxes_at = get_hash(root, "boxes_at");
        get_clip(&r, out, json_object_get(root, "clip"));
    }
    json_decref(root);
    if (r.rc)
        clip_result_free(out);
    return r.rc;
}
