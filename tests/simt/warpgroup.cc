/* SPDX-License-Identifier: Apache-2.0
 * Products of a warpgroup (simt_hardware.h). Four warps start one together; from there on each warp has its own 16
 * rows, as on the card, and waits for them alone. Operands are read when a product starts and again when it is waited
 * for, and have to be the same; in between the accumulators are NaN. What products see of shared memory is what it was
 * at the last barrier before which a thread had called fence_async, without the copies of threads that had not. */
#include <cstring>

#include "simt_hardware.h"
#include "simt_private.h"

#define WARP      32
#define WARPS     4  /* of a warpgroup */
#define ROWS      16 /* of a warp */
#define DEPTH     16 /* k of a product */
#define MOST_COLS 256
#define POISON    0xffffffffu
#define FIRST     0x480u /* where dynamic shared memory starts: 128 divides it, as promised, and no more */

struct operands {
    uint16_t a[WARPS * ROWS][DEPTH]; /* unless it is in registers */
    uint16_t b[DEPTH][MOST_COLS];
};

struct product {
    simt_warpgroup_mma m; /* without d and a */
    int group;            /* of the warp's */
    int warp;             /* of the warpgroup */
    operands read;        /* when it was started */
    uint32_t a[WARP][4];
    const uint32_t *a_at[WARP];
    float *d_at[WARP];
    std::vector<float> d; /* [lane][n / 2] before the product; empty: the result of the product before */
};

/* Registers that products use, as they were at the last fence. */
struct fenced_registers {
    const void *at[WARP];
    size_t words;
    std::vector<uint32_t> values;
};

struct warp_products {
    std::vector<product> pending;
    std::vector<fenced_registers> known;
    int n_committed, is_fenced;
};

static warp_products warps[32];
static unsigned char seen[SIMT_SHARED_MOST]; /* shared memory as products see it */

/* --- shared memory --- */

uint32_t simt_shared_address(const void *p)
{
    return FIRST + (uint32_t)(static_cast<const unsigned char *>(p) - simt_shared_bytes);
}

void simt_products_open(unsigned n_warps, size_t shared_bytes)
{
    for (unsigned w = 0; w < n_warps; w++) {
        warps[w].pending.clear();
        warps[w].known.clear();
        warps[w].n_committed = warps[w].is_fenced = 0;
    }
    memset(seen, 0xff, shared_bytes);
}

void simt_products_see(const std::vector<const simt_copies *> &threads, size_t shared_bytes)
{
    memcpy(seen, simt_shared_bytes, shared_bytes);
    for (const simt_copies *t : threads)
        for (const void *p : t->unfenced)
            for (size_t i = 0, at = (size_t)((const unsigned char *)p - simt_shared_bytes); i < 16; i++)
                seen[at + i] = (unsigned char)~simt_shared_bytes[at + i];
}

void fence_async()
{
    simt_copies *c = simt_thread_copies();
    c->unfenced.clear();
    c->is_fenced = 1;
}

/* --- matrices --- */

struct matrix {
    uint32_t start, leading, stride;
};

static matrix decoded(uint64_t descriptor, int transposed)
{
    const matrix m = {(uint32_t)(descriptor & 0x3fff) << 4, (uint32_t)(descriptor >> 16 & 0x3fff) << 4,
                      (uint32_t)(descriptor >> 32 & 0x3fff) << 4};
    if (descriptor >> 62 != 1)
        simt_stop("warpgroup_mma: only the swizzle of 128 bytes is emulated (descriptor %016llx)",
                  (unsigned long long)descriptor);
    if (descriptor & 0x3fffc000c000c000u)
        simt_stop("warpgroup_mma: bits of the descriptor %016llx that have to be 0", (unsigned long long)descriptor);
    if (m.start % 1024 > (transposed ? 0 : 96) || m.start % 32 != 0 || m.stride % 1024 != 0)
        simt_stop("warpgroup_mma: a matrix at %u bytes, %u further every 8 rows, is not aligned to atoms of 1024",
                  m.start, m.stride);
    if (transposed && m.leading % 1024 != 0)
        simt_stop("warpgroup_mma: %u bytes from 64 columns to the next are no whole atoms of 1024", m.leading);
    return m;
}

