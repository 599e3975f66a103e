/* SPDX-License-Identifier: Apache-2.0 */
#include "positions.h"

#include <math.h>
#include <stddef.h>

static const float two_pi = 6.283185307179586f;

void trk_rope_table(float *out, int side, int dim)
{
    int quarter = dim / 4;
    for (int t = 0; t < side * side; t++) {
        float position[2] = {(float)(t % side), (float)(t / side)};
        for (int axis = 0; axis < 2; axis++) {
            for (int j = 0; j < quarter; j++) {
                float frequency = 1.0f / powf(10000.0f, (float)(4 * j) / (float)dim);
                float angle = position[axis] * frequency;
                float *pair = out + ((size_t)t * dim / 2 + (size_t)axis * quarter + j) * 2;
                pair[0] = cosf(angle);
                pair[1] = sinf(angle);
            }
        }
    }
}

/* feature i of n: sine for even i, cosine for odd i */
static float interleaved_sine(float position, int i, int n)
{
    float divisor = powf(10000.0f, (float)(2 * (i / 2)) / (float)n);
    return i % 2 ? cosf(position / divisor) : sinf(position / divisor);
}

void trk_sine_2d(float *out, int side, int dim)
{
    int n = dim / 2;
    for (int k = 0; k < side; k++) {
        float position = (float)(k + 1) / ((float)side + 1e-6f) * two_pi;
        for (int i = 0; i < n; i++) {
            float value = interleaved_sine(position, i, n);
            for (int other = 0; other < side; other++) {
                out[((size_t)k * side + other) * dim + i] = value;     /* k as y */
                out[((size_t)other * side + k) * dim + n + i] = value; /* k as x */
            }
        }
    }
}

void trk_sine_1d(float *out, float position, int dim)
{
    int n = dim / 2;
    for (int i = 0; i < n; i++) {
        float angle = position / powf(10000.0f, (float)(2 * (i / 2)) / (float)n);
        out[i] = sinf(angle);
        out[n + i] = cosf(angle);
    }
}

void trk_fourier_point(float *out, const float *gaussian, int n, float x, float y)
{
    for (int i = 0; i < n; i++) {
        float u = two_pi * ((2.0f * x - 1.0f) * gaussian[i] + (2.0f * y - 1.0f) * gaussian[n + i]);
        out[i] = sinf(u);
        out[n + i] = cosf(u);
    }
}

/* weights of taps floor(s)-1 .. floor(s)+2 for fraction t, a = -0.75 */
static void cubic_weights(float t, float weights[4])
{
    const float a = -0.75f;
    for (int k = 0; k < 4; k++) {
        float d = fabsf(t + 1.0f - (float)k);
        weights[k] = d <= 1.0f ? ((a + 2.0f) * d - (a + 3.0f)) * d * d + 1.0f
                               : ((a * d - 5.0f * a) * d + 8.0f * a) * d - 4.0f * a;
    }
}

static int clamp_index(int i, int n)
{
    return i < 0 ? 0 : i >= n ? n - 1 : i;
}

typedef struct taps {
    int index[4];
    float weight[4];
} taps;

static taps taps_at(int i, int side, int n)
{
    taps result;
    float source = ((float)i + 0.5f) * ((float)n / (float)side) - 0.5f;
    int base = (int)floorf(source);
    cubic_weights(source - (float)base, result.weight);
    for (int k = 0; k < 4; k++)
        result.index[k] = clamp_index(base - 1 + k, n);
    return result;
}

void trk_trunk_positions(float *out, const float *background, int n, const float *window, int w, int channels,
                         int side)
{
    for (int y = 0; y < side; y++) {
        taps ty = taps_at(y, side, n);
        for (int x = 0; x < side; x++) {
            taps tx = taps_at(x, side, n);
            float *row = out + ((size_t)y * side + x) * channels;
            for (int c = 0; c < channels; c++) {
                const float *plane = background + (size_t)c * n * n;
                float sum = 0.0f;
                for (int j = 0; j < 4; j++) {
                    const float *line = plane + (size_t)ty.index[j] * n;
                    float inner = 0.0f;
                    for (int k = 0; k < 4; k++)
                        inner += tx.weight[k] * line[tx.index[k]];
                    sum += ty.weight[j] * inner;
                }
                row[c] = sum + window[((size_t)c * w + y % w) * w + x % w];
            }
        }
    }
}
