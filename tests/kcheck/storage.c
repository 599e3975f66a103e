/* SPDX-License-Identifier: Apache-2.0
 * Cases of store, fetch, pack_mask and unpack_mask. Slots are compared byte by byte: a run stores into a slot of the
 * context and spreads its bytes over the output, one float each. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bf16.h"
#include "kcheck.h"
#include "storage.h"

/* ones, rows shorter than a block, blocks across rows, odd numbers of blocks, more than a span, the models' memories */
static const int shapes[][2] = {{1, 32},  {32, 1},  {4, 8},   {3, 32},   {1, 96},    {2, 48},     {16, 10},  {7, 64},
                                {64, 31}, {31, 64}, {33, 96}, {256, 32}, {32, 1025}, {2, 2064}, {4096, 64}, {0, 32}};

/* What is put among the case's fill. */
typedef enum salt { PLAIN, FINITE, ANY_BITS, SALTS } salt;

static const uint32_t finite_bits[] = {
    0x80000000, 0x00000001, 0x807fffff, 0x00800000, 0x7f7fffff, 0xff7fffff, 0x477fe000, /* 65504 */
    0x477ff000, 0xc77fefff, 0x38800000, 0x387fffff, 0x33000000, /* 2^-25 */ 0x33000001, 0x33c00000, 0xb3c00001,
    0x3f801000, 0x3f803000, 0x4b000001, 0x4afffffe};

/* A signalling NaN may come out quiet or not, depending on what it is loaded into. */
static uint32_t quiet(uint32_t bits)
{
    return (bits & 0x7f800000u) == 0x7f800000u && bits & 0x7fffffu ? bits | 0x400000u : bits;
}

static trk_mat salted(kcheck *k, int rows, int cols, trk_dtype dtype, salt kind)
{
    const trk_mat m = kcheck_input(k, rows, cols, 5, dtype);
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < cols; c++) {
            const uint32_t any = kcheck_random(k);
            if (kind == PLAIN || (kind == FINITE && any % 8))
                continue;
            const uint32_t bits = kind == FINITE ? finite_bits[(any >> 8) % KCHECK_OF(finite_bits)] : quiet(any);
            if (dtype == TRK_F32)
                ((uint32_t *)m.data)[r * m.stride + c] = bits;
            else
                ((uint16_t *)m.data)[r * m.stride + c] = (uint16_t)(bits >> 16);
        }
    return m;
}

static float value_of(trk_mat m, int64_t i)
{
    const int64_t at = i / m.cols * m.stride + i % m.cols;
    return m.dtype == TRK_F32 ? ((const float *)m.data)[at] : trk_bf16_to_f32(((const uint16_t *)m.data)[at]);
}

typedef struct storage_context {
    trk_mat in;
    uint8_t *slot;
    size_t bytes;
    trk_storage storage;
    int spread;
} storage_context;

static void spread(trk_exec *x, trk_mat out, const storage_context *c)
{
    if (c->spread)
        trk_exec_finish(x);
    for (size_t i = 0; i < c->bytes && c->spread; i++)
        ((float *)out.data)[i] = c->slot[i];
}

static void run_store(trk_exec *x, trk_mat out, const void *context)
{
    const storage_context *c = context;
    TRK_RUN(x, store, c->slot, c->storage, c->in);
    spread(x, out, c);
}

static void run_fetch(trk_exec *x, trk_mat out, const void *context)
{
    const storage_context *c = context;
    TRK_RUN(x, fetch, out, c->slot, c->storage);
}

/* An exec of the candidate for what kcheck_run does not compare; 0 without one. */
static int own_exec(kcheck *k, trk_exec *x)
{
    const int ok = trk_exec_init(x, kcheck_backend(k), kcheck_allocator(k)) == TRK_OK;
    kcheck_expect(k, ok, "an exec");
    return ok;
}

/* The error a stored value may have beside its block's largest magnitude (q8). The f16 scale is off by 2^-11 of itself
 * or, as a subnormal, by 2^-25: half a step of rounding, and what the largest loses when 127 steps do not reach it. */
