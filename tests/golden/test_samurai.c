/* SPDX-License-Identifier: Apache-2.0
 * test_samurai CASE.json MODEL IMAGE_SIZE [cpu|cuda [FRAMES]]: plays a clip of generated frames, or its first FRAMES,
 * with TRK_POLICY_SAMURAI and compares each with what the published code did there: hypothesis, memories read, filter, box.
 * test_samurai KALMAN.json: the filter alone, on boxes.
 *
 * The filter is compared twice: fed with the official masks' boxes, where it must be the same but for rounding, and as
 * the tracker ran it on masks of its own. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "golden.h"
#include "policy.h"
#include "policy_samurai.h"
#include "seeded_frames.h"
#include "tracker.h"

/* Of the largest number of the mean. The same operations in double precision, in another order: a few roundings of
 * 1e-16 per frame, of which the filter forgets most. A wrong noise term gives 1e-2. */
#define FILTER_BOUND 1e-9
/* Of the filter's height, as the tracker ran it: where an outermost pixel of a mask hangs on rounding, the measured box
 * is off by a pixel, of which the filter takes a part. Of the motion score too. */
#define FREE_FILTER_BOUND 1e-2
/* Of the masks' boxes at the frame's size: 60 to 100 pixels wide in these clips, so nearly all are equal. */
#define BOX_IOU_FLOOR 0.99
/* Of the masks' areas, of the larger one: a box that is the whole frame says nothing. 3e-4 was seen, with masks of
 * generated weights, which have many logits near zero. */
#define AREA_BOUND 3e-3
/* Object scores, absolute. Free running, rounding differences grow through the memories: 8e-5 was seen, while another
 * memory in the bank gave 4e-3. */
#define SCORE_BOUND 1e-3
/* Where the best hypothesis leads by less than this, two correct programs may choose differently. */
#define CLEAR_LEAD 1e-4
/* Of the frames, those on which the hypothesis may differ all the same. */
#define MOST_OTHER 0.01
#define OBJECT 1
#define MOST_READS 16

typedef struct play {
    json_t *about;
    trk_model *model;
    trk_tracker *tracker;
    trk_memory_note fed; /* the policy's, given the official boxes */
    int n_memories;
    int most_frames; /* 0: all */
    int n_compared, n_other, n_failed;
    double lowest_iou, worst_fed, worst_free;
} play;

static int integer_of(const json_t *object, const char *key)
{
    return (int)json_integer_value(json_object_get(object, key));
}

