/* SPDX-License-Identifier: Apache-2.0
 * Box files of an evaluation: names and contents in each layout, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "eval/box_files.h"
#include "heap.h"
#include "scratch_folder.h"

static dataset_object one[] = {{.id = 1}}, two[] = {{.id = 1}, {.id = 7}};
static char single_name[] = "G_1", nested_name[] = "a/b";
static const dataset_clip single = {.name = single_name, .objects = one, .n_objects = 1};
static const dataset_clip nested = {.name = nested_name, .objects = two, .n_objects = 2};

static void check_text(const char *path, const char *expected)
{
    char text[512] = "";
    FILE *file = fopen(path, "r");
    if (!file)
        fail_msg("%s is not there", path);
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    assert_string_equal(text, expected);
}

static void add_frames(box_files *boxes, const dataset_clip *clip)
{
    *boxes = (box_files){.clip = clip};
    for (int t = 0; t < 3; t++) {
        const trk_box found[2] = {{(float)t, 2, 30, 4000}, {0, 0, 0, (float)(t == 2)}};
        assert_int_equal(box_files_add(boxes, found, t / 8.0), TRK_OK);
    }
}

static void test_names_of_layouts(void **state)
{
    (void)state;
    box_layout found = BOX_LAYOUT_GOT10K;
    assert_int_equal(box_layout_parse(&found, NULL, DATASET_DAVIS), TRK_OK);
    assert_int_equal(found, BOX_LAYOUT_LASOT);
    assert_int_equal(box_layout_parse(&found, NULL, DATASET_GOT10K), TRK_OK);
    assert_int_equal(found, BOX_LAYOUT_GOT10K);
    assert_int_equal(box_layout_parse(&found, NULL, DATASET_TRACKINGNET), TRK_OK);
    assert_int_equal(found, BOX_LAYOUT_TRACKINGNET);
    assert_int_equal(box_layout_parse(&found, "got10k", DATASET_LASOT), TRK_OK);
    assert_int_equal(found, BOX_LAYOUT_GOT10K);
    assert_int_equal(box_layout_parse(&found, "davis", DATASET_DAVIS), TRK_E_ARGUMENT);
    assert_string_equal(trk_error_text(), "--box-layout: expected lasot, got10k or trackingnet, got \"davis\"");
}

static void test_contents(void **state)
{
    (void)state;
    box_files boxes;
    add_frames(&boxes, &single);
    assert_false(box_files_are_there("r/lasot", BOX_LAYOUT_LASOT, &single));
    assert_int_equal(box_files_write(&boxes, "r/lasot", BOX_LAYOUT_LASOT), TRK_OK);
    check_text("r/lasot/G_1.txt", "0,2,30,4000\n1,2,30,4000\n2,2,30,4000\n");
    assert_true(box_files_are_there("r/lasot", BOX_LAYOUT_LASOT, &single));
    assert_int_equal(box_files_write(&boxes, "r/tn", BOX_LAYOUT_TRACKINGNET), TRK_OK);
    check_text("r/tn/G_1.txt", "0,2,30,4000\n1,2,30,4000\n2,2,30,4000\n");
    assert_int_equal(box_files_write(&boxes, "r/got", BOX_LAYOUT_GOT10K), TRK_OK);
    check_text("r/got/G_1/G_1_001.txt", "0,2,30,4000\n1,2,30,4000\n2,2,30,4000\n");
    check_text("r/got/G_1/G_1_time.txt", "0.00000000\n0.12500000\n0.25000000\n");
    assert_true(box_files_are_there("r/got", BOX_LAYOUT_GOT10K, &single));
    assert_int_equal(unlink("r/got/G_1/G_1_time.txt"), 0);
    assert_false(box_files_are_there("r/got", BOX_LAYOUT_GOT10K, &single));
    box_files_free(&boxes);
}

static void test_several_objects(void **state)
{
    (void)state;
    box_files boxes;
    add_frames(&boxes, &nested);
    assert_int_equal(box_files_write(&boxes, "s", BOX_LAYOUT_LASOT), TRK_OK);
    check_text("s/a/b_1.txt", "0,2,30,4000\n1,2,30,4000\n2,2,30,4000\n");
    check_text("s/a/b_7.txt", "0,0,0,0\n0,0,0,0\n0,0,0,1\n");
    assert_int_equal(box_files_write(&boxes, "s", BOX_LAYOUT_GOT10K), TRK_OK);
    check_text("s/a/b_7/b_7_001.txt", "0,0,0,0\n0,0,0,0\n0,0,0,1\n");
    check_text("s/a/b_1/b_1_time.txt", "0.00000000\n0.12500000\n0.25000000\n");
    box_files_free(&boxes);
}

/* A file where a folder has to be, and a folder where the file has to be. */
static void test_no_place(void **state)
{
    (void)state;
    box_files boxes;
    add_frames(&boxes, &single);
    assert_int_equal(fclose(fopen("file", "w")), 0);
    assert_int_equal(box_files_write(&boxes, "file", BOX_LAYOUT_LASOT), TRK_E_IO);
    assert_non_null(strstr(trk_error_text(), "--boxes: file: "));
    assert_int_equal(mkdir("busy", 0777) | mkdir("busy/G_1.txt", 0777), 0);
    assert_int_equal(box_files_write(&boxes, "busy", BOX_LAYOUT_LASOT), TRK_E_IO);
    assert_non_null(strstr(trk_error_text(), "busy/G_1.txt: cannot be written: is a folder"));
    assert_false(box_files_are_there("busy", BOX_LAYOUT_LASOT, &single));
    box_files_free(&boxes);
}

