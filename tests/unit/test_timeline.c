/* SPDX-License-Identifier: Apache-2.0
 * Corners of a tracker's time and place: going back past where things began, moving out of a pool and into it again,
 * plans of extreme sizes, and files left over. */
#include <fcntl.h>
#include <limits.h>
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
#include "drawn_frame.h"
#include "heap.h"
#include "track.h"

enum { WIDTH = 96, HEIGHT = 72, IMAGE_SIZE = 64, SIDE = IMAGE_SIZE / 4, RADIUS = 15, MOST_POINTS = 65536 };

typedef float logits[SIDE * SIDE];

static trk_model *model;

static int set_up(void **state)
{
    (void)state;
    trk_model_params p = TRK_MODEL_PARAMS_INIT;
    p.image_size = IMAGE_SIZE;
    p.threads = 1;
    return trk_model_load(&model, TRK_SAMPLES_DIR "/models/demo-m.safetensors", &p) < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    trk_model_destroy(&model);
    return 0;
}

/* --- a disc that goes back and forth ------------------------------------------------------------------------------ */

static int place(int64_t index)
{
    int step = (int)(index % 40);
    return 25 + (step < 20 ? step : 40 - step);
}

static trk_frame draw(uint8_t *rgb, int64_t index)
{
    draw_disc(rgb, WIDTH, HEIGHT, place(index), HEIGHT / 2, RADIUS);
    return (trk_frame){.width = WIDTH, .height = HEIGHT, .planes = {rgb}, .strides = {WIDTH * 3}, .index = index};
}

static trk_status push(trk_tracker *t, int64_t index)
{
    static _Thread_local uint8_t rgb[WIDTH * HEIGHT * 3];
    trk_frame frame = draw(rgb, index);
    return trk_tracker_push(t, &frame);
}

static void push_all(trk_tracker *t, int64_t first, int64_t last)
{
    for (int64_t i = first; i <= last; i++)
        assert_ok(push(t, i));
}

static trk_status prompt(trk_tracker *t, int object, int64_t frame)
{
    trk_box box = {(float)(place(frame) - RADIUS), (float)(HEIGHT / 2 - RADIUS), 2 * RADIUS, 2 * RADIUS};
    return trk_tracker_prompt_box(t, object, frame, &box);
}

static trk_tracker *new_tracker(const trk_tracker_params *params)
{
    trk_tracker *t = NULL;
    assert_ok(trk_tracker_create(&t, model, params));
    return t;
}

static trk_tracker *in_pool(trk_pool *pool)
{
    trk_tracker_params p = TRK_TRACKER_PARAMS_INIT;
    p.pool = pool;
    return new_tracker(&p);
}

static trk_pool *new_pool(const trk_pool_params *params)
{
    trk_pool *pool = NULL;
    assert_ok(trk_pool_create(&pool, model, params));
    return pool;
}

static void keep(const trk_tracker *t, int object, float *out)
{
    trk_result r = {.struct_size = sizeof r};
    assert_ok(trk_tracker_result(t, object, &r));
    memcpy(out, r.logits, sizeof(logits));
}

static void push_and_keep(trk_tracker *t, int64_t first, int64_t last, logits *out)
{
    for (int64_t i = first; i <= last; i++) {
        assert_ok(push(t, i));
        keep(t, 1, out[i - first]);
    }
}

static int64_t rewind_to(trk_tracker *t, int64_t frame)
{
    int64_t next = -1;
    assert_ok(trk_tracker_rewind(t, frame, &next));
    return next;
}

static size_t device_peak(const trk_tracker *t)
{
    trk_memory_use use = {.struct_size = sizeof use};
    assert_ok(trk_tracker_memory(t, &use));
    return use.devices[0].total_peak;
}

/* --- one object left ---------------------------------------------------------------------------------------------- */

static void the_object_kept_goes_on_as_if_alone(void **state)
{
    (void)state;
    logits expected[6], got[6];
    int ids[4] = {0};
    trk_tracker *t = new_tracker(NULL), *alone = new_tracker(NULL);
    assert_int_equal(trk_tracker_keep_object(t, 1), TRK_E_NOT_FOUND);
    for (int k = 3; k > 0; k--)
        assert_ok(prompt(t, k, 0));
    assert_ok(prompt(t, 4, 8)); /* waits */
    push_and_keep(t, 0, 2, got);
    assert_int_equal(trk_tracker_keep_object(t, 9), TRK_E_NOT_FOUND);
    assert_int_equal(trk_tracker_all_objects(t, ids, 4), 4); /* nothing is gone by that */
    assert_ok(trk_tracker_keep_object(t, 1));
    assert_int_equal(trk_tracker_all_objects(t, ids, 4), 1);
    assert_int_equal(ids[0], 1);
    assert_ok(trk_tracker_keep_object(t, 1));
    push_and_keep(t, 3, 5, got + 3);
    push_all(t, 6, 8);
    assert_int_equal(trk_tracker_objects(t, ids, 4), 1); /* the one that waited does not begin */
    assert_ok(prompt(alone, 1, 0));
    push_and_keep(alone, 0, 5, expected);
    assert_memory_equal(got, expected, sizeof got);
    trk_tracker_destroy(&t);
    trk_tracker_destroy(&alone);
}

/* --- other numbers ------------------------------------------------------------------------------------------------ */

enum { MOVED = 1000 }; /* of whole rounds of the disc */

/* Both trackers do the same, one of them with every number moved. */
static void check_same(trk_tracker *straight, trk_tracker *moved, int64_t by)
{
    int64_t from[2] = {-1, -1}, to[2] = {-1, -1};
    trk_result a = {.struct_size = sizeof a}, b = {.struct_size = sizeof b};
    assert_ok(trk_tracker_result(straight, 1, &a));
    assert_ok(trk_tracker_result(moved, 1, &b));
    assert_int_equal(b.frame, a.frame + by);
    assert_int_equal(b.prompted, a.prompted);
    assert_memory_equal(b.logits, a.logits, sizeof(logits));
    assert_ok(trk_tracker_reach(straight, 1, &from[0], &to[0]));
    assert_ok(trk_tracker_reach(moved, 1, &from[1], &to[1]));
    assert_int_equal(from[1], from[0] + by);
    assert_int_equal(to[1], to[0] + by);
}

/* n clicks on the object of frame 0, all at one place. */
static void click_on_it(trk_point *points, size_t n)
{
    for (size_t i = 0; i < n; i++)
        points[i] = (trk_point){(float)place(0), HEIGHT / 2, 1};
}

