/* SPDX-License-Identifier: Apache-2.0
 * How memory is managed decides no mask: whatever is swept, pruned, evicted, saved, shared or gone back over, the
 * low-resolution logits of a sample clip are the same bits. Where bits are not promised (memories made again from a
 * compact form, memories stored in fewer bits), masks stay within bounds. */
#include <math.h>
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
#include "clip.h"
#include "device.h"

enum { FRAMES = 30, OBJECTS = 2, IMAGE_SIZE = 128, SIDE = IMAGE_SIZE / 4, N_CLIPS = 5 };

typedef float logits[OBJECTS][SIDE * SIDE]; /* of one frame */

static trk_model *model, *full_size; /* at IMAGE_SIZE, at its own size */
static clip video;
static logits base[FRAMES], got[FRAMES];

static const char model_path[] = TRK_SAMPLES_DIR "/models/demo-m.safetensors";
static const char state_path[] = "identity.trkstate";

static void prompt(trk_tracker *t, const clip *c)
{
    for (int k = 0; k < OBJECTS; k++)
        assert_ok(trk_tracker_prompt_box(t, k + 1, 0, &c->boxes[k]));
}

static trk_tracker *start(const trk_tracker_params *params)
{
    trk_tracker *t = NULL;
    assert_ok(trk_tracker_create(&t, model, params));
    prompt(t, &video);
    return t;
}

static trk_pool *new_pool(const trk_model *of, const trk_pool_params *params)
{
    trk_pool *pool = NULL;
    assert_ok(trk_pool_create(&pool, of, params));
    return pool;
}

static trk_pool_info pool_info(trk_pool *pool)
{
    trk_pool_info info = {.struct_size = sizeof info};
    assert_ok(trk_pool_get_info(pool, &info));
    return info;
}

static trk_tracker_info tracker_info(const trk_tracker *t)
{
    trk_tracker_info info = {.struct_size = sizeof info};
    assert_ok(trk_tracker_get_info(t, &info));
    return info;
}

static size_t device_bytes(const trk_tracker *t, int memory_class)
{
    trk_memory_use use = {.struct_size = sizeof use};
    assert_ok(trk_tracker_memory(t, &use));
    return use.devices[0].now[memory_class];
}

static void keep(const trk_tracker *t, logits *out)
{
    for (int k = 0; k < OBJECTS; k++) {
        trk_result r = {.struct_size = sizeof r};
        assert_ok(trk_tracker_result(t, k + 1, &r));
        assert_int_equal(r.mask_size, SIDE);
        memcpy((*out)[k], r.logits, sizeof (*out)[k]);
    }
}

/* frames first .. last of the clip under their own numbers */
static void follow(trk_tracker *t, int first, int last, logits *out)
{
    for (int i = first; i <= last; i++) {
        trk_frame frame = clip_frame(&video, i, i);
        assert_ok(trk_tracker_push(t, &frame));
        keep(t, &out[i]);
    }
}

static void assert_same(logits *run, int first, int last)
{
    for (int i = first; i <= last; i++)
        for (int k = 0; k < OBJECTS; k++) {
            int n = 0;
            for (int p = 0; p < SIDE * SIDE; p++)
                n += memcmp(&run[i][k][p], &base[i][k][p], sizeof(float)) != 0;
            if (n)
                fail_msg("frame %d, object %d: %d of %d logits differ from the plain run", i, k + 1, n, SIDE * SIDE);
        }
}

/* the whole clip in one go; the tracker is left for the caller to look at */
static trk_tracker *follow_all(const trk_tracker_params *params)
{
    memset(got, 0xff, sizeof got);
    trk_tracker *t = start(params);
    follow(t, 0, FRAMES - 1, got);
    assert_same(got, 0, FRAMES - 1);
    return t;
}

static int set_up(void **state)
{
    trk_model_params params = TRK_MODEL_PARAMS_INIT, own_size = TRK_MODEL_PARAMS_INIT;
    params.device = own_size.device = test_device();
    params.image_size = IMAGE_SIZE;
    if (clip_load_sample(&video, TRK_SAMPLES_DIR, 0, FRAMES) || trk_model_load(&model, model_path, &params) < 0 ||
        trk_model_load(&full_size, model_path, &own_size) < 0)
        return -1;
    trk_tracker *t = start(NULL);
    follow(t, 0, FRAMES - 1, base);
    trk_tracker_destroy(&t);
    return memcmp(base[1], base[2], sizeof base[1]) ? 0 : -1;
}

