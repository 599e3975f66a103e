/* SPDX-License-Identifier: Apache-2.0
 * J, F and their statistics against the official DAVIS code (masks.json, see make_goldens.py beside it), against F by
 * its definition, and against cases counted by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <jansson.h>
#include <math.h>

#include "eval/mask_scores.h"
#include "heap.h"

#define EXACT 1e-12 /* the same counts divided: only the last bits of sums may differ */

/* cmocka compares floats, which is too coarse here */
#define CHECK_NEAR(found, expected, tolerance)                                                                         \
    do {                                                                                                               \
        const double is = (found), should = (expected);                                                                \
        if (!(fabs(is - should) <= (tolerance)))                                                                       \
            fail_msg("%s: %.15g, expected %.15g", #found, is, should);                                                 \
    } while (0)

static mask_scratch scratch; /* one for all tests: nothing of an earlier comparison may show */

static double boundary(const uint8_t *found, const uint8_t *truth, const uint8_t *ignore, int width, int height,
                       double tolerance)
{
    double out = NAN;
    assert_int_equal(mask_boundary_similarity(&out, &scratch, found, truth, ignore, width, height, tolerance), TRK_OK);
    return out;
}

/* [n] of any non-zero bytes, from run lengths of 0, 1, 0, ... */
static uint8_t *mask_of_runs(const json_t *runs, size_t n)
{
    uint8_t *mask = test_malloc(n); /* of just that size, so that a sanitizer sees a byte too far */
    size_t at = 0, i;
    json_t *run;
    json_array_foreach(runs, i, run)
    {
        for (json_int_t left = json_integer_value(run); left > 0; left--, at++) {
            assert_true(at < n);
            mask[at] = i % 2 ? (uint8_t)(1 + at % 255) : 0;
        }
    }
    assert_int_equal(at, n);
    return mask;
}

static double number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    assert_true(json_is_number(value));
    return json_number_value(value);
}

static json_t *goldens(const char *key)
{
    json_error_t error;
    json_t *root = json_load_file(TRK_SOURCE_DIR "/tests/eval/scores/masks.json", 0, &error);
    if (!root)
        fail_msg("%s, line %d: %s", error.source, error.line, error.text);
    json_t *cases = json_incref(json_object_get(root, key));
    json_decref(root);
    assert_true(json_array_size(cases) > 0);
    return cases;
}

static void test_official_masks(void **state)
{
    (void)state;
    json_t *cases = goldens("masks"), *one;
    size_t i;
    json_array_foreach(cases, i, one)
    {
        const int width = (int)number(one, "width"), height = (int)number(one, "height");
        const size_t n = (size_t)width * (size_t)height;
        uint8_t *found = mask_of_runs(json_object_get(one, "found"), n);
        uint8_t *truth = mask_of_runs(json_object_get(one, "truth"), n);
        const json_t *runs = json_object_get(one, "ignore");
        uint8_t *ignore = json_is_null(runs) ? NULL : mask_of_runs(runs, n);
        const double region = mask_region_similarity(found, truth, ignore, width, height);
        const double f = boundary(found, truth, ignore, width, height, number(one, "tolerance"));
        if (fabs(region - number(one, "J")) > EXACT || fabs(f - number(one, "F")) > EXACT)
            fail_msg("case %zu, %d x %d: J %.9f F %.9f, expected %.9f %.9f", i, width, height, region, f,
                     number(one, "J"), number(one, "F"));
        test_free(found);
        test_free(truth);
        if (ignore)
            test_free(ignore);
    }
    json_decref(cases);
}

static void check_summary(const score_summary *found, const json_t *expected, size_t n)
{
    assert_int_equal(found->n_frames, n);
    CHECK_NEAR(found->mean, number(expected, "mean"), EXACT);
    CHECK_NEAR(found->recall, number(expected, "recall"), EXACT);
    CHECK_NEAR(found->decay, number(expected, "decay"), EXACT);
}

static void test_official_summaries(void **state)
{
    (void)state;
    json_t *cases = goldens("summaries"), *one;
    size_t i;
    json_array_foreach(cases, i, one)
    {
        const json_t *list = json_object_get(one, "scores");
        const size_t n = json_array_size(list);
        double plain[255], gaps[2 * 255 + 1]; /* the same with frames between them that do not count */
        assert_in_range(n, 1, 255);
        for (size_t j = 0; j < n; j++) {
            plain[j] = gaps[2 * j + 1] = json_real_value(json_array_get(list, j));
            gaps[2 * j] = NAN;
        }
        gaps[2 * n] = NAN;
        const score_summary of_plain = score_summarize(plain, n), of_gaps = score_summarize(gaps, 2 * n + 1);
        check_summary(&of_plain, one, n);
        check_summary(&of_gaps, one, n);
    }
    json_decref(cases);
}

