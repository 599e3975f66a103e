/* SPDX-License-Identifier: Apache-2.0
 * SAMURAI: Yang, Huang, Chai, Jiang, Hwang, "SAMURAI: Adapting Segment Anything Model for Zero-Shot Visual Tracking with
 * Motion-Aware Memory", 2024. A Kalman filter of the box takes part in the choice of the hypothesis once it has followed
 * enough good frames in a row, and of tracked frames only those that went well stay memories, however old they are.
 *
 * Upstream's filter is one for the whole program and starts from nothing but the first video; here each object has its
 * own, in a note. Upstream measures an empty mask as a box of one pixel in the corner, which throws the filter there: it is
 * no measurement here, and the filter goes on by its prediction, unless strict_reference is asked for. */
#include "policy_samurai.h"

#include <math.h>
#include <string.h>

#include "policy.h"

_Static_assert(sizeof(trk_samurai_state) <= sizeof(trk_memory_note), "a state fits in a note");

/* --- filter ------------------------------------------------------------------------------------------------------- */

#define POSITION_WEIGHT (1.0 / 20.0) /* standard deviations, as shares of the height */
#define VELOCITY_WEIGHT (1.0 / 160.0)
#define RATIO 2 /* the position whose noise does not grow with the height */

static double square(double x)
{
    return x * x;
}

void trk_kalman_measure(double measured[4], const double box[4])
{
    const double height = box[3] - box[1] == 0 ? 1 : box[3] - box[1];
    measured[0] = (box[0] + box[2]) / 2;
    measured[1] = (box[1] + box[3]) / 2;
    measured[2] = (box[2] - box[0]) / height;
    measured[3] = height;
}

void trk_kalman_box(const trk_kalman *filter, double box[4])
{
    const double *m = filter->mean, width = m[RATIO] * m[3];
    box[0] = m[0] - width / 2;
    box[1] = m[1] - m[3] / 2;
    box[2] = m[0] + width / 2;
    box[3] = m[1] + m[3] / 2;
}

void trk_kalman_start(trk_kalman *filter, const double measured[4])
{
    *filter = (trk_kalman){{0}, {{0}}};
    memcpy(filter->mean, measured, 4 * sizeof *measured);
    for (int i = 0; i < 4; i++) {
        filter->covariance[i][0] = square(i == RATIO ? 1e-2 : 2 * POSITION_WEIGHT * measured[3]);
        filter->covariance[i][2] = square(i == RATIO ? 1e-5 : 10 * VELOCITY_WEIGHT * measured[3]);
    }
}

void trk_kalman_predict(trk_kalman *filter)
{
    const double height = filter->mean[3];
    for (int i = 0; i < 4; i++) {
        double *c = filter->covariance[i];
        filter->mean[i] += filter->mean[i + 4];
        c[0] += 2 * c[1] + c[2] + square(i == RATIO ? 1e-2 : POSITION_WEIGHT * height);
        c[1] += c[2];
        c[2] += square(i == RATIO ? 1e-5 : VELOCITY_WEIGHT * height);
    }
}

void trk_kalman_update(trk_kalman *filter, const double measured[4])
{
    const double height = filter->mean[3]; /* as predicted */
    for (int i = 0; i < 4; i++) {
        double *c = filter->covariance[i];
        const double noise = square(i == RATIO ? 1e-1 : POSITION_WEIGHT * height);
        const double seen = c[0] + noise, gain = c[0] / seen, velocity_gain = c[1] / seen;
        const double surprise = measured[i] - filter->mean[i];
        filter->mean[i] += gain * surprise;
        filter->mean[i + 4] += velocity_gain * surprise;
        c[2] -= velocity_gain * c[1];
        c[1] -= gain * c[1];
        c[0] -= gain * c[0];
    }
}

/* --- choice ------------------------------------------------------------------------------------------------------- */

static trk_samurai_state state_of(const trk_memory_note *note)
{
    trk_samurai_state state;
    memcpy(&state, note, sizeof state);
    return state;
}

static void keep_state(trk_memory_note *note, const trk_samurai_state *state)
{
    memcpy(note, state, sizeof *state);
}

static void forget_score(trk_samurai_state *s)
{
    s->has_score = 0;
    s->score = 0;
}

static void forget_prediction(trk_samurai_state *s)
{
    s->has_prediction = 0;
    memset(s->predicted, 0, sizeof s->predicted);
}

static void begin(trk_memory_note *note)
{
    trk_samurai_state s = state_of(note);
    forget_score(&s);
    forget_prediction(&s);
    keep_state(note, &s);
}

