/* SPDX-License-Identifier: Apache-2.0
 * The SAMURAI policy: its choices phase by phase, what is read and what is dropped against a plain list of everything, and
 * that going back, branching, saving, evicting and sweeping change nothing. */
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
#include "bank.h"
#include "drawn_frame.h"
#include "policy.h"
#include "policy_samurai.h"
#include "track.h"

/* --- the choice ----------------------------------------------------------------------------------------------------- */

static const trk_motion_params usual = {.struct_size = sizeof usual, .weight = 0.25, .stable_frames = 3,
                                        .stable_iou = 0.3, .memory_iou = 0.5, .min_object_score = -1};

static trk_samurai_state look(const trk_memory_note *note)
{
    trk_samurai_state s;
    memcpy(&s, note, sizeof s);
    return s;
}

/* Hypothesis 0 is a square that moves by 4 pixels a frame, 1 one far from it, 2 empty. */
static trk_choices square_at(int frame, float iou0, float iou1)
{
    const float x = (float)(100 + 4 * frame);
    return (trk_choices){.iou = {iou0, iou1, 0.05f}, .box = {{x, 50, x + 40, 90}, {300, 300, 340, 340}, {0}}};
}

static int choose(trk_memory_note *note, int frame, float iou0, float iou1, const trk_motion_params *params)
{
    const trk_choices given = square_at(frame, iou0, iou1);
    return trk_policy_samurai.choose(params, note, &given);
}

/* The filter is past its warming up. */
static trk_memory_note warmed_up(const trk_motion_params *params, int *frame)
{
    trk_memory_note note = {{0}};
    for (*frame = 0; *frame < 10; ++*frame)
        assert_int_equal(choose(&note, *frame, 0.9f, 0.2f, params), 0);
    assert_int_equal(look(&note).n_stable, params->stable_frames);
    return note;
}

static void the_filter_warms_up_and_then_decides(void **state)
{
    (void)state;
    trk_memory_note note = {{0}};
    assert_int_equal(choose(&note, 0, 0.9f, 0.2f, &usual), 0);
    assert_int_equal(look(&note).n_stable, 1);
    assert_false(look(&note).has_prediction);
    assert_int_equal(choose(&note, 1, 0.8f, 0.9f, &usual), 1); /* by IoU alone */
    assert_true(look(&note).has_prediction);
    assert_false(look(&note).has_score);
    int frame;
    note = warmed_up(&usual, &frame);
    assert_int_equal(choose(&note, frame, 0.8f, 0.9f, &usual), 0); /* 0.25 m + 0.6 against 0.675 */
    assert_true(look(&note).has_score);
    assert_true(look(&note).score > 0.5);
    trk_motion_params without = usual;
    without.weight = 0;
    assert_int_equal(choose(&note, frame + 1, 0.8f, 0.9f, &without), 1);
    assert_true(look(&note).score == 0);
}

static void a_poor_frame_starts_the_filter_anew(void **state)
{
    (void)state;
    int frame;
    trk_memory_note note = warmed_up(&usual, &frame);
    const trk_samurai_state before = look(&note);
    choose(&note, frame, 0.29f, 0.1f, &usual);
    assert_int_equal(look(&note).n_stable, 0);
    trk_kalman expected = before.filter;
    trk_kalman_predict(&expected);
    const trk_samurai_state predicted = look(&note);
    assert_memory_equal(&predicted.filter, &expected, sizeof expected); /* and not updated */
    choose(&note, frame + 5, 0.9f, 0.1f, &usual);
    const trk_samurai_state anew = look(&note);
    assert_int_equal(anew.n_stable, 1);
    assert_false(anew.has_prediction);
    assert_true(anew.filter.mean[0] == 100 + 4 * (frame + 5) + 20 && anew.filter.mean[4] == 0);
}

/* As upstream: at the threshold, as a float, a frame is good once the filter is warm, and is not before. */
static void thresholds_are_as_upstream_compares_them(void **state)
{
    (void)state;
    trk_memory_note note = {{0}};
    choose(&note, 0, 0.9f, 0, &usual);
    choose(&note, 1, 0.3f, 0, &usual);
    assert_int_equal(look(&note).n_stable, 0);
    int frame;
    note = warmed_up(&usual, &frame);
    choose(&note, frame, 0.3f, 0, &usual);
    assert_int_equal(look(&note).n_stable, usual.stable_frames);
}

