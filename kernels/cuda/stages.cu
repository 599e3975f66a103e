/* SPDX-License-Identifier: Apache-2.0
 * Stages that recur, as CUDA graphs. The first time round, operators only tell what they would give to the stream: every
 * kernel with its arguments, every copy, every library call goes into one hash. A recording under that hash is of exactly
 * these calls, and is launched as it is. Without one the stage comes again and is run; when the same hash has been seen
 * before, it is recorded while it comes. So nothing has to say when a recording is out of date: another address or shape
 * is another hash. What operators copy into staging buffers lies at the same place each time round. */
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "current.cuh"
#include "exec.cuh"
#include "heap.h"
#include "log.h"

#define RECORDINGS 128   /* of an exec; the one not used for longest goes */
#define MOST_FAILURES 8 /* after so many captures in a row that failed an exec records no more */

enum stage_mode {
    STAGE_NONE,   /* operators run */
    STAGE_LISTEN, /* they tell */
    STAGE_RUN,    /* the second time, without recording */
    STAGE_RECORD
};

struct recording {
    uint64_t hash, used; /* used 0: a free place */
    cudaGraphExec_t graph; /* NULL: seen once */
};

struct cuda_stages {
    enum stage_mode mode;
    uint64_t hash, heard, clock, n_replays; /* heard: the hash of the listening round */
    int n_failures;
    struct recording recordings[RECORDINGS];
    struct staging *staging; /* what the stage found, for when it comes again */
    size_t staging_used, n_arrivals;
};

trk_status cuda_stages_create(struct cuda_stages **out)
{
    *out = static_cast<struct cuda_stages *>(trk_heap_zeroed(TRK_MEM_SCRATCH, "recorded stages", 1, sizeof **out));
    return *out ? TRK_OK : TRK_FAIL(TRK_E_MEMORY, "cuda: no memory for recorded stages");
}

void cuda_stages_destroy(struct cuda_stages **stages)
{
    if (!*stages)
        return;
    for (int i = 0; i < RECORDINGS; i++)
        if ((*stages)->recordings[i].graph)
            cuda_error(cudaGraphExecDestroy((*stages)->recordings[i].graph), "cudaGraphExecDestroy");
    trk_heap_release(*stages);
    *stages = NULL;
}

int cuda_tell(trk_exec *x, const void *bytes, size_t n)
{
    struct cuda_stages *s = exec_of(x)->stages;
    if (s->mode == STAGE_NONE || s->mode == STAGE_RUN)
        return 0;
    s->hash = XXH3_64bits_withSeed(bytes, n, s->hash);
    return s->mode == STAGE_LISTEN;
}

/* The place of this hash: its own, or that of the one not used for longest, emptied. *known: it was there. */
static struct recording *place_of(struct cuda_stages *s, uint64_t hash, int *known)
{
    struct recording *oldest = &s->recordings[0];
    for (int i = 0; i < RECORDINGS; i++) {
        struct recording *r = &s->recordings[i];
        if (r->used && r->hash == hash) {
            *known = 1;
            r->used = ++s->clock;
            return r;
        }
        oldest = r->used < oldest->used ? r : oldest;
    }
    *known = 0;
    if (oldest->graph)
        cuda_error(cudaGraphExecDestroy(oldest->graph), "cudaGraphExecDestroy");
    oldest->graph = NULL;
    oldest->hash = hash;
    oldest->used = ++s->clock;
    return oldest;
}

void cuda_stage_begin(trk_exec *x)
{
    struct cuda_exec *e = exec_of(x);
    struct cuda_stages *s = e->stages;
    s->hash = 0;
    if (x->planning)
        return;
    if (s->mode == STAGE_NONE) {
        s->mode = STAGE_LISTEN;
        s->staging = e->staging;
        s->staging_used = e->staging ? e->staging->used : 0;
        s->n_arrivals = e->n_arrivals;
        return;
    }
    /* again: a buffer that was added the first time is this stage's alone */
    if (e->staging)
        e->staging->used = e->staging == s->staging ? s->staging_used : 0;
    e->n_arrivals = s->n_arrivals;
    if (s->mode != STAGE_RECORD)
        return;
    cudaStream_t stream = cuda_stream(x);
    cuda_recording(1);
    cuda_expect(x, cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
}

static void launch(trk_exec *x, struct recording *r)
{
    cudaStream_t stream = cuda_stream(x);
    cuda_expect(x, cudaGraphLaunch(r->graph, stream), "cudaGraphLaunch");
}

/* Ends the capture; NULL when there is no recording of it. */
static cudaGraphExec_t recorded(trk_exec *x)
{
    cudaStream_t stream = cuda_stream(x);
    cudaGraph_t graph = NULL;
    cudaGraphExec_t out = NULL;
    cuda_expect(x, cudaStreamEndCapture(stream, &graph), "cudaStreamEndCapture");
    cuda_recording(0);
    if (x->status >= 0)
        cuda_expect(x, cudaGraphInstantiate(&out, graph, 0), "cudaGraphInstantiate");
    if (graph)
        cudaGraphDestroy(graph);
    return x->status >= 0 ? out : NULL;
}

/* The recording of what has just come, launched; kept if it is of what was heard before: a buffer may have moved in
 * between. 0: it failed. What failed is the capture (another thread of the program may have waited for the device, or
 * memory was wanted): the round before, with the same operators, went well, so they are simply run. */
static int keep_recording(trk_exec *x)
{
    struct cuda_stages *s = exec_of(x)->stages;
    int known;
    struct recording fresh = {s->hash, 0, recorded(x)};
    if (!fresh.graph) {
        trk_log(TRK_LOG_DEBUG, "cuda: a stage was not recorded: %s", trk_error_text());
        x->status = TRK_OK;
        cudaGetLastError();
        if (++s->n_failures == MOST_FAILURES)
            trk_log(TRK_LOG_INFO, "cuda: stages are no longer recorded: %d times in a row something came between",
                    MOST_FAILURES);
        return 0;
    }
    s->n_failures = 0;
    launch(x, &fresh);
    if (s->hash == s->heard) {
        place_of(s, s->hash, &known)->graph = fresh.graph;
        return 1;
    }
    cuda_expect(x, cudaStreamSynchronize(cuda_stream(x)), "cudaStreamSynchronize");
    cuda_error(cudaGraphExecDestroy(fresh.graph), "cudaGraphExecDestroy");
    return 1;
}

int cuda_stage_end(trk_exec *x)
{
    struct cuda_stages *s = exec_of(x)->stages;
    const enum stage_mode mode = s->mode;
    int known;
    s->mode = STAGE_NONE;
    if (mode == STAGE_RECORD && !keep_recording(x)) {
        s->mode = STAGE_RUN;
        return 0;
    }
    if (mode != STAGE_LISTEN || x->status < 0)
        return 1;
    struct recording *r = place_of(s, s->hash, &known);
    if (r->graph) {
        launch(x, r);
        s->n_replays++;
        return 1;
    }
    s->heard = s->hash;
    s->mode = known && s->n_failures < MOST_FAILURES ? STAGE_RECORD : STAGE_RUN;
    return 0;
}

uint64_t cuda_replays(const trk_exec *x)
{
    return static_cast<const struct cuda_exec *>(x->device)->stages->n_replays;
}
