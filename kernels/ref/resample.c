/* SPDX-License-Identifier: Apache-2.0
 * Mirrors torch's upsample_bilinear2d (_compute_indices_weights, _compute_indices_min_size_weights_aa) and Pillow's
 * precompute_coeffs and normalize_coeffs_8bpc. */
#include "resample.h"

#include <math.h>
#include <string.h>

/* Half the width of the kernel at scale 1. */
static double base_support(trk_resample_kind kind)
{
    return kind == TRK_RESAMPLE_BICUBIC_8BIT ? 2.0 : 1.0;
}

static int max_taps(trk_resample_kind kind, int n_in, int n_out)
{
    if (kind == TRK_RESAMPLE_BILINEAR)
        return 2;
    const double scale = (double)n_in / n_out;
    return (int)ceil(base_support(kind) * (scale > 1 ? scale : 1)) * 2 + 1;
}

size_t trk_resample_bytes(trk_resample_kind kind, int n_in, int n_out)
{
    if (n_in <= 0 || n_out <= 0 || n_in > 1 << 24 || n_out > 1 << 24)
        return 0;
    /* the largest table, 2^24 outputs or taps, stays below 2^40 bytes */
    const uint64_t taps = (uint64_t)max_taps(kind, n_in, n_out);
    /* the row of doubles is scratch of the 8-bit kind */
    const uint64_t bytes = (uint64_t)n_out * (2 + taps) * 4 + taps * sizeof(double) + sizeof(double);
    return bytes <= SIZE_MAX ? (size_t)bytes : 0;
}

/* src = max((i + 0.5) n_in / n_out - 0.5, 0); taps floor(src) and its right neighbour inside the border */
static void bilinear(trk_resample *t, int n_in)
{
    const float scale = (float)n_in / (float)t->n_out;
    for (int i = 0; i < t->n_out; i++) {
        float source = scale * ((float)i + 0.5f) - 0.5f;
        if (source < 0)
            source = 0;
        int first = (int)source;
        if (first > n_in - 1)
            first = n_in - 1;
        float right = source - (float)first;
        if (right > 1)
            right = 1;
        t->first[i] = first;
        t->count[i] = first + 1 < n_in ? 2 : 1;
        t->weights[2 * i] = t->count[i] == 2 ? 1 - right : 1;
        t->weights[2 * i + 1] = t->count[i] == 2 ? right : 0;
    }
}

/* w_k = max(0, 1 - |k + first - c + 0.5| / support) with c = scale (i + 0.5), divided by their sum */
static void bilinear_antialias(trk_resample *t, int n_in)
{
    const float scale = (float)n_in / (float)t->n_out, support = scale > 1 ? scale : 1;
    const float inverse = scale > 1 ? 1 / scale : 1;
    for (int i = 0; i < t->n_out; i++) {
        const float center = (float)(scale * (i + 0.5));
        float *weights = t->weights + (size_t)i * (size_t)t->max_taps;
        int first = (int)(center - support + 0.5), end = (int)(center + support + 0.5);
        first = first < 0 ? 0 : first;
        end = end > n_in ? n_in : end;
        float sum = 0;
        for (int k = 0; k < end - first; k++) {
            const float distance = fabsf((float)((k + first - center + 0.5) * inverse));
            weights[k] = distance < 1 ? 1 - distance : 0;
            sum += weights[k];
        }
        for (int k = 0; k < end - first; k++)
            weights[k] /= sum;
        t->first[i] = first;
        t->count[i] = end - first;
    }
}

/* The cubic convolution kernel with a = -0.5, in Pillow's order of operations. */
static double cubic(double x)
{
    const double a = -0.5;
    x = fabs(x);
    if (x < 1.0)
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
    if (x < 2.0)
        return (((x - 5) * x + 8) * x - 4) * a;
    return 0.0;
}

static void bicubic_8bit(trk_resample *t, int n_in, double *row)
{
    const double scale = (double)n_in / t->n_out, filter_scale = scale < 1.0 ? 1.0 : scale;
    const double support = base_support(TRK_RESAMPLE_BICUBIC_8BIT) * filter_scale, inverse = 1.0 / filter_scale;
    for (int i = 0; i < t->n_out; i++) {
        const double center = (i + 0.5) * scale;
        int32_t *fixed = t->fixed + (size_t)i * (size_t)t->max_taps;
        int first = (int)(center - support + 0.5), end = (int)(center + support + 0.5);
        first = first < 0 ? 0 : first;
        end = end > n_in ? n_in : end;
        double sum = 0;
        for (int k = 0; k < end - first; k++) {
            row[k] = cubic((k + first - center + 0.5) * inverse);
            sum += row[k];
        }
        for (int k = 0; k < end - first; k++) {
            const double w = sum != 0.0 ? row[k] / sum : row[k];
            fixed[k] = (int32_t)(w * (1 << TRK_RESAMPLE_BITS) + (w < 0 ? -0.5 : 0.5));
        }
        t->first[i] = first;
        t->count[i] = end - first;
    }
}

void trk_resample_build(trk_resample *table, void *memory, trk_resample_kind kind, int n_in, int n_out)
{
    const int taps = max_taps(kind, n_in, n_out);
    double *row = memory;                     /* [taps] */
    int32_t *first = (int32_t *)(row + taps); /* [n_out], then count [n_out], then the weights */
    void *weights = first + 2 * (size_t)n_out;
    memset(weights, 0, (size_t)n_out * (size_t)taps * 4);
    *table = (trk_resample){.n_out = n_out, .max_taps = taps, .first = first, .count = first + n_out};
    if (kind == TRK_RESAMPLE_BICUBIC_8BIT) {
        table->fixed = weights;
        bicubic_8bit(table, n_in, row);
    } else {
        table->weights = weights;
        if (kind == TRK_RESAMPLE_BILINEAR)
            bilinear(table, n_in);
        else
            bilinear_antialias(table, n_in);
    }
}
