/* SPDX-License-Identifier: Apache-2.0
 * A text file that is whole or absent: written beside its name, then renamed. */
#ifndef TRK_TESTS_WHOLE_FILE_H
#define TRK_TESTS_WHOLE_FILE_H

#include <stdio.h>

typedef struct whole_file {
    FILE *file;
    const char *path; /* borrowed */
    char temporary[4096];
} whole_file;

/* 0, or -1 with a line on stderr. */
int whole_file_begin(whole_file *out, const char *path);
int whole_file_end(whole_file *out);

#endif
