/* SPDX-License-Identifier: Apache-2.0 */
#include "error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char last_error[1024];

trk_status trk_fail(trk_status code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(last_error, sizeof last_error, format, args);
    va_end(args);
    return code;
}

trk_status trk_fail_prefix(trk_status code, const char *prefix)
{
    char text[sizeof last_error];
    memcpy(text, last_error, sizeof text);
    snprintf(last_error, sizeof last_error, "%.500s: %.500s", prefix, text);
    return code;
}

const char *trk_error_text(void)
{
    return last_error;
}
