/* SPDX-License-Identifier: Apache-2.0
 * Execs that plan: every operator is run on addresses without memory, and whatever it allocates then is all that it
 * allocates when it runs for real, in the same exec and in another one. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "backend_private.h"
#include "kcheck.h"

/* ---- an allocator that counts, and one failure on demand ---- */

typedef struct counter {
    trk_allocator allocator; /* first */
    trk_allocator *under;
    size_t now, peak;
    int n_allocations, refuse;
} counter;

static void *count(trk_allocator *self, trk_mem_class mem_class, const char *owner, size_t bytes)
{
    counter *c = (counter *)(void *)self;
    if (c->refuse)
        return NULL;
    c->n_allocations++;
    c->now += bytes;
    c->peak = c->now > c->peak ? c->now : c->peak;
    return c->under->allocate(c->under, mem_class, owner, bytes);
}

static void uncount(trk_allocator *self, trk_mem_class mem_class, void *data, size_t bytes)
{
    counter *c = (counter *)(void *)self;
    c->now -= data ? bytes : 0;
    c->under->release(c->under, mem_class, data, bytes);
}

/* ---- the operators on some shapes ---- */

#define PART_BYTES ((size_t)1 << 22) /* of one operand */
#define PARTS      5

typedef struct call {
    char *memory; /* [PARTS, PART_BYTES], perhaps without access */
    int size;     /* 0, 1, 2 */
    trk_dtype in, out;
    const trk_linear *linear;
    const trk_conv *conv, *depthwise;
} call;

static void *part(const call *c, int i)
{
    return c->memory + (size_t)i * PART_BYTES;
}

static trk_mat mat(const call *c, int i, trk_dtype dtype, int rows, int cols)
{
    return (trk_mat){part(c, i), dtype, rows, cols, cols + c->size % 2};
}

static int pick(const call *c, int small, int middle, int large)
{
    return c->size == 0 ? small : c->size == 1 ? middle : large;
}

#define PLAN(name) static void plan_##name(trk_exec *x, const call *c)