static double allowed(trk_storage storage, double v, double largest)
{
    switch (storage) {
    case TRK_STORE_BF16:
        return fabs(v) < 0x1.ffp127 ? fabs(v) * 0x1p-8 + 0x1p-133 : INFINITY;
    case TRK_STORE_F16:
        return fmax(fabs(v) * 0x1p-11, 0x1p-25) + fmax(fabs(v) - 65504, 0);
    case TRK_STORE_Q8:
        return largest / 127 * (0.5 + 0x1p-12) + largest * 0x1p-11 + 128 * 0x1p-25 + fmax(largest - 127 * 65504.0, 0);
    default:
        return 0;
    }
}

static void check_round_trip(kcheck *k, const storage_context *c)
{
    trk_exec x;
    const trk_mat out = kcheck_uniform(k, c->in.rows, c->in.cols, TRK_F32, 0, 0);
    const int64_t n = (int64_t)out.rows * out.cols;
    if (!own_exec(k, &x))
        return;
    TRK_RUN(&x, store, c->slot, c->storage, c->in);
    TRK_RUN(&x, fetch, out, c->slot, c->storage);
    kcheck_expect(k, trk_exec_finish(&x) == TRK_OK, "no failure");
    for (int64_t block = 0; block < n; block += TRK_Q8_BLOCK) {
        double largest = 0;
        for (int i = 0; i < TRK_Q8_BLOCK; i++)
            largest = fmax(largest, fabs((double)value_of(c->in, block + i)));
        for (int i = 0; i < TRK_Q8_BLOCK; i++) {
            const double v = value_of(c->in, block + i), got = value_of(out, block + i);
            if (!(fabs(got - v) <= allowed(c->storage, v, largest))) {
                kcheck_expect(k, 0, "a stored value close to the original");
                block = n;
                break;
            }
        }
    }
    trk_exec_release(&x);
}

static storage_context new_context(kcheck *k, trk_storage storage, int rows, int cols)
{
    storage_context c = {.storage = storage, .bytes = trk_storage_bytes(storage, (size_t)rows * (size_t)cols)};
    c.slot = kcheck_bytes(k, c.bytes);
    return c;
}

static void store_case(kcheck *k, kcheck_fill fill, trk_storage storage, const int shape[2], trk_dtype dtype, salt kind)
{
    char types[16];
    snprintf(types, sizeof types, "%s %s", kcheck_dtype(dtype), trk_storage_name(storage));
    if (kcheck_has_enough(k, fill, (double)shape[0] * shape[1]) ||
        !kcheck_case(k, fill, types, "%dx%d salt%d", shape[0], shape[1], (int)kind))
        return;
    storage_context c = new_context(k, storage, shape[0], shape[1]);
    c.in = salted(k, shape[0], shape[1], dtype, kind);
    c.spread = !kcheck_is_bench(k);
    const trk_mat out =
        c.spread ? kcheck_shape(1, (int)c.bytes, 0, TRK_F32) : kcheck_shape(shape[0], shape[1], 0, TRK_F32);
    if (kcheck_run(k, out, run_store, &c, KCHECK_EXACT, 0) && kind != ANY_BITS && fill != FILL_NAN)
        check_round_trip(k, &c);
}

/* f16 of values at the edges: ties, the largest, subnormals, what is not finite. */
static void check_f16_edges(kcheck *k)
{
    static const struct {
        uint32_t f32;
        uint16_t f16;
    } edges[] = {{0x00000000, 0x0000}, {0x80000000, 0x8000}, {0x3f800000, 0x3c00}, {0x3f801000, 0x3c00},
                 {0x3f803000, 0x3c02}, {0x3f801001, 0x3c01}, {0x477fe000, 0x7bff}, {0x477fefff, 0x7bff},
                 {0x477ff000, 0x7bff}, {0x7f7fffff, 0x7bff}, {0x7f800000, 0x7bff}, {0xff800000, 0xfbff},
                 {0x38800000, 0x0400}, {0x387fffff, 0x0400}, {0x387fc000, 0x03ff}, {0x33800000, 0x0001},
                 {0x33000000, 0x0000}, {0x33000001, 0x0001}, {0xb3c00000, 0x8002}, {0x00000001, 0x0000},
                 {0x807fffff, 0x8000}, {0x7fc00000, 0x7e00}, {0xffc02000, 0xfe01}, {0x7f800001, 0x7e00},
                 {0x477fdfff, 0x7bff}, {0x477fcfff, 0x7bfe}, {0x3fffffff, 0x4000}};
    enum { N = 32 };
    trk_exec x;
    if (!kcheck_case(k, FILL_ZEROS, "f32 f16", "edges") || !own_exec(k, &x))
        return;
    const trk_mat in = kcheck_uniform(k, 1, N, TRK_F32, 0, 0);
    uint16_t *slot = (uint16_t *)(void *)kcheck_bytes(k, N * 2);
    for (int i = 0; i < KCHECK_OF(edges); i++)
        ((uint32_t *)in.data)[i] = edges[i].f32;
    TRK_RUN(&x, store, slot, TRK_STORE_F16, in);
    kcheck_expect(k, trk_exec_finish(&x) == TRK_OK, "no failure");
    for (int i = 0; i < KCHECK_OF(edges); i++)
        kcheck_expect(k, slot[i] == edges[i].f16, "the nearest f16, ties to even, saturated");
    trk_exec_release(&x);
}

