# SPDX-License-Identifier: Apache-2.0
"""Drawing: sprites onto an image and an index map, background, motion blur, and the changes of a camera sensor."""
import cv2
import numpy as np

from .motion import compose
from .objects import SPRITE_RADIUS, SPRITE_SIZE

NOISE_UNIT = 256  # noise and blur are defined for a shorter side of 256 pixels and scale with it


def pixel_view(height: int, width: int) -> np.ndarray:
    """Frame units to pixels whose centres are at whole numbers, [2, 3]."""
    s = min(height, width)
    return np.array([[s, 0, width / 2 - 0.5], [0, s, height / 2 - 0.5]], float)


def _sprite_map(level: int, place: np.ndarray) -> np.ndarray:
    """Pixels of a sprite level to image pixels: unit = (i + .5 - side/2) / radius."""
    radius, side = SPRITE_RADIUS / 2 ** level, SPRITE_SIZE >> level
    (a, b, x), (c, d, y) = place.tolist()
    a, b, c, d, shift = a / radius, b / radius, c / radius, d / radius, 0.5 - side / 2
    return np.array([[a, b, x + (a + b) * shift], [c, d, y + (c + d) * shift]])


def _window(m: np.ndarray, side: int, pad: int, shape) -> tuple[int, int, int, int] | None:
    """The part of the image that a mapped square covers, x0, y0, x1, y1; None when it is outside."""
    (a, b, x), (c, d, y) = m.tolist()
    half = side / 2
    x, y = x + (a + b) * half, y + (c + d) * half
    wide, tall = (abs(a) + abs(b)) * half + pad, (abs(c) + abs(d)) * half + pad
    x0, y0 = max(int(x - wide), 0), max(int(y - tall), 0)
    x1, y1 = min(int(x + wide) + 2, shape[1]), min(int(y + tall) + 2, shape[0])
    return (x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None


def _line_kernel(smear: np.ndarray) -> np.ndarray | None:
    """Kernel of a straight smear (x, y) in pixels; None when it is too short to see."""
    length = float(np.hypot(*smear))
    if length < 1.5:
        return None
    half = int(np.ceil(length / 2)) + 1
    kernel = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    middle = np.array([half, half], float)
    ends = np.round((np.stack([middle - smear / 2, middle + smear / 2])) * 16).astype(int)
    cv2.line(kernel, tuple(ends[0].tolist()), tuple(ends[1].tolist()), 1.0, 1, cv2.LINE_8, 4)
    return kernel / kernel.sum()


def _blend(roi: np.ndarray, patch: np.ndarray) -> None:
    """roi = patch + roi * (1 - alpha), patch premultiplied RGBA."""
    clear = cv2.cvtColor(cv2.bitwise_not(cv2.extractChannel(patch, 3)), cv2.COLOR_GRAY2RGB)
    cv2.add(cv2.multiply(roi, clear, scale=1 / 255), cv2.cvtColor(patch, cv2.COLOR_RGBA2RGB), dst=roi)


def draw_part(image, ids, part, place: np.ndarray, number: int, smear=None) -> None:
    """Draws one part. image uint8 [H, W, 3] or None, ids uint8 [H, W] or None; place: unit square to pixels."""
    scale = abs(place[0, 0] * place[1, 1] - place[0, 1] * place[1, 0]) ** 0.5 / SPRITE_RADIUS
    level = 0 if scale > 0.6 else 1 if scale > 0.3 else 2
    sprite = part.levels[level]
    if image is None:
        sprite = sprite[..., 3]
    m = _sprite_map(level, place)
    kernel = _line_kernel(smear) if smear is not None else None
    pad = 0 if kernel is None else kernel.shape[0] // 2
    window = _window(m, sprite.shape[0], pad, (ids if image is None else image).shape)
    if window is None:
        return
    x0, y0, x1, y1 = window
    m[:, 2] -= x0, y0
    patch = cv2.warpAffine(sprite, m, (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR)
    if ids is not None:  # the truth is the sharp shape, also under motion blur
        ids[y0:y1, x0:x1][(patch if image is None else patch[..., 3]) > 127] = number
    if image is not None:
        if kernel is not None:
            patch = cv2.filter2D(patch, -1, kernel, borderType=cv2.BORDER_REPLICATE)
        _blend(image[y0:y1, x0:x1], patch)


def draw_ids(scene, t: float, height: int, width: int) -> np.ndarray:
    """Index map only, [H, W]: cheap at a small size, used to check a scene before it is drawn."""
    ids = np.zeros((height, width), np.uint8)
    view = compose(pixel_view(height, width), scene.camera.at(t))
    for number, thing in enumerate(scene.things, 1):
        for part, place in thing.placed_parts(t, view):
            draw_part(None, ids, part, place, number)
    return ids


def _sensor(scene, image, index: int, noise_table, unit: float):
    """Blur, light and noise of one frame."""
    fx = scene.effects
    if fx.blur > 0:
        image = cv2.GaussianBlur(image, (0, 0), fx.blur * unit)
    gain, lift = fx.gain[index], fx.lift[index]
    if fx.noise <= 0:
        return cv2.convertScaleAbs(image, None, gain, lift) if lift >= 0 else \
            cv2.subtract(cv2.convertScaleAbs(image, None, gain, 0), (-lift, -lift, -lift, 0))
    height, width = image.shape[:2]
    h, w = int(np.ceil(height / unit)), int(np.ceil(width / unit))
    tall, wide = noise_table.shape[0], noise_table.shape[1]
    y, x = (int(u * max(1, side - n)) for u, side, n in zip(fx.noise_place[index], (tall, wide), (h, w)))
    noise = noise_table[y:y + h, x:x + w]
    if noise.shape[:2] != (height, width):
        noise = cv2.resize(noise, (width, height), interpolation=cv2.INTER_LINEAR)
    return cv2.addWeighted(image.astype(np.float32), gain, noise, fx.noise, lift, dtype=cv2.CV_8U)


def draw_frame(scene, index: int, height: int, width: int, noise_table) -> tuple[np.ndarray, np.ndarray]:
    """Image [H, W, 3] and index map [H, W] of one frame."""
    t, unit = scene.times[index], min(height, width) / NOISE_UNIT
    view = compose(pixel_view(height, width), scene.camera.at(t))
    place = compose(view, scene.ground_map)
    image = cv2.warpAffine(scene.ground, place, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    ids = np.zeros((height, width), np.uint8)
    for number, thing in enumerate(scene.things, 1):
        smear = view[:, :2] @ thing.path.speed(t) * scene.effects.shutter if scene.effects.shutter else None
        for part, at in thing.placed_parts(t, view):
            draw_part(image, ids, part, at, number, smear)
    return _sensor(scene, image, index, noise_table, unit), ids
