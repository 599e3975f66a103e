/* SPDX-License-Identifier: Apache-2.0
 * The command with --list: many videos over one model and one pool, --jobs of them at once. */
#ifndef TRK_CLI_JOBS_H
#define TRK_CLI_JOBS_H

#include "options.h"

/* argc, argv: of the command line that wanted was parsed from. Every line is read and checked before anything runs; one
 * that fails does not stop the others. TRK_E_STATE: some failed; each has been reported. */
trk_status jobs_run(const options *wanted, int argc, char **argv);
/* run(user) in up to n_threads threads (at most OPTIONS_MOST_JOBS) until each has returned. This thread is one of them,
 * so that the work is also done where no further thread can be had. */
void jobs_run_workers(void *(*run)(void *), void *user, size_t n_threads);

#endif
