/* SPDX-License-Identifier: Apache-2.0
 * Many trackers on one device: nobody notices the others, budgets hold, copies share what they have not written, and
 * the plan says what a run needs. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../asserts.h"
#include "track.h"

enum { WIDTH = 96, HEIGHT = 72, LARGEST = 480 /* side of a frame */, IMAGE_SIZE = 64, SIDE = IMAGE_SIZE / 4 };
enum { MANY = 200, ROOM = 20, FRAMES = 4, CLICKS = 8 };

typedef float logits[SIDE * SIDE];

static trk_model *model;
static logits solo[MANY][FRAMES]; /* of video k, tracked alone */

/* Video `number`: a disc whose place, size, speed and colour depend on the number. */
typedef struct scene {
    float x, y, radius, speed;
} scene;

static scene scene_at(int number, int64_t index)
{
    scene s = {.radius = (float)(10 + number % 7), .speed = (float)(1 + number % 3)};
    s.x = (float)(20 + number * 7 % 41) + s.speed * (float)(index % 16);
    s.y = (float)(20 + number * 11 % 31);
    return s;
}

static void draw(uint8_t *rgb, int width, int height, int number, int64_t index)
{
    scene s = scene_at(number, index);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            float dx = (float)x - s.x, dy = (float)y - s.y;
            int inside = dx * dx + dy * dy < s.radius * s.radius;
            uint8_t *p = rgb + 3 * (y * width + x);
            p[0] = (uint8_t)(inside ? 230 : 60 + (x * 5 + y * 3 + number) % 40);
            p[1] = (uint8_t)(inside ? 120 + (x + y) % 30 : 90 + (x * 2 + y * 7) % 50);
            p[2] = (uint8_t)(inside ? 40 + number % 50 : 120);
        }
}

/* Of any format but RGB24 the drawn bytes are the planes, whatever they show. */
static trk_status push_as(trk_tracker *t, trk_pixel_format format, int width, int height, int number, int64_t index)
{
    static _Thread_local uint8_t bytes[LARGEST * LARGEST * 3];
    const int rgb = format == TRK_PIXEL_RGB24, luma = width * height, half = (width + 1) / 2;
    draw(bytes, width, height, number, index);
    trk_frame frame = {.width = width, .height = height, .format = format, .index = index,
                       .planes = {bytes, bytes + luma, bytes + luma + half * ((height + 1) / 2)},
                       .strides = {rgb ? 3 * width : width, half, half}};
    return trk_tracker_push(t, &frame);
}

static trk_status push_sized(trk_tracker *t, int width, int height, int number, int64_t index)
{
    return push_as(t, TRK_PIXEL_RGB24, width, height, number, index);
}

static trk_status push(trk_tracker *t, int number, int64_t index)
{
    return push_sized(t, WIDTH, HEIGHT, number, index);
}

static trk_status prompt(trk_tracker *t, int object, int number)
{
    scene s = scene_at(number, 0);
    trk_box box = {s.x - s.radius, s.y - s.radius, 2 * s.radius, 2 * s.radius};
    return trk_tracker_prompt_box(t, object, 0, &box);
}

static trk_tracker *new_tracker(const trk_tracker_params *params)
{
    trk_tracker *t = NULL;
    assert_ok(trk_tracker_create(&t, model, params));
    return t;
}

static trk_pool *new_pool(const trk_pool_params *params)
{
    trk_pool *pool = NULL;
    assert_ok(trk_pool_create(&pool, model, params));
    return pool;
}

static trk_tracker *in_pool(trk_pool *pool)
{
    trk_tracker_params p = TRK_TRACKER_PARAMS_INIT;
    p.pool = pool;
    return new_tracker(&p);
}

static trk_status keep(const trk_tracker *t, int object, float *out)
{
    trk_result r = {.struct_size = sizeof r};
    trk_status rc = trk_tracker_result(t, object, &r);
    if (rc >= 0)
        memcpy(out, r.logits, sizeof(logits));
    return rc;
}

