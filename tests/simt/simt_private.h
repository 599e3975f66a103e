/* SPDX-License-Identifier: Apache-2.0
 * What the parts of the emulation know of each other. Everything here is called with the lock held. */
#ifndef SIMT_PRIVATE_H
#define SIMT_PRIVATE_H

#include <functional>
#include <mutex>
#include <vector>

#include <cuda_runtime.h>

#include "simt.h"

/* --- report.cc --- */

std::recursive_mutex &simt_lock();
#define SIMT_LOCKED std::lock_guard<std::recursive_mutex> simt_locked(simt_lock())

/* Counts and prints an error; where it happened is added while a kernel runs. */
void simt_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Records the thread's last error, and returns it. */
cudaError_t simt_failed(cudaError_t error);

/* --- block.cc --- */

struct simt_grid {
    const char *name;
    dim3 grid, block;
    size_t shared_bytes;
    const simt_call *call;
};

/* 0 if the kernel was stopped by an error. */
int simt_run_grid(const simt_grid *g);
/* "KERNEL block .. thread ..", or "" when no kernel runs. Static storage. Async-signal-safe enough for a crash. */
const char *simt_where();
/* From within a kernel: reports and stops it. */
[[noreturn]] void simt_stop(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A thread's asynchronous copies that have not been waited for. */
struct simt_copy {
    void *to;
    const void *from; /* NULL: zeros */
    int group;
};

struct simt_copies {
    std::vector<simt_copy> pending;
    int n_committed;                    /* groups */
    std::vector<const void *> unfenced; /* 16 bytes each that arrived since the last fence_async */
    int is_fenced;                      /* since the last barrier */
};

simt_copies *simt_thread_copies(); /* of the running thread */
/* The running thread's warp, which has to be one of four whole ones that make a warpgroup. */
unsigned simt_warp_of_warpgroup(const char *what);
/* What an address in the block's shared memory's surroundings is; NULL if it is not there. */
const char *simt_describe_shared(const void *p);

/* --- warpgroup.cc --- */

/* A block starts. */
void simt_products_open(unsigned n_warps, size_t shared_bytes);
/* Products see shared memory as it is now, but for what these threads have not fenced. */
void simt_products_see(const std::vector<const simt_copies *> &threads, size_t shared_bytes);
int simt_products_pending(unsigned warp); /* that nobody has waited for */

/* --- memory.cc --- */

#define SIMT_SHARED_DEFAULT (48 * 1024)
#define SIMT_SHARED_MOST    (227 * 1024)

/* Device memory is accessible while one of these lives. */
struct simt_access {
    simt_access();
    ~simt_access();
};

/* And not while one of these lives inside it: host functions in a stream. */
struct simt_no_access {
    int former;
    simt_no_access();
    ~simt_no_access();
};

/* Reports slack of allocations that was written to; `after`: what ran. */
void simt_check_slack(const char *after);
int simt_is_device(const void *p);                  /* inside the device's region, allocated or not */
int simt_is_allocated(const void *p, size_t bytes); /* wholly inside one allocation */
int simt_is_page_locked(const void *p);
int simt_is_host(const void *p); /* pageable memory of the host, as far as addresses tell */

/* --- stream.cc --- */

/* Appends work to the stream, or to the graph that it captures; uses: page-locked memory that the work will touch.
 * cudaErrorInvalidResourceHandle, cudaErrorStreamCapture.. */
cudaError_t simt_enqueue(cudaStream_t stream, std::function<void()> work, std::vector<const void *> uses = {});
/* Of calls that a capture forbids: cudaErrorStreamCaptureUnsupported, and the capture is invalid; or cudaSuccess. */
cudaError_t simt_refuse_capture();
cudaError_t simt_refuse_any_capture(); /* of calls that wait for the whole device: whoever captures */
/* Work that has not run uses these bytes. */
int simt_is_waited_for(const void *data, size_t bytes);
void simt_run_everything();
int simt_may_be_in_use(); /* 1: there is work, and this OS thread has not waited for the device */
/* cudaErrorLaunchFailure once after a kernel was stopped. */
cudaError_t simt_take_failure();
void simt_note_failure();

#endif
