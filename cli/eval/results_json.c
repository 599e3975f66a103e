/* SPDX-License-Identifier: Apache-2.0
 * Writes the result file, and the files of single clips by which an evaluation goes on (read in results_part.c).
 * Numbers have as many digits as bring the same double back, so that a clip read again is the same text. */
#include "results.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "output_file.h"

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

/* For what JSON can not have, and where memory is short: allocates nothing. */
static void put_ascii(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            fputc('\\', out);
        fputc(eval_results_ascii(*text), out);
    }
    fputc('"', out);
}

static void put_text(FILE *out, const char *text)
{
    json_t *value = json_string(text); /* NULL: not UTF-8, or out of memory, without which json_dumpf fails, too */
    if (!value || json_dumpf(value, out, JSON_ENCODE_ANY))
        put_ascii(out, text);
    json_decref(value);
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

/* {"AUC": 1, ..., to be closed by the caller. */
static void put_box_scores(FILE *out, const double *scores)
{
    for (int i = 0; i < N_BOX_SCORES; i++)
        put_key_real(out, i ? ", " : "{", box_score_names[i], scores[i]);
}

/* "J": 1, "F": 1, "J&F": 1, "boxes": {...}, with the separator before the first of them. */
static void put_means(FILE *out, const char *separator, const eval_means *means)
{
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
    put_box_scores(out, means->of + MEAN_BOXES);
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
    put_box_scores(out, b->of);
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

/* What a file that takes the place of others says has to be on the disk before those go. */
static trk_status finish_on_disk(output_file *file)
{
    trk_status rc = output_file_flush(file);
    if (!rc && file->stream != stdout && file->target.kind == TRK_TARGET_FILE && fsync(fileno(file->stream)))
        rc = TRK_FAIL(TRK_E_IO, "%s: cannot be brought to the disk: %s", file->target.path, strerror(errno));
    if (!rc)
        return output_file_finish(file);
    output_file_discard(file);
    return rc;
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
    return finish_on_disk(&file);
}

trk_status clip_result_write(const clip_result *self, const eval_results *of, const char *path)
{
    output_file file;
    trk_status rc = output_file_open(&file, path);
    if (rc)
        return rc;
    fputs("{\"format\": \"track-eval-clip-1\"", file.stream);
    put_origin(file.stream, of);
    fprintf(file.stream, ", \"program\": \"%016" PRIx64 "\"", of->program);
    fprintf(file.stream, ",\n \"source\": \"%016" PRIx64 "\"", self->source);
    fprintf(file.stream,
            ", \"masks_at\": \"%016" PRIx64 "\", \"boxes_at\": \"%016" PRIx64 "\",\n \"clip\": ", self->masks_at,
            self->boxes_at);
    put_clip(file.stream, self, of->layout);
    fputs("}\n", file.stream);
    return finish_on_disk(&file);
}