static double number_of(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

/* The first n numbers of a list; 0 if it has another length. */
static int numbers_of(const json_t *object, const char *key, double *out, size_t n)
{
    const json_t *list = json_object_get(object, key);
    for (size_t i = 0; i < n; i++)
        out[i] = json_number_value(json_array_get(list, i));
    return json_array_size(list) == n;
}

static trk_motion_params motion_of(const json_t *about)
{
    const json_t *m = json_object_get(about, "motion");
    return (trk_motion_params){.struct_size = sizeof(trk_motion_params),
                               .weight = number_of(m, "weight"),
                               .stable_frames = integer_of(m, "stable_frames"),
                               .stable_iou = number_of(m, "stable_iou"),
                               .memory_iou = number_of(m, "memory_iou"),
                               .memory_object_score = number_of(m, "memory_object_score"),
                               .memory_motion = number_of(m, "memory_motion"),
                               .min_object_score = number_of(m, "min_object_score"),
                               .strict_reference = 1};
}

/* --- filter ------------------------------------------------------------------------------------------------------- */

/* Largest difference of the means, of the box's largest coordinate or size. */
static double mean_error(const double ours[8], const double official[8])
{
    double worst = 0, scale = 1;
    for (int i = 0; i < 8; i++) {
        worst = fmax(worst, fabs(ours[i] - official[i]));
        scale = fmax(scale, fabs(official[i]));
        if (isnan(ours[i]))
            return NAN;
    }
    return worst / scale;
}

/* Relative, of each of the eight by itself: they are of very different sizes. */
static double variance_error(const trk_kalman *filter, const double official[8])
{
    double worst = 0;
    for (int i = 0; i < 8; i++) {
        const double ours = filter->covariance[i % 4][i < 4 ? 0 : 2];
        worst = fmax(worst, isnan(ours) ? HUGE_VAL : fabs(ours - official[i]) / official[i]);
    }
    return worst;
}

/* Every step: the filter predicts, and unless the step says otherwise is told the box. */
static int run_filter(const json_t *steps)
{
    trk_kalman filter = {.mean = {0}};
    double worst_mean = 0, worst_variance = 0;
    int n_failed = 0;
    size_t t;
    const json_t *step;
    json_array_foreach(steps, t, step) {
        double box[4], mean[8], variance[8], measured[4];
        n_failed += !numbers_of(step, "box", box, 4) || !numbers_of(step, "mean", mean, 8) ||
                    !numbers_of(step, "variance", variance, 8);
        trk_kalman_measure(measured, box);
        if (t == 0)
            trk_kalman_start(&filter, measured);
        else
            trk_kalman_predict(&filter);
        if (t > 0 && json_is_true(json_object_get(step, "measured")))
            trk_kalman_update(&filter, measured);
        const double error = mean_error(filter.mean, mean), spread = variance_error(&filter, variance);
        if (!(error <= FILTER_BOUND) || !(spread <= FILTER_BOUND)) {
            printf("  step %2zu  mean %8.1e  variance %8.1e  FAILED\n", t, error, spread);
            n_failed++;
        }
        worst_mean = fmax(worst_mean, error);
        worst_variance = fmax(worst_variance, spread);
    }
    const int ok = !n_failed && json_array_size(steps) > 0;
    printf("%zu steps of the filter: mean %.1e, variance %.1e: %s\n", json_array_size(steps), worst_mean,
           worst_variance, ok ? "ok" : "FAILED");
    return ok;
}

/* Gives the policy the official choice of this frame as all three hypotheses, and compares what it makes of it.
 * Returns the error of the mean; NaN if anything else differs. */
static double feed(play *p, const json_t *row)
{
    const trk_motion_params params = motion_of(p->about);
    const int choice = integer_of(row, "choice");
    double box[4], ious[3], mean[8];
    trk_samurai_state state;
    if (!numbers_of(row, "mask_box", box, 4) || !numbers_of(row, "ious", ious, 3))
        return NAN;
    trk_policy_samurai.begin(&p->fed);
    if (choice > 0) { /* else the head gave a single mask, and nobody was asked */
        trk_choices given;
        for (int i = 0; i < 3; i++) {
            given.iou[i] = (float)ious[choice - 1];
            for (int k = 0; k < 4; k++)
                given.box[i][k] = (float)box[k];
        }
        trk_policy_samurai.choose(&params, &p->fed, &given);
    }
    memcpy(&state, &p->fed, sizeof state);
    const json_t *motion = json_object_get(row, "motion");
    if (state.n_stable != integer_of(row, "stable") || state.has_score != !json_is_null(motion) ||
        fabs(state.score - json_number_value(motion)) > FILTER_BOUND)
        return NAN;
    if (json_is_null(json_object_get(row, "mean")))
        return state.has_filter ? NAN : 0;
    return numbers_of(row, "mean", mean, 8) ? mean_error(state.filter.mean, mean) : NAN;
}

/* What the tracker's own filter is off by, of its height; of the ratio, of the ratio. */
static double free_error(const trk_samurai_state *state, const json_t *row)
{
    double mean[8], worst = 0;
    if (!numbers_of(row, "mean", mean, 8))
        return state->has_filter ? NAN : 0;
    for (int i = 0; i < 8; i++) {
        const double off = fabs(state->filter.mean[i] - mean[i]);
        worst = fmax(worst, isnan(off) ? HUGE_VAL : off / fmax(fabs(mean[i % 4 == 2 ? 2 : 3]), 1e-3));
    }
    return worst;
}

/* --- tracking ----------------------------------------------------------------------------------------------------- */

/* 1: the memories that frame t reads are the official ones, in their order, with their codes in time. The official list
 * has pairs of frame and row of the temporal codes: rows 0, 1, ... are ages 1, 2, ..., the last a prompted frame's. */
static int same_memories(const play *p, int64_t t, const json_t *official)
{
    trk_memory_read reads[MOST_READS];
    const trk_object *o = trk_object_find(p->tracker, OBJECT);
    const trk_read_rule rule = {1, 0, t};
    int n_left_out = 0, n = o ? trk_sequence_memories(&o->memories, t, &rule, reads, &n_left_out) : 0;
    int same = n == (int)json_array_size(official);
    for (int i = 0; same && i < n; i++) {
        const json_t *pair = json_array_get(official, (size_t)i);
        const int code = (reads[i].age ? reads[i].age : p->n_memories) - 1;
        same = reads[i].frame == json_integer_value(json_array_get(pair, 0)) &&
               code == json_integer_value(json_array_get(pair, 1));
    }
    for (int i = 0; !same && i < n; i++)
        printf("%s%lld (%d)", i ? ", " : "  reads ", (long long)reads[i].frame, reads[i].age);
    if (!same)
        printf("\n");
    return same;
}

/* x, y, width, height of our mask, ends inclusive, as upstream reports it, and its area. */
static int our_box(const play *p, double box[4], int *area)
{
    static uint8_t mask[SEEDED_HEIGHT * SEEDED_WIDTH];
    int x0 = SEEDED_WIDTH, y0 = SEEDED_HEIGHT, x1 = -1, y1 = -1;
    if (trk_tracker_mask(p->tracker, OBJECT, mask, SEEDED_WIDTH) < 0)
        return 0;
    *area = 0;
    for (int y = 0; y < SEEDED_HEIGHT; y++)
        for (int x = 0; x < SEEDED_WIDTH; x++)
            if (mask[y * SEEDED_WIDTH + x]) {
                ++*area;
                x0 = x < x0 ? x : x0, x1 = x > x1 ? x : x1;
                y0 = y < y0 ? y : y0, y1 = y;
            }
    const double found[4] = {x0, y0, x1 - x0, y1 - y0};
    memset(box, 0, 4 * sizeof *box);
    if (x1 >= 0)
        memcpy(box, found, sizeof found);
    return 1;
}

/* Of boxes with inclusive ends. */
static double box_iou(const double a[4], const double b[4])
{
    const double width = fmin(a[0] + a[2], b[0] + b[2]) - fmax(a[0], b[0]) + 1;
    const double height = fmin(a[1] + a[3], b[1] + b[3]) - fmax(a[1], b[1]) + 1;
    const double both = fmax(width, 0) * fmax(height, 0);
    return both / ((a[2] + 1) * (a[3] + 1) + (b[2] + 1) * (b[3] + 1) - both);
}

static void compare(play *p, const json_t *row, int memories)
{
    trk_result result = {.struct_size = sizeof result};
    const trk_object *o = trk_object_find(p->tracker, OBJECT);
    double official[4], ours[4];
    int area = 0;
    p->n_compared++;
    if (!o || trk_tracker_result(p->tracker, OBJECT, &result) < 0 || result.frame != integer_of(row, "frame") ||
        !numbers_of(row, "box", official, 4) || !our_box(p, ours, &area)) {
        printf("  frame %3d  no result to compare: %s\n", integer_of(row, "frame"), trk_last_error());
        p->n_failed++;
        return;
    }
    trk_samurai_state state;
    memcpy(&state, &o->note, sizeof state);
    const double iou = box_iou(ours, official), fed = feed(p, row), off = free_error(&state, row);
    const double score = fabs((double)result.object_score - number_of(row, "score"));
    const double larger = fmax(fmax(area, number_of(row, "area")), 1);
    const double area_off = fabs(area - number_of(row, "area")) / larger;
    const int choice = integer_of(row, "choice"), stable = integer_of(row, "stable");
    const json_t *motion = json_object_get(row, "motion");
    const int same_motion = result.motion.n_stable == stable && result.motion.has_score == !json_is_null(motion) &&
                            fabs(result.motion.score - json_number_value(motion)) <= FREE_FILTER_BOUND;
    const int same_mask = iou >= BOX_IOU_FLOOR && area_off <= AREA_BOUND && score <= SCORE_BOUND;
    const int ok = memories && same_mask && same_motion && fed <= FILTER_BOUND && off <= FREE_FILTER_BOUND;
    p->n_other += result.hypothesis != choice && number_of(row, "lead") >= CLEAR_LEAD;
    printf("  frame %3d  choice %d/%d (lead %7.1e)  memories %zu %s  stable %2d/%2d  box IoU %.4f  area %7.1e  "
           "score %7.3f (%7.1e)  filter %7.1e, by itself %7.1e  %s\n",
           (int)result.frame, result.hypothesis, choice, number_of(row, "lead"),
           json_array_size(json_object_get(row, "memories")), memories ? "same" : "OTHER", result.motion.n_stable,
           stable, iou, area_off, (double)result.object_score, score, fed, off, ok ? "ok" : "FAILED");
    p->n_failed += !ok;
    p->lowest_iou = iou < p->lowest_iou ? iou : p->lowest_iou;
    p->worst_fed = fmax(p->worst_fed, fed);
    p->worst_free = fmax(p->worst_free, off);
}

static trk_status prompt(play *p)
{
    const json_t *about = json_object_get(p->about, "prompt"), *list = json_object_get(about, "points");
    double v[4];
    trk_point points[4];
    if (numbers_of(about, "box", v, 4))
        return trk_tracker_prompt_box(p->tracker, OBJECT, integer_of(about, "frame"),
                                      &(trk_box){(float)v[0], (float)v[1], (float)v[2], (float)v[3]});
    size_t n = json_array_size(list) < 4 ? json_array_size(list) : 4;
    for (size_t i = 0; i < n; i++) {
        const json_t *point = json_array_get(list, i);
        points[i] = (trk_point){(float)json_number_value(json_array_get(point, 0)),
                                (float)json_number_value(json_array_get(point, 1)),
                                (int)json_integer_value(json_array_get(point, 2))};
    }
    return trk_tracker_prompt_points(p->tracker, OBJECT, integer_of(about, "frame"), points, n);
}

static trk_status push(play *p, int t)
{
    static uint8_t rgb[SEEDED_HEIGHT * SEEDED_WIDTH * 3];
    const json_t *about = p->about;
    seeded_frame(rgb, (uint64_t)integer_of(about, "frame_seed"), t, json_is_true(json_object_get(about, "blank")));
    trk_frame picture = {.width = SEEDED_WIDTH, .height = SEEDED_HEIGHT, .planes = {rgb},
                         .strides = {3 * SEEDED_WIDTH}, .index = t};
    return trk_tracker_push(p->tracker, &picture);
}

/* Memories are looked up before the push, from all that is kept, and after it, when what no later frame reads has gone:
 * it must not have been this frame's. */
static trk_status run_frames(play *p)
{
    const json_t *rows = json_object_get(p->about, "frames");
    const int n_all = integer_of(p->about, "n_frames"), most = p->most_frames;
    const int n_frames = most && most < n_all ? most : n_all;
    size_t next = 0;
    trk_status rc = prompt(p);
    for (int t = 0; rc >= 0 && t < n_frames; t++) {
        const json_t *row = json_array_get(rows, next), *memories = json_object_get(row, "memories");
        const int has_row = row && integer_of(row, "frame") == t;
        int same = !has_row || same_memories(p, t, memories);
        rc = push(p, t);
        if (rc >= 0 && has_row) {
            same = same_memories(p, t, memories) && same;
            compare(p, row, same);
            next++;
        }
    }
    return rc;
}

static int run_case(play *p)
{
    trk_tracker_params params = TRK_TRACKER_PARAMS_INIT;
    const trk_motion_params motion = motion_of(p->about);
    const json_t *rows = json_object_get(p->about, "frames");
    size_t n_rows = 0;
    while (n_rows < json_array_size(rows) &&
           (!p->most_frames || integer_of(json_array_get(rows, n_rows), "frame") < p->most_frames))
        n_rows++;
    params.policy = TRK_POLICY_SAMURAI;
    params.motion = &motion;
    if (json_is_false(json_object_get(json_object_get(p->about, "options"), "fill_holes")))
        params.fill_holes = -1;
    trk_status rc = trk_tracker_create(&p->tracker, p->model, &params);
    if (rc >= 0)
        rc = run_frames(p);
    if (rc < 0)
        fprintf(stderr, "test_samurai: %s\n", trk_last_error());
    trk_tracker_destroy(&p->tracker);
    const int ok = rc >= 0 && !p->n_failed && n_rows && p->n_compared == (int)n_rows &&
                   p->n_other <= MOST_OTHER * (double)n_rows;
    printf("%d of %zu frames compared: %d with another hypothesis, lowest box IoU %.4f, filter %.1e, by itself %.1e: "
           "%s\n",
           p->n_compared, n_rows, p->n_other, p->lowest_iou, p->worst_fed, p->worst_free, ok ? "ok" : "FAILED");
    return ok;
}

static trk_status load_model(play *p, const char *path, int image_size, trk_device device)
{
    trk_model_params params = TRK_MODEL_PARAMS_INIT;
    params.device = device;
    params.precision = TRK_PRECISION_F32;
    params.image_size = image_size;
    trk_status rc = trk_model_load(&p->model, path, &params);
    if (rc >= 0)
        p->n_memories = p->model->network->arch.num_maskmem;
    return rc;
}

int main(int argc, char **argv)
{
    const char *backend = argc >= 5 ? argv[4] : "cpu";
    const int on_gpu = strcmp(backend, "cuda") == 0;
    if (argc < 2 || argc == 3 || argc > 6 || (!on_gpu && strcmp(backend, "cpu") != 0)) {
        fprintf(stderr, "usage: test_samurai CASE.json MODEL IMAGE_SIZE [cpu|cuda [FRAMES]], or KALMAN.json alone\n");
        return 2;
    }
    if (on_gpu && trk_backend_check(TRK_BACKEND_CUDA, 0) == TRK_E_UNSUPPORTED) {
        printf("skipped: %s\n", trk_error_text());
        return 77;
    }
    json_error_t error;
    play p = {.about = json_load_file(argv[1], 0, &error), .lowest_iou = 1,
              .most_frames = argc == 6 ? atoi(argv[5]) : 0};
    int ok = 0;
    if (!p.about)
        fprintf(stderr, "test_samurai: %s: %s\n", argv[1], error.text);
    else if (argc == 2)
        ok = run_filter(json_object_get(p.about, "steps"));
    else if (load_model(&p, argv[2], atoi(argv[3]), on_gpu ? TRK_DEVICE_CUDA : TRK_DEVICE_CPU) < 0)
        fprintf(stderr, "test_samurai: %s\n", trk_error_text());
    else
        ok = run_case(&p);
    trk_model_destroy(&p.model);
    json_decref(p.about);
    return !ok;
}
