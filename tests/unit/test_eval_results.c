/* SPDX-License-Identifier: Apache-2.0
 * What counts of a clip, by hand; the files of results there and back; means; and every allocation that may fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "eval/identity.h"
#include "eval/scoring.h"
#include "heap.h"
#include "scratch_folder.h"
#include "text_file.h"
#include "video.h"

#define EXACT 1e-12 /* a few roundings of numbers up to 1 */

enum { WIDTH = 8, HEIGHT = 4, N_PIXELS = WIDTH * HEIGHT, N_FRAMES = 5 };

/* --- scores of masks -------------------------------------------------------------------------------------------- */

/* Truth: object 1 is the left half of the top row on all frames but 2, object 2 the right half of the bottom row from
 * frame 1 on; the pixel at (0, 1) is void. Frame 3 has no truth. */
static void draw_truth(uint8_t *map, int frame)
{
    memset(map, 0, N_PIXELS);
    for (int x = 0; x < 4; x++) {
        map[x] = frame == 2 ? 0 : 1;
        map[3 * WIDTH + 4 + x] = frame < 1 ? 0 : 2;
    }
    map[WIDTH] = 255;
}

static int64_t annotated[] = {0, 1, 2, 4};
static char paths[4][64];
static char *files[] = {paths[0], paths[1], paths[2], paths[3]};
static dataset_object objects[] = {{.id = 1, .first_frame = 0, .last_frame = 4},
                                   {.id = 2, .first_frame = 1, .last_frame = 4}};
static char clip_name[] = "a/b", clip_tests[] = "by \"hand\"", truth_name[] = "truth";
static dataset_clip masks_clip = {.name = clip_name,
                                  .tests = clip_tests,
                                  .truth = truth_name,
                                  .kind = TRUTH_INDEXED,
                                  .n_frames = N_FRAMES,
                                  .void_label = 255,
                                  .annotated = annotated,
                                  .files = files,
                                  .n_annotated = 4,
                                  .objects = objects,
                                  .n_objects = 2};

static void write_truth(void)
{
    uint8_t map[N_PIXELS], palette[256][3] = {{0}};
    for (int i = 0; i < 4; i++) {
        snprintf(paths[i], sizeof paths[i], "%05d.png", (int)annotated[i]);
        draw_truth(map, (int)annotated[i]);
        assert_int_equal(trk_image_write_indexed(paths[i], map, WIDTH, HEIGHT, WIDTH, (const uint8_t(*)[3])palette),
                         TRK_OK);
    }
}

/* What is found: on every frame two pixels of object 1 and the void one, which counts nowhere, all of object 2, and on
 * frame 4 one pixel too many of it. */
static void draw_found(uint8_t *map, int frame)
{
    memset(map, 0, N_PIXELS);
    map[0] = map[1] = map[WIDTH] = 1;
    for (int x = 0; x < 4; x++)
        map[3 * WIDTH + 4 + x] = 2;
    if (frame == 4)
        map[2 * WIDTH + 4] = 2;
}

static trk_status score(clip_result *out, const dataset_clip *clip, dataset_layout layout, int with_boundary)
{
    uint8_t map[N_PIXELS];
    const found_masks found = {WIDTH, HEIGHT, map, NULL};
    scoring *scored = NULL;
    *out = (clip_result){.n_frames = N_FRAMES, .width = WIDTH, .height = HEIGHT};
    trk_status rc = scoring_open(&scored, clip, layout, with_boundary);
    for (int t = 0; t < N_FRAMES && !rc; t++) {
        draw_found(map, t);
        rc = scoring_add_masks(scored, t, &found);
    }
    if (!rc)
        rc = scoring_finish(scored, out);
    if (scored)
        scoring_destroy(&scored);
    return rc;
}

static void same_reals(const double *found, const double *expected, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (isnan(expected[i]) ? !isnan(found[i]) : !(fabs(found[i] - expected[i]) <= EXACT))
            fail_msg("[%d]: expected %.17g, got %.17g", (int)i, expected[i], found[i]);
}

