/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs.h"

#include <pthread.h>
#include <stdio.h>

#include "conflicts.h"
#include "failure.h"
#include "heap.h"
#include "job_list.h"
#include "model_path.h"
#include "report.h"
#include "run.h"

typedef struct worker_group {
    session *shared; /* borrowed */
    job_list *list;  /* borrowed */
    progress_group progress;
    pthread_mutex_t mutex; /* of what follows */
    size_t next;
    size_t n_done, n_failed;
} worker_group;

/* NULL: there is none, or the command is being stopped. */
static job *take_job(worker_group *self)
{
    pthread_mutex_lock(&self->mutex);
    const int none = session_stop_signal || self->next == self->list->n_items;
    job *taken = none ? NULL : &self->list->items[self->next++];
    pthread_mutex_unlock(&self->mutex);
    return taken;
}

/* What a job held of its prompts is given back when it ends: a list can be long. */
static void *work(void *user)
{
    worker_group *self = user;
    for (job *item; (item = take_job(self)) != NULL;) {
        trk_status rc = run_video(self->shared, &item->wanted, item->where);
        if (rc)
            report_line("%s: %s", item->where, trk_error_text());
        options_free(&item->wanted);
        progress_group_job_done(&self->progress);
        pthread_mutex_lock(&self->mutex);
        self->n_done += !rc;
        self->n_failed += rc != TRK_OK;
        pthread_mutex_unlock(&self->mutex);
    }
    return NULL;
}

void jobs_run_workers(void *(*run)(void *), void *user, size_t n_threads)
{
    pthread_t threads[OPTIONS_MOST_JOBS];
    size_t n_started = 0;
    while (n_started + 1 < n_threads && !pthread_create(&threads[n_started], NULL, run, user))
        n_started++;
    run(user);
    for (size_t i = 0; i < n_started; i++)
        pthread_join(threads[i], NULL);
}

static trk_status tell_result(const worker_group *self)
{
    const size_t n = self->list->n_items, n_left = n - self->n_done - self->n_failed;
    char failed[48] = "", left[48] = "";
    if (self->n_failed)
        snprintf(failed, sizeof failed, ", %zu failed", self->n_failed);
    if (n_left)
        snprintf(left, sizeof left, ", %zu not begun", n_left);
    if (self->n_failed)
        return TRK_FAIL(TRK_E_STATE, "%zu of %zu jobs done%s%s", self->n_done, n, failed, left);
    if (!self->shared->wanted->quiet)
        report_line("%zu of %zu jobs done%s", self->n_done, n, left);
    return TRK_OK;
}

static trk_status run_jobs(session *shared, job_list *list)
{
    const size_t asked = shared->wanted->jobs ? (size_t)shared->wanted->jobs : 1;
    worker_group group = {.shared = shared, .list = list};
    pthread_mutex_init(&group.mutex, NULL);
    progress_group_init(&group.progress, list->n_items);
    shared->together = asked > 1 ? &group.progress : NULL;
    jobs_run_workers(work, &group, asked < list->n_items ? asked : list->n_items);
    report_clear();
    progress_group_destroy(&group.progress);
    pthread_mutex_destroy(&group.mutex);
    return tell_result(&group);
}

static trk_status run_session(const options *wanted, job_list *list)
{
    session shared;
    first_failure first = {0};
    trk_status rc = TRK_OK;
    TRK_CHECK(session_open(&shared, wanted));
    first_failure_note(&first, run_jobs(&shared, list));
    first_failure_note(&first, session_report(&shared));
    rc = first_failure_tell(&first);
done:
    session_close(&shared);
    return rc;
}

trk_status jobs_run(const options *wanted, int argc, char **argv)
{
    job_list list;
    char *model = NULL;
    trk_status rc = job_list_read(&list, wanted->list, argc, argv);
    if (!rc)
        rc = model_path_find(wanted->model, &model);
    if (!rc)
        rc = conflicts_refuse_jobs(wanted, model, &list);
    if (!rc)
        rc = run_session(wanted, &list);
    trk_heap_release(model);
    job_list_free(&list);
    return rc;
}
