/* SPDX-License-Identifier: Apache-2.0 */
#include "whole_file.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static int complain(const whole_file *f)
{
    fprintf(stderr, "soak: %s: %s\n", f->path, strerror(errno));
    unlink(f->temporary);
    return -1;
}

int whole_file_begin(whole_file *out, const char *path)
{
    out->path = path;
    int n = snprintf(out->temporary, sizeof out->temporary, "%s.%ld.tmp", path, (long)getpid());
    errno = ENAMETOOLONG;
    out->file = n < (int)sizeof out->temporary ? fopen(out->temporary, "w") : NULL;
    return out->file ? 0 : complain(out);
}

int whole_file_end(whole_file *out)
{
    int failed = ferror(out->file);
    failed |= fclose(out->file) != 0;
    return failed || rename(out->temporary, out->path) ? complain(out) : 0;
}
