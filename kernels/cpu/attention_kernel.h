/* SPDX-License-Identifier: Apache-2.0
 * The attention kernel, written once on simd.h; attention_<isa>.c includes it and names its table.
 *
 * Online softmax (Milakov and Gimelshein 2018; Dao et al. 2022) with queries along the lanes: the scores of a panel of
 * up to MAX_VECTORS * SIMD_LANES queries against a block of keys are held transposed, s[key][query], so that the
 * maximum, the exponential and the sum of every query are lane-wise, and the output is accumulated transposed,
 * o[channel][query]. Both products then have the same shape:
 *     s[key][query]    = sum over d    k[key][d]   * q[d][query]
 *     o[channel][query] += sum over key v[key][channel] * p[key][query]
 * one operand a broadcast scalar straight from the row-major input, the other a vector of the packed panel, ROWS x
 * MAX_VECTORS accumulators in registers. Keys and values are only copied where their type or width does not fit.
 *
 * With bf16 products the unit is a pair of neighbours along the summed index: q[d / 2][query][2], k as stored,
 * v[key / 2][channel][2], p[key / 2][query][2]. Without the instruction, factors are rounded and multiplied as f32.
 *
 * Per query, with c = scale * log2(e): M = max(c * s), sum += p = 2^(c s - M); when M moves, o and sum are multiplied
 * by 2^(M_old - M). All of it is lane-wise, and blocks depend on n_keys only: a query's result is independent of
 * tiling. */
#ifndef TRK_KERNELS_CPU_ATTENTION_KERNEL_H
#define TRK_KERNELS_CPU_ATTENTION_KERNEL_H

#include "attention_tile.h"
#include "exp2.h"
#include "simd.h"

enum {
    LANES = SIMD_LANES,
    ROWS = SIMD_LANES == 16 ? 8 : 4,       /* keys (or channels) of one register tile */
    MAX_VECTORS = SIMD_LANES == 4 ? 2 : 3, /* vectors of queries of one register tile */
    MAX_KEYS = 96,                         /* keys of a block: its scores stay in the first-level cache */
};

/* How factors enter the products; always a compile-time constant. */
typedef enum product { PRODUCT_F32, PRODUCT_ROUNDED /* to bf16, as f32 */, PRODUCT_PAIRS /* bf16 hardware */ } product;

typedef struct tile_state {
    const attention_tile *tile;
    int n_vectors, n_panels;
    int q_units;    /* rows of a packed query panel: dk, or pairs */
    int dk_padded;  /* columns of a converted key */
    int dv_padded;  /* rows of o: dv rounded up to ROWS */
    uint32_t flip;  /* sign bits toggled in q when the scale is negative */
    float c;        /* |scale| * log2(e) */
    uint32_t *q;    /* per panel [q_units][lanes of the panel] f32 or pairs */
    float *o;       /* per panel [dv_padded][lanes of the panel] */
    float *max;     /* [n_vectors][LANES] M */
    float *sum;     /* [n_vectors][LANES] */
    float *s;       /* [MAX_KEYS][lanes of the panel] scores, then p in place */
    char *k_copies; /* [MAX_KEYS][dk_padded] of the product's type */
    char *v_copies; /* [MAX_KEYS][dv_padded] f32, or [MAX_KEYS / 2][dv_padded] pairs */
    int soon;       /* rows of the tile's hint fetched so far, */
    int soon_share; /* and how many more per register tile of scores */
} tile_state;

typedef struct key_block {
    int first, n;
    const void *k[MAX_KEYS]; /* n rows, the last repeated up to a multiple of ROWS */
    const void *v[MAX_KEYS]; /* n rows, or (n + 1) / 2 rows of pairs */
} key_block;

SIMD_INLINE int round_up(int n, int unit)
{
    return (n + unit - 1) / unit * unit;
}

SIMD_INLINE const void *row_at(const attention_rows *rows, int i)
{
    return rows->list ? rows->list[i] : rows->base + i * rows->stride_bytes;
}

SIMD_INLINE trk_dtype row_dtype(const attention_rows *rows, const void *row)
{
    return row == rows->f32_row && row ? TRK_F32 : rows->dtype;
}

