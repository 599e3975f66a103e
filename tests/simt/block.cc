/* SPDX-License-Identifier: Apache-2.0
 * A grid's blocks, one after the other in this OS thread, and a block's threads as fibres.
 *
 * A thread runs until it waits at a barrier or a rendezvous of lanes, or ends; then the schedule picks the next that is
 * ready. One that never waits costs a switch there and back on a stack that the next one uses again. Any order that a
 * schedule gives is one that a card may take, as a card promises nothing between two waits. A thread that spins until
 * another one writes something spins forever.
 *
 * Shared memory ends (to its 128-byte alignment) at a page that nobody can touch, is filled with 0xff before each block
 * and lies between bytes that are checked after each. */
#include <boost/context/detail/fcontext.hpp>
#include <cstdarg>
#include <cstdlib>
#include <sys/mman.h>
#include <unistd.h>

#include "simt_hardware.h"
#include "simt_private.h"

using boost::context::detail::fcontext_t;
using boost::context::detail::jump_fcontext;
using boost::context::detail::make_fcontext;
using boost::context::detail::transfer_t;

#define WARP         32
#define MOST_THREADS 1024
#define MOST_GROUPS  32
#define WARPGROUP    128
#define STACK_BYTES  (128 * 1024)
#define PAGE         4096
#define USABLE_BYTES (STACK_BYTES - 3 * PAGE) /* below the top of a stack, wherever that is */
#define SHARED_ROOM  (64 * PAGE)              /* more than SIMT_SHARED_MOST */
#define SHARED_ALIGN 128
#define SLACK        0xa5

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;
unsigned char *simt_shared_bytes;

struct thread {
    fcontext_t context; /* where it waits */
    char *stack;        /* borrowed from the pool while it lives */
    uint3 index;
    const char *waits_at; /* NULL: it does not */
    simt_copies copies;
};

/* Lanes that wait for each other. */
struct group {
    simt_meeting *meet;
    const char *what;
    unsigned mask, arrived;
};

struct warp {
    unsigned exists, ready, started, exited; /* lanes */
    int n_groups;
    group groups[MOST_GROUPS];
    void *given[WARP];
};

/* Threads that wait for each other. */
struct warpgroup {
    simt_warpgroup_meeting *meet;
    const char *what;
    unsigned arrived;
    void *given[WARPGROUP];
};

static struct {
    const simt_grid *grid; /* NULL: no kernel runs */
    unsigned n_threads, n_warps, ready_warps;
    unsigned n_finished, n_at_barrier;
    const char *barrier;
    int barrier_sum, barrier_result;
    int self; /* number of the running thread, -1: none */
    int is_stopped;
    fcontext_t scheduler;
    thread threads[MOST_THREADS];
    warp warps[MOST_THREADS / WARP];
    warpgroup warpgroups[MOST_THREADS / WARPGROUP];
} block;

/* --- the schedule --- */

static int policy = SIMT_UP;
static unsigned policy_seed = 1;
static uint64_t random_state = 1;

extern "C" void simt_set_schedule(int policy_, unsigned seed)
{
    SIMT_LOCKED;
    policy = policy_;
    policy_seed = seed;
    random_state = 0x9e3779b97f4a7c15u * (seed + 1u);
}

__attribute__((constructor)) static void schedule_from_environment()
{
    const char *wanted = getenv("SIMT_SCHEDULE");
    if (!wanted || strcmp(wanted, "up") == 0)
        simt_set_schedule(SIMT_UP, 0);
    else if (strcmp(wanted, "down") == 0)
        simt_set_schedule(SIMT_DOWN, 0);
    else
        simt_set_schedule(SIMT_RANDOM, (unsigned)strtoul(wanted, NULL, 10));
}

static uint32_t random_below(uint32_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)((random_state >> 32) * n >> 32);
}

/* One of the bits of v, which is not 0. */
static int pick(unsigned v)
{
    if (policy == SIMT_UP)
        return __builtin_ctz(v);
    if (policy == SIMT_DOWN)
        return 31 - __builtin_clz(v);
    for (unsigned skip = random_below((unsigned)__builtin_popcount(v)); skip > 0; skip--)
        v &= v - 1;
    return __builtin_ctz(v);
}

