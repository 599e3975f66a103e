/* SPDX-License-Identifier: Apache-2.0
 * Seconds per tracked frame in steady state (bank full), no decoding: the library alone, through its public header.
 *
 *     frame_bench MODEL [--device auto|cpu|cuda[:N]] [--image-size N] [--dtype f32|bf16] [--threads N] [--objects N]
 *                       [--warmup N] [--frames N] [--masks 0|1] [--fill-holes AREA] [--dump FILE] [--long N]
 *
 * Frames are RGB in host memory, 640 x 480, drawn before anything is timed: textured, one moving disc per object, each
 * prompted by its box on frame 0. The time of a frame runs from the push until its results are in host memory: scores
 * and low-resolution logits of every object, or with --masks 1 every object's mask at the frame's size.
 * --fill-holes: trk_tracker_params.fill_holes. --dump: the masks of all frames, [frame, object, 480, 640] bytes.
 * Prints one JSON line; seconds_per_frame is the median of the --frames after the --warmup.
 *
 * --long N: a run of N frames in place of these. Prints the bytes that the library accounts for, the bytes in use on
 * the GPU as its driver has them (of all processes: let nothing else use the card) and the resident bytes of this
 * process at frames 100, 1000, ... and N. Exit 1 when the accounted bytes or those of the GPU leave, after frame 100,
 * what they were there by more than 1 MiB; they are looked at every 1000 frames. */
#include <dlfcn.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "track.h"

enum { WIDTH = 640, HEIGHT = 480, PIXELS = WIDTH * HEIGHT, BUFFERS = 16, MAX_OBJECTS = 64 };

typedef struct options {
    trk_model_params model;
    int warmup, frames, objects, masks, fill_holes;
    int64_t long_run; /* frames; 0: the timed run */
    const char *dump;
} options;

typedef struct bench {
    options options;
    trk_model *model;
    trk_tracker *tracker;
    uint8_t *frames, *mask; /* [BUFFERS, HEIGHT, WIDTH, 3]; [objects, HEIGHT, WIDTH] */
    FILE *dump;
} bench;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int fail(const char *what)
{
    fprintf(stderr, "frame_bench: %s: %s\n", what, trk_last_error());
    return 1;
}

/* --- what is tracked ------------------------------------------------------------------------------------------ */

typedef struct disc {
    int x, y, radius;
} disc;

/* The objects lie in a grid of cells and move to the right by up to a tenth of a cell: they never touch. */
static disc disc_of(int object, int objects, int buffer)
{
    int columns = 1;
    while (columns * columns < objects)
        columns++;
    int rows = (objects + columns - 1) / columns, width = WIDTH / columns, height = HEIGHT / rows;
    return (disc){.x = object % columns * width + width * 5 / 16 + buffer * width / 160,
                  .y = object / columns * height + height / 2,
                  .radius = (width < height ? width : height) * 3 / 16};
}

static void draw(uint8_t *rgb, int objects, int buffer)
{
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++) {
            unsigned h = (unsigned)(x / 4) * 73856093u ^ (unsigned)(y / 4) * 19349663u;
            uint8_t *p = rgb + 3 * (y * WIDTH + x);
            p[0] = (uint8_t)(70 + h % 40);
            p[1] = (uint8_t)(110 + h / 64 % 40);
            p[2] = (uint8_t)(100 + h / 4096 % 40);
        }
    for (int k = 0; k < objects; k++) {
        disc d = disc_of(k, objects, buffer);
        for (int y = d.y - d.radius; y <= d.y + d.radius; y++)
            for (int x = d.x - d.radius; x <= d.x + d.radius; x++) {
                uint8_t *p = rgb + 3 * (y * WIDTH + x);
                if ((x - d.x) * (x - d.x) + (y - d.y) * (y - d.y) >= d.radius * d.radius)
                    continue;
                p[0] = (uint8_t)(p[0] + 120 - 25 * (k % 4));
                p[1] = (uint8_t)(p[1] - 20);
                p[2] = (uint8_t)(p[2] - 50 + 25 * (k % 4));
            }
    }
}

/* Forth and back, so that no object ever jumps. */
static int buffer_of(int64_t frame)
{
    int phase = (int)(frame % (2 * BUFFERS - 2));
    return phase < BUFFERS ? phase : 2 * BUFFERS - 2 - phase;
}

