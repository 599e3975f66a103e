/* SPDX-License-Identifier: Apache-2.0
 * Seconds per tracked frame in steady state (bank full), one object, no decoding: the library alone.
 *
 *     frame_bench MODEL [--image-size N] [--dtype f32|bf16] [--threads N] [--warmup N] [--frames N] [--objects N]
 *
 * Frames are drawn (textured, moving), 640 x 480. Prints one JSON line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "track.h"

enum { WIDTH = 640, HEIGHT = 480 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void draw(uint8_t *rgb, int index)
{
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++) {
            unsigned h = (unsigned)(x / 4 * 73856093) ^ (unsigned)(y / 4 * 19349663);
            int dx = x - 200 - 4 * index, dy = y - 240, inside = dx * dx + dy * dy < 90 * 90;
            uint8_t *p = rgb + 3 * (y * WIDTH + x);
            p[0] = (uint8_t)((inside ? 190 : 70) + h % 40);
            p[1] = (uint8_t)((inside ? 90 : 110) + h / 64 % 40);
            p[2] = (uint8_t)((inside ? 50 : 100) + h / 4096 % 40);
        }
}

static int fail(const char *what)
{
    fprintf(stderr, "frame_bench: %s: %s\n", what, trk_last_error());
    return 1;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    static uint8_t rgb[WIDTH * HEIGHT * 3];
    trk_model_params p = TRK_MODEL_PARAMS_INIT;
    int warmup = 17, frames = 3, objects = 1;
    if (argc < 2 || argc % 2) {
        fprintf(stderr, "usage: frame_bench MODEL [--image-size N] [--dtype f32|bf16] [--threads N] [--warmup N] "
                        "[--frames N] [--objects N]\n");
        return 2;
    }
    for (int i = 2; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--image-size"))
            p.image_size = atoi(argv[i + 1]);
        else if (!strcmp(argv[i], "--threads"))
            p.threads = atoi(argv[i + 1]);
        else if (!strcmp(argv[i], "--warmup"))
            warmup = atoi(argv[i + 1]);
        else if (!strcmp(argv[i], "--frames"))
            frames = atoi(argv[i + 1]);
        else if (!strcmp(argv[i], "--objects"))
            objects = atoi(argv[i + 1]);
        else if (!strcmp(argv[i], "--dtype"))
            p.precision = strcmp(argv[i + 1], "bf16") ? TRK_PRECISION_F32 : TRK_PRECISION_BF16;
        else {
            fprintf(stderr, "frame_bench: unknown option %s\n", argv[i]);
            return 2;
        }
    }
    if (frames < 1 || frames > 100000 || warmup < 1 || objects < 1)
        return 2;
    trk_model *model = NULL;
    trk_tracker *tracker = NULL;
    double *seconds = calloc((size_t)frames, sizeof *seconds);
    if (!seconds || trk_model_load(&model, argv[1], &p) < 0)
        return fail(argv[1]);
    if (trk_tracker_create(&tracker, model, NULL) < 0)
        return fail("tracker");
    for (int id = 1; id <= objects; id++) {
        trk_box box = {110, 150, 180, 180};
        if (trk_tracker_prompt_box(tracker, id, 0, &box) < 0)
            return fail("prompt");
    }
    for (int i = 0; i < warmup + frames; i++) {
        draw(rgb, i % 60);
        trk_frame frame = {.width = WIDTH, .height = HEIGHT, .planes = {rgb}, .strides = {3 * WIDTH}, .index = i};
        double start = now();
        if (trk_tracker_push(tracker, &frame) < 0)
            return fail("push");
        if (i >= warmup)
            seconds[i - warmup] = now() - start;
    }
    trk_model_info info = {.struct_size = sizeof info};
    trk_memory_use memory = {.struct_size = sizeof memory};
    trk_model_get_info(model, &info);
    trk_tracker_memory(tracker, &memory);
    qsort(seconds, (size_t)frames, sizeof *seconds, compare_doubles);
    printf("{\"model\": \"%s %s\", \"image_size\": %d, \"dtype\": \"%s\", \"threads\": %d, \"objects\": %d, "
           "\"frames\": %d, \"seconds_per_frame\": %.6f, \"fastest\": %.6f, \"peak_bytes\": %zu}\n",
           info.family, info.size_name, info.image_size, info.precision == TRK_PRECISION_BF16 ? "bf16" : "f32",
           info.threads, objects, frames, seconds[frames / 2], seconds[0], memory.total_peak);
    trk_tracker_destroy(&tracker);
    trk_model_destroy(&model);
    free(seconds);
    return 0;
}
