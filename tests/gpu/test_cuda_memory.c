/* SPDX-License-Identifier: Apache-2.0
 * Memory of the CUDA backend, on a card or in its emulation: plans hold, warm frames allocate nothing, an allocation that
 * fails is one clear error and leaves nothing behind; and a machine without a device says so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../asserts.h"
#include "backend.h"
#include "emulation.h"
#include "error.h"
#include "heap.h"
#include "script.h"

static trk_model *model;

static trk_device_bytes device_of(const trk_tracker *t)
{
    trk_memory_use use = {.struct_size = sizeof use};
    assert_ok(trk_tracker_memory(t, &use));
    return use.devices[0];
}

/* --- plans ------------------------------------------------------------------------------------------------------ */

typedef struct setting {
    const char *name;
    int objects, prompts; /* prompts of an object */
    trk_tracker_params params;
} setting;

static size_t planned(const setting *s)
{
    trk_plan out = {.struct_size = sizeof out};
    trk_plan_params q = TRK_PLAN_PARAMS_INIT;
    q.width = WIDTH;
    q.height = HEIGHT;
    q.objects = s->objects;
    q.prompts = s->prompts;
    q.prompt_points = s->prompts > 1;
    q.tracker = &s->params;
    assert_ok(trk_plan_make(&out, model, &q));
    return out.total;
}

/* All before the first push, whose plan counts those that wait: the plan that is compared knows of them, too. */
static void prompt_setting(trk_tracker *t, const setting *s)
{
    for (int i = 0; i < s->prompts; i++)
        for (int k = 0; k < s->objects; k++) {
            const disc d = script_disc(0, k + 1, i);
            const trk_box box = {d.x - d.radius, d.y - d.radius, 2 * d.radius, 2 * d.radius};
            if (i == 0)
                assert_ok(trk_tracker_prompt_box(t, k + 1, 0, &box));
            else
                assert_ok(trk_tracker_prompt_points(t, k + 1, i, &(trk_point){d.x, d.y, 1}, 1));
        }
}

static void push_setting(trk_tracker *t, const setting *s, int i)
{
    static uint8_t mask[WIDTH * HEIGHT];
    trk_frame frame = script_frame(0, i % 16);
    frame.index = i;
    assert_ok(trk_tracker_push(t, &frame));
    for (int k = 0; k < s->objects; k++)
        assert_ok(trk_tracker_mask(t, k + 1, mask, WIDTH));
}

/* Follows long enough to fill the bank; from frame `warm` on nothing is allocated. Returns the peak on the device. */
static size_t follow_setting(const setting *s, int warm, int last)
{
    trk_tracker *t = NULL;
    long given = 0, held, now_given;
    size_t total = 0;
    assert_ok(trk_tracker_create(&t, model, &s->params));
    prompt_setting(t, s);
    for (int i = 0; i <= last; i++) {
        push_setting(t, s, i);
        now_given = emulation_allocations(&held);
        if (i > warm && (now_given != given || device_of(t).total_now != total))
            fail_msg("%s: frame %d: %ld allocations and %zu bytes, before there were %ld and %zu", s->name, i,
                     now_given, device_of(t).total_now, given, total);
        given = now_given;
        total = device_of(t).total_now;
    }
    const size_t peak = device_of(t).total_peak;
    trk_tracker_destroy(&t);
    return peak;
}

static void plans_hold_and_warm_frames_allocate_nothing(void **state)
{
    enum { WARM = 20, LAST = 40, RESERVED_LAST = 22 };
#define SETTING(...) (trk_tracker_params){.struct_size = sizeof(trk_tracker_params), __VA_ARGS__}
    const setting settings[] = {
        {"defaults", 1, 1, SETTING(.reverse = 0)},
        {"two objects, three prompts", 2, 3, SETTING(.correct_as_condition = TRK_ON, .sweep_every = 4)},
        {"reserve", 1, 1, SETTING(.reserve = 1, .keep_frame = 1)},
    };
    int n_failed = 0;
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        const setting *s = &settings[i];
        const int reserve = s->params.reserve;
        const size_t plan = planned(s), peak = follow_setting(s, reserve ? 1 : WARM, i ? RESERVED_LAST : LAST);
        const int ok = plan >= peak && (double)plan <= 1.05 * (double)peak;
        printf("%-28s plan %zu, peak %zu: %.4f%s\n", s->name, plan, peak, (double)plan / (double)peak,
               ok ? "" : "  FAILED");
        n_failed += !ok;
    }
    assert_int_equal(n_failed, 0);
}

