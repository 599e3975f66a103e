/* SPDX-License-Identifier: Apache-2.0
 * Generated frames, byte for byte those of scripts/goldens/frames.py: textured shapes that move over a textured ground,
 * by integer arithmetic. */
#ifndef TRK_TESTS_GOLDEN_SEEDED_FRAMES_H
#define TRK_TESTS_GOLDEN_SEEDED_FRAMES_H

#include <stdint.h>

#define SEEDED_WIDTH 320
#define SEEDED_HEIGHT 240
#define SEEDED_SHAPES 3 /* from back to front */

/* rgb [SEEDED_HEIGHT, SEEDED_WIDTH, 3]. blank: frames 5 and 6 are almost uniform. */
void seeded_frame(uint8_t *rgb, uint64_t seed, int t, int blank);

/* mask [SEEDED_HEIGHT, SEEDED_WIDTH] of 0 / 1: where shape k is seen on frame t. */
void seeded_object_mask(uint8_t *mask, int k, int t);

#endif