/* A lock, a prompt that waits, one that was applied, a history: all of them move. step: 1, or -1 in reverse. */
static void check_moving(int step)
{
    const int64_t start = 50, at = start + 6 * step;
    trk_tracker *both[2];
    trk_tracker_params p = TRK_TRACKER_PARAMS_INIT;
    trk_point there = {(float)place(at), HEIGHT / 2, 1};
    p.reverse = step < 0;
    p.keep_frame = 1;
    p.history = 3;
    for (int i = 0; i < 2; i++) {
        trk_tracker *t = both[i] = new_tracker(&p);
        const int64_t by = i ? MOVED : 0;
        assert_ok(prompt(t, 1, start));
        assert_ok(prompt(t, 1, at + 2 * step));
        for (int64_t k = start; k != at + step; k += step)
            assert_ok(push(t, k));
        assert_ok(trk_tracker_prompt_points(t, 1, at, &there, 1));
        assert_ok(trk_tracker_lock_frame(t, at));
        if (i) {
            assert_int_equal(trk_tracker_rebase(t, INT64_MAX), TRK_E_ARGUMENT);
            assert_ok(trk_tracker_rebase(t, at + MOVED));
        }
        assert_int_equal(push(t, at + by + 2 * step), TRK_E_ARGUMENT); /* another one is to come */
    }
    check_same(both[0], both[1], MOVED);
    for (int i = 0; i < 2; i++)
        assert_ok(trk_tracker_clear_prompts(both[i], 1, at + (i ? MOVED : 0)));
    check_same(both[0], both[1], MOVED);
    for (int64_t k = at + step; k != at + 4 * step; k += step)
        for (int i = 0; i < 2; i++)
            assert_ok(push(both[i], k + (i ? MOVED : 0)));
    check_same(both[0], both[1], MOVED);
    for (int i = 0; i < 2; i++) { /* the locked frame is tracked again from its features */
        int64_t next = -1;
        const int64_t by = i ? MOVED : 0;
        assert_ok(trk_tracker_rewind(both[i], at + by, &next));
        assert_int_equal(next, at + by + step);
        assert_ok(trk_tracker_unlock_frame(both[i], at + by));
        assert_int_equal(trk_tracker_unlock_frame(both[i], at + by), TRK_E_STATE);
        assert_ok(push(both[i], next));
    }
    check_same(both[0], both[1], MOVED);
    trk_tracker_destroy(&both[0]);
    trk_tracker_destroy(&both[1]);
}

static void every_number_moves_with_the_current_one(void **state)
{
    (void)state;
    check_moving(1);
    check_moving(-1);
}

/* --- going back --------------------------------------------------------------------------------------------------- */

static void an_object_that_begins_anew_has_no_past(void **state)
{
    (void)state;
    logits expected[2], got[2];
    trk_tracker_params p = TRK_TRACKER_PARAMS_INIT;
    p.history = -1;
    p.correct_as_condition = TRK_ON;
    trk_tracker *t = new_tracker(&p), *fresh = new_tracker(&p);
    assert_ok(prompt(t, 1, 0));
    assert_ok(prompt(t, 1, 10));
    push_all(t, 0, 13);
    assert_ok(trk_tracker_forget(t, 1, 0, 0));
    assert_ok(prompt(t, 1, 40)); /* it stays */
    assert_int_equal(rewind_to(t, 8), 8);
    assert_ok(prompt(t, 1, 8));
    push_and_keep(t, 8, 9, got);
    assert_ok(prompt(fresh, 1, 8));
    push_and_keep(fresh, 8, 9, expected);
    assert_memory_equal(got, expected, sizeof got);
    trk_tracker_destroy(&t);
    trk_tracker_destroy(&fresh);
}

static void its_reach_starts_anew_too(void **state)
{
    (void)state;
    int64_t first = -1, last = -1;
    trk_tracker_params p = TRK_TRACKER_PARAMS_INIT;
    p.history = 2;
    trk_tracker *t = new_tracker(&p);
    assert_ok(prompt(t, 1, 10));
    push_all(t, 0, 59);
    assert_ok(prompt(t, 1, 100));
    assert_int_equal(rewind_to(t, 5), 5);
    assert_ok(prompt(t, 1, 6));
    push_all(t, 5, 11);
    assert_ok(trk_tracker_reach(t, 1, &first, &last));
    assert_int_equal(first, 6);
    assert_int_equal(last, 11);
    assert_int_equal(rewind_to(t, 10), 10);
    push_all(t, 10, 11);
    trk_tracker_destroy(&t);
}

static void going_back_reads_older_memories_as_they_were(void **state)
{
    (void)state;
    enum { FIRST = 15, LAST = 20 };
    logits expected[LAST - FIRST + 1], got[LAST - FIRST + 1];
    trk_tracker_params p = TRK_TRACKER_PARAMS_INIT;
    p.history = 10;
    p.older_memory_type = TRK_MEMORY_Q8;
    p.older_after = 3;
    trk_tracker *t = new_tracker(&p);
    assert_ok(prompt(t, 1, 0));
    push_all(t, 0, FIRST - 1);
    push_and_keep(t, FIRST, LAST, expected);
    assert_int_equal(rewind_to(t, FIRST), FIRST);
    push_and_keep(t, FIRST, LAST, got);
    assert_memory_equal(got, expected, sizeof got);
    trk_tracker_destroy(&t);
}

static void a_frame_pushed_again_keeps_its_locks(void **state)
{
    (void)state;
    trk_tracker_params p = TRK_TRACKER_PARAMS_INIT;
    p.history = -1;
    p.sweep = TRK_SWEEP_NEVER;
    trk_tracker *t = new_tracker(&p);
    assert_ok(prompt(t, 1, 0));
    push_all(t, 0, 9);
    assert_ok(trk_tracker_lock_frame(t, 8));
    assert_int_equal(rewind_to(t, 5), 6); /* its features are there */
    push_all(t, 6, 9);
    assert_int_equal(trk_tracker_unlock_frame(t, 8), TRK_OK);
    assert_int_equal(trk_tracker_unlock_frame(t, 8), TRK_E_STATE);
    assert_int_equal(trk_tracker_unlock_frame(t, 10), TRK_E_NOT_FOUND);
    trk_tracker_destroy(&t);
}

static void nothing_lies_before_the_first_push(void **state)
{
    (void)state;
    logits expected[3], got[3];
    int64_t next = -1;
    trk_tracker *t = new_tracker(NULL);
    assert_ok(prompt(t, 1, 100));
    push_and_keep(t, 100, 102, expected);
    assert_int_equal(trk_tracker_rewind(t, 5, &next), TRK_E_STATE);
    assert_non_null(strstr(trk_last_error(), "100"));
    assert_int_equal(next, -1);
    assert_int_equal(rewind_to(t, 100), 100);
    assert_ok(prompt(t, 1, 100));
    push_and_keep(t, 100, 102, got);
    assert_memory_equal(got, expected, sizeof got);
    trk_tracker_destroy(&t);
}

static void check_a_life_after(const trk_tracker_params *p)
{
    enum { AGAIN = 7 };
    logits expected[2], got[2];
    trk_result now = {.struct_size = sizeof now}, first = now;
    trk_tracker *t = new_tracker(p), *fresh = new_tracker(p);
    assert_ok(prompt(t, 1, 0));
    push_all(t, 0, 5);
    assert_ok(prompt(t, 1, 5));
    assert_ok(trk_tracker_forget(t, 1, 0, 0));
    assert_ok(trk_tracker_clear_prompts(t, 1, 5));
    assert_ok(push(t, 6));
    assert_ok(prompt(t, 1, AGAIN));
    push_and_keep(t, AGAIN, AGAIN + 1, got);
    assert_ok(prompt(fresh, 1, AGAIN));
    push_and_keep(fresh, AGAIN, AGAIN + 1, expected);
    assert_memory_equal(got, expected, sizeof got);
    assert_ok(trk_tracker_result(t, 1, &now));
    assert_ok(trk_tracker_result(fresh, 1, &first));
    assert_memory_equal(&now.motion, &first.motion, sizeof first.motion);
    trk_tracker_destroy(&t);
    trk_tracker_destroy(&fresh);
}

