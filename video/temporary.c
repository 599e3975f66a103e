/* SPDX-License-Identifier: Apache-2.0 */
#include "temporary.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "heap.h"

static trk_status name_beside(temporary *self, const char *path)
{
    const char *place = self->place, *slash = strrchr(place, '/'), *name = slash ? slash + 1 : place;
    const char *dot = strrchr(name, '.');
    if (!*name)
        return TRK_FAIL(TRK_E_ARGUMENT, "%s: expected the name of a file", path);
    if (!dot || dot == name)
        dot = name + strlen(name);
    self->name =
        trk_heap_format("path", "%.*s.%.*s.partial%s", (int)(name - place), place, (int)(dot - name), name, dot);
    return self->name ? TRK_OK : TRK_FAIL(TRK_E_MEMORY, "%s: out of memory", path);
}

trk_status trk_temporary_find(temporary *out, const char *path)
{
    trk_target_kind kind;
    *out = (temporary){0};
    trk_status rc = trk_target_find(&out->place, &kind, path);
    if (rc >= 0 && kind == TRK_TARGET_FOLDER)
        rc = TRK_FAIL(TRK_E_IO, "%s: cannot be written, a folder has that name", path);
    else if (rc >= 0 && kind == TRK_TARGET_FILE)
        rc = name_beside(out, path);
    if (rc < 0)
        trk_temporary_discard(out);
    return rc;
}

trk_status trk_temporary_commit(temporary *self)
{
    trk_status rc = TRK_OK;
    if (self->name && rename(self->name, self->place))
        rc = TRK_FAIL(TRK_E_IO, "%s: cannot be written: %s", self->place, strerror(errno));
    else {
        trk_heap_release(self->name);
        self->name = NULL;
    }
    trk_temporary_discard(self);
    return rc;
}

void trk_temporary_discard(temporary *self)
{
    if (self->name)
        unlink(self->name);
    trk_heap_release(self->name);
    trk_heap_release(self->place);
    *self = (temporary){0};
}

trk_status trk_temporary_write(const char *path, const void *data, size_t bytes)
{
    temporary target;
    trk_status rc = trk_temporary_find(&target, path);
    if (rc < 0)
        return rc;
    FILE *file = target.name ? fopen(target.name, "wbe") : fopen(target.place, "abe");
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
        goto done;
    }
    rc = trk_temporary_commit(&target);
done:
    trk_temporary_discard(&target);
    return rc;
}