static int tear_down(void **state)
{
    trk_model_destroy(&model);
    trk_model_destroy(&full_size);
    clip_free(&video);
    return 0;
}

static void sweeping_every_seventh_frame(void **state)
{
    trk_tracker_params p = TRK_TRACKER_PARAMS_INIT;
    p.sweep_every = 7;
    trk_tracker *t = follow_all(&p);
    assert_int_equal(tracker_info(t).n_sweeps, FRAMES / 7 * 7);
    assert_true(device_bytes(t, TRK_CLASS_FRAME) > 0);
    trk_tracker_destroy(&t);
}

static trk_plan plan(const trk_tracker_params *params)
{
    trk_plan out = {.struct_size = sizeof out};
    trk_plan_params q = TRK_PLAN_PARAMS_INIT;
    q.width = video.width;
    q.height = video.height;
    q.objects = OBJECTS;
    q.tracker = params;
    assert_ok(trk_plan_make(&out, model, &q));
    return out;
}

static void sweeping_above_half_of_a_budget(void **state)
{
    trk_plan needed = plan(NULL);
    trk_pool_params q = TRK_POOL_PARAMS_INIT;
    q.budget = 2 * (needed.total + 6 * needed.frame_each); /* half of it holds some frames, not all */
    trk_pool *pool = new_pool(model, &q);
    trk_tracker_params p = TRK_TRACKER_PARAMS_INIT;
    p.pool = pool;
    p.sweep = TRK_SWEEP_ABOVE;
    p.sweep_above = 0.5;
    trk_tracker *t = follow_all(&p);
    uint64_t n_sweeps = tracker_info(t).n_sweeps;
    if (n_sweeps == 0 || n_sweeps > FRAMES - 2)
        fail_msg("%d of %d frames swept, expected some and not all", (int)n_sweeps, FRAMES);
    trk_tracker_destroy(&t);
    trk_pool_destroy(&pool);
}

static void sweeping_never(void **state)
{
    trk_tracker_params p = TRK_TRACKER_PARAMS_INIT;
    p.sweep = TRK_SWEEP_NEVER;
    trk_tracker *t = follow_all(&p);
    assert_int_equal(tracker_info(t).n_sweeps, 0);
    trk_tracker_destroy(&t);
}

/* the budget asks for what the policy would have held */
static void sweeping_under_pressure(void **state)
{
    trk_plan needed = plan(NULL);
    trk_pool_params q = TRK_POOL_PARAMS_INIT;
    q.budget = needed.total + 3 * needed.frame_each;
    trk_pool *pool = new_pool(model, &q);
    trk_tracker_params p = TRK_TRACKER_PARAMS_INIT;
    p.pool = pool;
    p.sweep = TRK_SWEEP_NEVER;
    trk_tracker *t = follow_all(&p);
    assert_true(tracker_info(t).n_sweeps > 0);
    trk_tracker_destroy(&t);
    trk_pool_destroy(&pool);
}

static void remembering_everything(void **state)
{
    trk_tracker *t = follow_all(NULL);
    size_t pruned = device_bytes(t, TRK_CLASS_BANK);
    trk_tracker_destroy(&t);
    trk_tracker_params p = TRK_TRACKER_PARAMS_INIT;
    p.history = -1;
    t = follow_all(&p);
    assert_true(device_bytes(t, TRK_CLASS_BANK) > 2 * pruned);
    trk_tracker_destroy(&t);
}

static void reserving(void **state)
{
    trk_tracker_params p = TRK_TRACKER_PARAMS_INIT;
    p.reserve = 1;
    trk_tracker *t = follow_all(&p);
    trk_tracker_destroy(&t);
}

static void keeping_frames(void **state)
{
    trk_tracker_params p = TRK_TRACKER_PARAMS_INIT;
    p.keep_frame = 1;
    trk_tracker *t = follow_all(&p);
    assert_true(device_bytes(t, TRK_CLASS_FRAME) > 0);
    trk_tracker_destroy(&t);
}

