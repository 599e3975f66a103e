/* SPDX-License-Identifier: Apache-2.0
 * The log, with and without TRK_LOG. The variable is read once a process: each case runs in a child of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "error.h"
#include "log.h"

#define N_THREADS 4
#define N_LINES   200

typedef struct heard {
    atomic_int n; /* lines */
    char first[256];
    int first_level;
} heard;

static void hear(void *user, trk_log_level level, const char *line)
{
    heard *h = user;
    if (atomic_fetch_add(&h->n, 1))
        return;
    h->first_level = (int)level;
    snprintf(h->first, sizeof h->first, "%s", line);
}

/* A function that logs itself, as one that calls the library may. */
static void hear_and_log(void *user, trk_log_level level, const char *line)
{
    if (level == TRK_LOG_ERROR)
        trk_log(TRK_LOG_WARNING, "while hearing: %s", line);
    hear(user, level, line);
}

/* Runs body in a child with TRK_LOG set to value (NULL: not set). Returns what it wrote to standard error; its exit
 * status, 0 for success, in *status. */
static const char *run_child(const char *value, int (*body)(void), int *status)
{
    static char text[65536];
    int ends[2];
    size_t used = 0;
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (!child) {
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        if (value ? setenv("TRK_LOG", value, 1) : unsetenv("TRK_LOG"))
            _exit(99);
        _exit(body());
    }
    close(ends[1]);
    for (ssize_t n; used < sizeof text - 1 && (n = read(ends[0], text + used, sizeof text - 1 - used)) > 0;)
        used += (size_t)n;
    text[used] = 0;
    close(ends[0]);
    assert_int_equal(waitpid(child, status, 0), child);
    return text;
}

