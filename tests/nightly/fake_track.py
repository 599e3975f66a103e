# SPDX-License-Identifier: Apache-2.0
"""Stands in for the command in tests: says what plan.json beside it says, in the command's own words and files.

{"backends": ["cpu f32", ..], "machine": , "device": and "precision": of its results, whatever was asked for,
  "clips": {NAME: {"J": [..], "first": its frame, "hash": , "hashes": [of its runs, in turn], "peak": , "seconds": ,
  "error": what it fails with}}}; what a clip leaves out is as in synthetic.py.
"""
import json
import sys
from pathlib import Path

PLAN = json.loads((Path(__file__).parent / "plan.json").read_text())


def value(words, name):
    return words[words.index(name) + 1] if name in words else None


def fail(text):
    sys.stderr.write(f"track: {text}\n")
    sys.exit(1)


def backend(words):
    device, precision = value(words, "--device"), value(words, "--dtype")
    if f"{device} {precision}" not in PLAN.get("backends", ["cpu f32"]):
        fail(f"device {device}: this build has no {precision} there")
    return device, precision


def evaluate(words):
    device, precision = backend(words)
    name = value(words, "--clip")
    manifest = json.loads(Path(words[0]).read_text())
    told = next(c for c in manifest["clips"] if c["name"] == name)
    wanted = PLAN.get("clips", {}).get(name, {})
    if "error" in wanted:
        sys.stderr.write(f"track: {name}: {wanted['error']}\n")
        fail("1 of 1 clips failed")
    first = wanted.get("first", 0)
    curve = wanted.get("J", [0.9] * (told["frames"] - first))
    mean = sum(curve) / len(curve)
    clip = {"name": name, "tests": told["tests"], "frames": told["frames"], "width": told["width"],
            "height": told["height"], "mask_hash": wanted.get("hash", "00000000000000aa"), "J": mean, "F": mean,
            "J&F": mean, "objects": [{"id": 1, "first_frame": first, "J": {"mean": mean}, "F": {"mean": mean},
                                      "frames": {"index": list(range(first, first + len(curve))), "J": curve,
                                                 "F": curve, "present": [1] * len(curve)}}],
            "run": {"seconds": wanted.get("seconds", 1.0), "frames_per_second": 20.0,
                    "peak_bytes": wanted.get("peak", 100_000_000), "bytes": [90_000_000] * len(curve)}}
    result = {"format": "track-eval-1", "dataset": words[0], "layout": "manifest", "model": "demo.safetensors",
              "weights": PLAN.get("weights", "0123456789abcdef"), "device": PLAN.get("device", device),
              "precision": PLAN.get("precision", precision), "options": PLAN.get("options", []), "version": "0.1.0",
              "machine": PLAN.get("machine", "cpu of the tests, 2 cores"), "n_objects": 1,
              "mean": {"J": mean, "F": mean, "J&F": mean}, "clips": [clip]}
    if "hashes" in wanted:
        clip["mask_hash"] = wanted["hashes"][n_run(name) % len(wanted["hashes"])]
    write_masks(Path(value(words, "--masks")) / name, Path(words[0]).parent / told["truth"])
    Path(value(words, "--out")).write_text(json.dumps(result))


def n_run(name):
    """0 on the first run of a clip, then 1, ..."""
    runs = Path(__file__).parent / f"runs-{name}"
    n = int(runs.read_text()) if runs.exists() else 0
    runs.write_text(str(n + 1))
    return n


def write_masks(folder, truth):
    """The true masks, one frame late."""
    folder.mkdir(parents=True, exist_ok=True)
    files = sorted(truth.iterdir())
    for late, file in zip(files[:1] + files, files):
        (folder / file.name).write_bytes(late.read_bytes())


if sys.argv[1] == "eval":
    evaluate(sys.argv[2:])
elif "--plan" in sys.argv:
    backend(sys.argv)
else:
    fail("not for tests")
