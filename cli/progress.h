/* SPDX-License-Identifier: Apache-2.0
 * What a run shows of itself on standard error: a line drawn over itself on a terminal, a summary at the end. */
#ifndef TRK_CLI_PROGRESS_H
#define TRK_CLI_PROGRESS_H

#include <stddef.h>
#include <stdint.h>

typedef struct progress {
    int quiet, terminal;
    int64_t n_done, n_total; /* frames; n_total -1: unknown */
    int total_exact;
    double started, drawn; /* seconds of the monotonic clock */
} progress;

/* The clock starts here. */
void progress_start(progress *self, int quiet, int64_t n_total, int total_exact);
/* One more frame is done; accounted_bytes: what the library holds. Draws at most ten times a second. */
void progress_step(progress *self, size_t accounted_bytes);
void progress_summary(progress *self, size_t n_objects);

size_t progress_resident_bytes(void);      /* of this process, now */
size_t progress_resident_peak_bytes(void); /* at most so far */

#endif
