/* SPDX-License-Identifier: Apache-2.0
 * Streams: queues of work that runs only when something waits for it, and then only what has to be done by then. Work
 * that a wait does not cover stays undone, so that a wait that is missing shows as a result that is not there.
 *
 * Every piece of work has a number. The default stream's waits for all earlier work of the streams that are not
 * non-blocking, and theirs for its; a stream that waits for an event runs the event's stream up to the record. */
#include <chrono>
#include <deque>
#include <set>
#include <string>

#include "stream.h"

/* --- the queues --- */

static simt_stream default_stream;
static std::set<simt_stream *> streams; /* but the default one */
static uint64_t last_number;
static int is_failed;

void simt_note_failure()
{
    is_failed = 1;
}

cudaError_t simt_take_failure()
{
    const int failed = is_failed;
    is_failed = 0;
    return failed ? cudaErrorLaunchFailure : cudaSuccess;
}

simt_stream *simt_stream_of(cudaStream_t stream)
{
    if (!stream || stream == cudaStreamLegacy)
        return &default_stream;
    return streams.count(stream) ? stream : NULL;
}

static void run_until(simt_stream *s, uint64_t number);

/* The work that has to be done before the piece of that number in s. */
static void run_before(simt_stream *s, uint64_t number)
{
    if (s->is_non_blocking)
        return;
    if (s != &default_stream) {
        run_until(&default_stream, number - 1);
        return;
    }
    for (simt_stream *other : streams)
        if (!other->is_non_blocking)
            run_until(other, number - 1);
}

/* The first piece of s. It is taken out before it runs: host functions may come back here. */
static void run_first(simt_stream *s)
{
    const uint64_t number = s->queue.front().number;
    run_before(s, number);
    if (s->queue.empty() || s->queue.front().number != number)
        return;
    const simt_work work = std::move(s->queue.front().work);
    s->queue.pop_front();
    work.run();
}

static void run_until(simt_stream *s, uint64_t number)
{
    simt_access access;
    while (!s->queue.empty() && s->queue.front().number <= number)
        run_first(s);
}

static void run_stream(simt_stream *s)
{
    if (!s->queue.empty())
        run_until(s, s->queue.back().number);
}

void simt_run_everything()
{
    run_stream(&default_stream);
    for (simt_stream *s : streams)
        run_stream(s);
}

/* 1: this OS thread has waited for the device and given it nothing since; what others give it meanwhile is theirs. */
static thread_local int has_waited;

int simt_may_be_in_use()
{
    int is_busy = !default_stream.queue.empty();
    for (const simt_stream *s : streams)
        is_busy |= !s->queue.empty();
    return is_busy && !has_waited;
}

static void append(simt_stream *s, simt_work work)
{
    has_waited = 0;
    s->queue.push_back({++last_number, std::move(work)});
}

cudaError_t simt_enqueue(cudaStream_t stream, std::function<void()> run, std::vector<const void *> uses)
{
    simt_work work = {std::move(run), std::move(uses)};
    simt_stream *s = simt_stream_of(stream);
    if (!s)
        return cudaErrorInvalidResourceHandle;
    cudaError_t error = simt_capture_into(s, work);
    if (error != cudaErrorNotReady)
        return error;
    append(s, std::move(work));
    return cudaSuccess;
}

static int uses_any(const simt_stream *s, const void *data, size_t bytes)
{
    const char *start = (const char *)data;
    for (const simt_queued &q : s->queue)
        for (const void *p : q.work.uses)
            if ((const char *)p >= start && (const char *)p < start + bytes)
                return 1;
    return 0;
}

int simt_is_waited_for(const void *data, size_t bytes)
{
    for (const simt_stream *s : streams)
        if (uses_any(s, data, bytes))
            return 1;
    return uses_any(&default_stream, data, bytes);
}

/* --- streams --- */

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *out, unsigned flags)
{
    SIMT_LOCKED;
    if (!out || flags > cudaStreamNonBlocking)
        return simt_failed(cudaErrorInvalidValue);
    *out = new simt_stream;
    (*out)->is_non_blocking = flags == cudaStreamNonBlocking;
    streams.insert(*out);
    return cudaSuccess;
}

