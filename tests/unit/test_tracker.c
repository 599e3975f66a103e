/* SPDX-License-Identifier: Apache-2.0
 * The public interface on the shipped model and drawn frames: what is refused, what is remembered, what is isolated. */
#include <pthread.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../asserts.h"
#include "../differences.h"
#include "drawn_frame.h"
#include "track.h"

enum { WIDTH = 200, HEIGHT = 150, IMAGE_SIZE = 256, SIDE = IMAGE_SIZE / 4 /* of the model's logits */ };

static trk_model *model;

static const char model_path[] = TRK_SAMPLES_DIR "/models/demo-m.safetensors";

static int load_model(void **state)
{
    (void)state;
    trk_model_params p = TRK_MODEL_PARAMS_INIT;
    p.image_size = IMAGE_SIZE;
    return trk_model_load(&model, model_path, &p);
}

static int free_model(void **state)
{
    (void)state;
    trk_model_destroy(&model);
    return 0;
}

/* a bright disc that moves right by three pixels a frame over a striped background */
static void draw(uint8_t *rgb, int64_t index)
{
    draw_disc(rgb, WIDTH, HEIGHT, 60 + 3 * (int)index, 70, 30);
}

static trk_status push(trk_tracker *t, int64_t index)
{
    static _Thread_local uint8_t rgb[WIDTH * HEIGHT * 3];
    draw(rgb, index);
    trk_frame frame = {.width = WIDTH, .height = HEIGHT, .planes = {rgb}, .strides = {WIDTH * 3}, .index = index};
    return trk_tracker_push(t, &frame);
}

static const trk_box disc = {30, 40, 60, 60};

static trk_tracker *new_tracker(const trk_tracker_params *params)
{
    trk_tracker *t = NULL;
    assert_int_equal(trk_tracker_create(&t, model, params), TRK_OK);
    return t;
}

static trk_result result(trk_tracker *t, int id)
{
    trk_result r = {.struct_size = sizeof r};
    assert_int_equal(trk_tracker_result(t, id, &r), TRK_OK);
    return r;
}

static void keep_logits(trk_tracker *t, int id, float *out)
{
    const trk_result r = result(t, id);
    assert_int_equal(r.mask_size, SIDE);
    memcpy(out, r.logits, SIDE * SIDE * sizeof *out);
}

/* logits of object 1 on the last of n frames, box on frame 0 */
static void track_alone(int n, float *out)
{
    trk_tracker *t = new_tracker(NULL);
    assert_int_equal(trk_tracker_prompt_box(t, 1, 0, &disc), TRK_OK);
    for (int i = 0; i < n; i++)
        assert_int_equal(push(t, i), TRK_OK);
    keep_logits(t, 1, out);
    trk_tracker_destroy(&t);
}

static void follows_a_disc(void **state)
{
    (void)state;
    static uint8_t mask[WIDTH * HEIGHT];
    trk_tracker *t = new_tracker(NULL);
    assert_int_equal(trk_tracker_prompt_box(t, 1, 0, &disc), TRK_OK);
    for (int i = 0; i < 8; i++) {
        int both = 0, either = 0;
        assert_int_equal(push(t, i), TRK_OK);
        assert_int_equal(trk_tracker_mask(t, 1, mask, WIDTH), TRK_OK);
        for (int y = 0; y < HEIGHT; y++)
            for (int x = 0; x < WIDTH; x++) {
                int dx = x - 60 - 3 * i, dy = y - 70, truth = dx * dx + dy * dy < 30 * 30;
                both += truth && mask[y * WIDTH + x];
                either += truth || mask[y * WIDTH + x];
            }
        if (!(both >= 0.8 * either))
            fail_msg("frame %d: IoU %.3f with the disc, expected at least 0.8", i, (double)both / either);
    }
    trk_tracker_destroy(&t);
    assert_null(t);
    trk_tracker_destroy(&t);
}

