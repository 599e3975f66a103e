/* SPDX-License-Identifier: Apache-2.0 */
#include "temporary.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "heap.h"

trk_status trk_temporary_name(char **out, const char *path)
{
    struct stat info;
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *dot = strrchr(name, '.');
    if (!*name)
        return TRK_FAIL(TRK_E_ARGUMENT, "%s: expected the name of a file", path);
    if (!stat(path, &info) && S_ISDIR(info.st_mode))
        return TRK_FAIL(TRK_E_IO, "%s: cannot be written, a folder has that name", path);
    if (!dot || dot == name)
        dot = name + strlen(name);
    char *temporary =
        trk_heap_format("path", "%.*s.%.*s.partial%s", (int)(name - path), path, (int)(dot - name), name, dot);
    if (!temporary)
        return TRK_FAIL(TRK_E_MEMORY, "%s: out of memory", path);
    *out = temporary;
    return TRK_OK;
}

trk_status trk_temporary_commit(const char *temporary, const char *path)
{
    if (!rename(temporary, path))
        return TRK_OK;
    trk_status rc = TRK_FAIL(TRK_E_IO, "%s: cannot be written: %s", path, strerror(errno));
    unlink(temporary);
    return rc;
}

trk_status trk_temporary_write(const char *path, const void *data, size_t bytes)
{
    char *temporary;
    trk_status rc = trk_temporary_name(&temporary, path);
    if (rc < 0)
        return rc;
    FILE *file = fopen(temporary, "wb");
    if (!file) {
        rc = TRK_FAIL(TRK_E_IO, "%s: cannot be written: %s", path, strerror(errno));
        goto done;
    }
    int failed = fwrite(data, 1, bytes, file) != bytes, error = errno;
    if (fclose(file) && !failed) {
        failed = 1;
        error = errno;
    }
    if (failed) {
        rc = TRK_FAIL(TRK_E_IO, "%s: cannot be written: %s", path, strerror(error));
        unlink(temporary);
        goto done;
    }
    rc = trk_temporary_commit(temporary, path);
done:
    trk_heap_release(temporary);
    return rc;
}
