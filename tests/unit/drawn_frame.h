/* SPDX-License-Identifier: Apache-2.0
 * A picture for trackers to follow: a bright disc over a pattern. */
#ifndef TRK_TESTS_UNIT_DRAWN_FRAME_H
#define TRK_TESTS_UNIT_DRAWN_FRAME_H

#include <stdint.h>

/* rgb [height, width, 3] dense */
static inline void draw_disc(uint8_t *rgb, int width, int height, int centre_x, int centre_y, int radius)
{
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            int dx = x - centre_x, dy = y - centre_y, inside = dx * dx + dy * dy < radius * radius;
            uint8_t *p = rgb + 3 * (y * width + x);
            p[0] = (uint8_t)(inside ? 230 : 60 + (x * 5 + y * 3) % 40);
            p[1] = (uint8_t)(inside ? 120 + (x + y) % 30 : 90 + (x * 2 + y * 7) % 50);
            p[2] = (uint8_t)(inside ? 40 : 120);
        }
}

#endif
