/* SPDX-License-Identifier: Apache-2.0
 * Scores of boxes against the public toolkits (boxes.json, see make_goldens.py beside it) and cases counted by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <jansson.h>
#include <math.h>

#include "eval/box_scores.h"

#define EXACT 1e-12
/* pytracking keeps its curves as 32-bit floats, and boxes are bound to the picture in such */
#define OFFICIAL 1e-6

/* cmocka compares floats, which is too coarse here */
#define CHECK_NEAR(found, expected, tolerance)                                                                         \
    do {                                                                                                               \
        const double is = (found), should = (expected);                                                                \
        if (!(fabs(is - should) <= (tolerance)))                                                                       \
            fail_msg("%s: %.15g, expected %.15g", #found, is, should);                                                 \
    } while (0)

enum { MOST = 128 };

typedef struct track_case {
    trk_box found[MOST], truth[MOST];
    unsigned char counts[MOST];
    size_t n;
    int width, height;
} track_case;

static void read_boxes(trk_box *out, const json_t *list)
{
    size_t i;
    json_t *box;
    json_array_foreach(list, i, box)
    {
        float values[4];
        for (size_t j = 0; j < 4; j++)
            values[j] = (float)json_number_value(json_array_get(box, j));
        out[i] = (trk_box){values[0], values[1], values[2], values[3]};
    }
}

static void read_case(track_case *out, const json_t *one)
{
    const json_t *found = json_object_get(one, "found"), *truth = json_object_get(one, "truth");
    const json_t *counts = json_object_get(one, "counts");
    out->n = json_array_size(found);
    assert_in_range(out->n, 1, MOST);
    assert_int_equal(json_array_size(truth), out->n);
    assert_int_equal(json_array_size(counts), out->n);
    read_boxes(out->found, found);
    read_boxes(out->truth, truth);
    for (size_t i = 0; i < out->n; i++)
        out->counts[i] = json_integer_value(json_array_get(counts, i)) != 0;
    out->width = (int)json_integer_value(json_object_get(one, "width"));
    out->height = (int)json_integer_value(json_object_get(one, "height"));
}

/* Every number that the toolkit gives. */
static void check_scores(size_t index, const char *toolkit, const box_scores *found, const json_t *expected)
{
    const struct {
        const char *name;
        double value;
    } list[] = {
        {"auc", found->of[BOX_AUC]},
        {"op50", found->of[BOX_OP50]},
        {"op75", found->of[BOX_OP75]},
        {"precision", found->of[BOX_PRECISION]},
        {"normalized_precision", found->of[BOX_NORMALIZED_PRECISION]},
        {"normalized_auc", found->of[BOX_NORMALIZED_AUC]},
        {"average_overlap", found->of[BOX_AO]},
        {"n_frames", (double)found->n_frames},
    };
    size_t n_compared = 0;
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        const json_t *value = json_object_get(expected, list[i].name);
        if (!value)
            continue;
        n_compared++;
        if (!(fabs(list[i].value - json_number_value(value)) <= OFFICIAL))
            fail_msg("case %zu, %s, %s: %.9f, expected %.9f", index, toolkit, list[i].name, list[i].value,
                     json_number_value(value));
    }
    assert_int_equal(n_compared, json_object_size(expected));
    assert_true(n_compared >= 5);
}

static void test_official(void **state)
{
    (void)state;
    const struct {
        const char *name;
        box_convention convention;
    } toolkits[] = {
        {"lasot", BOX_CONVENTION_LASOT}, {"plain", BOX_CONVENTION_PLAIN}, {"got10k", BOX_CONVENTION_GOT10K}};
    json_error_t error;
    json_t *root = json_load_file(TRK_SOURCE_DIR "/tests/eval/scores/boxes.json", 0, &error), *one;
    if (!root)
        fail_msg("%s, line %d: %s", error.source, error.line, error.text);
    size_t i;
    assert_true(json_array_size(json_object_get(root, "boxes")) > 0);
    json_array_foreach(json_object_get(root, "boxes"), i, one)
    {
        track_case clip;
        read_case(&clip, one);
        for (size_t j = 0; j < 3; j++) {
            if (toolkits[j].convention == BOX_CONVENTION_GOT10K) {
                boxes_bound(clip.found, clip.n, clip.width, clip.height);
                boxes_bound(clip.truth, clip.n, clip.width, clip.height);
            }
            const box_scores out = box_scores_of(clip.found, clip.truth, clip.counts, clip.n, toolkits[j].convention);
            check_scores(i, toolkits[j].name, &out, json_object_get(one, toolkits[j].name));
        }
    }
    json_decref(root);
}

