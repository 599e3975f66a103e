# SPDX-License-Identifier: Apache-2.0
"""True masks of a clip, by frame, as the manifest has them: a folder of palette PNGs or a file of run lengths."""
from __future__ import annotations

import json
from pathlib import Path

from pictures import Picture, PictureError, read_png


def counts(text: str) -> list[int]:
    """COCO's compressed run lengths: five bits a character, from the third on less the one two before."""
    out: list[int] = []
    value, shift = 0, 0
    for c in text:
        bits = ord(c) - 48
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            if bits & 16:
                value -= 1 << shift
            out.append(value + out[-2] if len(out) > 2 else value)
            value, shift = 0, 0
    return out


def draw(indices: list[bytearray], index: int, text: str) -> None:
    """An object into a map of indices [height][width]; its runs go down the columns, the first is background."""
    height, at, inside = len(indices), 0, False
    for n in counts(text):
        for i in range(at, at + n) if inside else ():
            indices[i % height][i // height] = index
        at, inside = at + n, not inside


def read_runs(path: Path, frame: int) -> Picture:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        height, width = content["size"]
        indices = [bytearray(width) for _ in range(height)]
        for name, text in sorted(content["frames"][frame].items(), key=lambda item: -int(item[0])):
            draw(indices, int(name), text)  # where objects overlap the lower id wins
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise PictureError(f"{path}: frame {frame}: {error}") from error
    return Picture(width, height, 1, [bytes(row) for row in indices])


def read(folder: Path, clip: dict, frame: int) -> Picture:
    """clip: as in the manifest, whose folder this is. The samples are object numbers."""
    source = clip["truth"]
    if isinstance(source, dict):
        return read_runs(folder / source["rle"], frame)
    return read_png(folder / source / f"{frame:05}.png")
