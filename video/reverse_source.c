/* SPDX-License-Identifier: Apache-2.0
 * A stream from its end to its start. Frames are decoded forwards in chunks, each from the keyframe before it, and
 * handed out from the back; only one chunk is alive. A keyframe serves a frame when it comes before it in presentation
 * order, not only in decoding order: the leading frames of an open group of pictures are decoded from the keyframe
 * before theirs. The CPU decodes: a chunk would hold most of the few frames that a GPU's decoder has. */
#include "frame_source.h"

#include "heap.h"
#include "log.h"
#include "packet_index.h"

#define CHUNK           8   /* frames; each chunk costs the decoding from its keyframe on */
#define UNKNOWN_PACKETS 256 /* after a seek, before the way of seeking is given up */

/* In the order they are tried; one that failed is not tried again. */
typedef enum seek_method { SEEK_PTS, SEEK_DTS, SEEK_POSITION, SEEK_START } seek_method;

typedef struct reverse_source {
    frame_source base;
    stream stream;
    packet_index index;
    seek_method method;
    packet_tagger tagger; /* over index */
    AVFrame *frame;
    AVFrame *chunk[CHUNK]; /* frames [low, low + CHUNK); a frame without buffers is missing */
    AVFrame *later;        /* the frame delivered before this chunk, a stand-in when a whole chunk is lost */
    int64_t low;
    int64_t next_number; /* to be delivered; -1 = none */
    int64_t left;
    int delivered;        /* any */
    int64_t start, limit; /* as asked for */
} reverse_source;

/* 1: the demuxer was moved. */
static int seek_by(reverse_source *s, seek_method method, const packet_entry *entry)
{
    AVFormatContext *format = s->stream.format;
    int video = s->stream.video->index;
    switch (method) {
    case SEEK_PTS:
        return entry->pts != AV_NOPTS_VALUE && av_seek_frame(format, video, entry->pts, AVSEEK_FLAG_BACKWARD) >= 0;
    case SEEK_DTS:
        return entry->dts != AV_NOPTS_VALUE && av_seek_frame(format, video, entry->dts, AVSEEK_FLAG_BACKWARD) >= 0;
    case SEEK_POSITION:
        return entry->pos >= 0 && !(format->iformat->flags & AVFMT_NO_BYTE_SEEK) &&
               av_seek_frame(format, video, entry->pos, AVSEEK_FLAG_BYTE) >= 0;
    default:
        return trk_stream_reopen(&s->stream) >= 0;
    }
}

/* Reads on to a packet and keeps it as the next to decode. TRK_END: it does not come. */
static trk_status read_up_to(reverse_source *s, int64_t ordinal)
{
    trk_stream_flush(&s->stream);
    int64_t near = ordinal;
    for (int unknown = 0; unknown < UNKNOWN_PACKETS;) {
        trk_status rc = trk_stream_read(&s->stream);
        if (rc != TRK_OK)
            return rc;
        int64_t found = trk_packet_index_find(&s->index, near, s->stream.packet);
        if (found > ordinal)
            return TRK_END;
        if (found == ordinal) {
            s->stream.holds_packet = 1;
            s->tagger.expected = ordinal;
            return TRK_OK;
        }
        unknown += found < 0;
        near = found < 0 ? near : found + 1;
    }
    return TRK_END;
}

static trk_status stand_at(reverse_source *s, int64_t ordinal)
{
    for (;; s->method++) {
        if (!trk_stop_is_set(s->stream.stop) && seek_by(s, s->method, &s->index.packets[ordinal])) {
            trk_status rc = read_up_to(s, ordinal);
            if (rc != TRK_END)
                return rc;
        }
        if (s->method == SEEK_START || trk_stop_is_set(s->stream.stop))
            return TRK_FAIL(TRK_E_IO, "%s: cannot be read in reverse", s->stream.path);
    }
}

static int is_missing(const AVFrame *frame)
{
    return !frame->buf[0];
}

/* Decodes from a place in the list of keys (-1 = from the start) into the missing ones of frames [low, high].
 * complete: whether every frame from the key's own to high came out. */
