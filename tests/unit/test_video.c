/* SPDX-License-Identifier: Apache-2.0
 * Reading: every kind of stream the reader has to cope with, forwards. The videos are made here; each frame carries its
 * number. */
#include "image_decode.h"
#include "video_check.h"

#include <fcntl.h>
#include <math.h>
#include <pthread.h>

#include "convert.h"
#include "interleave.h"

static const fixture plain = {.format = AV_PIX_FMT_YUV420P, .width = 96, .height = 64, .n_frames = 40, .b_frames = 3};

/* Consecutive numbers from `first`, each carried by its picture. */
static void check_numbers(const clip *c, int first, int n)
{
    assert_int_equal(c->n, n);
    for (int i = 0; i < n; i++) {
        assert_int_equal(c->index[i], first + i);
        assert_int_equal(clip_number(c, i), first + i);
    }
}

static void check_times(const clip *c, double rate)
{
    for (int i = 0; i < c->n; i++)
        assert_true(fabs(c->pts[i] - (double)c->index[i] / rate) < 1e-3); /* containers round to 1 ms (Matroska) */
}

static void frames_come_in_presentation_order(void **state)
{
    clip c = read_whole(make_video("order.mp4", &plain));
    check_numbers(&c, 0, 40);
    check_times(&c, 25);
    assert_int_equal(c.end, TRK_END);
    assert_int_equal(c.promised, 40);
    assert_int_equal(c.exact, 1);
    assert_int_equal(c.damaged, 0);
    assert_string_equal(c.description, "h264 yuv420p 96x64 25 fps");
    clip_free(&c);
}

static void start_and_count_keep_numbers(void **state)
{
    const char *path = make_video("range.mp4", &plain);
    clip c = read_clip(path, &(trk_video_params){.start = 13, .n_frames = 9});
    check_numbers(&c, 13, 9);
    check_times(&c, 25);
    assert_int_equal(c.promised, 9);
    clip_free(&c);
    c = read_clip(path, &(trk_video_params){.start = 39, .n_frames = -1});
    check_numbers(&c, 39, 1);
    assert_int_equal(c.promised, 1);
    clip_free(&c);
    c = read_clip(path, &(trk_video_params){.start = 30, .n_frames = INT64_MAX, .queue = 1, .threads = 4});
    check_numbers(&c, 30, 10);
    clip_free(&c);
    trk_video_reader *reader = NULL;
    assert_fails(trk_video_open(&reader, path, &(trk_video_params){.start = 40, .n_frames = -1}), TRK_E_ARGUMENT,
                 "start at frame 40, but the video has 40 (0 to 39)");
    assert_fails(trk_video_open(&reader, path, &(trk_video_params){.start = -2, .n_frames = -1}), TRK_E_ARGUMENT, "-2");
    assert_fails(trk_video_open(&reader, path, &(trk_video_params){.n_frames = 0}), TRK_E_ARGUMENT, "0 frames");
    assert_fails(trk_video_open(&reader, path, &(trk_video_params){.n_frames = 1, .queue = 1000}), TRK_E_ARGUMENT,
                 "1000 pictures");
    assert_null(reader);
}

static void containers_without_a_count(void **state)
{
    static const struct {
        const char *name, *container;
        int known;
    } cases[] = {{"x.h264", "h264", 0}, {"x.ts", "mpegts", 1}, {"x.mkv", "matroska", 1}};
    for (size_t i = 0; i < 3; i++) {
        fixture f = plain;
        f.container = cases[i].container;
        clip c = read_whole(make_video(cases[i].name, &f));
        check_numbers(&c, 0, 40);
        check_times(&c, 25);
        assert_int_equal(c.exact, 0);
        if (cases[i].known)
            assert_in_range(c.promised, 38, 42); /* an estimate from the duration */
        else
            assert_int_equal(c.promised, -1);
        clip_free(&c);
    }
}

static void variable_frame_rate(void **state)
{
    static const int stamps[] = {0, 1, 2, 10, 11, 30, 31, 33, 36, 40};
    fixture f = plain;
    f.n_frames = 10;
    f.stamps = stamps;
    clip c = read_whole(make_video("vfr.mp4", &f));
    check_numbers(&c, 0, 10);
    for (int i = 0; i < 10; i++)
        assert_true(fabs(c.pts[i] - stamps[i] / 25.0) < 1e-3);
    clip_free(&c);
}

static void other_streams_are_not_the_video(void **state)
{
    fixture f = plain;
    f.audio = f.cover = 1;
    clip c = read_whole(make_video("sound.mp4", &f));
    assert_int_equal(c.width, 96);
    check_numbers(&c, 0, 40);
    clip_free(&c);
    trk_video_reader *reader = NULL;
    f = (fixture){.no_video = 1, .audio = 1};
    assert_fails(trk_video_open(&reader, make_video("sound-only.mp4", &f), NULL), TRK_E_FORMAT,
                 "sound-only.mp4: has no video stream");
    f.cover = 1;
    assert_fails(trk_video_open(&reader, make_video("cover-only.mp4", &f), NULL), TRK_E_FORMAT, "cover picture");
}

/* --- colours --------------------------------------------------------------------------------------------------- */

#define PATCH 16
static const double patches[][3] = {{0.1, 0.5, 0.5},  {0.9, 0.5, 0.5}, {0.5, 0.5, 0.5}, {0.35, 0.4, 0.75},
                                    {0.6, 0.3, 0.35}, {0.3, 0.7, 0.4}, {0.7, 0.35, 0.6}};
#define N_PATCHES ((int)(sizeof patches / sizeof patches[0]))

