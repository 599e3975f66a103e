/* SPDX-License-Identifier: Apache-2.0
 * Heap, account, devices, ledger, arena, sweeper, blob: what is counted, what is handed back, what fails and how. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arena.h"
#include "blob.h"
#include "fake_device.h"
#include "heap.h"
#include "log.h"
#include "storage.h"
#include "sweeper.h"

static char log_text[8192];

static void keep_line(void *user, trk_log_level level, const char *line)
{
    (void)user, (void)level;
    size_t used = strlen(log_text);
    snprintf(log_text + used, sizeof log_text - used, "%s\n", line);
}

static void listen(trk_log_level level)
{
    log_text[0] = 0;
    trk_log_set(keep_line, NULL, level);
}

static void stop_listening(void)
{
    trk_log_set(NULL, NULL, TRK_LOG_ERROR);
}

static size_t heap_bytes(void)
{
    trk_account a;
    trk_heap_measure(&a);
    return a.total_now;
}

/* --- heap and account --- */

static void heap_counts_and_keeps(void **state)
{
    (void)state;
    trk_account before, during;
    trk_heap_measure(&before);
    unsigned char *p = trk_heap_allocate(TRK_MEM_BANK, "heap test", 1000);
    assert_non_null(p);
    assert_int_equal((uintptr_t)p % TRK_ALIGNMENT, 0);
    assert_int_equal(trk_heap_bytes(p), 1000);
    memset(p, 7, 1000);
    p = trk_heap_resize(p, TRK_MEM_PINNED, "ignored", 5000);
    assert_non_null(p);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(p[i], 7);
    trk_heap_measure(&during);
    assert_int_equal(during.now[TRK_MEM_BANK] - before.now[TRK_MEM_BANK], 5000);
    assert_int_equal(during.now[TRK_MEM_PINNED], before.now[TRK_MEM_PINNED]);
    p = trk_heap_resize(p, TRK_MEM_BANK, "heap test", 10);
    assert_int_equal(p[9], 7);
    trk_heap_release(p);
    trk_heap_release(NULL);
    char *text = trk_heap_format("heap test", "%d and %s", 12, "more");
    assert_string_equal(text, "12 and more");
    char *copy = trk_heap_text("heap test", text);
    assert_string_equal(copy, text);
    trk_heap_release(text);
    trk_heap_release(copy);
    int *zeros = trk_heap_zeroed(TRK_MEM_SCRATCH, "heap test", 100, sizeof *zeros);
    for (int i = 0; i < 100; i++)
        assert_int_equal(zeros[i], 0);
    trk_heap_release(zeros);
    assert_int_equal(heap_bytes(), before.total_now);
    assert_null(trk_heap_allocate(TRK_MEM_BANK, "nothing", 0));
    assert_null(trk_heap_allocate(TRK_MEM_BANK, "too much", SIZE_MAX - 8));
    assert_null(trk_heap_zeroed(TRK_MEM_BANK, "overflow", SIZE_MAX / 2, 4));
    assert_int_equal(heap_bytes(), before.total_now);
}

static void heap_fails_when_told(void **state)
{
    (void)state;
    void *p[6];
    trk_heap_fail(2, 3);
    for (int i = 0; i < 6; i++)
        p[i] = trk_heap_allocate(TRK_MEM_SCRATCH, "heap test", 8);
    assert_int_equal(trk_heap_fail(0, 0), 6);
    for (int i = 0; i < 6; i++)
        assert_int_equal(p[i] == NULL, i >= 1 && i <= 3);
    trk_heap_fail(1, 1);
    assert_null(trk_heap_resize(p[0], TRK_MEM_SCRATCH, "heap test", 16));
    assert_int_equal(trk_heap_bytes(p[0]), 8);
    trk_heap_fail(0, 0);
    for (int i = 0; i < 6; i++)
        trk_heap_release(p[i]);
}

static void heap_grows_lists(void **state)
{
    (void)state;
    size_t capacity = 0;
    uint32_t *list = NULL;
    trk_heap_fail(0, 0);
    for (uint32_t n = 0; n < 1000; n++) {
        list = trk_heap_grown(list, &capacity, n + 1, sizeof *list, TRK_MEM_SCRATCH, "heap test");
        assert_non_null(list);
        assert_true(capacity > n && trk_heap_bytes(list) == capacity * sizeof *list);
        list[n] = n;
    }
    const uint64_t n_blocks = trk_heap_fail(0, 0);
    assert_in_range(n_blocks, 2, 10); /* not one for every element */
    for (uint32_t n = 0; n < 1000; n++)
        assert_int_equal(list[n], n);
    const size_t before = capacity;
    assert_ptr_equal(trk_heap_grown(list, &capacity, capacity, sizeof *list, TRK_MEM_SCRATCH, "heap test"), list);
    trk_heap_fail(1, 1);
    assert_null(trk_heap_grown(list, &capacity, capacity + 1, sizeof *list, TRK_MEM_SCRATCH, "heap test"));
    trk_heap_fail(0, 0);
    assert_null(trk_heap_grown(list, &capacity, SIZE_MAX, 1, TRK_MEM_SCRATCH, "heap test"));
    assert_null(trk_heap_grown(list, &capacity, SIZE_MAX / 2, sizeof *list, TRK_MEM_SCRATCH, "heap test"));
    assert_int_equal(capacity, before);
    assert_int_equal(list[999], 999);
    list = trk_heap_grown(list, &capacity, 10 * before, sizeof *list, TRK_MEM_SCRATCH, "heap test");
    assert_int_equal(capacity, 10 * before); /* as many as asked for where twice is not enough */
    assert_int_equal(list[999], 999);
    trk_heap_release(list);
}

