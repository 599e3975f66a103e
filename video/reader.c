/* SPDX-License-Identifier: Apache-2.0
 * The reading half of video.h: a thread that takes frames from a source, converts them and queues the pictures. The
 * first picture is made by the caller of trk_video_open.
 *
 * A frame that a GPU has decoded may stay there: its picture then lends the addresses, and keeps the frame from being
 * used again until it is released. Whatever speaks against the GPU, up to the first picture, ends in the CPU decoding
 * everything. */
#include <stdio.h>
#include <string.h>

#include "frame_source.h"
#include "heap.h"
#include "libav.h"
#include "log.h"
#include "picture_queue.h"
#include "target.h"

#include <libavutil/pixdesc.h>

#define DEFAULT_QUEUE 3
#define MAX_QUEUE     64
#define MAX_THREADS   64

struct trk_video_reader {
    char *path; /* owned */
    video_device device;
    trk_video_delivery delivery;
    frame_source *source;
    converter convert;
    picture_queue queue;
    AVFrame *frame;
    AVFrame *brought;       /* the frame, brought over from the device; owned */
    AVFrame **lent;         /* [queue.n] device frames that the pictures hold, owned; NULL: the CPU decodes */
    converter late_convert; /* of trk_video_pixels, which is the consumer's */
    AVFrame *late_brought;  /* likewise; owned */
    video_stop stop;
    pthread_t thread;
    int started;
    trk_video_info info;
    char description[160];
};

/* --- a frame into a picture ------------------------------------------------------------------------------------- */

/* 1: the frame stays on the device, where *out says. */
static int stays(const trk_video_reader *reader, trk_device_planes *out)
{
    const orientation *turn = &reader->source->turn;
    const AVFrame *frame = reader->frame;
    const int is_first = !reader->convert.width;
    return reader->delivery != TRK_DELIVER_RGB && !turn->transpose && !turn->flip_u && !turn->flip_v &&
           (is_first || (frame->width == reader->convert.width && frame->height == reader->convert.height)) &&
           trk_hardware_planes(out, frame);
}

/* The current frame where the CPU can read it. */
static trk_status on_host(trk_video_reader *reader, const AVFrame **out)
{
    *out = reader->frame;
    if (!trk_hardware_owns(reader->frame))
        return TRK_OK;
    *out = reader->brought;
    return trk_hardware_download(reader->brought, reader->frame);
}

static trk_status convert(trk_video_reader *reader, trk_picture *picture)
{
    const AVFrame *frame;
    trk_status rc = on_host(reader, &frame);
    if (rc >= 0)
        rc = trk_picture_queue_pixels(&reader->queue, picture);
    return rc < 0 ? rc : trk_converter_run(&reader->convert, frame, picture->rgb, picture->stride);
}

static trk_status fill(trk_video_reader *reader, trk_picture *picture)
{
    picture->device = (trk_device_planes){.planes = {NULL, NULL}};
    if (reader->lent && stays(reader, &picture->device)) {
        AVFrame *held = reader->lent[picture - reader->queue.pictures];
        if (av_frame_ref(held, reader->frame) < 0)
            return TRK_FAIL(TRK_E_MEMORY, "out of memory for a frame");
        picture->rgb = NULL;
        if (reader->delivery == TRK_DELIVER_PLANES)
            return TRK_OK;
    }
    return convert(reader, picture);
}

/* Makes a pool picture of the current frame and queues it. TRK_END: the reader is being closed. */
static trk_status deliver(trk_video_reader *reader, int64_t index, double pts)
{
    trk_picture *picture;
    trk_status rc = trk_picture_queue_take_free(&reader->queue, &picture);
    if (rc != TRK_OK)
        return rc;
    picture->index = index;
    picture->pts = pts;
    rc = fill(reader, picture);
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
    if (rc < 0 && trk_stop_is_asked(&reader->stop))
        rc = TRK_END; /* what was called off may have failed */
    av_frame_unref(reader->frame);
    trk_picture_queue_end(&reader->queue, rc);
    return NULL;
}

static void describe(trk_video_reader *reader)
{
    const frame_source *source = reader->source;
    const char *format = av_get_pix_fmt_name(trk_hardware_layout(reader->frame));
    const int by_hardware = trk_hardware_owns(reader->frame);
    reader->info = (trk_video_info){.width = trk_converter_width(&reader->convert),
                                    .height = trk_converter_height(&reader->convert),
                                    .rate_num = source->rate_num,
                                    .rate_den = source->rate_den,
                                    .pixel_width = source->turn.transpose ? source->pixel.den : source->pixel.num,
                                    .pixel_height = source->turn.transpose ? source->pixel.num : source->pixel.den,
                                    .n_frames = source->n_frames,
                                    .n_frames_exact = source->n_frames_exact,
                                    .description = reader->description,
                                    .by_hardware = by_hardware};
    if (!reader->info.n_frames)
        reader->info.n_frames = -1; /* an estimate that the first picture has just refuted */
    snprintf(reader->description, sizeof reader->description, "%s %s%s %dx%d %.5g fps", source->codec_name,
             format ? format : "?", by_hardware ? " by GPU" : "", reader->info.width, reader->info.height,
             (double)source->rate_num / source->rate_den);
}

