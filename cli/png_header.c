/* SPDX-License-Identifier: Apache-2.0 */
#include "png_header.h"

#include <stdio.h>
#include <string.h>

/* A byte behind the signature, 8, the length and name of IHDR, 8, width, 4, and height, 4. */
static int byte_at(const char *path, size_t at)
{
    unsigned char head[26] = {0};
    FILE *file = fopen(path, "rbe");
    if (!file)
        return -1;
    const size_t n = fread(head, 1, sizeof head, file);
    fclose(file);
    return n == sizeof head && !memcmp(head, "\x89PNG\r\n\x1a\n", 8) ? head[at] : -1;
}

int png_header_depth(const char *path)
{
    return byte_at(path, 24);
}

int png_header_colour_type(const char *path)
{
    return byte_at(path, 25);
}