static void account_lumps_owners_beyond_its_table(void **state)
{
    (void)state;
    static char names[200][8];
    static trk_account a;
    trk_account_init(&a);
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 200; i++) {
            snprintf(names[i], sizeof names[i], "o%d", i);
            trk_account_add(&a, (trk_mem_class)(i % 4), names[i], 10);
        }
    char same[] = "o5"; /* another address, the same owner */
    trk_account_add(&a, TRK_MEM_FRAME, "moves", 1);
    trk_account_move(&a, TRK_MEM_BANK, same, TRK_MEM_FRAME, "moves", 10);
    assert_true(a.n_owners <= TRK_ACCOUNT_OWNERS);
    assert_int_equal(a.total_now, 4001);
    assert_int_equal(a.now[TRK_MEM_BANK], 990);
    assert_int_equal(a.now[TRK_MEM_FRAME], 1011);
    assert_int_equal(a.owners[5].now, 10);
    assert_int_equal(a.owners[5].peak, 20);
    trk_account_add(&a, TRK_MEM_BANK, same, 10);
    trk_account_remove(&a, TRK_MEM_FRAME, "moves", 11);
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 200; i++)
            trk_account_remove(&a, (trk_mem_class)(i % 4), names[i], 10);
    assert_int_equal(a.total_now, 0);
    for (size_t i = 0; i < a.n_owners; i++)
        assert_int_equal(a.owners[i].now, 0);
    trk_account_destroy(&a);
}

static void storages_have_sizes_and_names(void **state)
{
    (void)state;
    assert_int_equal(trk_storage_bytes(TRK_STORE_Q8, 64), 68);
    assert_int_equal(trk_storage_bytes(TRK_STORE_F32, 64), 256);
    assert_int_equal(trk_storage_bytes(TRK_STORE_BF16, 64), 128);
    assert_string_equal(trk_storage_name(TRK_STORE_Q8), "q8");
    assert_string_equal(trk_storage_name(TRK_STORE_BF16), "bf16");
}

/* --- devices --- */

static size_t resident_pages(void)
{
    size_t size = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%zu %zu", &size, &resident), 2);
    fclose(file);
    return resident;
}

static void host_knows_what_is_available(void **state)
{
    (void)state;
    size_t left = trk_cpu_memory.available(&trk_cpu_memory);
    assert_true(left > 0);
    assert_true(left < SIZE_MAX);
}

static void plan_addresses_have_no_memory(void **state)
{
    (void)state;
    const size_t bytes = (size_t)8 << 30;
    trk_ledger l;
    trk_chunk_pool pool;
    trk_arena arena;
    trk_chunk *claimed = NULL;
    trk_ledger_init(&l, &trk_plan_memory);
    trk_chunk_pool_init(&pool, &l);
    trk_arena_init(&arena, &pool, TRK_MEM_FRAME, "planned", 0);
    size_t before = resident_pages();
    unsigned char *p = trk_arena_allocate(&arena, bytes), *q = trk_arena_allocate(&arena, bytes);
    assert_non_null(p);
    assert_non_null(q);
    unsigned char byte = 1;
    trk_plan_memory.write(&trk_plan_memory, p, &before, sizeof before);
    trk_plan_memory.copy(&trk_plan_memory, q, p, bytes);
    trk_plan_memory.read(&trk_plan_memory, &byte, q, 1);
    assert_int_equal(byte, 0);
    trk_arena_sweep(&arena);
    assert_int_equal(trk_chunk_pool_claim(&pool, bytes, &claimed), TRK_OK);
    assert_int_equal(trk_chunk_pool_claim(&pool, 3 * bytes, &claimed), TRK_OK);
    trk_chunk_pool_offer(&pool, &claimed);
    assert_true(resident_pages() < before + 4096);
    assert_int_equal(arena.peak, 2 * bytes);
    trk_chunk_pool_release(&pool);
    assert_int_equal(l.account.total_now, 0);
    trk_ledger_destroy(&l);
}

/* --- ledger --- */

