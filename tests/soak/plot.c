/* SPDX-License-Identifier: Apache-2.0
 * The run as a picture: memory and speed over frames, two panels with one axis of frames. */
#include <math.h>
#include <string.h>

#include "soak.h"
#include "whole_file.h"

enum { WIDTH = 900, LEFT = 76, RIGHT = 812, LABEL = 17 /* height */, MAX_LINES = 2 };
enum { POINTS = 240 /* of a line of speed, at most */ };

typedef struct line {
    const char *name, *colour;
    double (*value)(const soak_sample *before, const soak_sample *s);
    size_t step; /* samples between points */
} line;

typedef struct panel {
    const char *title, *unit;
    int top, bottom;
    double x_most, y_most, x_tick, y_tick;
    line lines[MAX_LINES];
} panel;

static double resident(const soak_sample *before, const soak_sample *s)
{
    return soak_mib(s->resident);
}

static double accounted(const soak_sample *before, const soak_sample *s)
{
    return soak_mib(s->use.total_now);
}

static double by_clock(const soak_sample *before, const soak_sample *s)
{
    return (double)(s->frame - before->frame) / (s->wall - before->wall);
}

static double by_cpu_time(const soak_sample *before, const soak_sample *s)
{
    return (double)(s->frame - before->frame) / (s->cpu - before->cpu);
}

/* 1, 2 or 5 times a power of ten: at most `n` steps from zero to `most` */
static double tick_step(double most, int n)
{
    double power = pow(10, floor(log10(most / n)));
    double factor = most / n / power;
    return power * (factor <= 1 ? 1 : factor <= 2 ? 2 : factor <= 5 ? 5 : 10);
}

static double place_x(const panel *p, double frame)
{
    return LEFT + (RIGHT - LEFT) * frame / p->x_most;
}

static double place_y(const panel *p, double value)
{
    return p->bottom - (p->bottom - p->top) * value / p->y_most;
}

/* calls back the points of a line; the first sample is a point, so is the last */
static void each_point(const soak_log *log, const line *l, void (*point)(void *user, double x, double y), void *user)
{
    soak_sample before = {0};
    for (size_t i = 0; i < log->n; i++) {
        if ((i + 1) % l->step && i + 1 != log->n)
            continue;
        point(user, (double)log->samples[i].frame, l->value(&before, &log->samples[i]));
        before = log->samples[i];
    }
}

static void grow(void *most, double x, double y)
{
    *(double *)most = fmax(*(double *)most, y);
}

static void scale(panel *p, const soak_log *log)
{
    double most = 0;
    for (int i = 0; i < MAX_LINES; i++)
        each_point(log, &p->lines[i], grow, &most);
    p->x_most = (double)log->n_frames;
    p->x_tick = tick_step(p->x_most, 6);
    p->y_tick = tick_step(most * 1.08, 6);
    p->y_most = p->y_tick * ceil(most * 1.08 / p->y_tick);
}

/* 12345 as 12,345 */
static const char *grouped(double value, char text[32])
{
    long n = lround(value);
    if (n >= 1000000)
        snprintf(text, 32, "%ld,%03ld,%03ld", n / 1000000, n / 1000 % 1000, n % 1000);
    else if (n >= 1000)
        snprintf(text, 32, "%ld,%03ld", n / 1000, n % 1000);
    else
        snprintf(text, 32, "%g", value);
    return text;
}

static void draw_axes(FILE *f, const panel *p)
{
    char text[32];
    fprintf(f, "<text class=\"b\" x=\"%d\" y=\"%d\">%s</text>\n", LEFT, p->top - 12, p->title);
    for (int i = 0; i * p->y_tick <= p->y_most * 1.0001; i++) {
        double y = place_y(p, i * p->y_tick);
        fprintf(f, "<line class=\"%s\" x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\"/>\n", i ? "g" : "a", LEFT, y,
                RIGHT, y);
        fprintf(f, "<text class=\"e\" x=\"%d\" y=\"%.1f\">%s</text>\n", LEFT - 8, y + 4.5,
                grouped(i * p->y_tick, text));
    }
    for (int i = 0; i * p->x_tick <= p->x_most * 1.0001; i++) {
        double x = place_x(p, i * p->x_tick);
        fprintf(f, "<line class=\"a\" x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\"/>\n", x, p->bottom, x,
                p->bottom + 5);
        fprintf(f, "<text class=\"m\" x=\"%.1f\" y=\"%d\">%s</text>\n", x, p->bottom + 20,
                grouped(i * p->x_tick, text));
    }
    int middle = (p->top + p->bottom) / 2;
    fprintf(f, "<text class=\"m\" transform=\"translate(22 %d) rotate(-90)\">%s</text>\n", middle, p->unit);
    fprintf(f, "<text class=\"m\" x=\"%d\" y=\"%d\">frames</text>\n", (LEFT + RIGHT) / 2, p->bottom + 40);
}