static void test_masks(void **state)
{
    (void)state;
    clip_result out;
    assert_int_equal(score(&out, &masks_clip, DATASET_YOUTUBE_VOS, 1), TRK_OK);
    assert_int_equal(out.n_objects, 2);
    /* object 1: two of four pixels; on frame 2 there is nothing to find. object 2 begins on frame 1 */
    const double first[] = {0.5, 0.5, 0, 0.5}, second[] = {1, 1, 0.8};
    const int64_t second_index[] = {1, 2, 4};
    const unsigned char first_present[] = {1, 1, 0, 1};
    assert_int_equal(out.objects[0].n_frames, 4);
    same_reals(out.objects[0].region, first, 4);
    assert_memory_equal(out.objects[0].index, annotated, sizeof annotated);
    assert_memory_equal(out.objects[0].present, first_present, 4);
    assert_int_equal(out.objects[1].n_frames, 3);
    same_reals(out.objects[1].region, second, 3);
    assert_memory_equal(out.objects[1].index, second_index, sizeof second_index);
    const double means[] = {0.375, 2.8 / 3},
                 found[] = {out.objects[0].region_summary.mean, out.objects[1].region_last10};
    same_reals(found, means, 2);
    assert_true(out.objects[1].boundary[0] == 1);
    assert_int_equal(out.objects[0].boxes.n_frames, 0);
    clip_result_free(&out);
    assert_int_equal(score(&out, &masks_clip, DATASET_YOUTUBE_VOS, 0), TRK_OK);
    assert_null(out.objects[0].boundary);
    clip_result_free(&out);
}

static void test_ends_do_not_count(void **state)
{
    (void)state;
    clip_result out;
    dataset_clip clip = masks_clip;
    clip.skips_ends = 1;
    assert_int_equal(score(&out, &clip, DATASET_DAVIS, 1), TRK_OK);
    const double first[] = {NAN, 0.5, 0, NAN}, second[] = {NAN, 1, NAN};
    same_reals(out.objects[0].region, first, 4);
    same_reals(out.objects[1].region, second, 3);
    assert_true(isnan(out.objects[1].boundary[0]) && isnan(out.objects[1].boundary[2]));
    assert_int_equal(out.objects[0].region_summary.n_frames, 2);
    assert_int_equal(out.objects[1].region_summary.n_frames, 1);
    clip_result_free(&out);
}

static void test_frames_after_the_last_do_not_count(void **state)
{
    (void)state;
    clip_result out;
    dataset_clip clip = masks_clip;
    dataset_object shorter[] = {objects[0], objects[1]};
    clip.objects = shorter;
    shorter[0].last_frame = 1;
    assert_int_equal(score(&out, &clip, DATASET_YOUTUBE_VOS, 1), TRK_OK);
    const double first[] = {0.5, 0.5, NAN, NAN}, second[] = {1, 1, 0.8};
    same_reals(out.objects[0].region, first, 4);
    same_reals(out.objects[1].region, second, 3);
    clip_result_free(&out);
}

/* Frames up to the first one that shows the object somewhere do not count; where it is gone later, on both sides, they
 * do. */
static void test_unseen_frames_do_not_count(void **state)
{
    (void)state;
    uint8_t map[N_PIXELS];
    const found_masks found = {WIDTH, HEIGHT, map, NULL};
    clip_result out = {.n_frames = N_FRAMES};
    dataset_clip clip = masks_clip;
    dataset_object from_start[] = {objects[0], objects[1]};
    scoring *scored = NULL;
    clip.objects = from_start;
    clip.skips_unseen = 1;
    from_start[1].first_frame = 0;
    assert_int_equal(scoring_open(&scored, &clip, DATASET_SAV, 1), TRK_OK);
    for (int t = 0; t < N_FRAMES; t++) {
        draw_truth(map, t);
        if (t == 0)
            memset(map, 0, N_PIXELS);
        assert_int_equal(scoring_add_masks(scored, t, &found), TRK_OK);
    }
    assert_int_equal(scoring_finish(scored, &out), TRK_OK);
    scoring_destroy(&scored);
    const double first[] = {0, 1, 1, 1}, second[] = {NAN, 1, 1, 1};
    same_reals(out.objects[0].region, first, 4);
    same_reals(out.objects[1].region, second, 4);
    clip_result_free(&out);
}

