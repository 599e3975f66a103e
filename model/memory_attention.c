/* SPDX-License-Identifier: Apache-2.0
 * Conditioning the frame's feature on the memory bank. Sheet sections 10, 11 and 18.2; upstream:
 * modeling/memory_attention.py, sam/transformer.py (RoPEAttention), SAM2Base._prepare_memory_conditioned_features.
 *
 * Keys are [memories, g^2 tokens each | pointers, d / m tokens each]; only memory tokens are rotated. Values stay
 * mem_dim wide: the value and output projections are one matrix applied behind the sum (exact, because softmax rows sum
 * to one). Layer 0 up to the queries of its cross-attention depends on no object; it is done once per frame. */
#include "network.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "positions.h"
#include "stored.h"

static const trk_epilogue plain = {TRK_ACT_NONE, 0}, add_to_out = {TRK_ACT_NONE, 1};

/* y = norm(x), in the activation dtype, scratch arena */
static trk_mat normalised(trk_network *net, trk_mat x, const trk_norm *norm)
{
    trk_mat y = trk_new_mat(net, net->scratch, net->exec.activation, x.rows, x.cols);
    TRK_RUN(&net->exec, layernorm, y, x, norm->gamma, norm->beta, 1e-5f, TRK_ACT_NONE);
    return y;
}

static trk_mat rotated(trk_network *net, trk_mat y, const trk_linear *layer)
{
    const trk_network_model *m = net->model;
    trk_mat q = trk_new_mat(net, net->scratch, net->exec.activation, y.rows, layer->n_out);
    TRK_RUN(&net->exec, linear, q, y, layer, plain);
    TRK_RUN(&net->exec, rope, q, m->tables.rope, m->grid * m->grid);
    return q;
}

/* x += out(softmax(R q (R k)^T / sqrt(d)) v) on y = norm1(x) */
static void self_attention(trk_network *net, const trk_memory_layer *layer, trk_mat x)
{
    trk_exec *e = &net->exec;
    trk_arena_mark mark = trk_arena_here(net->scratch);
    trk_mat y = normalised(net, x, &layer->norm1);
    trk_mat q = rotated(net, y, &layer->self.q), k = rotated(net, y, &layer->self.k);
    trk_mat v = trk_new_mat(net, net->scratch, e->activation, x.rows, x.cols);
    trk_mat o = trk_new_mat(net, net->scratch, e->activation, x.rows, x.cols);
    TRK_RUN(e, linear, v, y, &layer->self.v, plain);
    TRK_RUN(e, attention, o, q, k, v, 1, 1.0f / sqrtf((float)x.cols));
    TRK_RUN(e, linear, x, o, &layer->self.out, add_to_out);
    trk_arena_rewind(net->scratch, mark);
}

static void cross_queries(trk_network *net, const trk_memory_layer *layer, trk_mat x, trk_mat out)
{
    trk_arena_mark mark = trk_arena_here(net->scratch);
    trk_mat y = normalised(net, x, &layer->norm2);
    TRK_RUN(&net->exec, linear, out, y, &layer->cross_q, plain);
    TRK_RUN(&net->exec, rope, out, net->model->tables.rope, x.rows);
    trk_arena_rewind(net->scratch, mark);
}

/* The part every object of the frame shares: features->attended and features->queries. */
static void attend_shared(trk_network *net, trk_features *f)
{
    const trk_network_model *m = net->model;
    if (f->attended.data)
        return;
    int n = m->grid * m->grid, d = m->arch.d_model;
    trk_mat x = trk_new_mat(net, net->frame, TRK_F32, n, d);
    trk_mat q = trk_new_mat(net, net->frame, net->exec.activation, n, d);
    TRK_RUN(&net->exec, add, x, f->level2, trk_wrap_mat(m->tables.scaled_positions, n, d));
    self_attention(net, &m->weights.memory[0], x);
    cross_queries(net, &m->weights.memory[0], x, q);
    f->attended = x;
    f->queries = q;
}

/* What the keys and values of all layers are made of. */
typedef struct bank_tokens {
    trk_mat with_pos; /* [M, m] memory + position */
    trk_mat values;   /* [M, m] memory */
    int n_rotated;    /* leading tokens that RoPE turns */
} bank_tokens;

/* temporal codes of the pointers, [n, m]; zeros for SAM 2.0 */
static trk_mat pointer_positions(trk_network *net, const trk_pointer_ref *pointers, int n)
{
    const trk_arch *a = &net->model->arch;
    trk_mat out = trk_new_mat(net, net->scratch, TRK_F32, n, a->mem_dim);
    trk_mat sine = trk_new_mat(net, net->scratch, TRK_F32, n, a->d_model);
    if (!out.data || !sine.data)
        return out;
    int n_written = net->exec.planning ? 0 : n;
    if (!a->is_21) {
        memset(out.data, 0, (size_t)n_written * a->mem_dim * sizeof(float));
        return out;
    }
    /* streaming: the distance is normalised as in a video of at least max_pointers frames */
    for (int i = 0; i < n_written; i++)
        trk_sine_1d((float *)sine.data + (size_t)i * a->d_model,
                    (float)pointers[i].age / (float)(a->max_pointers - 1), a->d_model);
    TRK_RUN(&net->exec, linear, out, sine, &net->model->weights.pointer_tpos, plain);
    return out;
}