static double paint_patches(int component, int x, int y, int number)
{
    return patches[(x / PATCH + y / PATCH) % N_PATCHES][component];
}

/* The defining equations of ITU-R BT.601, BT.709 and BT.2020, on samples of any depth. */
static void expect_rgb(double out[3], const double patch[3], int depth, int full_range, double kr, double kb)
{
    double full = (1 << depth) - 1, unit = 1 << (depth - 8), v[3], yuv[3];
    for (int c = 0; c < 3; c++)
        v[c] = rint(patch[c] * full);
    yuv[0] = full_range ? v[0] / full : (v[0] - 16 * unit) / (219 * unit);
    for (int c = 1; c < 3; c++)
        yuv[c] = (v[c] - 128 * unit) / (full_range ? full : 224 * unit);
    out[0] = yuv[0] + 2 * (1 - kr) * yuv[2];
    out[2] = yuv[0] + 2 * (1 - kb) * yuv[1];
    out[1] = (yuv[0] - kr * out[0] - kb * out[2]) / (1 - kr - kb);
    for (int c = 0; c < 3; c++)
        out[c] = 255 * fmin(fmax(out[c], 0), 1);
}

/* The middle of each patch; chroma interpolation reaches no further than its border. */
static void check_patches(const clip *c, int depth, int full_range, double kr, double kb)
{
    for (int y = PATCH / 2; y < c->height; y += PATCH) {
        for (int x = PATCH / 2; x < c->width; x += PATCH) {
            double expected[3];
            expect_rgb(expected, patches[(x / PATCH + y / PATCH) % N_PATCHES], depth, full_range, kr, kb);
            const uint8_t *got = c->rgb + ((size_t)y * (size_t)c->width + (size_t)x) * 3;
            for (int i = 0; i < 3; i++)
                if (!(fabs(got[i] - expected[i]) <= 1.5)) /* half a step of rounding, one of 15-bit intermediates */
                    fail_msg("%s at %d,%d channel %d: %d, expected %.1f", c->description, x, y, i, got[i], expected[i]);
        }
    }
}

static void pixel_formats_ranges_and_matrices(void **state)
{
    static const struct {
        enum AVPixelFormat format;
        int depth, height;
        enum AVColorSpace matrix;
        enum AVColorRange range;
        int full_range;
        double kr, kb;
    } cases[] = {
        {AV_PIX_FMT_YUV420P, 8, 65, AVCOL_SPC_UNSPECIFIED, AVCOL_RANGE_UNSPECIFIED, 0, 0.299, 0.114},
        {AV_PIX_FMT_YUV420P, 8, 720, AVCOL_SPC_UNSPECIFIED, AVCOL_RANGE_UNSPECIFIED, 0, 0.2126, 0.0722},
        {AV_PIX_FMT_YUV420P, 8, 720, AVCOL_SPC_SMPTE170M, AVCOL_RANGE_MPEG, 0, 0.299, 0.114},
        {AV_PIX_FMT_YUV420P, 8, 65, AVCOL_SPC_BT709, AVCOL_RANGE_MPEG, 0, 0.2126, 0.0722},
        {AV_PIX_FMT_YUV420P, 8, 65, AVCOL_SPC_BT709, AVCOL_RANGE_JPEG, 1, 0.2126, 0.0722},
        {AV_PIX_FMT_YUV422P, 8, 65, AVCOL_SPC_BT470BG, AVCOL_RANGE_MPEG, 0, 0.299, 0.114},
        {AV_PIX_FMT_YUV444P, 8, 65, AVCOL_SPC_BT709, AVCOL_RANGE_MPEG, 0, 0.2126, 0.0722},
        {AV_PIX_FMT_YUV440P, 8, 65, AVCOL_SPC_BT470BG, AVCOL_RANGE_MPEG, 0, 0.299, 0.114},
        {AV_PIX_FMT_YUV420P10, 10, 65, AVCOL_SPC_BT2020_NCL, AVCOL_RANGE_MPEG, 0, 0.2627, 0.0593},
        {AV_PIX_FMT_YUV422P10, 10, 65, AVCOL_SPC_BT470BG, AVCOL_RANGE_MPEG, 0, 0.299, 0.114},
        {AV_PIX_FMT_YUV444P12, 12, 65, AVCOL_SPC_BT709, AVCOL_RANGE_MPEG, 0, 0.2126, 0.0722},
        {AV_PIX_FMT_YUVA420P, 8, 65, AVCOL_SPC_BT470BG, AVCOL_RANGE_MPEG, 0, 0.299, 0.114},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fixture f = {.encoder = "ffv1",
                     .container = "matroska",
                     .format = cases[i].format,
                     .width = 113,
                     .height = cases[i].height,
                     .n_frames = 1,
                     .matrix = cases[i].matrix,
                     .range = cases[i].range,
                     .paint = paint_patches,
                     .plain = 1};
        clip c = read_whole(make_video("colour.mkv", &f));
        assert_int_equal(c.n, 1);
        check_patches(&c, cases[i].depth, cases[i].full_range, cases[i].kr, cases[i].kb);
        clip_free(&c);
    }
}

