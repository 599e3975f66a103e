# SPDX-License-Identifier: Apache-2.0
"""Writes masks.json and boxes.json: seeded masks and boxes with the scores that public evaluation code gives them.

The unit tests of cli/eval/mask_scores.c and box_scores.c read the two files. Run it again only to add cases:

    pip install numpy opencv-python-headless scikit-image scipy shapely matplotlib pillow pandas tqdm torch six
    python make_goldens.py --davis DIR --sam2 DIR --got10k DIR --pytracking DIR

The folders are checkouts of the repositories (with the commits the files here were made with)
    davisvideochallenge/davis2017-evaluation  ac7c43f   J, F, mean, recall, decay
    facebookresearch/sam2                     2b90b9f   sav_dataset/utils/sav_benchmark.py: must agree with DAVIS
    got-10k/toolkit                           956e728   GOT-10k; curves of the plain convention
    visionml/pytracking                       7eb9e74   LaSOT, in place of its MATLAB toolkit
"""
import argparse
import json
import sys
import tempfile
import types
import warnings
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent


# --- masks ------------------------------------------------------------------------------------------------------------

def runs_of(mask: np.ndarray) -> list[int]:
    """Lengths of the runs of 0, 1, 0, ... in row order; the first may be 0."""
    flat = np.concatenate([[False], mask.astype(bool).ravel()])
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    return np.diff(np.concatenate([[0], changes, [mask.size]])).tolist()


def blob(rng: np.random.Generator, height: int, width: int, n: int = 3) -> np.ndarray:
    """Ellipses, some of them holes; may reach over the picture's edges."""
    y, x = np.mgrid[:height, :width]
    mask = np.zeros((height, width), bool)
    for i in range(n):
        cy, cx = rng.uniform(-0.1, 1.1) * height, rng.uniform(-0.1, 1.1) * width
        ry, rx = rng.uniform(0.08, 0.35) * height + 1, rng.uniform(0.08, 0.35) * width + 1
        inside = ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 <= 1
        mask = mask & ~inside if i == 2 else mask | inside
    return mask


def moved(mask: np.ndarray, dy: int, dx: int) -> np.ndarray:
    out = np.zeros_like(mask)
    height, width = mask.shape
    out[max(dy, 0):height + min(dy, 0), max(dx, 0):width + min(dx, 0)] = \
        mask[max(-dy, 0):height + min(-dy, 0), max(-dx, 0):width + min(-dx, 0)]
    return out


def mask_pairs(rng: np.random.Generator):
    """(found, truth, ignore or None, tolerance)"""
    for height, width in [(480, 854), (360, 640), (240, 427), (121, 77), (64, 64), (53, 37)]:
        truth = blob(rng, height, width)
        for dy, dx in [(0, 1), (3, -2), (-6, 6), (0, 9)]:
            yield moved(truth, dy, dx), truth, None, 0.008
        yield blob(rng, height, width), truth, None, 0.008
        yield moved(truth, 2, 3), truth, blob(rng, height, width), 0.008
    for density in (0.02, 0.3, 0.5, 0.98):
        for height, width in [(75, 100), (31, 63)]:
            found, truth = rng.random((2, height, width)) < density
            for tolerance in (0.008, 1, 3, 0.03):
                yield found, truth, None, tolerance
            yield found, truth, rng.random((height, width)) < 0.3, 0.008
    for height, width in [(1, 40), (40, 1), (1, 1), (2, 2), (2, 9), (1, 2), (3, 3)]:
        for density in (0.1, 0.5, 1):
            found, truth = rng.random((2, height, width)) < density
            yield found, truth, None, 0.008
            yield found, rng.random((height, width)) < 0.5, None, 2
            yield found, truth, rng.random((height, width)) < 0.5, 0.008
    empty, full = np.zeros((50, 70), bool), np.ones((50, 70), bool)
    speck = empty.copy()
    speck[49, 69] = True
    edge = empty.copy()
    edge[20:, 60:] = True
    some = blob(rng, 50, 70)
    for found, truth in [(empty, empty), (full, full), (empty, full), (full, empty), (some, empty), (empty, some),
                         (some, full), (speck, empty), (speck, speck), (edge, speck), (edge, moved(edge, 3, 1))]:
        yield found, truth, None, 0.008
        yield found, truth, some, 0.008


