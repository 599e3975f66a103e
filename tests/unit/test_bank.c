/* SPDX-License-Identifier: Apache-2.0
 * The bank: slots and their handles, sharing, what a tracked frame reads, what is dropped and when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bank.h"
#include "fake_device.h"
#include "heap.h"

#define ANY_FRAME INT64_MIN /* read rule: no frame is passed over */

typedef struct fixture {
    trk_ledger ledger, host;
    trk_bank bank;
} fixture;

static const trk_bank_params small = {
    .n_tokens = 2, .mem_dim = 32, .pointer_dim = 8, .mask_elements = 100, .slots_per_slab = 4};

static void open_fixture(fixture *f)
{
    trk_ledger_init(&f->ledger, &fake_device);
    trk_ledger_init(&f->host, &trk_host_memory);
    assert_int_equal(trk_bank_init(&f->bank, &f->ledger, &f->host, &small), TRK_OK);
}

static void close_fixture(fixture *f)
{
    trk_bank_use use;
    trk_bank_measure(&f->bank, &use);
    for (int kind = 0; kind < TRK_SLOT_KINDS; kind++)
        assert_int_equal(use.used[kind], 0);
    assert_int_equal(use.bytes_used, 0);
    trk_bank_trim(&f->bank);
    assert_int_equal(f->ledger.account.total_now, 0);
    trk_bank_release(&f->bank);
    assert_int_equal(f->host.account.total_now, 0);
    trk_ledger_destroy(&f->ledger);
    trk_ledger_destroy(&f->host);
    assert_int_equal(fake_now, 0);
}

static void stamp(fixture *f, trk_slot slot, int64_t value)
{
    void *data = NULL;
    assert_int_equal(trk_slot_data(&f->bank, slot, &data), TRK_OK);
    assert_int_equal((uintptr_t)data % TRK_ALIGNMENT, 0);
    fake_write(&fake_device, data, &value, sizeof value);
}

static int64_t stamp_of(fixture *f, trk_slot slot)
{
    void *data = NULL;
    int64_t value;
    assert_int_equal(trk_slot_data(&f->bank, slot, &data), TRK_OK);
    fake_read(&fake_device, &value, data, sizeof value);
    return value;
}

/* --- slots --- */

static void slots_have_the_size_of_their_kind(void **state)
{
    (void)state;
    const size_t bytes[TRK_SLOT_KINDS] = {128, 256, 128, 68, 32, 100},
                 strides[TRK_SLOT_KINDS] = {128, 256, 128, 128, 64, 128};
    fixture f;
    open_fixture(&f);
    for (int kind = 0; kind < TRK_SLOT_KINDS; kind++) {
        trk_slot slot;
        size_t before = f.ledger.account.total_now;
        assert_int_equal(trk_bank_slot_bytes(&small, (trk_slot_kind)kind), bytes[kind]);
        assert_int_equal(trk_slot_take(&f.bank, (trk_slot_kind)kind, &slot), TRK_OK);
        assert_int_equal(f.ledger.account.total_now - before, 4 * strides[kind]);
        assert_int_equal(trk_slot_kind_of(slot), kind);
        assert_false(trk_slot_is_null(slot));
        trk_slot_drop(&f.bank, slot);
    }
    close_fixture(&f);
}

static void stale_handles_are_found_out(void **state)
{
    (void)state;
    fixture f;
    trk_slot a, b;
    void *data = NULL;
    open_fixture(&f);
    assert_int_equal(trk_slot_take(&f.bank, TRK_SLOT_POINTER, &a), TRK_OK);
    trk_slot_drop(&f.bank, a);
    assert_int_equal(trk_slot_data(&f.bank, a, &data), TRK_E_STATE);
    assert_int_equal(trk_slot_take(&f.bank, TRK_SLOT_POINTER, &b), TRK_OK);
    assert_int_equal(a.index, b.index); /* the same place, another life */
    assert_int_not_equal(a.generation, b.generation);
    assert_int_equal(trk_slot_data(&f.bank, a, &data), TRK_E_STATE);
    assert_non_null(strstr(trk_error_text(), "generation 1, expected 2"));
    trk_slot_drop(&f.bank, a); /* b's reference stays */
    assert_true(trk_slot_is_null(trk_slot_share(&f.bank, a)));
    assert_int_equal(trk_slot_data(&f.bank, b, &data), TRK_OK);
    trk_slot_drop(&f.bank, b);
    trk_bank_trim(&f.bank);
    assert_int_equal(trk_slot_data(&f.bank, b, &data), TRK_E_STATE);
    trk_slot c;
    assert_int_equal(trk_slot_take(&f.bank, TRK_SLOT_POINTER, &c), TRK_OK); /* generations outlive a trimmed slab */
    assert_int_equal(trk_slot_data(&f.bank, b, &data), TRK_E_STATE);
    const trk_slot strange[] = {{0, 0}, {1u << 29, 1}, {7u << 29 | 1, 1}, {UINT32_MAX, 1}, {5, 1}};
    for (int i = 0; i < 5; i++)
        assert_int_equal(trk_slot_data(&f.bank, strange[i], &data), TRK_E_STATE);
    trk_slot_drop(&f.bank, (trk_slot){0, 0});
    trk_slot_drop(&f.bank, c);
    close_fixture(&f);
}

