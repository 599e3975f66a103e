/* SPDX-License-Identifier: Apache-2.0
 * Names of files, and whether two are one file: they are if they lead to one inode or, as an output need not exist yet,
 * are the same name in one folder, after symbolic links. Devices may be named twice: nothing in them is overwritten. */
#ifndef TRK_CLI_PLACES_H
#define TRK_CLI_PLACES_H

#include <stddef.h>
#include <sys/stat.h>

#include "error.h"

typedef struct place {
    const char *role;  /* "--sheet", or "the video" */
    const char *where; /* "FILE:LINE" it is named in; NULL: the command line */
    char *path;        /* owned */
    const char *name;  /* the end of path */
    int exists, has_parent;
    struct stat self, parent; /* where they exist */
    int numbered;             /* 1: with _ID before the suffix perhaps */
} place;

typedef struct places {
    place *items; /* owned */
    size_t n_items, capacity;
} places;

/* Neither does anything for a path that is NULL. What is not there is compared by its folder and name, so that the answer
 * does not depend on what an earlier run left. */
trk_status places_add_output(places *list, const char *role, const char *path, const char *where);
trk_status places_add_input(places *list, const char *role, const char *path, const char *where);
void places_free(places *list);

int place_is_same(const place *a, const place *b);
/* 1 if the name of b is that of a with _ID before the suffix, in the same folder. */
int place_is_numbered(const place *a, const place *b);
int place_is_inode(const struct stat *a, const struct stat *b);

#endif