/* --- where --- */

const char *simt_where()
{
    static char text[256];
    if (!block.grid)
        return "";
    const uint3 t = threadIdx, b = blockIdx;
    if (block.self < 0)
        snprintf(text, sizeof text, "%s block (%u,%u,%u)", block.grid->name, b.x, b.y, b.z);
    else
        snprintf(text, sizeof text, "%s block (%u,%u,%u) thread (%u,%u,%u)", block.grid->name, b.x, b.y, b.z, t.x, t.y,
                 t.z);
    return text;
}

void simt_stop(const char *format, ...)
{
    char text[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    simt_error("%s", text);
    block.is_stopped = 1;
    jump_fcontext(block.scheduler, NULL);
    abort(); /* nobody resumes a thread that was stopped */
}

void simt_trap(void)
{
    simt_stop("trap");
}

simt_copies *simt_thread_copies()
{
    return &block.threads[block.self].copies;
}

/* --- waiting --- */

static void set_ready(unsigned w, unsigned lanes)
{
    block.warps[w].ready |= lanes;
    if (block.warps[w].ready)
        block.ready_warps |= 1u << w;
}

/* Another thread's turn; returns when this one was made ready. */
static void wait_at(const char *what)
{
    thread *t = &block.threads[block.self];
    t->waits_at = what;
    block.scheduler = jump_fcontext(block.scheduler, NULL).fctx;
    t->waits_at = NULL;
}

/* Products see what was written before the barrier, if that was fenced. */
static void show_to_products()
{
    std::vector<const simt_copies *> threads;
    int is_fenced = 0;
    for (unsigned i = 0; i < block.n_threads; i++) {
        simt_copies *c = &block.threads[i].copies;
        is_fenced |= c->is_fenced;
        c->is_fenced = 0;
        threads.push_back(c);
    }
    if (is_fenced)
        simt_products_see(threads, block.grid->shared_bytes);
}

static void release_barrier()
{
    show_to_products();
    const unsigned own = (unsigned)block.self / WARP, lane = (unsigned)block.self % WARP;
    block.n_at_barrier = 0;
    block.barrier_result = block.barrier_sum;
    block.barrier_sum = 0;
    for (unsigned w = 0; w < block.n_warps; w++)
        set_ready(w, block.warps[w].exists & ~(w == own ? 1u << lane : 0u));
}

int simt_barrier_count(const char *what, int v)
{
    if (block.n_finished > 0)
        simt_stop("%s, but %u threads of the block have ended", what, block.n_finished);
    if (block.n_at_barrier > 0 && block.barrier != what && strcmp(block.barrier, what) != 0)
        simt_stop("%s, but other threads wait at %s", what, block.barrier);
    block.barrier = what;
    block.barrier_sum += v;
    if (++block.n_at_barrier == block.n_threads)
        release_barrier(); /* and this thread goes on */
    else
        wait_at(what);
    return block.barrier_result;
}

void simt_barrier(const char *what)
{
    simt_barrier_count(what, 0);
}

static group *find_group(warp *w, simt_meeting *meet, unsigned mask)
{
    for (int i = 0; i < w->n_groups; i++)
        if (w->groups[i].mask == mask && w->groups[i].meet == meet)
            return &w->groups[i];
    return NULL;
}

/* Opens a rendezvous, unless lanes wait for this one at another one that this one waits for them at. */
static group *open_group(warp *w, unsigned lane, simt_meeting *meet, const char *what, unsigned mask)
{
    if (!(mask >> lane & 1u))
        simt_stop("%s: lane %u is not in its own mask %08x", what, lane, mask);
    if (mask & ~w->exists)
        simt_stop("%s: mask %08x has lanes that the warp lacks (it has %08x)", what, mask, w->exists);
    if (mask & w->exited)
        simt_stop("%s: lanes %08x of mask %08x have ended", what, mask & w->exited, mask);
    for (int i = 0; i < w->n_groups; i++) {
        const group *g = &w->groups[i];
        if ((g->mask >> lane & 1u) && (g->arrived & mask))
            simt_stop("%s with mask %08x, but lanes %08x wait at %s with mask %08x", what, mask, g->arrived & mask,
                      g->what, g->mask);
    }
    group *g = &w->groups[w->n_groups++];
    *g = {meet, what, mask, 0};
    return g;
}

static void close_group(warp *w, group *g)
{
    void *given[WARP];
    for (int i = 0; i < WARP; i++)
        given[i] = g->mask >> i & 1u ? w->given[i] : NULL;
    simt_meeting *meet = g->meet;
    const unsigned mask = g->mask;
    *g = w->groups[--w->n_groups];
    meet(given, mask);
}

void simt_meet(simt_meeting *meet, const char *what, unsigned mask, void *given)
{
    const unsigned number = (unsigned)block.self / WARP, lane = (unsigned)block.self % WARP;
    warp *w = &block.warps[number];
    group *g = find_group(w, meet, mask);
    if (!g || !(mask >> lane & 1u))
        g = open_group(w, lane, meet, what, mask);
    g->arrived |= 1u << lane;
    w->given[lane] = given;
    if (g->arrived == mask) {
        close_group(w, g);
        set_ready(number, mask & ~(1u << lane));
    } else {
        wait_at(what);
    }
}

unsigned simt_warp_of_warpgroup(const char *what)
{
    const unsigned first = (unsigned)block.self / WARPGROUP * WARPGROUP;
    if (first + WARPGROUP > block.n_threads)
        simt_stop("%s: the threads from %u on are no warpgroup, as the block has %u", what, first, block.n_threads);
    return (unsigned)block.self / WARP;
}

void simt_meet_warpgroup(simt_warpgroup_meeting *meet, const char *what, void *given)
{
    const unsigned first_warp = simt_warp_of_warpgroup(what) / 4 * 4;
    warpgroup *g = &block.warpgroups[first_warp / 4];
    if (g->arrived > 0 && g->meet != meet)
        simt_stop("%s, but other threads of the warpgroup wait at %s", what, g->what);
    g->meet = meet;
    g->what = what;
    g->given[block.self % WARPGROUP] = given;
    if (++g->arrived < WARPGROUP) {
        wait_at(what);
        return;
    }
    g->arrived = 0;
    meet(g->given, first_warp);
    for (unsigned w = first_warp; w < first_warp + 4; w++)
        set_ready(w, 0xffffffffu & ~(w == (unsigned)block.self / WARP ? 1u << block.self % WARP : 0u));
}

/* --- threads --- */

static char *free_stacks[MOST_THREADS];
static int n_free_stacks;
static char *all_stacks[MOST_THREADS];
static int n_stacks;

/* The top of each is moved by some cache lines, so that the stacks of a block do not all share the same ones. */
static char *stack_take()
{
    if (n_free_stacks > 0)
        return free_stacks[--n_free_stacks];
    void *room = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED || mprotect(room, PAGE, PROT_NONE) != 0) {
        fprintf(stderr, "simt: no memory for a stack\n");
        abort();
    }
    char *top = (char *)room + STACK_BYTES - n_stacks % 32 * 192;
    return all_stacks[n_stacks++] = top;
}

