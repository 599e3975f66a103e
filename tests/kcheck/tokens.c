/* SPDX-License-Identifier: Apache-2.0
 * Cases of the token operators: gather_tokens, token_keys, attend_tokens. A backend may read memories where they lie, so
 * what is compared is what comes of them: keys, and the attended values. */
#include <math.h>
#include <stdio.h>

#include "backend_private.h"
#include "kcheck.h"
#include "ref.h"
#include "stored.h"

#define MOST_MEMORIES 8
#define MOST_POINTERS 8
#define MOST_OBJECTS  4
#define SPLIT         4 /* tokens of a pointer */

typedef struct token_context {
    trk_token_source memories[MOST_MEMORIES];
    const float *pointers[MOST_POINTERS];
    trk_tokens tokens[2]; /* of the reference, of the candidate: with room of their own */
    const trk_linear *layer;
    const float *table;
    trk_mat q, keys;
    float scale;
} token_context;

typedef struct token_shape {
    int n_memories, n, width, pointers, d, queries; /* queries: of an object */
    trk_storage storages[MOST_MEMORIES];
    int n_objects; /* 0: one, that has all */
    trk_token_counts objects[MOST_OBJECTS];
    int shared; /* the objects have the same queries */
} token_shape;

#define ONE_OBJECT 0, {{0, 0}}, 0

static const token_shape shapes[] = {
    {1, 16, 16, 0, 32, 5, {TRK_STORE_BF16}, ONE_OBJECT},
    {2, 16, 16, 1, 32, 16, {TRK_STORE_BF16, TRK_STORE_BF16}, ONE_OBJECT},
    {3, 64, 64, 3, 256, 70, {TRK_STORE_BF16, TRK_STORE_BF16, TRK_STORE_BF16}, ONE_OBJECT},
    {0, 16, 16, 2, 32, 9, {0}, ONE_OBJECT},
    {4, 36, 32, 4, 64, 33, {TRK_STORE_F32, TRK_STORE_BF16, TRK_STORE_F16, TRK_STORE_Q8}, ONE_OBJECT},
    {2, 4, 64, 1, 128, 3, {TRK_STORE_F32, TRK_STORE_F32}, ONE_OBJECT},
    {3, 16, 16, 3, 32, 9, {TRK_STORE_BF16, TRK_STORE_BF16, TRK_STORE_BF16}, 2, {{2, 1}, {1, 2}}, 0},
    {3, 16, 16, 2, 32, 21, {TRK_STORE_BF16, TRK_STORE_F32, TRK_STORE_BF16}, 3, {{0, 1}, {3, 0}, {0, 1}}, 1},
    {5, 64, 64, 4, 256, 70, /* keys of one object in parts where another has none */
     {TRK_STORE_BF16, TRK_STORE_BF16, TRK_STORE_BF16, TRK_STORE_BF16, TRK_STORE_BF16}, 2, {{5, 3}, {0, 1}}, 0},
    {7, 36, 32, 6, 64, 33,
     {TRK_STORE_BF16, TRK_STORE_BF16, TRK_STORE_BF16, TRK_STORE_BF16, TRK_STORE_BF16, TRK_STORE_BF16, TRK_STORE_BF16},
     4, {{1, 1}, {2, 2}, {1, 0}, {3, 3}}, 1},
    {3, 36, 32, 2, 64, 17, {TRK_STORE_Q8, TRK_STORE_BF16, TRK_STORE_F16}, 2, {{1, 1}, {2, 1}}, 0},
    {4, 36, 64, 4, 256, 130, {TRK_STORE_BF16, TRK_STORE_F32, TRK_STORE_BF16, TRK_STORE_BF16}, ONE_OBJECT},
    /* keys in parts */
    {4, 256, 64, 2, 256, 20, {TRK_STORE_BF16, TRK_STORE_BF16, TRK_STORE_BF16, TRK_STORE_BF16}, ONE_OBJECT},
};

static int objects_of(const token_shape *s)
{
    return s->n_objects ? s->n_objects : 1;
}

static const trk_tokens *tokens_of(const trk_exec *x, const token_context *c)
{
    return &c->tokens[x->backend->kind != TRK_BACKEND_REF];
}

/* A memory slot with the case's fill, stored by the reference's operator. */
static const void *new_memory(kcheck *k, const token_shape *s, trk_storage storage)
{
    const trk_mat values = kcheck_input(k, s->n, s->width, 0, TRK_F32);
    void *slot = kcheck_bytes(k, trk_storage_bytes(storage, (size_t)s->n * (size_t)s->width));
    trk_exec x = {0};
    trk_store_ref(&x, slot, storage, values);
    return slot;
}

