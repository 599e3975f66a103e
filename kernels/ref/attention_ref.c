/* SPDX-License-Identifier: Apache-2.0
 * Plain C attention with double accumulators, the definition the fast kernels are held to:
 *   s[j] = scale * sum_d q[d] k[j][d],   p[j] = exp(s[j] - max_j s[j]),   out[c] = sum_j p[j] v[j][c] / sum_j p[j]
 * On a bf16 backend the factors of both products (q, k and p, v) are rounded to bf16, p before it is summed, so that
 * the weights still add up to one. */
#include "element.h"
#include "expect.h"
#include "ref.h"
#include "tokens.h"

/* One query against n keys, both already rounded: result[dv] = softmax(scale q k^T) v.
 * k [n, dk], v [n, dv]; p [n] is scratch. A NaN anywhere in the scores reaches the whole row. */
static void attend(const trk_exec *x, double *result, double *p, const double *q, const double *k, const double *v,
                   int n, int dk, int dv, double scale)
{
    double max = -INFINITY, sum = 0;
    for (int j = 0; j < n; j++) {
        p[j] = 0;
        for (int d = 0; d < dk; d++)
            p[j] += q[d] * k[(size_t)j * dk + d];
        p[j] *= scale;
        if (p[j] > max)
            max = p[j];
    }
    for (int j = 0; j < n; j++) {
        p[j] = element_factor(x, exp(p[j] - max));
        sum += p[j];
    }
    for (int c = 0; c < dv; c++)
        result[c] = 0;
    for (int j = 0; j < n; j++)
        for (int c = 0; c < dv; c++)
            result[c] += p[j] * v[(size_t)j * dv + c];
    for (int c = 0; c < dv; c++)
        result[c] /= sum;
}

/* doubles for one head: k [n, dk] | v [n, dv] | p [n] | q [dk] | result [dv] */
typedef struct head_buffers {
    double *k, *v, *p, *q, *result;
    size_t bytes;
} head_buffers;

static void release_buffers(trk_exec *x, head_buffers *b)
{
    x->allocator->release(x->allocator, TRK_MEM_SCRATCH, b->k, b->bytes);
}

/* 0: without memory, or in an exec that plans, there is nothing to compute. */
static int allocate_buffers(trk_exec *x, head_buffers *b, int n, int dk, int dv)
{
    size_t doubles = (size_t)n * ((size_t)dk + (size_t)dv + 1) + (size_t)dk + (size_t)dv;
    b->bytes = doubles * sizeof(double);
    b->k = x->allocator->allocate(x->allocator, TRK_MEM_SCRATCH, "reference attention", b->bytes);
    if (!b->k) {
        trk_exec_fail(x, TRK_FAIL(TRK_E_MEMORY, "attention: no memory for %zu bytes", b->bytes));
        return 0;
    }
    if (x->planning) {
        release_buffers(x, b);
        return 0;
    }
    b->v = b->k + (size_t)n * dk;
    b->p = b->v + (size_t)n * dv;
    b->q = b->p + n;
    b->result = b->q + dk;
    return 1;
}

/* One head of one part: n_queries from i0 on, n_keys from j0 on; m: out, q, k, v. */
static void attend_head(const trk_exec *x, head_buffers *b, const trk_mat m[4], int head, int heads, int i0,
                        int n_queries, int j0, int n_keys, double scale)
{
    const trk_mat out = m[0], q = m[1], k = m[2], v = m[3];
    const int dk = q.cols / heads, dv = v.cols / heads;
    for (int j = 0; j < n_keys; j++) {
        for (int d = 0; d < dk; d++)
            b->k[(size_t)j * dk + d] = element_factor(x, element_get(k, j0 + j, head * dk + d));
        for (int c = 0; c < dv; c++)
            b->v[(size_t)j * dv + c] = element_factor(x, element_get(v, j0 + j, head * dv + c));
    }
    for (int i = i0; i < i0 + n_queries; i++) {
        for (int d = 0; d < dk; d++)
            b->q[d] = element_factor(x, element_get(q, i, head * dk + d));
        attend(x, b->result, b->p, b->q, b->k, b->v, n_keys, dk, dv, scale);
        for (int c = 0; c < dv; c++)
            element_put(out, i, head * dv + c, b->result[c]);
    }
}

void trk_attention_ref(trk_exec *x, trk_mat out, trk_mat q, trk_mat k, trk_mat v, int heads, int batch, float scale)
{
    TRK_EXPECT(x, "attention", heads > 0 && q.cols % heads == 0 && v.cols % heads == 0);
    TRK_EXPECT(x, "attention", q.cols == k.cols && v.cols == out.cols && q.rows == out.rows && k.rows == v.rows);
    TRK_EXPECT(x, "attention", k.rows > 0 && q.cols > 0 && v.cols > 0);
    TRK_EXPECT(x, "attention", batch > 0 && q.rows % batch == 0 && k.rows % batch == 0);
    const int n_queries = q.rows / batch, n_keys = k.rows / batch;
    const trk_mat mats[4] = {out, q, k, v};
    head_buffers b;
    if (!allocate_buffers(x, &b, n_keys, q.cols / heads, v.cols / heads))
        return;
    for (int part = 0; part < batch; part++)
        for (int head = 0; head < heads; head++)
            attend_head(x, &b, mats, head, heads, part * n_queries, n_queries, part * n_keys, n_keys, scale);
    release_buffers(x, &b);
}

