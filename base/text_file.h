/* SPDX-License-Identifier: Apache-2.0
 * Small text files (JSON descriptions) as strings. */
#ifndef TRK_BASE_TEXT_FILE_H
#define TRK_BASE_TEXT_FILE_H

#include "error.h"

#define TRK_TEXT_FILE_BYTES (1 << 20) /* at most; real ones have a few thousand */

/* *out: the whole file without a byte order mark, terminated; released with trk_heap_release. TRK_E_IO, TRK_E_MEMORY, or
 * TRK_E_FORMAT for a file that is too large or holds a zero byte; the line names the file. */
trk_status trk_text_file_read(const char *path, char **out);
/* Takes away the byte order mark of UTF-8 at the start, if there is one; some editors write it. */
void trk_text_drop_mark(char *text);

#endif
