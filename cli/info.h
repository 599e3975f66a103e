/* SPDX-License-Identifier: Apache-2.0
 * `track info`: what a checkpoint is. */
#ifndef TRK_CLI_INFO_H
#define TRK_CLI_INFO_H

#include "error.h"

/* model: file or shipped name; config: architecture JSON file, or NULL. Prints to standard output. */
trk_status info_print(const char *model, const char *config);

#endif
