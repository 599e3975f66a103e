/* SPDX-License-Identifier: Apache-2.0
 * Which packet of a stream codes which frame, and where decoding may start: what random access by frame number needs.
 * A packet is known by its ordinal, its place in decoding order; a frame by its number, its place in presentation
 * order. About 56 bytes a packet. */
#ifndef TRK_VIDEO_PACKET_INDEX_H
#define TRK_VIDEO_PACKET_INDEX_H

#include "stream.h"

typedef struct packet_entry {
    int64_t pts, dts; /* AV_NOPTS_VALUE: none */
    int64_t pos;      /* byte offset in the file; -1 unknown */
    int32_t bytes;
    unsigned key : 1, discard : 1; /* discard: decoded, not shown */
} packet_entry;

typedef enum index_kind {
    INDEX_BY_TIME,   /* packets sorted by pts: one pass without decoding; relies on one frame per packet */
    INDEX_BY_DECODE, /* as the decoder returned them */
    INDEX_BY_COUNT   /* the decoder does not tell which packet a frame came from: only n_frames is known */
} index_kind;

typedef struct packet_index {
    index_kind kind;
    packet_entry *packets; /* [n], owned */
    int64_t *number;       /* [n] frame coded in the packet, -1 none; owned */
    int64_t n;
    size_t capacity; /* of packets */
    int64_t *order; /* [n_frames] packet of each frame, owned */
    int64_t n_frames;
    int64_t *keys; /* [n_keys] packets where decoding may start, ascending by frame number, owned */
    int64_t n_keys;
    double *seconds; /* [n_frames] from the first frame, owned */
} packet_index;

/* Reads all packets; s stands at its start and ends at its end. TRK_END: the time stamps alone do not tell the order,
 * trk_packet_index_by_decode has to follow. */
trk_status trk_packet_index_by_time(packet_index *index, stream *s);
/* Decodes from the start, up to `limit` frames (-1 = all). s is opened anew. */
trk_status trk_packet_index_by_decode(packet_index *index, stream *s, int64_t limit);
void trk_packet_index_free(packet_index *index); /* accepts a zeroed struct */

/* What finds the ordinals of packets read one after the other, as user of stream.tag = trk_packet_index_tag. */
typedef struct packet_tagger {
    const packet_index *index;
    int64_t expected; /* ordinal of the packet to come */
} packet_tagger;
int64_t trk_packet_index_tag(void *tagger, const AVPacket *packet); /* AV_NOPTS_VALUE: unknown */

/* Ordinal of a packet just read, sought from `near` outwards; -1 unknown. */
int64_t trk_packet_index_find(const packet_index *index, int64_t near, const AVPacket *packet);
/* Place in keys of the last one at or before a frame; -1 none. */
int64_t trk_packet_index_key(const packet_index *index, int64_t frame);

#endif
