/* SPDX-License-Identifier: Apache-2.0
 * Errors of the runtime, and the device that this thread talks to. */
#ifndef TRK_KERNELS_CUDA_CURRENT_CUH
#define TRK_KERNELS_CUDA_CURRENT_CUH

#include <cuda_runtime.h>

#include "error.h"

/* "cuda: WHAT: text" recorded, or TRK_OK; TRK_E_MEMORY where memory ran out. */
trk_status cuda_error(cudaError_t error, const char *what);
/* Between 1 and 0 this thread records a graph: no other waits for a device or records, this one gets no memory (NULL),
 * and what it releases is released afterwards. */
void cuda_recording(int on);
/* Around what may wait for a device by itself: between the two no thread records. Not by a thread that records. */
void cuda_quiet_begin(void);
void cuda_quiet_end(void);
/* Makes the device current in this thread. */
trk_status cuda_use(int device);

#endif
