/* SPDX-License-Identifier: Apache-2.0
 * What C code sees of the CUDA backend: its devices and their memory. The backend itself is a driver
 * (trk_cuda_driver of backend_private.h). A build without CUDA has none.c, in which every device is refused.
 *
 * Device pointers are never read or written by the host: bytes cross by the calls below, or in an exec's order by the
 * operators upload and download. Calls that fail record an error that names the call and what CUDA said. */
#ifndef TRK_KERNELS_CUDA_CUDA_H
#define TRK_KERNELS_CUDA_CUDA_H

#include "error.h"

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CUDA_DEVICES 16 /* at most, of one machine */

typedef struct cuda_device_info {
    char name[256];        /* "NVIDIA H200" */
    int major, minor;      /* compute capability */
    int n_processors;      /* multiprocessors */
    size_t bytes;          /* of memory */
    int driver, runtime;   /* 13000: CUDA 13.0 */
} cuda_device_info;

/* "cuda 13.0" as compiled in, or "". Static storage; asks no driver. */
const char *trk_cuda_describe(void);
/* TRK_E_UNSUPPORTED and one line when the device can not be used: not in this build, no driver or one that is too old,
 * no such device, compute capability below 8.0. out may be NULL. */
trk_status trk_cuda_device_open(int device, cuda_device_info *out);

/* Memory of a device that was opened. Each call is done when it returns, after everything that was launched before. */
void *trk_cuda_allocate(int device, size_t bytes); /* aligned to 256; NULL when there is none (no error recorded) */
void trk_cuda_release(int device, void *data);     /* accepts NULL */
trk_status trk_cuda_read(int device, void *host, const void *data, size_t bytes);
trk_status trk_cuda_write(int device, void *data, const void *host, size_t bytes);
trk_status trk_cuda_copy(int device, void *to, const void *from, size_t bytes);
void trk_cuda_fill(int device, void *data, int byte, size_t bytes);
size_t trk_cuda_available(int device); /* bytes; 0 when it can not be asked */
int trk_cuda_is_recording(void);       /* 1: this thread records a graph, and gets no memory meanwhile */

/* Page-locked host memory, which the device reads and writes at the same address; counted on the heap. NULL: none. */
void *trk_cuda_host_allocate(size_t bytes);
void trk_cuda_host_release(void *data, size_t bytes); /* accepts NULL */

#ifdef __cplusplus
}
#endif

#endif
