/* SPDX-License-Identifier: Apache-2.0
 * State files: a resumed tracker goes on with the same bits; what is not whole is refused; what fails leaves the old
 * file and nothing behind. */
#include <dirent.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../asserts.h"
#include "drawn_frame.h"
#include "heap.h"
#include "state.h"

enum { WIDTH = 96, HEIGHT = 72, IMAGE_SIDE = 64, SIDE = IMAGE_SIDE / 4, FRAMES = 12 };

static const char model_path[] = TRK_SAMPLES_DIR "/models/demo-m.safetensors";
static trk_model *model;
static char folder[] = "state-XXXXXX", path[64];

typedef struct picture {
    float logits[2][SIDE * SIDE];
    int there[2];
} picture;

/* --- a short run ---------------------------------------------------------------------------------------------- */

static trk_model *load(const char *file, int side)
{
    trk_model *m = NULL;
    trk_model_params p = TRK_MODEL_PARAMS_INIT;
    p.image_size = side;
    p.threads = 1;
    assert_int_equal(trk_model_load(&m, file, &p), TRK_OK);
    return m;
}

static int set_up(void **state)
{
    (void)state;
    model = load(model_path, IMAGE_SIDE);
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/run.state", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    trk_model_destroy(&model);
    unlink(path);
    return rmdir(folder); /* fails when something was left in it */
}

static void push(trk_tracker *t, int64_t index)
{
    static uint8_t rgb[WIDTH * HEIGHT * 3];
    draw_disc(rgb, WIDTH, HEIGHT, 30 + 2 * (int)index, 36, 15);
    trk_frame frame = {.width = WIDTH, .height = HEIGHT, .planes = {rgb}, .strides = {WIDTH * 3}, .index = index};
    assert_int_equal(trk_tracker_push(t, &frame), TRK_OK);
}

/* Object 4 from frame 0 on, corrected on 6; object 9 from frame 5 on, by a mask, and clicked on frame 8. */
static trk_tracker *start(const trk_tracker_params *params)
{
    static const trk_box box = {15, 20, 30, 32};
    static const trk_point clicks[2] = {{40, 36, 1}, {80, 60, 0}};
    static uint8_t mask[20 * 10];
    trk_tracker *t = NULL;
    for (int i = 0; i < 20 * 10; i++)
        mask[i] = i % 20 > 8 && i / 20 > 3;
    assert_int_equal(trk_tracker_create(&t, model, params), TRK_OK);
    assert_int_equal(trk_tracker_prompt_box(t, 4, 0, &box), TRK_OK);
    assert_int_equal(trk_tracker_prompt_points(t, 4, 6, clicks, 2), TRK_OK);
    assert_int_equal(trk_tracker_prompt_mask(t, 9, 5, mask, 20, 10, 20), TRK_OK);
    assert_int_equal(trk_tracker_prompt_points(t, 9, 8, clicks, 1), TRK_OK);
    return t;
}

static picture look(trk_tracker *t)
{
    static const int ids[2] = {4, 9};
    picture out = {0};
    for (int i = 0; i < 2; i++) {
        trk_result r = {.struct_size = sizeof r};
        if (trk_tracker_result(t, ids[i], &r) < 0)
            continue;
        out.there[i] = 1;
        memcpy(out.logits[i], r.logits, sizeof out.logits[i]);
    }
    return out;
}

static trk_tracker *resume(const trk_model *m, const trk_tracker_params *params)
{
    trk_tracker *t = NULL;
    if (trk_tracker_resume(&t, m, params, path) < 0)
        fail_msg("resume: %s", trk_last_error());
    return t;
}

/* Follows the run from a state saved after frame `last` to its end. */
static void goes_on_the_same(const trk_model *m, const trk_tracker_params *params, int last, const picture *expected)
{
    trk_tracker *t = resume(m, params);
    picture now = look(t);
    assert_memory_equal(&now, &expected[last], sizeof now);
    for (int i = last + 1; i < FRAMES; i++) {
        push(t, i);
        now = look(t);
        assert_memory_equal(&now, &expected[i], sizeof now);
    }
    trk_tracker_destroy(&t);
}

