/* SPDX-License-Identifier: Apache-2.0
 * The CUDA backend from end to end, on a card or in its emulation: masks are those of the CPU; how memory is managed,
 * what was recorded, where frames lie and what runs beside it changes no bit of a result. */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../asserts.h"
#include "../differences.h"
#include "backend.h"
#include "cuda.h"
#include "emulation.h"
#include "late_write.h"
#include "script.h"
#include "tracker.h"

enum { LAST = FRAMES - 1 };

static trk_model *cuda, *cpu, *rounded; /* f32, f32, and the GPU in bf16 */
static story base, base_of_1, got;      /* of videos 0 and 1, alone, by `cuda` */

static const char state_path[] = "cuda.trkstate";

static trk_tracker *new_tracker(const trk_model *model, const trk_tracker_params *params)
{
    trk_tracker *t = NULL;
    assert_ok(trk_tracker_create(&t, model, params));
    return t;
}

static trk_pool *new_pool(int most_resident)
{
    trk_pool *pool = NULL;
    trk_pool_params p = TRK_POOL_PARAMS_INIT;
    p.most_resident = most_resident;
    assert_ok(trk_pool_create(&pool, cuda, &p));
    return pool;
}

static trk_tracker *in_pool(trk_pool *pool)
{
    trk_tracker_params p = TRK_TRACKER_PARAMS_INIT;
    p.pool = pool;
    return new_tracker(cuda, &p);
}

static void assert_same(found (*a)[OBJECTS], found (*b)[OBJECTS], int first, int last)
{
    const char *difference = script_difference(a, b, first, last);
    if (difference)
        fail_msg("%s", difference);
}

static void follow(trk_tracker *t, int video, int first, int last, found (*out)[OBJECTS])
{
    assert_ok(script_follow(t, video, first, last, out));
}

static int set_up(void **state)
{
    if (script_load(&cuda, TRK_DEVICE_CUDA, TRK_PRECISION_F32) < 0 ||
        script_load(&rounded, TRK_DEVICE_CUDA, TRK_PRECISION_BF16) < 0 ||
        script_load(&cpu, TRK_DEVICE_CPU, TRK_PRECISION_F32) < 0) {
        fprintf(stderr, "%s\n", trk_last_error());
        return -1;
    }
    for (int video = 0; video < 2; video++) {
        trk_tracker *t = new_tracker(cuda, NULL);
        follow(t, video, 0, LAST, video ? base_of_1 : base);
        trk_tracker_destroy(&t);
    }
    script_keep_handler();
    return 0;
}

static int tear_down(void **state)
{
    script_use_handler();
    trk_model_destroy(&cuda);
    trk_model_destroy(&rounded);
    trk_model_destroy(&cpu);
    return 0;
}

static int no_errors(void **state)
{
    const char *error = emulation_take_error();
    emulation_use_schedule(0);
    if (error)
        fail_msg("%s", error);
    return 0;
}

/* --- against the CPU -------------------------------------------------------------------------------------------- */

static uint8_t masks_of[2][FRAMES][OBJECTS][WIDTH * HEIGHT];

static void follow_with_masks(const trk_model *model, const trk_tracker_params *params, found (*out)[OBJECTS],
                              uint8_t (*masks)[OBJECTS][WIDTH * HEIGHT])
{
    trk_tracker *t = new_tracker(model, params);
    memset(masks, 0, sizeof masks_of[0]);
    for (int i = 0; i < FRAMES; i++) {
        follow(t, 0, i, i, out);
        for (int k = 0; k < OBJECTS; k++)
            if (out[i][k].is_there)
                assert_ok(trk_tracker_mask(t, k + 1, masks[i][k], WIDTH));
    }
    trk_tracker_destroy(&t);
}

