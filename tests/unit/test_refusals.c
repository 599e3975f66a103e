/* SPDX-License-Identifier: Apache-2.0
 * What the public interface refuses, and what it says: parameters out of range, structs of other versions, calls that a
 * tracker is not ready for. Prompts, frames and model files that are refused: test_tracker.c. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../asserts.h"
#include "drawn_frame.h"
#include "track.h"

enum { WIDTH = 96, HEIGHT = 72, IMAGE_SIZE = 64, RADIUS = 15 };

static const char model_path[] = TRK_SAMPLES_DIR "/models/demo-m.safetensors";
static const trk_box box = {20, 20, 2 * RADIUS, 2 * RADIUS};
static trk_model *model;

static trk_status load(trk_model **out, const trk_model_params *given)
{
    trk_model_params p = *given;
    p.image_size = IMAGE_SIZE;
    return trk_model_load(out, model_path, &p);
}

static int set_up(void **state)
{
    (void)state;
    trk_model_params p = TRK_MODEL_PARAMS_INIT;
    p.threads = 1;
    p.device = TRK_DEVICE_CPU; /* addresses are the host's */
    return load(&model, &p) < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    trk_model_destroy(&model);
    return 0;
}

static trk_status push(trk_tracker *t, int64_t index)
{
    static uint8_t rgb[WIDTH * HEIGHT * 3];
    draw_disc(rgb, WIDTH, HEIGHT, 35, 35, RADIUS);
    const trk_frame frame = {.width = WIDTH, .height = HEIGHT, .planes = {rgb}, .strides = {WIDTH * 3}, .index = index};
    return trk_tracker_push(t, &frame);
}

/* --- parameters ---------------------------------------------------------------------------------------------------- */

static void models(void **state)
{
    (void)state;
    static const struct {
        trk_model_params params;
        const char *says;
    } cases[] = {
        {{.device = (trk_device)9}, "device 9: expected a trk_device"},
        {{.precision = (trk_precision)9}, "precision 9: expected a trk_precision"},
        {{.threads = -1}, "threads -1: expected 0 (all cores) to 1024"},
        {{.threads = 1025}, "threads 1025"},
    };
    trk_model *m = NULL;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        trk_model_params p = cases[i].params;
        p.struct_size = sizeof p;
        assert_refused(load(&m, &p), TRK_E_ARGUMENT, cases[i].says);
        assert_null(m);
    }
}

static void trackers(void **state)
{
    (void)state;
    static const trk_motion_params motion = {.struct_size = sizeof motion};
    static const struct {
        trk_tracker_params params;
        const char *says;
    } cases[] = {
        {{.sweep = (trk_sweep)7}, "sweep 7: expected a trk_sweep"},
        {{.sweep = (trk_sweep)-1}, "sweep -1"},
        {{.binarize = (trk_switch)5}, "switch 5: expected TRK_DEFAULT, TRK_ON or TRK_OFF"},
        {{.stability = (trk_switch)5}, "switch 5"},
        {{.non_overlap = (trk_switch)-5}, "switch -5"},
        {{.correct_as_condition = (trk_switch)5}, "switch 5"},
        {{.sweep_every = -2}, "sweep_every -2: expected 1 or more"},
        {{.sweep_above = 1.5}, "sweep_above 1.5: expected a share"},
        {{.sweep_above = -0.5}, "sweep_above -0.5"},
        {{.sweep_above = NAN}, "sweep_above nan"},
        {{.memory_type = (trk_memory_type)17}, "memory types 17 and 0: expected a trk_memory_type"},
        {{.older_memory_type = (trk_memory_type)-1}, "memory types 0 and -1"},
        {{.older_after = -1}, "older_after -1: expected 1 or more"},
        {{.policy = (trk_policy_kind)4}, "policy 4: expected a trk_policy_kind"},
        {{.motion = &motion}, "expected a policy that has a motion model"},
    };
    trk_tracker *t = NULL;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        trk_tracker_params p = cases[i].params;
        p.struct_size = sizeof p;
        assert_refused(trk_tracker_create(&t, model, &p), TRK_E_ARGUMENT, cases[i].says);
        assert_null(t);
    }
    assert_refused(trk_tracker_create(&t, NULL, NULL), TRK_E_ARGUMENT, "must not be NULL");
}

