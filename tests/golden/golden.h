/* SPDX-License-Identifier: Apache-2.0
 * Stored outputs of the official code, and comparison with them. A golden is a .safetensors file; in stage goldens a
 * matrix "step.name" holds every k-th element of a row-major [rows, cols] matrix and "step.name#" describes it: rows,
 * cols, k, mean and largest magnitude of the whole. Errors are normalised: max |a - b| / max |b|
 * (a single number's by at least 1). */
#ifndef TRK_TESTS_GOLDEN_GOLDEN_H
#define TRK_TESTS_GOLDEN_GOLDEN_H

#include "checkpoint.h"
#include "ops.h"

typedef struct golden {
    trk_checkpoint *file;
    unsigned char *seen; /* [tensors of the file] 1: compared */
    int n_compared, n_failed;
} golden;

trk_status golden_open(golden *g, const char *path);
void golden_close(golden *g);

/* Compares a matrix with "step.name" and prints one line. Fails, and counts it, when the error of an element, of the
 * mean or of the largest magnitude exceeds the bound or is not a number, when the golden has no such matrix, has it in
 * another shape, or has been compared with it already. A matrix of one row may stand for equal rows. */
void golden_compare(golden *g, const char *step, const char *name, trk_mat mat, double bound);
/* Counts as failed, and prints, what of the golden was never compared. */
void golden_check_complete(golden *g);

/* The tensor of this name, marked as compared; NULL if there is none or it was taken before. */
const trk_tensor *golden_take(golden *g, const char *name);
/* A tensor as floats, or NULL if the golden has none of this name; the caller frees it. */
float *golden_read(const golden *g, const char *name, size_t *n);

/* max |a - b| / max |b| over n floats; NaN if any element is; 0 for two zero vectors. */
double golden_error(const float *a, const float *b, size_t n);
/* Intersection over union of a > 0 and b > 0; 1 if both are empty. */
double golden_iou(const float *a, const float *b, size_t n);

#endif
