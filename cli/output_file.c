/* SPDX-License-Identifier: Apache-2.0 */
#include "output_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "heap.h"
#include "target.h"

static trk_status not_writable(const char *path)
{
    return TRK_FAIL(TRK_E_IO, "%s: cannot be written: %s", path, strerror(errno));
}

static trk_status open_temporary(output_file *file)
{
    file->temporary = trk_heap_format("path", "%s.part-%ld", file->place, (long)getpid());
    if (!file->temporary)
        return TRK_FAIL(TRK_E_MEMORY, "%s: out of memory", file->path);
    file->stream = fopen(file->temporary, "we");
    if (file->stream)
        return TRK_OK;
    trk_status rc = not_writable(file->path);
    trk_heap_release(file->temporary);
    file->temporary = NULL;
    return rc;
}

static trk_status find_place(char **place, trk_target_kind *kind, const char *path)
{
    trk_status rc = trk_target_find(place, kind, path);
    return !rc && *kind == TRK_TARGET_FOLDER ? TRK_FAIL(TRK_E_IO, "%s: cannot be written: is a folder", path) : rc;
}

static trk_status open_place(output_file *file)
{
    trk_target_kind kind;
    trk_status rc = find_place(&file->place, &kind, file->path);
    if (rc || kind == TRK_TARGET_FILE)
        return rc ? rc : open_temporary(file);
    file->stream = fopen(file->place, "ae");
    return file->stream ? TRK_OK : not_writable(file->path);
}

trk_status output_file_open(output_file *file, const char *path)
{
    *file = (output_file){0};
    file->path = trk_heap_text("path", path);
    if (!file->path)
        return TRK_FAIL(TRK_E_MEMORY, "%s: out of memory", path);
    if (!strcmp(path, "-")) {
        file->stream = stdout;
        return TRK_OK;
    }
    trk_status rc = open_place(file);
    if (rc)
        output_file_discard(file);
    return rc;
}

trk_status output_file_probe(const char *path, int is_regular)
{
    output_file file;
    trk_target_kind kind = TRK_TARGET_STREAM;
    char *place = NULL;
    trk_status rc = strcmp(path, "-") ? find_place(&place, &kind, path) : TRK_OK;
    if (!rc && kind == TRK_TARGET_FILE) {
        rc = output_file_open(&file, path);
        output_file_discard(&file);
    } else if (!rc && is_regular)
        rc = TRK_FAIL(TRK_E_IO, "%s: cannot be written: not a regular file", path);
    else if (!rc && place && access(place, W_OK)) /* opening a pipe would end it for its reader */
        rc = not_writable(path);
    trk_heap_release(place);
    return rc;
}

static trk_status write_failed(const output_file *file)
{
    return TRK_FAIL(TRK_E_IO, "%s: write failed: %s", strcmp(file->path, "-") ? file->path : "standard output",
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
        if (fclose(stream) || (file->temporary && rename(file->temporary, file->place)))
            rc = write_failed(file);
        else {
            trk_heap_release(file->temporary);
            file->temporary = NULL;
        }
    }
    output_file_discard(file);
    return rc;
}

void output_file_discard(output_file *file)
{
    if (file->stream && file->stream != stdout)
        fclose(file->stream);
    if (file->temporary)
        unlink(file->temporary);
    trk_heap_release(file->temporary);
    trk_heap_release(file->place);
    trk_heap_release(file->path);
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
    struct stat state;
    if (!rc && (stat(path, &state) || !S_ISDIR(state.st_mode)))
        rc = TRK_FAIL(TRK_E_IO, "%s: cannot be written: is not a folder", path);
    if (!rc && access(path, W_OK | X_OK))
        rc = TRK_FAIL(TRK_E_IO, "%s: cannot be written: %s", path, strerror(errno));
    trk_heap_release(copy);
    return rc;
}