static trk_device_bytes device_of(const trk_tracker *t)
{
    trk_memory_use use = {.struct_size = sizeof use};
    assert_ok(trk_tracker_memory(t, &use));
    return use.devices[0];
}

static void check_budget(const trk_tracker *t)
{
    trk_device_bytes d = device_of(t);
    if (d.budget && (d.total_peak > d.budget || d.total_now > d.budget))
        fail_msg("%zu bytes at the peak, %zu now (pinned %zu), the budget is %zu", d.total_peak, d.total_now,
                 d.now[TRK_CLASS_PINNED], d.budget);
}

static trk_pool_info info_of(trk_pool *pool)
{
    trk_pool_info info = {.struct_size = sizeof info};
    assert_ok(trk_pool_get_info(pool, &info));
    return info;
}

static trk_plan plan_as(trk_pixel_format format, int objects, int prompts, int trackers,
                        const trk_tracker_params *params)
{
    trk_plan out = {.struct_size = sizeof out};
    trk_plan_params q = TRK_PLAN_PARAMS_INIT;
    q.width = WIDTH;
    q.height = HEIGHT;
    q.format = format;
    q.objects = objects;
    q.prompts = prompts;
    q.prompt_points = prompts > 1 ? CLICKS : 0;
    q.trackers = trackers;
    q.tracker = params;
    assert_ok(trk_plan_make(&out, model, &q));
    return out;
}

static trk_plan plan(int objects, int prompts, int trackers, const trk_tracker_params *params)
{
    return plan_as(TRK_PIXEL_RGB24, objects, prompts, trackers, params);
}

static int set_up(void **state)
{
    trk_model_params p = TRK_MODEL_PARAMS_INIT;
    p.image_size = IMAGE_SIZE;
    p.threads = 2; /* each adds to what a plan allows for operators to come */
    if (trk_model_load(&model, TRK_SAMPLES_DIR "/models/demo-m.safetensors", &p) < 0)
        return -1;
    for (int k = 0; k < MANY; k++) {
        trk_tracker *t = new_tracker(NULL);
        assert_ok(prompt(t, 1, k));
        for (int i = 0; i < FRAMES; i++) {
            assert_ok(push(t, k, i));
            assert_ok(keep(t, 1, solo[k][i]));
        }
        trk_tracker_destroy(&t);
    }
    return memcmp(solo[0], solo[1], sizeof solo[0]) ? 0 : -1;
}

static int tear_down(void **state)
{
    trk_model_destroy(&model);
    return 0;
}

/* MANY trackers take turns; returns what the pool says at the end */
static trk_pool_info take_turns(trk_pool *pool)
{
    static trk_tracker *list[MANY];
    logits got;
    for (int k = 0; k < MANY; k++) {
        list[k] = in_pool(pool);
        assert_ok(prompt(list[k], 1, k));
    }
    for (int i = 0; i < FRAMES; i++)
        for (int k = 0; k < MANY; k++) {
            assert_ok(push(list[k], k, i));
            assert_ok(keep(list[k], 1, got));
            if (memcmp(got, solo[k][i], sizeof got))
                fail_msg("tracker %d, frame %d: other logits than alone", k, i);
        }
    trk_pool_info info = info_of(pool);
    assert_int_equal(info.n_trackers, MANY);
    assert_int_equal(info.n_busy, 0);
    check_budget(list[0]);
    for (int k = 0; k < MANY; k++) /* results can be read without coming back */
        assert_ok(keep(list[k], 1, got));
    for (int k = 0; k < MANY; k++)
        trk_tracker_destroy(&list[k]);
    return info;
}

static void two_hundred_where_twenty_may_stay(void **state)
{
    trk_pool_params q = TRK_POOL_PARAMS_INIT;
    q.most_resident = ROOM;
    trk_pool *pool = new_pool(&q);
    trk_pool_info info = take_turns(pool);
    assert_true(info.n_evictions >= (uint64_t)(MANY - ROOM) * FRAMES);
    assert_true(info.n_resident <= ROOM);
    assert_true(info.bytes_evicted > 0);
    trk_pool_destroy(&pool);
}