static void refuses_bad_prompts(void **state)
{
    (void)state;
    trk_tracker *t = new_tracker(NULL);
    trk_box flat = {10, 10, 0, 5}, inverted = {10, 10, -5, 5}, infinite = {0, 0, INFINITY, 5}, outside = {500, 10, 5, 5};
    trk_point far_point = {10, 1000, 1};
    assert_refused(trk_tracker_prompt_box(t, 1, 0, &flat), TRK_E_ARGUMENT, "width and height positive");
    assert_refused(trk_tracker_prompt_box(t, 1, 0, &inverted), TRK_E_ARGUMENT, "width and height positive");
    assert_refused(trk_tracker_prompt_box(t, 1, 0, &infinite), TRK_E_ARGUMENT, "within");
    assert_refused(trk_tracker_prompt_box(t, 0, 0, &disc), TRK_E_ARGUMENT, "positive number");
    assert_refused(trk_tracker_prompt_points(t, 1, 0, &far_point, 0), TRK_E_ARGUMENT, "1 to 65536");
    assert_refused(trk_tracker_prompt_points(t, 1, 0, NULL, 1), TRK_E_ARGUMENT, "NULL");
    assert_refused(trk_tracker_prompt_box(t, 1, INT64_MIN, &disc), TRK_E_ARGUMENT, "frame number");
    static const uint8_t mask[20 * 10];
    assert_refused(trk_tracker_prompt_mask(t, 1, 0, mask, 20, 10, 3), TRK_E_ARGUMENT, "stride 3");
    /* the frame size is not known yet: the push reports it, and the tracker goes on once it is withdrawn */
    assert_int_equal(trk_tracker_prompt_box(t, 1, 0, &outside), TRK_OK);
    assert_refused(push(t, 0), TRK_E_ARGUMENT, "outside the 200 x 150 frame");
    assert_int_equal(trk_tracker_clear_prompts(t, 1, 0), TRK_OK);
    assert_refused(trk_tracker_clear_prompts(t, 1, 0), TRK_E_NOT_FOUND, "no prompt");
    assert_int_equal(push(t, 0), TRK_OK);
    assert_refused(trk_tracker_prompt_points(t, 1, 1, &far_point, 1), TRK_E_ARGUMENT, "outside");
    assert_refused(trk_tracker_prompt_box(t, 1, 0, &disc), TRK_E_STATE, "keep_frame");
    assert_int_equal(push(t, 1), TRK_OK);
    assert_refused(trk_tracker_prompt_box(t, 1, 0, &disc), TRK_E_STATE, "has passed");
    assert_refused(trk_tracker_remove_object(t, 9), TRK_E_NOT_FOUND, "no object 9");
    trk_tracker_destroy(&t);
}

static void refuses_bad_frames(void **state)
{
    (void)state;
    static uint8_t rgb[WIDTH * HEIGHT * 3];
    trk_tracker *t = new_tracker(NULL);
    trk_frame frame = {.width = WIDTH, .height = HEIGHT, .planes = {rgb}, .strides = {WIDTH * 3}};
    assert_int_equal(push(t, 5), TRK_OK);
    assert_refused(push(t, 7), TRK_E_ARGUMENT, "expected 6");
    frame.index = 6;
    frame.width = WIDTH - 1;
    assert_refused(trk_tracker_push(t, &frame), TRK_E_ARGUMENT, "the frames before it are 200 x 150");
    frame.width = WIDTH;
    frame.strides[0] = 10;
    assert_refused(trk_tracker_push(t, &frame), TRK_E_ARGUMENT, "stride");
    frame.planes[0] = NULL;
    assert_refused(trk_tracker_push(t, &frame), TRK_E_ARGUMENT, "NULL");
    frame.format = (trk_pixel_format)99;
    assert_refused(trk_tracker_push(t, &frame), TRK_E_ARGUMENT, "pixel format");
    frame = (trk_frame){.index = 6, .width = WIDTH, .height = HEIGHT, .format = TRK_PIXEL_NV12, .planes = {rgb, rgb},
                        .strides = {WIDTH, WIDTH}, .matrix = (trk_yuv_matrix)7};
    assert_refused(trk_tracker_push(t, &frame), TRK_E_ARGUMENT, "frame matrix 7");
    frame.width = 0;
    assert_refused(trk_tracker_push(t, &frame), TRK_E_ARGUMENT, "sides");
    assert_int_equal(push(t, 6), TRK_OK);
    trk_tracker_destroy(&t);
}

