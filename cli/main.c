/* SPDX-License-Identifier: Apache-2.0
 * The `track` command. Results go to standard output, everything else to standard error; exit status 0 done, 1 failed,
 * 2 misuse, 128 + signal when stopped. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "eval/eval.h"
#include "info.h"
#include "jobs.h"
#include "options.h"
#include "report.h"
#include "run.h"
#include "session.h"

enum { EXIT_MISUSE = 2, EXIT_SIGNAL_BASE = 128 };

static void stop(int signal_number)
{
    session_stop_signal = signal_number;
}

/* The first Ctrl-C ends the run after the current frame, a second one at once; what the parent ignores (nohup, a job in
 * the background of a script) stays ignored. Writing to a closed pipe or past a file size limit is an error like any
 * other, not a signal. */
static void set_signals(void)
{
    static const int stopping[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = stop}, had;
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof stopping / sizeof *stopping; i++) {
        /* a terminal that is closed hangs up twice, once by its shell */
        action.sa_flags = (int)(stopping[i] == SIGHUP ? SA_RESTART : SA_RESTART | SA_RESETHAND);
        if (!sigaction(stopping[i], NULL, &had) && had.sa_handler != SIG_IGN)
            sigaction(stopping[i], &action, NULL);
    }
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
}

/* A standard stream that the parent closed must not become the first file that is opened. Using it fails as before. */
static void hold_standard_streams(void)
{
    for (int i = 0; i <= STDERR_FILENO; i++)
        if (fcntl(i, F_GETFD) < 0)
            (void)!socket(AF_UNIX, SOCK_STREAM, 0); /* not connected: can not be read or written, by no name either */
}

enum { LOG_ERROR = 0, LOG_WARNING = 1, LOG_DEBUG = 3 }; /* levels of trk_set_log */

/* Errors are left out: each is also returned, and printed once at the end. */
static void log_line(void *user, int level, const char *line)
{
    (void)user;
    if (level != LOG_ERROR)
        report_line("%s%s", level == LOG_WARNING ? "warning: " : "", line);
}

static void print_version(void)
{
    printf("track %s\n%s\n%s\n", trk_version(), trk_build_info(), trk_video_versions());
}

static trk_status run_command(options *wanted, int argc, char **argv)
{
    switch (wanted->command) {
    case COMMAND_HELP:
        options_print_help(stdout);
        return TRK_OK;
    case COMMAND_EVAL_HELP:
        options_print_eval_help(stdout);
        return TRK_OK;
    case COMMAND_VERSION:
        print_version();
        return TRK_OK;
    case COMMAND_INFO:
        return info_print(wanted->operands[0], wanted->model_config);
    case COMMAND_EVAL:
        return eval_run(wanted);
    case COMMAND_TRACK:
        return wanted->list ? jobs_run(wanted, argc, argv) : run_track(wanted);
    }
    return TRK_E_ARGUMENT;
}

static const char *help_of(const options *wanted)
{
    return wanted->command == COMMAND_EVAL ? " (see track eval --help)" : " (see track --help)";
}

int main(int argc, char **argv)
{
    options wanted;
    hold_standard_streams();
    set_signals();
    trk_status rc = options_parse(&wanted, argc, argv);
    if (rc)
        report_line("%s%s", trk_error_text(), rc == TRK_E_ARGUMENT ? help_of(&wanted) : "");
    else {
        trk_video_set_verbose(wanted.verbose);
        trk_set_log(log_line, NULL, wanted.verbose ? LOG_DEBUG : LOG_WARNING);
        rc = run_command(&wanted, argc, argv);
        if (!rc && (fflush(stdout) || ferror(stdout)))
            rc = TRK_FAIL(TRK_E_IO, "standard output: write failed: %s", strerror(errno));
        if (rc)
            report_line("%s", trk_error_text());
    }
    options_free(&wanted);
    if (rc)
        return rc == TRK_E_ARGUMENT ? EXIT_MISUSE : EXIT_FAILURE;
    return session_stop_signal ? EXIT_SIGNAL_BASE + session_stop_signal : EXIT_SUCCESS;
}
