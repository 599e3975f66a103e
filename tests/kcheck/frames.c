/* SPDX-License-Identifier: Apache-2.0
 * Cases of frame_to_input, and what Pillow and torch themselves compute (upstream.h, written by upstream.py). */
#include <math.h>
#include <string.h>

#include "kcheck.h"
#include "upstream.h"

typedef struct frame_context {
    const uint8_t *rgb;
    int width, height, size;
    ptrdiff_t stride;
    const float *mean, *std;
} frame_context;

static const float mean[3] = {0.485f, 0.456f, 0.406f}, std[3] = {0.229f, 0.224f, 0.225f};

static void run_frame(trk_exec *x, trk_mat out, const void *context)
{
    const frame_context *c = context;
    TRK_RUN(x, frame_to_input, out, c->rgb, c->width, c->height, c->stride, c->size, c->mean, c->std);
}

static void frame_case(kcheck *k, int width, int height, int size, int extra, trk_dtype dtype)
{
    if (!kcheck_case(k, FILL_UNIFORM, kcheck_dtype(dtype), "%dx%d->%d s%d", width, height, size, extra))
        return;
    const ptrdiff_t stride = (ptrdiff_t)width * 3 + extra;
    const frame_context c = {
        kcheck_bytes(k, (size_t)(stride * (height - 1)) + (size_t)width * 3), width, height, size, stride, mean, std};
    kcheck_run(k, kcheck_shape(size * size, 3, extra, dtype), run_frame, &c, KCHECK_EXACT, 0);
}

void check_frame_to_input(kcheck *k)
{
    /* enlarging, shrinking, equal, one axis each, single pixels, heights around the strip of 16 rows */
    static const int shapes[][3] = {{1, 1, 1},    {1, 1, 16},      {5, 3, 16},    {16, 16, 16},
                                    {17, 15, 16}, {100, 33, 32},   {31, 97, 48},  {64, 64, 64},
                                    {48, 31, 64}, {640, 480, 256}, {333, 17, 96}, {3, 500, 16}};
    static const int models[][3] = {
        {1920, 1080, 1024}, {1280, 720, 1024}, {3840, 2160, 1024}, {854, 480, 256}, {480, 480, 256}};
    for (int i = 0; i < KCHECK_OF(models) && kcheck_is_bench(k); i++)
        frame_case(k, models[i][0], models[i][1], models[i][2], 0, TRK_F32);
    for (int i = 0; i < KCHECK_OF(shapes) && !kcheck_is_bench(k); i++)
        for (int extra = 0; extra < 3; extra += 2)
            for (int dtype = 0; dtype < 2; dtype++)
                frame_case(k, shapes[i][0], shapes[i][1], shapes[i][2], extra, (trk_dtype)dtype);
}

/* ---- upstream ---- */

/* The stream upstream.py fills its images from. */
static uint32_t next_of(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state;
}

/* With mean 0 and std 1 the output is byte / 255, which gives Pillow's bytes back. */
static void check_pillow(kcheck *k, trk_exec *x)
{
    static const float zeros[3] = {0, 0, 0}, ones[3] = {1, 1, 1};
    for (int i = 0; i < KCHECK_OF(pillow_cases); i++) {
        const int width = pillow_cases[i].width, height = pillow_cases[i].height, size = pillow_cases[i].size;
        if (!kcheck_case(k, FILL_UNIFORM, "pillow", "%dx%d->%d", width, height, size))
            continue;
        const size_t n = (size_t)width * (size_t)height * 3;
        uint8_t *rgb = kcheck_bytes(k, n);
        uint32_t state = (uint32_t)i + 1, hash = 2166136261u;
        for (size_t j = 0; j < n; j++)
            rgb[j] = (uint8_t)(next_of(&state) >> 24);
        trk_mat out = kcheck_uniform(k, size * size, 3, TRK_F32, 0, 0);
        if (kcheck_too_large(k, 0))
            continue;
        x->status = TRK_OK;
        TRK_RUN(x, frame_to_input, out, rgb, width, height, (ptrdiff_t)width * 3, size, zeros, ones);
        trk_exec_finish(x);
        for (int j = 0; j < size * size * 3; j++)
            hash = (hash ^ (uint32_t)lrintf(((const float *)out.data)[j] * 255)) * 16777619u;
        kcheck_expect(k, x->status == TRK_OK && hash == pillow_cases[i].hash, "Pillow's bytes");
    }
}

/* torch sums in f32 in its own order: a few roundings apart */
static void check_torch(kcheck *k, trk_exec *x)
{
    for (int i = 0; i < KCHECK_OF(torch_cases); i++) {
        const torch_case *c = &torch_cases[i];
        if (!kcheck_case(k, FILL_UNIFORM, "torch", "%dx%d->%dx%d%s", c->in_h, c->in_w, c->out_h, c->out_w,
                         c->antialias ? " antialias" : ""))
            continue;
        trk_mat in = kcheck_uniform(k, c->in_h, c->in_w, TRK_F32, 0, 0);
        trk_mat out = kcheck_uniform(k, c->out_h, c->out_w, TRK_F32, 0, 0);
        uint32_t state = (uint32_t)i + 1;
        for (int j = 0; j < c->in_h * c->in_w; j++)
            ((float *)in.data)[j] = (float)(next_of(&state) >> 24) / 64;
        x->status = TRK_OK;
        TRK_RUN(x, resize_bilinear, out, in, c->antialias);
        kcheck_expect(k, trk_exec_finish(x) == TRK_OK, "no failure");
        for (int j = 0; j < c->out_h * c->out_w; j++)
            kcheck_expect(k, fabsf(((const float *)out.data)[j] - torch_values[c->first + j]) <= 2e-6f,
                          "torch's value");
    }
}

void check_upstream(kcheck *k)
{
    trk_exec x;
    if (kcheck_is_bench(k))
        return;
    if (trk_exec_init(&x, kcheck_backend(k), kcheck_allocator(k)) == TRK_OK) {
        check_pillow(k, &x);
        check_torch(k, &x);
    }
    trk_exec_release(&x);
}
