/* SPDX-License-Identifier: Apache-2.0
 * What a backend is made of, for kernels/ only. A kind of backend is a driver: the functions that differ. */
#ifndef TRK_KERNELS_BACKEND_PRIVATE_H
#define TRK_KERNELS_BACKEND_PRIVATE_H

#include "backend.h"

#ifdef __cplusplus
extern "C" {
#endif

struct cpu_kernels;
struct cpu_library;
struct cpu_team;
struct cuda_library;

/* A fully connected layer has kernel 1, stride 1, padding 0; so has a 1x1 convolution, which is the same product. */
typedef struct trk_layer_shape {
    int n_in, n_out, kernel, stride, padding, groups;
} trk_layer_shape;

static inline int trk_layer_is_linear(const trk_layer_shape *s)
{
    return s->kernel == 1 && s->stride == 1 && s->padding == 0 && s->groups == 1;
}

typedef struct trk_backend_driver {
    const char *name;
    int on_host; /* the backend's memory is the host's */
    /* TRK_E_UNSUPPORTED with the reason when it is not in this build or the machine has no such device */
    trk_status (*check)(int device);
    int (*has_bf16)(void);
    /* Fills ops (which hold the reference's) and planning_ops (which do nothing) and opens what the backend shares. */
    trk_status (*open)(trk_backend *backend);
    void (*close)(trk_backend *backend); /* also of a backend that was opened in part */
    /* Of an exec with a workspace. */
    trk_status (*exec_open)(trk_exec *x);
    void (*exec_close)(trk_exec *x);
    void (*finish)(trk_exec *x);
    void (*follow)(trk_exec *x);
    void (*stage_begin)(trk_exec *x);
    int (*stage_end)(trk_exec *x);
    uint64_t (*replays)(const trk_exec *x);
    /* weight [n_out, n_in / groups, kernel, kernel] and bias [n_out] or NULL, on the host */
    trk_status (*layer_create)(void **out, trk_backend *backend, trk_allocator *allocator, const trk_layer_shape *shape,
                               const float *weight, const float *bias);
    void (*layer_release)(void **layer, trk_allocator *allocator); /* NULL-safe, clears the handle */
} trk_backend_driver;

extern const trk_backend_driver trk_ref_driver, trk_cpu_driver, trk_cuda_driver;

struct trk_backend {
    const trk_backend_driver *driver;
    trk_backend_kind kind;
    trk_dtype activation;
    int n_threads, least_threads;      /* the CPU backend may have fewer than at first, but not fewer than these */
    int device;                        /* number of the GPU */
    trk_allocator *allocator;          /* borrowed */
    trk_ops ops;                       /* complete */
    trk_ops planning_ops;              /* of an exec that plans */
    const struct cpu_kernels *kernels; /* of the best instruction set; NULL but in the CPU backend */
    struct cpu_team *team;             /* owned, n_threads workers; NULL but in the CPU backend */
    struct cpu_library *library;       /* owned, see cpu/layer.h; NULL but in the CPU backend */
    struct cuda_library *cuda;         /* owned, see cuda/library.cuh; NULL but in the CUDA backend */
};

#ifdef __cplusplus
}
#endif

#endif
