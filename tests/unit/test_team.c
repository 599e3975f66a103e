/* SPDX-License-Identifier: Apache-2.0
 * The thread team: every worker runs once per piece of work, wake-ups are never lost, a busy team does not block. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
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

static void every_worker_runs_once(void **state)
{
    (void)state;
    for (int n = 1; n <= 5; n++) {
        cpu_team *team = NULL;
        tally t = {0};
        assert_int_equal(cpu_team_create(&team, n), TRK_OK);
        for (int i = 0; i < 3000; i++) {
            cpu_team_run(team, count, &t);
            assert_int_equal(t.sum, (i + 1) * n); /* all are back when run returns */
            if (i % 1000 == 500)
                usleep(2000); /* long enough for all to fall asleep */
        }
        for (int w = 0; w < n; w++)
            assert_int_equal(t.runs[w], 3000);
        cpu_team_destroy(&team);
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
        cpu_team_run(shared, count, &t);
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
    assert_int_equal(cpu_team_create(&shared, 2), TRK_OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_many, NULL), 0);
    for (int i = 0; i < 3; i++) {
        void *failed = NULL;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    cpu_team_destroy(&shared);
}

static void no_team_works_alone(void **state)
{
    (void)state;
    tally t = {0};
    cpu_team_run(NULL, count, &t);
    assert_int_equal(t.sum, 1);
    assert_int_equal(t.n_workers, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_worker_runs_once),
        cmocka_unit_test(a_busy_team_leaves_callers_to_themselves),
        cmocka_unit_test(no_team_works_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
