# SPDX-License-Identifier: Apache-2.0
"""Things of a scene: their look (sprites with premultiplied alpha made of textured parts) and their place over time."""
import math
from dataclasses import dataclass, field

import cv2
import numpy as np

from .motion import Camera, Path, Pose, Wave, compose
from .shapes import random_outline, rotation
from .textures import PATCH_SIZE, TextureBank, lab_samples, random_color, to_lab

SPRITE_SIZE = PATCH_SIZE
SPRITE_RADIUS = SPRITE_SIZE / 2 - 4  # a unit outline in sprite pixels; the rest is a clear border
_AXIS = np.linspace(-1, 1, SPRITE_SIZE, dtype=np.float32)


def _to_canvas(points: np.ndarray) -> np.ndarray:
    """Unit coordinates to sprite pixels (pixel centres at whole numbers), fixed point with 4 fraction bits."""
    return np.round((points * SPRITE_RADIUS + SPRITE_SIZE / 2 - 0.5) * 16).astype(np.int32)


def _levels(sprite: np.ndarray) -> list[np.ndarray]:
    """The sprite and its halves, so that small drawings do not flicker."""
    out = [sprite]
    for _ in range(2):
        out.append(cv2.resize(out[-1], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
    return out


def _shade(rng, texture: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Light from one side, or darker towards the rim, or nothing; uint8 in and out."""
    kind = rng.random()
    if kind < 0.4:
        a, strength = rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 0.45)
        light = 1 + strength * (_AXIS * np.cos(a) + (_AXIS * np.sin(a))[:, None])
    elif kind < 0.7:
        dist = cv2.distanceTransform(alpha, cv2.DIST_L2, 3)
        light = rng.uniform(0.55, 0.9) + 0.4 * np.sqrt(dist / max(dist.max(), 1))
    else:
        return texture
    light = np.clip(light * 128, 0, 255).astype(np.uint8)
    return cv2.multiply(texture, cv2.merge([light] * 3), scale=1 / 128)


def make_sprite(rng, texture, outline, inner=None, edge=None, edge_width: int = 4) -> list[np.ndarray]:
    """Levels of a premultiplied RGBA sprite; inner: second texture on a part of it, edge: colour of an outline."""
    alpha = np.zeros((SPRITE_SIZE, SPRITE_SIZE), np.uint8)
    points = _to_canvas(outline)
    cv2.fillPoly(alpha, [points], 255, cv2.LINE_AA, 4)
    color = texture
    if inner is not None:
        area = np.zeros_like(alpha)
        part = random_outline(rng) * rng.uniform(0.25, 0.65) + rng.uniform(-0.4, 0.4, 2)
        cv2.fillPoly(area, [_to_canvas(part)], 1, 8, 4)
        color = cv2.copyTo(inner, area, color.copy())
    color = _shade(rng, color, alpha)
    if edge is not None:
        color = color.copy()
        cv2.polylines(color, [points], True, np.asarray(edge, float).tolist(), 2 * edge_width, cv2.LINE_8, 4)
    color = cv2.multiply(color, cv2.merge([alpha] * 3), scale=1 / 255)
    return _levels(cv2.merge([*cv2.split(color), alpha]))


@dataclass
class Part:
    """One sprite of a thing: its pivot, size and rest angle in the unit square of the thing, and its swing."""
    levels: list[np.ndarray]
    outline: np.ndarray
    pivot: np.ndarray = field(default_factory=lambda: np.zeros(2))
    size: float = 1.0
    angle: float = 0.0
    swing: Wave = field(default_factory=Wave)

    def affine(self, t: float) -> np.ndarray:
        """Unit sprite coordinates to unit coordinates of the thing, [2, 3]."""
        a = self.angle + self.swing.at(t)
        c, s = self.size * math.cos(a), self.size * math.sin(a)
        return np.array([[c, -s, self.pivot[0]], [s, c, self.pivot[1]]])


@dataclass
class Look:
    """The parts of a thing, its colours (Lab samples [n, 3]) and the area of its union in squared radii."""
    parts: list[Part]
    colors: np.ndarray
    texture: np.ndarray
    outline: np.ndarray
    area: float = 0.0

    def settle(self) -> "Look":
        """Centres and scales the parts to a half extent of 1 and measures the area at rest."""
        outlines = [p.outline @ p.affine(0)[:, :2].T + p.pivot for p in self.parts]
        points = np.concatenate(outlines)
        middle, extent = (points.min(0) + points.max(0)) / 2, np.ptp(points, axis=0).max() / 2
        for p in self.parts:
            p.pivot, p.size = (p.pivot - middle) / extent, p.size / extent
        canvas = np.zeros((128, 128), np.uint8)
        for points in outlines:
            cv2.fillPoly(canvas, [np.round(((points - middle) / extent * 62 + 63.5) * 16).astype(np.int32)], 1, 8, 4)
        self.area = float(canvas.sum()) / 62 ** 2
        return self


@dataclass
class Surround:
    """What a new thing must differ from: Lab samples behind it, mean Lab of the other things, and the dial."""
    behind: np.ndarray
    others: list[np.ndarray]
    difficulty: float

    def accepts(self, colors: np.ndarray) -> bool:
        """Far enough in the mean (threshold falls with difficulty), and few places that melt into what is behind."""
        need = 45 - 19 * self.difficulty
        mean = colors.mean(0)
        if np.linalg.norm(mean - self.behind.mean(0)) < need:
            return False
        if any(np.linalg.norm(mean - other) < 0.7 * need for other in self.others):
            return False
        gap = np.linalg.norm(colors[:, None] - self.behind[None], axis=2)
        return float((gap < 14).mean()) < 0.08 + 0.1 * self.difficulty

    def contrast_color(self, rng) -> np.ndarray:
        """Of many random colours the one farthest from everything around."""
        candidates = [random_color(rng) for _ in range(16)]
        anchors = np.concatenate([self.behind] + [o[None] for o in self.others])
        return max(candidates, key=lambda c: np.linalg.norm(anchors - to_lab(c), axis=1).min())


def _draw_texture(rng, bank: TextureBank, surround: Surround | None, plain: float) -> tuple[np.ndarray, bool]:
    """A texture that the surround accepts, and whether one was found in ten draws."""
    for _ in range(10):
        texture = bank.plain_patch(rng, random_color(rng)) if rng.random() < plain else bank.patch(rng)
        if surround is None or surround.accepts(lab_samples(texture)):
            return texture, True
    if rng.random() < 0.5:
        return bank.plain_patch(rng, surround.contrast_color(rng)), True
    return texture, False


def make_look(rng, bank: TextureBank, difficulty: float, surround: Surround | None = None, texture=None, outline=None,
              simple: bool = False) -> Look:
    """A new look. Texture and outline may be given (look-alikes, bars); simple: one part only."""
    d, edge = difficulty, None
    if texture is None:
        texture, distinct = _draw_texture(rng, bank, surround, 0.8 - 0.5 * d)
        if not distinct:
            edge = surround.contrast_color(rng)
        elif rng.random() < 0.05 + 0.12 * d:
            edge = random_color(rng)
    outline = random_outline(rng) if outline is None else outline
    inner = bank.patch(rng) if rng.random() < 0.05 + 0.25 * d else None
    parts = [Part(make_sprite(rng, texture, outline, inner, edge), outline)]
    if not simple and rng.random() < 0.1 + 0.18 * d:
        _add_limbs(rng, bank, parts, texture, edge, d)
    return Look(parts, lab_samples(texture), texture, outline).settle()


def _add_limbs(rng, bank, parts: list[Part], texture, edge, d: float) -> None:
    """One to three swinging parts that overlap the body, in its texture or in their own."""
    own = bank.plain_patch(rng, random_color(rng)) if rng.random() < 0.5 * d else texture
    for _ in range(int(rng.integers(1, 4))):
        angle = rng.uniform(0, 2 * np.pi)
        limb = random_outline(rng) * (0.9, rng.uniform(0.35, 0.8)) * 0.6 + (0.4, 0)  # pivot near one end
        swing = Wave.draw(rng, rng.uniform(0.1, 0.3 + 0.4 * d))
        pivot = rotation(angle)[:, 0] * rng.uniform(0.45, 0.7)
        parts.append(Part(make_sprite(rng, own, limb, None, edge), limb, pivot, rng.uniform(0.6, 0.95), angle, swing))
    if rng.random() < 0.5:
        parts.reverse()


@dataclass
class Thing:
    """A look with a path and a pose."""
    look: Look
    path: Path
    pose: Pose
    kind: str = "object"

    def affine(self, t: float) -> np.ndarray:
        """Unit coordinates of the thing to world, [2, 3]."""
        out = np.empty((2, 3))
        out[:, :2], out[:, 2] = self.pose.linear(t), self.path.at(t)
        return out

    def area(self, t: float, camera: Camera) -> float:
        """Unoccluded area in squared shorter sides; the deformation keeps areas."""
        return self.look.area * (self.pose.scale(t) * np.exp(camera.zoom.at(t))) ** 2

    def placed_parts(self, t: float, view: np.ndarray) -> list[tuple[Part, np.ndarray]]:
        """Parts in drawing order with the maps from their unit squares through `view` [2, 3]."""
        whole = compose(view, self.affine(t))
        return [(part, compose(whole, part.affine(t))) for part in self.look.parts]
