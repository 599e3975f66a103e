/* SPDX-License-Identifier: Apache-2.0
 * Arena, ledger and bank: what is counted, what is handed back, what a tracked frame reads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arena.h"
#include "bank.h"

static void ledger_counts_now_and_peak(void **state)
{
    (void)state;
    trk_ledger l;
    trk_ledger_init(&l);
    void *a = trk_ledger_allocate(&l, TRK_MEM_BANK, "a", 1000), *b = trk_ledger_allocate(&l, TRK_MEM_PINNED, "b", 500);
    assert_non_null(a);
    assert_int_equal((uintptr_t)a % TRK_ALIGNMENT, 0);
    assert_int_equal(l.now[TRK_MEM_BANK], 1000);
    assert_int_equal(l.total_now, 1500);
    trk_ledger_release(&l, TRK_MEM_BANK, a, 1000);
    assert_int_equal(l.now[TRK_MEM_BANK], 0);
    assert_int_equal(l.peak[TRK_MEM_BANK], 1000);
    trk_ledger_release(&l, TRK_MEM_PINNED, b, 500);
    assert_int_equal(l.total_now, 0);
    assert_int_equal(l.total_peak, 1500);
    assert_null(trk_ledger_allocate(&l, TRK_MEM_BANK, "nothing", 0));
}

static void arena_rewinds_and_reuses(void **state)
{
    (void)state;
    trk_ledger l;
    trk_chunk_pool pool;
    trk_arena frame, scratch;
    trk_ledger_init(&l);
    trk_chunk_pool_init(&pool, &l);
    trk_arena_init(&frame, &pool, TRK_MEM_FRAME);
    trk_arena_init(&scratch, &pool, TRK_MEM_SCRATCH);
    size_t reserved = 0;
    for (int round = 0; round < 5; round++) {
        unsigned char *kept = trk_arena_allocate(&frame, 3000000);
        assert_non_null(kept);
        memset(kept, round, 3000000);
        trk_arena_mark mark = trk_arena_here(&scratch);
        for (int i = 1; i < 40; i++) {
            unsigned char *p = trk_arena_allocate(&scratch, (size_t)i * 77777);
            assert_non_null(p);
            assert_int_equal((uintptr_t)p % TRK_ALIGNMENT, 0);
            memset(p, 0xee, (size_t)i * 77777);
        }
        trk_arena_rewind(&scratch, mark);
        for (size_t i = 0; i < 3000000; i += 4099)
            assert_int_equal(kept[i], round);
        assert_true(l.now[TRK_MEM_FRAME] >= 3000000);
        trk_arena_sweep(&frame);
        assert_int_equal(l.now[TRK_MEM_FRAME], 0);
        if (round == 0)
            reserved = l.total_now;
        assert_int_equal(l.total_now, reserved); /* nothing new after the first round */
    }
    trk_arena_sweep(&scratch);
    trk_chunk_pool_release(&pool);
    assert_int_equal(l.total_now, 0);
}

static void arena_refuses_absurd_sizes(void **state)
{
    (void)state;
    trk_ledger l;
    trk_chunk_pool pool;
    trk_arena scratch;
    trk_ledger_init(&l);
    trk_chunk_pool_init(&pool, &l);
    trk_arena_init(&scratch, &pool, TRK_MEM_SCRATCH);
    assert_null(trk_arena_allocate(&scratch, SIZE_MAX - 10));
    assert_non_null(trk_arena_allocate(&scratch, 1));
    trk_arena_sweep(&scratch);
    trk_chunk_pool_release(&pool);
}

typedef struct fixture {
    trk_ledger ledger;
    trk_bank bank;
    trk_sequence sequence;
} fixture;

static void open_fixture(fixture *f)
{
    trk_ledger_init(&f->ledger);
    trk_bank_init(&f->bank, &f->ledger, 64, 16, 7, 16);
    assert_int_equal(trk_sequence_init(&f->sequence, &f->bank), TRK_OK);
}

static void close_fixture(fixture *f)
{
    trk_sequence_release(&f->sequence);
    trk_bank_release(&f->bank);
    assert_int_equal(f->ledger.total_now, 0);
}

static void put(fixture *f, int64_t frame, int conditioning)
{
    trk_memory_entry *entry;
    assert_int_equal(trk_sequence_put(&f->sequence, frame, conditioning, &entry), TRK_OK);
    assert_int_equal(entry->frame, frame);
    *(int64_t *)trk_slot_data(entry->memory) = frame;
    *(int64_t *)trk_slot_data(entry->pointer) = frame;
}