static void two_hundred_in_memory_for_twenty(void **state)
{
    trk_pool_params q = TRK_POOL_PARAMS_INIT;
    q.budget = plan(1, 1, ROOM, NULL).total;
    trk_pool *pool = new_pool(&q);
    trk_pool_info info = take_turns(pool);
    assert_int_equal(info.budget, q.budget);
    assert_true(info.n_evictions > 0);
    assert_true(info.n_resident < MANY);
    trk_pool_destroy(&pool);
}

/* Two objects each, the second from frame 3 on, in no order: slots of all lie among each other when one is evicted. */
static void six_in_any_order_in_memory_for_one(void **state)
{
    enum { TRACKERS = 6, CALLS = 150, SECOND_FROM = 3 };
    static const trk_box box = {20, 20, 16, 16};
    trk_pool_params q = TRK_POOL_PARAMS_INIT;
    q.budget = plan(2, 1, 1, NULL).total;
    trk_pool *pool = new_pool(&q);
    trk_tracker *list[TRACKERS];
    int64_t next[TRACKERS] = {0};
    uint32_t draw = 1;
    logits got;
    for (int k = 0; k < TRACKERS; k++) {
        list[k] = in_pool(pool);
        assert_ok(prompt(list[k], 1, k));
        assert_ok(trk_tracker_prompt_box(list[k], 2, SECOND_FROM, &box));
    }
    for (int i = 0; i < CALLS; i++) {
        draw = draw * 1103515245u + 12345u;
        const int k = (int)(draw >> 16) % TRACKERS;
        if (push(list[k], k, next[k]) < 0)
            fail_msg("call %d, frame %d of tracker %d: %s", i, (int)next[k], k, trk_last_error());
        assert_ok(keep(list[k], 1, got));
        if (next[k] < FRAMES && memcmp(got, solo[k][next[k]], sizeof got))
            fail_msg("tracker %d, frame %d: other logits than alone", k, (int)next[k]);
        next[k]++;
    }
    check_budget(list[0]);
    assert_true(info_of(pool).n_evictions > CALLS / 2);
    for (int k = 0; k < TRACKERS; k++)
        trk_tracker_destroy(&list[k]);
    trk_pool_destroy(&pool);
}

/* --- threads ---------------------------------------------------------------------------------------------------- */

enum { THREADS = 4 };

typedef struct worker {
    trk_tracker **list;
    int first, n;
    char text[256]; /* what went wrong; cmocka's assertions are for the main thread only */
} worker;

static void *push_some(void *user)
{
    worker *w = user;
    logits got;
    for (int i = 0; i < FRAMES && !w->text[0]; i++)
        for (int k = w->first; k < w->n && !w->text[0]; k += THREADS)
            if (push(w->list[k], k, i) < 0 || keep(w->list[k], 1, got) < 0)
                snprintf(w->text, sizeof w->text, "tracker %d, frame %d: %s", k, i, trk_last_error());
            else if (memcmp(got, solo[k][i], sizeof got))
                snprintf(w->text, sizeof w->text, "tracker %d, frame %d: other logits than alone", k, i);
    return NULL;
}