static int give_prompts(bench *b)
{
    for (int k = 0; k < b->options.objects; k++) {
        disc d = disc_of(k, b->options.objects, 0);
        float side = 2 * (float)d.radius;
        trk_box box = {(float)(d.x - d.radius), (float)(d.y - d.radius), side, side};
        if (trk_tracker_prompt_box(b->tracker, k + 1, 0, &box) < 0)
            return fail("prompt");
    }
    return 0;
}

static int read_results(bench *b)
{
    int with_masks = b->options.masks || b->dump;
    for (int k = 0; k < b->options.objects; k++) {
        trk_result result = {.struct_size = sizeof result};
        trk_status rc = with_masks ? trk_tracker_mask(b->tracker, k + 1, b->mask + (size_t)k * PIXELS, WIDTH)
                                   : trk_tracker_result(b->tracker, k + 1, &result);
        if (rc < 0)
            return fail("results");
    }
    return 0;
}

static int track(bench *b, int64_t index, double *seconds)
{
    trk_frame frame = {.width = WIDTH, .height = HEIGHT, .strides = {3 * WIDTH}, .index = index,
                       .planes = {b->frames + (size_t)buffer_of(index) * PIXELS * 3}};
    double start = now();
    if (trk_tracker_push(b->tracker, &frame) < 0)
        return fail("push");
    if (read_results(b))
        return 1;
    *seconds = now() - start;
    size_t bytes = (size_t)b->options.objects * PIXELS;
    if (b->dump && fwrite(b->mask, 1, bytes, b->dump) != bytes) {
        fprintf(stderr, "frame_bench: %s: can not be written\n", b->options.dump);
        return 1;
    }
    return 0;
}

/* --- timed run ------------------------------------------------------------------------------------------------ */

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static const char *device_name(const bench *b, trk_memory_use *memory)
{
    memory->struct_size = sizeof *memory;
    return trk_tracker_memory(b->tracker, memory) < 0 ? "?" : memory->devices[0].device;
}

static void print_line(const bench *b, double *seconds, double first)
{
    trk_model_info info = {.struct_size = sizeof info};
    trk_memory_use memory = {0};
    int n = b->options.frames;
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += seconds[i];
    trk_model_get_info(b->model, &info);
    const char *device = device_name(b, &memory);
    qsort(seconds, (size_t)n, sizeof *seconds, compare_doubles);
    printf("{\"model\": \"%s %s\", \"device\": \"%s\", \"image_size\": %d, \"dtype\": \"%s\", \"threads\": %d, "
           "\"objects\": %d, \"masks\": %d, \"frames\": %d, \"seconds_per_frame\": %.6f, \"mean\": %.6f, "
           "\"fastest\": %.6f, \"slowest\": %.6f, \"first\": %.6f, \"peak_bytes\": %zu, \"device_peak_bytes\": %zu}\n",
           info.family, info.size_name, device, info.image_size,
           info.precision == TRK_PRECISION_BF16 ? "bf16" : "f32", info.threads, b->options.objects, b->options.masks,
           n, seconds[n / 2], sum / n, seconds[0], seconds[n - 1], first, memory.total_peak,
           memory.devices[0].total_peak);
}

static int timed_run(bench *b)
{
    int n = b->options.frames, rc = 0;
    double *seconds = calloc((size_t)n, sizeof *seconds), one = 0, first = 0;
    if (!seconds)
        return 1;
    for (int i = 0; i < b->options.warmup + n && !rc; i++) {
        rc = track(b, i, &one);
        if (i == 0)
            first = one;
        if (i >= b->options.warmup)
            seconds[i - b->options.warmup] = one;
    }
    if (!rc)
        print_line(b, seconds, first);
    free(seconds);
    return rc;
}

/* --- long run ------------------------------------------------------------------------------------------------- */

/* The driver's calls that tell how much memory a GPU has left. The library needs none of them: they are looked up. */
typedef struct driver {
    int (*init)(unsigned flags);
    int (*device_get)(int *device, int ordinal);
    int (*context_retain)(void **context, int device);
    int (*context_release)(int device);
    int (*push)(void *context);
    int (*pop)(void **context);
    int (*memory)(size_t *available, size_t *total);
} driver;

static int look_up(void *library, const char *name, void *function)
{
    void *found = dlsym(library, name);
    memcpy(function, &found, sizeof found); /* C has no conversion from object to function pointers */
    return found != NULL;
}

