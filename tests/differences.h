/* SPDX-License-Identifier: Apache-2.0
 * How far two results are apart. */
#ifndef TRK_TESTS_DIFFERENCES_H
#define TRK_TESTS_DIFFERENCES_H

#include <math.h>
#include <stddef.h>

/* The largest |a - b|, and in *scale the largest |b|, of n floats. NaN as soon as one element is: no bound holds it. */
static inline double largest_difference(const float *a, const float *b, size_t n, double *scale)
{
    double worst = 0;
    *scale = 0;
    for (size_t i = 0; i < n; i++) {
        const double difference = fabs((double)a[i] - (double)b[i]);
        if (!(difference <= worst)) /* fmax would drop NaN */
            worst = difference;
        if (isnan(worst))
            return worst;
        *scale = fmax(*scale, fabs((double)b[i]));
    }
    return worst;
}

#endif