static void make_context(kcheck *k, const token_shape *s, trk_dtype activation, token_context *c)
{
    const int rows = s->n_memories * s->n + s->pointers * SPLIT;
    trk_tokens tokens = {.memories = c->memories, .n_memories = s->n_memories, .n = s->n, .width = s->width,
                         .pointers = c->pointers, .n_pointers = s->pointers, .split = SPLIT,
                         .objects = s->n_objects ? s->objects : NULL, .n_objects = s->n_objects};
    for (int i = 0; i < s->n_memories; i++)
        c->memories[i] = (trk_token_source){new_memory(k, s, s->storages[i]), s->storages[i],
                                            kcheck_floats(k, (size_t)s->n * (size_t)s->width, -1, 1)};
    for (int i = 0; i < s->pointers; i++)
        c->pointers[i] = kcheck_floats(k, (size_t)SPLIT * (size_t)s->width, -1, 1);
    tokens.pointer_positions = kcheck_uniform(k, s->pointers * SPLIT, s->width, TRK_F32, -1, 1);
    for (int i = 0; i < 2; i++) {
        c->tokens[i] = tokens;
        c->tokens[i].with_positions = kcheck_uniform(k, rows, s->width, activation, 7, 7);
        c->tokens[i].values = kcheck_uniform(k, rows, s->width, activation, 7, 7);
        c->tokens[i].fetched = kcheck_uniform(k, s->n, s->width, TRK_F32, 7, 7);
    }
    c->layer = kcheck_linear(k, s->width, s->d, 1);
    float *table = kcheck_floats(k, (size_t)s->n * (size_t)s->d, 0, 6.28f);
    for (int i = 0; i < s->n * s->d; i += 2) { /* angles become cosine and sine */
        const float angle = table[i];
        table[i] = cosf(angle);
        table[i + 1] = sinf(angle);
    }
    c->table = table;
    c->q = kcheck_uniform(k, s->queries * (s->shared ? 1 : objects_of(s)), s->d, activation, -1, 1);
    c->keys = kcheck_uniform(k, rows, s->d, activation, -1, 1);
    c->scale = 1.0f / sqrtf((float)s->d);
}

static void run_keys(trk_exec *x, trk_mat out, const void *context)
{
    const token_context *c = context;
    TRK_RUN(x, gather_tokens, tokens_of(x, c));
    TRK_RUN(x, token_keys, out, tokens_of(x, c), c->layer, c->table);
}

static void run_attend(trk_exec *x, trk_mat out, const void *context)
{
    const token_context *c = context;
    TRK_RUN(x, gather_tokens, tokens_of(x, c));
    TRK_RUN(x, attend_tokens, out, c->q, c->keys, tokens_of(x, c), c->scale);
}

static void token_case(kcheck *k, kcheck_fill fill, const token_shape *s, kcheck_function *run, int keys)
{
    static token_context c;
    const trk_dtype activation = trk_backend_activation(kcheck_backend(k));
    const int rows = s->n_memories * s->n + s->pointers * SPLIT, queries = s->queries * objects_of(s);
    char objects[40] = "";
    if (s->n_objects)
        snprintf(objects, sizeof objects, "%s of %d objects", s->shared ? " shared" : "", s->n_objects);
    if (!kcheck_case(k, fill, kcheck_dtype(activation), "%dx%d of %d + %d pointers, %d wide, %d queries%s",
                     s->n_memories, s->n, s->width, s->pointers, s->d, s->queries, objects))
        return;
    make_context(k, s, activation, &c);
    const trk_mat out =
        keys ? kcheck_shape(rows, s->d, 0, activation) : kcheck_shape(queries, s->width, 0, activation);
    /* As for linear and attention: sums of up to 64 terms and softmax in f32; bf16 factors can fall to the other side
     * of a rounding where a sum before them differs in its last bit, 2^-8 of one term of many. */
    const kcheck_bound bound = activation == TRK_BF16 ? (kcheck_bound){.max = 8e-3, .nmse = 1e-5}
                                                      : (kcheck_bound){.max = 1e-5, .nmse = 1e-11};
    kcheck_run(k, out, run, &c, bound, keys ? 2.0 * rows * s->width * s->d : 2.0 * s->queries * rows * (s->d + s->width));
}

void check_gather_tokens(kcheck *k)
{
    static token_context c;
    trk_exec x;
    if (kcheck_is_bench(k) || !kcheck_case(k, FILL_UNIFORM, "-", "too little room"))
        return;
    make_context(k, &shapes[1], trk_backend_activation(kcheck_backend(k)), &c);
    kcheck_expect(k, trk_exec_init(&x, kcheck_backend(k), kcheck_allocator(k)) == TRK_OK, "an exec");
    c.tokens[1].values.rows--;
    TRK_RUN(&x, gather_tokens, &c.tokens[1]);
    kcheck_expect(k, x.status == TRK_E_ARGUMENT, "room for fewer rows is refused");
    trk_exec_release(&x);
}

void check_token_keys(kcheck *k)
{
    for (int i = 0; i < KCHECK_OF(shapes) && !kcheck_is_bench(k); i++)
        for (int fill = FILL_UNIFORM; fill <= FILL_CONSTANT; fill++)
            token_case(k, (kcheck_fill)fill, &shapes[i], run_keys, 1);
}

/* Of many rows that are one value each the mean is next to nothing, and what is left of it mostly rounding. */
static int cancels(const token_shape *s, int fill)
{
    return fill == FILL_CONSTANT && s->n_memories * s->n > 1000;
}

void check_attend_tokens(kcheck *k)
{
    for (int i = 0; i < KCHECK_OF(shapes) && !kcheck_is_bench(k); i++)
        for (int fill = FILL_UNIFORM; fill <= FILL_CONSTANT; fill++)
            if (!cancels(&shapes[i], fill))
                token_case(k, (kcheck_fill)fill, &shapes[i], run_attend, 0);
}
