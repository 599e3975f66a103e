/* SPDX-License-Identifier: Apache-2.0 */
#include "output_file.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "heap.h"

static trk_status not_writable(const char *path)
{
    return TRK_FAIL(TRK_E_IO, "%s: cannot be written: %s", path, strerror(errno));
}

static trk_status open_target(output_file *file)
{
    int descriptor = -1;
    trk_status rc = trk_temporary_open(&file->target, &descriptor);
    if (rc)
        return rc;
    file->stream = fdopen(descriptor, "w");
    if (file->stream)
        return TRK_OK;
    close(descriptor);
    return TRK_FAIL(TRK_E_MEMORY, "%s: out of memory", file->target.path);
}

trk_status output_file_open(output_file *file, const char *path)
{
    *file = (output_file){0};
    if (!strcmp(path, "-")) {
        file->stream = stdout;
        return TRK_OK;
    }
    trk_status rc = trk_temporary_find(&file->target, path);
    if (!rc)
        rc = open_target(file);
    if (rc)
        output_file_discard(file);
    return rc;
}

trk_status output_file_probe(const char *path, int is_regular)
{
    output_file file = {0};
    const int is_stdout = !strcmp(path, "-");
    trk_status rc = is_stdout ? TRK_OK : trk_temporary_find(&file.target, path);
    if (!rc && !is_stdout && file.target.kind == TRK_TARGET_FILE)
        rc = open_target(&file);
    else if (!rc && is_regular)
        rc = TRK_FAIL(TRK_E_IO, "%s: cannot be written: not a regular file", path);
    else if (!rc && !is_stdout && access(file.target.place, W_OK)) /* opening a pipe would end it for its reader */
        rc = not_writable(path);
    output_file_discard(&file);
    return rc;
}

static trk_status write_failed(const output_file *file)
{
    return TRK_FAIL(TRK_E_IO, "%s: write failed: %s", file->target.path ? file->target.path : "standard output",
                    strerror(errno));
}

trk_status output_file_flush(output_file *file)
{
    if (fflush(file->stream))
        return write_failed(file);
    if (ferror(file->stream)) {
        errno = EIO; /* an earlier write failed and its reason is gone */
        return write_failed(file);
    }
    return TRK_OK;
}

trk_status output_file_finish(output_file *file)
{
    trk_status rc = output_file_flush(file);
    if (!rc && file->stream != stdout) {
        FILE *stream = file->stream;
        file->stream = NULL;
        rc = fclose(stream) ? write_failed(file) : trk_temporary_commit(&file->target);
    }
    output_file_discard(file);
    return rc;
}

void output_file_discard(output_file *file)
{
    if (file->stream && file->stream != stdout)
        fclose(file->stream);
    trk_temporary_discard(&file->target);
    *file = (output_file){0};
}

trk_status output_folder_create(const char *path, int *created)
{
    trk_status rc = TRK_OK;
    char *copy = trk_heap_text("path", path);
    if (!copy)
        return TRK_FAIL(TRK_E_MEMORY, "%s: out of memory", path);
    *created = 0;
    for (char *end = copy + 1; !rc && *copy; end++) {
        int last = !*end;
        if (!last && *end != '/')
            continue;
        *end = 0;
        if (!mkdir(copy, 0777))
            ++*created;
        else if (errno != EEXIST)
            rc = TRK_FAIL(TRK_E_IO, "%s: folder cannot be created: %s", path, strerror(errno));
        if (last)
            break;
        *end = '/';
    }
    if (!rc && !trk_is_folder(path))
        rc = TRK_FAIL(TRK_E_IO, "%s: cannot be written: is not a folder", path);
    if (!rc && access(path, W_OK | X_OK))
        rc = not_writable(path);
    trk_heap_release(copy);
    return rc;
}

const char *output_after_frame(const char *name)
{
    const size_t n_digits = strspn(name, "0123456789");
    return n_digits >= 5 ? name + n_digits : NULL;
}

/* The number of a frame's file, -1: it is none. */
static int64_t frame_of_name(const char *name, const char *suffix)
{
    const char *rest = output_after_frame(name);
    if (!rest || rest - name > 18)
        return -1;
    if (*rest == '_')
        rest += 1 + strspn(rest + 1, "0123456789");
    return strcmp(rest, suffix) ? -1 : strtoll(name, NULL, 10);
}

int64_t output_folder_behind(const char *path, const char *suffix, int64_t last, int reverse)
{
    int64_t n = 0;
    DIR *entries = path ? opendir(path) : NULL;
    for (const struct dirent *entry; entries && (entry = readdir(entries)) != NULL;) {
        const int64_t frame = frame_of_name(entry->d_name, suffix);
        n += frame >= 0 && (reverse ? frame < last : frame > last);
    }
    if (entries)
        closedir(entries);
    return n;
}

void output_folder_remove_empty(const char *path, int created)
{
    char copy[PATH_MAX];
    if (!path || !created || strlen(path) >= sizeof copy)
        return;
    for (strcpy(copy, path); created > 0 && !rmdir(copy); created--) {
        char *slash = strrchr(copy, '/');
        if (!slash)
            break;
        *slash = 0;
    }
}
