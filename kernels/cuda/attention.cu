/* SPDX-License-Identifier: Apache-2.0
 * attention of the CUDA backend: rows of plain matrices, an instance a head of a part; see attention_core.cuh. */
#include "attention_f32.cuh"
#include "attention_mma.cuh"
#include "attention_wgmma.cuh"

namespace
{

struct matrix_source {
    element_rows q, k, v, out;
    int64_t dk, dv;
    int n_queries, n_keys; /* of a part */
    int64_t heads;

    struct place {
        int head, query, key; /* rows: the first of the part */
    };

    __device__ __forceinline__ place at(int instance) const
    {
        const int part = instance / (int)heads;
        return place{instance - part * (int)heads, part * n_queries, part * n_keys};
    }
    __device__ __forceinline__ int queries(place) const
    {
        return n_queries;
    }
    __device__ __forceinline__ int keys(place) const
    {
        return n_keys;
    }
    __device__ __forceinline__ static constexpr bool pooled()
    {
        return false;
    }
    __device__ __forceinline__ element_row query(place p, int i, int) const
    {
        return q.row(p.query + i, p.head * dk);
    }
    __device__ __forceinline__ element_row key(place p, int j) const
    {
        return k.row(p.key + j, p.head * dk);
    }
    __device__ __forceinline__ element_row value(place p, int j) const
    {
        return v.row(p.key + j, p.head * dv);
    }
    __device__ __forceinline__ element_row result(place p, int i) const
    {
        return out.row(p.query + i, p.head * dv);
    }
};

static_assert(sizeof(matrix_source) == 4 * sizeof(element_rows) + 4 * 8, "no padding");

/* Widths of the models have tiles of their own: the decoder's heads, memory attention's. */
void run_bf16(trk_exec *x, const matrix_source &source, const attention_shape &shape)
{
    const int dk = shape.dk, dv = shape.dv, wider = dk > dv ? dk : dv;
    const int aligned = wgmma_reads(source.q) && wgmma_reads(source.k) && wgmma_reads(source.v);
    if (run_wgmma<64, true>(x, source, shape, aligned) || run_wgmma<256, true>(x, source, shape, aligned))
        return;
    if (wider <= 16)
        run_mma<16, 16>(x, source, shape);
    else if (wider <= 32)
        run_mma<32, 32>(x, source, shape);
    else if (wider <= 64)
        run_mma<64, 64>(x, source, shape);
    else if (wider <= 128)
        run_mma<128, 128>(x, source, shape);
    else if (dk <= 256 && dv <= 64)
        run_mma<256, 64>(x, source, shape);
    else if (wider <= 256)
        run_mma<256, 256>(x, source, shape);
    else
        run_f32(x, source, shape);
}

} // namespace

extern "C" void trk_attention_cuda(trk_exec *x, trk_mat out, trk_mat q, trk_mat k, trk_mat v, int heads, int batch,
                                   float scale)
{
    TRK_EXPECT(x, "attention", heads > 0 && q.cols % heads == 0 && v.cols % heads == 0);
    TRK_EXPECT(x, "attention", q.cols == k.cols && v.cols == out.cols && q.rows == out.rows && k.rows == v.rows);
    TRK_EXPECT(x, "attention", k.rows > 0 && q.cols > 0 && v.cols > 0);
    TRK_EXPECT(x, "attention", batch > 0 && q.rows % batch == 0 && k.rows % batch == 0);
    if (q.rows < 1)
        return;
    const attention_shape shape = {batch * heads, q.rows / batch, k.rows / batch,
                                   q.cols / heads, v.cols / heads, scale};
    const matrix_source source = {element_rows_of(q), element_rows_of(k), element_rows_of(v), element_rows_of(out),
                                  shape.dk, shape.dv, shape.n_queries, shape.n_keys, heads};
    if (x->activation == TRK_BF16)
        run_bf16(x, source, shape);
    else
        run_f32(x, source, shape);
}