/* Of the address sanitizer, where there is one: threads that were stopped have left their frames marked. */
extern "C" __attribute__((weak)) void __asan_unpoison_memory_region(const volatile void *p, size_t bytes);

static void reset_stacks()
{
    n_free_stacks = 0;
    for (int i = n_stacks - 1; i >= 0; i--) {
        free_stacks[n_free_stacks++] = all_stacks[i];
        if (__asan_unpoison_memory_region)
            __asan_unpoison_memory_region(all_stacks[i] - USABLE_BYTES, USABLE_BYTES);
    }
}

/* A thread that ends can not come to what others wait for it at. */
static void check_end()
{
    const warp *w = &block.warps[block.self / WARP];
    if (simt_products_pending((unsigned)block.self / WARP) > 0)
        simt_stop("the thread ends, but its warp has not waited for products of its warpgroup");
    if (block.n_at_barrier > 0)
        simt_stop("the thread ends, but %u threads wait at %s", block.n_at_barrier, block.barrier);
    for (int i = 0; i < w->n_groups; i++)
        if (w->groups[i].mask >> block.self % WARP & 1u)
            simt_stop("the lane ends, but lanes %08x wait for it at %s with mask %08x", w->groups[i].arrived,
                      w->groups[i].what, w->groups[i].mask);
}