static void an_empty_mask_is_no_measurement(void **state)
{
    (void)state;
    int frame;
    trk_motion_params strict = usual;
    strict.strict_reference = 1;
    trk_memory_note note = warmed_up(&usual, &frame), literal = note, fresh = {{0}};
    const trk_choices empty = {.iou = {0.9f, 0.8f, 0.1f}};
    trk_kalman expected = look(&note).filter;
    trk_kalman_predict(&expected);
    assert_int_equal(trk_policy_samurai.choose(&usual, &note, &empty), 0);
    trk_samurai_state s = look(&note);
    assert_memory_equal(&s.filter, &expected, sizeof expected);
    assert_int_equal(s.n_stable, usual.stable_frames);
    assert_true(s.has_score && s.score == 0);
    trk_policy_samurai.choose(&strict, &literal, &empty);
    s = look(&literal);
    assert_true(s.filter.mean[0] < expected.mean[0] - 20); /* pulled to the corner */
    trk_policy_samurai.choose(&usual, &fresh, &empty);
    assert_false(look(&fresh).has_filter);
    trk_policy_samurai.choose(&strict, &fresh, &empty);
    assert_true(look(&fresh).filter.mean[3] == 1);
}

static void only_good_frames_are_kept(void **state)
{
    (void)state;
    int frame;
    trk_memory_note note = warmed_up(&usual, &frame), cold = {{0}};
    const trk_verdict good = {.object_score = 0.1f, .iou = 0.6f, .n_since_start = 2, .frame = 1};
    trk_motion_params strict = usual;
    strict.strict_reference = 1;
    assert_true(trk_policy_samurai.keep(&usual, &note, &good));
    assert_false(trk_policy_samurai.keep(&strict, &note, &good)); /* by its number */
    trk_verdict poor = good;
    poor.iou = 0.5f;
    assert_false(trk_policy_samurai.keep(&usual, &note, &poor));
    poor = good;
    poor.object_score = 0;
    assert_false(trk_policy_samurai.keep(&usual, &note, &poor));
    poor = good;
    poor.n_since_start = 1;
    assert_false(trk_policy_samurai.keep(&usual, &note, &poor));
    const trk_choices elsewhere = {.iou = {0.9f, 0.8f, 0.1f}, .box = {{400, 400, 440, 440}, {400, 400, 440, 440}}};
    trk_policy_samurai.choose(&usual, &note, &elsewhere);
    assert_true(look(&note).has_score && look(&note).score == 0);
    assert_false(trk_policy_samurai.keep(&usual, &note, &good));
    assert_true(trk_policy_samurai.keep(&usual, &cold, &good)); /* no motion score, no objection */
}

/* --- what is read and what is dropped ------------------------------------------------------------------------------- */

enum { N_MEMORIES = 7, N_POINTERS = 16, RUN = 120 };

/* Frames, in order of tracking, that frame t reads, oldest first, as upstream's loop has it. good [t]; -1: nothing there. */
static int naive_reads(const int *good, int t, int *out)
{
    int valid[RUN], n = 0, n_out = 0;
    for (int i = t - 1; i >= 1; i--) /* 0 is the prompted frame */
        if (good[i])
            valid[n++] = i;
    int list[RUN], n_list = 0;
    for (int i = n; i-- > 0;)
        list[n_list++] = valid[i];
    if (n == 0 || valid[0] != t - 1)
        list[n_list++] = t - 1;
    for (int p = 1; p < N_MEMORIES; p++)
        if (n_list + p - N_MEMORIES >= 0 && list[n_list + p - N_MEMORIES] >= 1)
            out[n_out++] = list[n_list + p - N_MEMORIES];
    return n_out;
}

