/* SPDX-License-Identifier: Apache-2.0 */
#include "report.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>

#include "error.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* of standard error and of status_drawn */
static int status_drawn;

static void clear(void)
{
    if (status_drawn)
        fputs("\r\033[K", stderr);
    status_drawn = 0;
}

void report_clear(void)
{
    pthread_mutex_lock(&mutex);
    clear();
    pthread_mutex_unlock(&mutex);
}

void report_status(const char *text)
{
    pthread_mutex_lock(&mutex);
    fprintf(stderr, "\r%s\033[K", text);
    fflush(stderr);
    status_drawn = 1;
    pthread_mutex_unlock(&mutex);
}

void report_line(const char *format, ...)
{
    char text[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    trk_keep_to_one_line(text);
    pthread_mutex_lock(&mutex);
    clear();
    fprintf(stderr, "track: %s\n", text);
    pthread_mutex_unlock(&mutex);
}