/* Memories and, where the policy has one, the motion model. */
static void losing_the_last_prompt_loses_the_past(void **state)
{
    (void)state;
    trk_motion_params motion = {.struct_size = sizeof motion};
    trk_tracker_params p = TRK_TRACKER_PARAMS_INIT;
    p.keep_frame = 1;
    p.correct_as_condition = TRK_ON;
    check_a_life_after(&p);
    assert_ok(trk_motion_defaults(model, &motion));
    motion.stable_frames = 1;
    p.policy = TRK_POLICY_SAMURAI;
    p.motion = &motion;
    check_a_life_after(&p);
}

/* Back at frame 4, which is to be pushed again, 3 is in the past, though its features are there. */
static void the_frame_before_a_rewind_is_over(void **state)
{
    (void)state;
    logits expected, got;
    trk_tracker_params p = TRK_TRACKER_PARAMS_INIT;
    p.history = 20;
    p.sweep_every = 5;
    trk_tracker *t = new_tracker(&p), *fork = NULL;
    assert_ok(prompt(t, 1, 0));
    assert_ok(prompt(t, 1, 3));
    push_all(t, 0, 3);
    assert_ok(trk_tracker_lock_frame(t, 3));
    push_and_keep(t, 4, 4, &expected); /* all are swept but 3 */
    push_all(t, 5, 6);
    assert_int_equal(rewind_to(t, 4), 4);
    assert_int_equal(prompt(t, 1, 3), TRK_E_STATE);
    assert_non_null(strstr(trk_last_error(), "frame 3 has passed"));
    assert_ok(trk_tracker_fork(&fork, t));
    assert_int_equal(prompt(fork, 1, 3), TRK_E_STATE);
    assert_non_null(strstr(trk_last_error(), "frame 3 has passed"));
    push_and_keep(t, 4, 4, &got);
    assert_memory_equal(&got, &expected, sizeof got);
    assert_int_equal(rewind_to(t, 3), 4); /* this is how to get there */
    assert_ok(prompt(t, 1, 3));
    assert_ok(push(t, 4));
    trk_tracker_destroy(&t);
    trk_tracker_destroy(&fork);
}

/* --- pools -------------------------------------------------------------------------------------------------------- */

enum { FORKS = 4, MOST = 2 };

/* A pool for MOST in which a tracker has made FORKS of itself, after `first` was evicted. */
typedef struct family {
    trk_pool *pool;
    trk_tracker *first, *parent, *forks[FORKS];
} family;

static void open_family(family *f)
{
    trk_pool_params q = TRK_POOL_PARAMS_INIT;
    q.most_resident = MOST;
    f->pool = new_pool(&q);
    trk_tracker *second = NULL, **list[] = {&f->first, &second, &f->parent};
    for (int i = 0; i < 3; i++) {
        *list[i] = in_pool(f->pool);
        assert_ok(prompt(*list[i], 1, 0));
        assert_ok(push(*list[i], 0));
    }
    trk_tracker_destroy(&second);
    for (int i = 0; i < FORKS; i++)
        assert_ok(trk_tracker_fork(&f->forks[i], f->parent));
}

static void close_family(family *f)
{
    for (int i = 0; i < FORKS; i++)
        trk_tracker_destroy(&f->forks[i]);
    trk_tracker_destroy(&f->first);
    trk_tracker_destroy(&f->parent);
    trk_pool_destroy(&f->pool);
}

static size_t n_resident(trk_pool *pool)
{
    trk_pool_info info = {.struct_size = sizeof info};
    assert_ok(trk_pool_get_info(pool, &info));
    return info.n_resident;
}

static void who_comes_back_after_forks_makes_room(void **state)
{
    (void)state;
    family f;
    open_family(&f);
    assert_ok(push(f.first, 1));
    size_t n = n_resident(f.pool);
    close_family(&f);
    assert_in_range(n, 1, MOST);
}

static void forks_make_room_when_they_go_on(void **state)
{
    (void)state;
    family f;
    open_family(&f);
    for (int i = 0; i < FORKS; i++)
        assert_ok(push(f.forks[i], 1));
    size_t n = n_resident(f.pool);
    close_family(&f);
    assert_in_range(n, 1, MOST);
}

typedef struct churner {
    trk_pool *pool;
    int rounds;
    char text[256]; /* what went wrong; cmocka's assertions are for the main thread only */
} churner;

/* Pushes are rare, so that many trackers leave while others wait for their place. */
static void *churn(void *user)
{
    enum { PUSH_EVERY = 200 };
    churner *c = user;
    trk_tracker_params p = TRK_TRACKER_PARAMS_INIT;
    p.pool = c->pool;
    for (int i = 0; i < c->rounds && !c->text[0]; i++) {
        trk_tracker *t = NULL;
        if (trk_tracker_create(&t, model, &p) < 0 || prompt(t, 1, 0) < 0 ||
            (i % PUSH_EVERY == 0 && push(t, 0) < 0))
            snprintf(c->text, sizeof c->text, "round %d: %s", i, trk_last_error());
        trk_tracker_destroy(&t);
    }
    return NULL;
}

/* Bytes on the host heap after `threads` of them have made and destroyed trackers, and the pool is gone; without the
 * model's, which has more operators after several calls at once. */
static size_t heap_after_churning(int threads, int rounds)
{
    enum { MOST_THREADS = 3 };
    churner churners[MOST_THREADS] = {{0}};
    pthread_t ids[MOST_THREADS];
    trk_account heap;
    trk_pool_params q = TRK_POOL_PARAMS_INIT;
    q.most_resident = 1;
    trk_pool *pool = new_pool(&q);
    for (int i = 0; i < threads; i++) {
        churners[i] = (churner){.pool = pool, .rounds = rounds};
        assert_int_equal(pthread_create(&ids[i], NULL, churn, &churners[i]), 0);
    }
    for (int i = 0; i < threads; i++)
        pthread_join(ids[i], NULL);
    for (int i = 0; i < threads; i++)
        if (churners[i].text[0])
            fail_msg("%s", churners[i].text);
    trk_pool_destroy(&pool);
    trk_heap_measure(&heap);
    return heap.total_now - heap.now[TRK_MEM_PINNED];
}

static void destroyed_trackers_leave_nothing_in_the_pool(void **state)
{
    (void)state;
    size_t before = heap_after_churning(1, 2);
    assert_int_equal(heap_after_churning(3, 10000), before);
}

typedef struct nosy_source {
    trk_tracker *tracker;
    int n_calls, n_refused;
} nosy_source;

static trk_status give_frame(void *user, int64_t index, trk_frame *out)
{
    static uint8_t rgb[WIDTH * HEIGHT * 3], mask[WIDTH * HEIGHT];
    nosy_source *s = user;
    s->n_calls++;
    s->n_refused += trk_tracker_mask(s->tracker, 1, mask, WIDTH) == TRK_E_STATE;
    *out = draw(rgb, index);
    return TRK_OK;
}

