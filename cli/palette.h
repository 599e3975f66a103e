/* SPDX-License-Identifier: Apache-2.0
 * The colours of object ids: the PASCAL VOC colour map, which DAVIS uses as well. Bit 3k, 3k+1, 3k+2 of the id is bit
 * 7-k of red, green, blue. */
#ifndef TRK_CLI_PALETTE_H
#define TRK_CLI_PALETTE_H

#include <stdint.h>

#define PALETTE_SIZE        256
#define PALETTE_VOID        255 /* of a map of objects: none of them, and unknown, as DAVIS has it */
#define PALETTE_MOST_OBJECT 254

void palette_fill(uint8_t palette[PALETTE_SIZE][3]);
/* Colour an object is drawn with on a picture: its palette colour lightened, one by one, so that equal hues of
 * different ids stay apart; ids past the palette start again at 1. */
void palette_drawing_colour(int object, uint8_t colour[3]);

#endif
