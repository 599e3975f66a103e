/* SPDX-License-Identifier: Apache-2.0 */
#include "byte_size.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "number.h"

static const struct unit {
    const char *name;
    double bytes;
} units[] = {{"", 1},
             {"B", 1},
             {"kB", 1e3},
             {"MB", 1e6},
             {"GB", 1e9},
             {"TB", 1e12},
             {"KiB", 1024.0},
             {"MiB", 1024.0 * 1024.0},
             {"GiB", 1024.0 * 1024.0 * 1024.0},
             {"TiB", 1024.0 * 1024.0 * 1024.0 * 1024.0}};

int byte_size_parse(const char *text, size_t *bytes, double *share)
{
    const size_t n_number = strspn(text, "0123456789.");
    const char *unit = text + n_number + (text[n_number] == ' ');
    const int has_point = memchr(text, '.', n_number) != NULL;
    double value;
    if (!number_real(text, n_number, &value))
        return 0;
    if (has_point && !text[n_number]) {
        if (!(value > 0 && value <= 1))
            return 0;
        *share = value;
        *bytes = 0;
        return 1;
    }
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        const double exact = value * units[i].bytes;
        if (strcmp(unit, units[i].name) || !(exact >= 1 && exact < (double)(SIZE_MAX / 2)))
            continue;
        *bytes = (size_t)exact;
        *share = 0;
        return 1;
    }
    return 0;
}

const char *byte_size_text(size_t bytes, char text[BYTE_SIZE_TEXT])
{
    const double value = (double)bytes;
    if (bytes < 1000)
        snprintf(text, BYTE_SIZE_TEXT, "%zu B", bytes);
    else if (value < 1e6)
        snprintf(text, BYTE_SIZE_TEXT, "%.1f kB", value / 1e3);
    else if (value < 1e9)
        snprintf(text, BYTE_SIZE_TEXT, "%.1f MB", value / 1e6);
    else
        snprintf(text, BYTE_SIZE_TEXT, "%.2f GB", value / 1e9);
    return text;
}

const char *byte_size_limit_text(size_t bytes, char text[BYTE_SIZE_TEXT])
{
    const size_t mib = (size_t)1 << 20, gib = (size_t)1 << 30;
    if (!bytes || bytes % mib)
        return byte_size_text(bytes, text);
    if (bytes % gib)
        snprintf(text, BYTE_SIZE_TEXT, "%zu MiB", bytes / mib);
    else
        snprintf(text, BYTE_SIZE_TEXT, "%zu GiB", bytes / gib);
    return text;
}
