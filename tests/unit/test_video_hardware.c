/* SPDX-License-Identifier: Apache-2.0
 * Decoding and encoding by a GPU, with a stand-in for its driver: FFmpeg's own code and that of video/ run as they do
 * with a card, and the pictures that come out are those of the CPU's decoder, byte for byte. What a real card does with
 * a stream is not tested here. */
#include "video_check.h"

#include <libavcodec/avcodec.h>
#include <libavutil/hwcontext.h>
#include <libavutil/pixdesc.h>

#include "stream.h"
#include "test_video_driver.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#else
#define __lsan_disable()
#define __lsan_enable()
#endif

#define MOST_PICTURES 64
#define QUIET_X265    "x265-params=log-level=none"

static const fixture plain = {.format = AV_PIX_FMT_YUV420P, .width = 96, .height = 64, .n_frames = 40, .b_frames = 3};

/* --- what the stand-in shows ------------------------------------------------------------------------------------ */

static AVFrame *shown[MOST_PICTURES]; /* in decoding order, by the CPU's decoder */

static int64_t count_packet(void *user, const AVPacket *packet)
{
    return (*(int64_t *)user)++;
}

static void show(int n, uint8_t *out, size_t pitch, int height, int bytes_each)
{
    const AVFrame *from = n < MOST_PICTURES ? shown[n] : NULL;
    for (int row = 0; from && row < height + (height + 1) / 2; row++) {
        const int chroma = row >= height, last = (from->height + chroma) / (1 + chroma) - 1;
        const int y = row - chroma * height < last ? row - chroma * height : last;
        const int width = chroma ? (from->width + 1) / 2 * 2 : from->width;
        for (int x = 0; x < width; x++) {
            const int plane = chroma ? 1 + x % 2 : 0, column = chroma ? x / 2 : x;
            const uint8_t *sample = from->data[plane] + y * from->linesize[plane] + column * bytes_each;
            uint8_t *to = out + (size_t)row * pitch + x * bytes_each;
            uint16_t wide;
            if (bytes_each == 1) {
                *to = *sample;
                continue;
            }
            memcpy(&wide, sample, 2);
            wide = (uint16_t)(wide << 6); /* ten bits on top */
            memcpy(to, &wide, 2);
        }
    }
}

static void forget_pictures(void)
{
    for (int i = 0; i < MOST_PICTURES; i++)
        av_frame_free(&shown[i]);
}

/* From now on the stand-in shows what is in this video. */
static void learn(const char *path)
{
    int64_t n_packets = 0;
    video_stop stop = {0};
    stream s;
    AVFrame *frame = av_frame_alloc();
    forget_pictures();
    assert_works(trk_stream_open(&s, path, 1, NULL, &stop));
    s.tag = count_packet;
    s.tag_user = &n_packets;
    while (trk_stream_decode(&s, frame) == TRK_OK) {
        assert_in_range(frame->pts, 0, MOST_PICTURES - 1);
        shown[frame->pts] = av_frame_clone(frame);
    }
    trk_stream_close(&s);
    av_frame_free(&frame);
}

static int reset_driver(void **state)
{
    driver = (driver_state){.decode_fails_after = -1, .show = show};
    return 0;
}

/* Nothing of the device is left in use. */
static int check_driver(void **state)
{
    forget_pictures();
    if (driver.n_mapped || driver.n_blocks || driver.n_retained || driver.n_contexts)
        print_error("in use: %d pictures, %d blocks, %d + %d contexts\n", driver.n_mapped, driver.n_blocks,
                    driver.n_retained, driver.n_contexts);
    return driver.n_mapped || driver.n_blocks || driver.n_retained || driver.n_contexts;
}

/* Not where this FFmpeg does not take the stand-in for a driver (without CUDA, or asking for more of it). */
static int has_device(void)
{
    AVBufferRef *device = NULL;
    const int error = av_hwdevice_ctx_create(&device, AV_HWDEVICE_TYPE_CUDA, "0", NULL, 1);
    av_buffer_unref(&device);
    return error >= 0;
}

static void need_device(void)
{
    if (!has_device())
        skip();
}