/* Lays out (and, with scratch NULL, only measures) the buffers of a tile. */
static size_t lay_out(tile_state *st, char *scratch, int n_queries, int dk, int dv)
{
    st->n_vectors = round_up(n_queries, LANES) / LANES;
    st->n_panels = round_up(st->n_vectors, MAX_VECTORS) / MAX_VECTORS;
    st->dk_padded = round_up(dk, 2 * LANES);
    st->dv_padded = round_up(dv, ROWS);
    const size_t lanes = (size_t)st->n_vectors * LANES;
    const size_t bytes[] = {4 * lanes * (size_t)dk,
                            4 * lanes * (size_t)st->dv_padded,
                            4 * lanes,
                            4 * lanes,
                            4 * (size_t)MAX_KEYS * MAX_VECTORS * LANES,
                            4 * (size_t)MAX_KEYS * (size_t)st->dk_padded,
                            4 * (size_t)MAX_KEYS * (size_t)(st->dv_padded + LANES)};
    size_t at[8] = {0};
    for (int i = 0; i < 7; i++)
        at[i + 1] = at[i] + trk_aligned(bytes[i]);
    if (scratch) {
        st->q = (uint32_t *)(void *)(scratch + at[0]);
        st->o = (float *)(void *)(scratch + at[1]);
        st->max = (float *)(void *)(scratch + at[2]);
        st->sum = (float *)(void *)(scratch + at[3]);
        st->s = (float *)(void *)(scratch + at[4]);
        st->k_copies = scratch + at[5];
        st->v_copies = scratch + at[6];
    }
    return at[7];
}

static size_t scratch_bytes(int n_queries, int dk, int dv)
{
    tile_state st = {0};
    return lay_out(&st, NULL, n_queries, dk, dv);
}

/* ---- queries ---- */

/* Elements [first, first + n) of query i as f32. */
SIMD_INLINE vf load_query(const attention_tile *t, int i, int first, int n)
{
    const trk_dtype dtype = t->q.dtype;
    if (!t->pool)
        return vf_load_row(row_at(&t->q, i), dtype, first, n);
    void *const *four = t->q.list + 4 * i;
    const vf top = vf_max_nan(vf_load_row(four[0], dtype, first, n), vf_load_row(four[1], dtype, first, n));
    return vf_max_nan(top, vf_max_nan(vf_load_row(four[2], dtype, first, n), vf_load_row(four[3], dtype, first, n)));
}

/* Units [first, first + LANES) of query i in the product's form. */
SIMD_INLINE vu load_query_units(const attention_tile *t, int i, int first, product kind)
{
    if (kind == PRODUCT_F32)
        return (vu)load_query(t, i, first, t->dk - first);
    if (kind == PRODUCT_ROUNDED)
        return (vu)vf_round_bf16(load_query(t, i, first, t->dk - first));
#ifdef SIMD_BF16
    const int n = t->dk - 2 * first;
    if (!t->pool)
        return vu_load_row_bf16(row_at(&t->q, i), t->q.dtype, 2 * first, n);
    float pooled[2 * LANES] __attribute__((aligned(TRK_ALIGNMENT)));
    vf_store(pooled, load_query(t, i, 2 * first, n));
    vf_store(pooled + LANES, n > LANES ? load_query(t, i, 2 * first + LANES, n - LANES) : (vf){0});
    return vu_load_row_bf16(pooled, TRK_F32, 0, 2 * LANES);
#else
    return (vu){0};
#endif
}

SIMD_INLINE void pack_queries(tile_state *st, int vector, uint32_t *panel, int width, product kind)
{
    const attention_tile *t = st->tile;
    for (int u0 = 0; u0 < st->q_units; u0 += LANES) {
        vu block[LANES];
        for (int i = 0; i < LANES; i++) {
            const int query = vector * LANES + i;
            block[i] = query < t->n_queries ? load_query_units(t, query, u0, kind) ^ st->flip : (vu){0};
        }
        vu_transpose(block);
        for (int i = 0; i < LANES && u0 + i < st->q_units; i++)
            vu_store(panel + (size_t)(u0 + i) * width, block[i]);
    }
}

/* ---- keys and values ---- */