cudaError_t cudaStreamCreate(cudaStream_t *out)
{
    return cudaStreamCreateWithFlags(out, cudaStreamDefault);
}

cudaError_t cudaStreamCreateWithPriority(cudaStream_t *out, unsigned flags, int)
{
    return cudaStreamCreateWithFlags(out, flags);
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    SIMT_LOCKED;
    simt_stream *s = simt_stream_of(stream);
    if (!s || s == &default_stream)
        return simt_failed(cudaErrorInvalidResourceHandle);
    simt_capture_abandon(s);
    run_stream(s);
    streams.erase(s);
    delete s;
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    SIMT_LOCKED;
    simt_stream *s = simt_stream_of(stream);
    if (!s)
        return simt_failed(cudaErrorInvalidResourceHandle);
    cudaError_t error = simt_refuse_capture_of(s);
    if (error != cudaSuccess)
        return simt_failed(error);
    run_stream(s);
    return simt_failed(simt_take_failure());
}

/* Work goes on by itself on a card: here by one piece for each question. */
cudaError_t cudaStreamQuery(cudaStream_t stream)
{
    SIMT_LOCKED;
    simt_stream *s = simt_stream_of(stream);
    if (!s)
        return simt_failed(cudaErrorInvalidResourceHandle);
    cudaError_t error = simt_refuse_capture_of(s);
    if (error != cudaSuccess)
        return simt_failed(error);
    if (s->queue.empty())
        return simt_failed(simt_take_failure());
    run_until(s, s->queue.front().number);
    return cudaErrorNotReady;
}

cudaError_t cudaDeviceSynchronize()
{
    SIMT_LOCKED;
    cudaError_t error = simt_refuse_any_capture();
    if (error != cudaSuccess)
        return simt_failed(error);
    simt_run_everything();
    has_waited = 1;
    return simt_failed(simt_take_failure());
}

cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void *data)
{
    SIMT_LOCKED;
    return simt_failed(simt_enqueue(stream, [=] {
        simt_no_access none;
        function(data);
    }));
}

/* --- events --- */

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *out, unsigned flags)
{
    SIMT_LOCKED;
    if (!out)
        return simt_failed(cudaErrorInvalidValue);
    *out = new simt_event;
    (*out)->has_time = !(flags & cudaEventDisableTiming);
    return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t *out)
{
    return cudaEventCreateWithFlags(out, cudaEventDefault);
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    SIMT_LOCKED;
    delete event; /* records under way keep what they need */
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    SIMT_LOCKED;
    simt_stream *s = simt_stream_of(stream);
    if (!event || !s)
        return simt_failed(cudaErrorInvalidResourceHandle);
    auto r = std::make_shared<simt_record>();
    if (simt_capture_record(s, r.get())) {
        event->record = r;
        return cudaSuccess;
    }
    r->stream = s;
    append(s, {[r] {
                   r->is_done = 1;
                   r->time = std::chrono::steady_clock::now();
               },
               {}});
    r->number = last_number;
    event->record = r;
    return cudaSuccess;
}

static void run_to_record(const simt_record *r)
{
    if (!r->is_done && streams.count(r->stream) + (r->stream == &default_stream))
        run_until(r->stream, r->number);
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned)
{
    SIMT_LOCKED;
    simt_stream *s = simt_stream_of(stream);
    if (!event || !s)
        return simt_failed(cudaErrorInvalidResourceHandle);
    std::shared_ptr<simt_record> r = event->record;
    if (!r)
        return cudaSuccess;
    cudaError_t error = simt_capture_wait(s, r.get());
    if (error != cudaErrorNotReady)
        return simt_failed(error);
    append(s, {[r] { run_to_record(r.get()); }, {}});
    return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    SIMT_LOCKED;
    if (!event)
        return simt_failed(cudaErrorInvalidResourceHandle);
    if (!event->record)
        return cudaSuccess;
    if (event->record->capture)
        return simt_failed(cudaErrorCapturedEvent);
    cudaError_t error = simt_refuse_capture();
    if (error != cudaSuccess)
        return simt_failed(error);
    run_to_record(event->record.get());
    return simt_failed(simt_take_failure());
}

