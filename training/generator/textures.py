# SPDX-License-Identifier: Apache-2.0
"""Procedural textures (uint8 RGB squares), the bank that keeps them, and colour measures to keep things distinct."""
import colorsys

import cv2
import numpy as np

from .shapes import random_outline

cv2.setNumThreads(1)

TEXTURE_SIZE = 384  # side of a bank texture, pixels
PATCH_SIZE = 128  # side of the part of a texture that one object wears
NOISE_SIZE = 640


def random_color(rng: np.random.Generator) -> np.ndarray:
    """RGB 0..255, grey in three of ten draws."""
    if rng.random() < 0.3:
        return np.clip(rng.uniform(20, 235) + rng.normal(0, 8, 3), 0, 255)
    hsv = rng.random(), rng.beta(1.5, 1.5), rng.uniform(0.15, 1)
    return np.array(colorsys.hsv_to_rgb(*hsv)) * 255


def smooth_noise(rng, size: int, low: int = 2, octaves: int = 5) -> np.ndarray:
    """Sum of resized noise grids, float32 [size, size] scaled to 0..1."""
    persistence, gain, grid = rng.uniform(0.35, 0.75), 1.0, low + int(rng.integers(0, 4))
    out = np.zeros((size, size), np.float32)
    for _ in range(octaves):
        cells = rng.normal(size=(grid, grid)).astype(np.float32)
        out += gain * cv2.resize(cells, (size, size), interpolation=cv2.INTER_CUBIC)
        gain, grid = gain * persistence, min(grid * 2, size)
    out -= out.min()
    return out / max(out.max(), 1e-6)


def colorize(rng, values: np.ndarray) -> np.ndarray:
    """Maps 0..1 values to a random ramp of two to four colours, float32 [..., 3]."""
    count = int(rng.integers(2, 5))
    colors = np.stack([random_color(rng) for _ in range(count)]).astype(np.float32)
    x = values * (count - 1)
    low = np.clip(x.astype(int), 0, count - 2)
    part = (x - low)[..., None]
    return colors[low] * (1 - part) + colors[low + 1] * part


def _rotated_grid(rng, size: int) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    a = rng.uniform(0, 2 * np.pi)
    return x * np.cos(a) + y * np.sin(a), -x * np.sin(a) + y * np.cos(a)


def _clouds(rng, size):
    return colorize(rng, smooth_noise(rng, size, octaves=int(rng.integers(2, 8))))


def _gradient(rng, size):
    u, _ = _rotated_grid(rng, size)
    ramp = (u - u.min()) / (u.max() - u.min())
    return colorize(rng, np.clip(ramp + 0.15 * (smooth_noise(rng, size) - 0.5), 0, 1))


def _stripes(rng, size):
    u, _ = _rotated_grid(rng, size)
    frequency = np.exp(rng.uniform(np.log(0.05), np.log(0.6)))
    wave = np.sin(u * frequency + rng.uniform(0, 14) * smooth_noise(rng, size, octaves=3))
    if rng.random() < 0.5:
        wave = np.tanh(wave * 6)
    return colorize(rng, wave * 0.5 + 0.5)


def _checks(rng, size):
    u, v = _rotated_grid(rng, size)
    cell, bend = rng.uniform(8, 60), rng.uniform(0, 30) * smooth_noise(rng, size, octaves=3)
    return colorize(rng, ((np.floor((u + bend) / cell) + np.floor(v / cell)) % 2).astype(np.float32))


def _voronoi(rng, size):
    seeds = np.full((size, size), 255, np.uint8)
    count = int(rng.integers(10, 300))
    seeds[rng.integers(0, size, count), rng.integers(0, size, count)] = 0
    dist, label = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    spread = rng.uniform(8, 70)
    colors = np.clip(random_color(rng) + rng.normal(0, spread, (label.max() + 1, 3)), 0, 255)
    out = colors[label].astype(np.float32)
    if rng.random() < 0.4:
        out *= np.clip(dist / dist.max() * 1.5 + 0.4, 0, 1)[..., None]
    return out


def _clutter(rng, size):
    out = np.ascontiguousarray(colorize(rng, smooth_noise(rng, size, octaves=4)), np.float32)
    scale = rng.uniform(12, 70)
    palette = [random_color(rng) for _ in range(int(rng.integers(3, 9)))]
    for _ in range(int(rng.integers(15, 160))):
        points = random_outline(rng) * scale * np.exp(rng.normal(0, 0.5)) + rng.uniform(0, size, 2)
        color = palette[int(rng.integers(len(palette)))] * rng.uniform(0.7, 1.2)
        cv2.fillPoly(out, [np.round(points).astype(np.int32)], np.clip(color, 0, 255).tolist())
        if rng.random() < 0.3:
            edge = random_color(rng).tolist()
            cv2.polylines(out, [np.round(points).astype(np.int32)], True, edge, int(rng.integers(1, 3)))
    return out