static void test_overlap(void **state)
{
    (void)state;
    const trk_box a = {10, 20, 40, 30}, half = {30, 20, 40, 30}, inside = {20, 30, 10, 5}, beside = {50, 20, 40, 30};
    const trk_box empty = {10, 20, 0, 30}, unknown = {NAN, NAN, NAN, NAN};
    CHECK_NEAR(box_overlap(&a, &a), 1, 0);
    CHECK_NEAR(box_overlap(&a, &half), 1.0 / 3, EXACT);
    CHECK_NEAR(box_overlap(&half, &a), 1.0 / 3, EXACT);
    CHECK_NEAR(box_overlap(&a, &inside), 50.0 / 1200, EXACT);
    CHECK_NEAR(box_overlap(&a, &beside), 0, 0);
    CHECK_NEAR(box_overlap(&a, &empty), 0, 0);
    CHECK_NEAR(box_overlap(&empty, &empty), 0, 0);
    CHECK_NEAR(box_overlap(&unknown, &a), 0, 0);
}

static void test_identical(void **state)
{
    (void)state;
    const trk_box boxes[] = {{5, 5, 20, 20}, {6, 5, 20, 20}, {7, 5, 20, 20}};
    const box_scores plain = box_scores_of(boxes, boxes, NULL, 3, BOX_CONVENTION_PLAIN);
    CHECK_NEAR(plain.of[BOX_AUC], 20.0 / 21, EXACT); /* an overlap of 1 is not above the last threshold */
    CHECK_NEAR(plain.of[BOX_OP75], 1, 0);
    CHECK_NEAR(plain.of[BOX_PRECISION], 1, 0);
    CHECK_NEAR(plain.of[BOX_NORMALIZED_AUC], 1, 0);
    CHECK_NEAR(plain.of[BOX_AO], 1, 0);
    assert_int_equal(plain.n_frames, 3);
    const box_scores got10k = box_scores_of(boxes, boxes, NULL, 3, BOX_CONVENTION_GOT10K);
    CHECK_NEAR(got10k.of[BOX_AUC], 100.0 / 101, EXACT);
    assert_int_equal(got10k.n_frames, 2); /* without the first */
}

static void test_limits(void **state)
{
    (void)state;
    /* 3 and 4 units of 4 pixels off: 20 exactly; 0.2 sides exactly: both still count. An overlap of exactly one half
     * does not. */
    const trk_box truth[] = {{50, 50, 100, 100}, {50, 50, 100, 100}, {50, 50, 100, 100}};
    const trk_box found[] = {{62, 66, 100, 100}, {71, 50, 100, 100}, {50, 50, 100, 50}};
    const box_scores out = box_scores_of(found, truth, NULL, 2, BOX_CONVENTION_PLAIN);
    CHECK_NEAR(out.of[BOX_PRECISION], 0.5, 0);
    CHECK_NEAR(out.of[BOX_NORMALIZED_PRECISION], 0.5, 0);
    /* 0.20 is reached by thresholds 0.20..0.50, 0.21 by one less */
    CHECK_NEAR(out.of[BOX_NORMALIZED_AUC], (31.0 + 30) / (2 * 51), EXACT);
    const box_scores half = box_scores_of(found + 2, truth, NULL, 1, BOX_CONVENTION_PLAIN);
    CHECK_NEAR(half.of[BOX_OP50], 0, 0);
    CHECK_NEAR(half.of[BOX_AO], 0.5, 0);
    CHECK_NEAR(half.of[BOX_AUC], 10.0 / 21, EXACT); /* 0, 0.05, ..., 0.45 */
}

static void test_frames_that_do_not_count(void **state)
{
    (void)state;
    const trk_box box = {10, 10, 20, 20}, away = {200, 10, 20, 20}, none = {0, 0, 0, 0};
    const trk_box truth[] = {box, box, box, box}, found[] = {away, box, away, none};
    const unsigned char counts[] = {1, 1, 0, 1};
    const box_scores plain = box_scores_of(found, truth, counts, 4, BOX_CONVENTION_PLAIN);
    assert_int_equal(plain.n_frames, 3);
    CHECK_NEAR(plain.of[BOX_OP50], 1.0 / 3, EXACT);
    CHECK_NEAR(plain.of[BOX_PRECISION], 1.0 / 3, EXACT); /* no box: not near a true one at 0, 0, either */
    /* LaSOT: the first frame is given; the last takes the box of the one before, which is away although its own frame
     * does not count; shares are of all four */
    const box_scores lasot = box_scores_of(found, truth, counts, 4, BOX_CONVENTION_LASOT);
    assert_int_equal(lasot.n_frames, 4);
    CHECK_NEAR(lasot.of[BOX_OP50], 2.0 / 4, EXACT);
    CHECK_NEAR(lasot.of[BOX_AO], 2.0 / 3, EXACT);
    const box_scores got10k = box_scores_of(found, truth, counts, 4, BOX_CONVENTION_GOT10K);
    assert_int_equal(got10k.n_frames, 2);
    CHECK_NEAR(got10k.of[BOX_AO], 0.5, EXACT);
}

