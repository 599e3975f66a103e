/* SPDX-License-Identifier: Apache-2.0
 * Every allocation of the library fails once: in loading a model, and in a short run that touches every part of a
 * tracker. Each failure is reported by the call it happens in, leaves nothing behind, and leaves usable what the
 * interface says stays usable. Then the same with all later allocations failing too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "clip.h"
#include "device.h"
#include "error.h"
#include "heap.h"

enum { IMAGE_SIZE = 64, SIDE = IMAGE_SIZE / 4, FRAMES = 6, CROP = 160, CROP_X = 200, CROP_Y = 150, MOST_TOLD = 12 };

static const char model_path[] = TRK_SAMPLES_DIR "/models/demo-m.safetensors";
static const char folder[] = "failures.states", state_path[] = "failures.states/one.trkstate";

static clip video;
static trk_model *model;

typedef struct world {
    trk_pool *pool;
    trk_tracker *t, *resumed, *copy;
    int64_t next;
    uint8_t mask[CROP * CROP];
    float logits[CROP * CROP];
} world;

/* --- the run, one call of the library a step -------------------------------------------------------------------- */

static trk_status push(trk_tracker *t, int index)
{
    trk_frame frame = clip_frame(&video, index, index);
    frame.planes[0] += CROP_Y * frame.strides[0] + 3 * CROP_X;
    frame.width = frame.height = CROP;
    return trk_tracker_push(t, &frame);
}

static trk_status create_pool(world *w)
{
    trk_pool_params p = TRK_POOL_PARAMS_INIT;
    p.most_resident = 2;
    return trk_pool_create(&w->pool, model, &p);
}

static trk_status create(world *w)
{
    trk_tracker_params p = TRK_TRACKER_PARAMS_INIT;
    p.pool = w->pool;
    p.keep_frame = 1;
    p.history = -1;
    p.older_memory_type = TRK_MEMORY_Q8;
    p.older_after = 2;
    return trk_tracker_create(&w->t, model, &p);
}

static trk_status box(world *w)
{
    return trk_tracker_prompt_box(w->t, 1, 0, &(trk_box){5, 5, 100, 120});
}

static trk_status points(world *w)
{
    return trk_tracker_prompt_points(w->t, 2, 0, (trk_point[]){{130, 130, 1}, {20, 20, 0}}, 2);
}

static trk_status refine(world *w)
{
    return trk_tracker_prompt_points(w->t, 1, 0, (trk_point[]){{60, 60, 1}}, 1);
}

static trk_status mask_prompt(world *w)
{
    memset(w->mask, 0, sizeof w->mask);
    memset(w->mask + CROP * CROP / 2, 1, CROP * 20);
    return trk_tracker_prompt_mask(w->t, 2, 2, w->mask, CROP, CROP, CROP);
}

static trk_status push_0(world *w) { return push(w->t, 0); }
static trk_status push_1(world *w) { return push(w->t, 1); }
static trk_status push_2(world *w) { return push(w->t, 2); }
static trk_status push_3(world *w) { return push(w->t, 3); }
static trk_status push_4(world *w) { return push(w->t, 4); }
static trk_status push_5(world *w) { return push(w->t, 5); }
static trk_status push_resumed(world *w) { return push(w->resumed, 3); }
static trk_status push_copy(world *w) { return push(w->copy, 4); }
static trk_status lock(world *w) { return trk_tracker_lock_frame(w->t, 2); }
static trk_status mask(world *w) { return trk_tracker_mask(w->t, 1, w->mask, CROP); }
static trk_status logits(world *w) { return trk_tracker_logits(w->t, 2, w->logits); }
static trk_status paint(world *w)
{
    static uint8_t rgb[CROP * CROP * 3];
    trk_paint_object objects[] = {{.object = 2, .colour = {9, 8, 7}}, {.object = 1}};
    const trk_paint p = {.struct_size = sizeof p, .objects = objects, .n_objects = 2};
    return trk_tracker_paint(w->t, &p, rgb, CROP * 3);
}
static trk_status save(world *w) { return trk_tracker_save(w->t, state_path); }
static trk_status fork_it(world *w) { return trk_tracker_fork(&w->copy, w->t); }
static trk_status fork_object(world *w) { return trk_tracker_fork_object(w->t, 1, 5); }
static trk_status rewind_it(world *w) { return trk_tracker_rewind(w->t, 2, &w->next); }
static trk_status forget(world *w) { return trk_tracker_forget(w->t, 5, 3, 3); }
static trk_status rebase(world *w) { return trk_tracker_rebase(w->copy, 1004); }
static trk_status reset(world *w) { return trk_tracker_reset(w->resumed); }

