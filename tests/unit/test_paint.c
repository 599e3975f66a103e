/* SPDX-License-Identifier: Apache-2.0
 * Masks drawn on pictures by the public interface: pixel by pixel against the definition, on the CPU, or with the
 * argument `cuda` on a GPU. The masks are whatever the model makes of drawn frames. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "track.h"

enum { WIDTH = 93, HEIGHT = 71, STRIDE = 3 * WIDTH + 5, MASK_STRIDE = WIDTH + 2, IMAGE_SIDE = 64, OBJECTS = 2 };

static trk_device device = TRK_DEVICE_CPU;
static trk_model *model;

static struct sigaction on_fault; /* the emulation of a GPU opens memory in it; cmocka puts its own in place */

static trk_status load(void)
{
    trk_model_params p = TRK_MODEL_PARAMS_INIT;
    p.image_size = IMAGE_SIDE;
    p.device = device;
    p.threads = 1;
    trk_status rc = trk_model_load(&model, TRK_SAMPLES_DIR "/models/demo-m.safetensors", &p);
    sigaction(SIGSEGV, NULL, &on_fault);
    return rc;
}

/* --- frames ----------------------------------------------------------------------------------------------------- */

/* a bright disc and a dark bar that reaches the edge, in front of stripes */
static uint8_t luma(int x, int y)
{
    const int dx = x - 32, dy = y - 35;
    if (dx * dx + dy * dy < 20 * 20)
        return (uint8_t)(220 - x % 5);
    return (uint8_t)(x >= 62 && y >= 8 && y < 60 ? 8 + y % 3 : 90 + (x * 5 + y * 3) % 40);
}

static trk_status push(trk_tracker *t, int64_t index, trk_pixel_format format)
{
    static uint8_t pixels[WIDTH * HEIGHT * 3];
    const int bytes = format == TRK_PIXEL_RGB24 ? 3 : 1;
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < bytes * WIDTH; x++)
            pixels[y * bytes * WIDTH + x] = luma(x / bytes, y);
    trk_frame frame = {.width = WIDTH, .height = HEIGHT, .format = format, .planes = {pixels},
                       .strides = {bytes * WIDTH}, .index = index};
    return trk_tracker_push(t, &frame);
}

/* Two objects, on the frame after the one that they were prompted on. */
static trk_tracker *follow(int keep_frame, trk_pixel_format format)
{
    static const trk_box boxes[OBJECTS] = {{11, 14, 42, 42}, {62, 8, 31, 52}};
    trk_tracker_params p = TRK_TRACKER_PARAMS_INIT;
    trk_tracker *t = NULL;
    p.keep_frame = keep_frame;
    assert_int_equal(trk_tracker_create(&t, model, &p), TRK_OK);
    for (int i = 0; i < OBJECTS; i++)
        assert_int_equal(trk_tracker_prompt_box(t, i + 1, 0, &boxes[i]), TRK_OK);
    for (int i = 0; i < 2; i++)
        assert_int_equal(push(t, i, format), TRK_OK);
    return t;
}

/* --- the definition --------------------------------------------------------------------------------------------- */

static int is_set(const uint8_t *mask, int x, int y)
{
    return x < 0 || y < 0 || x >= WIDTH || y >= HEIGHT || mask[y * WIDTH + x];
}

/* 1 if the mask has the whole square around (x, y), as far as it lies in the picture */
static int is_inside(const uint8_t *mask, int x, int y, int radius)
{
    for (int j = y - radius; j <= y + radius; j++)
        for (int i = x - radius; i <= x + radius; i++)
            if (!is_set(mask, i, j))
                return 0;
    return 1;
}

static void draw(uint8_t *picture, const uint8_t *mask, const uint8_t colour[3], int line_width, int percent)
{
    const int share = percent * 256 / 100;
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++)
            for (int c = 0; c < 3 && mask[y * WIDTH + x]; c++) {
                uint8_t *v = &picture[y * STRIDE + 3 * x + c];
                *v = is_inside(mask, x, y, line_width) ? (uint8_t)((*v * (256 - share) + colour[c] * share + 128) / 256)
                                                       : colour[c];
            }
}

