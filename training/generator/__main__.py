# SPDX-License-Identifier: Apache-2.0
"""Writes a contact sheet: one clip a row, outlines of the targets in red, green, blue, yellow."""
import argparse
import time

import cv2
import numpy as np

from . import SCENARIOS, TextureBank, make_clip

COLORS = ((255, 0, 0), (0, 255, 0), (0, 80, 255), (255, 255, 0))


def outlined(clip, t: int) -> np.ndarray:
    image = clip.images[t].copy()
    for o, mask in enumerate(clip.masks):
        curves, _ = cv2.findContours(mask[t], cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(image, curves, -1, COLORS[o % len(COLORS)], 1)
    return image


def main() -> None:
    p = argparse.ArgumentParser(prog="generator", description=__doc__)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--clips", type=int, default=8)
    p.add_argument("--frames", type=int, default=16)
    p.add_argument("--columns", type=int, default=8, help="frames shown of each clip")
    p.add_argument("--size", type=int, default=256)
    p.add_argument("--objects", type=int, default=2)
    p.add_argument("--difficulty", type=float, default=1.0)
    p.add_argument("--stride", type=float, default=1.0)
    p.add_argument("--scenario", choices=SCENARIOS)
    p.add_argument("--out", default="sheet.png")
    a = p.parse_args()
    rng, bank = np.random.default_rng(a.seed), TextureBank(a.seed, 80)
    shown = np.linspace(0, a.frames - 1, min(a.columns, a.frames)).round().astype(int)
    rows, start = [], time.process_time()
    for _ in range(a.clips):
        clip = make_clip(rng, bank, a.frames, a.size, a.objects, a.difficulty, a.scenario, stride=a.stride)
        rows.append(np.hstack([outlined(clip, t) for t in shown]))
        print({k: v for k, v in clip.events.items() if v})
    print(f"{(time.process_time() - start) / a.clips / a.frames * 1e3:.2f} ms a frame")
    if not cv2.imwrite(a.out, np.vstack(rows)[..., ::-1]):
        raise SystemExit(f"cannot write {a.out}")


if __name__ == "__main__":
    main()