static void push_from_threads(trk_pool *pool, int n)
{
    static trk_tracker *list[MANY];
    worker workers[THREADS] = {{0}};
    pthread_t threads[THREADS];
    for (int k = 0; k < n; k++) {
        list[k] = in_pool(pool);
        assert_ok(prompt(list[k], 1, k));
    }
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (worker){.list = list, .first = i, .n = n};
        assert_int_equal(pthread_create(&threads[i], NULL, push_some, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < THREADS; i++)
        if (workers[i].text[0])
            fail_msg("%s", workers[i].text);
    check_budget(list[0]);
    assert_true(info_of(pool).n_evictions > 0);
    for (int k = 0; k < n; k++)
        trk_tracker_destroy(&list[k]);
}

static void four_threads_where_eight_may_stay(void **state)
{
    trk_pool_params q = TRK_POOL_PARAMS_INIT;
    q.most_resident = 8;
    trk_pool *pool = new_pool(&q);
    push_from_threads(pool, 40);
    assert_true(info_of(pool).n_resident <= 8);
    trk_pool_destroy(&pool);
}

static void four_threads_in_memory_for_eight(void **state)
{
    trk_plan needed = {.struct_size = sizeof needed};
    trk_plan_params q = TRK_PLAN_PARAMS_INIT;
    q.width = WIDTH;
    q.height = HEIGHT;
    q.trackers = 8;
    q.busy = THREADS;
    assert_ok(trk_plan_make(&needed, model, &q));
    trk_pool_params p = TRK_POOL_PARAMS_INIT;
    p.budget = needed.total;
    trk_pool *pool = new_pool(&p);
    push_from_threads(pool, MANY);
    trk_pool_destroy(&pool);
}

/* --- copies ----------------------------------------------------------------------------------------------------- */

static void copies_share_until_written(void **state)
{
    enum { COPIES = 8, FORK = 10, LAST = 24 };
    logits expected, got, copy;
    trk_tracker *plain = new_tracker(NULL), *t = new_tracker(NULL);
    assert_ok(prompt(plain, 1, 3));
    assert_ok(prompt(t, 1, 3));
    for (int i = 0; i <= FORK; i++) {
        assert_ok(push(plain, 3, i));
        assert_ok(push(t, 3, i));
    }
    size_t alone = device_of(t).now[TRK_CLASS_BANK];
    for (int k = 0; k < COPIES; k++)
        assert_ok(trk_tracker_fork_object(t, 1, 2 + k));
    assert_int_equal(device_of(t).now[TRK_CLASS_BANK], alone);
    assert_ok(keep(t, 1, expected));
    assert_ok(keep(t, 1 + COPIES, copy)); /* the result comes along */
    assert_memory_equal(expected, copy, sizeof copy);
    trk_point elsewhere[] = {{5, 66, 1}, {60, 20, 0}};
    assert_ok(trk_tracker_prompt_points(t, 2, FORK + 1, elsewhere, 2));
    for (int i = FORK + 1; i <= LAST; i++) {
        assert_ok(push(plain, 3, i));
        assert_ok(push(t, 3, i));
        assert_ok(keep(plain, 1, expected));
        assert_ok(keep(t, 1, got));
        assert_memory_equal(expected, got, sizeof got);
        assert_ok(keep(t, 3, copy)); /* the same story up to here and from here on */
        assert_memory_equal(expected, copy, sizeof copy);
        assert_ok(keep(t, 2, copy));
        assert_memory_not_equal(expected, copy, sizeof copy);
    }
    assert_true(device_of(t).now[TRK_CLASS_BANK] > 3 * alone);
    trk_tracker_destroy(&plain);
    trk_tracker_destroy(&t);
}

/* --- the plan --------------------------------------------------------------------------------------------------- */

typedef struct setting {
    const char *name;
    int objects, prompts;
    trk_tracker_params params;
    trk_pixel_format format;
} setting;

/* bytes on the device at the peak of a run long enough to fill the bank */
static size_t measured_peak(const setting *s)
{
    enum { LAST = 40 };
    static uint8_t mask[WIDTH * HEIGHT];
    trk_tracker *t = new_tracker(&s->params);
    for (int k = 0; k < s->objects; k++) {
        assert_ok(prompt(t, k + 1, k));
        for (int i = 1; i < s->prompts; i++) {
            scene at = scene_at(k, 2 * i);
            trk_point clicks[CLICKS];
            for (int n = 0; n < CLICKS; n++)
                clicks[n] = (trk_point){at.x, at.y - 4 + (float)n, 1};
            assert_ok(trk_tracker_prompt_points(t, k + 1, s->params.reverse ? -2 * i : 2 * i, clicks, CLICKS));
        }
    }
    for (int i = 0; i <= LAST; i++) {
        assert_ok(push_as(t, s->format, WIDTH, HEIGHT, 0, s->params.reverse ? -i : i));
        for (int k = 0; k < s->objects; k++)
            assert_ok(trk_tracker_mask(t, k + 1, mask, WIDTH));
    }
    size_t peak = device_of(t).total_peak;
    trk_tracker_destroy(&t);
    return peak;
}

static void the_plan_is_what_a_run_needs(void **state)
{
#define SETTING(...) (trk_tracker_params){.struct_size = sizeof(trk_tracker_params), __VA_ARGS__}
    const setting settings[] = {
        {"defaults", 1, 1, SETTING(.reverse = 0), TRK_PIXEL_RGB24},
        {"three objects", 3, 1, SETTING(.reverse = 0), TRK_PIXEL_RGB24},
        {"four prompts", 1, 4, SETTING(.correct_as_condition = TRK_ON), TRK_PIXEL_RGB24},
        {"three objects, four prompts", 3, 4, SETTING(.correct_as_condition = TRK_ON), TRK_PIXEL_RGB24},
        {"f32", 1, 1, SETTING(.memory_type = TRK_MEMORY_F32), TRK_PIXEL_RGB24},
        {"older in q8", 2, 1, SETTING(.older_memory_type = TRK_MEMORY_Q8, .older_after = 3), TRK_PIXEL_RGB24},
        {"history", 1, 1, SETTING(.history = 10), TRK_PIXEL_RGB24},
        {"sweep every fourth", 1, 1, SETTING(.sweep_every = 4), TRK_PIXEL_RGB24},
        {"reverse", 2, 1, SETTING(.reverse = 1), TRK_PIXEL_RGB24},
        {"keep_frame", 1, 1, SETTING(.keep_frame = 1), TRK_PIXEL_RGB24},
        {"reserve", 2, 2, SETTING(.reserve = 1, .correct_as_condition = TRK_ON), TRK_PIXEL_RGB24},
        {"gray", 1, 1, SETTING(.reverse = 0), TRK_PIXEL_GRAY8},
        {"I420", 2, 1, SETTING(.reserve = 1), TRK_PIXEL_I420},
    };
    int n_failed = 0;
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        const setting *s = &settings[i];
        trk_plan planned = plan_as(s->format, s->objects, s->prompts, 1, &s->params);
        size_t peak = measured_peak(s);
        int ok = planned.total >= peak && (double)planned.total <= 1.05 * (double)peak;
        printf("%-28s plan %zu (pinned %zu, bank %zu, frame %zu, scratch %zu), peak %zu: %.3f%s\n", s->name,
               planned.total, planned.pinned, planned.bank, planned.frame, planned.scratch, peak,
               (double)planned.total / (double)peak, ok ? "" : "  FAILED");
        assert_int_equal(planned.total, planned.pinned + planned.bank + planned.frame + planned.scratch);
        n_failed += !ok;
    }
    assert_int_equal(n_failed, 0);
}