/* --- reading ---------------------------------------------------------------------------------------------------- */

static char told[512];
static int n_told;

static void keep_line(void *user, trk_log_level level, const char *line)
{
    if (level != TRK_LOG_INFO)
        return;
    n_told++;
    snprintf(told, sizeof told, "%s", line);
}

static clip read_as(const char *path, const trk_video_params *params)
{
    n_told = 0;
    *told = 0;
    driver.n_decoded = 0;
    trk_log_set(keep_line, NULL, TRK_LOG_INFO);
    clip c = read_clip(path, params);
    trk_log_set(NULL, NULL, TRK_LOG_ERROR);
    return c;
}

static void check_same(const clip *c, const clip *expected)
{
    assert_int_equal(c->n, expected->n);
    assert_int_equal(c->width, expected->width);
    assert_int_equal(c->height, expected->height);
    assert_int_equal(c->promised, expected->promised);
    assert_int_equal(c->exact, expected->exact);
    assert_int_equal(c->end, expected->end);
    assert_int_equal(c->damaged, expected->damaged);
    for (int i = 0; i < c->n; i++) {
        assert_int_equal(c->index[i], expected->index[i]);
        assert_true(c->pts[i] == expected->pts[i]);
        if (memcmp(clip_frame(c, i), clip_frame(expected, i), (size_t)c->width * (size_t)c->height * 3))
            fail_msg("%s: frame %d differs", c->description, i);
    }
}

static const int32_t quarter_turn[9] = {0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30};

#ifdef AV_HWACCEL_FLAG_UNSAFE_OUTPUT /* such an FFmpeg copies frames, odd ones wrongly: those are left to the CPU */
enum { ODD_SIZES = 0 };
#else
enum { ODD_SIZES = 1 };
#endif

static void the_pictures_are_those_of_the_cpu(void **state)
{
    static const struct {
        const char *name, *encoder, *container, *description;
        fixture f;
        int stays;
    } cases[] = {
        {"a.mp4", NULL, "mp4", "h264 nv12 by GPU 96x64 25 fps", {.width = 96, .height = 64, .b_frames = 3}, 1},
        {"b.mp4", NULL, "mp4", "h264 nv12 by GPU 90x50 25 fps", {.width = 90, .height = 50}, 1},
        {"c.mp4", NULL, "mp4", "h264 nv12 by GPU 1280x722 25 fps", {.width = 1280, .height = 722}, 1},
        {"d.mp4", NULL, "mp4", "h264 nv12 by GPU", {.matrix = AVCOL_SPC_BT709, .range = AVCOL_RANGE_JPEG}, 1},
        {"e.mp4", NULL, "mp4", "h264 nv12 by GPU", {.matrix = AVCOL_SPC_BT2020_NCL}, 1},
        {"f.mp4", NULL, "mp4", "h264 nv12 by GPU", {.matrix = AVCOL_SPC_FCC}, 0},
        {"g.mp4", NULL, "mp4", "h264 nv12 by GPU 64x96 25 fps", {.display = quarter_turn}, 0},
        {"h.mp4", "libx265", "mp4", "hevc p010le by GPU", {.format = AV_PIX_FMT_YUV420P10, .options = QUIET_X265}, 0},
        {"i.mp4", "libx265", "mp4", "hevc nv12 by GPU", {.b_frames = 2, .options = QUIET_X265}, 1},
        {"j.mkv", "libvpx-vp9", "matroska", "vp9 nv12 by GPU", {.width = 94 + ODD_SIZES, .height = 62 + ODD_SIZES}, 1},
        {"k.mkv", "mpeg4", "matroska", "mpeg4 nv12 by GPU", {.width = 96}, 1},
    };
    int n_read = 0;
    need_device();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fixture f = cases[i].f;
        f.encoder = cases[i].encoder;
        f.container = cases[i].container;
        f.format = f.format ? f.format : AV_PIX_FMT_YUV420P;
        f.width = f.width ? f.width : 96;
        f.height = f.height ? f.height : 64;
        f.n_frames = f.width > 1000 ? 8 : 40;
        char path[256];
        snprintf(path, sizeof path, "%s", in_scratch(cases[i].name));
        __lsan_disable(); /* libx265 keeps something of what it opens */
        const int failed = fixture_write(path, &f);
        __lsan_enable();
        if (failed < 0)
            fail_msg("%s: not written", cases[i].name);
        if (failed) /* there is no such encoder */
            continue;
        n_read++;
        learn(path);
        clip by_cpu = read_clip(path, NULL);
        for (int delivery = TRK_DELIVER_RGB; delivery <= TRK_DELIVER_BOTH; delivery++) {
            const trk_video_params params = {
                .start = -1, .n_frames = -1, .hardware = {TRK_HARDWARE_MUST, 0}, .delivery = delivery};
            clip by_gpu = read_as(path, &params);
            if (strncmp(by_gpu.description, cases[i].description, strlen(cases[i].description)))
                fail_msg("%s: \"%s\"", cases[i].name, by_gpu.description);
            assert_int_equal(n_told, 1);
            assert_non_null(strstr(told, "decoded by CUDA device 0"));
            check_same(&by_gpu, &by_cpu);
            clip_free(&by_gpu);
            assert_int_equal(driver.n_retained, 0);
        }
        trk_video_reader *reader = NULL;
        trk_picture *picture;
        const trk_video_params params = {
            .start = -1, .n_frames = 1, .hardware = {TRK_HARDWARE_MUST, 0}, .delivery = TRK_DELIVER_PLANES};
        assert_works(trk_video_open(&reader, path, &params));
        assert_works(trk_video_read(reader, &picture));
        if ((picture->device.planes[0] != NULL) != cases[i].stays)
            fail_msg("%s: stays on the device: %d", cases[i].name, picture->device.planes[0] != NULL);
        assert_int_equal(picture->rgb == NULL, cases[i].stays);
        trk_video_release(reader, picture);
        trk_video_close(&reader);
        clip_free(&by_cpu);
    }
    assert_true(n_read >= 6); /* of eleven: FFmpeg is built without some encoders */
}