static void ledger_counts_now_and_peak(void **state)
{
    (void)state;
    size_t heap_before = heap_bytes();
    trk_ledger l;
    trk_ledger_init(&l, &trk_cpu_memory);
    listen(TRK_LOG_DEBUG);
    void *a = trk_ledger_allocate(&l, TRK_MEM_BANK, "memory of a frame", 1000);
    void *b = trk_ledger_allocate(&l, TRK_MEM_PINNED, "b", 500);
    assert_non_null(a);
    assert_int_equal((uintptr_t)a % TRK_ALIGNMENT, 0);
    assert_int_equal(l.account.now[TRK_MEM_BANK], 1000);
    assert_int_equal(l.account.total_now, 1500);
    trk_ledger_move(&l, a, TRK_MEM_SCRATCH, "idle");
    assert_int_equal(l.account.now[TRK_MEM_SCRATCH], 1000);
    trk_ledger_release(&l, TRK_MEM_SCRATCH, a, 1000);
    trk_ledger_release(&l, TRK_MEM_BANK, NULL, 77);
    stop_listening();
    assert_non_null(strstr(log_text, "memory: + 1000 bytes bank (memory of a frame) on cpu\n"));
    assert_non_null(strstr(log_text, "memory: - 1000 bytes scratch (idle) on cpu\n"));
    assert_int_equal(l.account.now[TRK_MEM_BANK], 0);
    assert_int_equal(l.account.peak[TRK_MEM_BANK], 1000);
    trk_ledger_release(&l, TRK_MEM_PINNED, b, 500);
    assert_int_equal(l.account.total_now, 0);
    assert_int_equal(l.account.total_peak, 1500);
    assert_null(trk_ledger_allocate(&l, TRK_MEM_BANK, "nothing", 0));
    assert_null(trk_ledger_allocate(&l, TRK_MEM_BANK, "absurd", SIZE_MAX - 1));
    assert_int_equal(l.account.total_peak, 1500);
    trk_ledger_destroy(&l);
    trk_ledger_destroy(&(trk_ledger){0});
    assert_int_equal(heap_bytes(), heap_before);
}

static void ledger_names_what_was_not_released(void **state)
{
    (void)state;
    trk_ledger l;
    trk_ledger_init(&l, &fake_device);
    void *p = trk_ledger_allocate(&l, TRK_MEM_BANK, "forgotten thing", 123);
    listen(TRK_LOG_ERROR);
    trk_ledger_destroy(&l);
    stop_listening();
    assert_non_null(strstr(log_text, "123 bytes of forgotten thing (bank) on fake"));
    fake_release(&fake_device, p, 123);
}

static void ledger_ignores_strangers(void **state)
{
    (void)state;
#ifndef NDEBUG
    skip(); /* aborts there */
#endif
    trk_ledger l;
    trk_ledger_init(&l, &trk_cpu_memory);
    int stranger;
    void *p = trk_ledger_allocate(&l, TRK_MEM_BANK, "p", 100);
    listen(TRK_LOG_ERROR);
    trk_ledger_release(&l, TRK_MEM_BANK, &stranger, 4);
    assert_int_equal(l.account.total_now, 100);
    assert_non_null(strstr(log_text, "not a live block"));
    trk_ledger_release(&l, TRK_MEM_BANK, p, 99);
    assert_int_equal(l.account.total_now, 0);
    assert_non_null(strstr(log_text, "another size"));
    stop_listening();
    trk_ledger_destroy(&l);
}

typedef struct spare {
    trk_ledger *ledger;
    void *blocks[8];
    int n, n_calls;
} spare;

static int give_up_one(void *user, size_t bytes)
{
    (void)bytes;
    spare *s = user;
    s->n_calls++;
    if (s->n == 0)
        return 0;
    trk_ledger_release(s->ledger, TRK_MEM_SCRATCH, s->blocks[--s->n], 100);
    return 1;
}

static void a_closed_device_reclaims_nothing(void **state)
{
    (void)state;
    trk_ledger l;
    trk_ledger_init(&l, &fake_device);
    spare s = {.ledger = &l};
    s.blocks[s.n++] = trk_ledger_allocate(&l, TRK_MEM_SCRATCH, "spare", 100);
    l.reclaim = give_up_one;
    l.reclaim_user = &s;
    l.budget = 150;
    fake_closed = 1;
    assert_null(trk_ledger_allocate(&l, TRK_MEM_BANK, "p", 100));
    assert_int_equal(s.n_calls, 0);
    fake_closed = 0;
    void *p = trk_ledger_allocate(&l, TRK_MEM_BANK, "p", 100);
    assert_non_null(p);
    assert_int_equal(s.n_calls, 1);
    trk_ledger_release(&l, TRK_MEM_BANK, p, 100);
    trk_ledger_destroy(&l);
}

static void ledger_reclaims_until_it_fits(void **state)
{
    (void)state;
    trk_ledger l, under;
    trk_ledger_init(&under, &trk_cpu_memory);
    trk_ledger_init(&l, &trk_cpu_memory);
    void *weights = trk_ledger_allocate(&under, TRK_MEM_PINNED, "weights", 200);
    l.under = &under;
    l.budget = 1000;
    assert_int_equal(trk_ledger_left(&l), 800);
    assert_int_equal(trk_ledger_left(&under), SIZE_MAX);
    spare s = {.ledger = &l};
    for (; s.n < 8; s.n++)
        s.blocks[s.n] = trk_ledger_allocate(&l, TRK_MEM_SCRATCH, "spare", 100);
    assert_int_equal(trk_ledger_left(&l), 0);
    assert_null(trk_ledger_allocate(&l, TRK_MEM_BANK, "no reclaim function", 1));
    l.reclaim = give_up_one;
    l.reclaim_user = &s;
    assert_null(trk_ledger_try(&l, TRK_MEM_BANK, "does not ask", 1));
    assert_int_equal(s.n_calls, 0);
    void *p = trk_ledger_allocate(&l, TRK_MEM_BANK, "p", 250);
    assert_non_null(p);
    assert_int_equal(s.n_calls, 3);
    assert_null(trk_ledger_allocate(&l, TRK_MEM_BANK, "q", 551));
    assert_int_equal(s.n, 0);
    assert_int_equal(trk_ledger_fail(&l, 551, "q"), TRK_E_MEMORY);
    assert_string_equal(trk_error_text(),
                        "no memory for 551 bytes of q: 450 of 1000 bytes in use (pinned 200, bank 250, "
                        "frame 0, scratch 0)");
    trk_ledger_release(&l, TRK_MEM_BANK, p, 250);
    trk_ledger_release(&under, TRK_MEM_PINNED, weights, 200);
    trk_ledger_destroy(&l);
    trk_ledger_destroy(&under);
}

