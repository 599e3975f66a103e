/* SPDX-License-Identifier: Apache-2.0
 * Hiera trunk and FPN neck. Upstream: backbones/hieradet.py, backbones/image_encoder.py.
 *
 * The lateral product of a level is taken as soon as its stage ends, so that no stage output is kept. */
#include "network.h"

static const float mean[3] = {0.485f, 0.456f, 0.406f}, deviation[3] = {0.229f, 0.224f, 0.225f};
static const trk_epilogue plain = {TRK_ACT_NONE, 0}, add_to_out = {TRK_ACT_NONE, 1};

/* The residual stream a pooling block starts from: maxpool(shortcut(norm1(x))), in the frame arena. */
static trk_mat pooled_shortcut(trk_network *net, const trk_trunk_block *b, trk_mat y, int side)
{
    trk_exec *e = &net->exec;
    trk_mat out = trk_new_mat(net, net->frame, TRK_F32, y.rows / 4, b->dim_out);
    trk_arena_mark mark = trk_arena_here(net->scratch);
    trk_mat wide = trk_new_mat(net, net->scratch, TRK_F32, y.rows, b->dim_out);
    TRK_RUN(e, linear, wide, y, &b->shortcut, plain);
    TRK_RUN(e, maxpool2x2, out, wide, side, side);
    trk_arena_rewind(net->scratch, mark);
    return out;
}

/* One block on x [side^2, dim_in]; returns the residual stream after it (x itself, or a new one after pooling). */
static trk_mat run_block(trk_network *net, const trk_trunk_block *b, trk_mat x, int side)
{
    trk_exec *e = &net->exec;
    trk_arena_mark mark = trk_arena_here(net->scratch);
    trk_mat y = trk_new_mat(net, net->scratch, e->activation, x.rows, b->dim_in);
    trk_mat qkv = trk_new_mat(net, net->scratch, e->activation, x.rows, 3 * b->dim_out);
    TRK_RUN(e, layernorm, y, x, b->norm1.gamma, b->norm1.beta, 1e-6f, TRK_ACT_NONE);
    if (b->pool)
        x = pooled_shortcut(net, b, y, side);
    TRK_RUN(e, linear, qkv, y, &b->qkv, plain);
    trk_mat o = trk_new_mat(net, net->scratch, e->activation, x.rows, b->dim_out);
    TRK_RUN(e, window_attention, o, qkv, side, side, b->heads, b->window, b->pool, b->qkv_bias);
    TRK_RUN(e, linear, x, o, &b->proj, add_to_out);
    trk_arena_rewind(net->scratch, mark);
    trk_run_feed_forward(net, x, &b->norm2, 1e-6f, &b->mlp0, TRK_ACT_GELU, &b->mlp1);
    return x;
}

static trk_mat embed_patches(trk_network *net, const uint8_t *rgb, int width, int height, ptrdiff_t stride)
{
    const trk_network_model *m = net->model;
    trk_exec *e = &net->exec;
    int s = m->image_size, side = s / 4;
    trk_mat x = trk_new_mat(net, net->frame, TRK_F32, side * side, m->arch.embed_dim);
    trk_arena_mark mark = trk_arena_here(net->scratch);
    trk_mat input = trk_new_mat(net, net->scratch, TRK_F32, s * s, 3);
    TRK_RUN(e, frame_to_input, input, rgb, width, height, stride, s, mean, deviation);
    trk_trace(net, "input", input);
    TRK_RUN(e, conv2d, x, input, s, s, &m->weights.patch_embed, TRK_ACT_NONE);
    TRK_RUN(e, add, x, x, trk_wrap_mat(m->tables.trunk_positions, x.rows, x.cols));
    trk_arena_rewind(net->scratch, mark);
    return x;
}

typedef struct encoding {
    const uint8_t *rgb;
    int width, height;
    ptrdiff_t stride;
    trk_features *out;
} encoding;

static void encode(trk_network *net, void *context)
{
    const encoding *in = context;
    trk_features *out = in->out;
    static const char *const stage_names[4] = {"trunk.stage0", "trunk.stage1", "trunk.stage2", "trunk.stage3"};
    const trk_network_model *m = net->model;
    trk_exec *e = &net->exec;
    int side = m->image_size / 4;
    trk_mat level[4];
    *out = (trk_features){0};
    for (int i = 0; i < 4; i++)
        level[i] = trk_new_mat(net, net->frame, TRK_F32, (side >> i) * (side >> i), m->weights.lateral[i].n_out);
    /* the residual stream is frame memory only until the neck has read it */
    trk_arena_mark mark = trk_arena_here(net->frame);
    trk_mat x = embed_patches(net, in->rgb, in->width, in->height, in->stride);
    for (int i = 0; i < m->arch.n_blocks; i++) {
        const trk_trunk_block *b = &m->weights.blocks[i];
        x = run_block(net, b, x, side);
        side = b->pool ? side / 2 : side;
        if (!b->ends_stage)
            continue;
        trk_trace(net, stage_names[b->stage], x);
        TRK_RUN(e, linear, level[b->stage], x, &m->weights.lateral[b->stage], plain);
    }
    if (m->arch.top_down[2])
        TRK_RUN(e, add_upsampled2x, level[2], level[3], side, side);
    trk_arena_rewind(net->frame, mark);
    out->level0 = level[0];
    out->level1 = level[1];
    out->level2 = level[2];
    trk_trace(net, "fpn.0", level[0]);
    trk_trace(net, "fpn.1", level[1]);
    trk_trace(net, "fpn.2", level[2]);
}

void trk_encode_image(trk_network *net, const uint8_t *rgb, int width, int height, ptrdiff_t stride, trk_features *out)
{
    encoding call = {rgb, width, height, stride, out};
    trk_run_stage(net, "encode image", encode, &call);
}
