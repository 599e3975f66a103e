#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Seconds per tracked frame, ours beside the official code on PyTorch CPU, in one run: A B A B ..., and the ratio.

    tests/bench/compare.py --sam2 CHECKOUT [--build build] [--python PYTHON] [--threads N] [--rounds N]

SAM 2.1 tiny with generated weights at 1024 pixels, one object, full bank (7 memories, 16 pointers), both with the same
threads. PyTorch computes in f32; ours in f32 and bf16. Each round is its own process; quoted are medians of the rounds
and the ratios of those. --sam2 is a checkout of the official repository, --python an interpreter that has PyTorch.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))


def last_json(command):
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        sys.exit(f"{' '.join(command)}: exit {result.returncode}: {result.stderr.strip().splitlines()[-1:]}")
    return json.loads(result.stdout.strip().splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sam2", required=True)
    parser.add_argument("--build", default="build")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--frames", type=int, default=3)
    args = parser.parse_args()
    bench = os.path.join(args.build, "tests/bench/frame_bench")
    seconds = {"pytorch f32": [], "track f32": [], "track bf16": []}
    with tempfile.TemporaryDirectory() as folder:
        model = os.path.join(folder, "tiny.safetensors")
        subprocess.run([os.path.join(args.build, "tests/tools/make_weights"), "sam2.1", "tiny", model], check=True)
        for round_number in range(args.rounds):
            torch = last_json([args.python, os.path.join(HERE, "pytorch_reference.py"), "--sam2", args.sam2, "--model",
                               "tiny", "--image-size", "1024", "--full-bank", "--frames", str(args.frames),
                               "--threads", str(args.threads)])
            seconds["pytorch f32"].append(torch["seconds_per_frame"])
            for dtype in ("f32", "bf16"):
                ours = last_json([bench, model, "--image-size", "1024", "--dtype", dtype, "--threads",
                                  str(args.threads), "--warmup", "17", "--frames", str(args.frames)])
                seconds["track " + dtype].append(ours["seconds_per_frame"])
            print(f"round {round_number + 1}: " + ", ".join(f"{k} {v[-1]:.3f} s" for k, v in seconds.items()), flush=True)
    base = statistics.median(seconds["pytorch f32"])
    for name, values in seconds.items():
        print(f"{name:12} {statistics.median(values):7.3f} s/frame  ratio to PyTorch {statistics.median(values) / base:.3f}")


if __name__ == "__main__":
    main()
