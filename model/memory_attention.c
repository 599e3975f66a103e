/* SPDX-License-Identifier: Apache-2.0
 * Conditioning the frame's feature on the memory bank. Upstream:
 * modeling/memory_attention.py, sam/transformer.py (RoPEAttention), SAM2Base._prepare_memory_conditioned_features.
 *
 * Keys are [memories, g^2 tokens each | pointers, d / m tokens each]; only memory tokens are rotated. Values stay
 * mem_dim wide: the value and output projections are one matrix applied behind the sum (exact, because softmax rows sum
 * to one). Layer 0 up to the queries of its cross-attention depends on no object; it is done once per frame. */
#include "network.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "heap.h"
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

/* of one object */
static int grid_rows(const trk_network *net)
{
    return net->model->grid * net->model->grid;
}

/* x += out(softmax(R q (R k)^T / sqrt(d)) v) on y = norm1(x), each object's rows by themselves */
static void self_attention(trk_network *net, const trk_memory_layer *layer, trk_mat x)
{
    trk_exec *e = &net->exec;
    trk_arena_mark mark = trk_arena_here(net->scratch);
    trk_mat y = normalised(net, x, &layer->norm1);
    trk_mat q = rotated(net, y, &layer->self.q), k = rotated(net, y, &layer->self.k);
    trk_mat v = trk_new_mat(net, net->scratch, e->activation, x.rows, x.cols);
    trk_mat o = trk_new_mat(net, net->scratch, e->activation, x.rows, x.cols);
    TRK_RUN(e, linear, v, y, &layer->self.v, plain);
    TRK_RUN(e, attention, o, q, k, v, 1, x.rows / grid_rows(net), 1.0f / sqrtf((float)x.cols));
    TRK_RUN(e, linear, x, o, &layer->self.out, add_to_out);
    trk_arena_rewind(net->scratch, mark);
}