/* A share of a budget that is not there; a pool of another model. */
static void trackers_of_pools(void **state)
{
    (void)state;
    trk_model_params of_other = TRK_MODEL_PARAMS_INIT;
    of_other.threads = 1;
    trk_model *other = NULL;
    trk_pool *pool = NULL;
    trk_tracker *t = NULL;
    trk_tracker_params p = TRK_TRACKER_PARAMS_INIT;
    p.sweep = TRK_SWEEP_ABOVE;
    assert_refused(trk_tracker_create(&t, model, &p), TRK_E_ARGUMENT, "budget");
    p.sweep = TRK_SWEEP_EVERY;
    assert_ok(load(&other, &of_other));
    assert_ok(trk_pool_create(&pool, other, NULL));
    p.pool = pool;
    assert_refused(trk_tracker_create(&t, model, &p), TRK_E_ARGUMENT, "the tracker's pool was made for another model");
    assert_null(t);
    trk_pool_destroy(&pool);
    trk_model_destroy(&other);
}

static void pools(void **state)
{
    (void)state;
    static const struct {
        trk_pool_params params;
        trk_status status;
        const char *says;
    } cases[] = {
        {{.budget_share = 1.5}, TRK_E_ARGUMENT, "budget_share 1.5: expected 0 to 1"},
        {{.budget_share = -1}, TRK_E_ARGUMENT, "budget_share -1"},
        {{.budget_share = NAN}, TRK_E_ARGUMENT, "budget_share nan"},
        {{.most_resident = -1}, TRK_E_ARGUMENT, "most_resident -1: expected 0 or more"},
        {{.evict = (trk_evict)9}, TRK_E_ARGUMENT, "evict 9: expected a trk_evict"},
        {{.budget = 1000}, TRK_E_MEMORY, "the memory budget is 1000 bytes; the model alone has"},
    };
    trk_pool *pool = NULL;
    trk_pool_info info = {.struct_size = sizeof info};
    trk_pool_params p;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        p = cases[i].params;
        p.struct_size = sizeof p;
        assert_refused(trk_pool_create(&pool, model, &p), cases[i].status, cases[i].says);
        assert_null(pool);
    }
    size_t budgets[2];
    for (int i = 0; i < 2; i++) { /* a share is one of what is free, which others change meanwhile */
        p = (trk_pool_params)TRK_POOL_PARAMS_INIT;
        p.budget_share = i ? 0.2 : 0.8;
        assert_ok(trk_pool_create(&pool, model, &p));
        assert_ok(trk_pool_get_info(pool, &info));
        budgets[i] = info.budget;
        trk_pool_destroy(&pool);
    }
    assert_true(budgets[1] > 0 && budgets[0] > 2 * budgets[1]);
}