/* What need not be there may be missing. */
static void test_which_frames_count(void **state)
{
    (void)state;
    static const int expected[2][N_FRAMES] = {{0, 1, 1, 0, 0}, {0, 0, 1, 0, 0}};
    uint8_t map[N_PIXELS];
    const found_masks found = {WIDTH, HEIGHT, map, NULL};
    clip_result out = {.n_frames = N_FRAMES};
    dataset_clip clip = masks_clip;
    scoring *scored = NULL;
    clip.skips_ends = 1;
    assert_int_equal(scoring_open(&scored, &clip, DATASET_DAVIS, 1), TRK_OK);
    for (int t = 0; t < N_FRAMES; t++) {
        int any = 0;
        for (size_t i = 0; i < 2; i++) {
            int counts;
            assert_int_equal(scoring_counts(&counts, scored, i, t), TRK_OK);
            assert_int_equal(counts, expected[i][t]);
            any |= counts;
        }
        draw_found(map, t);
        assert_int_equal(scoring_add_masks(scored, t, any ? &found : NULL), TRK_OK);
    }
    assert_int_equal(scoring_finish(scored, &out), TRK_OK);
    scoring_destroy(&scored);
    const double first[] = {NAN, 0.5, 0, NAN};
    same_reals(out.objects[0].region, first, 4);
    assert_memory_equal(out.objects[0].index, annotated, sizeof annotated);
    clip_result_free(&out);
}

static void test_other_size(void **state)
{
    (void)state;
    uint8_t map[N_PIXELS] = {0};
    const found_masks found = {HEIGHT, WIDTH, map, NULL};
    scoring *scored = NULL;
    assert_int_equal(scoring_open(&scored, &masks_clip, DATASET_DAVIS, 1), TRK_OK);
    assert_int_equal(scoring_add_masks(scored, 3, &found), TRK_OK); /* there is no truth */
    assert_int_equal(scoring_add_masks(scored, 1, &found), TRK_E_FORMAT);
    assert_non_null(strstr(trk_error_text(), "frame 1: expected masks of 8 x 4 pixels as in truth, got 4 x 8"));
    scoring_destroy(&scored);
}

static void test_prompts(void **state)
{
    (void)state;
    const uint8_t *mask;
    int width, height;
    scoring *scored = NULL;
    assert_int_equal(scoring_open(&scored, &masks_clip, DATASET_DAVIS, 1), TRK_OK);
    assert_int_equal(scoring_true_mask(scored, 1, 1, &mask, &width, &height), TRK_OK);
    assert_true(width == WIDTH && height == HEIGHT);
    for (int i = 0; i < N_PIXELS; i++)
        assert_int_equal(mask[i], i >= 3 * WIDTH + 4);
    assert_int_equal(scoring_true_mask(scored, 0, 2, &mask, &width, &height), TRK_E_FORMAT);
    assert_non_null(strstr(trk_error_text(), "object 1: its true mask is empty"));
    assert_int_equal(scoring_true_mask(scored, 0, 3, &mask, &width, &height), TRK_E_FORMAT);
    scoring_destroy(&scored);
}

/* --- scores of boxes -------------------------------------------------------------------------------------------- */

static trk_box true_boxes[N_FRAMES] = {{0, 0, 2, 2}, {0, 0, 4, 2}, {0, 0, 2, 2}, {5, 3, 1, 1}, {0, 0, 4, 4}};
static unsigned char visible[N_FRAMES] = {1, 1, 1, 0, 1};
static dataset_object box_objects[] = {
    {.id = 1, .first_frame = 1, .last_frame = 4, .has_box = 1, .boxes = true_boxes, .visible = visible}};
static dataset_clip boxes_clip = {.name = clip_name,
                                  .truth = truth_name,
                                  .kind = TRUTH_BOXES,
                                  .n_frames = N_FRAMES,
                                  .void_label = -1,
                                  .objects = box_objects,
                                  .n_objects = 1};