static void check_plane(const uint8_t *at, ptrdiff_t stride, const AVFrame *expected, int chroma)
{
    const int width = expected->width, height = chroma ? expected->height / 2 : expected->height;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            const int plane = chroma ? 1 + x % 2 : 0;
            assert_int_equal(driver_bytes(at + y * stride)[x],
                             expected->data[plane][y * expected->linesize[plane] + (chroma ? x / 2 : x)]);
        }
}

/* No B-frames: decoding order is that of presentation, so that planes can be checked by number. */
static void planes_stay_and_pixels_come_when_asked(void **state)
{
    fixture f = plain;
    f.options = "bf=0";
    f.matrix = AVCOL_SPC_BT709;
    need_device();
    char *path = make_video("planes.mp4", &f);
    learn(path);
    clip by_cpu = read_clip(path, &(trk_video_params){.start = 5, .n_frames = 30});
    trk_video_reader *reader = NULL;
    trk_picture *picture, *held[2];
    const trk_video_params params = {
        .start = 5, .n_frames = 30, .hardware = {TRK_HARDWARE_TRY, 0}, .delivery = TRK_DELIVER_PLANES};
    driver.n_decoded = 0;
    assert_works(trk_video_open(&reader, path, &params));
    assert_int_equal(trk_video_get_info(reader)->by_hardware, 1);
    for (int i = 0; i < 30; i++) {
        assert_works(trk_video_read(reader, &picture));
        assert_int_equal(picture->index, 5 + i);
        assert_null(picture->rgb);
        assert_int_equal(picture->device.matrix, 709);
        assert_int_equal(picture->device.full_range, 0);
        check_plane(picture->device.planes[0], picture->device.strides[0], shown[5 + i], 0);
        check_plane(picture->device.planes[1], picture->device.strides[1], shown[5 + i], 1);
        const int before = driver.n_downloads, wanted = i % 3 == 1;
        for (int times = 0; wanted && times < 2; times++) {
            assert_works(trk_video_pixels(reader, picture));
            assert_int_equal(driver.n_downloads, before + 2); /* luma and chroma, once */
            for (int y = 0; y < 64; y++)
                assert_memory_equal(picture->rgb + y * picture->stride, clip_frame(&by_cpu, i) + (size_t)y * 96 * 3,
                                    96 * 3);
        }
        assert_int_equal(driver.n_downloads, before + 2 * wanted);
        if (i < 2)
            held[i] = picture; /* while the thread goes on */
        else
            trk_video_release(reader, picture);
        if (i == 12) {
            check_plane(held[0]->device.planes[0], held[0]->device.strides[0], shown[5], 0);
            trk_video_release(reader, held[0]);
            trk_video_release(reader, held[1]);
        }
    }
    assert_int_equal(trk_video_read(reader, &picture), TRK_END);
    trk_video_close(&reader);
    assert_in_range(driver.most_mapped, 1, 12);
    clip_free(&by_cpu);
}