#define N_THREADS 8
#define BUDGET    ((size_t)15000) /* about what one thread wants */

typedef struct worker {
    pthread_t thread;
    trk_ledger *ledger;
    unsigned seed;
    int n_wrong, n_refused;
} worker;

static void *allocate_and_release(void *user)
{
    worker *w = user;
    void *blocks[16] = {0};
    size_t sizes[16] = {0};
    for (int step = 0; step < 20000; step++) {
        int i = rand_r(&w->seed) % 16;
        if (blocks[i]) {
            int tag = 0;
            fake_read(&fake_device, &tag, blocks[i], sizeof tag);
            w->n_wrong += tag != i + (int)sizes[i];
            trk_ledger_release(w->ledger, TRK_MEM_BANK, blocks[i], sizes[i]);
            blocks[i] = NULL;
        } else {
            sizes[i] = 4 + (size_t)rand_r(&w->seed) % 3000;
            blocks[i] = trk_ledger_allocate(w->ledger, TRK_MEM_BANK, "of a thread", sizes[i]);
            int tag = i + (int)sizes[i];
            if (blocks[i])
                fake_write(&fake_device, blocks[i], &tag, sizeof tag);
            else
                w->n_refused++;
        }
        w->n_wrong += trk_ledger_left(w->ledger) > BUDGET;
    }
    for (int i = 0; i < 16; i++)
        trk_ledger_release(w->ledger, TRK_MEM_BANK, blocks[i], sizes[i]);
    return NULL;
}

static void ledger_holds_its_budget_among_threads(void **state)
{
    (void)state;
    trk_ledger l;
    trk_ledger_init(&l, &fake_device);
    l.budget = BUDGET;
    fake_peak = 0;
    worker workers[N_THREADS];
    for (unsigned i = 0; i < N_THREADS; i++) {
        workers[i] = (worker){.ledger = &l, .seed = i + 1};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, allocate_and_release, &workers[i]), 0);
    }
    int n_refused = 0;
    for (int i = 0; i < N_THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        assert_int_equal(workers[i].n_wrong, 0);
        n_refused += workers[i].n_refused;
    }
    assert_true(n_refused > 0); /* else the budget was not tried */
    assert_true(fake_peak <= BUDGET);
    assert_true(l.account.total_peak <= BUDGET);
    assert_int_equal(l.account.total_now, 0);
    assert_int_equal(l.account.n_now, 0);
    assert_int_equal(l.n_live, 0);
    assert_int_equal(fake_now, 0);
    trk_ledger_destroy(&l);
}

/* --- arena --- */

typedef struct pool_fixture {
    trk_ledger ledger, host;
    trk_chunk_pool pool;
} pool_fixture;

static void open_pool(pool_fixture *f, const trk_device_memory *device)
{
    trk_ledger_init(&f->ledger, device);
    trk_ledger_init(&f->host, &trk_host_memory);
    trk_chunk_pool_init(&f->pool, &f->ledger);
}

static void close_pool(pool_fixture *f)
{
    trk_chunk_pool_release(&f->pool);
    assert_int_equal(f->ledger.account.total_now, 0);
    assert_int_equal(f->host.account.total_now, 0);
    trk_ledger_destroy(&f->ledger);
    trk_ledger_destroy(&f->host);
}

static void arena_rewinds_and_reuses(void **state)
{
    (void)state;
    pool_fixture f;
    trk_arena frame, scratch;
    size_t heap_before = heap_bytes(), reserved = 0;
    open_pool(&f, &trk_cpu_memory);
    trk_arena_init(&frame, &f.pool, TRK_MEM_FRAME, "features", 0);
    trk_arena_init(&scratch, &f.pool, TRK_MEM_SCRATCH, "stages", 0);
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
        assert_int_equal(scratch.peak, trk_arena_bytes(&scratch));
        trk_arena_rewind(&scratch, mark);
        assert_int_equal(trk_arena_bytes(&scratch), 0);
        for (size_t i = 0; i < 3000000; i += 4099)
            assert_int_equal(kept[i], round);
        assert_true(f.ledger.account.now[TRK_MEM_FRAME] >= 3000000);
        trk_arena_sweep(&frame);
        assert_int_equal(f.ledger.account.now[TRK_MEM_FRAME], 0);
        if (round == 0)
            reserved = f.ledger.account.total_now;
        assert_int_equal(f.ledger.account.total_now, reserved); /* nothing is allocated after the first round */
        assert_int_equal(f.pool.idle_bytes, reserved);
    }
    trk_arena_sweep(&scratch);
    size_t freed = trk_chunk_pool_trim(&f.pool, 1);
    assert_true(freed > 0 && freed < reserved);
    assert_int_equal(f.ledger.account.total_now, reserved - freed);
    close_pool(&f);
    assert_int_equal(heap_bytes(), heap_before);
}