typedef struct pen {
    FILE *file;
    const panel *p;
    double last; /* value of the last point */
} pen;

static void draw_point(void *user, double x, double y)
{
    pen *at = user;
    at->last = y;
    fprintf(at->file, "%.1f,%.1f ", place_x(at->p, x), place_y(at->p, y));
}

static void draw_lines(FILE *f, const panel *p, const soak_log *log)
{
    int x = RIGHT;
    double label = -100; /* where the last value stands */
    for (int i = MAX_LINES - 1; i >= 0; i--) { /* legend from the right, above the panel */
        const line *l = &p->lines[i];
        pen at = {f, p, 0};
        fprintf(f, "<polyline style=\"stroke-width:%s\" stroke=\"%s\" points=\"", i ? "3" : "1.6", l->colour);
        each_point(log, l, draw_point, &at);
        fputs("\"/>\n", f);
        double y = place_y(p, at.last) + 4.5;
        label = fabs(y - label) >= LABEL ? y : y < label ? label - LABEL : label + LABEL;
        fprintf(f, "<text x=\"%d\" y=\"%.1f\" style=\"fill:%s\">%.1f</text>\n", RIGHT + 8, label, l->colour, at.last);
        fprintf(f, "<text class=\"e\" x=\"%d\" y=\"%d\">%s</text>\n", x, p->top - 12, l->name);
        x -= 8 * (int)strlen(l->name) + 8;
        fprintf(f, "<polyline stroke=\"%s\" points=\"%d,%d %d,%d\"/>\n", l->colour, x - 24, p->top - 17, x,
                p->top - 17);
        x -= 44;
    }
}

static void draw_head(FILE *f, const soak_log *log, int height)
{
    char frames[32];
    size_t low, high;
    soak_resident_range(log, &low, &high);
    fprintf(f, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\">\n", WIDTH,
            height, WIDTH, height);
    fputs("<style>text{font:14px 'DejaVu Sans',Verdana,Arial,sans-serif;fill:#222}.e{text-anchor:end}"
          ".m{text-anchor:middle}.b{font-weight:bold}.g{stroke:#ddd}.a{stroke:#444}"
          "polyline{fill:none;stroke-width:2;stroke-linejoin:round}</style>\n"
          "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n", f);
    fprintf(f, "<text x=\"%d\" y=\"30\" style=\"font-size:17px;font-weight:bold\">%s frames in one run: %d object%s, "
               "%d pixels, %s back and forth</text>\n", LEFT, grouped((double)log->n_frames, frames), log->n_objects,
            log->n_objects == 1 ? "" : "s", log->image_size, log->clip);
    fprintf(f, "<text x=\"%d\" y=\"52\">Resident memory after frame 100: %.2f to %.2f MiB. %.1f frames/s over the "
               "whole run.</text>\n", LEFT, soak_mib(low), soak_mib(high),
            (double)log->n_frames / log->samples[log->n - 1].wall);
}

int soak_write_svg(const soak_log *log, const char *path)
{
    whole_file out;
    size_t step = (log->n + POINTS - 1) / POINTS;
    panel panels[2] = {
        {.title = "Memory", .unit = "MiB", .top = 100, .bottom = 300,
         .lines = {{"resident", "#1f5fa8", resident, 1}, {"accounted", "#c2571a", accounted, 1}}},
        {.title = "Frames per second", .unit = "frames/s", .top = 396, .bottom = 566,
         .lines = {{"of the clock", "#1f5fa8", by_clock, step}, {"of CPU time", "#2c8a4b", by_cpu_time, step}}},
    };
    if (whole_file_begin(&out, path) < 0)
        return -1;
    draw_head(out.file, log, 626);
    for (int i = 0; i < 2; i++) {
        scale(&panels[i], log);
        draw_axes(out.file, &panels[i]);
        draw_lines(out.file, &panels[i], log);
    }
    fputs("</svg>\n", out.file);
    return whole_file_end(&out);
}