/* Frames of another size than the first leave the device, scaled. */
static void a_change_of_size_is_scaled(void **state)
{
    need_device();
    fixture f = plain;
    f.container = "h264";
    f.n_frames = 10;
    size_t n_first, n_second;
    uint8_t *first = read_bytes(make_video("first.h264", &f), &n_first);
    f.width = 128;
    f.height = 96;
    uint8_t *second = read_bytes(make_video("second.h264", &f), &n_second);
    first = realloc(first, n_first + n_second);
    memcpy(first + n_first, second, n_second);
    char *path = in_scratch("both.h264");
    write_bytes(path, first, n_first + n_second);
    free(first);
    free(second);
    learn(path);
    clip by_cpu = read_clip(path, NULL);
    const trk_video_params params = {
        .start = -1, .n_frames = -1, .hardware = {TRK_HARDWARE_MUST, 0}, .delivery = TRK_DELIVER_BOTH};
    clip by_gpu = read_as(path, &params);
    check_same(&by_gpu, &by_cpu);
    clip_free(&by_gpu);
    trk_video_reader *reader = NULL;
    trk_picture *picture;
    trk_video_params late = params;
    late.delivery = TRK_DELIVER_PLANES;
    driver.n_decoded = 0;
    assert_works(trk_video_open(&reader, path, &late));
    for (int i = 0; i < 20; i++) {
        assert_works(trk_video_read(reader, &picture));
        assert_int_equal(picture->rgb == NULL, i < 10);
        assert_int_equal(picture->device.planes[0] != NULL, i < 10);
        assert_works(trk_video_pixels(reader, picture));
        assert_memory_equal(picture->rgb + picture->stride, clip_frame(&by_cpu, i) + (size_t)96 * 3, 96 * 3);
        trk_video_release(reader, picture);
    }
    trk_video_close(&reader);
    clip_free(&by_cpu);
}

/* --- falling back ----------------------------------------------------------------------------------------------- */

/* The CPU decodes the same, told once; asked for the GPU alone, that is an error of one line. */
static void check_fallback(const char *path, int reverse, const char *reason)
{
    trk_video_params params = {.start = -1, .n_frames = -1, .reverse = reverse};
    clip expected = read_clip(path, &params);
    params.delivery = TRK_DELIVER_PLANES;
    params.hardware.use = TRK_HARDWARE_TRY;
    clip found = read_as(path, &params);
    if (n_told != 1 || !strstr(told, ": decoded by the CPU: ") || !strstr(told, reason))
        fail_msg("%d lines, \"%s\", expected \"%s\"", n_told, told, reason);
    check_same(&found, &expected);
    assert_string_equal(found.description, expected.description);
    clip_free(&found);
    clip_free(&expected);
    trk_video_reader *reader = NULL;
    params.hardware.use = TRK_HARDWARE_MUST;
    assert_fails(trk_video_open(&reader, path, &params), TRK_E_UNSUPPORTED, "cannot be decoded by the GPU: ");
    assert_non_null(strstr(trk_error_text(), reason));
    assert_null(reader);
}

static void without_a_device(void **state)
{
    char *path = make_video("fallback.mp4", &plain);
    learn(path);
    driver.no_device = 1;
    check_fallback(path, 0, "CUDA device 0 cannot be used by FFmpeg: ");
}

