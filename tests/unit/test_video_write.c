/* SPDX-License-Identifier: Apache-2.0
 * Writing videos and images, reading images and folders of them, and that a failure leaves nothing behind. */
#include "video_check.h"

#include <fcntl.h>
#include <libavcodec/avcodec.h>
#include <math.h>
#include <sys/resource.h>

#define WIDTH  96
#define HEIGHT 64

static const trk_video_format usual = {.width = WIDTH, .height = HEIGHT, .rate_num = 25, .rate_den = 1};
static const trk_video_format small = {.width = 64, .height = 64, .rate_num = 25, .rate_den = 1};

/* A moving picture that survives lossy coding well, with the frame number as the fixtures carry it. */
static uint8_t pixel(int channel, int x, int y, int width, int height, int number)
{
    if (y < height / 4)
        return number >> (FIXTURE_FIELDS - 1 - x * FIXTURE_FIELDS / width) & 1 ? 230 : 25;
    return (uint8_t)(128 + 100 * sin(0.03 * x + 0.02 * y + 0.7 * channel + 0.1 * number));
}

static void draw(trk_picture *picture, int number)
{
    for (int y = 0; y < picture->height; y++)
        for (int x = 0; x < picture->width; x++)
            for (int c = 0; c < 3; c++)
                picture->rgb[y * picture->stride + 3 * x + c] = pixel(c, x, y, picture->width, picture->height, number);
}

static trk_status write_as(const char *path, const trk_video_format *format, int n)
{
    trk_video_writer *writer = NULL;
    trk_status rc = trk_video_writer_open(&writer, path, format, NULL);
    for (int i = 0; i < n && rc == TRK_OK; i++) {
        trk_picture *picture;
        if ((rc = trk_video_writer_begin(writer, &picture)) == TRK_OK) {
            draw(picture, i);
            rc = trk_video_writer_submit(writer, picture);
        }
    }
    if (rc == TRK_OK)
        rc = trk_video_writer_finish(writer);
    trk_video_writer_destroy(&writer);
    assert_null(writer);
    return rc;
}

static trk_status write_clip(const char *path, int width, int height, int n, int rate_num, int rate_den)
{
    return write_as(path, &(trk_video_format){width, height, rate_num, rate_den, 0, 0}, n);
}

static void check_written(const char *path, int width, int height, int n, double rate)
{
    clip c = read_whole(path);
    assert_int_equal(c.width, width + (width & 1));
    assert_int_equal(c.height, height + (height & 1));
    assert_int_equal(c.n, n);
    double error = 0;
    for (int i = 0; i < n; i++) {
        assert_int_equal(fixture_number(clip_frame(&c, i), c.width * 3, width, height), i);
        assert_true(fabs(c.pts[i] - i / rate) < 1e-3);
        for (int y = 0; y < height; y++)
            for (int x = 0; x < width; x++)
                for (int channel = 0; channel < 3; channel++) {
                    double d =
                        clip_frame(&c, i)[(y * c.width + x) * 3 + channel] - pixel(channel, x, y, width, height, i);
                    error += d * d;
                }
    }
    double psnr = 10 * log10(255.0 * 255.0 * n * width * height * 3 / error);
    assert_true(psnr > 33); /* hard edges in halved chroma cost most of it; a wrong matrix or range gives below 25 */
    clip_free(&c);
}

static void what_is_written_is_read(void **state)
{
    static const struct {
        const char *name;
        int width, height, n, num, den;
    } cases[] = {{"a.mp4", 96, 64, 30, 25, 1}, {"b.mkv", 97, 65, 30, 30000, 1001},   {"c.mov", 64, 33, 5, 24, 1},
                 {"D.MP4", 66, 64, 1, 60, 1},  {"e.mp4", 1280, 720, 3, 24000, 1001}, {"f.mp4", 64, 64, 200, 25, 2}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *path = in_scratch(cases[i].name);
        assert_works(write_clip(path, cases[i].width, cases[i].height, cases[i].n, cases[i].num, cases[i].den));
        check_written(path, cases[i].width, cases[i].height, cases[i].n, (double)cases[i].num / cases[i].den);
    }
}

