/* SPDX-License-Identifier: Apache-2.0
 * The library never prints: it logs through one process-wide callback, NULL (silent) by default. */
#ifndef TRK_BASE_LOG_H
#define TRK_BASE_LOG_H

typedef enum trk_log_level { TRK_LOG_ERROR = 0, TRK_LOG_WARNING = 1, TRK_LOG_INFO = 2, TRK_LOG_DEBUG = 3 } trk_log_level;
typedef void (*trk_log_function)(void *user, trk_log_level level, const char *line);

/* Messages above `level` are not even formatted. Call before other threads use the library. */
void trk_log_set(trk_log_function function, void *user, trk_log_level level);
void trk_log(trk_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