SIMD_INLINE void prepare_keys(const tile_state *st, key_block *b, product kind)
{
    const attention_rows *rows = &st->tile->k;
    const int dk = st->tile->dk;
    for (int j = 0; j < b->n; j++) {
        const void *row = row_at(rows, b->first + j);
        const trk_dtype dtype = row_dtype(rows, row);
        b->k[j] = row;
        if (kind == PRODUCT_PAIRS) {
#ifdef SIMD_BF16
            if (dtype == TRK_BF16 && dk % 2 == 0)
                continue;
            uint16_t *copy = (uint16_t *)(void *)st->k_copies + (size_t)j * st->dk_padded;
            for (int d = 0; d < dk; d += 2 * LANES)
                vu_store(copy + d, vu_load_row_bf16(row, dtype, d, dk - d));
            b->k[j] = copy;
#endif
        } else if (dtype != TRK_F32 || kind == PRODUCT_ROUNDED) {
            float *copy = (float *)(void *)st->k_copies + (size_t)j * st->dk_padded;
            for (int d = 0; d < dk; d += LANES) {
                const vf value = vf_load_row(row, dtype, d, dk - d);
                vf_store(copy + d, kind == PRODUCT_ROUNDED ? vf_round_bf16(value) : value);
            }
            b->k[j] = copy;
        }
    }
    for (int j = b->n; j % ROWS; j++)
        b->k[j] = b->k[b->n - 1];
}

/* Elements [first, ...) of a value row, zeros from dv on, as bf16 bits in the low half of each lane. */
SIMD_INLINE vu load_value_bits(const void *row, trk_dtype dtype, int first, int dv)
{
    if (dtype == TRK_BF16)
        return vu_load_u16_n((const uint16_t *)row + first, dv - first);
    return vu_bf16_bits(vf_load_n((const float *)row + first, dv - first));
}

SIMD_INLINE void prepare_values(const tile_state *st, key_block *b, product kind)
{
    const attention_rows *rows = &st->tile->v;
    const int dv = st->tile->dv;
    const int step = kind == PRODUCT_PAIRS ? 2 : 1;
    for (int j = 0; j < b->n; j += step) {
        const void *row = row_at(rows, b->first + j);
        const trk_dtype dtype = row_dtype(rows, row);
        float *copy = (float *)(void *)st->v_copies + (size_t)(j / step) * st->dv_padded;
        b->v[j / step] = copy;
        if (kind == PRODUCT_PAIRS) {
            const void *odd = j + 1 < b->n ? row_at(rows, b->first + j + 1) : NULL;
            for (int c = 0; c < dv; c += LANES) {
                vu pair = load_value_bits(row, dtype, c, dv);
                if (odd)
                    pair |= load_value_bits(odd, row_dtype(rows, odd), c, dv) << 16;
                vu_store(copy + c, pair);
            }
        } else if (dtype != TRK_F32 || kind == PRODUCT_ROUNDED || dv != st->dv_padded) {
            for (int c = 0; c < dv; c += LANES) {
                const vf value = vf_load_row(row, dtype, c, dv - c);
                vf_store(copy + c, kind == PRODUCT_ROUNDED ? vf_round_bf16(value) : value);
            }
        } else {
            b->v[j] = row;
        }
    }
}

/* ---- the two products ---- */

/* Scores of ROWS keys: s[r][query] = k[r] . q[.][query]; raises `max` to the largest. */
SIMD_INLINE void score_rows(float *s, const uint32_t *q, const void *const *k, int units, product kind, int vectors,
                            vf *max)
{
    const int width = vectors * LANES;
    vf acc[ROWS][MAX_VECTORS];
    SIMD_UNROLL
    for (int r = 0; r < ROWS; r++) {
        SIMD_UNROLL
        for (int n = 0; n < vectors; n++)
            acc[r][n] = (vf){0};
    }
    for (int u = 0; u < units; u++) {
        vu column[MAX_VECTORS];
        SIMD_UNROLL
        for (int n = 0; n < vectors; n++)
            column[n] = vu_load(q + (size_t)u * width + n * LANES);
        SIMD_UNROLL
        for (int r = 0; r < ROWS; r++) {
#ifdef SIMD_BF16
            if (kind == PRODUCT_PAIRS) {
                const vu pair = vu_set1_pair((const uint32_t *)k[r] + u);
                SIMD_UNROLL
                for (int n = 0; n < vectors; n++)
                    acc[r][n] = vf_dot_pairs(acc[r][n], pair, column[n]);
                continue;
            }
#endif
            const vf value = vf_set1(((const float *)k[r])[u]);
            SIMD_UNROLL
            for (int n = 0; n < vectors; n++)
                acc[r][n] = acc[r][n] + value * (vf)column[n];
        }
    }
    SIMD_UNROLL
    for (int r = 0; r < ROWS; r++) {
        SIMD_UNROLL
        for (int n = 0; n < vectors; n++) {
            vf_store(s + (size_t)r * width + n * LANES, acc[r][n]);
            max[n] = vf_max(max[n], acc[r][n]);
        }
    }
}

