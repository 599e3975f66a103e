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

#include "clip.h"
#include "device.h"
#include "track.h"

#define MAX_TRACKS 64
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
    track list[MAX_TRACKS];
    int n;
} tracks;

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

/* J of every object on frame i, whose masks are kept */
static int score(track *first, const clip *c, trk_tracker *tracker, int i)
{
    for (int k = 0; k < c->n_objects; k++) {
        track *t = &first[k];
        uint8_t *mask = t->masks + (size_t)t->n_frames * t->pixels;
        if (trk_tracker_mask(tracker, t->object, mask, c->width) < 0)
            return complain(c->name);
        t->j[t->n_frames++] = clip_j(c, i, t->object, mask);
    }
    return 0;
}

/* 1: there are fewer clips */
static int follow(const trk_model *model, const char *samples, size_t index, tracks *out)
{
    clip c;
    trk_tracker *tracker = NULL;
    track *first = &out->list[out->n];
    int failed = clip_load_sample(&c, samples, index, MAX_FRAMES);
    if (failed)
        return failed;
    if (out->n + c.n_objects > MAX_TRACKS || trk_tracker_create(&tracker, model, NULL) < 0)
        failed = complain(c.name);
    for (int k = 0; !failed && k < c.n_objects; k++) {
        track *t = &first[k];
        *t = (track){.object = k + 1, .pixels = clip_pixels(&c), .masks = malloc(clip_pixels(&c) * (size_t)c.n_frames)};
        snprintf(t->clip, sizeof t->clip, "%s", c.name);
        out->n++;
        if (!t->masks || trk_tracker_prompt_box(tracker, k + 1, c.first_frame, &c.boxes[k]) < 0)
            failed = complain("prompt");
    }
    for (int i = c.first_frame; !failed && i < c.n_frames; i++) {
        const trk_frame frame = clip_frame(&c, i, i);
        failed = trk_tracker_push(tracker, &frame) < 0 ? complain(c.name) : score(first, &c, tracker, i);
    }
    trk_tracker_destroy(&tracker);
    clip_free(&c);
    return failed;
}

/* all clips in one precision; 77 when the machine lacks it */
static int follow_all(const char *samples, trk_precision precision, tracks *out)
{
    char path[1024];
    trk_model *model = NULL;
    trk_model_params params = TRK_MODEL_PARAMS_INIT;
    params.precision = precision;
    params.device = test_device();
    snprintf(path, sizeof path, "%s/models/demo-m.safetensors", samples);
    trk_status rc = trk_model_load(&model, path, &params);
    if (rc == TRK_E_UNSUPPORTED) {
        printf("skipped: %s\n", trk_last_error());
        return 77;
    }
    if (rc < 0)
        return complain(path);
    int failed = 0;
    for (size_t i = 0; !failed; i++)
        failed = follow(model, samples, i, out);
    trk_model_destroy(&model);
    return failed < 0 ? failed : 0;
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
    const size_t n_tracks = json_array_size(json_object_get(quality, "tracks"));
    int n_failed = quality ? 0 : 1;
    if (quality && (size_t)f32->n != n_tracks) {
        printf("%d tracks were followed, expected %zu\n", f32->n, n_tracks);
        n_failed++;
    }
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
            sum += clip_iou(a->masks + (size_t)k * a->pixels, b->masks + (size_t)k * b->pixels, 0, b->pixels);
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
    for (int i = 0; i < MAX_TRACKS; i++) {
        free(f32.list[i].masks);
        free(bf16.list[i].masks);
    }
    return rc == 77 ? 77 : rc || !f32.n;
}
