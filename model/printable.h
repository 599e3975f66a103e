/* SPDX-License-Identifier: Apache-2.0
 * Text from files on its way into one-line messages. */
#ifndef TRK_MODEL_PRINTABLE_H
#define TRK_MODEL_PRINTABLE_H

#include <stddef.h>

#include "error.h"

/* Copies what fits of text[n], control characters replaced by "?". Returns out. */
static inline const char *trk_printable(char *out, size_t out_bytes, const char *text, size_t n)
{
    size_t length = n < out_bytes - 1 ? n : out_bytes - 1;
    for (size_t i = 0; i < length; i++)
        out[i] = text[i] ? text[i] : '?';
    out[length] = 0;
    trk_keep_to_one_line(out);
    return out;
}

#endif
