/* SPDX-License-Identifier: Apache-2.0
 * What a backend is made of, for kernels/ only. */
#ifndef TRK_KERNELS_BACKEND_PRIVATE_H
#define TRK_KERNELS_BACKEND_PRIVATE_H

#include "backend.h"

struct cpu_kernels;
struct cpu_library;
struct cpu_team;

struct trk_backend {
    trk_backend_kind kind;
    trk_dtype activation;
    int n_threads;
    trk_allocator *allocator;          /* borrowed */
    trk_ops ops;                       /* complete */
    trk_ops planning_ops;              /* of an exec that plans */
    const struct cpu_kernels *kernels; /* of the best instruction set; NULL in the reference backend */
    struct cpu_team *team;             /* owned, n_threads workers; NULL in the reference backend */
    struct cpu_library *library;       /* owned, see cpu/layer.h; NULL in the reference backend */
};

#endif