/* eight take turns on a device that has room for three; all but two of them see the clip from another frame on */
static void among_eight_in_a_pool_for_three(void **state)
{
    enum { TRACKERS = 8, TWIN = 4 };
    static logits twin[FRAMES], other;
    trk_pool_params q = TRK_POOL_PARAMS_INIT;
    q.most_resident = 3;
    trk_pool *pool = new_pool(model, &q);
    trk_tracker_params p = TRK_TRACKER_PARAMS_INIT;
    p.pool = pool;
    trk_tracker *list[TRACKERS];
    memset(got, 0xff, sizeof got);
    for (int k = 0; k < TRACKERS; k++)
        list[k] = start(&p);
    for (int i = 0; i < FRAMES; i++)
        for (int k = 0; k < TRACKERS; k++) {
            int same = k % TWIN == 0;
            trk_frame frame = clip_frame(&video, same ? i : (i + 3 * k) % FRAMES, i);
            assert_ok(trk_tracker_push(list[k], &frame));
            keep(list[k], !same ? &other : k ? &twin[i] : &got[i]);
        }
    assert_same(got, 0, FRAMES - 1);
    assert_same(twin, 0, FRAMES - 1);
    trk_pool_info info = pool_info(pool);
    assert_true(info.n_evictions >= FRAMES * (TRACKERS - 3) && info.n_returns >= (FRAMES - 1) * (TRACKERS - 3));
    assert_true(info.n_resident <= 3);
    for (int k = 0; k < TRACKERS; k++)
        trk_tracker_destroy(&list[k]);
    trk_pool_destroy(&pool);
}

static void saving_and_resuming(void **state)
{
    const int places[] = {0, 9, 22};
    memset(got, 0xff, sizeof got);
    trk_tracker *t = start(NULL);
    for (int i = 0, next = 0; i <= 3; i++) {
        int last = i < 3 ? places[i] : FRAMES - 1;
        follow(t, next, last, got);
        next = last + 1;
        if (i == 3)
            break;
        assert_ok(trk_tracker_save(t, state_path));
        trk_tracker_destroy(&t);
        assert_ok(trk_tracker_resume(&t, model, NULL, state_path));
        static logits again;
        keep(t, &again); /* the results come along */
        assert_memory_equal(again, base[last], sizeof again);
        assert_int_equal(tracker_info(t).next, next);
    }
    assert_same(got, 0, FRAMES - 1);
    trk_tracker_destroy(&t);
    unlink(state_path);
}

static void forking_the_tracker(void **state)
{
    enum { FORK = 10 };
    static logits twin[FRAMES];
    trk_tracker *t = start(NULL), *copy = NULL;
    memset(got, 0xff, sizeof got);
    memset(twin, 0xff, sizeof twin);
    follow(t, 0, FORK, got);
    assert_ok(trk_tracker_fork(&copy, t));
    for (int i = FORK + 1; i < FRAMES; i++) {
        follow(t, i, i, got);
        follow(copy, i, i, twin);
    }
    assert_same(got, FORK + 1, FRAMES - 1);
    assert_same(twin, FORK + 1, FRAMES - 1);
    trk_tracker_destroy(&t);
    trk_tracker_destroy(&copy);
}

static void going_back_eight_frames(void **state)
{
    enum { TURN = 20, BACK_TO = TURN - 7 };
    trk_tracker_params p = TRK_TRACKER_PARAMS_INIT;
    int64_t first, last, next = -1;
    p.history = -1;
    trk_tracker *t = start(&p);
    memset(got, 0xff, sizeof got);
    follow(t, 0, TURN, got);
    assert_ok(trk_tracker_reach(t, 1, &first, &last));
    assert_true(first <= BACK_TO && last == TURN);
    assert_ok(trk_tracker_rewind(t, BACK_TO, &next));
    assert_int_equal(next, BACK_TO); /* features were swept: the frame is pushed again */
    memset(&got[BACK_TO], 0xff, (FRAMES - BACK_TO) * sizeof *got);
    follow(t, BACK_TO, FRAMES - 1, got);
    assert_same(got, 0, FRAMES - 1);
    trk_tracker_destroy(&t);
}

static void going_back_to_a_locked_frame(void **state)
{
    enum { LOCKED = 12, TURN = 20 };
    trk_tracker_params p = TRK_TRACKER_PARAMS_INIT;
    int64_t next = -1;
    p.history = -1;
    p.keep_frame = 1;
    trk_tracker *t = start(&p);
    memset(got, 0xff, sizeof got);
    follow(t, 0, LOCKED, got);
    assert_ok(trk_tracker_lock_frame(t, LOCKED));
    follow(t, LOCKED + 1, TURN, got);
    assert_ok(trk_tracker_rewind(t, LOCKED, &next));
    assert_int_equal(next, LOCKED + 1);
    memset(&got[LOCKED], 0xff, (FRAMES - LOCKED) * sizeof *got);
    keep(t, &got[LOCKED]); /* tracked anew from the features that were held */
    assert_ok(trk_tracker_unlock_frame(t, LOCKED));
    follow(t, LOCKED + 1, FRAMES - 1, got);
    assert_same(got, 0, FRAMES - 1);
    trk_tracker_destroy(&t);
}