/* o[c0 + r][query] = o * factor + sum over `units` keys or pairs of v[.][c0 + r] * p[.][query]; `first`: o = 0. */
SIMD_INLINE void accumulate_channels(float *o, const float *p, const void *const *v, int c0, int units, product kind,
                                     int vectors, const vf *factor, int first)
{
    const int width = vectors * LANES;
    vf acc[ROWS][MAX_VECTORS];
    SIMD_UNROLL
    for (int r = 0; r < ROWS; r++) {
        SIMD_UNROLL
        for (int n = 0; n < vectors; n++)
            acc[r][n] = (vf){0};
    }
    for (int u = 0; u < units; u++) {
        const float *channels = (const float *)v[u] + c0;
        vf weight[MAX_VECTORS];
        SIMD_UNROLL
        for (int n = 0; n < vectors; n++)
            weight[n] = vf_load(p + (size_t)u * width + n * LANES);
        SIMD_UNROLL
        for (int r = 0; r < ROWS; r++) {
#ifdef SIMD_BF16
            if (kind == PRODUCT_PAIRS) {
                const vu pair = vu_set1_pair(channels + r);
                SIMD_UNROLL
                for (int n = 0; n < vectors; n++)
                    acc[r][n] = vf_dot_pairs(acc[r][n], pair, (vu)weight[n]);
                continue;
            }
#endif
            const vf value = vf_set1(channels[r]);
            SIMD_UNROLL
            for (int n = 0; n < vectors; n++)
                acc[r][n] = acc[r][n] + value * weight[n];
        }
    }
    SIMD_UNROLL
    for (int r = 0; r < ROWS; r++) {
        SIMD_UNROLL
        for (int n = 0; n < vectors; n++) {
            float *cell = o + (size_t)(c0 + r) * width + n * LANES;
            vf_store(cell, first ? acc[r][n] : vf_load(cell) * factor[n] + acc[r][n]);
        }
    }
}

/* ---- softmax ---- */

/* s -> p = 2^(c s - max) in place, rounded where the product rounds (pairs of keys packed together); returns the sums
 * of those p, so that the weights add up to one exactly. */
SIMD_INLINE void exponentiate(float *s, int n_keys, float c, product kind, int vectors, const vf *max, vf *sum)
{
    const int width = vectors * LANES;
    const int exact = kind == PRODUCT_F32;
    const int step = kind == PRODUCT_PAIRS ? 2 : 1;
    SIMD_UNROLL
    for (int n = 0; n < vectors; n++)
        sum[n] = (vf){0};
    for (int j = 0; j < n_keys; j += step) {
        SIMD_UNROLL
        for (int n = 0; n < vectors; n++) {
            float *cell = s + (size_t)j * width + n * LANES;
            vf p = vf_exp2(vf_load(cell) * c - max[n], exact);
            if (kind == PRODUCT_ROUNDED)
                p = vf_round_bf16(p);
            if (kind != PRODUCT_PAIRS) {
                sum[n] = sum[n] + p;
                vf_store(cell, p);
            }
#ifdef SIMD_BF16
            else {
                vf odd = {0};
                if (j + 1 < n_keys)
                    odd = vf_exp2(vf_load(cell + width) * c - max[n], exact);
                const vu pair = vu_pair_lanes(p, odd);
                sum[n] = vf_dot_pairs(sum[n], pair, vu_set1_pair(&(const uint32_t){0x3f803f80u})); /* (1, 1) */
                vu_store(s + (size_t)(j / 2) * width + n * LANES, pair);
            }
#endif
        }
    }
}

