/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "soak.h"
#include "whole_file.h"

enum { SETTLED = 100, STRETCH = 1000 /* frames */ };
#define RESIDENT_SPREAD ((size_t)1 << 20)  /* bytes */
#define RESIDENT_TREND (64.0 * 1024)       /* bytes over the whole run */
#define ACCOUNTED_SPREAD ((size_t)1 << 20)
#define SPEED_CHANGE 0.03                  /* share */

double soak_mib(size_t bytes)
{
    return (double)bytes / (1024 * 1024);
}

static size_t first_settled(const soak_log *log)
{
    size_t i = 0;
    while (i < log->n && log->samples[i].frame <= SETTLED)
        i++;
    return i < log->n ? i : log->n - 1;
}

void soak_resident_range(const soak_log *log, size_t *low, size_t *high)
{
    *low = SIZE_MAX;
    *high = 0;
    for (size_t i = first_settled(log); i < log->n; i++) {
        size_t bytes = log->samples[i].resident;
        *low = bytes < *low ? bytes : *low;
        *high = bytes > *high ? bytes : *high;
    }
}

/* least squares, bytes per frame */
static double resident_slope(const soak_log *log)
{
    double n = 0, sx = 0, sy = 0, sxx = 0, sxy = 0;
    size_t first = first_settled(log);
    for (size_t i = first; i < log->n; i++) { /* relative to the first one, to keep digits */
        double x = (double)(log->samples[i].frame - log->samples[first].frame);
        double y = (double)log->samples[i].resident - (double)log->samples[first].resident;
        n++, sx += x, sy += y, sxx += x * x, sxy += x * y;
    }
    double spread = n * sxx - sx * sx;
    return spread > 0 ? (n * sxy - sx * sy) / spread : 0.0;
}

static int verdict(int ok)
{
    printf("  %s\n", ok ? "ok" : "FAILED");
    return !ok;
}

static int judge_resident(const soak_log *log)
{
    size_t low, high;
    soak_resident_range(log, &low, &high);
    double trend = resident_slope(log) * (double)log->n_frames;
    printf("resident   %.2f to %.2f MiB after frame %d: spread %zu bytes (at most %zu), slope x frames %+.0f bytes "
           "(at most %.0f)",
           soak_mib(low), soak_mib(high), SETTLED, high - low, RESIDENT_SPREAD, trend, RESIDENT_TREND);
    return verdict(high - low <= RESIDENT_SPREAD && fabs(trend) <= RESIDENT_TREND);
}

static int same_bytes(const trk_memory_use *a, const trk_memory_use *b)
{
    int same = a->total_now == b->total_now;
    for (size_t d = 0; d < a->n_devices; d++)
        for (int c = 0; c < TRK_CLASSES; c++)
            same = same && a->devices[d].now[c] == b->devices[d].now[c];
    return same;
}

/* 2: every sample has the same bytes in every class; 1: samples of equal phase have; 0: not even these */
static int how_constant(const soak_log *log)
{
    size_t first = first_settled(log);
    int constant = 2;
    for (size_t i = first; i < log->n; i++)
        for (size_t j = first; j < i; j++)
            if (!same_bytes(&log->samples[i].use, &log->samples[j].use)) {
                if ((log->samples[i].frame - log->samples[j].frame) % log->period == 0)
                    return 0;
                constant = 1;
            }
    return constant;
}

static int judge_accounted(const soak_log *log)
{
    static const char *const how[] = {"differing at equal phase", "constant at equal phase", "constant in every class"};
    size_t low = SIZE_MAX, high = 0;
    int constant = how_constant(log);
    for (size_t i = first_settled(log); i < log->n; i++) {
        size_t bytes = log->samples[i].use.total_now;
        low = bytes < low ? bytes : low;
        high = bytes > high ? bytes : high;
    }
    printf("accounted  %.2f to %.2f MiB after frame %d: %s, spread %zu bytes (at most %zu)", soak_mib(low),
           soak_mib(high), SETTLED, how[constant], high - low, ACCOUNTED_SPREAD);
    return verdict(constant && high - low <= ACCOUNTED_SPREAD);
}

