# SPDX-License-Identifier: Apache-2.0
"""Writes data/ and expected.txt: two clips of 32 x 24 pixels with truth on every fifth frame, masks that a tracker
could have found in them, and the numbers that public code gives them in three layouts.
tests/cli/eval_vos.sh reads them.

The layouts differ in what says where objects start: valid_meta.json of LVOS, meta.json of YouTube-VOS, no file in MOSE.
Run it again only to add cases:

    pip install "numpy<2" opencv-python-headless scikit-image scipy pillow pandas tqdm vos-benchmark==0.1.0
    python make_vos.py --lvos DIR --frtm DIR

DIR: checkouts of LingyiHongfd/lvos-evaluation (made with 25cb02d) and andr345/frtm-vos (e994ac2), whose lib/davis.py
has the rule for frames that pytracking's analysis/evaluate_vos.py has too. vos-benchmark is run over all frames (-d).
"""
import argparse
import importlib.util
import json
import os
import shutil
import sys
import tempfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).resolve().parent
DATA = HERE / "data"
N, STEP = 7, 5
LATE, GONE = "late", "R3UJGYwy"  # the second is one of LVOS's unseen_videos.txt
RANGES = {LATE: {1: (0, 6), 2: (2, 6)}, GONE: {1: (0, 4), 3: (0, 6)}}  # of frames that count, in steps
Numbers = dict[tuple[str, int], tuple[float, float]]  # clip, object: J, F


def name_of(t: int) -> str:
    return f"{1 + STEP * t:08}"


def rectangle(frame: np.ndarray, index: int, y: int, x: int, height: int, width: int) -> None:
    frame[max(y, 0):max(y + height, 0), max(x, 0):max(x + width, 0)] = index


def truth(clip: str, t: int) -> np.ndarray:
    frame = np.zeros((24, 32), np.uint8)
    if clip == LATE:  # 2 starts on the third frame and is away on the fifth
        rectangle(frame, 1, 3 + t, 2 + 4 * t, 9, 8)
        if t >= 2 and t != 4:
            rectangle(frame, 2, 12, 20 - 2 * t, 7, 10)
    else:  # the range of 1 ends before the clip; 3 is away on the second, the third and the last
        if t <= 4:
            rectangle(frame, 1, 2, 2 + t, 8, 8)
        if t not in (1, 2, 6):
            rectangle(frame, 3, 13, 5 + 3 * t, 6, 9)
    return frame


def found(clip: str, t: int) -> np.ndarray:
    frame = np.zeros((24, 32), np.uint8)
    if clip == LATE:  # 1 lost once, 2 found while it is away, 9 is in no truth
        rectangle(frame, 1, 3 + t, 3 + 4 * t, 9, 7)
        if t == 3:
            frame[:] = 0
        if t >= 2:
            rectangle(frame, 2, 13, 19 - 2 * t, 7, 9)
        rectangle(frame, 9, 20, 28, 3, 3)
    else:  # 1 found after its range has ended
        rectangle(frame, 1, 6 if t == 4 else 4, 2 + t, 8, 9)
        if t in (0, 3, 5):
            rectangle(frame, 3, 13, 7 + 3 * t, 6, 9)
    return frame


def write(path: Path, frame: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(frame)
    image.putpalette([value for i in range(256) for value in (i, i, i)])
    image.save(path, optimize=True)


def write_data() -> None:
    shutil.rmtree(DATA, ignore_errors=True)
    lvos, youtube = {}, {}
    for clip, ranges in RANGES.items():
        for t in range(N):
            write(DATA / "Annotations" / clip / f"{name_of(t)}.png", truth(clip, t))
            write(DATA / "found" / clip / f"{name_of(t)}.png", found(clip, t))
            image = DATA / "JPEGImages" / clip / f"{name_of(t)}.jpg"
            image.parent.mkdir(parents=True, exist_ok=True)
            image.touch()  # nothing reads it
        lvos[clip] = {"objects": {str(i): {"frame_range": {"start": name_of(a), "end": name_of(b),
                                                          "frame_nums": str(b - a + 1)}}
                                  for i, (a, b) in ranges.items()}}
        youtube[clip] = {"objects": {str(i): {"category": "rectangle", "frames": [
            name_of(t) for t in range(N) if (truth(clip, t) == i).any()]} for i in ranges}}
    for name, videos in (("lvos.json", lvos), ("youtube.json", youtube)):
        (DATA / name).write_text(json.dumps({"videos": videos}, indent=1) + "\n")


# --- numbers of the packages ------------------------------------------------------------------------------------------

def of_lvos(checkout: Path) -> Numbers:
    os.chdir(checkout)  # it opens unseen_videos.txt here
    sys.path.insert(0, str(checkout))
    from lvos.evaluation import LVOSEvaluation
    with tempfile.TemporaryDirectory() as root:
        shutil.copytree(DATA, root, dirs_exist_ok=True)
        shutil.copy(DATA / "lvos.json", Path(root) / "valid_meta.json")
        scores = LVOSEvaluation(lvos_root=root, task="semi-supervised", gt_set="valid").evaluate(str(DATA / "found"))[0]
    return {(clip, index): tuple(float(scores[m]["M_per_object"][f"{clip}_{k + 1}"]) for m in "JF")
            for clip, ranges in RANGES.items() for k, index in enumerate(ranges)}


def of_vos_benchmark() -> Numbers:
    from vos_benchmark.benchmark import benchmark
    clips = benchmark([str(DATA / "Annotations")], [str(DATA / "found")], strict=True, num_processes=1, verbose=False,
                      skip_first_and_last=False)[3][0]
    return {(clip, int(i)): (j[i] / 100, f[i] / 100) for clip, (j, f) in clips.items() for i in j}


class Tensor:
    """As much of one as davis.py asks for."""
    def __init__(self, array: np.ndarray):
        self.array = array

    def squeeze(self, _) -> "Tensor":
        return self

    def numpy(self) -> np.ndarray:
        return self.array


def of_frtm(checkout: Path) -> Numbers:
    np.bool = bool  # davis.py is older than its removal
    spec = importlib.util.spec_from_file_location("davis", checkout / "lib" / "davis.py")
    davis = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(davis)
    numbers = {}
    for clip in RANGES:
        first = {}
        for t in range(N):
            for index in np.unique(truth(clip, t)):
                if index:
                    first.setdefault(int(index), name_of(t))
        annotated, segmented = (OrderedDict((name_of(t), Tensor(make(clip, t))) for t in range(N))
                                for make in (truth, found))
        j, f = (davis.evaluate_sequence(segmented, annotated, first, m)["mean"] for m in "JF")
        numbers |= {(clip, index): (float(j[k]), float(f[k])) for k, index in enumerate(first)}
    return numbers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lvos", type=Path, required=True, help="checkout of lvos-evaluation")
    parser.add_argument("--frtm", type=Path, required=True, help="checkout of frtm-vos")
    args = parser.parse_args()
    write_data()
    with open(HERE / "expected.txt", "w") as out:
        for layout, numbers in (("lvos", of_lvos(args.lvos.resolve())), ("youtube", of_vos_benchmark()),
                                ("mose", of_frtm(args.frtm.resolve()))):
            for (clip, index), (j, f) in sorted(numbers.items()):
                out.write(f"{layout} {clip} {index} J {j:.15g}\n{layout} {clip} {index} F {f:.15g}\n")


if __name__ == "__main__":
    main()
