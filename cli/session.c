/* SPDX-License-Identifier: Apache-2.0 */
#include "session.h"

#include <string.h>

#include "failure.h"
#include "heap.h"
#include "model_path.h"
#include "output_file.h"

atomic_int session_stop_signal;

static trk_status load_model(session *self)
{
    const options *wanted = self->wanted;
    trk_model_params params = TRK_MODEL_PARAMS_INIT;
    params.device = wanted->device;
    params.device_index = wanted->device_index;
    params.precision = wanted->precision;
    params.threads = wanted->threads;
    params.image_size = wanted->image_size;
    params.config_path = wanted->model_config;
    trk_status rc = trk_model_load(&self->model, self->model_path, &params);
    if (rc) {
        failure_of_library(rc);
        if (rc == TRK_E_MODEL && !strstr(trk_error_text(), self->model_path))
            trk_fail_prefix(rc, self->model_path);
    }
    return rc;
}

static trk_status create_pool(session *self)
{
    trk_pool_params params = TRK_POOL_PARAMS_INIT;
    params.budget = self->wanted->memory_budget;
    params.budget_share = self->wanted->memory_share;
    trk_status rc = trk_pool_create(&self->pool, self->model, &params);
    return rc ? failure_of_library(rc) : TRK_OK;
}

/* What is written at the end, before anything is done for it. */
static trk_status probe_report(const options *wanted)
{
    const char *path = wanted->plan ? NULL : wanted->memory_report_file;
    trk_status rc = path ? output_file_probe(path, 0) : TRK_OK;
    return rc ? trk_fail_prefix(rc, "--memory-report") : TRK_OK;
}

trk_status session_open(session *out, const options *wanted)
{
    *out = (session){.wanted = wanted};
    pthread_mutex_init(&out->mutex, NULL);
    pthread_cond_init(&out->room, NULL);
    trk_status rc = probe_report(wanted);
    if (rc)
        return rc;
    rc = model_path_find(wanted->model, &out->model_path);
    if (rc)
        return trk_fail_prefix(rc, "--model");
    rc = load_model(out);
    return rc ? rc : create_pool(out);
}

void session_close(session *self)
{
    trk_pool_destroy(&self->pool);
    trk_model_destroy(&self->model);
    trk_heap_release(self->model_path);
    memory_report_free(&self->measured);
    pthread_cond_destroy(&self->room);
    pthread_mutex_destroy(&self->mutex);
}

void session_enter(session *self, size_t bytes, size_t budget)
{
    pthread_mutex_lock(&self->mutex);
    while (self->n_admitted && (bytes > budget || self->bytes_admitted > budget - bytes))
        pthread_cond_wait(&self->room, &self->mutex);
    self->n_admitted++;
    self->bytes_admitted += bytes;
    pthread_mutex_unlock(&self->mutex);
}

void session_leave(session *self, size_t bytes)
{
    pthread_mutex_lock(&self->mutex);
    self->n_admitted--;
    self->bytes_admitted -= bytes;
    pthread_cond_broadcast(&self->room);
    pthread_mutex_unlock(&self->mutex);
}

trk_status session_measure(session *self, const trk_tracker *tracker)
{
    pthread_mutex_lock(&self->mutex);
    trk_status rc = memory_report_measure(&self->measured, tracker);
    pthread_mutex_unlock(&self->mutex);
    return rc;
}

trk_status session_report(session *self)
{
    const options *wanted = self->wanted;
    if (!wanted->memory_report || !self->measured.owners)
        return TRK_OK;
    return memory_report_write(&self->measured, wanted->memory_report_file);
}
