/* SPDX-License-Identifier: Apache-2.0
 * A stream from its start on. Frame numbers are counted, never computed from time stamps. */
#include "frame_source.h"

#include "heap.h"
#include "stream.h"

typedef struct forward_source {
    frame_source base;
    stream stream;
    int64_t start, end; /* frames [start, end) are delivered; end -1 = all */
    int64_t number;     /* of the next decoded frame */
    int64_t promised;   /* frames in the file by its own index; -1 = it has none */
    int64_t first_stamp;
    double last_pts;
} forward_source;

int64_t trk_source_clip(const trk_video_params *params, int64_t total)
{
    if (total < 0)
        return params->n_frames;
    int64_t start = params->reverse ? 0 : params->start > 0 ? params->start : 0;
    int64_t end = params->reverse && params->start >= 0 && params->start < total ? params->start + 1 : total;
    int64_t n = end > start ? end - start : 0;
    return params->n_frames >= 0 && params->n_frames < n ? params->n_frames : n;
}

trk_status trk_source_fail_start(const char *path, int64_t start, int64_t total)
{
    return TRK_FAIL(TRK_E_ARGUMENT, "%s: start at frame %lld, but the video has %lld (0 to %lld)", path,
                    (long long)start, (long long)total, (long long)total - 1);
}

/* Seconds from the first frame. A stamp that is missing or does not advance is replaced by one frame's duration after
 * the frame before. */
static double pts_of(forward_source *s, const AVFrame *frame)
{
    int64_t stamp = frame->best_effort_timestamp;
    double pts = s->last_pts + (double)s->base.rate_den / s->base.rate_num;
    if (!s->number) {
        s->first_stamp = stamp;
        pts = 0;
    } else if (stamp != AV_NOPTS_VALUE && s->first_stamp != AV_NOPTS_VALUE) {
        double told = ((double)stamp - (double)s->first_stamp) * av_q2d(s->stream.video->time_base);
        pts = told > s->last_pts ? told : pts;
    }
    return s->last_pts = pts;
}

/* A truncated file ends early without an error: the frames its index promises are missing. */
static void count_missing(forward_source *s)
{
    int64_t missing = s->promised - s->number;
    if (missing > s->stream.n_damaged && !trk_stop_is_set(s->stream.stop))
        atomic_store(&s->base.n_damaged, missing);
}

static trk_status next(frame_source *base, AVFrame *frame, int64_t *index, double *pts)
{
    forward_source *s = (forward_source *)base;
    while (s->end < 0 || s->number < s->end) {
        trk_status rc = trk_stream_decode(&s->stream, frame);
        atomic_store(&base->n_damaged, s->stream.n_damaged);
        if (rc < 0)
            return rc;
        if (rc == TRK_END) {
            count_missing(s);
            if (s->number && s->number <= s->start && !trk_stop_is_set(s->stream.stop))
                return trk_source_fail_start(s->stream.path, s->start, s->number);
            return TRK_END;
        }
        *pts = pts_of(s, frame);
        *index = s->number++;
        if (*index >= s->start)
            return TRK_OK;
    }
    return TRK_END;
}

static void close_source(frame_source *base)
{
    trk_stream_close(&((forward_source *)base)->stream);
    trk_heap_release(base);
}

trk_status trk_source_open_forward(frame_source **out, const char *path, const trk_video_params *params,
                                   video_device *device, const video_stop *stop)
{
    forward_source *s = trk_heap_zeroed(TRK_MEM_SCRATCH, "video", 1, sizeof *s);
    if (!s)
        return TRK_FAIL(TRK_E_MEMORY, "%s: out of memory", path);
    trk_status rc = trk_stream_open(&s->stream, path, params->threads, device, stop);
    if (rc < 0) {
        trk_heap_release(s);
        return rc;
    }
    s->start = params->start > 0 ? params->start : 0;
    s->end = params->n_frames < 0 || params->n_frames > INT64_MAX - s->start ? -1 : s->start + params->n_frames;
    s->base.next = next;
    s->base.close = close_source;
    s->base.codec_name = avcodec_get_name(s->stream.codec->codec_id);
    s->base.turn = trk_stream_orientation(&s->stream);
    trk_stream_rate(&s->stream, &s->base.rate_num, &s->base.rate_den);
    s->base.pixel = trk_stream_pixel(&s->stream);
    int64_t total = trk_stream_count(&s->stream, &s->base.n_frames_exact);
    s->promised = s->base.n_frames_exact ? total : -1;
    s->base.n_frames = trk_source_clip(params, total);
    *out = &s->base;
    return TRK_OK;
}