_KINDS = ((_clouds, 0.30), (_gradient, 0.08), (_stripes, 0.12), (_checks, 0.08), (_voronoi, 0.12), (_clutter, 0.30))


def make_texture(rng: np.random.Generator, size: int = TEXTURE_SIZE) -> np.ndarray:
    """One random texture, uint8 [size, size, 3]."""
    kind = rng.choice(len(_KINDS), p=[share for _, share in _KINDS])
    out = _KINDS[kind][0](rng, size)
    if rng.random() < 0.5:
        out = out + (smooth_noise(rng, size, low=20, octaves=4)[..., None] - 0.5) * rng.uniform(5, 60)
    if rng.random() < 0.3:
        out = cv2.GaussianBlur(np.asarray(out, np.float32), (0, 0), rng.uniform(0.6, 3))
    return np.clip(out, 0, 255).astype(np.uint8)


class TextureBank:
    """Textures and noise made once, so that a clip costs only crops and colour changes."""

    def __init__(self, seed: int, n: int = 240):
        rng = np.random.default_rng(seed)
        self.textures = [make_texture(rng) for _ in range(n)]
        self.noise = rng.normal(0, 1, (NOISE_SIZE, NOISE_SIZE, 3)).astype(np.float32)
        self.grain = [cv2.merge([smooth_noise(rng, PATCH_SIZE, octaves=3) - 0.5] * 3) for _ in range(16)]

    def background(self, rng, soft: float, jitter: float = 0.7) -> np.ndarray:
        """A whole texture, mirrored and recoloured; soft: sigma of a blur in texture pixels, 0 for none."""
        out = self.textures[int(rng.integers(len(self.textures)))]
        flip = int(rng.integers(0, 8))
        out = out[::-1] if flip & 1 else out
        out = out[:, ::-1] if flip & 2 else out
        out = np.ascontiguousarray(out.transpose(1, 0, 2) if flip & 4 else out)
        out = cv2.LUT(out, color_table(rng, jitter))
        if soft > 0:  # a blur at a quarter of the size costs a sixteenth and looks the same
            small = cv2.resize(out, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
            out = cv2.resize(cv2.GaussianBlur(small, (0, 0), soft / 4), out.shape[1::-1], interpolation=cv2.INTER_CUBIC)
        return out

    def patch(self, rng) -> np.ndarray:
        """A recoloured part of a texture, uint8 [PATCH_SIZE, PATCH_SIZE, 3]."""
        source = self.textures[int(rng.integers(len(self.textures)))]
        side = int(rng.uniform(60, 300))
        y, x = rng.integers(0, TEXTURE_SIZE - side, 2)
        how = cv2.INTER_AREA if side > 1.7 * PATCH_SIZE else cv2.INTER_LINEAR
        out = cv2.resize(source[y:y + side, x:x + side], (PATCH_SIZE, PATCH_SIZE), interpolation=how)
        if rng.random() < 0.3:
            out = np.ascontiguousarray(out[..., rng.permutation(3)])
        return cv2.LUT(out, color_table(rng, 1.0))

    def plain_patch(self, rng, color: np.ndarray) -> np.ndarray:
        """One colour with a little grain."""
        grain = self.grain[int(rng.integers(len(self.grain)))]
        return cv2.addWeighted(self.full(color), 1, grain, rng.uniform(0, 40), 0, dtype=cv2.CV_8U)

    @staticmethod
    def full(color) -> np.ndarray:
        """A patch of one colour, float32."""
        out = np.empty((PATCH_SIZE, PATCH_SIZE, 3), np.float32)
        out[:] = color
        return out


def color_table(rng, amount: float) -> np.ndarray:
    """Random tone curve for each channel, uint8 [256, 1, 3] as cv2.LUT wants it."""
    x = np.arange(256) / 255
    gamma, gain = np.exp(rng.normal(0, 0.2 * amount)), np.exp(rng.normal(0, 0.2 * amount))
    lift = rng.normal(0, 15 * amount)
    gains = gain * np.exp(rng.normal(0, 0.1 * amount, 3))
    lifts = lift + rng.normal(0, 6 * amount, 3)
    curve = 255 * (x ** gamma)[:, None] * gains + lifts
    return np.clip(curve, 0, 255).astype(np.uint8)[:, None]


def lab_samples(image: np.ndarray, side: int = 6) -> np.ndarray:
    """side*side mean colours of an RGB image in CIE Lab, float32 [side*side, 3]; distances near 2 are just visible."""
    if image.shape[0] >= 16 * side:  # every fourth pixel is enough for means
        image = np.ascontiguousarray(image[::4, ::4])
    small = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    return cv2.cvtColor(small, cv2.COLOR_RGB2LAB).reshape(-1, 3)


def to_lab(color: np.ndarray) -> np.ndarray:
    """RGB 0..255 [3] to CIE Lab [3]."""
    return cv2.cvtColor((np.asarray(color, np.float32) / 255).reshape(1, 1, 3), cv2.COLOR_RGB2LAB).reshape(3)