cudaError_t cudaEventQuery(cudaEvent_t event)
{
    SIMT_LOCKED;
    if (!event)
        return simt_failed(cudaErrorInvalidResourceHandle);
    if (event->record && event->record->capture)
        return simt_failed(cudaErrorCapturedEvent);
    cudaError_t error = simt_refuse_capture();
    if (error != cudaSuccess)
        return simt_failed(error);
    const simt_record *r = event->record.get();
    if (!r || r->is_done)
        return cudaSuccess;
    run_until(r->stream, r->stream->queue.front().number);
    return cudaErrorNotReady;
}

cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t start, cudaEvent_t end)
{
    SIMT_LOCKED;
    if (!milliseconds || !start || !end || !start->has_time || !end->has_time || !start->record || !end->record)
        return simt_failed(cudaErrorInvalidResourceHandle);
    if (!start->record->is_done || !end->record->is_done)
        return simt_failed(cudaErrorNotReady);
    *milliseconds = std::chrono::duration<float, std::milli>(end->record->time - start->record->time).count();
    return cudaSuccess;
}

/* --- copies --- */

struct rectangle {
    void *to;
    size_t to_pitch;
    const void *from;
    size_t from_pitch, width, height;
};

static size_t span(size_t pitch, const rectangle *r)
{
    return pitch * (r->height - 1) + r->width;
}

static void copy_rectangle(const rectangle *r)
{
    for (size_t y = 0; y < r->height; y++)
        memmove((char *)r->to + y * r->to_pitch, (const char *)r->from + y * r->from_pitch, r->width);
}

/* A pointer must be on the side that `kind` says, and a device's range inside one allocation. */
static cudaError_t check_side(const char *what, const void *p, size_t bytes, int wants_device, int is_any)
{
    const int is_device = simt_is_device(p);
    if (is_device && !simt_is_allocated(p, bytes)) {
        simt_error("%s of %zu bytes at %p leaves its device buffer", what, bytes, p);
        return cudaErrorInvalidValue;
    }
    if (!is_any && is_device != wants_device && !simt_is_page_locked(p)) {
        simt_error("%s: %p is %s", what, p, is_device ? "device memory" : "host memory");
        return cudaErrorInvalidValue;
    }
    return cudaSuccess;
}

static cudaError_t check_copy(const rectangle *r, cudaMemcpyKind kind)
{
    if (kind < cudaMemcpyHostToHost || kind > cudaMemcpyDefault)
        return cudaErrorInvalidMemcpyDirection;
    if (r->width > r->to_pitch || r->width > r->from_pitch)
        return cudaErrorInvalidPitchValue;
    if (!r->to || !r->from)
        return cudaErrorInvalidValue;
    const int any = kind == cudaMemcpyDefault;
    const int to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
    const int from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
    cudaError_t error = check_side("a copy's destination", r->to, span(r->to_pitch, r), to_device, any);
    return error != cudaSuccess ? error
                                : check_side("a copy's source", r->from, span(r->from_pitch, r), from_device, any);
}

static int is_pageable(const void *p)
{
    return !simt_is_device(p) && !simt_is_page_locked(p);
}

/* The source as it is now. */
static std::shared_ptr<std::string> staged(rectangle *r)
{
    auto bytes = std::make_shared<std::string>();
    for (size_t y = 0; y < r->height; y++)
        bytes->append((const char *)r->from + y * r->from_pitch, r->width);
    r->from = bytes->data();
    r->from_pitch = r->width;
    return bytes;
}

