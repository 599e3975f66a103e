/* SPDX-License-Identifier: Apache-2.0
 * What the library makes of pushed frames: colours by the definition of each matrix and range, rows in either order. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../asserts.h"
#include "drawn_frame.h"
#include "track.h"

enum { WIDTH = 96, HEIGHT = 72, PATCH = 8, IMAGE_SIZE = 64, SIDE = IMAGE_SIZE / 4, RADIUS = 15 };

static trk_model *model;
static const trk_box box = {20, 20, 2 * RADIUS, 2 * RADIUS};

static int set_up(void **state)
{
    (void)state;
    trk_model_params p = TRK_MODEL_PARAMS_INIT;
    p.image_size = IMAGE_SIZE;
    p.threads = 1;
    return trk_model_load(&model, TRK_SAMPLES_DIR "/models/demo-m.safetensors", &p) < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    trk_model_destroy(&model);
    return 0;
}

/* --- colours ------------------------------------------------------------------------------------------------------ */

/* Y, U, V of the patches: black, white, primaries of BT.601, grays, and what no RGB has. */
static const uint8_t patches[][3] = {{16, 128, 128}, {235, 128, 128}, {81, 90, 240}, {145, 54, 34},  {41, 240, 110},
                                     {126, 128, 128}, {60, 100, 150}, {200, 140, 90}, {0, 0, 0},     {255, 255, 255},
                                     {128, 255, 0},   {90, 1, 254},   {210, 16, 146}, {106, 202, 222}};
enum { N_PATCHES = sizeof patches / sizeof *patches };

static const uint8_t *patch_at(int x, int y)
{
    return patches[(x / PATCH + 5 * (y / PATCH)) % N_PATCHES];
}

/* ITU-R BT.601, 709, 2020: Y = kr R + kg G + kb B, U = (B - Y) / (2 - 2 kb), V = (R - Y) / (2 - 2 kr), solved for RGB,
 * 0..255. */
static void rgb_of(const uint8_t *yuv, int full_range, double kr, double kb, double *out)
{
    const double y = full_range ? yuv[0] / 255.0 : (yuv[0] - 16) / 219.0, range = full_range ? 255 : 224;
    const double u = (yuv[1] - 128) / range, v = (yuv[2] - 128) / range;
    out[0] = y + (2 - 2 * kr) * v;
    out[2] = y + (2 - 2 * kb) * u;
    out[1] = (y - kr * out[0] - kb * out[2]) / (1 - kr - kb);
    for (int c = 0; c < 3; c++)
        out[c] = 255 * fmin(fmax(out[c], 0), 1);
}

static uint8_t luma[WIDTH * HEIGHT], chroma[2][WIDTH * HEIGHT];

/* The patches; across, down: pixels of a chroma sample. NV12 has U and V in turns. */
static trk_frame patched(trk_pixel_format format)
{
    const int across = format == TRK_PIXEL_I444 ? 1 : 2;
    const int down = format == TRK_PIXEL_I420 || format == TRK_PIXEL_NV12 ? 2 : 1;
    const int together = format == TRK_PIXEL_NV12, width = WIDTH / across;
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++)
            luma[y * WIDTH + x] = patch_at(x, y)[0];
    for (int y = 0; y < HEIGHT / down; y++)
        for (int x = 0; x < width; x++)
            for (int c = 0; c < 2; c++) {
                uint8_t *plane = chroma[together ? 0 : c];
                plane[together ? (y * width + x) * 2 + c : y * width + x] = patch_at(x * across, y * down)[1 + c];
            }
    return (trk_frame){.width = WIDTH,
                       .height = HEIGHT,
                       .format = format,
                       .planes = {luma, chroma[0], together ? NULL : chroma[1]},
                       .strides = {WIDTH, together ? 2 * width : width, width}};
}

/* What the model sees of the frame. */
static void look(const trk_frame *frame, uint8_t *rgb)
{
    trk_tracker *t = NULL;
    trk_tracker_params p = TRK_TRACKER_PARAMS_INIT;
    trk_paint paint = TRK_PAINT_INIT;
    p.keep_frame = 1;
    paint.on_frame = 1;
    assert_ok(trk_tracker_create(&t, model, &p));
    assert_ok(trk_tracker_push(t, frame));
    assert_ok(trk_tracker_paint(t, &paint, rgb, 3 * WIDTH));
    trk_tracker_destroy(&t);
}

