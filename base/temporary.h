/* SPDX-License-Identifier: Apache-2.0
 * Files that appear under their name only when whole: written beside their place as NAME.part-PROCESS-NUMBER, then
 * renamed, with the permissions of the file it replaces. What is no file (base/target.h) is written as it is. */
#ifndef TRK_BASE_TEMPORARY_H
#define TRK_BASE_TEMPORARY_H

#include <stddef.h>
#include <sys/types.h>

#include "target.h"

typedef struct trk_temporary {
    trk_target_kind kind; /* TRK_TARGET_FILE or TRK_TARGET_STREAM */
    char *path;           /* owned: as it was given, for messages */
    char *place;          /* owned: where the file belongs, after symbolic links */
    char *name;           /* owned: the file that is written; NULL: none yet, or a stream, or renamed or removed */
    dev_t device;         /* of the file that is written: */
    ino_t number;         /* its name may be somebody else's by then */
    int replaces;         /* 1: there is a file, with */
    mode_t mode;          /* these permissions, */
    uid_t owner;          /* of this user */
    gid_t group;          /* and group */
} trk_temporary;

/* Finds the place of a path; nothing is created. TRK_E_IO where a folder has that name. */
trk_status trk_temporary_find(trk_temporary *out, const char *path);
/* *descriptor, the caller's: a new file beside the place under a name that nobody has, or the stream, to be appended
 * to. After trk_temporary_find. */
trk_status trk_temporary_open(trk_temporary *self, int *descriptor);
trk_status trk_temporary_commit(trk_temporary *self); /* renames what was written, which the caller has closed */
void trk_temporary_discard(trk_temporary *self);      /* removes what was not committed; accepts a zeroed one */

/* Whether a name in a folder is that of what is, or was, written for a file of that folder. */
int trk_is_temporary_of(const char *name, const char *file);

/* TRK_E_IO: errno says why, no line is left. */
trk_status trk_write_all(int descriptor, const void *data, size_t bytes);
/* All of it in one go; into a device or pipe as it is. */
trk_status trk_temporary_write(const char *path, const void *data, size_t bytes);

#endif