static void a_source_can_not_use_its_own_tracker(void **state)
{
    (void)state;
    nosy_source source = {0};
    trk_tracker_params p = TRK_TRACKER_PARAMS_INIT;
    trk_pool_params q = TRK_POOL_PARAMS_INIT;
    q.evict = TRK_EVICT_COMPACT;
    q.most_resident = 1;
    trk_pool *pool = new_pool(&q);
    trk_tracker *other = in_pool(pool);
    p.pool = pool;
    p.source = give_frame;
    p.source_user = &source;
    trk_tracker *t = source.tracker = new_tracker(&p);
    assert_ok(prompt(t, 1, 0));
    push_all(t, 0, 2);
    assert_int_equal(source.n_calls, 0);
    assert_ok(prompt(other, 1, 0));
    assert_ok(push(other, 0)); /* evicts t */
    assert_ok(push(t, 3));
    assert_true(source.n_calls > 0);
    assert_int_equal(source.n_refused, source.n_calls);
    trk_tracker_destroy(&t);
    trk_tracker_destroy(&other);
    trk_pool_destroy(&pool);
}

/* Each way in which a source can fail, one after the other; then it gives what it is asked for. */
typedef struct poor_source {
    int way;
} poor_source;

static const struct {
    trk_status status;
    const char *says;
} failures[] = {{TRK_E_IO, "the source did not give frame 0 again"},
                {TRK_E_STATE, "the source did not give frame 0 again (status 1)"},
                {TRK_E_ARGUMENT, "the source gave frame 1 of 96 x 72, expected frame 0 of 96 x 72"},
                {TRK_E_ARGUMENT, "the source gave frame 0 of 96 x 71, expected frame 0 of 96 x 72"},
                {TRK_E_ARGUMENT, "frame plane 0 (RGB) is NULL"}};
enum { N_FAILURES = sizeof failures / sizeof *failures };

static trk_status fail_to_give(void *user, int64_t index, trk_frame *out)
{
    static uint8_t rgb[WIDTH * HEIGHT * 3];
    const int way = ((const poor_source *)user)->way;
    *out = draw(rgb, index);
    out->index += way == 2;
    out->height -= way == 3;
    out->planes[0] = way == 4 ? NULL : rgb;
    return way == 0 ? TRK_E_IO : way == 1 ? (trk_status)1 : TRK_OK;
}

static void a_failing_source_can_be_asked_again(void **state)
{
    (void)state;
    logits expected[2], got[2];
    poor_source source = {N_FAILURES};
    trk_tracker_info info = {.struct_size = sizeof info};
    trk_tracker_params p = TRK_TRACKER_PARAMS_INIT;
    trk_pool_params q = TRK_POOL_PARAMS_INIT;
    q.evict = TRK_EVICT_COMPACT;
    q.most_resident = 1;
    trk_pool *pool = new_pool(&q);
    p.pool = pool;
    p.source = fail_to_give;
    p.source_user = &source;
    for (int fails = 0; fails < 2; fails++) {
        trk_tracker *t = new_tracker(&p), *other = in_pool(pool);
        assert_ok(prompt(t, 1, 0));
        push_all(t, 0, 2);
        assert_ok(prompt(other, 1, 0));
        assert_ok(push(other, 0)); /* evicts t */
        for (source.way = fails ? 0 : N_FAILURES; source.way < N_FAILURES; source.way++) {
            assert_int_equal(push(t, 3), failures[source.way].status);
            if (!strstr(trk_last_error(), failures[source.way].says))
                fail_msg("way %d: %s", source.way, trk_last_error());
            assert_ok(trk_tracker_get_info(t, &info));
            assert_false(info.resident);
            assert_int_equal(info.index, 2);
        }
        push_and_keep(t, 3, 4, fails ? got : expected);
        trk_tracker_destroy(&t);
        trk_tracker_destroy(&other);
    }
    assert_memory_equal(got, expected, sizeof got);
    trk_pool_destroy(&pool);
}

/* --- plans and limits --------------------------------------------------------------------------------------------- */

enum { MASK = 1024 }; /* its floats are 4 MiB */

static trk_status give_mask(trk_tracker *t, int64_t frame, int side)
{
    static uint8_t mask[MASK * MASK];
    for (int i = 0; i < side * side; i++)
        mask[i] = abs(i % side - side / 3) < side / 6 && abs(i / side - side / 2) < side / 5;
    return trk_tracker_prompt_mask(t, 1, frame, mask, side, side, side);
}

static void prompt_with_mask(trk_tracker *t, int side)
{
    assert_ok(give_mask(t, 0, side));
}

static trk_status push_with_mask(trk_tracker *t)
{
    prompt_with_mask(t, MASK);
    return push(t, 0);
}

static void masks_larger_than_the_frame_are_planned(void **state)
{
    (void)state;
    trk_pool_params q = TRK_POOL_PARAMS_INIT;
    trk_tracker *t = new_tracker(NULL);
    assert_ok(push_with_mask(t));
    q.budget = device_peak(t) + ((size_t)1 << 20); /* the plan leaves some 200 KiB for the model to grow */
    trk_tracker_destroy(&t);
    trk_pool *pool = new_pool(&q);
    t = in_pool(pool);
    assert_ok(push_with_mask(t));
    assert_true(device_peak(t) <= q.budget);
    trk_tracker_destroy(&t);
    trk_pool_destroy(&pool);
}

static void masks_too_large_are_refused_before_the_push(void **state)
{
    (void)state;
    trk_plan plan = {.struct_size = sizeof plan};
    trk_plan_params p = TRK_PLAN_PARAMS_INIT;
    trk_pool_params q = TRK_POOL_PARAMS_INIT;
    p.width = WIDTH;
    p.height = HEIGHT;
    p.mask_prompts = 1;
    assert_ok(trk_plan_make(&plan, model, &p));
    q.budget = plan.total + ((size_t)1 << 20); /* enough for a mask of the frame's size */
    trk_pool *pool = new_pool(&q);
    trk_tracker *t = in_pool(pool);
    assert_int_equal(push_with_mask(t), TRK_E_MEMORY);
    assert_ok(trk_tracker_clear_prompts(t, 1, 0)); /* the tracker has not ended */
    assert_ok(prompt(t, 1, 0));
    push_all(t, 0, 1);
    trk_tracker_destroy(&t);
    trk_pool_destroy(&pool);
}

/* A pool with room for one tracker that is given a mask of MASK in mid video, or only for one without. */
static trk_pool *pool_for_a_later_mask(int has_room)
{
    trk_pool_params q = TRK_POOL_PARAMS_INIT;
    trk_tracker *t = new_tracker(NULL);
    assert_ok(prompt(t, 1, 0));
    assert_ok(push(t, 0));
    assert_ok(give_mask(t, 1, has_room ? MASK : SIDE));
    push_all(t, 1, 3);
    q.budget = device_peak(t) + ((size_t)1 << 20);
    trk_tracker_destroy(&t);
    return new_pool(&q);
}

/* What was planned for at the first push is not what later prompts need: they are planned when they come. */
static void larger_prompts_later_are_refused_before_they_run(void **state)
{
    (void)state;
    static trk_point points[3000];
    trk_tracker_params p = TRK_TRACKER_PARAMS_INIT;
    p.pool = pool_for_a_later_mask(0);
    p.keep_frame = 1;
    click_on_it(points, sizeof points / sizeof *points);
    for (int reserve = 0; reserve < 2; reserve++) {
        p.reserve = reserve;
        trk_tracker *t = new_tracker(&p);
        assert_ok(prompt(t, 1, 0));
        assert_ok(push(t, 0));
        assert_int_equal(give_mask(t, 0, MASK), TRK_E_MEMORY); /* of the current frame */
        assert_non_null(strstr(trk_last_error(), "the plan needs"));
        assert_int_equal(trk_tracker_prompt_points(t, 1, 0, points, sizeof points / sizeof *points), TRK_E_MEMORY);
        assert_ok(give_mask(t, 3, MASK)); /* waits */
        assert_ok(trk_tracker_prompt_points(t, 1, 0, points, 1)); /* and is in nobody's way until then */
        push_all(t, 1, 2);
        assert_int_equal(push(t, 3), TRK_E_MEMORY);
        assert_non_null(strstr(trk_last_error(), "the plan needs"));
        assert_ok(trk_tracker_clear_prompts(t, 1, 3));
        push_all(t, 3, 5); /* it has not ended */
        trk_tracker_destroy(&t);
    }
    trk_pool_destroy(&p.pool);
}