static void what_can_not_fit_is_refused(void **state)
{
    enum { TOO_MANY = 12 };
    trk_pool_params q = TRK_POOL_PARAMS_INIT;
    q.budget = plan(2, 1, 1, NULL).total;
    trk_pool *pool = new_pool(&q);
    trk_tracker *t = in_pool(pool);
    for (int k = 0; k < TOO_MANY; k++)
        assert_ok(prompt(t, k + 1, k));
    assert_int_equal(push(t, 0, 0), TRK_E_MEMORY);
    assert_non_null(strstr(trk_last_error(), "budget"));
    for (int k = 1; k < TOO_MANY; k++)
        assert_ok(trk_tracker_remove_object(t, k + 1));
    for (int i = 0; i < FRAMES; i++) {
        logits got;
        assert_ok(push(t, 0, i));
        assert_ok(keep(t, 1, got));
        assert_memory_equal(got, solo[0][i], sizeof got);
    }
    assert_true(device_of(t).total_peak <= q.budget);
    trk_tracker_destroy(&t);
    trk_pool_destroy(&pool);
}

static void a_budget_below_the_model_is_refused(void **state)
{
    trk_pool *pool = NULL;
    trk_pool_params q = TRK_POOL_PARAMS_INIT;
    trk_tracker *any = new_tracker(NULL);
    q.budget = device_of(any).now[TRK_CLASS_PINNED] - 1;
    trk_tracker_destroy(&any);
    assert_int_equal(trk_pool_create(&pool, model, &q), TRK_E_MEMORY);
    assert_null(pool);
}

