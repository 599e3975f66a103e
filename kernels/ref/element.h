/* SPDX-License-Identifier: Apache-2.0
 * Element access for the reference operators: any dtype in, double out, rounded once on the way back. */
#ifndef TRK_KERNELS_REF_ELEMENT_H
#define TRK_KERNELS_REF_ELEMENT_H

#include <math.h>

#include "bf16.h"
#include "ops.h"

static inline double element_get(trk_mat m, int64_t row, int64_t col)
{
    int64_t i = row * m.stride + col;
    return m.dtype == TRK_BF16 ? trk_bf16_to_f32(((const uint16_t *)m.data)[i]) : ((const float *)m.data)[i];
}

static inline void element_put(trk_mat m, int64_t row, int64_t col, double value)
{
    int64_t i = row * m.stride + col;
    if (m.dtype == TRK_BF16)
        ((uint16_t *)m.data)[i] = trk_f32_to_bf16((float)value);
    else
        ((float *)m.data)[i] = (float)value;
}

/* A factor of a product as the backend sees it: rounded to bf16 on a bf16 backend. */
static inline double element_factor(const trk_exec *x, double value)
{
    return x->activation == TRK_BF16 ? (double)trk_bf16_to_f32(trk_f32_to_bf16((float)value)) : value;
}

static inline double element_act(trk_act act, double v)
{
    switch (act) {
    case TRK_ACT_RELU:
        return v < 0 ? 0 : v; /* NaN stays */
    case TRK_ACT_GELU:
        return 0.5 * v * (1 + erf(v * 0.70710678118654752440)); /* v Phi(v) */
    case TRK_ACT_SIGMOID:
        return 1 / (1 + exp(-v));
    case TRK_ACT_NONE:
        break;
    }
    return v;
}

#endif
