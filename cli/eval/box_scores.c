/* SPDX-License-Identifier: Apache-2.0 */
#include "box_scores.h"

#include <math.h>

#define PRECISION_PIXELS 20
#define PRECISION_SIDES  0.2
#define NORMALIZED_STEPS 50 /* of 0.01 */

const char *const box_score_names[N_BOX_SCORES] = {
    [BOX_AUC] = "AUC",
    [BOX_OP50] = "OP50",
    [BOX_OP75] = "OP75",
    [BOX_PRECISION] = "precision",
    [BOX_NORMALIZED_PRECISION] = "normalized_precision",
    [BOX_NORMALIZED_AUC] = "normalized_AUC",
    [BOX_AO] = "AO",
};

/* Sums over frames. */
typedef struct tally {
    size_t n, n_overlaps;               /* frames that shares are of, and that have an overlap */
    size_t successes, normalized_steps; /* over frames and thresholds */
    size_t above50, above75, near, near_normalized;
    double overlap;
} tally;

static int has_area(const trk_box *box)
{
    return box->width > 0 && box->height > 0 && !isnan(box->x) && !isnan(box->y);
}

static double length_in_common(double a, double a_length, double b, double b_length)
{
    const double length = fmin(a + a_length, b + b_length) - fmax(a, b);
    return length > 0 ? length : 0;
}

double box_overlap(const trk_box *a, const trk_box *b)
{
    if (!has_area(a) || !has_area(b))
        return 0;
    const double common =
        length_in_common(a->x, a->width, b->x, b->width) * length_in_common(a->y, a->height, b->y, b->height);
    return common / ((double)a->width * a->height + (double)b->width * b->height - common);
}

/* Centre of a row or column of pixels, as the toolkits compute it: between the first and the last pixel. */
static double centre(double start, double length)
{
    return start + (length - 1) / 2;
}

static void tally_overlap(tally *sums, double overlap, int n_steps)
{
    sums->n_overlaps++;
    sums->overlap += overlap;
    sums->above50 += overlap > 0.5;
    sums->above75 += overlap > 0.75;
    for (int i = 0; i <= n_steps; i++)
        sums->successes += overlap > i * (1.0 / n_steps);
}

/* Distances of the centres in pixels and in sides of the true box. */
static void tally_distance(tally *sums, double pixels, double sides)
{
    sums->near += pixels <= PRECISION_PIXELS;
    sums->near_normalized += sides <= PRECISION_SIDES;
    for (int i = 0; i <= NORMALIZED_STEPS; i++)
        sums->normalized_steps += sides <= i / 100.0;
}

static void tally_frame(tally *sums, const trk_box *found, const trk_box *truth, int n_steps)
{
    tally_overlap(sums, box_overlap(found, truth), n_steps);
    if (!has_area(found))
        return;
    const double x = centre(found->x, found->width) - centre(truth->x, truth->width);
    const double y = centre(found->y, found->height) - centre(truth->y, truth->height);
    const double sides_x = x / fmax(truth->width, 1), sides_y = y / fmax(truth->height, 1);
    tally_distance(sums, sqrt(x * x + y * y), sqrt(sides_x * sides_x + sides_y * sides_y));
}

static box_scores scores_of_tally(const tally *sums, int n_steps)
{
    const double n = sums->n_overlaps ? (double)sums->n : NAN;
    return (box_scores){
        .of[BOX_AUC] = (double)sums->successes / (n * (n_steps + 1)),
        .of[BOX_OP50] = (double)sums->above50 / n,
        .of[BOX_OP75] = (double)sums->above75 / n,
        .of[BOX_PRECISION] = (double)sums->near / n,
        .of[BOX_NORMALIZED_PRECISION] = (double)sums->near_normalized / n,
        .of[BOX_NORMALIZED_AUC] = (double)sums->normalized_steps / (n * (NORMALIZED_STEPS + 1)),
        .of[BOX_AO] = sums->n_overlaps ? sums->overlap / (double)sums->n_overlaps : NAN,
        .n_frames = sums->n_overlaps ? sums->n : 0,
    };
}

/* calc_seq_err_robust.m and eval_tracker.m of LaSOT_Evaluation_Toolkit. of_all 0: frames that do not count, or have no
 * true box, are left out of the shares, too. */
static box_scores scores_lasot(const trk_box *found, const trk_box *truth, const unsigned char *counts, size_t n,
                               int of_all)
{
    enum { N_STEPS = 20 };
    tally sums = {0};
    const trk_box *last = found;
    for (size_t i = 0; i < n; i++) {
        const int is_valid = (!counts || counts[i]) && has_area(&truth[i]);
        last = has_area(&found[i]) ? &found[i] : last;
        sums.n += of_all || is_valid;
        if (is_valid)
            tally_frame(&sums, i ? last : truth, &truth[i], N_STEPS);
        else if (of_all && (!counts || counts[i]))
            tally_distance(&sums, -1, -1); /* theirs: no overlap, but a distance below all thresholds */
    }
    return scores_of_tally(&sums, N_STEPS);
}

static float between(float value, float least, float most)
{
    return fminf(fmaxf(value, least), most);
}

/* rect_iou: a box that starts left of or above the picture is moved, not cut. */
void boxes_bound(trk_box *boxes, size_t n, int width, int height)
{
    for (size_t i = 0; i < n; i++) {
        trk_box *box = &boxes[i];
        if (!has_area(box))
            continue;
        box->x = between(box->x, 0, (float)width);
        box->y = between(box->y, 0, (float)height);
        box->width = between(box->width, 0, (float)width - box->x);
        box->height = between(box->height, 0, (float)height - box->y);
    }
}

/* ExperimentGOT10k of the GOT-10k toolkit. */
static box_scores scores_got10k(const trk_box *found, const trk_box *truth, const unsigned char *counts, size_t n)
{
    enum { N_STEPS = 100 };
    tally sums = {0};
    for (size_t i = 1; i < n; i++) {
        if (counts && !counts[i])
            continue;
        sums.n++;
        tally_frame(&sums, &found[i], &truth[i], N_STEPS);
    }
    return scores_of_tally(&sums, N_STEPS);
}

/* Curves as ExperimentLaSOT of the same toolkit, which OTB's are too. */
static box_scores scores_plain(const trk_box *found, const trk_box *truth, const unsigned char *counts, size_t n)
{
    enum { N_STEPS = 20 };
    tally sums = {0};
    for (size_t i = 0; i < n; i++) {
        const trk_box *box = &truth[i];
        if ((counts && !counts[i]) || isnan(box->x) || isnan(box->y) || isnan(box->width) || isnan(box->height))
            continue;
        sums.n++;
        tally_frame(&sums, &found[i], box, N_STEPS);
    }
    return scores_of_tally(&sums, N_STEPS);
}

box_scores box_scores_of(const trk_box *found, const trk_box *truth, const unsigned char *counts, size_t n,
                         box_convention convention)
{
    switch (convention) {
    case BOX_CONVENTION_LASOT:
    case BOX_CONVENTION_TRACKINGNET:
        return scores_lasot(found, truth, counts, n, convention == BOX_CONVENTION_LASOT);
    case BOX_CONVENTION_GOT10K:
        return scores_got10k(found, truth, counts, n);
    case BOX_CONVENTION_PLAIN:
        break;
    }
    return scores_plain(found, truth, counts, n);
}