static void contexts_that_do_not_fit_together(void **state)
{
    need_device();
    char *path = make_video("fallback.mp4", &plain);
    learn(path);
    driver.primary_active = 1;
    driver.primary_flags = 1; /* spinning; FFmpeg wants blocking */
    AVBufferRef *device = NULL;
    if (av_hwdevice_ctx_create(&device, AV_HWDEVICE_TYPE_CUDA, "0", NULL, 1) >= 0) {
        av_buffer_unref(&device); /* this FFmpeg does not mind */
        skip();
    }
    check_fallback(path, 0, "Primary context already active with incompatible flags");
}

static void what_the_device_does_not_take(void **state)
{
    need_device();
    char *path = make_video("fallback.mp4", &plain);
    learn(path);
    driver.unsupported = 1;
    check_fallback(path, 0, "the device does not take this kind of h264");
    driver.unsupported = 0;
    driver.no_decoder = 1;
    check_fallback(path, 0, "the device does not take this kind of h264");
    driver.no_decoder = 0;
    driver.decode_fails_after = 0;
    check_fallback(path, 0, "no frame could be decoded");
    driver.decode_fails_after = -1;
    assert_int_equal(driver.n_decoded, 0);
    fixture f = plain;
    f.format = AV_PIX_FMT_YUV444P;
    check_fallback(make_video("444.mp4", &f), 0, "the device does not take this kind of h264");
    f = (fixture){.encoder = "ffv1", .container = "matroska", .format = AV_PIX_FMT_YUV420P};
    f.width = f.height = 64;
    f.n_frames = 3;
    check_fallback(make_video("lossless.mkv", &f), 0, "FFmpeg has no way to decode ffv1 there");
    f.encoder = "libvpx-vp9";
    for (int odd = 0; !ODD_SIZES && odd < 2; odd++) {
        f.width = 64 - odd;
        f.height = 63 + odd;
        check_fallback(make_video("odd.mkv", &f), 0, "the device does not take this kind of vp9");
    }
    check_fallback(path, 1, "reading in reverse is done by the CPU");
}

/* The decoder of AV1 that uses a device decodes nothing by itself. */
static void a_decoder_that_only_uses_the_device(void **state)
{
    need_device();
    fixture f = {.encoder = "libaom-av1", .options = "cpu-used=8", .container = "matroska"};
    f.format = AV_PIX_FMT_YUV420P;
    f.width = f.height = 64;
    f.n_frames = 4;
    char *path = make_video("av1.mkv", &f);
    driver.unsupported = 1;
    check_fallback(path, 0, "");
}

static void images_are_for_the_cpu(void **state)
{
    need_device();
    char name[64];
    uint8_t rgb[16 * 16 * 3];
    char folder[256];
    snprintf(folder, sizeof folder, "%s", make_folder("images"));
    for (int i = 0; i < 3; i++) {
        memset(rgb, 50 * i, sizeof rgb);
        snprintf(name, sizeof name, "images/%d.png", i);
        assert_works(trk_image_write_rgb(in_scratch(name), rgb, 16, 16, 48));
    }
    check_fallback(folder, 0, "images are decoded by the CPU");
}

static void what_is_no_video_stays_an_error(void **state)
{
    trk_video_reader *reader = NULL;
    const trk_video_params params = {.start = -1, .n_frames = -1, .hardware = {TRK_HARDWARE_TRY, 0}};
    write_bytes(in_scratch("text.mp4"), "not a video\n", 12);
    trk_log_set(keep_line, NULL, TRK_LOG_INFO);
    n_told = 0;
    assert_fails(trk_video_open(&reader, in_scratch("text.mp4"), &params), TRK_E_FORMAT, "text.mp4: not a video");
    assert_fails(trk_video_open(&reader, in_scratch("absent.mp4"), &params), TRK_E_IO, "absent.mp4: No such file");
    trk_log_set(NULL, NULL, TRK_LOG_ERROR);
    assert_int_equal(n_told, has_device() ? 0 : 2); /* without one that is what is told, of each file */
    assert_fails(trk_video_open(&reader, in_scratch("text.mp4"),
                                &(trk_video_params){.n_frames = -1, .hardware = {TRK_HARDWARE_TRY, -1}}),
                 TRK_E_ARGUMENT, "CUDA device -1");
    assert_fails(trk_video_open(&reader, in_scratch("text.mp4"),
                                &(trk_video_params){.n_frames = -1, .hardware = {TRK_HARDWARE_MUST, 7}}),
                 TRK_E_UNSUPPORTED, "CUDA device 7 cannot be used");
    assert_null(reader);
}