static int judge_tables(const soak_log *log)
{
    const trk_memory_use *first = &log->samples[0].use;
    size_t n_changed = 0, n_built = 0;
    for (size_t i = 0; i < log->n; i++) {
        n_changed += log->samples[i].use.tables_checksum != first->tables_checksum;
        n_built += log->samples[i].use.rope_builds != 1;
    }
    printf("tables     checksum %016" PRIx64 " in %zu of %zu samples", first->tables_checksum, log->n - n_changed,
           log->n);
    int n_failed = verdict(n_changed == 0);
    printf("rope       built %" PRIu64 " time(s), %zu bytes", log->samples[log->n - 1].use.rope_builds,
           first->rope_bytes);
    return n_failed + verdict(n_built == 0);
}

/* the last sample at or before a frame; a zero one for the start */
static soak_sample sample_at(const soak_log *log, int64_t frame)
{
    soak_sample found = {0};
    for (size_t i = 0; i < log->n && log->samples[i].frame <= frame; i++)
        found = log->samples[i];
    return found;
}

static void tell_speed(const soak_log *log)
{
    int64_t stretch = log->n_frames >= 2 * STRETCH ? STRETCH : log->n_frames / 2;
    soak_sample early = sample_at(log, stretch), late = sample_at(log, log->n_frames - stretch);
    soak_sample end = log->samples[log->n - 1];
    if (early.frame == 0 || late.frame == end.frame)
        return;
    printf("speed      first %" PRId64 " frames %.1f frames/s, %.3f ms of CPU time each; last %" PRId64
           ": %.1f frames/s, %.3f ms\n", early.frame, (double)early.frame / early.wall,
           1e3 * early.cpu / (double)early.frame, end.frame - late.frame,
           (double)(end.frame - late.frame) / (end.wall - late.wall),
           1e3 * (end.cpu - late.cpu) / (double)(end.frame - late.frame));
}

static int judge_speed(const soak_log *log, int strict)
{
    double change = log->cpu_old / log->cpu_fresh - 1;
    tell_speed(log);
    printf("age        %d frames in turns: %.3f ms of CPU time each, a fresh tracker's %.3f (%+.1f %%, at most %.0f %%)",
           log->n_raced, 1e3 * log->cpu_old / log->n_raced, 1e3 * log->cpu_fresh / log->n_raced, 100 * change,
           100 * SPEED_CHANGE);
    int ok = change <= SPEED_CHANGE;
    if (ok || strict)
        return verdict(ok);
    printf("  slower; counts with --strict only\n");
    return 0;
}

int soak_judge(const soak_log *log, int strict)
{
    return judge_resident(log) + judge_accounted(log) + judge_tables(log) + judge_speed(log, strict);
}

static void csv_header(FILE *file, const soak_log *log)
{
    const trk_memory_use *use = &log->samples[0].use;
    static const char *const classes[TRK_CLASSES] = {"pinned", "bank", "frame", "scratch"};
    fputs("frame,seconds,cpu_seconds,frames_per_second,resident", file);
    for (size_t d = 0; d < use->n_devices; d++)
        for (int c = 0; c < TRK_CLASSES; c++)
            fprintf(file, ",%s_%s", use->devices[d].device, classes[c]);
    fputs(",accounted,accounted_peak,tables_checksum,rope_builds", file);
    for (int k = 0; k < log->n_objects; k++)
        fprintf(file, ",area_%d", k + 1);
    fputc('\n', file);
}

int soak_write_csv(const soak_log *log, const char *path)
{
    whole_file out;
    if (whole_file_begin(&out, path) < 0)
        return -1;
    csv_header(out.file, log);
    soak_sample before = {0};
    for (size_t i = 0; i < log->n; i++) {
        const soak_sample *s = &log->samples[i];
        fprintf(out.file, "%" PRId64 ",%.3f,%.3f,%.1f,%zu", s->frame, s->wall, s->cpu,
                (double)(s->frame - before.frame) / (s->wall - before.wall), s->resident);
        for (size_t d = 0; d < s->use.n_devices; d++)
            for (int c = 0; c < TRK_CLASSES; c++)
                fprintf(out.file, ",%zu", s->use.devices[d].now[c]);
        fprintf(out.file, ",%zu,%zu,%016" PRIx64 ",%" PRIu64, s->use.total_now, s->use.total_peak,
                s->use.tables_checksum, s->use.rope_builds);
        for (int k = 0; k < log->n_objects; k++)
            fprintf(out.file, ",%zu", s->area[k]);
        fputc('\n', out.file);
        before = *s;
    }
    return whole_file_end(&out);
}
