/* SPDX-License-Identifier: Apache-2.0 */
#include "number.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

int number_is_whole(const char *text)
{
    const char *digits = text + (*text == '-');
    return *digits && !digits[strspn(digits, "0123456789")];
}

int number_whole(const char *text, int64_t low, int64_t high, int64_t *out)
{
    if (!number_is_whole(text))
        return 0;
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (*end || errno || value < low || value > high)
        return 0;
    *out = value;
    return 1;
}

int number_real(const char *text, size_t n_text, double *out)
{
    char copy[64];
    if (!n_text || n_text >= sizeof copy || strspn(text, "+-.0123456789eE") < n_text)
        return 0; /* leaves out the blanks, hexadecimals, infinities and NaNs that strtod takes */
    memcpy(copy, text, n_text);
    copy[n_text] = 0;
    char *end;
    double value = strtod(copy, &end);
    if (*end || end == copy || !isfinite(value))
        return 0;
    *out = value;
    return 1;
}

int number_list(const char *text, size_t count, double *out)
{
    double values[8];
    if (!count || count > sizeof values / sizeof *values)
        return 0;
    for (size_t i = 0; i < count; i++) {
        size_t length = strcspn(text, ",");
        if (!number_real(text, length, &values[i]) || (text[length] == ',') != (i + 1 < count))
            return 0;
        text += length + 1;
    }
    memcpy(out, values, count * sizeof *values);
    return 1;
}
