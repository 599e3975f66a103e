/* SPDX-License-Identifier: Apache-2.0
 * Work is announced by raising `round`; a worker that sleeps has counted itself in `n_asleep` before it looked at
 * `round` for the last time, and the caller looks at `n_asleep` after raising `round`, so that no wake-up is lost. The
 * same holds for the caller's wait on `n_running`. */
#include "team.h"

#include <pthread.h>
#include <stdatomic.h>

#include "heap.h"
#include "log.h"

#ifdef __x86_64__
#include <immintrin.h>
#define RELAX() _mm_pause()
#elif defined(__aarch64__)
#define RELAX() __asm__ volatile("yield")
#else
#define RELAX() ((void)0)
#endif

#define LOOKS 2000 /* before sleeping: about 30 microseconds */

typedef struct worker {
    struct cpu_team *team;
    int index;
    pthread_t thread;
} worker;

struct cpu_team {
    int n_workers; /* threads that run, and the caller */
    atomic_flag busy;
    cpu_team_work *work;
    void *context;
    atomic_uint round;
    atomic_int n_running, n_asleep, caller_asleep, ending;
    pthread_mutex_t mutex;
    pthread_cond_t raised, finished;
    worker workers[];
};

static void wait_for_round(cpu_team *team, unsigned seen)
{
    for (int i = 0; i < LOOKS; i++) {
        if (atomic_load_explicit(&team->round, memory_order_acquire) != seen)
            return;
        RELAX();
    }
    pthread_mutex_lock(&team->mutex);
    atomic_fetch_add(&team->n_asleep, 1);
    while (atomic_load(&team->round) == seen)
        pthread_cond_wait(&team->raised, &team->mutex);
    atomic_fetch_sub(&team->n_asleep, 1);
    pthread_mutex_unlock(&team->mutex);
}

static void raise_round(cpu_team *team)
{
    atomic_fetch_add(&team->round, 1);
    if (atomic_load(&team->n_asleep)) {
        pthread_mutex_lock(&team->mutex);
        pthread_cond_broadcast(&team->raised);
        pthread_mutex_unlock(&team->mutex);
    }
}

static void report_finished(cpu_team *team)
{
    if (atomic_fetch_sub(&team->n_running, 1) == 1 && atomic_load(&team->caller_asleep)) {
        pthread_mutex_lock(&team->mutex);
        pthread_cond_signal(&team->finished);
        pthread_mutex_unlock(&team->mutex);
    }
}

static void wait_for_workers(cpu_team *team)
{
    for (int i = 0; i < LOOKS; i++) {
        if (!atomic_load_explicit(&team->n_running, memory_order_acquire))
            return;
        RELAX();
    }
    pthread_mutex_lock(&team->mutex);
    atomic_store(&team->caller_asleep, 1);
    while (atomic_load(&team->n_running))
        pthread_cond_wait(&team->finished, &team->mutex);
    atomic_store(&team->caller_asleep, 0);
    pthread_mutex_unlock(&team->mutex);
}

static void *worker_main(void *argument)
{
    worker *self = argument;
    cpu_team *team = self->team;
    for (unsigned seen = 0;; seen++) {
        wait_for_round(team, seen);
        if (atomic_load(&team->ending))
            return NULL;
        team->work(team->context, self->index, team->n_workers);
        report_finished(team);
    }
}

trk_status trk_cpu_team_create(cpu_team **out, int *threads, int least)
{
    const int n_threads = *threads;
    cpu_team *team =
        trk_heap_zeroed(TRK_MEM_PINNED, "thread team", 1, sizeof *team + (size_t)n_threads * sizeof *team->workers);
    *out = NULL;
    if (!team)
        return TRK_FAIL(TRK_E_MEMORY, "no memory for a team of %d threads", n_threads);
    pthread_mutex_init(&team->mutex, NULL);
    pthread_cond_init(&team->raised, NULL);
    pthread_cond_init(&team->finished, NULL);
    atomic_flag_clear(&team->busy);
    for (team->n_workers = 1; team->n_workers < n_threads; team->n_workers++) {
        worker *w = &team->workers[team->n_workers];
        *w = (worker){.team = team, .index = team->n_workers};
        if (pthread_create(&w->thread, NULL, worker_main, w) != 0)
            break;
    }
    const int n_started = team->n_workers;
    if (n_started < least) {
        trk_cpu_team_destroy(&team);
        return TRK_FAIL(TRK_E_MEMORY, "cannot start thread %d of %d", n_started + 1, n_threads);
    }
    if (n_started < n_threads)
        trk_log(TRK_LOG_WARNING, "%d threads instead of %d, one per core: the system starts no more", n_started,
                n_threads);
    *threads = n_started;
    *out = team;
    return TRK_OK;
}

void trk_cpu_team_destroy(cpu_team **handle)
{
    cpu_team *team = *handle;
    if (!team)
        return;
    *handle = NULL;
    atomic_store(&team->ending, 1);
    raise_round(team);
    for (int i = 1; i < team->n_workers; i++)
        pthread_join(team->workers[i].thread, NULL);
    pthread_cond_destroy(&team->finished);
    pthread_cond_destroy(&team->raised);
    pthread_mutex_destroy(&team->mutex);
    trk_heap_release(team);
}

void trk_cpu_team_run(cpu_team *team, cpu_team_work *work, void *context)
{
    if (!team || team->n_workers == 1 || atomic_flag_test_and_set_explicit(&team->busy, memory_order_acquire)) {
        work(context, 0, 1);
        return;
    }
    team->work = work;
    team->context = context;
    atomic_store_explicit(&team->n_running, team->n_workers - 1, memory_order_relaxed);
    raise_round(team);
    work(context, 0, team->n_workers);
    wait_for_workers(team);
    atomic_flag_clear_explicit(&team->busy, memory_order_release);
}
