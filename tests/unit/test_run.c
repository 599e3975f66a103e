/* SPDX-License-Identifier: Apache-2.0
 * A run in which an allocation fails, early or late: what it leaves is whole, up to the frame it names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <dirent.h>
#include <unistd.h>
#include <cmocka.h>

#include "heap.h"
#include "run.h"
#include "scratch_folder.h"

/* The last N_OF_FRAMES allocations are those of the frames and of the end; of the many before it a sample will do. */
enum { N_FRAMES = 4, N_OF_FRAMES = 30, STEP_BEFORE = 8 };

static char clip[] = TRK_SAMPLES_DIR "/clips/plain-motion.mp4";
static session shared;
static options wanted;

static void parse(options *out)
{
    static char *argv[] = {"track",   clip,      "--box",     "223,144,173,162", "--frames", "4",       "--image-size",
                           "128",     "--jsonl", "o.jsonl",   "--boxes",         "o.txt",    "--masks", "m",
                           "--sheet", "o.png",   "--overlay", "o.mp4",           "--quiet"};
    assert_int_equal(options_parse(out, sizeof argv / sizeof *argv, argv), TRK_OK);
}

static int open_session(void **state)
{
    if (access(clip, R_OK)) {
        printf("skipped: no %s\n", clip);
        exit(77);
    }
    parse(&wanted);
    return scratch_enter(state) || session_open(&shared, &wanted);
}

static int close_session(void **state)
{
    session_close(&shared);
    options_free(&wanted);
    return scratch_leave_empty(state);
}

static trk_status run_once(uint64_t failing)
{
    options own;
    parse(&own);
    trk_heap_fail(failing, failing != 0);
    const trk_status rc = run_video(&shared, &own, NULL);
    options_free(&own);
    return rc;
}

static int count_lines(const char *path)
{
    FILE *file = fopen(path, "r");
    int n = 0, last = '\n';
    if (!file)
        return -1;
    for (int c; (c = getc(file)) != EOF; last = c)
        n += c == '\n';
    fclose(file);
    assert_int_equal(last, '\n'); /* no half line */
    return n;
}

static int remove_entries(const char *path)
{
    DIR *entries = opendir(path);
    int n = 0;
    for (const struct dirent *entry; entries && (entry = readdir(entries)) != NULL;) {
        char name[512];
        snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        if (*entry->d_name == '.' || (entry->d_type == DT_DIR))
            continue;
        if (strstr(name, ".part") || strstr(name, ".tmp"))
            fail_msg("%s is left", name);
        n += !unlink(name);
    }
    if (entries)
        closedir(entries);
    return n;
}

/* The frames that the error line says are whole; 0: it does not speak of any. */
static int frames_named(void)
{
    const char *at = strstr(trk_error_text(), "(the outputs are whole up to there: frame ");
    return at ? 1 + atoi(strrchr(at, ' ')) : 0;
}

/* Returns how many frames are whole. */
static int check(trk_status rc, uint64_t failing)
{
    const int n_frames = rc ? frames_named() : N_FRAMES, n_lines = count_lines("o.jsonl");
    const int n_boxes = count_lines("o.txt"), n_masks = remove_entries("m"), n_files = remove_entries(".");
    if (n_frames && (n_lines != n_frames || n_boxes != n_frames || n_files != 4 || n_masks != n_frames))
        fail_msg("allocation %d: %d lines, %d boxes, %d files, %d masks of %d frames: %s", (int)failing, n_lines,
                 n_boxes, n_files, n_masks, n_frames, trk_error_text());
    rmdir("m");
    return n_frames;
}

static void test_failing_allocations(void **state)
{
    (void)state;
    trk_account before, after;
    int n_broken_off = 0, n_lost = 0;
    run_once(0); /* makes what the model keeps from then on */
    check(TRK_OK, 0);
    trk_heap_measure(&before);
    trk_heap_fail(0, 0);
    assert_int_equal(run_once(0), TRK_OK);
    const uint64_t n = trk_heap_fail(0, 0);
    check(TRK_OK, 0);
    assert_true(n > N_OF_FRAMES);
    for (uint64_t failing = 1; failing <= n; failing += failing + N_OF_FRAMES < n ? STEP_BEFORE : 1) {
        const trk_status rc = run_once(failing);
        trk_heap_fail(0, 0);
        if (rc > 0)
            fail_msg("allocation %d: status %d", (int)failing, rc);
        const int n_whole = check(rc, failing);
        n_lost += !n_whole;
        n_broken_off += n_whole && n_whole < N_FRAMES;
    }
    assert_true(n_lost > 0 && n_broken_off > 0);
    trk_heap_measure(&after);
    assert_int_equal(after.n_now, before.n_now);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_failing_allocations)};
    return cmocka_run_group_tests(tests, open_session, close_session);
}
