/* SPDX-License-Identifier: Apache-2.0
 * test_quality f32|bf16 SAMPLES QUALITY.json: mask quality on the sample clips.
 *
 * f32: mean J of every track against the true masks, beside the official predictor's on the same model and frames.
 * bf16: the same J within its bound of f32's, and the masks themselves against f32's. Skipped (77) where the machine has
 * no bf16 products. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "track.h"
#include "video.h"

#define MAX_OBJECTS 8
#define MAX_FRAMES 256
#define J_BOUND_OFFICIAL 1e-3 /* f32 against the official code */
#define J_BOUND_BF16 5e-3     /* bf16 against f32 */
#define IOU_FLOOR_BF16 0.99   /* mean over a track's frames, bf16 masks against f32 masks */

typedef struct track {
    char clip[64];
    int object, n_frames;
    double j[MAX_FRAMES];
    uint8_t *masks; /* [n_frames, pixels], owned */
    size_t pixels;
} track;

typedef struct tracks {
    track list[64];
    int n;
} tracks;

static double iou(const uint8_t *a, const uint8_t *b, size_t n)
{
    size_t both = 0, either = 0;
    for (size_t i = 0; i < n; i++) {
        both += a[i] && b[i];
        either += a[i] || b[i];
    }
    return either ? (double)both / (double)either : 1.0;
}

static double mean_j(const track *t)
{
    double sum = 0;
    for (int i = 0; i < t->n_frames; i++)
        sum += t->j[i];
    return sum / t->n_frames;
}

static int complain(const char *what)
{
    fprintf(stderr, "test_quality: %s: %s\n", what, trk_last_error());
    return -1;
}

/* J of one object on one frame; true masks are palette PNGs whose index is the object */
static int score(track *t, trk_tracker *tracker, const char *truth_path, int width)
{
    trk_image truth = {0};
    if (trk_image_read(&truth, truth_path, 1) < 0)
        return complain(truth_path);
    uint8_t *mask = t->masks + (size_t)t->n_frames * t->pixels;
    int failed = (size_t)truth.width * (size_t)truth.height != t->pixels ||
                 trk_tracker_mask(tracker, t->object, mask, width) < 0;
    for (size_t i = 0; !failed && i < t->pixels; i++)
        truth.data[i] = truth.data[i] == t->object;
    if (!failed)
        t->j[t->n_frames++] = iou(mask, truth.data, t->pixels);
    trk_image_free(&truth);
    return failed ? complain(truth_path) : 0;
}

static int follow(const trk_model *model, const char *samples, const json_t *clip, tracks *out)
{
    char path[1024];
    const char *name = json_string_value(json_object_get(clip, "clip"));
    const char *truth = json_string_value(json_object_get(clip, "truth"));
    const json_t *objects = json_object_get(clip, "objects");
    int n = (int)json_array_size(objects), failed = 0;
    track *first = &out->list[out->n];
    trk_video_reader *reader = NULL;
    trk_tracker *tracker = NULL;
    trk_picture *picture;
    snprintf(path, sizeof path, "%s/clips/%s", samples, name);
    if (out->n + n > 64 || trk_video_open(&reader, path, &(trk_video_params){.start = -1, .n_frames = -1}) < 0 ||
        trk_tracker_create(&tracker, model, NULL) < 0)
        failed = complain(path);
    const trk_video_info *info = failed ? NULL : trk_video_get_info(reader);
    for (int i = 0; !failed && i < n; i++) {
        const json_t *box = json_object_get(json_array_get(objects, (size_t)i), "box");
        float v[4];
        for (size_t k = 0; k < 4; k++)
            v[k] = (float)json_number_value(json_array_get(box, k));
        track *t = &first[i];
        t->object = i + 1;
        t->pixels = (size_t)info->width * (size_t)info->height;
        t->masks = malloc(t->pixels * MAX_FRAMES);
        snprintf(t->clip, sizeof t->clip, "%s", name);
        out->n++;
        if (!t->masks || trk_tracker_prompt_box(tracker, i + 1, 0, &(trk_box){v[0], v[1], v[2], v[3]}) < 0)
            failed = complain("prompt");
    }
    while (!failed && trk_video_read(reader, &picture) == TRK_OK) {
        trk_frame frame = {.width = picture->width, .height = picture->height, .planes = {picture->rgb},
                           .strides = {picture->stride}, .index = picture->index};
        if (picture->index >= MAX_FRAMES || trk_tracker_push(tracker, &frame) < 0)
            failed = complain(name);
        snprintf(path, sizeof path, "%s/clips/%s/%05d.png", samples, truth, (int)picture->index);
        for (int i = 0; !failed && i < n; i++)
            failed = score(&first[i], tracker, path, picture->width);
        trk_video_release(reader, picture);
    }
    trk_tracker_destroy(&tracker);
    trk_video_close(&reader);
    return failed;
}