PLAN(linear)
{
    const int n = pick(c, 5, 300, 5000);
    TRK_RUN(x, linear, mat(c, 0, c->out, n, 64), mat(c, 1, c->in, n, 96), c->linear, (trk_epilogue){TRK_ACT_GELU, 0});
    TRK_RUN(x, linear, mat(c, 0, TRK_F32, n, 64), mat(c, 1, c->in, n, 96), c->linear, (trk_epilogue){TRK_ACT_NONE, 1});
}
PLAN(matmul_nt)
{
    const int n = pick(c, 3, 40, 900);
    TRK_RUN(x, matmul_nt, mat(c, 0, TRK_F32, 4, n), mat(c, 1, c->in, 4, 33), mat(c, 2, c->in, n, 33));
}
PLAN(conv2d)
{
    const int h = pick(c, 4, 20, 66), w = pick(c, 6, 20, 70);
    TRK_RUN(x, conv2d, mat(c, 0, c->out, h / 2 * (w / 2), 32), mat(c, 1, c->in, h * w, 8), h, w, c->conv, TRK_ACT_NONE);
    TRK_RUN(x, conv2d, mat(c, 0, c->out, h * w, 16), mat(c, 1, c->in, h * w, 16), h, w, c->depthwise, TRK_ACT_NONE);
}
PLAN(layernorm)
{
    TRK_RUN(x, layernorm, mat(c, 0, c->out, 50, 40), mat(c, 1, c->in, 50, 40), part(c, 2), part(c, 3), 1e-6f,
            TRK_ACT_NONE);
}
PLAN(add)
{
    TRK_RUN(x, add, mat(c, 0, c->out, 50, 40), mat(c, 1, c->in, 50, 40), mat(c, 2, c->in, 50, 40));
}
PLAN(convert)
{
    TRK_RUN(x, convert, mat(c, 0, c->out, 50, 40), mat(c, 1, c->in, 50, 40));
}
PLAN(maxpool2x2)
{
    TRK_RUN(x, maxpool2x2, mat(c, 0, c->out, 16, 24), mat(c, 1, c->in, 64, 24), 8, 8);
}
PLAN(add_upsampled2x)
{
    TRK_RUN(x, add_upsampled2x, mat(c, 0, c->out, 256, 24), mat(c, 1, c->in, 64, 24), 8, 8);
}
PLAN(depth_to_space2x)
{
    TRK_RUN(x, depth_to_space2x, mat(c, 0, c->out, 256, 8), mat(c, 1, c->in, 64, 32), 8, 8, (trk_mat){0}, TRK_ACT_GELU);
}
PLAN(rope)
{
    TRK_RUN(x, rope, mat(c, 0, c->out, 50, 32), part(c, 1), 25);
}
PLAN(attention)
{
    const int n = pick(c, 3, 70, 300), m = pick(c, 5, 90, 500);
    TRK_RUN(x, attention, mat(c, 0, c->out, n, 48), mat(c, 1, c->in, n, 64), mat(c, 2, c->in, m, 64),
            mat(c, 3, c->in, m, 48), 2, 1, 0.25f);
    const int queries = pick(c, 3, 70, 130), keys = pick(c, 5, 90, 600); /* kernels of their own on some cards */
    TRK_RUN(x, attention, mat(c, 0, c->out, queries, 64), mat(c, 1, c->in, queries, 256), mat(c, 2, c->in, keys, 256),
            mat(c, 3, c->in, keys, 64), 1, 1, 0.0625f);
}
PLAN(window_attention)
{
    const int side = pick(c, 4, 16, 20);
    TRK_RUN(x, window_attention, mat(c, 0, c->out, side * side / 4, 32), mat(c, 1, c->in, side * side, 96), side, side,
            2, pick(c, 2, 0, 8), 1, part(c, 2));
}
PLAN(resize_bilinear)
{
    const int n = pick(c, 3, 40, 256);
    TRK_RUN(x, resize_bilinear, mat(c, 0, TRK_F32, 2 * n, 3 * n), mat(c, 1, TRK_F32, n, n), c->size % 2);
}
PLAN(mask_to_memory)
{
    TRK_RUN(x, mask_to_memory, mat(c, 0, c->out, 50, 40), mat(c, 1, c->in, 50, 40), 0, 20, -10);
}
PLAN(fill_holes)
{
    const int n = pick(c, 3, 40, 256);
    TRK_RUN(x, fill_holes, mat(c, 0, c->out, n, 2 * n), pick(c, 1, 8, 100));
}
PLAN(select_mask)
{
    float *info = part(c, 4);
    const trk_mask_choice choice = {.masks = mat(c, 0, TRK_F32, 4, 100), .tokens = mat(c, 1, c->in, 4, 16),
                                    .ious = part(c, 2), .score = part(c, 3), .stability = 1};
    TRK_RUN(x, select_mask, mat(c, 0, c->out, 1, 100), mat(c, 1, c->out, 1, 16), info, &choice);
}
PLAN(store)
{
    TRK_RUN(x, store, part(c, 0), (trk_storage)(c->size + 1), mat(c, 1, c->in, 64, 32));
}
PLAN(fetch)
{
    TRK_RUN(x, fetch, mat(c, 0, c->out, 64, 32), part(c, 1), (trk_storage)(c->size + 1));
}
PLAN(pack_mask)
{
    TRK_RUN(x, pack_mask, part(c, 0), mat(c, 1, c->in, 64, 32));
}
PLAN(unpack_mask)
{
    TRK_RUN(x, unpack_mask, mat(c, 0, c->out, 64, 32), part(c, 1));
}
PLAN(mask_boxes)
{
    const int side = pick(c, 3, 40, 256);
    TRK_RUN(x, mask_boxes, part(c, 0), mat(c, 1, TRK_F32, 3, side * side), side, 4);
}
PLAN(if_absent)
{
    TRK_RUN(x, if_absent, mat(c, 0, c->out, 50, 40), part(c, 1), part(c, 2), 0.0f, 0);
}
PLAN(frame_to_input)
{
    static const float three[3] = {1, 1, 1};
    const int size = pick(c, 8, 33, 128), width = pick(c, 5, 70, 300), height = pick(c, 9, 50, 200);
    TRK_RUN(x, frame_to_input, mat(c, 0, c->out, size * size, 3), part(c, 1), width, height, (ptrdiff_t)width * 3, size,
            three, three);
}
typedef struct token_sources {
    trk_token_source memories[2];
    const float *pointers[2];
} token_sources;

