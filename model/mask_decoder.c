/* SPDX-License-Identifier: Apache-2.0
 * The SAM head: two-way transformer, upscaling, hypernetworks, choice of the hypothesis, object pointer. Sheet
 * sections 7 and 8; upstream: sam/mask_decoder.py, sam/transformer.py, SAM2Base._forward_sam_heads and
 * _use_mask_as_output. */
#include <math.h>
#include <string.h>

#include "prompt_encoder.h"

static const trk_epilogue plain = {TRK_ACT_NONE, 0}, add_to_out = {TRK_ACT_NONE, 1}, relu = {TRK_ACT_RELU, 0};

#define N_OUTPUT_TOKENS 6 /* object score, iou, four masks */

/* out (+)= out_proj(attention(q, k, v)) */
static void attend(trk_network *net, const trk_attention_layer *a, trk_mat out, trk_mat q_in, trk_mat k_in,
                   trk_mat v_in, trk_epilogue epilogue)
{
    trk_exec *e = &net->exec;
    trk_arena_mark mark = trk_arena_here(net->scratch);
    int width = a->q.n_out;
    trk_mat q = trk_new_mat(net, net->scratch, e->activation, q_in.rows, width);
    trk_mat k = trk_new_mat(net, net->scratch, e->activation, k_in.rows, width);
    trk_mat v = trk_new_mat(net, net->scratch, e->activation, v_in.rows, width);
    trk_mat o = trk_new_mat(net, net->scratch, e->activation, q_in.rows, width);
    TRK_RUN(e, linear, q, q_in, &a->q, plain);
    TRK_RUN(e, linear, k, k_in, &a->k, plain);
    TRK_RUN(e, linear, v, v_in, &a->v, plain);
    TRK_RUN(e, attention, o, q, k, v, a->heads, 1, 1.0f / sqrtf((float)(width / a->heads)));
    TRK_RUN(e, linear, out, o, &a->out, epilogue);
    trk_arena_rewind(net->scratch, mark);
}

static void normalise(trk_network *net, trk_mat x, const trk_norm *norm)
{
    TRK_RUN(&net->exec, layernorm, x, x, norm->gamma, norm->beta, 1e-5f, TRK_ACT_NONE);
}

typedef struct two_way_state {
    trk_mat tokens;    /* [t, d] queries */
    trk_mat token_pos; /* [t, d] the initial tokens */
    trk_mat keys;      /* [g^2, d] image */
    trk_mat key_pos;   /* [g^2, d] */
    trk_mat with_pos_t, with_pos_k; /* scratch of the same shapes: tokens + token_pos, keys + key_pos */
} two_way_state;

static void two_way_layer(trk_network *net, const trk_two_way_layer *t, two_way_state *s, int first)
{
    trk_exec *e = &net->exec;
    if (first) { /* no positional term and no residual */
        TRK_RUN(e, convert, s->with_pos_t, s->tokens);
        attend(net, &t->self, s->tokens, s->with_pos_t, s->with_pos_t, s->with_pos_t, plain);
        TRK_RUN(e, add, s->with_pos_k, s->keys, s->key_pos);
    } else {
        TRK_RUN(e, add, s->with_pos_t, s->tokens, s->token_pos);
        attend(net, &t->self, s->tokens, s->with_pos_t, s->with_pos_t, s->tokens, add_to_out);
    }
    normalise(net, s->tokens, &t->norm1);
    TRK_RUN(e, add, s->with_pos_t, s->tokens, s->token_pos);
    attend(net, &t->token_to_image, s->tokens, s->with_pos_t, s->with_pos_k, s->keys, add_to_out);
    normalise(net, s->tokens, &t->norm2);

    trk_arena_mark mark = trk_arena_here(net->scratch);
    trk_mat hidden = trk_new_mat(net, net->scratch, e->activation, s->tokens.rows, t->mlp0.n_out);
    TRK_RUN(e, linear, hidden, s->tokens, &t->mlp0, relu);
    TRK_RUN(e, linear, s->tokens, hidden, &t->mlp1, add_to_out);
    trk_arena_rewind(net->scratch, mark);
    normalise(net, s->tokens, &t->norm3);

    TRK_RUN(e, add, s->with_pos_t, s->tokens, s->token_pos);
    attend(net, &t->image_to_token, s->keys, s->with_pos_k, s->with_pos_t, s->tokens, add_to_out);
    normalise(net, s->keys, &t->norm4);
    TRK_RUN(e, add, s->with_pos_k, s->keys, s->key_pos);
}

static void two_way_transformer(trk_network *net, two_way_state *s)
{
    const trk_network_model *m = net->model;
    for (int i = 0; i < m->arch.decoder_depth; i++)
        two_way_layer(net, &m->weights.two_way[i], s, i == 0);
    TRK_RUN(&net->exec, add, s->with_pos_t, s->tokens, s->token_pos);
    attend(net, &m->weights.final_attention, s->tokens, s->with_pos_t, s->with_pos_k, s->keys, add_to_out);
    normalise(net, s->tokens, &m->weights.final_norm);
}

