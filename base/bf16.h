/* SPDX-License-Identifier: Apache-2.0
 * Conversions between float32 and the 16-bit float formats, round to nearest even, NaN kept NaN. */
#ifndef TRK_BASE_BF16_H
#define TRK_BASE_BF16_H

#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

static inline float trk_bf16_to_f32(uint16_t h)
{
    uint32_t u = (uint32_t)h << 16;
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

static inline uint16_t trk_f32_to_bf16(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    if ((u & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)((u >> 16) | 0x40u);
    return (uint16_t)((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}

static inline float trk_f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exponent = (h >> 10) & 31u, mantissa = h & 0x3ffu, u;
    if (exponent == 31u)
        u = sign | 0x7f800000u | (mantissa << 13);
    else if (exponent)
        u = sign | ((exponent + 112u) << 23) | (mantissa << 13);
    else {
        float f = (float)mantissa * 0x1p-24f;
        memcpy(&u, &f, sizeof u);
        u |= sign;
    }
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

#ifdef __cplusplus
}
#endif

#endif
