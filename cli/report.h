/* SPDX-License-Identifier: Apache-2.0
 * Standard error: whole lines "track: ...", and the one status line of a terminal that is drawn over itself. Thread
 * safe. */
#ifndef TRK_CLI_REPORT_H
#define TRK_CLI_REPORT_H

/* One line "track: text"; control characters of file names become '?'. Takes a drawn status line away first. */
void report_line(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Draws the status line over the last one. */
void report_status(const char *text);
void report_clear(void);

#endif