/* The padding of an odd side repeats the edge: decoded, it looks like its neighbour. */
static void odd_sides_repeat_the_edge(void **state)
{
    char *path = in_scratch("odd.mp4");
    assert_works(write_clip(path, 97, 65, 2, 25, 1));
    clip c = read_whole(path);
    const uint8_t *last = clip_frame(&c, 1);
    for (int y = 20; y < 66; y++)
        for (int channel = 0; channel < 3; channel++)
            assert_true(abs(last[(y * 98 + 97) * 3 + channel] - last[(y * 98 + 96) * 3 + channel]) < 16);
    for (int x = 0; x < 98; x++)
        for (int channel = 0; channel < 3; channel++)
            assert_true(abs(last[(65 * 98 + x) * 3 + channel] - last[(64 * 98 + x) * 3 + channel]) < 16);
    clip_free(&c);
}

/* As on tapes and discs: the file says how wide a pixel is shown. */
static void pixels_keep_their_shape(void **state)
{
    static const struct {
        const char *name;
        int width, height, read_width, read_height;
    } cases[] = {{"wide.mp4", 64, 45, 64, 45}, {"tall.mkv", 8, 9, 8, 9},    {"square.mov", 1, 1, 1, 1},
                 {"said.mp4", 72, 72, 1, 1},   {"unknown.mkv", 0, 0, 1, 1}, {"half-said.mp4", 4, 0, 1, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        trk_video_format format = usual;
        format.pixel_width = cases[i].width;
        format.pixel_height = cases[i].height;
        char *path = in_scratch(cases[i].name);
        assert_works(write_as(path, &format, 2));
        trk_video_reader *reader = NULL;
        for (int reverse = 0; reverse < 2; reverse++) {
            assert_works(
                trk_video_open(&reader, path, &(trk_video_params){.start = -1, .n_frames = -1, .reverse = reverse}));
            const trk_video_info *info = trk_video_get_info(reader);
            assert_int_equal(info->pixel_width, cases[i].read_width);
            assert_int_equal(info->pixel_height, cases[i].read_height);
            trk_video_close(&reader);
        }
    }
    trk_video_writer *writer = NULL;
    trk_video_format format = usual;
    format.pixel_width = -1;
    assert_fails(trk_video_writer_open(&writer, in_scratch("x.mp4"), &format, NULL), TRK_E_ARGUMENT, "-1:0");
}

static void colours_and_index_position(void **state)
{
    char *path = in_scratch("front.mp4");
    assert_works(write_clip(path, WIDTH, HEIGHT, 10, 25, 1));
    size_t bytes;
    uint8_t *data = read_bytes(path, &bytes), *index = memmem(data, bytes, "moov", 4),
            *media = memmem(data, bytes, "mdat", 4);
    assert_true(index && media && index < media); /* plays while it is still being downloaded */
    free(data);
}

static void pictures_are_numbered_and_bounded(void **state)
{
    trk_video_writer *writer = NULL;
    trk_picture *held[8];
    assert_works(trk_video_writer_open(&writer, in_scratch("held.mp4"), &usual, NULL));
    for (int i = 0; i < 4; i++) {
        assert_works(trk_video_writer_begin(writer, &held[i]));
        assert_int_equal(held[i]->width, WIDTH);
        draw(held[i], i);
    }
    assert_fails(trk_video_writer_begin(writer, &held[4]), TRK_E_STATE, "hand one over");
    trk_picture foreign = {0};
    assert_fails(trk_video_writer_submit(writer, &foreign), TRK_E_ARGUMENT, "not taken");
    for (int i = 0; i < 4; i++)
        assert_works(trk_video_writer_submit(writer, held[i]));
    assert_works(trk_video_writer_begin(writer, &held[0]));
    assert_int_equal(held[0]->index, 4);
    draw(held[0], 4);
    assert_works(trk_video_writer_submit(writer, held[0]));
    assert_works(trk_video_writer_finish(writer));
    assert_fails(trk_video_writer_finish(writer), TRK_E_STATE, "already finished");
    assert_fails(trk_video_writer_begin(writer, &held[0]), TRK_E_STATE, "already finished");
    trk_video_writer_destroy(&writer);
    check_written(in_scratch("held.mp4"), WIDTH, HEIGHT, 5, 25);
}

static void giving_up_leaves_nothing(void **state)
{
    char folder[256];
    snprintf(folder, sizeof folder, "%s", make_folder("given-up"));
    for (int n = 0; n < 12; n++) {
        trk_video_writer *writer = NULL;
        trk_picture *picture;
        assert_works(trk_video_writer_open(&writer, in_scratch("given-up/x.mp4"), &usual, NULL));
        assert_int_equal(count_files(folder), 1);
        for (int i = 0; i < n; i++) {
            assert_works(trk_video_writer_begin(writer, &picture));
            if (i + 1 < n || n % 2) /* sometimes one is still held */
                assert_works(trk_video_writer_submit(writer, picture));
        }
        trk_video_writer_destroy(&writer);
        trk_video_writer_destroy(&writer);
        assert_int_equal(count_files(folder), 0);
    }
    trk_video_writer *writer = NULL;
    assert_works(trk_video_writer_open(&writer, in_scratch("given-up/x.mp4"), &usual, NULL));
    assert_fails(trk_video_writer_finish(writer), TRK_E_STATE, "no picture");
    trk_video_writer_destroy(&writer);
    assert_int_equal(count_files(folder), 0);
}

static void what_cannot_be_written_is_named(void **state)
{
    trk_video_writer *writer = NULL;
    char *folder = make_folder("taken.mp4");
    assert_fails(trk_video_writer_open(&writer, folder, &small, NULL), TRK_E_IO,
                 "taken.mp4: cannot be written: is a folder");
    assert_fails(trk_video_writer_open(&writer, in_scratch("x.txt"), &small, NULL), TRK_E_ARGUMENT, "ends in .mp4");
    assert_fails(trk_video_writer_open(&writer, in_scratch("mp4"), &small, NULL), TRK_E_ARGUMENT, "ends in .mp4");
    assert_fails(trk_video_writer_open(&writer, in_scratch("absent/x.mp4"), &small, NULL), TRK_E_IO,
                 "absent/x.mp4: cannot be written: No such file");
    assert_fails(trk_video_writer_open(&writer, in_scratch("x.mp4"), &(trk_video_format){0, 64, 25, 1, 0, 0}, NULL),
                 TRK_E_ARGUMENT, "0x64");
    assert_fails(
        trk_video_writer_open(&writer, in_scratch("x.mp4"), &(trk_video_format){64, 1 << 20, 25, 1, 0, 0}, NULL),
        TRK_E_ARGUMENT, "64x1048576");
    assert_fails(trk_video_writer_open(&writer, in_scratch("x.mp4"), &(trk_video_format){64, 64, 0, 1, 0, 0}, NULL),
                 TRK_E_ARGUMENT, "0/1");
    assert_null(writer);
    assert_int_equal(access(in_scratch("x.mp4"), F_OK), -1);
}

/* A pipe is written to, not replaced; a link keeps leading to what is now the image. */
static void what_is_no_file_is_written_in_place(void **state)
{
    static const uint8_t rgb[8 * 8 * 3];
    make_folder("places");
    char *fifo = in_scratch("places/pipe.png"), *link = in_scratch("places/link.png");
    struct stat info;
    uint8_t signature[8] = {0};
    trk_video_writer *writer = NULL;
    assert_int_equal(mkfifo(fifo, 0600), 0);
    const int fd = open(fifo, O_RDONLY | O_NONBLOCK);
    assert_works(trk_image_write_rgb(fifo, rgb, 8, 8, 24));
    assert_int_equal(read(fd, signature, sizeof signature), sizeof signature);
    assert_memory_equal(signature, "\x89PNG\r\n\x1a\n", sizeof signature);
    close(fd);
    assert_true(!lstat(fifo, &info) && S_ISFIFO(info.st_mode));
    assert_int_equal(symlink("image.png", link), 0); /* of a file that is not there yet */
    assert_works(trk_image_write_rgb(link, rgb, 8, 8, 24));
    assert_true(!lstat(link, &info) && S_ISLNK(info.st_mode));
    assert_true(!lstat(in_scratch("places/image.png"), &info) && S_ISREG(info.st_mode));
    assert_int_equal(symlink("pipe.png", in_scratch("places/o.mp4")), 0);
    assert_fails(trk_video_writer_open(&writer, in_scratch("places/o.mp4"), &small, NULL), TRK_E_UNSUPPORTED,
                 "o.mp4: cannot be written: a video needs a regular file");
    assert_int_equal(symlink("round.png", in_scratch("places/round.png")), 0);
    assert_fails(trk_image_write_rgb(in_scratch("places/round.png"), rgb, 8, 8, 24), TRK_E_IO, "round.png: Too many");
    assert_int_equal(count_files(in_scratch("places")), 5);
}

/* Stands in for a full disk: writes beyond the limit fail. */
static void limit_file_size(rlim_t bytes)
{
    struct rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void a_full_disk_keeps_the_old_file(void **state)
{
    static const char *const names[] = {"full/x.mp4", "full/x.mkv"};
    static const rlim_t limits[] = {16, 20000};
    char folder[256];
    snprintf(folder, sizeof folder, "%s", make_folder("full"));
    for (int i = 0; i < 4; i++) {
        char *path = in_scratch(names[i % 2]);
        write_bytes(path, "old", 3);
        limit_file_size(limits[i / 2]);
        trk_status rc = write_clip(path, 640, 480, 60, 25, 1);
        limit_file_size(RLIM_INFINITY);
        if (rc != TRK_E_IO || !strstr(trk_error_text(), "cannot be written: File too large"))
            fail_msg("%d %s", rc, trk_error_text());
        assert_int_equal(count_files(folder), 1);
        size_t bytes;
        uint8_t *data = read_bytes(path, &bytes);
        assert_int_equal(bytes, 3);
        free(data);
        unlink(path);
    }
}

/* --- images ---------------------------------------------------------------------------------------------------- */

static void indexed_images_keep_their_indices(void **state)
{
    uint8_t indices[37 * 64], palette[256][3];
    for (int i = 0; i < 37 * 64; i++)
        indices[i] = (uint8_t)(i * 7);
    for (int i = 0; i < 256; i++)
        for (int c = 0; c < 3; c++)
            palette[i][c] = (uint8_t)(i * (c + 3) + c);
    char *path = in_scratch("mask.png");
    assert_works(trk_image_write_indexed(path, indices, 61, 37, 64, (const uint8_t(*)[3])palette));
    trk_image image;
    assert_works(trk_image_read(&image, path, 1));
    assert_true(image.width == 61 && image.height == 37 && image.channels == 1);
    for (int y = 0; y < 37; y++)
        assert_memory_equal(image.data + y * 61, indices + y * 64, 61);
    trk_image_free(&image);
    assert_null(image.data);
    assert_works(trk_image_read(&image, path, 3));
    for (int y = 0; y < 37; y++)
        for (int x = 0; x < 61; x++)
            assert_memory_equal(image.data + (y * 61 + x) * 3, palette[indices[y * 64 + x]], 3);
    trk_image_free(&image);
    trk_image_free(&image);
}

/* Of a phone, say, whose frames come when there is light enough. One time is not later than the one before. */
static void times_of_frames_are_kept(void **state)
{
    static const double given[] = {0, 0.04, 0.3, 0.317, 0.317, 1.5}, kept[] = {0, 0.04, 0.3, 0.3175, 0.32, 1.5};
    for (int c = 0; c < 2; c++) {
        char *path = in_scratch(c ? "odd-times.mkv" : "odd-times.mp4");
        trk_video_writer *writer = NULL;
        trk_video_reader *reader = NULL;
        trk_picture *picture;
        assert_works(trk_video_writer_open(&writer, path, &usual, NULL));
        for (int i = 0; i < 6; i++) {
            assert_works(trk_video_writer_begin(writer, &picture));
            draw(picture, i);
            picture->pts = given[i];
            assert_works(trk_video_writer_submit(writer, picture));
        }
        assert_works(trk_video_writer_finish(writer));
        trk_video_writer_destroy(&writer);
        assert_works(trk_video_open(&reader, path, NULL));
        for (int i = 0; i < 6; i++) {
            assert_works(trk_video_read(reader, &picture));
            if (!(fabs(picture->pts - kept[i]) < 0.0011)) /* Matroska has milliseconds */
                fail_msg("%s: frame %d at %g s, expected %g", path, i, picture->pts, kept[i]);
            trk_video_release(reader, picture);
        }
        trk_video_close(&reader);
    }
}

static void rgb_images_are_exact(void **state)
{
    uint8_t rgb[33 * 128];
    for (int i = 0; i < 33 * 128; i++)
        rgb[i] = (uint8_t)(i * 31 + i / 128);
    char *path = in_scratch("sheet.png");
    assert_works(trk_image_write_rgb(path, rgb, 41, 33, 128));
    trk_image image;
    assert_works(trk_image_read(&image, path, 3));
    assert_true(image.width == 41 && image.height == 33 && image.channels == 3);
    for (int y = 0; y < 33; y++)
        assert_memory_equal(image.data + y * 123, rgb + y * 128, 123);
    trk_image_free(&image);
    assert_works(trk_image_read(&image, path, 1));
    for (int y = 0; y < 33; y++)
        for (int x = 0; x < 41; x++) {
            const uint8_t *p = rgb + y * 128 + 3 * x;
            double luma = 0.299 * p[0] + 0.587 * p[1] + 0.114 * p[2];
            assert_true(fabs(image.data[y * 41 + x] - luma) <= 0.51); /* rounded to the nearest */
        }
    trk_image_free(&image);
}

/* Portable gray and colour maps, written by hand. */
static void gray_values_are_kept(void **state)
{
    uint8_t file[15 + 256] = "P5\n16 16\n255\n";
    size_t header = strlen((char *)file);
    for (int i = 0; i < 256; i++)
        file[header + (size_t)i] = (uint8_t)i;
    write_bytes(in_scratch("gray.pgm"), file, header + 256);
    trk_image image;
    for (int channels = 1; channels <= 3; channels += 2) {
        assert_works(trk_image_read(&image, in_scratch("gray.pgm"), channels));
        for (int i = 0; i < 256 * channels; i++)
            assert_int_equal(image.data[i], i / channels);
        trk_image_free(&image);
    }
    write_bytes(in_scratch("dark.ppm"), "P6 2 1 255\n\0\0\0\0\0\x03", 17); /* only black is 0 */
    assert_works(trk_image_read(&image, in_scratch("dark.ppm"), 1));
    assert_memory_equal(image.data, "\0\x01", 2);
    trk_image_free(&image);
    write_bytes(in_scratch("one.ppm"), "P6 1 1 255\n\x10\x20\x30", 14);
    assert_works(trk_image_read(&image, in_scratch("one.ppm"), 3));
    assert_memory_equal(image.data, "\x10\x20\x30", 3);
    trk_image_free(&image);
}

/* FFmpeg's decoder makes gray of what is missing unless it is told otherwise. */
static void half_a_jpeg_is_no_image(void **state)
{
    fixture f = {.encoder = "mjpeg", .container = "mjpeg", .format = AV_PIX_FMT_YUVJ420P, .width = 64, .height = 64};
    f.n_frames = 1;
    trk_image image = {0};
    char *path = in_scratch("one.jpg");
    assert_int_equal(fixture_write(path, &f), 0);
    assert_works(trk_image_read(&image, path, 3));
    assert_true(image.width == 64 && image.height == 64);
    trk_image_free(&image);
    assert_fails(trk_image_read(&image, path, 1), TRK_E_FORMAT,
                 "one.jpg: compressed with loss (mjpeg), expected a PNG");
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(truncate(path, info.st_size / 2), 0);
    assert_fails(trk_image_read(&image, path, 3), TRK_E_FORMAT, "one.jpg: a damaged or unsupported mjpeg image");
}

/* A PNG of two pixels, white and black, with these values of alpha. */
static void write_rgba(const char *path, uint8_t alpha_white, uint8_t alpha_black)
{
    const uint8_t pixels[8] = {255, 255, 255, alpha_white, 0, 0, 0, alpha_black};
    AVCodecContext *codec = avcodec_alloc_context3(avcodec_find_encoder(AV_CODEC_ID_PNG));
    AVFrame *frame = av_frame_alloc();
    AVPacket *packet = av_packet_alloc();
    codec->width = frame->width = 2;
    codec->height = frame->height = 1;
    codec->pix_fmt = frame->format = AV_PIX_FMT_RGBA;
    codec->time_base = (AVRational){1, 25};
    assert_int_equal(avcodec_open2(codec, NULL, NULL), 0);
    assert_int_equal(av_frame_get_buffer(frame, 0), 0);
    memcpy(frame->data[0], pixels, sizeof pixels);
    assert_int_equal(avcodec_send_frame(codec, frame), 0);
    assert_int_equal(avcodec_send_frame(codec, NULL), 0);
    assert_int_equal(avcodec_receive_packet(codec, packet), 0);
    write_bytes(path, packet->data, (size_t)packet->size);
    av_packet_free(&packet);
    av_frame_free(&frame);
    avcodec_free_context(&codec);
}

static void transparent_masks_are_refused(void **state)
{
    trk_image image = {0};
    char *path = in_scratch("cut.png");
    write_rgba(path, 255, 255);
    assert_works(trk_image_read(&image, path, 1));
    assert_memory_equal(image.data, "\xff\0", 2);
    trk_image_free(&image);
    write_rgba(path, 255, 0);
    assert_fails(trk_image_read(&image, path, 1), TRK_E_FORMAT, "cut.png: has transparent pixels");
    assert_works(trk_image_read(&image, path, 3));
    trk_image_free(&image);
}

static void what_is_no_image_is_named(void **state)
{
    trk_image image = {0};
    uint8_t palette[256][3] = {{0}}, pixels[64 * 64 * 3] = {0};
    write_bytes(in_scratch("text.png"), "not an image\n", 13);
    write_bytes(in_scratch("empty.png"), "", 0);
    write_bytes(in_scratch("short.png"), "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0", 18);
    write_bytes(in_scratch("huge.ppm"), "P6 1000000 1000000 255\n12345", 28);
    assert_fails(trk_image_read(&image, in_scratch("absent.png"), 1), TRK_E_IO, "absent.png: No such file");
    assert_fails(trk_image_read(&image, in_scratch("text.png"), 1), TRK_E_FORMAT, "text.png: not an image");
    assert_fails(trk_image_read(&image, in_scratch("empty.png"), 1), TRK_E_FORMAT, "empty.png: the file is empty");
    assert_fails(trk_image_read(&image, in_scratch("short.png"), 1), TRK_E_FORMAT, "short.png: a damaged");
    assert_fails(trk_image_read(&image, in_scratch("huge.ppm"), 3), TRK_E_FORMAT, "huge.ppm: a damaged");
    write_bytes(in_scratch("deep.pgm"), "P5 2 1 65535\n\0\0\0\x7f", 17);
    assert_fails(trk_image_read(&image, in_scratch("deep.pgm"), 1), TRK_E_FORMAT,
                 "deep.pgm: 16 bits for a value of a pixel, expected at most 8");
    assert_works(trk_image_read(&image, in_scratch("deep.pgm"), 3));
    trk_image_free(&image);
    assert_fails(trk_image_read(&image, scratch, 1), TRK_E_IO, "a folder");
    assert_fails(trk_image_read(&image, in_scratch("text.png"), 2), TRK_E_ARGUMENT, "2 channels");
    assert_null(image.data);
    assert_fails(trk_image_write_rgb(in_scratch("absent/x.png"), pixels, 64, 64, 192), TRK_E_IO,
                 "absent/x.png: cannot");
    assert_fails(trk_image_write_indexed(scratch, pixels, 64, 64, 64, (const uint8_t(*)[3])palette), TRK_E_IO,
                 "a folder");
    assert_fails(trk_image_write_rgb(in_scratch("x.png"), pixels, 0, 64, 192), TRK_E_ARGUMENT, "0x64");
}

static void a_full_disk_leaves_no_image(void **state)
{
    char folder[256];
    snprintf(folder, sizeof folder, "%s", make_folder("full-image"));
    uint8_t rgb[64 * 64 * 3];
    for (size_t i = 0; i < sizeof rgb; i++)
        rgb[i] = (uint8_t)((i * 2654435761u) >> 11);
    limit_file_size(16);
    trk_status rc = trk_image_write_rgb(in_scratch("full-image/x.png"), rgb, 64, 64, 192);
    limit_file_size(RLIM_INFINITY);
    assert_int_equal(rc, TRK_E_IO);
    assert_non_null(strstr(trk_error_text(), "full-image/x.png: cannot be written: File too large"));
    assert_int_equal(count_files(folder), 0);
}

/* --- folders --------------------------------------------------------------------------------------------------- */

static void put_image(const char *folder, const char *name, int width, int height, int number)
{
    char path[128];
    uint8_t *rgb = malloc((size_t)width * (size_t)height * 3);
    trk_picture picture = {.width = width, .height = height, .rgb = rgb, .stride = 3 * (ptrdiff_t)width};
    draw(&picture, number);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_works(trk_image_write_rgb(in_scratch(path), rgb, width, height, picture.stride));
    free(rgb);
}

static void check_folder(const char *path, const trk_video_params *params, const int *numbers, int first, int n)
{
    clip c = read_clip(path, params);
    int step = params && params->reverse ? -1 : 1;
    assert_int_equal(c.n, n);
    assert_int_equal(c.promised, n);
    assert_int_equal(c.exact, 1);
    for (int i = 0; i < n; i++) {
        int at = first + step * i;
        assert_int_equal(c.index[i], at);
        assert_true(fabs(c.pts[i] - at / 25.0) < 1e-9);
        for (int y = 0; y < c.height; y++)
            for (int x = 0; x < c.width; x++)
                for (int channel = 0; channel < 3; channel++)
                    assert_int_equal(clip_frame(&c, i)[(y * c.width + x) * 3 + channel],
                                     pixel(channel, x, y, c.width, c.height, numbers[at]));
    }
    clip_free(&c);
}

static void folders_go_by_number(void **state)
{
    static const char *const names[] = {"2.png", "10.png", "1.png", "0003.PNG", "00000000000000000011.png"};
    static const int numbers[] = {1, 2, 3, 10, 11}, given[] = {2, 10, 1, 3, 11};
    char folder[256];
    snprintf(folder, sizeof folder, "%s", make_folder("numbered"));
    for (int i = 0; i < 5; i++)
        put_image("numbered", names[i], 65, 33, given[i]);
    write_bytes(in_scratch("numbered/notes.txt"), "ignored", 7);
    write_bytes(in_scratch("numbered/.hidden.jpg"), "ignored", 7);
    check_folder(folder, NULL, numbers, 0, 5);
    check_folder(folder, &(trk_video_params){.start = 1, .n_frames = 3}, numbers, 1, 3);
    check_folder(folder, &(trk_video_params){.start = -1, .n_frames = -1, .reverse = 1}, numbers, 4, 5);
    check_folder(folder, &(trk_video_params){.start = 3, .n_frames = 2, .reverse = 1}, numbers, 3, 2);
    trk_video_reader *reader = NULL;
    assert_fails(trk_video_open(&reader, folder, &(trk_video_params){.start = 5, .n_frames = -1}), TRK_E_ARGUMENT,
                 "has 5 (0 to 4)");
}

/* Reads to the end; returns the status that ended it and how many came before. */
static trk_status end_of(const char *path, int *n)
{
    trk_video_reader *reader = NULL;
    trk_picture *picture;
    trk_status rc = trk_video_open(&reader, path, NULL);
    for (*n = 0; rc == TRK_OK && (rc = trk_video_read(reader, &picture)) == TRK_OK; (*n)++)
        trk_video_release(reader, picture);
    if (reader && rc < 0) {
        char text[512];
        snprintf(text, sizeof text, "%s", trk_error_text());
        assert_int_equal(trk_video_read(reader, &picture), TRK_END); /* an error is told once */
        TRK_FAIL(rc, "%s", text);
    }
    trk_video_close(&reader);
    return rc;
}

static void odd_folders_are_refused(void **state)
{
    int n;
    make_folder("sizes");
    put_image("sizes", "0.png", 64, 32, 0);
    put_image("sizes", "1.png", 64, 32, 1);
    put_image("sizes", "2.png", 64, 34, 2);
    put_image("sizes", "3.png", 60, 32, 3);
    assert_fails(end_of(in_scratch("sizes"), &n), TRK_E_FORMAT, "sizes/2.png: 64x34 pixels, but 0.png has 64x32");
    assert_int_equal(n, 2);
    make_folder("names");
    put_image("names", "0.png", 64, 32, 0);
    put_image("names", "frame1.png", 64, 32, 1);
    assert_fails(end_of(in_scratch("names"), &n), TRK_E_FORMAT, "names/frame1.png: expected images named by number");
    make_folder("twice");
    put_image("twice", "1.png", 64, 32, 0);
    put_image("twice", "01.png", 64, 32, 1);
    assert_fails(end_of(in_scratch("twice"), &n), TRK_E_FORMAT, "01.png and 1.png have the same number");
    make_folder("broken");
    put_image("broken", "0.png", 64, 32, 0);
    write_bytes(in_scratch("broken/1.png"), "not an image", 12);
    assert_fails(end_of(in_scratch("broken"), &n), TRK_E_FORMAT, "broken/1.png: not an image");
    assert_int_equal(n, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(odd_sides_repeat_the_edge),
        cmocka_unit_test(pixels_keep_their_shape),
        cmocka_unit_test(colours_and_index_position),
        cmocka_unit_test(pictures_are_numbered_and_bounded),
        cmocka_unit_test(giving_up_leaves_nothing),
        cmocka_unit_test(what_cannot_be_written_is_named),
        cmocka_unit_test(what_is_no_file_is_written_in_place),
        cmocka_unit_test(a_full_disk_keeps_the_old_file),
        cmocka_unit_test(indexed_images_keep_their_indices),
        cmocka_unit_test(rgb_images_are_exact),
        cmocka_unit_test(gray_values_are_kept),
        cmocka_unit_test(times_of_frames_are_kept),
        cmocka_unit_test(half_a_jpeg_is_no_image),
        cmocka_unit_test(transparent_masks_are_refused),
        cmocka_unit_test(what_is_no_image_is_named),
        cmocka_unit_test(a_full_disk_leaves_no_image),
        cmocka_unit_test(folders_go_by_number),
        cmocka_unit_test(odd_folders_are_refused),
    };
    signal(SIGXFSZ, SIG_IGN); /* a write beyond the limit shall fail with EFBIG */
    alarm(300);               /* a writer that hangs must fail, not wait */
    return cmocka_run_group_tests(tests, make_scratch, remove_scratch);
}