static void plans(void **state)
{
    (void)state;
    static const struct {
        trk_plan_params params;
        const char *says;
    } cases[] = {
        {{.width = WIDTH, .height = HEIGHT, .objects = -1}, "a negative count (objects -1,"},
        {{.width = WIDTH, .height = HEIGHT, .prompts = -1}, "prompts -1,"},
        {{.width = WIDTH, .height = HEIGHT, .prompt_points = -1}, "points -1,"},
        {{.width = WIDTH, .height = HEIGHT, .trackers = -1}, "trackers -1,"},
        {{.width = WIDTH, .height = HEIGHT, .busy = -1}, "busy -1)"},
        {{.width = WIDTH, .height = HEIGHT, .prompt_points = 65537}, "65537 clicks in a prompt, expected at most 65536"},
        {{.width = 0, .height = HEIGHT}, "frame of 0 x 72"},
        {{.width = WIDTH, .height = HEIGHT, .format = (trk_pixel_format)77}, "pixel format 77"},
        {{.width = WIDTH, .height = 40000}, "frame of 96 x 40000"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        trk_plan plan = {.struct_size = sizeof plan};
        trk_plan_params p = cases[i].params;
        p.struct_size = sizeof p;
        assert_refused(trk_plan_make(&plan, model, &p), TRK_E_ARGUMENT, cases[i].says);
        assert_int_equal(plan.total, 0);
    }
}

/* --- structs of other versions ------------------------------------------------------------------------------------- */

static void params_of_other_versions(void **state)
{
    (void)state;
    struct {
        trk_tracker_params params;
        int64_t later; /* a field of a version to come */
    } newer = {.params = TRK_TRACKER_PARAMS_INIT};
    trk_tracker *t = NULL;
    newer.params.struct_size = sizeof newer;
    assert_ok(trk_tracker_create(&t, model, &newer.params));
    trk_tracker_destroy(&t);
    newer.later = 1;
    assert_refused(trk_tracker_create(&t, model, &newer.params), TRK_E_ARGUMENT,
                   "trk_tracker_params has a field set that this version (");
    assert_non_null(strstr(trk_last_error(), trk_version()));
    /* what an older one lacks is the default: here the policy, and with it the motion model it does not have */
    static const trk_motion_params motion = {.struct_size = sizeof motion};
    newer.params.policy = TRK_POLICY_SAM2;
    newer.params.motion = &motion;
    newer.params.struct_size = offsetof(trk_tracker_params, policy);
    assert_ok(trk_tracker_create(&t, model, &newer.params));
    trk_tracker_destroy(&t);
    newer.params.struct_size = 0;
    assert_refused(trk_tracker_create(&t, model, &newer.params), TRK_E_ARGUMENT, "struct_size is 0");
}

static void version_and_build(void **state)
{
    (void)state;
    char expected[40];
    snprintf(expected, sizeof expected, "%d.%d.%d", TRK_VERSION_MAJOR, TRK_VERSION_MINOR, TRK_VERSION_PATCH);
    assert_string_equal(trk_version(), expected);
    assert_non_null(strstr(trk_build_info(), "cpu"));
    assert_non_null(strstr(trk_build_info(), "ref"));
    assert_null(strchr(trk_build_info(), '\n'));
}

/* One line for each: NULL, and a size that was not set. */
static void structs_to_fill(void **state)
{
    (void)state;
    trk_tracker *t = NULL;
    trk_pool *pool = NULL;
    trk_model_info of_model = {0};
    trk_tracker_info of_tracker = {0};
    trk_memory_use use = {0};
    trk_pool_info of_pool = {0};
    trk_motion_params motion = {0};
    trk_result result = {0};
    trk_plan plan = {0};
    trk_plan_params wanted = TRK_PLAN_PARAMS_INIT;
    wanted.width = wanted.height = 64;
    assert_ok(trk_tracker_create(&t, model, NULL));
    assert_ok(trk_pool_create(&pool, model, NULL));
    assert_refused(trk_model_get_info(model, &of_model), TRK_E_ARGUMENT, "trk_model_get_info: out->struct_size is 0");
    assert_refused(trk_tracker_get_info(t, &of_tracker), TRK_E_ARGUMENT, "trk_tracker_get_info: out->struct_size is 0");
    assert_refused(trk_tracker_memory(t, &use), TRK_E_ARGUMENT, "trk_tracker_memory: out->struct_size is 0");
    assert_refused(trk_pool_get_info(pool, &of_pool), TRK_E_ARGUMENT, "trk_pool_get_info: out->struct_size is 0");
    assert_refused(trk_motion_defaults(model, &motion), TRK_E_ARGUMENT, "trk_motion_defaults: out->struct_size is 0");
    assert_refused(trk_tracker_result(t, 1, &result), TRK_E_ARGUMENT, "trk_tracker_result: out->struct_size is 0");
    assert_refused(trk_plan_make(&plan, model, &wanted), TRK_E_ARGUMENT, "trk_plan_make: out->struct_size is 0");
    use.struct_size = sizeof use;
    plan.struct_size = sizeof plan;
    assert_refused(trk_tracker_memory(NULL, &use), TRK_E_ARGUMENT, "trk_tracker_memory: arguments must not be NULL");
    assert_refused(trk_tracker_memory(t, NULL), TRK_E_ARGUMENT, "trk_tracker_memory: arguments must not be NULL");
    assert_refused(trk_plan_make(&plan, model, NULL), TRK_E_ARGUMENT, "trk_plan_make: arguments must not be NULL");
    trk_tracker_destroy(&t);
    trk_pool_destroy(&pool);
}

/* --- calls a tracker is not ready for ------------------------------------------------------------------------------ */

static void objects_and_frames(void **state)
{
    (void)state;
    int64_t first, last;
    uint8_t mask[WIDTH * HEIGHT];
    trk_tracker *t = NULL;
    assert_ok(trk_tracker_create(&t, model, NULL));
    assert_refused(trk_tracker_rewind(t, 3, NULL), TRK_E_STATE, "rewind to frame 3: no frame was pushed yet");
    assert_refused(trk_tracker_rebase(t, 0), TRK_E_STATE, "no frame was pushed yet");
    assert_ok(trk_tracker_prompt_box(t, 1, 0, &box));
    assert_ok(trk_tracker_prompt_box(t, 2, 9, &box));
    assert_ok(push(t, 0));
    assert_ok(push(t, 1));
    assert_refused(trk_tracker_reach(t, 2, &first, &last), TRK_E_NOT_FOUND, "object 2 has not started");
    assert_refused(trk_tracker_reach(t, 3, &first, &last), TRK_E_NOT_FOUND, "there is no object 3");
    assert_refused(trk_tracker_forget(t, 1, 0, 5), TRK_E_STATE, "object 1 has its only prompted frames in 0 .. 5");
    assert_refused(trk_tracker_forget(t, 3, 0, 5), TRK_E_NOT_FOUND, "there is no object 3");
    assert_ok(trk_tracker_forget(t, 1, 1, 5));
    assert_refused(trk_tracker_fork_object(t, 1, 2), TRK_E_ARGUMENT, "object 2 is in use already");
    assert_refused(trk_tracker_fork_object(t, 1, 0), TRK_E_ARGUMENT, "object 0: expected a positive number");
    assert_refused(trk_tracker_fork_object(t, 3, 4), TRK_E_NOT_FOUND, "there is no object 3");
    assert_refused(trk_tracker_rewind(t, 2, NULL), TRK_E_STATE, "expected one of the frames tracked, 0 to 1");
    assert_refused(trk_tracker_unlock_frame(t, 1), TRK_E_NOT_FOUND, "the features of frame 1 are not held");
    assert_refused(trk_tracker_mask(t, 1, NULL, WIDTH), TRK_E_ARGUMENT, "mask must not be NULL");
    assert_refused(trk_tracker_mask(t, 1, mask, WIDTH - 1), TRK_E_ARGUMENT, "mask with stride 95: a row is 96 bytes");
    assert_refused(trk_tracker_mask_to(t, 1, (trk_place)7, mask, WIDTH), TRK_E_ARGUMENT, "place 7: expected a trk_place");
    assert_refused(trk_tracker_mask_to(t, 1, TRK_ON_DEVICE, mask, WIDTH), TRK_E_ARGUMENT, "the model is on the CPU");
    assert_refused(trk_tracker_logits(t, 1, NULL), TRK_E_ARGUMENT, "logits must not be NULL");
    assert_ok(push(t, 2)); /* none of this ended it */
    trk_tracker_destroy(&t);
}

static void numbers_that_are_none(void **state)
{
    (void)state;
    static const uint8_t mask[16] = {1};
    const trk_point bad = {1, NAN, 1}, far = {2e7f, 1, 1};
    const trk_box wide = {-3e38f, 0, 3.2e38f, 1}, flat = {1, 1, 5, 0};
    trk_tracker *t = NULL;
    assert_ok(trk_tracker_create(&t, model, NULL));
    assert_refused(trk_tracker_prompt_points(t, 1, 0, &bad, 1), TRK_E_ARGUMENT,
                   "point 0 of object 1 is 1,nan: expected numbers within 16777216 either way");
    assert_refused(trk_tracker_prompt_points(t, 1, 0, &far, 1), TRK_E_ARGUMENT, "point 0 of object 1 is 2e+07,1:");
    assert_refused(trk_tracker_prompt_box(t, 1, 0, &wide), TRK_E_ARGUMENT, "box -3e+38,0,3.2e+38,1 of object 1:");
    assert_refused(trk_tracker_prompt_box(t, 1, 0, &flat), TRK_E_ARGUMENT, "width and height positive");
    assert_refused(trk_tracker_prompt_mask(t, 1, 0, mask, 0, 4, 4), TRK_E_ARGUMENT, "mask of 0 x 4: expected sides");
    assert_refused(trk_tracker_prompt_mask(t, 1, 0, mask, 4, 70000, 4), TRK_E_ARGUMENT, "mask of 4 x 70000");
    assert_int_equal(trk_tracker_all_objects(t, NULL, 0), 0);
    trk_tracker_destroy(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(models),
        cmocka_unit_test(trackers),
        cmocka_unit_test(trackers_of_pools),
        cmocka_unit_test(pools),
        cmocka_unit_test(plans),
        cmocka_unit_test(params_of_other_versions),
        cmocka_unit_test(version_and_build),
        cmocka_unit_test(structs_to_fill),
        cmocka_unit_test(objects_and_frames),
        cmocka_unit_test(numbers_that_are_none),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