static void test_boxes_of_masks(void **state)
{
    (void)state;
    uint8_t map[N_PIXELS] = {0}, mask[N_PIXELS] = {0}, *const masks[] = {mask, NULL};
    trk_box found[2];
    map[2] = map[WIDTH + 1] = map[2 * WIDTH + 3] = 1;
    mask[N_PIXELS - 1] = 7;
    scoring_boxes_of(found, &masks_clip, &(found_masks){WIDTH, HEIGHT, map, NULL});
    assert_true(found[0].x == 1 && found[0].y == 0 && found[0].width == 3 && found[0].height == 3);
    assert_true(found[1].width == 0 && found[1].height == 0);
    scoring_boxes_of(found, &masks_clip, &(found_masks){WIDTH, HEIGHT, NULL, masks});
    assert_true(found[0].x == WIDTH - 1 && found[0].y == HEIGHT - 1 && found[0].width == 1 && found[0].height == 1);
    assert_true(found[1].width == 0);
}

/* The mask's box is 2 x 2 at (0, 0) where draw_found has object 1. */
static void test_boxes(void **state)
{
    (void)state;
    clip_result out;
    assert_int_equal(score(&out, &boxes_clip, DATASET_MOT, 1), TRK_OK);
    assert_null(out.objects[0].region);
    /* frames 1, 2, 4 count: overlaps 4/8, 1, 4/16 */
    assert_int_equal(out.objects[0].boxes.n_frames, 3);
    const double found[] = {out.objects[0].boxes.of[BOX_AO], out.objects[0].boxes.of[BOX_OP50]};
    const double expected[] = {(0.5 + 1 + 0.25) / 3, 1.0 / 3};
    same_reals(found, expected, 2);
    clip_result_free(&out);
}

/* The same five frames by the conventions that differ in which are in the shares. The first one is given: 4 x 2; the
 * found one is 2 x 2 then. */
static void test_shares_of_boxes(void **state)
{
    (void)state;
    static const struct {
        dataset_layout layout;
        size_t n_frames;
        double above50;
    } cases[] = {{DATASET_LASOT, 4, 2.0 / 4}, {DATASET_TRACKINGNET, 3, 2.0 / 3}, {DATASET_GOT10K, 2, 1.0 / 2}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        clip_result out;
        assert_int_equal(score(&out, &boxes_clip, cases[i].layout, 1), TRK_OK);
        assert_int_equal(out.objects[0].boxes.n_frames, cases[i].n_frames);
        same_reals(&out.objects[0].boxes.of[BOX_OP50], &cases[i].above50, 1);
        clip_result_free(&out);
    }
}

/* Boxes as they are given, the found one t pixels wide on frame t; those before the object's first frame are passed
 * over. */
static void test_given_boxes(void **state)
{
    (void)state;
    clip_result out = {.n_frames = N_FRAMES, .width = WIDTH, .height = HEIGHT};
    scoring *scored = NULL;
    assert_int_equal(scoring_open(&scored, &boxes_clip, DATASET_MOT, 1), TRK_OK);
    for (int t = 0; t < N_FRAMES; t++)
        scoring_add_boxes(scored, t, &(trk_box){0, 0, (float)t, 2});
    assert_int_equal(scoring_finish(scored, &out), TRK_OK);
    scoring_destroy(&scored);
    const double found[] = {out.objects[0].boxes.of[BOX_AO], out.objects[0].boxes.of[BOX_OP50]};
    const double expected[] = {(0.25 + 1 + 0.5) / 3, 1.0 / 3};
    same_reals(found, expected, 2);
    clip_result_free(&out);
}

/* --- files ------------------------------------------------------------------------------------------------------ */

static const char *const texts[] = {"--image-size 128", "--split \"x\""};
static const eval_results made_by = {.dataset = "data/set",
                                     .machine = "a machine",
                                     .model = "m.pt",
                                     .device = "cpu",
                                     .precision = "f32",
                                     .options = texts,
                                     .n_options = 2,
                                     .layout = DATASET_DAVIS,
                                     .weights = 0x0123456789abcdef};