static void colours_are_as_defined(void **state)
{
    (void)state;
    static const struct {
        trk_yuv_matrix matrix;
        double kr, kb;
    } matrices[] = {{TRK_YUV_BT601, 0.299, 0.114}, {TRK_YUV_BT709, 0.2126, 0.0722}, {TRK_YUV_BT2020, 0.2627, 0.0593}};
    static const trk_pixel_format formats[] = {TRK_PIXEL_I420, TRK_PIXEL_I422, TRK_PIXEL_I444, TRK_PIXEL_NV12};
    static uint8_t rgb[WIDTH * HEIGHT * 3];
    for (int i = 0; i < 4 * 3 * 2; i++) {
        const int m = i / 2 % 3;
        trk_frame frame = patched(formats[i / 6]);
        frame.matrix = matrices[m].matrix;
        frame.full_range = i % 2;
        look(&frame, rgb);
        for (int y = 0; y < HEIGHT; y++)
            for (int x = 0; x < WIDTH; x++) {
                double expected[3];
                rgb_of(patch_at(x, y), i % 2, matrices[m].kr, matrices[m].kb, expected);
                for (int c = 0; c < 3; c++) {
                    const uint8_t got = rgb[(y * WIDTH + x) * 3 + c];
                    if (!(fabs(got - expected[c]) <= 0.501)) /* rounding to a byte; 0.001 for sums in f32 */
                        fail_msg("format %d, matrix %d, range %d at %d,%d channel %d: %d, expected %.2f",
                                 (int)formats[i / 6], m, i % 2, x, y, c, got, expected[c]);
                }
            }
    }
}

/* --- rows from the bottom up -------------------------------------------------------------------------------------- */

static void turn(uint8_t *out, const uint8_t *plane, int bytes, int rows)
{
    for (int y = 0; y < rows; y++)
        memcpy(out + (size_t)y * (size_t)bytes, plane + (size_t)(rows - 1 - y) * (size_t)bytes, (size_t)bytes);
}

/* Object 1 by its box, or by a mask if there is one, on this frame. */
static void logits_on(const trk_frame *frame, const uint8_t *mask, ptrdiff_t stride, float *out)
{
    trk_tracker *t = NULL;
    trk_result r = {.struct_size = sizeof r};
    assert_ok(trk_tracker_create(&t, model, NULL));
    if (mask)
        assert_ok(trk_tracker_prompt_mask(t, 1, 0, mask, WIDTH, HEIGHT, stride));
    else
        assert_ok(trk_tracker_prompt_box(t, 1, 0, &box));
    assert_ok(trk_tracker_push(t, frame));
    assert_ok(trk_tracker_result(t, 1, &r));
    memcpy(out, r.logits, SIDE * SIDE * sizeof *out);
    trk_tracker_destroy(&t);
}

static void rows_may_go_from_the_bottom_up(void **state)
{
    (void)state;
    static uint8_t rgb[WIDTH * HEIGHT * 3], planes[3][WIDTH * HEIGHT * 3], mask[WIDTH * HEIGHT];
    static float expected[SIDE * SIDE], got[SIDE * SIDE];
    draw_disc(rgb, WIDTH, HEIGHT, 35, 35, RADIUS);
    const trk_frame upright = {.width = WIDTH, .height = HEIGHT, .planes = {rgb}, .strides = {WIDTH * 3}};
    const trk_frame i420 = patched(TRK_PIXEL_I420);
    for (int i = 0; i < 2; i++) {
        trk_frame frame = i ? i420 : upright;
        logits_on(&frame, NULL, 0, expected);
        for (int k = 0; k < 3 && frame.planes[k]; k++) {
            const int bytes = (int)frame.strides[k], rows = k ? HEIGHT / 2 : HEIGHT;
            turn(planes[k], frame.planes[k], bytes, rows);
            frame.planes[k] = planes[k] + (size_t)(rows - 1) * (size_t)bytes;
            frame.strides[k] = -bytes;
        }
        logits_on(&frame, NULL, 0, got);
        assert_memory_equal(got, expected, sizeof got);
    }
    for (int i = 0; i < WIDTH * HEIGHT; i++)
        mask[i] = i / WIDTH > 5 && i / WIDTH < 20 && i % WIDTH > 10 && i % WIDTH < 50;
    logits_on(&upright, mask, WIDTH, expected);
    turn(planes[0], mask, WIDTH, HEIGHT);
    logits_on(&upright, planes[0], WIDTH, got);
    assert_memory_not_equal(got, expected, sizeof got); /* the order of rows is seen */
    logits_on(&upright, planes[0] + (HEIGHT - 1) * WIDTH, -WIDTH, got);
    assert_memory_equal(got, expected, sizeof got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(colours_are_as_defined),
        cmocka_unit_test(rows_may_go_from_the_bottom_up),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