/* Saves after frames 0, 6 and 9 of one run (which goes on), and compares the resumed ones with a run without. */
static void three_places(const trk_tracker_params *params, const trk_tracker_params *resumed)
{
    static const int places[3] = {0, 6, 9};
    static picture expected[FRAMES];
    trk_model *fresh = load(model_path, IMAGE_SIDE);
    trk_tracker *t = start(params), *saved = start(params);
    for (int i = 0; i < FRAMES; i++) {
        push(t, i);
        expected[i] = look(t);
    }
    assert_true(expected[FRAMES - 1].there[0] && expected[FRAMES - 1].there[1]);
    for (int i = 0, place = 0; i < FRAMES; i++) {
        push(saved, i);
        picture now = look(saved);
        assert_memory_equal(&now, &expected[i], sizeof now); /* saving changes nothing */
        if (place == 3 || i != places[place])
            continue;
        assert_int_equal(trk_tracker_save(saved, path), TRK_OK);
        goes_on_the_same(model, resumed, i, expected);
        goes_on_the_same(fresh, resumed, i, expected);
        place++;
    }
    trk_tracker_destroy(&saved);
    trk_tracker_destroy(&t);
    trk_model_destroy(&fresh);
}

static void resumes_with_the_same_bits(void **state)
{
    (void)state;
    three_places(NULL, NULL);
}

static void resumes_kept_frames_and_policies(void **state)
{
    (void)state;
    trk_tracker_params p = TRK_TRACKER_PARAMS_INIT;
    p.keep_frame = 1;
    p.sweep = TRK_SWEEP_NEVER;
    p.correct_as_condition = TRK_ON;
    p.history = -1;
    three_places(&p, NULL);
}

static void resumes_every_storage(void **state)
{
    (void)state;
    trk_tracker_params p = TRK_TRACKER_PARAMS_INIT;
    p.memory_type = TRK_MEMORY_F32;
    p.older_memory_type = TRK_MEMORY_Q8;
    p.older_after = 2;
    p.non_overlap = TRK_ON;
    three_places(&p, NULL);
    p.memory_type = TRK_MEMORY_F16;
    three_places(&p, NULL);
}

static void resumes_before_the_first_frame(void **state)
{
    (void)state;
    trk_tracker *straight = start(NULL), *t = start(NULL);
    assert_int_equal(trk_tracker_save(t, path), TRK_OK);
    trk_tracker_destroy(&t);
    t = resume(model, NULL);
    for (int i = 0; i < 7; i++) {
        push(straight, i);
        push(t, i);
        picture expected = look(straight), now = look(t);
        assert_memory_equal(&now, &expected, sizeof now);
    }
    trk_tracker_destroy(&t);
    trk_tracker_destroy(&straight);
}

/* Renumbered from one end of what a frame's number may be to the other, while an object waits. */
static void resumes_at_the_end_of_all_numbers(void **state)
{
    (void)state;
    static const trk_box box = {15, 20, 30, 32};
    const int64_t first = -TRK_FRAME_LIMIT, moved = TRK_FRAME_LIMIT - 10;
    trk_tracker *t = NULL;
    assert_ok(trk_tracker_create(&t, model, NULL));
    assert_ok(trk_tracker_prompt_box(t, 4, first, &box));
    assert_ok(trk_tracker_prompt_box(t, 9, first + 6, &box));
    for (int i = 0; i < 3; i++)
        push(t, first + i);
    assert_ok(trk_tracker_rebase(t, moved));
    assert_ok(trk_tracker_save(t, path));
    trk_tracker *again = resume(model, NULL);
    for (int i = 1; i < 6; i++) {
        push(t, moved + i);
        push(again, moved + i);
        picture expected = look(t), now = look(again);
        assert_int_equal(now.there[1], i >= 4);
        assert_memory_equal(&now, &expected, sizeof now);
    }
    trk_tracker_destroy(&t);
    trk_tracker_destroy(&again);
}