static void overrule(trk_memory_note *note)
{
    trk_samurai_state s = state_of(note);
    forget_score(&s);
    keep_state(note, &s);
}

/* A box of one pixel in the corner is taken for none, as upstream does. */
static int is_empty(const double box[4])
{
    return box[0] == 0 && box[1] == 0 && box[2] == 0 && box[3] == 0;
}

static double overlap(const double a[4], const double b[4])
{
    if (is_empty(b))
        return 0;
    const double width = fmin(a[2], b[2]) - fmax(a[0], b[0]), height = fmin(a[3], b[3]) - fmax(a[1], b[1]);
    const double both = fmax(width, 0) * fmax(height, 0);
    const double either = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both;
    return either == 0 ? 0 : both / either;
}

static int highest(const double values[3])
{
    int best = 0; /* the first on ties */
    for (int i = 1; i < 3; i++)
        if (values[i] > values[best])
            best = i;
    return best;
}

/* 0: there is nothing to measure. */
static int measure(double measured[4], const double box[4], const trk_motion_params *params)
{
    if (is_empty(box) && !params->strict_reference)
        return 0;
    trk_kalman_measure(measured, box);
    return 1;
}

static void start(trk_samurai_state *s, const double box[4], const trk_motion_params *params)
{
    double measured[4];
    if (!measure(measured, box, params))
        return;
    trk_kalman_start(&s->filter, measured);
    s->has_filter = 1;
    s->n_stable = 1;
}

static void predict(trk_samurai_state *s)
{
    trk_kalman_predict(&s->filter);
    trk_kalman_box(&s->filter, s->predicted);
    s->has_prediction = 1;
}

/* A good frame. Without a measurement the row of good ones neither grows nor ends. */
static void follow(trk_samurai_state *s, const double box[4], const trk_motion_params *params)
{
    double measured[4];
    if (!measure(measured, box, params))
        return;
    trk_kalman_update(&s->filter, measured);
    s->n_stable += s->n_stable < params->stable_frames;
}

/* By predicted IoU and motion. Upstream rejects here below the threshold, and while it warms up at the threshold too,
 * both as floats. */
static int choose_by_motion(trk_samurai_state *s, const double ious[3], double boxes[3][4],
                            const trk_motion_params *params)
{
    double scores[3], weighted[3];
    for (int i = 0; i < 3; i++) {
        scores[i] = overlap(s->predicted, boxes[i]);
        weighted[i] = params->weight * scores[i] + (1 - params->weight) * ious[i];
    }
    const int best = highest(weighted);
    s->has_score = 1;
    s->score = scores[best];
    if ((float)ious[best] < (float)params->stable_iou)
        s->n_stable = 0;
    else
        follow(s, boxes[best], params);
    return best;
}

static int choose(const trk_motion_params *params, trk_memory_note *note, const trk_choices *given)
{
    trk_samurai_state s = state_of(note);
    double ious[3], boxes[3][4];
    for (int i = 0; i < 3; i++) {
        ious[i] = given->iou[i];
        for (int k = 0; k < 4; k++)
            boxes[i][k] = given->box[i][k];
    }
    int best = highest(ious);
    forget_score(&s);
    forget_prediction(&s);
    if (!s.has_filter || s.n_stable == 0) {
        start(&s, boxes[best], params);
    } else {
        predict(&s);
        if (s.n_stable >= params->stable_frames)
            best = choose_by_motion(&s, ious, boxes, params);
        else if ((float)ious[best] > (float)params->stable_iou)
            follow(&s, boxes[best], params);
        else
            s.n_stable = 0;
    }
    keep_state(note, &s);
    return best;
}

static double present_above(const trk_motion_params *params)
{
    return params->min_object_score;
}

/* --- memories ----------------------------------------------------------------------------------------------------- */

#define NEVER_KEPT 2 /* the frames 0 and 1 are not looked at for memories */

static int keep(const trk_motion_params *params, const trk_memory_note *note, const trk_verdict *verdict)
{
    const trk_samurai_state s = state_of(note);
    const int64_t number = params->strict_reference ? verdict->frame : verdict->n_since_start;
    return number >= NEVER_KEPT && verdict->iou > (float)params->memory_iou &&
           verdict->object_score > (float)params->memory_object_score &&
           (!s.has_score || s.score > params->memory_motion);
}

