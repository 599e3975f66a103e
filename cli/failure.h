/* SPDX-License-Identifier: Apache-2.0
 * Failures on their way out of the command: of calls of track.h, and the first of several. */
#ifndef TRK_CLI_FAILURE_H
#define TRK_CLI_FAILURE_H

#include "error.h"

/* Records the library's last line as this thread's own. Returns rc. */
trk_status failure_of_library(trk_status rc);

/* For work that goes on after a failure; starts zeroed. */
typedef struct first_failure {
    trk_status status;
    char text[1024];
} first_failure;

void first_failure_note(first_failure *self, trk_status rc); /* keeps this thread's last line with the first failure */
trk_status first_failure_tell(const first_failure *self);    /* TRK_OK, or that failure with its line */

#endif
