/* SPDX-License-Identifier: Apache-2.0
 * The result file, and the files of single clips by which an evaluation goes on. Numbers are written with as many
 * digits as bring the same double back, so that a clip read again is the same text. */
#include "results.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "heap.h"
#include "output_file.h"

/* --- writing ---------------------------------------------------------------------------------------------------- */

static void put_real(FILE *out, double value)
{
    char text[32];
    if (!isfinite(value)) {
        fputs("null", out);
        return;
    }
    for (int n_digits = 15; n_digits <= 17; n_digits++) {
        snprintf(text, sizeof text, "%.*g", n_digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    fputs(text, out);
}

/* Names of files need not be UTF-8, JSON has to be: what is not ASCII there becomes '?' then. */
static void put_text(FILE *out, const char *text)
{
    json_t *value = json_string(text);
    if (value) {
        json_dumpf(value, out, JSON_ENCODE_ANY);
        json_decref(value);
        return;
    }
    fputc('"', out);
    for (; *text; text++)
        if ((unsigned char)*text < 32 || (unsigned char)*text > 126 || *text == '"' || *text == '\\')
            fputc('?', out);
        else
            fputc(*text, out);
    fputc('"', out);
}

/* , "key": value; nothing for NULL. */
static void put_member(FILE *out, const char *key, const char *text)
{
    if (!text)
        return;
    fprintf(out, ", \"%s\": ", key);
    put_text(out, text);
}

static void put_key_real(FILE *out, const char *separator, const char *key, double value)
{
    fprintf(out, "%s\"%s\": ", separator, key);
    put_real(out, value);
}

static void put_reals(FILE *out, const char *key, const double *values, size_t n)
{
    fprintf(out, ", \"%s\": [", key);
    for (size_t i = 0; i < n; i++) {
        fputs(i ? ", " : "", out);
        put_real(out, values[i]);
    }
    fputc(']', out);
}

/* "J": 1, "F": 1, "J&F": 1, "boxes": {...}, with the separator before the first of them. */
static void put_means(FILE *out, const char *separator, const eval_means *means)
{
    static const char *const names[] = {"AUC", "OP50", "OP75", "precision", "normalized_precision", "normalized_AUC",
                                        "AO"};
    if (means->has_masks) {
        put_key_real(out, separator, "J", means->of[MEAN_J]);
        separator = ", ";
    }
    if (!isnan(means->of[MEAN_F])) {
        put_key_real(out, ", ", "F", means->of[MEAN_F]);
        put_key_real(out, ", ", "J&F", means->of[MEAN_BOTH]);
    }
    if (!means->has_boxes)
        return;
    fprintf(out, "%s\"boxes\": ", separator);
    for (int i = MEAN_AUC; i < N_MEANS; i++)
        put_key_real(out, i == MEAN_AUC ? "{" : ", ", names[i - MEAN_AUC], means->of[i]);
    fputc('}', out);
}

static void put_summary(FILE *out, const char *key, const score_summary *summary)
{
    fprintf(out, ",\n      \"%s\": ", key);
    put_key_real(out, "{", "mean", summary->mean);
    put_key_real(out, ", ", "recall", summary->recall);
    put_key_real(out, ", ", "decay", summary->decay);
}

static void put_boxes(FILE *out, const box_scores *b)
{
    fputs(",\n      \"boxes\": ", out);
    put_key_real(out, "{", "AUC", b->auc);
    put_key_real(out, ", ", "OP50", b->op50);
    put_key_real(out, ", ", "OP75", b->op75);
    put_key_real(out, ", ", "precision", b->precision);
    put_key_real(out, ", ", "normalized_precision", b->normalized_precision);
    put_key_real(out, ", ", "normalized_AUC", b->normalized_auc);
    put_key_real(out, ", ", "AO", b->average_overlap);
    fprintf(out, ", \"frames\": %zu}", b->n_frames);
}

static void put_frames(FILE *out, const object_result *o)
{
    fputs(",\n      \"frames\": {\"index\": [", out);
    for (size_t i = 0; i < o->n_frames; i++)
        fprintf(out, "%s%" PRId64, i ? ", " : "", o->index[i]);
    fputc(']', out);
    put_reals(out, "J", o->region, o->n_frames);
    if (o->boundary)
        put_reals(out, "F", o->boundary, o->n_frames);
    fputs(", \"present\": [", out);
    for (size_t i = 0; i < o->n_frames; i++)
        fprintf(out, "%s%d", i ? ", " : "", o->present[i] != 0);
    fputs("]}", out);
}

static void put_object(FILE *out, const object_result *o)
{
    fprintf(out, "{\"id\": %d, \"first_frame\": %" PRId64, o->id, o->first_frame);
    if (o->region) {
        put_summary(out, "J", &o->region_summary);
        put_key_real(out, ", ", "last10", o->region_last10);
        fputc('}', out);
    }
    if (o->boundary) {
        put_summary(out, "F", &o->boundary_summary);
        fputc('}', out);
    }
    if (o->boxes.n_frames)
        put_boxes(out, &o->boxes);
    if (o->region)
        put_frames(out, o);
    fputc('}', out);
}

static void put_run(FILE *out, const clip_result *clip)
{
    fputs(",\n    \"run\": ", out);
    put_key_real(out, "{", "seconds", clip->seconds);
    put_key_real(out, ", ", "frames_per_second", (double)clip->n_bytes / clip->seconds);
    fprintf(out, ", \"peak_bytes\": %zu, \"bytes\": [", clip->peak_bytes);
    for (size_t i = 0; i < clip->n_bytes; i++)
        fprintf(out, "%s%zu", i ? ", " : "", clip->bytes[i]);
    fputs("]}", out);
}

static void put_clip(FILE *out, const clip_result *clip, dataset_layout layout)
{
    const eval_means means = eval_means_of(clip, 1, layout);
    fputs("{\"name\": ", out);
    put_text(out, clip->name);
    put_member(out, "tests", clip->tests);
    fprintf(out, ", \"frames\": %" PRId64, clip->n_frames);
    if (clip->width)
        fprintf(out, ", \"width\": %d, \"height\": %d", clip->width, clip->height);
    if (clip->mask_hash)
        fprintf(out, ", \"mask_hash\": \"%016" PRIx64 "\"", clip->mask_hash);
    put_means(out, ",\n    ", &means);
    fputs(",\n    \"objects\": [", out);
    for (size_t i = 0; i < clip->n_objects; i++) {
        fputs(i ? ",\n     " : "\n     ", out);
        put_object(out, &clip->objects[i]);
    }
    fputc(']', out);
    if (clip->seconds > 0)
        put_run(out, clip);
    fputc('}', out);
}

static void put_origin(FILE *out, const eval_results *self)
{
    put_member(out, "dataset", self->dataset);
    put_member(out, "layout", dataset_layout_name(self->layout));
    put_member(out, "model", self->model);
    if (self->model)
        fprintf(out, ", \"weights\": \"%016" PRIx64 "\"", self->weights);
    put_member(out, "device", self->device);
    put_member(out, "precision", self->precision);
    fputs(",\n \"options\": [", out);
    for (size_t i = 0; i < self->n_options; i++) {
        fputs(i ? ", " : "", out);
        put_text(out, self->options[i]);
    }
    fputc(']', out);
    put_member(out, "version", trk_version());
    put_member(out, "machine", self->machine);
}

trk_status eval_results_write(const eval_results *self, const char *path)
{
    const eval_means means = eval_means_of(self->clips, self->n_clips, self->layout);
    output_file file;
    trk_status rc = output_file_open(&file, path);
    if (rc)
        return rc;
    fputs("{\"format\": \"track-eval-1\"", file.stream);
    put_origin(file.stream, self);
    fputs(",\n \"mean\": {", file.stream);
    put_means(file.stream, "", &means);
    fprintf(file.stream, "}, \"n_objects\": %zu,\n \"clips\": [", means.n_objects);
    for (size_t i = 0; i < self->n_clips; i++) {
        fputs(i ? ",\n   " : "\n   ", file.stream);
        put_clip(file.stream, &self->clips[i], self->layout);
    }
    fputs("]}\n", file.stream);
    return output_file_finish(&file);
}

trk_status clip_result_write(const clip_result *self, const eval_results *of, const char *path)
{
    output_file file;
    trk_status rc = output_file_open(&file, path);
    if (rc)
        return rc;
    fputs("{\"format\": \"track-eval-clip-1\"", file.stream);
    put_origin(file.stream, of);
    fprintf(file.stream, ",\n \"source\": \"%016" PRIx64 "\",\n \"clip\": ", self->source);
    put_clip(file.stream, self, of->layout);
    fputs("}\n", file.stream);
    return output_file_finish(&file);
}

/* --- reading ---------------------------------------------------------------------------------------------------- */

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
    return (box_scores){.auc = get_real(r, object, "AUC"),
                        .op50 = get_real(r, object, "OP50"),
                        .op75 = get_real(r, object, "OP75"),
                        .precision = get_real(r, object, "precision"),
                        .normalized_precision = get_real(r, object, "normalized_precision"),
                        .normalized_auc = get_real(r, object, "normalized_AUC"),
                        .average_overlap = get_real(r, object, "AO"),
                        .n_frames = (size_t)get_whole(r, object, "frames")};
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

static int has_text(const json_t *object, const char *key, const char *text)
{
    const char *found = json_string_value(json_object_get(object, key));
    return found && text ? !strcmp(found, text) : !found && !text;
}

static int has_same_options(const json_t *root, const eval_results *of)
{
    const json_t *list = json_object_get(root, "options");
    int same = json_array_size(list) == of->n_options;
    for (size_t i = 0; same && i < of->n_options; i++) {
        const char *text = json_string_value(json_array_get(list, i));
        same = text && !strcmp(text, of->options[i]);
    }
    return same;
}

/* NULL: the results are of the same kind. */
static const char *find_difference(const json_t *root, const eval_results *of)
{
    char weights[17];
    snprintf(weights, sizeof weights, "%016" PRIx64, of->weights);
    if (!has_text(root, "dataset", of->dataset) || !has_text(root, "layout", dataset_layout_name(of->layout)))
        return "another dataset";
    if (!has_text(root, "model", of->model) || !has_text(root, "weights", of->model ? weights : NULL))
        return "another model";
    if (!has_text(root, "device", of->device) || !has_text(root, "precision", of->precision) ||
        !has_same_options(root, of))
        return "other options";
    if (!has_text(root, "version", trk_version()))
        return "another version";
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
        r.rc = TRK_FAIL(TRK_E_FORMAT, "%s:%d: %s", path, error.line, error.text);
    else if (!has_text(root, "format", "track-eval-clip-1"))
        expected(&r, "\"format\": \"track-eval-clip-1\"");
    else if (difference)
        r.rc = TRK_FAIL(TRK_E_STATE, "%s: results of %s", path, difference);
    else {
        out->source = get_hash(root, "source");
        get_clip(&r, out, json_object_get(root, "clip"));
    }
    json_decref(root);
    if (r.rc)
        clip_result_free(out);
    return r.rc;
}