/* Element `col` of the token at (y, x): the map inside, the bias of the qkv layer outside. */
static double token(trk_mat qkv, const float *bias, int h, int w, int y, int x, int col)
{
    return y < h && x < w ? element_get(qkv, (int64_t)y * w + x, col) : (double)bias[col];
}

/* The query of a 2x2 block is the maximum over its four tokens; NaN wins, as in torch. */
static double pooled_query(trk_mat qkv, int w, int y, int x, int col)
{
    double max = -INFINITY;
    for (int i = 0; i < 4; i++) {
        const double value = element_get(qkv, (int64_t)(2 * y + i / 2) * w + 2 * x + i % 2, col);
        if (isnan(value))
            return value;
        max = value > max ? value : max;
    }
    return max;
}

typedef struct window_map {
    trk_mat out, qkv;
    int h, w, heads, window_h, window_w, pool;
    const float *bias;
} window_map;

/* One head of the window whose top left token is (y0, x0). */
static void attend_window(const trk_exec *exec, const window_map *m, head_buffers *b, int head, int y0, int x0)
{
    const int c = m->qkv.cols / 3, dim = c / m->heads, n = m->window_h * m->window_w, step = m->pool ? 2 : 1;
    for (int j = 0; j < n; j++) {
        const int y = y0 + j / m->window_w, x = x0 + j % m->window_w;
        for (int d = 0; d < dim; d++) {
            const double key = token(m->qkv, m->bias, m->h, m->w, y, x, c + head * dim + d);
            const double value = token(m->qkv, m->bias, m->h, m->w, y, x, 2 * c + head * dim + d);
            b->k[(size_t)j * dim + d] = element_factor(exec, key);
            b->v[(size_t)j * dim + d] = element_factor(exec, value);
        }
    }
    for (int y = y0 / step; y < (y0 + m->window_h) / step && y < m->h / step; y++) {
        for (int x = x0 / step; x < (x0 + m->window_w) / step && x < m->w / step; x++) {
            for (int d = 0; d < dim; d++) {
                const int col = head * dim + d;
                const double query =
                    m->pool ? pooled_query(m->qkv, m->w, y, x, col) : element_get(m->qkv, (int64_t)y * m->w + x, col);
                b->q[d] = element_factor(exec, query);
            }
            attend(exec, b->result, b->p, b->q, b->k, b->v, n, dim, dim, 1 / sqrt(dim));
            for (int d = 0; d < dim; d++)
                element_put(m->out, (int64_t)y * (m->w / step) + x, head * dim + d, b->result[d]);
        }
    }
}

void trk_window_attention_ref(trk_exec *x, trk_mat out, trk_mat qkv, int h, int w, int heads, int window, int pool,
                              const float *bias)
{
    TRK_EXPECT(x, "window_attention", heads > 0 && h > 0 && w > 0 && qkv.cols > 0 && qkv.cols % (3 * heads) == 0);
    TRK_EXPECT(x, "window_attention", qkv.rows == h * w && out.cols == qkv.cols / 3);
    TRK_EXPECT(x, "window_attention", out.rows == (pool ? (h / 2) * (w / 2) : h * w));
    TRK_EXPECT(x, "window_attention", !pool || (h % 2 == 0 && w % 2 == 0 && window % 2 == 0));
    TRK_EXPECT(x, "window_attention", window >= 0 && (bias || !window || (h % window == 0 && w % window == 0)));
    const window_map m = {out, qkv, h, w, heads, window ? window : h, window ? window : w, pool, bias};
    const int dim = qkv.cols / 3 / heads;
    head_buffers b;
    if (!allocate_buffers(x, &b, m.window_h * m.window_w, dim, dim))
        return;
    for (int y0 = 0; y0 < h; y0 += m.window_h)
        for (int x0 = 0; x0 < w; x0 += m.window_w)
            for (int head = 0; head < heads; head++)
                attend_window(x, &m, &b, head, y0, x0);
    release_buffers(x, &b);
}

/* (a, b) -> (a cos - b sin, a sin + b cos) */
void trk_rope_ref(trk_exec *x, trk_mat qk, const float *table, int n_positions)
{
    TRK_EXPECT(x, "rope", qk.cols % 2 == 0 && n_positions > 0);
    const int pairs = qk.cols / 2;
    for (int row = 0; row < qk.rows; row++) {
        const float *turn = table + (size_t)(row % n_positions) * (size_t)pairs * 2; /* [pairs][2] */
        for (int i = 0; i < pairs; i++) {
            const double a = element_get(qk, row, 2 * i), b = element_get(qk, row, 2 * i + 1);
            const double c = turn[2 * i], s = turn[2 * i + 1];
            element_put(qk, row, 2 * i, a * c - b * s);
            element_put(qk, row, 2 * i + 1, a * s + b * c);
        }
    }
}

/* ---- tokens: by definition what the other operators make of them ---- */

void trk_gather_tokens_ref(trk_exec *x, const trk_tokens *tokens)
{
    trk_gather_tokens(x, tokens);
}

void trk_token_keys_ref(trk_exec *x, trk_mat keys, const trk_tokens *tokens, const trk_linear *layer,
                        const float *table)
{
    trk_token_keys(x, keys, tokens, layer, table);
}

void trk_attend_tokens_ref(trk_exec *x, trk_mat out, trk_mat q, trk_mat keys, const trk_tokens *tokens, float scale)
{
    trk_attend_tokens(x, out, q, keys, tokens, scale);
}