static void check_child(const char *value, int (*body)(void), const char *expected)
{
    int status = -1;
    const char *text = run_child(value, body, &status);
    assert_string_equal(text, expected);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static int log_each_level(void)
{
    trk_log(TRK_LOG_DEBUG, "d %d", 3);
    trk_log(TRK_LOG_INFO, "i %d", 2);
    trk_log(TRK_LOG_WARNING, "w %d", 1);
    trk_log(TRK_LOG_ERROR, "e %d", 0);
    return 0;
}

static int log_two_lines(void)
{
    trk_log(TRK_LOG_ERROR, "%s: not there", "two\nlines\033[1m\xc2\x9b" "2m");
    return 0;
}

static int log_without_function(void)
{
    trk_log_set(NULL, NULL, TRK_LOG_DEBUG);
    return log_each_level();
}

static void test_standard_error(void **state)
{
    (void)state;
    check_child(NULL, log_each_level, "");
    check_child("", log_each_level, "");
    check_child("error", log_each_level, "track: error: e 0\n");
    check_child("warning", log_each_level, "track: warning: w 1\ntrack: error: e 0\n");
    check_child("info", log_each_level, "track: info: i 2\ntrack: warning: w 1\ntrack: error: e 0\n");
    check_child("debug", log_each_level,
                "track: debug: d 3\ntrack: info: i 2\ntrack: warning: w 1\ntrack: error: e 0\n");
    check_child("error", log_two_lines, "track: error: two?lines?[1m??2m: not there\n");
    check_child(NULL, log_without_function, "");
    check_child("error", log_without_function, "track: error: e 0\n");
}

/* 0, or a number that tells which check failed. */
static int expect_heard(trk_log_level level, int n, const char *first)
{
    heard h = {0};
    trk_log_set(hear, &h, level);
    log_each_level();
    if (h.n != n)
        return 1;
    return n && strcmp(h.first, first) ? 2 : 0;
}

static int hear_warnings(void)
{
    return expect_heard(TRK_LOG_WARNING, 2, "w 1");
}

static int hear_all(void)
{
    return expect_heard(TRK_LOG_WARNING, 4, "d 3");
}

static int hear_debug(void)
{
    return expect_heard(TRK_LOG_DEBUG, 4, "d 3");
}

static void test_function(void **state)
{
    (void)state;
    check_child(NULL, hear_warnings, "");
    check_child(NULL, hear_debug, "");
    /* raised, never lowered */
    check_child("debug", hear_all, "");
    check_child("error", hear_warnings, "");
    check_child("error", hear_debug, "");
}

/* A level once passed over is heard after the level is raised. */
static int set_later(void)
{
    heard h = {0};
    log_each_level();
    trk_log_set(hear, &h, TRK_LOG_DEBUG);
    log_each_level();
    if (h.n != 4)
        return 1;
    trk_log_set(NULL, NULL, TRK_LOG_DEBUG);
    log_each_level();
    return h.n == 4 ? 0 : 2;
}

static void test_set_later(void **state)
{
    (void)state;
    check_child(NULL, set_later, "");
    check_child("error", set_later, "track: error: e 0\ntrack: error: e 0\n");
}

static int hear_unknown(void)
{
    heard h = {0};
    trk_log_set(hear, &h, TRK_LOG_WARNING);
    log_each_level();
    return h.n == 3 && h.first_level == TRK_LOG_WARNING && strstr(h.first, "\"loud\"") &&
                   strstr(h.first, "error, warning, info or debug")
               ? 0
               : 1;
}

static int hear_errors(void)
{
    return expect_heard(TRK_LOG_ERROR, 1, "e 0");
}

static void test_unknown_value(void **state)
{
    (void)state;
    check_child("loud", log_each_level,
                "track: warning: TRK_LOG is \"loud\", expected error, warning, info or debug\n");
    check_child("loud", hear_unknown, "");
    check_child("loud", hear_errors, "");
    check_child("2", log_each_level, "track: warning: TRK_LOG is \"2\", expected error, warning, info or debug\n");
}

static int log_while_hearing(void)
{
    heard h = {0};
    trk_log_set(hear_and_log, &h, TRK_LOG_WARNING);
    trk_log(TRK_LOG_ERROR, "x");
    return h.n == 2 && !strcmp(h.first, "while hearing: x") ? 0 : 1;
}

static void *log_lines(void *user)
{
    for (int i = 0; i < N_LINES; i++)
        trk_log(TRK_LOG_WARNING, "thread %d", *(int *)user);
    return NULL;
}

static int log_in_threads(void)
{
    heard h = {0};
    pthread_t threads[N_THREADS];
    int numbers[N_THREADS], failed = 0;
    trk_log_set(hear, &h, TRK_LOG_WARNING);
    for (int i = 0; i < N_THREADS; i++) {
        numbers[i] = i;
        failed |= pthread_create(&threads[i], NULL, log_lines, &numbers[i]);
    }
    for (int i = 0; i < N_THREADS && !failed; i++)
        pthread_join(threads[i], NULL);
    return failed || h.n != N_THREADS * N_LINES + 1; /* one of them told of the unknown value */
}

static void test_threads(void **state)
{
    (void)state;
    check_child(NULL, log_while_hearing, "");
    check_child("loud", log_in_threads, "");
}

static void test_error_is_one_line(void **state)
{
    (void)state;
    assert_int_equal(trk_fail(TRK_E_FORMAT, "%s: not there", "/tmp/a\nb\177"), TRK_E_FORMAT);
    assert_string_equal(trk_error_text(), "/tmp/a?b?: not there");
    assert_int_equal(trk_fail_prefix(TRK_E_FORMAT, "c\td\xc3\xa9"), TRK_E_FORMAT);
    assert_string_equal(trk_error_text(), "c?d\xc3\xa9: /tmp/a?b?: not there");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_standard_error), cmocka_unit_test(test_function), cmocka_unit_test(test_set_later),
        cmocka_unit_test(test_unknown_value),  cmocka_unit_test(test_threads),  cmocka_unit_test(test_error_is_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