static void arena_refuses_absurd_sizes(void **state)
{
    (void)state;
    pool_fixture f;
    trk_arena scratch;
    open_pool(&f, &trk_cpu_memory);
    trk_arena_init(&scratch, &f.pool, TRK_MEM_SCRATCH, "stages", 0);
    assert_null(trk_arena_allocate(&scratch, SIZE_MAX - 10));
    assert_null(trk_arena_allocate(&scratch, SIZE_MAX / 2));
    assert_non_null(trk_arena_allocate(&scratch, 0));
    assert_non_null(trk_arena_allocate(&scratch, 1));
    trk_arena_sweep(&scratch);
    trk_arena_sweep(&(trk_arena){0});
    trk_chunk_pool_release(&(trk_chunk_pool){0});
    close_pool(&f);
}

/* what a plan says is one chunk of that size, and a reserved one is found */
static void arena_takes_its_planned_chunk(void **state)
{
    (void)state;
    pool_fixture f;
    trk_arena arena;
    trk_chunk *claimed = NULL;
    open_pool(&f, &fake_device);
    assert_int_equal(trk_chunk_pool_claim(&f.pool, 1234567, &claimed), TRK_OK);
    assert_int_equal(trk_chunk_pool_claim(&f.pool, 1300000, &claimed), TRK_OK);
    trk_chunk_pool_offer(&f.pool, &claimed);
    size_t reserved = f.ledger.account.total_now;
    trk_arena_init(&arena, &f.pool, TRK_MEM_FRAME, "features", 1234567);
    assert_non_null(trk_arena_allocate(&arena, 1000));
    assert_int_equal(f.ledger.account.now[TRK_MEM_FRAME], 1234624);
    assert_non_null(trk_arena_allocate(&arena, 1233500));
    assert_int_equal(f.ledger.account.total_now, reserved);
    assert_int_equal(arena.peak, 1024 + 1233536);
    assert_non_null(trk_arena_allocate(&arena, 1280000)); /* beyond the plan: two MiB, which no idle one has */
    assert_int_equal(f.ledger.account.total_now, reserved + 2097152);
    trk_arena_sweep(&arena);
    close_pool(&f);
}

/* An idle chunk is claimed before another is made, once, and is nobody else's until it is offered. */
static void claimed_chunks_are_counted_once(void **state)
{
    (void)state;
    pool_fixture f;
    trk_chunk *claimed = NULL;
    open_pool(&f, &fake_device);
    for (int round = 0; round < 3; round++) {
        assert_int_equal(trk_chunk_pool_claim(&f.pool, 1000000, &claimed), TRK_OK);
        assert_int_equal(trk_chunk_pool_claim(&f.pool, 1100000, &claimed), TRK_OK);
        assert_int_equal(trk_chunk_pool_claim(&f.pool, 1100000, &claimed), TRK_OK);
        assert_int_equal(trk_chunk_pool_trim(&f.pool, SIZE_MAX), 0);
        trk_chunk_pool_offer(&f.pool, &claimed);
        assert_null(claimed);
        assert_int_equal(f.ledger.account.total_now, 1000000 + 2 * trk_aligned(1100000));
        assert_int_equal(f.pool.idle_bytes, f.ledger.account.total_now);
    }
    close_pool(&f);
}

static int trim_pool(void *user, size_t bytes)
{
    return trk_chunk_pool_trim(user, bytes) > 0;
}

static void arena_lives_within_a_budget(void **state)
{
    (void)state;
    pool_fixture f;
    trk_arena a, b;
    trk_chunk *claimed = NULL;
    open_pool(&f, &fake_device);
    f.ledger.budget = (size_t)10 << 20;
    f.ledger.reclaim = trim_pool;
    f.ledger.reclaim_user = &f.pool;
    trk_arena_init(&a, &f.pool, TRK_MEM_SCRATCH, "a", 0);
    trk_arena_init(&b, &f.pool, TRK_MEM_SCRATCH, "b", 0);
    for (int i = 0; i < 6; i++)
        assert_non_null(trk_arena_allocate(&a, 1 << 20));
    trk_arena_sweep(&a);
    assert_non_null(trk_arena_allocate(&b, 9 << 20)); /* the idle ones go */
    assert_null(trk_arena_allocate(&a, 2 << 20));
    assert_non_null(trk_arena_allocate(&a, 1 << 20));
    assert_true(f.ledger.account.total_peak <= f.ledger.budget);
    assert_int_equal(trk_chunk_pool_claim(&f.pool, 1, &claimed), TRK_E_MEMORY);
    assert_null(claimed);
    trk_arena_sweep(&a);
    trk_arena_sweep(&b);
    close_pool(&f);
}

/* also shows that chunks are never touched but through the device */
static void arena_poisons_what_it_takes_back(void **state)
{
    (void)state;
    pool_fixture f;
    trk_arena arena;
    open_pool(&f, &fake_device);
    trk_arena_init(&arena, &f.pool, TRK_MEM_SCRATCH, "stages", 0);
    void *blocks[3], *kept = trk_arena_allocate(&arena, 1000);
    fake_fill(&fake_device, kept, 0x11, 1000);
    trk_arena_mark mark = trk_arena_here(&arena);
    for (int i = 0; i < 3; i++) {
        blocks[i] = trk_arena_allocate(&arena, 800000);
        fake_fill(&fake_device, blocks[i], 0x22, 800000);
    }
    trk_arena_rewind(&arena, mark);
    unsigned char bytes[1000];
    fake_read(&fake_device, bytes, kept, sizeof bytes);
    assert_int_equal(bytes[999], 0x11);
    for (int i = 0; i < 3; i++) {
        fake_read(&fake_device, bytes, (char *)blocks[i] + 799000, sizeof bytes);
        assert_int_equal(bytes[0], 0xff);
        assert_int_equal(bytes[999], 0xff);
    }
    trk_arena_sweep(&arena);
    close_pool(&f);
    assert_int_equal(fake_now, 0);
}