/* Blocks of zeros, infinities, NaN, and one too small for a scale; the blocks beside them are not affected. */
static void check_q8_edges(kcheck *k)
{
    enum { ZEROS, ONES, INFINITE, NANS, TINY, LARGE, BLOCKS };
    trk_exec x;
    if (!kcheck_case(k, FILL_ZEROS, "f32 q8", "edges") || !own_exec(k, &x))
        return;
    const trk_mat m = kcheck_uniform(k, BLOCKS, TRK_Q8_BLOCK, TRK_F32, -1, 1);
    float(*in)[TRK_Q8_BLOCK] = m.data;
    int8_t *slot = (int8_t *)kcheck_bytes(k, trk_storage_bytes(TRK_STORE_Q8, BLOCKS * TRK_Q8_BLOCK));
    const uint16_t *scales = (const uint16_t *)(const void *)(slot + BLOCKS * TRK_Q8_BLOCK);
    for (int i = 0; i < TRK_Q8_BLOCK; i++) {
        in[ZEROS][i] = i % 2 ? 0.0f : -0.0f;
        in[ONES][i] = i % 2 ? 127.0f : -1.0f;
        in[TINY][i] = 127 * 0x1p-26f;
        in[LARGE][i] = i ? 65504.0f : -3e38f;
    }
    in[INFINITE][3] = -INFINITY;
    in[NANS][31] = NAN;
    TRK_RUN(&x, store, slot, TRK_STORE_Q8, m);
    kcheck_expect(k, trk_exec_finish(&x) == TRK_OK, "no failure");
    kcheck_expect(k, scales[ZEROS] == 0 && scales[TINY] == 0, "scale 0 for zeros and for what no scale can express");
    kcheck_expect(k, scales[ONES] == 0x3c00 && slot[ONES * TRK_Q8_BLOCK] == -1 && slot[ONES * TRK_Q8_BLOCK + 1] == 127,
                  "a block in whole steps kept as it is");
    kcheck_expect(k, scales[INFINITE] == 0x7bff && scales[LARGE] == 0x7bff, "scales saturate");
    kcheck_expect(k, slot[INFINITE * TRK_Q8_BLOCK + 3] == -127 && slot[INFINITE * TRK_Q8_BLOCK] == 0,
                  "infinity is the largest value");
    kcheck_expect(k, slot[LARGE * TRK_Q8_BLOCK] == -127 && slot[LARGE * TRK_Q8_BLOCK + 1] == 1, "saturated values");
    TRK_RUN(&x, fetch, m, slot, TRK_STORE_Q8);
    kcheck_expect(k, trk_exec_finish(&x) == TRK_OK, "no failure");
    for (int i = 0; i < TRK_Q8_BLOCK; i++) {
        kcheck_expect(k, isnan(in[NANS][i]), "a block with a NaN is all NaN");
        kcheck_expect(k, in[ZEROS][i] == 0 && in[TINY][i] == 0 && isfinite(in[INFINITE][i]) && isfinite(in[LARGE][i]),
                      "the others are not");
    }
    trk_exec_release(&x);
}

