# SPDX-License-Identifier: Apache-2.0
"""Closed outlines, float [N, 2], inside the square -1..1 (the larger half extent is 1)."""
import math

import numpy as np

TWO_PI = 2 * np.pi


def rotation(angle: float) -> np.ndarray:
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, -s], [s, c]])


def _normalized(points: np.ndarray) -> np.ndarray:
    low, high = points.min(0), points.max(0)
    return (points - (low + high) / 2) / ((high - low).max() / 2)


def ellipse() -> np.ndarray:
    th = np.linspace(0, TWO_PI, 48, endpoint=False)
    return np.stack([np.cos(th), np.sin(th)], 1)


def rectangle(width: float, height: float) -> np.ndarray:
    """Half sizes; not normalized."""
    return np.array([[-width, -height], [width, -height], [width, height], [-width, height]], float)


def blob(rng, rough: float | None = None) -> np.ndarray:
    """Smooth closed curve; rough is the size of its waves."""
    rough = rng.uniform(0.05, 0.4) if rough is None else rough
    th = np.linspace(0, TWO_PI, 64, endpoint=False)
    radius = np.ones(64)
    for k in range(2, int(rng.integers(3, 8))):
        radius += rough * rng.normal() / k ** 0.7 * np.cos(k * th + rng.uniform(0, TWO_PI))
    radius = np.clip(radius, 0.35, 2.0)
    return _normalized(np.stack([radius * np.cos(th), radius * np.sin(th)], 1))


def polygon(rng) -> np.ndarray:
    n = int(rng.integers(3, 9))
    th = np.linspace(0, TWO_PI, n, endpoint=False) + rng.uniform(-0.25, 0.25, n)
    radius = rng.uniform(0.6, 1, n)
    return np.stack([radius * np.cos(th), radius * np.sin(th)], 1)


def star(rng) -> np.ndarray:
    n = int(rng.integers(4, 8))
    th = np.linspace(0, TWO_PI, 2 * n, endpoint=False)
    radius = np.where(np.arange(2 * n) % 2, rng.uniform(0.45, 0.7), 1)
    return np.stack([radius * np.cos(th), radius * np.sin(th)], 1)


def random_outline(rng: np.random.Generator) -> np.ndarray:
    """Any of the shapes above, stretched and turned."""
    kind = rng.random()
    if kind < 0.42:
        points = blob(rng)
    elif kind < 0.58:
        points = ellipse()
    elif kind < 0.80:
        points = polygon(rng)
    elif kind < 0.92:
        points = rectangle(1, rng.uniform(0.5, 1))
    else:
        points = star(rng)
    if rng.random() < 0.7:
        stretch = np.exp(rng.uniform(-0.3, 0.3))
        points = points * np.array([stretch, 1 / stretch])
    return _normalized(points @ rotation(rng.uniform(0, TWO_PI)).T)