/* A click on the current, kept frame after resuming does what it does without. */
static void refines_a_kept_frame(void **state)
{
    (void)state;
    static const trk_point click = {35, 30, 1};
    trk_tracker_params p = TRK_TRACKER_PARAMS_INIT;
    p.keep_frame = 1;
    trk_tracker *straight = start(&p);
    for (int i = 0; i <= 6; i++)
        push(straight, i);
    assert_int_equal(trk_tracker_save(straight, path), TRK_OK);
    trk_tracker *t = resume(model, NULL);
    assert_int_equal(trk_tracker_prompt_points(straight, 4, 6, &click, 1), TRK_OK);
    assert_int_equal(trk_tracker_prompt_points(t, 4, 6, &click, 1), TRK_OK);
    for (int i = 7; i < 9; i++) {
        picture expected = look(straight), now = look(t);
        assert_memory_equal(&now, &expected, sizeof now);
        push(straight, i);
        push(t, i);
    }
    trk_tracker_destroy(&t);
    trk_tracker_destroy(&straight);
}

static void locks_come_back(void **state)
{
    (void)state;
    trk_tracker_params p = TRK_TRACKER_PARAMS_INIT;
    p.sweep = TRK_SWEEP_NEVER;
    trk_tracker *t = start(&p);
    for (int i = 0; i < 4; i++)
        push(t, i);
    assert_int_equal(trk_tracker_lock_frame(t, 1), TRK_OK);
    assert_int_equal(trk_tracker_lock_frame(t, 1), TRK_OK);
    assert_int_equal(trk_tracker_save(t, path), TRK_OK);
    trk_tracker_destroy(&t);
    t = resume(model, &p);
    assert_int_equal(trk_tracker_lock_frame(t, 2), TRK_E_NOT_FOUND); /* it was not locked */
    assert_int_equal(trk_tracker_unlock_frame(t, 1), TRK_OK);
    assert_int_equal(trk_tracker_unlock_frame(t, 1), TRK_OK);
    assert_int_equal(trk_tracker_unlock_frame(t, 1), TRK_E_STATE);
    trk_tracker_destroy(&t);
}

/* The video began before any object did. */
static void knows_where_the_video_began(void **state)
{
    (void)state;
    enum { LATE = 4, LAST = 6 };
    static const trk_box box = {20, 20, 36, 32};
    int64_t next = -1;
    trk_tracker *t = NULL;
    assert_int_equal(trk_tracker_create(&t, model, NULL), TRK_OK);
    assert_int_equal(trk_tracker_prompt_box(t, 4, LATE, &box), TRK_OK);
    for (int i = 0; i <= LAST; i++)
        push(t, i);
    assert_int_equal(trk_tracker_save(t, path), TRK_OK);
    trk_tracker_destroy(&t);
    t = resume(model, NULL);
    assert_int_equal(trk_tracker_rewind(t, -1, &next), TRK_E_STATE);
    assert_int_equal(trk_tracker_rewind(t, 2, &next), TRK_OK);
    assert_int_equal(next, 2);
    assert_int_equal(trk_tracker_save(t, path), TRK_OK); /* between two frames, too */
    trk_tracker_destroy(&t);
    t = resume(model, NULL);
    assert_int_equal(trk_tracker_prompt_box(t, 4, 1, &box), TRK_E_STATE);
    assert_int_equal(trk_tracker_rewind(t, 0, &next), TRK_OK);
    assert_int_equal(trk_tracker_save(t, path), TRK_OK); /* before the first one again */
    trk_tracker_destroy(&t);
    t = resume(model, NULL);
    push(t, 0);
    trk_tracker_destroy(&t);
}