/* A pipe cannot be opened again: what the decoder itself goes over to still works. */
static void pipes_fall_back_inside_the_decoder(void **state)
{
    need_device();
    fixture f = plain;
    f.container = "h264";
    size_t bytes;
    char *path = make_video("pipe.h264", &f);
    uint8_t *data = read_bytes(path, &bytes);
    learn(path);
    clip expected = read_clip(path, NULL);
    for (int unsupported = 0; unsupported < 2; unsupported++) {
        int ends[2], saved = dup(STDIN_FILENO);
        assert_int_equal(pipe(ends), 0);
        assert_true(bytes < 65536); /* fits in the pipe */
        assert_int_equal(write(ends[1], data, bytes), bytes);
        close(ends[1]);
        dup2(ends[0], STDIN_FILENO);
        close(ends[0]);
        driver.unsupported = unsupported;
        clip c = read_as("-", &(trk_video_params){.start = -1, .n_frames = -1, .hardware = {TRK_HARDWARE_TRY, 0}});
        assert_non_null(strstr(told, unsupported ? "-: decoded by the CPU" : "-: decoded by CUDA"));
        dup2(saved, STDIN_FILENO);
        close(saved);
        assert_int_equal(c.n, expected.n);
        assert_memory_equal(c.rgb, expected.rgb, (size_t)c.n * 96 * 64 * 3);
        clip_free(&c);
    }
    clip_free(&expected);
    free(data);
}

/* After the first picture a failure of the device is damage, as in any decoder. */
static void a_later_failure_is_damage(void **state)
{
    need_device();
    char *path = make_video("later.mp4", &plain);
    learn(path);
    driver.decode_fails_after = 20;
    clip c = read_as(path, &(trk_video_params){.start = -1, .n_frames = -1, .hardware = {TRK_HARDWARE_TRY, 0}});
    assert_in_range(c.n, 10, 40);
    assert_true(c.damaged > 0);
    assert_int_equal(c.end, TRK_END);
    clip_free(&c);
}

/* --- the choice of a format ------------------------------------------------------------------------------------- */

static void formats_are_chosen(void **state)
{
    static const struct {
        enum AVPixelFormat offered[5], chosen;
    } cases[] = {
        {{AV_PIX_FMT_CUDA, AV_PIX_FMT_VAAPI, AV_PIX_FMT_YUV420P, AV_PIX_FMT_NONE}, AV_PIX_FMT_CUDA},
        {{AV_PIX_FMT_VDPAU, AV_PIX_FMT_CUDA, AV_PIX_FMT_YUV420P10, AV_PIX_FMT_NONE}, AV_PIX_FMT_CUDA},
        {{AV_PIX_FMT_VAAPI, AV_PIX_FMT_YUVJ420P, AV_PIX_FMT_NONE}, AV_PIX_FMT_YUVJ420P},
        {{AV_PIX_FMT_YUV444P, AV_PIX_FMT_NONE}, AV_PIX_FMT_YUV444P},
        {{AV_PIX_FMT_CUDA, AV_PIX_FMT_GRAY8, AV_PIX_FMT_NONE}, AV_PIX_FMT_GRAY8},
        {{AV_PIX_FMT_CUDA, AV_PIX_FMT_GBRP, AV_PIX_FMT_NONE}, AV_PIX_FMT_GBRP},
        {{AV_PIX_FMT_VAAPI, AV_PIX_FMT_NONE}, AV_PIX_FMT_NONE},
    };
    const AVCodec *decoder = avcodec_find_decoder(AV_CODEC_ID_H264);
    AVCodecContext *codec = avcodec_alloc_context3(decoder);
    codec->hw_device_ctx = av_hwdevice_ctx_alloc(AV_HWDEVICE_TYPE_CUDA);
    if (!codec->hw_device_ctx)
        skip(); /* FFmpeg without CUDA */
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(trk_hardware_choose(codec, cases[i].offered), cases[i].chosen);
    avcodec_free_context(&codec);
}

