/* SPDX-License-Identifier: Apache-2.0
 * Planes that lie along the output rows are interleaved 16 pixels at a time by byte shuffles; every other direction
 * goes in square tiles, so that a quarter turn does not touch a new cache line per pixel. */
#include "interleave.h"

#include <string.h>

#define TILE 32 /* pixels: 32 source rows x 32 bytes x 3 planes stay in the first-level cache */

static void tiles(const interleave_source *s, int width, int height, uint8_t *rgb, ptrdiff_t stride)
{
    for (int y0 = 0; y0 < height; y0 += TILE) {
        int y1 = y0 + TILE < height ? y0 + TILE : height;
        for (int x0 = 0; x0 < width; x0 += TILE) {
            int x1 = x0 + TILE < width ? x0 + TILE : width;
            for (int y = y0; y < y1; y++) {
                uint8_t *out = rgb + y * stride + x0 * 3;
                ptrdiff_t at = y * s->dy + x0 * s->dx;
                for (int x = x0; x < x1; x++, out += 3, at += s->dx) {
                    out[0] = s->r[at];
                    out[1] = s->g[at];
                    out[2] = s->b[at];
                }
            }
        }
    }
}

#if defined(__x86_64__)
typedef uint8_t bytes16 __attribute__((vector_size(16)));

static inline __attribute__((target("ssse3"))) bytes16 load16(const uint8_t *p)
{
    bytes16 v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* Indices 16.. pick from the second operand. The red-green pairs that a block of 16 output bytes needs come first,
 * then blue is put between them. */
__attribute__((target("ssse3"))) static int planar_row(const uint8_t *r, const uint8_t *g, const uint8_t *b, int width,
                                                       uint8_t *out)
{
    int x = 0;
    for (; x + 16 <= width; x += 16, out += 48) {
        bytes16 red = load16(r + x), green = load16(g + x), blue = load16(b + x);
        bytes16 p0 = __builtin_shufflevector(red, green, 0, 16, 0, 1, 17, 0, 2, 18, 0, 3, 19, 0, 4, 20, 0, 5);
        bytes16 p1 = __builtin_shufflevector(red, green, 21, 0, 6, 22, 0, 7, 23, 0, 8, 24, 0, 9, 25, 0, 10, 26);
        bytes16 p2 = __builtin_shufflevector(red, green, 0, 11, 27, 0, 12, 28, 0, 13, 29, 0, 14, 30, 0, 15, 31, 0);
        p0 = __builtin_shufflevector(p0, blue, 0, 1, 16, 3, 4, 17, 6, 7, 18, 9, 10, 19, 12, 13, 20, 15);
        p1 = __builtin_shufflevector(p1, blue, 0, 21, 2, 3, 22, 5, 6, 23, 8, 9, 24, 11, 12, 25, 14, 15);
        p2 = __builtin_shufflevector(p2, blue, 26, 1, 2, 27, 4, 5, 28, 7, 8, 29, 10, 11, 30, 13, 14, 31);
        memcpy(out, &p0, 16);
        memcpy(out + 16, &p1, 16);
        memcpy(out + 32, &p2, 16);
    }
    return x;
}

static int planar_rows(const interleave_source *s, int width, int height, uint8_t *rgb, ptrdiff_t stride)
{
    if (s->dx != 1 || !__builtin_cpu_supports("ssse3"))
        return 0;
    int done = 0;
    for (int y = 0; y < height; y++)
        done = planar_row(s->r + y * s->dy, s->g + y * s->dy, s->b + y * s->dy, width, rgb + y * stride);
    return done;
}
#else
static int planar_rows(const interleave_source *s, int width, int height, uint8_t *rgb, ptrdiff_t stride)
{
    return 0;
}
#endif

void trk_interleave(const interleave_source *source, int width, int height, uint8_t *rgb, ptrdiff_t stride)
{
    if (source->dx == 3 && source->g == source->r + 1 && source->b == source->r + 2) {
        for (int y = 0; y < height; y++)
            memcpy(rgb + y * stride, source->r + y * source->dy, (size_t)width * 3);
        return;
    }
    int done = planar_rows(source, width, height, rgb, stride); /* columns */
    interleave_source rest = *source;
    rest.r += done * source->dx;
    rest.g += done * source->dx;
    rest.b += done * source->dx;
    tiles(&rest, width - done, height, rgb + done * 3, stride);
}
