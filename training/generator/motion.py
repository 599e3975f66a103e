# SPDX-License-Identifier: Apache-2.0
"""Smooth motion over time. Lengths are in shorter sides of the frame, the origin is its middle, time is in frames."""
import math
from dataclasses import dataclass, field

import numpy as np

from .shapes import rotation


@dataclass
class Wave:
    """amplitude * sin(rate * t + phase)"""
    amplitude: float = 0.0
    rate: float = 0.0
    phase: float = 0.0

    @staticmethod
    def draw(rng, amplitude: float, low: float = 0.1, high: float = 0.5) -> "Wave":
        return Wave(amplitude, rng.uniform(low, high), rng.uniform(0, 2 * np.pi))

    def at(self, t: float) -> float:
        return self.amplitude * math.sin(self.rate * t + self.phase) if self.amplitude else 0.0


def smoothstep(x: float) -> float:
    x = min(max(x, 0.0), 1.0)
    return x * x * (3 - 2 * x)


@dataclass
class Excursion:
    """A trip away and back: shift reaches `offset` at time `out`, starts back at `back`; both ways take `rise`."""
    offset: np.ndarray
    out: float
    back: float
    rise: float

    def at(self, t: float) -> np.ndarray:
        going = smoothstep((t - self.out + self.rise) / self.rise)
        return self.offset * going * (1 - smoothstep((t - self.back) / self.rise))


def _reflect(x: float, bound: float) -> float:
    """Folds a straight motion into -bound..bound."""
    x = (x + bound) % (4 * bound)
    return min(x, 4 * bound - x) - bound


@dataclass
class Path:
    """Position of a centre: straight motion, optionally reflected inside +-bounds, plus waves and excursions."""
    start: np.ndarray
    velocity: np.ndarray
    bounds: np.ndarray | None = None
    wave_x: Wave = field(default_factory=Wave)
    wave_y: Wave = field(default_factory=Wave)
    excursions: list[Excursion] = field(default_factory=list)

    def at(self, t: float) -> np.ndarray:
        x = float(self.start[0] + self.velocity[0] * t) + self.wave_x.at(t)
        y = float(self.start[1] + self.velocity[1] * t) + self.wave_y.at(t)
        if self.bounds is not None:
            x, y = _reflect(x, float(self.bounds[0])), _reflect(y, float(self.bounds[1]))
        p = np.array([x, y])
        for trip in self.excursions:
            p += trip.at(t)
        return p

    def speed(self, t: float, step: float = 0.5) -> np.ndarray:
        """Mean velocity around t."""
        return (self.at(t + step) - self.at(t - step)) / (2 * step)


@dataclass
class Pose:
    """Rotation, size and deformation over time; `linear` is the 2x2 map from a unit shape to the frame."""
    radius: float
    angle: float = 0.0
    spin: float = 0.0
    sway: Wave = field(default_factory=Wave)
    growth: float = 0.0
    pulse: Wave = field(default_factory=Wave)
    stretch: Wave = field(default_factory=Wave)
    shear: Wave = field(default_factory=Wave)

    def scale(self, t: float) -> float:
        return self.radius * math.exp(min(max(self.pulse.at(t) + self.growth * t, -0.6), 0.55))

    def linear(self, t: float) -> np.ndarray:
        e, k, a = math.exp(self.stretch.at(t)), self.shear.at(t), self.angle + self.spin * t + self.sway.at(t)
        c, s = self.scale(t) * math.cos(a), self.scale(t) * math.sin(a)
        return np.array([[c * e, c * k - s / e], [s * e, s * k + c / e]])  # rotation @ [[e, k], [0, 1/e]]


@dataclass
class Camera:
    """World to frame: pan, zoom and rotation around the middle, float [2, 3]."""
    pan_x: Wave = field(default_factory=Wave)
    pan_y: Wave = field(default_factory=Wave)
    zoom: Wave = field(default_factory=Wave)
    roll: Wave = field(default_factory=Wave)

    @staticmethod
    def draw(rng, strength: float) -> "Camera":
        def wave(limit, low, high):
            return Wave.draw(rng, rng.uniform(0.2, 1) * limit * strength, low, high)
        return Camera(wave(0.07, 0.05, 0.3), wave(0.07, 0.05, 0.3), wave(0.13, 0.05, 0.3), wave(0.1, 0.05, 0.3))

    def at(self, t: float) -> np.ndarray:
        out = np.empty((2, 3))
        out[:, :2] = rotation(self.roll.at(t)) * np.exp(self.zoom.at(t))
        out[:, 2] = self.pan_x.at(t), self.pan_y.at(t)
        return out


def compose(outer: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """Product of two affine maps [2, 3]."""
    (a, b, x), (c, d, y) = outer.tolist()  # plain floats are faster than numpy for six numbers
    (e, f, u), (g, h, v) = inner.tolist()
    return np.array([[a * e + b * g, a * f + b * h, a * u + b * v + x],
                     [c * e + d * g, c * f + d * h, c * u + d * v + y]])
