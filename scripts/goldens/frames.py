# SPDX-License-Identifier: Apache-2.0
"""Generated frames by integer arithmetic, byte for byte those of tests/golden/seeded_frames.c: textured shapes that
move over a textured ground. In a clip with `blank`, frames 5 and 6 are almost uniform: everything is out of sight."""
import numpy as np

from seeded import GOLDEN, MASK, mix, mix_array

WIDTH, HEIGHT = 320, 240
# Shapes from back to front: kind (0 ellipse, 1 rectangle), centre on frame 0, movement per frame in 1/4 pixels, radii,
# base colour, texture cell side
SHAPES = [
    (0, 226, 158, -9, -6, 48, 40, (196, 92, 60), 16),
    (1, 92, 84, 10, 5, 42, 32, (58, 128, 204), 8),
    (0, 60, 196, 13, -8, 26, 26, (88, 190, 84), 16),
]


def noise(key, x, y, cell):
    """Value noise 0..255: bilinear between hashed corners of square cells; x, y int64 arrays >= 0."""
    cx, cy, fx, fy = x // cell, y // cell, x % cell, y % cell

    def corner(i, j):
        with np.errstate(over="ignore"):
            z = mix_array(np.uint64(key) + ((j.astype(np.uint64) << np.uint64(32)) + i.astype(np.uint64) + np.uint64(1))
                          * np.uint64(GOLDEN))
        return (z >> np.uint64(56)).astype(np.int64)

    top = corner(cx, cy) * (cell - fx) + corner(cx + 1, cy) * fx
    bottom = corner(cx, cy + 1) * (cell - fx) + corner(cx + 1, cy + 1) * fx
    return (top * (cell - fy) + bottom * fy) // (cell * cell)


def centre(shape, t):
    """Position on frame t: bounces between the borders at a quarter pixel's resolution, rounded down."""
    def bounce(start, step, low, high):
        span = 4 * (high - low)
        q = (4 * (start - low) + step * t) % (2 * span)
        return low + (q if q < span else 2 * span - q) // 4

    _, x, y, vx, vy, rx, ry, _, _ = shape
    return bounce(x, vx, rx // 2, WIDTH - rx // 2), bounce(y, vy, ry // 2, HEIGHT - ry // 2)


def inside(shape, t):
    """Boolean map of a shape on frame t, and coordinates relative to its centre."""
    cx, cy = centre(shape, t)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.int64)
    dx, dy, rx, ry = x - cx, y - cy, shape[5], shape[6]
    if shape[0] == 0:
        return dx * dx * ry * ry + dy * dy * rx * rx <= rx * rx * ry * ry, dx, dy
    return (np.abs(dx) <= rx) & (np.abs(dy) <= ry), dx, dy


def frame(seed, t, blank=False):
    """[HEIGHT, WIDTH, 3] uint8."""
    key = mix((seed * GOLDEN + 0x66726D) & MASK)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.int64)
    out = np.empty((HEIGHT, WIDTH, 3), np.int64)
    if blank and t in (5, 6):
        for c in range(3):
            out[..., c] = 24 + noise(mix(key + 90 + c), x, y, 64) // 32
        return out.astype(np.uint8)
    for c in range(3):
        out[..., c] = 40 + noise(mix(key + c), x, y, 32) * 3 // 8
    for k, shape in enumerate(SHAPES):
        where, dx, dy = inside(shape, t)
        for c in range(3):
            texture = noise(mix(key + 10 * (k + 1) + c), dx[where] + 512, dy[where] + 512, shape[8])
            out[..., c][where] = np.clip(shape[7][c] + (texture - 128) // 3, 0, 255)
    return out.astype(np.uint8)


def object_mask(k, t):
    """uint8 0/1 map of shape k on frame t where nothing in front covers it."""
    where = inside(SHAPES[k], t)[0]
    for front in SHAPES[k + 1:]:
        where &= ~inside(front, t)[0]
    return where.astype(np.uint8)