static void slots_are_shared_reused_and_owned(void **state)
{
    (void)state;
    fixture f;
    trk_bank_use use;
    trk_slot a, own;
    open_fixture(&f);
    assert_int_equal(trk_slot_take(&f.bank, TRK_SLOT_F32, &a), TRK_OK);
    stamp(&f, a, 42);
    own = trk_slot_share(&f.bank, a);
    assert_int_equal(own.index, a.index);
    assert_int_equal(trk_slot_own(&f.bank, TRK_SLOT_F32, &own), TRK_OK); /* shared: a fresh one */
    assert_int_not_equal(own.index, a.index);
    stamp(&f, own, 43);
    assert_int_equal(stamp_of(&f, a), 42);
    trk_slot same = own;
    assert_int_equal(trk_slot_own(&f.bank, TRK_SLOT_F32, &own), TRK_OK); /* its own: stays */
    assert_int_equal(own.index, same.index);
    assert_int_equal(trk_slot_own(&f.bank, TRK_SLOT_Q8, &own), TRK_OK); /* of another kind */
    assert_int_equal(trk_slot_kind_of(own), TRK_SLOT_Q8);
    trk_bank_measure(&f.bank, &use);
    assert_int_equal(use.used[TRK_SLOT_F32], 1);
    assert_int_equal(use.free[TRK_SLOT_F32], 3);
    assert_int_equal(use.used[TRK_SLOT_Q8], 1);
    assert_int_equal(use.bytes_used, 256 + 68);
    assert_int_equal(use.n_copies, 1);
    assert_int_equal(use.n_taken, 3);
    assert_int_equal(use.n_reused, 0);
    trk_slot_drop(&f.bank, a);
    trk_slot again;
    assert_int_equal(trk_slot_take(&f.bank, TRK_SLOT_F32, &again), TRK_OK);
    assert_int_equal(again.index, a.index);
    assert_int_equal(stamp_of(&f, again), -1); /* overwritten with 0xff when it was freed */
    trk_bank_measure(&f.bank, &use);
    assert_int_equal(use.n_reused, 1);
    trk_slot_drop(&f.bank, again);
    trk_slot_drop(&f.bank, own);
    close_fixture(&f);
}

static void reserve_and_trim(void **state)
{
    (void)state;
    fixture f;
    trk_slot slot;
    open_fixture(&f);
    assert_int_equal(trk_bank_reserve(&f.bank, TRK_SLOT_BF16, 10), TRK_OK);
    assert_int_equal(f.ledger.account.total_now, 12 * 128);
    assert_int_equal(trk_bank_reserve(&f.bank, TRK_SLOT_BF16, 12), TRK_OK);
    assert_int_equal(trk_slot_take(&f.bank, TRK_SLOT_BF16, &slot), TRK_OK);
    stamp(&f, slot, 5);
    assert_int_equal(f.ledger.account.total_now, 12 * 128);
    assert_int_equal(trk_bank_trim(&f.bank), 8 * 128);
    assert_int_equal(stamp_of(&f, slot), 5); /* slots never move */
    assert_int_equal(trk_bank_reserve(&f.bank, TRK_SLOT_BF16, 12), TRK_OK);
    trk_slot more[11];
    for (int i = 0; i < 11; i++)
        assert_int_equal(trk_slot_take(&f.bank, TRK_SLOT_BF16, &more[i]), TRK_OK);
    assert_int_equal(f.ledger.account.total_now, 12 * 128);
    for (int i = 0; i < 11; i++)
        trk_slot_drop(&f.bank, more[i]);
    trk_slot_drop(&f.bank, slot);
    close_fixture(&f);
}

typedef struct victim {
    fixture *f;
    trk_slot slots[4];
    int n, n_calls;
} victim;

static int drop_one(void *user, size_t bytes)
{
    (void)bytes;
    victim *v = user;
    v->n_calls++;
    if (v->n == 0)
        return 0;
    trk_slot_drop(&v->f->bank, v->slots[--v->n]);
    return 1;
}

/* a budget for six slots: a slab of four, two single ones, then what others give up */
static void slots_within_a_budget(void **state)
{
    (void)state;
    fixture f;
    trk_slot slots[10];
    open_fixture(&f);
    f.ledger.budget = 6 * 128 + 60;
    victim v = {.f = &f};
    for (; v.n < 4; v.n++)
        assert_int_equal(trk_slot_take(&f.bank, TRK_SLOT_BF16, &v.slots[v.n]), TRK_OK);
    f.ledger.reclaim = drop_one;
    f.ledger.reclaim_user = &v;
    int n = 0;
    while (n < 10 && trk_slot_take(&f.bank, TRK_SLOT_BF16, &slots[n]) == TRK_OK)
        n++;
    assert_int_equal(n, 6);
    assert_int_equal(v.n_calls, 5);
    assert_int_equal(f.ledger.account.total_now, 6 * 128);
    assert_int_equal(trk_slot_take(&f.bank, TRK_SLOT_BF16, &slots[n]), TRK_E_MEMORY);
    assert_non_null(strstr(trk_error_text(), "no memory for 128 bytes of memories bf16: 768 of 828 bytes in use"));
    assert_int_equal(trk_bank_reserve(&f.bank, TRK_SLOT_BF16, 7), TRK_E_MEMORY);
    for (int i = 0; i < n; i++)
        trk_slot_drop(&f.bank, slots[i]);
    assert_int_equal(trk_bank_trim(&f.bank), 6 * 128);
    close_fixture(&f);
}