static void what_can_not_fit_is_refused(void **state)
{
    const setting one = {"one object", 1, 1, TRK_TRACKER_PARAMS_INIT};
    trk_tracker_params p = TRK_TRACKER_PARAMS_INIT;
    trk_pool_params q = TRK_POOL_PARAMS_INIT;
    trk_pool *pool = NULL;
    trk_tracker *t = NULL;
    q.budget = 4096;
    assert_int_equal(trk_pool_create(&pool, model, &q), TRK_E_MEMORY);
    assert_null(pool);
    q.budget = planned(&one);
    assert_ok(trk_pool_create(&pool, model, &q));
    p.pool = pool;
    assert_ok(trk_tracker_create(&t, model, &p));
    for (int k = 0; k < 8; k++)
        assert_ok(trk_tracker_prompt_box(t, k + 1, 0, &(trk_box){5, 5, 30, 30}));
    const trk_frame frame = script_frame(0, 0);
    assert_int_equal(trk_tracker_push(t, &frame), TRK_E_MEMORY);
    assert_non_null(strstr(trk_last_error(), "budget"));
    for (int k = 1; k < 8; k++)
        assert_ok(trk_tracker_remove_object(t, k + 1));
    for (int i = 0; i < 4; i++)
        push_setting(t, &one, i);
    assert_true(device_of(t).total_peak <= q.budget);
    trk_tracker_destroy(&t);
    trk_pool_destroy(&pool);
}

/* --- allocations that fail -------------------------------------------------------------------------------------- */

typedef struct world {
    trk_model *model;
    trk_pool *pool;
    trk_tracker *t;
    uint8_t mask[WIDTH * HEIGHT];
} world;

static trk_status load(world *w) { return script_load(&w->model, TRK_DEVICE_CUDA, TRK_PRECISION_F32); }
static trk_status create_pool(world *w) { return trk_pool_create(&w->pool, w->model ? w->model : model, NULL); }
static trk_status box(world *w) { return script_prompt(w->t, 0, 0, 0); }
static trk_status click(world *w) { return script_prompt(w->t, 0, 1, 0); }
static trk_status mask(world *w) { return trk_tracker_mask(w->t, 1, w->mask, WIDTH); }

static trk_status create(world *w)
{
    trk_tracker_params p = TRK_TRACKER_PARAMS_INIT;
    p.pool = w->pool;
    p.keep_frame = 1;
    return trk_tracker_create(&w->t, w->model ? w->model : model, &p);
}

static trk_status push(world *w, int64_t index)
{
    const trk_frame frame = script_frame(0, index);
    return trk_tracker_push(w->t, &frame);
}

static trk_status push_0(world *w) { return push(w, 0); }
static trk_status push_1(world *w) { return push(w, 1); }
static trk_status push_2(world *w) { return push(w, 2); }

typedef struct step {
    const char *name;
    trk_status (*call)(world *w);
    int ends; /* running out of memory ends the tracker */
} step;

static const step tracking[] = {
    {"trk_pool_create", create_pool, 0}, {"trk_tracker_create", create, 0}, {"box", box, 0}, {"push 0", push_0, 1},
    {"push 1", push_1, 1}, {"click on the kept frame", click, 1}, {"push 2", push_2, 1}, {"mask", mask, 0}, {0},
};
/* also what a model makes with its first frame */
static const step loading[] = {
    {"trk_model_load", load, 0}, {"trk_pool_create", create_pool, 0}, {"trk_tracker_create", create, 0}, {"box", box, 0},
    {"push 0", push_0, 1}, {0},
};

static void clear_world(world *w)
{
    trk_tracker_destroy(&w->t);
    trk_pool_destroy(&w->pool);
    trk_model_destroy(&w->model);
}

static int n_complaints;
static char complaint[256];

/* Leaks of ledgers and banks are errors in the log. */
static void on_log(void *user, int level, const char *line)
{
    if (level == 0 && n_complaints++ == 0)
        snprintf(complaint, sizeof complaint, "%s", line);
}

/* The nth allocation of the steps fails: one error of the call it is in, which works again if it did not end the
 * tracker; nothing is left. Returns 1 when there were so many allocations. */
static int run_failing(const step *steps, uint64_t n)
{
    static world w;
    static trk_account before, after;
    long held, held_after;
    int ended = 0;
    w = (world){0};
    trk_heap_measure(&before);
    emulation_allocations(&held);
    trk_heap_fail(n, n ? 1 : 0);
    for (const step *s = steps; s->call && !ended; s++) {
        trk_fail(TRK_OK, "%s", "");
        const trk_status rc = s->call(&w);
        if (rc >= 0)
            continue;
        if (rc != TRK_E_MEMORY || !trk_last_error()[0] || strchr(trk_last_error(), '\n'))
            fail_msg("allocation %d, %s: status %d, \"%s\"", (int)n, s->name, (int)rc, trk_last_error());
        ended = s->ends;
        if (!ended && s->call(&w) < 0)
            fail_msg("allocation %d, %s fails again with memory there: %s", (int)n, s->name, trk_last_error());
    }
    const int saw = trk_heap_fail(0, 0) >= n;
    clear_world(&w);
    trk_heap_measure(&after);
    emulation_allocations(&held_after);
    if (after.n_now != before.n_now || after.total_now != before.total_now || held_after != held || n_complaints)
        fail_msg("allocation %d: %zu bytes, %ld blocks of the device left, there were %zu and %ld; %s", (int)n,
                 after.total_now, held_after, before.total_now, held, complaint);
    return saw;
}

