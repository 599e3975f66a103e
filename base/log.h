/* SPDX-License-Identifier: Apache-2.0
 * One process-wide log. Lines go to the function that trk_log_set was given; without one the library is silent.
 *
 * The environment variable TRK_LOG=error|warning|info|debug, read once at the first message, turns the log on from
 * outside: without a function, lines up to that level go to standard error as "track: LEVEL: text"; with one, the
 * function gets the lines up to the higher of the two levels. An unknown value is told in one warning and changes
 * nothing else. */
#ifndef TRK_BASE_LOG_H
#define TRK_BASE_LOG_H

#ifdef __cplusplus
extern "C" {
#endif

typedef enum trk_log_level {
    TRK_LOG_ERROR = 0,
    TRK_LOG_WARNING = 1,
    TRK_LOG_INFO = 2,
    TRK_LOG_DEBUG = 3
} trk_log_level;
/* May be called by several threads at a time. */
typedef void (*trk_log_function)(void *user, trk_log_level level, const char *line);

/* Call before other threads use the library: a message on its way may still reach the function set before. */
void trk_log_set(trk_log_function function, void *user, trk_log_level level);
/* Between mute(1) and mute(0) this thread's messages go nowhere: what is rehearsed did not happen. Nests. */
void trk_log_mute(int on);
/* Whether a message of this level would go anywhere, for those that cost something to make. */
int trk_log_wants(trk_log_level level);
/* Thread safe. A message above the level is not even formatted. */
void trk_log(trk_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#ifdef __cplusplus
}
#endif

#endif
