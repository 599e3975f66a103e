/* SPDX-License-Identifier: Apache-2.0 */
#include "target.h"

#include "heap.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST_LINKS 40 /* as Linux */

static const char owner[] = "path";

/* The length of the folder's part of a path, with its slash. */
static size_t folder_length(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? (size_t)(slash - path) + 1 : 0;
}

/* 1: the path is a link of /proc, whose text says what is open there, not where it is. */
static int is_of_proc(const char *path)
{
    char folder[PATH_MAX], resolved[PATH_MAX];
    const size_t n = folder_length(path);
    if (!n || n >= sizeof folder)
        return 0;
    memcpy(folder, path, n);
    folder[n] = 0;
    return realpath(folder, resolved) && !strncmp(resolved, "/proc/", 6);
}

/* *path, a symbolic link, becomes what it says. */
static trk_status follow(char **path)
{
    char said[PATH_MAX];
    const ssize_t n = readlink(*path, said, sizeof said - 1);
    if (n < 0)
        return TRK_FAIL(TRK_E_IO, "%s: %s", *path, strerror(errno));
    said[n] = 0;
    const size_t n_folder = *said == '/' ? 0 : folder_length(*path);
    char *next = trk_heap_format(owner, "%.*s%s", (int)n_folder, *path, said);
    if (!next)
        return TRK_FAIL(TRK_E_MEMORY, "%s: out of memory", *path);
    trk_heap_release(*path);
    *path = next;
    return TRK_OK;
}

/* What cannot be looked at is taken for a file: opening it says why. */
static trk_target_kind kind_of(const char *path)
{
    struct stat info;
    if (stat(path, &info) || S_ISREG(info.st_mode))
        return TRK_TARGET_FILE;
    return S_ISDIR(info.st_mode) ? TRK_TARGET_FOLDER : TRK_TARGET_STREAM;
}

trk_status trk_target_find(char **out, trk_target_kind *kind, const char *path)
{
    struct stat info;
    trk_status rc = TRK_OK;
    int n_links = 0, of_proc = 0;
    char *at = trk_heap_text(owner, path);
    if (!at)
        return TRK_FAIL(TRK_E_MEMORY, "%s: out of memory", path);
    while (!of_proc && !lstat(at, &info) && S_ISLNK(info.st_mode)) {
        if (n_links++ == MOST_LINKS)
            TRK_CHECK(TRK_FAIL(TRK_E_IO, "%s: %s", path, strerror(ELOOP)));
        of_proc = is_of_proc(at);
        if (!of_proc)
            TRK_CHECK(follow(&at));
    }
    *kind = kind_of(at);
    if (of_proc && *kind == TRK_TARGET_FILE)
        *kind = TRK_TARGET_STREAM;
    *out = at;
    at = NULL;
done:
    trk_heap_release(at);
    return rc;
}

const char *trk_local_path(const char *path)
{
    static const char scheme[] = "file:";
    struct stat info;
    const size_t n = sizeof scheme - 1;
    if (strncmp(path, scheme, n) || !path[n] || !strcmp(path + n, "-") || !stat(path, &info))
        return path;
    return path + n;
}

int trk_is_file(const char *path)
{
    struct stat info;
    return path && !stat(path, &info) && S_ISREG(info.st_mode);
}

int trk_is_folder(const char *path)
{
    struct stat info;
    return path && !stat(path, &info) && S_ISDIR(info.st_mode);
}
