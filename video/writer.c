/* SPDX-License-Identifier: Apache-2.0
 * The writing half of video.h: a queue of pictures and the thread that encodes them. The thread owns the encoder from
 * its start to its join; finish and destroy come after the join. */
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "encoder.h"
#include "heap.h"
#include "picture_queue.h"
#include "temporary.h"

#define PICTURES 4     /* one drawn, one encoded, two between */
#define MAX_SIDE 16384 /* pixels; levels of H.264 end below */

struct trk_video_writer {
    char *path; /* owned */
    trk_temporary target;
    int width, height; /* of the pictures; the encoder's are padded to even */
    encoder encoder;
    picture_queue queue;
    int64_t n_submitted;
    AVRational rate;
    pthread_t thread;
    int started;
    atomic_int abandoned; /* the thread shall not complete the file */
    trk_status result;    /* of the thread, after the join */
};

/* Repeats the last column and row into the padding. */
static void pad_edges(const trk_video_writer *writer, const trk_picture *picture)
{
    int width = writer->width, height = writer->height;
    if (width & 1)
        for (int y = 0; y < height; y++) {
            uint8_t *end = picture->rgb + y * picture->stride + 3 * (ptrdiff_t)width;
            memcpy(end, end - 3, 3);
        }
    if (height & 1)
        memcpy(picture->rgb + height * picture->stride, picture->rgb + (height - 1) * picture->stride,
               3 * (size_t)(width + (width & 1)));
}

static void *run(void *user)
{
    trk_video_writer *writer = user;
    trk_status rc;
    trk_picture *picture;
    while ((rc = trk_picture_queue_take_ready(&writer->queue, &picture)) == TRK_OK &&
           !atomic_load(&writer->abandoned)) {
        pad_edges(writer, picture);
        rc = trk_encoder_add(&writer->encoder, picture->rgb, picture->stride, picture->pts);
        trk_picture_queue_put_free(&writer->queue, picture);
        if (rc < 0)
            break;
    }
    if (rc == TRK_END && !atomic_load(&writer->abandoned))
        rc = trk_encoder_finish(&writer->encoder);
    if (rc < 0)
        trk_picture_queue_stop(&writer->queue, rc);
    writer->result = rc;
    return NULL;
}

/* The index of an MP4 goes in front at the end, and a file of Matroska gets its length there: a stream will not do. */
static trk_status open_target(trk_video_writer *writer)
{
    int descriptor = -1;
    trk_status rc = trk_temporary_find(&writer->target, writer->path);
    if (rc >= 0 && writer->target.kind != TRK_TARGET_FILE)
        rc = TRK_FAIL(TRK_E_UNSUPPORTED, "%s: cannot be written: a video needs a regular file", writer->path);
    if (rc >= 0)
        rc = trk_temporary_open(&writer->target, &descriptor);
    if (rc >= 0)
        close(descriptor); /* FFmpeg opens it by its name */
    return rc;
}

trk_status trk_video_writer_open(trk_video_writer **out, const char *path, const trk_video_format *format,
                                 const trk_video_hardware *hardware)
{
    trk_status rc = TRK_OK;
    trk_libav_init();
    const int width = format->width, height = format->height;
    if (width <= 0 || height <= 0 || width > MAX_SIDE || height > MAX_SIDE)
        return TRK_FAIL(TRK_E_ARGUMENT, "a video of %dx%d pixels: expected 1 to %d a side", width, height, MAX_SIDE);
    if (format->rate_num <= 0 || format->rate_den <= 0)
        return TRK_FAIL(TRK_E_ARGUMENT, "%s: a frame rate of %d/%d", path, format->rate_num, format->rate_den);
    if (format->pixel_width < 0 || format->pixel_height < 0)
        return TRK_FAIL(TRK_E_ARGUMENT, "%s: pixels of %d:%d", path, format->pixel_width, format->pixel_height);
    trk_video_writer *writer = trk_heap_zeroed(TRK_MEM_SCRATCH, "video", 1, sizeof *writer);
    if (!writer || !(writer->path = trk_heap_text("path", path))) {
        rc = TRK_FAIL(TRK_E_MEMORY, "%s: out of memory", path);
        goto done;
    }
    writer->width = width;
    writer->height = height;
    TRK_CHECK(open_target(writer));
    trk_video_format padded = *format;
    padded.width += width & 1;
    padded.height += height & 1;
    TRK_CHECK(trk_encoder_open(&writer->encoder, writer->path, writer->target.name, &padded, hardware));
    TRK_CHECK(trk_picture_queue_init(&writer->queue, PICTURES, width, height, padded.width, padded.height, 0));
    if (pthread_create(&writer->thread, NULL, run, writer)) {
        rc = TRK_FAIL(TRK_E_MEMORY, "%s: cannot start the encoding thread", path);
        goto done;
    }
    writer->started = 1;
    writer->rate = (AVRational){format->rate_num, format->rate_den};
    *out = writer;
    writer = NULL;
done:
    trk_video_writer_destroy(&writer);
    return rc;
}

trk_status trk_video_writer_begin(trk_video_writer *writer, trk_picture **out)
{
    if (!writer->started)
        return TRK_FAIL(TRK_E_STATE, "%s: the video is already finished", writer->path);
    trk_status rc = trk_picture_queue_take_free(&writer->queue, out);
    if (rc == TRK_OK) {
        (*out)->index = writer->n_submitted;
        (*out)->pts = -1;
    }
    return rc;
}

trk_status trk_video_writer_submit(trk_video_writer *writer, trk_picture *picture)
{
    if (!writer->started)
        return TRK_FAIL(TRK_E_STATE, "%s: the video is already finished", writer->path);
    if (!(picture->pts >= 0))
        picture->pts = (double)writer->n_submitted / av_q2d(writer->rate);
    trk_status rc = trk_picture_queue_put_ready(&writer->queue, picture);
    writer->n_submitted += rc == TRK_OK;
    return rc;
}

static void join(trk_video_writer *writer)
{
    trk_picture_queue_end(&writer->queue, TRK_END);
    pthread_join(writer->thread, NULL);
    writer->started = 0;
}

trk_status trk_video_writer_finish(trk_video_writer *writer)
{
    if (!writer->started)
        return TRK_FAIL(TRK_E_STATE, "%s: the video is already finished", writer->path);
    if (!writer->n_submitted)
        return TRK_FAIL(TRK_E_STATE, "%s: no picture was written", writer->path);
    join(writer);
    if (writer->result >= 0)
        return trk_temporary_commit(&writer->target);
    trk_encoder_close(&writer->encoder);
    trk_temporary_discard(&writer->target);
    return TRK_FAIL(writer->result, "%s", writer->queue.stopped.text);
}

void trk_video_writer_destroy(trk_video_writer **handle)
{
    if (!handle || !*handle)
        return;
    trk_video_writer *writer = *handle;
    if (writer->started) {
        atomic_store(&writer->abandoned, 1);
        join(writer);
    }
    trk_encoder_close(&writer->encoder);
    trk_picture_queue_free(&writer->queue);
    trk_temporary_discard(&writer->target);
    trk_heap_release(writer->path);
    trk_heap_release(writer);
    *handle = NULL;
}