/* --- where bits are not promised: sample clips at the model's own size -------------------------------------------- */

typedef struct tally {
    double j[OBJECTS];    /* mean J over the clip */
    double same[OBJECTS]; /* mean IoU with the masks compared with */
} tally;

/* Follows a clip. `idle`, if there, takes a frame now and then, so that a pool for one evicts. Masks are
 * kept in `masks` or compared with them. */
static tally follow_clip(const clip *c, trk_tracker *t, trk_tracker *idle, uint8_t *masks, int compare)
{
    enum { INTERRUPTION = 5 };
    tally sum = {{0}, {0}};
    size_t pixels = clip_pixels(c);
    uint8_t *mask = malloc(pixels);
    assert_non_null(mask);
    for (int i = 0, n_idle = 0; i < c->n_frames; i++) {
        trk_frame frame = clip_frame(c, i, i);
        assert_ok(trk_tracker_push(t, &frame));
        for (int k = 0; k < OBJECTS; k++) {
            uint8_t *kept = masks + (size_t)(i * OBJECTS + k) * pixels;
            assert_ok(trk_tracker_mask(t, k + 1, mask, c->width));
            sum.j[k] += clip_j(c, i, k + 1, mask) / c->n_frames;
            sum.same[k] += compare ? clip_iou(mask, kept, 0, pixels) / c->n_frames : 0;
            if (!compare)
                memcpy(kept, mask, pixels);
        }
        if (idle && i % INTERRUPTION == INTERRUPTION - 1) {
            frame = clip_frame(c, n_idle, n_idle);
            assert_ok(trk_tracker_push(idle, &frame));
            n_idle++;
        }
    }
    free(mask);
    return sum;
}

static tally follow_with(const clip *c, const trk_tracker_params *params, uint8_t *masks, int compare)
{
    trk_tracker *t = NULL;
    assert_ok(trk_tracker_create(&t, full_size, params));
    prompt(t, c);
    tally out = follow_clip(c, t, NULL, masks, compare);
    trk_tracker_destroy(&t);
    return out;
}

static trk_status frame_again(void *user, int64_t index, trk_frame *out)
{
    *out = clip_frame(user, (int)index, index);
    return TRK_OK;
}

static tally follow_compacted(clip *c, uint8_t *masks)
{
    trk_tracker *list[2] = {NULL};
    trk_pool_params q = TRK_POOL_PARAMS_INIT;
    q.evict = TRK_EVICT_COMPACT;
    q.most_resident = 1;
    trk_pool *pool = new_pool(full_size, &q);
    trk_tracker_params p = TRK_TRACKER_PARAMS_INIT;
    p.pool = pool;
    p.source = frame_again;
    p.source_user = c;
    for (int k = 0; k < 2; k++) {
        assert_ok(trk_tracker_create(&list[k], full_size, &p));
        prompt(list[k], c);
    }
    tally out = follow_clip(c, list[0], list[1], masks, 1);
    assert_true(pool_info(pool).n_returns >= (uint64_t)(c->n_frames / 5 - 1));
    trk_tracker_destroy(&list[0]);
    trk_tracker_destroy(&list[1]);
    trk_pool_destroy(&pool);
    return out;
}

static clip load_clip(size_t index, uint8_t **masks)
{
    clip c;
    assert_int_equal(clip_load_sample(&c, TRK_SAMPLES_DIR, index, 0), 0);
    *masks = malloc((size_t)c.n_frames * OBJECTS * clip_pixels(&c));
    assert_non_null(*masks);
    return c;
}

/* Memories made again from frames and masks: as good as those that were thrown away. Measured: 0.0003 or less for
 * ten objects; with a demo model before this one 0.0156 for one that is hidden for a while, and in what comes back small
 * differences grow. So the mean is held to what memories may cost and one object to a little more than was ever seen. */