/* TrackingNet: as LaSOT, but frames without a true box are in no share, whether they are marked or not. */
static void test_shares_of_trackingnet(void **state)
{
    (void)state;
    const trk_box box = {10, 10, 20, 20}, away = {200, 10, 20, 20}, none = {0, 0, 0, 0};
    const trk_box truth[] = {box, box, none, none, box}, found[] = {away, box, box, away, none};
    const unsigned char marked[] = {1, 1, 0, 0, 1}, *const counts[] = {marked, NULL};
    for (int i = 0; i < 2; i++) {
        const box_scores out = box_scores_of(found, truth, counts[i], 5, BOX_CONVENTION_TRACKINGNET);
        assert_int_equal(out.n_frames, 3);
        CHECK_NEAR(out.of[BOX_OP50], 2.0 / 3, EXACT); /* the first is given, the last as the one before: away */
        CHECK_NEAR(out.of[BOX_PRECISION], 2.0 / 3, EXACT);
        CHECK_NEAR(out.of[BOX_NORMALIZED_AUC], 2.0 / 3, EXACT);
        CHECK_NEAR(out.of[BOX_AUC], 2.0 / 3 * 20 / 21, EXACT);
        CHECK_NEAR(out.of[BOX_AO], 2.0 / 3, EXACT);
    }
}

static void test_truth_without_area(void **state)
{
    (void)state;
    /* seven visible frames of LaSOT are such; its toolkit counts them as precise misses */
    const trk_box truth[] = {{10, 10, 20, 20}, {1, 1, -1, -1}}, found[] = {{10, 10, 20, 20}, {300, 300, 20, 20}};
    const box_scores out = box_scores_of(found, truth, NULL, 2, BOX_CONVENTION_LASOT);
    CHECK_NEAR(out.of[BOX_OP50], 0.5, 0);
    CHECK_NEAR(out.of[BOX_PRECISION], 1, 0);
    CHECK_NEAR(out.of[BOX_AO], 1, 0);
    const trk_box unknown[] = {{10, 10, 20, 20}, {NAN, NAN, NAN, NAN}};
    const box_scores plain = box_scores_of(found, unknown, NULL, 2, BOX_CONVENTION_PLAIN);
    assert_int_equal(plain.n_frames, 1);
    CHECK_NEAR(plain.of[BOX_OP50], 1, 0);
}

static void test_bound_to_the_picture(void **state)
{
    (void)state;
    /* 100 x 100: inside; over the right and lower edge; out of the picture; and from -10 to 30, which the toolkit moves
     * to 0 .. 40; no box stays none */
    trk_box boxes[] = {{60, 10, 40, 40}, {80, 90, 40, 40}, {120, 10, 5, 5}, {-10, -20, 40, 30}, {0, 0, 0, 0}};
    const trk_box expected[] = {{60, 10, 40, 40}, {80, 90, 20, 10}, {100, 10, 0, 5}, {0, 0, 40, 30}, {0, 0, 0, 0}};
    boxes_bound(boxes, 5, 100, 100);
    assert_memory_equal(boxes, expected, sizeof boxes);
}

static void check_nothing(const box_scores *out)
{
    assert_int_equal(out->n_frames, 0);
    for (int i = 0; i < N_BOX_SCORES; i++)
        assert_true(isnan(out->of[i]));
}

static void test_nothing_counts(void **state)
{
    (void)state;
    const trk_box boxes[] = {{5, 5, 20, 20}, {6, 5, 20, 20}};
    const unsigned char counts[] = {0, 0};
    const box_convention conventions[] = {BOX_CONVENTION_LASOT, BOX_CONVENTION_TRACKINGNET, BOX_CONVENTION_GOT10K,
                                          BOX_CONVENTION_PLAIN};
    for (size_t i = 0; i < sizeof conventions / sizeof *conventions; i++) {
        const box_scores none = box_scores_of(NULL, NULL, NULL, 0, conventions[i]);
        const box_scores uncounted = box_scores_of(boxes, boxes, counts, 2, conventions[i]);
        check_nothing(&none);
        check_nothing(&uncounted);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_official),
        cmocka_unit_test(test_overlap),
        cmocka_unit_test(test_identical),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_frames_that_do_not_count),
        cmocka_unit_test(test_shares_of_trackingnet),
        cmocka_unit_test(test_truth_without_area),
        cmocka_unit_test(test_bound_to_the_picture),
        cmocka_unit_test(test_nothing_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