static void rgb_and_gray_are_exact(void **state)
{
    static const enum AVPixelFormat formats[] = {AV_PIX_FMT_RGB24, AV_PIX_FMT_RGBA, AV_PIX_FMT_GRAY8};
    for (size_t i = 0; i < 3; i++) {
        fixture f = {.encoder = "png",
                     .container = "mov",
                     .format = formats[i],
                     .width = 113,
                     .height = 65,
                     .n_frames = 1,
                     .paint = paint_patches,
                     .plain = 1};
        clip c = read_whole(make_video("exact.mov", &f));
        for (int y = 0; y < c.height; y++)
            for (int x = 0; x < c.width; x++)
                for (int channel = 0; channel < 3; channel++)
                    assert_int_equal(c.rgb[((size_t)y * (size_t)c.width + (size_t)x) * 3 + (size_t)channel],
                                     lrint(255 * paint_patches(i == 2 ? 0 : channel, x, y, 0)));
        clip_free(&c);
    }
}

/* One row of chroma that rises by 16 a sample: its value at each luma position tells where the samples were taken to
 * lie. Blue is linear in it, and the luma is mid-gray. */
static void chroma_position_is_respected(void **state)
{
    static const struct {
        enum AVChromaLocation location;
        double offset; /* of a chroma sample from the even luma pixel, in luma pixels */
    } cases[] = {{AVCHROMA_LOC_LEFT, 0}, {AVCHROMA_LOC_CENTER, 0.5}, {AVCHROMA_LOC_UNSPECIFIED, 0}};
    for (size_t i = 0; i < 3; i++) {
        AVFrame *frame = av_frame_alloc();
        frame->format = AV_PIX_FMT_YUV420P;
        frame->width = 32;
        frame->height = 8;
        frame->color_range = AVCOL_RANGE_JPEG;
        frame->colorspace = AVCOL_SPC_BT470BG;
        frame->chroma_location = cases[i].location;
        assert_int_equal(av_frame_get_buffer(frame, 0), 0);
        for (int y = 0; y < 8; y++)
            memset(frame->data[0] + y * frame->linesize[0], 128, 32);
        for (int y = 0; y < 4; y++)
            for (int x = 0; x < 16; x++) {
                frame->data[1][y * frame->linesize[1] + x] = (uint8_t)(68 + 8 * x);
                frame->data[2][y * frame->linesize[2] + x] = 128;
            }
        uint8_t rgb[8 * 32 * 3 + 64];
        converter convert = {0};
        assert_works(trk_converter_init(&convert, frame));
        assert_works(trk_converter_run(&convert, frame, rgb, 32 * 3));
        for (int x = 2; x < 30; x++) {
            double expected = 128 + 1.772 * (68 + 8 * (x - cases[i].offset) / 2 - 128);
            assert_true(fabs(rgb[4 * 96 + 3 * x + 2] - expected) <= 1.5); /* as check_patches */
        }
        trk_converter_free(&convert);
        av_frame_free(&frame);
    }
}

/* --- geometry -------------------------------------------------------------------------------------------------- */

static void interleaving_goes_every_way(void **state)
{
    static const int sizes[][2] = {{1, 1}, {15, 3}, {16, 2}, {17, 5}, {65, 34}, {100, 70}};
    uint8_t planes[3][100 * 70], out[100 * 70 * 3], packed[100 * 70 * 3];
    for (int i = 0; i < 100 * 70; i++)
        for (int c = 0; c < 3; c++)
            packed[3 * i + c] = planes[c][i] = (uint8_t)(i * 37 + i / 100 * 11 + c * 85);
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        int w = sizes[s][0], h = sizes[s][1];
        const struct {
            ptrdiff_t origin, dx, dy;
        } ways[] = {{0, 1, 100}, {w - 1, -1, 100},        {(h - 1) * 100, 1, -100}, {(h - 1) * 100 + w - 1, -1, -100},
                    {0, 100, 1}, {(w - 1) * 100, -100, 1}};
        for (size_t k = 0; k < sizeof ways / sizeof ways[0]; k++) {
            if (k >= 4 && w > 70)
                continue; /* a column is only 70 high */
            for (int step = 1; step <= 3; step += 2) {
                const uint8_t *r = step == 1 ? planes[0] : packed, *g = step == 1 ? planes[1] : packed + 1;
                const uint8_t *b = step == 1 ? planes[2] : packed + 2;
                ptrdiff_t origin = ways[k].origin * step;
                trk_interleave(
                    &(interleave_source){r + origin, g + origin, b + origin, ways[k].dx * step, ways[k].dy * step}, w,
                    h, out, 3 * w);
                for (int y = 0; y < h; y++)
                    for (int x = 0; x < w; x++)
                        for (int c = 0; c < 3; c++)
                            assert_int_equal(out[(y * w + x) * 3 + c],
                                             planes[c][ways[k].origin + x * ways[k].dx + y * ways[k].dy]);
            }
        }
    }
}

/* Where the upright picture's pixel (x, y) lies in the stored one of w x h, for the matrices below. */
static void stored_position(int way, int x, int y, int w, int h, int *u, int *v)
{
    const int at[][2] = {{x, y}, {y, h - 1 - x}, {w - 1 - x, h - 1 - y}, {w - 1 - y, x}, {w - 1 - x, y}};
    *u = at[way][0];
    *v = at[way][1];
}

static void check_pixel(const char *path, int width, int height)
{
    trk_video_reader *reader = NULL;
    assert_works(trk_video_open(&reader, path, &(trk_video_params){.n_frames = -1}));
    assert_int_equal(trk_video_get_info(reader)->pixel_width, width);
    assert_int_equal(trk_video_get_info(reader)->pixel_height, height);
    trk_video_close(&reader);
}

