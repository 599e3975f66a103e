/* SPDX-License-Identifier: Apache-2.0 */
#include "npy.h"

#include <stdio.h>
#include <string.h>

#include "output_file.h"

void npy_header(char header[NPY_HEADER_BYTES], int rows, int columns)
{
    const size_t start = 10, length = NPY_HEADER_BYTES - start; /* after magic, version and the 16-bit length */
    const char order = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? '<' : '>';
    memcpy(header, "\x93NUMPY\x01\x00", 8);
    header[8] = (char)(length & 255u);
    header[9] = (char)(length >> 8);
    int written = snprintf(header + start, length, "{'descr': '%cf4', 'fortran_order': False, 'shape': (%d, %d), }",
                           order, rows, columns); /* at most 79 characters */
    memset(header + start + written, ' ', length - (size_t)written);
    header[NPY_HEADER_BYTES - 1] = '\n';
}

trk_status npy_write(const char *path, const float *data, int rows, int columns)
{
    char header[NPY_HEADER_BYTES];
    output_file file;
    trk_status rc = output_file_open(&file, path);
    if (rc)
        return rc;
    npy_header(header, rows, columns);
    fwrite(header, 1, sizeof header, file.stream);
    for (int row = 0; row < rows; row++)
        fwrite(data + (size_t)row * (size_t)columns, sizeof *data, (size_t)columns, file.stream);
    return output_file_finish(&file);
}