/* As many objects in a pass as a push would have. */
static void a_rewind_after_resuming_is_planned(void **state)
{
    (void)state;
    int64_t next = -1;
    trk_tracker_params p = TRK_TRACKER_PARAMS_INIT;
    p.history = -1;
    p.keep_frame = 1;
    trk_tracker *t = start(&p);
    for (int i = 0; i < 7; i++)
        push(t, i);
    assert_int_equal(trk_tracker_save(t, path), TRK_OK);
    trk_tracker_destroy(&t);
    t = resume(model, NULL);
    assert_int_equal(trk_tracker_rewind(t, 6, &next), TRK_OK);
    assert_int_equal(next, 7);
    assert_int_equal(t->together, 1);
    push(t, 7);
    trk_tracker_destroy(&t);
}

static int n_told;

static void hear(void *user, int level, const char *line)
{
    (void)user;
    (void)level;
    n_told += strstr(line, "state: ") != NULL;
}

static void the_file_decides(void **state)
{
    (void)state;
    trk_tracker_params p = TRK_TRACKER_PARAMS_INIT, other = TRK_TRACKER_PARAMS_INIT;
    p.fill_holes = 3;
    p.history = 5;
    trk_tracker *t = start(&p);
    push(t, 0);
    assert_int_equal(trk_tracker_save(t, path), TRK_OK);
    trk_tracker_destroy(&t);
    other.reverse = 1;
    other.fill_holes = 3;
    other.sweep_every = 2;
    n_told = 0;
    trk_set_log(hear, NULL, 2);
    t = resume(model, &other);
    trk_set_log(NULL, NULL, 0);
    assert_int_equal(n_told, 1);
    assert_int_equal(t->params.reverse, 0);
    assert_int_equal(t->params.fill_holes, 3);
    assert_int_equal(t->params.history, 5);
    assert_int_equal(t->params.sweep_every, 2);
    trk_tracker_destroy(&t);
}

/* Every one of them, whatever the caller says. */
static void the_file_decides_all_that_decides(void **state)
{
    (void)state;
    static const trk_motion_params motion = {sizeof motion, 0.3, INT_MAX, 0.4, 0.6, 0.7, 0.8, -2, 1};
    trk_tracker_params p = TRK_TRACKER_PARAMS_INIT;
    p.reverse = 1;
    p.keep_frame = 1;
    p.binarize = TRK_OFF;
    p.stability = TRK_OFF;
    p.fill_holes = 3;
    p.non_overlap = TRK_ON;
    p.correct_as_condition = TRK_ON;
    p.max_prompts_in_memory = 3;
    p.history = 5;
    p.memory_type = TRK_MEMORY_F16;
    p.older_memory_type = TRK_MEMORY_Q8;
    p.older_after = 2;
    p.policy = TRK_POLICY_SAMURAI;
    p.motion = &motion;
    trk_tracker *t = start(&p);
    assert_int_equal(trk_tracker_save(t, path), TRK_OK);
    trk_tracker_destroy(&t);
    static const trk_motion_params other_motion = {sizeof other_motion, 0.1, 3, 0.1, 0.1, 0.1, 0.1, -1, 0};
    trk_tracker_params other = TRK_TRACKER_PARAMS_INIT;
    other.binarize = other.stability = other.correct_as_condition = TRK_ON;
    other.non_overlap = TRK_OFF;
    other.fill_holes = 5;
    other.max_prompts_in_memory = 6;
    other.history = 7;
    other.memory_type = TRK_MEMORY_F32;
    other.older_memory_type = TRK_MEMORY_F16;
    other.older_after = 9;
    other.policy = TRK_POLICY_SAMURAI;
    other.motion = &other_motion;
    t = resume(model, &other);
#define same(name) assert_int_equal(t->params.name, p.name)
    same(reverse), same(keep_frame), same(binarize), same(stability), same(fill_holes), same(non_overlap);
    same(correct_as_condition), same(max_prompts_in_memory), same(history), same(memory_type);
    same(older_memory_type), same(older_after), same(policy);
#undef same
#define same(name) assert_true(t->motion.name == motion.name)
    same(weight), same(stable_frames), same(stable_iou), same(memory_iou), same(memory_object_score);
    same(memory_motion), same(min_object_score), same(strict_reference);
#undef same
    trk_tracker_destroy(&t);
}

