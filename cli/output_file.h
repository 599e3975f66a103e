/* SPDX-License-Identifier: Apache-2.0
 * A file that is whole or absent: written beside its place under a temporary name, renamed when finished. Pipes,
 * devices and "-" (standard output) are written directly. */
#ifndef TRK_CLI_OUTPUT_FILE_H
#define TRK_CLI_OUTPUT_FILE_H

#include <stdio.h>

#include "error.h"

typedef struct output_file {
    FILE *stream;    /* NULL: not open */
    char *path;      /* owned */
    char *temporary; /* owned; NULL where the stream is the place itself */
} output_file;

trk_status output_file_open(output_file *file, const char *path);
/* Hands what was written so far to the system, so that a full disk shows at the frame that met it. */
trk_status output_file_flush(output_file *file);
trk_status output_file_finish(output_file *file);
void output_file_discard(output_file *file); /* accepts a zeroed, finished or failed one */

/* Creates a folder and the ones above it. *created: how many were not there before. */
trk_status output_folder_create(const char *path, int *created);

#endif