/* over the whole story */
static void check_masks(const char *name, int object)
{
    size_t both = 0, either = 0;
    for (int i = 0; i < FRAMES; i++)
        for (int p = 0; p < WIDTH * HEIGHT; p++) {
            both += masks_of[0][i][object][p] & masks_of[1][i][object][p];
            either += masks_of[0][i][object][p] | masks_of[1][i][object][p];
        }
    const double iou = either ? (double)both / (double)either : 0;
    printf("%-22s object %d: %zu pixels, IoU with the CPU %.6f\n", name, object + 1, either, iou);
    if (either < 500 || iou < 0.999)
        fail_msg("%s, object %d: IoU %.6f of %zu pixels", name, object + 1, iou, either);
}

/* Up to the first tracked frames: later ones read what earlier ones wrote in bf16, whose roundings may differ. */
static void check_logits(const char *name, found (*a)[OBJECTS], found (*b)[OBJECTS])
{
    enum { EARLY = 3 };
    for (int i = 0; i < EARLY; i++)
        for (int k = 0; k < OBJECTS; k++) {
            double scale;
            assert_int_equal(a[i][k].is_there, b[i][k].is_there);
            const double worst = largest_difference(a[i][k].logits, b[i][k].logits, SIDE * SIDE, &scale);
            if (!(worst <= 1e-3 * scale))
                fail_msg("%s, frame %d, object %d: logits differ by %g of %g", name, i, k + 1, worst, scale);
        }
}

static void masks_are_those_of_the_cpu(void **state)
{
    static const struct {
        const char *name;
        int reverse;
        trk_switch non_overlap;
    } ways[] = {{"plain", 0, TRK_OFF}, {"no overlap", 0, TRK_ON}, {"no overlap, reverse", 1, TRK_ON}};
    static story host;
    for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
        trk_tracker_params p = TRK_TRACKER_PARAMS_INIT;
        p.reverse = ways[w].reverse;
        p.non_overlap = ways[w].non_overlap;
        follow_with_masks(cuda, &p, got, masks_of[0]);
        follow_with_masks(cpu, &p, host, masks_of[1]);
        check_logits(ways[w].name, got, host);
        for (int k = 0; k < OBJECTS; k++)
            check_masks(ways[w].name, k);
    }
}

/* A library that fails ends nothing: only the emulation's can be made to. */
static void own_kernels_do_what_the_library_fails_at(void **state)
{
    static const int from[][2] = {{1, 0}, {0, 100}}; /* choice, product */
    static story host;
    follow_with_masks(cpu, NULL, host, masks_of[1]);
    for (size_t i = 0; i < sizeof from / sizeof *from; i++) {
        trk_model *model = NULL;
        assert_ok(script_load(&model, TRK_DEVICE_CUDA, TRK_PRECISION_F32));
        emulation_fail_products(from[i][0], from[i][1]);
        follow_with_masks(model, NULL, got, masks_of[0]);
        emulation_fail_products(0, 0);
        check_logits("own products", got, host);
        for (int k = 0; k < OBJECTS; k++)
            check_masks("own products", k);
        trk_model_destroy(&model);
    }
}

/* --- the same bits ---------------------------------------------------------------------------------------------- */

static void policies_change_nothing(void **state)
{
#define POLICY(...)                                                                                                    \
    (trk_tracker_params)                                                                                               \
    {                                                                                                                  \
        .struct_size = sizeof(trk_tracker_params), __VA_ARGS__                                                         \
    }
    const trk_tracker_params policies[] = {
        POLICY(.sweep_every = 3),
        POLICY(.sweep = TRK_SWEEP_NEVER),
        POLICY(.reserve = 1),
        POLICY(.keep_frame = 1, .history = -1),
    };
    for (size_t i = 0; i < sizeof policies / sizeof *policies; i++) {
        trk_tracker *t = new_tracker(cuda, &policies[i]);
        follow(t, 0, 0, LAST, got);
        trk_tracker_destroy(&t);
        assert_same(got, base, 0, LAST);
    }
}

