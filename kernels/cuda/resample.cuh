/* SPDX-License-Identifier: Apache-2.0
 * Resize tables on the device (ref/resample.h), which all execs of a backend share. An operator borrows the table of an
 * axis; the exec returns it when it has finished. The tables not used for longest are released when there are many. */
#ifndef TRK_KERNELS_CUDA_RESAMPLE_CUH
#define TRK_KERNELS_CUDA_RESAMPLE_CUH

#include "library.cuh"
#include "resample.h"

/* One axis on the device, passed to kernels by value: output i reads samples first[i] .. first[i] + count[i] - 1. */
template <class W> struct axis_taps {
    const int *first, *count; /* [n_out] */
    const W *weights;         /* [taps, n_out]: outputs side by side, as threads are */
    int n_out;

    __device__ __forceinline__ W weight(int k, int64_t i) const
    {
        return weights[(int64_t)k * n_out + i];
    }
};

struct cuda_table {
    struct cuda_table *next;
    trk_resample_kind kind;
    int n_in, n_out;
    int n_users;        /* borrowings; the table stays while there are any */
    uint64_t last_used; /* by the clock of the tables */
    int *data;          /* on the device: first [n_out], count [n_out], weights [taps, n_out]; owned */
    size_t bytes;
};

/* W: float of the torch kinds, int of the 8-bit kind */
template <class W> axis_taps<W> taps_of(const struct cuda_table *t)
{
    const int *weights = t->data + 2 * (size_t)t->n_out;
    return axis_taps<W>{t->data, t->data + t->n_out, reinterpret_cast<const W *>(weights), t->n_out};
}

/* Made where it is not there yet, which waits for the device. NULL after recording the failure in `x`. */
const struct cuda_table *cuda_table_borrow(trk_exec *x, trk_resample_kind kind, int n_in, int n_out);
/* For exec.cu: the device has done what reads it. */
void cuda_table_return(trk_exec *x, const struct cuda_table *table);

#endif