static void refuses_bad_models(void **state)
{
    (void)state;
    trk_model *m = NULL;
    trk_model_params p = TRK_MODEL_PARAMS_INIT;
    assert_refused(trk_model_load(&m, "/nonexistent/model.pt", NULL), TRK_E_IO, "/nonexistent/model.pt");
    assert_refused(trk_model_load(&m, TRK_SAMPLES_DIR "/clips/plain-motion.mp4", NULL), TRK_E_FORMAT, "plain-motion.mp4");
    p.image_size = 250;
    assert_refused(trk_model_load(&m, model_path, &p), TRK_E_ARGUMENT, "250");
    p.image_size = 0;
    p.device = TRK_DEVICE_CUDA;
    p.device_index = 1 << 20; /* also where there is a GPU */
    assert_refused(trk_model_load(&m, model_path, &p), TRK_E_UNSUPPORTED, "cuda");
    p = (trk_model_params)TRK_MODEL_PARAMS_INIT;
    p.struct_size = 3;
    assert_refused(trk_model_load(&m, model_path, &p), TRK_E_ARGUMENT, "struct_size");
    assert_null(m);
}

static void *load_in_thread(void *user)
{
    trk_model *m = NULL;
    (void)user;
    const int good = trk_model_load(&m, model_path, NULL) >= 0 && !*trk_last_error();
    trk_model_destroy(&m);
    return good ? &model : NULL;
}

/* that no GPU can be used is no failure of the call */
static void a_model_that_loads_leaves_no_error(void **state)
{
    (void)state;
    pthread_t fresh;
    void *good;
    assert_int_equal(pthread_create(&fresh, NULL, load_in_thread, NULL), 0);
    pthread_join(fresh, &good);
    assert_non_null(good);
}

static void objects_come_and_go(void **state)
{
    (void)state;
    int ids[4];
    trk_tracker *t = new_tracker(NULL);
    trk_box other = {100, 20, 40, 40};
    trk_result r = {.struct_size = sizeof r};
    assert_int_equal(trk_tracker_prompt_box(t, 7, 0, &disc), TRK_OK);
    assert_int_equal(trk_tracker_prompt_box(t, 3, 2, &other), TRK_OK);
    assert_int_equal(push(t, 0), TRK_OK);
    assert_int_equal(trk_tracker_objects(t, ids, 4), 1);
    assert_int_equal(ids[0], 7);
    assert_refused(trk_tracker_result(t, 3, &r), TRK_E_NOT_FOUND, "no result");
    assert_true(result(t, 7).prompted);
    assert_int_equal(push(t, 1), TRK_OK);
    assert_false(result(t, 7).prompted);
    assert_int_equal(push(t, 2), TRK_OK);
    assert_int_equal(trk_tracker_objects(t, ids, 4), 2);
    assert_int_equal(ids[0], 3);
    assert_int_equal(ids[1], 7);
    assert_int_equal(trk_tracker_remove_object(t, 7), TRK_OK);
    assert_int_equal(trk_tracker_objects(t, NULL, 0), 1);
    assert_int_equal(push(t, 3), TRK_OK);
    assert_refused(trk_tracker_result(t, 7, &r), TRK_E_NOT_FOUND, "no object 7");
    trk_tracker_destroy(&t);
}

