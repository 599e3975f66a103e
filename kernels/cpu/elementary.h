/* SPDX-License-Identifier: Apache-2.0
 * Branch-free elementary functions, written so that a loop over them vectorises. */
#ifndef TRK_KERNELS_CPU_ELEMENTARY_H
#define TRK_KERNELS_CPU_ELEMENTARY_H

#include <stdint.h>
#include <string.h>

static inline float float_of_bits(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static inline uint32_t bits_of_float(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

static inline float widen_bf16(uint16_t h)
{
    return float_of_bits((uint32_t)h << 16);
}

/* Round to nearest even; NaN stays NaN. */
static inline uint16_t narrow_bf16(float f)
{
    const uint32_t u = bits_of_float(f);
    const uint32_t rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16, nan = (u >> 16) | 0x40u;
    return (uint16_t)((u & 0x7fffffffu) > 0x7f800000u ? nan : rounded);
}

static inline float widen_f16(uint16_t h)
{
    const uint32_t magnitude = h & 0x7fffu, sign = (uint32_t)(h & 0x8000u) << 16;
    const uint32_t small = bits_of_float((float)(int32_t)magnitude * 0x1p-24f); /* no f32 subnormals on the way */
    const uint32_t normal = (magnitude << 13) + (112u << 23), nan = (magnitude << 13) | 0x7f800000u;
    return float_of_bits(sign | (magnitude < 0x400u ? small : magnitude < 0x7c00u ? normal : nan));
}

/* Round to nearest even, beyond 65504 saturated; NaN stays NaN. Adding 0.5 rounds to units of 2^-24, those of f16's
 * subnormals. */
static inline uint16_t narrow_f16(float f)
{
    const uint32_t u = bits_of_float(f), magnitude = u & 0x7fffffffu, sign = (u >> 16) & 0x8000u;
    const uint32_t small = bits_of_float(float_of_bits(magnitude) + 0.5f) - 0x3f000000u;
    const uint32_t normal = (magnitude + 0xfffu + ((magnitude >> 13) & 1u) - (112u << 23)) >> 13;
    const uint32_t finite = magnitude < 0x38800000u ? small : magnitude < 0x477fe000u ? normal : 0x7bffu;
    return (uint16_t)(sign | (magnitude > 0x7f800000u ? 0x7e00u | ((u >> 13) & 0x1ffu) : finite));
}

/* e^x for x <= 88, 0 below -87: 2^n e^r with |r| <= ln(2)/2 and the Taylor polynomial of degree 7 (relative error of
 * the polynomial 5e-9). NaN stays NaN. */
static inline float exp_f32(float x)
{
    const float magic = 0x1.8p23f; /* adding it rounds to an integer in the low bits */
    const float clamped = x < -87.0f ? -87.0f : x;
    const float shifted = clamped * 0x1.715476p0f + magic, n = shifted - magic;
    const float r = (clamped - n * 0x1.62e4p-1f) - n * 0x1.7f7d1cp-20f; /* ln 2 in two parts */
    float p = 1.0f / 5040;
    p = p * r + 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    const float power = float_of_bits((bits_of_float(shifted) + 127u) << 23);
    return x < -87.0f ? 0.0f : p * power;
}

static inline float sigmoid_f32(float x)
{
    const float e = exp_f32(x < 0 ? x : -x); /* e^-|x|, never overflows */
    return (x < 0 ? e : 1.0f) / (1.0f + e);
}

/* x Phi(x) = max(x, 0) - a Phi(-a) with a = |x|, Phi(-a) = e^(-a^2/2) t P(t), t = 1 / (1 + 0.36 a).
 * P is a least-squares fit, reweighted towards equal relative error, over 0 <= a <= 13: relative error 7e-7 of the
 * small term, hence 2e-7 absolute for every x. */
static inline float gelu_f32(float x)
{
    const float a = x < 0 ? -x : x, t = 1.0f / (1.0f + 0.36f * a);
    float p = 0.04764912649989128f;
    p = p * t - 0.1817934364080429f;
    p = p * t + 0.18371643126010895f;
    p = p * t + 0.024644406512379646f;
    p = p * t + 0.14041678607463837f;
    p = p * t + 0.14164456725120544f;
    p = p * t + 0.14372217655181885f;
    const float small = a * t * p * exp_f32(-0.5f * a * a);
    /* beyond 14 the small term is 0, also where a * a overflows; NaN fails the comparison and passes through */
    return (x < 0 ? 0.0f : x) - (a > 14.0f ? 0.0f : small);
}

#endif