static void larger_prompts_later_run_where_they_fit(void **state)
{
    (void)state;
    trk_tracker_params p = TRK_TRACKER_PARAMS_INIT;
    p.pool = pool_for_a_later_mask(1);
    for (int now = 0; now < 2; now++) {
        p.reserve = p.keep_frame = now;
        trk_tracker *t = new_tracker(&p);
        assert_ok(prompt(t, 1, 0));
        assert_ok(push(t, 0));
        assert_ok(give_mask(t, !now, MASK));
        push_all(t, 1, 20);
        assert_ok(give_mask(t, 20 + !now, MASK));
        push_all(t, 21, 25);
        trk_tracker_destroy(&t);
    }
    trk_pool_destroy(&p.pool);
}

/* Of the same area as the one that was planned for, and much wider: it needs longer rows. */
static void masks_of_other_shapes_are_planned(void **state)
{
    (void)state;
    enum { AREA = 1 << 16 };
    static uint8_t mask[AREA];
    trk_pool_params q = TRK_POOL_PARAMS_INIT;
    memset(mask, 1, AREA / 2);
    for (int tall = 0; tall < 2; tall++) {
        trk_tracker *t = new_tracker(NULL);
        assert_ok(give_mask(t, 0, 256));
        push_all(t, 0, 1);
        q.budget = device_peak(t) + ((size_t)1 << 18);
        trk_tracker_destroy(&t);
        trk_pool *pool = new_pool(&q);
        t = in_pool(pool);
        assert_ok(give_mask(t, 0, 256));
        push_all(t, 0, 1);
        assert_ok(trk_tracker_prompt_mask(t, 1, 2, mask, tall ? 1 : AREA, tall ? AREA : 1, tall ? 1 : AREA));
        const trk_status rc = push(t, 2);
        if (rc < 0)
            assert_non_null(strstr(trk_last_error(), "the plan needs"));
        assert_int_equal(trk_tracker_clear_prompts(t, 1, 2), rc < 0 ? TRK_OK : TRK_E_NOT_FOUND);
        push_all(t, rc < 0 ? 2 : 3, 4); /* it has not ended */
        trk_tracker_destroy(&t);
        trk_pool_destroy(&pool);
    }
}

/* A plan of all that will come holds while it comes one by one, and is not made larger by being made again. */
static void what_is_planned_in_full_may_come_bit_by_bit(void **state)
{
    (void)state;
    enum { CLICKS = 400 };
    static trk_point points[CLICKS];
    static uint8_t mask[WIDTH * HEIGHT], planes[3 * WIDTH * HEIGHT];
    trk_plan plan = {.struct_size = sizeof plan};
    trk_plan_params q = TRK_PLAN_PARAMS_INIT;
    trk_tracker_params p = TRK_TRACKER_PARAMS_INIT;
    trk_pool_params pool = TRK_POOL_PARAMS_INIT;
    click_on_it(points, CLICKS);
    memset(mask + sizeof mask / 3, 1, sizeof mask / 3);
    p.correct_as_condition = TRK_ON;
    p.keep_frame = 1;
    q.width = WIDTH;
    q.height = HEIGHT;
    q.objects = 3;
    q.prompts = 4;
    q.prompt_points = CLICKS;
    q.mask_prompts = 1;
    q.format = TRK_PIXEL_I444;
    q.tracker = &p;
    for (int reserve = 0; reserve < 2; reserve++) {
        p.reserve = reserve;
        p.pool = NULL;
        assert_ok(trk_plan_make(&plan, model, &q));
        pool.budget = plan.total;
        p.pool = new_pool(&pool);
        trk_tracker *t = new_tracker(&p);
        assert_ok(prompt(t, 1, 0));
        push_all(t, 0, 2);
        assert_ok(trk_tracker_prompt_mask(t, 2, 2, mask, WIDTH, HEIGHT, WIDTH)); /* a new object, at once */
        assert_ok(prompt(t, 3, 5));
        push_all(t, 3, 6);
        assert_ok(trk_tracker_prompt_points(t, 1, 6, points, CLICKS));
        assert_ok(trk_tracker_prompt_points(t, 2, 8, points, CLICKS));
        assert_ok(trk_tracker_prompt_mask(t, 3, 9, mask, WIDTH, HEIGHT, WIDTH));
        push_all(t, 7, 9);
        for (int i = 10; i < 40; i++) {
            const trk_frame frame = {.width = WIDTH, .height = HEIGHT, .format = TRK_PIXEL_I444, .index = i,
                                     .planes = {planes, planes, planes}, .strides = {WIDTH, WIDTH, WIDTH}};
            assert_ok(trk_tracker_push(t, &frame));
            if (i % 10 == 0 && i > 10)
                for (int k = 1; k <= 2; k++)
                    assert_ok(trk_tracker_prompt_points(t, k, i, points, CLICKS / 2));
        }
        assert_true(device_peak(t) <= pool.budget);
        trk_tracker_destroy(&t);
        trk_pool_destroy(&p.pool);
    }
}

/* A budget of exactly what is planned, and a tracker that has pushed frame 0. */
static trk_tracker *at_its_limit(int points, int has_keep_frame)
{
    trk_plan plan = {.struct_size = sizeof plan};
    trk_plan_params q = TRK_PLAN_PARAMS_INIT;
    trk_tracker_params p = TRK_TRACKER_PARAMS_INIT;
    trk_pool_params pool = TRK_POOL_PARAMS_INIT;
    p.keep_frame = has_keep_frame;
    q.width = WIDTH;
    q.height = HEIGHT;
    q.prompt_points = points;
    q.tracker = &p;
    assert_ok(trk_plan_make(&plan, model, &q));
    pool.budget = plan.total;
    p.pool = new_pool(&pool);
    trk_tracker *t = new_tracker(&p);
    trk_pool_destroy(&p.pool); /* the tracker holds it */
    assert_ok(prompt(t, 1, 0));
    push_all(t, 0, 0);
    return t;
}

/* On an object's first frame they are run without a result before them. */
static void many_clicks_on_a_tracked_frame_are_planned(void **state)
{
    (void)state;
    enum { CLICKS = 2000 };
    static trk_point points[CLICKS];
    click_on_it(points, CLICKS);
    trk_tracker *t = at_its_limit(CLICKS, 1);
    push_all(t, 1, 20);
    assert_ok(trk_tracker_prompt_points(t, 1, 20, points, CLICKS));
    assert_ok(trk_tracker_prompt_points(t, 1, 21, points, CLICKS));
    push_all(t, 21, 22);
    trk_tracker_destroy(&t);
}