static void objects_do_not_disturb_each_other(void **state)
{
    (void)state;
    static float alone[SIDE * SIDE], together[SIDE * SIDE];
    track_alone(5, alone);
    trk_tracker *t = new_tracker(NULL);
    trk_box other = {100, 20, 40, 40};
    assert_int_equal(trk_tracker_prompt_box(t, 1, 0, &disc), TRK_OK);
    assert_int_equal(trk_tracker_prompt_box(t, 2, 1, &other), TRK_OK);
    for (int i = 0; i < 5; i++)
        assert_int_equal(push(t, i), TRK_OK);
    keep_logits(t, 1, together);
    assert_memory_equal(alone, together, sizeof alone);
    trk_tracker_destroy(&t);
}

static void reset_leaves_nothing_behind(void **state)
{
    (void)state;
    static float fresh[SIDE * SIDE], again[SIDE * SIDE];
    track_alone(4, fresh);
    trk_tracker *t = new_tracker(NULL);
    trk_box other = {100, 20, 40, 40};
    assert_int_equal(trk_tracker_prompt_box(t, 1, 50, &other), TRK_OK);
    for (int i = 50; i < 53; i++)
        assert_int_equal(push(t, i), TRK_OK);
    assert_int_equal(trk_tracker_reset(t), TRK_OK);
    assert_int_equal(trk_tracker_objects(t, NULL, 0), 0);
    assert_int_equal(trk_tracker_prompt_box(t, 1, 0, &disc), TRK_OK);
    for (int i = 0; i < 4; i++)
        assert_int_equal(push(t, i), TRK_OK);
    keep_logits(t, 1, again);
    assert_memory_equal(fresh, again, sizeof fresh);
    trk_tracker_destroy(&t);
}

static void kept_frames_can_be_prompted_again(void **state)
{
    (void)state;
    static float first[SIDE * SIDE], refined[SIDE * SIDE];
    trk_tracker_params p = TRK_TRACKER_PARAMS_INIT;
    p.keep_frame = 1;
    trk_tracker *t = new_tracker(&p);
    trk_point off = {80, 70, 0};
    assert_int_equal(push(t, 0), TRK_OK);
    assert_int_equal(trk_tracker_objects(t, NULL, 0), 0);
    assert_int_equal(trk_tracker_prompt_box(t, 1, 0, &disc), TRK_OK);
    keep_logits(t, 1, first);
    assert_int_equal(trk_tracker_prompt_points(t, 1, 0, &off, 1), TRK_OK);
    keep_logits(t, 1, refined);
    assert_memory_not_equal(first, refined, sizeof first);
    assert_int_equal(trk_tracker_clear_prompts(t, 1, 0), TRK_OK);
    assert_int_equal(trk_tracker_objects(t, NULL, 0), 0);
    assert_int_equal(trk_tracker_prompt_box(t, 1, 0, &disc), TRK_OK);
    keep_logits(t, 1, refined);
    assert_memory_equal(first, refined, sizeof first);
    assert_int_equal(push(t, 1), TRK_OK);
    assert_int_equal(trk_tracker_prompt_points(t, 1, 1, &off, 1), TRK_OK); /* correction of a tracked frame */
    assert_true(result(t, 1).prompted);
    assert_int_equal(push(t, 2), TRK_OK);
    /* a withdrawn correction leaves what tracking had found, here and from here on */
    static float tracked[SIDE * SIDE];
    keep_logits(t, 1, tracked);
    assert_int_equal(trk_tracker_prompt_points(t, 1, 2, &off, 1), TRK_OK);
    assert_int_equal(trk_tracker_clear_prompts(t, 1, 2), TRK_OK);
    keep_logits(t, 1, refined);
    assert_memory_equal(tracked, refined, sizeof tracked);
    assert_false(result(t, 1).prompted);
    trk_tracker_destroy(&t);
}

