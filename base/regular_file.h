/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TRK_BASE_REGULAR_FILE_H
#define TRK_BASE_REGULAR_FILE_H

#include <stdio.h>

#include "error.h"

/* Opens a file that is read to its end, *bytes of it; the caller closes it. Does not wait for the writer of a pipe.
 * TRK_E_IO: not there, a folder, a pipe, ...; expected: what belongs there, for the line. */
trk_status trk_regular_file_open(FILE **out, size_t *bytes, const char *path, const char *expected);

#endif
