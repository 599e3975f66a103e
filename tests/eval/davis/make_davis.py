# SPDX-License-Identifier: Apache-2.0
"""Writes data/ and expected.json: a small dataset in the layout of DAVIS 2017, masks that a tracker could have found in
it, and the numbers that the public code of the benchmark gives them. tests/cli/eval_davis.sh reads them.

The truth is made of the sample clips' masks at half their size, the found masks are seeded distortions of it. Nothing
reads the frames: they are there for their names. Run it again only to add cases:

    pip install numpy opencv-python-headless scikit-image scipy pillow pandas tqdm
    python make_davis.py --davis DIR

DIR is a checkout of davisvideochallenge/davis2017-evaluation (made with ac7c43f); its semi-supervised task is run.
"""
import argparse
import json
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

HERE = Path(__file__).resolve().parent
CLIPS = HERE.parents[2] / "samples" / "clips"
DATA, FOUND = HERE / "data" / "DAVIS", HERE / "data" / "found"
VOID = 255
Maps = list[np.ndarray]  # of a clip: [height][width] bytes, 0 or the index of an object


# --- truth ------------------------------------------------------------------------------------------------------------

def sample(name: str, step: int, n: int) -> Maps:
    """n frames of a sample clip, every step-th, at half the size."""
    paths = sorted((CLIPS / name).glob("*.png"))[::step][:n]
    assert len(paths) == n, f"{name}: {len(paths)} frames, expected {n}"
    return [np.array(Image.open(path))[::2, ::2].copy() for path in paths]


def renumbered(maps: Maps, ids: dict[int, int]) -> Maps:
    table = np.arange(256, dtype=np.uint8)
    for old, new in ids.items():
        table[old] = new
    return [table[frame] for frame in maps]


def without(maps: Maps, index: int, frames: range) -> Maps:
    """The object is not there on these frames."""
    return [np.where(frame == index, 0, frame).astype(np.uint8) if t in frames else frame
            for t, frame in enumerate(maps)]


def with_void(maps: Maps, width: int) -> Maps:
    """A band around all edges is neither object nor background."""
    kernel = np.ones((width, width), np.uint8)
    return [np.where(cv2.dilate(frame, kernel) != cv2.erode(frame, kernel), VOID, frame).astype(np.uint8)
            for frame in maps]


# --- what was found ---------------------------------------------------------------------------------------------------