/* Fetches the next share of what the thread will read after this tile, while this tile computes. */
SIMD_INLINE void fetch_soon(tile_state *st)
{
    const attention_tile *t = st->tile;
    const int end = st->soon + st->soon_share < t->n_soon ? st->soon + st->soon_share : t->n_soon;
    for (; st->soon < end; st->soon++)
        for (int part = 0; part < 3; part++)
            for (int i = 0; i < t->soon_bytes; i += 64)
                __builtin_prefetch((const char *)t->soon[st->soon] + part * t->soon_step + i, 0, 2);
}

/* One block of keys for one panel of `vectors` (a constant) vectors of queries starting at vector `at`. */
SIMD_INLINE void attend_block(tile_state *st, const key_block *b, int at, int vectors, product kind)
{
    const int width = vectors * LANES, first = b->first == 0;
    const uint32_t *q = st->q + (size_t)at * LANES * st->q_units;
    float *o = st->o + (size_t)at * LANES * st->dv_padded;
    vf max[MAX_VECTORS], sum[MAX_VECTORS], factor[MAX_VECTORS];
    SIMD_UNROLL
    for (int n = 0; n < vectors; n++)
        max[n] = vf_set1(-3.0e38f);
    for (int j = 0; j < b->n; j += ROWS) {
        fetch_soon(st);
        score_rows(st->s + (size_t)j * width, q, b->k + j, st->q_units, kind, vectors, max);
    }
    SIMD_UNROLL
    for (int n = 0; n < vectors; n++) {
        float *running = st->max + (size_t)(at + n) * LANES;
        const vf before = first ? vf_set1(-3.0e38f) : vf_load(running);
        max[n] = vf_max(before, max[n] * st->c);
        factor[n] = vf_exp2(before - max[n], 1);
        vf_store(running, max[n]);
    }
    exponentiate(st->s, b->n, st->c, kind, vectors, max, sum);
    SIMD_UNROLL
    for (int n = 0; n < vectors; n++) {
        float *running = st->sum + (size_t)(at + n) * LANES;
        vf_store(running, first ? sum[n] : vf_load(running) * factor[n] + sum[n]);
    }
    const int units = kind == PRODUCT_PAIRS ? (b->n + 1) / 2 : b->n;
    for (int c = 0; c < st->dv_padded; c += ROWS)
        accumulate_channels(o, st->s, b->v, c, units, kind, vectors, factor, first);
}

/* ---- a tile ---- */

/* Divides one vector of queries by its sums and writes its rows. */
SIMD_INLINE void write_rows(const tile_state *st, int vector, const float *o, int width)
{
    const attention_tile *t = st->tile;
    const vf inverse = 1.0f / vf_load(st->sum + (size_t)vector * LANES);
    for (int c = 0; c < t->dv; c += LANES) {
        vu block[LANES];
        for (int i = 0; i < LANES; i++)
            block[i] = c + i < t->dv ? (vu)(vf_load(o + (size_t)(c + i) * width) * inverse) : (vu){0};
        vu_transpose(block);
        for (int i = 0; i < LANES && vector * LANES + i < t->n_queries; i++)
            vf_store_row((void *)(uintptr_t)row_at(&t->out, vector * LANES + i), t->out.dtype, c, (vf)block[i],
                         t->dv - c);
    }
}

SIMD_INLINE int panel_start(const tile_state *st, int panel)
{
    return panel * st->n_vectors / st->n_panels;
}