/* three take turns where one may stay; two of them see the same video */
static void among_others_with_evictions(void **state)
{
    enum { TRACKERS = 3 };
    static story all[TRACKERS];
    trk_tracker *list[TRACKERS];
    trk_pool_info info = {.struct_size = sizeof info};
    trk_pool *pool = new_pool(1);
    for (int k = 0; k < TRACKERS; k++)
        list[k] = in_pool(pool);
    for (int i = 0; i < FRAMES; i++)
        for (int k = 0; k < TRACKERS; k++)
            follow(list[k], k % 2, i, i, all[k]);
    assert_ok(trk_pool_get_info(pool, &info));
    assert_true(info.n_evictions >= TRACKERS * (FRAMES - 1) && info.n_returns >= TRACKERS * (FRAMES - 2));
    for (int k = 0; k < TRACKERS; k++) {
        trk_tracker_destroy(&list[k]);
        assert_same(all[k], k % 2 ? base_of_1 : base, 0, LAST);
    }
    trk_pool_destroy(&pool);
}

static void saved_and_resumed(void **state)
{
    enum { SAVED = 4 };
    static found again[1][OBJECTS];
    trk_tracker *t = new_tracker(cuda, NULL);
    follow(t, 0, 0, SAVED, got);
    assert_ok(script_prompt(t, 0, SAVED + 1, 0)); /* waits in the file */
    assert_ok(trk_tracker_save(t, state_path));
    trk_tracker_destroy(&t);
    assert_ok(trk_tracker_resume(&t, cuda, NULL, state_path));
    for (int k = 0; k < OBJECTS; k++)
        assert_ok(script_found(t, k + 1, &again[0][k]));
    assert_same(again, &base[SAVED], 0, 0);
    const trk_frame next = script_frame(0, SAVED + 1);
    assert_ok(trk_tracker_push(t, &next));
    for (int k = 0; k < OBJECTS; k++)
        assert_ok(script_found(t, k + 1, &got[SAVED + 1][k]));
    follow(t, 0, SAVED + 2, LAST, got);
    assert_same(got, base, 0, LAST);
    trk_tracker_destroy(&t);
    unlink(state_path);
}

static void forked(void **state)
{
    enum { FORK = 4 };
    static story twin;
    trk_tracker *t = new_tracker(cuda, NULL), *copy = NULL;
    follow(t, 0, 0, FORK, got);
    assert_ok(trk_tracker_fork(&copy, t));
    for (int i = FORK + 1; i < FRAMES; i++) {
        follow(t, 0, i, i, got);
        follow(copy, 0, i, i, twin);
    }
    assert_same(got, base, 0, LAST);
    assert_same(twin, base, FORK + 1, LAST);
    trk_tracker_destroy(&t);
    trk_tracker_destroy(&copy);
}

static void gone_back(void **state)
{
    enum { TURN = 6, BACK_TO = 4 };
    trk_tracker_params p = TRK_TRACKER_PARAMS_INIT;
    int64_t next = -1;
    p.history = -1;
    trk_tracker *t = new_tracker(cuda, &p);
    follow(t, 0, 0, TURN, got);
    assert_ok(trk_tracker_rewind(t, BACK_TO, &next));
    assert_int_equal(next, BACK_TO);
    follow(t, 0, BACK_TO, LAST, got);
    assert_same(got, base, 0, LAST);
    trk_tracker_destroy(&t);
}

/* On a card products of other numbers of objects may be summed in another order. */
static void assert_alike(found (*a)[OBJECTS], found (*b)[OBJECTS])
{
    for (int k = 0; k < OBJECTS; k++) {
        size_t both = 0, either = 0;
        for (int i = 0; i < FRAMES; i++) {
            assert_int_equal(a[i][k].is_there, b[i][k].is_there);
            for (int e = 0; e < SIDE * SIDE && a[i][k].is_there; e++) {
                both += a[i][k].logits[e] > 0 && b[i][k].logits[e] > 0;
                either += a[i][k].logits[e] > 0 || b[i][k].logits[e] > 0;
            }
        }
        if (!either || (double)both < 0.99 * (double)either)
            fail_msg("object %d: IoU %g", k + 1, (double)both / (double)either);
    }
}

