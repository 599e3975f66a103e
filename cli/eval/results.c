/* SPDX-License-Identifier: Apache-2.0
 * Results in memory, their means, and the table. */
#include "results.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "heap.h"

void clip_result_free(clip_result *self)
{
    for (size_t i = 0; self->objects && i < self->n_objects; i++) {
        object_result *o = &self->objects[i];
        trk_heap_release(o->index);
        trk_heap_release(o->region);
        trk_heap_release(o->boundary);
        trk_heap_release(o->present);
    }
    trk_heap_release(self->objects);
    trk_heap_release(self->bytes);
    trk_heap_release(self->name);
    trk_heap_release(self->tests);
    *self = (clip_result){0};
}

void eval_results_free(eval_results *self)
{
    for (size_t i = 0; self->clips && i < self->n_clips; i++)
        clip_result_free(&self->clips[i]);
    trk_heap_release(self->clips);
    self->clips = NULL;
    self->n_clips = 0;
}

/* --- means ------------------------------------------------------------------------------------------------------ */

static eval_means values_of(const object_result *o)
{
    const box_scores *b = &o->boxes;
    eval_means out = {.has_masks = o->region != NULL, .has_boxes = b->n_frames > 0, .n_objects = 1};
    for (int i = 0; i < N_MEANS; i++)
        out.of[i] = NAN;
    if (out.has_masks)
        out.of[MEAN_J] = o->region_summary.mean;
    if (o->boundary)
        out.of[MEAN_F] = o->boundary_summary.mean;
    out.of[MEAN_BOTH] = (out.of[MEAN_J] + out.of[MEAN_F]) / 2;
    if (out.has_boxes)
        memcpy(&out.of[MEAN_BOXES], b->of, sizeof b->of);
    return out;
}

eval_means eval_means_of(const clip_result *clips, size_t n_clips, dataset_layout layout)
{
    eval_means out = {.n_objects = 0};
    double n[N_MEANS] = {0};
    for (size_t c = 0; c < n_clips; c++)
        for (size_t k = 0; k < clips[c].n_objects; k++) {
            const object_result *o = &clips[c].objects[k];
            const eval_means one = values_of(o);
            const double box_weight = layout == DATASET_GOT10K ? (double)o->boxes.n_frames : 1;
            out.has_masks |= one.has_masks;
            out.has_boxes |= one.has_boxes;
            out.n_objects++;
            for (int i = 0; i < N_MEANS; i++)
                if (!isnan(one.of[i])) {
                    const double weight = i >= MEAN_BOXES ? box_weight : 1;
                    out.of[i] += weight * one.of[i];
                    n[i] += weight;
                }
        }
    for (int i = 0; i < N_MEANS; i++)
        out.of[i] = n[i] > 0 ? out.of[i] / n[i] : NAN;
    return out;
}

/* --- table ------------------------------------------------------------------------------------------------------ */

static const struct {
    const char *title;
    int mean, of_boxes;
} columns[] = {
    {"J", MEAN_J, 0},
    {"F", MEAN_F, 0},
    {"J&F", MEAN_BOTH, 0},
    {"AUC", MEAN_BOXES + BOX_AUC, 1},
    {"OP50", MEAN_BOXES + BOX_OP50, 1},
    {"OP75", MEAN_BOXES + BOX_OP75, 1},
    {"precision", MEAN_BOXES + BOX_PRECISION, 1},
    {"AO", MEAN_BOXES + BOX_AO, 1},
};
enum { N_COLUMNS = sizeof columns / sizeof *columns, NUMBER_WIDTH = 10 };

/* Which columns there are, and how wide names are. */
typedef struct table {
    int name_width;
    int shown[N_COLUMNS];
} table;

static void print_number(double value)
{
    if (isnan(value))
        printf("%*s", NUMBER_WIDTH, "-");
    else
        printf("%*.4f", NUMBER_WIDTH, value);
}

static void print_title(const table *t, const char *name)
{
    printf("%-*s %8s", t->name_width, name, "frames");
    for (int i = 0; i < N_COLUMNS; i++)
        if (t->shown[i])
            printf("%*s", NUMBER_WIDTH, columns[i].title);
    printf("%*s%*s\n", NUMBER_WIDTH, "frames/s", NUMBER_WIDTH, "peak MB");
}

/* One that is 0 is not known. */
static void print_known(double value)
{
    if (value > 0)
        printf("%*.1f", NUMBER_WIDTH, value);
    else
        printf("%*s", NUMBER_WIDTH, "-");
}

typedef struct effort {
    double seconds;
    size_t n_frames, peak_bytes; /* tracked; accounted on the model's device */
} effort;

/* spent: NULL for a part of a clip. */
static void print_line(const table *t, const char *name, int64_t n_frames, const eval_means *means, const effort *spent)
{
    printf("%-*s %8" PRId64, t->name_width, name, n_frames);
    for (int i = 0; i < N_COLUMNS; i++)
        if (t->shown[i])
            print_number(means->of[columns[i].mean]);
    print_known(spent && spent->seconds > 0 ? (double)spent->n_frames / spent->seconds : 0);
    print_known(spent ? (double)spent->peak_bytes / 1e6 : 0);
    printf("\n");
}

static void print_objects(const table *t, const clip_result *clip)
{
    for (size_t i = 0; i < clip->n_objects; i++) {
        char name[32];
        const object_result *o = &clip->objects[i];
        const eval_means means = values_of(o);
        snprintf(name, sizeof name, "  object %d", o->id);
        print_line(t, name, (int64_t)(o->boxes.n_frames ? o->boxes.n_frames : o->n_frames), &means, NULL);
    }
}

static table lay_out(const eval_results *self, const eval_means *means, const char *last)
{
    table t = {.name_width = (int)strlen(last)};
    const int least = (int)sizeof "  object 255";
    t.name_width = t.name_width > least ? t.name_width : least;
    for (size_t i = 0; i < self->n_clips; i++)
        if ((int)strlen(self->clips[i].name) > t.name_width)
            t.name_width = (int)strlen(self->clips[i].name);
    const int has_boundary = !isnan(means->of[MEAN_F]);
    for (int i = 0; i < N_COLUMNS; i++)
        t.shown[i] =
            columns[i].of_boxes ? means->has_boxes : means->has_masks && (columns[i].mean == MEAN_J || has_boundary);
    return t;
}

void eval_results_print(const eval_results *self, int by_object)
{
    const eval_means all = eval_means_of(self->clips, self->n_clips, self->layout);
    char last[64] = "mean";
    int64_t n_frames = 0;
    effort whole = {0};
    if (self->n_left_out)
        snprintf(last, sizeof last, "mean (%zu left out)", self->n_left_out);
    const table t = lay_out(self, &all, last);
    print_title(&t, "clip");
    for (size_t i = 0; i < self->n_clips; i++) {
        const clip_result *clip = &self->clips[i];
        const eval_means means = eval_means_of(clip, 1, self->layout);
        const effort spent = {clip->seconds, clip->n_bytes, clip->peak_bytes};
        print_line(&t, clip->name, clip->n_frames, &means, &spent);
        if (by_object && clip->n_objects > 1)
            print_objects(&t, clip);
        n_frames += clip->n_frames;
        whole.n_frames += clip->n_bytes;
        whole.seconds += clip->seconds;
        whole.peak_bytes = clip->peak_bytes > whole.peak_bytes ? clip->peak_bytes : whole.peak_bytes;
    }
    print_line(&t, last, n_frames, &all, &whole);
}
