/* SPDX-License-Identifier: Apache-2.0
 * Float32 matrices as NumPy .npy files, format version 1.0: magic, version, header length, a Python dictionary padded
 * with blanks so that the data start at a multiple of 64, the data row by row. */
#ifndef TRK_CLI_NPY_H
#define TRK_CLI_NPY_H

#include <stddef.h>

#include "error.h"

#define NPY_HEADER_BYTES 128

/* The first NPY_HEADER_BYTES bytes of the file of a [rows, columns] matrix. */
void npy_header(char header[NPY_HEADER_BYTES], int rows, int columns);
/* data: [rows, columns] borrowed. The file is whole or absent. */
trk_status npy_write(const char *path, const float *data, int rows, int columns);

#endif
