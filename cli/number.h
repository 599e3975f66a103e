/* SPDX-License-Identifier: Apache-2.0
 * Numbers on the command line: the whole string must be the number, nothing before it and nothing after it. */
#ifndef TRK_CLI_NUMBER_H
#define TRK_CLI_NUMBER_H

#include <stddef.h>
#include <stdint.h>

/* 1 and *out set if text is a decimal whole number from low to high; else 0 and *out untouched. */
int number_is_whole(const char *text); /* digits, a minus in front of them or not, however many */
int number_whole(const char *text, int64_t low, int64_t high, int64_t *out);
/* 1 if the n_text characters at text are one finite decimal number. */
int number_real(const char *text, size_t n_text, double *out);
/* 1 if text is exactly `count` real numbers between commas. */
int number_list(const char *text, size_t count, double *out);

#endif
