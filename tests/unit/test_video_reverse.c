/* SPDX-License-Identifier: Apache-2.0
 * Reading in reverse: the same pictures, numbers and times as forwards, bit for bit, in the opposite order. */
#include "video_check.h"

#include <math.h>

#include "packet_index.h"

static const fixture plain = {.format = AV_PIX_FMT_YUV420P, .width = 96, .height = 64, .n_frames = 43, .b_frames = 3};

static clip read_reverse(const char *path, int64_t start, int64_t n)
{
    return read_clip(path, &(trk_video_params){.start = start, .n_frames = n, .reverse = 1});
}

/* b[i] is the forward picture `high - i`. */
static void check_reversed(const clip *forward, const clip *b, int high, int n)
{
    size_t bytes = (size_t)forward->width * (size_t)forward->height * 3;
    assert_int_equal(b->end, TRK_END);
    assert_int_equal(b->n, n);
    assert_int_equal(b->promised, n);
    assert_int_equal(b->exact, 1);
    for (int i = 0; i < n; i++) {
        assert_int_equal(b->index[i], high - i);
        assert_true(fabs(b->pts[i] - forward->pts[high - i]) < 1e-9);
        if (memcmp(clip_frame(b, i), clip_frame(forward, high - i), bytes))
            fail_msg("frame %d differs from the forward one", high - i);
    }
}

static void check_both_ways(const char *path, int n)
{
    clip forward = read_whole(path), reverse = read_reverse(path, -1, -1);
    assert_int_equal(forward.n, n);
    for (int i = 0; i < n; i++)
        assert_int_equal(clip_number(&forward, i), i);
    check_reversed(&forward, &reverse, n - 1, n);
    clip_free(&reverse);
    reverse = read_reverse(path, 17, -1);
    check_reversed(&forward, &reverse, 17, 18);
    clip_free(&reverse);
    reverse = read_reverse(path, 29, 11);
    check_reversed(&forward, &reverse, 29, 11);
    clip_free(&reverse);
    reverse = read_reverse(path, 0, -1);
    check_reversed(&forward, &reverse, 0, 1);
    clip_free(&reverse);
    clip_free(&forward);
    trk_video_reader *reader = NULL;
    assert_fails(trk_video_open(&reader, path, &(trk_video_params){.start = n, .n_frames = -1, .reverse = 1}),
                 TRK_E_ARGUMENT, "start at frame");
}

static void every_container(void **state)
{
    static const char *const containers[] = {"mp4", "mov", "matroska", "mpegts", "h264", "flv"};
    for (size_t i = 0; i < 6; i++) {
        fixture f = plain;
        f.container = containers[i];
        check_both_ways(make_video("closed", &f), 43);
    }
}

static void open_groups_of_pictures(void **state)
{
    static const char *const containers[] = {"mp4", "matroska", "mpegts", "h264"};
    for (size_t i = 0; i < 4; i++) {
        fixture f = plain;
        f.container = containers[i];
        f.options = "x264-params=open-gop=1:scenecut=0:keyint=10:min-keyint=10:bframes=3:b-adapt=0";
        check_both_ways(make_video("open", &f), 43);
    }
}

static void intra_refresh_and_long_groups(void **state)
{
    fixture f = plain;
    f.container = "mpegts";
    f.b_frames = 0;
    f.options = "x264-params=intra-refresh=1:keyint=12:bframes=0";
    check_both_ways(make_video("refresh.ts", &f), 43);
    f = plain;
    f.gop = 500;
    check_both_ways(make_video("long.mp4", &f), 43);
    f.gop = 1;
    f.b_frames = 0;
    check_both_ways(make_video("intra.mp4", &f), 43);
}

static void other_codecs(void **state)
{
    static const struct {
        const char *encoder, *container, *options;
        enum AVPixelFormat format;
        int b_frames;
    } cases[] = {{"mpeg4", "avi", NULL, AV_PIX_FMT_YUV420P, 2},
                 {"mpeg4", "mp4", NULL, AV_PIX_FMT_YUV420P, 2},
                 {"mpeg2video", "mpegts", NULL, AV_PIX_FMT_YUV420P, 2},
                 {"mpeg2video", "mpeg", NULL, AV_PIX_FMT_YUV420P, 2},
                 {"mjpeg", "avi", NULL, AV_PIX_FMT_YUVJ420P, 0},
                 {"ffv1", "matroska", NULL, AV_PIX_FMT_YUV422P10, 0},
                 {"libvpx", "webm", "auto-alt-ref=1,lag-in-frames=12,deadline=realtime", AV_PIX_FMT_YUV420P, 0},
                 {"libvpx-vp9", "webm", "auto-alt-ref=1,lag-in-frames=12,deadline=realtime", AV_PIX_FMT_YUV420P, 0}};
    int made = 0;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fixture f = plain;
        f.encoder = cases[i].encoder;
        f.container = cases[i].container;
        f.options = cases[i].options;
        f.format = cases[i].format;
        f.b_frames = cases[i].b_frames;
        int result = fixture_write(in_scratch("codec"), &f);
        assert_true(result >= 0);
        if (result)
            print_message("no encoder %s here\n", f.encoder);
        else
            check_both_ways(in_scratch("codec"), 43);
        made += !result;
    }
    assert_true(made >= 6); /* those without an outside library are always there */
}

static void variable_frame_rate_and_sound(void **state)
{
    int stamps[43];
    for (int i = 0; i < 43; i++)
        stamps[i] = 3 * i + (i * 7) % 3;
    fixture f = plain;
    f.stamps = stamps;
    f.audio = f.cover = 1;
    check_both_ways(make_video("vfr.mp4", &f), 43);
}