/* A rehearsal prepares operators, of which a refused plan leaves none that another call would miss. */
static void what_was_refused_takes_no_memory(void **state)
{
    (void)state;
    static trk_point points[200];
    trk_plan plan = {.struct_size = sizeof plan};
    trk_plan_params q = TRK_PLAN_PARAMS_INIT;
    click_on_it(points, sizeof points / sizeof *points);
    trk_tracker *t = at_its_limit(0, 1);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(trk_tracker_prompt_points(t, 1, i, points, (size_t)(100 + 7 * i)), TRK_E_MEMORY);
        assert_ok(trk_tracker_prompt_points(t, 1, i + 1, points, (size_t)(150 + 7 * i)));
        assert_int_equal(push(t, i + 1), TRK_E_MEMORY);
        assert_ok(trk_tracker_clear_prompts(t, 1, i + 1));
        push_all(t, i + 1, i + 1);
    }
    q.width = WIDTH;
    q.height = HEIGHT;
    q.prompt_points = 99; /* nobody's */
    assert_ok(trk_plan_make(&plan, model, &q));
    push_all(t, 4, 20);
    trk_tracker_destroy(&t);
}

/* Every number of clicks is a product of another shape. */
static void planned_clicks_may_come_one_by_one(void **state)
{
    (void)state;
    enum { CLICKS = 100 };
    static trk_point points[CLICKS];
    click_on_it(points, CLICKS);
    trk_tracker *t = at_its_limit(CLICKS, 1);
    assert_ok(trk_tracker_prompt_points(t, 1, 0, points, CLICKS));
    for (int frame = 1; frame < 4; frame++) {
        push_all(t, frame, frame);
        for (int i = 0; i < CLICKS; i++)
            assert_ok(trk_tracker_prompt_points(t, 1, frame, points, 1));
    }
    trk_tracker_destroy(&t);
}

/* It was not prompted, and is tracked all the same. */
static void copies_of_objects_are_planned(void **state)
{
    (void)state;
    int64_t next;
    trk_tracker *t = at_its_limit(0, 1);
    push_all(t, 1, 20);
    trk_status rc = TRK_OK;
    int last = 1;
    while (!rc && last < 64) {
        rc = trk_tracker_fork_object(t, 1, ++last);
        rc = rc ? rc : trk_tracker_rewind(t, 20, &next);
    }
    assert_int_equal(rc, TRK_E_MEMORY);
    for (; last > 1; last--)
        (void)trk_tracker_remove_object(t, last);
    push_all(t, 21, 25); /* it has not ended */
    trk_tracker_destroy(&t);
}

static trk_status push_large_as(trk_tracker *t, trk_pixel_format format, int64_t index)
{
    static uint8_t bytes[3 * MASK * MASK];
    const int row = format == TRK_PIXEL_RGB24 ? 3 * MASK : MASK;
    trk_frame frame = {.width = MASK, .height = MASK, .format = format, .index = index, .planes = {bytes, bytes, bytes},
                       .strides = {row, row, row}};
    return trk_tracker_push(t, &frame);
}

static void another_pixel_format_is_planned(void **state)
{
    (void)state;
    trk_plan plan = {.struct_size = sizeof plan};
    trk_plan_params p = TRK_PLAN_PARAMS_INIT;
    trk_pool_params q = TRK_POOL_PARAMS_INIT;
    p.width = p.height = MASK;
    for (int is_gray = 0; is_gray < 2; is_gray++) {
        p.format = is_gray ? TRK_PIXEL_GRAY8 : TRK_PIXEL_RGB24;
        assert_ok(trk_plan_make(&plan, model, &p));
        q.budget = plan.total;
        trk_pool *pool = new_pool(&q);
        trk_tracker *t = in_pool(pool);
        assert_ok(prompt(t, 1, 0));
        assert_ok(push_large_as(t, TRK_PIXEL_RGB24, 0));
        assert_int_equal(push_large_as(t, TRK_PIXEL_GRAY8, 1), is_gray ? TRK_OK : TRK_E_MEMORY);
        assert_ok(push_large_as(t, TRK_PIXEL_RGB24, is_gray ? 2 : 1)); /* it has not ended */
        assert_int_equal(push_large_as(t, TRK_PIXEL_I444, is_gray ? 3 : 2), is_gray ? TRK_OK : TRK_E_MEMORY);
        trk_tracker_destroy(&t);
        trk_pool_destroy(&pool);
    }
}

/* The farthest box that is taken, on the smallest frame. */
static void far_boxes_have_finite_scores(void **state)
{
    (void)state;
    enum { FAR = 1 << 24 };
    static const uint8_t rgb[3] = {1, 2, 3};
    const trk_frame frame = {.width = 1, .height = 1, .planes = {rgb}, .strides = {3}};
    const trk_box boxes[] = {{1 - FAR, 1 - FAR, FAR, FAR}, {0, 0, FAR, FAR}, {0, 1 - FAR, 1, FAR}};
    trk_result r = {.struct_size = sizeof r};
    for (size_t i = 0; i < sizeof boxes / sizeof *boxes; i++) {
        trk_tracker *t = new_tracker(NULL);
        assert_ok(trk_tracker_prompt_box(t, 1, 0, &boxes[i]));
        assert_ok(trk_tracker_push(t, &frame));
        assert_ok(trk_tracker_result(t, 1, &r));
        assert_true(isfinite(r.object_score) && isfinite(r.iou));
        for (int k = 0; k < r.mask_size * r.mask_size; k++)
            assert_true(isfinite(r.logits[k]));
        trk_tracker_destroy(&t);
    }
}

static void points_are_bounded_where_they_are_given(void **state)
{
    (void)state;
    static trk_point points[MOST_POINTS];
    char limit[16];
    trk_tracker_info info = {.struct_size = sizeof info};
    click_on_it(points, MOST_POINTS);
    snprintf(limit, sizeof limit, "%d", MOST_POINTS);
    trk_tracker *t = new_tracker(NULL);
    assert_ok(prompt(t, 1, 0));
    assert_ok(trk_tracker_prompt_points(t, 1, 5, points, MOST_POINTS)); /* planned for, never tracked here */
    assert_int_equal(trk_tracker_prompt_points(t, 1, 5, points, 1), TRK_E_ARGUMENT);
    assert_non_null(strstr(trk_last_error(), limit));
    assert_ok(trk_tracker_get_info(t, &info));
    assert_int_equal(info.n_waiting, 2);
    assert_ok(push(t, 0));
    trk_tracker_destroy(&t);
}

static void too_many_points_do_not_end_a_tracker(void **state)
{
    (void)state;
    static trk_point points[MOST_POINTS];
    static logits before, after;
    trk_tracker_params p = TRK_TRACKER_PARAMS_INIT;
    click_on_it(points, MOST_POINTS);
    p.keep_frame = 1;
    trk_tracker *t = new_tracker(&p);
    assert_ok(push(t, 0));
    assert_ok(trk_tracker_prompt_points(t, 1, 0, points, 1));
    keep(t, 1, before);
    assert_int_equal(trk_tracker_prompt_points(t, 1, 0, points, MOST_POINTS), TRK_E_ARGUMENT);
    assert_non_null(strstr(trk_last_error(), "65537 points on frame 0"));
    keep(t, 1, after);
    assert_memory_equal(before, after, sizeof before);
    assert_ok(trk_tracker_prompt_points(t, 1, 0, points, 1));
    push_all(t, 1, 2);
    trk_tracker_destroy(&t);
}

