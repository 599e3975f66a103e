# SPDX-License-Identifier: Apache-2.0
"""Clips: images, index maps, masks of the targets and a record of what happens in them."""
from dataclasses import dataclass, field

import numpy as np

from .render import draw_frame
from .scene import ABSENT_AREA, SCENARIOS, Scene, passes, plan_scene
from .textures import TextureBank


@dataclass
class Clip:
    images: np.ndarray  # uint8 [T, H, W, 3], RGB
    ids: np.ndarray  # uint8 [T, H, W], 0 is background
    masks: np.ndarray  # uint8 [O, T, H, W], 0 or 1
    target_ids: list[int]  # values of the targets in ids
    full_area: np.ndarray  # float32 [O, T], pixels of a target if nothing hid it and the picture had no edge
    events: dict = field(default_factory=dict)


def absent_spans(mask: np.ndarray) -> list[tuple[int, int]]:
    """Runs [t0, t1) of frames in which a target [T, H, W] has no (or next to no) visible pixel."""
    limit = ABSENT_AREA * min(mask.shape[1:]) ** 2
    gone = np.concatenate([[0], mask.sum((1, 2), dtype=np.int64) < limit, [0]]).astype(np.int8)
    edges = np.flatnonzero(np.diff(gone))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2])]


def _events(scene: Scene, masks: np.ndarray, refused: int) -> dict:
    f, fx = scene.features, scene.effects
    lookalikes = [i + 1 for i, t in enumerate(scene.things) if t.kind == "lookalike"]
    occluders = [i + 1 for i, t in enumerate(scene.things) if t.kind == "occluder"]
    return {
        "occluder": bool(occluders), "full_occlusion": f.full_occlusion, "occluder_ids": occluders,
        "lookalike": bool(lookalikes), "lookalike_ids": lookalikes,
        "lookalike_crosses": any(passes(scene, scene.leads[0], scene.things[i - 1]) for i in lookalikes),
        "leaves": f.leave, "crowd": f.crowd, "vanish": f.vanish, "fast": f.fast, "scale": f.scale, "camera": f.camera,
        "blur": fx.blur, "motion_blur": fx.shutter, "noise": fx.noise, "light": fx.light, "flicker": fx.flicker,
        "absent": [absent_spans(m) for m in masks], "refused_plans": refused,
    }


def make_clip(rng: np.random.Generator, bank: TextureBank, frames: int, size: int | tuple[int, int] = 256,
              objects: int = 2, difficulty: float = 1.0, scenario: str | None = None, motion: float = 1.0,
              stride: float = 1.0) -> Clip:
    """One clip. size: side or (H, W); the same draws give the same scene at every size of one aspect ratio.

    objects: number of targets; difficulty: 0 (plain, slow) to 1; scenario: one of SCENARIOS or None for a mixture;
    motion: factor on all speeds; stride: time from frame to frame.
    """
    if scenario is not None and scenario not in SCENARIOS:
        raise ValueError(f"unknown scenario {scenario!r}, expected one of {', '.join(SCENARIOS)}")
    if frames < 1 or objects < 1:
        raise ValueError(f"frames and objects must be at least 1, got {frames} and {objects}")
    height, width = (size, size) if isinstance(size, int) else size
    scene, refused = plan_scene(rng, bank, frames, width / height, objects, difficulty, scenario, motion, stride)
    images = np.empty((frames, height, width, 3), np.uint8)
    ids = np.empty((frames, height, width), np.uint8)
    for t in range(frames):
        images[t], ids[t] = draw_frame(scene, t, height, width, bank.noise)
    target_ids = [i + 1 for i in scene.targets]
    masks = np.stack([ids == k for k in target_ids]).astype(np.uint8)
    unit = min(height, width) ** 2
    areas = [[scene.things[i].area(t, scene.camera) * unit for t in scene.times] for i in scene.targets]
    full = np.array(areas, np.float32)
    return Clip(images, ids, masks, target_ids, full, _events(scene, masks, refused))


def box_prompt(rng: np.random.Generator, mask: np.ndarray, jitter: float = 0.05) -> np.ndarray:
    """Box x0, y0, x1, y1 (float32, ends exclusive) of a non-empty mask [H, W]; edges moved by up to jitter * extent."""
    columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    if not len(columns):
        raise ValueError("box_prompt needs a mask with at least one pixel")
    box = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float64)
    extent = np.tile(box[2:] - box[:2], 2)
    height, width = mask.shape
    moved = box + rng.uniform(-1, 1, 4) * jitter * extent
    return np.clip(moved, 0, [width, height, width, height]).astype(np.float32)