static void reserving_leaves_nothing_to_allocate(void **state)
{
    trk_tracker_params p = TRK_TRACKER_PARAMS_INIT;
    p.reserve = 1;
    trk_tracker *t = new_tracker(&p);
    assert_ok(prompt(t, 1, 0));
    assert_ok(prompt(t, 2, 1));
    assert_ok(push(t, 0, 0));
    trk_device_bytes early = device_of(t);
    for (int i = 1; i <= 40; i++) {
        assert_ok(push(t, 0, i));
        trk_device_bytes now = device_of(t);
        if (now.total_now != early.total_now || now.total_peak != early.total_peak)
            fail_msg("frame %d: %zu bytes, after the first there were %zu", i, now.total_now, early.total_now);
    }
    trk_tracker_destroy(&t);
}

static size_t beside_the_model(const trk_tracker *t)
{
    trk_device_bytes d = device_of(t);
    return d.total_now - d.now[TRK_CLASS_PINNED]; /* its operators may have met new shapes */
}

/* Video after video, of one tracker and of one each in a pool. */
static void reserving_takes_what_is_there_already(void **state)
{
    enum { VIDEOS = 4 };
    trk_tracker_params p = TRK_TRACKER_PARAMS_INIT;
    trk_pool_params q = TRK_POOL_PARAMS_INIT;
    size_t first = 0;
    p.reserve = 1;
    p.sweep_every = 3;
    p.pool = new_pool(&q);
    trk_tracker *t = new_tracker(&p);
    for (int video = 0; video < 2 * VIDEOS; video++) {
        assert_ok(prompt(t, 1, video));
        for (int i = 0; i < FRAMES; i++)
            assert_ok(push(t, video, i));
        assert_ok(trk_tracker_reset(t));
        first = video ? first : beside_the_model(t);
        if (beside_the_model(t) != first)
            fail_msg("after video %d: %zu bytes, after the first there were %zu", video, beside_the_model(t), first);
        if (video >= VIDEOS) {
            trk_tracker_destroy(&t);
            t = new_tracker(&p);
        }
    }
    trk_tracker_destroy(&t);
    trk_pool_destroy(&p.pool);
}

/* Its parent still holds all that the two share. */
static void a_fork_reserves_for_itself(void **state)
{
    enum { HISTORY = 20, FORK = 40, LAST = 80 };
    trk_tracker_params p = TRK_TRACKER_PARAMS_INIT;
    trk_tracker *fork = NULL;
    p.reserve = 1;
    p.history = HISTORY;
    trk_tracker *t = new_tracker(&p);
    assert_ok(prompt(t, 1, 0));
    for (int i = 0; i < FORK; i++)
        assert_ok(push(t, 0, i));
    assert_ok(trk_tracker_fork(&fork, t));
    assert_ok(push(fork, 0, FORK));
    const size_t early = beside_the_model(fork);
    for (int i = FORK + 1; i <= LAST; i++)
        assert_ok(push(fork, 0, i));
    assert_int_equal(beside_the_model(fork), early);
    trk_tracker_destroy(&t);
    trk_tracker_destroy(&fork);
}

/* --- one tracker, several videos -------------------------------------------------------------------------------- */

static void follow(trk_tracker *t, int width, int height, int number, logits *out)
{
    assert_ok(prompt(t, 1, number));
    for (int i = 0; i < FRAMES; i++) {
        assert_ok(push_sized(t, width, height, number, i));
        assert_ok(keep(t, 1, out[i]));
    }
}

