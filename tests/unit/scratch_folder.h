/* SPDX-License-Identifier: Apache-2.0
 * A folder of a test program's own, and working there. */
#ifndef SCRATCH_FOLDER_H
#define SCRATCH_FOLDER_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static inline int scratch_remove_one(const char *path, const struct stat *info, int kind, struct FTW *where)
{
    (void)info, (void)kind, (void)where;
    return remove(path);
}

/* 0, or non-zero if something of it stays. */
static inline int scratch_remove(const char *folder)
{
    return nftw(folder, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static char scratch_folder[] = "scratch-XXXXXX";

/* As a group's set-up and tear-down: the tests run in the folder. */
static inline int scratch_enter(void **state)
{
    (void)state;
    return !mkdtemp(scratch_folder) || chdir(scratch_folder);
}

static inline int scratch_leave(void **state)
{
    (void)state;
    return chdir("..") || scratch_remove(scratch_folder);
}

/* Fails if the tests left something. */
static inline int scratch_leave_empty(void **state)
{
    (void)state;
    return chdir("..") || rmdir(scratch_folder);
}

#endif
