/* SPDX-License-Identifier: Apache-2.0
 * The token operators of the CUDA backend. gather_tokens sends a table of addresses to the device and makes the keys'
 * input (memory + position) in one launch; as values, memories are read where they lie in the bank. Since kernels find
 * them by the table, their arguments are the same from frame to frame. Memories in a storage that is not read in place
 * take the way of tokens.c. */
#include "attention_f32.cuh"
#include "attention_mma.cuh"
#include "heap.h"
#include "stored.h"
#include "tokens.h"

namespace
{

/* In WORKSPACE_TOKENS: places of the memories, then of the pointers. */
struct token_place {
    void *data;
    const float *position; /* of a memory */
    int64_t is_bf16;
};

struct token_table {
    const token_place *places; /* on the device */
    int n_memories, n, n_pointers, split, width;

    __device__ __forceinline__ int rotated() const
    {
        return n_memories * n;
    }
    /* Row r of all tokens as it is stored. */
    __device__ __forceinline__ element_row row(int r) const
    {
        const int memory = r / n, pointer = (r - n_memories * n) / split;
        const token_place place = places[memory < n_memories ? memory : n_memories + pointer];
        const int inside = memory < n_memories ? r % n : (r - n_memories * n) % split;
        return element_row{static_cast<char *>(place.data) + (int64_t)inside * width * (place.is_bf16 ? 2 : 4),
                           (int)place.is_bf16};
    }
};

int reads_in_place(const trk_tokens *tokens)
{
    for (int i = 0; i < tokens->n_memories; i++)
        if (!trk_stored_is_mat(tokens->memories[i].storage))
            return 0;
    return 1;
}

size_t table_bytes(const trk_tokens *tokens)
{
    return (size_t)(tokens->n_memories + tokens->n_pointers) * sizeof(token_place);
}

/* data NULL without memory */
token_table table_of(trk_exec *x, const trk_tokens *tokens)
{
    const void *places = workspace_get(x, WORKSPACE_TOKENS, table_bytes(tokens) + 1);
    return token_table{static_cast<const token_place *>(places), tokens->n_memories, tokens->n, tokens->n_pointers,
                       tokens->split, tokens->width};
}

void send_table(trk_exec *x, const trk_tokens *tokens, const token_table &table)
{
    token_place *places =
        static_cast<token_place *>(trk_heap_zeroed(TRK_MEM_SCRATCH, "places of tokens", 1, table_bytes(tokens) + 1));
    if (!places) {
        trk_exec_fail(x, TRK_FAIL(TRK_E_MEMORY, "gather_tokens: no memory for %zu bytes", table_bytes(tokens)));
        return;
    }
    for (int i = 0; i < tokens->n_memories; i++) {
        const trk_token_source *m = &tokens->memories[i];
        places[i] = {const_cast<void *>(m->memory), m->position, m->storage == TRK_STORE_BF16};
    }
    for (int i = 0; i < tokens->n_pointers; i++)
        places[tokens->n_memories + i] = {const_cast<float *>(tokens->pointers[i]), NULL, 0};
    upload_cuda(x, const_cast<token_place *>(table.places), places, table_bytes(tokens), 1, 0);
    trk_heap_release(places);
}

/* with_positions [rows, width] = token + position, one element a thread */
template <class O>
__global__ void add_positions(const matrix<O> with_positions, const matrix<const float> pointer_positions,
                              const token_table table)
{
    const int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= (int64_t)with_positions.rows * table.width)
        return;
    const int r = (int)(i / table.width), c = (int)(i % table.width);
    const float position = r < table.rotated()
                               ? table.places[r / table.n].position[(int64_t)(r % table.n) * table.width + c]
                               : pointer_positions.get(r - table.rotated(), c);
    with_positions.put(r, c, element_of(table.row(r), c) + position);
}

/* Values of one head that lie all over the bank. */
struct token_source {
    element_rows q, keys, out;
    token_table table;
    int n_queries;

    struct place {
    };

    __device__ __forceinline__ place at(int) const
    {
        return place{};
    }
    __device__ __forceinline__ int queries(place) const
    {
        return n_queries;
    }
    __device__ __forceinline__ static constexpr bool pooled()
    {
        return false;
    }
    __device__ __forceinline__ element_row query(place, int i, int) const
    {
        return q.row(i, 0);
    }
    __device__ __forceinline__ element_row key(place, int j) const
    {
        return keys.row(j, 0);
    }
    __device__ __forceinline__ element_row value(place, int j) const
    {
        return table.row(j);
    }
    __device__ __forceinline__ element_row result(place, int i) const
    {
        return out.row(i, 0);
    }
};

void run_bf16(trk_exec *x, const token_source &source, const attention_shape &shape)
{
    if (shape.dk <= 64 && shape.dv <= 64)
        run_mma<64, 64>(x, source, shape);
    else if (shape.dk <= 128 && shape.dv <= 128)
        run_mma<128, 128>(x, source, shape);
    else if (shape.dk <= 256 && shape.dv <= 64)
        run_mma<256, 64>(x, source, shape);
    else
        run_f32(x, source, shape);
}

} // namespace

extern "C" void gather_tokens_cuda(trk_exec *x, const trk_tokens *tokens)
{
    const int rows = trk_tokens_rows(tokens);
    TRK_EXPECT(x, "gather_tokens", tokens->with_positions.rows == rows && tokens->values.rows == rows);
    TRK_EXPECT(x, "gather_tokens", tokens->pointer_positions.rows == tokens->n_pointers * tokens->split);
    if (!reads_in_place(tokens)) {
        trk_gather_tokens(x, tokens);
        return;
    }
    const token_table table = table_of(x, tokens);
    if (!table.places || x->planning || rows == 0)
        return;
    send_table(x, tokens, table);
    by_type(tokens->with_positions.dtype, [&](auto o) {
        TRK_LAUNCH(x, (add_positions<decltype(o)>), blocks_for((int64_t)rows * tokens->width, 256), 256, 0,
                   matrix_of<decltype(o)>(tokens->with_positions), matrix_of<const float>(tokens->pointer_positions),
                   table);
    });
}

extern "C" void token_keys_cuda(trk_exec *x, trk_mat keys, const trk_tokens *tokens, const trk_linear *layer,
                                const float *table)
{
    trk_token_keys(x, keys, tokens, layer, table);
}

extern "C" void attend_tokens_cuda(trk_exec *x, trk_mat out, trk_mat q, trk_mat keys, const trk_tokens *tokens,
                                   float scale)
{
    TRK_EXPECT(x, "attend_tokens", q.cols == keys.cols && out.rows == q.rows && out.cols == tokens->width);
    TRK_EXPECT(x, "attend_tokens", keys.rows == trk_tokens_rows(tokens) && keys.rows > 0 && q.cols > 0);
    if (!reads_in_place(tokens)) {
        trk_attend_tokens(x, out, q, keys, tokens, scale);
        return;
    }
    const token_table table = table_of(x, tokens);
    if (q.rows < 1 || !table.places)
        return;
    const attention_shape shape = {1, q.rows, keys.rows, q.cols, tokens->width, scale};
    const token_source source = {element_rows_of(q), element_rows_of(keys), element_rows_of(out), table, q.rows};
    if (x->activation == TRK_BF16)
        run_bf16(x, source, shape);
    else
        run_f32(x, source, shape);
}
