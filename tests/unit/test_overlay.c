/* SPDX-License-Identifier: Apache-2.0
 * What is drawn, pixel by pixel: palette, ids, contact sheet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "heap.h"
#include "overlay.h"
#include "palette.h"
#include "sheet.h"

static const uint8_t RED[3] = {200, 40, 0};

static void test_palette(void **state)
{
    (void)state;
    /* first entries and the last of the published PASCAL VOC colour map */
    static const uint8_t first[9][3] = {{0, 0, 0},     {128, 0, 0},   {0, 128, 0},     {128, 128, 0}, {0, 0, 128},
                                        {128, 0, 128}, {0, 128, 128}, {128, 128, 128}, {64, 0, 0}};
    static const uint8_t last[3] = {224, 224, 192};
    uint8_t palette[PALETTE_SIZE][3], a[3], b[3];
    palette_fill(palette);
    assert_memory_equal(palette, first, sizeof first);
    assert_memory_equal(palette[255], last, 3);
    for (int i = 1; i < 256; i++)
        for (int j = i + 1; j < 256; j++) {
            palette_drawing_colour(i, a);
            palette_drawing_colour(j, b);
            assert_memory_not_equal(a, b, 3);
        }
    palette_drawing_colour(256, a);
    palette_drawing_colour(1, b);
    assert_memory_equal(a, b, 3);
}

static void test_line_width(void **state)
{
    (void)state;
    assert_int_equal(overlay_line_width(1), 2);
    assert_int_equal(overlay_line_width(480), 2);
    assert_int_equal(overlay_line_width(1080), 5);
}

static void test_digits(void **state)
{
    (void)state;
    /* "1" at scale 1: box of 7 x 9, the stem of the digit in column 3, a margin of one */
    static const char *const one[9] = {".......", "...#...", "..##...", "...#...", "...#...",
                                       "...#...", "...#...", "..###..", "......."};
    static const uint8_t dark[3] = {10, 20, 30}, white[3] = {255, 255, 255};
    uint8_t picture[12 * 12 * 3] = {0};
    canvas target = {picture, 36, 12, 12};
    assert_int_equal(font_label_width("1", 1), 7);
    assert_int_equal(font_label_height(1), 9);
    font_draw_label(&target, "1", 2, 1, 1, dark);
    for (int y = 0; y < 9; y++)
        for (int x = 0; x < 7; x++)
            assert_memory_equal(picture + (y + 1) * 36 + (x + 2) * 3, one[y][x] == '#' ? white : dark, 3);
    font_draw_label(&target, "1234567890", -3, 8, 2, dark); /* crosses three edges: must stay inside */
}

static void test_id_stays_on_the_picture(void **state)
{
    (void)state;
    uint8_t picture[20 * 40 * 3 + 3] = {0};
    canvas target = {picture, 120, 40, 20};
    const trk_region corners[] = {{0, 0, 1, 1, 1, 0}, {39, 0, 1, 1, 1, 0}, {0, 19, 1, 1, 1, 19}, {39, 19, 1, 1, 1, 19}};
    for (int i = 0; i < 4; i++) {
        memset(picture, 0, sizeof picture);
        overlay_draw_id(&target, 7, &corners[i], RED);
        int n_drawn = 0;
        for (int p = 0; p < 800; p++)
            n_drawn += picture[3 * p] != 0 || picture[3 * p + 1] != 0;
        assert_int_equal(n_drawn, 14 * 18); /* the whole label: 7 x 9 at scale 2, white digits on RED */
    }
}

/* Numbers of the frames on the sheet of n pictures, from the grey value that each was given. */
static size_t sheet_frames(int n, int frames[SHEET_PICTURES])
{
    sheet *contact = NULL;
    canvas out;
    uint8_t picture[16 * 48 * 3];
    canvas source = {picture, 48 * 3, 48, 16};
    assert_int_equal(sheet_create(&contact, 48, 16), TRK_OK);
    for (int i = 0; i < n; i++) {
        memset(picture, i % 251, sizeof picture);
        if (sheet_wants_next(contact))
            sheet_add(contact, &source, i);
    }
    assert_int_equal(sheet_render(contact, &out), TRK_OK);
    const int columns = (out.width - 4) / 52, rows = (out.height - 4) / 20;
    size_t n_frames = 0;
    for (int i = 0; i < rows * columns && i < n && i < SHEET_PICTURES; i++) {
        const int x = 4 + (i % columns) * 52 + 47, y = 4 + (i / columns) * 20 + 15; /* bottom right: no label there */
        frames[n_frames++] = out.rgb[y * out.stride + 3 * x];
    }
    trk_heap_release(out.rgb);
    sheet_destroy(&contact);
    return n_frames;
}

static void test_sheet(void **state)
{
    (void)state;
    int frames[SHEET_PICTURES];
    assert_int_equal(sheet_frames(1, frames), 1);
    assert_int_equal(sheet_frames(7, frames), 7);
    for (int i = 0; i < 7; i++)
        assert_int_equal(frames[i], i);
    for (int n = 12; n < 251; n++) {
        assert_int_equal(sheet_frames(n, frames), 12);
        assert_int_equal(frames[0], 0);
        /* kept: every stride-th, 13 to 24 of them; spacing of the chosen may differ by one kept picture */
        int stride = 1;
        while (24 * stride < n)
            stride *= 2;
        assert_int_equal(frames[11], (n - 1) / stride * stride);
        for (int i = 1; i < 12; i++) {
            const int step = frames[i] - frames[i - 1];
            const double even = frames[11] / 11.0;
            assert_true(step > 0 && step - even < stride && even - step < stride);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_palette),
        cmocka_unit_test(test_line_width),
        cmocka_unit_test(test_digits),
        cmocka_unit_test(test_id_stays_on_the_picture),
        cmocka_unit_test(test_sheet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