static int open_driver(driver *d)
{
    void *library = dlopen("libcuda.so.1", RTLD_NOW);
    return library && look_up(library, "cuInit", &d->init) && look_up(library, "cuDeviceGet", &d->device_get) &&
           look_up(library, "cuDevicePrimaryCtxRetain", &d->context_retain) &&
           look_up(library, "cuDevicePrimaryCtxRelease_v2", &d->context_release) &&
           look_up(library, "cuCtxPushCurrent_v2", &d->push) && look_up(library, "cuCtxPopCurrent_v2", &d->pop) &&
           look_up(library, "cuMemGetInfo_v2", &d->memory) && d->init(0) == 0;
}

/* Bytes in use on GPU `ordinal`, -1 when they can not be had. The primary context is the one that the library computes
 * in, so asking makes no other. */
static int64_t gpu_bytes(int ordinal)
{
    static driver d;
    static int state; /* 0 not opened yet, 1 works, -1 does not */
    size_t available = 0, total = 0;
    void *context = NULL;
    int device = 0;
    if (!state)
        state = open_driver(&d) ? 1 : -1;
    if (state < 0 || d.device_get(&device, ordinal) || d.context_retain(&context, device))
        return -1;
    int ok = d.push(context) == 0;
    if (ok) {
        ok = d.memory(&available, &total) == 0;
        d.pop(&context);
    }
    d.context_release(device);
    return ok ? (int64_t)(total - available) : -1;
}

static int64_t resident_bytes(void)
{
    long long all = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file)
        return -1;
    if (fscanf(file, "%lld %lld", &all, &resident) != 2)
        resident = -1;
    fclose(file);
    return resident < 0 ? -1 : (int64_t)resident * sysconf(_SC_PAGESIZE);
}

typedef struct reading {
    int64_t device, host, gpu, resident; /* accounted on the model's device and on the host; measured, -1: not known */
} reading;

static int take_reading(const bench *b, reading *out)
{
    trk_model_info info = {.struct_size = sizeof info};
    trk_memory_use memory = {.struct_size = sizeof memory};
    if (trk_tracker_memory(b->tracker, &memory) < 0 || trk_model_get_info(b->model, &info) < 0)
        return fail("memory");
    *out = (reading){.device = (int64_t)memory.devices[0].total_now,
                     .host = (int64_t)(memory.total_now - memory.devices[0].total_now),
                     .gpu = info.device == TRK_DEVICE_CUDA ? gpu_bytes(b->options.model.device_index) : -1,
                     .resident = resident_bytes()};
    if (info.device == TRK_DEVICE_CUDA && out->gpu < 0) {
        fprintf(stderr, "frame_bench: the driver does not tell how much of GPU %d is in use: nothing to call flat\n",
                b->options.model.device_index);
        return 1;
    }
    return 0;
}

static int64_t distance(int64_t a, int64_t b)
{
    return a > b ? a - b : b - a;
}

static int is_flat(const reading *base, const reading *r)
{
    const int64_t most = 1 << 20;
    return distance(r->device, base->device) <= most && distance(r->host, base->host) <= most &&
           distance(r->gpu, base->gpu) <= most;
}

static int long_run(bench *b)
{
    int64_t n = b->options.long_run, next_line = 100;
    int flat = 1;
    reading base = {0}, r;
    double start = now(), one;
    printf("%10s %16s %16s %16s %16s %12s\n", "frame", "device bytes", "host bytes", "GPU in use", "resident",
           "s/frame");
    for (int64_t i = 1; i <= n; i++) {
        if (track(b, i - 1, &one))
            return 1;
        if (i != 100 && i % 1000 && i != n)
            continue;
        if (take_reading(b, &r))
            return 1;
        if (i <= 100)
            base = r;
        int was_flat = flat;
        flat = flat && is_flat(&base, &r);
        if (i != next_line && i != n && flat == was_flat)
            continue;
        printf("%10" PRId64 " %16" PRId64 " %16" PRId64 " %16" PRId64 " %16" PRId64 " %12.6f\n", i, r.device, r.host,
               r.gpu, r.resident, (now() - start) / (double)i);
        fflush(stdout);
        next_line = i >= next_line ? next_line * 10 : next_line;
    }
    printf("%s\n", flat ? "flat: within 1 MiB of frame 100" : "NOT FLAT: more than 1 MiB away from frame 100");
    return !flat;
}

/* --- options -------------------------------------------------------------------------------------------------- */

