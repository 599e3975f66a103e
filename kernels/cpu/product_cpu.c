/* SPDX-License-Identifier: Apache-2.0
 * linear, conv2d and matmul_nt of the CPU backend: brings operands into the types and layouts the products take (see
 * cpu_layer_call) by way of the workspace. In the usual case there is nothing to bring. */
#include <string.h>

#include "backend_private.h"
#include "bf16.h"
#include "cpu.h"
#include "expect.h"
#include "layer.h"
#include "workspace.h"

/* A dense matrix of the given form in a workspace slot; data NULL (and the exec failed) without memory. */
static trk_mat workspace_mat(trk_exec *x, int slot, trk_dtype dtype, int rows, int cols)
{
    trk_mat m = {.dtype = dtype, .rows = rows, .cols = cols, .stride = cols};
    m.data = trk_workspace_get(x, slot, (size_t)rows * (size_t)cols * trk_dtype_bytes(dtype));
    return m;
}

static int is_ready(trk_mat m, trk_dtype dtype)
{
    return m.dtype == dtype && m.stride == m.cols;
}

/* Runs a prepared layer on any operands. Rows have to be dense: oneDNN 2.6 takes others only on a slow path whose
 * rounding depends on the number of threads. */
static void run_layer(trk_exec *x, struct cpu_layer *layer, cpu_layer_call call)
{
    const trk_mat in = call.in, out = call.out;
    const int accumulate = call.epilogue.accumulate;
    if (!in.rows || !out.rows)
        return;
    if (!is_ready(in, x->activation)) {
        call.in = workspace_mat(x, WORKSPACE_INPUT, x->activation, in.rows, in.cols);
        if (!call.in.data)
            return;
        trk_convert_cpu(x, call.in, in);
    }
    const trk_dtype out_dtype = x->activation == TRK_BF16 ? out.dtype : TRK_F32; /* bf16 products write either */
    const int staged = !is_ready(out, out_dtype) || (accumulate && call.epilogue.act == TRK_ACT_RELU);
    if (staged) {
        call.out = workspace_mat(x, WORKSPACE_OUTPUT, out_dtype, out.rows, out.cols);
        if (!call.out.data)
            return;
        call.epilogue.accumulate = 0;
    }
    trk_cpu_layer_run(x, layer, &call);
    if (!staged || x->status < 0)
        return;
    if (accumulate)
        trk_add_cpu(x, out, out, call.out);
    else
        trk_convert_cpu(x, out, call.out);
}

void trk_linear_cpu(trk_exec *x, trk_mat out, trk_mat in, const trk_linear *layer, trk_epilogue epilogue)
{
    TRK_EXPECT(x, "linear", layer->prepared);
    TRK_EXPECT(x, "linear", in.cols == layer->n_in && out.cols == layer->n_out && out.rows == in.rows);
    TRK_EXPECT(x, "linear", !epilogue.accumulate || out.dtype == TRK_F32);
    run_layer(x, layer->prepared, (cpu_layer_call){.out = out, .in = in, .epilogue = epilogue});
}

void trk_conv2d_cpu(trk_exec *x, trk_mat out, trk_mat in, int in_h, int in_w, const trk_conv *layer, trk_act act)
{
    TRK_EXPECT(x, "conv2d", layer->prepared);
    TRK_EXPECT(x, "conv2d", in.rows == in_h * in_w && in.cols == layer->in_channels && out.cols == layer->out_channels);
    const int out_h = (in_h + 2 * layer->padding - layer->kernel) / layer->stride + 1;
    const int out_w = (in_w + 2 * layer->padding - layer->kernel) / layer->stride + 1;
    TRK_EXPECT(x, "conv2d", out.rows == out_h * out_w);
    run_layer(x, layer->prepared,
              (cpu_layer_call){.out = out, .in = in, .in_h = in_h, .in_w = in_w, .epilogue = {.act = act}});
}

/* a [n, k] as f32 rows padded with zeros to whole vectors, rounded as the backend's products are */
static float *pad_factors(trk_exec *x, trk_mat a, int64_t stride)
{
    float *padded = trk_workspace_get(x, WORKSPACE_INPUT, (size_t)a.rows * (size_t)stride * sizeof *padded);
    if (!padded || x->planning)
        return padded;
    for (int r = 0; r < a.rows; r++) {
        float *row = padded + r * stride;
        memset(row, 0, (size_t)stride * sizeof *row);
        for (int c = 0; c < a.cols; c++) {
            const int64_t at = r * a.stride + c;
            row[c] =
                a.dtype == TRK_BF16 ? trk_bf16_to_f32(((const uint16_t *)a.data)[at]) : ((const float *)a.data)[at];
            if (x->activation == TRK_BF16)
                row[c] = trk_bf16_to_f32(trk_f32_to_bf16(row[c]));
        }
    }
    return padded;
}

void trk_matmul_nt_cpu(trk_exec *x, trk_mat out, trk_mat a, trk_mat b)
{
    TRK_EXPECT(x, "matmul_nt", a.cols == b.cols && out.rows == a.rows && out.cols == b.rows && out.dtype == TRK_F32);
    if (!out.rows || !out.cols)
        return;
    cpu_matmul_args args = {.out = out,
                            .b = b,
                            .a_stride = (a.cols + CPU_MATMUL_BLOCK - 1) / CPU_MATMUL_BLOCK * CPU_MATMUL_BLOCK,
                            .k = a.cols,
                            .round_to_bf16 = x->activation == TRK_BF16 && b.dtype == TRK_F32};
    args.a = pad_factors(x, a, args.a_stride);
    if (args.a)
        trk_cpu_for(x, x->backend->kernels->matmul_nt, &args, (b.rows + CPU_MATMUL_BLOCK - 1) / CPU_MATMUL_BLOCK,
                    (int64_t)CPU_MATMUL_BLOCK * a.cols * (1 + a.rows / 4));
}
