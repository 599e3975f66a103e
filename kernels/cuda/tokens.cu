/* SPDX-License-Identifier: Apache-2.0
 * The token operators of the CUDA backend. gather_tokens sends a table of addresses to the device and makes the keys'
 * input (memory + position) in a launch per object; as values, memories are read where they lie in the bank. Since
 * kernels find them by the table, their arguments are the same from frame to frame. Memories in a storage that is not
 * read in place take the way of tokens.c. */
#include "attention_f32.cuh"
#include "attention_mma.cuh"
#include "attention_wgmma.cuh"
#include "heap.h"
#include "stored.h"
#include "tokens.h"

namespace
{

/* In WORKSPACE_TOKENS: of each object the places of its memories, then of its pointers; then the objects. */
struct token_place {
    void *data;
    const float *position; /* of a memory */
    int64_t is_bf16;
};

struct token_object {
    int first_row, n_rows; /* among all tokens */
    int first_place, n_memories;
};

struct token_table {
    const token_place *places; /* on the device, as the objects */
    const token_object *objects;
    int n, split, width, n_objects;

    /* Row r of an object's tokens as it is stored. */
    __device__ __forceinline__ element_row row(const token_object &o, int r) const
    {
        const int memory = r / n, rest = r - o.n_memories * n;
        const int number = memory < o.n_memories ? memory : o.n_memories + rest / split;
        const int inside = memory < o.n_memories ? r % n : rest % split;
        const token_place place = places[o.first_place + number];
        return element_row{static_cast<char *>(place.data) + (int64_t)inside * width * (place.is_bf16 ? 2 : 4),
                           (int)place.is_bf16};
    }
};

static_assert(sizeof(token_table) == 2 * 8 + 4 * 4, "no padding");

int reads_in_place(const trk_tokens *tokens)
{
    for (int i = 0; i < tokens->n_memories; i++)
        if (!trk_stored_is_mat(tokens->memories[i].storage))
            return 0;
    return 1;
}

size_t places_bytes(const trk_tokens *tokens)
{
    return (size_t)(tokens->n_memories + tokens->n_pointers) * sizeof(token_place);
}

size_t table_bytes(const trk_tokens *tokens)
{
    return places_bytes(tokens) + (size_t)trk_tokens_objects(tokens) * sizeof(token_object);
}

/* places NULL without memory */
token_table table_of(trk_exec *x, const trk_tokens *tokens)
{
    const char *room = static_cast<const char *>(trk_workspace_get(x, WORKSPACE_TOKENS, table_bytes(tokens)));
    return token_table{reinterpret_cast<const token_place *>(room),
                       reinterpret_cast<const token_object *>(room ? room + places_bytes(tokens) : NULL), tokens->n,
                       tokens->split, tokens->width, trk_tokens_objects(tokens)};
}

void fill_table(const trk_tokens *tokens, token_place *places, token_object *objects)
{
    int memory = 0, pointer = 0, row = 0;
    for (int object = 0; object < trk_tokens_objects(tokens); object++) {
        const trk_token_counts counts = trk_tokens_of(tokens, object);
        const int rows = trk_tokens_rows_of(tokens, object);
        objects[object] = {row, rows, memory + pointer, counts.memories};
        row += rows;
        for (int i = 0; i < counts.memories; i++) {
            const trk_token_source *m = &tokens->memories[memory++];
            *places++ = {const_cast<void *>(m->memory), m->position, m->storage == TRK_STORE_BF16};
        }
        for (int i = 0; i < counts.pointers; i++)
            *places++ = {const_cast<float *>(tokens->pointers[pointer++]), NULL, 0};
    }
}

void send_table(trk_exec *x, const trk_tokens *tokens, const token_table &table)
{
    const size_t bytes = table_bytes(tokens);
    char *values = static_cast<char *>(trk_heap_zeroed(TRK_MEM_SCRATCH, "places of tokens", 1, bytes));
    if (!values) {
        trk_exec_fail(x, TRK_FAIL(TRK_E_MEMORY, "gather_tokens: no memory for %zu bytes", bytes));
        return;
    }
    fill_table(tokens, reinterpret_cast<token_place *>(values),
               reinterpret_cast<token_object *>(values + places_bytes(tokens)));
    trk_upload_cuda(x, const_cast<token_place *>(table.places), values, bytes, 1, 0);
    trk_heap_release(values);
}

/* with_positions [rows, width] = token + position, of one object, one element a thread */
template <class O>
__global__ void add_positions(const matrix<O> with_positions, const matrix<const float> pointer_positions,
                              const token_table table, int object)
{
    const int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= (int64_t)with_positions.rows * table.width)
        return;
    const token_object o = table.objects[object];
    const int r = (int)(i / table.width), c = (int)(i % table.width), rotated = o.n_memories * table.n;
    const float position =
        r < rotated ? table.places[o.first_place + r / table.n].position[(int64_t)(r % table.n) * table.width + c]
                    : pointer_positions.get(r - rotated, c);
    with_positions.put(r, c, element_of(table.row(o, r), c) + position);
}

