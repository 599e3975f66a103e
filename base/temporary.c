/* SPDX-License-Identifier: Apache-2.0 */
#include "temporary.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "heap.h"

static trk_status not_writable(const trk_temporary *self)
{
    return TRK_FAIL(TRK_E_IO, "%s: cannot be written: %s", self->path, strerror(errno));
}

trk_status trk_temporary_find(trk_temporary *out, const char *path)
{
    trk_status rc = TRK_OK;
    *out = (trk_temporary){.path = trk_heap_text("path", path)};
    if (!out->path)
        return TRK_FAIL(TRK_E_MEMORY, "%s: out of memory", path);
    TRK_CHECK(trk_target_find(&out->place, &out->kind, path));
    if (out->kind == TRK_TARGET_FOLDER)
        rc = TRK_FAIL(TRK_E_IO, "%s: cannot be written: is a folder", path);
done:
    if (rc)
        trk_temporary_discard(out);
    return rc;
}

#define LONGEST_STEM (NAME_MAX - 32) /* what follows is shorter than 32 bytes */

/* NAME.part-PROCESS-NUMBER, with a name that is too long for that cut. */
static char *next_name(const char *place)
{
    static atomic_uint n_created;
    const char *slash = strrchr(place, '/');
    const size_t n_folder = slash ? (size_t)(slash - place) + 1 : 0, n_name = strlen(place + n_folder);
    const size_t n = n_folder + (n_name < LONGEST_STEM ? n_name : LONGEST_STEM);
    return trk_heap_format("path", "%.*s.part-%ld-%u", (int)n, place, (long)getpid(), atomic_fetch_add(&n_created, 1));
}

/* Who may do what with the file that will be replaced; where that cannot be had, the new one's own stay. */
static void keep_permissions(const trk_temporary *self, int descriptor)
{
    struct stat info;
    if (!stat(self->place, &info))
        (void)fchmod(descriptor, info.st_mode & 0777);
}

/* Names are taken until there is none of that name: one may be left of a process that is gone. */
static trk_status create_beside(trk_temporary *self, int *descriptor)
{
    *descriptor = -1;
    while (*descriptor < 0) {
        self->name = next_name(self->place);
        if (!self->name)
            return TRK_FAIL(TRK_E_MEMORY, "%s: out of memory", self->path);
        *descriptor = open(self->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (*descriptor >= 0) {
            keep_permissions(self, *descriptor);
            break;
        }
        const int taken = errno == EEXIST;
        trk_status rc = taken ? TRK_OK : not_writable(self);
        trk_heap_release(self->name);
        self->name = NULL;
        if (rc)
            return rc;
    }
    return TRK_OK;
}

trk_status trk_temporary_open(trk_temporary *self, int *descriptor)
{
    if (self->kind == TRK_TARGET_FILE)
        return create_beside(self, descriptor);
    *descriptor = open(self->place, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    return *descriptor < 0 ? not_writable(self) : TRK_OK;
}

trk_status trk_temporary_commit(trk_temporary *self)
{
    if (self->name && rename(self->name, self->place))
        return not_writable(self);
    trk_heap_release(self->name);
    self->name = NULL;
    return TRK_OK;
}

void trk_temporary_discard(trk_temporary *self)
{
    if (self->name)
        unlink(self->name);
    trk_heap_release(self->name);
    trk_heap_release(self->place);
    trk_heap_release(self->path);
    *self = (trk_temporary){0};
}

trk_status trk_write_all(int descriptor, const void *data, size_t bytes)
{
    for (const unsigned char *at = data; bytes;) {
        const ssize_t n = write(descriptor, at, bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return TRK_E_IO;
        at += n;
        bytes -= (size_t)n;
    }
    return TRK_OK;
}

trk_status trk_temporary_write(const char *path, const void *data, size_t bytes)
{
    trk_temporary file = {0};
    int descriptor = -1;
    trk_status rc = TRK_OK;
    TRK_CHECK(trk_temporary_find(&file, path));
    TRK_CHECK(trk_temporary_open(&file, &descriptor));
    rc = trk_write_all(descriptor, data, bytes);
    int error = errno;
    if (close(descriptor) < 0 && !rc) {
        rc = TRK_E_IO;
        error = errno;
    }
    errno = error;
    rc = rc ? not_writable(&file) : trk_temporary_commit(&file);
done:
    trk_temporary_discard(&file);
    return rc;
}