static int trim(void *user, size_t bytes)
{
    (void)bytes;
    return trk_bank_trim(user) > 0;
}

/* What reclaiming takes may be what was reserved: it helps as long as another kind had some. */
static void reserving_in_vain_ends(void **state)
{
    (void)state;
    fixture f;
    trk_bank_use use;
    open_fixture(&f);
    f.ledger.budget = 8 * 128;
    f.ledger.reclaim = trim;
    f.ledger.reclaim_user = &f.bank;
    assert_int_equal(trk_bank_reserve(&f.bank, TRK_SLOT_F32, 2), TRK_OK);
    assert_int_equal(trk_bank_reserve(&f.bank, TRK_SLOT_BF16, 8), TRK_OK);
    assert_int_equal(trk_bank_reserve(&f.bank, TRK_SLOT_BF16, 9), TRK_E_MEMORY);
    trk_bank_measure(&f.bank, &use);
    assert_int_equal(use.free[TRK_SLOT_F32], 0);
    close_fixture(&f);
}

static void masks_only_where_there_are_any(void **state)
{
    (void)state;
    fixture f;
    trk_bank_params params = small;
    trk_slot slot;
    params.mask_elements = 0;
    trk_ledger_init(&f.ledger, &fake_device);
    trk_ledger_init(&f.host, &trk_host_memory);
    assert_int_equal(trk_bank_init(&f.bank, &f.ledger, &f.host, &params), TRK_OK);
    assert_int_equal(trk_slot_take(&f.bank, TRK_SLOT_MASK, &slot), TRK_E_ARGUMENT);
    close_fixture(&f);
    trk_bank_release(&(trk_bank){0});
}

typedef struct taker {
    pthread_t thread;
    fixture *f;
    unsigned seed;
    int n_failed;
} taker;

static void *take_share_drop(void *user)
{
    taker *t = user;
    trk_slot held[32] = {{0, 0}};
    for (int step = 0; step < 5000; step++) {
        int i = rand_r(&t->seed) % 32, j = rand_r(&t->seed) % 32;
        void *data;
        if (trk_slot_is_null(held[i])) {
            t->n_failed += trk_slot_take(&t->f->bank, (trk_slot_kind)(i % 3), &held[i]) < 0;
        } else if (trk_slot_is_null(held[j])) {
            held[j] = trk_slot_share(&t->f->bank, held[i]);
        } else {
            t->n_failed += trk_slot_data(&t->f->bank, held[i], &data) < 0;
            trk_slot_drop(&t->f->bank, held[i]);
            held[i] = (trk_slot){0, 0};
        }
        if (step % 500 == 0)
            trk_bank_trim(&t->f->bank);
    }
    for (int i = 0; i < 32; i++)
        trk_slot_drop(&t->f->bank, held[i]);
    return NULL;
}

static void slots_among_threads(void **state)
{
    (void)state;
    fixture f;
    taker takers[8];
    open_fixture(&f);
    for (unsigned i = 0; i < 8; i++) {
        takers[i] = (taker){.f = &f, .seed = i + 1};
        assert_int_equal(pthread_create(&takers[i].thread, NULL, take_share_drop, &takers[i]), 0);
    }
    for (int i = 0; i < 8; i++) {
        pthread_join(takers[i].thread, NULL);
        assert_int_equal(takers[i].n_failed, 0);
    }
    close_fixture(&f);
}

/* --- sequences --- */

static void put(fixture *f, trk_sequence *s, int64_t frame, int conditioning, int64_t value)
{
    trk_memory_entry *entry = NULL;
    assert_int_equal(trk_sequence_put(s, frame, conditioning, TRK_STORE_BF16, 0, &entry), TRK_OK);
    assert_int_equal(entry->frame, frame);
    stamp(f, entry->memory, value);
    stamp(f, entry->pointer, value);
}

static trk_read_rule rule_of(int direction, int most)
{
    return (trk_read_rule){direction, most, ANY_FRAME};
}