static trk_status decode_from(reverse_source *s, int64_t key, int64_t low, int64_t high, int *complete)
{
    int by_count = s->index.kind == INDEX_BY_COUNT;
    int64_t packet = key < 0 ? 0 : s->index.keys[key], first = key < 0 ? 0 : s->index.number[packet];
    int64_t seen = 0, count = 0;
    trk_status rc = by_count ? trk_stream_reopen(&s->stream) : stand_at(s, packet);
    s->stream.tag = by_count ? NULL : trk_packet_index_tag;
    s->stream.tag_user = &s->tagger;
    while (rc == TRK_OK && seen <= high - first && (rc = trk_stream_decode(&s->stream, s->frame)) == TRK_OK) {
        int64_t number = by_count ? count++ : -1, ordinal = s->frame->pts;
        if (!by_count && ordinal >= 0 && ordinal < s->index.n)
            number = s->index.number[ordinal];
        if (number < first)
            continue;
        if (number > high)
            break;
        seen++;
        if (number >= low && is_missing(s->chunk[number - low])) {
            if (s->index.kind == INDEX_BY_TIME && trk_libav_frame_damaged(s->frame))
                atomic_fetch_add(&s->base.n_damaged, 1);
            av_frame_move_ref(s->chunk[number - low], s->frame);
        }
    }
    s->stream.tag = NULL;
    *complete = seen == high - first + 1;
    return rc < 0 ? rc : TRK_OK;
}

static int count_missing(const reverse_source *s, int64_t n)
{
    int missing = 0;
    for (int64_t i = 0; i < n; i++)
        missing += is_missing(s->chunk[i]);
    return missing;
}

/* What no keyframe gives is replaced by the frame before it, so that numbers stay without gaps. */
static trk_status fill_gaps(reverse_source *s, int64_t n)
{
    const AVFrame *before = is_missing(s->later) ? NULL : s->later;
    for (int64_t i = n - 1; i >= 0; i--)
        before = is_missing(s->chunk[i]) ? before : s->chunk[i];
    for (int64_t i = 0; i < n; i++) {
        if (!is_missing(s->chunk[i])) {
            before = s->chunk[i];
            continue;
        }
        if (!atomic_fetch_add(&s->base.n_damaged, 1))
            trk_log(
                TRK_LOG_WARNING,
                "%s: frame %lld cannot be decoded and is replaced by the one before it; forwards it would be skipped",
                s->stream.path, (long long)(s->low + i));
        if (!before)
            return TRK_FAIL(TRK_E_FORMAT, "%s: no frame could be decoded near frame %lld", s->stream.path,
                            (long long)(s->low + i));
        if (av_frame_ref(s->chunk[i], before) < 0)
            return TRK_FAIL(TRK_E_MEMORY, "%s: out of memory for a frame", s->stream.path);
    }
    return TRK_OK;
}

/* Backwards from the end of a file that was cut off would begin at some frame in its middle. */
static trk_status check_whole(const reverse_source *s)
{
    int exact;
    const int64_t promised = trk_stream_count(&s->stream, &exact);
    if (s->start < 0 && exact && trk_video_falls_short((double)s->index.n_frames, promised))
        return TRK_FAIL(TRK_E_FORMAT, "%s: ends early, after %lld of %lld frames: expected a frame to start at (--start)",
                        s->stream.path, (long long)s->index.n_frames, (long long)promised);
    return TRK_OK;
}

/* Where to begin and how many there are, from the index. */
static trk_status place_start(reverse_source *s)
{
    trk_status rc = check_whole(s);
    if (rc < 0)
        return rc;
    if (s->start >= s->index.n_frames)
        return trk_source_fail_start(s->stream.path, s->start, s->index.n_frames);
    s->next_number = s->start >= 0 ? s->start : s->index.n_frames - 1;
    s->left = s->next_number + 1;
    if (s->limit >= 0 && s->limit < s->left)
        s->left = s->limit;
    s->low = s->next_number + 1;
    s->base.n_frames = s->left;
    return TRK_OK;
}

static trk_status index_by_decode(reverse_source *s)
{
    trk_status rc = trk_packet_index_by_decode(&s->index, &s->stream, s->start >= 0 ? s->start + 1 : -1);
    if (rc < 0)
        return rc;
    atomic_store(&s->base.n_damaged, s->stream.n_damaged);
    return place_start(s);
}