def distorted(frame: np.ndarray, rng: np.random.Generator, most: int) -> np.ndarray:
    """Every object moved by up to `most` pixels, then grown or shrunk by up to half as many."""
    out = np.zeros_like(frame)
    for index in np.unique(frame[(frame > 0) & (frame < VOID)]):
        mask = (frame == index).astype(np.uint8)
        dx, dy = rng.integers(-most, most + 1, 2)
        mask = cv2.warpAffine(mask, np.float32([[1, 0, dx], [0, 1, dy]]), mask.shape[::-1], flags=cv2.INTER_NEAREST)
        size = int(rng.integers(-(most // 2), most // 2 + 1))
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * abs(size) + 1, 2 * abs(size) + 1))
        mask = cv2.dilate(mask, kernel) if size > 0 else cv2.erode(mask, kernel)
        out[mask > 0] = index
    return out


def found_in(maps: Maps, rng: np.random.Generator, most: int) -> Maps:
    return [distorted(frame, rng, most) for frame in maps]


def swapped(maps: Maps, a: int, b: int, frames: range) -> Maps:
    other = renumbered(maps, {a: b, b: a})
    return [other[t] if t in frames else frame for t, frame in enumerate(maps)]


def stuck(maps: Maps, frames: range) -> Maps:
    """Frames that were dropped: what was found last is found again."""
    out = list(maps)
    for t in frames:
        out[t] = out[t - 1]
    return out


def empty(maps: Maps, frames: range) -> Maps:
    return [np.zeros_like(frame) if t in frames else frame for t, frame in enumerate(maps)]


# --- clips ------------------------------------------------------------------------------------------------------------

def make_clips(rng: np.random.Generator) -> dict[str, tuple[Maps, Maps]]:
    """Truth and what was found, by name; names are not in the order of the alphabet."""
    clips = {}
    truth = sample("three-objects", 6, 10)
    clips["swapped"] = truth, swapped(found_in(truth, rng, 4), 1, 2, range(5, 8))

    truth = with_void(sample("plain-motion", 6, 8), 5)  # what was found reaches into the void
    clips["edges"] = truth, found_in(sample("plain-motion", 6, 8), rng, 3)

    whole = sample("occlusion", 6, 10)
    truth = without(whole, 2, range(7, 10))  # gone, but still found
    clips["gone"] = truth, stuck(found_in(whole, rng, 6), range(4, 6))

    # objects of the first frame: 2, so that 1 counts too, and 3 that comes later does not
    whole = sample("plain-motion", 5, 9)
    found = without(found_in(whole, rng, 8), 1, range(0, 2))
    truth = without(whole, 1, range(0, 4))
    truth[6][:40, :60] = 3
    clips["late"] = truth, empty(found, range(5, 6))

    truth = sample("three-objects", 10, 6)
    found = found_in(truth, rng, 5)
    for index in (2, 3):  # the one never found, the other on one frame only
        found = without(found, index, range(0 if index == 2 else 3, 6))
    clips["lost"] = truth, found

    truth = sample("late-prompt", 9, 3)  # one frame counts; the picture is no square
    clips["brief"] = truth, found_in(truth, rng, 2)
    return clips


# --- files ------------------------------------------------------------------------------------------------------------

def palette() -> list[int]:
    """Colours of the indices as DAVIS has them: bit 7 - i of a channel is bit 3 i + channel of the index."""
    return [sum(((index >> (3 * bit + channel)) & 1) << (7 - bit) for bit in range(3))
            for index in range(256) for channel in range(3)]


def write_maps(folder: Path, maps: Maps, frames: range) -> None:
    folder.mkdir(parents=True)
    for t in frames:
        image = Image.fromarray(maps[t])
        image.putpalette(palette())
        image.save(folder / f"{t:05}.png", optimize=True)


def write_clip(name: str, truth: Maps, found: Maps) -> None:
    images = DATA / "JPEGImages" / "480p" / name
    images.mkdir(parents=True)
    for t in range(len(truth)):
        Image.new("L", (8, 8), 128).save(images / f"{t:05}.jpg")
    write_maps(DATA / "Annotations" / "480p" / name, truth, range(len(truth)))
    # the ends do not count: where they are not there nothing may change
    write_maps(FOUND / name, found, range(1, len(truth) - 1) if name == "gone" else range(len(truth)))


def official_numbers(checkout: Path) -> dict:
    sys.path.insert(0, str(checkout))
    from davis2017.evaluation import DAVISEvaluation
    scores = DAVISEvaluation(davis_root=str(DATA), task="semi-supervised", gt_set="val").evaluate(str(FOUND))
    clips: dict[str, list[dict]] = {}
    for i, key in enumerate(scores["J"]["M_per_object"]):
        name, index = key.rsplit("_", 1)
        of_object = {"id": int(index)}
        for measure in "JF":
            of_object[measure] = {kind: float(scores[measure][letter][i])
                                  for kind, letter in (("mean", "M"), ("recall", "R"), ("decay", "D"))}
        clips.setdefault(name, []).append(of_object)
    j, f = (float(np.mean(scores[measure]["M"])) for measure in "JF")
    return {"mean": {"J": j, "F": f, "J&F": (j + f) / 2},
            "clips": [{"name": name, "objects": objects} for name, objects in sorted(clips.items())]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--davis", type=Path, required=True, help="checkout of davis2017-evaluation")
    args = parser.parse_args()
    shutil.rmtree(HERE / "data", ignore_errors=True)
    clips = make_clips(np.random.default_rng(20))
    for name, (truth, found) in clips.items():
        write_clip(name, truth, found)
    lists = DATA / "ImageSets" / "2017"
    lists.mkdir(parents=True)
    (lists / "val.txt").write_text("".join(f"{name}\n" for name in clips))
    (HERE / "expected.json").write_text(json.dumps(official_numbers(args.davis), indent=1) + "\n")


if __name__ == "__main__":
    main()