/* --- writing ---------------------------------------------------------------------------------------------------- */

static trk_status write_clip(const char *path, const trk_video_hardware *hardware)
{
    trk_video_writer *writer = NULL;
    n_told = 0;
    trk_log_set(keep_line, NULL, TRK_LOG_INFO);
    trk_status rc = trk_video_writer_open(&writer, path, &(trk_video_format){160, 96, 25, 1, 0, 0}, hardware);
    trk_log_set(NULL, NULL, TRK_LOG_ERROR);
    for (int i = 0; i < 10 && rc == TRK_OK; i++) {
        trk_picture *picture;
        rc = trk_video_writer_begin(writer, &picture);
        for (int y = 0; rc == TRK_OK && y < 96; y++)
            memset(picture->rgb + y * picture->stride, 10 * i + y, 3 * 160);
        rc = rc ? rc : trk_video_writer_submit(writer, picture);
    }
    rc = rc ? rc : trk_video_writer_finish(writer);
    trk_video_writer_destroy(&writer);
    return rc;
}

/* The stand-in does not encode, so opening it fails: with a device, and without. */
static void encoding_falls_back(void **state)
{
    size_t bytes[2];
    uint8_t *data[2];
    char folder[256];
    snprintf(folder, sizeof folder, "%s", make_folder("encoded"));
    for (int no_device = 0; no_device < 2; no_device++) {
        driver.no_device = no_device;
        assert_works(write_clip(in_scratch("encoded/cpu.mp4"), &(trk_video_hardware){TRK_HARDWARE_OFF, 0}));
        assert_int_equal(n_told, 0);
        assert_works(write_clip(in_scratch("encoded/try.mp4"), &(trk_video_hardware){TRK_HARDWARE_TRY, 0}));
        assert_int_equal(n_told, 1);
        assert_non_null(strstr(told, "try.mp4: encoded by the CPU: "));
        data[0] = read_bytes(in_scratch("encoded/cpu.mp4"), &bytes[0]);
        data[1] = read_bytes(in_scratch("encoded/try.mp4"), &bytes[1]);
        assert_int_equal(bytes[0], bytes[1]);
        assert_memory_equal(data[0], data[1], bytes[0]);
        free(data[0]);
        free(data[1]);
        assert_fails(write_clip(in_scratch("encoded/must.mp4"), &(trk_video_hardware){TRK_HARDWARE_MUST, 0}),
                     TRK_E_UNSUPPORTED, "must.mp4: cannot be encoded by the GPU: ");
        assert_int_equal(count_files(folder), 2);
    }
    assert_non_null(strstr(trk_error_text(), "CUDA device 0"));
}

#ifdef __SANITIZE_THREAD__
/* The reference counts of frames are FFmpeg's, whose code is not instrumented: that the last one lets go after the
 * other has read is not seen. */
const char *__tsan_default_suppressions(void);
__attribute__((visibility("default"))) const char *__tsan_default_suppressions(void)
{
    return "race:driver_allocate\nrace:libavutil\n";
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, reset_driver, check_driver)
        TEST(the_pictures_are_those_of_the_cpu),
        TEST(planes_stay_and_pixels_come_when_asked),
        TEST(a_change_of_size_is_scaled),
        TEST(without_a_device),
        TEST(contexts_that_do_not_fit_together),
        TEST(what_the_device_does_not_take),
        TEST(a_decoder_that_only_uses_the_device),
        TEST(images_are_for_the_cpu),
        TEST(what_is_no_video_stays_an_error),
        TEST(pipes_fall_back_inside_the_decoder),
        TEST(a_later_failure_is_damage),
        TEST(formats_are_chosen),
        TEST(encoding_falls_back),
    };
    alarm(300); /* a reader that hangs must fail, not wait */
    return cmocka_run_group_tests(tests, make_scratch, remove_scratch);
}
