/* SPDX-License-Identifier: Apache-2.0
 * What lies under a path, and where that goes which is written under it. A file is replaced as a whole, by one written
 * beside it and renamed (temporary.h); a device, a pipe or an open descriptor must not be: it is opened and written as
 * it is. */
#ifndef TRK_BASE_TARGET_H
#define TRK_BASE_TARGET_H

#include "error.h"

typedef enum trk_target_kind {
    TRK_TARGET_FILE,   /* there or not yet, to be replaced */
    TRK_TARGET_STREAM, /* to be written directly, with O_APPEND: what is behind may be a file that is being written */
    TRK_TARGET_FOLDER
} trk_target_kind;

/* *out: the path, or the place its symbolic links lead to, which need not be there yet; released with trk_heap_release.
 * A link of /proc (/dev/stdout leads to one) stands for an open descriptor and is a stream. TRK_E_MEMORY, or TRK_E_IO
 * for links that go in a circle; the line names the path. */
trk_status trk_target_find(char **out, trk_target_kind *kind, const char *path);

/* The path that an address `file:PATH` or `file:///PATH` stands for, as FFmpeg reads it (nothing is decoded), unless
 * something has that very name; any other path, and `file:-`, itself. */
const char *trk_local_path(const char *path);

/* What is there, after symbolic links. 0 for NULL. */
int trk_is_file(const char *path);
int trk_is_folder(const char *path);

#endif
