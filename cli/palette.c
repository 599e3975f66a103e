/* SPDX-License-Identifier: Apache-2.0 */
#include "palette.h"

#include <math.h>

static void palette_colour(unsigned index, uint8_t colour[3])
{
    colour[0] = colour[1] = colour[2] = 0;
    for (int bit = 7; index; bit--, index >>= 3)
        for (int channel = 0; channel < 3; channel++)
            colour[channel] |= (uint8_t)(((index >> channel) & 1u) << bit);
}

void palette_fill(uint8_t palette[PALETTE_SIZE][3])
{
    for (unsigned i = 0; i < PALETTE_SIZE; i++)
        palette_colour(i, palette[i]);
}

void palette_drawing_colour(int object, uint8_t colour[3])
{
    palette_colour((unsigned)(object - 1) % (PALETTE_SIZE - 1) + 1, colour);
    for (int channel = 0; channel < 3; channel++)
        colour[channel] = (uint8_t)lround(255.0 * sqrt(colour[channel] / 255.0));
}
