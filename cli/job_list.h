/* SPDX-License-Identifier: Apache-2.0
 * The file of --list: one video a line, words as on the command line, quoted as a shell does it ('...', "...", \),
 * # comments, empty lines. */
#ifndef TRK_CLI_JOB_LIST_H
#define TRK_CLI_JOB_LIST_H

#include "options.h"

typedef struct job {
    options wanted; /* owned; its strings lie in the list's text and in argv */
    char *where;    /* "FILE:LINE", owned */
} job;

typedef struct job_list {
    job *items; /* owned */
    size_t n_items, capacity;
    char *text; /* the file, owned */
} job_list;

/* argc, argv: the command line, whose options are defaults. Errors name FILE:LINE. Fills *out with what needs
 * job_list_free also on failure. */
trk_status job_list_read(job_list *out, const char *path, int argc, char **argv);
void job_list_free(job_list *list);

/* Cuts a line into words, in place: words [strlen(line) / 2 + 1] point into it. */
trk_status job_list_split(char *line, char **words, size_t *n_words);

#endif