static void check_refusals(kcheck *k)
{
    trk_exec x;
    if (!kcheck_case(k, FILL_UNIFORM, "f32", "refusals") || !own_exec(k, &x))
        return;
    const trk_mat in = kcheck_uniform(k, 3, 5, TRK_F32, 0, 1), row = kcheck_uniform(k, 1, 32, TRK_F32, 0, 1);
    uint8_t *slot = kcheck_bytes(k, 64);
    TRK_RUN(&x, store, slot, TRK_STORE_Q8, in);
    kcheck_expect(k, x.status == TRK_E_ARGUMENT, "part of a block refused");
    x.status = TRK_OK;
    TRK_RUN(&x, fetch, row, slot, TRK_STORAGES);
    kcheck_expect(k, x.status == TRK_E_ARGUMENT, "an unknown storage refused");
    trk_exec_release(&x);
}

void check_store(kcheck *k)
{
    static const int models[][2] = {{4096, 64}, {256, 32}};
    for (int storage = 0; storage < TRK_STORAGES; storage++) {
        for (int i = 0; i < KCHECK_OF(models) && kcheck_is_bench(k); i++)
            store_case(k, FILL_UNIFORM, (trk_storage)storage, models[i], TRK_F32, PLAIN);
        for (int i = 0; i < KCHECK_OF(shapes) && !kcheck_is_bench(k); i++)
            for (int dtype = 0; dtype < 2; dtype++) {
                for (int fill = 0; fill <= FILL_NAN; fill++)
                    store_case(k, (kcheck_fill)fill, (trk_storage)storage, shapes[i], (trk_dtype)dtype, PLAIN);
                store_case(k, FILL_TINY, (trk_storage)storage, shapes[i], (trk_dtype)dtype, FINITE);
                store_case(k, FILL_UNIFORM, (trk_storage)storage, shapes[i], (trk_dtype)dtype, ANY_BITS);
            }
    }
    if (kcheck_is_bench(k))
        return;
    check_f16_edges(k);
    check_q8_edges(k);
    check_refusals(k);
}

/* Of any bytes: int8 down to -128, scales that are infinite or NaN. */
static void fetch_case(kcheck *k, trk_storage storage, const int shape[2], trk_dtype dtype)
{
    char types[16];
    snprintf(types, sizeof types, "%s %s", trk_storage_name(storage), kcheck_dtype(dtype));
    if (!kcheck_case(k, FILL_UNIFORM, types, "%dx%d", shape[0], shape[1]))
        return;
    const storage_context c = new_context(k, storage, shape[0], shape[1]);
    kcheck_run(k, kcheck_shape(shape[0], shape[1], 3, dtype), run_fetch, &c, KCHECK_EXACT, 0);
}

/* All of them, there and back. */
static void check_every_f16(kcheck *k)
{
    enum { N = 1 << 16 };
    trk_exec x;
    if (!kcheck_case(k, FILL_UNIFORM, "f16 f32", "every value") || !own_exec(k, &x))
        return;
    uint16_t *slot = (uint16_t *)(void *)kcheck_bytes(k, N * 2), *back = (uint16_t *)(void *)kcheck_bytes(k, N * 2);
    const trk_mat out = kcheck_uniform(k, 64, N / 64, TRK_F32, 0, 0);
    for (int i = 0; i < N; i++)
        slot[i] = (uint16_t)i;
    TRK_RUN(&x, fetch, out, slot, TRK_STORE_F16);
    TRK_RUN(&x, store, back, TRK_STORE_F16, out);
    kcheck_expect(k, trk_exec_finish(&x) == TRK_OK, "no failure");
    int n_wrong = 0;
    for (int i = 0; i < N; i++) {
        const float want = trk_f16_to_f32((uint16_t)i), got = ((const float *)out.data)[i];
        const uint16_t saturated = isinf(want) ? (uint16_t)(i - 1) : (uint16_t)(isnan(want) ? i | 0x200 : i);
        n_wrong += memcmp(&want, &got, sizeof got) != 0 || back[i] != saturated;
    }
    kcheck_expect(k, n_wrong == 0, "every f16 read exactly and written back the same");
    trk_exec_release(&x);
}

void check_fetch(kcheck *k)
{
    static const int models[][2] = {{4096, 64}, {256, 32}};
    for (int storage = 0; storage < TRK_STORAGES; storage++)
        for (int dtype = 0; dtype < 2; dtype++) {
            for (int i = 0; i < KCHECK_OF(models) && kcheck_is_bench(k); i++)
                fetch_case(k, (trk_storage)storage, models[i], (trk_dtype)dtype);
            for (int i = 0; i < KCHECK_OF(shapes) && !kcheck_is_bench(k); i++)
                fetch_case(k, (trk_storage)storage, shapes[i], (trk_dtype)dtype);
        }
    if (!kcheck_is_bench(k))
        check_every_f16(k);
}