static void compare_reads(const trk_sequence *s, const int *good, int t, int direction, int64_t first)
{
    const trk_read_rule rule = {direction, 0, TRK_FRAME_NONE};
    trk_memory_read got[64];
    int expected[RUN], n_expected = naive_reads(good, t, expected);
    const int n = trk_sequence_memories(s, first + direction * t, &rule, got, NULL);
    assert_int_equal(n, 1 + n_expected); /* the prompted frame in front */
    for (int i = 0; i < n_expected; i++) {
        assert_int_equal(got[1 + i].frame, first + direction * expected[i]);
        assert_int_equal(got[1 + i].age, n_expected - i);
    }
    assert_int_equal(trk_sequence_pointers(s, first + direction * t, &rule, got), t < N_POINTERS ? t : N_POINTERS);
}

/* Memories that no frame from t - history on could read, whatever comes. */
static int n_useless(const trk_sequence *s, const int *good, int t, int direction, int64_t first, int64_t history)
{
    int n = 0;
    for (int i = 0; i < s->recent.n; i++) {
        const int frame = (int)((s->recent.items[i].frame - first) * direction);
        int read[RUN], useful = frame >= t - 1 - history;
        for (int later = t - (int)history; later <= t && !useful; later++) {
            if (later <= frame)
                continue;
            const int n_read = naive_reads(good, later, read);
            for (int k = 0; k < n_read; k++)
                useful |= read[k] == frame;
        }
        n += !useful && !trk_slot_is_null(s->recent.items[i].memory);
    }
    return n;
}

static void judge(trk_sequence *s, int64_t frame, int good)
{
    const trk_judgement judgement = {.good = good, .note = {{(double)frame}}};
    trk_sequence_judge(s, frame, &judgement);
}

static void run_sequence(unsigned seed, int direction, int64_t history, int percent_good)
{
    const trk_bank_params params = {.n_tokens = 2, .mem_dim = 32, .pointer_dim = 8, .slots_per_slab = 3};
    const int64_t first = -40 * direction;
    trk_ledger ledger;
    trk_bank bank;
    trk_sequence s;
    trk_memory_entry *entry;
    trk_bank_use use;
    int good[RUN] = {0}, rewinds = 0, farthest = 0;
    trk_ledger_init(&ledger, &trk_host_memory);
    assert_int_equal(trk_bank_init(&bank, &ledger, &ledger, &params), TRK_OK);
    trk_sequence_init(&s, &bank, trk_policy_samurai.window, N_MEMORIES, N_POINTERS, history);
    for (int t = 0; t < RUN; t++) {
        trk_sequence_advance(&s, first + direction * t, direction);
        if (t > 0)
            compare_reads(&s, good, t, direction, first);
        assert_int_equal(n_useless(&s, good, t, direction, first, history), 0);
        trk_bank_measure(&bank, &use);
        assert_in_range(use.used[TRK_SLOT_BF16], 0, N_MEMORIES + history);
        assert_in_range(use.used[TRK_SLOT_POINTER], 0, N_POINTERS + history);
        assert_int_equal(trk_sequence_put(&s, first + direction * t, t == 0, TRK_STORE_BF16, 0, &entry), TRK_OK);
        good[t] = t > 0 && (int)(rand_r(&seed) % 100) < percent_good;
        judge(&s, first + direction * t, good[t]);
        farthest = t > farthest ? t : farthest;
        if (history && rewinds < 20 && t > 20 && rand_r(&seed) % 8 == 0) { /* back, as far as it promises */
            const int number = t - (int)(rand_r(&seed) % (unsigned)history);
            if (number < farthest - history)
                continue;
            const int64_t to = first + direction * number;
            assert_true(trk_sequence_reaches(&s, to, direction));
            trk_sequence_remove(&s, direction > 0 ? to : INT64_MIN, direction > 0 ? INT64_MAX : to);
            t = number - 1;
            assert_true(trk_sequence_note_before(&s, to, direction)->values[0] == (double)(to - direction));
            rewinds++;
        }
    }
    trk_sequence_release(&s);
    trk_bank_release(&bank);
    assert_int_equal(ledger.account.total_now, 0);
    trk_ledger_destroy(&ledger);
}

