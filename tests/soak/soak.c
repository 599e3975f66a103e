/* SPDX-License-Identifier: Apache-2.0
 * soak MODEL CLIP --frames N --box x,y,w,h [--box ...] [--image-size S] [--dtype f32|bf16] [--threads N] [--csv FILE]
 *      [--svg FILE] [--strict]: endless video from a short clip.
 *
 * The clip is decoded once and pushed forwards and backwards, so that motion is continuous, under ever increasing
 * numbers; every mask is asked for. Memory and speed are sampled on the way; at the end one line per claim says whether
 * memory stayed flat, the tables what they were and the speed what it was, and the exit status is 1 if one does not
 * hold (speed with --strict only: machines are shared). For speed the old tracker and a fresh one push 1,000 frames each
 * in turns of 50, since over the length of a run the machine changes more than the tracker. The tool allocates and touches what it needs before the first
 * push and writes nothing until the last, so that it does not move what it measures.
 *
 * The long run, from the source folder:
 *     build/tests/soak/soak samples/models/demo-m.safetensors samples/clips/plain-motion.mp4 --frames 100000 \
 *         --image-size 64 --threads 1 --box 223,144,173,162 --box 45,115,196,223 --csv soak.csv --svg soak.svg --strict */
#include "soak.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { EVERY = 100, EVERY_EARLY = 10, EARLY = 200, TURN = 50, TURNS = 20 };

typedef struct options {
    const char *model, *clip, *csv, *svg;
    int64_t n_frames;
    trk_model_params params;
    trk_box boxes[CLIP_OBJECTS];
    int n_boxes, strict;
} options;

typedef struct run {
    clip video;
    uint8_t *mask; /* [height, width] */
    int statm;     /* /proc/self/statm, open */
    size_t page;
    trk_model *model;
    trk_tracker *tracker;
    soak_log log;
    double wall_start, cpu_start;
} run;

static int complain(const char *what)
{
    fprintf(stderr, "soak: %s: %s\n", what, trk_last_error());
    return -1;
}