/* prompt on frame 0, tracked to 39, in either direction: exactly the reference's seven memories and sixteen pointers */
static void check_window(int direction)
{
    fixture f;
    trk_sequence s;
    trk_memory_read reads[64];
    trk_read_rule rule = rule_of(direction, 0);
    trk_bank_use use;
    int n_left_out;
    open_fixture(&f);
    trk_sequence_init(&s, &f.bank, &trk_window_recent, 7, 16, 0);
    put(&f, &s, 0, 1, 0);
    for (int t = 1; t < 40; t++) {
        int64_t frame = (int64_t)t * direction;
        assert_int_equal(trk_sequence_reaches(&s, frame, direction), 1);
        int n = trk_sequence_memories(&s, frame, &rule, reads, &n_left_out);
        assert_int_equal(n, 1 + (t - 1 < 6 ? t - 1 : 6));
        assert_int_equal(n_left_out, 0);
        assert_int_equal(reads[0].age, 0);
        for (int i = 1; i < n; i++) {
            assert_int_equal(reads[i].age, n - i); /* oldest first */
            assert_int_equal(stamp_of(&f, reads[i].slot), frame - direction * (n - i));
        }
        n = trk_sequence_pointers(&s, frame, &rule, reads);
        assert_int_equal(n, 1 + (t - 1 < 15 ? t - 1 : 15));
        assert_int_equal(reads[0].age, t); /* of the conditioning frame: not clamped */
        for (int i = 1; i < n; i++) {
            assert_int_equal(reads[i].age, i); /* newest first */
            assert_int_equal(stamp_of(&f, reads[i].slot), frame - direction * i);
        }
        put(&f, &s, frame, 0, frame);
        trk_sequence_advance(&s, frame + direction, direction);
    }
    assert_int_equal(trk_sequence_reaches(&s, 39 * direction, direction), 0); /* history 0: its window lost a frame */
    trk_bank_measure(&f.bank, &use);
    assert_int_equal(use.used[TRK_SLOT_BF16], 7);
    assert_int_equal(use.used[TRK_SLOT_POINTER], 16);
    trk_sequence_release(&s);
    trk_sequence_release(&(trk_sequence){0});
    close_fixture(&f);
}

static void sequence_reads_what_the_reference_reads(void **state)
{
    (void)state;
    check_window(1);
    check_window(-1);
}

static void sequence_skips_missing_frames_without_shifting(void **state)
{
    (void)state;
    fixture f;
    trk_sequence s;
    trk_memory_read reads[64];
    trk_read_rule rule = rule_of(1, 0);
    open_fixture(&f);
    trk_sequence_init(&s, &f.bank, &trk_window_recent, 7, 16, 0);
    put(&f, &s, 0, 1, 0);
    put(&f, &s, 1, 0, 1);
    put(&f, &s, 3, 0, 3);
    assert_int_equal(trk_sequence_memories(&s, 5, &rule, reads, NULL), 3);
    assert_int_equal(reads[1].age, 4);
    assert_int_equal(reads[2].age, 2);
    rule.without = 0;
    assert_int_equal(trk_sequence_memories(&s, 5, &rule, reads, NULL), 2);
    trk_sequence_release(&s);
    close_fixture(&f);
}

static void sequence_future_conditioning_gives_no_pointer(void **state)
{
    (void)state;
    fixture f;
    trk_sequence s;
    trk_memory_read reads[64];
    trk_read_rule forward = rule_of(1, 0), backward = rule_of(-1, 0);
    open_fixture(&f);
    trk_sequence_init(&s, &f.bank, &trk_window_recent, 7, 16, 0);
    put(&f, &s, 10, 1, 10);
    assert_int_equal(trk_sequence_memories(&s, 4, &forward, reads, NULL), 1);
    assert_int_equal(trk_sequence_pointers(&s, 4, &forward, reads), 0);
    assert_int_equal(trk_sequence_pointers(&s, 12, &backward, reads), 0);
    assert_int_equal(trk_sequence_pointers(&s, 10, &forward, reads), 1);
    assert_int_equal(reads[0].age, 0);
    assert_int_equal(trk_sequence_reaches(&s, 10, 1), 0);
    assert_int_equal(trk_sequence_reaches(&s, 11, 1), 1);
    assert_int_equal(trk_sequence_reaches(&s, 9, -1), 1);
    trk_sequence_release(&s);
    close_fixture(&f);
}

static void sequence_put_overwrites_and_converts(void **state)
{
    (void)state;
    fixture f;
    trk_sequence s;
    trk_memory_entry *entry;
    trk_bank_use use;
    open_fixture(&f);
    trk_sequence_init(&s, &f.bank, &trk_window_recent, 7, 16, 0);
    put(&f, &s, 3, 0, 1);
    put(&f, &s, 3, 0, 2);
    assert_int_equal(s.recent.n, 1);
    put(&f, &s, 3, 1, 3); /* becomes a conditioning entry */
    assert_int_equal(s.recent.n, 0);
    put(&f, &s, 3, 0, 4); /* and stays one */
    assert_int_equal(s.conditioning.n, 1);
    assert_int_equal(trk_sequence_find(&s, 3)->conditioning, 1);
    assert_int_equal(trk_sequence_put(&s, 3, 0, TRK_STORE_Q8, 1, &entry), TRK_OK);
    assert_int_equal(trk_slot_kind_of(entry->memory), TRK_SLOT_Q8);
    assert_int_equal(trk_slot_kind_of(entry->mask), TRK_SLOT_MASK);
    put(&f, &s, 3, 0, 5);
    assert_true(trk_slot_is_null(trk_sequence_find(&s, 3)->mask));
    trk_bank_measure(&f.bank, &use);
    assert_int_equal(use.used[TRK_SLOT_BF16], 1);
    assert_int_equal(use.used[TRK_SLOT_Q8] + use.used[TRK_SLOT_MASK], 0);
    assert_int_equal(trk_sequence_remove(&s, 3, 3), 1);
    assert_int_equal(trk_sequence_remove(&s, 3, 3), 0);
    for (int i = 0; i < 50; i++)
        put(&f, &s, i, i % 2, i);
    assert_int_equal(s.conditioning.n, 25);
    assert_int_equal(s.recent.n, 25);
    assert_int_equal(trk_sequence_remove(&s, 10, 19), 10);
    assert_null(trk_sequence_find(&s, 10));
    assert_non_null(trk_sequence_find(&s, 20));
    trk_sequence_rebase(&s, -1000);
    assert_int_equal(stamp_of(&f, trk_sequence_find(&s, -980)->memory), 20);
    trk_sequence_release(&s);
    close_fixture(&f);
}