/* Values of one head that lie all over the bank; an instance is an object. */
struct token_source {
    element_rows q, key_rows, out;
    token_table table;
    int n_queries;
    int next_query; /* rows from one object's queries to the next one's: n_queries, or 0 where they are shared */

    struct place {
        token_object object;
        int64_t query, result; /* first rows */
    };

    __device__ __forceinline__ place at(int instance) const
    {
        return place{table.objects[instance], (int64_t)instance * next_query, (int64_t)instance * n_queries};
    }
    __device__ __forceinline__ int queries(const place &) const
    {
        return n_queries;
    }
    __device__ __forceinline__ int keys(const place &p) const
    {
        return p.object.n_rows;
    }
    __device__ __forceinline__ static constexpr bool pooled()
    {
        return false;
    }
    __device__ __forceinline__ element_row query(const place &p, int i, int) const
    {
        return q.row(p.query + i, 0);
    }
    __device__ __forceinline__ element_row key(const place &p, int j) const
    {
        return key_rows.row((int64_t)p.object.first_row + j, 0);
    }
    __device__ __forceinline__ element_row value(const place &p, int j) const
    {
        return table.row(p.object, j);
    }
    __device__ __forceinline__ element_row result(const place &p, int i) const
    {
        return out.row(p.result + i, 0);
    }
};

static_assert(sizeof(token_source) == 3 * sizeof(element_rows) + sizeof(token_table) + 2 * 4, "no padding");

void run_bf16(trk_exec *x, const token_source &source, const attention_shape &shape)
{
    if (run_wgmma<64, false>(x, source, shape, wgmma_reads(source.q) && wgmma_reads(source.key_rows)))
        return;
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

extern "C" void trk_gather_tokens_cuda(trk_exec *x, const trk_tokens *tokens)
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
    for (int object = 0, row = 0, pointer = 0; object < table.n_objects; object++) {
        const int n = trk_tokens_rows_of(tokens, object), split = tokens->split;
        const int n_pointers = trk_tokens_of(tokens, object).pointers;
        const trk_mat to = trk_rows(tokens->with_positions, row, n);
        const trk_mat positions = trk_rows(tokens->pointer_positions, pointer * split, n_pointers * split);
        by_type(to.dtype, [&](auto o) {
            TRK_LAUNCH(x, (add_positions<decltype(o)>), blocks_for((int64_t)n * tokens->width, 256), 256, 0,
                       matrix_of<decltype(o)>(to), matrix_of<const float>(positions), table, object);
        });
        row += n;
        pointer += n_pointers;
    }
}

extern "C" void trk_token_keys_cuda(trk_exec *x, trk_mat keys, const trk_tokens *tokens, const trk_linear *layer,
                                    const float *table)
{
    trk_token_keys(x, keys, tokens, layer, table);
}

extern "C" void trk_attend_tokens_cuda(trk_exec *x, trk_mat out, trk_mat q, trk_mat keys, const trk_tokens *tokens,
                                       float scale)
{
    const int n_objects = trk_tokens_objects(tokens), n_queries = out.rows / n_objects;
    int n_keys = 0, least = keys.rows;
    for (int i = 0; i < n_objects; i++) {
        const int n = trk_tokens_rows_of(tokens, i);
        n_keys = n > n_keys ? n : n_keys;
        least = n < least ? n : least;
    }
    TRK_EXPECT(x, "attend_tokens", q.cols == keys.cols && out.cols == tokens->width && least > 0);
    TRK_EXPECT(x, "attend_tokens", out.rows == n_queries * n_objects && (q.rows == out.rows || q.rows == n_queries));
    TRK_EXPECT(x, "attend_tokens", keys.rows == trk_tokens_rows(tokens) && keys.rows > 0 && q.cols > 0);
    if (!reads_in_place(tokens)) {
        trk_attend_tokens(x, out, q, keys, tokens, scale);
        return;
    }
    const token_table table = table_of(x, tokens);
    if (n_queries < 1 || !table.places)
        return;
    const attention_shape shape = {n_objects, n_queries, n_keys, q.cols, tokens->width, scale};
    const token_source source = {element_rows_of(q), element_rows_of(keys), element_rows_of(out), table,
                                 n_queries, q.rows == out.rows ? n_queries : 0};
    if (x->activation == TRK_BF16)
        run_bf16(x, source, shape);
    else
        run_f32(x, source, shape);
}