/* 8 elements that lie together. */
static void piece_at(uint16_t (&piece)[8], uint32_t address, int is_start)
{
    const uint32_t swizzled = address ^ (address >> 7 & 7u) << 4;
    const unsigned char *p = simt_shared_bytes + (int64_t)swizzled - FIRST;
    simt_check_shared("warpgroup_mma", p, sizeof piece);
    memcpy(piece, p, sizeof piece);
    if (is_start && memcmp(piece, seen + (p - simt_shared_bytes), sizeof piece) != 0)
        simt_stop(
            "warpgroup_mma: 16 bytes of shared memory, %td after its start, were written without fence_async and a "
            "barrier after it",
            p - simt_shared_bytes);
}

/* Row r (m or n), column k, of a matrix that is not transposed. */
static uint32_t address_of(const matrix &m, int r, int k)
{
    return m.start + (uint32_t)(r / 8) * m.stride + (uint32_t)(r % 8) * 128 + (uint32_t)k * 2;
}

static uint32_t transposed_address_of(const matrix &m, int k, int n)
{
    return m.start + (uint32_t)(n / 64) * m.leading + (uint32_t)(k / 8) * m.stride + (uint32_t)(k % 8) * 128 +
           (uint32_t)(n % 64) * 2;
}

static void read_b(operands *to, const simt_warpgroup_mma &m, int is_start)
{
    const matrix b = decoded(m.b_matrix, m.transposed);
    uint16_t piece[8];
    for (int k = 0; k < DEPTH && m.transposed; k++)
        for (int n = 0; n < m.n; n += 8) {
            piece_at(piece, transposed_address_of(b, k, n), is_start);
            memcpy(&to->b[k][n], piece, sizeof piece);
        }
    for (int n = 0; n < m.n && !m.transposed; n++)
        for (int k = 0; k < DEPTH; k++) {
            if (k % 8 == 0)
                piece_at(piece, address_of(b, n, k), is_start);
            to->b[k][n] = piece[k % 8];
        }
}

static void read_operands(operands *to, const simt_warpgroup_mma &m, int a_in_registers, int is_start)
{
    read_b(to, m, is_start);
    if (a_in_registers)
        return;
    const matrix a = decoded(m.a_matrix, 0);
    uint16_t piece[8];
    for (int row = 0; row < WARPS * ROWS; row++)
        for (int k = 0; k < DEPTH; k += 8) {
            piece_at(piece, address_of(a, row, k), is_start);
            memcpy(&to->a[row][k], piece, sizeof piece);
        }
}

static int same_operands(const operands &x, const operands &y, const simt_warpgroup_mma &m, int a_in_registers)
{
    for (int k = 0; k < DEPTH; k++)
        if (memcmp(x.b[k], y.b[k], (size_t)m.n * 2) != 0)
            return 0;
    return a_in_registers || memcmp(x.a, y.a, sizeof x.a) == 0;
}

/* --- registers --- */

/* Not looked at by sanitizers: an array that products used may be out of scope since. */
__attribute__((no_sanitize("address"))) static void copy_registers(uint32_t *to, const void *from, size_t words)
{
    const volatile uint32_t *p = static_cast<const volatile uint32_t *>(from);
    for (size_t i = 0; i < words; i++)
        to[i] = p[i];
}

static void look_at(fenced_registers *r)
{
    r->values.resize(WARP * r->words);
    for (int lane = 0; lane < WARP; lane++)
        copy_registers(&r->values[(size_t)lane * r->words], r->at[lane], r->words);
}

static fenced_registers *known_registers(warp_products *w, const void *lane_0, size_t words)
{
    for (fenced_registers &r : w->known)
        if (r.at[0] == lane_0 && r.words == words)
            return &r;
    return NULL;
}