/* keys [g^2, d] -> [16 g^2, d/8], with the high-resolution features added on the way; scratch arena */
static trk_mat upscale(trk_network *net, const trk_features *f, trk_mat keys)
{
    const trk_weights *w = &net->model->weights;
    trk_exec *e = &net->exec;
    int g = net->model->grid, d = net->model->arch.d_model;
    trk_mat fine = trk_new_mat(net, net->scratch, TRK_F32, 16 * g * g, d / 8);
    trk_arena_mark mark = trk_arena_here(net->scratch);
    trk_mat a = trk_new_mat(net, net->scratch, TRK_F32, g * g, d);
    trk_mat middle = trk_new_mat(net, net->scratch, TRK_F32, 4 * g * g, d / 4);
    TRK_RUN(e, linear, a, keys, &w->upscale0, plain);
    TRK_RUN(e, depth_to_space2x, middle, a, g, g, f->level1, TRK_ACT_NONE);
    TRK_RUN(e, layernorm, middle, middle, w->upscale_norm.gamma, w->upscale_norm.beta, 1e-6f, TRK_ACT_GELU);
    trk_mat b = trk_new_mat(net, net->scratch, TRK_F32, 4 * g * g, d / 2);
    TRK_RUN(e, linear, b, middle, &w->upscale1, plain);
    TRK_RUN(e, depth_to_space2x, fine, b, 2 * g, 2 * g, f->level0, TRK_ACT_GELU);
    trk_arena_rewind(net->scratch, mark);
    return fine;
}

typedef struct decoder_output {
    trk_mat masks;  /* [4, 16 g^2] */
    trk_mat tokens; /* [4, d] mask tokens */
    trk_mat ious;   /* [1, 4] */
    trk_mat score;  /* [1, 1] */
} decoder_output;

/* feature [g^2, d], dense [g^2 or 1, d], sparse [n, d]; everything in the scratch arena */
static decoder_output decode(trk_network *net, const trk_features *f, trk_mat feature, trk_mat dense, trk_mat sparse)
{
    const trk_network_model *m = net->model;
    const trk_weights *w = &m->weights;
    trk_exec *e = &net->exec;
    trk_arena *arena = net->scratch;
    int n = m->grid * m->grid, d = m->arch.d_model, t = N_OUTPUT_TOKENS + sparse.rows;
    decoder_output out = {trk_new_mat(net, arena, TRK_F32, 4, 16 * n), trk_new_mat(net, arena, TRK_F32, 4, d),
                          trk_new_mat(net, arena, TRK_F32, 1, 4), trk_new_mat(net, arena, TRK_F32, 1, 1)};
    two_way_state s = {trk_new_mat(net, arena, TRK_F32, t, d), trk_new_mat(net, arena, TRK_F32, t, d),
                       trk_new_mat(net, arena, TRK_F32, n, d), trk_wrap_mat(m->tables.image_positions, n, d),
                       trk_new_mat(net, arena, TRK_F32, t, d), trk_new_mat(net, arena, TRK_F32, n, d)};
    TRK_RUN(e, convert, trk_rows(s.tokens, 0, N_OUTPUT_TOKENS), trk_wrap_mat(w->output_tokens, N_OUTPUT_TOKENS, d));
    TRK_RUN(e, convert, trk_rows(s.tokens, N_OUTPUT_TOKENS, sparse.rows), sparse);
    TRK_RUN(e, convert, s.token_pos, s.tokens);
    TRK_RUN(e, add, s.keys, feature, dense);
    two_way_transformer(net, &s);

    trk_mat fine = upscale(net, f, s.keys);
    trk_mat hyper = trk_new_mat(net, arena, TRK_F32, 4, d / 8);
    for (int i = 0; i < 4; i++)
        trk_run_mlp(net, trk_rows(hyper, i, 1), trk_rows(s.tokens, 2 + i, 1), &w->hyper[i], TRK_ACT_NONE);
    TRK_RUN(e, matmul_nt, out.masks, hyper, fine);
    TRK_RUN(e, convert, out.tokens, trk_rows(s.tokens, 2, 4));
    trk_run_mlp(net, out.ious, trk_rows(s.tokens, 1, 1), &w->iou_head, TRK_ACT_SIGMOID);
    trk_run_mlp(net, out.score, trk_rows(s.tokens, 0, 1), &w->score_head, TRK_ACT_NONE);
    trk_trace(net, "decoder.masks", out.masks);
    trk_trace(net, "decoder.ious", out.ious);
    trk_trace(net, "decoder.score", out.score);
    trk_trace(net, "decoder.tokens", out.tokens);
    return out;
}