static trk_status resume(world *w)
{
    trk_tracker_params p = TRK_TRACKER_PARAMS_INIT;
    p.pool = w->pool;
    return trk_tracker_resume(&w->resumed, model, &p, state_path);
}

typedef struct step {
    const char *name;
    trk_status (*call)(world *w);
    int ends; /* 1: running out of memory ends the tracker w->t; 2: another one */
} step;

static const step steps[] = {
    {"trk_pool_create", create_pool, 0},
    {"trk_tracker_create", create, 0},
    {"box for a frame to come", box, 0},
    {"points for a frame to come", points, 0},
    {"push 0", push_0, 1},
    {"points on the current frame", refine, 1},
    {"mask for a frame to come", mask_prompt, 0},
    {"push 1", push_1, 1},
    {"push 2", push_2, 1},
    {"trk_tracker_lock_frame", lock, 0},
    {"trk_tracker_mask", mask, 0},
    {"trk_tracker_logits", logits, 0},
    {"trk_tracker_paint", paint, 0},
    {"trk_tracker_save", save, 0},
    {"trk_tracker_resume", resume, 0},
    {"push 3 into the resumed one", push_resumed, 2},
    {"push 3", push_3, 1},
    {"trk_tracker_fork", fork_it, 0},
    {"push 4", push_4, 1},
    {"push 4 into the copy", push_copy, 2},
    {"trk_tracker_rebase", rebase, 0},
    {"trk_tracker_fork_object", fork_object, 0},
    {"trk_tracker_forget", forget, 0},
    {"push 5", push_5, 1},
    {"trk_tracker_rewind", rewind_it, 1},
    {"push 3 again", push_3, 1},
    {"push 4 again", push_4, 1},
    {"trk_tracker_reset", reset, 0},
};
enum { STEPS = sizeof steps / sizeof *steps };

static void clear_world(world *w)
{
    trk_tracker_destroy(&w->copy);
    trk_tracker_destroy(&w->resumed);
    trk_tracker_destroy(&w->t);
    trk_pool_destroy(&w->pool);
    unlink(state_path);
}

/* --- what must hold --------------------------------------------------------------------------------------------- */

static int n_told, n_overcome; /* problems; failures the library got over by itself */

static int problem(uint64_t n, const char *where, const char *what)
{
    if (n_told++ < MOST_TOLD)
        fprintf(stderr, "allocation %llu, %s: %s (error text: \"%s\")\n", (unsigned long long)n, where, what,
                trk_last_error());
    return 1;
}

static int check_report(uint64_t n, const char *where, trk_status rc)
{
    if (rc != TRK_E_MEMORY && rc != TRK_E_BACKEND)
        return problem(n, where, "reported as something else than TRK_E_MEMORY or TRK_E_BACKEND");
    return trk_last_error()[0] ? 0 : problem(n, where, "no error text");
}

static size_t owner_bytes(const trk_account *account, const trk_owner_use *like)
{
    for (size_t i = 0; i < account->n_owners; i++)
        if (account->owners[i].owner == like->owner && account->owners[i].mem_class == like->mem_class)
            return account->owners[i].now;
    return 0;
}