static void older_memories_are_recoded(void **state)
{
    (void)state;
    fixture f;
    trk_sequence s;
    trk_memory_entry *entry;
    int n = 0;
    open_fixture(&f);
    trk_sequence_init(&s, &f.bank, &trk_window_recent, 7, 16, -1);
    put(&f, &s, 0, 1, 0);
    for (int t = 1; t < 10; t++)
        put(&f, &s, t, 0, t);
    while ((entry = trk_sequence_next_to_recode(&s, 10, 1, 3, TRK_STORE_Q8))) {
        assert_in_range(entry->frame, 1, 7);
        assert_int_equal(trk_slot_own(&f.bank, TRK_SLOT_Q8, &entry->memory), TRK_OK);
        n++;
    }
    assert_int_equal(n, 7);
    assert_int_equal(trk_slot_kind_of(trk_sequence_find(&s, 8)->memory), TRK_SLOT_BF16);
    trk_sequence_release(&s);
    close_fixture(&f);
}

static void forks_cost_nothing_until_written(void **state)
{
    (void)state;
    fixture f;
    trk_sequence s, forks[8];
    trk_bank_use before, after;
    size_t own[TRK_SLOT_KINDS] = {0};
    open_fixture(&f);
    trk_sequence_init(&s, &f.bank, &trk_window_recent, 7, 16, 0);
    for (int t = 0; t < 12; t++)
        put(&f, &s, t, t == 0 || t == 4, t);
    size_t device_bytes = f.ledger.account.total_now;
    trk_bank_measure(&f.bank, &before);
    for (int i = 0; i < 8; i++)
        assert_int_equal(trk_sequence_fork(&forks[i], &s), TRK_OK);
    trk_bank_measure(&f.bank, &after);
    assert_int_equal(after.bytes_used, before.bytes_used);
    assert_int_equal(f.ledger.account.total_now, device_bytes);
    for (int i = 0; i < 8; i++)
        put(&f, &forks[i], 11, 0, 1000 + i);
    trk_bank_measure(&f.bank, &after);
    trk_sequence_count_own(&forks[7], own);
    assert_int_equal(own[TRK_SLOT_BF16], 1);
    assert_int_equal(own[TRK_SLOT_POINTER], 1);
    assert_int_equal(after.bytes_used, before.bytes_used + 8 * (128 + 32));
    assert_int_equal(after.n_copies, 16);
    for (int t = 0; t < 12; t++)
        assert_int_equal(stamp_of(&f, trk_sequence_find(&s, t)->memory), t);
    put(&f, &s, 4, 1, 44);
    trk_sequence_release(&s);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(stamp_of(&f, trk_sequence_find(&forks[i], 11)->pointer), 1000 + i);
        assert_int_equal(stamp_of(&f, trk_sequence_find(&forks[i], 4)->pointer), 4);
        assert_int_equal(trk_sequence_find(&forks[i], 4)->conditioning, 1);
        trk_sequence_release(&forks[i]);
    }
    close_fixture(&f);
}

/* --- every allocation fails once --- */

static trk_status scenario(fixture *f, trk_sequence *a, trk_sequence *b)
{
    trk_status rc;
    trk_memory_entry *entry;
    trk_ledger_init(&f->ledger, &trk_cpu_memory);
    trk_ledger_init(&f->host, &trk_host_memory);
    TRK_CHECK(trk_bank_init(&f->bank, &f->ledger, &f->host, &small));
    trk_sequence_init(a, &f->bank, &trk_window_recent, 7, 16, 2);
    for (int t = 0; t < 30; t++) {
        TRK_CHECK(trk_sequence_put(a, t, t % 7 == 0, t % 3 ? TRK_STORE_BF16 : TRK_STORE_Q8, 1, &entry));
        trk_sequence_advance(a, t + 1, 1);
    }
    TRK_CHECK(trk_sequence_fork(b, a));
    for (int t = 25; t < 35; t++)
        TRK_CHECK(trk_sequence_put(b, t, 1, TRK_STORE_F32, 0, &entry));
done:
    return rc;
}