template <class T> static void check_fenced(warp_products *w, T *const at[WARP], size_t words, const char *what)
{
    if (!w->is_fenced)
        simt_stop("warpgroup_mma: no warpgroup_fence since the start or the last wait");
    if (fenced_registers *r = known_registers(w, at[0], words)) {
        const std::vector<uint32_t> before = r->values;
        look_at(r);
        if (before != r->values)
            simt_stop("warpgroup_mma: registers of %s were written after the last warpgroup_fence", what);
        return;
    }
    fenced_registers r;
    for (int lane = 0; lane < WARP; lane++)
        r.at[lane] = at[lane];
    r.words = words;
    look_at(&r);
    w->known.push_back(std::move(r));
}

/* --- a product starts --- */

static void check_together(void *const given[WARPS * WARP])
{
    const simt_warpgroup_mma *first = static_cast<const simt_warpgroup_mma *>(given[0]);
    for (int i = 1; i < WARPS * WARP; i++) {
        const simt_warpgroup_mma *m = static_cast<const simt_warpgroup_mma *>(given[i]);
        if (m->n != first->n || m->a_matrix != first->a_matrix || m->b_matrix != first->b_matrix ||
            m->transposed != first->transposed || m->adds != first->adds || !m->a != !first->a)
            simt_stop("warpgroup_mma: threads 0 and %d of the warpgroup want different products", i);
    }
}

/* The accumulators are those of a product under way; 0: of none. */
static int continues(const warp_products *w, const product &p)
{
    for (const product &before : w->pending)
        if (before.d_at[0] == p.d_at[0]) {
            if (before.m.n != p.m.n)
                simt_stop("warpgroup_mma: accumulators of a product of another shape, which is under way");
            return 1;
        }
    return 0;
}

static void take_accumulators(warp_products *w, product *p)
{
    const size_t words = (size_t)p->m.n / 2;
    check_fenced(w, p->d_at, words, "an accumulator");
    p->d.resize(WARP * words);
    for (int lane = 0; lane < WARP; lane++) {
        memcpy(&p->d[(size_t)lane * words], p->d_at[lane], words * sizeof(float));
        memset(p->d_at[lane], 0xff, words * sizeof(float));
    }
}

void simt_meet_warpgroup_mma(void *const given[WARPS * WARP], unsigned first_warp)
{
    check_together(given);
    product p = {};
    p.m = *static_cast<const simt_warpgroup_mma *>(given[0]);
    read_operands(&p.read, p.m, p.m.a != NULL, 1);
    for (int warp = 0; warp < WARPS; warp++) {
        warp_products *w = &warps[first_warp + (unsigned)warp];
        product own = p;
        own.warp = warp;
        own.group = w->n_committed;
        for (int lane = 0; lane < WARP; lane++) {
            const simt_warpgroup_mma *m = static_cast<const simt_warpgroup_mma *>(given[warp * WARP + lane]);
            own.d_at[lane] = m->d;
            own.a_at[lane] = m->a;
            if (m->a)
                memcpy(own.a[lane], m->a, sizeof own.a[lane]);
        }
        if (p.m.a)
            check_fenced(w, own.a_at, 4, "a");
        if (!continues(w, own))
            take_accumulators(w, &own);
        w->pending.push_back(std::move(own));
    }
}

/* --- and is done --- */

static float float_of(uint32_t half)
{
    return __uint_as_float(half << 16);
}

/* The warp's rows of a. */
static void rows_of_a(float (&a)[ROWS][DEPTH], const product &p)
{
    for (int row = 0; row < ROWS && !p.m.a; row++)
        for (int k = 0; k < DEPTH; k++)
            a[row][k] = float_of(p.read.a[p.warp * ROWS + row][k]);
    for (int i = 0; i < WARP * 4 && p.m.a; i++) {
        const int lane = i / 4, part = i % 4, row = lane / 4 + part % 2 * 8, k = lane % 4 * 2 + part / 2 * 8;
        a[row][k] = float_of(p.a[lane][part] & 0xffffu);
        a[row][k + 1] = float_of(p.a[lane][part] >> 16);
    }
}