static void test_summary_by_hand(void **state)
{
    (void)state;
    /* quarters of 8 frames: 0..2, 2..4, 4..5, 5..7 (bounds 0, 1.75, 3.5, 5.25, 7, halves up): 0.9 - 0.1 */
    const double scores[] = {0.9, 0.9, 0.9, 0.5, 0.5, 0.1, 0.1, 0.1};
    const score_summary out = score_summarize(scores, 8);
    CHECK_NEAR(out.mean, 0.5, EXACT);
    CHECK_NEAR(out.recall, 3.0 / 8, EXACT);
    CHECK_NEAR(out.decay, 0.8, EXACT);
    const score_summary none = score_summarize(NULL, 0);
    assert_true(isnan(none.mean) && isnan(none.recall) && isnan(none.decay) && none.n_frames == 0);
    const double nothing[] = {NAN, NAN};
    const score_summary uncounted = score_summarize(nothing, 2);
    assert_true(isnan(uncounted.mean) && isnan(uncounted.recall) && isnan(uncounted.decay) && uncounted.n_frames == 0);
}

static void test_summary_of_long_clip(void **state)
{
    (void)state;
    /* beyond the 255 frames of the official code: 1001 frames, quarters 0..250 and 750..1000 */
    double scores[1001];
    for (int i = 0; i < 1001; i++)
        scores[i] = i <= 250 ? 1 : i < 750 ? 0.75 : 0.25;
    const score_summary out = score_summarize(scores, 1001);
    CHECK_NEAR(out.decay, 0.75, EXACT);
    CHECK_NEAR(out.recall, 750.0 / 1001, EXACT);
}

/* F by its definition: pair by pair. */

enum { MOST = 40 };

static int pixel(const uint8_t *mask, const uint8_t *ignore, int width, int height, int x, int y)
{
    if (x >= width || y >= height)
        return 0;
    return mask[y * width + x] && !(ignore && ignore[y * width + x]);
}

static int is_boundary(const uint8_t *mask, const uint8_t *ignore, int width, int height, int x, int y)
{
    const int here = pixel(mask, ignore, width, height, x, y);
    const int right = pixel(mask, ignore, width, height, x + 1, y),
              below = pixel(mask, ignore, width, height, x, y + 1);
    if (x == width - 1 && y == height - 1)
        return 0;
    if (y == height - 1)
        return here != right;
    if (x == width - 1)
        return here != below;
    return here != right || here != below || here != pixel(mask, ignore, width, height, x + 1, y + 1);
}

/* Share of the boundary of a that lies within the radius of that of b; *n: pixels in the boundary of a. */
static double share(size_t *n, const uint8_t *a, const uint8_t *b, const uint8_t *ignore, int width, int height,
                    double radius)
{
    size_t near = 0;
    *n = 0;
    for (int i = 0; i < width * height; i++) {
        if (!is_boundary(a, ignore, width, height, i % width, i / width))
            continue;
        int hit = 0;
        for (int j = 0; j < width * height && !hit; j++) {
            const int dx = i % width - j % width, dy = i / width - j / width;
            hit = dx * dx + dy * dy <= radius * radius && is_boundary(b, ignore, width, height, j % width, j / width);
        }
        near += (size_t)hit;
        ++*n;
    }
    return *n ? (double)near / (double)*n : 1;
}

