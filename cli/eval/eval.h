/* SPDX-License-Identifier: Apache-2.0
 * track eval: a dataset is tracked, or results are read, clip by clip; scores as a table and as a file. Clips that are
 * done are kept beside the file until it is whole, so that the same command goes on where an earlier one ended. */
#ifndef TRK_CLI_EVAL_EVAL_H
#define TRK_CLI_EVAL_EVAL_H

#include "options.h"

/* TRK_OK also when a signal stopped it. Clips that fail are reported, the others go on, then it is TRK_E_STATE. */
trk_status eval_run(const options *wanted);

#endif