/* Two memories and pointers; what is read lies in part 1. */
static trk_tokens tokens_for(const trk_exec *x, const call *c, token_sources *s)
{
    const int n = pick(c, 4, 36, 256), width = 96, split = 2, rows = 2 * n + 2 * split;
    char *first = part(c, 1);
    const size_t step = PART_BYTES / 4;
    for (int i = 0; i < 2; i++) {
        s->memories[i] = (trk_token_source){first, (trk_storage)(c->size + i), (float *)(void *)(first + step)};
        s->pointers[i] = (float *)(void *)(first + 2 * step);
    }
    return (trk_tokens){.memories = s->memories,
                        .n_memories = 2,
                        .n = n,
                        .width = width,
                        .pointers = s->pointers,
                        .n_pointers = 2,
                        .split = split,
                        .pointer_positions = {first + 3 * step, TRK_F32, 2 * split, width, width},
                        .with_positions = mat(c, 2, x->activation, rows, width),
                        .values = mat(c, 3, x->activation, rows, width),
                        .fetched = mat(c, 4, TRK_F32, n, width)};
}
PLAN(gather_tokens)
{
    token_sources sources;
    const trk_tokens tokens = tokens_for(x, c, &sources);
    TRK_RUN(x, gather_tokens, &tokens);
}
PLAN(token_keys)
{
    token_sources sources;
    const trk_tokens tokens = tokens_for(x, c, &sources);
    const trk_mat keys = mat(c, 0, x->activation, tokens.with_positions.rows, 64);
    TRK_RUN(x, gather_tokens, &tokens);
    TRK_RUN(x, token_keys, keys, &tokens, c->linear, part(c, 1));
}
PLAN(attend_tokens)
{
    token_sources sources;
    const trk_tokens tokens = tokens_for(x, c, &sources);
    const trk_mat out = {part(c, 0), x->activation, 20, 96, 96};
    const trk_mat q = {(char *)part(c, 0) + PART_BYTES / 4, x->activation, 20, 64, 64};
    const trk_mat keys = {(char *)part(c, 0) + PART_BYTES / 2, x->activation, tokens.with_positions.rows, 64, 64};
    TRK_RUN(x, gather_tokens, &tokens);
    TRK_RUN(x, attend_tokens, out, q, keys, &tokens, 0.125f);
}
PLAN(frame_to_rgb)
{
    const trk_image image = {.width = 30, .height = 20, .format = TRK_IMAGE_NV12, .y_scale = 1,
                             .planes = {part(c, 1), part(c, 2)}, .strides = {30, 30}};
    TRK_RUN(x, frame_to_rgb, part(c, 0), &image);
}
PLAN(clamp)
{
    TRK_RUN(x, clamp, mat(c, 0, TRK_F32, 50, 40), mat(c, 1, TRK_F32, 50, 40), -1, 1);
}
PLAN(threshold)
{
    TRK_RUN(x, threshold, mat(c, 0, TRK_F32, 50, 40), mat(c, 1, TRK_F32, 50, 40), 0.5f);
}
PLAN(score_mask)
{
    const int n = pick(c, 3, 40, 256);
    TRK_RUN(x, score_mask, part(c, 0), mat(c, 1, TRK_F32, n, n), 10, -10);
}
PLAN(suppress)
{
    TRK_RUN(x, suppress, mat(c, 0, TRK_F32, 50, 40), mat(c, 1, TRK_F32, 50, 40), mat(c, 2, TRK_F32, 50, 40), 1);
}
PLAN(mask_bytes)
{
    TRK_RUN(x, mask_bytes, part(c, 0), 44, mat(c, 1, TRK_F32, 50, 40));
}
PLAN(mask_region)
{
    TRK_RUN(x, mask_bytes, part(c, 1), 44, mat(c, 2, TRK_F32, 50, 40));
    TRK_RUN(x, mask_region, part(c, 0), part(c, 1), 44, 40, 50);
}
PLAN(paint)
{
    const int n = pick(c, 3, 40, 256);
    const trk_painting painting = {.mask = part(c, 1), .mask_stride = 2 * n, .width = 2 * n, .height = n,
                                   .region = part(c, 2), .line_width = 2, .fill_percent = 45};
    TRK_RUN(x, mask_bytes, part(c, 1), 2 * n, mat(c, 3, TRK_F32, n, 2 * n));
    TRK_RUN(x, mask_region, part(c, 2), part(c, 1), 2 * n, 2 * n, n);
    TRK_RUN(x, paint, part(c, 0), (ptrdiff_t)6 * n, &painting);
}
PLAN(copy_bytes)
{
    TRK_RUN(x, copy_bytes, part(c, 0), part(c, 1), 3001);
}
PLAN(upload)
{
    TRK_RUN(x, upload, part(c, 0), part(c, 1), 100, 30, 120);
}
PLAN(download)
{
    TRK_RUN(x, download, part(c, 0), 120, part(c, 1), 100, 30);
}

