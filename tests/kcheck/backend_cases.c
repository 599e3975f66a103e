/* SPDX-License-Identifier: Apache-2.0
 * Cases about the backend itself: what it refuses, what a failed exec does, one layer in two threads, stages that
 * recur, and the order of an exec's work and the host's transfers. */
#include <pthread.h>
#include <string.h>

#include "cuda/cuda.h"
#include "kcheck.h"

static trk_status create(trk_backend **out, kcheck *k, int kind, trk_dtype activation, int n_threads)
{
    const trk_backend_params params = {
        .kind = (trk_backend_kind)kind, .activation = activation, .n_threads = n_threads};
    return trk_backend_create(out, &params, kcheck_host_allocator(k));
}

static void check_refusals(kcheck *k)
{
    trk_backend *backend = NULL;
    trk_allocator *a = kcheck_allocator(k);
    if (!kcheck_case(k, FILL_UNIFORM, "-", "refusals"))
        return;
    kcheck_expect(k, create(&backend, k, 9, TRK_F32, 1) == TRK_E_ARGUMENT, "unknown kind refused");
    kcheck_expect(k, create(&backend, k, TRK_BACKEND_CPU, TRK_F16, 1) == TRK_E_ARGUMENT, "f16 refused");
    kcheck_expect(k, create(&backend, k, TRK_BACKEND_CPU, TRK_F32, -1) == TRK_E_ARGUMENT, "-1 threads refused");
    const trk_backend_params nowhere = {.kind = TRK_BACKEND_CUDA, .activation = TRK_F32, .device = 1 << 20};
    kcheck_expect(k, trk_backend_create(&backend, &nowhere, a) == TRK_E_UNSUPPORTED, "a GPU that is not there refused");
    kcheck_expect(k, !backend, "no backend left behind");
    const trk_status bf16 = create(&backend, k, TRK_BACKEND_CPU, TRK_BF16, 1);
    kcheck_expect(k, bf16 == (trk_backend_has_bf16(TRK_BACKEND_CPU) ? TRK_OK : TRK_E_UNSUPPORTED),
                  "bf16 as trk_backend_has_bf16 says");
    trk_backend_destroy(&backend);
    trk_backend_destroy(&backend);
    kcheck_expect(k, create(&backend, k, TRK_BACKEND_CPU, TRK_F32, 0) == TRK_OK && trk_backend_threads(backend) >= 1,
                  "0 threads means one per core");
    trk_backend_destroy(&backend);
    trk_linear linear = {.n_in = 3, .n_out = 0, .weight = kcheck_floats(k, 1, 0, 1)};
    kcheck_expect(k, trk_linear_prepare(&linear, kcheck_backend(k), a) == TRK_E_ARGUMENT && !linear.prepared,
                  "a layer without outputs refused");
    trk_conv conv = {
        .in_channels = 4, .out_channels = 8, .kernel = 3, .stride = 1, .groups = 2, .weight = linear.weight};
    kcheck_expect(k, trk_conv_prepare(&conv, kcheck_backend(k), a) == TRK_E_ARGUMENT && !conv.prepared,
                  "two groups refused");
    trk_linear_release(&linear, kcheck_backend(k), a);
    trk_conv_release(&conv, kcheck_backend(k), a);
}

/* The first failure stays, and operators after it leave their outputs alone. */
static void check_failed_exec(kcheck *k)
{
    trk_exec x;
    if (!kcheck_case(k, FILL_UNIFORM, "-", "failed exec"))
        return;
    const trk_linear *layer = kcheck_linear(k, 8, 4, 1);
    trk_mat in = kcheck_input(k, 3, 9, 0, TRK_F32), out = kcheck_uniform(k, 3, 4, TRK_F32, 7, 7), token = out;
    kcheck_expect(k, trk_exec_init(&x, kcheck_backend(k), kcheck_allocator(k)) == TRK_OK, "an exec");
    TRK_RUN(&x, linear, out, in, layer, (trk_epilogue){0});
    kcheck_expect(k, x.status == TRK_E_ARGUMENT, "a mismatch of shapes is recorded");
    kcheck_expect(k, strstr(trk_error_text(), "linear") != NULL, "the message names the operator");
    token.rows = 2;
    in.rows = 2;
    in.cols = 4;
    TRK_RUN(&x, convert, token, in);
    trk_exec_finish(&x);
    kcheck_expect(k, ((const float *)out.data)[0] == 7 && x.status == TRK_E_ARGUMENT, "a failed exec does nothing");
    trk_exec_release(&x);
    trk_exec_release(&x);
}