static void check_region(const trk_region *r, const uint8_t *mask)
{
    int area = 0, inside = 0, left = 0, right = 0, top = 0, bottom = 0, first = r->y;
    for (int y = HEIGHT - 1; y >= 0; y--)
        for (int x = 0; x < WIDTH; x++) {
            const int set = mask[y * WIDTH + x];
            area += set;
            inside += set && x >= r->x && x < r->x + r->width && y >= r->y && y < r->y + r->height;
            left |= set && x == r->x;
            right |= set && x == r->x + r->width - 1;
            top |= set && y == r->y;
            bottom |= set && y == r->y + r->height - 1;
            first = set && x == r->x + r->width / 2 ? y : first;
        }
    assert_int_equal(r->area, area);
    assert_int_equal(inside, area);
    assert_true(!area || (left && right && top && bottom));
    assert_int_equal(r->top, first);
    assert_true(area || (!r->x && !r->y && !r->width && !r->height));
}

/* --- tests ------------------------------------------------------------------------------------------------------ */

static const uint8_t colours[OBJECTS][3] = {{200, 40, 0}, {0, 255, 17}};

typedef struct scene {
    trk_tracker *tracker;
    uint8_t masks[OBJECTS][WIDTH * HEIGHT]; /* by trk_tracker_mask */
    uint8_t found[OBJECTS][MASK_STRIDE * HEIGHT];
    uint8_t before[STRIDE * HEIGHT], picture[STRIDE * HEIGHT], expected[STRIDE * HEIGHT];
    trk_paint_object list[OBJECTS];
    trk_paint paint;
} scene;

static scene *open_scene(int keep_frame, trk_pixel_format format)
{
    scene *s = calloc(1, sizeof *s);
    sigaction(SIGSEGV, &on_fault, NULL);
    s->tracker = follow(keep_frame, format);
    for (int i = 0; i < STRIDE * HEIGHT; i++)
        s->before[i] = (uint8_t)(i * 31 + i / 257);
    memcpy(s->picture, s->before, sizeof s->picture);
    s->paint = (trk_paint)TRK_PAINT_INIT;
    s->paint.objects = s->list;
    s->paint.n_objects = OBJECTS;
    for (int i = 0; i < OBJECTS; i++) {
        const int object = OBJECTS - i; /* object 1 on top */
        s->list[i] = (trk_paint_object){.object = object, .mask = s->found[i], .mask_stride = MASK_STRIDE};
        memcpy(s->list[i].colour, colours[i], 3);
        assert_int_equal(trk_tracker_mask(s->tracker, object, s->masks[i], WIDTH), TRK_OK);
        assert_non_null(memchr(s->masks[i], 1, WIDTH * HEIGHT));
    }
    memset(s->found, 77, sizeof s->found);
    return s;
}

static void close_scene(scene *s)
{
    trk_tracker_destroy(&s->tracker);
    free(s);
}

static trk_status paint(scene *s)
{
    return trk_tracker_paint(s->tracker, &s->paint, s->picture, STRIDE);
}

static void check_painted(scene *s, const uint8_t *on, int line_width, int percent)
{
    memcpy(s->expected, on, sizeof s->expected);
    assert_int_equal(paint(s), TRK_OK);
    for (int i = 0; i < OBJECTS; i++) {
        draw(s->expected, s->masks[i], colours[i], line_width, percent);
        check_region(&s->list[i].region, s->masks[i]);
        for (int y = 0; y < HEIGHT && s->list[i].mask; y++) {
            const uint8_t *row = s->found[i] + y * MASK_STRIDE;
            assert_memory_equal(row, s->masks[i] + y * WIDTH, WIDTH);
            assert_true(row[WIDTH] == 77 && row[WIDTH + 1] == 77); /* between rows */
        }
    }
    assert_memory_equal(s->picture, s->expected, sizeof s->expected);
}

static void paints_as_defined(void **state)
{
    (void)state;
    static const struct {
        int line_width, fill_percent, lines, percent; /* given; meant */
    } styles[] = {{0, 0, 2, 45}, {-1, 30, 0, 30}, {5, -1, 5, 0}, {40, 100, 40, 100}};
    scene *s = open_scene(0, TRK_PIXEL_RGB24);
    for (size_t i = 0; i < sizeof styles / sizeof *styles; i++) {
        memcpy(s->picture, s->before, sizeof s->picture);
        s->paint.line_width = styles[i].line_width;
        s->paint.fill_percent = styles[i].fill_percent;
        s->list[0].mask = i % 2 ? NULL : s->found[0];
        check_painted(s, s->before, styles[i].lines, styles[i].percent);
    }
    close_scene(s);
}