static void plans_beyond_all_memory_are_refused(void **state)
{
    (void)state;
    trk_plan plan = {.struct_size = sizeof plan};
    trk_plan_params q = TRK_PLAN_PARAMS_INIT;
    trk_tracker_params p = TRK_TRACKER_PARAMS_INIT;
    trk_pool_params pool_params = TRK_POOL_PARAMS_INIT;
    p.history = INT64_MAX / 8;
    q.width = WIDTH;
    q.height = HEIGHT;
    q.objects = 1 << 20;
    q.tracker = &p;
    assert_ok(trk_plan_make(&plan, model, &q));
    assert_true(plan.total >= (size_t)1 << 60);
    pool_params.budget = (size_t)1 << 30;
    p.pool = new_pool(&pool_params);
    trk_tracker *t = new_tracker(&p);
    assert_ok(prompt(t, 1, 0));
    assert_int_equal(push(t, 0), TRK_E_MEMORY);
    trk_tracker_destroy(&t);
    trk_pool_destroy(&p.pool);
}

/* Another tracker of the pool has what the plan counts on. */
static void what_can_not_be_reserved_is_not_planned(void **state)
{
    (void)state;
    enum { HELD = 20 };
    trk_plan plan = {.struct_size = sizeof plan};
    trk_plan_params q = TRK_PLAN_PARAMS_INIT;
    trk_tracker_params keeps = TRK_TRACKER_PARAMS_INIT, reserves = keeps;
    trk_pool_params pool = TRK_POOL_PARAMS_INIT;
    reserves.history = 2000;
    reserves.reserve = 1;
    q.width = WIDTH;
    q.height = HEIGHT;
    q.tracker = &reserves;
    assert_ok(trk_plan_make(&plan, model, &q));
    pool.budget = plan.total + ((size_t)128 << 10);
    pool.evict = TRK_EVICT_OFF;
    keeps.pool = reserves.pool = new_pool(&pool);
    keeps.sweep = TRK_SWEEP_NEVER;
    trk_tracker *other = new_tracker(&keeps), *t = new_tracker(&reserves);
    for (int i = 0; i < HELD; i++) {
        assert_ok(push(other, i));
        assert_ok(trk_tracker_lock_frame(other, i));
    }
    assert_ok(prompt(t, 1, 0));
    for (int i = 0; i < 2; i++)
        assert_int_equal(push(t, 0), TRK_E_MEMORY);
    trk_tracker_destroy(&other);
    push_all(t, 0, 1);
    trk_tracker_destroy(&t);
    trk_pool_destroy(&reserves.pool);
}

/* A tracker that asks for more than there is leaves the pool's others as they are. */
static void a_refused_plan_changes_nothing(void **state)
{
    (void)state;
    size_t peaks[2];
    trk_tracker_params p = TRK_TRACKER_PARAMS_INIT;
    trk_pool_params q = TRK_POOL_PARAMS_INIT;
    p.history = INT64_MAX / 8;
    p.reserve = 1;
    for (int refused = 0; refused < 2; refused++) {
        p.pool = new_pool(&q);
        trk_tracker *greedy = new_tracker(&p), *t = in_pool(p.pool);
        if (refused)
            assert_int_equal(push_with_mask(greedy), TRK_E_MEMORY);
        assert_ok(prompt(t, 1, 0));
        push_all(t, 0, 1);
        peaks[refused] = device_peak(t);
        trk_tracker_destroy(&t);
        trk_tracker_destroy(&greedy);
        trk_pool_destroy(&p.pool);
    }
    assert_in_range(peaks[1], 1, peaks[0] + ((size_t)64 << 10)); /* what the model may have learned */
}

/* --- large prompts and many objects ------------------------------------------------------------------------------- */

enum { LARGE = 512, MOST_OBJECTS = 200 };

static size_t planned_bytes(int objects, int mask_side)
{
    trk_plan plan = {.struct_size = sizeof plan};
    trk_plan_params p = TRK_PLAN_PARAMS_INIT;
    p.width = mask_side ? mask_side : WIDTH;
    p.height = mask_side ? mask_side : HEIGHT;
    p.mask_prompts = mask_side != 0;
    p.objects = objects;
    assert_ok(trk_plan_make(&plan, model, &p));
    return plan.total;
}

/* A budget for a mask of LARGE, and as many objects without one as are planned to fit it. */
static trk_pool *tight_pool(int *objects)
{
    trk_pool_params q = TRK_POOL_PARAMS_INIT;
    q.budget = planned_bytes(1, LARGE) + ((size_t)64 << 10);
    for (*objects = 1; *objects < MOST_OBJECTS && planned_bytes(*objects + 1, 0) <= q.budget;)
        ++*objects;
    assert_in_range(*objects, 8, MOST_OBJECTS - 1);
    return new_pool(&q);
}

static void follow_many(trk_tracker *t, int objects, int64_t first, int64_t last)
{
    for (int k = 1; k <= objects && first == 0; k++)
        assert_ok(prompt(t, k, 0));
    push_all(t, first, last);
}

static void the_next_video_does_not_pay_for_the_last_one(void **state)
{
    (void)state;
    int objects;
    trk_pool *pool = tight_pool(&objects);
    trk_tracker *t = in_pool(pool);
    prompt_with_mask(t, LARGE);
    push_all(t, 0, 1);
    assert_ok(trk_tracker_reset(t));
    follow_many(t, objects, 0, 20);
    trk_tracker_destroy(&t);
    trk_pool_destroy(&pool);
}

static void one_video_does_not_pay_for_another(void **state)
{
    (void)state;
    int objects;
    trk_pool *pool = tight_pool(&objects);
    trk_tracker *many = in_pool(pool), *large = in_pool(pool);
    follow_many(many, objects, 0, 5);
    prompt_with_mask(large, LARGE);
    for (int i = 0; i < 15; i++) {
        assert_ok(push(large, i));
        follow_many(many, objects, 6 + i, 6 + i);
    }
    trk_tracker_destroy(&many);
    trk_tracker_destroy(&large);
    trk_pool_destroy(&pool);
}

/* What was saved is part of the plan, not on top of it. */
static void a_resumed_tracker_reserves_the_rest(void **state)
{
    (void)state;
    enum { HISTORY = 400, LAST = HISTORY + 20 };
    static const char path[] = "test_timeline.reserve.state";
    trk_plan plan = {.struct_size = sizeof plan};
    trk_plan_params q = TRK_PLAN_PARAMS_INIT;
    trk_tracker_params p = TRK_TRACKER_PARAMS_INIT;
    trk_pool_params pool = TRK_POOL_PARAMS_INIT;
    p.history = HISTORY;
    q.width = WIDTH;
    q.height = HEIGHT;
    q.tracker = &p;
    trk_tracker *t = new_tracker(&p);
    assert_ok(prompt(t, 1, 0));
    push_all(t, 0, LAST);
    assert_ok(trk_tracker_save(t, path));
    trk_tracker_destroy(&t);
    assert_ok(trk_plan_make(&plan, model, &q));
    pool.budget = plan.total + ((size_t)64 << 10);
    p.pool = new_pool(&pool);
    p.reserve = 1;
    assert_ok(trk_tracker_resume(&t, model, &p, path));
    push_all(t, LAST + 1, LAST + 5);
    trk_tracker_destroy(&t);
    trk_pool_destroy(&p.pool);
    assert_int_equal(unlink(path), 0);
}

