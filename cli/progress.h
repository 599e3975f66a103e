/* SPDX-License-Identifier: Apache-2.0
 * What a run shows of itself on standard error: a line drawn over itself on a terminal, a summary at the end. Runs that
 * go on at once share one line. */
#ifndef TRK_CLI_PROGRESS_H
#define TRK_CLI_PROGRESS_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

/* Of several runs at once: one line with what they did together. Thread safe. */
typedef struct progress_group {
    pthread_mutex_t mutex; /* of what follows */
    int64_t n_frames;
    size_t n_jobs_done, n_jobs;
    double started, drawn; /* seconds of the monotonic clock */
} progress_group;

typedef struct progress {
    int quiet, terminal;
    int64_t n_done, n_total; /* frames; n_total -1: unknown */
    int total_exact;
    double started, drawn; /* seconds of the monotonic clock */
    progress_group *group; /* borrowed; NULL: the line shows this run */
} progress;

void progress_group_init(progress_group *group, size_t n_jobs);
void progress_group_destroy(progress_group *group);
void progress_group_job_done(progress_group *group);

/* The clock starts here. group: may be NULL. */
void progress_start(progress *self, progress_group *group, int quiet, int64_t n_total, int total_exact);
/* One more frame is done. Returns 1 when the line is to be drawn anew, at most ten times a second. */
int progress_step(progress *self);
/* accounted_bytes: what the library holds. */
void progress_draw(progress *self, size_t accounted_bytes);
/* prefix: "" or "FILE:LINE: " */
void progress_summary(progress *self, const char *prefix, size_t n_objects);

size_t progress_resident_bytes(void);      /* of this process, now */
size_t progress_resident_peak_bytes(void); /* at most so far */

#endif
