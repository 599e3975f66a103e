/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as a state. The first byte says how: even ones give the rest as a payload, past the checksums; odd ones as
 * a whole file. What is accepted is written, read and written again, which gives the same bytes; then a frame is
 * pushed.
 *
 * With the environment variable FUZZ_STATE_SEEDS, states of short runs are written into the folder it names at the
 * first input. */
#include "replay.h"
#include "state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 64, HEIGHT = 48, IMAGE_SIDE = 64 };

static trk_model *model;

static void must(int condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "fuzz_state: %s: %s\n", what, trk_last_error());
    abort();
}

static trk_status push(trk_tracker *t, int64_t index, int width, int height)
{
    static uint8_t pixels[3 * WIDTH * HEIGHT];
    if (width > WIDTH || height > HEIGHT)
        return TRK_E_ARGUMENT;
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t)(i * 7 + (uint64_t)index * 13);
    trk_frame frame = {.width = width, .height = height, .planes = {pixels}, .strides = {3 * WIDTH}, .index = index};
    return trk_tracker_push(t, &frame);
}

/* --- seeds ---------------------------------------------------------------------------------------------------- */

static void write_seed(const char *folder, const char *name, int n, int mode, const trk_blob *blob)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s-%d", folder, name, n);
    FILE *out = fopen(path, "wb");
    must(out != NULL, path);
    must(fputc(mode, out) == mode && fwrite(blob->data, 1, blob->bytes, out) == blob->bytes, path);
    fclose(out);
}

static void save_seed(trk_tracker *t, const char *folder, const char *name, int n)
{
    trk_blob blob;
    trk_blob_init(&blob, &t->pool->host, "seed");
    must(trk_pool_enter(t, TRK_RESIDENT) >= 0 && trk_state_put(t, &blob) >= 0, "a seed");
    trk_pool_exit(t);
    write_seed(folder, name, n, 0, &blob);
    trk_blob_release(&blob);
}

static void write_run(const char *folder, const char *name, const trk_tracker_params *params)
{
    static const trk_box box = {5, 6, 30, 20};
    static const trk_point clicks[2] = {{20, 20, 1}, {50, 40, 0}};
    static const uint8_t mask[6] = {0, 1, 1, 1, 0, 1};
    trk_tracker *t = NULL;
    must(trk_tracker_create(&t, model, params) >= 0, "a tracker for seeds");
    must(trk_tracker_prompt_box(t, 1, 0, &box) >= 0, "a box");
    must(trk_tracker_prompt_points(t, 1, 3, clicks, 2) >= 0, "clicks");
    must(trk_tracker_prompt_mask(t, 2, 2, mask, 3, 2, 3) >= 0, "a mask");
    save_seed(t, folder, name, 0);
    for (int i = 0; i < 5; i++) {
        must(push(t, i, WIDTH, HEIGHT) >= 0, "a frame");
        if (i % 2 == 0)
            save_seed(t, folder, name, i + 1);
    }
    trk_tracker_destroy(&t);
}

static void write_seeds(const char *folder)
{
    trk_tracker_params p = TRK_TRACKER_PARAMS_INIT;
    write_run(folder, "default", &p);
    p.keep_frame = 1;
    p.correct_as_condition = TRK_ON;
    p.memory_type = TRK_MEMORY_Q8;
    write_run(folder, "kept", &p);
    p.keep_frame = 0;
    p.history = -1;
    p.older_after = 1;
    p.older_memory_type = TRK_MEMORY_F16;
    write_run(folder, "older", &p);
    p.policy = TRK_POLICY_SAMURAI;
    write_run(folder, "motion", &p);
}

/* --- the target ----------------------------------------------------------------------------------------------- */

static void load(void)
{
    trk_model_params p = TRK_MODEL_PARAMS_INIT;
    p.image_size = IMAGE_SIDE;
    p.threads = 1;
    /* oneDNN's generated code uses the stack pointer for other things, and libFuzzer's alarm would run on it */
    p.device = TRK_DEVICE_REFERENCE;
    must(trk_model_load(&model, TRK_SAMPLES_DIR "/models/demo-m.safetensors", &p) >= 0, "the model");
    const char *seeds = getenv("FUZZ_STATE_SEEDS");
    if (seeds)
        write_seeds(seeds);
}

/* A tracker with the state, or NULL; *again: what it is written as. */
static trk_tracker *take(const uint8_t *bytes, size_t n_bytes, trk_blob *again)
{
    trk_tracker *t = NULL;
    trk_blob_reader in = {.data = bytes, .bytes = n_bytes};
    must(trk_tracker_create(&t, model, NULL) >= 0 && trk_pool_enter(t, TRK_RESIDENT) >= 0, "a tracker");
    trk_status rc = trk_state_take(t, &in);
    if (rc >= 0) {
        trk_blob_init(again, &t->pool->host, "state");
        must(trk_state_put(t, again) >= 0, "what was read can not be written");
    }
    trk_pool_exit(t);
    must(rc >= 0 || rc == TRK_E_FORMAT || rc == TRK_E_MEMORY, "another failure than expected");
    if (rc < 0)
        trk_tracker_destroy(&t);
    return t;
}

static void try_payload(const uint8_t *bytes, size_t n_bytes)
{
    trk_blob first, second;
    trk_tracker *t = take(bytes, n_bytes, &first);
    if (!t)
        return;
    trk_tracker *same = take(first.data, first.bytes, &second);
    must(same != NULL, "what was written can not be read");
    must(first.bytes == second.bytes && !memcmp(first.data, second.data, first.bytes), "the second state is another");
    trk_blob_release(&second);
    trk_blob_release(&first);
    trk_tracker_destroy(&same);
    push(t, t->index + trk_direction(t), t->started ? t->width : WIDTH, t->started ? t->height : HEIGHT);
    trk_tracker_destroy(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes)
{
    trk_blob_reader payload;
    if (!model)
        load();
    if (!n_bytes)
        return 0;
    if (bytes[0] % 2 == 0)
        try_payload(bytes + 1, n_bytes - 1);
    else if (trk_state_check(bytes + 1, n_bytes - 1, trk_state_fingerprint(model), &payload) >= 0)
        try_payload(payload.data, payload.bytes);
    return 0;
}