static uint64_t run_scenario(uint64_t first, uint64_t count, trk_status *rc)
{
    trk_account before, after;
    trk_bank_use use;
    fixture f = {0};
    trk_sequence a = {0}, b = {0};
    trk_heap_measure(&before);
    trk_heap_fail(first, count);
    *rc = scenario(&f, &a, &b);
    uint64_t n = trk_heap_fail(0, 0);
    trk_sequence_release(&a);
    trk_sequence_release(&b);
    if (f.bank.pools) {
        trk_bank_measure(&f.bank, &use);
        assert_int_equal(use.bytes_used, 0);
        trk_bank_trim(&f.bank);
    }
    assert_int_equal(f.ledger.account.total_now, 0);
    trk_bank_release(&f.bank);
    assert_int_equal(f.host.account.total_now, 0);
    trk_ledger_destroy(&f.ledger);
    trk_ledger_destroy(&f.host);
    trk_heap_measure(&after);
    assert_int_equal(after.total_now, before.total_now);
    return n;
}

static void running_out_anywhere_is_an_error_and_no_leak(void **state)
{
    (void)state;
    trk_status rc;
    int n_survived = 0;
    uint64_t n = run_scenario(0, 0, &rc);
    assert_int_equal(rc, TRK_OK);
    assert_true(n > 40);
    for (uint64_t i = 1; i <= n; i++) {
        run_scenario(i, UINT64_MAX, &rc);
        assert_int_equal(rc, TRK_E_MEMORY);
        run_scenario(i, 1, &rc); /* a slab that fails once may be made up for by a single slot */
        assert_true(rc == TRK_E_MEMORY || rc == TRK_OK);
        n_survived += rc == TRK_OK;
    }
    assert_true(n_survived < (int)n);
}

/* --- random operations against a naive model --- */

/* Keeps everything ever put, by frame, and reads as upstream's code does: two dictionaries, no window, no dropping. */
#define FRAMES 400 /* frames -200 .. 199 */
#define ZERO   200

typedef struct naive {
    int kind[FRAMES]; /* 0: nothing, 1: tracked, 2: conditioning */
    int64_t value[FRAMES];
    int made[FRAMES]; /* order conditioning entries were made in */
    int n_made;
    int64_t next;       /* frame to be tracked next */
    int64_t whole_from; /* in order of tracking: what advance promised to keep readable */
} naive;

typedef struct expected_read {
    int64_t value;
    int age;
} expected_read;

static int naive_cond(const naive *m, int frame_at, int64_t without)
{
    return m->kind[frame_at] == 2 && frame_at - ZERO != without;
}

/* Frames selected, in order; as Python's: dict order, or before, after, then sorted() by distance, which is stable. */
static int naive_select(const naive *m, int64_t t, const trk_read_rule *rule, int64_t *out)
{
    int64_t all[FRAMES];
    int n = 0, n_all = 0;
    for (int i = 0; i < FRAMES; i++)
        if (naive_cond(m, i, rule->without)) {
            int k = n_all++; /* sorted in, by the order they were made */
            for (; k > 0 && m->made[all[k - 1] + ZERO] > m->made[i]; k--)
                all[k] = all[k - 1];
            all[k] = i - ZERO;
        }
    if (!rule->most_conditioning || n_all <= rule->most_conditioning) {
        memcpy(out, all, (size_t)n_all * sizeof *all);
        return n_all;
    }
    int64_t before = INT64_MIN, after = INT64_MAX;
    for (int i = 0; i < n_all; i++) {
        if (all[i] < t && all[i] > before)
            before = all[i];
        if (all[i] >= t && all[i] < after)
            after = all[i];
    }
    if (rule->most_conditioning == 1) {
        int64_t past = rule->direction > 0 ? before : after, future = rule->direction > 0 ? after : before;
        out[0] = past != INT64_MIN && past != INT64_MAX ? past : future;
        return 1;
    }
    if (before != INT64_MIN)
        out[n++] = before;
    if (after != INT64_MAX)
        out[n++] = after;
    for (int64_t distance = 0; n < rule->most_conditioning; distance++)
        for (int i = 0; i < n_all && n < rule->most_conditioning; i++)
            if (llabs(all[i] - t) == distance && all[i] != before && all[i] != after)
                out[n++] = all[i];
    return n;
}

static int contains(const int64_t *list, int n, int64_t frame)
{
    for (int i = 0; i < n; i++)
        if (list[i] == frame)
            return 1;
    return 0;
}

static int naive_read(const naive *m, int64_t t, const trk_read_rule *rule, int pointers, expected_read *out,
                      int *n_left)
{
    int64_t selected[FRAMES];
    int n_selected = naive_select(m, t, rule, selected), n = 0, window = pointers ? 16 : 7;
    *n_left = -n_selected;
    for (int i = 0; i < FRAMES; i++)
        *n_left += naive_cond(m, i, rule->without);
    for (int i = 0; i < n_selected; i++) {
        int64_t age = (t - selected[i]) * rule->direction;
        if (!pointers || age >= 0)
            out[n++] = (expected_read){m->value[selected[i] + ZERO], pointers ? (int)age : 0};
    }
    for (int step = 1; step < window; step++) {
        int age = pointers ? step : window - step;
        int64_t frame = t - (int64_t)age * rule->direction, at = frame + ZERO;
        if (at < 0 || at >= FRAMES || !m->kind[at] || frame == rule->without || contains(selected, n_selected, frame))
            continue;
        out[n++] = (expected_read){m->value[at], age};
        *n_left -= m->kind[at] == 2;
    }
    return n;
}

