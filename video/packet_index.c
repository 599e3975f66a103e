/* SPDX-License-Identifier: Apache-2.0 */
#include "packet_index.h"

#include "heap.h"

#include <stdlib.h>
#include <string.h>

void trk_packet_index_free(packet_index *index)
{
    trk_heap_release(index->packets);
    trk_heap_release(index->number);
    trk_heap_release(index->order);
    trk_heap_release(index->keys);
    trk_heap_release(index->seconds);
    memset(index, 0, sizeof *index);
}

static trk_status fail_memory(const stream *s)
{
    return TRK_FAIL(TRK_E_MEMORY, "%s: out of memory for the index of its frames", s->path);
}

static void *allocate(int64_t n, size_t size)
{
    return trk_heap_allocate(TRK_MEM_SCRATCH, "video index", (size_t)n * size);
}

static trk_status append(packet_index *index, const stream *s)
{
    packet_entry *packets = trk_heap_grown(index->packets, &index->capacity, (size_t)index->n + 1, sizeof *packets,
                                           TRK_MEM_SCRATCH, "video index");
    if (!packets)
        return fail_memory(s);
    index->packets = packets;
    const AVPacket *packet = s->packet;
    index->packets[index->n++] = (packet_entry){.pts = packet->pts,
                                                .dts = packet->dts,
                                                .pos = packet->pos,
                                                .bytes = packet->size,
                                                .key = (packet->flags & AV_PKT_FLAG_KEY) != 0,
                                                .discard = (packet->flags & AV_PKT_FLAG_DISCARD) != 0};
    return TRK_OK;
}

typedef struct stamped {
    int64_t pts, ordinal;
} stamped;

static int by_pts(const void *a, const void *b)
{
    const stamped *x = a, *y = b;
    return (x->pts > y->pts) - (x->pts < y->pts);
}

static int one_frame_per_packet(enum AVCodecID id)
{
    switch (id) {
    case AV_CODEC_ID_H264:
    case AV_CODEC_ID_HEVC:
    case AV_CODEC_ID_MPEG1VIDEO:
    case AV_CODEC_ID_MPEG2VIDEO:
    case AV_CODEC_ID_MPEG4:
    case AV_CODEC_ID_VP9:
    case AV_CODEC_ID_AV1:
        return 1;
    default: {
        const AVCodecDescriptor *descriptor = avcodec_descriptor_get(id);
        return descriptor && descriptor->props & AV_CODEC_PROP_INTRA_ONLY;
    }
    }
}

/* Stamps in the order of the file, though frames may change places: some muxers write times of decoding for both. */
static int may_be_of_decoding(const packet_index *index, const stream *s)
{
    int ascend = s->codec->has_b_frames > 0 || s->video->codecpar->video_delay > 0;
    for (int64_t i = 1; ascend && i < index->n; i++)
        ascend = index->packets[i].pts > index->packets[i - 1].pts;
    return ascend;
}

/* Stamps present, different, and none before the first keyframe's (those frames may or may not come out). */
static int stamps_suffice(const packet_index *index, const stream *s, const stamped *sorted, int64_t n)
{
    if (!n || !index->packets[0].key || may_be_of_decoding(index, s))
        return 0;
    for (int64_t i = 0; i < n; i++)
        if (sorted[i].pts == AV_NOPTS_VALUE || sorted[i].pts < index->packets[0].pts ||
            (i && sorted[i].pts == sorted[i - 1].pts))
            return 0;
    return 1;
}

/* number, keys and seconds out of order. */
static trk_status derive(packet_index *index, const stream *s)
{
    int num, den;
    trk_stream_rate(s, &num, &den);
    index->number = allocate(index->n, sizeof *index->number);
    index->keys = allocate(index->n, sizeof *index->keys);
    index->seconds = allocate(index->n_frames, sizeof *index->seconds);
    if (!index->number || !index->keys || !index->seconds)
        return fail_memory(s);
    for (int64_t i = 0; i < index->n; i++)
        index->number[i] = -1;
    double unit = av_q2d(s->video->time_base), last = 0;
    int64_t first = index->packets[index->order[0]].pts;
    for (int64_t k = 0; k < index->n_frames; k++) {
        const packet_entry *packet = &index->packets[index->order[k]];
        double told = ((double)packet->pts - (double)first) * unit, pts = k ? last + (double)den / num : 0;
        if (packet->pts != AV_NOPTS_VALUE && first != AV_NOPTS_VALUE && told > last)
            pts = told;
        index->seconds[k] = last = pts;
        index->number[index->order[k]] = k;
        if (packet->key)
            index->keys[index->n_keys++] = index->order[k];
    }
    return TRK_OK;
}