static void thread_main(transfer_t from)
{
    block.scheduler = from.fctx;
    block.grid->call->run();
    check_end();
    block.n_finished++;
    block.warps[block.self / WARP].exited |= 1u << block.self % WARP;
    jump_fcontext(block.scheduler, &block); /* not NULL: its stack is free */
    abort();
}

static void start_thread(thread *t)
{
    t->stack = stack_take();
    t->context = make_fcontext(t->stack, USABLE_BYTES, thread_main);
    t->waits_at = NULL;
    t->copies.pending.clear();
    t->copies.n_committed = t->copies.is_fenced = 0;
    t->copies.unfenced.clear();
}

static void run_thread(unsigned w, unsigned lane)
{
    thread *t = &block.threads[w * WARP + lane];
    warp *own = &block.warps[w];
    own->ready &= ~(1u << lane);
    if (!own->ready)
        block.ready_warps &= ~(1u << w);
    if (!(own->started >> lane & 1u)) {
        own->started |= 1u << lane;
        start_thread(t);
    }
    block.self = (int)(w * WARP + lane);
    threadIdx = t->index;
    transfer_t back = jump_fcontext(t->context, NULL);
    t->context = back.fctx;
    if (back.data)
        free_stacks[n_free_stacks++] = t->stack;
}

/* Nobody is ready: one line about a thread that waits. */
static void report_deadlock()
{
    for (unsigned i = 0; i < block.n_threads; i++) {
        const thread *t = &block.threads[i];
        if (!t->waits_at)
            continue;
        block.self = (int)i;
        threadIdx = t->index;
        simt_error("waits at %s forever (%u threads of %u wait at a barrier, %u have ended)", t->waits_at,
                   block.n_at_barrier, block.n_threads, block.n_finished);
        return;
    }
}

/* --- shared memory --- */

static unsigned char *shared_room; /* SHARED_ROOM bytes between two pages that nobody can touch */

static void fill_shared_slack(size_t bytes)
{
    unsigned char *end = simt_shared_bytes + bytes;
    memset(simt_shared_bytes - SHARED_ALIGN, SLACK, SHARED_ALIGN);
    memset(end, SLACK, (size_t)(shared_room + SHARED_ROOM - end));
}

