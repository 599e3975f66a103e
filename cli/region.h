/* SPDX-License-Identifier: Apache-2.0
 * Where a mask is: bounding box, area, and where to put a label. */
#ifndef TRK_CLI_REGION_H
#define TRK_CLI_REGION_H

#include <stddef.h>
#include <stdint.h>

typedef struct region {
    int x, y, width, height; /* pixels; all 0 for an empty mask */
    int64_t area;            /* pixels set */
    int top;                 /* first row set in the middle column of the box; y where that column is empty */
} region;

/* mask: [height][stride] bytes 0 or 1, borrowed. */
region region_of_mask(const uint8_t *mask, int width, int height, ptrdiff_t stride);

#endif
