/* SPDX-License-Identifier: Apache-2.0
 * Files that appear under their name only when whole: written beside the target as .NAME.partial.SUFFIX, then renamed.
 */
#ifndef TRK_VIDEO_TEMPORARY_H
#define TRK_VIDEO_TEMPORARY_H

#include <stddef.h>

#include "error.h"
#include "target.h"

typedef struct temporary {
    char *place; /* owned: where the file belongs, after symbolic links */
    char *name;  /* owned: what to write; NULL: the place is a stream, or the file is renamed or removed */
} temporary;

/* Names what is to be written for a path. Fails where a folder already has that name. */
trk_status trk_temporary_find(temporary *out, const char *path);
trk_status trk_temporary_commit(temporary *self); /* removes what was written on failure */
void trk_temporary_discard(temporary *self);      /* removes what was written and not committed; accepts a zeroed one */
/* All of it in one go; into a device or pipe as it is. */
trk_status trk_temporary_write(const char *path, const void *data, size_t bytes);

#endif
