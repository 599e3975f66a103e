/* SPDX-License-Identifier: Apache-2.0 */
#include "png_header.h"

#include <stdio.h>
#include <string.h>

int png_header_colour_type(const char *path)
{
    enum { AT = 25 }; /* signature 8, length and name of IHDR 8, width 4, height 4, bits per sample 1 */
    unsigned char head[AT + 1] = {0};
    FILE *file = fopen(path, "rbe");
    if (!file)
        return -1;
    const size_t n = fread(head, 1, sizeof head, file);
    fclose(file);
    return n == sizeof head && !memcmp(head, "\x89PNG\r\n\x1a\n", 8) ? head[AT] : -1;
}
