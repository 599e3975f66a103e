/* SPDX-License-Identifier: Apache-2.0
 * What streams and captures share. */
#ifndef SIMT_STREAM_H
#define SIMT_STREAM_H

#include <chrono>
#include <deque>

#include "simt_private.h"

struct simt_capture;

struct simt_work {
    std::function<void()> run;
    std::vector<const void *> uses; /* page-locked memory */
};

struct simt_queued {
    uint64_t number; /* over all streams, in the order of the calls */
    simt_work work;
};

struct simt_stream {
    int is_non_blocking = 0;
    std::deque<simt_queued> queue;
    std::shared_ptr<simt_capture> capture; /* under way, or NULL */
    int is_unjoined = 0;                   /* it captures work that the stream which began does not wait for */
};

/* A call of cudaEventRecord. */
struct simt_record {
    simt_stream *stream = NULL;
    uint64_t number = 0;
    int is_done = 0;
    std::chrono::steady_clock::time_point time;
    std::shared_ptr<simt_capture> capture; /* it was captured, up to this length */
    size_t length = 0;
};

struct simt_event {
    int has_time = 1;
    std::shared_ptr<simt_record> record; /* the latest, or NULL */
};

simt_stream *simt_stream_of(cudaStream_t stream); /* NULL: there is none */

/* graph.cc. cudaErrorNotReady: the stream does not capture, and nothing was done. */
cudaError_t simt_capture_into(simt_stream *s, const simt_work &work);
int simt_capture_record(simt_stream *s, simt_record *r);
cudaError_t simt_capture_wait(simt_stream *s, const simt_record *r);
void simt_capture_abandon(simt_stream *s);
/* As simt_refuse_capture, and of this stream by whatever thread and in whatever mode. */
cudaError_t simt_refuse_capture_of(const simt_stream *s);

#endif
