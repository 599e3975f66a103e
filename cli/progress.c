/* SPDX-License-Identifier: Apache-2.0 */
#include "progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "report.h"

static double now_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

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

void progress_start(progress *self, int quiet, int64_t n_total, int total_exact)
{
    *self = (progress){.quiet = quiet,
                       .terminal = isatty(STDERR_FILENO),
                       .n_total = n_total,
                       .total_exact = total_exact,
                       .started = now_seconds()};
}

static void draw(const progress *self, double now, size_t accounted_bytes)
{
    char total[48] = "", left[48] = "", text[256];
    const double rate = (double)self->n_done / (now - self->started);
    if (self->n_total >= self->n_done) {
        const int64_t seconds = (int64_t)((double)(self->n_total - self->n_done) / rate + 0.5);
        snprintf(total, sizeof total, "/%s%" PRId64, self->total_exact ? "" : "~", self->n_total);
        snprintf(left, sizeof left, ", %" PRId64 ":%02d left", seconds / 60, (int)(seconds % 60));
    }
    snprintf(text, sizeof text, "frame %" PRId64 "%s, %.1f frames/s%s, memory %.0f MB (%.0f MB accounted)",
             self->n_done, total, rate, left, (double)progress_resident_bytes() / 1e6, (double)accounted_bytes / 1e6);
    report_status(text);
}

void progress_step(progress *self, size_t accounted_bytes)
{
    const double now = now_seconds();
    self->n_done++;
    if (self->quiet || !self->terminal || now - self->drawn < 0.1)
        return;
    self->drawn = now;
    draw(self, now, accounted_bytes);
}

void progress_summary(progress *self, size_t n_objects)
{
    const double seconds = now_seconds() - self->started;
    report_clear();
    if (!self->quiet)
        report_line("%" PRId64 " frame%s, %zu object%s, %.2f s (%.1f frames/s), peak memory %.0f MB", self->n_done,
                    self->n_done == 1 ? "" : "s", n_objects, n_objects == 1 ? "" : "s", seconds,
                    (double)self->n_done / seconds, (double)progress_resident_peak_bytes() / 1e6);
}