/* ---- masks ---- */

static const int mask_shapes[][2] = {{1, 1}, {1, 17}, {9, 31}, {64, 64}, {3, 1025}, {2, 2050}, {256, 256}, {0, 8}};

static void run_pack(trk_exec *x, trk_mat out, const void *context)
{
    const storage_context *c = context;
    TRK_RUN(x, pack_mask, (int8_t *)c->slot, c->in);
    spread(x, out, c);
}

static void run_unpack(trk_exec *x, trk_mat out, const void *context)
{
    const storage_context *c = context;
    TRK_RUN(x, unpack_mask, out, (const int8_t *)c->slot);
}

/* Whole twentieths, where rounding ties, among others on both sides of the clamp. */
static void put_ties(kcheck *k, trk_mat m)
{
    for (int r = 0; r < m.rows; r++)
        for (int c = 0; c < m.cols; c += 3) {
            const float v = (float)((int)(kcheck_random(k) % 600) - 300) / 20.0f;
            if (m.dtype == TRK_F32)
                ((float *)m.data)[r * m.stride + c] = v;
            else
                ((uint16_t *)m.data)[r * m.stride + c] = trk_f32_to_bf16(v);
        }
}

static void check_packed(kcheck *k, const storage_context *c)
{
    int n_wrong = 0;
    for (int64_t i = 0; i < (int64_t)c->bytes; i++) {
        const double v = value_of(c->in, i), clamped = isnan(v) ? 0 : fmin(fmax(v, -12.7), 12.7);
        n_wrong += !(fabs((int8_t)c->slot[i] / 10.0 - clamped) <= 0.05 + 1e-6);
    }
    kcheck_expect(k, n_wrong == 0, "the nearest tenth within +-12.7, 0 for NaN");
}

static void pack_case(kcheck *k, kcheck_fill fill, const int shape[2], trk_dtype dtype, salt kind)
{
    if (!kcheck_case(k, fill, kcheck_dtype(dtype), "%dx%d salt%d", shape[0], shape[1], (int)kind))
        return;
    storage_context c = {.in = salted(k, shape[0], shape[1], dtype, kind), .spread = !kcheck_is_bench(k)};
    c.bytes = (size_t)shape[0] * (size_t)shape[1];
    c.slot = kcheck_bytes(k, c.bytes);
    if (kind == FINITE)
        put_ties(k, c.in);
    const trk_mat out =
        c.spread ? kcheck_shape(1, (int)c.bytes, 0, TRK_F32) : kcheck_shape(shape[0], shape[1], 0, TRK_F32);
    if (kcheck_run(k, out, run_pack, &c, KCHECK_EXACT, 0))
        check_packed(k, &c);
}

void check_pack_mask(kcheck *k)
{
    static const int model[2] = {256, 256};
    if (kcheck_is_bench(k)) {
        pack_case(k, FILL_UNIFORM, model, TRK_F32, PLAIN);
        return;
    }
    for (int i = 0; i < KCHECK_OF(mask_shapes); i++)
        for (int dtype = 0; dtype < 2; dtype++)
            for (int kind = 0; kind < SALTS; kind++)
                for (int fill = 0; fill <= FILL_NAN; fill++)
                    pack_case(k, (kcheck_fill)fill, mask_shapes[i], (trk_dtype)dtype, (salt)kind);
}

void check_unpack_mask(kcheck *k)
{
    for (int i = 0; i < KCHECK_OF(mask_shapes); i++)
        for (int dtype = 0; dtype < 2; dtype++) {
            const int rows = mask_shapes[i][0], cols = mask_shapes[i][1];
            if (!kcheck_case(k, FILL_UNIFORM, kcheck_dtype((trk_dtype)dtype), "%dx%d", rows, cols))
                continue;
            const storage_context c = {.slot = kcheck_bytes(k, (size_t)rows * (size_t)cols)};
            kcheck_run(k, kcheck_shape(rows, cols, 2, (trk_dtype)dtype), run_unpack, &c, KCHECK_EXACT, 0);
        }
}