static void it_reads_as_if_nothing_was_dropped_and_keeps_no_more(void **state)
{
    (void)state;
    const int64_t histories[] = {0, 1, 7};
    const int shares[] = {0, 10, 50, 90, 100};
    for (int direction = -1; direction <= 1; direction += 2)
        for (int i = 0; i < 3; i++)
            for (int k = 0; k < 5; k++)
                run_sequence((unsigned)(17 * i + k), direction, histories[i], shares[k]);
}

/* --- trackers ------------------------------------------------------------------------------------------------------- */

enum { WIDTH = 96, HEIGHT = 72, IMAGE_SIZE = 64, SIDE = IMAGE_SIZE / 4, RADIUS = 15, FRAMES = 36, MIDDLE = 17 };

/* All that a frame tells of an object. */
typedef struct told {
    float logits[SIDE * SIDE];
    int hypothesis, kept;
    trk_motion motion;
} told;

static trk_model *model;
static trk_motion_params varied; /* so that frames of every kind come; see set_thresholds */

static int tear_down(void **state)
{
    (void)state;
    trk_model_destroy(&model);
    return 0;
}

/* Two discs that cross: object 1 to the right and back, object 2 the other way round, a little lower. */
static int place(int object, int64_t index)
{
    const int step = (int)(((index % 40) + 40) % 40), there = step < 20 ? 2 * step : 80 - 2 * step;
    return object == 1 ? 25 + there : WIDTH - 25 - there;
}

static trk_status push(trk_tracker *t, int64_t index)
{
    static uint8_t rgb[WIDTH * HEIGHT * 3];
    draw_disc(rgb, WIDTH, HEIGHT, place(1, index), HEIGHT / 2, RADIUS);
    for (int y = HEIGHT / 2; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++) {
            const int dx = x - place(2, index), dy = y - HEIGHT / 2 - 14;
            if (dx * dx + dy * dy < RADIUS * RADIUS)
                memset(rgb + 3 * (y * WIDTH + x), 200, 3);
        }
    trk_frame frame = {.width = WIDTH, .height = HEIGHT, .planes = {rgb}, .strides = {WIDTH * 3}, .index = index};
    return trk_tracker_push(t, &frame);
}

static void prompt(trk_tracker *t, int object, int64_t frame)
{
    const trk_box box = {(float)(place(object, frame) - RADIUS), (float)(HEIGHT / 2 - RADIUS + (object == 2 ? 14 : 0)),
                         2 * RADIUS, 2 * RADIUS};
    assert_ok(trk_tracker_prompt_box(t, object, frame, &box));
}

static trk_tracker_params with_policy(void)
{
    trk_tracker_params p = TRK_TRACKER_PARAMS_INIT;
    p.policy = TRK_POLICY_SAMURAI;
    p.motion = &varied;
    return p;
}

static trk_tracker *new_tracker(const trk_tracker_params *params)
{
    trk_tracker *t = NULL;
    assert_ok(trk_tracker_create(&t, model, params));
    return t;
}

static void take(const trk_tracker *t, int object, told *out)
{
    trk_result r = {.struct_size = sizeof r};
    assert_ok(trk_tracker_result(t, object, &r));
    memset(out, 0, sizeof *out);
    memcpy(out->logits, r.logits, sizeof out->logits);
    out->hypothesis = r.hypothesis;
    out->kept = r.kept;
    out->motion = r.motion;
}

static void push_and_take(trk_tracker *t, int64_t first, int64_t last, told *out)
{
    const int64_t step = first <= last ? 1 : -1;
    for (int64_t i = first; i != last + step; i += step) {
        assert_ok(push(t, i));
        take(t, 1, out++);
    }
}

static void assert_same(const told *a, const told *b, int n)
{
    for (int i = 0; i < n; i++) {
        assert_memory_equal(a[i].logits, b[i].logits, sizeof a[i].logits);
        assert_int_equal(a[i].hypothesis, b[i].hypothesis);
        assert_int_equal(a[i].kept, b[i].kept);
        assert_int_equal(a[i].motion.n_stable, b[i].motion.n_stable);
        assert_true(a[i].motion.score == b[i].motion.score);
        assert_true(a[i].motion.predicted.x == b[i].motion.predicted.x);
        assert_true(a[i].motion.predicted.width == b[i].motion.predicted.width);
    }
}