#define MEAN_CHANGE 0.005
#define LARGEST_CHANGE 0.02

static void evicting_to_the_compact_form(void **state)
{
    double worst = 0, sum = 0;
    for (size_t i = 0; i < N_CLIPS; i++) {
        uint8_t *masks;
        clip c = load_clip(i, &masks);
        tally plain = follow_with(&c, NULL, masks, 0), again = follow_compacted(&c, masks);
        for (int k = 0; k < OBJECTS; k++) {
            printf("%-14s object %d  J %.4f, evicted %.4f  IoU of the masks %.4f\n", c.name, k + 1, plain.j[k],
                   again.j[k], again.same[k]);
            worst = fmax(worst, fabs(again.j[k] - plain.j[k]));
            sum += fabs(again.j[k] - plain.j[k]) / (double)(N_CLIPS * OBJECTS);
        }
        free(masks);
        clip_free(&c);
    }
    if (sum > MEAN_CHANGE || worst > LARGEST_CHANGE)
        fail_msg("J changes by %.4f in the mean and %.4f at most, %g and %g are acceptable", sum, worst, MEAN_CHANGE,
                 LARGEST_CHANGE);
}

typedef struct stored {
    const char *name;
    trk_memory_type type, older;
    int older_after;
    double floor; /* of the mean IoU with the masks of bf16 memories; measured: behind each. Types differ by their rounding,
                     which moves edges: at 320 pixels by more than it did at 256 (0.9999 for f32). A memory that is read
                     wrongly loses its object. */
    double sum, least;
} stored;

static void storing_memories_in_other_types(void **state)
{
    stored types[] = {
        {"f32", TRK_MEMORY_F32, TRK_MEMORY_F32, 0, 0.998, 0, 1},                        /* 0.99879 */
        {"f16", TRK_MEMORY_F16, TRK_MEMORY_F16, 0, 0.998, 0, 1},                        /* 0.99929 */
        {"q8", TRK_MEMORY_Q8, TRK_MEMORY_Q8, 0, 0.997, 0, 1},                           /* 0.99839 */
        {"bf16, q8 from 3 frames back", TRK_MEMORY_BF16, TRK_MEMORY_Q8, 3, 0.998, 0, 1},/* 0.99926 */
    };
    enum { TYPES = sizeof types / sizeof *types, EVERY_OTHER = 2, SOME_CLIPS = (N_CLIPS + 1) / EVERY_OTHER };
    for (size_t i = 0; i < N_CLIPS; i += EVERY_OTHER) {
        uint8_t *masks;
        clip c = load_clip(i, &masks);
        follow_with(&c, NULL, masks, 0);
        for (int k = 0; k < TYPES; k++) {
            trk_tracker_params p = TRK_TRACKER_PARAMS_INIT;
            p.memory_type = types[k].type;
            p.older_memory_type = types[k].older;
            p.older_after = types[k].older_after;
            tally got_masks = follow_with(&c, &p, masks, 1);
            for (int n = 0; n < OBJECTS; n++) {
                types[k].sum += got_masks.same[n] / (SOME_CLIPS * OBJECTS);
                types[k].least = fmin(types[k].least, got_masks.same[n]);
            }
        }
        free(masks);
        clip_free(&c);
    }
    for (int k = 0; k < TYPES; k++)
        printf("%-28s mean IoU with bf16 %.5f, lowest of a track %.5f\n", types[k].name, types[k].sum, types[k].least);
    for (int k = 0; k < TYPES; k++)
        if (!(types[k].sum >= types[k].floor))
            fail_msg("%s: mean IoU %.5f, expected at least %.3f", types[k].name, types[k].sum, types[k].floor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sweeping_every_seventh_frame),
        cmocka_unit_test(sweeping_above_half_of_a_budget),
        cmocka_unit_test(sweeping_never),
        cmocka_unit_test(sweeping_under_pressure),
        cmocka_unit_test(remembering_everything),
        cmocka_unit_test(reserving),
        cmocka_unit_test(keeping_frames),
        cmocka_unit_test(among_eight_in_a_pool_for_three),
        cmocka_unit_test(saving_and_resuming),
        cmocka_unit_test(forking_the_tracker),
        cmocka_unit_test(going_back_eight_frames),
        cmocka_unit_test(going_back_to_a_locked_frame),
        cmocka_unit_test(evicting_to_the_compact_form),
        cmocka_unit_test(storing_memories_in_other_types),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