/* --- what is refused ------------------------------------------------------------------------------------------ */

typedef struct file_bytes {
    unsigned char *data;
    size_t bytes;
} file_bytes;

static file_bytes read_whole(const char *name)
{
    file_bytes f = {0};
    struct stat about;
    FILE *in = fopen(name, "rb");
    assert_non_null(in);
    assert_int_equal(fstat(fileno(in), &about), 0);
    f.bytes = (size_t)about.st_size;
    f.data = malloc(f.bytes + 1);
    assert_non_null(f.data);
    assert_int_equal(fread(f.data, 1, f.bytes, in), f.bytes);
    fclose(in);
    return f;
}

static void write_whole(const char *name, const unsigned char *data, size_t bytes)
{
    FILE *out = fopen(name, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(data, 1, bytes, out), bytes);
    fclose(out);
}

static trk_tracker *rich_run(void)
{
    trk_tracker_params p = TRK_TRACKER_PARAMS_INIT;
    p.keep_frame = 1;
    p.correct_as_condition = TRK_ON;
    trk_tracker *t = start(&p);
    for (int i = 0; i < 8; i++)
        push(t, i);
    return t;
}

static file_bytes rich_state(void)
{
    trk_tracker *t = rich_run();
    assert_int_equal(trk_tracker_save(t, path), TRK_OK);
    trk_tracker_destroy(&t);
    return read_whole(path);
}

#define assert_state_refused(m, name, status, text)                                                                    \
    do {                                                                                                               \
        trk_tracker *none = NULL;                                                                                      \
        assert_refused(trk_tracker_resume(&none, (m), NULL, (name)), (status), (text));                                \
        assert_null(none);                                                                                             \
    } while (0)