static void display_matrices_are_applied(void **state)
{
    enum { ONE = 1 << 16 };
    /* upright, a quarter turn clockwise (stored top becomes right), half a turn, three quarters, mirrored */
    static const int32_t matrices[][9] = {{ONE, 0, 0, 0, ONE, 0, 0, 0, 1 << 30},
                                          {0, ONE, 0, -ONE, 0, 0, 0, 0, 1 << 30},
                                          {-ONE, 0, 0, 0, -ONE, 0, 0, 0, 1 << 30},
                                          {0, -ONE, 0, ONE, 0, 0, 0, 0, 1 << 30},
                                          {-ONE, 0, 0, 0, ONE, 0, 0, 0, 1 << 30}};
    fixture f = plain;
    f.n_frames = 3;
    f.format = AV_PIX_FMT_YUV420P;
    f.width = 90;
    f.options = "aspect=4/3";
    clip stored = read_whole(make_video("stored.mp4", &f));
    for (int way = 0; way < 5; way++) {
        f.display = matrices[way];
        char *path = make_video("turned.mp4", &f);
        clip c = read_whole(path);
        check_pixel(path, way == 1 || way == 3 ? 3 : 4, way == 1 || way == 3 ? 4 : 3);
        int turned = way == 1 || way == 3;
        assert_int_equal(c.width, turned ? 64 : 90);
        assert_int_equal(c.height, turned ? 90 : 64);
        assert_int_equal(c.n, 3);
        for (int y = 0; y < c.height; y++)
            for (int x = 0; x < c.width; x++) {
                int u, v;
                stored_position(way, x, y, 90, 64, &u, &v);
                assert_memory_equal(clip_frame(&c, 2) + (y * c.width + x) * 3,
                                    clip_frame(&stored, 2) + (v * 90 + u) * 3, 3);
            }
        clip_free(&c);
    }
    clip_free(&stored);
}

/* Matroska tells when the file ends, counted from 0, for all of its streams; FLV how long it is. */
static void a_part_of_a_recording_is_as_long_as_it_is(void **state)
{
    static const struct {
        const char *container;
        int start, n_frames, audio; /* start: in frames */
    } parts[] = {{"matroska", 0, 50, 1},  {"matroska", 90000, 50, 0}, {"matroska", 90000, 50, 1},
                 {"matroska", 30, 50, 0}, {"matroska", 0, 1, 0},      {"matroska", 90000, 2, 0},
                 {"flv", 0, 50, 0},       {"flv", 30, 50, 0},         {"flv", 90000, 50, 0}};
    int stamps[50];
    for (size_t part = 0; part < sizeof parts / sizeof *parts; part++) {
        fixture f = plain;
        f.container = parts[part].container;
        f.n_frames = parts[part].n_frames;
        f.audio = parts[part].audio; /* begins at 0, or lasts longer */
        f.stamps = stamps;
        for (int i = 0; i < f.n_frames; i++)
            stamps[i] = parts[part].start + i;
        char *path = make_video("part.video", &f);
        trk_video_reader *reader = NULL;
        assert_works(trk_video_open(&reader, path, &(trk_video_params){.start = -1, .n_frames = -1}));
        const int64_t told = trk_video_get_info(reader)->n_frames;
        if (told < f.n_frames - 1 || told > f.n_frames + 2) /* FLV counts the delay of the B-frames in */
            fail_msg("part %zu: %lld frames told, expected %d", part, (long long)told, f.n_frames);
        trk_video_close(&reader);
    }
}

static int n_warnings;

static void count_warning(void *user, trk_log_level level, const char *line)
{
    n_warnings += level == TRK_LOG_WARNING && strstr(line, user) != NULL;
}

static void a_change_of_size_is_scaled(void **state)
{
    fixture f = plain;
    f.container = "h264";
    f.n_frames = 10;
    size_t n_first, n_second;
    uint8_t *first = read_bytes(make_video("first.h264", &f), &n_first);
    f.width = 128;
    f.height = 96;
    uint8_t *second = read_bytes(make_video("second.h264", &f), &n_second);
    uint8_t *both = malloc(n_first + n_second);
    memcpy(both, first, n_first);
    memcpy(both + n_first, second, n_second);
    write_bytes(in_scratch("both.h264"), both, n_first + n_second);
    n_warnings = 0;
    trk_log_set(count_warning, (void *)(uintptr_t) "96x64 to 128x96", TRK_LOG_WARNING);
    clip c = read_whole(in_scratch("both.h264"));
    trk_log_set(NULL, NULL, TRK_LOG_ERROR);
    assert_int_equal(n_warnings, 1);
    assert_int_equal(c.width, 96);
    assert_int_equal(c.n, 20);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(c.index[i], i);
        assert_int_equal(clip_number(&c, i), i % 10);
    }
    clip_free(&c);
    free(first);
    free(second);
    free(both);
}

/* --- damage ---------------------------------------------------------------------------------------------------- */

/* Overwrites bytes from `at` (a fraction of the file) on. */
static void damage(const char *from, const char *to, double at, size_t n)
{
    size_t bytes;
    uint8_t *data = read_bytes(from, &bytes);
    size_t start = (size_t)(at * (double)bytes);
    for (size_t i = start; i < start + n && i < bytes; i++)
        data[i] = (uint8_t)(i * 97 + 13);
    write_bytes(to, data, bytes);
    free(data);
}