static trk_status first_frame(trk_video_reader *reader, int64_t *index, double *pts)
{
    const char *path = reader->path;
    trk_status rc = reader->source->next(reader->source, reader->frame, index, pts);
    if (rc != TRK_END)
        return rc;
    int64_t damaged = atomic_load(&reader->source->n_damaged);
    return damaged ? TRK_FAIL(TRK_E_FORMAT, "%s: no frame could be decoded (%lld damaged packets)", path,
                              (long long)damaged)
                   : TRK_FAIL(TRK_E_FORMAT, "%s: the video has no frames", path);
}

/* Frames to be held by pictures. */
static trk_status make_lent(trk_video_reader *reader)
{
    const int n = reader->queue.n;
    reader->lent = trk_heap_zeroed(TRK_MEM_SCRATCH, "video", (size_t)n, sizeof(AVFrame *));
    int failed = !reader->lent;
    for (int i = 0; i < n && !failed; i++)
        failed = !(reader->lent[i] = av_frame_alloc());
    return failed ? TRK_FAIL(TRK_E_MEMORY, "%s: out of memory for frames", reader->path) : TRK_OK;
}

static trk_status first_picture(trk_video_reader *reader, int queue)
{
    int64_t index;
    double pts;
    const AVFrame *frame = reader->frame;
    trk_device_planes planes;
    trk_status rc = first_frame(reader, &index, &pts);
    if (rc < 0)
        return rc;
    const int may_lend = stays(reader, &planes), late = may_lend && reader->delivery == TRK_DELIVER_PLANES;
    reader->convert.turn = reader->source->turn;
    reader->convert.still_image = reader->source->still_images;
    rc = late ? TRK_OK : on_host(reader, &frame);
    if (rc >= 0)
        rc = trk_converter_init(&reader->convert, frame);
    if (rc < 0)
        return trk_fail_prefix(rc, reader->path);
    int width = trk_converter_width(&reader->convert), height = trk_converter_height(&reader->convert);
    /* One more is in the reader's hands and one in the thread's. */
    rc = trk_picture_queue_init(&reader->queue, queue + 2, width, height, width, height, late);
    if (rc >= 0 && may_lend)
        rc = make_lent(reader);
    if (rc < 0)
        return rc;
    rc = deliver(reader, index, pts);
    describe(reader);
    return rc;
}

/* --- open and close --------------------------------------------------------------------------------------------- */

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
    if (params->hardware.device < 0)
        return TRK_FAIL(TRK_E_ARGUMENT, "CUDA device %d: expected 0 or more", params->hardware.device);
    return TRK_OK;
}

static trk_status open_source(trk_video_reader *reader, const trk_video_params *params, video_device *device)
{
    if (trk_is_folder(reader->path))
        return trk_source_open_folder(&reader->source, reader->path, params);
    if (params->reverse)
        return trk_source_open_reverse(&reader->source, reader->path, params, &reader->stop);
    return trk_source_open_forward(&reader->source, reader->path, params, device, &reader->stop);
}

static int queue_of(const trk_video_params *params)
{
    return params->queue ? params->queue : DEFAULT_QUEUE;
}

/* Up to the first picture. device: NULL for the CPU alone. */
static trk_status start(trk_video_reader *reader, const trk_video_params *params, video_device *device)
{
    trk_status rc = open_source(reader, params, device);
    return rc < 0 ? rc : first_picture(reader, queue_of(params));
}

static void take_apart(trk_video_reader *reader)
{
    for (int i = 0; reader->lent && i < reader->queue.n; i++)
        av_frame_free(&reader->lent[i]);
    trk_heap_release(reader->lent);
    reader->lent = NULL;
    av_frame_unref(reader->frame);
    av_frame_unref(reader->brought);
    if (reader->source)
        reader->source->close(reader->source);
    reader->source = NULL;
    trk_converter_free(&reader->convert);
    reader->convert = (converter){.width = 0};
    trk_picture_queue_free(&reader->queue);
}