static void memory_is_flat_and_features_are_swept(void **state)
{
    (void)state;
    trk_tracker *t = new_tracker(NULL);
    trk_memory_use early = {.struct_size = sizeof early}, late = {.struct_size = sizeof late};
    assert_int_equal(trk_tracker_prompt_box(t, 1, 0, &disc), TRK_OK);
    for (int i = 0; i < 60; i++) {
        assert_int_equal(push(t, i), TRK_OK);
        if (i == 20)
            assert_int_equal(trk_tracker_memory(t, &early), TRK_OK);
    }
    assert_int_equal(trk_tracker_memory(t, &late), TRK_OK);
    assert_int_equal(late.total_now, early.total_now);
    assert_int_equal(late.total_peak, early.total_peak);
    assert_int_equal(late.devices[0].now[TRK_CLASS_FRAME], 0); /* frame class */
    assert_true(late.devices[0].peak[TRK_CLASS_FRAME] > 0);
    assert_int_equal(late.n_sweeps, 60);
    trk_tracker_destroy(&t);
}

static void mask_prompt_comes_back(void **state)
{
    (void)state;
    static uint8_t given[2 * HEIGHT * 2 * WIDTH], mask[WIDTH * HEIGHT];
    for (int y = 0; y < 2 * HEIGHT; y++)
        for (int x = 0; x < 2 * WIDTH; x++)
            given[y * 2 * WIDTH + x] = (uint8_t)((x - 120) * (x - 120) + (y - 140) * (y - 140) < 60 * 60);
    trk_tracker *t = new_tracker(NULL);
    assert_int_equal(trk_tracker_prompt_mask(t, 1, 0, given, 2 * WIDTH, 2 * HEIGHT, 2 * WIDTH), TRK_OK);
    assert_int_equal(push(t, 0), TRK_OK);
    assert_int_equal(trk_tracker_mask(t, 1, mask, WIDTH), TRK_OK);
    int both = 0, either = 0;
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++) {
            int truth = given[2 * y * 2 * WIDTH + 2 * x];
            both += truth && mask[y * WIDTH + x];
            either += truth || mask[y * WIDTH + x];
        }
    assert_true(both > 0.9 * either);
    assert_true(result(t, 1).object_score == 10.0f);
    assert_int_equal(push(t, 1), TRK_OK);
    trk_tracker_destroy(&t);
}

/* What waits for a frame, in the order it is given: B box, C other box, P points, Q other points, M mask. */
static void prompted_with(const char *order, float *out)
{
    static const trk_point points[2][1] = {{{60, 70, 1}}, {{90, 70, 0}}};
    static const trk_box other = {20, 30, 90, 70};
    static uint8_t mask[WIDTH * HEIGHT];
    trk_tracker *t = new_tracker(NULL);
    for (int i = 0; i < WIDTH * HEIGHT; i++)
        mask[i] = abs(i % WIDTH - 60) < 12 && abs(i / WIDTH - 70) < 12;
    for (const char *p = order; *p; p++) {
        trk_status rc = *p == 'M'   ? trk_tracker_prompt_mask(t, 1, 0, mask, WIDTH, HEIGHT, WIDTH)
                        : *p == 'B' ? trk_tracker_prompt_box(t, 1, 0, &disc)
                        : *p == 'C' ? trk_tracker_prompt_box(t, 1, 0, &other)
                                    : trk_tracker_prompt_points(t, 1, 0, points[*p == 'Q'], 1);
        assert_int_equal(rc, TRK_OK);
    }
    assert_int_equal(push(t, 0), TRK_OK);
    keep_logits(t, 1, out);
    trk_tracker_destroy(&t);
}

static void prompts_of_one_frame_join(void **state)
{
    (void)state;
    static const struct {
        const char *first, *second;
        int same;
    } cases[] = {
        {"CB", "B", 1},   /* a box replaces a box */
        {"PB", "BP", 1},  /* one given after clicks keeps them */
        {"PCB", "BP", 1}, /* and replaces the box alone */
        {"BM", "M", 1},   /* a mask replaces everything */
        {"BPM", "M", 1},
        {"B", "C", 0}, /* and all of them are seen */
        {"B", "BP", 0},
        {"BP", "BPQ", 0},
        {"P", "BP", 0},
        {"B", "M", 0},
    };
    static float a[SIDE * SIDE], b[SIDE * SIDE];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        prompted_with(cases[i].first, a);
        prompted_with(cases[i].second, b);
        if ((memcmp(a, b, sizeof a) == 0) != cases[i].same)
            fail_msg("%s and %s: expected %s logits", cases[i].first, cases[i].second, cases[i].same ? "equal" : "other");
    }
}