static void damaged_packets_are_skipped_and_counted(void **state)
{
    fixture f = plain;
    damage(make_video("whole.mp4", &plain), in_scratch("damaged.mp4"), 0.4, 400);
    clip c = read_whole(in_scratch("damaged.mp4"));
    assert_int_equal(c.end, TRK_END);
    assert_in_range(c.damaged, 1, 39);
    assert_in_range(c.n, 10, 40);
    assert_int_equal(clip_number(&c, 0), 0);
    for (int i = 0; i < c.n; i++)
        assert_int_equal(c.index[i], i);
    assert_int_equal(clip_number(&c, c.n - 1), 39); /* the last group of pictures is whole */
    clip_free(&c);
    f.container = "mpegts";
    damage(make_video("whole.ts", &f), in_scratch("damaged.ts"), 0.4, 2000);
    c = read_whole(in_scratch("damaged.ts"));
    assert_int_equal(c.end, TRK_END);
    assert_in_range(c.n, 10, 40);
    assert_true(c.damaged > 0);
    clip_free(&c);
}

static void truncated_files_give_what_they_have(void **state)
{
    size_t bytes;
    fixture f = plain;
    f.container = "matroska";
    uint8_t *data = read_bytes(make_video("whole.mkv", &f), &bytes);
    write_bytes(in_scratch("cut.mkv"), data, bytes * 6 / 10);
    free(data);
    clip c = read_whole(in_scratch("cut.mkv"));
    assert_int_equal(c.end, TRK_END);
    assert_in_range(c.n, 10, 39);
    for (int i = 0; i < c.n; i++)
        assert_int_equal(clip_number(&c, i), i);
    clip_free(&c);
    /* An MP4 keeps its index at the end: nothing is left without it. */
    data = read_bytes(make_video("whole.mp4", &plain), &bytes);
    write_bytes(in_scratch("cut.mp4"), data, bytes * 6 / 10);
    free(data);
    trk_video_reader *reader = NULL;
    assert_fails(trk_video_open(&reader, in_scratch("cut.mp4"), NULL), TRK_E_FORMAT, "cut.mp4: not a video");
}

static void missing_frames_of_a_cut_file_are_counted(void **state)
{
    trk_video_writer *writer = NULL;
    trk_video_reader *reader = NULL;
    trk_picture *picture;
    assert_works(
        trk_video_writer_open(&writer, in_scratch("front.mp4"), &(trk_video_format){96, 64, 25, 1, 0, 0}, NULL));
    for (int i = 0; i < 40; i++) {
        assert_works(trk_video_writer_begin(writer, &picture));
        for (int y = 0; y < 64; y++)
            for (int x = 0; x < 3 * 96; x++)
                picture->rgb[y * picture->stride + x] = (uint8_t)(x * y * (i + 3) >> 3);
        assert_works(trk_video_writer_submit(writer, picture));
    }
    assert_works(trk_video_writer_finish(writer));
    trk_video_writer_destroy(&writer);
    size_t bytes;
    uint8_t *data = read_bytes(in_scratch("front.mp4"), &bytes);
    write_bytes(in_scratch("front-cut.mp4"), data, bytes / 2);
    free(data);
    clip c = read_whole(in_scratch("front-cut.mp4"));
    assert_int_equal(c.promised, 40);
    assert_in_range(c.n, 1, 39);
    assert_true(c.n + c.damaged >= 40);
    clip_free(&c);
    trk_video_params back = {.start = -1, .n_frames = -1, .reverse = 1};
    assert_fails(trk_video_open(&reader, in_scratch("front-cut.mp4"), &back), TRK_E_FORMAT,
                 "of 40 frames: expected a frame to start at");
    back.start = 5;
    assert_works(trk_video_open(&reader, in_scratch("front-cut.mp4"), &back));
    trk_video_close(&reader);
}

static void what_is_no_video_is_named(void **state)
{
    trk_video_reader *reader = NULL;
    uint8_t noise[20000];
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (uint8_t)((i * 2654435761u) >> 13);
    write_bytes(in_scratch("empty.mp4"), "", 0);
    write_bytes(in_scratch("text.mp4"), "not a video\n", 12);
    write_bytes(in_scratch("text.txt"), "line one\nline two\n", 18);
    write_bytes(in_scratch("noise.mp4"), noise, sizeof noise);
    make_folder("no-images");
    assert_fails(trk_video_open(&reader, in_scratch("absent.mp4"), NULL), TRK_E_IO, "absent.mp4: No such file");
    assert_fails(trk_video_open(&reader, in_scratch("empty.mp4"), NULL), TRK_E_FORMAT, "empty.mp4: the file is empty");
    assert_fails(trk_video_open(&reader, in_scratch("text.mp4"), NULL), TRK_E_FORMAT, "text.mp4: not a video");
    assert_fails(trk_video_open(&reader, in_scratch("text.txt"), NULL), TRK_E_FORMAT, "text.txt: not a video");
    assert_fails(trk_video_open(&reader, in_scratch("noise.mp4"), NULL), TRK_E_FORMAT, "noise.mp4: not a video");
    assert_fails(trk_video_open(&reader, in_scratch("no-images"), NULL), TRK_E_FORMAT, "no-images: no images");
    assert_fails(trk_video_open(&reader, "", NULL), TRK_E_ARGUMENT, "no video named");
    assert_fails(trk_video_open(&reader, "nosuchprotocol://x", NULL), TRK_E_UNSUPPORTED, "nosuchprotocol://x");
    assert_null(reader);
}

static void names_are_only_names(void **state)
{
    fixture f = plain;
    f.n_frames = 5;
    static const char *const names[] = {"http:x.mp4", "a%03d.mp4", "with space & 'quote'.mp4"};
    for (size_t i = 0; i < 3; i++) {
        size_t bytes;
        uint8_t *data = read_bytes(make_video("name.mp4", &f), &bytes);
        write_bytes(in_scratch(names[i]), data, bytes);
        free(data);
        clip c = read_whole(in_scratch(names[i]));
        assert_int_equal(c.n, 5);
        clip_free(&c);
    }
}