static double boundary_by_definition(const uint8_t *found, const uint8_t *truth, const uint8_t *ignore, int width,
                                     int height, double radius)
{
    size_t n_found, n_truth;
    const double precision = share(&n_found, found, truth, ignore, width, height, radius);
    const double recall = share(&n_truth, truth, found, ignore, width, height, radius);
    if (!n_found || !n_truth)
        return n_found == n_truth;
    return precision + recall > 0 ? 2 * precision * recall / (precision + recall) : 0;
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

/* A few rectangles; may be empty or fill the picture. */
static void draw(uint8_t *mask, int width, int height, uint32_t *seed)
{
    memset(mask, 0, (size_t)(width * height));
    for (uint32_t n = next_random(seed) % 4; n > 0; n--) {
        const int x = (int)(next_random(seed) % (uint32_t)width), y = (int)(next_random(seed) % (uint32_t)height);
        const int x_end = x + (int)(next_random(seed) % (uint32_t)(width - x)) + 1;
        const int y_end = y + (int)(next_random(seed) % (uint32_t)(height - y)) + 1;
        const uint8_t value = (uint8_t)(next_random(seed) % 4 ? 1 + next_random(seed) % 255 : 0);
        for (int i = y; i < y_end; i++)
            memset(mask + i * width + x, value, (size_t)(x_end - x));
    }
}

static void test_random_against_definition(void **state)
{
    (void)state;
    uint32_t seed = 3;
    for (int trial = 0; trial < 400; trial++) {
        uint8_t found[MOST * MOST], truth[MOST * MOST], hidden[MOST * MOST];
        const int width = 1 + (int)(next_random(&seed) % MOST), height = 1 + (int)(next_random(&seed) % MOST);
        const double radius = 1 + next_random(&seed) % 9;
        draw(found, width, height, &seed);
        draw(truth, width, height, &seed);
        draw(hidden, width, height, &seed);
        const uint8_t *ignore = trial % 3 ? NULL : hidden;
        const double f = boundary(found, truth, ignore, width, height, radius);
        CHECK_NEAR(f, boundary_by_definition(found, truth, ignore, width, height, radius), EXACT);
        CHECK_NEAR(f, boundary(truth, found, ignore, width, height, radius), EXACT); /* symmetric */
        const double region = mask_region_similarity(found, truth, ignore, width, height);
        CHECK_NEAR(region, mask_region_similarity(truth, found, ignore, width, height), 0);
        assert_true(region >= 0 && region <= 1 && f >= 0 && f <= 1);
        CHECK_NEAR(boundary(found, found, ignore, width, height, radius), 1, 0);
        CHECK_NEAR(mask_region_similarity(found, found, ignore, width, height), 1, 0);
    }
}

/* By hand. */

static void square(uint8_t *mask, int width, int height, int x, int y, int side)
{
    memset(mask, 0, (size_t)(width * height));
    for (int i = 0; i < side; i++)
        memset(mask + (y + i) * width + x, 200, (size_t)side);
}

static void test_empty_and_full(void **state)
{
    (void)state;
    enum { W = 30, H = 20 };
    uint8_t empty[W * H] = {0}, full[W * H], some[W * H];
    memset(full, 255, sizeof full);
    square(some, W, H, 5, 5, 6);
    CHECK_NEAR(mask_region_similarity(empty, empty, NULL, W, H), 1, 0);
    CHECK_NEAR(mask_region_similarity(full, empty, NULL, W, H), 0, 0);
    CHECK_NEAR(mask_region_similarity(some, full, NULL, W, H), 36.0 / (W * H), EXACT);
    CHECK_NEAR(mask_region_similarity(some, empty, some, W, H), 1, 0); /* nothing but void is left */
    CHECK_NEAR(boundary(empty, empty, NULL, W, H, 0.008), 1, 0);
    CHECK_NEAR(boundary(some, empty, NULL, W, H, 0.008), 0, 0);
    CHECK_NEAR(boundary(empty, some, NULL, W, H, 0.008), 0, 0);
    CHECK_NEAR(boundary(some, full, NULL, W, H, 0.008), 0, 0); /* full: without boundary */
    CHECK_NEAR(boundary(full, empty, NULL, W, H, 0.008), 1, 0);
    CHECK_NEAR(boundary(some, empty, some, W, H, 0.008), 1, 0);
}

static void test_small_pictures(void **state)
{
    (void)state;
    const uint8_t one = 7, none = 0;
    CHECK_NEAR(boundary(&one, &none, NULL, 1, 1, 0.008), 1, 0); /* the last corner is never boundary */
    CHECK_NEAR(mask_region_similarity(&one, &none, NULL, 1, 1), 0, 0);
    /* a row: pixels 1 and 4 of 6 are boundary of found (2..4), 0 and 2 of truth (1..2). Radius 1: both have a partner
     * for 1 - 0 and 1 - 2, none for 4, so 1 of 2 and 2 of 2 */
    const uint8_t found[] = {0, 0, 9, 9, 9, 0}, truth[] = {0, 9, 9, 0, 0, 0};
    CHECK_NEAR(boundary(found, truth, NULL, 6, 1, 1), 2 * 0.5 / 1.5, EXACT);
    CHECK_NEAR(boundary(found, truth, NULL, 1, 6, 1), 2 * 0.5 / 1.5, EXACT);
    CHECK_NEAR(mask_region_similarity(found, truth, NULL, 6, 1), 0.25, EXACT);
    /* radius 2: 4 reaches 2 */
    CHECK_NEAR(boundary(found, truth, NULL, 6, 1, 2), 1, 0);
    /* one pixel in the last column and row: only the pixels above and left of it are boundary (and their corner) */
    uint8_t corner[9] = {0}, centre[9] = {0};
    corner[8] = 1;
    centre[4] = 1; /* boundary 0, 1, 3, 4; that of the corner: 4, 5, 7 */
    /* with radius 1 pixel 0 alone has no partner: 3 of 4 and 3 of 3 */
    CHECK_NEAR(boundary(centre, corner, NULL, 3, 3, 1), 2 * 0.75 / 1.75, EXACT);
}

static void test_moved_square(void **state)
{
    (void)state;
    /* 8 pixels of tolerance: 0.008 of 979.7, rounded up */
    enum { W = 854, H = 480, SIDE = 100 };
    uint8_t *truth = calloc(H, W), *found = calloc(H, W);
    square(truth, W, H, 300, 200, SIDE);
    for (int d = 0; d <= 8; d++) {
        square(found, W, H, 300 + d, 200, SIDE);
        CHECK_NEAR(boundary(found, truth, NULL, W, H, MASK_SCORES_TOLERANCE), 1, 0);
        CHECK_NEAR(mask_region_similarity(found, truth, NULL, W, H), (100.0 - d) / (100 + d), EXACT);
    }
    square(found, W, H, 306, 205, SIDE); /* 6, 5: still inside of the disc, 7.8 long */
    CHECK_NEAR(boundary(found, truth, NULL, W, H, MASK_SCORES_TOLERANCE), 1, 0);
    /* The boundary is a ring of 101 x 101 pixels, 400 in all. 9 to the right, its column on the far side (101 pixels)
     * is out of reach. The one on the near side has the other ring's horizontal lines within 8 rows of either end: 18
     * of 101 pixels stay in reach. */
    square(found, W, H, 309, 200, SIDE);
    CHECK_NEAR(boundary(found, truth, NULL, W, H, MASK_SCORES_TOLERANCE), (400 - 101 - 83) / 400.0, EXACT);
    square(found, W, H, 600, 200, SIDE);
    CHECK_NEAR(boundary(found, truth, NULL, W, H, MASK_SCORES_TOLERANCE), 0, 0);
    CHECK_NEAR(mask_region_similarity(found, truth, NULL, W, H), 0, 0);
    free(truth);
    free(found);
}

static void test_edge_of_picture(void **state)
{
    (void)state;
    /* the left half against the upper half of 8 x 8: boundary are column 3 (8 pixels; the last row compares with the
     * right one) and row 3 (8 pixels), which share pixel 3, 3. Within radius 1: 3 pixels of either. */
    uint8_t left[64] = {0}, upper[64] = {0};
    for (int i = 0; i < 64; i++) {
        left[i] = i % 8 < 4;
        upper[i] = i / 8 < 4;
    }
    CHECK_NEAR(boundary(left, upper, NULL, 8, 8, 1), 3.0 / 8, EXACT);
    CHECK_NEAR(mask_region_similarity(left, upper, NULL, 8, 8), 16.0 / 48, EXACT);
    /* the crossing is void: nothing in common is left, and the edges of the hole are boundary */
    uint8_t ignore[64] = {0};
    for (int i = 0; i < 64; i++)
        ignore[i] = i % 8 < 4 && i / 8 < 4;
    CHECK_NEAR(mask_region_similarity(left, upper, ignore, 8, 8), 0, 0);
    CHECK_NEAR(boundary(left, upper, ignore, 8, 8, 1), boundary_by_definition(left, upper, ignore, 8, 8, 1), EXACT);
}

static void test_wide_tolerance(void **state)
{
    (void)state;
    uint8_t a[64] = {0}, b[64] = {0};
    a[9] = b[54] = 1;
    CHECK_NEAR(boundary(a, b, NULL, 8, 8, 60000), 1, 0);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    uint8_t mask[64] = {[9] = 1};
    for (uint64_t i = 1; i <= 2; i++) {
        mask_scratch own = {0};
        double out;
        trk_heap_fail(i, 1);
        assert_int_equal(mask_boundary_similarity(&out, &own, mask, mask, NULL, 8, 8, 1), TRK_E_MEMORY);
        trk_heap_fail(0, 0);
        assert_int_equal(mask_boundary_similarity(&out, &own, mask, mask, NULL, 8, 8, 1), TRK_OK);
        CHECK_NEAR(out, 1, 0);
        mask_scratch_free(&own);
    }
}

static int free_scratch(void **state)
{
    (void)state;
    mask_scratch_free(&scratch);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_official_masks),
        cmocka_unit_test(test_official_summaries),
        cmocka_unit_test(test_summary_by_hand),
        cmocka_unit_test(test_summary_of_long_clip),
        cmocka_unit_test(test_random_against_definition),
        cmocka_unit_test(test_empty_and_full),
        cmocka_unit_test(test_small_pictures),
        cmocka_unit_test(test_moved_square),
        cmocka_unit_test(test_edge_of_picture),
        cmocka_unit_test(test_wide_tolerance),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, free_scratch);
}