trk_status trk_packet_index_by_time(packet_index *index, stream *s)
{
    trk_status rc;
    while (!(rc = trk_stream_read(s)))
        if ((rc = append(index, s)) < 0)
            break;
    if (rc < 0)
        return rc;
    if (!index->n)
        return TRK_FAIL(TRK_E_FORMAT, "%s: no frame could be decoded", s->path);
    if (s->n_damaged || !one_frame_per_packet(s->codec->codec_id))
        return TRK_END;
    stamped *sorted = allocate(index->n, sizeof *sorted);
    index->order = allocate(index->n, sizeof *index->order);
    if (!sorted || !index->order) {
        trk_heap_release(sorted);
        return fail_memory(s);
    }
    int64_t n = 0;
    for (int64_t i = 0; i < index->n; i++)
        if (!index->packets[i].discard)
            sorted[n++] = (stamped){index->packets[i].pts, i};
    qsort(sorted, (size_t)n, sizeof *sorted, by_pts);
    if (!stamps_suffice(index, s, sorted, n)) {
        trk_heap_release(sorted);
        return TRK_END;
    }
    for (int64_t k = 0; k < n; k++)
        index->order[k] = sorted[k].ordinal;
    trk_heap_release(sorted);
    index->n_frames = n;
    index->kind = INDEX_BY_TIME;
    return derive(index, s);
}

int64_t trk_packet_index_tag(void *tagger, const AVPacket *packet)
{
    packet_tagger *tags = tagger;
    int64_t ordinal = trk_packet_index_find(tags->index, tags->expected, packet);
    if (ordinal < 0)
        return AV_NOPTS_VALUE;
    tags->expected = ordinal + 1;
    return ordinal;
}

/* Forgets an earlier order; the packets stay. */
static void forget_order(packet_index *index)
{
    trk_heap_release(index->number);
    trk_heap_release(index->order);
    trk_heap_release(index->keys);
    trk_heap_release(index->seconds);
    index->number = index->order = index->keys = NULL;
    index->seconds = NULL;
    index->n_frames = index->n_keys = 0;
}

/* order and n_frames from what the decoder returns; kind falls to INDEX_BY_COUNT when its tags do not tell. */
static trk_status decode_order(packet_index *index, stream *s, int64_t limit, AVFrame *frame)
{
    trk_status rc = TRK_OK;
    packet_tagger tags = {index, 0};
    uint8_t *seen = trk_heap_zeroed(TRK_MEM_SCRATCH, "video index", (size_t)index->n, 1);
    index->order = allocate(index->n, sizeof *index->order);
    if (!seen || !index->order) {
        trk_heap_release(seen);
        return fail_memory(s);
    }
    s->tag = trk_packet_index_tag;
    s->tag_user = &tags;
    while (limit < 0 || index->n_frames < limit) {
        if ((rc = trk_stream_decode(s, frame)) != TRK_OK)
            break;
        int64_t ordinal = frame->pts;
        if (ordinal < 0 || ordinal >= index->n || seen[ordinal])
            index->kind = INDEX_BY_COUNT;
        if (index->kind == INDEX_BY_DECODE) {
            seen[ordinal] = 1;
            index->order[index->n_frames] = ordinal;
        }
        index->n_frames++;
    }
    s->tag = NULL;
    trk_heap_release(seen);
    return rc;
}

trk_status trk_packet_index_by_decode(packet_index *index, stream *s, int64_t limit)
{
    AVFrame *frame = av_frame_alloc();
    trk_status rc = TRK_OK;
    forget_order(index);
    index->kind = INDEX_BY_DECODE;
    s->n_damaged = 0;
    if (!frame) {
        rc = fail_memory(s);
        goto done;
    }
    TRK_CHECK(trk_stream_reopen(s));
    TRK_CHECK(decode_order(index, s, limit, frame));
    rc = TRK_OK;
    if (!index->n_frames)
        rc = TRK_FAIL(TRK_E_FORMAT, "%s: no frame could be decoded", s->path);
    else if (index->kind == INDEX_BY_DECODE)
        rc = derive(index, s);
done:
    av_frame_free(&frame);
    return rc;
}

static int is_same(const packet_entry *entry, const AVPacket *packet)
{
    return entry->bytes == packet->size && ((packet->pts != AV_NOPTS_VALUE && entry->pts == packet->pts) ||
                                            (packet->pos >= 0 && entry->pos == packet->pos));
}

int64_t trk_packet_index_find(const packet_index *index, int64_t near, const AVPacket *packet)
{
    for (int64_t up = near, down = near - 1; up < index->n || down >= 0; up++, down--) {
        if (up < index->n && is_same(&index->packets[up], packet))
            return up;
        if (down >= 0 && down < index->n && is_same(&index->packets[down], packet))
            return down;
    }
    return -1;
}

int64_t trk_packet_index_key(const packet_index *index, int64_t frame)
{
    int64_t low = 0, high = index->n_keys; /* keys[low - 1] is at or before frame, keys[high] is after */
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (index->number[index->keys[middle]] <= frame)
            low = middle + 1;
        else
            high = middle;
    }
    return low - 1;
}
