/* SPDX-License-Identifier: Apache-2.0
 * The reading half of video.h: a thread that takes frames from a source, converts them and queues the pictures. The
 * first picture is made by the caller of trk_video_open. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "frame_source.h"
#include "heap.h"
#include "libav.h"
#include "picture_queue.h"

#include <libavutil/pixdesc.h>

#define DEFAULT_QUEUE 3
#define MAX_QUEUE     64
#define MAX_THREADS   64

struct trk_video_reader {
    char *path; /* owned */
    frame_source *source;
    converter convert;
    picture_queue queue;
    AVFrame *frame;
    atomic_int stop;
    pthread_t thread;
    int started;
    trk_video_info info;
    char description[160];
};

/* Converts the current frame into a pool picture and queues it. TRK_END: the reader is being closed. */
static trk_status deliver(trk_video_reader *reader, int64_t index, double pts)
{
    trk_picture *picture;
    trk_status rc = trk_picture_queue_take_free(&reader->queue, &picture);
    if (rc != TRK_OK)
        return rc;
    picture->index = index;
    picture->pts = pts;
    rc = trk_converter_run(&reader->convert, reader->frame, picture->rgb, picture->stride);
    if (rc < 0) {
        trk_picture_queue_return_unused(&reader->queue, picture);
        return trk_fail_prefix(rc, reader->path);
    }
    return trk_picture_queue_put_ready(&reader->queue, picture);
}

static void *run(void *user)
{
    trk_video_reader *reader = user;
    trk_status rc = TRK_OK;
    while (rc == TRK_OK) {
        int64_t index;
        double pts;
        rc = reader->source->next(reader->source, reader->frame, &index, &pts);
        if (rc == TRK_OK)
            rc = deliver(reader, index, pts);
    }
    av_frame_unref(reader->frame);
    trk_picture_queue_end(&reader->queue, rc);
    return NULL;
}

static void describe(trk_video_reader *reader)
{
    const frame_source *source = reader->source;
    const char *format = av_get_pix_fmt_name((enum AVPixelFormat)reader->frame->format);
    reader->info = (trk_video_info){.width = trk_converter_width(&reader->convert),
                                    .height = trk_converter_height(&reader->convert),
                                    .rate_num = source->rate_num,
                                    .rate_den = source->rate_den,
                                    .n_frames = source->n_frames,
                                    .n_frames_exact = source->n_frames_exact,
                                    .description = reader->description};
    if (!reader->info.n_frames)
        reader->info.n_frames = -1; /* an estimate that the first picture has just refuted */
    snprintf(reader->description, sizeof reader->description, "%s %s %dx%d %.5g fps", source->codec_name,
             format ? format : "?", reader->info.width, reader->info.height,
             (double)source->rate_num / source->rate_den);
}

static trk_status first_picture(trk_video_reader *reader, const char *path, int queue)
{
    int64_t index;
    double pts;
    trk_status rc = reader->source->next(reader->source, reader->frame, &index, &pts);
    if (rc == TRK_END) {
        int64_t damaged = atomic_load(&reader->source->n_damaged);
        return damaged ? TRK_FAIL(TRK_E_FORMAT, "%s: no frame could be decoded (%lld damaged packets)", path,
                                  (long long)damaged)
                       : TRK_FAIL(TRK_E_FORMAT, "%s: the video has no frames", path);
    }
    if (rc < 0)
        return rc;
    reader->convert.turn = reader->source->turn;
    reader->convert.still_image = reader->source->still_images;
    rc = trk_converter_init(&reader->convert, reader->frame);
    if (rc < 0)
        return trk_fail_prefix(rc, path);
    int width = trk_converter_width(&reader->convert), height = trk_converter_height(&reader->convert);
    /* One more is in the reader's hands and one in the thread's. */
    rc = trk_picture_queue_init(&reader->queue, queue + 2, width, height, width, height);
    if (rc < 0)
        return rc;
    rc = deliver(reader, index, pts);
    describe(reader);
    return rc;
}

