/* SPDX-License-Identifier: Apache-2.0
 * What all execs of a CUDA backend share. Thread safe. */
#ifndef TRK_KERNELS_CUDA_LIBRARY_CUH
#define TRK_KERNELS_CUDA_LIBRARY_CUH

#include <cublasLt.h>

#include "cuda.h"
#include "launch.cuh"

struct cuda_products; /* product.cu: the algorithm chosen for each shape of a product */
struct cuda_tables;   /* resample.cu: resize tables on the device, by kind and sizes */

struct cuda_library {
    cuda_device_info info;
    int wgmma;             /* attention_wgmma.cuh may be used */
    cublasLtHandle_t blas; /* owned */
    struct cuda_products *products; /* owned */
    struct cuda_tables *tables;     /* owned */
};

trk_status cuda_products_create(struct cuda_products **out);
void cuda_products_destroy(struct cuda_products **products); /* NULL-safe, clears the handle */
/* allocator: of the device's memory, class PINNED */
trk_status cuda_tables_create(struct cuda_tables **out, trk_allocator *allocator);
void cuda_tables_destroy(struct cuda_tables **tables);

/* layer.cu: packed weights on the device; see trk_backend_driver. */
trk_status cuda_layer_create(void **out, trk_backend *backend, trk_allocator *allocator, const trk_layer_shape *shape,
                             const float *weight, const float *bias);
void cuda_layer_release(void **layer, trk_allocator *allocator);

/* "cuda: cuBLASLt: WHAT: text" in the exec; or, without one, as this thread's error. */
trk_status cuda_blas_error(cublasStatus_t status, const char *what);

#endif
