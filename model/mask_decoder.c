/* SPDX-License-Identifier: Apache-2.0
 * The SAM head: two-way transformer, upscaling, hypernetworks, choice of the hypothesis, object pointer.
 * Upstream: sam/mask_decoder.py, sam/transformer.py, SAM2Base._forward_sam_heads and
 * _use_mask_as_output. */
#include <math.h>
#include <string.h>

#include "prompt_encoder.h"

static const trk_epilogue plain = {TRK_ACT_NONE, 0}, add_to_out = {TRK_ACT_NONE, 1}, relu = {TRK_ACT_RELU, 0};

#define N_OUTPUT_TOKENS 6 /* object score, iou, four masks */

/* out (+)= out_proj(attention(q, k, v)), each of n objects' rows by themselves */
static void attend(trk_network *net, const trk_attention_layer *a, int n, trk_mat out, trk_mat q_in, trk_mat k_in,
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
    TRK_RUN(e, attention, o, q, k, v, a->heads, n, 1.0f / sqrtf((float)(width / a->heads)));
    TRK_RUN(e, linear, out, o, &a->out, epilogue);
    trk_arena_rewind(net->scratch, mark);
}

static void normalise(trk_network *net, trk_mat x, const trk_norm *norm)
{
    TRK_RUN(&net->exec, layernorm, x, x, norm->gamma, norm->beta, 1e-5f, TRK_ACT_NONE);
}

/* Of n objects, one after the other; what they share is there once. */
typedef struct two_way_state {
    int n;
    trk_mat tokens;    /* [n t, d] queries */
    trk_mat token_pos; /* [t, d] the initial tokens */
    trk_mat keys;      /* [n g^2, d] image */
    trk_mat key_pos;   /* [g^2, d] */
    trk_mat with_pos_t, with_pos_k; /* scratch as tokens and keys: tokens + token_pos, keys + key_pos */
} two_way_state;

static void two_way_layer(trk_network *net, const trk_two_way_layer *t, two_way_state *s, int first)
{
    trk_exec *e = &net->exec;
    if (first) { /* no positional term and no residual */
        TRK_RUN(e, convert, s->with_pos_t, s->tokens);
        attend(net, &t->self, s->n, s->tokens, s->with_pos_t, s->with_pos_t, s->with_pos_t, plain);
        TRK_RUN(e, add, s->with_pos_k, s->keys, s->key_pos);
    } else {
        TRK_RUN(e, add, s->with_pos_t, s->tokens, s->token_pos);
        attend(net, &t->self, s->n, s->tokens, s->with_pos_t, s->with_pos_t, s->tokens, add_to_out);
    }
    normalise(net, s->tokens, &t->norm1);
    TRK_RUN(e, add, s->with_pos_t, s->tokens, s->token_pos);
    attend(net, &t->token_to_image, s->n, s->tokens, s->with_pos_t, s->with_pos_k, s->keys, add_to_out);
    normalise(net, s->tokens, &t->norm2);

    trk_arena_mark mark = trk_arena_here(net->scratch);
    trk_mat hidden = trk_new_mat(net, net->scratch, e->activation, s->tokens.rows, t->mlp0.n_out);
    TRK_RUN(e, linear, hidden, s->tokens, &t->mlp0, relu);
    TRK_RUN(e, linear, s->tokens, hidden, &t->mlp1, add_to_out);
    trk_arena_rewind(net->scratch, mark);
    normalise(net, s->tokens, &t->norm3);

    TRK_RUN(e, add, s->with_pos_t, s->tokens, s->token_pos);
    attend(net, &t->image_to_token, s->n, s->keys, s->with_pos_k, s->with_pos_t, s->tokens, add_to_out);
    normalise(net, s->keys, &t->norm4);
    TRK_RUN(e, add, s->with_pos_k, s->keys, s->key_pos);
}

