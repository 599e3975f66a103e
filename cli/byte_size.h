/* SPDX-License-Identifier: Apache-2.0
 * Amounts of memory as text. */
#ifndef TRK_CLI_BYTE_SIZE_H
#define TRK_CLI_BYTE_SIZE_H

#include <stddef.h>

#define BYTE_SIZE_TEXT 32

/* "2GiB", "1500 MB", "0.5GB", "4096" (bytes), or a share: "0.8", "1.0", a number up to 1 with a decimal point and no
 * unit. Sets one of *bytes and *share and the other to 0, and returns 1; 0 with both untouched if text is neither, or
 * not more than nothing. */
int byte_size_parse(const char *text, size_t *bytes, double *share);

/* "26.5 MB"; decimal units. Returns text. */
const char *byte_size_text(size_t bytes, char text[BYTE_SIZE_TEXT]);
/* As byte_size_text, but whole MiB and GiB as such, the way people set limits. */
const char *byte_size_limit_text(size_t bytes, char text[BYTE_SIZE_TEXT]);

#endif