static trk_status check_params(const trk_video_params *params)
{
    if (params->start < -1)
        return TRK_FAIL(TRK_E_ARGUMENT, "start frame %lld: expected 0 or more", (long long)params->start);
    if (params->n_frames < -1 || !params->n_frames)
        return TRK_FAIL(TRK_E_ARGUMENT, "%lld frames: expected 1 or more, or -1 for all", (long long)params->n_frames);
    if (params->queue < 0 || params->queue > MAX_QUEUE)
        return TRK_FAIL(TRK_E_ARGUMENT, "a queue of %d pictures: expected 0 to %d", params->queue, MAX_QUEUE);
    if (params->threads < 0 || params->threads > MAX_THREADS)
        return TRK_FAIL(TRK_E_ARGUMENT, "%d decoder threads: expected 0 to %d", params->threads, MAX_THREADS);
    return TRK_OK;
}

static trk_status open_source(trk_video_reader *reader, const char *path, const trk_video_params *params)
{
    struct stat info;
    if (!stat(path, &info) && S_ISDIR(info.st_mode))
        return trk_source_open_folder(&reader->source, path, params);
    return (params->reverse ? trk_source_open_reverse : trk_source_open_forward)(&reader->source, path, params,
                                                                                 &reader->stop);
}

trk_status trk_video_open(trk_video_reader **out, const char *path, const trk_video_params *params)
{
    static const trk_video_params defaults = {.start = -1, .n_frames = -1};
    trk_status rc = TRK_OK;
    trk_libav_init();
    params = params ? params : &defaults;
    if (!out || !path || !*path)
        return TRK_FAIL(TRK_E_ARGUMENT, "no video named");
    if ((rc = check_params(params)) < 0)
        return rc;
    trk_video_reader *reader = trk_heap_zeroed(TRK_MEM_SCRATCH, "video", 1, sizeof *reader);
    if (!reader || !(reader->frame = av_frame_alloc()) || !(reader->path = trk_heap_text("path", path))) {
        rc = TRK_FAIL(TRK_E_MEMORY, "%s: out of memory", path);
        goto done;
    }
    TRK_CHECK(open_source(reader, path, params));
    TRK_CHECK(first_picture(reader, path, params->queue ? params->queue : DEFAULT_QUEUE));
    if (pthread_create(&reader->thread, NULL, run, reader)) {
        rc = TRK_FAIL(TRK_E_MEMORY, "%s: cannot start the decoding thread", path);
        goto done;
    }
    reader->started = 1;
    *out = reader;
    reader = NULL;
done:
    trk_video_close(&reader);
    return rc;
}

void trk_video_close(trk_video_reader **handle)
{
    if (!handle || !*handle)
        return;
    trk_video_reader *reader = *handle;
    atomic_store(&reader->stop, 1);
    if (reader->started) {
        trk_picture_queue_stop(&reader->queue, TRK_END);
        pthread_join(reader->thread, NULL);
    }
    if (reader->source)
        reader->source->close(reader->source);
    trk_converter_free(&reader->convert);
    trk_picture_queue_free(&reader->queue);
    av_frame_free(&reader->frame);
    trk_heap_release(reader->path);
    trk_heap_release(reader);
    *handle = NULL;
}

const trk_video_info *trk_video_get_info(const trk_video_reader *reader)
{
    return &reader->info;
}

trk_status trk_video_read(trk_video_reader *reader, trk_picture **out)
{
    return trk_picture_queue_take_ready(&reader->queue, out);
}

void trk_video_release(trk_video_reader *reader, trk_picture *picture)
{
    if (picture)
        trk_picture_queue_put_free(&reader->queue, picture);
}

int64_t trk_video_damaged(const trk_video_reader *reader)
{
    return atomic_load(&reader->source->n_damaged);
}