/* Dense prompt of a head input: no_mask_embed as one row, or the clamped mask logits through the convolutions. */
static trk_mat dense_of(trk_network *net, const float *mask_logits, int clamp)
{
    const trk_network_model *m = net->model;
    if (!mask_logits)
        return trk_wrap_mat(m->weights.no_mask, 1, m->arch.d_model);
    trk_mat given = trk_wrap_mat(mask_logits, 4 * m->grid, 4 * m->grid);
    if (!clamp)
        return trk_dense_prompt(net, given);
    trk_mat logits = trk_new_mat(net, net->scratch, TRK_F32, 4 * m->grid, 4 * m->grid);
    TRK_RUN(&net->exec, clamp, logits, given, -32.0f, 32.0f);
    return trk_dense_prompt(net, logits);
}

static void run_head(trk_network *net, const trk_features *f, const trk_head_input *in, int clamp, trk_head_output *out)
{
    const trk_network_model *m = net->model;
    trk_exec *e = &net->exec;
    int d = m->arch.d_model, side = 4 * m->grid;
    trk_arena_mark mark = trk_arena_here(net->scratch);
    trk_mat sparse = trk_sparse_prompt(net, in->points, in->n_points);
    trk_mat dense = dense_of(net, in->mask_logits, clamp);
    trk_trace(net, "prompt.dense", dense);
    decoder_output o = decode(net, f, in->feature, dense, sparse);
    trk_mask_choice choice = {.masks = o.masks, .tokens = o.tokens, .ious = o.ious.data, .score = o.score.data,
                              .multimask = in->multimask, .stability = in->stability,
                              .stability_delta = 0.05f, .stability_threshold = 0.98f};
    trk_mat mask = {out->logits, TRK_F32, 1, side * side, side * side};
    trk_mat pointer = {out->pointer, TRK_F32, 1, d, d};
    trk_mat token = trk_new_mat(net, net->scratch, TRK_F32, 1, d);
    TRK_RUN(e, select_mask, mask, token, out->info, &choice);
    trk_run_mlp(net, pointer, token, &m->weights.pointer_proj, TRK_ACT_NONE);
    TRK_RUN(e, if_absent, pointer, m->weights.no_obj_ptr, o.score.data, 1);
    trk_trace(net, "head.lowres", (trk_mat){out->logits, TRK_F32, side, side, side});
    trk_trace(net, "head.pointer", pointer);
    trk_arena_rewind(net->scratch, mark);
}

void trk_run_head(trk_network *net, const trk_features *features, const trk_head_input *in, trk_head_output *out)
{
    run_head(net, features, in, 1, out);
}

void trk_run_mask_prompt(trk_network *net, const trk_features *features, const float *mask, trk_head_output *out)
{
    static const float certain[3] = {0.0f, 1.0f, 0.0f}; /* score below, iou, hypothesis */
    const trk_network_model *m = net->model;
    trk_exec *e = &net->exec;
    int s = m->image_size, side = s / 4, d = m->arch.d_model;
    trk_arena_mark mark = trk_arena_here(net->scratch);
    trk_mat given = trk_wrap_mat(mask, s, s);
    trk_mat logits = trk_new_mat(net, net->scratch, TRK_F32, s, s);
    trk_mat reduced = trk_new_mat(net, net->scratch, TRK_F32, side * side, 1);
    TRK_RUN(e, mask_to_memory, logits, given, 1, 20.0f, -10.0f);
    TRK_RUN(e, conv2d, reduced, trk_wrap_mat(mask, s * s, 1), s, s, &m->weights.mask_downsample, TRK_ACT_NONE);
    /* the head gives the pointer only; its mask and scores go to scratch */
    trk_mat unused = trk_new_mat(net, net->scratch, TRK_F32, side, side);
    trk_mat unused_info = trk_new_mat(net, net->scratch, TRK_F32, 1, 3);
    trk_head_output head = {.logits = unused.data, .pointer = out->pointer, .info = unused_info.data};
    trk_head_input in = {.feature = features->level2, .mask_logits = reduced.data, .stability = 1};
    if (e->status >= 0)
        run_head(net, features, &in, 0, &head);
    trk_set_mat(net, (trk_mat){out->info, TRK_F32, 1, 3, 3}, certain);
    TRK_RUN(e, score_mask, out->info, given, 10.0f, -10.0f);
    TRK_RUN(e, if_absent, ((trk_mat){out->pointer, TRK_F32, 1, d, d}), m->weights.no_obj_ptr, out->info, 1);
    TRK_RUN(e, resize_bilinear, ((trk_mat){out->logits, TRK_F32, side, side, side}), logits, 1);
    trk_arena_rewind(net->scratch, mark);
}