/* --- sweeper --- */

static int n_verified;

static void count_verify(void *user)
{
    (void)user;
    n_verified++;
}

static trk_holding *begin(trk_sweeper *s, int64_t frame)
{
    trk_holding *h = trk_sweeper_find(s, frame);
    const int n_locks = h ? h->n_locks : 0; /* which stay */
    assert_int_equal(trk_sweeper_begin(s, frame, &h), TRK_OK);
    assert_int_equal(h->frame, frame);
    assert_int_equal(h->n_locks, n_locks + 1);
    for (size_t i = 0; i < s->payload_bytes; i++)
        assert_int_equal(((unsigned char *)h->payload)[i], 0);
    memset(h->payload, 0xab, s->payload_bytes);
    assert_non_null(trk_arena_allocate(&h->arena, 1000000));
    return h;
}

/* one frame as the tracker handles it */
static void push(trk_sweeper *s, int64_t frame)
{
    trk_holding *h = begin(s, frame);
    trk_sweeper_unlock(s, h);
    trk_sweeper_after_frame(s);
}

static void open_sweeper(pool_fixture *f, trk_sweeper *s, trk_sweep_rule rule)
{
    open_pool(f, &trk_cpu_memory);
    f->ledger.budget = (size_t)10 << 20;
    assert_int_equal(trk_sweeper_init(s, &f->pool, &f->host, rule, 40), TRK_OK);
    s->verify = count_verify;
    n_verified = 0;
}

static void sweeper_follows_every_n(void **state)
{
    (void)state;
    pool_fixture f;
    trk_sweeper s;
    open_sweeper(&f, &s, (trk_sweep_rule){.mode = TRK_SWEEPER_EVERY_N, .every = 3});
    size_t host_bytes = 0;
    for (int64_t t = 0; t < 30; t++) {
        push(&s, t);
        assert_int_equal(s.n_holdings, (t + 1) % 3);
        assert_int_equal(trk_sweeper_find(&s, t) != NULL, (t + 1) % 3 != 0);
        if (t == 2)
            host_bytes = f.host.account.total_now;
        if (t % 3 == 2)
            assert_int_equal(f.host.account.total_now, host_bytes); /* nothing stays of a frame */
    }
    assert_int_equal(s.n_sweeps, 30);
    assert_int_equal(f.ledger.account.now[TRK_MEM_FRAME], 0);
#ifndef NDEBUG
    assert_int_equal(n_verified, 30);
#endif
    listen(TRK_LOG_DEBUG);
    push(&s, 100);
    trk_sweeper_release(&s);
    stop_listening();
    assert_non_null(strstr(log_text, "unlock: frame 100, 0 locks\n"));
    assert_non_null(strstr(log_text, "sweep: frame 100, 1000000 bytes returned, rule every 3\n"));
    trk_sweeper_release(&(trk_sweeper){0});
    close_pool(&f);
}

static void sweeper_keeps_locked_frames_until_unlocked(void **state)
{
    (void)state;
    pool_fixture f;
    trk_sweeper s;
    open_sweeper(&f, &s, (trk_sweep_rule){.mode = TRK_SWEEPER_EVERY_N, .every = 2});
    trk_holding *h = begin(&s, 0);
    trk_sweeper_after_frame(&s);
    trk_sweeper_lock(h);
    trk_sweeper_unlock(&s, h);
    trk_sweeper_unlock(&s, h); /* not due yet: the sweep point has not come */
    assert_ptr_equal(trk_sweeper_find(&s, 0), h);
    trk_sweeper_unlock(&s, h); /* one too many changes nothing */
    assert_int_equal(h->n_locks, 0);
    trk_sweeper_lock(h);
    push(&s, 1);
    assert_ptr_equal(trk_sweeper_find(&s, 0), h);
    assert_null(trk_sweeper_find(&s, 1));
    assert_int_equal(h->due, 1);
    trk_sweeper_lock(h);
    trk_sweeper_unlock(&s, h);
    assert_int_equal(trk_sweeper_reclaim(&s), 0); /* not even under pressure */
    assert_ptr_equal(trk_sweeper_find(&s, 0), h);
    assert_true(f.ledger.account.now[TRK_MEM_FRAME] >= 1000000);
    trk_sweeper_unlock(&s, h);
    assert_null(trk_sweeper_find(&s, 0));
    assert_int_equal(f.ledger.account.now[TRK_MEM_FRAME], 0);
    begin(&s, 7);
    h = begin(&s, 7); /* computed anew, locked or not */
    assert_int_equal(h->n_locks, 2);
    assert_int_equal(s.n_holdings, 1);
    trk_sweeper_rebase(&s, -10);
    assert_non_null(trk_sweeper_find(&s, -3));
    assert_null(trk_sweeper_find(&s, 7));
    trk_sweeper_release(&s);
    close_pool(&f);
}