static void refuses_truncated_files(void **state)
{
    (void)state;
    file_bytes f = rich_state();
    for (size_t n = 0; n < f.bytes; n += n < 64 ? 1 : 311) {
        write_whole(path, f.data, n);
        assert_state_refused(model, path, TRK_E_FORMAT, "truncated");
    }
    write_whole(path, f.data, f.bytes - 1);
    assert_state_refused(model, path, TRK_E_FORMAT, "truncated");
    f.data[f.bytes] = 0;
    write_whole(path, f.data, f.bytes + 1);
    assert_state_refused(model, path, TRK_E_FORMAT, "altered");
    free(f.data);
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static void refuses_altered_files(void **state)
{
    (void)state;
    file_bytes f = rich_state();
    uint32_t seed = 7;
    for (int i = 0; i < 500; i++) {
        size_t at = i < 48 ? (size_t)i : next_random(&seed) % f.bytes; /* each byte of the header */
        unsigned char was = f.data[at];
        f.data[at] ^= (unsigned char)(1 + next_random(&seed) % 255);
        write_whole(path, f.data, f.bytes);
        assert_state_refused(model, path, TRK_E_FORMAT, path);
        f.data[at] = was;
    }
    write_whole(path, f.data, f.bytes);
    trk_tracker *t = resume(model, NULL);
    trk_tracker_destroy(&t);
    free(f.data);
}

static trk_status take(const unsigned char *payload, size_t bytes)
{
    trk_tracker *t = NULL;
    trk_blob_reader in = {.data = payload, .bytes = bytes};
    assert_int_equal(trk_tracker_create(&t, model, NULL), TRK_OK);
    assert_int_equal(trk_pool_enter(t, TRK_RESIDENT), TRK_OK);
    trk_status rc = trk_state_take(t, &in);
    trk_pool_exit(t);
    trk_tracker_destroy(&t);
    return rc;
}

/* Below the checksums, the content is not believed either. */
static void refuses_hostile_content(void **state)
{
    (void)state;
    trk_account before, after;
    file_bytes f = rich_state();
    trk_blob_reader payload;
    uint32_t seed = 11;
    assert_int_equal(trk_state_check(f.data, f.bytes, trk_state_fingerprint(model), &payload), TRK_OK);
    unsigned char *bytes = f.data + (payload.data - f.data);
    assert_int_equal(take(bytes, payload.bytes), TRK_OK);
    trk_heap_measure(&before);
    for (size_t n = 0; n < payload.bytes; n += 97)
        assert_int_equal(take(bytes, n), TRK_E_FORMAT);
    bytes[payload.bytes] = 0; /* there is room for one more */
    assert_int_equal(take(bytes, payload.bytes + 1), TRK_E_FORMAT);
    for (int i = 0; i < 2000; i++) {
        size_t at = next_random(&seed) % (i % 2 ? payload.bytes : 400);
        unsigned char was = bytes[at];
        bytes[at] ^= (unsigned char)(1 + next_random(&seed) % 255);
        trk_status rc = take(bytes, payload.bytes);
        if (rc != TRK_OK && rc != TRK_E_FORMAT && rc != TRK_E_MEMORY)
            fail_msg("byte %zu altered: status %d, %s", at, (int)rc, trk_last_error());
        bytes[at] = was;
    }
    trk_heap_measure(&after);
    assert_int_equal(after.total_now, before.total_now);
    assert_int_equal(after.n_now, before.n_now);
    free(f.data);
}

static void refuses_too_many_points(void **state)
{
    (void)state;
    trk_tracker *t = start(NULL);
    trk_prompt *p = trk_prompt_find(trk_object_find(t, 4)->waiting, 6);
    const size_t n = TRK_PROMPT_POINTS + 1, was = p->n_points * sizeof *p->points;
    trk_point *points = trk_ledger_allocate(&t->pool->host, TRK_MEM_BANK, "prompt", n * sizeof *points);
    assert_non_null(points);
    memset(points, 0, n * sizeof *points);
    trk_ledger_release(&t->pool->host, TRK_MEM_BANK, p->points, was);
    p->points = points;
    p->n_points = n;
    assert_int_equal(trk_tracker_save(t, path), TRK_OK);
    assert_state_refused(model, path, TRK_E_FORMAT, "65537 points: expected at most 65536");
    trk_tracker_destroy(&t);
}

static void refuses_too_many_locks(void **state)
{
    (void)state;
    trk_tracker *t = rich_run();
    t->sweeper.holdings[0]->n_locks = INT_MAX; /* one more would overflow */
    assert_int_equal(trk_tracker_save(t, path), TRK_OK);
    assert_state_refused(model, path, TRK_E_FORMAT, "locks of a held frame");
    trk_tracker_destroy(&t);
}

static void refuses_other_models(void **state)
{
    (void)state;
    char altered[64];
    file_bytes f = rich_state();
    free(f.data);
    trk_model *other = load(model_path, 2 * IMAGE_SIDE);
    assert_state_refused(other, path, TRK_E_MODEL, "another model or image size");
    trk_model_destroy(&other);
    snprintf(altered, sizeof altered, "%s/altered.safetensors", folder);
    f = read_whole(model_path);
    f.data[f.bytes - 2] ^= 1; /* of the last tensor */
    write_whole(altered, f.data, f.bytes);
    free(f.data);
    other = load(altered, IMAGE_SIDE);
    unlink(altered);
    assert_state_refused(other, path, TRK_E_MODEL, "another model or image size");
    trk_model_destroy(&other);
}

static void refuses_what_is_no_state(void **state)
{
    (void)state;
    char pipe_path[64];
    struct stat info;
    trk_tracker *t = rich_run();
    snprintf(pipe_path, sizeof pipe_path, "%s/pipe", folder);
    assert_int_equal(mkfifo(pipe_path, 0600), 0);
    assert_state_refused(model, pipe_path, TRK_E_IO, "not a regular file");
    assert_int_equal(trk_tracker_save(t, pipe_path), TRK_E_IO); /* nor replaced */
    assert_true(!lstat(pipe_path, &info) && S_ISFIFO(info.st_mode));
    unlink(pipe_path);
    assert_state_refused(model, folder, TRK_E_IO, folder);
    assert_state_refused(model, "/nonexistent/run.state", TRK_E_IO, "/nonexistent/run.state");
    assert_state_refused(model, model_path, TRK_E_FORMAT, "not a state of track");
    assert_int_equal(trk_tracker_resume(NULL, model, NULL, path), TRK_E_ARGUMENT);
    assert_int_equal(trk_tracker_save(t, NULL), TRK_E_ARGUMENT);
    assert_int_equal(trk_tracker_save(t, "/nonexistent/run.state"), TRK_E_IO);
    assert_int_equal(trk_tracker_save(t, folder), TRK_E_IO); /* a folder is not replaced */
    assert_int_equal(trk_tracker_save(t, path), TRK_OK);     /* the tracker is as it was */
    trk_tracker_destroy(&t);
}

/* --- eviction ------------------------------------------------------------------------------------------------- */

static void put_out(trk_tracker *t, trk_blob *blob)
{
    trk_blob_init(blob, &t->pool->host, "memories");
    assert_int_equal(trk_state_put_memories(t, blob, 0), TRK_OK);
}

static void forget(trk_tracker *t)
{
    for (size_t i = 0; i < t->n_objects; i++)
        trk_sequence_remove(&t->objects[i]->memories, INT64_MIN, INT64_MAX);
    trk_drop_features(t);
}

static void memories_go_out_and_come_back(void **state)
{
    (void)state;
    trk_blob out, again;
    trk_bank_use use;
    trk_tracker *straight = rich_run(), *t = rich_run();
    put_out(t, &out);
    forget(t);
    trk_bank_measure(&t->pool->bank, &use);
    assert_int_equal(use.bytes_used, 0);
    for (size_t n = 0; n < out.bytes; n += 1009) {
        trk_blob_reader in = {.data = out.data, .bytes = n};
        assert_int_equal(trk_state_take_memories(t, &in), TRK_E_FORMAT);
        trk_bank_measure(&t->pool->bank, &use);
        assert_int_equal(use.bytes_used, 0); /* the sequences are empty */
        assert_int_equal(t->sweeper.n_holdings, 0);
    }
    trk_blob_reader in = {.data = out.data, .bytes = out.bytes};
    assert_int_equal(trk_state_take_memories(t, &in), TRK_OK);
    put_out(t, &again);
    assert_int_equal(again.bytes, out.bytes);
    assert_memory_equal(again.data, out.data, out.bytes);
    trk_blob_release(&again);
    trk_blob_release(&out);
    push(straight, 8);
    push(t, 8);
    picture expected = look(straight), now = look(t);
    assert_memory_equal(&now, &expected, sizeof now);
    trk_tracker_destroy(&t);
    trk_tracker_destroy(&straight);
}

/* --- failing allocations -------------------------------------------------------------------------------------- */

static int files_in_folder(void)
{
    int n = 0;
    DIR *all = opendir(folder);
    assert_non_null(all);
    for (const struct dirent *e; (e = readdir(all));)
        n += e->d_name[0] != '.';
    closedir(all);
    return n;
}

static void same_heap(const trk_account *before, uint64_t site)
{
    trk_account now;
    trk_heap_measure(&now);
    if (now.total_now != before->total_now || now.n_now != before->n_now)
        fail_msg("allocation %llu failed: %zu bytes in %zu blocks are left, expected %zu in %zu",
                 (unsigned long long)site, now.total_now, now.n_now, before->total_now, before->n_now);
}

/* One allocation that fails may be made good by what the pool can spare; when all later ones fail too, nothing can. */
static const uint64_t failures[2] = {1, UINT64_MAX / 2};

static void expect_failure(trk_status rc, int kind, uint64_t site)
{
    if (rc != TRK_E_MEMORY && (kind || rc != TRK_OK))
        fail_msg("allocation %llu failed: status %d, %s", (unsigned long long)site, (int)rc, trk_last_error());
}

static void a_failing_save_keeps_the_old_file(void **state)
{
    (void)state;
    trk_account before;
    file_bytes old = rich_state();
    trk_tracker *t = rich_run();
    push(t, 8);
    assert_int_equal(trk_tracker_save(t, path), TRK_OK); /* everything that stays is there */
    trk_heap_measure(&before);
    for (int kind = 0; kind < 2; kind++)
        for (uint64_t site = 1;; site++) {
            write_whole(path, old.data, old.bytes);
            trk_heap_fail(site, failures[kind]);
            trk_status rc = trk_tracker_save(t, path);
            if (trk_heap_fail(0, 0) < site) {
                assert_int_equal(rc, TRK_OK);
                assert_true(site > 3);
                break;
            }
            expect_failure(rc, kind, site);
            file_bytes now = read_whole(path);
            if (rc < 0 && (now.bytes != old.bytes || memcmp(now.data, old.data, old.bytes)))
                fail_msg("allocation %llu failed: the old file has changed", (unsigned long long)site);
            free(now.data);
            assert_int_equal(files_in_folder(), 1);
            same_heap(&before, site);
        }
    trk_tracker_destroy(&t);
    free(old.data);
}

static void a_failing_resume_leaves_nothing(void **state)
{
    (void)state;
    trk_account before;
    file_bytes f = rich_state();
    free(f.data);
    trk_tracker *t = resume(model, NULL);
    trk_tracker_destroy(&t);
    trk_heap_measure(&before);
    for (int kind = 0; kind < 2; kind++)
        for (uint64_t site = 1;; site++) {
            trk_heap_fail(site, failures[kind]);
            trk_status rc = trk_tracker_resume(&t, model, NULL, path);
            int failed = trk_heap_fail(0, 0) >= site;
            if (failed)
                expect_failure(rc, kind, site);
            assert_true(failed || rc == TRK_OK);
            assert_int_equal(t != NULL, rc == TRK_OK);
            trk_tracker_destroy(&t);
            same_heap(&before, site);
            if (!failed) {
                assert_true(site > 10);
                break;
            }
        }
}

static void a_tracker_that_ended_is_not_saved(void **state)
{
    (void)state;
    static uint8_t rgb[WIDTH * HEIGHT * 3];
    trk_frame frame = {.width = WIDTH, .height = HEIGHT, .planes = {rgb}, .strides = {WIDTH * 3}, .index = 8};
    trk_tracker *t = rich_run();
    t->broken = TRK_E_MEMORY;
    assert_int_equal(trk_tracker_push(t, &frame), TRK_E_STATE);
    assert_int_equal(trk_tracker_save(t, path), TRK_E_STATE);
    trk_tracker_destroy(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resumes_with_the_same_bits),
        cmocka_unit_test(resumes_kept_frames_and_policies),
        cmocka_unit_test(resumes_every_storage),
        cmocka_unit_test(resumes_before_the_first_frame),
        cmocka_unit_test(resumes_at_the_end_of_all_numbers),
        cmocka_unit_test(refines_a_kept_frame),
        cmocka_unit_test(locks_come_back),
        cmocka_unit_test(knows_where_the_video_began),
        cmocka_unit_test(a_rewind_after_resuming_is_planned),
        cmocka_unit_test(the_file_decides),
        cmocka_unit_test(the_file_decides_all_that_decides),
        cmocka_unit_test(refuses_truncated_files),
        cmocka_unit_test(refuses_altered_files),
        cmocka_unit_test(refuses_hostile_content),
        cmocka_unit_test(refuses_too_many_points),
        cmocka_unit_test(refuses_too_many_locks),
        cmocka_unit_test(refuses_other_models),
        cmocka_unit_test(refuses_what_is_no_state),
        cmocka_unit_test(memories_go_out_and_come_back),
        cmocka_unit_test(a_failing_save_keeps_the_old_file),
        cmocka_unit_test(a_failing_resume_leaves_nothing),
        cmocka_unit_test(a_tracker_that_ended_is_not_saved),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