/* Some muxers write no times of presentation: sorted by those of decoding frames would come in the order of the file. */
static void times_of_decoding_are_no_order(void **state)
{
    static const char *const containers[] = {"mp4", "matroska"};
    for (size_t i = 0; i < 2; i++) {
        fixture f = plain;
        f.container = containers[i];
        f.decoding_times = 1;
        const char *path = make_video("decoding", &f);
        clip forward = read_whole(path), reverse = read_reverse(path, -1, -1);
        assert_int_equal(forward.n, 43);
        assert_int_equal(reverse.n, 43);
        for (int k = 0; k < 43; k++) {
            assert_int_equal(clip_number(&forward, k), k);
            assert_int_equal(clip_number(&reverse, k), 42 - k);
        }
        clip_free(&forward);
        clip_free(&reverse);
    }
}

/* Overwrites n bytes in the middle. */
static void damage(const char *from, const char *to, size_t n)
{
    size_t bytes;
    uint8_t *data = read_bytes(from, &bytes);
    for (size_t i = bytes * 2 / 5; i < bytes * 2 / 5 + n; i++)
        data[i] = (uint8_t)(i * 97 + 13);
    write_bytes(to, data, bytes);
    free(data);
}

/* Nothing is lost silently: a frame that forwards would be skipped stands for the one before it, and is counted. */
static void damage_keeps_the_numbers_without_gaps(void **state)
{
    static const char *const containers[] = {"mp4", "mpegts"};
    for (size_t k = 0; k < 2; k++) {
        fixture f = plain;
        f.container = containers[k];
        damage(make_video("whole", &f), in_scratch("damaged"), 1500);
        clip c = read_reverse(in_scratch("damaged"), -1, -1);
        assert_int_equal(c.end, TRK_END);
        assert_in_range(c.n, 10, 43);
        assert_true(c.damaged > 0);
        for (int i = 0; i < c.n; i++)
            assert_int_equal(c.index[i], c.n - 1 - i);
        assert_int_equal(clip_number(&c, 0), 42);
        assert_int_equal(clip_number(&c, c.n - 1), 0);
        clip_free(&c);
    }
}

static void a_cut_file_is_reversed_as_far_as_it_goes(void **state)
{
    size_t bytes;
    fixture f = plain;
    f.container = "matroska";
    uint8_t *data = read_bytes(make_video("whole.mkv", &f), &bytes);
    write_bytes(in_scratch("cut.mkv"), data, bytes * 6 / 10);
    free(data);
    clip forward = read_whole(in_scratch("cut.mkv")), reverse = read_reverse(in_scratch("cut.mkv"), -1, -1);
    assert_in_range(forward.n, 10, 42);
    check_reversed(&forward, &reverse, forward.n - 1, forward.n);
    clip_free(&forward);
    clip_free(&reverse);
}

/* The index made by sorting time stamps and the one made by decoding are the same, leading frames included. */
static void both_ways_of_indexing_agree(void **state)
{
    fixture f = plain;
    f.options = "x264-params=open-gop=1:scenecut=0:keyint=10:min-keyint=10:bframes=3:b-adapt=0";
    video_stop stop = {0};
    stream s;
    packet_index by_time = {0}, by_decode = {0};
    assert_works(trk_stream_open(&s, make_video("index.mp4", &f), 1, NULL, &stop));
    assert_works(trk_packet_index_by_time(&by_time, &s));
    assert_works(trk_stream_reopen(&s));
    assert_works(trk_packet_index_by_time(&by_decode, &s));
    assert_works(trk_packet_index_by_decode(&by_decode, &s, -1));
    assert_int_equal(by_time.kind, INDEX_BY_TIME);
    assert_int_equal(by_decode.kind, INDEX_BY_DECODE);
    assert_int_equal(by_time.n_frames, 43);
    assert_int_equal(by_decode.n_frames, 43);
    assert_true(by_time.n_keys >= 4);
    assert_int_equal(by_time.n_keys, by_decode.n_keys);
    assert_memory_equal(by_time.order, by_decode.order, 43 * sizeof *by_time.order);
    assert_memory_equal(by_time.keys, by_decode.keys, (size_t)by_time.n_keys * sizeof *by_time.keys);
    int leading = 0;
    for (int64_t k = 0; k < by_time.n_frames; k++) {
        int64_t key = by_time.keys[trk_packet_index_key(&by_time, k)];
        assert_true(by_time.number[key] <= k && key <= by_time.order[k]);
        for (int64_t i = 0; i < by_time.n_keys; i++)
            leading += by_time.keys[i] < by_time.order[k] && by_time.number[by_time.keys[i]] > k;
        assert_true(by_time.seconds[k] == by_decode.seconds[k]);
    }
    assert_true(leading > 0); /* the clip does have what the test is about */
    trk_packet_index_free(&by_time);
    trk_packet_index_free(&by_decode);
    trk_stream_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_container),
        cmocka_unit_test(open_groups_of_pictures),
        cmocka_unit_test(intra_refresh_and_long_groups),
        cmocka_unit_test(other_codecs),
        cmocka_unit_test(variable_frame_rate_and_sound),
        cmocka_unit_test(times_of_decoding_are_no_order),
        cmocka_unit_test(damage_keeps_the_numbers_without_gaps),
        cmocka_unit_test(a_cut_file_is_reversed_as_far_as_it_goes),
        cmocka_unit_test(both_ways_of_indexing_agree),
    };
    alarm(300); /* a reader that hangs must fail, not wait */
    return cmocka_run_group_tests(tests, make_scratch, remove_scratch);
}
