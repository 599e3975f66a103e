/* SPDX-License-Identifier: Apache-2.0
 * Outputs when memory runs out: whichever allocation fails, there is an error and no half file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "heap.h"
#include "outputs.h"
#include "scratch_folder.h"

enum { WIDTH = 64, HEIGHT = 48, N_FRAMES = 3 };

static uint8_t pixels[HEIGHT][WIDTH * 3];
static const int ids[] = {1, 7};
static const options everything = {
    .overlay = "o.mp4", .masks = "m/n", .jsonl = "o.jsonl", .boxes = "o.txt", .logits = "l", .sheet = "o.png"};
static const char *const files[] = {"o.mp4", "o.jsonl", "o_1.txt", "o_7.txt", "o.png"};

static trk_status write_all(void)
{
    const trk_video_info info = {.width = WIDTH, .height = HEIGHT, .rate_num = 25, .rate_den = 1, .n_frames = N_FRAMES};
    outputs *written = NULL;
    trk_status rc = outputs_open(&written, &everything, &info, ids, 2);
    for (int t = 0; t < N_FRAMES && !rc; t++) {
        trk_picture picture = {
            .width = WIDTH, .height = HEIGHT, .rgb = pixels[0], .stride = WIDTH * 3, .index = t, .pts = t / 25.0};
        rc = outputs_write(written, NULL, NULL, &picture);
    }
    if (!rc)
        rc = outputs_finish(written);
    outputs_destroy(&written);
    return rc;
}

static int count_entries(const char *path)
{
    DIR *entries = opendir(path);
    int n = 0;
    for (const struct dirent *entry; entries && (entry = readdir(entries)) != NULL;)
        n += *entry->d_name != '.';
    if (entries)
        closedir(entries);
    return n;
}

static int is_there(const char *path)
{
    return !access(path, F_OK);
}

/* Nothing but files under their own names, and whole ones; then takes them away. */
static void check_and_clean(uint64_t failed)
{
    int n = is_there("m") + is_there("l"), n_masks = 0;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct stat state;
        n += is_there(files[i]);
        if (!stat(files[i], &state) && !state.st_size)
            fail_msg("%s is empty after allocation %d failed", files[i], (int)failed);
        unlink(files[i]);
    }
    for (int t = 0; t < N_FRAMES; t++) {
        char path[32];
        snprintf(path, sizeof path, "m/n/%05d.png", t);
        n_masks += !unlink(path);
    }
    if (failed && is_there("m/n") && !n_masks)
        fail_msg("empty folders are left after allocation %d failed", (int)failed);
    if (count_entries("m/n"))
        fail_msg("a half mask is left after allocation %d failed", (int)failed);
    rmdir("m/n");
    rmdir("m");
    rmdir("l");
    if (count_entries("."))
        fail_msg("something is left after allocation %d failed", (int)failed);
    if (!failed) /* the folder of logits stays empty without objects, and goes */
        assert_int_equal(n, 1 + sizeof files / sizeof *files);
}

static void test_every_allocation(void **state)
{
    (void)state;
    trk_account before, after;
    assert_int_equal(scratch_enter(state), 0);
    trk_heap_fail(0, 0);
    assert_int_equal(write_all(), TRK_OK);
    const uint64_t n_allocations = trk_heap_fail(0, 0);
    assert_in_range(n_allocations, 20, 2000);
    check_and_clean(0);
    trk_heap_measure(&before);
    for (uint64_t i = 1; i <= n_allocations; i++) {
        trk_heap_fail(i, 1);
        const trk_status rc = write_all();
        trk_heap_fail(0, 0);
        if (rc != TRK_OK && rc != TRK_E_MEMORY)
            fail_msg("allocation %d: %d, %s", (int)i, rc, trk_error_text());
        if (rc)
            check_and_clean(i);
        else
            check_and_clean(0);
    }
    trk_heap_measure(&after);
    assert_int_equal(after.total_now, before.total_now);
    assert_int_equal(scratch_leave_empty(state), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_allocation)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