static int64_t frame_of(const trk_memory_read *read)
{
    return *(const int64_t *)trk_slot_data(read->slot);
}

/* prompt on frame 0, tracked to 39, in either direction: exactly the reference's seven memories and sixteen pointers */
static void check_window(int direction)
{
    fixture f;
    trk_memory_read reads[64];
    open_fixture(&f);
    put(&f, 0, 1);
    for (int t = 1; t < 40; t++) {
        int64_t frame = (int64_t)t * direction;
        int n = trk_sequence_memories(&f.sequence, frame, direction, reads);
        assert_int_equal(n, 1 + (t - 1 < 6 ? t - 1 : 6));
        assert_int_equal(reads[0].age, 0);
        for (int i = 1; i < n; i++) {
            assert_int_equal(reads[i].age, n - i); /* oldest first */
            assert_int_equal(frame_of(&reads[i]), frame - direction * (n - i));
        }
        n = trk_sequence_pointers(&f.sequence, frame, direction, reads);
        assert_int_equal(n, 1 + (t - 1 < 15 ? t - 1 : 15));
        assert_int_equal(reads[0].age, t); /* of the conditioning frame: not clamped */
        for (int i = 1; i < n; i++) {
            assert_int_equal(reads[i].age, i); /* newest first */
            assert_int_equal(frame_of(&reads[i]), frame - direction * i);
        }
        put(&f, frame, 0);
        trk_sequence_advance(&f.sequence, frame + direction);
    }
    /* 1 + 6 memories and 1 + 15 pointers are alive (one more of each on the free lists while advancing) */
    assert_true(f.ledger.peak[TRK_MEM_BANK] < 9 * (64 + 64) + 18 * (64 + 16) + 1024);
    close_fixture(&f);
}

static void bank_reads_what_the_reference_reads(void **state)
{
    (void)state;
    check_window(1);
    check_window(-1);
}

static void bank_skips_missing_frames_without_shifting(void **state)
{
    (void)state;
    fixture f;
    trk_memory_read reads[64];
    open_fixture(&f);
    put(&f, 0, 1);
    put(&f, 1, 0);
    put(&f, 3, 0);
    int n = trk_sequence_memories(&f.sequence, 5, 1, reads);
    assert_int_equal(n, 3);
    assert_int_equal(reads[1].age, 4);
    assert_int_equal(reads[2].age, 2);
    close_fixture(&f);
}

static void bank_future_conditioning_gives_no_pointer(void **state)
{
    (void)state;
    fixture f;
    trk_memory_read reads[64];
    open_fixture(&f);
    put(&f, 10, 1);
    assert_int_equal(trk_sequence_memories(&f.sequence, 4, 1, reads), 1);
    assert_int_equal(trk_sequence_pointers(&f.sequence, 4, 1, reads), 0);
    assert_int_equal(trk_sequence_pointers(&f.sequence, 12, -1, reads), 0);
    assert_int_equal(trk_sequence_pointers(&f.sequence, 10, 1, reads), 1);
    assert_int_equal(reads[0].age, 0);
    close_fixture(&f);
}

static void bank_put_overwrites_and_converts(void **state)
{
    (void)state;
    fixture f;
    int conditioning;
    open_fixture(&f);
    put(&f, 3, 0);
    put(&f, 3, 0);
    assert_int_equal(f.sequence.n_recent, 1);
    put(&f, 3, 1); /* becomes a conditioning entry */
    assert_int_equal(f.sequence.n_recent, 0);
    put(&f, 3, 0); /* and stays one */
    assert_int_equal(f.sequence.n_conditioning, 1);
    assert_non_null(trk_sequence_find(&f.sequence, 3, &conditioning));
    assert_int_equal(conditioning, 1);
    assert_int_equal(trk_sequence_remove(&f.sequence, 3), 1);
    assert_int_equal(trk_sequence_remove(&f.sequence, 3), 0);
    for (int i = 0; i < 50; i++)
        put(&f, i, i % 2);
    assert_int_equal(f.sequence.n_conditioning, 25);
    assert_int_equal(f.sequence.n_recent, 16); /* the furthest made room */
    assert_null(trk_sequence_find(&f.sequence, 0, &conditioning));
    close_fixture(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ledger_counts_now_and_peak),
        cmocka_unit_test(arena_rewinds_and_reuses),
        cmocka_unit_test(arena_refuses_absurd_sizes),
        cmocka_unit_test(bank_reads_what_the_reference_reads),
        cmocka_unit_test(bank_skips_missing_frames_without_shifting),
        cmocka_unit_test(bank_future_conditioning_gives_no_pointer),
        cmocka_unit_test(bank_put_overwrites_and_converts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