static int n_warned;

static void count_warnings(void *user, int level, const char *line)
{
    (void)user;
    (void)level;
    n_warned += strstr(line, "tracking is past") != NULL;
}

static void a_prompt_that_is_passed_over_is_told_and_dropped(void **state)
{
    (void)state;
    trk_tracker_info info = {.struct_size = sizeof info};
    trk_tracker *t = new_tracker(NULL);
    assert_int_equal(trk_tracker_prompt_box(t, 1, 3, &disc), TRK_OK);
    assert_int_equal(trk_tracker_prompt_box(t, 1, 5, &disc), TRK_OK);
    assert_int_equal(trk_tracker_prompt_box(t, 2, 6, &disc), TRK_OK);
    n_warned = 0;
    trk_set_log(count_warnings, NULL, 1);
    assert_int_equal(push(t, 5), TRK_OK); /* the video begins here */
    assert_int_equal(push(t, 6), TRK_OK);
    trk_set_log(NULL, NULL, 0);
    assert_int_equal(n_warned, 1);
    assert_int_equal(trk_tracker_get_info(t, &info), TRK_OK);
    assert_int_equal(info.n_waiting, 0);
    assert_int_equal(trk_tracker_objects(t, NULL, 0), 2);
    trk_tracker_destroy(&t);
}

static void gray_in_every_format_is_the_same(void **state)
{
    (void)state;
    static uint8_t gray[WIDTH * HEIGHT], chroma[WIDTH * HEIGHT], rgb[WIDTH * HEIGHT * 3];
    static float expected[SIDE * SIDE], got[SIDE * SIDE];
    memset(chroma, 128, sizeof chroma);
    draw(rgb, 0);
    for (int i = 0; i < WIDTH * HEIGHT; i++) {
        gray[i] = rgb[3 * i];
        rgb[3 * i + 1] = rgb[3 * i + 2] = gray[i];
    }
    const trk_pixel_format formats[] = {TRK_PIXEL_RGB24, TRK_PIXEL_GRAY8, TRK_PIXEL_I420,
                                        TRK_PIXEL_I422,  TRK_PIXEL_I444,  TRK_PIXEL_NV12};
    for (int k = 0; k < 6; k++) {
        trk_tracker *t = new_tracker(NULL);
        trk_frame frame = {.width = WIDTH, .height = HEIGHT, .format = formats[k], .full_range = 1};
        frame.planes[0] = k ? gray : rgb;
        frame.strides[0] = k ? WIDTH : 3 * WIDTH;
        frame.planes[1] = frame.planes[2] = chroma;
        frame.strides[1] = frame.strides[2] = WIDTH;
        assert_int_equal(trk_tracker_prompt_box(t, 1, 0, &disc), TRK_OK);
        assert_int_equal(trk_tracker_push(t, &frame), TRK_OK);
        keep_logits(t, 1, k ? got : expected);
        if (k)
            assert_memory_equal(expected, got, sizeof got);
        trk_tracker_destroy(&t);
    }
}

/* mask, and that the logits of the frame's size tell the same */
static void mask_and_logits(trk_tracker *t, int id, uint8_t *mask)
{
    static float logits[WIDTH * HEIGHT];
    assert_int_equal(trk_tracker_mask(t, id, mask, WIDTH), TRK_OK);
    memset(logits, 0xff, sizeof logits); /* NaN */
    assert_int_equal(trk_tracker_logits(t, id, logits), TRK_OK);
    for (int i = 0; i < WIDTH * HEIGHT; i++)
        if (isnan(logits[i]) || (logits[i] > 0) != (mask[i] != 0))
            fail_msg("object %d at %d,%d: logit %g, mask %d", id, i % WIDTH, i / WIDTH, logits[i], mask[i]);
}