static void videos_of_other_sizes_follow_each_other(void **state)
{
    enum { WIDE = 2 * WIDTH, TALL = 2 * HEIGHT - 7 };
    logits expected[FRAMES], got[FRAMES];
    trk_tracker *t = new_tracker(NULL), *fresh = new_tracker(NULL);
    follow(t, WIDTH, HEIGHT, 7, got);
    assert_memory_equal(got, solo[7], sizeof got);
    follow(fresh, WIDE, TALL, 5, expected);
    assert_ok(trk_tracker_reset(t));
    follow(t, WIDE, TALL, 5, got);
    assert_memory_equal(got, expected, sizeof got);
    assert_ok(trk_tracker_reset(t));
    follow(t, WIDTH, HEIGHT, 9, got);
    assert_memory_equal(got, solo[9], sizeof got);
    trk_tracker_destroy(&t);
    trk_tracker_destroy(&fresh);
}

/* Frames of growing sizes leave nothing behind that only smaller ones could use. */
static void videos_of_growing_sizes_leave_no_chunks(void **state)
{
    enum { SIZES = 24 };
    trk_tracker_params p = TRK_TRACKER_PARAMS_INIT;
    p.reserve = 1; /* what is reserved is for this video, too */
    trk_tracker *t = new_tracker(&p);
    for (int i = 0; i < SIZES; i++) {
        const int width = WIDTH + i * (LARGEST - WIDTH) / (SIZES - 1);
        assert_ok(trk_tracker_reset(t));
        assert_ok(prompt(t, 1, 5));
        for (int frame = 0; frame < 2; frame++)
            assert_ok(push_sized(t, width, width, 5, frame));
    }
    trk_tracker *fresh = new_tracker(NULL);
    assert_ok(prompt(fresh, 1, 5));
    for (int frame = 0; frame < 2; frame++)
        assert_ok(push_sized(fresh, LARGEST, LARGEST, 5, frame));
    const size_t has = device_of(t).now[TRK_CLASS_SCRATCH], needs = device_of(fresh).now[TRK_CLASS_SCRATCH];
    if ((double)has > 1.25 * (double)needs)
        fail_msg("%zu bytes of scratch memory after %d sizes, a tracker of the last size alone has %zu", has, SIZES,
                 needs);
    trk_tracker_destroy(&t);
    trk_tracker_destroy(&fresh);
}

/* the last test: after all these videos, trackers and objects */
static void tables_were_built_once(void **state)
{
    trk_memory_use use = {.struct_size = sizeof use};
    trk_tracker *t = new_tracker(NULL);
    assert_ok(trk_tracker_memory(t, &use));
    const uint64_t checksum = use.tables_checksum;
    for (int k = 0; k < 5; k++)
        assert_ok(prompt(t, k + 1, k));
    for (int i = 0; i < 5; i++)
        assert_ok(push(t, 0, i));
    assert_ok(trk_tracker_memory(t, &use));
    assert_int_equal(use.rope_builds, 1);
    assert_int_equal(use.tables_checksum, checksum);
    trk_tracker_destroy(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_hundred_where_twenty_may_stay),
        cmocka_unit_test(two_hundred_in_memory_for_twenty),
        cmocka_unit_test(six_in_any_order_in_memory_for_one),
        cmocka_unit_test(four_threads_where_eight_may_stay),
        cmocka_unit_test(four_threads_in_memory_for_eight),
        cmocka_unit_test(copies_share_until_written),
        cmocka_unit_test(the_plan_is_what_a_run_needs),
        cmocka_unit_test(what_can_not_fit_is_refused),
        cmocka_unit_test(a_budget_below_the_model_is_refused),
        cmocka_unit_test(reserving_leaves_nothing_to_allocate),
        cmocka_unit_test(reserving_takes_what_is_there_already),
        cmocka_unit_test(a_fork_reserves_for_itself),
        cmocka_unit_test(videos_of_other_sizes_follow_each_other),
        cmocka_unit_test(videos_of_growing_sizes_leave_no_chunks),
        cmocka_unit_test(tables_were_built_once),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