static void run_every(const step *steps, int each)
{
    uint64_t n = 1;
    trk_set_log(on_log, NULL, 0);
    run_failing(steps, 0);
    while (run_failing(steps, n))
        n += (uint64_t)each;
    trk_set_log(NULL, NULL, 0);
    printf("about %d allocations, each %dth failed\n", (int)n, each);
    assert_true(n > 100);
}

static void tracking_with_one_failure(void **state)
{
    run_every(tracking, 7);
}

static void loading_with_one_failure(void **state)
{
    run_every(loading, 37);
}

/* --- without a device ------------------------------------------------------------------------------------------- */

static char reason[256];

static void keep_reason(void *user, int level, const char *line)
{
    if (strstr(line, "no GPU is used: "))
        snprintf(reason, sizeof reason, "%s", line);
}

/* The program as it is run by the tests below, with an environment in which no device can be used: refused where one is
 * asked for, the CPU with the reason where the library chooses. */
static int run_unusable(trk_status expected, const char *text)
{
    trk_model *m = NULL;
    trk_model_info info = {.struct_size = sizeof info};
    trk_status rc = script_load(&m, TRK_DEVICE_CUDA, TRK_PRECISION_F32);
    printf("%s\n", trk_last_error());
    if (rc != expected || m || !strstr(trk_last_error(), text) || strchr(trk_last_error(), '\n'))
        return 1;
    trk_set_log(keep_reason, NULL, 2);
    rc = script_load(&m, TRK_DEVICE_AUTO, TRK_PRECISION_F32);
    if (rc < 0 || trk_model_get_info(m, &info) < 0 || info.device != TRK_DEVICE_CPU)
        return 2;
    printf("%s\n", reason);
    trk_model_destroy(&m);
    return strstr(reason, text) ? 0 : 3;
}

static void check_unusable(const char *name, const char *value, trk_status expected, const char *text)
{
    char number[16];
    int status;
    snprintf(number, sizeof number, "%d", (int)expected);
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
        setenv(name, value, 1);
        execl("/proc/self/exe", "test_cuda_memory", "unusable", number, text, (char *)NULL);
        _exit(4);
    }
    assert_true(child > 0);
    assert_true(waitpid(child, &status, 0) == child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void without_a_device(void **state)
{
    setenv("CUDA_VISIBLE_DEVICES", "", 1); /* on a card */
    check_unusable("SIMT_DEVICES", "0", TRK_E_UNSUPPORTED, "device cuda");
    unsetenv("CUDA_VISIBLE_DEVICES");
}

static void with_a_device_that_is_not_enough(void **state)
{
    if (!emulation_schedules())
        skip();
    check_unusable("SIMT_CODE", "0", TRK_E_UNSUPPORTED, "this build does not run on SIMT emulation");
    check_unusable("SIMT_MEMORY", "1", TRK_E_MEMORY, "no memory for");
}

static int set_up(void **state)
{
    const trk_status rc = script_load(&model, TRK_DEVICE_CUDA, TRK_PRECISION_F32);
    script_keep_handler();
    if (rc < 0)
        fprintf(stderr, "%s\n", trk_last_error());
    return rc < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
    script_use_handler();
    trk_heap_fail(0, 0);
    trk_model_destroy(&model);
    const char *error = emulation_take_error();
    if (error)
        fprintf(stderr, "%s\n", error);
    return error ? -1 : 0;
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

int main(int argc, char **argv)
{
#define TEST(name) {#name, with_handler, NULL, NULL, &(struct test){name}}
    const struct CMUnitTest tests[] = {
        TEST(plans_hold_and_warm_frames_allocate_nothing),
        TEST(what_can_not_fit_is_refused),
        TEST(tracking_with_one_failure),
        TEST(loading_with_one_failure),
        TEST(without_a_device),
        TEST(with_a_device_that_is_not_enough),
    };
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc == 4 && !strcmp(argv[1], "unusable"))
        return run_unusable((trk_status)atoi(argv[2]), argv[3]);
    if (trk_backend_check(TRK_BACKEND_CUDA, 0) == TRK_E_UNSUPPORTED) {
        printf("skipped: %s\n", trk_last_error());
        return 77;
    }
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