static void non_overlap_gives_each_pixel_to_one(void **state)
{
    (void)state;
    static uint8_t a[WIDTH * HEIGHT], b[WIDTH * HEIGHT];
    trk_tracker_params p = TRK_TRACKER_PARAMS_INIT;
    for (int on = 0; on < 2; on++) {
        int shared = 0;
        p.non_overlap = on ? TRK_ON : TRK_DEFAULT;
        trk_tracker *t = new_tracker(&p);
        assert_int_equal(trk_tracker_prompt_box(t, 1, 0, &disc), TRK_OK);
        assert_int_equal(trk_tracker_prompt_box(t, 2, 0, &disc), TRK_OK);
        assert_int_equal(push(t, 0), TRK_OK);
        mask_and_logits(t, 1, a);
        mask_and_logits(t, 2, b);
        for (int i = 0; i < WIDTH * HEIGHT; i++)
            shared += a[i] && b[i];
        assert_true(on ? shared == 0 : shared > 0);
        trk_tracker_destroy(&t);
    }
}

/* the same logits, to rounding, from the plain C reference; bit for bit from any number of threads */
static void backends_and_threads_agree(void **state)
{
    (void)state;
    static float expected[SIDE * SIDE], got[SIDE * SIDE];
    trk_model *shared = model;
    trk_model_params p = TRK_MODEL_PARAMS_INIT;
    p.precision = TRK_PRECISION_F32;
    p.image_size = IMAGE_SIZE;
    assert_int_equal(trk_model_load(&model, model_path, &p), TRK_OK);
    track_alone(3, expected);
    trk_model_destroy(&model);
    p.threads = 1;
    assert_int_equal(trk_model_load(&model, model_path, &p), TRK_OK);
    track_alone(3, got);
    trk_model_destroy(&model);
    assert_memory_equal(expected, got, sizeof got);
    p.device = TRK_DEVICE_REFERENCE;
    assert_int_equal(trk_model_load(&model, model_path, &p), TRK_OK);
    track_alone(3, got);
    trk_model_destroy(&model);
    model = shared;
    double scale;
    const double worst = largest_difference(expected, got, SIDE * SIDE, &scale);
    if (!(worst <= 1e-3 * scale)) /* the fidelity bound of the project */
        fail_msg("cpu and reference differ by %g on a scale of %g", worst, scale);
}

static void *track_in_thread(void *out)
{
    track_alone(5, out);
    return NULL;
}

static void trackers_run_side_by_side(void **state)
{
    (void)state;
    static float expected[SIDE * SIDE], got[3][SIDE * SIDE];
    pthread_t threads[3];
    track_alone(5, expected);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, track_in_thread, got[i]), 0);
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
        assert_memory_equal(expected, got[i], sizeof expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(follows_a_disc),
        cmocka_unit_test(refuses_bad_prompts),
        cmocka_unit_test(refuses_bad_frames),
        cmocka_unit_test(refuses_bad_models),
        cmocka_unit_test(a_model_that_loads_leaves_no_error),
        cmocka_unit_test(objects_come_and_go),
        cmocka_unit_test(objects_do_not_disturb_each_other),
        cmocka_unit_test(reset_leaves_nothing_behind),
        cmocka_unit_test(kept_frames_can_be_prompted_again),
        cmocka_unit_test(memory_is_flat_and_features_are_swept),
        cmocka_unit_test(mask_prompt_comes_back),
        cmocka_unit_test(prompts_of_one_frame_join),
        cmocka_unit_test(a_prompt_that_is_passed_over_is_told_and_dropped),
        cmocka_unit_test(gray_in_every_format_is_the_same),
        cmocka_unit_test(non_overlap_gives_each_pixel_to_one),
        cmocka_unit_test(backends_and_threads_agree),
        cmocka_unit_test(trackers_run_side_by_side),
    };
    return cmocka_run_group_tests(tests, load_model, free_model);
}