static void compare_reads(fixture *f, const trk_sequence *s, const naive *m, int64_t t, const trk_read_rule *rule)
{
    expected_read expected[FRAMES];
    trk_memory_read reads[FRAMES];
    int n_left, n_left_out, n = naive_read(m, t, rule, 0, expected, &n_left);
    assert_int_equal(trk_sequence_memories(s, t, rule, reads, &n_left_out), n);
    assert_int_equal(n_left_out, n_left);
    for (int i = 0; i < n; i++) {
        assert_int_equal(reads[i].age, expected[i].age);
        assert_int_equal(stamp_of(f, reads[i].slot), expected[i].value);
    }
    n = naive_read(m, t, rule, 1, expected, &n_left);
    assert_int_equal(trk_sequence_pointers(s, t, rule, reads), n);
    for (int i = 0; i < n; i++) {
        assert_int_equal(reads[i].age, expected[i].age);
        assert_int_equal(stamp_of(f, reads[i].slot), expected[i].value);
    }
}

/* Every frame that can be reached reads the same as if nothing had ever been dropped, and enough can be reached. */
static int compare_all(fixture *f, const trk_sequence *s, const naive *m, int direction, int most)
{
    int n_compared = 0;
    for (int64_t back = -3; back < 40; back++) {
        int64_t t = m->next - back * direction;
        int has_past = 0;
        for (int i = 0; i < FRAMES; i++)
            has_past |= m->kind[i] == 2 && (t - (i - ZERO)) * direction > 0;
        int reached = trk_sequence_reaches(s, t, direction);
        if (!has_past)
            assert_int_equal(reached, 0);
        else if (m->whole_from == INT64_MIN || t * direction >= m->whole_from)
            assert_int_equal(reached, 1);
        if (!reached)
            continue;
        trk_read_rule rule = {direction, most, ANY_FRAME};
        compare_reads(f, s, m, t, &rule);
        rule.without = t;
        compare_reads(f, s, m, t, &rule);
        n_compared++;
    }
    return n_compared;
}

static void naive_forget(naive *m, int64_t first, int64_t last)
{
    for (int i = 0; i < FRAMES; i++)
        if (i - ZERO >= first && i - ZERO <= last)
            m->kind[i] = 0;
}

static void fuzz_put(fixture *f, trk_sequence *s, naive *m, int64_t frame, int conditioning, int64_t value)
{
    int at = (int)frame + ZERO;
    put(f, s, frame, conditioning, value);
    if (conditioning && m->kind[at] != 2)
        m->made[at] = m->n_made++;
    m->kind[at] = conditioning || m->kind[at] == 2 ? 2 : 1;
    m->value[at] = value;
}

static void fuzz_recode(fixture *f, trk_sequence *s, int64_t t, int direction)
{
    trk_memory_entry *entry;
    while ((entry = trk_sequence_next_to_recode(s, t, direction, 4, TRK_STORE_F32))) {
        int64_t value = stamp_of(f, entry->memory);
        assert_int_equal(trk_slot_own(&f->bank, TRK_SLOT_F32, &entry->memory), TRK_OK);
        stamp(f, entry->memory, value);
    }
}

static void fuzz_step(fixture *f, trk_sequence *s, naive *m, unsigned *seed, int direction)
{
    static int64_t value = 1;
    int dice = rand_r(seed) % 100;
    int64_t behind = m->next - direction * (1 + rand_r(seed) % 12);
    if (dice < 70 && m->next * direction < ZERO - 20) {
        fuzz_put(f, s, m, m->next, s->conditioning.n == 0 || rand_r(seed) % 8 == 0, value++);
        m->next += direction;
        trk_sequence_advance(s, m->next, direction);
        int64_t whole = m->next * direction - s->history;
        if (s->history >= 0 && (m->whole_from == INT64_MIN || whole > m->whole_from))
            m->whole_from = whole;
    } else if (dice < 78 && trk_sequence_find(s, behind)) {
        fuzz_put(f, s, m, behind, rand_r(seed) % 2, value++); /* a correction */
    } else if (dice < 84) {
        int64_t last = behind + rand_r(seed) % 3;
        trk_sequence_remove(s, behind, last);
        naive_forget(m, behind, last);
    } else if (dice < 92) { /* a rewind: that frame and all after it are forgotten; seldom out of reach */
        if (!trk_sequence_reaches(s, behind, direction) && rand_r(seed) % 16)
            return;
        int64_t first = direction > 0 ? behind : INT64_MIN, last = direction > 0 ? INT64_MAX : behind;
        trk_sequence_remove(s, first, last);
        naive_forget(m, first, last);
        m->next = behind;
    } else if (dice < 96) {
        fuzz_recode(f, s, m->next, direction);
    } else { /* a fork takes the sequence's place */
        trk_sequence copy;
        assert_int_equal(trk_sequence_fork(&copy, s), TRK_OK);
        trk_sequence_release(s);
        *s = copy;
    }
}

