/* SPDX-License-Identifier: Apache-2.0
 * Speed of the attention operators on the shapes of SAM 2.1 tiny at 1024 x 1024 and of the small demo model, for every
 * instruction set of this machine. Usage: attention_bench [threads [part of a case's name]]; best of several runs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "attention_cpu.h"
#include "backend.h"
#include "bf16.h"

typedef struct bench_case {
    const char *name;
    int n_queries, n_keys, heads, dk, dv; /* attention */
    int side, window, pool;               /* window attention on a side x side map when side > 0; dk = dv */
} bench_case;

static const bench_case cases[] = {
    {"memory cross-attention", 4096, 28736, 1, 256, 64, 0, 0, 0},
    {"memory self-attention", 4096, 4096, 1, 256, 256, 0, 0, 0},
    {"trunk global", 0, 0, 4, 96, 96, 64, 0, 0},
    {"trunk window 8", 0, 0, 1, 96, 96, 256, 8, 0},
    {"trunk window 8 pooled", 0, 0, 2, 96, 96, 256, 8, 1},
    {"trunk window 4", 0, 0, 2, 96, 96, 128, 4, 0},
    {"trunk window 4 pooled", 0, 0, 4, 96, 96, 128, 4, 1},
    {"trunk window 14", 0, 0, 4, 96, 96, 64, 14, 0},
    {"trunk window 14 pooled", 0, 0, 8, 96, 96, 64, 14, 1},
    {"trunk window 7", 0, 0, 8, 96, 96, 32, 7, 0},
    {"decoder self", 8, 8, 8, 32, 32, 0, 0, 0},
    {"decoder token to image", 8, 4096, 8, 16, 16, 0, 0, 0},
    {"decoder image to token", 4096, 8, 8, 16, 16, 0, 0, 0},
    {"demo cross-attention", 256, 1856, 1, 96, 32, 0, 0, 0},
    {"demo self-attention", 256, 256, 1, 96, 96, 0, 0, 0},
    {"demo global", 0, 0, 4, 32, 32, 16, 0, 0},
    {"demo window 8", 0, 0, 1, 32, 32, 64, 8, 0},
};

static void *allocate(trk_allocator *self, trk_mem_class mem_class, const char *owner, size_t bytes)
{
    (void)self, (void)mem_class, (void)owner;
    return aligned_alloc(TRK_ALIGNMENT, trk_aligned(bytes));
}

static void release(trk_allocator *self, trk_mem_class mem_class, void *data, size_t bytes)
{
    (void)self, (void)mem_class, (void)bytes;
    free(data);
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static trk_mat random_mat(int rows, int cols, trk_dtype dtype)
{
    static uint32_t seed = 1;
    const size_t n = (size_t)rows * (size_t)cols, bytes = n * trk_dtype_bytes(dtype);
    trk_mat m = {allocate(NULL, TRK_MEM_SCRATCH, NULL, bytes), dtype, rows, cols, cols};
    if (!m.data) {
        fprintf(stderr, "attention_bench: no memory for %zu bytes\n", bytes);
        exit(1);
    }
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        const float value = (float)(int32_t)seed * 0x1p-31f;
        if (dtype == TRK_BF16)
            ((uint16_t *)m.data)[i] = trk_f32_to_bf16(value);
        else
            ((float *)m.data)[i] = value;
    }
    return m;
}

static double run_case(const bench_case *c, trk_exec *x)
{
    const trk_dtype dtype = x->activation;
    const int step = c->pool ? 2 : 1, tokens = c->side * c->side;
    trk_mat q = random_mat(c->side ? tokens : c->n_queries, (c->side ? 3 : 1) * c->heads * c->dk, dtype);
    trk_mat k = random_mat(c->side ? 1 : c->n_keys, c->heads * c->dk, dtype);
    trk_mat v = random_mat(c->side ? 1 : c->n_keys, c->heads * c->dv, dtype);
    trk_mat out = random_mat(c->side ? tokens / step / step : c->n_queries, c->heads * c->dv, dtype);
    trk_mat bias = random_mat(1, 3 * c->heads * c->dk, TRK_F32);
    double best = 1e30, spent = 0;
    for (int run = 0; run < 3 || (spent < 0.4 && run < 200); run++) {
        const double start = seconds();
        if (c->side)
            trk_window_attention_cpu(x, out, q, c->side, c->side, c->heads, c->window, c->pool, bias.data);
        else
            trk_attention_cpu(x, out, q, k, v, c->heads, 1, 0.0625f);
        const double taken = seconds() - start;
        spent += taken;
        best = taken < best ? taken : best;
    }
    free(q.data), free(k.data), free(v.data), free(out.data), free(bias.data);
    return best;
}

/* Multiply-adds of both products count two each; padded tokens count as keys only. */
static double operations(const bench_case *c)
{
    if (!c->side)
        return 2.0 * c->n_queries * c->n_keys * (c->dk + c->dv) * c->heads;
    const double tokens = (double)c->side * c->side, keys = c->window ? (double)c->window * c->window : tokens;
    return 4.0 * (c->pool ? tokens / 4 : tokens) * keys * c->dk * c->heads;
}

int main(int argc, char **argv)
{
    trk_allocator allocator = {allocate, release};
    trk_backend *backend = NULL;
    const trk_backend_params params = {
        .kind = TRK_BACKEND_CPU, .activation = TRK_F32, .n_threads = argc > 1 ? atoi(argv[1]) : 1};
    trk_exec x;
    if (trk_backend_create(&backend, &params, &allocator) < 0 ||
        trk_exec_init(&x, backend, &allocator) < 0) {
        fprintf(stderr, "attention_bench: %s\n", trk_error_text());
        return 1;
    }
    printf("%-24s %-14s %-5s %10s %10s   (%d threads)\n", "case", "kernels", "type", "ms", "GFLOP/s", x.n_threads);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (argc > 2 && !strstr(cases[i].name, argv[2]))
            continue;
        for (int isa = ATTENTION_ISAS - 1; isa >= 0; isa--) {
            const attention_kernels *kernels = trk_attention_kernels_of((attention_isa)isa);
            if (!kernels || (argc > 3 && strcmp(argv[3], kernels->name) != 0))
                continue;
            trk_attention_force_kernels(kernels);
            for (int bf16 = 0; bf16 < 2; bf16++) {
                x.activation = bf16 ? TRK_BF16 : TRK_F32;
                const double taken = run_case(&cases[i], &x);
                printf("%-24s %-14s %-5s %10.3f %10.1f\n", cases[i].name, kernels->name, bf16 ? "bf16" : "f32",
                       1e3 * taken, operations(&cases[i]) / taken * 1e-9);
                fflush(stdout);
            }
        }
    }
    const int failed = x.status < 0;
    trk_exec_release(&x);
    trk_backend_destroy(&backend);
    return failed;
}