/* What waits for a frame does the same on the kept frame once it is there. There an object with a prompt was tracked
 * with the other one first. */
static void prompted_on_the_kept_frame(void **state)
{
    trk_tracker_params p = TRK_TRACKER_PARAMS_INIT;
    p.keep_frame = 1;
    trk_tracker *t = new_tracker(cuda, &p);
    for (int i = 0; i < FRAMES; i++) {
        const trk_frame frame = script_frame(0, i);
        assert_ok(trk_tracker_push(t, &frame));
        assert_ok(script_prompt(t, 0, i, 0));
        for (int k = 0; k < OBJECTS; k++)
            assert_ok(script_found(t, k + 1, &got[i][k]));
    }
    assert_alike(got, base);
    if (emulation_schedules())
        assert_same(got, base, 0, LAST);
    trk_tracker_destroy(&t);
}

/* --- recorded stages -------------------------------------------------------------------------------------------- */

enum {
    LONG = 36,
    STEADY = 24,
    LATE_OBJECT = 26,
    NO_MORE = 33
}; /* pointers and slots of the bank take turns by STEADY */

/* object 1 is alone for long; then a click on it, a second object, which stays alone */
static void push_long(trk_tracker *t, int i)
{
    const disc one = script_disc(0, 1, i % 16), two = script_disc(0, 2, i % 16);
    if (i == 0)
        assert_ok(script_prompt(t, 0, 0, 0));
    if (i == STEADY + 1)
        assert_ok(trk_tracker_prompt_points(t, 1, i, &(trk_point){one.x - 2, one.y, 1}, 1));
    if (i == LATE_OBJECT)
        assert_ok(trk_tracker_prompt_points(t, 2, i, &(trk_point){two.x, two.y, 1}, 1));
    if (i == NO_MORE)
        assert_ok(trk_tracker_remove_object(t, 1));
    trk_frame frame = script_frame(0, i % 16);
    frame.index = i;
    assert_ok(trk_tracker_push(t, &frame));
}

/* Of all seats, none of which is taken. */
static uint64_t replays(const trk_pool *pool, int n_seats)
{
    uint64_t n = 0;
    assert_int_equal(pool->n_seats, n_seats);
    for (const trk_seat *seat = pool->idle_seats; seat; seat = seat->next)
        n += trk_exec_replays(&seat->net.exec);
    return n;
}

static void look_away(void *user, const char *name, trk_mat mat)
{
}

/* A network whose intermediate results are looked at records nothing. */
static void stop_recording(trk_pool *pool)
{
    for (trk_seat *seat = pool->idle_seats; seat; seat = seat->next)
        seat->net.trace = look_away;
}

/* With the second object the plan may take another piece of scratch: the encoder then runs once and is recorded once at
 * its new place. */
static void recordings_take_over(void **state)
{
    static found a[LONG][OBJECTS], b[LONG][OBJECTS];
    trk_tracker *t = new_tracker(cuda, NULL), *plain = new_tracker(cuda, NULL);
    for (int i = 0; i < LONG; i++) {
        const uint64_t before = i ? replays(t->pool, 1) : 0;
        push_long(t, i);
        const int n = (int)(replays(t->pool, 1) - before);
        if (i >= 2 && n < 1 && i != LATE_OBJECT && i != LATE_OBJECT + 1)
            fail_msg("frame %d: the encoder was not replayed", i);
        if (i >= STEADY - 4 && i <= STEADY && n != 3)
            fail_msg("frame %d: %d of 3 stages (encoder, tracking, memory) were replayed", i, n);
        push_long(plain, i);
        stop_recording(plain->pool);
        for (int k = 0; k < OBJECTS; k++) {
            assert_ok(script_found(t, k + 1, &a[i][k]));
            assert_ok(script_found(plain, k + 1, &b[i][k]));
        }
    }
    assert_true(replays(plain->pool, 1) == 0);
    assert_same(a, b, 0, LONG - 1);
    trk_tracker_destroy(&t);
    trk_tracker_destroy(&plain);
}