static size_t count_slots(const trk_sequence *sequences, int n)
{
    static uint32_t seen[4096];
    size_t n_seen = 0;
    for (int i = 0; i < n; i++)
        for (int k = 0; k < sequences[i].conditioning.n + sequences[i].recent.n; k++) {
            int own = k < sequences[i].conditioning.n;
            const trk_memory_entry *e =
                own ? &sequences[i].conditioning.items[k] : &sequences[i].recent.items[k - sequences[i].conditioning.n];
            size_t at = 0;
            while (at < n_seen && seen[at] != e->pointer.index)
                at++;
            if (at == n_seen)
                seen[n_seen++] = e->pointer.index;
        }
    return n_seen;
}

static int fuzz(unsigned seed, int direction, int64_t history, int most)
{
    fixture f;
    trk_sequence s[2];
    static naive m[2];
    trk_bank_use use;
    int n_compared = 0;
    open_fixture(&f);
    trk_sequence_init(&s[0], &f.bank, &trk_window_recent, 7, 16, history);
    m[0] = (naive){.next = -150 * direction, .whole_from = INT64_MIN};
    fuzz_put(&f, &s[0], &m[0], m[0].next, 1, 0);
    m[0].next += direction;
    for (int step = 0; step < 120; step++)
        fuzz_step(&f, &s[0], &m[0], &seed, direction);
    assert_int_equal(trk_sequence_fork(&s[1], &s[0]), TRK_OK);
    m[1] = m[0];
    for (int step = 0; step < 200; step++) {
        int which = rand_r(&seed) % 2;
        fuzz_step(&f, &s[which], &m[which], &seed, direction);
        for (int i = 0; i < 2 && step % 8 == 0; i++)
            n_compared += compare_all(&f, &s[i], &m[i], direction, most);
        trk_bank_measure(&f.bank, &use);
        assert_int_equal(use.used[TRK_SLOT_POINTER], count_slots(s, 2));
    }
    trk_sequence_release(&s[0]);
    trk_sequence_release(&s[1]);
    close_fixture(&f);
    return n_compared;
}

static void random_operations_read_as_if_nothing_was_dropped(void **state)
{
    (void)state;
    const int64_t histories[] = {0, 3, -1};
    const int most[] = {0, 1, 3};
    for (int direction = -1; direction <= 1; direction += 2)
        for (int i = 0; i < 3; i++)
            for (int k = 0; k < 3; k++)
                for (unsigned seed = 1; seed <= 2; seed++)
                    assert_true(fuzz(seed * 7919 + (unsigned)(i * 3 + k), direction, histories[i], most[k]) > 100);
}

/* the promise of whole_from: numbers move with the frames */
static void rebase_moves_what_was_lost(void **state)
{
    (void)state;
    fixture f;
    trk_sequence s;
    open_fixture(&f);
    trk_sequence_init(&s, &f.bank, &trk_window_recent, 7, 16, 2);
    put(&f, &s, 0, 1, 0);
    for (int t = 1; t < 40; t++) {
        put(&f, &s, t, 0, t);
        trk_sequence_advance(&s, t + 1, 1);
    }
    for (int64_t moved = 0; moved <= 1000; moved += 1000) {
        assert_int_equal(trk_sequence_reaches(&s, 40 + moved, 1), 1);
        assert_int_equal(trk_sequence_reaches(&s, 38 + moved, 1), 1);
        assert_int_equal(trk_sequence_reaches(&s, 37 + moved, 1), 0);
        trk_sequence_rebase(&s, 1000);
    }
    trk_sequence_release(&s);
    close_fixture(&f);
}

int main(void)
{
    setenv("TRK_POISON", "1", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_have_the_size_of_their_kind),
        cmocka_unit_test(stale_handles_are_found_out),
        cmocka_unit_test(slots_are_shared_reused_and_owned),
        cmocka_unit_test(reserve_and_trim),
        cmocka_unit_test(reserving_in_vain_ends),
        cmocka_unit_test(slots_within_a_budget),
        cmocka_unit_test(masks_only_where_there_are_any),
        cmocka_unit_test(slots_among_threads),
        cmocka_unit_test(sequence_reads_what_the_reference_reads),
        cmocka_unit_test(sequence_skips_missing_frames_without_shifting),
        cmocka_unit_test(sequence_future_conditioning_gives_no_pointer),
        cmocka_unit_test(sequence_put_overwrites_and_converts),
        cmocka_unit_test(older_memories_are_recoded),
        cmocka_unit_test(forks_cost_nothing_until_written),
        cmocka_unit_test(running_out_anywhere_is_an_error_and_no_leak),
        cmocka_unit_test(random_operations_read_as_if_nothing_was_dropped),
        cmocka_unit_test(rebase_moves_what_was_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
