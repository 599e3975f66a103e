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

static const char *last_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* The length of what a temporary keeps of a name. */
static size_t stem_length(const char *name)
{
    const size_t n = strlen(name);
    return n < LONGEST_STEM ? n : LONGEST_STEM;
}

int trk_is_temporary_of(const char *name, const char *file)
{
    const size_t n = stem_length(file);
    return !strncmp(name, file, n) && !strncmp(name + n, ".part-", 6);
}

static char *next_name(const char *place)
{
    static atomic_uint n_created;
    const char *name = last_name(place);
    return trk_heap_format("path", "%.*s.part-%ld-%u", (int)((size_t)(name - place) + stem_length(name)), place,
                           (long)getpid(), atomic_fetch_add(&n_created, 1));
}

/* What is to be replaced; until then only its owner may read and write what is to come. */
static mode_t note_permissions(trk_temporary *self)
{
    struct stat old;
    self->replaces = !stat(self->place, &old);
    if (!self->replaces)
        return 0666;
    self->mode = old.st_mode & 0777;
    self->owner = old.st_uid;
    self->group = old.st_gid;
    return 0600;
}

/* Only root may give a file to its former owner. Where the group cannot be had, another one gets nothing; a file system
 * may have no permissions to keep. */
static void give_permissions(const trk_temporary *self)
{
    struct stat found;
    const int file = open(self->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (file < 0)
        return;
    if (!fstat(file, &found) && found.st_dev == self->device && found.st_ino == self->number) {
        const int failed = fchown(file, self->owner, self->group) && fchown(file, (uid_t)-1, self->group);
        (void)fchmod(file, failed ? self->mode & ~(mode_t)070 : self->mode);
    }
    close(file);
}

static void note_identity(trk_temporary *self, int descriptor)
{
    struct stat created;
    if (fstat(descriptor, &created))
        return;
    self->device = created.st_dev;
    self->number = created.st_ino;
}

/* Names are taken until there is none of that name: one may be left of a process that is gone. */
static trk_status create_beside(trk_temporary *self, int *descriptor)
{
    const mode_t mode = note_permissions(self);
    if (strlen(last_name(self->place)) > NAME_MAX) { /* not only when it is renamed */
        errno = ENAMETOOLONG;
        return not_writable(self);
    }
    for (;;) {
        self->name = next_name(self->place);
        if (!self->name)
            return TRK_FAIL(TRK_E_MEMORY, "%s: out of memory", self->path);
        *descriptor = open(self->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
        if (*descriptor >= 0) {
            note_identity(self, *descriptor);
            return TRK_OK;
        }
        trk_status rc = errno == EEXIST ? TRK_OK : not_writable(self);
        trk_heap_release(self->name);
        self->name = NULL;
        if (rc)
            return rc;
    }
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
    if (self->name && self->replaces)
        give_permissions(self);
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
        if (n == 0)
            errno = EIO;
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
