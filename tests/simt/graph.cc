/* SPDX-License-Identifier: Apache-2.0
 * Capture of streams into graphs, which are launched as the list of what was captured in the order of the calls. */
#include <thread>
#include <vector>

#include "stream.h"

struct simt_capture {
    simt_stream *origin;
    std::vector<simt_work> work;
    std::vector<simt_stream *> streams; /* that take part */
    cudaStreamCaptureMode mode;
    std::thread::id thread;
    int is_invalid;
};

struct simt_graph {
    std::vector<simt_work> work;
};

struct simt_graph_exec {
    std::vector<simt_work> work;
};

static std::vector<std::shared_ptr<simt_capture>> captures; /* under way */

/* A thread's own captures forbid unless they are relaxed, those of others if they are global. */
static int forbids(const simt_capture *c)
{
    return c->thread == std::this_thread::get_id() ? c->mode != cudaStreamCaptureModeRelaxed
                                                   : c->mode == cudaStreamCaptureModeGlobal;
}

/* Of the captures that `matters` says yes to. */
template <class F> static cudaError_t refuse(F matters)
{
    cudaError_t error = cudaSuccess;
    for (const auto &c : captures)
        if (matters(c.get())) {
            c->is_invalid = 1;
            error = cudaErrorStreamCaptureUnsupported;
        }
    return error;
}

cudaError_t simt_refuse_capture()
{
    return refuse(forbids);
}

cudaError_t simt_refuse_any_capture()
{
    return refuse([](const simt_capture *) { return 1; });
}

cudaError_t simt_refuse_capture_of(const simt_stream *s)
{
    return refuse([s](const simt_capture *c) { return forbids(c) || s->capture.get() == c; });
}

cudaError_t simt_capture_into(simt_stream *s, const simt_work &work)
{
    if (!s->capture) {
        if (s != simt_stream_of(NULL))
            return cudaErrorNotReady;
        for (const auto &c : captures)
            if (!c->origin->is_non_blocking) {
                c->is_invalid = 1;
                return cudaErrorStreamCaptureImplicit;
            }
        return cudaErrorNotReady;
    }
    if (s->capture->is_invalid)
        return cudaErrorStreamCaptureInvalidated;
    s->capture->work.push_back(work);
    s->is_unjoined = s != s->capture->origin;
    return cudaSuccess;
}

int simt_capture_record(simt_stream *s, simt_record *r)
{
    if (!s->capture)
        return 0;
    r->stream = s;
    r->capture = s->capture;
    r->length = s->capture->work.size();
    return 1;
}

/* A stream that waits for captured work joins the capture. */
cudaError_t simt_capture_wait(simt_stream *s, const simt_record *r)
{
    if (!r->capture && !s->capture)
        return cudaErrorNotReady;
    if (!r->capture) {
        s->capture->is_invalid = 1;
        return cudaErrorStreamCaptureIsolation;
    }
    if (s->capture && s->capture != r->capture) {
        s->capture->is_invalid = r->capture->is_invalid = 1;
        return cudaErrorStreamCaptureMerge;
    }
    if (!s->capture) {
        s->capture = r->capture;
        s->capture->streams.push_back(s);
        s->is_unjoined = 1;
    } else if (r->stream != s && r->stream->capture == r->capture) {
        r->stream->is_unjoined = 0;
    }
    return cudaSuccess;
}

static void end_capture(const std::shared_ptr<simt_capture> &c)
{
    for (simt_stream *s : c->streams)
        s->capture.reset();
    for (size_t i = 0; i < captures.size(); i++)
        if (captures[i] == c) {
            captures.erase(captures.begin() + (ptrdiff_t)i);
            break;
        }
}

void simt_capture_abandon(simt_stream *s)
{
    if (s->capture)
        end_capture(std::shared_ptr<simt_capture>(s->capture));
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode)
{
    SIMT_LOCKED;
    simt_stream *s = simt_stream_of(stream);
    if (!s)
        return simt_failed(cudaErrorInvalidResourceHandle);
    if (s == simt_stream_of(NULL))
        return simt_failed(cudaErrorStreamCaptureUnsupported);
    if (s->capture)
        return simt_failed(cudaErrorInvalidValue);
    s->capture = std::make_shared<simt_capture>();
    s->capture->origin = s;
    s->capture->mode = mode;
    s->capture->thread = std::this_thread::get_id();
    s->capture->streams.push_back(s);
    s->is_unjoined = 0;
    captures.push_back(s->capture);
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *out)
{
    SIMT_LOCKED;
    simt_stream *s = simt_stream_of(stream);
    if (!s || !out)
        return simt_failed(cudaErrorInvalidResourceHandle);
    *out = NULL;
    if (!s->capture)
        return simt_failed(cudaErrorInvalidValue);
    const std::shared_ptr<simt_capture> c = s->capture;
    cudaError_t error = c->is_invalid ? cudaErrorStreamCaptureInvalidated : cudaSuccess;
    if (c->origin != s)
        error = cudaErrorStreamCaptureUnmatched;
    for (const simt_stream *other : c->streams)
        if (error == cudaSuccess && other->is_unjoined)
            error = cudaErrorStreamCaptureUnjoined;
    end_capture(c);
    if (error == cudaSuccess)
        *out = new simt_graph{c->work};
    return simt_failed(error);
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus *out)
{
    SIMT_LOCKED;
    simt_stream *s = simt_stream_of(stream);
    if (!s || !out)
        return simt_failed(cudaErrorInvalidResourceHandle);
    *out = !s->capture              ? cudaStreamCaptureStatusNone
           : s->capture->is_invalid ? cudaStreamCaptureStatusInvalidated
                                    : cudaStreamCaptureStatusActive;
    return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *out, cudaGraph_t graph, unsigned long long)
{
    SIMT_LOCKED;
    if (!out || !graph)
        return simt_failed(cudaErrorInvalidValue);
    *out = new simt_graph_exec{graph->work};
    return cudaSuccess;
}

cudaError_t cudaGraphUpload(cudaGraphExec_t exec, cudaStream_t)
{
    return simt_failed(exec ? cudaSuccess : cudaErrorInvalidValue);
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream)
{
    SIMT_LOCKED;
    if (!exec)
        return simt_failed(cudaErrorInvalidValue);
    for (const simt_work &work : exec->work) {
        cudaError_t error = simt_enqueue(stream, work.run, work.uses);
        if (error != cudaSuccess)
            return simt_failed(error);
    }
    return cudaSuccess;
}

cudaError_t cudaGraphExecUpdate(cudaGraphExec_t exec, cudaGraph_t graph, cudaGraphExecUpdateResultInfo *info)
{
    SIMT_LOCKED;
    if (!exec || !graph || !info)
        return simt_failed(cudaErrorInvalidValue);
    const int same = exec->work.size() == graph->work.size();
    *info = {same ? cudaGraphExecUpdateSuccess : cudaGraphExecUpdateErrorTopologyChanged, NULL, NULL};
    if (!same)
        return simt_failed(cudaErrorGraphExecUpdateFailure);
    exec->work = graph->work;
    return cudaSuccess;
}

cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t *nodes, size_t *count)
{
    SIMT_LOCKED;
    if (!graph || !count || nodes) /* the count is all that is there */
        return simt_failed(cudaErrorInvalidValue);
    *count = graph->work.size();
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec)
{
    SIMT_LOCKED;
    delete exec;
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    SIMT_LOCKED;
    delete graph;
    return cudaSuccess;
}