/* From pageable memory: the source is read now. To pageable memory: done on return. Otherwise all happens later. */
static cudaError_t copy_later(rectangle r, cudaMemcpyKind kind, cudaStream_t stream)
{
    if (r.width == 0 || r.height == 0)
        return cudaSuccess;
    cudaError_t error = check_copy(&r, kind);
    if (error != cudaSuccess)
        return error;
    const int from_pageable = is_pageable(r.from), to_pageable = is_pageable(r.to);
    if (from_pageable || to_pageable)
        error = simt_refuse_capture();
    std::shared_ptr<std::string> kept;
    if (error == cudaSuccess && from_pageable)
        kept = staged(&r);
    if (error == cudaSuccess)
        error = simt_enqueue(stream,
                             [r, kept] {
                                 copy_rectangle(&r);
                                 simt_check_slack("a copy");
                             },
                             {r.to, r.from});
    if (error == cudaSuccess && to_pageable)
        run_stream(simt_stream_of(stream));
    return error;
}

/* Waits for the default stream first if the host's side is pageable, and then for the copy, with two exceptions of the
 * manual: between two places of the device there is no waiting, and from pageable memory to the device only for the
 * bytes to be staged. */
static cudaError_t copy_now(rectangle r, cudaMemcpyKind kind)
{
    const int to_device = simt_is_device(r.to), from_device = simt_is_device(r.from);
    cudaError_t error = simt_refuse_capture();
    if (error == cudaSuccess && !(to_device && from_device))
        run_stream(&default_stream);
    if (error == cudaSuccess)
        error = copy_later(r, kind, NULL);
    if (error == cudaSuccess && !(to_device && (from_device || is_pageable(r.from)))) {
        run_stream(&default_stream);
        error = simt_take_failure();
    }
    return error;
}

cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, cudaMemcpyKind kind)
{
    SIMT_LOCKED;
    return simt_failed(copy_now({to, bytes, from, bytes, bytes, 1}, kind));
}

cudaError_t cudaMemcpy2D(void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t width, size_t height,
                         cudaMemcpyKind kind)
{
    SIMT_LOCKED;
    return simt_failed(copy_now({to, to_pitch, from, from_pitch, width, height}, kind));
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream)
{
    SIMT_LOCKED;
    return simt_failed(copy_later({to, bytes, from, bytes, bytes, 1}, kind, stream));
}

cudaError_t cudaMemcpy2DAsync(void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t width,
                              size_t height, cudaMemcpyKind kind, cudaStream_t stream)
{
    SIMT_LOCKED;
    return simt_failed(copy_later({to, to_pitch, from, from_pitch, width, height}, kind, stream));
}

static cudaError_t fill_later(rectangle r, int byte, cudaStream_t stream)
{
    if (r.width == 0 || r.height == 0)
        return cudaSuccess;
    if (!r.to || r.width > r.to_pitch)
        return cudaErrorInvalidValue;
    cudaError_t error = check_side("a fill", r.to, span(r.to_pitch, &r), 1, 0);
    return error != cudaSuccess ? error : simt_enqueue(stream, [r, byte] {
        for (size_t y = 0; y < r.height; y++)
            memset((char *)r.to + y * r.to_pitch, byte, r.width);
        simt_check_slack("a fill");
    });
}

/* The host does not wait for it. */
cudaError_t cudaMemset(void *to, int byte, size_t bytes)
{
    SIMT_LOCKED;
    cudaError_t error = simt_refuse_capture();
    return simt_failed(error != cudaSuccess ? error : fill_later({to, bytes, NULL, 0, bytes, 1}, byte, NULL));
}

cudaError_t cudaMemsetAsync(void *to, int byte, size_t bytes, cudaStream_t stream)
{
    SIMT_LOCKED;
    return simt_failed(fill_later({to, bytes, NULL, 0, bytes, 1}, byte, stream));
}

cudaError_t cudaMemset2DAsync(void *to, size_t pitch, int byte, size_t width, size_t height, cudaStream_t stream)
{
    SIMT_LOCKED;
    return simt_failed(fill_later({to, pitch, NULL, 0, width, height}, byte, stream));
}
