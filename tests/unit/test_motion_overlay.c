/* SPDX-License-Identifier: Apache-2.0
 * What is drawn of a motion model, pixel by pixel: the dashed box of the prediction and its label. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "overlay.h"

/* 96 x 64: lines of one pixel, dashes of 6 with gaps of 4, labels at scale 1. */
enum { WIDTH = 96, HEIGHT = 64, BYTES = WIDTH * HEIGHT * 3, MARGIN = 256 };
static const uint8_t COLOUR[3] = {10, 20, 31};
static const uint8_t LINE[3] = {132, 137, 143}; /* half white */

static uint8_t memory[MARGIN + BYTES + MARGIN];
static canvas target = {memory + MARGIN, 3 * WIDTH, WIDTH, HEIGHT};

static const uint8_t *pixel(int x, int y)
{
    return target.rgb + y * target.stride + 3 * x;
}

/* On a picture of 7s; what lies around it must stay. */
static void draw(const trk_motion *motion, int kept)
{
    memset(memory, 7, sizeof memory);
    overlay_draw_motion(&target, motion, kept, COLOUR);
    for (int i = 0; i < MARGIN; i++)
        assert_true(memory[i] == 7 && memory[MARGIN + BYTES + i] == 7);
}

static int is_untouched(int x, int y)
{
    return pixel(x, y)[0] == 7 && pixel(x, y)[1] == 7 && pixel(x, y)[2] == 7;
}

static void test_box_and_label(void **state)
{
    (void)state;
    const trk_motion motion = {.has_model = 1,
                               .has_prediction = 1,
                               .predicted = {10, 8, 40.4f, 20},
                               .has_score = 1,
                               .score = 0.834,
                               .n_stable = 15};
    const int x1 = 50, y1 = 28, label_y = y1 + 1, label_x1 = 10 + font_label_width("m 0.83 s 15", 1);
    uint8_t expected[BYTES];
    canvas label = {expected, 3 * WIDTH, WIDTH, HEIGHT};
    draw(&motion, 1);
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++) {
            const int on_rows = x >= 10 && x < x1 && (y == 8 || y == y1 - 1);
            const int on_columns = y >= 8 && y < y1 && (x == 10 || x == x1 - 1);
            const int dashed = (on_rows && (x - 10) % 10 < 6) || (on_columns && (y - 8) % 10 < 6);
            const int on_label = x >= 10 && x < label_x1 && y >= label_y && y < label_y + 9;
            if (!on_label && (dashed ? memcmp(pixel(x, y), LINE, 3) != 0 : !is_untouched(x, y)))
                fail_msg("pixel %d, %d", x, y);
        }
    memset(expected, 0, sizeof expected);
    font_draw_label(&label, "m 0.83 s 15", 10, label_y, 1, COLOUR);
    for (int y = label_y; y < label_y + 9; y++)
        assert_memory_equal(pixel(10, y), expected + 3 * (y * WIDTH + 10), 3 * (size_t)(label_x1 - 10));
}

/* The label that a motion gets, told by drawing the expected one beside it. */
static void check_label(const trk_motion *motion, int kept, const char *text)
{
    uint8_t expected[BYTES];
    canvas label = {expected, 3 * WIDTH, WIDTH, HEIGHT};
    memset(expected, 7, sizeof expected);
    draw(motion, kept);
    font_draw_label(&label, text, 2, 41, 1, COLOUR);
    for (int y = 41; y < 50; y++)
        assert_memory_equal(pixel(0, y), expected + 3 * y * WIDTH, 3 * WIDTH);
}

static void test_labels(void **state)
{
    (void)state;
    trk_motion motion = {.has_model = 1, .has_prediction = 1, .predicted = {2, 10, 60, 30}, .n_stable = 3};
    check_label(&motion, 1, "m - s 3");
    check_label(&motion, 0, "m - s 3 x");
    motion.has_score = 1;
    check_label(&motion, 0, "m 0.00 s 3 x");
    motion.score = 1;
    check_label(&motion, 1, "m 1.00 s 3");
    motion.has_prediction = 0;
    draw(&motion, 0);
    for (size_t i = 0; i < sizeof memory; i++)
        assert_int_equal(memory[i], 7);
}

/* Boxes that leave the picture, or miss it: nothing is written beside it (draw checks), and the label is whole. */
static void test_edges(void **state)
{
    (void)state;
    static const trk_box boxes[] = {{-20, -20, 60, 50},   {60, 40, 200, 200},        {-500, -500, 100, 100},
                                    {300, 10, 20, 20},    {-1e30f, 5, 2e30f, 1e30f}, {40, 30, 0, 0},
                                    {-30, -30, 200, 200}, {95, 63, 0.4f, 0.4f}};
    for (size_t i = 0; i < sizeof boxes / sizeof *boxes; i++) {
        const trk_motion motion = {.has_model = 1, .has_prediction = 1, .predicted = boxes[i], .n_stable = 2};
        int n_label = 0;
        draw(&motion, 1);
        for (int y = 0; y < HEIGHT; y++)
            for (int x = 0; x < WIDTH; x++)
                n_label += !is_untouched(x, y) && memcmp(pixel(x, y), LINE, 3) != 0;
        assert_int_equal(n_label, font_label_width("m - s 2", 1) * 9);
    }
    trk_motion broken = {.has_model = 1, .has_prediction = 1, .predicted = {1, 2, 3, 4}};
    broken.predicted.x = (float)strtod("nan", NULL);
    draw(&broken, 1);
    for (size_t i = 0; i < sizeof memory; i++)
        assert_int_equal(memory[i], 7);
}

/* Characters that the font lacks are blank; 'm' is not one of them. */
static void test_characters(void **state)
{
    (void)state;
    uint8_t blank[9 * 13 * 3] = {0}, other[sizeof blank] = {0};
    canvas a = {blank, 13 * 3, 13, 9}, b = {other, 13 * 3, 13, 9};
    font_draw_label(&a, "  ", 0, 0, 1, COLOUR);
    font_draw_label(&b, "Q~", 0, 0, 1, COLOUR);
    assert_memory_equal(blank, other, sizeof blank);
    font_draw_label(&b, "m-", 0, 0, 1, COLOUR);
    assert_memory_not_equal(blank, other, sizeof blank);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_box_and_label),
        cmocka_unit_test(test_labels),
        cmocka_unit_test(test_edges),
        cmocka_unit_test(test_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
