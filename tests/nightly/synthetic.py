# SPDX-License-Identifier: Apache-2.0
"""What the tests of the nightly run work on: made-up results, a small set of clips, and a stand-in for the command."""
from __future__ import annotations

import copy
import json
import os
import stat
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "samples/nightly"))

import pictures  # noqa: E402  (of samples/nightly)

FRAMES, WIDTH, HEIGHT = 20, 64, 48
MACHINE = "cpu of the tests, 2 cores"


def clip(j: list[float] | None = None, **changes) -> dict:
    """A clip as measure.py has it: one object, J 0.9 on every frame."""
    curve = [0.9] * FRAMES if j is None else j
    mean = sum(curve) / len(curve)
    out = {"tests": "a disc that moves", "frames": len(curve), "width": WIDTH, "height": HEIGHT, "J": mean, "F": mean,
           "J&F": mean, "mask_hash": "00000000000000aa", "peak_bytes": 100_000_000, "bytes": [90_000_000] * len(curve),
           "seconds": 1.0, "time_ratio": 50.0, "masks": "",
           "objects": [{"id": 1, "index": list(range(len(curve))), "J": curve}]}
    return out | changes


def measured(clips: dict[str, dict] | None = None, **changes) -> dict:
    out = {"backend": "cpu-f32", "machine": MACHINE, "device": "cpu", "precision": "f32", "model": "demo.safetensors",
           "weights": "0123456789abcdef", "options": ["--fill-holes 0"], "version": "0.1.0", "calibration": "abc",
           "clips": {"disc": clip(), "box": clip()} if clips is None else clips}
    return copy.deepcopy(out | changes)


# --- a set of clips, and the command's stand-in ---


def square(x: int) -> pictures.Picture:
    rows = [bytes(1 if x <= i < x + 16 and 16 <= y < 32 else 0 for i in range(WIDTH)) for y in range(HEIGHT)]
    return pictures.Picture(WIDTH, HEIGHT, 1, rows)


def write_masks(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for frame in range(FRAMES):
        (folder / f"{frame:05}.png").write_bytes(pictures.encode_png(square(frame)))


def make_samples(folder: Path, names: tuple[str, ...] = ("disc", "box")) -> Path:
    """Clips with truth (their videos are empty: the stand-in does not read them). Returns the manifest."""
    clips = []
    for name in names:
        write_masks(folder / name)
        (folder / f"{name}.mp4").write_bytes(b"")
        clips.append({"name": name, "tests": f"a {name} that moves", "video": f"{name}.mp4", "truth": name,
                      "frames": FRAMES, "width": WIDTH, "height": HEIGHT, "fps": 24, "seed": 1,
                      "objects": [{"id": 1, "frame": 0, "box": [0, 16, 16, 16]}]})
    manifest = folder / "manifest.json"
    manifest.write_text(json.dumps({"format": "track-samples-1", "clips": clips}))
    return manifest


def make_track(folder: Path, plan: dict) -> Path:
    """A command that does what `plan` says, see fake_track.py; the plan can be written again later."""
    (folder / "plan.json").write_text(json.dumps(plan))
    program = folder / "track"
    program.write_text(f"#!{sys.executable} -ES\n" + (HERE / "fake_track.py").read_text())
    os.chmod(program, program.stat().st_mode | stat.S_IXUSR)
    return program


def make_dump_frames(folder: Path, colour: tuple[int, int, int]) -> None:
    """Beside the command, as in a build with tests: every frame of every video is all of that colour."""
    frame = pictures.Picture(WIDTH, HEIGHT, 3, [bytes(colour) * WIDTH] * HEIGHT)
    program = folder / "tests/tools/dump_frames"
    program.parent.mkdir(parents=True)
    (folder / "frame.png").write_bytes(pictures.encode_png(frame))
    program.write_text(f'#!/bin/sh\ni=0\nwhile [ $i -lt {FRAMES} ]; do\n'
                       f'    cp "{folder}/frame.png" "$2/$(printf %05d $i).png"\n    i=$((i + 1))\ndone\n')
    os.chmod(program, program.stat().st_mode | stat.S_IXUSR)
