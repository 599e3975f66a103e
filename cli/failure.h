/* SPDX-License-Identifier: Apache-2.0
 * Failures of calls of track.h, on their way out of the command. */
#ifndef TRK_CLI_FAILURE_H
#define TRK_CLI_FAILURE_H

#include "error.h"

/* Records the library's last line as this thread's own. Returns rc. */
trk_status failure_of_library(trk_status rc);

#endif
