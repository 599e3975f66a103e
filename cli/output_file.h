/* SPDX-License-Identifier: Apache-2.0
 * A file that is whole or absent: written and renamed as base/temporary.h has it. Pipes, devices and "-" (standard
 * output) are written directly; of a symbolic link the file it leads to is replaced. */
#ifndef TRK_CLI_OUTPUT_FILE_H
#define TRK_CLI_OUTPUT_FILE_H

#include <stdint.h>
#include <stdio.h>

#include "temporary.h"

typedef struct output_file {
    FILE *stream;         /* NULL: not open */
    trk_temporary target; /* zeroed for standard output */
} output_file;

trk_status output_file_open(output_file *file, const char *path);
/* Shows early that a path cannot be written; leaves what is there as it is. is_regular: 1: only a regular file will
 * do. */
trk_status output_file_probe(const char *path, int is_regular);
/* Hands what was written so far to the system, so that a full disk shows at the frame that met it. */
trk_status output_file_flush(output_file *file);
trk_status output_file_finish(output_file *file);
void output_file_discard(output_file *file); /* accepts a zeroed, finished or failed one */

/* Creates a folder and the ones above it. *created: how many were not there before. */
trk_status output_folder_create(const char *path, int *created);
/* What follows the number in a name that a frame's file may have, five digits or more; NULL: it is none. */
const char *output_after_frame(const char *name);
/* How many files of frames behind `last` (before it with reverse) a folder holds: the number, then the suffix or _ID
 * and the suffix. 0 also where it cannot be read. path NULL: none. */
int64_t output_folder_behind(const char *path, const char *suffix, int64_t last, int reverse);
/* Of a run that then wrote nothing: removes the innermost `created` ones if they are empty. Allocates nothing, as it
 * also follows a failed allocation. path NULL: none. */
void output_folder_remove_empty(const char *path, int created);

#endif
