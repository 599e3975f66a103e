/* SPDX-License-Identifier: Apache-2.0
 * 2^x for a vector of x <= 0 (and a little above), exactly 1 at 0, 0 at -infinity, NaN at NaN:
 * 2^x = 2^n * polynomial(x - n). The polynomials are minimax in relative error with the constant term held at 1;
 * `exact` (degree 5) is within 2e-7 including rounding, otherwise (degree 3) within 1.1e-4, enough where the result is
 * rounded to bf16 (2^-9). */
#ifndef TRK_KERNELS_CPU_EXP2_H
#define TRK_KERNELS_CPU_EXP2_H

#include "simd.h"

#ifdef SIMD_AVX512

/* The fraction x - floor(x) lies in [0, 1), scalef multiplies by 2^floor(x) with the right underflow. */
SIMD_INLINE vf vf_exp2(vf x, int exact)
{
    const vf r = (vf)_mm512_reduce_ps((__m512)x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
    vf p;
    if (exact) {
        p = r * 0.00186713024f + 0.00901702995f;
        p = p * r + 0.0557999134f;
        p = p * r + 0.24016445f;
        p = p * r + 0.693151312f;
    } else {
        p = r * 0.0770670531f + 0.227644979f;
        p = p * r + 0.695116789f;
    }
    p = p * r + 1.0f;
    return (vf)_mm512_scalef_ps((__m512)p, (__m512)x);
}

#else

/* Adding 1.5 * 2^23 leaves round(x) in the low bits, whose shift to the exponent field makes 2^n; n = -127 makes 0. */
SIMD_INLINE vf vf_exp2(vf x, int exact)
{
    x = vf_max(vf_set1(-127.0f), x);
    const vf shifted = x + 12582912.0f;
    const vf r = x - (shifted - 12582912.0f);
    vf p;
    if (exact) {
        p = r * 0.00132647273f + 0.0096715127f;
        p = p * r + 0.0555073374f;
        p = p * r + 0.240222421f;
        p = p * r + 0.693146978f;
    } else {
        p = r * 0.0550089315f + 0.242210963f;
        p = p * r + 0.693282927f;
    }
    p = p * r + 1.0f;
    return p * (vf)(((vu)shifted + 127u) << 23);
}

#endif

#endif
