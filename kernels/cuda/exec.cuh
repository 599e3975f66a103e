/* SPDX-License-Identifier: Apache-2.0
 * An exec of the CUDA backend: its stream, its way to and from the host, and the stages it has recorded. */
#ifndef TRK_KERNELS_CUDA_EXEC_CUH
#define TRK_KERNELS_CUDA_EXEC_CUH

#include "launch.cuh"

struct staging {
    struct staging *next; /* older, full ones */
    char *data;           /* page-locked, owned */
    size_t bytes, used;
};

struct arrival {
    void *to; /* host, the caller's */
    ptrdiff_t stride;
    const char *staged; /* dense rows */
    size_t row_bytes, rows;
};

struct cuda_exec {
    cudaStream_t stream;
    cudaEvent_t event; /* of the default stream */
    int device;
    struct staging *staging;
    struct arrival *arrivals; /* downloads under way; [capacity] owned */
    size_t n_arrivals, capacity;
    struct cuda_stages *stages; /* owned */
    const struct cuda_table **borrowed; /* until the exec has finished; [borrowed_capacity] owned */
    size_t n_borrowed, borrowed_capacity;
};

/* The exec returns the table when it has finished. Accepts NULL. */
void cuda_exec_borrow(trk_exec *x, const struct cuda_table *table);

/* stages.cu */
trk_status cuda_stages_create(struct cuda_stages **out);
void cuda_stages_destroy(struct cuda_stages **stages); /* NULL-safe, clears the handle */
void cuda_stage_begin(trk_exec *x);
int cuda_stage_end(trk_exec *x);
uint64_t cuda_replays(const trk_exec *x);

static inline struct cuda_exec *exec_of(trk_exec *x)
{
    return static_cast<struct cuda_exec *>(x->device);
}

#endif