static void gather_pointers(trk_network *net, const trk_pointer_ref *pointers, int n, bank_tokens *tokens)
{
    const trk_arch *a = &net->model->arch;
    int split = a->d_model / a->mem_dim;
    trk_mat raw = trk_new_mat(net, net->scratch, TRK_F32, n * split, a->mem_dim);
    trk_mat positions = pointer_positions(net, pointers, n);
    for (int i = 0; raw.data && i < n; i++) {
        if (!net->exec.planning)
            memcpy((float *)raw.data + (size_t)i * a->d_model, pointers[i].pointer, (size_t)a->d_model * sizeof(float));
        int row = tokens->n_rotated + i * split;
        trk_mat part = trk_rows(raw, i * split, split);
        TRK_RUN(&net->exec, add, trk_rows(tokens->with_pos, row, split), part, trk_rows(positions, i, 1));
        TRK_RUN(&net->exec, convert, trk_rows(tokens->values, row, split), part);
    }
}

/* Rows first .. first + g^2 of the tokens. What is not a matrix as it lies is fetched to scratch first. */
static void gather_memory(trk_network *net, const trk_memory_ref *ref, int first, bank_tokens *tokens)
{
    const trk_network_model *m = net->model;
    trk_exec *e = &net->exec;
    int n = m->grid * m->grid, width = m->arch.mem_dim;
    trk_arena_mark mark = trk_arena_here(net->scratch);
    trk_mat memory = trk_stored_mat(ref->memory, ref->storage, n, width);
    trk_mat position = trk_wrap_mat(m->tables.memory_positions + (size_t)ref->age * n * width, n, width);
    if (!trk_stored_is_mat(ref->storage)) {
        memory = trk_new_mat(net, net->scratch, TRK_F32, n, width);
        TRK_RUN(e, fetch, memory, ref->memory, ref->storage);
    }
    TRK_RUN(e, add, trk_rows(tokens->with_pos, first, n), memory, position);
    TRK_RUN(e, convert, trk_rows(tokens->values, first, n), memory);
    trk_arena_rewind(net->scratch, mark);
}

static bank_tokens gather(trk_network *net, const trk_memory_ref *memories, int n_memories,
                          const trk_pointer_ref *pointers, int n_pointers)
{
    const trk_network_model *m = net->model;
    trk_exec *e = &net->exec;
    int n = m->grid * m->grid, width = m->arch.mem_dim;
    int total = n_memories * n + n_pointers * (m->arch.d_model / width);
    bank_tokens tokens = {trk_new_mat(net, net->scratch, e->activation, total, width),
                          trk_new_mat(net, net->scratch, e->activation, total, width), n_memories * n};
    for (int i = 0; i < n_memories; i++)
        gather_memory(net, &memories[i], i * n, &tokens);
    if (n_pointers)
        gather_pointers(net, pointers, n_pointers, &tokens);
    return tokens;
}

/* x += cross_out(softmax(q k^T / sqrt(d)) values) */
static void cross_attention(trk_network *net, const trk_memory_layer *layer, trk_mat x, trk_mat q,
                            const bank_tokens *tokens)
{
    const trk_network_model *m = net->model;
    trk_exec *e = &net->exec;
    trk_arena_mark mark = trk_arena_here(net->scratch);
    trk_mat k = trk_new_mat(net, net->scratch, e->activation, tokens->values.rows, x.cols);
    trk_mat o = trk_new_mat(net, net->scratch, e->activation, x.rows, m->arch.mem_dim);
    TRK_RUN(e, linear, k, tokens->with_pos, &layer->cross_k, plain);
    TRK_RUN(e, rope, trk_rows(k, 0, tokens->n_rotated), m->tables.rope, m->grid * m->grid);
    TRK_RUN(e, attention, o, q, k, tokens->values, 1, 1.0f / sqrtf((float)x.cols));
    TRK_RUN(e, linear, x, o, &layer->cross_out, add_to_out);
    trk_arena_rewind(net->scratch, mark);
}

void trk_attend_memory(trk_network *net, trk_features *f, const trk_memory_ref *memories, int n_memories,
                       const trk_pointer_ref *pointers, int n_pointers, trk_mat out)
{
    const trk_network_model *m = net->model;
    trk_exec *e = &net->exec;
    attend_shared(net, f);
    trk_arena_mark mark = trk_arena_here(net->scratch);
    bank_tokens tokens = gather(net, memories, n_memories, pointers, n_pointers);
    trk_mat x = trk_new_mat(net, net->scratch, TRK_F32, out.rows, out.cols);
    trk_mat q = trk_new_mat(net, net->scratch, e->activation, out.rows, out.cols);
    TRK_RUN(e, convert, x, f->attended);
    for (int i = 0; i < m->arch.n_mem_layers; i++) {
        const trk_memory_layer *layer = &m->weights.memory[i];
        char name[40];
        if (i > 0) {
            self_attention(net, layer, x);
            cross_queries(net, layer, x, q);
        }
        cross_attention(net, layer, x, i ? q : f->queries, &tokens);
        trk_run_feed_forward(net, x, &layer->norm3, 1e-5f, &layer->ffn0, TRK_ACT_RELU, &layer->ffn1);
        snprintf(name, sizeof name, "memory_attention.layer%d", i);
        trk_trace(net, name, x);
    }
    TRK_RUN(e, layernorm, out, x, m->weights.memory_norm.gamma, m->weights.memory_norm.beta, 1e-5f, TRK_ACT_NONE);
    trk_trace(net, "memory_attention.out", out);
    trk_arena_rewind(net->scratch, mark);
}

void trk_without_memory(trk_network *net, const trk_features *f, trk_mat out)
{
    TRK_RUN(&net->exec, add, out, f->level2, trk_wrap_mat(net->model->weights.no_mem_embed, 1, out.cols));
}