static void test_refused(void **state)
{
    (void)state;
    char truth[] = "anno/G_1.txt", twin_name[] = "a/b_7";
    dataset_clip of_truth = single, twin = single;
    of_truth.truth = truth;
    twin.name = twin_name;
    const dataset_clip *own[] = {&of_truth}, *both[] = {&nested, &twin};
    assert_int_equal(mkdir("anno", 0777) | fclose(fopen(truth, "w")), 0);
    assert_int_equal(box_files_refuse("anno", BOX_LAYOUT_TRACKINGNET, own, 1), TRK_E_ARGUMENT);
    assert_string_equal(trk_error_text(), "--boxes: anno/G_1.txt belongs to the dataset, and would be overwritten");
    assert_int_equal(box_files_refuse("anno", BOX_LAYOUT_GOT10K, own, 1), TRK_OK);
    assert_int_equal(box_files_refuse("x", BOX_LAYOUT_LASOT, both, 2), TRK_E_ARGUMENT);
    assert_string_equal(trk_error_text(), "--boxes: x/a/b_7.txt would be of clip a/b_7 and of object 7 of clip a/b");
    assert_int_equal(box_files_refuse("x", BOX_LAYOUT_LASOT, both, 1), TRK_OK);
}

/* Whichever allocation fails: an error, and no half file. */
static void test_no_memory(void **state)
{
    (void)state;
    trk_status rc = TRK_E_MEMORY;
    uint64_t n = 0;
    while (rc == TRK_E_MEMORY) {
        const trk_box found[2] = {{1, 2, 3, 4}, {5, 6, 7, 8}};
        box_files boxes = {.clip = &nested};
        unlink("m/a/b_1/b_1_001.txt");
        trk_heap_fail(++n, 1);
        rc = box_files_add(&boxes, found, 1);
        if (!rc)
            rc = box_files_write(&boxes, "m", BOX_LAYOUT_GOT10K);
        trk_heap_fail(0, 0);
        box_files_free(&boxes);
        if (!access("m/a/b_1/b_1_001.txt", F_OK))
            check_text("m/a/b_1/b_1_001.txt", "1,2,3,4\n");
    }
    assert_int_equal(rc, TRK_OK);
    assert_in_range(n, 10, 100);
    check_text("m/a/b_7/b_7_001.txt", "5,6,7,8\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_of_layouts), cmocka_unit_test(test_contents),
        cmocka_unit_test(test_several_objects),  cmocka_unit_test(test_no_place),
        cmocka_unit_test(test_refused),          cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, scratch_enter, scratch_leave);
}