static void sweeper_sweeps_above_a_share(void **state)
{
    (void)state;
    pool_fixture f;
    trk_sweeper s;
    open_sweeper(&f, &s, (trk_sweep_rule){.mode = TRK_SWEEPER_ABOVE, .above = 0.55});
    trk_holding *first = begin(&s, 0);
    for (int64_t t = 1; t < 20; t++) {
        push(&s, t);
        assert_int_equal(s.n_holdings, t + 1 < 5 ? t + 1 : 5); /* of a MiB each, below 5.5 */
        assert_non_null(trk_sweeper_find(&s, t));
    }
    assert_non_null(trk_sweeper_find(&s, 16));
    assert_int_equal(first->due, 1);
    assert_int_equal(f.ledger.account.total_now, 6 << 20); /* swept chunks are used again */
    trk_sweeper_unlock(&s, first);
    assert_int_equal(s.n_holdings, 4);
    trk_sweeper_release(&s);
    close_pool(&f);
}

typedef struct pressure {
    trk_sweeper *sweeper;
    trk_chunk_pool *pool;
    int n_calls;
} pressure;

static int relieve(void *user, size_t bytes)
{
    pressure *p = user;
    p->n_calls++;
    if (trk_chunk_pool_trim(p->pool, bytes))
        return 1;
    return trk_sweeper_reclaim(p->sweeper) > 0;
}

/* the rule never sweeps, the budget does, in the middle of begin */
static void sweeper_gives_way_under_pressure(void **state)
{
    (void)state;
    pool_fixture f;
    trk_sweeper s;
    open_sweeper(&f, &s, (trk_sweep_rule){.mode = TRK_SWEEPER_NEVER});
    pressure p = {&s, &f.pool, 0};
    f.ledger.reclaim = relieve;
    f.ledger.reclaim_user = &p;
    for (int64_t t = 0; t < 35; t++) {
        push(&s, t);
        assert_int_equal(s.n_holdings, t % 10 + 1);
    }
    assert_int_equal(p.n_calls, 3);
    assert_int_equal(s.n_sweeps, 30);
    assert_int_equal(trk_sweeper_reclaim(&s), 5 * 1000000);
    trk_sweeper_release(&s);
    close_pool(&f);
}

static void sweeper_refuses_senseless_rules(void **state)
{
    (void)state;
    pool_fixture f;
    trk_sweeper s;
    open_pool(&f, &trk_cpu_memory);
    trk_sweep_rule wrong[] = {{TRK_SWEEPER_EVERY_N, 0, 0}, {TRK_SWEEPER_ABOVE, 0, 0.5}, {(trk_sweep_mode)3, 1, 0}};
    for (int i = 0; i < 3; i++)
        assert_int_equal(trk_sweeper_init(&s, &f.pool, &f.host, wrong[i], 0), TRK_E_ARGUMENT);
    f.ledger.budget = 1000;
    double shares[] = {-0.1, 1.1, NAN};
    for (int i = 0; i < 3; i++)
        assert_int_equal(trk_sweeper_init(&s, &f.pool, &f.host, (trk_sweep_rule){TRK_SWEEPER_ABOVE, 0, shares[i]}, 0),
                         TRK_E_ARGUMENT);
    close_pool(&f);
}

/* --- every allocation fails once --- */

static trk_status scenario(pool_fixture *f, trk_sweeper *s, trk_blob *blob)
{
    trk_status rc = TRK_OK;
    trk_holding *h;
    trk_chunk *claimed = NULL;
    open_pool(f, &trk_cpu_memory);
    trk_sweep_rule rule = {.mode = TRK_SWEEPER_EVERY_N, .every = 3};
    TRK_CHECK(trk_sweeper_init(s, &f->pool, &f->host, rule, 40));
    TRK_CHECK(trk_chunk_pool_claim(&f->pool, 100000, &claimed));
    trk_chunk_pool_offer(&f->pool, &claimed);
    trk_blob_init(blob, &f->host, "test blob");
    for (int64_t t = 0; t < 7; t++) {
        TRK_CHECK(trk_sweeper_begin(s, t, &h));
        for (int i = 0; i < 3; i++)
            if (!trk_arena_allocate(&h->arena, 700000))
                TRK_CHECK(trk_ledger_fail(&f->ledger, 700000, "features"));
        for (int i = 0; i < 100; i++)
            trk_blob_put(blob, h->payload, 40);
        TRK_CHECK(blob->status);
        trk_sweeper_unlock(s, h);
        trk_sweeper_after_frame(s);
    }
done:
    return rc;
}

static uint64_t run_scenario(uint64_t first_failure, trk_status *rc)
{
    size_t before = heap_bytes();
    pool_fixture f;
    trk_sweeper s = {0};
    trk_blob blob = {0};
    trk_heap_fail(first_failure, first_failure ? UINT64_MAX : 0);
    *rc = scenario(&f, &s, &blob);
    uint64_t n = trk_heap_fail(0, 0);
    trk_blob_release(&blob);
    trk_sweeper_release(&s);
    close_pool(&f);
    assert_int_equal(heap_bytes(), before);
    return n;
}

