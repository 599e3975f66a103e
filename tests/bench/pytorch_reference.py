# SPDX-License-Identifier: Apache-2.0
"""Times the official PyTorch code on the CPU in f32 and prints one JSON line.

    pytorch_reference.py --sam2 CHECKOUT --model tiny --image-size 1024 --frames 3 --full-bank --threads 2
    pytorch_reference.py --sam2 CHECKOUT --demo samples/clips/plain-motion.mp4 --checkpoint samples/models/demo-m.safetensors

--full-bank: the official propagation loop of one object, timed over the last --frames frames. The frames before them
(one prompted, 15 tracked) fill the bank to 7 memories and 16 pointers; with the default --fill copies they are not
computed: the first tracked frame's output stands for all 15, which costs the timed frames the same.
--demo: frames per second of decoding (by the ffmpeg command), resizing, tracking every object of the clip's manifest
entry (or --box) and resizing the masks to the frame, over the whole clip.
Seconds per frame are medians; a breakdown by stage is measured in the same frames by hooks.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "scripts", "goldens"))

import numpy as np
import torch

import frames as seeded_frames
import official


def stage_timers(model):
    """Wraps the stages; returns {name: [seconds]} that fills as the model runs."""
    times = {}

    def wrap(owner, attribute, name):
        inner = getattr(owner, attribute)

        def timed(*args, **kwargs):
            start = time.perf_counter()
            result = inner(*args, **kwargs)
            times.setdefault(name, []).append(time.perf_counter() - start)
            return result

        owner.__dict__[attribute] = timed  # the instance's own; the class keeps the method

    wrap(model, "forward_image", "image_encoder")
    wrap(model.memory_attention, "forward", "memory_attention")
    wrap(model, "_forward_sam_heads", "prompt_encoder_and_mask_decoder")
    wrap(model, "_encode_new_memory", "memory_encoder")
    return times


def full_bank(args):
    family, size = args.family, args.model
    model = official.build_seeded(family, size, args.image_size, 1)
    n = 16 + args.frames
    clip = [seeded_frames.frame(1, t) for t in range(n)]
    state = model.init_state(clip)
    model.add_new_points_or_box(state, 0, 1, box=[44, 52, 134, 116])
    if args.fill == "copies":
        for _ in model.propagate_in_video(state, max_frame_num_to_track=1):
            pass
        tracked = state["output_dict_per_obj"][0]["non_cond_frame_outputs"]
        for t in range(2, 16):
            tracked[t] = tracked[1]
    else:
        for _ in model.propagate_in_video(state, max_frame_num_to_track=15):
            pass
    keys = []
    model.memory_attention.register_forward_pre_hook(lambda m, a, k: keys.append(k["memory"].shape[0]),
                                                     with_kwargs=True)
    times, seconds = stage_timers(model), []
    start = time.perf_counter()
    for _ in model.propagate_in_video(state, start_frame_idx=16, max_frame_num_to_track=args.frames - 1):
        seconds.append(time.perf_counter() - start)
        start = time.perf_counter()
    grid = args.image_size // 16
    if keys and any(k != 7 * grid * grid + 64 for k in keys):
        raise SystemExit(f"the bank is not full: {keys}")
    return {"model": f"{family} {size}", "image_size": args.image_size, "frames": len(seconds),
            "seconds_per_frame": statistics.median(seconds), "all": [round(s, 4) for s in seconds],
            "stages": {k: statistics.median(v) for k, v in times.items()}}


def decode(path):
    """RGB frames of a video through a pipe from the ffmpeg command."""
    size = subprocess.run(["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "stream=width,height",
                           "-of", "csv=p=0", path], capture_output=True, text=True, check=True).stdout
    width, height = (int(v) for v in size.strip().split(",")[:2])
    raw = subprocess.run(["ffmpeg", "-v", "error", "-i", path, "-pix_fmt", "rgb24", "-f", "rawvideo", "-"],
                         capture_output=True, check=True).stdout
    return list(np.frombuffer(raw, np.uint8).reshape(-1, height, width, 3))


def demo(args):
    model = official.build_from_file(args.checkpoint)
    boxes = [[float(v) for v in b.split(",")] for b in args.box]
    if not boxes:
        with open(os.path.join(os.path.dirname(args.demo), "manifest.json")) as f:
            entry = next(e for e in json.load(f) if e["clip"] == os.path.basename(args.demo))
        boxes = [o["box"] for o in entry["objects"]]
    start = time.perf_counter()
    clip = decode(args.demo)
    state = model.init_state(clip)
    for k, (x, y, w, h) in enumerate(boxes):
        model.add_new_points_or_box(state, 0, k + 1, box=[x, y, x + w, y + h])
    for _, _, logits in model.propagate_in_video(state):
        (logits > 0).numpy()
    seconds = time.perf_counter() - start
    return {"model": os.path.basename(args.checkpoint), "clip": os.path.basename(args.demo), "objects": len(boxes),
            "frames": len(clip), "seconds_per_frame": seconds / len(clip), "frames_per_second": len(clip) / seconds}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sam2", required=True, help="checkout of the official repository")
    parser.add_argument("--family", default="sam2.1", choices=official.FAMILIES)
    parser.add_argument("--model", default="tiny", choices=list(official.SIZES))
    parser.add_argument("--image-size", type=int, default=1024)
    parser.add_argument("--frames", type=int, default=3)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--full-bank", action="store_true")
    parser.add_argument("--fill", default="copies", choices=("copies", "run"))
    parser.add_argument("--demo", metavar="CLIP")
    parser.add_argument("--box", action="append", default=[], metavar="X,Y,W,H")
    parser.add_argument("--checkpoint", default="samples/models/demo-m.safetensors")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    official.use_checkout(args.sam2)
    with torch.inference_mode():
        result = demo(args) if args.demo else full_bank(args)
    result.update(threads=args.threads, torch=torch.__version__)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