static int check_leaks(uint64_t n, const char *where, const trk_account *before)
{
    static trk_account after;
    char text[256];
    trk_heap_measure(&after);
    if (after.total_now == before->total_now && after.n_now == before->n_now)
        return 0;
    for (size_t i = 0; i < after.n_owners; i++) {
        size_t was = owner_bytes(before, &after.owners[i]);
        if (after.owners[i].now == was)
            continue;
        snprintf(text, sizeof text, "%zu bytes of \"%s\" left, before there were %zu", after.owners[i].now,
                 after.owners[i].owner, was);
        problem(n, where, text);
    }
    return 1;
}

/* A tracker that was ended can be reset and used again. */
static int check_ended(uint64_t n, const char *where, world *w)
{
    if (trk_tracker_reset(w->t) < 0 || box(w) < 0 || push_0(w) < 0)
        return problem(n, where, "the tracker can not be used after a reset");
    return 0;
}

static int same_end(const world *w, float *reference)
{
    trk_result r = {.struct_size = sizeof r};
    return trk_tracker_result(w->t, 2, &r) >= 0 && !memcmp(r.logits, reference, SIDE * SIDE * sizeof *reference);
}

/* --- the runs --------------------------------------------------------------------------------------------------- */

static float reference[SIDE * SIDE];

/* One failure at the n-th allocation; what is not ended by it is called again and must work, up to the same masks.
 * before: of check_leaks, or NULL. */
static int run_failing_once(uint64_t n, int *saw, const trk_account *before)
{
    static world w;
    const char *where = "the run";
    int failed = 0, ended = 0;
    w = (world){0};
    trk_heap_fail(n, 1);
    for (int i = 0; i < STEPS && !failed && !ended; i++) {
        trk_fail(TRK_OK, "%s", "");
        trk_status rc = steps[i].call(&w);
        if (rc >= 0)
            continue;
        where = steps[i].name;
        failed = check_report(n, where, rc);
        ended = steps[i].ends;
        if (!failed && ended == 1)
            failed = check_ended(n, where, &w);
        else if (!failed && !ended && steps[i].call(&w) < 0)
            failed = problem(n, where, "fails again with memory there");
    }
    *saw = trk_heap_fail(0, 0) >= n;
    n_overcome += *saw && !strcmp(where, "the run");
    if (!failed && !ended && !same_end(&w, reference))
        failed = problem(n, where, "the run went on to other masks");
    clear_world(&w);
    if (rmdir(folder) || mkdir(folder, 0700))
        failed = problem(n, where, "a file was left behind");
    return failed || !before ? failed : check_leaks(n, where, before);
}

/* No allocation from the n-th on succeeds, not even while everything is taken down. */
static int run_failing_on(uint64_t n, int *saw, const trk_account *before)
{
    static world w;
    const char *where = "the run";
    int failed = 0;
    trk_status rc = TRK_OK;
    w = (world){0};
    trk_heap_fail(n, UINT64_MAX - n);
    for (int i = 0; i < STEPS && rc >= 0; i++) {
        trk_fail(TRK_OK, "%s", "");
        rc = steps[i].call(&w);
        where = steps[i].name;
    }
    if (rc < 0)
        failed = check_report(n, where, rc);
    clear_world(&w);
    *saw = trk_heap_fail(0, 0) >= n;
    n_overcome += *saw && rc >= 0;
    return failed | check_leaks(n, where, before);
}

static int load_failing(uint64_t n, uint64_t count, int *saw, const trk_account *before)
{
    trk_model_params p = TRK_MODEL_PARAMS_INIT;
    trk_model *m = NULL;
    int failed = 0;
    p.image_size = IMAGE_SIZE;
    p.device = test_device();
    trk_heap_fail(n, count);
    trk_fail(TRK_OK, "%s", "");
    trk_status rc = trk_model_load(&m, model_path, &p);
    *saw = trk_heap_fail(0, 0) >= n;
    n_overcome += *saw && rc >= 0;
    if (rc < 0)
        failed = check_report(n, "trk_model_load", rc);
    if (rc < 0 && m)
        failed = problem(n, "trk_model_load", "failed, and gave a model");
    trk_model_destroy(&m);
    return failed | check_leaks(n, "trk_model_load", before);
}