static void running_out_anywhere_is_an_error_and_no_leak(void **state)
{
    (void)state;
    trk_status rc;
    uint64_t n = run_scenario(0, &rc);
    assert_int_equal(rc, TRK_OK);
    assert_true(n > 20);
    for (uint64_t i = 1; i <= n; i++) {
        run_scenario(i, &rc);
        assert_int_equal(rc, TRK_E_MEMORY);
    }
}

/* --- blob --- */

static void blob_gives_back_what_was_put(void **state)
{
    (void)state;
    trk_ledger host;
    trk_blob blob;
    trk_ledger_init(&host, &trk_host_memory);
    trk_blob_init(&blob, &host, "test blob");
    trk_blob_put_i64(&blob, -2);
    trk_blob_put_f32(&blob, -1.5f);
    for (int i = 0; i < 5000; i++)
        trk_blob_put(&blob, &(unsigned char){(unsigned char)i}, 1);
    memset(trk_blob_extend(&blob, 9), 'x', 9);
    trk_blob_put_i64(&blob, 12);
    assert_int_equal(blob.status, TRK_OK);
    assert_int_equal(blob.bytes, 8 + 4 + 5000 + 9 + 8);
    assert_int_equal(blob.data[0], 0xfe);
    assert_int_equal(blob.data[7], 0xff);
    trk_blob_reader r = {.data = blob.data, .bytes = blob.bytes};
    assert_int_equal(trk_blob_take_i64(&r), -2);
    assert_true(trk_blob_take_f32(&r) == -1.5f);
    const unsigned char *p = trk_blob_take(&r, 5009);
    assert_int_equal(p[4999], 4999 % 256);
    assert_int_equal(p[5000], 'x');
    trk_blob_reader again = r;
    assert_int_equal(trk_blob_take_within(&r, 0, 12, "a number"), 12);
    assert_int_equal(r.status, TRK_OK);
    assert_non_null(trk_blob_take(&r, 0));
    assert_int_equal(trk_blob_take_within(&again, 0, 11, "a number"), 0);
    assert_int_equal(again.status, TRK_E_FORMAT);
    assert_string_equal(trk_error_text(), "a number is 12, expected 0 to 11");
    assert_null(trk_blob_take(&r, 1));
    assert_int_equal(r.status, TRK_E_FORMAT);
    assert_int_equal(trk_blob_take_i64(&r), 0);
    assert_null(trk_blob_take(&r, 0));
    trk_blob_release(&blob);
    trk_blob_release(&blob);
    assert_int_equal(host.account.total_now, 0);
    trk_ledger_destroy(&host);
}

static void blob_remembers_its_first_failure(void **state)
{
    (void)state;
    trk_ledger host;
    trk_blob blob;
    trk_ledger_init(&host, &trk_host_memory);
    host.budget = 10000;
    trk_blob_init(&blob, &host, "test blob");
    trk_blob_put(&blob, log_text, 4000);
    assert_int_equal(blob.status, TRK_OK);
    assert_null(trk_blob_extend(&blob, 6000));
    assert_int_equal(blob.status, TRK_E_MEMORY);
    trk_blob_put_i64(&blob, 1); /* would fit */
    assert_int_equal(blob.bytes, 4000);
    trk_blob_release(&blob);
    trk_blob_init(&blob, &host, "test blob");
    assert_null(trk_blob_extend(&blob, SIZE_MAX));
    assert_int_equal(blob.status, TRK_E_MEMORY);
    trk_blob_release(&blob);
    trk_ledger_destroy(&host);
}

int main(void)
{
    setenv("TRK_POISON", "1", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heap_counts_and_keeps),
        cmocka_unit_test(heap_fails_when_told),
        cmocka_unit_test(heap_grows_lists),
        cmocka_unit_test(account_lumps_owners_beyond_its_table),
        cmocka_unit_test(storages_have_sizes_and_names),
        cmocka_unit_test(host_knows_what_is_available),
        cmocka_unit_test(plan_addresses_have_no_memory),
        cmocka_unit_test(ledger_counts_now_and_peak),
        cmocka_unit_test(ledger_names_what_was_not_released),
        cmocka_unit_test(ledger_ignores_strangers),
        cmocka_unit_test(ledger_reclaims_until_it_fits),
        cmocka_unit_test(a_closed_device_reclaims_nothing),
        cmocka_unit_test(ledger_holds_its_budget_among_threads),
        cmocka_unit_test(arena_rewinds_and_reuses),
        cmocka_unit_test(arena_refuses_absurd_sizes),
        cmocka_unit_test(arena_takes_its_planned_chunk),
        cmocka_unit_test(claimed_chunks_are_counted_once),
        cmocka_unit_test(claimed_chunks_are_counted_once),
        cmocka_unit_test(arena_lives_within_a_budget),
        cmocka_unit_test(arena_poisons_what_it_takes_back),
        cmocka_unit_test(sweeper_follows_every_n),
        cmocka_unit_test(sweeper_keeps_locked_frames_until_unlocked),
        cmocka_unit_test(sweeper_sweeps_above_a_share),
        cmocka_unit_test(sweeper_gives_way_under_pressure),
        cmocka_unit_test(sweeper_refuses_senseless_rules),
        cmocka_unit_test(running_out_anywhere_is_an_error_and_no_leak),
        cmocka_unit_test(blob_gives_back_what_was_put),
        cmocka_unit_test(blob_remembers_its_first_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
