/* SPDX-License-Identifier: Apache-2.0
 * Run lengths, both ways, against cases counted by hand and against their definition, pixel by pixel; bad text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "rle.h"

static void check(const uint8_t *mask, int width, int height, ptrdiff_t stride, const uint32_t *counts, size_t n_counts,
                  const char *text)
{
    rle out = {0};
    assert_int_equal(rle_encode(&out, mask, width, height, stride), TRK_OK);
    assert_int_equal(out.n_counts, n_counts);
    for (size_t i = 0; i < n_counts; i++)
        assert_int_equal(out.counts[i], counts[i]);
    if (text)
        assert_string_equal(out.text, text);
    rle_free(&out);
}

static void test_counted_by_hand(void **state)
{
    (void)state;
    /* columns of 3: 0 1 1 | 1 0 0 | 0 0 1 | 1 1 1, so runs 1 zero, 3 ones, 4 zeros, 4 ones; the fourth count is written
     * as 4 - 3 = 1 */
    const uint8_t mask[3][4] = {{0, 1, 0, 1}, {1, 0, 0, 1}, {1, 0, 1, 1}};
    const uint32_t counts[] = {1, 3, 4, 4};
    check(mask[0], 4, 3, 4, counts, 4, "1341");
}

static void test_empty_and_full(void **state)
{
    (void)state;
    uint8_t mask[6 * 7];
    /* 42 = 1 * 32 + 10: groups 10 (more: 42 + 48 = 'Z') and 1 ('1') */
    memset(mask, 0, sizeof mask);
    check(mask, 6, 7, 6, (const uint32_t[]){42}, 1, "Z1");
    memset(mask, 1, sizeof mask);
    check(mask, 6, 7, 6, (const uint32_t[]){0, 42}, 2, "0Z1");
}

static void test_sign_extension(void **state)
{
    (void)state;
    /* one column of 40: 16 zeros, 1 one, 2 zeros, 20 ones, 1 zero. 16 needs a second group, or its bit 4 would read as
     * a sign: 16 + 32 + 48 = '`' then '0'. 20 - 1 = 19: 19 + 32 + 48 = 'c', '0'. 1 - 2 = -1: group 31, no more: 'O'. */
    uint8_t mask[40] = {0};
    mask[16] = 1;
    memset(mask + 19, 1, 20);
    check(mask, 1, 40, 1, (const uint32_t[]){16, 1, 2, 20, 1}, 5, "`012c0O");
}

static void test_stride_and_large_counts(void **state)
{
    (void)state;
    /* 300 x 200 with the pixel at x = 299, y = 199 set: 59999 zeros, 1 one. 59999 = 58 * 1024 + 18 * 32 + 31 with
     * 58 = 1 * 32 + 26: groups 31, 18, 26, 1, all but the last with 32 added: 'o', 'b', 'j', '1' */
    enum { STRIDE = 320 };
    uint8_t *mask = calloc(200, STRIDE);
    memset(mask + 300, 1, STRIDE - 300); /* beyond the width: not read */
    mask[199 * STRIDE + 299] = 1;
    check(mask, 300, 200, STRIDE, (const uint32_t[]){59999, 1}, 2, "obj11");
    free(mask);
}

static void test_random_against_definition(void **state)
{
    (void)state;
    enum { MOST = 41 };
    uint32_t seed = 1;
    rle out = {0}, decoded = {0};
    for (int trial = 0; trial < 300; trial++) {
        uint8_t mask[MOST * MOST];
        uint32_t counts[MOST * MOST + 1] = {0};
        size_t n_counts = 1;
        const int width = 1 + trial % MOST, height = 1 + trial * 7 % MOST;
        for (int i = 0; i < width * height; i++) {
            seed = seed * 1664525u + 1013904223u;
            mask[i] = (seed >> 24) < (uint32_t)(trial % 256);
        }
        uint8_t value = 0;
        for (int x = 0; x < width; x++)
            for (int y = 0; y < height; y++) {
                if (mask[y * width + x] != value) {
                    n_counts++;
                    value = !value;
                }
                counts[n_counts - 1]++;
            }
        assert_int_equal(rle_encode(&out, mask, width, height, width), TRK_OK); /* buffers used again */
        assert_int_equal(out.n_counts, n_counts);
        assert_memory_equal(out.counts, counts, n_counts * sizeof *counts);
        uint8_t back[MOST * (MOST + 3)];
        memset(back, 7, sizeof back);
        assert_int_equal(rle_decode(&decoded, back, width, height, width + 3, out.text), TRK_OK);
        assert_int_equal(decoded.n_counts, n_counts);
        for (int y = 0; y < height; y++) {
            assert_memory_equal(back + y * (width + 3), mask + y * width, (size_t)width);
            for (int x = width; x < width + 3; x++)
                assert_int_equal(back[y * (width + 3) + x], 7); /* beyond the width: not written */
        }
    }
    rle_free(&decoded);
    rle_free(&out);
}