/* every operator of the table */
static const struct {
    const char *name;
    void (*run)(trk_exec *x, const call *c);
} operators[] = {
#define ENTRY(name, args) {#name, plan_##name},
    TRK_OP_LIST(ENTRY)
#undef ENTRY
};

/* ---- the check ---- */

static int is_one_of(const char *name, const char *const *names, int n)
{
    for (int i = 0; i < n; i++)
        if (strcmp(name, names[i]) == 0)
            return 1;
    return 0;
}

/* Whether the operator may use the workspace, and whether it must: which of a GPU's do depends on shapes and types. */
static int allocates(const char *name, const trk_backend *backend, int surely)
{
    static const char *const always[] = {"attention", "window_attention", "resize_bilinear", "fill_holes",
                                         "frame_to_input"};
    static const char *const on_cpu[] = {"linear", "matmul_nt", "conv2d", "paint"};
    static const char *const on_cuda[] = {"linear", "matmul_nt", "conv2d", "select_mask"};
    static const char *const tokens[] = {"gather_tokens", "token_keys", "attend_tokens"}; /* of others of these */
    const int is_always = is_one_of(name, always, KCHECK_OF(always));
    if (is_one_of(name, tokens, KCHECK_OF(tokens)))
        return !surely;
    if (backend->kind == TRK_BACKEND_CUDA)
        return !surely && (is_always || is_one_of(name, on_cuda, KCHECK_OF(on_cuda)));
    return is_always || (backend->kind == TRK_BACKEND_CPU && is_one_of(name, on_cpu, KCHECK_OF(on_cpu)));
}

typedef struct plan_case {
    kcheck *k;
    trk_backend *backend;
    int n_threads, op;
    char *memory, *no_memory;
    call call;
} plan_case;

static int start(const plan_case *p, trk_exec *x, counter *c)
{
    trk_allocator *host = kcheck_host_allocator(p->k);
    *c = (counter){.allocator = {count, uncount},
                   .under = trk_backend_on_host(p->backend) ? host : kcheck_allocator(p->k)};
    const int ok = trk_exec_init(x, p->backend, &c->allocator) == TRK_OK;
    kcheck_expect(p->k, ok, "an exec");
    x->n_threads = p->n_threads;
    return ok;
}

static void run_on(const plan_case *p, trk_exec *x, char *memory)
{
    call c = p->call;
    c.memory = memory;
    operators[p->op].run(x, &c);
    kcheck_expect(p->k, trk_exec_finish(x) == TRK_OK, trk_error_text());
}

/* An exec that gets the buffers of a planned one beforehand. */
static void check_reserved(const plan_case *p, const trk_exec *planned, size_t planned_peak)
{
    trk_exec x;
    counter c;
    trk_workspace_sizes sizes;
    if (!start(p, &x, &c))
        return;
    trk_exec_workspace(planned, &sizes);
    kcheck_expect(p->k, sizes.total == planned_peak, "the sizes are what was obtained");
    kcheck_expect(p->k, trk_exec_reserve(&x, &sizes) == TRK_OK && c.peak == planned_peak, "as much is reserved");
    const int n_reserved = c.n_allocations;
    run_on(p, &x, p->memory);
    kcheck_expect(p->k, c.n_allocations == n_reserved, "no allocation after a reservation");
    trk_exec_release(&x);
}

/* 1 if the operator obtained memory. */
static int check_sizes(const plan_case *p)
{
    trk_exec planned, real;
    counter plan, use;
    if (!start(p, &planned, &plan) || !start(p, &real, &use))
        return 0;
    const int n_before = plan.n_allocations;
    trk_exec_set_planning(&planned);
    run_on(p, &planned, p->no_memory);
    const int n_planned = plan.n_allocations;
    const size_t planned_peak = plan.peak;
    /* the products of some shapes need no workspace */
    if (!allocates(operators[p->op].name, p->backend, 0))
        kcheck_expect(p->k, n_planned == n_before, "an operator without workspace allocates nothing");
    else if (p->call.in != p->backend->activation && allocates(operators[p->op].name, p->backend, 1))
        kcheck_expect(p->k, n_planned > n_before, "a planning exec obtains the workspace");
    planned.planning = 0;
    planned.ops = &p->backend->ops;
    run_on(p, &planned, p->memory);
    kcheck_expect(p->k, plan.peak == planned_peak, "not one byte more when it runs");
    /* the reference releases what an operator obtained; the CPU backend leaves the holes of bf16 masks to it */
    const int has_workspace = p->backend->kind == TRK_BACKEND_CUDA ||
                              (p->backend->kind == TRK_BACKEND_CPU &&
                               (strcmp(operators[p->op].name, "fill_holes") != 0 || p->call.out != TRK_BF16));
    if (has_workspace)
        kcheck_expect(p->k, plan.n_allocations == n_planned, "no allocation when it runs");
    run_on(p, &real, p->memory);
    kcheck_expect(p->k, use.peak == planned_peak, "another exec needs what was planned");
    if (has_workspace)
        check_reserved(p, &planned, planned_peak);
    trk_exec_release(&planned);
    trk_exec_release(&real);
    kcheck_expect(p->k, plan.now == 0 && use.now == 0, "everything returned");
    return n_planned > n_before;
}