/* The good tracked frame nearest to `frame` on one side: before it in order of tracking (side -1) or after it (1). */
static const trk_memory_entry *next_good(const trk_sequence *s, int64_t frame, int direction, int side, int with_memory)
{
    const trk_memory_entry *next = NULL;
    for (int i = 0; i < s->recent.n; i++) {
        const trk_memory_entry *entry = &s->recent.items[i];
        if (!entry->good || (with_memory && !trk_entry_has_memory(entry)) || (entry->frame - frame) * direction * side <= 0)
            continue;
        if (!next || (next->frame - entry->frame) * direction * side > 0)
            next = entry;
    }
    return next;
}

/* The previous frame, good or not, then good ones, from the newest on. */
static const trk_memory_entry *window_at(const trk_sequence *s, int64_t t, int direction, int age)
{
    const int64_t previous = t - direction;
    const trk_memory_entry *entry = NULL;
    if (age == 1)
        return trk_sequence_find(s, previous);
    for (int i = 2; i <= age; i++) {
        entry = next_good(s, entry ? entry->frame : previous, direction, -1, 1);
        if (!entry)
            return NULL;
    }
    return entry;
}

/* A good frame's memory is read until n_memories - 2 good ones have come after it and the last of them is the previous
 * frame, which has a place of its own. */
static int64_t window_last_reader(const trk_sequence *s, const trk_memory_entry *entry, int direction)
{
    int64_t frame = entry->frame;
    if (s->n_memories <= 1)
        return frame;
    for (int i = 0; entry->good && i < s->n_memories - 2; i++) {
        const trk_memory_entry *later = next_good(s, frame, direction, 1, 0);
        if (!later)
            return TRK_FRAME_NONE;
        frame = later->frame;
    }
    return frame + direction;
}

static const trk_window window = {.at = window_at, .last_reader = window_last_reader};

/* --- state files and results -------------------------------------------------------------------------------------- */

static void put(const trk_memory_note *note, trk_blob *out)
{
    const trk_samurai_state s = state_of(note);
    trk_blob_put_i64(out, s.has_filter);
    trk_blob_put_i64(out, s.n_stable);
    trk_blob_put_i64(out, s.has_prediction);
    trk_blob_put_i64(out, s.has_score);
    trk_blob_put_f64(out, s.score);
    for (int i = 0; i < 4; i++)
        trk_blob_put_f64(out, s.predicted[i]);
    for (int i = 0; i < 8; i++)
        trk_blob_put_f64(out, s.filter.mean[i]);
    for (int i = 0; i < 12; i++)
        trk_blob_put_f64(out, s.filter.covariance[i / 3][i % 3]);
}

static double take_finite(trk_blob_reader *in)
{
    const double value = trk_blob_take_f64(in);
    if (in->status >= 0 && !isfinite(value))
        in->status = TRK_FAIL(TRK_E_FORMAT, "state: a motion model holds %g: expected finite numbers", value);
    return value;
}

static trk_status take(trk_memory_note *note, const trk_motion_params *params, trk_blob_reader *in)
{
    trk_samurai_state s = {.has_filter = (int)trk_blob_take_within(in, 0, 1, "\"has a motion model\"")};
    s.n_stable = (int)trk_blob_take_within(in, 0, params->stable_frames, "good frames in a row");
    s.has_prediction = (int)trk_blob_take_within(in, 0, 1, "\"has a prediction\"");
    s.has_score = (int)trk_blob_take_within(in, 0, 1, "\"has a motion score\"");
    s.score = take_finite(in);
    for (int i = 0; i < 4; i++)
        s.predicted[i] = take_finite(in);
    for (int i = 0; i < 8; i++)
        s.filter.mean[i] = take_finite(in);
    for (int i = 0; i < 12; i++)
        s.filter.covariance[i / 3][i % 3] = take_finite(in);
    if (in->status >= 0)
        keep_state(note, &s);
    return in->status;
}

static void describe(const trk_memory_note *note, int side, int width, int height, trk_motion *out)
{
    const trk_samurai_state s = state_of(note);
    const double across = (double)width / side, down = (double)height / side;
    *out = (trk_motion){.has_model = 1,
                        .has_prediction = s.has_prediction,
                        .has_score = s.has_score,
                        .score = s.score,
                        .n_stable = s.n_stable};
    if (s.has_prediction)
        out->predicted = (trk_box){(float)(s.predicted[0] * across), (float)(s.predicted[1] * down),
                                   (float)((s.predicted[2] - s.predicted[0]) * across),
                                   (float)((s.predicted[3] - s.predicted[1]) * down)};
}

const trk_policy trk_policy_samurai = {.window = &window,
                                       .begin = begin,
                                       .overrule = overrule,
                                       .choose = choose,
                                       .present_above = present_above,
                                       .keep = keep,
                                       .put = put,
                                       .take = take,
                                       .describe = describe};