static double seconds(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static size_t resident_bytes(const run *r)
{
    char text[128];
    unsigned long size = 0, resident = 0;
    ssize_t n = pread(r->statm, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = 0;
    return sscanf(text, "%lu %lu", &size, &resident) == 2 ? resident * r->page : 0;
}

/* frame -> place in the clip: 0 1 ... n-1 n-2 ... 1 0 1 ... */
static int ping_pong(int64_t frame, const soak_log *log, int n)
{
    int64_t phase = frame % log->period;
    return (int)(phase < n ? phase : log->period - phase);
}

static int take_sample(run *r, int64_t frame, const size_t *area)
{
    soak_log *log = &r->log;
    if (log->n == log->capacity)
        return complain("sample table is full");
    soak_sample *s = &log->samples[log->n++];
    s->frame = frame;
    s->wall = seconds(CLOCK_MONOTONIC) - r->wall_start;
    s->cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - r->cpu_start;
    s->use.struct_size = sizeof s->use;
    memcpy(s->area, area, sizeof s->area);
    s->resident = resident_bytes(r);
    return s->resident && trk_tracker_memory(r->tracker, &s->use) >= 0 ? 0 : complain("memory");
}

static int read_masks(run *r, size_t *area)
{
    for (int k = 0; k < r->log.n_objects; k++) {
        if (trk_tracker_mask(r->tracker, k + 1, r->mask, r->video.width) < 0)
            return complain("mask");
        area[k] = 0;
        for (size_t i = 0; i < clip_pixels(&r->video); i++)
            area[k] += r->mask[i];
    }
    return 0;
}

static int push_one(run *r, int64_t i, size_t *area)
{
    trk_frame frame = clip_frame(&r->video, ping_pong(i, &r->log, r->video.n_frames), i);
    if (trk_tracker_push(r->tracker, &frame) < 0)
        return complain("push");
    return read_masks(r, area);
}

static int push_all(run *r)
{
    size_t area[CLIP_OBJECTS] = {0};
    r->wall_start = seconds(CLOCK_MONOTONIC);
    r->cpu_start = seconds(CLOCK_PROCESS_CPUTIME_ID);
    for (int64_t i = 0; i < r->log.n_frames; i++) {
        int64_t done = i + 1;
        if (push_one(r, i, area) < 0)
            return -1;
        if (done % (done <= EARLY ? EVERY_EARLY : EVERY) && done != r->log.n_frames)
            continue;
        if (take_sample(r, done, area) < 0)
            return -1;
    }
    return 0;
}

/* CPU seconds of a turn of r's tracker that starts with frame i */
static int time_turn(run *r, int64_t i, double *total)
{
    size_t area[CLIP_OBJECTS];
    double start = seconds(CLOCK_PROCESS_CPUTIME_ID);
    for (int k = 0; k < TURN; k++)
        if (push_one(r, i + k, area) < 0)
            return -1;
    *total += seconds(CLOCK_PROCESS_CPUTIME_ID) - start;
    return 0;
}

static int add_boxes(trk_tracker *tracker, const options *o)
{
    for (int k = 0; k < o->n_boxes; k++)
        if (trk_tracker_prompt_box(tracker, k + 1, 0, &o->boxes[k]) < 0)
            return complain("box");
    return 0;
}

/* The old tracker and a fresh one in turns; the fresh one's first turn, which fills its bank, does not count. */
static int race(run *r, const options *o)
{
    run fresh = *r;
    double warm_up = 0;
    fresh.tracker = NULL;
    if (trk_tracker_create(&fresh.tracker, r->model, NULL) < 0)
        return complain("tracker");
    int failed = add_boxes(fresh.tracker, o) < 0 || time_turn(&fresh, 0, &warm_up) < 0;
    for (int turn = 0; !failed && turn < TURNS; turn++)
        failed = time_turn(r, r->log.n_frames + (int64_t)turn * TURN, &r->log.cpu_old) < 0 ||
                 time_turn(&fresh, (int64_t)(turn + 1) * TURN, &r->log.cpu_fresh) < 0;
    r->log.n_raced = TURNS * TURN;
    trk_tracker_destroy(&fresh.tracker);
    return failed ? -1 : 0;
}

static int prepare(run *r, const options *o)
{
    soak_log *log = &r->log;
    if (clip_load(&r->video, o->clip, 0) < 0)
        return -1;
    log->clip = strrchr(o->clip, '/') ? strrchr(o->clip, '/') + 1 : o->clip;
    log->n_frames = o->n_frames;
    log->n_objects = o->n_boxes;
    log->period = r->video.n_frames > 1 ? 2 * (r->video.n_frames - 1) : 1;
    log->capacity = (size_t)(o->n_frames / EVERY) + EARLY / EVERY_EARLY + 2;
    log->samples = malloc(log->capacity * sizeof *log->samples);
    r->mask = malloc(clip_pixels(&r->video));
    r->statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    r->page = (size_t)sysconf(_SC_PAGESIZE);
    if (!log->samples || !r->mask || r->statm < 0)
        return complain("buffers");
    memset(log->samples, 0xff, log->capacity * sizeof *log->samples); /* touched: resident from here on */
    memset(r->mask, 0xff, clip_pixels(&r->video));
    trk_model_info info = {.struct_size = sizeof info};
    if (trk_model_load(&r->model, o->model, &o->params) < 0 || trk_model_get_info(r->model, &info) < 0 ||
        trk_tracker_create(&r->tracker, r->model, NULL) < 0)
        return complain(o->model);
    log->image_size = info.image_size;
    return add_boxes(r->tracker, o);
}

static int parse_box(options *o, const char *text)
{
    trk_box *box = &o->boxes[o->n_boxes];
    return o->n_boxes < CLIP_OBJECTS &&
           sscanf(text, "%f,%f,%f,%f", &box->x, &box->y, &box->width, &box->height) == 4 && ++o->n_boxes;
}

static int parse_option(options *o, const char *name, const char *value)
{
    if (!strcmp(name, "--frames"))
        return (o->n_frames = atoll(value)) > 0;
    if (!strcmp(name, "--image-size"))
        return (o->params.image_size = atoi(value)) > 0;
    if (!strcmp(name, "--threads"))
        return (o->params.threads = atoi(value)) > 0;
    if (!strcmp(name, "--csv"))
        return (o->csv = value) != NULL;
    if (!strcmp(name, "--svg"))
        return (o->svg = value) != NULL;
    if (!strcmp(name, "--box"))
        return parse_box(o, value);
    if (strcmp(name, "--dtype") || (strcmp(value, "f32") && strcmp(value, "bf16")))
        return 0;
    o->params.precision = strcmp(value, "f32") ? TRK_PRECISION_BF16 : TRK_PRECISION_F32;
    return 1;
}

static int parse(options *o, int argc, char **argv)
{
    *o = (options){.params = TRK_MODEL_PARAMS_INIT};
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--strict"))
            o->strict = 1;
        else if (!strncmp(argv[i], "--", 2)) {
            if (i + 1 == argc || !parse_option(o, argv[i], argv[i + 1]))
                return -1;
            i++;
        } else if (!o->model)
            o->model = argv[i];
        else if (!o->clip)
            o->clip = argv[i];
        else
            return -1;
    }
    return o->clip && o->n_frames && o->n_boxes ? 0 : -1;
}

int main(int argc, char **argv)
{
    options o;
    run r = {.statm = -1};
    if (parse(&o, argc, argv) < 0) {
        fprintf(stderr, "usage: soak MODEL CLIP --frames N --box x,y,w,h [--box ...] [--image-size S] "
                        "[--dtype f32|bf16] [--threads N] [--csv FILE] [--svg FILE] [--strict]\n");
        return 2;
    }
    int failed = prepare(&r, &o) < 0 || push_all(&r) < 0 || race(&r, &o) < 0;
    if (!failed) {
        failed = soak_judge(&r.log, o.strict) > 0;
        failed |= o.csv && soak_write_csv(&r.log, o.csv) < 0;
        failed |= o.svg && soak_write_svg(&r.log, o.svg) < 0;
    }
    trk_tracker_destroy(&r.tracker);
    trk_model_destroy(&r.model);
    if (r.statm >= 0)
        close(r.statm);
    clip_free(&r.video);
    free(r.log.samples);
    free(r.mask);
    return failed;
}