static void two_way_transformer(trk_network *net, two_way_state *s)
{
    const trk_network_model *m = net->model;
    for (int i = 0; i < m->arch.decoder_depth; i++)
        two_way_layer(net, &m->weights.two_way[i], s, i == 0);
    TRK_RUN(&net->exec, add, s->with_pos_t, s->tokens, s->token_pos);
    attend(net, &m->weights.final_attention, s->n, s->tokens, s->with_pos_t, s->with_pos_k, s->keys, add_to_out);
    normalise(net, s->tokens, &m->weights.final_norm);
}

/* keys [n g^2, d] -> [n 16 g^2, d/8], with the high-resolution features added on the way; scratch arena. The n images
 * are one that is n times as high. */
static trk_mat upscale(trk_network *net, const trk_features *f, int n, trk_mat keys)
{
    const trk_weights *w = &net->model->weights;
    trk_exec *e = &net->exec;
    int g = net->model->grid, h = n * g, d = net->model->arch.d_model;
    trk_mat fine = trk_new_mat(net, net->scratch, TRK_F32, 16 * h * g, d / 8);
    trk_arena_mark mark = trk_arena_here(net->scratch);
    trk_mat a = trk_new_mat(net, net->scratch, TRK_F32, h * g, d);
    trk_mat middle = trk_new_mat(net, net->scratch, TRK_F32, 4 * h * g, d / 4);
    TRK_RUN(e, linear, a, keys, &w->upscale0, plain);
    TRK_RUN(e, depth_to_space2x, middle, a, h, g, f->level1, TRK_ACT_NONE);
    TRK_RUN(e, layernorm, middle, middle, w->upscale_norm.gamma, w->upscale_norm.beta, 1e-6f, TRK_ACT_GELU);
    trk_mat b = trk_new_mat(net, net->scratch, TRK_F32, 4 * h * g, d / 2);
    TRK_RUN(e, linear, b, middle, &w->upscale1, plain);
    TRK_RUN(e, depth_to_space2x, fine, b, 2 * h, 2 * g, f->level0, TRK_ACT_GELU);
    trk_arena_rewind(net->scratch, mark);
    return fine;
}

trk_hypotheses trk_new_hypotheses(trk_network *net, int n, int with_boxes)
{
    const int pixels = 16 * net->model->grid * net->model->grid, d = net->model->arch.d_model;
    trk_arena *arena = net->scratch;
    trk_hypotheses out = {.n = n,
                          .masks = trk_new_mat(net, arena, TRK_F32, 4 * n, pixels),
                          .tokens = trk_new_mat(net, arena, TRK_F32, 4 * n, d),
                          .ious = trk_new_mat(net, arena, TRK_F32, n, 4),
                          .score = trk_new_mat(net, arena, TRK_F32, n, 1)};
    if (with_boxes)
        out.boxes = trk_new_mat(net, arena, TRK_F32, 4 * n, 4);
    return out;
}

/* Row i of each of m's n equal parts. */
static trk_mat row_of_each(trk_mat m, int n, int i)
{
    const int64_t stride = n > 1 ? m.rows / n * m.stride : m.stride;
    m = trk_rows(m, i, n);
    m.stride = stride;
    return m;
}

/* The heads behind the transformer; fine [n 16 g^2, d/8] is the upscaled image. */
static void read_tokens(trk_network *net, const two_way_state *s, trk_mat fine, const trk_hypotheses *out)
{
    const trk_weights *w = &net->model->weights;
    trk_exec *e = &net->exec;
    const int n = s->n, t = s->tokens.rows / n, pixels = fine.rows / n;
    trk_mat hyper = trk_new_mat(net, net->scratch, TRK_F32, 4 * n, fine.cols);
    for (int i = 0; i < 4; i++)
        trk_run_mlp(net, row_of_each(hyper, n, i), row_of_each(s->tokens, n, 2 + i), &w->hyper[i], TRK_ACT_NONE);
    for (int i = 0; i < n; i++)
        TRK_RUN(e, matmul_nt, trk_rows(out->masks, 4 * i, 4), trk_rows(hyper, 4 * i, 4),
                trk_rows(fine, i * pixels, pixels));
    for (int i = 0; i < n; i++)
        TRK_RUN(e, convert, trk_rows(out->tokens, 4 * i, 4), trk_rows(s->tokens, i * t + 2, 4));
    trk_run_mlp(net, out->ious, row_of_each(s->tokens, n, 1), &w->iou_head, TRK_ACT_SIGMOID);
    trk_run_mlp(net, out->score, row_of_each(s->tokens, n, 0), &w->score_head, TRK_ACT_NONE);
}

