/* SPDX-License-Identifier: Apache-2.0
 * Bytes by lifetime class, now and at their peak, as a table or as JSON. */
#ifndef TRK_CLI_MEMORY_REPORT_H
#define TRK_CLI_MEMORY_REPORT_H

#include <stdio.h>

#include "error.h"
#include "track.h"

void memory_report_print(FILE *stream, const trk_memory_use *use);
/* path: of a JSON file, or NULL for the table on standard error. */
trk_status memory_report_write(const char *path, const trk_memory_use *use);

#endif
