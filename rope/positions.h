/* SPDX-License-Identifier: Apache-2.0
 * Positional tables, as pure functions into memory of the caller: built once per model and image size, then pinned.
 * Upstream: sam2/modeling/position_encoding.py, sam2_utils.py (get_1d_sine_pe), backbones/hieradet.py (_get_pos_embed). */
#ifndef TRK_ROPE_POSITIONS_H
#define TRK_ROPE_POSITIONS_H

/* Axial 2-D RoPE: out [side * side, dim / 2, 2] = (cos, sin). Token (row r, column c): pairs 0 .. dim/4-1 turn by
 * c * 10000^(-4j/dim), pairs dim/4 .. dim/2-1 by r * 10000^(-4j/dim). dim a multiple of 4. */
void trk_rope_table(float *out, int side, int dim);

/* 2-D sine encoding: out [side * side, dim], dim/2 y features first, then dim/2 x features, sine and cosine
 * interleaved; positions 1-based, divided by (side + 1e-6), times 2 pi; temperature 10000. */
void trk_sine_2d(float *out, int side, int dim);

/* 1-D sine encoding of one position: out [dim] = [sin(p / d_i) | cos(p / d_i)], d_i = 10000^(2 floor(i/2) / (dim/2)). */
void trk_sine_1d(float *out, float position, int dim);

/* Random Fourier features of a normalised point: gaussian [2, n], out [2 n] = [sin u | cos u],
 * u = 2 pi ((2x - 1) gaussian[0] + (2y - 1) gaussian[1]). */
void trk_fourier_point(float *out, const float *gaussian, int n, float x, float y);

/* Trunk position map: out [side * side, channels] = bicubic(background [channels, n, n]) + window [channels, w, w]
 * tiled. Bicubic as torch: align_corners false, a = -0.75, edges repeated. side a multiple of w. */
void trk_trunk_positions(float *out, const float *background, int n, const float *window, int w, int channels,
                         int side);

#endif