typedef struct seat {
    kcheck *k;
    const trk_linear *layer;
    trk_mat in, out;
    trk_status status;
} seat;

static void *run_seat(void *argument)
{
    seat *s = argument;
    trk_exec x;
    s->status = trk_exec_init(&x, kcheck_backend(s->k), kcheck_allocator(s->k));
    x.n_threads = 1;
    for (int i = 0; i < 200 && s->status == TRK_OK; i++) {
        trk_mat in = s->in, out = s->out;
        in.rows = out.rows = 1 + i % s->in.rows; /* new primitives and old ones in turn */
        TRK_RUN(&x, linear, out, in, s->layer, (trk_epilogue){.act = (trk_act)(i % 3)});
        s->status = x.status;
    }
    TRK_RUN(&x, linear, s->out, s->in, s->layer, (trk_epilogue){0});
    if (s->status == TRK_OK)
        s->status = trk_exec_finish(&x);
    trk_exec_release(&x);
    return NULL;
}

static void check_threads(kcheck *k)
{
    enum { SEATS = 4, ROWS = 24 };
    pthread_t threads[SEATS];
    seat seats[SEATS];
    if (!kcheck_case(k, FILL_UNIFORM, "-", "one layer, four threads"))
        return;
    const trk_linear *layer = kcheck_linear(k, 40, 24, 1);
    const trk_mat in = kcheck_input(k, ROWS, 40, 0, TRK_F32);
    for (int i = 0; i < SEATS; i++) {
        seats[i] = (seat){k, layer, in, kcheck_uniform(k, ROWS, 24, TRK_F32, 0, 0), TRK_OK};
        pthread_create(&threads[i], NULL, run_seat, &seats[i]);
    }
    for (int i = 0; i < SEATS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < SEATS; i++) {
        kcheck_expect(k, seats[i].status == TRK_OK, "no failure");
        kcheck_expect(k, memcmp(seats[i].out.data, seats[0].out.data, ROWS * 24 * sizeof(float)) == 0,
                      "the same result in every thread");
    }
}

/* ---- stages ---- */

#define STAGE_COLS 40

/* uploaded = from; out = in > 0 ? scale + 1 : 1; to = out. */
static void run_stage(trk_exec *x, trk_mat out, trk_mat uploaded, trk_mat in, float scale, const float *from, float *to)
{
    const size_t bytes = STAGE_COLS * sizeof(float);
    do {
        trk_exec_stage_begin(x);
        TRK_RUN(x, upload, uploaded.data, from, bytes, 1, (ptrdiff_t)bytes);
        TRK_RUN(x, mask_to_memory, out, in, 1, scale, 1);
        TRK_RUN(x, download, to, (ptrdiff_t)bytes, out.data, bytes, 1);
    } while (!trk_exec_stage_end(x));
}

/* A stage that comes again with another number, address or content gives what it would give the first time. */
static void check_stages(kcheck *k)
{
    static const struct {
        float scale;
        int out, to_spare; /* upload elsewhere: what was there before is used again */
    } rounds[] = {{2, 0, 0}, {2, 0, 0}, {2, 0, 0}, {3, 0, 0}, {3, 0, 0},
                  {2, 0, 0}, {2, 1, 0}, {2, 0, 1}, {3, 0, 0}, {5, 0, 0}};
    const int n_replays = 3; /* what comes the third time: rounds 2, 5 and 8 */
    float used[STAGE_COLS] = {0};
    trk_exec x;
    if (!kcheck_case(k, FILL_UNIFORM, "-", "stages"))
        return;
    const trk_mat in = kcheck_uniform(k, 1, STAGE_COLS, TRK_F32, 0, 0);
    const trk_mat spare = kcheck_uniform(k, 1, STAGE_COLS, TRK_F32, 0, 0);
    const trk_mat outs[] = {kcheck_uniform(k, 1, STAGE_COLS, TRK_F32, 0, 0),
                            kcheck_uniform(k, 1, STAGE_COLS, TRK_F32, 0, 0)};
    kcheck_expect(k, trk_exec_init(&x, kcheck_backend(k), kcheck_allocator(k)) == TRK_OK, "an exec");
    for (int i = 0; i < KCHECK_OF(rounds); i++) {
        float from[STAGE_COLS], to[STAGE_COLS] = {0};
        int n_wrong = 0;
        for (int c = 0; c < STAGE_COLS; c++)
            from[c] = (float)(c % (i + 2));
        if (!rounds[i].to_spare)
            memcpy(used, from, sizeof used);
        run_stage(&x, outs[rounds[i].out], rounds[i].to_spare ? spare : in, in, rounds[i].scale, from, to);
        kcheck_expect(k, trk_exec_finish(&x) == TRK_OK, "no failure");
        for (int c = 0; c < STAGE_COLS; c++)
            n_wrong += to[c] != (used[c] > 0 ? rounds[i].scale + 1 : 1);
        kcheck_expect(k, n_wrong == 0, "a stage's results are those of its operators");
    }
    kcheck_expect(k, trk_backend_on_host(kcheck_backend(k)) || trk_exec_replays(&x) == n_replays,
                  "what recurs is replayed, and nothing else");
    trk_exec_release(&x);
}

