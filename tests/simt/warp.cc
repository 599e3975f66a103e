/* SPDX-License-Identifier: Apache-2.0
 * What lanes compute when they meet, and the asynchronous copies of one thread. */
#include "simt_hardware.h"
#include "simt_private.h"

#define WARP 32

void simt_meet_nothing(void *const given[32], unsigned mask)
{
    (void)given;
    (void)mask;
}

/* --- shuffles --- */

/* The value of lane `from`; a lane outside the mask has none, which shows as 0xff. */
static void shuffled(void *const given[32], simt_shuffle *own, int from)
{
    const simt_shuffle *source = static_cast<const simt_shuffle *>(given[from]);
    own->result = source ? source->value : ~(uint64_t)0;
}

/* from(lane, first lane of its segment, shuffle) is the source, or the lane itself where that leaves the segment. */
template <class F> static void shuffle(void *const given[32], F from)
{
    for (int lane = 0; lane < WARP; lane++) {
        simt_shuffle *own = static_cast<simt_shuffle *>(given[lane]);
        if (!own)
            continue;
        if (own->width < 1 || own->width > WARP || (own->width & (own->width - 1)))
            simt_stop("a shuffle's width of %d", own->width);
        const int source = from(lane, lane & ~(own->width - 1), own);
        shuffled(given, own, source);
    }
}

void simt_meet_shuffle(void *const given[32], unsigned)
{
    shuffle(given, [](int, int first, const simt_shuffle *s) { return first + (s->by & (s->width - 1)); });
}

void simt_meet_shuffle_up(void *const given[32], unsigned)
{
    shuffle(given, [](int lane, int first, const simt_shuffle *s) {
        const int from = lane - (s->by & 31);
        return from < first ? lane : from;
    });
}

void simt_meet_shuffle_down(void *const given[32], unsigned)
{
    shuffle(given, [](int lane, int first, const simt_shuffle *s) {
        const int from = lane + (s->by & 31);
        return from >= first + s->width ? lane : from;
    });
}

void simt_meet_shuffle_xor(void *const given[32], unsigned)
{
    shuffle(given, [](int lane, int first, const simt_shuffle *s) {
        const int from = lane ^ (s->by & 31);
        return from >= first + s->width ? lane : from;
    });
}

/* --- votes --- */

void simt_meet_ballot(void *const given[32], unsigned)
{
    unsigned votes = 0;
    for (int lane = 0; lane < WARP; lane++)
        if (given[lane] && static_cast<simt_vote *>(given[lane])->value)
            votes |= 1u << lane;
    for (int lane = 0; lane < WARP; lane++)
        if (given[lane])
            static_cast<simt_vote *>(given[lane])->result = votes;
}

void simt_meet_match_any(void *const given[32], unsigned)
{
    for (int lane = 0; lane < WARP; lane++) {
        simt_vote *own = static_cast<simt_vote *>(given[lane]);
        if (!own)
            continue;
        own->result = 0;
        for (int other = 0; other < WARP; other++)
            if (given[other] && static_cast<simt_vote *>(given[other])->value == own->value)
                own->result |= 1u << other;
    }
}

/* --- matrix instructions --- */

static float low_half(uint32_t v)
{
    return __uint_as_float(v << 16);
}

static float high_half(uint32_t v)
{
    return __uint_as_float(v & 0xffff0000u);
}

/* Products are exact in f32; the sums go from k = 0 up. */
void simt_meet_mma(void *const given[32], unsigned)
{
    float a[16][16], b[16][8], d[16][8];
    for (int lane = 0; lane < WARP; lane++) {
        const simt_mma *m = static_cast<const simt_mma *>(given[lane]);
        const int g = lane / 4, t = lane % 4;
        for (int i = 0; i < 4; i++) {
            const int row = g + i % 2 * 8, k = 2 * t + i / 2 * 8;
            a[row][k] = low_half(m->a[i]);
            a[row][k + 1] = high_half(m->a[i]);
            d[g + i / 2 * 8][2 * t + i % 2] = m->d[i];
        }
        for (int i = 0; i < 2; i++) {
            b[2 * t + 8 * i][g] = low_half(m->b[i]);
            b[2 * t + 8 * i + 1][g] = high_half(m->b[i]);
        }
    }
    for (int row = 0; row < 16; row++)
        for (int k = 0; k < 16; k++)
            for (int column = 0; column < 8; column++)
                d[row][column] += a[row][k] * b[k][column];
    for (int lane = 0; lane < WARP; lane++)
        for (int i = 0; i < 4; i++)
            static_cast<const simt_mma *>(given[lane])->d[i] = d[lane / 4 + i / 2 * 8][2 * (lane % 4) + i % 2];
}

static void load(void *const given[32], int transposed)
{
    uint16_t m[4][8][8];
    for (int lane = 0; lane < WARP; lane++)
        memcpy(m[lane / 8][lane % 8], static_cast<const simt_load *>(given[lane])->row, 16);
    for (int lane = 0; lane < WARP; lane++)
        for (int i = 0; i < 4; i++) {
            const int across = lane / 4, pair = 2 * (lane % 4);
            const uint32_t low = transposed ? m[i][pair][across] : m[i][across][pair];
            const uint32_t high = transposed ? m[i][pair + 1][across] : m[i][across][pair + 1];
            static_cast<const simt_load *>(given[lane])->r[i] = high << 16 | low;
        }
}

void simt_meet_load(void *const given[32], unsigned)
{
    load(given, 0);
}

void simt_meet_load_transposed(void *const given[32], unsigned)
{
    load(given, 1);
}

/* --- asynchronous copies --- */

void copy_async_16(void *shared, const void *global, bool valid)
{
    simt_copies *c = simt_thread_copies();
    simt_check_shared("copy_async_16", shared, 16);
    if (valid && (uintptr_t)global % 16 != 0)
        simt_stop("copy_async_16: the source %p is not aligned to 16", global);
    if (valid && !simt_is_device(global) && !simt_is_page_locked(global))
        simt_stop("copy_async_16: the source %p is not in device memory", global);
    memset(shared, 0xff, 16);
    c->pending.push_back({shared, valid ? global : NULL, c->n_committed});
}

void copies_commit()
{
    simt_thread_copies()->n_committed++;
}

/* Copies that are in no group yet stay under way. */
void simt_copies_wait(int groups)
{
    simt_copies *c = simt_thread_copies();
    const int until = c->n_committed - groups;
    size_t n = 0;
    for (; n < c->pending.size() && c->pending[n].group < until; n++) {
        c->unfenced.push_back(c->pending[n].to);
        if (c->pending[n].from)
            memcpy(c->pending[n].to, c->pending[n].from, 16);
        else
            memset(c->pending[n].to, 0, 16);
    }
    c->pending.erase(c->pending.begin(), c->pending.begin() + (ptrdiff_t)n);
}
