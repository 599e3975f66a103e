/* SPDX-License-Identifier: Apache-2.0
 * Upstream: sam/prompt_encoder.py. Sparse tokens are a handful: they are computed on the host,
 * from constants that stay there. */
#include "prompt_encoder.h"

#include <string.h>

#include "heap.h"
#include "positions.h"

static void point_token(const trk_network_model *m, float *token, const trk_prompt_point *p)
{
    int d = m->arch.d_model;
    /* upstream adds half a pixel of the resized image, then divides by its side */
    float half = 0.5f / (float)m->image_size;
    trk_fourier_point(token, m->weights.gaussian, d / 2, p->x + half, p->y + half);
    for (int i = 0; i < d; i++)
        token[i] += m->weights.point_embed[p->label][i];
}

trk_mat trk_sparse_prompt(trk_network *net, const trk_prompt_point *points, int n_points)
{
    const trk_network_model *m = net->model;
    int d = m->arch.d_model, n = n_points ? n_points + 1 : 2;
    trk_mat tokens = trk_new_mat(net, net->scratch, TRK_F32, n, d);
    float *values = trk_network_host_floats(net, (size_t)n * (size_t)d, "prompt tokens");
    if (!values)
        return tokens;
    float *out = values;
    for (int i = 0; i < n; i++, out += d) {
        if (i < n_points)
            point_token(m, out, &points[i]);
        else
            memcpy(out, m->weights.not_a_point, (size_t)d * sizeof *out);
    }
    trk_set_mat(net, tokens, values);
    trk_heap_release(values);
    trk_trace(net, "prompt.sparse", tokens);
    return tokens;
}

trk_mat trk_dense_prompt(trk_network *net, trk_mat logits)
{
    const trk_weights *w = &net->model->weights;
    trk_exec *e = &net->exec;
    int g = net->model->grid;
    trk_mat dense = trk_new_mat(net, net->scratch, TRK_F32, g * g, net->model->arch.d_model);
    trk_arena_mark mark = trk_arena_here(net->scratch);
    trk_mat pixels = {logits.data, TRK_F32, 16 * g * g, 1, 1};
    trk_mat half = trk_new_mat(net, net->scratch, TRK_F32, 4 * g * g, w->mask_conv[0].out_channels);
    trk_mat quarter = trk_new_mat(net, net->scratch, TRK_F32, g * g, w->mask_conv[1].out_channels);
    TRK_RUN(e, conv2d, half, pixels, 4 * g, 4 * g, &w->mask_conv[0], TRK_ACT_NONE);
    TRK_RUN(e, layernorm, half, half, w->mask_norm[0].gamma, w->mask_norm[0].beta, 1e-6f, TRK_ACT_GELU);
    TRK_RUN(e, conv2d, quarter, half, 2 * g, 2 * g, &w->mask_conv[1], TRK_ACT_NONE);
    TRK_RUN(e, layernorm, quarter, quarter, w->mask_norm[1].gamma, w->mask_norm[1].beta, 1e-6f, TRK_ACT_GELU);
    TRK_RUN(e, conv2d, dense, quarter, g, g, &w->mask_conv[2], TRK_ACT_NONE);
    trk_arena_rewind(net->scratch, mark);
    return dense;
}