static int by_value(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* In the midst of what the model at hand predicts of these frames: a fifth are poor, half are kept. */
static int set_thresholds(void)
{
    float ious[FRAMES - 1];
    trk_tracker *t = NULL;
    if (trk_tracker_create(&t, model, NULL) < 0)
        return -1;
    prompt(t, 1, 0);
    for (int i = 0; i < FRAMES; i++) {
        trk_result r = {.struct_size = sizeof r};
        if (push(t, i) < 0 || trk_tracker_result(t, 1, &r) < 0)
            return -1;
        if (i)
            ious[i - 1] = r.iou;
    }
    trk_tracker_destroy(&t);
    qsort(ious, FRAMES - 1, sizeof *ious, by_value);
    varied = usual;
    varied.stable_iou = ious[FRAMES / 5];
    varied.memory_iou = ious[FRAMES / 2];
    return 0;
}

static int set_up(void **state)
{
    (void)state;
    trk_model_params p = TRK_MODEL_PARAMS_INIT;
    p.image_size = IMAGE_SIZE;
    p.threads = 1;
    if (trk_model_load(&model, TRK_SAMPLES_DIR "/models/demo-m.safetensors", &p) < 0)
        return -1;
    return set_thresholds();
}

static told base[FRAMES], got[FRAMES];

static void run_base(const trk_tracker_params *p)
{
    trk_tracker *t = new_tracker(p);
    prompt(t, 1, 0);
    prompt(t, 2, 0);
    push_and_take(t, 0, FRAMES - 1, base);
    trk_tracker_destroy(&t);
}

static void frames_of_every_kind_come(void **state)
{
    (void)state;
    int n_kept = 0, n_scored = 0, n_warming = 0, n_anew = 0;
    trk_tracker_params p = with_policy();
    run_base(&p);
    assert_false(base[0].motion.has_prediction);
    for (int i = 1; i < FRAMES; i++) {
        assert_in_range(base[i].hypothesis, 1, 3);
        n_kept += base[i].kept;
        n_scored += base[i].motion.has_score;
        n_warming += base[i].motion.n_stable < varied.stable_frames;
        n_anew += i > 1 && !base[i].motion.has_prediction;
    }
    printf("%d kept, %d with a motion score, %d warming up, %d anew of %d\n", n_kept, n_scored, n_warming, n_anew, FRAMES);
    assert_in_range(n_kept, 3, FRAMES - 4);
    assert_in_range(n_scored, 3, FRAMES - 4);
    assert_in_range(n_anew, 1, FRAMES);
}

static void no_sweep_changes_a_bit(void **state)
{
    (void)state;
    trk_tracker_params p = with_policy();
    run_base(&p);
    for (int i = 0; i < 3; i++) {
        p.sweep = i == 0 ? TRK_SWEEP_NEVER : TRK_SWEEP_EVERY;
        p.sweep_every = i == 1 ? 5 : 1;
        p.history = i == 2 ? -1 : 0;
        trk_tracker *t = new_tracker(&p);
        prompt(t, 1, 0);
        prompt(t, 2, 0);
        push_and_take(t, 0, FRAMES - 1, got);
        assert_same(got, base, FRAMES);
        trk_tracker_destroy(&t);
    }
}

static void a_fork_and_its_parent_go_on_alike(void **state)
{
    (void)state;
    trk_tracker_params p = with_policy();
    run_base(&p);
    trk_tracker *t = new_tracker(&p), *fork = NULL;
    told copied;
    prompt(t, 1, 0);
    prompt(t, 2, 0);
    push_and_take(t, 0, MIDDLE, got);
    assert_ok(trk_tracker_fork(&fork, t));
    assert_ok(trk_tracker_fork_object(t, 1, 7));
    take(t, 7, &copied);
    assert_same(&copied, &base[MIDDLE], 1);
    push_and_take(fork, MIDDLE + 1, FRAMES - 1, got);
    assert_same(got, &base[MIDDLE + 1], FRAMES - MIDDLE - 1);
    push_and_take(t, MIDDLE + 1, FRAMES - 1, got);
    assert_same(got, &base[MIDDLE + 1], FRAMES - MIDDLE - 1);
    take(t, 7, &copied);
    assert_same(&copied, &base[FRAMES - 1], 1);
    trk_tracker_destroy(&fork);
    trk_tracker_destroy(&t);
}

static void a_saved_tracker_goes_on_as_it_was(void **state)
{
    (void)state;
    static const char path[] = "policy.trkstate";
    trk_tracker_params p = with_policy();
    run_base(&p);
    trk_tracker *t = new_tracker(&p), *resumed = NULL;
    prompt(t, 1, 0);
    prompt(t, 2, 0);
    push_and_take(t, 0, MIDDLE, got);
    assert_ok(trk_tracker_save(t, path));
    trk_tracker_destroy(&t);
    assert_ok(trk_tracker_resume(&resumed, model, NULL, path)); /* policy and thresholds come from the file */
    take(resumed, 1, got);
    assert_same(got, &base[MIDDLE], 1);
    push_and_take(resumed, MIDDLE + 1, FRAMES - 1, got);
    assert_same(got, &base[MIDDLE + 1], FRAMES - MIDDLE - 1);
    trk_tracker_destroy(&resumed);
    unlink(path);
}

static void an_evicted_tracker_comes_back_as_it_was(void **state)
{
    (void)state;
    trk_tracker_params p = with_policy();
    run_base(&p);
    trk_pool_params q = TRK_POOL_PARAMS_INIT;
    q.most_resident = 1;
    trk_pool *pool = NULL;
    assert_ok(trk_pool_create(&pool, model, &q));
    p.pool = pool;
    trk_tracker *a = new_tracker(&p), *b = new_tracker(&p);
    prompt(a, 1, 0);
    prompt(a, 2, 0);
    prompt(b, 1, 0);
    for (int i = 0; i < FRAMES; i++) {
        assert_ok(push(a, i));
        take(a, 1, &got[i]);
        assert_ok(push(b, i));
    }
    assert_same(got, base, FRAMES);
    trk_tracker_destroy(&a);
    trk_tracker_destroy(&b);
    trk_pool_destroy(&pool);
}

static void going_back_takes_the_filter_along(void **state)
{
    (void)state;
    trk_tracker_params p = with_policy();
    run_base(&p);
    p.history = 8;
    trk_tracker *t = new_tracker(&p);
    int64_t next = -1;
    prompt(t, 1, 0);
    prompt(t, 2, 0);
    push_and_take(t, 0, MIDDLE + 6, got);
    assert_ok(trk_tracker_rewind(t, MIDDLE, &next));
    assert_int_equal(next, MIDDLE);
    push_and_take(t, MIDDLE, FRAMES - 1, got);
    assert_same(got, &base[MIDDLE], FRAMES - MIDDLE);
    assert_int_equal(trk_tracker_rewind(t, 3, &next), TRK_E_STATE); /* gone */
    trk_tracker_destroy(&t);
}

/* The first frame's number, and the direction of numbers, decide nothing. */
static void a_prompt_at_30_and_backwards(void **state)
{
    (void)state;
    trk_tracker_params p = with_policy();
    run_base(&p);
    trk_tracker *t = new_tracker(&p);
    prompt(t, 1, 40);
    prompt(t, 2, 40); /* the discs are where they were on frame 0 */
    for (int64_t i = 30; i < 40; i++)
        assert_ok(push(t, i)); /* nobody is there yet */
    push_and_take(t, 40, 40 + FRAMES - 1, got);
    assert_same(got, base, FRAMES);
    trk_tracker_destroy(&t);
    p.reverse = 1;
    t = new_tracker(&p);
    prompt(t, 1, 40);
    prompt(t, 2, 40); /* the way back is the same */
    push_and_take(t, 40, 40 - FRAMES + 1, got);
    assert_same(got, base, FRAMES);
    assert_ok(trk_tracker_rebase(t, 1000));
    assert_ok(push(t, 999));
    trk_tracker_destroy(&t);
}

/* Each of two that cross is followed as if it were alone. */
static void objects_do_not_share_a_filter(void **state)
{
    (void)state;
    trk_tracker_params p = with_policy();
    run_base(&p);
    trk_tracker *t = new_tracker(&p);
    prompt(t, 1, 0);
    push_and_take(t, 0, FRAMES - 1, got);
    assert_same(got, base, FRAMES);
    trk_tracker_destroy(&t);
}

/* A frame that is prompted again moves the filter once, or each time as upstream. */
static void a_second_click_on_a_frame(void **state)
{
    (void)state;
    trk_motion_params motion = varied;
    trk_tracker_params p = with_policy();
    motion.stable_iou = 0; /* every frame is a good one, whatever the model */
    p.keep_frame = 1;
    p.motion = &motion;
    int stable[2];
    for (motion.strict_reference = 0; motion.strict_reference < 2; motion.strict_reference++) {
        const trk_point click = {(float)place(1, 2), HEIGHT / 2, 1};
        told before, after;
        trk_tracker *t = new_tracker(&p);
        prompt(t, 1, 0);
        for (int i = 0; i < 3; i++)
            assert_ok(push(t, i));
        take(t, 1, &before);
        assert_int_equal(before.motion.n_stable, 2);
        assert_ok(trk_tracker_prompt_points(t, 1, 2, &click, 1));
        take(t, 1, &after);
        stable[motion.strict_reference] = after.motion.n_stable;
        trk_tracker_destroy(&t);
    }
    assert_int_equal(stable[0], 2);
    assert_int_equal(stable[1], 3);
}

/* A box on a tracked frame is judged by itself, not by the motion score of the mask it replaces. */
static void a_correction_is_not_judged_by_what_it_corrects(void **state)
{
    (void)state;
    trk_motion_params motion = varied;
    trk_tracker_params p = with_policy();
    told before, after;
    p.keep_frame = 1;
    p.motion = &motion;
    motion.stable_frames = 1;
    motion.stable_iou = motion.memory_iou = 0;
    motion.memory_motion = 1; /* no mask that was chosen by motion is kept */
    trk_tracker *t = new_tracker(&p);
    prompt(t, 1, 0);
    for (int i = 0; i < 8; i++)
        assert_ok(push(t, i));
    take(t, 1, &before);
    assert_true(before.motion.has_score && !before.kept);
    prompt(t, 1, 7);
    take(t, 1, &after);
    assert_true(!after.motion.has_score && after.motion.score == 0 && after.motion.has_prediction && after.kept);
    trk_tracker_destroy(&t);
}

/* Back to a frame that is to be pushed again, and then to the one before it, whose features are at hand: a prompt there
 * that is taken back leaves the filter where it was. */
static void a_frame_before_the_one_gone_back_to(void **state)
{
    (void)state;
    const trk_point click = {(float)place(1, 5), HEIGHT / 2, 1};
    trk_tracker_params p = with_policy();
    told expected, back;
    int64_t next = -1;
    p.keep_frame = 1;
    p.history = 10;
    trk_tracker *t = new_tracker(&p);
    prompt(t, 1, 0);
    for (int i = 0; i < 6; i++)
        assert_ok(push(t, i));
    take(t, 1, &expected);
    assert_ok(trk_tracker_lock_frame(t, 5));
    for (int i = 6; i < 8; i++)
        assert_ok(push(t, i));
    assert_ok(trk_tracker_rewind(t, 6, &next));
    assert_int_equal(next, 6);
    assert_int_equal(trk_tracker_prompt_points(t, 1, 5, &click, 1), TRK_E_STATE);
    assert_ok(trk_tracker_rewind(t, 5, &next));
    assert_ok(trk_tracker_prompt_points(t, 1, 5, &click, 1));
    assert_ok(trk_tracker_clear_prompts(t, 1, 5));
    take(t, 1, &back);
    assert_same(&back, &expected, 1);
    trk_tracker_destroy(&t);
}

/* Every frame there is, by its largest number. */
static void the_longest_history_is_all_of_it(void **state)
{
    (void)state;
    trk_tracker_params p = with_policy();
    run_base(&p);
    p.history = INT64_MAX;
    trk_tracker *t = new_tracker(&p);
    int64_t first = -1, last = -1;
    prompt(t, 1, 0);
    prompt(t, 2, 0);
    push_and_take(t, 0, FRAMES - 1, got);
    assert_same(got, base, FRAMES);
    assert_ok(trk_tracker_reach(t, 1, &first, &last));
    assert_int_equal(first, 0);
    trk_tracker_destroy(&t);
}

/* How many memories are read depends on the frames the policy keeps: a number, and the products of its shape, may come for
 * the first time late. */
static void memory_stays_flat(void **state)
{
    (void)state;
    enum { PRODUCTS = 16 << 10 };
    trk_tracker_params p = with_policy();
    trk_tracker *t = new_tracker(&p);
    trk_memory_use use = {.struct_size = sizeof use};
    trk_device_bytes early = {0};
    prompt(t, 1, 0);
    prompt(t, 2, 0);
    for (int64_t i = 0; i < 200; i++) {
        assert_ok(push(t, i));
        assert_ok(trk_tracker_memory(t, &use));
        early = i == 40 ? use.devices[0] : early;
    }
    for (int c = TRK_CLASS_BANK; c < TRK_CLASSES; c++)
        assert_int_equal(use.devices[0].peak[c], early.peak[c]);
    assert_in_range(use.devices[0].total_peak - early.total_peak, 0, PRODUCTS);
    trk_tracker_destroy(&t);
}

static void senseless_parameters_are_refused(void **state)
{
    (void)state;
    trk_tracker *t = NULL;
    trk_tracker_params p = with_policy();
    trk_motion_params m = varied;
    p.motion = &m;
    m.weight = 1.5;
    assert_int_equal(trk_tracker_create(&t, model, &p), TRK_E_ARGUMENT);
    assert_non_null(strstr(trk_last_error(), "weight"));
    m = varied;
    m.stable_frames = 0;
    assert_int_equal(trk_tracker_create(&t, model, &p), TRK_E_ARGUMENT);
    m = varied;
    m.min_object_score = NAN;
    assert_int_equal(trk_tracker_create(&t, model, &p), TRK_E_ARGUMENT);
    m = varied;
    p.policy = TRK_POLICY_SAM2;
    assert_int_equal(trk_tracker_create(&t, model, &p), TRK_E_ARGUMENT);
    p.policy = (trk_policy_kind)7;
    assert_int_equal(trk_tracker_create(&t, model, &p), TRK_E_ARGUMENT);
    trk_motion_params usual_ones = {0};
    assert_int_equal(trk_motion_defaults(model, &usual_ones), TRK_E_ARGUMENT);
    usual_ones.struct_size = sizeof usual_ones;
    assert_ok(trk_motion_defaults(model, &usual_ones));
    assert_true(usual_ones.weight == 0.25 && usual_ones.stable_frames == 15);
    assert_null(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_filter_warms_up_and_then_decides),
        cmocka_unit_test(a_poor_frame_starts_the_filter_anew),
        cmocka_unit_test(thresholds_are_as_upstream_compares_them),
        cmocka_unit_test(an_empty_mask_is_no_measurement),
        cmocka_unit_test(only_good_frames_are_kept),
        cmocka_unit_test(it_reads_as_if_nothing_was_dropped_and_keeps_no_more),
        cmocka_unit_test(frames_of_every_kind_come),
        cmocka_unit_test(no_sweep_changes_a_bit),
        cmocka_unit_test(a_fork_and_its_parent_go_on_alike),
        cmocka_unit_test(a_saved_tracker_goes_on_as_it_was),
        cmocka_unit_test(an_evicted_tracker_comes_back_as_it_was),
        cmocka_unit_test(going_back_takes_the_filter_along),
        cmocka_unit_test(a_prompt_at_30_and_backwards),
        cmocka_unit_test(objects_do_not_share_a_filter),
        cmocka_unit_test(a_second_click_on_a_frame),
        cmocka_unit_test(a_correction_is_not_judged_by_what_it_corrects),
        cmocka_unit_test(a_frame_before_the_one_gone_back_to),
        cmocka_unit_test(the_longest_history_is_all_of_it),
        cmocka_unit_test(memory_stays_flat),
        cmocka_unit_test(senseless_parameters_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
