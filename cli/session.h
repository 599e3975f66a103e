/* SPDX-License-Identifier: Apache-2.0
 * What the runs of one command share: the model, the pool with its budget, what was measured of the memory, and the
 * order in which runs that do not fit at once take turns. */
#ifndef TRK_CLI_SESSION_H
#define TRK_CLI_SESSION_H

#include <pthread.h>
#include <stdatomic.h>

#include "memory_report.h"
#include "options.h"
#include "progress.h"

/* The signal that asks every run to end after its current frame, and its video to be waited for no longer; 0: none. Set
 * by signal handlers. */
extern atomic_int session_stop_signal;

typedef struct session {
    const options *wanted; /* of the command line, borrowed */
    char *model_path;      /* owned */
    trk_model *model;
    trk_pool *pool;
    progress_group *together; /* borrowed; NULL unless runs go on at once */
    pthread_mutex_t mutex;    /* of what follows */
    pthread_cond_t room;      /* a run has left */
    size_t bytes_admitted;    /* that the plans of the runs going on need */
    size_t n_admitted;
    memory_report measured;
} session;

/* Loads the model and makes the pool. Fills *out with what needs session_close also on failure. */
trk_status session_open(session *out, const options *wanted);
void session_close(session *self);

/* Waits until `bytes` more fit beside what the runs going on need. budget: what the pool leaves for all of them;
 * SIZE_MAX: no limit. A run alone is always admitted. */
void session_enter(session *self, size_t bytes, size_t budget);
void session_leave(session *self, size_t bytes);

/* For --memory-report, at the end of a run. */
trk_status session_measure(session *self, const trk_tracker *tracker);
trk_status session_report(session *self);

#endif
