/* SPDX-License-Identifier: Apache-2.0 */
#include "error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local trk_error_line last_error;

int trk_control_bytes(const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    if (*at == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0)
        return 2;
    return (*at && *at < ' ') || *at == 127;
}

void trk_keep_to_one_line(char *text)
{
    for (; *text; text++)
        memset(text, '?', (size_t)trk_control_bytes(text));
}

trk_status trk_fail(trk_status code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(last_error.text, sizeof last_error.text, format, args);
    va_end(args);
    trk_keep_to_one_line(last_error.text);
    return code;
}

trk_status trk_fail_prefix(trk_status code, const char *prefix)
{
    trk_error_line line;
    trk_error_keep(&line);
    snprintf(last_error.text, sizeof last_error.text, "%.500s: %.500s", prefix, line.text);
    trk_keep_to_one_line(last_error.text);
    return code;
}

const char *trk_error_text(void)
{
    return last_error.text;
}

void trk_error_keep(trk_error_line *out)
{
    memcpy(out, &last_error, sizeof *out);
}

void trk_error_restore(const trk_error_line *kept)
{
    memcpy(&last_error, kept, sizeof last_error);
}
