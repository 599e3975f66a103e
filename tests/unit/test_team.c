/* SPDX-License-Identifier: Apache-2.0
 * The thread team: every worker runs once per piece of work, wake-ups are never lost, a busy team does not block; and
 * how many threads there are. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "team.h"

typedef struct tally {
    atomic_int runs[8], sum;
    int n_workers;
} tally;

static void count(void *context, int worker, int n_workers)
{
    tally *t = context;
    atomic_fetch_add(&t->runs[worker], 1);
    atomic_fetch_add(&t->sum, 1);
    if (worker == 0)
        t->n_workers = n_workers;
}

static void count_alone(void *context, int worker, int n_workers)
{
    (void)worker, (void)n_workers;
    atomic_fetch_add(&((tally *)context)->sum, 1);
}

static void every_worker_runs_once(void **state)
{
    (void)state;
    for (int n = 1; n <= 5; n++) {
        cpu_team *team = NULL;
        tally t = {0};
        int n_threads = n;
        assert_int_equal(trk_cpu_team_create(&team, &n_threads, n), TRK_OK);
        assert_int_equal(n_threads, n);
        for (int i = 0; i < 3000; i++) {
            trk_cpu_team_run(team, count, &t);
            assert_int_equal(t.sum, (i + 1) * n); /* all are back when run returns */
            if (i % 1000 == 500)
                usleep(2000); /* long enough for all to fall asleep */
        }
        for (int w = 0; w < n; w++)
            assert_int_equal(t.runs[w], 3000);
        trk_cpu_team_destroy(&team);
        assert_null(team);
    }
}

static cpu_team *shared;

static void *run_many(void *unused)
{
    (void)unused;
    tally t = {0};
    int expected = 0;
    for (int i = 0; i < 2000; i++) {
        trk_cpu_team_run(shared, count, &t);
        expected += t.n_workers; /* 2 in the team, 1 alone */
        if (t.sum != expected)
            return (void *)1;
    }
    return NULL;
}

static void a_busy_team_leaves_callers_to_themselves(void **state)
{
    (void)state;
    pthread_t threads[3];
    int n_threads = 2;
    assert_int_equal(trk_cpu_team_create(&shared, &n_threads, 2), TRK_OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_many, NULL), 0);
    for (int i = 0; i < 3; i++) {
        void *failed = NULL;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    trk_cpu_team_destroy(&shared);
}

static void no_team_works_alone(void **state)
{
    (void)state;
    tally t = {0};
    trk_cpu_team_run(NULL, count, &t);
    assert_int_equal(t.sum, 1);
    assert_int_equal(t.n_workers, 1);
}

/* A thread takes a stack of address space: with room for some, the others fail to start. */
static void as_many_as_the_system_starts(void **state)
{
    (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip(); /* they take address space without end */
#else
    enum { WANTED = 200 };
    struct rlimit before, small;
    unsigned long pages;
    FILE *file = fopen("/proc/self/statm", "re");
    assert_true(file && fscanf(file, "%lu", &pages) == 1);
    fclose(file);
    assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
    small = before;
    small.rlim_cur = pages * (rlim_t)sysconf(_SC_PAGESIZE) + ((rlim_t)100 << 20);
    assert_int_equal(setrlimit(RLIMIT_AS, &small), 0);
    cpu_team *team = NULL;
    tally t = {0};
    int n_threads = WANTED;
    const trk_status refused = trk_cpu_team_create(&team, &n_threads, WANTED);
    assert_null(team);
    const trk_status rc = trk_cpu_team_create(&team, &n_threads, 1);
    assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
    assert_int_equal(refused, TRK_E_MEMORY);
    assert_int_equal(rc, TRK_OK);
    assert_in_range(n_threads, 1, WANTED - 1);
    trk_cpu_team_run(team, count_alone, &t);
    assert_int_equal(t.sum, n_threads);
    trk_cpu_team_destroy(&team);
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_worker_runs_once),
        cmocka_unit_test(a_busy_team_leaves_callers_to_themselves),
        cmocka_unit_test(no_team_works_alone),
        cmocka_unit_test(as_many_as_the_system_starts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