def check_sav(found: np.ndarray, truth: np.ndarray, region: float, boundary: float) -> None:
    """SA-V's own code says the same, wherever one of the masks is not empty (it leaves such frames out)."""
    from utils.sav_benchmark import Evaluator
    evaluator = Evaluator()
    evaluator.feed_frame(mask=found, gt=truth)
    if found.any() or truth.any():
        assert abs(evaluator.object_iou[True][0] - region) < 1e-12
        assert abs(evaluator.boundary_f[True][0] - boundary) < 1e-12


def mask_cases(rng: np.random.Generator) -> list[dict]:
    from davis2017.metrics import db_eval_boundary, db_eval_iou
    cases = []
    for found, truth, ignore, tolerance in mask_pairs(rng):
        region = float(db_eval_iou(truth, found, ignore))
        boundary = float(db_eval_boundary(truth, found, ignore, bound_th=tolerance))
        if ignore is None and tolerance == 0.008:
            check_sav(found, truth, region, boundary)
        cases.append({"height": found.shape[0], "width": found.shape[1], "found": runs_of(found),
                      "truth": runs_of(truth), "ignore": None if ignore is None else runs_of(ignore),
                      "tolerance": tolerance, "J": region, "F": boundary})
    return cases


def summary_cases(rng: np.random.Generator) -> list[dict]:
    """At most 255 frames: the official code keeps frame numbers in a byte."""
    from davis2017.utils import db_statistics
    cases = []
    for n in [*range(1, 18), 50, 67, 68, 69, 70, 99, 104, 255]:
        scores = np.round(np.linspace(rng.uniform(0.5, 1), rng.uniform(0, 1), n) + rng.uniform(-0.2, 0.2, n), 4)
        scores[rng.integers(n)] = 0.5
        mean, recall, decay = (float(v) for v in db_statistics(scores))
        cases.append({"scores": scores.tolist(), "mean": mean, "recall": recall, "decay": decay})
    return cases


# --- boxes ------------------------------------------------------------------------------------------------------------

def box_track(rng: np.random.Generator, n: int, width: int, height: int, noise: float):
    """Integer true boxes, found ones near them, flags of presence. Some found boxes are far off, or have no area."""
    sizes = np.round(rng.uniform(8, 120, 2) * np.exp(np.cumsum(rng.normal(0, 0.03, (n, 2)), axis=0))) + 2
    corners = np.round(rng.uniform(1, 200, 2) + np.cumsum(rng.normal(0, 6, (n, 2)), axis=0))
    corners = np.clip(corners, 1, [width - 10, height - 10])
    truth = np.concatenate([corners, sizes], axis=1)
    found = truth * np.exp(rng.normal(0, noise, (n, 4))) + rng.normal(0, 40 * noise, (n, 4))
    found[:, 2:] = np.maximum(found[:, 2:], 1)
    lost = rng.random(n) < 0.1
    found[lost, :2] += rng.uniform(-150, 150, (lost.sum(), 2))
    empty = rng.random(n) < 0.08
    empty[0] = False
    found[empty] = 0
    visible = rng.random(n) > 0.15
    visible[0] = True
    return found.astype(np.float32), truth.astype(np.float32), visible


def lasot_scores(found: np.ndarray, truth: np.ndarray, visible: np.ndarray, scratch: Path) -> dict:
    from pytracking.analysis.extract_results import extract_results
    np.savetxt(scratch / "clip.txt", found, fmt="%.9g", delimiter=",")
    clip = types.SimpleNamespace(name="clip", dataset="lasot", ground_truth_rect=truth.astype(float),
                                 target_visible=visible)
    tracker = types.SimpleNamespace(name="t", parameter_name="", run_id=None, display_name="t", results_dir=scratch)
    data = extract_results([tracker], [clip], "report", verbose=False)
    overlap, centre, normalized = (np.array(data[f"ave_success_rate_plot_{key}"][0][0])
                                   for key in ("overlap", "center", "center_norm"))
    assert len(overlap) == 21 and len(centre) == len(normalized) == 51
    return {"auc": float(overlap.mean()), "op50": float(overlap[10]), "op75": float(overlap[15]),
            "precision": float(centre[20]), "normalized_precision": float(normalized[20]),
            "normalized_auc": float(normalized.mean()), "average_overlap": float(data["avg_overlap_all"][0][0]),
            "n_frames": len(truth)}


