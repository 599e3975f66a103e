/* SPDX-License-Identifier: Apache-2.0
 * The generator of frames; scripts/goldens/frames.py has the same shapes and arithmetic. */
#include "seeded_frames.h"

#include <stdlib.h>

#include "seeded_weights.h"

typedef struct shape {
    int rectangle; /* else an ellipse */
    int x, y;      /* centre on frame 0 */
    int vx, vy;    /* quarter pixels per frame */
    int rx, ry;
    int colour[3];
    int cell;      /* side of a texture cell */
} shape;

static const shape shapes[SEEDED_SHAPES] = {
    {0, 226, 158, -9, -6, 48, 40, {196, 92, 60}, 16},
    {1, 92, 84, 10, 5, 42, 32, {58, 128, 204}, 8},
    {0, 60, 196, 13, -8, 26, 26, {88, 190, 84}, 16},
};

static int corner(uint64_t key, int i, int j)
{
    return (int)(seeded_mix(key + (((uint64_t)j << 32) + (uint64_t)i + 1) * SEEDED_GOLDEN) >> 56);
}

/* Value noise 0..255: bilinear between hashed corners of square cells; x, y >= 0. */
static int noise(uint64_t key, int x, int y, int cell)
{
    int cx = x / cell, cy = y / cell, fx = x % cell, fy = y % cell;
    int top = corner(key, cx, cy) * (cell - fx) + corner(key, cx + 1, cy) * fx;
    int bottom = corner(key, cx, cy + 1) * (cell - fx) + corner(key, cx + 1, cy + 1) * fx;
    return (top * (cell - fy) + bottom * fy) / (cell * cell);
}

/* Position on frame t between two turning points, at a quarter pixel's resolution, rounded down. */
static int bounce(int start, int step, int t, int low, int high)
{
    int span = 4 * (high - low), q = (4 * (start - low) + step * t) % (2 * span);
    if (q < 0)
        q += 2 * span;
    return low + (q < span ? q : 2 * span - q) / 4;
}

/* 1 where shape s covers (x, y) on frame t; *dx, *dy: offset from its centre. */
static int covers(const shape *s, int t, int x, int y, int *dx, int *dy)
{
    *dx = x - bounce(s->x, s->vx, t, s->rx / 2, SEEDED_WIDTH - s->rx / 2);
    *dy = y - bounce(s->y, s->vy, t, s->ry / 2, SEEDED_HEIGHT - s->ry / 2);
    if (s->rectangle)
        return abs(*dx) <= s->rx && abs(*dy) <= s->ry;
    int xx = s->rx * s->rx, yy = s->ry * s->ry;
    return *dx * *dx * yy + *dy * *dy * xx <= xx * yy;
}

static int front_shape(int t, int x, int y, int *dx, int *dy)
{
    for (int k = SEEDED_SHAPES - 1; k >= 0; k--)
        if (covers(&shapes[k], t, x, y, dx, dy))
            return k;
    return -1;
}

static int clamp_byte(int v)
{
    return v < 0 ? 0 : v > 255 ? 255 : v;
}

static int floor_third(int v)
{
    return v >= 0 ? v / 3 : -((2 - v) / 3);
}

void seeded_frame(uint8_t *rgb, uint64_t seed, int t, int blank)
{
    uint64_t key = seeded_mix(seed * SEEDED_GOLDEN + 0x66726D);
    int nothing = blank && (t == 5 || t == 6), dx, dy;
    for (int y = 0; y < SEEDED_HEIGHT; y++)
        for (int x = 0; x < SEEDED_WIDTH; x++) {
            int k = nothing ? -1 : front_shape(t, x, y, &dx, &dy);
            for (int c = 0; c < 3; c++) {
                int value;
                if (nothing)
                    value = 24 + noise(seeded_mix(key + 90 + (uint64_t)c), x, y, 64) / 32;
                else if (k < 0)
                    value = 40 + noise(seeded_mix(key + (uint64_t)c), x, y, 32) * 3 / 8;
                else
                    value = shapes[k].colour[c] +
                            floor_third(noise(seeded_mix(key + 10 * ((uint64_t)k + 1) + (uint64_t)c), dx + 512,
                                              dy + 512, shapes[k].cell) - 128);
                *rgb++ = (uint8_t)clamp_byte(value);
            }
        }
}

void seeded_object_mask(uint8_t *mask, int k, int t)
{
    int dx, dy;
    for (int y = 0; y < SEEDED_HEIGHT; y++)
        for (int x = 0; x < SEEDED_WIDTH; x++)
            *mask++ = front_shape(t, x, y, &dx, &dy) == k;
}
