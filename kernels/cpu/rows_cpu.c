/* SPDX-License-Identifier: Apache-2.0
 * Operators that are one vectorised kernel over rows or map rows. */
#include "backend_private.h"
#include "cpu.h"
#include "expect.h"
#include "stored.h"

#define ACT_WORK 4 /* an exponential in elements moved */

void trk_layernorm_cpu(trk_exec *x, trk_mat out, trk_mat in, const float *gamma, const float *beta, float eps,
                       trk_act act)
{
    TRK_EXPECT(x, "layernorm", in.rows == out.rows && in.cols == out.cols && in.cols > 0);
    const cpu_layernorm_args args = {.out = out, .in = in, .gamma = gamma, .beta = beta, .eps = eps, .act = act};
    trk_cpu_for(x, x->backend->kernels->layernorm, &args, in.rows,
                (int64_t)in.cols * (act == TRK_ACT_GELU ? ACT_WORK : 2));
}

void trk_add_cpu(trk_exec *x, trk_mat out, trk_mat a, trk_mat b)
{
    TRK_EXPECT(x, "add", out.rows == a.rows && out.cols == a.cols && b.cols == a.cols && (b.rows > 0 || !a.rows));
    const cpu_add_args args = {.out = out, .a = a, .b = b};
    trk_cpu_for(x, x->backend->kernels->add, &args, out.rows, out.cols);
}

void trk_convert_cpu(trk_exec *x, trk_mat out, trk_mat in)
{
    TRK_EXPECT(x, "convert", out.cols == in.cols && (in.rows > 0 || !out.rows));
    const cpu_convert_args args = {.out = out, .in = in};
    trk_cpu_for(x, x->backend->kernels->convert, &args, out.rows, out.cols);
}

void trk_mask_to_memory_cpu(trk_exec *x, trk_mat out, trk_mat in, int binarize, float scale, float bias)
{
    TRK_EXPECT(x, "mask_to_memory", out.rows == in.rows && out.cols == in.cols);
    const cpu_mask_to_memory_args args = {.out = out, .in = in, .binarize = binarize, .scale = scale, .bias = bias};
    trk_cpu_for(x, x->backend->kernels->mask_to_memory, &args, in.rows, (int64_t)in.cols * (binarize ? 1 : ACT_WORK));
}

/* For what is stored as f16 or q8. */
static void run_blocks(trk_exec *x, cpu_kernel *kernel, trk_mat mat, const void *slot, trk_storage storage)
{
    const cpu_storage_args args = {.mat = mat, .slot = (void *)(uintptr_t)slot, .storage = storage};
    trk_cpu_for(x, kernel, &args, (int64_t)mat.rows * mat.cols / TRK_Q8_BLOCK, 2 * TRK_Q8_BLOCK);
}

void trk_store_cpu(trk_exec *x, void *slot, trk_storage storage, trk_mat in)
{
    TRK_EXPECT(x, "store", trk_stored_fits(storage, in));
    if (trk_stored_is_mat(storage))
        trk_convert_cpu(x, trk_stored_mat(slot, storage, in.rows, in.cols), in);
    else
        run_blocks(x, x->backend->kernels->store, in, slot, storage);
}

void trk_fetch_cpu(trk_exec *x, trk_mat out, const void *slot, trk_storage storage)
{
    TRK_EXPECT(x, "fetch", trk_stored_fits(storage, out));
    if (trk_stored_is_mat(storage))
        trk_convert_cpu(x, out, trk_stored_mat(slot, storage, out.rows, out.cols));
    else
        run_blocks(x, x->backend->kernels->fetch, out, slot, storage);
}

void trk_pack_mask_cpu(trk_exec *x, int8_t *out, trk_mat in)
{
    const cpu_storage_args args = {.mat = in, .slot = out};
    trk_cpu_for(x, x->backend->kernels->pack_mask, &args, in.rows, in.cols);
}

void trk_unpack_mask_cpu(trk_exec *x, trk_mat out, const int8_t *in)
{
    const cpu_storage_args args = {.mat = out, .slot = (void *)(uintptr_t)in};
    trk_cpu_for(x, x->backend->kernels->unpack_mask, &args, out.rows, out.cols);
}

void trk_if_absent_cpu(trk_exec *x, trk_mat io, const float *row, const float *score, float present_above, int replace)
{
    if (score[0] > present_above) /* as select_mask: NaN counts as absent */
        return;
    const trk_mat one = trk_wrap_mat(row, 1, io.cols);
    if (replace)
        trk_convert_cpu(x, io, one);
    else
        trk_add_cpu(x, io, io, one);
}

void trk_maxpool2x2_cpu(trk_exec *x, trk_mat out, trk_mat in, int h, int w)
{
    TRK_EXPECT(x, "maxpool2x2", h % 2 == 0 && w % 2 == 0 && in.rows == h * w && out.rows == h * w / 4);
    TRK_EXPECT(x, "maxpool2x2", in.cols == out.cols);
    const cpu_map_args args = {.out = out, .in = in, .w = w};
    trk_cpu_for(x, x->backend->kernels->maxpool2x2, &args, h / 2, (int64_t)2 * w * in.cols);
}

void trk_add_upsampled2x_cpu(trk_exec *x, trk_mat out, trk_mat in, int h, int w)
{
    TRK_EXPECT(x, "add_upsampled2x", in.rows == h * w && out.rows == 4 * h * w && in.cols == out.cols);
    const cpu_map_args args = {.out = out, .in = in, .w = w};
    trk_cpu_for(x, x->backend->kernels->add_upsampled2x, &args, h, (int64_t)4 * w * in.cols);
}

void trk_depth_to_space2x_cpu(trk_exec *x, trk_mat out, trk_mat in, int h, int w, trk_mat addend, trk_act act)
{
    TRK_EXPECT(x, "depth_to_space2x", in.rows == h * w && out.rows == 4 * h * w && in.cols == 4 * out.cols);
    TRK_EXPECT(x, "depth_to_space2x", !addend.data || (addend.rows > 0 && addend.cols == out.cols));
    const cpu_map_args args = {.out = out, .in = in, .addend = addend, .w = w, .act = act};
    trk_cpu_for(x, x->backend->kernels->depth_to_space2x, &args, h,
                (int64_t)w * in.cols * (act == TRK_ACT_GELU ? ACT_WORK : 1));
}
