/* SPDX-License-Identifier: Apache-2.0
 * What all stages use. */
#include "network.h"

#include "heap.h"
#include "log.h"
#include "machine.h"

/* Of a feed-forward network: on the host its hidden rows stay in the last-level cache; on a GPU, which wants few
 * launches of many rows, they are only kept from taking memory without bound. */
#define STRIP_ROWS       2048
#define STRIP_BYTES_MOST ((size_t)64 << 20)

trk_status trk_network_init(trk_network *net, const trk_network_model *model, trk_allocator *allocator,
                            trk_arena *frame, trk_arena *scratch)
{
    *net = (trk_network){.model = model, .frame = frame, .scratch = scratch};
    return trk_exec_init(&net->exec, model->backend, allocator);
}

void trk_network_release(trk_network *net)
{
    trk_exec_release(&net->exec);
}

trk_status trk_network_status(trk_network *net)
{
    trk_status status = net->exec.status;
    net->exec.status = TRK_OK;
    return status;
}

trk_status trk_network_finish(trk_network *net)
{
    trk_exec_finish(&net->exec);
    return trk_network_status(net);
}

float *trk_network_host_floats(trk_network *net, size_t n, const char *owner)
{
    if (net->exec.planning || net->exec.status < 0)
        return NULL;
    float *values = trk_heap_allocate(TRK_MEM_SCRATCH, owner, n * sizeof *values);
    if (!values)
        trk_exec_fail(&net->exec, TRK_FAIL(TRK_E_MEMORY, "no memory for %zu bytes of %s", n * sizeof *values, owner));
    return values;
}

void trk_set_mat(trk_network *net, trk_mat mat, const float *values)
{
    const size_t bytes = (size_t)mat.rows * (size_t)mat.cols * sizeof *values;
    TRK_RUN(&net->exec, upload, mat.data, values, bytes, 1, 0);
}

static void run_in_rounds(trk_network *net, void (*run)(trk_network *net, void *context), void *context)
{
    const trk_arena_mark frame = trk_arena_here(net->frame), scratch = trk_arena_here(net->scratch);
    int done = 0;
    for (int round = 0; !done && net->exec.status >= 0; round++) {
        if (round) {
            trk_arena_rewind(net->frame, frame);
            trk_arena_rewind(net->scratch, scratch);
        }
        trk_exec_stage_begin(&net->exec);
        run(net, context);
        done = trk_exec_stage_end(&net->exec);
    }
}

/* Milliseconds, after everything that was told to the backend. */
static double finished_at(trk_network *net)
{
    trk_exec_finish(&net->exec);
    return 1e3 * trk_seconds();
}

void trk_run_stage(trk_network *net, const char *name, void (*run)(trk_network *net, void *context), void *context)
{
    const int timed = !net->exec.planning && trk_log_wants(TRK_LOG_DEBUG);
    const double start = timed ? finished_at(net) : 0;
    if (net->trace) /* somebody looks at intermediate results */
        run(net, context);
    else
        run_in_rounds(net, run, context);
    if (timed)
        trk_log(TRK_LOG_DEBUG, "stage: %s %.3f ms", name, finished_at(net) - start);
}

trk_mat trk_new_mat(trk_network *net, trk_arena *arena, trk_dtype dtype, int rows, int cols)
{
    trk_mat mat = {NULL, dtype, rows, cols, cols};
    if (net->exec.status < 0)
        return mat;
    size_t bytes = (size_t)rows * (size_t)cols * trk_dtype_bytes(dtype);
    mat.data = trk_arena_allocate(arena, bytes);
    if (!mat.data)
        trk_exec_fail(&net->exec, TRK_FAIL(TRK_E_MEMORY, "no memory for %zu bytes of %s", bytes,
                                           trk_mem_class_name(arena->mem_class)));
    return mat;
}

void trk_trace(trk_network *net, const char *name, trk_mat mat)
{
    if (net->trace && net->exec.status >= 0 && !net->exec.planning)
        net->trace(net->trace_user, name, mat);
}

void trk_run_mlp(trk_network *net, trk_mat out, trk_mat in, const trk_mlp *mlp, trk_act last)
{
    trk_exec *x = &net->exec;
    trk_arena_mark mark = trk_arena_here(net->scratch);
    trk_mat h0 = trk_new_mat(net, net->scratch, TRK_F32, in.rows, mlp->layers[0].n_out);
    trk_mat h1 = trk_new_mat(net, net->scratch, TRK_F32, in.rows, mlp->layers[1].n_out);
    TRK_RUN(x, linear, h0, in, &mlp->layers[0], (trk_epilogue){TRK_ACT_RELU, 0});
    TRK_RUN(x, linear, h1, h0, &mlp->layers[1], (trk_epilogue){TRK_ACT_RELU, 0});
    TRK_RUN(x, linear, out, h1, &mlp->layers[2], (trk_epilogue){last, 0});
    trk_arena_rewind(net->scratch, mark);
}

static int strip_rows(const trk_exec *x, int n_hidden)
{
    const size_t row = (size_t)n_hidden * trk_dtype_bytes(x->activation);
    const size_t most = trk_backend_on_host(x->backend) ? STRIP_ROWS : STRIP_BYTES_MOST / row;
    return most < STRIP_ROWS ? STRIP_ROWS : (int)most / STRIP_ROWS * STRIP_ROWS;
}

void trk_run_feed_forward(trk_network *net, trk_mat x, const trk_norm *norm, float eps, const trk_linear *expand,
                          trk_act act, const trk_linear *project)
{
    trk_exec *e = &net->exec;
    trk_arena_mark mark = trk_arena_here(net->scratch);
    const int most = strip_rows(e, expand->n_out), strip = x.rows < most ? x.rows : most;
    trk_mat y = trk_new_mat(net, net->scratch, e->activation, strip, x.cols);
    trk_mat hidden = trk_new_mat(net, net->scratch, e->activation, strip, expand->n_out);
    for (int first = 0; first < x.rows; first += strip) {
        int n = x.rows - first < strip ? x.rows - first : strip;
        trk_mat part = trk_rows(x, first, n), yp = trk_rows(y, 0, n), hp = trk_rows(hidden, 0, n);
        TRK_RUN(e, layernorm, yp, part, norm->gamma, norm->beta, eps, TRK_ACT_NONE);
        TRK_RUN(e, linear, hp, yp, expand, (trk_epilogue){act, 0});
        TRK_RUN(e, linear, part, hp, project, (trk_epilogue){TRK_ACT_NONE, 1});
    }
    trk_arena_rewind(net->scratch, mark);
}