/* ---- the host's transfers ---- */

static float first_of(trk_mat m)
{
    return ((const float *)m.data)[0];
}

/* Transfers come after all that an exec was given before them, and before all that it is given later, which waits for
 * nothing but its own stream. */
static void check_transfers(kcheck *k)
{
    enum { N = 300 };
    const size_t bytes = N * sizeof(float);
    float ones[N], twos[N], back[N] = {0};
    trk_exec x;
    if (trk_backend_on_host(kcheck_backend(k)) || !kcheck_case(k, FILL_UNIFORM, "-", "transfers"))
        return;
    for (int i = 0; i < N; i++)
        twos[i] = 2 * (ones[i] = 1);
    const trk_mat before = kcheck_uniform(k, 1, N, TRK_F32, 7, 7), after = kcheck_uniform(k, 1, N, TRK_F32, 7, 7);
    const trk_mat data = {trk_cuda_allocate(0, bytes), TRK_F32, 1, N, N};
    const trk_mat copy = {trk_cuda_allocate(0, bytes), TRK_F32, 1, N, N};
    kcheck_expect(k, trk_exec_init(&x, kcheck_backend(k), kcheck_allocator(k)) == TRK_OK, "an exec");
    kcheck_expect(k, trk_cuda_write(0, data.data, ones, bytes) == TRK_OK, "a write");
    TRK_RUN(&x, convert, before, data);
    kcheck_expect(k, trk_cuda_write(0, data.data, twos, bytes) == TRK_OK, "a write");
    TRK_RUN(&x, convert, after, data);
    TRK_RUN(&x, add, data, data, data);
    kcheck_expect(k, trk_exec_finish(&x) == TRK_OK && first_of(before) == 1, "a write waits for what reads the bytes");
    kcheck_expect(k, first_of(after) == 2, "what is launched next sees a write");
    TRK_RUN(&x, add, data, data, data);
    kcheck_expect(k, trk_cuda_read(0, back, data.data, bytes) == TRK_OK && back[0] == 8,
                  "a read sees what was launched");
    TRK_RUN(&x, add, data, data, data);
    kcheck_expect(k, trk_cuda_copy(0, copy.data, data.data, bytes) == TRK_OK, "a copy");
    TRK_RUN(&x, convert, after, copy);
    kcheck_expect(k, trk_exec_finish(&x) == TRK_OK && first_of(after) == 16, "what is launched next sees a copy");
    TRK_RUN(&x, convert, before, copy);
    trk_cuda_fill(0, copy.data, 0, bytes);
    TRK_RUN(&x, convert, after, copy);
    kcheck_expect(k, trk_exec_finish(&x) == TRK_OK && first_of(before) == 16 && first_of(after) == 0,
                  "a fill in its turn");
    trk_cuda_release(0, data.data);
    trk_cuda_release(0, copy.data);
    trk_exec_release(&x);
}

void check_backend(kcheck *k)
{
    if (kcheck_is_bench(k))
        return;
    check_refusals(k);
    check_failed_exec(k);
    check_threads(k);
    check_stages(k);
    check_transfers(k);
}