def got10k_scores(found: np.ndarray, truth: np.ndarray, visible: np.ndarray, bound: tuple[int, int]) -> dict:
    from got10k.experiments.got10k import ExperimentGOT10k
    from got10k.utils.metrics import rect_iou
    overlaps = rect_iou(found[1:].astype(float), truth[1:].astype(float), bound=bound)[visible[1:]]
    average, rate, _, curve = ExperimentGOT10k._evaluate(types.SimpleNamespace(nbins_iou=101), overlaps, [])
    return {"average_overlap": float(average), "op50": float(rate), "op75": float(np.mean(overlaps > 0.75)),
            "auc": float(curve.mean()), "n_frames": len(overlaps)}


def plain_scores(found: np.ndarray, truth: np.ndarray, visible: np.ndarray) -> dict:
    from got10k.experiments.lasot import ExperimentLaSOT
    found, truth = found.astype(float)[visible], truth.astype(float)[visible]
    found[(found[:, 2:] <= 0).any(axis=1)] = 1e9, 1e9, 1, 1  # no box: infinitely far, where the toolkit takes a point
    overlaps, centres, normalized = ExperimentLaSOT._calc_metrics(None, found, truth)
    bins = types.SimpleNamespace(nbins_iou=21, nbins_ce=51, nbins_nce=51)
    success, precision, curve = ExperimentLaSOT._calc_curves(bins, overlaps, centres, normalized)
    return {"auc": float(success.mean()), "op50": float(success[10]), "op75": float(success[15]),
            "precision": float(precision[20]), "normalized_precision": float(curve[20]),
            "normalized_auc": float(curve.mean()), "average_overlap": float(overlaps.mean()), "n_frames": len(truth)}


def box_cases(rng: np.random.Generator, scratch: Path) -> list[dict]:
    cases = []
    for i, noise in enumerate([0, 0.01, 0.03, 0.06, 0.1, 0.2, 0.4, 0.1]):
        width, height = (640, 360) if i % 2 else (260, 220)  # the small picture cuts many boxes
        found, truth, visible = box_track(rng, 90 if i else 12, width, height, noise)
        if i == 7:
            visible[:] = True
        cases.append({"width": width, "height": height, "found": found.tolist(), "truth": truth.tolist(),
                      "counts": visible.astype(int).tolist(), "lasot": lasot_scores(found, truth, visible, scratch),
                      "got10k": got10k_scores(found, truth, visible, (width, height)),
                      "plain": plain_scores(found, truth, visible)})
    return cases


# --- files ------------------------------------------------------------------------------------------------------------

def write(name: str, value: dict) -> None:
    """One case a line."""
    lists = [f"{json.dumps(key)}: [\n" + ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases) + "\n]"
             for key, cases in value.items()]
    (HERE / name).write_text("{" + ",\n".join(lists) + "}\n")


def prepare_pytracking(checkout: Path, folder: str) -> None:
    """Lets its analysis be imported without its trackers, and with settings that it wants a local file for."""
    for name in ("pytracking", "pytracking.utils", "pytracking.analysis", "pytracking.evaluation"):
        package = types.ModuleType(name)
        package.__path__ = [str(checkout / name.replace(".", "/"))]
        sys.modules[name] = package
    settings = types.ModuleType("pytracking.evaluation.environment")
    settings.env_settings = lambda: types.SimpleNamespace(result_plot_path=folder, results_path=folder)
    sys.modules[settings.__name__] = settings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("davis", "sam2", "got10k", "pytracking"):
        parser.add_argument(f"--{name}", type=Path, required=True, help="checkout of the repository")
    arguments = parser.parse_args()
    sys.path[:0] = [str(arguments.davis), str(arguments.sam2 / "sav_dataset"), str(arguments.got10k)]
    warnings.filterwarnings("ignore", category=RuntimeWarning)  # 0 / 0 of empty masks, which the official code mends
    write("masks.json", {"masks": mask_cases(np.random.default_rng(7)),
                         "summaries": summary_cases(np.random.default_rng(8))})
    with tempfile.TemporaryDirectory() as folder:
        prepare_pytracking(arguments.pytracking, folder)
        write("boxes.json", {"boxes": box_cases(np.random.default_rng(9), Path(folder))})


if __name__ == "__main__":
    main()
