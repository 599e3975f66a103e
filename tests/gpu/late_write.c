/* SPDX-License-Identifier: Apache-2.0 */
#include "late_write.h"

#include "cuda/cuda.h"

int late_write(void *to, const void *from, size_t bytes)
{
    return trk_cuda_write(0, to, from, bytes) < 0 ? -1 : 0;
}
