/* SPDX-License-Identifier: Apache-2.0 */
#include "log.h"

#include <stdarg.h>
#include <stdio.h>

static trk_log_function sink;
static void *sink_user;
static trk_log_level sink_level;

void trk_log_set(trk_log_function function, void *user, trk_log_level level)
{
    sink = function;
    sink_user = user;
    sink_level = level;
}

void trk_log(trk_log_level level, const char *format, ...)
{
    if (!sink || level > sink_level)
        return;
    char line[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    sink(sink_user, level, line);
}