static void make_clip(clip_result *out, const dataset_clip *clip)
{
    assert_int_equal(score(out, clip, DATASET_MOT, 1), TRK_OK);
    out->name = trk_heap_text("test", clip->name);
    out->tests = clip->tests ? trk_heap_text("test", clip->tests) : NULL;
    out->bytes = trk_heap_zeroed(TRK_MEM_SCRATCH, "test", 3, sizeof *out->bytes);
    out->bytes[0] = (size_t)1 << 40;
    out->n_bytes = 3;
    out->peak_bytes = ((size_t)1 << 40) + 1;
    out->seconds = 0.1 + 0.2; /* needs 17 digits */
    out->mask_hash = UINT64_MAX - 1;
    out->source = UINT64_MAX - 2;
}

static void check_there_and_back(const dataset_clip *clip)
{
    clip_result made, read;
    make_clip(&made, clip);
    made.objects[0].region_summary.decay = NAN;
    assert_int_equal(clip_result_write(&made, &made_by, "a.json"), TRK_OK);
    assert_int_equal(clip_result_read(&read, &made_by, "a.json"), TRK_OK);
    assert_int_equal(clip_result_write(&read, &made_by, "b.json"), TRK_OK);
    char *a = NULL, *b = NULL;
    assert_int_equal(trk_text_file_read("a.json", &a), TRK_OK);
    assert_int_equal(trk_text_file_read("b.json", &b), TRK_OK);
    assert_string_equal(a, b);
    assert_string_equal(read.name, clip->name);
    assert_true(read.source == made.source && read.mask_hash == made.mask_hash && read.seconds == made.seconds &&
                read.n_bytes == 3);
    assert_true(read.bytes[0] == made.bytes[0] && read.peak_bytes == made.peak_bytes);
    assert_int_equal(read.objects[0].boxes.n_frames, made.objects[0].boxes.n_frames);
    assert_int_equal(read.objects[0].region_summary.n_frames, made.objects[0].region_summary.n_frames);
    trk_heap_release(a);
    trk_heap_release(b);
    clip_result_free(&made);
    clip_result_free(&read);
}

/* In place of the system's: how long the file was that it was asked for, and what it says. */
static off_t synced_bytes;
static int sync_fails;

int fsync(int descriptor)
{
    struct stat state;
    assert_int_equal(fstat(descriptor, &state), 0);
    synced_bytes = state.st_size;
    errno = sync_fails ? EIO : 0;
    return sync_fails ? -1 : 0;
}

/* Parts are removed once the whole file has its name: it has to be on the disk by then, and so has a part of a clip. */
static void test_files_are_on_the_disk(void **state)
{
    (void)state;
    clip_result made;
    struct stat written;
    eval_results all = made_by;
    make_clip(&made, &masks_clip);
    for (int i = 0; i < 2; i++) {
        synced_bytes = 0;
        assert_int_equal(i ? clip_result_write(&made, &all, "a.json") : eval_results_write(&all, "a.json"), TRK_OK);
        assert_int_equal(stat("a.json", &written), 0);
        assert_true(written.st_size > 100);
        assert_int_equal(synced_bytes, written.st_size);
    }
    sync_fails = 1;
    assert_int_equal(eval_results_write(&all, "b.json"), TRK_E_IO);
    sync_fails = 0;
    assert_non_null(strstr(trk_error_text(), "b.json: cannot be brought to the disk: Input/output error"));
    assert_int_equal(access("b.json", F_OK), -1);
    clip_result_free(&made);
}

/* The options that results are said to depend on. */
static const char *listed(const options *wanted, const char *start)
{
    static char found[64];
    eval_identity self;
    eval_results out = {0};
    assert_int_equal(eval_identity_make(&self, &out, wanted, NULL), TRK_OK);
    snprintf(found, sizeof found, "none");
    for (size_t i = 0; i < out.n_options; i++)
        if (!strncmp(out.options[i], start, strlen(start)))
            snprintf(found, sizeof found, "%s", out.options[i]);
    eval_identity_free(&self);
    return found;
}