static void cross_queries(trk_network *net, const trk_memory_layer *layer, trk_mat x, trk_mat out)
{
    trk_arena_mark mark = trk_arena_here(net->scratch);
    trk_mat y = normalised(net, x, &layer->norm2);
    TRK_RUN(&net->exec, linear, out, y, &layer->cross_q, plain);
    TRK_RUN(&net->exec, rope, out, net->model->tables.rope, grid_rows(net));
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

/* A row of `width` temporal codes for each of the `split` tokens of each pointer; returns where the next row comes. */
static float *fill_codes(const trk_arch *a, float *codes, const trk_reading *reading, int split, int width)
{
    for (int i = 0; i < reading->n_pointers * split; i++, codes += width) {
        /* streaming: the distance is normalised as in a video of at least max_pointers frames */
        if (a->is_21)
            trk_sine_1d(codes, (float)reading->pointers[i / split].age / (float)(a->max_pointers - 1), width);
        else
            memset(codes, 0, (size_t)width * sizeof *codes);
    }
    return codes;
}

/* Temporal codes of all n pointers, one row for each of a pointer's tokens: [n * split, m]; zeros for SAM 2.0. */
static trk_mat pointer_positions(trk_network *net, const trk_reading *readings, int n_readings, int n, int split)
{
    const trk_arch *a = &net->model->arch;
    const int width = a->is_21 ? a->d_model : a->mem_dim;
    trk_mat out = trk_new_mat(net, net->scratch, TRK_F32, n * split, a->mem_dim);
    trk_mat sine = a->is_21 ? trk_new_mat(net, net->scratch, TRK_F32, n * split, width) : out;
    float *values = trk_network_host_floats(net, (size_t)(n * split) * (size_t)width, "ages of pointers");
    float *next = values;
    for (int i = 0; values && i < n_readings; i++)
        next = fill_codes(a, next, &readings[i], split, width);
    trk_set_mat(net, sine, values);
    trk_heap_release(values);
    if (a->is_21)
        TRK_RUN(&net->exec, linear, out, sine, &net->model->weights.pointer_tpos, plain);
    return out;
}

/* What tokens are listed in, for as long as they are used; one block that starts at memories, owned. */
typedef struct token_lists {
    trk_token_source *memories;
    const float **pointers;
    trk_token_counts *objects;
    int n_memories, n_pointers, n_objects;
} token_lists;

/* 0, with the failure recorded, without memory. */
static int lists_new(trk_network *net, const trk_reading *readings, int n, token_lists *out)
{
    *out = (token_lists){.n_objects = n};
    for (int i = 0; i < n; i++) {
        out->n_memories += readings[i].n_memories;
        out->n_pointers += readings[i].n_pointers;
    }
    const size_t memories = (size_t)out->n_memories, pointers = (size_t)out->n_pointers;
    out->memories = trk_heap_allocate(TRK_MEM_SCRATCH, "list of memories", memories * sizeof *out->memories +
                                      pointers * sizeof *out->pointers + (size_t)n * sizeof *out->objects);
    if (!out->memories) {
        trk_exec_fail(&net->exec, TRK_FAIL(TRK_E_MEMORY, "no memory for a list of %d memories", out->n_memories));
        return 0;
    }
    out->pointers = (const float **)(void *)(out->memories + memories);
    out->objects = (trk_token_counts *)(void *)(out->pointers + pointers);
    return 1;
}

/* 1 if there are memories that operators do not read in place. */
static int lists_fill(const trk_network_model *m, const trk_reading *readings, const token_lists *lists)
{
    const size_t memory_size = (size_t)m->grid * (size_t)m->grid * (size_t)m->arch.mem_dim;
    trk_token_source *memories = lists->memories;
    const float **pointers = lists->pointers;
    int fetches = 0;
    for (int object = 0; object < lists->n_objects; object++) {
        const trk_reading *r = &readings[object];
        lists->objects[object] = (trk_token_counts){r->n_memories, r->n_pointers};
        for (int i = 0; i < r->n_memories; i++) {
            const float *position = m->tables.memory_positions + (size_t)r->memories[i].age * memory_size;
            *memories++ = (trk_token_source){r->memories[i].memory, r->memories[i].storage, position};
            fetches |= !trk_stored_is_mat(r->memories[i].storage);
        }
        for (int i = 0; i < r->n_pointers; i++)
            *pointers++ = r->pointers[i].pointer;
    }
    return fetches;
}

/* What the keys and values of all layers are made of. */
static trk_tokens gather(trk_network *net, const trk_reading *readings, const token_lists *lists)
{
    const trk_network_model *m = net->model;
    const int n = grid_rows(net), width = m->arch.mem_dim, split = m->arch.d_model / width;
    trk_tokens tokens = {.objects = lists->objects, .n_objects = lists->n_objects, .n = n, .width = width,
                         .memories = lists->memories, .n_memories = lists->n_memories,
                         .pointers = lists->pointers, .n_pointers = lists->n_pointers, .split = split};
    const int rows = trk_tokens_rows(&tokens);
    tokens.with_positions = trk_new_mat(net, net->scratch, net->exec.activation, rows, width);
    tokens.values = trk_new_mat(net, net->scratch, net->exec.activation, rows, width);
    if (lists_fill(m, readings, lists))
        tokens.fetched = trk_new_mat(net, net->scratch, TRK_F32, n, width);
    if (lists->n_pointers)
        tokens.pointer_positions = pointer_positions(net, readings, lists->n_objects, lists->n_pointers, split);
    TRK_RUN(&net->exec, gather_tokens, &tokens);
    return tokens;
}

/* x += cross_out(softmax(q k^T / sqrt(d)) values) */
static void cross_attention(trk_network *net, const trk_memory_layer *layer, trk_mat x, trk_mat q,
                            const trk_tokens *tokens)
{
    const trk_network_model *m = net->model;
    trk_exec *e = &net->exec;
    trk_arena_mark mark = trk_arena_here(net->scratch);
    trk_mat k = trk_new_mat(net, net->scratch, e->activation, trk_tokens_rows(tokens), x.cols);
    trk_mat o = trk_new_mat(net, net->scratch, e->activation, x.rows, m->arch.mem_dim);
    TRK_RUN(e, token_keys, k, tokens, &layer->cross_k, m->tables.rope);
    TRK_RUN(e, attend_tokens, o, q, k, tokens, 1.0f / sqrtf((float)x.cols));
    TRK_RUN(e, linear, x, o, &layer->cross_out, add_to_out);
    trk_arena_rewind(net->scratch, mark);
}

void trk_attend_memory(trk_network *net, trk_features *f, const trk_reading *readings, int n, trk_mat out)
{
    const trk_network_model *m = net->model;
    trk_exec *e = &net->exec;
    attend_shared(net, f);
    trk_arena_mark mark = trk_arena_here(net->scratch);
    token_lists lists;
    if (!lists_new(net, readings, n, &lists))
        return;
    trk_tokens tokens = gather(net, readings, &lists);
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
    trk_heap_release(lists.memories);
    trk_arena_rewind(net->scratch, mark);
}

void trk_without_memory(trk_network *net, const trk_features *f, trk_mat out)
{
    TRK_RUN(&net->exec, add, out, f->level2, trk_wrap_mat(net->model->weights.no_mem_embed, 1, out.cols));
}
