/* SPDX-License-Identifier: Apache-2.0
 * COCO run-length encoding of a mask. Pixels are taken column by column; counts are lengths of runs of 0, 1, 0, ...,
 * starting with the zeros (possibly none). Compressed: each count, from the fourth on less the count two before it, as
 * little-endian groups of 5 bits, bit 5 set on all but the last, sign-extended from bit 4 of the last, plus 48: one
 * character from '0' to 'o'. */
#ifndef TRK_CLI_RLE_H
#define TRK_CLI_RLE_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"

typedef struct rle {
    uint32_t *counts; /* owned: run lengths, summing to width * height */
    size_t n_counts, counts_capacity;
    char *text; /* owned: compressed, terminated */
    size_t text_capacity;
    uint32_t *column_starts; /* owned: scratch [width + 1] */
    size_t columns_capacity;
} rle;

/* mask: [height][stride] bytes 0 or 1, borrowed. Buffers of `out` (zeroed at first) are used again. TRK_E_MEMORY. */
trk_status rle_encode(rle *out, const uint8_t *mask, int width, int height, ptrdiff_t stride);
/* The other way: compressed text of a mask to its bytes 0 or 1, [height][stride]; mask NULL: the text is only checked.
 * Buffers of `scratch` (zeroed at first) are used again; its counts are those of the text. TRK_E_FORMAT says what is
 * wrong with the text, which may hold anything. */
trk_status rle_decode(rle *scratch, uint8_t *mask, int width, int height, ptrdiff_t stride, const char *text);
void rle_free(rle *out);

#endif