static void test_decoded_by_hand(void **state)
{
    (void)state;
    const uint8_t expected[3][4] = {{0, 1, 0, 1}, {1, 0, 0, 1}, {1, 0, 1, 1}};
    uint8_t mask[12], column[40];
    rle scratch = {0};
    assert_int_equal(rle_decode(&scratch, mask, 4, 3, 4, "1341"), TRK_OK); /* the first test's */
    assert_memory_equal(mask, expected, sizeof mask);
    assert_int_equal(rle_decode(&scratch, column, 1, 40, 1, "`012c0O"), TRK_OK); /* the third one's */
    for (int i = 0; i < 40; i++)
        assert_int_equal(column[i], i == 16 || (i >= 19 && i < 39));
    assert_int_equal(rle_decode(&scratch, mask, 4, 3, 4, "0<"), TRK_OK); /* no zeros, 12 ones */
    for (int i = 0; i < 12; i++)
        assert_int_equal(mask[i], 1);
    assert_int_equal(rle_decode(&scratch, NULL, 4, 3, 0, "<"), TRK_OK); /* only checked */
    rle_free(&scratch);
}

static void test_bad_text(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "0 pixels in all, expected 12"},
        {"134", "8 pixels in all, expected 12"},
        {"1342", "character 3: a run of 5 pixels, expected 0 to 4"},
        {"=", "character 0: a run of 13 pixels, expected 0 to 12"},
        {"O", "character 0: a run of -1 pixels"},
        {"1134I", "character 4: a run of -4 pixels, expected 0 to 2"}, /* 25 - 32 + 3 */
        {"1 3", "character 1: expected a count"},
        {"13p", "character 2: expected a count"},
        {"13\xff", "character 2: expected a count"},
        {"13P", "character 2: expected a count"},            /* says that it goes on, and ends */
        {"ooooooo0", "character 0: expected a count"},       /* more groups than a count has */
        {"ooooooO", "character 0: a run of -1 pixels"},      /* seven are read */
        {"oooooo?", "a run of 17179869183 pixels, expected 0 to 12"},
    };
    rle scratch = {0};
    uint8_t mask[12];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const trk_status rc = rle_decode(&scratch, mask, 4, 3, 4, cases[i].text);
        if (rc != TRK_E_FORMAT || !strstr(trk_error_text(), cases[i].says))
            fail_msg("\"%s\": %d, %s", cases[i].text, rc, trk_error_text());
    }
    assert_int_equal(rle_decode(&scratch, NULL, 0, 3, 0, ""), TRK_E_ARGUMENT);
    assert_int_equal(rle_decode(&scratch, NULL, 65536, 65536, 0, ""), TRK_E_ARGUMENT);
    rle_free(&scratch);
}

/* Any text is either refused or is read into exactly the pixels there are. */
static void test_random_text(void **state)
{
    (void)state;
    uint32_t seed = 7;
    int n_read = 0;
    rle scratch = {0};
    for (int trial = 0; trial < 20000; trial++) {
        char text[12] = {0};
        uint8_t mask[12];
        uint64_t sum = 0;
        for (int i = 0; i < 1 + trial % 11; i++) {
            seed = seed * 1664525u + 1013904223u;
            text[i] = (char)(trial & 1 ? '0' + (seed >> 24) % 4 : 40 + (seed >> 24) % 80);
        }
        if (rle_decode(&scratch, mask, 4, 3, 4, text))
            continue;
        for (size_t i = 0; i < scratch.n_counts; i++)
            sum += scratch.counts[i];
        assert_int_equal(sum, 12);
        n_read++;
    }
    assert_true(n_read > 100 && n_read < 10000); /* both happened */
    rle_free(&scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counted_by_hand),
        cmocka_unit_test(test_empty_and_full),
        cmocka_unit_test(test_sign_extension),
        cmocka_unit_test(test_stride_and_large_counts),
        cmocka_unit_test(test_random_against_definition),
        cmocka_unit_test(test_decoded_by_hand),
        cmocka_unit_test(test_bad_text),
        cmocka_unit_test(test_random_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