/* feature [n g^2, d] of out->n objects, dense [g^2 or 1, d], sparse [n, d]; everything else in the scratch arena */
static void decode(trk_network *net, const trk_features *f, trk_mat feature, trk_mat dense, trk_mat sparse,
                   const trk_hypotheses *out)
{
    const trk_network_model *m = net->model;
    const float *output_tokens = m->weights.output_tokens;
    trk_exec *e = &net->exec;
    trk_arena *arena = net->scratch;
    int n = m->grid * m->grid, d = m->arch.d_model, t = N_OUTPUT_TOKENS + sparse.rows;
    int all_n = out->n * n, all_t = out->n * t;
    two_way_state s = {out->n, trk_new_mat(net, arena, TRK_F32, all_t, d), trk_new_mat(net, arena, TRK_F32, t, d),
                       trk_new_mat(net, arena, TRK_F32, all_n, d), trk_wrap_mat(m->tables.image_positions, n, d),
                       trk_new_mat(net, arena, TRK_F32, all_t, d), trk_new_mat(net, arena, TRK_F32, all_n, d)};
    TRK_RUN(e, convert, trk_rows(s.token_pos, 0, N_OUTPUT_TOKENS), trk_wrap_mat(output_tokens, N_OUTPUT_TOKENS, d));
    TRK_RUN(e, convert, trk_rows(s.token_pos, N_OUTPUT_TOKENS, sparse.rows), sparse);
    TRK_RUN(e, convert, s.tokens, s.token_pos);
    TRK_RUN(e, add, s.keys, feature, dense);
    two_way_transformer(net, &s);
    read_tokens(net, &s, upscale(net, f, out->n, s.keys), out);
    trk_trace(net, "decoder.masks", out->masks);
    trk_trace(net, "decoder.ious", out->ious);
    trk_trace(net, "decoder.score", out->score);
    trk_trace(net, "decoder.tokens", out->tokens);
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

/* The mask of object i into its place; token [n, d] gets its token. */
static void take_mask(trk_network *net, const trk_head_input *in, const trk_hypotheses *o, const float *chosen, int i,
                      trk_mat token, const trk_head_output *out)
{
    const int side = 4 * net->model->grid;
    const trk_mask_choice choice = {.masks = trk_rows(o->masks, 4 * i, 4), .tokens = trk_rows(o->tokens, 4 * i, 4),
                                    .ious = trk_rows(o->ious, i, 1).data, .score = trk_rows(o->score, i, 1).data,
                                    .present_above = in->present_above, .chosen = chosen ? chosen + i : NULL,
                                    .multimask = in->multimask, .stability = in->stability,
                                    .stability_delta = 0.05f, .stability_threshold = 0.98f};
    const trk_mat mask = {out->logits, TRK_F32, 1, side * side, side * side};
    TRK_RUN(&net->exec, select_mask, mask, trk_rows(token, i, 1), out->info, &choice);
    trk_trace(net, "head.lowres", (trk_mat){out->logits, TRK_F32, side, side, side});
}

/* The pointers of n objects, from their tokens [n, d], into their places. */
static void make_pointers(trk_network *net, const trk_hypotheses *given, trk_mat token, float present_above,
                          const trk_head_output *out)
{
    const trk_network_model *m = net->model;
    const int n = given->n, d = token.cols;
    trk_mat pointers = {out->pointer, TRK_F32, 1, d, d};
    if (n > 1)
        pointers = trk_new_mat(net, net->scratch, TRK_F32, n, d);
    trk_run_mlp(net, pointers, token, &m->weights.pointer_proj, TRK_ACT_NONE);
    for (int i = 0; i < n; i++) {
        const trk_mat pointer = {out[i].pointer, TRK_F32, 1, d, d};
        if (n > 1)
            TRK_RUN(&net->exec, convert, pointer, trk_rows(pointers, i, 1));
        TRK_RUN(&net->exec, if_absent, pointer, m->weights.no_obj_ptr, trk_rows(given->score, i, 1).data,
                present_above, 1);
        trk_trace(net, "head.pointer", pointer);
    }
}

static void find(trk_network *net, const trk_features *f, const trk_head_input *in, int clamp, const trk_hypotheses *out)
{
    const int side = 4 * net->model->grid;
    trk_arena_mark mark = trk_arena_here(net->scratch);
    trk_mat sparse = trk_sparse_prompt(net, in->points, in->n_points);
    trk_mat dense = dense_of(net, in->mask_logits, clamp);
    trk_trace(net, "prompt.dense", dense);
    decode(net, f, in->feature, dense, sparse, out);
    if (out->boxes.data)
        TRK_RUN(&net->exec, mask_boxes, out->boxes.data, out->masks, side, net->model->image_size / side);
    trk_arena_rewind(net->scratch, mark);
}

void trk_find_hypotheses(trk_network *net, const trk_features *features, const trk_head_input *in,
                         const trk_hypotheses *out)
{
    find(net, features, in, 1, out);
}

void trk_take_hypotheses(trk_network *net, const trk_head_input *in, const trk_hypotheses *given, const float *chosen,
                         const trk_head_output *out)
{
    trk_arena_mark mark = trk_arena_here(net->scratch);
    trk_mat token = trk_new_mat(net, net->scratch, TRK_F32, given->n, net->model->arch.d_model);
    for (int i = 0; i < given->n; i++)
        take_mask(net, in, given, chosen, i, token, &out[i]);
    make_pointers(net, given, token, in->present_above, out);
    trk_arena_rewind(net->scratch, mark);
}

static void run_head(trk_network *net, const trk_features *f, const trk_head_input *in, int n, int clamp,
                     const trk_head_output *out)
{
    trk_arena_mark mark = trk_arena_here(net->scratch);
    const trk_hypotheses found = trk_new_hypotheses(net, n, 0);
    find(net, f, in, clamp, &found);
    trk_take_hypotheses(net, in, &found, NULL, out);
    trk_arena_rewind(net->scratch, mark);
}

void trk_run_head(trk_network *net, const trk_features *features, const trk_head_input *in, const trk_head_output *out)
{
    run_head(net, features, in, 1, 1, out);
}

void trk_run_heads(trk_network *net, const trk_features *features, const trk_head_input *in, int n,
                   const trk_head_output *out)
{
    run_head(net, features, in, n, 1, out);
}

void trk_run_mask_prompt(trk_network *net, const trk_features *features, const float *mask, float present_above,
                         trk_head_output *out)
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
    trk_head_input in = {.feature = features->level2, .mask_logits = reduced.data, .stability = 1,
                         .present_above = present_above};
    if (e->status >= 0)
        run_head(net, features, &in, 1, 0, &head);
    trk_set_mat(net, (trk_mat){out->info, TRK_F32, 1, 3, 3}, certain);
    TRK_RUN(e, score_mask, out->info, given, 10.0f, -10.0f);
    TRK_RUN(e, if_absent, ((trk_mat){out->pointer, TRK_F32, 1, d, d}), m->weights.no_obj_ptr, out->info,
            0.0f, 1);
    TRK_RUN(e, resize_bilinear, ((trk_mat){out->logits, TRK_F32, side, side, side}), logits, 1);
    trk_arena_rewind(net->scratch, mark);
}
