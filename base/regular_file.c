/* SPDX-License-Identifier: Apache-2.0 */
#include "regular_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

trk_status trk_regular_file_open(FILE **out, size_t *bytes, const char *path, const char *expected)
{
    struct stat info;
    const int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    trk_status rc = TRK_OK;
    FILE *file = NULL;
    if (descriptor < 0 || fstat(descriptor, &info))
        rc = TRK_FAIL(TRK_E_IO, "%s: %s, expected %s", path, strerror(errno), expected);
    else if (!S_ISREG(info.st_mode))
        rc = TRK_FAIL(TRK_E_IO, "%s: %s, expected %s", path, S_ISDIR(info.st_mode) ? "a folder" : "not a regular file",
                      expected);
    else if (!(file = fdopen(descriptor, "rb")))
        rc = TRK_FAIL(TRK_E_IO, "%s: %s", path, strerror(errno));
    if (rc) {
        if (descriptor >= 0)
            close(descriptor);
        return rc;
    }
    *out = file;
    *bytes = (size_t)info.st_size;
    return TRK_OK;
}
