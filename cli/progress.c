/* SPDX-License-Identifier: Apache-2.0 */
#include "progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "machine.h"
#include "report.h"

#define SECONDS_BETWEEN_LINES 0.1

size_t progress_resident_bytes(void)
{
    unsigned long total, resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file)
        return 0;
    if (fscanf(file, "%lu %lu", &total, &resident) != 2)
        resident = 0;
    fclose(file);
    return (size_t)resident * (size_t)sysconf(_SC_PAGESIZE);
}

size_t progress_resident_peak_bytes(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) ? 0 : (size_t)usage.ru_maxrss * 1024;
}

/* --- several runs ----------------------------------------------------------------------------------------------- */

void progress_group_init(progress_group *group, size_t n_jobs)
{
    *group = (progress_group){.n_jobs = n_jobs, .started = trk_seconds()};
    pthread_mutex_init(&group->mutex, NULL);
}

void progress_group_destroy(progress_group *group)
{
    pthread_mutex_destroy(&group->mutex);
}

void progress_group_job_done(progress_group *group)
{
    pthread_mutex_lock(&group->mutex);
    group->n_jobs_done++;
    pthread_mutex_unlock(&group->mutex);
}

/* Counts a frame; 1 if the line is due at this time. */
static int group_step(progress_group *group, double now)
{
    pthread_mutex_lock(&group->mutex);
    group->n_frames++;
    const int due = now - group->drawn >= SECONDS_BETWEEN_LINES;
    if (due)
        group->drawn = now;
    pthread_mutex_unlock(&group->mutex);
    return due;
}

static void group_text(progress_group *group, char *text, size_t n_text)
{
    pthread_mutex_lock(&group->mutex);
    const double rate = (double)group->n_frames / (trk_seconds() - group->started);
    snprintf(text, n_text, "%zu/%zu jobs, %" PRId64 " frames, %.1f frames/s", group->n_jobs_done, group->n_jobs,
             group->n_frames, rate);
    pthread_mutex_unlock(&group->mutex);
}

/* --- one run ---------------------------------------------------------------------------------------------------- */

void progress_start(progress *self, progress_group *group, int quiet, int64_t n_total, int total_exact)
{
    *self = (progress){.quiet = quiet,
                       .terminal = isatty(STDERR_FILENO),
                       .n_total = n_total,
                       .total_exact = total_exact,
                       .started = trk_seconds(),
                       .group = group};
}

int progress_step(progress *self)
{
    const double now = trk_seconds();
    self->n_done++;
    const int due = self->group ? group_step(self->group, now) : now - self->drawn >= SECONDS_BETWEEN_LINES;
    if (self->quiet || !self->terminal || !due)
        return 0;
    self->drawn = now;
    return 1;
}

static void run_text(const progress *self, char *text, size_t n_text)
{
    char total[48] = "", left[48] = "";
    const double rate = (double)self->n_done / (trk_seconds() - self->started);
    if (self->n_total >= self->n_done) {
        const int64_t seconds = (int64_t)((double)(self->n_total - self->n_done) / rate + 0.5);
        snprintf(total, sizeof total, "/%s%" PRId64, self->total_exact ? "" : "~", self->n_total);
        snprintf(left, sizeof left, ", %" PRId64 ":%02d left", seconds / 60, (int)(seconds % 60));
    }
    snprintf(text, n_text, "frame %" PRId64 "%s, %.1f frames/s%s", self->n_done, total, rate, left);
}

void progress_draw(progress *self, size_t accounted_bytes)
{
    char done[192], text[256];
    if (self->group)
        group_text(self->group, done, sizeof done);
    else
        run_text(self, done, sizeof done);
    snprintf(text, sizeof text, "%s, memory %.0f MB (%.0f MB accounted)", done, (double)progress_resident_bytes() / 1e6,
             (double)accounted_bytes / 1e6);
    report_status(text);
}

void progress_summary(progress *self, const char *prefix, size_t n_objects)
{
    const double seconds = trk_seconds() - self->started;
    report_clear();
    if (!self->quiet)
        report_line("%s%" PRId64 " frame%s, %zu object%s, %.2f s (%.1f frames/s), peak memory %.0f MB", prefix,
                    self->n_done, self->n_done == 1 ? "" : "s", n_objects, n_objects == 1 ? "" : "s", seconds,
                    (double)self->n_done / seconds, (double)progress_resident_peak_bytes() / 1e6);
}