/* Opens the device where it can be of use; sets why_not otherwise. */
static void find_device(trk_video_reader *reader, const trk_video_params *params)
{
    const char *reason = params->reverse ? "reading in reverse is done by the CPU" : "images are decoded by the CPU";
    if (params->reverse || trk_is_folder(reader->path))
        snprintf(reader->device.why_not, sizeof reader->device.why_not, "%s", reason);
    else
        (void)trk_hardware_open(&reader->device, AV_HWDEVICE_TYPE_CUDA, params->hardware.device);
    /* those of the pictures, and the one being converted */
    reader->device.extra_frames = params->delivery == TRK_DELIVER_RGB ? 1 : queue_of(params) + 3;
}

/* The last failure's text without the path in front. */
static const char *reason_of(const trk_video_reader *reader)
{
    const char *text = trk_error_text();
    const size_t n = strlen(reader->path);
    return !strncmp(text, reader->path, n) && !strncmp(text + n, ": ", 2) ? text + n + 2 : text;
}

/* With why_not set the CPU decodes already, or on failure should be tried; without it a failure is the file's. */
static trk_status start_by_hardware(trk_video_reader *reader, const trk_video_params *params)
{
    video_device *device = &reader->device;
    find_device(reader, params);
    if (!device->device)
        return TRK_E_UNSUPPORTED;
    trk_status rc = start(reader, params, device);
    if (rc < 0 && (!device->attached || device->once))
        *device->why_not = 0;
    else if (rc < 0)
        snprintf(device->why_not, sizeof device->why_not, "%.255s", reason_of(reader));
    else if (reader->info.by_hardware)
        trk_log(TRK_LOG_INFO, "%s: decoded by CUDA device %d", reader->path, params->hardware.device);
    else if (!*device->why_not)
        snprintf(device->why_not, sizeof device->why_not, "the device does not take this kind of %s",
                 reader->source->codec_name);
    return rc;
}

static trk_status start_as_asked(trk_video_reader *reader, const trk_video_params *params)
{
    if (params->hardware.use == TRK_HARDWARE_OFF)
        return start(reader, params, NULL);
    trk_status rc = start_by_hardware(reader, params);
    if (!*reader->device.why_not)
        return rc;
    if (params->hardware.use == TRK_HARDWARE_MUST)
        return TRK_FAIL(TRK_E_UNSUPPORTED, "%s: cannot be decoded by the GPU: %s", reader->path,
                        reader->device.why_not);
    trk_log(TRK_LOG_INFO, "%s: decoded by the CPU: %s", reader->path, reader->device.why_not);
    if (rc >= 0)
        return rc; /* the decoder went over to it by itself */
    take_apart(reader);
    return start(reader, params, NULL);
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
    if (!reader || !(reader->frame = av_frame_alloc()) || !(reader->brought = av_frame_alloc()) ||
        !(reader->late_brought = av_frame_alloc()) || !(reader->path = trk_heap_text("path", trk_local_path(path)))) {
        rc = TRK_FAIL(TRK_E_MEMORY, "%s: out of memory", path);
        goto done;
    }
    reader->delivery = params->delivery;
    reader->stop.asked = params->stop;
    rc = start_as_asked(reader, params);
    if (trk_stop_is_asked(&reader->stop))
        rc = TRK_END;
    if (rc != TRK_OK)
        goto done;
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
    atomic_store(&reader->stop.closing, 1);
    if (reader->started) {
        trk_picture_queue_stop(&reader->queue, TRK_END);
        pthread_join(reader->thread, NULL);
    }
    take_apart(reader);
    trk_converter_free(&reader->late_convert);
    trk_hardware_close(&reader->device);
    av_frame_free(&reader->frame);
    av_frame_free(&reader->brought);
    av_frame_free(&reader->late_brought);
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

trk_status trk_video_pixels(trk_video_reader *reader, trk_picture *picture)
{
    if (picture->rgb)
        return TRK_OK;
    converter *late = &reader->late_convert;
    trk_status rc = trk_hardware_download(reader->late_brought, reader->lent[picture - reader->queue.pictures]);
    if (rc >= 0 && !late->width)
        rc = trk_converter_init(late, reader->late_brought);
    if (rc >= 0)
        rc = trk_picture_queue_pixels(&reader->queue, picture);
    if (rc >= 0)
        rc = trk_converter_run(late, reader->late_brought, picture->rgb, picture->stride);
    if (rc >= 0)
        return rc;
    picture->rgb = NULL;
    return trk_fail_prefix(rc, reader->path);
}

void trk_video_release(trk_video_reader *reader, trk_picture *picture)
{
    if (!picture)
        return;
    if (picture->device.planes[0])
        av_frame_unref(reader->lent[picture - reader->queue.pictures]);
    picture->device.planes[0] = NULL;
    trk_picture_queue_put_free(&reader->queue, picture);
}

int64_t trk_video_damaged(const trk_video_reader *reader)
{
    return atomic_load(&reader->source->n_damaged);
}
