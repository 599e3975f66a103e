/* SPDX-License-Identifier: Apache-2.0
 * Memories in their slots, and packed masks. What is not finite:
 *   f16: infinities saturate, NaN stays NaN.
 *   q8:  infinities saturate, as the scale does (65504); a block with a NaN gets a NaN scale, so it is fetched as NaN.
 *   packed masks: infinities are clamped, NaN becomes 0. */
#include "element.h"
#include "expect.h"
#include "ref.h"
#include "stored.h"

#define F16_LARGEST 65504.0f

/* Round to nearest even. Below 2^-14 the unit is 2^-24, above it 2^(exponent - 10); a carry out of the mantissa is the
 * next exponent. */
static uint16_t narrow_f16(float f)
{
    const uint16_t sign = signbit(f) ? 0x8000 : 0;
    const double magnitude = fabs((double)f);
    if (isnan(f)) {
        uint32_t u;
        memcpy(&u, &f, sizeof u);
        return (uint16_t)(sign | 0x7e00 | (u >> 13 & 0x1ff));
    }
    if (magnitude >= (double)F16_LARGEST)
        return sign | 0x7bff;
    if (magnitude < 0x1p-14)
        return (uint16_t)(sign | (uint16_t)rint(magnitude * 0x1p24));
    const int exponent = ilogb(magnitude);
    return (uint16_t)(sign | (((exponent + 15) << 10) + (int)rint(ldexp(magnitude, 10 - exponent)) - 1024));
}

/* Element i in raster order. */
static float value_at(trk_mat m, int64_t i)
{
    return (float)element_get(m, i / m.cols, i % m.cols);
}

/* scale = f16(largest / 127), q = round(v / f16 scale), the quotients in f32; a block whose scale is 0 is zeros. */
static void quantise_block(int8_t *out, uint16_t *scale, trk_mat in, int64_t first)
{
    float largest = 0;
    for (int i = 0; i < TRK_Q8_BLOCK; i++) {
        const float v = fabsf(value_at(in, first + i));
        if (v > largest || isnan(v))
            largest = v;
    }
    *scale = isnan(largest) ? TRK_Q8_NAN_SCALE : narrow_f16(largest / 127.0f);
    const float step = trk_f16_to_f32(*scale);
    for (int i = 0; i < TRK_Q8_BLOCK; i++) {
        const float q = value_at(in, first + i) / step;
        out[i] = step > 0 ? (int8_t)rintf(fminf(fmaxf(q, -127.0f), 127.0f)) : 0;
    }
}

void trk_store_ref(trk_exec *x, void *slot, trk_storage storage, trk_mat in)
{
    TRK_EXPECT(x, "store", trk_stored_fits(storage, in));
    const int64_t n = (int64_t)in.rows * in.cols;
    if (trk_stored_is_mat(storage)) {
        trk_convert_ref(x, trk_stored_mat(slot, storage, in.rows, in.cols), in);
        return;
    }
    for (int64_t i = 0; i < n && storage == TRK_STORE_F16; i++)
        ((uint16_t *)slot)[i] = narrow_f16(value_at(in, i));
    for (int64_t i = 0; i < n && storage == TRK_STORE_Q8; i += TRK_Q8_BLOCK)
        quantise_block((int8_t *)slot + i, trk_stored_scales(slot, n) + i / TRK_Q8_BLOCK, in, i);
}

void trk_fetch_ref(trk_exec *x, trk_mat out, const void *slot, trk_storage storage)
{
    TRK_EXPECT(x, "fetch", trk_stored_fits(storage, out));
    const int64_t n = (int64_t)out.rows * out.cols;
    if (trk_stored_is_mat(storage)) {
        trk_convert_ref(x, out, trk_stored_mat(slot, storage, out.rows, out.cols));
        return;
    }
    const uint16_t *scales = trk_stored_scales(slot, n);
    for (int64_t i = 0; i < n; i++) {
        const double v = storage == TRK_STORE_F16
                             ? trk_f16_to_f32(((const uint16_t *)slot)[i])
                             : ((const int8_t *)slot)[i] * (double)trk_f16_to_f32(scales[i / TRK_Q8_BLOCK]);
        element_put(out, i / out.cols, i % out.cols, v);
    }
}

void trk_pack_mask_ref(trk_exec *x, int8_t *out, trk_mat in)
{
    const int64_t n = (int64_t)in.rows * in.cols;
    for (int64_t i = 0; i < n; i++) {
        const float v = value_at(in, i);
        out[i] = isnan(v) ? 0 : (int8_t)rintf(fminf(fmaxf(v, -12.7f), 12.7f) * 10.0f);
    }
}

void trk_unpack_mask_ref(trk_exec *x, trk_mat out, const int8_t *in)
{
    const int64_t n = (int64_t)out.rows * out.cols;
    for (int64_t i = 0; i < n; i++)
        element_put(out, i / out.cols, i % out.cols, (double)((float)in[i] / 10.0f));
}