static void check_failure(const plan_case *p)
{
    trk_exec x;
    counter c;
    if (!start(p, &x, &c))
        return;
    const int n_before = c.n_allocations;
    c.refuse = 1;
    trk_exec_set_planning(&x);
    call on = p->call;
    on.memory = p->no_memory;
    operators[p->op].run(&x, &on);
    kcheck_expect(p->k, trk_exec_finish(&x) == TRK_E_MEMORY && c.n_allocations == n_before,
                  "a failed allocation is recorded");
    trk_exec_release(&x);
}

static void check_case(plan_case *p)
{
    p->call.linear = kcheck_linear(p->k, 96, 64, 1);
    p->call.conv = kcheck_conv(p->k, 8, 32, 2, 2, 0, 1);
    p->call.depthwise = kcheck_conv(p->k, 16, 16, 7, 1, 3, 16);
    const int obtained = check_sizes(p);
    const int is_cuda = p->backend->kind == TRK_BACKEND_CUDA;
    if (is_cuda ? obtained
                : allocates(operators[p->op].name, p->backend, 1) && p->call.in != p->backend->activation)
        check_failure(p);
}

static void check_cases(plan_case *p, int n_sizes)
{
    static const trk_dtype types[][2] = {{TRK_F32, TRK_F32}, {TRK_BF16, TRK_F32}, {TRK_F32, TRK_BF16},
                                         {TRK_BF16, TRK_BF16}};
    static const char *const names[] = {"ref", "cpu", "cuda"};
    const int n_threads = p->backend->kind == TRK_BACKEND_CPU ? 2 : 1;
    for (p->op = 0; p->op < KCHECK_OF(operators); p->op++)
        for (int i = 0; i < n_sizes * KCHECK_OF(types); i++)
            for (p->n_threads = 1; p->n_threads <= n_threads; p->n_threads++) {
                const trk_dtype *t = types[i / n_sizes];
                char text[16];
                snprintf(text, sizeof text, "%s %s", kcheck_dtype(t[0]), kcheck_dtype(t[1]));
                if (!kcheck_case(p->k, FILL_UNIFORM, text, "%s %s size%d threads%d", names[p->backend->kind],
                                 operators[p->op].name, i % n_sizes, p->n_threads))
                    continue;
                p->call = (call){.size = i % n_sizes, .in = t[0], .out = t[1]};
                check_case(p);
            }
}

void check_planning(kcheck *k)
{
    if (kcheck_is_bench(k))
        return;
    plan_case p = {.k = k, .backend = kcheck_backend(k)};
    trk_backend *reference = NULL;
    const trk_backend_params params = {
        .kind = TRK_BACKEND_REF, .activation = trk_backend_activation(p.backend), .n_threads = 1};
    const int is_emulated = kcheck_is_emulated(k);
    p.memory = kcheck_pages(k, PARTS * PART_BYTES);
    p.no_memory = mmap(NULL, PARTS * PART_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    const int ok = p.memory && p.no_memory != MAP_FAILED &&
                   trk_backend_create(&reference, &params, kcheck_host_allocator(k)) == TRK_OK;
    if (ok) {
        check_cases(&p, is_emulated ? 2 : 3); /* the largest shapes take the emulation too long */
        p.backend = reference;
        if (!is_emulated)
            check_cases(&p, 2);
    } else if (kcheck_case(k, FILL_UNIFORM, "-", "memory")) {
        kcheck_expect(k, 0, "memory and a reference backend");
    }
    trk_backend_destroy(&reference);
    kcheck_pages_release(k, p.memory, PARTS * PART_BYTES);
    munmap(p.no_memory, PARTS * PART_BYTES);
}