/* A history moves the age from which on memories are kept as another type, and nothing else. */
static void test_history_is_part_of_the_identity(void **state)
{
    (void)state;
    options wanted = {.history = 5};
    assert_string_equal(listed(&wanted, "--history"), "none");
    wanted.older_memory_type = TRK_MEMORY_Q8;
    wanted.older_after = 3;
    assert_string_equal(listed(&wanted, "--older"), "--older-memory-dtype q8@3");
    assert_string_equal(listed(&wanted, "--history"), "--history 5");
    wanted.history = -1; /* all: none is moved */
    assert_string_equal(listed(&wanted, "--history"), "none");
}

static void test_there_and_back(void **state)
{
    (void)state;
    check_there_and_back(&masks_clip);
    check_there_and_back(&boxes_clip);
    unlink("b.json");
}

static void refused(const eval_results *of, const char *what)
{
    clip_result read;
    assert_int_equal(clip_result_read(&read, of, "a.json"), TRK_E_STATE);
    if (!strstr(trk_error_text(), what))
        fail_msg("expected \"%s\" in \"%s\"", what, trk_error_text());
    assert_null(read.objects);
}

static void test_of_another_run(void **state)
{
    (void)state;
    clip_result made;
    static const char *const other_texts[] = {"--image-size 128", "--split y"};
    eval_results of = made_by;
    make_clip(&made, &masks_clip);
    assert_int_equal(clip_result_write(&made, &made_by, "a.json"), TRK_OK);
    of.dataset = "data/other";
    refused(&of, "another dataset");
    of = made_by;
    of.weights++;
    refused(&of, "another model");
    of = made_by;
    of.model = of.device = of.precision = NULL;
    refused(&of, "another model");
    of = made_by;
    of.precision = "bf16";
    refused(&of, "other options");
    of = made_by;
    of.n_options = 1;
    refused(&of, "other options");
    of = made_by;
    of.options = other_texts;
    refused(&of, "other options");
    of = made_by;
    of.machine = "another machine";
    refused(&of, "another machine");
    clip_result_free(&made);
}

/* However a file is cut or altered: an error, and nothing is left behind. */
static void test_broken_files(void **state)
{
    (void)state;
    clip_result made, read;
    make_clip(&made, &masks_clip);
    assert_int_equal(clip_result_write(&made, &made_by, "a.json"), TRK_OK);
    char *text = NULL;
    assert_int_equal(trk_text_file_read("a.json", &text), TRK_OK);
    const size_t n = strlen(text);
    for (size_t length = 0; length + 2 < n; length += 7) {
        FILE *file = fopen("cut.json", "w");
        fwrite(text, 1, length, file);
        fclose(file);
        assert_int_equal(clip_result_read(&read, &made_by, "cut.json"), TRK_E_FORMAT);
        assert_null(read.objects);
    }
    const char *list = strstr(text, "\"J\": [0.5");
    assert_non_null(list);
    const size_t at = (size_t)(list - text);
    text[at + 6] = text[at + 8] = '"'; /* 0.5 becomes ".": a text where a number should be */
    FILE *file = fopen("cut.json", "w");
    fputs(text, file);
    fclose(file);
    assert_int_equal(clip_result_read(&read, &made_by, "cut.json"), TRK_E_FORMAT);
    assert_null(read.objects);
    assert_int_equal(clip_result_read(&read, &made_by, "nothing.json"), TRK_E_NOT_FOUND);
    unlink("cut.json");
    trk_heap_release(text);
    clip_result_free(&made);
}

static trk_status score_and_write(void)
{
    clip_result out, read = {0};
    eval_results of = made_by;
    of.dataset = "data/s\xe9t"; /* not UTF-8 */
    trk_status rc = score(&out, &masks_clip, DATASET_DAVIS, 1);
    if (rc)
        return rc;
    out.name = trk_heap_text("test", "x");
    rc = out.name ? clip_result_write(&out, &of, "c.json") : TRK_E_MEMORY;
    if (!rc)
        rc = clip_result_read(&read, &of, "c.json");
    clip_result_free(&out);
    clip_result_free(&read);
    return rc;
}

