/* SPDX-License-Identifier: Apache-2.0 */
#include "report.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

static atomic_int status_drawn; /* library threads log too */

void report_clear(void)
{
    if (atomic_exchange(&status_drawn, 0))
        fputs("\r\033[K", stderr);
}

void report_status(const char *text)
{
    fprintf(stderr, "\r%s\033[K", text);
    fflush(stderr);
    status_drawn = 1;
}

void report_line(const char *format, ...)
{
    char text[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < 32 || *c == 127)
            *c = '?';
    report_clear();
    fprintf(stderr, "track: %s\n", text);
}