/* --- threads --------------------------------------------------------------------------------------------------- */

static void closing_at_any_moment(void **state)
{
    const char *path = make_video("close.mp4", &plain);
    for (int taken = 0; taken < 45; taken++) {
        trk_video_reader *reader = NULL;
        trk_picture *picture = NULL;
        assert_works(trk_video_open(
            &reader, path,
            &(trk_video_params){.start = -1, .n_frames = -1, .queue = 1 + taken % 4, .reverse = taken % 3 == 1}));
        for (int i = 0; i < taken && trk_video_read(reader, &picture) == TRK_OK; i++)
            if (i % 5 || taken % 2) /* sometimes one is still held at the end */
                trk_video_release(reader, picture);
            else if (i)
                break;
        trk_video_close(&reader);
        trk_video_close(&reader);
    }
}

static void holding_every_picture_is_told(void **state)
{
    trk_video_reader *reader = NULL;
    trk_picture *held[5], *picture;
    assert_works(trk_video_open(&reader, make_video("hold.mp4", &plain),
                                &(trk_video_params){.start = -1, .n_frames = -1, .queue = 2}));
    for (int i = 0; i < 4; i++)
        assert_works(trk_video_read(reader, &held[i])); /* the pool: two queued, one for each side */
    assert_fails(trk_video_read(reader, &picture), TRK_E_STATE, "release one");
    for (int i = 0; i < 4; i++) {
        assert_int_equal(fixture_number(held[i]->rgb, held[i]->stride, 96, 64), i);
        trk_video_release(reader, held[i]);
        trk_video_release(reader, held[i]); /* twice does no harm */
    }
    for (int i = 4; i < 40; i++) {
        assert_works(trk_video_read(reader, &picture));
        assert_int_equal(picture->index, i);
        trk_video_release(reader, picture);
    }
    assert_int_equal(trk_video_read(reader, &picture), TRK_END);
    assert_int_equal(trk_video_read(reader, &picture), TRK_END);
    trk_video_close(&reader);
}

/* --- TIFF ------------------------------------------------------------------------------------------------------ */

enum { TIFF_WIDTH = 3, TIFF_HEIGHT = 2, TIFF_PIXELS = 3 * TIFF_WIDTH * TIFF_HEIGHT };

typedef struct tiff_file {
    uint8_t bytes[512];
    size_t n;
    int big; /* byte order */
} tiff_file;

static void tiff_put(tiff_file *f, unsigned value, int n_bytes)
{
    for (int i = 0; i < n_bytes; i++)
        f->bytes[f->n++] = (uint8_t)(value >> 8 * (f->big ? n_bytes - 1 - i : i));
}

/* An entry of one number, or of several at `value`; kind 3: 16 bits, 4: 32. */
static void tiff_entry(tiff_file *f, unsigned tag, unsigned kind, unsigned count, unsigned value)
{
    const int is_short = kind == 3 && count == 1;
    tiff_put(f, tag, 2);
    tiff_put(f, kind, 2);
    tiff_put(f, count, 4);
    tiff_put(f, value, is_short ? 2 : 4);
    if (is_short)
        tiff_put(f, 0, 2);
}

/* Pixels are 0, 10, 20, ... in order; with notes of a camera, a program, a resolution and ImageJ among its entries.
 * sample_format: of each channel, 1: unsigned integers. */
static tiff_file tiff_with_notes(int big, unsigned sample_format)
{
    static const unsigned entries[][3] = {
        {256, 3, TIFF_WIDTH}, {257, 3, TIFF_HEIGHT}, {258, 3, 8}, {259, 3, 1}, {262, 3, 2}, {271, 4, 77}, {273, 4, 8},
        {277, 3, 3}, {278, 3, TIFF_HEIGHT}, {279, 4, TIFF_PIXELS}, {284, 3, 1}, {296, 3, 2}, {305, 4, 78},
        {338, 3, 0}, {34665, 4, 8}, {50838, 4, 12}};
    const unsigned n = sizeof entries / sizeof entries[0], formats_at = 8 + TIFF_PIXELS;
    tiff_file f = {.big = big};
    memcpy(f.bytes, big ? "MM" : "II", 2);
    f.n = 2;
    tiff_put(&f, 42, 2);
    tiff_put(&f, formats_at + 3 * 2, 4);
    for (unsigned i = 0; i < TIFF_PIXELS; i++)
        tiff_put(&f, 10 * i, 1);
    for (int i = 0; i < 3; i++)
        tiff_put(&f, i ? sample_format : 1, 2);
    tiff_put(&f, n + 1, 2);
    for (unsigned i = 0; i < n; i++) {
        if (entries[i][0] == 34665)
            tiff_entry(&f, 339, 3, 3, formats_at);
        tiff_entry(&f, entries[i][0], entries[i][1], 1, entries[i][2]);
    }
    tiff_put(&f, 0, 4);
    return f;
}

