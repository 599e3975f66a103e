/* SPDX-License-Identifier: Apache-2.0
 * Positional tables against their formulas at points worked out by hand, and against their symmetries. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "positions.h"

#define assert_close(a, b, bound)                                                                                      \
    do {                                                                                                               \
        if (!(fabs((double)(a) - (double)(b)) <= (bound)))                                                             \
            fail_msg("%s = %.9g, expected %.9g", #a, (double)(a), (double)(b));                                        \
    } while (0)

static void rope_rotates_columns_then_rows(void **state)
{
    (void)state;
    enum { SIDE = 5, DIM = 16 };
    float table[SIDE * SIDE * DIM];
    trk_rope_table(table, SIDE, DIM);
    for (int t = 0; t < SIDE * SIDE; t++)
        for (int j = 0; j < DIM / 4; j++) {
            double frequency = pow(10000.0, -4.0 * j / DIM);
            const float *column = table + ((size_t)t * DIM / 2 + j) * 2, *row = column + DIM / 2;
            assert_close(column[0], cos(t % SIDE * frequency), 1e-6);
            assert_close(column[1], sin(t % SIDE * frequency), 1e-6);
            assert_close(row[0], cos(t / SIDE * frequency), 1e-6);
            assert_close(row[1], sin(t / SIDE * frequency), 1e-6);
        }
}

static void sine_2d_puts_y_first(void **state)
{
    (void)state;
    enum { SIDE = 4, DIM = 8 };
    float out[SIDE * SIDE * DIM];
    trk_sine_2d(out, SIDE, DIM);
    const double pi = acos(-1.0);
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++) {
            const float *row = out + (y * SIDE + x) * DIM;
            double py = (y + 1) / (SIDE + 1e-6) * 2 * pi, px = (x + 1) / (SIDE + 1e-6) * 2 * pi;
            double expected[DIM] = {sin(py),         cos(py),         sin(py / 100), cos(py / 100),
                                    sin(px),         cos(px),         sin(px / 100), cos(px / 100)};
            for (int i = 0; i < DIM; i++)
                assert_close(row[i], expected[i], 2e-6);
        }
}

static void sine_1d_is_block_concatenated(void **state)
{
    (void)state;
    float out[8];
    trk_sine_1d(out, 0.4f, 8);
    double expected[8] = {sin(0.4), sin(0.4), sin(0.004), sin(0.004), cos(0.4), cos(0.4), cos(0.004), cos(0.004)};
    for (int i = 0; i < 8; i++)
        assert_close(out[i], expected[i], 1e-6);
}

static void fourier_features_of_a_point(void **state)
{
    (void)state;
    const float gaussian[6] = {0.5f, -1.0f, 2.0f, 0.25f, 0.75f, -0.5f};
    float out[6];
    trk_fourier_point(out, gaussian, 3, 0.75f, 0.25f);
    const double pi = acos(-1.0);
    for (int i = 0; i < 3; i++) {
        double u = 2 * pi * (0.5 * gaussian[i] - 0.5 * gaussian[3 + i]);
        assert_close(out[i], sin(u), 2e-6);
        assert_close(out[3 + i], cos(u), 2e-6);
    }
}

static void trunk_positions_keep_constants_and_tile_windows(void **state)
{
    (void)state;
    float background[2 * 9], window[2 * 4], out[8 * 8 * 2];
    for (int i = 0; i < 18; i++)
        background[i] = i < 9 ? 3.0f : -2.0f; /* cubic weights sum to one */
    for (int i = 0; i < 8; i++)
        window[i] = (float)i;
    trk_trunk_positions(out, background, 3, window, 2, 2, 8);
    for (int y = 0; y < 8; y++)
        for (int x = 0; x < 8; x++) {
            assert_close(out[(y * 8 + x) * 2], 3.0 + window[y % 2 * 2 + x % 2], 1e-5);
            assert_close(out[(y * 8 + x) * 2 + 1], -2.0 + window[4 + y % 2 * 2 + x % 2], 1e-5);
        }
}

static void trunk_positions_are_the_map_at_its_own_size(void **state)
{
    (void)state;
    float background[16], window[1] = {0.0f}, out[16];
    for (int i = 0; i < 16; i++)
        background[i] = (float)(i * i) - 20.0f;
    trk_trunk_positions(out, background, 4, window, 1, 1, 4);
    for (int i = 0; i < 16; i++)
        assert_close(out[i], background[i], 1e-5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rope_rotates_columns_then_rows),
        cmocka_unit_test(sine_2d_puts_y_first),
        cmocka_unit_test(sine_1d_is_block_concatenated),
        cmocka_unit_test(fourier_features_of_a_point),
        cmocka_unit_test(trunk_positions_keep_constants_and_tile_windows),
        cmocka_unit_test(trunk_positions_are_the_map_at_its_own_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