static void gives_regions_alone(void **state)
{
    (void)state;
    scene *s = open_scene(0, TRK_PIXEL_RGB24);
    assert_int_equal(trk_tracker_paint(s->tracker, &s->paint, NULL, 0), TRK_OK);
    for (int i = 0; i < OBJECTS; i++)
        check_region(&s->list[i].region, s->masks[i]);
    s->paint.n_objects = 0;
    s->paint.objects = NULL;
    assert_int_equal(paint(s), TRK_OK);
    assert_memory_equal(s->picture, s->before, sizeof s->before);
    close_scene(s);
}

/* A frame that was converted is there to be drawn on, again and again. */
static void paints_on_the_frame(void **state)
{
    (void)state;
    static uint8_t frame[STRIDE * HEIGHT];
    scene *s = open_scene(1, TRK_PIXEL_GRAY8);
    memcpy(frame, s->before, sizeof frame);
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < 3 * WIDTH; x++)
            frame[y * STRIDE + x] = luma(x / 3, y);
    s->paint.on_frame = 1;
    for (int i = 0; i < 2; i++)
        check_painted(s, frame, 2, 45);
    s->paint.n_objects = 0;
    assert_int_equal(paint(s), TRK_OK);
    assert_memory_equal(s->picture, frame, sizeof frame);
    close_scene(s);
}

static void refused(scene *s, trk_status status, const char *text)
{
    assert_int_equal(paint(s), status);
    if (!strstr(trk_last_error(), text))
        fail_msg("error is \"%s\", expected it to contain \"%s\"", trk_last_error(), text);
    assert_memory_equal(s->picture, s->before, sizeof s->before);
}

static void refuses_what_makes_no_sense(void **state)
{
    (void)state;
    scene *s = open_scene(0, TRK_PIXEL_GRAY8);
    const trk_paint good = s->paint;
    assert_int_equal(trk_tracker_paint(NULL, &s->paint, s->picture, STRIDE), TRK_E_ARGUMENT);
    assert_int_equal(trk_tracker_paint(s->tracker, NULL, s->picture, STRIDE), TRK_E_ARGUMENT);
    assert_int_equal(trk_tracker_paint(s->tracker, &s->paint, s->picture, 3 * WIDTH - 1), TRK_E_ARGUMENT);
    s->paint.fill_percent = 101;
    refused(s, TRK_E_ARGUMENT, "101 percent");
    s->paint = good;
    s->paint.objects = NULL;
    refused(s, TRK_E_ARGUMENT, "the list is NULL");
    s->paint = good;
    s->paint.struct_size = 0;
    refused(s, TRK_E_ARGUMENT, "struct_size");
    s->paint = good;
    s->paint.on_frame = 1; /* swept */
    refused(s, TRK_E_NOT_FOUND, "the picture of frame 1 is not held");
    s->paint = good;
    s->list[1].mask_stride = WIDTH - 1;
    refused(s, TRK_E_ARGUMENT, "masks with a stride");
    s->list[1].mask = NULL;
    s->list[1].object = 7;
    refused(s, TRK_E_NOT_FOUND, "no object 7");
    assert_int_equal(trk_tracker_reset(s->tracker), TRK_OK);
    refused(s, TRK_E_NOT_FOUND, "no object 2");
    close_scene(s);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paints_as_defined),
        cmocka_unit_test(gives_regions_alone),
        cmocka_unit_test(paints_on_the_frame),
        cmocka_unit_test(refuses_what_makes_no_sense),
    };
    if (argc > 1 && !strcmp(argv[1], "cuda"))
        device = TRK_DEVICE_CUDA;
    const trk_status rc = load();
    if (rc != TRK_OK) {
        printf("%s\n", trk_last_error());
        return rc == TRK_E_UNSUPPORTED ? 77 : 1;
    }
    const int n_failed = cmocka_run_group_tests(tests, NULL, NULL);
    trk_model_destroy(&model);
    return n_failed;
}