static void tiff_files_may_say_more_than_pixels(void **state)
{
    for (int big = 0; big < 2; big++) {
        AVFrame *frame = av_frame_alloc();
        tiff_file f = tiff_with_notes(big, 3); /* floating point, in eight bits */
        write_bytes(in_scratch("notes.tif"), f.bytes, f.n);
        assert_fails(trk_image_decode(frame, in_scratch("notes.tif"), NULL), TRK_E_FORMAT, "unsupported tiff image");
        f = tiff_with_notes(big, 1);
        write_bytes(in_scratch("notes.tif"), f.bytes, f.n);
        assert_works(trk_image_decode(frame, in_scratch("notes.tif"), NULL));
        assert_true(frame->width == TIFF_WIDTH && frame->height == TIFF_HEIGHT && frame->format == AV_PIX_FMT_RGB24);
        for (int i = 0; i < TIFF_PIXELS; i++)
            assert_int_equal(frame->data[0][i / (3 * TIFF_WIDTH) * frame->linesize[0] + i % (3 * TIFF_WIDTH)], 10 * i);
        for (size_t n = 8; n < f.n; n++) { /* cut off anywhere but in the place of a next directory */
            write_bytes(in_scratch("cut.tif"), f.bytes, n);
            if (trk_image_decode(frame, in_scratch("cut.tif"), NULL) >= 0 && n < f.n - 4)
                fail_msg("%zu of %zu bytes are an image", n, f.n);
        }
        av_frame_free(&frame);
    }
}

typedef struct pipe_feed {
    int fd;
    uint8_t *data;
    size_t bytes;
    int leave_open;
} pipe_feed;