/* The chunk that ends with frame next_number. */
static trk_status load_chunk(reverse_source *s)
{
    trk_status rc;
    int64_t high = s->next_number, low = high - CHUNK + 1 > 0 ? high - CHUNK + 1 : 0;
    if (high - low >= s->left)
        low = high - s->left + 1;
    int64_t key = s->index.kind == INDEX_BY_COUNT ? -1 : trk_packet_index_key(&s->index, high);
    if (key >= 0 && low < s->index.number[s->index.keys[key]])
        low = s->index.number[s->index.keys[key]];
    for (int64_t step = 1;; step *= 2) {
        int complete;
        if ((rc = decode_from(s, key, low, high, &complete)) < 0)
            return rc;
        if (!complete && s->index.kind == INDEX_BY_TIME && !s->delivered) {
            for (int i = 0; i < CHUNK; i++)
                av_frame_unref(s->chunk[i]);
            return (rc = index_by_decode(s)) < 0 ? rc : load_chunk(s);
        }
        if (key < 0 || !count_missing(s, high - low + 1))
            break;
        key = key > step ? key - step : key > 0 ? 0 : -1;
    }
    s->low = low;
    return trk_stop_is_set(s->stream.stop) ? TRK_OK : fill_gaps(s, high - low + 1);
}

static trk_status next(frame_source *base, AVFrame *frame, int64_t *index, double *pts)
{
    reverse_source *s = (reverse_source *)base;
    if (!s->left || trk_stop_is_set(s->stream.stop))
        return TRK_END;
    if (s->next_number < s->low) {
        av_frame_unref(s->later);
        av_frame_move_ref(s->later, s->chunk[0]);
        for (int i = 0; i < CHUNK; i++)
            av_frame_unref(s->chunk[i]);
        trk_status rc = load_chunk(s);
        if (rc < 0)
            return rc;
        if (trk_stop_is_set(s->stream.stop))
            return TRK_END;
    }
    av_frame_unref(frame);
    AVFrame *from = s->chunk[s->next_number - s->low];
    if (s->next_number > s->low)
        av_frame_move_ref(frame, from);
    else if (av_frame_ref(frame, from) < 0)
        return TRK_FAIL(TRK_E_MEMORY, "%s: out of memory for a frame", s->stream.path);
    *index = s->next_number;
    *pts = s->index.kind == INDEX_BY_COUNT ? (double)s->next_number * base->rate_den / base->rate_num
                                           : s->index.seconds[s->next_number];
    s->next_number--;
    s->left--;
    s->delivered = 1;
    return TRK_OK;
}

static void close_source(frame_source *base)
{
    reverse_source *s = (reverse_source *)base;
    for (int i = 0; i < CHUNK; i++)
        av_frame_free(&s->chunk[i]);
    av_frame_free(&s->frame);
    av_frame_free(&s->later);
    trk_packet_index_free(&s->index);
    trk_stream_close(&s->stream);
    trk_heap_release(s);
}

static trk_status allocate_frames(reverse_source *s)
{
    s->frame = av_frame_alloc();
    s->later = av_frame_alloc();
    int failed = !s->frame || !s->later;
    for (int i = 0; i < CHUNK; i++)
        failed |= !(s->chunk[i] = av_frame_alloc());
    return failed ? TRK_FAIL(TRK_E_MEMORY, "%s: out of memory for frames", s->stream.path) : TRK_OK;
}

trk_status trk_source_open_reverse(frame_source **out, const char *path, const trk_video_params *params,
                                   const video_stop *stop)
{
    trk_status rc = TRK_OK;
    reverse_source *s = trk_heap_zeroed(TRK_MEM_SCRATCH, "video", 1, sizeof *s);
    if (!s)
        return TRK_FAIL(TRK_E_MEMORY, "%s: out of memory", path);
    s->tagger.index = &s->index;
    s->start = params->start;
    s->limit = params->n_frames;
    TRK_CHECK(trk_stream_open(&s->stream, path, params->threads, NULL, stop));
    if (!trk_stream_can_seek(&s->stream)) {
        rc = TRK_FAIL(TRK_E_UNSUPPORTED, "%s: a pipe or stream cannot be read in reverse, expected a file", path);
        goto done;
    }
    TRK_CHECK(allocate_frames(s));
    TRK_CHECK(trk_packet_index_by_time(&s->index, &s->stream));
    trk_log(TRK_LOG_DEBUG, "%s: %lld packets, index by %s", path, (long long)s->index.n,
            rc ? "decoding" : "time stamps");
    rc = rc == TRK_END ? index_by_decode(s) : place_start(s);
    if (rc < 0)
        goto done;
    s->base.next = next;
    s->base.close = close_source;
    s->base.codec_name = avcodec_get_name(s->stream.codec->codec_id);
    s->base.turn = trk_stream_orientation(&s->stream);
    trk_stream_rate(&s->stream, &s->base.rate_num, &s->base.rate_den);
    s->base.pixel = trk_stream_pixel(&s->stream);
    s->base.n_frames_exact = 1;
    *out = &s->base;
    s = NULL;
done:
    if (s)
        close_source(&s->base);
    return rc;
}