SIMD_INLINE void attend_tile(const attention_tile *t, void *scratch, product kind)
{
    tile_state st = {.tile = t};
    lay_out(&st, scratch, t->n_queries, t->dk, t->dv);
    st.q_units = kind == PRODUCT_PAIRS ? (t->dk + 1) / 2 : t->dk;
    st.flip = t->scale >= 0 ? 0 : kind == PRODUCT_PAIRS ? 0x80008000u : 0x80000000u;
    st.c = (t->scale >= 0 ? t->scale : -t->scale) * 1.44269504f;
    for (int panel = 0; panel < st.n_panels; panel++) {
        const int at = panel_start(&st, panel), vectors = panel_start(&st, panel + 1) - at;
        for (int n = 0; n < vectors; n++)
            pack_queries(&st, at + n, st.q + ((size_t)at * st.q_units + n) * LANES, vectors * LANES, kind);
    }
    const int n_blocks = (t->n_keys + MAX_KEYS - 1) / MAX_KEYS;
    const int block_keys = round_up((t->n_keys + n_blocks - 1) / n_blocks, ROWS);
    st.soon_share = (int)((int64_t)t->n_soon * ROWS / ((int64_t)st.n_panels * t->n_keys)) + 1;
    key_block b;
    for (b.first = 0; b.first < t->n_keys; b.first += block_keys) {
        b.n = t->n_keys - b.first < block_keys ? t->n_keys - b.first : block_keys;
        prepare_keys(&st, &b, kind);
        prepare_values(&st, &b, kind);
        for (int panel = 0; panel < st.n_panels; panel++) {
            const int at = panel_start(&st, panel), vectors = panel_start(&st, panel + 1) - at;
            if (vectors == 1)
                attend_block(&st, &b, at, 1, kind);
            else if (vectors == 2)
                attend_block(&st, &b, at, 2, kind);
#if SIMD_LANES > 4
            else
                attend_block(&st, &b, at, 3, kind);
#endif
        }
    }
    for (int panel = 0; panel < st.n_panels; panel++) {
        const int at = panel_start(&st, panel), vectors = panel_start(&st, panel + 1) - at;
        for (int n = 0; n < vectors; n++)
            write_rows(&st, at + n, st.o + ((size_t)at * st.dv_padded + n) * LANES, vectors * LANES);
    }
}

static void tile_f32(const attention_tile *tile, void *scratch)
{
    attend_tile(tile, scratch, PRODUCT_F32);
}

static void tile_bf16(const attention_tile *tile, void *scratch)
{
#ifdef SIMD_BF16
    attend_tile(tile, scratch, PRODUCT_PAIRS);
#else
    attend_tile(tile, scratch, PRODUCT_ROUNDED);
#endif
}

/* ---- rotary position embedding ---- */

#if SIMD_LANES == 16
#define EVEN_TWICE 0, 0, 2, 2, 4, 4, 6, 6, 8, 8, 10, 10, 12, 12, 14, 14
#define ODD_TWICE  1, 1, 3, 3, 5, 5, 7, 7, 9, 9, 11, 11, 13, 13, 15, 15
#define SWAPPED    1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14
#define SIGNS      -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1
#elif SIMD_LANES == 8
#define EVEN_TWICE 0, 0, 2, 2, 4, 4, 6, 6
#define ODD_TWICE  1, 1, 3, 3, 5, 5, 7, 7
#define SWAPPED    1, 0, 3, 2, 5, 4, 7, 6
#define SIGNS      -1, 1, -1, 1, -1, 1, -1, 1
#else
#define EVEN_TWICE 0, 0, 2, 2
#define ODD_TWICE  1, 1, 3, 3
#define SWAPPED    1, 0, 3, 2
#define SIGNS      -1, 1, -1, 1
#endif

/* (a, b) -> (a cos - b sin, b cos + a sin) for neighbours (a, b) of every row; table [n_positions][cols / 2][2]. */
static void rotate_rows(char *rows, int64_t stride_bytes, trk_dtype dtype, int n_rows, int cols, const float *table,
                        int first_row, int n_positions)
{
    int position = first_row % n_positions;
    for (int i = 0; i < n_rows; i++) {
        char *row = rows + i * stride_bytes;
        const float *turns = table + (size_t)position * (size_t)cols;
        for (int d = 0; d < cols; d += LANES) {
            const vf x = vf_load_row(row, dtype, d, cols - d), turn = vf_load_n(turns + d, cols - d);
            const vf cosine = __builtin_shufflevector(turn, turn, EVEN_TWICE);
            const vf sine = __builtin_shufflevector(turn, turn, ODD_TWICE) * (vf){SIGNS};
            const vf partner = __builtin_shufflevector(x, x, SWAPPED);
            vf_store_row(row, dtype, d, x * cosine + partner * sine, cols - d);
        }
        position = position + 1 == n_positions ? 0 : position + 1;
    }
}

#define ATTENTION_KERNELS(isa, label)                                                                                  \
    const attention_kernels trk_attention_kernels_##isa = {.name = label,                                              \
                                                           .lanes = LANES,                                             \
                                                           .panel_vectors = MAX_VECTORS,                               \
                                                           .scratch_bytes = scratch_bytes,                             \
                                                           .tile_f32 = tile_f32,                                       \
                                                           .tile_bf16 = tile_bf16,                                     \
                                                           .rotate_rows = rotate_rows}

#endif
