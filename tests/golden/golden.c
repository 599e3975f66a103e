/* SPDX-License-Identifier: Apache-2.0
 * Comparison with stored outputs. Every test is written so that NaN fails: !(error <= bound). */
#include "golden.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../differences.h"
#include "bf16.h"

typedef struct description {
    int rows, cols, step;
    double mean, largest;
} description;

trk_status golden_open(golden *g, const char *path)
{
    *g = (golden){0};
    trk_status rc = trk_checkpoint_open(&g->file, path);
    if (rc < 0)
        return rc;
    g->seen = calloc(trk_checkpoint_count(g->file) + 1, 1);
    if (!g->seen) {
        trk_checkpoint_close(&g->file);
        return TRK_FAIL(TRK_E_MEMORY, "out of memory");
    }
    return TRK_OK;
}

void golden_close(golden *g)
{
    trk_checkpoint_close(&g->file);
    free(g->seen);
    *g = (golden){0};
}

float *golden_read(const golden *g, const char *name, size_t *n)
{
    const trk_tensor *tensor = trk_checkpoint_find(g->file, name);
    if (!tensor)
        return NULL;
    float *values = malloc((tensor->n_elements + 1) * sizeof *values);
    if (values)
        trk_tensor_to_f32(tensor, values);
    *n = tensor->n_elements;
    return values;
}

double golden_error(const float *a, const float *b, size_t n)
{
    double scale;
    const double worst = largest_difference(a, b, n, &scale);
    return worst == 0 ? 0 : worst / scale;
}

double golden_iou(const float *a, const float *b, size_t n)
{
    size_t both = 0, either = 0;
    for (size_t i = 0; i < n; i++) {
        both += a[i] > 0 && b[i] > 0;
        either += a[i] > 0 || b[i] > 0;
    }
    return either ? (double)both / (double)either : 1;
}

const trk_tensor *golden_take(golden *g, const char *name)
{
    for (size_t i = 0; i < trk_checkpoint_count(g->file); i++) {
        const trk_tensor *tensor = trk_checkpoint_at(g->file, i);
        if (strcmp(tensor->name, name))
            continue;
        if (g->seen[i]++)
            return NULL;
        return tensor;
    }
    return NULL;
}

static int read_description(golden *g, const char *name, description *out)
{
    char about_name[128];
    float about[5];
    snprintf(about_name, sizeof about_name, "%s#", name);
    const trk_tensor *tensor = golden_take(g, about_name);
    if (!tensor || tensor->n_elements != 5)
        return 0;
    trk_tensor_to_f32(tensor, about);
    *out = (description){(int)about[0], (int)about[1], (int)about[2], about[3], about[4]};
    return 1;
}

static float element(trk_mat mat, int64_t row, int64_t col)
{
    int64_t at = row * mat.stride + col;
    return mat.dtype == TRK_F32 ? ((const float *)mat.data)[at] : trk_bf16_to_f32(((const uint16_t *)mat.data)[at]);
}

/* Element i of the row-major golden matrix, read from ours: one row may stand for all. */
static float element_at(trk_mat mat, int64_t i)
{
    return element(mat, i / mat.cols % mat.rows, i % mat.cols);
}

static double compare_elements(trk_mat mat, const description *d, const float *stored, size_t n_stored)
{
    int64_t n = (int64_t)d->rows * d->cols;
    double worst = 0, sum = 0, largest = 0;
    for (int64_t i = 0; i < n; i++) {
        double ours = element_at(mat, i);
        if (isnan(ours))
            return ours;
        sum += ours;
        largest = fmax(largest, fabs(ours));
        if (i % d->step == 0 && (size_t)(i / d->step) < n_stored)
            worst = fmax(worst, fabs(ours - stored[i / d->step]));
    }
    worst = fmax(worst, fabs(sum / (double)n - d->mean));
    worst = fmax(worst, fabs(largest - d->largest));
    /* a single number may be near zero by cancellation: then its error is taken as it is */
    return worst == 0 ? 0 : worst / (n == 1 ? fmax(d->largest, 1) : d->largest);
}

void golden_compare(golden *g, const char *step, const char *name, trk_mat mat, double bound)
{
    char full[120];
    description d;
    size_t n_stored = 0;
    snprintf(full, sizeof full, "%s.%s", step, name);
    const trk_tensor *tensor = golden_take(g, full);
    g->n_compared++;
    if (!tensor || !read_description(g, full, &d)) {
        g->n_failed++;
        printf("%-8s %-26s not in the golden, or seen twice\n", step, name);
        return;
    }
    int one_row = mat.rows == 1 && mat.cols == d.cols;
    if (!one_row && (int64_t)mat.rows * mat.cols != (int64_t)d.rows * d.cols) {
        g->n_failed++;
        printf("%-8s %-26s is [%d, %d], expected [%d, %d]\n", step, name, mat.rows, mat.cols, d.rows, d.cols);
        return;
    }
    float *stored = golden_read(g, full, &n_stored);
    double error = stored ? compare_elements(mat, &d, stored, n_stored) : NAN;
    int ok = error <= bound;
    free(stored);
    g->n_failed += !ok;
    printf("%-8s %-26s [%5d, %4d]  largest %9.4f  error %9.2e  %s\n", step, name, d.rows, d.cols, d.largest, error,
           ok ? "ok" : "FAILED");
}

void golden_check_complete(golden *g)
{
    for (size_t i = 0; i < trk_checkpoint_count(g->file); i++)
        if (!g->seen[i]) {
            g->n_failed++;
            printf("%s was never computed\n", trk_checkpoint_at(g->file, i)->name);
        }
}