static int load_failing_once(uint64_t n, int *saw, const trk_account *before)
{
    return load_failing(n, 1, saw, before);
}

static int load_failing_on(uint64_t n, int *saw, const trk_account *before)
{
    return load_failing(n, UINT64_MAX - n, saw, before);
}

/* As run_failing_once, with a model that has not been used: what it makes for its first frames fails too. */
static int first_run_failing_once(uint64_t n, int *saw, const trk_account *before)
{
    trk_model_params p = TRK_MODEL_PARAMS_INIT;
    trk_model *warm = model, *cold = NULL;
    p.image_size = IMAGE_SIZE;
    p.device = test_device();
    if (trk_model_load(&cold, model_path, &p) < 0)
        return problem(n, "trk_model_load", "failed without cause");
    model = cold;
    int failed = run_failing_once(n, saw, NULL);
    model = warm;
    trk_model_destroy(&cold);
    return failed | check_leaks(n, "the first run of a model", before);
}

/* for every n until a run asks for fewer allocations */
static void for_every_allocation(int (*run)(uint64_t n, int *saw, const trk_account *before))
{
    static trk_account before;
    int saw = 1, n_failed = 0;
    uint64_t n = 0;
    n_told = n_overcome = 0;
    trk_heap_measure(&before);
    while (saw)
        n_failed += run(++n, &saw, &before);
    printf("%llu allocations, each failed; %d of them did not matter\n", (unsigned long long)n - 1, n_overcome);
    assert_true(n > 10);
    assert_int_equal(n_failed, 0);
}

static void loading_with_one_failure(void **state)
{
    for_every_allocation(load_failing_once);
}

static void loading_with_nothing_left(void **state)
{
    for_every_allocation(load_failing_on);
}

static void tracking_with_one_failure(void **state)
{
    for_every_allocation(run_failing_once);
}

static void tracking_with_one_failure_in_a_fresh_model(void **state)
{
    for_every_allocation(first_run_failing_once);
}

static void tracking_with_nothing_left(void **state)
{
    for_every_allocation(run_failing_on);
}

/* the run without a failure; what the model keeps from its first use is there from then on */
static int set_up(void **state)
{
    static world w;
    trk_model_params p = TRK_MODEL_PARAMS_INIT;
    p.image_size = IMAGE_SIZE;
    p.device = test_device();
    unlink(state_path); /* of a run that was cut short */
    rmdir(folder);
    if (clip_load_sample(&video, TRK_SAMPLES_DIR, 0, FRAMES) || mkdir(folder, 0700) ||
        trk_model_load(&model, model_path, &p) < 0)
        return -1;
    for (int i = 0; i < STEPS; i++)
        if (steps[i].call(&w) < 0) {
            fprintf(stderr, "%s: %s\n", steps[i].name, trk_last_error());
            return -1;
        }
    trk_result r = {.struct_size = sizeof r};
    int failed = trk_tracker_result(w.t, 2, &r) < 0;
    if (!failed)
        memcpy(reference, r.logits, sizeof reference);
    clear_world(&w);
    return failed ? -1 : 0;
}

static int tear_down(void **state)
{
    trk_heap_fail(0, 0);
    trk_model_destroy(&model);
    clip_free(&video);
    rmdir(folder);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loading_with_one_failure),
        cmocka_unit_test(loading_with_nothing_left),
        cmocka_unit_test(tracking_with_one_failure),
        cmocka_unit_test(tracking_with_one_failure_in_a_fresh_model),
        cmocka_unit_test(tracking_with_nothing_left),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
