/* SPDX-License-Identifier: Apache-2.0
 * Objects that are tracked in one pass come out as one at a time, and within what was planned for so many:
 *     test_together [cuda]
 * A tracker on the CPU has passes of one object; here it is told to take more. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../differences.h"
#include "drawn_frame.h"
#include "tracker.h"

enum { WIDTH = 96, HEIGHT = 72, IMAGE_SIDE = 64, SIDE = IMAGE_SIDE / 4, OBJECTS = 7, FRAMES = 20, SKIPPED = 77 };

static const char model_path[] = TRK_SAMPLES_DIR "/models/demo-m.safetensors";

/* Of every object on every frame; zeros where it is not there. */
typedef struct run_results {
    float logits[FRAMES][OBJECTS][SIDE * SIDE], scores[FRAMES][OBJECTS];
} run_results;

static void need(int condition, const char *what)
{
    if (condition)
        return;
    printf("FAILED: %s: %s\n", what, trk_last_error());
    exit(1);
}

static void push(trk_tracker *t, int64_t index)
{
    static uint8_t rgb[WIDTH * HEIGHT * 3];
    draw_disc(rgb, WIDTH, HEIGHT, 30 + 2 * (int)index, 36, 15);
    trk_frame frame = {.width = WIDTH, .height = HEIGHT, .planes = {rgb}, .strides = {WIDTH * 3}, .index = index};
    need(trk_tracker_push(t, &frame) == TRK_OK, "a push");
}

static void prompt(trk_tracker *t, int id, int64_t frame)
{
    const trk_box box = {5.0f + 7 * (float)id, 10.0f + 5 * (float)id, 25, 20};
    need(trk_tracker_prompt_box(t, id, frame, &box) == TRK_OK, "a box");
}

static void keep(trk_tracker *t, int frame, run_results *out)
{
    for (int id = 1; id <= OBJECTS; id++) {
        trk_result r = {.struct_size = sizeof r};
        if (!trk_object_find(t, id) || trk_tracker_result(t, id, &r) < 0)
            continue; /* not there yet */
        memcpy(out->logits[frame][id - 1], r.logits, sizeof out->logits[frame][id - 1]);
        out->scores[frame][id - 1] = r.object_score;
    }
}

/* Object 4 comes on frame 3 and object 6 on frame 9; object 2 is prompted once more on frame 5. */
static void run(const trk_model *model, const trk_tracker_params *params, int together, run_results *out)
{
    trk_tracker *t = NULL;
    memset(out, 0, sizeof *out);
    need(trk_tracker_create(&t, model, params) == TRK_OK, "a tracker");
    for (int id = 1; id <= OBJECTS; id++)
        prompt(t, id, id == 4 ? 3 : id == 6 ? 9 : 0);
    prompt(t, 2, 5);
    for (int frame = 0; frame < FRAMES; frame++) {
        push(t, frame);
        keep(t, frame, out);
        t->together = together;
        t->planned_for.objects = SIZE_MAX;
    }
    trk_tracker_destroy(&t);
}

static double difference(const run_results *a, const run_results *b)
{
    double scale, largest_score;
    const double logits =
        largest_difference(&a->logits[0][0][0], &b->logits[0][0][0], sizeof a->logits / sizeof(float), &scale);
    const double scores = largest_difference(&a->scores[0][0], &b->scores[0][0], FRAMES * OBJECTS, &largest_score);
    return (isnan(scores) || scores > logits ? scores : logits) / scale;
}

/* The same arithmetic, but for the order of sums in products of another height. Memories stay f32 as long
 * as they can: rounded, a last bit that differs may become a larger difference. */
static int check_same(const trk_model *model, const trk_tracker_params *params, const char *name)
{
    static run_results alone, together;
    run(model, params, 1, &alone);
    run(model, params, 4, &together);
    const double apart = difference(&alone, &together);
    const int ok = apart <= 1e-4; /* NaN fails */
    printf("%s: passes of 4 differ by %.1e  %s\n", name, apart, ok ? "ok" : "FAILED");
    return !ok;
}

/* Of stages and operators: the most there was at once of each owner. */
static size_t scratch_peak(const trk_tracker *t)
{
    static trk_owner_bytes owners[256];
    const size_t n = trk_tracker_memory_owners(t, owners, 256);
    size_t bytes = 0;
    for (size_t i = 0; i < n && i < 256; i++)
        if (owners[i].memory_class == TRK_CLASS_SCRATCH && strcmp(owners[i].device, "host") != 0 &&
            strcmp(owners[i].owner, "idle chunks") != 0)
            bytes += owners[i].peak;
    return bytes;
}

/* All objects from the first frame on, in passes as large as are planned, until every window is full. */
static int check_plan(const trk_model *model)
{
    const trk_plan_params asked = {.struct_size = sizeof asked, .width = WIDTH, .height = HEIGHT, .objects = OBJECTS};
    trk_plan plan = {.struct_size = sizeof plan};
    trk_memory_use use = {.struct_size = sizeof use};
    trk_tracker *t = NULL;
    need(trk_plan_make(&plan, model, &asked) == TRK_OK, "a plan");
    need(trk_tracker_create(&t, model, NULL) == TRK_OK, "a tracker");
    for (int id = 1; id <= OBJECTS; id++)
        prompt(t, id, 0);
    for (int frame = 0; frame < FRAMES; frame++)
        push(t, frame);
    need(trk_tracker_memory(t, &use) == TRK_OK, "use of memory");
    const size_t scratch = scratch_peak(t), total = use.devices[0].total_peak;
    const int ok = scratch <= plan.scratch && total <= plan.total &&
                   t->together == (model->network->memory->on_host ? 1 : 4);
    printf("passes of %d: scratch %zu of %zu bytes planned, in all %zu of %zu  %s\n", t->together, scratch,
           plan.scratch, total, plan.total, ok ? "ok" : "FAILED");
    trk_tracker_destroy(&t);
    return !ok;
}

int main(int argc, char **argv)
{
    trk_model *model = NULL;
    trk_model_params p = TRK_MODEL_PARAMS_INIT;
    p.device = argc > 1 && strcmp(argv[1], "cuda") == 0 ? TRK_DEVICE_CUDA : TRK_DEVICE_CPU;
    p.precision = TRK_PRECISION_F32;
    p.image_size = IMAGE_SIDE;
    const trk_status rc = trk_model_load(&model, model_path, &p);
    if (rc == TRK_E_UNSUPPORTED) {
        printf("skipped: %s\n", trk_last_error());
        return SKIPPED;
    }
    need(rc == TRK_OK, "the model");
    trk_tracker_params params = TRK_TRACKER_PARAMS_INIT;
    params.memory_type = TRK_MEMORY_F32;
    int n_failed = check_same(model, &params, "memories in f32");
    params.older_memory_type = TRK_MEMORY_Q8;
    params.older_after = 2;
    n_failed += check_same(model, &params, "older memories in q8");
    n_failed += check_plan(model);
    trk_model_destroy(&model);
    return n_failed != 0;
}
