/* SPDX-License-Identifier: Apache-2.0
 * The token operators as a sequence of others, for backends that have nothing faster: the memories are copied, with and
 * without their positions, into one matrix each. */
#include "expect.h"
#include "stored.h"
#include "tokens.h"

/* Memory i into the rows from `row` on. */
static void gather_memory(trk_exec *x, const trk_tokens *tokens, int i, int row)
{
    const trk_token_source *source = &tokens->memories[i];
    const int n = tokens->n;
    trk_mat memory = trk_stored_mat(source->memory, source->storage, n, tokens->width);
    if (!trk_stored_is_mat(source->storage)) {
        memory = tokens->fetched;
        TRK_RUN(x, fetch, memory, source->memory, source->storage);
    }
    TRK_RUN(x, add, trk_rows(tokens->with_positions, row, n), memory, trk_wrap_mat(source->position, n, tokens->width));
    TRK_RUN(x, convert, trk_rows(tokens->values, row, n), memory);
}

static void gather_pointer(trk_exec *x, const trk_tokens *tokens, int i, int row)
{
    const int split = tokens->split;
    const trk_mat pointer = trk_wrap_mat(tokens->pointers[i], split, tokens->width);
    TRK_RUN(x, add, trk_rows(tokens->with_positions, row, split), pointer,
            trk_rows(tokens->pointer_positions, i * split, split));
    TRK_RUN(x, convert, trk_rows(tokens->values, row, split), pointer);
}

void trk_gather_tokens(trk_exec *x, const trk_tokens *tokens)
{
    const int rows = trk_tokens_rows(tokens), split = tokens->split;
    TRK_EXPECT(x, "gather_tokens", tokens->with_positions.rows == rows && tokens->values.rows == rows);
    TRK_EXPECT(x, "gather_tokens", tokens->pointer_positions.rows == tokens->n_pointers * split);
    for (int object = 0, memory = 0, pointer = 0, row = 0; object < trk_tokens_objects(tokens); object++) {
        const trk_token_counts counts = trk_tokens_of(tokens, object);
        for (int i = 0; i < counts.memories; i++, row += tokens->n)
            gather_memory(x, tokens, memory++, row);
        for (int i = 0; i < counts.pointers; i++, row += split)
            gather_pointer(x, tokens, pointer++, row);
    }
}

void trk_token_keys(trk_exec *x, trk_mat keys, const trk_tokens *tokens, const trk_linear *layer, const float *table)
{
    const trk_epilogue plain = {TRK_ACT_NONE, 0};
    TRK_EXPECT(x, "token_keys", keys.rows == trk_tokens_rows(tokens));
    TRK_RUN(x, linear, keys, tokens->with_positions, layer, plain);
    for (int object = 0, row = 0; object < trk_tokens_objects(tokens); object++) {
        const int rotated = trk_tokens_of(tokens, object).memories * tokens->n;
        if (rotated)
            TRK_RUN(x, rope, trk_rows(keys, row, rotated), table, tokens->n);
        row += trk_tokens_rows_of(tokens, object);
    }
}

void trk_attend_tokens(trk_exec *x, trk_mat out, trk_mat q, trk_mat keys, const trk_tokens *tokens, float scale)
{
    const int n_objects = trk_tokens_objects(tokens), n = out.rows / n_objects;
    TRK_EXPECT(x, "attend_tokens", out.rows == n * n_objects && (q.rows == out.rows || q.rows == n));
    for (int object = 0, row = 0; object < n_objects; object++) {
        const int rows = trk_tokens_rows_of(tokens, object);
        TRK_RUN(x, attention, trk_rows(out, object * n, n), q.rows == n ? q : trk_rows(q, object * n, n),
                trk_rows(keys, row, rows), trk_rows(tokens->values, row, rows), 1, 1, scale);
        row += rows;
    }
}
