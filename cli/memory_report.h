/* SPDX-License-Identifier: Apache-2.0
 * Bytes by lifetime class, device and owner, now and at their peak, as a table or as JSON. */
#ifndef TRK_CLI_MEMORY_REPORT_H
#define TRK_CLI_MEMORY_REPORT_H

#include <stdio.h>

#include "error.h"
#include "track.h"

/* The state of a model, its pool and the process at one time. */
typedef struct memory_report {
    trk_memory_use use;
    trk_owner_bytes *owners; /* [n_owners] owned, the largest peak first */
    size_t n_owners;
    uint64_t n_sweeps; /* of all trackers measured */
} memory_report;

/* Measures once more, by a tracker at the end of its run. */
trk_status memory_report_measure(memory_report *self, const trk_tracker *tracker);
void memory_report_print(const memory_report *self, FILE *stream);
/* path: of a JSON file, or NULL for the table on standard error. */
trk_status memory_report_write(const memory_report *self, const char *path);
void memory_report_free(memory_report *self);

#endif
