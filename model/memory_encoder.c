/* SPDX-License-Identifier: Apache-2.0
 * A frame's feature and an object's mask become a memory. Upstream: modeling/memory_encoder.py,
 * SAM2Base._encode_new_memory. */
#include "network.h"

static const trk_epilogue plain = {TRK_ACT_NONE, 0}, add_to_out = {TRK_ACT_NONE, 1}, gelu = {TRK_ACT_GELU, 0};

/* mask [S^2, 1] -> [g^2, d] in x, by four strided convolutions and a product */
static void downsample_mask(trk_network *net, trk_mat mask, trk_mat x)
{
    const trk_weights *w = &net->model->weights;
    trk_exec *e = &net->exec;
    trk_arena_mark mark = trk_arena_here(net->scratch);
    int side = net->model->image_size;
    for (int i = 0; i < 4; i++) {
        const trk_conv *conv = &w->downsampler[i];
        trk_mat out = trk_new_mat(net, net->scratch, i < 3 ? TRK_F32 : e->activation, side / 2 * (side / 2),
                                  conv->out_channels);
        trk_mat raw = i < 3 ? out : trk_new_mat(net, net->scratch, TRK_F32, out.rows, out.cols);
        TRK_RUN(e, conv2d, raw, mask, side, side, conv, TRK_ACT_NONE);
        TRK_RUN(e, layernorm, out, raw, w->downsampler_norm[i].gamma, w->downsampler_norm[i].beta, 1e-6f, TRK_ACT_GELU);
        mask = out;
        side /= 2;
    }
    TRK_RUN(e, linear, x, mask, &w->downsampler_out, plain);
    trk_arena_rewind(net->scratch, mark);
}

/* x += gamma * project(gelu(expand(norm(depthwise(x))))) */
static void fuse(trk_network *net, const trk_fuser_layer *f, trk_mat x)
{
    trk_exec *e = &net->exec;
    trk_arena_mark mark = trk_arena_here(net->scratch);
    int g = net->model->grid;
    trk_mat y = trk_new_mat(net, net->scratch, TRK_F32, x.rows, x.cols);
    trk_mat z = trk_new_mat(net, net->scratch, e->activation, x.rows, x.cols);
    trk_mat hidden = trk_new_mat(net, net->scratch, e->activation, x.rows, f->expand.n_out);
    TRK_RUN(e, conv2d, y, x, g, g, &f->depthwise, TRK_ACT_NONE);
    TRK_RUN(e, layernorm, z, y, f->norm.gamma, f->norm.beta, 1e-6f, TRK_ACT_NONE);
    TRK_RUN(e, linear, hidden, z, &f->expand, gelu);
    TRK_RUN(e, linear, x, hidden, &f->project, add_to_out);
    trk_arena_rewind(net->scratch, mark);
}

typedef struct remembering {
    trk_features before, *features;
    const float *logits, *score;
    int binarize;
    trk_mat out; /* [g^2, m] f32 */
} remembering;

static void remember(trk_network *net, void *context)
{
    const remembering *in = context;
    trk_features *f = in->features;
    *f = in->before;
    const trk_network_model *m = net->model;
    const trk_weights *w = &m->weights;
    trk_exec *e = &net->exec;
    int s = m->image_size, n = m->grid * m->grid, d = m->arch.d_model;
    if (!f->projected.data) {
        trk_mat projected = trk_new_mat(net, net->frame, TRK_F32, n, d);
        TRK_RUN(e, linear, projected, f->level2, &w->pixel_proj, plain);
        f->projected = projected;
    }
    trk_arena_mark mark = trk_arena_here(net->scratch);
    const int narrowed = m->arch.mem_dim < d; /* else upstream has no projection */
    trk_mat x = narrowed ? trk_new_mat(net, net->scratch, TRK_F32, n, d) : in->out;
    trk_mat mask = trk_new_mat(net, net->scratch, TRK_F32, s, s);
    TRK_RUN(e, resize_bilinear, mask, trk_wrap_mat(in->logits, s / 4, s / 4), 0);
    TRK_RUN(e, mask_to_memory, mask, mask, in->binarize, 20.0f, -10.0f);
    downsample_mask(net, (trk_mat){mask.data, TRK_F32, s * s, 1, 1}, x);
    TRK_RUN(e, add, x, x, f->projected);
    for (int i = 0; i < m->arch.n_fuser_layers; i++)
        fuse(net, &w->fuser[i], x);
    if (narrowed)
        TRK_RUN(e, linear, in->out, x, &w->memory_out, plain);
    if (w->no_obj_embed_spatial)
        TRK_RUN(e, if_absent, in->out, w->no_obj_embed_spatial, in->score, 0.0f, 0);
    trk_trace(net, "memory_encoder.out", in->out);
    trk_arena_rewind(net->scratch, mark);
}

void trk_encode_memory(trk_network *net, trk_features *f, const float *logits, int binarize, const float *score,
                       trk_storage storage, void *memory)
{
    const trk_network_model *m = net->model;
    trk_arena_mark mark = trk_arena_here(net->scratch);
    trk_mat out = trk_new_mat(net, net->scratch, TRK_F32, m->grid * m->grid, m->arch.mem_dim);
    remembering call = {*f, f, logits, score, binarize, out};
    trk_run_stage(net, "encode memory", remember, &call);
    TRK_RUN(&net->exec, store, memory, storage, out); /* apart: it goes to another slot each frame */
    trk_arena_rewind(net->scratch, mark);
}