static void test_every_allocation(void **state)
{
    (void)state;
    trk_account before, after;
    trk_heap_fail(0, 0);
    assert_int_equal(score_and_write(), TRK_OK);
    const uint64_t n = trk_heap_fail(0, 0);
    assert_true(n > 10);
    unlink("c.json");
    trk_heap_measure(&before);
    for (uint64_t i = 1; i <= n; i++) {
        trk_heap_fail(i, 1);
        const trk_status rc = score_and_write();
        trk_heap_fail(0, 0);
        if (rc != TRK_E_MEMORY)
            fail_msg("allocation %d of %d failed: status %d, %s", (int)i, (int)n, (int)rc, trk_error_text());
        trk_heap_measure(&after);
        if (after.total_now != before.total_now)
            fail_msg("allocation %d of %d failed: %zu bytes are left", (int)i, (int)n,
                     after.total_now - before.total_now);
        unlink("c.json");
    }
}

/* --- means ------------------------------------------------------------------------------------------------------ */

static void test_means(void **state)
{
    (void)state;
    double region[1] = {0};
    object_result of_a[] = {{.region = region, .region_summary = {.mean = 0.2}},
                            {.region = region, .region_summary = {.mean = 0.4}},
                            {.region = region, .region_summary = {.mean = NAN}}};
    object_result of_b[] = {{.region = region, .region_summary = {.mean = 0.9}}};
    const clip_result clips[] = {{.objects = of_a, .n_objects = 3}, {.objects = of_b, .n_objects = 1}};
    const eval_means all = eval_means_of(clips, 2, DATASET_DAVIS), a = eval_means_of(clips, 1, DATASET_DAVIS);
    const double found[] = {all.of[MEAN_J], a.of[MEAN_J], all.of[MEAN_F], all.of[MEAN_BOTH]};
    const double expected[] = {0.5, 0.3, NAN, NAN}; /* over objects, not over clips */
    same_reals(found, expected, 4);
    assert_int_equal(all.n_objects, 4);
}

static void test_means_of_boxes(void **state)
{
    (void)state;
    object_result of_a[] = {{.boxes = {.of[BOX_AO] = 1, .of[BOX_AUC] = 1, .n_frames = 30}}};
    object_result of_b[] = {{.boxes = {.of[BOX_AO] = 0.5, .of[BOX_AUC] = 0.5, .n_frames = 10}}};
    const clip_result clips[] = {{.objects = of_a, .n_objects = 1}, {.objects = of_b, .n_objects = 1}};
    const double found[] = {eval_means_of(clips, 2, DATASET_LASOT).of[MEAN_BOXES + BOX_AO],
                            eval_means_of(clips, 2, DATASET_GOT10K).of[MEAN_BOXES + BOX_AO]};
    const double expected[] = {0.75, 0.875}; /* GOT-10k weighs by frames */
    same_reals(found, expected, 2);
    assert_true(eval_means_of(clips, 2, DATASET_LASOT).has_boxes && !eval_means_of(clips, 2, DATASET_LASOT).has_masks);
}

static int set_up(void **state)
{
    if (scratch_enter(state))
        return -1;
    write_truth();
    return 0;
}

static int tear_down(void **state)
{
    for (int i = 0; i < 4; i++)
        unlink(paths[i]);
    unlink("a.json");
    return scratch_leave_empty(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_masks),
        cmocka_unit_test(test_ends_do_not_count),
        cmocka_unit_test(test_frames_after_the_last_do_not_count),
        cmocka_unit_test(test_unseen_frames_do_not_count),
        cmocka_unit_test(test_which_frames_count),
        cmocka_unit_test(test_other_size),
        cmocka_unit_test(test_prompts),
        cmocka_unit_test(test_boxes_of_masks),
        cmocka_unit_test(test_boxes),
        cmocka_unit_test(test_shares_of_boxes),
        cmocka_unit_test(test_given_boxes),
        cmocka_unit_test(test_files_are_on_the_disk),
        cmocka_unit_test(test_history_is_part_of_the_identity),
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_of_another_run),
        cmocka_unit_test(test_broken_files),
        cmocka_unit_test(test_every_allocation),
        cmocka_unit_test(test_means),
        cmocka_unit_test(test_means_of_boxes),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