/* --- plans that were not used ------------------------------------------------------------------------------------- */

static trk_status push_large(trk_tracker *t)
{
    static uint8_t bytes[MASK * MASK * 3 / 2];
    trk_frame frame = {.width = MASK,
                       .height = MASK,
                       .format = TRK_PIXEL_I420,
                       .planes = {bytes, bytes + MASK * MASK, bytes + MASK * MASK * 5 / 4},
                       .strides = {MASK, MASK / 2, MASK / 2}};
    return trk_tracker_push(t, &frame);
}

/* The plan of a push that found no place says nothing of a later push of another size. */
static void a_first_push_that_did_not_begin_was_not_planned(void **state)
{
    (void)state;
    trk_pool_params q = TRK_POOL_PARAMS_INIT;
    q.budget = planned_bytes(1, 0) + ((size_t)256 << 10);
    q.most_resident = 1;
    q.evict = TRK_EVICT_OFF;
    trk_pool *pool = new_pool(&q);
    trk_tracker *other = in_pool(pool), *t = in_pool(pool);
    assert_ok(prompt(other, 1, 0));
    assert_ok(push(other, 0));
    assert_int_equal(push(t, 0), TRK_E_MEMORY); /* no prompt: it has not been resident */
    trk_tracker_destroy(&other);
    assert_int_equal(push_large(t), TRK_E_MEMORY);
    assert_non_null(strstr(trk_last_error(), "the plan needs"));
    push_all(t, 0, 1); /* it has not ended */
    trk_tracker_destroy(&t);
    trk_pool_destroy(&pool);
}

/* Nothing is left of one; after the first plan, for which the model learns shapes. */
static void failing_plans_leave_nothing(void **state)
{
    (void)state;
    enum { SITES = 60 }; /* the first frame's prompts are among them */
    trk_account before, after;
    trk_plan plan = {.struct_size = sizeof plan};
    trk_plan_params q = TRK_PLAN_PARAMS_INIT;
    q.width = WIDTH;
    q.height = HEIGHT;
    q.mask_prompts = 1;
    assert_ok(trk_plan_make(&plan, model, &q));
    trk_heap_measure(&before);
    for (uint64_t site = 1; site <= SITES; site++) {
        trk_heap_fail(site, UINT64_MAX / 2);
        assert_int_equal(trk_plan_make(&plan, model, &q), TRK_E_MEMORY);
        trk_heap_fail(0, 0);
        trk_heap_measure(&after);
        if (after.total_now != before.total_now)
            fail_msg("allocation %d failed: %zu bytes are left, expected %zu", (int)site, after.total_now,
                     before.total_now);
    }
}

static void all_prompts_may_be_asked_for_by_the_largest_number(void **state)
{
    (void)state;
    trk_plan all = {.struct_size = sizeof all}, most = all;
    trk_plan_params q = TRK_PLAN_PARAMS_INIT;
    trk_tracker_params p = TRK_TRACKER_PARAMS_INIT;
    q.width = WIDTH;
    q.height = HEIGHT;
    q.prompts = 3;
    q.tracker = &p;
    p.max_prompts_in_memory = -1;
    assert_ok(trk_plan_make(&all, model, &q));
    p.max_prompts_in_memory = INT_MAX;
    assert_ok(trk_plan_make(&most, model, &q));
    assert_memory_equal(&most, &all, sizeof all);
}

/* --- files -------------------------------------------------------------------------------------------------------- */

static void left_over_parts_do_not_stop_a_save(void **state)
{
    (void)state;
    enum { LEFT_OVER = 8 };
    char folder[] = "timeline-XXXXXX", path[32], parts[LEFT_OVER][96];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/a.state", folder);
    for (int n = 0; n < LEFT_OVER; n++) {
        snprintf(parts[n], sizeof parts[n], "%s.part-%ld-%d", path, (long)getpid(), n);
        int fd = open(parts[n], O_CREAT | O_EXCL | O_WRONLY, 0600);
        assert_true(fd >= 0);
        close(fd);
    }
    trk_tracker *t = new_tracker(NULL), *resumed = NULL;
    assert_ok(prompt(t, 1, 0));
    assert_ok(push(t, 0));
    assert_ok(trk_tracker_save(t, path));
    assert_ok(trk_tracker_save(t, path));
    assert_ok(trk_tracker_resume(&resumed, model, NULL, path));
    assert_ok(push(resumed, 1));
    trk_tracker_destroy(&t);
    trk_tracker_destroy(&resumed);
    for (int n = 0; n < LEFT_OVER; n++)
        assert_int_equal(unlink(parts[n]), 0); /* they are somebody else's */
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_object_kept_goes_on_as_if_alone),
        cmocka_unit_test(every_number_moves_with_the_current_one),
        cmocka_unit_test(an_object_that_begins_anew_has_no_past),
        cmocka_unit_test(its_reach_starts_anew_too),
        cmocka_unit_test(going_back_reads_older_memories_as_they_were),
        cmocka_unit_test(a_frame_pushed_again_keeps_its_locks),
        cmocka_unit_test(nothing_lies_before_the_first_push),
        cmocka_unit_test(losing_the_last_prompt_loses_the_past),
        cmocka_unit_test(the_frame_before_a_rewind_is_over),
        cmocka_unit_test(who_comes_back_after_forks_makes_room),
        cmocka_unit_test(forks_make_room_when_they_go_on),
        cmocka_unit_test(destroyed_trackers_leave_nothing_in_the_pool),
        cmocka_unit_test(a_source_can_not_use_its_own_tracker),
        cmocka_unit_test(a_failing_source_can_be_asked_again),
        cmocka_unit_test(masks_larger_than_the_frame_are_planned),
        cmocka_unit_test(masks_too_large_are_refused_before_the_push),
        cmocka_unit_test(larger_prompts_later_are_refused_before_they_run),
        cmocka_unit_test(larger_prompts_later_run_where_they_fit),
        cmocka_unit_test(masks_of_other_shapes_are_planned),
        cmocka_unit_test(what_is_planned_in_full_may_come_bit_by_bit),
        cmocka_unit_test(many_clicks_on_a_tracked_frame_are_planned),
        cmocka_unit_test(what_was_refused_takes_no_memory),
        cmocka_unit_test(planned_clicks_may_come_one_by_one),
        cmocka_unit_test(copies_of_objects_are_planned),
        cmocka_unit_test(another_pixel_format_is_planned),
        cmocka_unit_test(far_boxes_have_finite_scores),
        cmocka_unit_test(points_are_bounded_where_they_are_given),
        cmocka_unit_test(too_many_points_do_not_end_a_tracker),
        cmocka_unit_test(plans_beyond_all_memory_are_refused),
        cmocka_unit_test(what_can_not_be_reserved_is_not_planned),
        cmocka_unit_test(a_refused_plan_changes_nothing),
        cmocka_unit_test(the_next_video_does_not_pay_for_the_last_one),
        cmocka_unit_test(one_video_does_not_pay_for_another),
        cmocka_unit_test(a_resumed_tracker_reserves_the_rest),
        cmocka_unit_test(a_first_push_that_did_not_begin_was_not_planned),
        cmocka_unit_test(failing_plans_leave_nothing),
        cmocka_unit_test(all_prompts_may_be_asked_for_by_the_largest_number),
        cmocka_unit_test(left_over_parts_do_not_stop_a_save),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