static void draw_wide(uint8_t *rgb, int i, trk_frame *out)
{
    script_draw(rgb, WIDTH + 33, HEIGHT + 11, 1, i);
    *out = (trk_frame){
        .width = WIDTH + 33, .height = HEIGHT + 11, .planes = {rgb}, .strides = {3 * (WIDTH + 33)}, .index = i};
}

static void push_wide(trk_tracker *t, int i, found *out)
{
    static uint8_t rgb[(WIDTH + 33) * (HEIGHT + 11) * 3];
    trk_frame frame;
    draw_wide(rgb, i, &frame);
    if (i == 0)
        assert_ok(script_prompt(t, 1, 0, 0));
    assert_ok(trk_tracker_push(t, &frame));
    assert_ok(script_found(t, 1, out));
}

/* frames of two sizes in turn, on seats of two sizes; then another video on the tracker that had the larger ones, which
 * takes the smaller seat */
static void recordings_of_a_shared_seat(void **state)
{
    static found alone[FRAMES][OBJECTS], shared[FRAMES][OBJECTS];
    trk_pool *pool = new_pool(0);
    trk_tracker *solo = new_tracker(cuda, NULL), *wide = in_pool(pool), *t = in_pool(pool);
    for (int i = 0; i < FRAMES; i++) {
        push_wide(solo, i, &alone[i][0]);
        push_wide(wide, i, &shared[i][0]);
        follow(t, 0, i, i, got);
    }
    assert_true(replays(pool, 2) > FRAMES);
    assert_same(shared, alone, 0, LAST);
    assert_same(got, base, 0, LAST);
    assert_ok(trk_tracker_reset(wide));
    follow(wide, 1, 0, LAST, got);
    assert_same(got, base_of_1, 0, LAST);
    trk_tracker_destroy(&solo);
    trk_tracker_destroy(&wide);
    trk_tracker_destroy(&t);
    trk_pool_destroy(&pool);
}

/* --- frames and masks on the device ----------------------------------------------------------------------------- */

enum { SOME = 3, ODD_WIDTH = WIDTH - 1, ODD_HEIGHT = HEIGHT - 1, PITCH = 3 * WIDTH + 32, MASK_STRIDE = WIDTH + 5 };

/* Frame i of video 0, less a column and a row, on the host; planes of rows PITCH apart, one behind the other. */
static trk_frame odd_frame(trk_pixel_format format, int i)
{
    static uint8_t rgb[WIDTH * HEIGHT * 3], planes[PITCH * HEIGHT * 2];
    trk_frame out = {.width = ODD_WIDTH, .height = ODD_HEIGHT, .format = format, .index = i};
    script_draw(rgb, WIDTH, HEIGHT, 0, i);
    memset(planes, 0xee, sizeof planes);
    for (int y = 0; y < HEIGHT; y++) {
        const uint8_t *from = rgb + 3 * WIDTH * y;
        if (format == TRK_PIXEL_RGB24)
            memcpy(planes + PITCH * y, from, 3 * WIDTH);
        for (int x = 0; format == TRK_PIXEL_NV12 && x < WIDTH; x++) {
            planes[PITCH * y + x] = from[3 * x + 1];
            planes[PITCH * (HEIGHT + y / 2) + x] = from[3 * (x | 1) + (x & 1 ? 0 : 2)];
        }
    }
    out.planes[0] = planes;
    out.planes[1] = format == TRK_PIXEL_NV12 ? planes + PITCH * HEIGHT : NULL;
    out.strides[0] = out.strides[1] = PITCH;
    return out;
}

