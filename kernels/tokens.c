/* SPDX-License-Identifier: Apache-2.0
 * The token operators as a sequence of others, for backends that have nothing faster: the memories are copied, with and
 * without their positions, into one matrix each. */
#include "expect.h"
#include "stored.h"
#include "tokens.h"

static trk_mat rows_of(trk_mat mat, int first, int count)
{
    mat.data = (char *)mat.data + (int64_t)first * mat.stride * (int64_t)trk_dtype_bytes(mat.dtype);
    mat.rows = count;
    return mat;
}

static trk_mat table_of(const float *data, int rows, int cols)
{
    return (trk_mat){(void *)(uintptr_t)data, TRK_F32, rows, cols, cols};
}

static void gather_memory(trk_exec *x, const trk_tokens *tokens, int i)
{
    const trk_token_source *source = &tokens->memories[i];
    const int n = tokens->n;
    trk_mat memory = trk_stored_mat(source->memory, source->storage, n, tokens->width);
    if (!trk_stored_is_mat(source->storage)) {
        memory = tokens->fetched;
        TRK_RUN(x, fetch, memory, source->memory, source->storage);
    }
    TRK_RUN(x, add, rows_of(tokens->with_positions, i * n, n), memory, table_of(source->position, n, tokens->width));
    TRK_RUN(x, convert, rows_of(tokens->values, i * n, n), memory);
}

void trk_gather_tokens(trk_exec *x, const trk_tokens *tokens)
{
    const int rows = trk_tokens_rows(tokens), split = tokens->split;
    TRK_EXPECT(x, "gather_tokens", tokens->with_positions.rows == rows && tokens->values.rows == rows);
    TRK_EXPECT(x, "gather_tokens", tokens->pointer_positions.rows == tokens->n_pointers * split);
    for (int i = 0; i < tokens->n_memories; i++)
        gather_memory(x, tokens, i);
    for (int i = 0; i < tokens->n_pointers; i++) {
        const trk_mat pointer = table_of(tokens->pointers[i], split, tokens->width);
        const int row = tokens->n_memories * tokens->n + i * split;
        TRK_RUN(x, add, rows_of(tokens->with_positions, row, split), pointer,
                rows_of(tokens->pointer_positions, i * split, split));
        TRK_RUN(x, convert, rows_of(tokens->values, row, split), pointer);
    }
}

void trk_token_keys(trk_exec *x, trk_mat keys, const trk_tokens *tokens, const trk_linear *layer, const float *table)
{
    const trk_epilogue plain = {TRK_ACT_NONE, 0};
    TRK_EXPECT(x, "token_keys", keys.rows == trk_tokens_rows(tokens));
    TRK_RUN(x, linear, keys, tokens->with_positions, layer, plain);
    if (tokens->n_memories)
        TRK_RUN(x, rope, rows_of(keys, 0, tokens->n_memories * tokens->n), table, tokens->n);
}

void trk_attend_tokens(trk_exec *x, trk_mat out, trk_mat q, trk_mat keys, const trk_tokens *tokens, float scale)
{
    TRK_RUN(x, attention, out, q, keys, tokens->values, 1, scale);
}
