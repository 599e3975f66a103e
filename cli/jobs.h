/* SPDX-License-Identifier: Apache-2.0
 * The command with --list: many videos over one model and one pool, --jobs of them at once. */
#ifndef TRK_CLI_JOBS_H
#define TRK_CLI_JOBS_H

#include "options.h"

/* argc, argv: of the command line that wanted was parsed from. Every line is read and checked before anything runs; one
 * that fails does not stop the others. TRK_E_STATE: some failed; each has been reported. */
trk_status jobs_run(const options *wanted, int argc, char **argv);

#endif