/* d becomes d + a b; sums go from k = 0 up. */
static void compute(std::vector<float> &d, const product &p)
{
    static float b[DEPTH][MOST_COLS], sums[ROWS][MOST_COLS];
    float a[ROWS][DEPTH];
    const int n = p.m.n;
    rows_of_a(a, p);
    for (int k = 0; k < DEPTH; k++)
        for (int c = 0; c < n; c++)
            b[k][c] = float_of(p.read.b[k][c]);
    for (int i = 0; i < WARP * n / 2; i++) {
        const int lane = i / (n / 2), at = i % (n / 2);
        sums[lane / 4 + at % 4 / 2 * 8][at / 4 * 8 + lane % 4 * 2 + at % 2] = p.m.adds ? d[(size_t)i] : 0.0f;
    }
    for (int row = 0; row < ROWS; row++)
        for (int k = 0; k < DEPTH; k++)
            for (int c = 0; c < n; c++)
                sums[row][c] += a[row][k] * b[k][c];
    for (int i = 0; i < WARP * n / 2; i++) {
        const int lane = i / (n / 2), at = i % (n / 2);
        d[(size_t)i] = sums[lane / 4 + at % 4 / 2 * 8][at / 4 * 8 + lane % 4 * 2 + at % 2];
    }
}

static void check_unchanged(const product &p)
{
    static operands now;
    read_operands(&now, p.m, p.m.a != NULL, 0);
    if (!same_operands(p.read, now, p.m, p.m.a != NULL))
        simt_stop("warpgroup_mma: shared memory that a product reads was written before it was waited for");
    for (int lane = 0; lane < WARP && p.m.a; lane++) {
        uint32_t a[4];
        copy_registers(a, p.a_at[lane], 4);
        if (memcmp(a, p.a[lane], sizeof a) != 0)
            simt_stop("warpgroup_mma: registers of a were written before the product was waited for");
    }
}

static void deliver(warp_products *w, const product &p, const std::vector<float> &d)
{
    const size_t words = (size_t)p.m.n / 2;
    for (int lane = 0; lane < WARP; lane++) {
        for (size_t i = 0; i < words; i++)
            if (__float_as_uint(p.d_at[lane][i]) != POISON)
                simt_stop("warpgroup_mma: accumulators were written before the product was waited for");
        memcpy(p.d_at[lane], &d[(size_t)lane * words], words * sizeof(float));
    }
    if (fenced_registers *r = known_registers(w, p.d_at[0], words))
        look_at(r);
}

/* The oldest product under way; its result goes to the next one with its accumulators, or into the registers. */
static void finish(warp_products *w)
{
    product p = std::move(w->pending.front());
    w->pending.erase(w->pending.begin());
    check_unchanged(p);
    compute(p.d, p);
    for (product &next : w->pending)
        if (next.d_at[0] == p.d_at[0]) {
            next.d = std::move(p.d);
            return;
        }
    deliver(w, p, p.d);
}

/* --- the calls of a warp --- */

struct warp_call {
    unsigned warp;
    int groups;
};

static void meet_fence(void *const given[WARP], unsigned)
{
    warp_products *w = &warps[static_cast<warp_call *>(given[0])->warp];
    w->is_fenced = 1;
    for (fenced_registers &r : w->known)
        look_at(&r);
}

static void meet_commit(void *const given[WARP], unsigned)
{
    warps[static_cast<warp_call *>(given[0])->warp].n_committed++;
}

static void meet_wait(void *const given[WARP], unsigned)
{
    const warp_call *call = static_cast<warp_call *>(given[0]);
    warp_products *w = &warps[call->warp];
    w->is_fenced = 0;
    while (!w->pending.empty() && w->pending.front().group < w->n_committed - call->groups)
        finish(w);
}

void warpgroup_fence()
{
    warp_call call = {simt_warp_of_warpgroup("warpgroup_fence"), 0};
    simt_meet(meet_fence, "warpgroup_fence", 0xffffffffu, &call);
}

void warpgroup_commit()
{
    warp_call call = {simt_warp_of_warpgroup("warpgroup_commit"), 0};
    simt_meet(meet_commit, "warpgroup_commit", 0xffffffffu, &call);
}

void simt_warpgroup_wait(int groups)
{
    warp_call call = {simt_warp_of_warpgroup("warpgroup_wait"), groups};
    simt_meet(meet_wait, "warpgroup_wait", 0xffffffffu, &call);
}

int simt_products_pending(unsigned warp)
{
    return (int)warps[warp].pending.size();
}
