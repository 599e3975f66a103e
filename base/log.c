/* SPDX-License-Identifier: Apache-2.0 */
#include "log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"

#define NOTHING (-1) /* below every level */

typedef struct log_sink {
    trk_log_function function; /* NULL: standard error */
    void *user;
    int level; /* NOTHING: none */
} log_sink;

static const char *const level_names[] = {"error", "warning", "info", "debug"};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static log_sink sink = {NULL, NULL, NOTHING}; /* as set; under the lock, like the next two */
static int wanted = NOTHING;                  /* by the environment */
static int environment_read;
static atomic_int limit = TRK_LOG_DEBUG; /* no message above it goes anywhere */

/* Under the lock. Returns TRK_LOG if it is none of the levels, else NULL. */
static const char *read_environment(void)
{
    const char *text = getenv("TRK_LOG");
    environment_read = 1;
    for (int level = TRK_LOG_ERROR; text && level <= TRK_LOG_DEBUG; level++)
        if (!strcmp(text, level_names[level])) {
            wanted = level;
            return NULL;
        }
    return text && *text ? text : NULL;
}

/* Where lines go, and up to which level. *unknown: the value of TRK_LOG to warn of, once; else NULL. */
static log_sink current_sink(const char **unknown)
{
    pthread_mutex_lock(&lock);
    *unknown = environment_read ? NULL : read_environment();
    log_sink out = sink;
    if (wanted > out.level)
        out.level = wanted;
    atomic_store_explicit(&limit, out.level, memory_order_relaxed);
    pthread_mutex_unlock(&lock);
    return out;
}

static void put_line(const log_sink *to, trk_log_level level, const char *line)
{
    if (to->function)
        to->function(to->user, level, line);
    else
        fprintf(stderr, "track: %s: %s\n", level_names[level], line);
}

static void warn_unknown(const log_sink *to, const char *text)
{
    char line[160];
    snprintf(line, sizeof line, "TRK_LOG is \"%.80s\", expected error, warning, info or debug", text);
    if (!to->function || to->level >= TRK_LOG_WARNING)
        put_line(to, TRK_LOG_WARNING, line);
}

void trk_log_set(trk_log_function function, void *user, trk_log_level level)
{
    pthread_mutex_lock(&lock);
    sink = (log_sink){function, user, function ? (int)level : NOTHING};
    atomic_store_explicit(&limit, TRK_LOG_DEBUG, memory_order_relaxed); /* the next message finds out */
    pthread_mutex_unlock(&lock);
}

static _Thread_local int mutes;

void trk_log_mute(int on)
{
    mutes += on ? 1 : -1;
}

static int is_over_limit(trk_log_level level)
{
    return mutes || (int)level > atomic_load_explicit(&limit, memory_order_relaxed);
}

int trk_log_wants(trk_log_level level)
{
    const char *unknown;
    if (is_over_limit(level))
        return 0;
    const log_sink to = current_sink(&unknown);
    if (unknown)
        warn_unknown(&to, unknown);
    return (int)level <= to.level;
}

void trk_log(trk_log_level level, const char *format, ...)
{
    if (is_over_limit(level))
        return;
    const char *unknown;
    log_sink to = current_sink(&unknown);
    if (unknown)
        warn_unknown(&to, unknown);
    if ((int)level > to.level)
        return;
    char line[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    trk_keep_to_one_line(line);
    put_line(&to, level, line);
}