/* The frame's planes on the device at `there`, written before or, as far as that can be arranged, later. */
static trk_frame on_device(trk_frame frame, uint8_t *there, int late)
{
    const size_t bytes = (size_t)PITCH * HEIGHT * 2;
    if (late)
        assert_int_equal(late_write(there, frame.planes[0], bytes), 0);
    else
        assert_ok(trk_cuda_write(0, there, frame.planes[0], bytes));
    for (int p = 1; p >= 0; p--)
        frame.planes[p] = frame.planes[p] ? there + (frame.planes[p] - frame.planes[0]) : NULL;
    frame.place = TRK_ON_DEVICE;
    return frame;
}

static void compare_masks(trk_tracker *t, uint8_t *there)
{
    static uint8_t expected[MASK_STRIDE * HEIGHT], mask[MASK_STRIDE * HEIGHT];
    memset(expected, 7, sizeof expected);
    trk_cuda_fill(0, there, 7, sizeof mask);
    assert_ok(trk_tracker_mask(t, 1, expected, MASK_STRIDE));
    assert_ok(trk_tracker_mask_to(t, 1, TRK_ON_DEVICE, there, MASK_STRIDE));
    assert_ok(trk_cuda_read(0, mask, there, sizeof mask));
    assert_memory_equal(mask, expected, sizeof mask);
    assert_non_null(memchr(mask, 1, sizeof mask));
}

static void frames_of_the_device(trk_pixel_format format, int late)
{
    static found host[SOME][OBJECTS], device[SOME][OBJECTS];
    trk_tracker *a = new_tracker(cuda, NULL), *b = new_tracker(cuda, NULL);
    uint8_t *there = trk_cuda_allocate(0, (size_t)PITCH * HEIGHT * 2),
            *mask = trk_cuda_allocate(0, MASK_STRIDE * HEIGHT);
    assert_non_null(there);
    assert_non_null(mask);
    for (int i = 0; i < SOME; i++) {
        assert_ok(script_prompt(a, 0, i, 0));
        assert_ok(script_prompt(b, 0, i, 0));
        const trk_frame frame = odd_frame(format, i);
        assert_ok(trk_tracker_push(a, &frame));
        const trk_frame uploaded = on_device(frame, there, late);
        assert_ok(trk_tracker_push(b, &uploaded));
        for (int k = 0; k < OBJECTS; k++) {
            assert_ok(script_found(a, k + 1, &host[i][k]));
            assert_ok(script_found(b, k + 1, &device[i][k]));
        }
        compare_masks(b, mask);
        trk_cuda_fill(0, there, 0xab, (size_t)PITCH * HEIGHT * 2); /* borrowed during the call only */
    }
    assert_same(device, host, 0, SOME - 1);
    trk_tracker_destroy(&a);
    trk_tracker_destroy(&b);
    trk_cuda_release(0, there);
    trk_cuda_release(0, mask);
}

static void frames_on_the_device(void **state)
{
    frames_of_the_device(TRK_PIXEL_RGB24, 0);
    frames_of_the_device(TRK_PIXEL_NV12, 0);
}

static void frames_on_the_device_that_come_late(void **state)
{
    frames_of_the_device(TRK_PIXEL_RGB24, 1);
    frames_of_the_device(TRK_PIXEL_NV12, 1);
}

