# SPDX-License-Identifier: Apache-2.0
"""Draws a training log: `python plot_log.py runs/demo/log.jsonl training.svg`."""
import argparse
import json
import math
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

LETTER = 0.009  # width of one, of the steps drawn


def read(path: Path) -> list[dict]:
    """The lines of a log; of a step that was logged again after a break, the later line."""
    by_step = {line["step"]: line for line in map(json.loads, path.read_text().splitlines())}
    return [by_step[step] for step in sorted(by_step)]


def stage_starts(lines: list[dict]) -> list[tuple[int, str]]:
    """Where each stage is met first: they may come in turns. Names that would overlap stand together."""
    starts = {}
    for line in lines:
        starts.setdefault(line["stage"], line["step"])
    out = []
    for name, step in starts.items():
        if out and step - out[-1][0] < LETTER * (len(out[-1][1]) + 1) * lines[-1]["step"]:
            out[-1] = (out[-1][0], f"{out[-1][1]}, {name}")
        else:
            out.append((step, name))
    return out


def draw(lines: list[dict], out: Path):
    steps = [line["step"] for line in lines]
    figure, (above, middle, below) = plt.subplots(3, 1, figsize=(9, 10), sharex=True)
    for t in (0, 1, 3, 7):
        points = [(line["step"], line["J"][t]) for line in lines if len(line["J"]) > t and line["J"][t] is not None]
        if points:
            above.plot(*zip(*points), label=f"frame {t} of those with losses")
    above.set_ylabel("J of boxed objects, in training")
    for name in ("focal", "dice", "iou", "presence", "affinity"):
        middle.plot(steps, [line[name] or math.nan for line in lines], label=name)  # 0: not a loss of that stage
    middle.set_yscale("log")
    middle.set_ylabel("losses")
    absent = [(line["step"], line["absent_right"]) for line in lines if line["absent_right"] is not None]
    below.plot(steps, [line["presence_right"] for line in lines], label="presence said rightly")
    if absent:
        below.plot(*zip(*absent), label="of absent frames")
    below.set_ylabel("share")
    below.set_xlabel("step")
    for axes in (above, middle, below):
        axes.legend(loc="best", fontsize=8)
        axes.grid(alpha=0.3)
        for step, _ in stage_starts(lines):
            axes.axvline(step, color="gray", linewidth=0.6)
    for step, name in stage_starts(lines):
        above.text(step, 1.01, name, fontsize=8, transform=above.get_xaxis_transform())
    figure.tight_layout()
    figure.savefig(out)


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("log", type=Path)
    p.add_argument("out", type=Path, help=".svg or .png")
    args = p.parse_args()
    draw(read(args.log), args.out)


if __name__ == "__main__":
    main()