static void *feed_pipe(void *user)
{
    pipe_feed *feed = user;
    for (size_t done = 0; done < feed->bytes;) {
        ssize_t n = write(feed->fd, feed->data + done, feed->bytes - done);
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    if (!feed->leave_open)
        close(feed->fd);
    return NULL;
}

/* Puts a pipe in the place of standard input and starts feeding it; returns the saved standard input. */
static int start_feed(pipe_feed *feed, pthread_t *thread)
{
    int ends[2], saved = dup(STDIN_FILENO);
    assert_int_equal(pipe(ends), 0);
    assert_true(saved >= 0 && dup2(ends[0], STDIN_FILENO) == STDIN_FILENO);
    close(ends[0]);
    feed->fd = ends[1];
    assert_int_equal(pthread_create(thread, NULL, feed_pipe, feed), 0);
    return saved;
}

static void end_feed(pipe_feed *feed, pthread_t thread, int saved)
{
    assert_true(dup2(saved, STDIN_FILENO) == STDIN_FILENO);
    close(saved);
    pthread_join(thread, NULL);
    free(feed->data);
}

static void standard_input_is_read(void **state)
{
    static const char *const containers[] = {"matroska", "mpegts", "h264"};
    for (size_t i = 0; i < 3; i++) {
        fixture f = plain;
        pipe_feed feed = {0};
        pthread_t thread;
        f.container = containers[i];
        feed.data = read_bytes(make_video("piped", &f), &feed.bytes);
        int saved = start_feed(&feed, &thread);
        clip c = read_whole("-");
        end_feed(&feed, thread, saved);
        check_numbers(&c, 0, 40);
        clip_free(&c);
    }
}

static void a_pipe_cannot_be_reversed(void **state)
{
    fixture f = plain;
    f.container = "matroska";
    pipe_feed feed = {0};
    pthread_t thread;
    feed.data = read_bytes(make_video("piped.mkv", &f), &feed.bytes);
    int saved = start_feed(&feed, &thread);
    trk_video_reader *reader = NULL;
    assert_fails(trk_video_open(&reader, "-", &(trk_video_params){.start = -1, .n_frames = -1, .reverse = 1}),
                 TRK_E_UNSUPPORTED, "-: a pipe or stream cannot be read in reverse");
    end_feed(&feed, thread, saved);
}

static void an_mp4_without_index_in_front_cannot_be_piped(void **state)
{
    fixture f = {.encoder = "mjpeg", .format = AV_PIX_FMT_YUVJ420P, .width = 640, .height = 480, .n_frames = 60};
    pipe_feed feed = {0}; /* larger than what the demuxer can keep to go back to */
    pthread_t thread;
    feed.data = read_bytes(make_video("piped.mp4", &f), &feed.bytes);
    int saved = start_feed(&feed, &thread);
    trk_video_reader *reader = NULL;
    assert_fails(trk_video_open(&reader, "-", NULL), TRK_E_FORMAT, "needs its index in front");
    end_feed(&feed, thread, saved);
}

/* Nine tenths of 200 frames; then the pipe stays open and silent. What start_feed returns. */
static int start_silent_feed(const char *name, pipe_feed *feed, pthread_t *thread)
{
    fixture f = plain;
    f.container = "matroska";
    f.n_frames = 200;
    f.b_frames = 0;
    f.options = "tune=zerolatency";
    *feed = (pipe_feed){.leave_open = 1};
    feed->data = read_bytes(make_video(name, &f), &feed->bytes);
    feed->bytes = feed->bytes * 9 / 10;
    return start_feed(feed, thread);
}

/* The writer of the pipe keeps it open and silent: the decoding thread waits for bytes that never come. */
static void closing_while_a_pipe_is_silent(void **state)
{
    pipe_feed feed;
    pthread_t thread;
    int saved = start_silent_feed("silent.mkv", &feed, &thread);
    trk_video_reader *reader = NULL;
    trk_picture *picture;
    assert_works(trk_video_open(&reader, "-", &(trk_video_params){.start = -1, .n_frames = -1, .queue = 64}));
    for (int i = 0; i < 140; i++) { /* with 64 in the queue that is more than the pipe gave */
        assert_works(trk_video_read(reader, &picture));
        assert_int_equal(picture->index, i);
        trk_video_release(reader, picture);
    }
    usleep(200000); /* long enough for the thread to reach the pipe's end; closing works either way */
    trk_video_close(&reader);
    close(feed.fd);
    end_feed(&feed, thread, saved);
}

static void *set_after_a_while(void *user)
{
    usleep(200000);
    atomic_store((atomic_int *)user, 1);
    return NULL;
}

static trk_status open_until_stopped(const char *path, const trk_video_params *params, atomic_int *stop)
{
    trk_video_reader *reader = NULL;
    pthread_t thread;
    atomic_store(stop, 0);
    assert_int_equal(pthread_create(&thread, NULL, set_after_a_while, stop), 0);
    trk_status rc = trk_video_open(&reader, path, params);
    pthread_join(thread, NULL);
    assert_null(reader);
    return rc;
}

/* Opening: nobody writes into a named pipe, and the first frame wanted, or the index of all, takes a long reading. */
static void stopping_while_a_video_is_opened(void **state)
{
    static atomic_int stop;
    trk_video_params params = {.start = -1, .n_frames = -1, .stop = &stop};
    trk_video_reader *reader = NULL;
    char *fifo = in_scratch("nobody.fifo"), *path = make_video("stopped.mp4", &plain);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(open_until_stopped(fifo, &params, &stop), TRK_END);
    const int fd = open(fifo, O_RDWR); /* a writer that is silent */
    assert_int_equal(open_until_stopped(fifo, &params, &stop), TRK_END);
    close(fd);
    params.start = 39;
    for (int reverse = 0; reverse < 2; reverse++) { /* stop is set */
        params.reverse = reverse;
        assert_int_equal(trk_video_open(&reader, path, &params), TRK_END);
        assert_null(reader);
    }
    atomic_store(&stop, 0);
    clip c = read_clip(path, &(trk_video_params){.start = 30, .n_frames = -1, .stop = &stop});
    check_numbers(&c, 30, 10);
    clip_free(&c);
}

/* Reading: what was decoded by then comes, then the end, without an error. */
static void stopping_while_a_pipe_is_silent(void **state)
{
    static atomic_int stop;
    pipe_feed feed;
    pthread_t thread, stopper;
    int saved = start_silent_feed("called-off.mkv", &feed, &thread);
    trk_video_reader *reader = NULL;
    trk_picture *picture;
    trk_status rc;
    assert_works(trk_video_open(&reader, "-", &(trk_video_params){.start = -1, .n_frames = -1, .stop = &stop}));
    int n = 0;
    for (; (rc = trk_video_read(reader, &picture)) == TRK_OK; n++) {
        trk_video_release(reader, picture);
        if (n == 100)
            assert_int_equal(pthread_create(&stopper, NULL, set_after_a_while, &stop), 0);
    }
    assert_int_equal(rc, TRK_END);
    assert_true(n > 100 && n < 200);
    pthread_join(stopper, NULL);
    trk_video_close(&reader);
    close(feed.fd);
    end_feed(&feed, thread, saved);
}

static void messages_stay_silent_unless_asked(void **state)
{
    n_warnings = 0;
    trk_video_reader *reader = NULL;
    trk_video_set_verbose(1);
    trk_video_set_verbose(0);
    assert_non_null(strstr(trk_video_versions(), "libavcodec "));
    write_bytes(in_scratch("loud.mp4"), "not a video\n", 12);
    int ends[2], saved = dup(STDERR_FILENO);
    assert_int_equal(pipe(ends), 0);
    fflush(stderr);
    dup2(ends[1], STDERR_FILENO);
    trk_status rc = trk_video_open(&reader, in_scratch("loud.mp4"), NULL);
    fflush(stderr);
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(ends[1]);
    char text[64];
    ssize_t n = read(ends[0], text, sizeof text);
    close(ends[0]);
    assert_int_equal(rc, TRK_E_FORMAT);
    assert_int_equal(n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_come_in_presentation_order),
        cmocka_unit_test(start_and_count_keep_numbers),
        cmocka_unit_test(containers_without_a_count),
        cmocka_unit_test(variable_frame_rate),
        cmocka_unit_test(other_streams_are_not_the_video),
        cmocka_unit_test(pixel_formats_ranges_and_matrices),
        cmocka_unit_test(rgb_and_gray_are_exact),
        cmocka_unit_test(chroma_position_is_respected),
        cmocka_unit_test(interleaving_goes_every_way),
        cmocka_unit_test(display_matrices_are_applied),
        cmocka_unit_test(a_part_of_a_recording_is_as_long_as_it_is),
        cmocka_unit_test(a_change_of_size_is_scaled),
        cmocka_unit_test(damaged_packets_are_skipped_and_counted),
        cmocka_unit_test(truncated_files_give_what_they_have),
        cmocka_unit_test(missing_frames_of_a_cut_file_are_counted),
        cmocka_unit_test(what_is_no_video_is_named),
        cmocka_unit_test(names_are_only_names),
        cmocka_unit_test(closing_at_any_moment),
        cmocka_unit_test(holding_every_picture_is_told),
        cmocka_unit_test(tiff_files_may_say_more_than_pixels),
        cmocka_unit_test(standard_input_is_read),
        cmocka_unit_test(a_pipe_cannot_be_reversed),
        cmocka_unit_test(an_mp4_without_index_in_front_cannot_be_piped),
        cmocka_unit_test(closing_while_a_pipe_is_silent),
        cmocka_unit_test(stopping_while_a_video_is_opened),
        cmocka_unit_test(stopping_while_a_pipe_is_silent),
        cmocka_unit_test(messages_stay_silent_unless_asked),
    };
    signal(SIGPIPE, SIG_IGN);
    alarm(300); /* a reader that hangs must fail, not wait */
    return cmocka_run_group_tests(tests, make_scratch, remove_scratch);
}
