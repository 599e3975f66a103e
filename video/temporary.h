/* SPDX-License-Identifier: Apache-2.0
 * Files that appear under their name only when whole: written beside the target as .NAME.partial.SUFFIX, then renamed.
 */
#ifndef TRK_VIDEO_TEMPORARY_H
#define TRK_VIDEO_TEMPORARY_H

#include <stddef.h>

#include "error.h"

/* The temporary name, which the caller releases (trk_heap_release). Fails where a folder already has the final name. */
trk_status trk_temporary_name(char **out, const char *path);
trk_status trk_temporary_commit(const char *temporary, const char *path); /* removes the temporary on failure */
/* All of it in one go. */
trk_status trk_temporary_write(const char *path, const void *data, size_t bytes);

#endif
