# SPDX-License-Identifier: Apache-2.0
"""Makes the sample clips, `python make_samples.py ../samples/clips`, or a set of held-out clips as folders of lossless
frames, `python make_samples.py --held-out 40 DIR`, or clips in which an object is easily taken for another,
`python make_samples.py --confusing 60 DIR`, each with true masks and a manifest."""
import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import generator
from clips import (RATE, in_new_folder, manifest_entry, tight_box, write_frames, write_manifest, write_run_lengths, write_truth,
                   write_video)
from evaluate import HELD_OUT_SEED, held_out


@dataclass(frozen=True)
class Sample:
    name: str
    tests: str
    scenario: str | None
    seed: int
    frames: int
    size: tuple[int, int]  # height, width
    objects: int = 2
    difficulty: float = 0.6
    motion: float = 1.0
    prompt_frame: int = 0
    pixel_format: str = "yuv420p"
    quality: int = 22      # of ffmpeg -crf
    run_lengths: bool = False  # truth as COCO run lengths in one file instead of PNGs


SAMPLES = [
    Sample("plain-motion", "two objects that move and turn", "plain", 101, 48, (480, 480), difficulty=0.3),
    Sample("scale-change", "an object that grows and shrinks", "scale", 102, 64, (360, 640)),
    Sample("fast-motion", "large steps from frame to frame", "fast", 103, 64, (360, 640)),
    Sample("occlusion", "hidden whole for some frames, then back", "occlusion", 104, 64, (480, 480)),
    Sample("look-alike", "an object's double crosses its way", "lookalike", 105, 64, (480, 480)),
    Sample("leaves", "leaves the picture and comes back", "leave", 106, 64, (360, 640)),
    Sample("three-objects", "three objects that pass each other", "crowd", 107, 64, (480, 480), objects=3),
    Sample("late-prompt", "the prompt comes in the middle", "plain", 109, 64, (360, 640), prompt_frame=24),
    Sample("ten-bit-odd", "ten bits, 4:4:4, odd width and height", "plain", 110, 48, (271, 481),
           pixel_format="yuv444p10le"),
    Sample("thirty-seconds", "thirty seconds: drift, and memory that stays flat", None, 108, 720, (270, 480),
           difficulty=0.4, motion=0.5, quality=26, run_lengths=True),
]
BANK_SEED, BANK_SIZE = 2024, 200


def make(sample: Sample, bank: generator.TextureBank) -> generator.Clip:
    return generator.make_clip(np.random.default_rng(sample.seed), bank, sample.frames, sample.size, sample.objects,
                               difficulty=sample.difficulty, scenario=sample.scenario, motion=sample.motion)


def write_sample(folder: Path, sample: Sample, bank: generator.TextureBank) -> dict:
    clip = make(sample, bank)
    masks = clip.masks.astype(bool)
    video = f"{sample.name}.mp4"
    write_video(folder / video, clip.images, sample.pixel_format, sample.quality)
    entry = manifest_entry(sample.name, sample.tests, clip, video, sample.seed, sample.prompt_frame)
    if sample.run_lengths:
        write_run_lengths(folder / f"{sample.name}.json", masks)
        entry["truth"] = {"rle": f"{sample.name}.json"}
    else:
        write_truth(folder / sample.name, masks)
    return entry


def write_held_out(folder: Path, n: int, n_frames: int, size: int, difficulty: float) -> list[dict]:
    entries = []
    for i, (name, frames, truth, prompts) in enumerate(held_out(n, n_frames, size, difficulty)):
        write_frames(folder / name, np.stack(frames))
        write_truth(folder / f"{name}-truth", truth)
        boxes = [[x0, y0, x1 - x0, y1 - y0] for _, _, (x0, y0, x1, y1) in prompts]
        entries.append({"name": name, "tests": f"generated, difficulty {difficulty}", "video": name,
                        "truth": f"{name}-truth", "frames": len(frames), "width": size, "height": size,
                        "fps": RATE, "seed": HELD_OUT_SEED + 1 + i,
                        "objects": [{"id": p[0], "frame": p[1], "box": b} for p, b in zip(prompts, boxes)]})
    return entries


CONFUSING = ("lookalike", "crowd", "occlusion")  # scenarios, in turn
CONFUSING_SEED = 20260301


def write_confusing(folder: Path, n: int, n_frames: int, size: int, difficulty: float) -> list[dict]:
    """One object a clip; the frames lie as those of LaSOT do, with its texts, so that boxes can be scored as well as
    masks."""
    bank = generator.TextureBank(CONFUSING_SEED, n=BANK_SIZE)
    entries = []
    for i in range(n):
        scenario = CONFUSING[i % len(CONFUSING)]
        rng = np.random.default_rng(CONFUSING_SEED + 1 + i)
        clip = generator.make_clip(rng, bank, n_frames, size, 1, difficulty=difficulty, scenario=scenario)
        name = f"{scenario}-{i // len(CONFUSING) + 1}"
        write_lasot(folder / scenario / name, clip.images, clip.masks[0].astype(bool))
        entry = manifest_entry(name, f"{scenario}, difficulty {difficulty}", clip, f"{scenario}/{name}/img",
                               CONFUSING_SEED + 1 + i)
        write_truth(folder / f"{name}-truth", clip.masks.astype(bool))
        entries.append(entry | {"truth": f"{name}-truth"})
    return entries


def write_lasot(folder: Path, images: np.ndarray, masks: np.ndarray):
    """masks: [T, H, W] bool."""
    write_frames(folder / "img", images, "{:08d}.png", first=1)
    boxes = [tight_box(m) if m.any() else [0, 0, 0, 0] for m in masks]
    (folder / "groundtruth.txt").write_text("".join("{},{},{},{}\n".format(*b) for b in boxes))
    (folder / "full_occlusion.txt").write_text(",".join(str(int(not m.any())) for m in masks) + "\n")
    (folder / "out_of_view.txt").write_text(",".join("0" for _ in masks) + "\n")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder", type=Path, help="made anew; what clips it had are replaced as a whole")
    p.add_argument("--held-out", type=int, metavar="N", help="clips of the held-out set instead of the samples")
    p.add_argument("--confusing", type=int, metavar="N", help="clips with look-alikes, crossings and full occlusion")
    p.add_argument("--frames", type=int, default=64)
    p.add_argument("--size", type=int, default=256)
    p.add_argument("--difficulty", type=float, default=1.0)
    args = p.parse_args()
    with in_new_folder(args.folder) as folder:
        if args.held_out:
            entries = write_held_out(folder, args.held_out, args.frames, args.size, args.difficulty)
        elif args.confusing:
            entries = write_confusing(folder, args.confusing, args.frames, args.size, args.difficulty)
        else:
            bank = generator.TextureBank(BANK_SEED, n=BANK_SIZE)
            entries = [write_sample(folder, sample, bank) for sample in SAMPLES]
        write_manifest(folder, entries)


if __name__ == "__main__":
    main()