static int read_device(trk_model_params *p, const char *text)
{
    if (!strcmp(text, "auto"))
        p->device = TRK_DEVICE_AUTO;
    else if (!strcmp(text, "cpu"))
        p->device = TRK_DEVICE_CPU;
    else if (!strncmp(text, "cuda", 4) && (!text[4] || text[4] == ':')) {
        p->device = TRK_DEVICE_CUDA;
        p->device_index = text[4] ? atoi(text + 5) : 0;
    } else
        return 0;
    return 1;
}

static int read_option(options *o, const char *name, const char *value)
{
    if (!strcmp(name, "--device"))
        return read_device(&o->model, value);
    if (!strcmp(name, "--image-size"))
        o->model.image_size = atoi(value);
    else if (!strcmp(name, "--threads"))
        o->model.threads = atoi(value);
    else if (!strcmp(name, "--warmup"))
        o->warmup = atoi(value);
    else if (!strcmp(name, "--frames"))
        o->frames = atoi(value);
    else if (!strcmp(name, "--objects"))
        o->objects = atoi(value);
    else if (!strcmp(name, "--masks"))
        o->masks = atoi(value);
    else if (!strcmp(name, "--fill-holes"))
        o->fill_holes = atoi(value);
    else if (!strcmp(name, "--long"))
        o->long_run = atoll(value);
    else if (!strcmp(name, "--dump"))
        o->dump = value;
    else if (!strcmp(name, "--dtype"))
        o->model.precision = strcmp(value, "bf16") ? TRK_PRECISION_F32 : TRK_PRECISION_BF16;
    else
        return 0;
    return 1;
}

static int read_options(options *o, int argc, char **argv)
{
    *o = (options){.model = TRK_MODEL_PARAMS_INIT, .warmup = 17, .frames = 3, .objects = 1};
    o->model.device = TRK_DEVICE_CPU;
    if (argc < 2 || argc % 2) {
        fprintf(stderr, "usage: frame_bench MODEL [--device auto|cpu|cuda[:N]] [--image-size N] [--dtype f32|bf16] "
                        "[--threads N] [--objects N] [--warmup N] [--frames N] [--masks 0|1] [--fill-holes AREA] "
                        "[--dump FILE] [--long N]\n");
        return 0;
    }
    for (int i = 2; i + 1 < argc; i += 2)
        if (!read_option(o, argv[i], argv[i + 1])) {
            fprintf(stderr, "frame_bench: no such option: %s %s\n", argv[i], argv[i + 1]);
            return 0;
        }
    int ok = o->frames >= 1 && o->frames <= 100000 && o->warmup >= 0 && o->objects >= 1 &&
             o->objects <= MAX_OBJECTS && (o->long_run == 0 || o->long_run >= 100);
    if (!ok)
        fprintf(stderr, "frame_bench: expected 1 to 100000 --frames, --warmup from 0, 1 to %d --objects, --long from "
                        "100\n", MAX_OBJECTS);
    return ok;
}

static int set_up(bench *b, const char *model_path)
{
    trk_tracker_params params = TRK_TRACKER_PARAMS_INIT;
    params.fill_holes = b->options.fill_holes;
    b->frames = malloc((size_t)BUFFERS * PIXELS * 3);
    b->mask = malloc((size_t)b->options.objects * PIXELS);
    if (!b->frames || !b->mask)
        return 1;
    for (int i = 0; i < BUFFERS; i++)
        draw(b->frames + (size_t)i * PIXELS * 3, b->options.objects, i);
    if (b->options.dump && !(b->dump = fopen(b->options.dump, "wb"))) {
        perror(b->options.dump);
        return 1;
    }
    if (trk_model_load(&b->model, model_path, &b->options.model) < 0)
        return fail(model_path);
    if (trk_tracker_create(&b->tracker, b->model, &params) < 0)
        return fail("tracker");
    return give_prompts(b);
}

int main(int argc, char **argv)
{
    bench b = {0};
    if (!read_options(&b.options, argc, argv))
        return 2;
    int rc = set_up(&b, argv[1]);
    if (!rc)
        rc = b.options.long_run ? long_run(&b) : timed_run(&b);
    trk_tracker_destroy(&b.tracker);
    trk_model_destroy(&b.model);
    if (b.dump && fclose(b.dump))
        rc = 1;
    free(b.frames);
    free(b.mask);
    return rc;
}
