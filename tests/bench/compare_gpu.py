#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Seconds per tracked frame on a GPU, ours beside eager PyTorch in bf16 autocast, in one run: A B A B, and the ratio.

    compare_gpu.py --frame-bench build/tests/bench/frame_bench [--sam2 CHECKOUT] [--models DIR] [--device cuda]

To be run by an interpreter that has PyTorch and transformers (or, with --sam2, PyTorch and what the official code
needs). Both programs read the same file of weights, follow the same drawn video of 640 x 480 with the same number of
objects at the same --image-size, and hand over every object's mask at the frame's size in host memory with each frame.
The first 17 frames fill the bank (7 memories, 16 pointers) and are not timed. Quoted are medians of the frames, then of
the rounds.

What differs: ours takes RGB bytes in host memory, so that upload, resizing and normalising are in its time; PyTorch's
frames are ready on the GPU. Ours fills holes of the masks (as the official code does where its CUDA extension was
built), which transformers does not.

Weights are random: transformers' (official, with --sam2) modules filled from a seed, saved in --models and read from
there by both. Models that lie there already are used: DIR/tiny/config.json and model.safetensors, or with --sam2
DIR/tiny.safetensors with official names. Their values change no cost: an absent object takes as long as a visible one.

Before anything is timed, both track a few frames in f32, and the masks are compared (IoU); --check-only stops there.
"""
import argparse
import glob
import json
import os
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # models are local: a machine without a network must not wait for it

import numpy as np
import torch

import pytorch_gpu_reference as reference

CHECK_FRAMES = 8


def environment():
    """With the CUDA libraries that PyTorch brought, for a program that was linked against a toolkit which is not here."""
    folders = sorted(glob.glob(os.path.join(sysconfig.get_path("purelib"), "nvidia", "*", "lib")))
    return os.environ | {"LD_LIBRARY_PATH": ":".join(filter(None, [os.environ.get("LD_LIBRARY_PATH"), *folders]))}


def ours(args, model, objects, warmup, frames, dtype, extra=()):
    command = [args.frame_bench, model, "--device", args.device, "--image-size", str(args.image_size), "--dtype", dtype,
               "--objects", str(objects), "--warmup", str(warmup), "--frames", str(frames), "--masks", "1", *extra]
    result = subprocess.run(command, capture_output=True, text=True, timeout=args.limit, env=environment())
    if result.returncode:
        raise RuntimeError(f"{' '.join(command)}: exit {result.returncode}: {result.stderr.strip()[-2000:]}")
    return json.loads(result.stdout.strip().splitlines()[-1])


def load(args, size):
    """(model, path of the weights)"""
    if args.sam2:
        return reference.official_model(size, args.image_size, args.models, args.sam2, args.device)
    return reference.transformers_model(size, args.image_size, args.models)


def iou(a, b):
    union = np.logical_or(a, b).sum()
    return np.logical_and(a, b).sum() / union if union else 1.0


def check(args, size, objects):
    """Both in f32: prints the IoU of each frame, worst object; true when all are alike."""
    model, path = load(args, size)
    with tempfile.TemporaryDirectory() as folder:
        dump = os.path.join(folder, "masks")
        ours(args, path, objects, 0, CHECK_FRAMES, "f32", ("--dump", dump, "--fill-holes", "-1"))
        masks = np.fromfile(dump, np.uint8).reshape(CHECK_FRAMES, objects, reference.HEIGHT, reference.WIDTH)
    if args.sam2:
        model.fill_hole_area = 0
    _, theirs = reference.run(args.kind, model, objects, CHECK_FRAMES, args.device, "f32")
    worst = [min(iou(masks[t, k], theirs[t, k]) for k in range(objects)) for t in range(CHECK_FRAMES)]
    print(f"check: {size}, {objects} objects, f32, {args.image_size} pixels: IoU of the worst object by frame "
          + " ".join(f"{v:.3f}" for v in worst) + f"; {100 * theirs.mean():.0f} % of the pixels are on", flush=True)
    return min(worst) > 0.9  # other orders of the sums move the borders of what random weights draw


def measure(args, size, objects):
    """{label: [seconds per frame of each round]}"""
    model, path = load(args, size)
    frames = max(min(20, args.frames), args.frames * 4 // (3 + objects))
    seconds = {}
    for _ in range(args.rounds):
        for mode in args.modes:
            each, _ = reference.run(args.kind, model, objects, args.warmup + frames, args.device, mode)
            seconds.setdefault(f"PyTorch {mode}", []).append(statistics.median(each[args.warmup:]))
        line = ours(args, path, objects, args.warmup, frames, args.dtype)
        seconds.setdefault(f"track {args.dtype}", []).append(line["seconds_per_frame"])
    print(f"{size}, {objects} objects, {frames} frames, on {line['device']}: " + "; ".join(
        f"{name} " + " ".join(f"{1e3 * s:.2f}" for s in values) + " ms" for name, values in seconds.items())
          + f"; track's peak on the device {line['device_peak_bytes'] / 2**20:.0f} MiB", flush=True)
    del model
    return seconds


def table(args, results):
    names = [f"PyTorch {mode}" for mode in args.modes] + [f"track {args.dtype}"]
    lines = ["| model | objects | " + " | ".join(f"{name}, ms/frame" for name in names) + " | "
             + " | ".join(f"{name} / track" for name in names[:-1]) + " |",
             "| --- | ---: |" + " ---: |" * (2 * len(names) - 1)]
    for (size, objects), seconds in results.items():
        medians = [statistics.median(seconds[name]) for name in names]
        lines.append(f"| {size} | {objects} | " + " | ".join(f"{1e3 * m:.2f}" for m in medians) + " | "
                     + " | ".join(f"{m / medians[-1]:.2f}" for m in medians[:-1]) + " |")
    return "\n".join(lines)


def describe(args):
    card = torch.cuda.get_device_name(args.device) if args.device.startswith("cuda") else "CPU"
    code = "official code"
    if not args.sam2:
        import transformers

        code = "transformers " + transformers.__version__
    return f"{card}, PyTorch {torch.__version__}, {code}, {args.image_size} pixels, {args.rounds} rounds"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frame-bench", default="build/tests/bench/frame_bench", metavar="PATH")
    parser.add_argument("--models", metavar="DIR", help="where models lie or are made; default: a temporary folder")
    parser.add_argument("--sam2", metavar="CHECKOUT", help="official code in place of transformers")
    parser.add_argument("--device", default="cuda", help="of both: cuda, cuda:N or cpu")
    parser.add_argument("--dtype", default="bf16", choices=("bf16", "f32"), help="ours")
    parser.add_argument("--modes", default="autocast", help="PyTorch's, of autocast, bf16 (weights in bf16) and f32")
    parser.add_argument("--cases", default="tiny:1,large:1,tiny:4,tiny:16", help="SIZE:OBJECTS,...")
    parser.add_argument("--image-size", type=int, default=1024)
    parser.add_argument("--frames", type=int, default=60, help="timed with one object; fewer with more")
    parser.add_argument("--warmup", type=int, default=17)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--limit", type=float, default=330, metavar="SECONDS", help="no case is begun after that")
    parser.add_argument("--check-only", action="store_true")
    parser.add_argument("--no-check", action="store_true")
    args = parser.parse_args()
    args.kind = "official" if args.sam2 else "transformers"
    args.modes = args.modes.split(",")
    args.cases = [(c.split(":")[0], int(c.split(":")[1])) for c in args.cases.split(",")]
    for size, _ in args.cases:
        if size not in reference.SIZES:
            parser.error(f"no such size: {size}, expected one of {', '.join(reference.SIZES)}")
    return args


def tried(function, *arguments):
    """What the function returns, or None: one case that fails leaves the others."""
    try:
        return function(*arguments)
    except Exception as error:  # of another transformers as well
        print(f"FAILED: {type(error).__name__}: {error}", flush=True)
        return None


def main():
    start, args = time.monotonic(), arguments()
    with tempfile.TemporaryDirectory() as folder:
        args.models = args.models or folder
        print(describe(args), flush=True)
        alike = args.no_check or tried(check, args, args.cases[0][0], 2)
        results = {}
        for size, objects in [] if args.check_only else args.cases:
            if time.monotonic() - start > args.limit:
                print(f"{size}, {objects} objects: no time left")
                continue
            results[size, objects] = tried(measure, args, size, objects)
    if any(results.values()):
        print("\n" + table(args, {case: seconds for case, seconds in results.items() if seconds}))
    if not alike:
        print("\nThe masks of the two programs are NOT alike.")
    return 0 if alike and all(results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