static void a_cpu_model_takes_nothing_of_the_device(void **state)
{
    static uint8_t mask[WIDTH * HEIGHT];
    trk_tracker *t = new_tracker(cpu, NULL);
    trk_frame frame = script_frame(0, 0);
    assert_ok(script_prompt(t, 0, 0, 0));
    frame.place = TRK_ON_DEVICE;
    assert_int_equal(trk_tracker_push(t, &frame), TRK_E_ARGUMENT);
    assert_non_null(strstr(trk_last_error(), "the model is on the CPU"));
    frame.place = TRK_ON_HOST;
    assert_ok(trk_tracker_push(t, &frame));
    assert_int_equal(trk_tracker_mask_to(t, 1, TRK_ON_DEVICE, mask, WIDTH), TRK_E_ARGUMENT);
    assert_ok(trk_tracker_mask_to(t, 1, TRK_ON_HOST, mask, WIDTH));
    trk_tracker_destroy(&t);
}

/* --- what runs beside it ---------------------------------------------------------------------------------------- */

/* Blocks and threads in other orders; in bf16 too. On a card: once more. */
static void in_any_order(void **state)
{
    enum { SHORT = 4 };
    static story first;
    for (int s = 0; s < 3; s++) {
        emulation_use_schedule(s);
        trk_tracker *t = new_tracker(cuda, NULL), *b = new_tracker(rounded, NULL);
        follow(t, 0, 0, LAST, got);
        assert_same(got, base, 0, LAST);
        follow(b, 0, 0, SHORT, s ? got : first);
        if (s)
            assert_same(got, first, 0, SHORT);
        trk_tracker_destroy(&t);
        trk_tracker_destroy(&b);
    }
}

typedef struct worker {
    trk_tracker *t;
    int video;
    trk_status rc;
    char text[256]; /* cmocka's assertions are for the main thread only */
    story got;
} worker;

static void *work(void *user)
{
    worker *w = user;
    w->rc = script_follow(w->t, w->video, 0, LAST, w->got);
    snprintf(w->text, sizeof w->text, "%s", w->rc < 0 ? trk_last_error() : "");
    return NULL;
}

static void two_threads_on_one_pool(void **state)
{
    static worker workers[2];
    pthread_t threads[2];
    trk_pool *pool = new_pool(0);
    for (int k = 0; k < 2; k++) {
        workers[k] = (worker){.t = in_pool(pool), .video = k};
        assert_int_equal(pthread_create(&threads[k], NULL, work, &workers[k]), 0);
    }
    for (int k = 0; k < 2; k++)
        pthread_join(threads[k], NULL);
    for (int k = 0; k < 2; k++) {
        if (workers[k].rc < 0)
            fail_msg("video %d: %s", k, workers[k].text);
        assert_same(workers[k].got, k ? base_of_1 : base, 0, LAST);
        trk_tracker_destroy(&workers[k].t);
    }
    trk_pool_destroy(&pool);
}

struct test {
    void (*run)(void **state);
};

static void with_handler(void **state)
{
    const struct test *test = *state;
    script_use_handler();
    test->run(state);
}

int main(void)
{
#define TEST(name)                                                                                                     \
    {                                                                                                                  \
#name, with_handler, NULL, no_errors, &(struct test)                                                           \
        {                                                                                                              \
            name                                                                                                       \
        }                                                                                                              \
    }
    const struct CMUnitTest tests[] = {
        TEST(masks_are_those_of_the_cpu),
        TEST(own_kernels_do_what_the_library_fails_at),
        TEST(policies_change_nothing),
        TEST(among_others_with_evictions),
        TEST(saved_and_resumed),
        TEST(forked),
        TEST(gone_back),
        TEST(prompted_on_the_kept_frame),
        TEST(recordings_take_over),
        TEST(recordings_of_a_shared_seat),
        TEST(frames_on_the_device),
        TEST(frames_on_the_device_that_come_late),
        TEST(a_cpu_model_takes_nothing_of_the_device),
        TEST(in_any_order),
        TEST(two_threads_on_one_pool),
    };
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (trk_backend_check(TRK_BACKEND_CUDA, 0) == TRK_E_UNSUPPORTED) {
        printf("skipped: %s\n", trk_last_error());
        return 77;
    }
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
