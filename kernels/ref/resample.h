/* SPDX-License-Identifier: Apache-2.0
 * Tables of separable resizing: which input samples an output sample reads along one axis, and with what weights.
 * Built with the arithmetic of the library each mirrors (float positions for torch, double ones and 22-bit fixed point
 * for Pillow), hence shared by all backends and compiled without contraction. */
#ifndef TRK_KERNELS_REF_RESAMPLE_H
#define TRK_KERNELS_REF_RESAMPLE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum trk_resample_kind {
    TRK_RESAMPLE_BILINEAR,           /* torch, align_corners false: two taps */
    TRK_RESAMPLE_BILINEAR_ANTIALIAS, /* torch, antialias: triangle widened by the shrink factor */
    TRK_RESAMPLE_BICUBIC_8BIT        /* Pillow on bytes: cubic with a = -0.5, widened by the shrink factor */
} trk_resample_kind;

#define TRK_RESAMPLE_BITS 22 /* fractional bits of fixed */

typedef struct trk_resample {
    int n_out, max_taps;
    int32_t *first, *count; /* [n_out]: samples first .. first + count - 1 */
    float *weights;         /* [n_out, max_taps] for the torch kinds, else NULL */
    int32_t *fixed;         /* [n_out, max_taps] for the 8-bit kind, else NULL */
} trk_resample;

/* Bytes of memory that trk_resample_build needs; 0 when the sizes are not positive or overflow. */
size_t trk_resample_bytes(trk_resample_kind kind, int n_in, int n_out);

/* Fills `memory` (aligned to 8) and points *table into it. Weights beyond count are zero. */
void trk_resample_build(trk_resample *table, void *memory, trk_resample_kind kind, int n_in, int n_out);

#ifdef __cplusplus
}
#endif

#endif