/* all clips in one precision; 77 when the machine lacks it */
static int follow_all(const char *samples, trk_precision precision, tracks *out)
{
    char path[1024];
    json_error_t error;
    trk_model *model = NULL;
    trk_model_params params = TRK_MODEL_PARAMS_INIT;
    params.precision = precision;
    snprintf(path, sizeof path, "%s/models/demo-m.safetensors", samples);
    trk_status rc = trk_model_load(&model, path, &params);
    if (rc == TRK_E_UNSUPPORTED) {
        printf("skipped: %s\n", trk_last_error());
        return 77;
    }
    if (rc < 0)
        return complain(path);
    snprintf(path, sizeof path, "%s/clips/manifest.json", samples);
    json_t *manifest = json_load_file(path, 0, &error);
    int failed = manifest ? 0 : complain(path);
    size_t i;
    const json_t *clip;
    json_array_foreach(manifest, i, clip)
        if (!failed)
            failed = follow(model, samples, clip, out);
    json_decref(manifest);
    trk_model_destroy(&model);
    return failed;
}

static double official_j(const json_t *quality, const track *t)
{
    size_t i;
    const json_t *row;
    json_array_foreach(json_object_get(quality, "tracks"), i, row)
        if (!strcmp(json_string_value(json_object_get(row, "clip")), t->clip) &&
            json_integer_value(json_object_get(row, "object")) == t->object)
            return json_real_value(json_object_get(row, "mean"));
    return NAN;
}

static int check_f32(const tracks *f32, const char *quality_path)
{
    json_error_t error;
    json_t *quality = json_load_file(quality_path, 0, &error);
    int n_failed = quality ? 0 : 1;
    for (int i = 0; quality && i < f32->n; i++) {
        const track *t = &f32->list[i];
        double ours = mean_j(t), theirs = official_j(quality, t);
        int ok = fabs(ours - theirs) <= J_BOUND_OFFICIAL;
        printf("%-14s object %d  J %.4f  official %.4f  %s\n", t->clip, t->object, ours, theirs, ok ? "ok" : "FAILED");
        n_failed += !ok;
    }
    json_decref(quality);
    return n_failed;
}

static int check_bf16(const tracks *bf16, const tracks *f32)
{
    int n_failed = bf16->n != f32->n;
    for (int i = 0; !n_failed && i < f32->n; i++) {
        const track *a = &bf16->list[i], *b = &f32->list[i];
        double sum = 0;
        for (int k = 0; k < b->n_frames; k++)
            sum += iou(a->masks + (size_t)k * a->pixels, b->masks + (size_t)k * b->pixels, b->pixels);
        double same = sum / b->n_frames, change = mean_j(a) - mean_j(b);
        int ok = a->n_frames == b->n_frames && same >= IOU_FLOOR_BF16 && fabs(change) <= J_BOUND_BF16;
        printf("%-14s object %d  J %.4f (%+.4f)  IoU with f32 %.4f  %s\n", a->clip, a->object, mean_j(a), change, same,
               ok ? "ok" : "FAILED");
        n_failed += !ok;
    }
    return n_failed;
}

int main(int argc, char **argv)
{
    static tracks f32, bf16;
    if (argc != 4)
        return 2;
    int want_bf16 = !strcmp(argv[1], "bf16");
    int rc = want_bf16 ? follow_all(argv[2], TRK_PRECISION_BF16, &bf16) : 0;
    if (!rc)
        rc = follow_all(argv[2], TRK_PRECISION_F32, &f32);
    if (!rc)
        rc = want_bf16 ? check_bf16(&bf16, &f32) : check_f32(&f32, argv[3]);
    if (!rc)
        printf("%d tracks, all within bounds\n", f32.n);
    for (int i = 0; i < 64; i++) {
        free(f32.list[i].masks);
        free(bf16.list[i].masks);
    }
    return rc == 77 ? 77 : rc || !f32.n;
}