static void place_shared(size_t bytes)
{
    if (!shared_room) {
        char *all = (char *)mmap(NULL, SHARED_ROOM + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if ((void *)all == MAP_FAILED || mprotect(all + PAGE, SHARED_ROOM, PROT_READ | PROT_WRITE) != 0)
            abort();
        shared_room = (unsigned char *)all + PAGE;
    }
    simt_shared_bytes = shared_room + (SHARED_ROOM - bytes) / SHARED_ALIGN * SHARED_ALIGN;
    fill_shared_slack(bytes);
}

/* Stops the kernel, like every error in one, so that it is told once. */
static void check_shared_slack(size_t bytes)
{
    const unsigned char *end = shared_room + SHARED_ROOM;
    for (const unsigned char *p = simt_shared_bytes - SHARED_ALIGN; p < end; p++) {
        if (p == simt_shared_bytes)
            p += bytes;
        if (p == end || *p == SLACK)
            continue;
        simt_error("wrote %td bytes after the start of shared memory, which has %zu", p - simt_shared_bytes, bytes);
        block.is_stopped = 1;
        fill_shared_slack(bytes);
        break;
    }
}

void simt_check_shared(const char *what, const void *p, size_t bytes)
{
    const unsigned char *start = simt_shared_bytes, *at = (const unsigned char *)p;
    if (at < start || at + bytes > start + block.grid->shared_bytes)
        simt_stop("%s: %p is not in shared memory, which is %p .. %p", what, p, start,
                  start + block.grid->shared_bytes);
    if ((uintptr_t)p % bytes != 0)
        simt_stop("%s: the address %zu bytes after the start of shared memory is not aligned to %zu", what,
                  (size_t)(at - start), bytes);
}

const char *simt_describe_shared(const void *p)
{
    static char text[128];
    const unsigned char *at = (const unsigned char *)p;
    for (int i = 0; i < n_stacks; i++)
        if (at < (unsigned char *)all_stacks[i] && at >= (unsigned char *)all_stacks[i] - STACK_BYTES)
            return "the end of a thread's stack";
    if (!shared_room || at < shared_room - PAGE || at >= shared_room + SHARED_ROOM + PAGE)
        return NULL;
    snprintf(text, sizeof text, "%td bytes after the start of shared memory, which has %zu", at - simt_shared_bytes,
             block.grid ? block.grid->shared_bytes : 0);
    return text;
}

/* --- blocks and grids --- */

static void open_block()
{
    block.n_finished = block.n_at_barrier = 0;
    block.barrier_sum = 0;
    block.self = -1;
    block.ready_warps = 0;
    for (unsigned w = 0; w < block.n_warps; w++) {
        const unsigned left = block.n_threads - w * WARP;
        warp *own = &block.warps[w];
        own->exists = left >= WARP ? 0xffffffffu : (1u << left) - 1;
        own->ready = own->started = own->exited = 0;
        own->n_groups = 0;
        set_ready(w, own->exists);
    }
    for (warpgroup &g : block.warpgroups)
        g.arrived = 0;
    simt_products_open(block.n_warps, block.grid->shared_bytes);
    if (block.grid->shared_bytes > 0)
        memset(simt_shared_bytes, 0xff, block.grid->shared_bytes);
}

/* A random schedule takes several steps in one warp, which is faster, and as good an order as any. */
static int stays_in_warp(unsigned w)
{
    return policy == SIMT_RANDOM && block.warps[w].ready && random_below(8) > 0;
}

static int run_block()
{
    open_block();
    unsigned w = 0;
    while (block.ready_warps && !block.is_stopped) {
        if (!stays_in_warp(w))
            w = (unsigned)pick(block.ready_warps);
        run_thread(w, (unsigned)pick(block.warps[w].ready));
    }
    if (!block.is_stopped && block.n_finished < block.n_threads) {
        report_deadlock();
        block.is_stopped = 1;
    }
    block.self = -1;
    check_shared_slack(block.grid->shared_bytes);
    if (block.is_stopped)
        reset_stacks();
    return !block.is_stopped;
}

static uint64_t common_divisor(uint64_t a, uint64_t b)
{
    while (b) {
        const uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* The i-th block of n to run is (i * step + first) % n. */
static void order_blocks(uint64_t n, uint64_t *step, uint64_t *first)
{
    *step = policy == SIMT_DOWN ? n - 1 : 1;
    *first = policy == SIMT_DOWN ? n - 1 : 0;
    if (policy != SIMT_RANDOM || n > UINT32_MAX)
        return;
    *first = random_below((uint32_t)n);
    do
        *step = 1 + random_below((uint32_t)n);
    while (common_divisor(*step, n) != 1);
}

static void number_threads(dim3 size)
{
    unsigned i = 0;
    for (unsigned z = 0; z < size.z; z++)
        for (unsigned y = 0; y < size.y; y++)
            for (unsigned x = 0; x < size.x; x++)
                block.threads[i++].index = uint3{x, y, z};
}

int simt_run_grid(const simt_grid *g)
{
    const uint64_t n = (uint64_t)g->grid.x * g->grid.y * g->grid.z;
    uint64_t step, first;
    order_blocks(n, &step, &first);
    block.grid = g;
    block.is_stopped = 0;
    block.n_threads = g->block.x * g->block.y * g->block.z;
    block.n_warps = (block.n_threads + WARP - 1) / WARP;
    blockDim = g->block;
    gridDim = g->grid;
    number_threads(g->block);
    place_shared(g->shared_bytes);
    int ok = 1;
    for (uint64_t i = 0, b = first; i < n && ok; i++, b = (b + step) % n) {
        blockIdx = uint3{(unsigned)(b % g->grid.x), (unsigned)(b / g->grid.x % g->grid.y),
                         (unsigned)(b / g->grid.x / g->grid.y)};
        ok = run_block();
    }
    block.grid = NULL;
    return ok;
}
