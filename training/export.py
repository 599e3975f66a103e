# SPDX-License-Identifier: Apache-2.0
"""Writes the averaged weights of a training state as a model: `python export.py runs/demo/state.pt demo.safetensors`.

Names are the official ones, the architecture and how it was made are in the metadata, values are half precision (a model
of 2.5 million parameters is 5 MB). The file is whole or absent.

A run that went on from a model and that model are mostly worse than their mean (--mean-with): the end of a run is the
noise of its last few hundred steps, too.
"""
import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import save_file

import architecture

PRESENCE_BIAS = "sam_mask_decoder.pred_obj_score_head.layers.2.bias"
TYPES = {"f16": torch.float16, "f32": torch.float32}


def mean_of(average: dict, others: list[Path]) -> dict:
    """Of weights and those of other states or models, which have to be of the same architecture."""
    total = {name: value.double() for name, value in average.items()}
    for path in others:
        other = architecture.load_averaged(str(path)).state_dict()
        shapes = {name: value.shape for name, value in other.items()}
        if shapes != {name: value.shape for name, value in total.items()}:
            raise SystemExit(f"--mean-with {path}: expected a model of the same shape")
        total = {name: value + other[name].double() for name, value in total.items()}
    return {name: value / (1 + len(others)) for name, value in total.items()}


def export(state_path: Path, out: Path, type_name: str, made: str, image_size: int | None = None,
           others: list[Path] | None = None, doubt: float = 0.0):
    state = torch.load(state_path, map_location="cpu", weights_only=True)
    described = state["architecture"] | ({"image_size": image_size} if image_size else {})
    weights = mean_of(state["average"], others or [])
    weights[PRESENCE_BIAS] = weights[PRESENCE_BIAS] - doubt
    tensors = {name: value.to(TYPES[type_name]).contiguous() for name, value in weights.items()}
    large = [name for name, value in tensors.items() if not torch.isfinite(value).all()]
    if large:
        raise SystemExit(f"{state_path}: not finite in {type_name}: {', '.join(large)}")
    temporary = out.with_name(out.stem + ".tmp.safetensors")
    save_file(tensors, temporary, metadata={"format": "pt", "architecture": json.dumps(described), "made": made})
    architecture.load(str(temporary))  # fails where a tensor is missing or superfluous
    temporary.chmod(0o644)  # save_file leaves it to its owner alone
    temporary.replace(out)
    print(f"{out}: {out.stat().st_size} bytes, after {state['n_done']} steps and {state['seconds'] / 60:.0f} minutes")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("state", type=Path)
    p.add_argument("out", type=Path)
    p.add_argument("--type", choices=TYPES, default="f16")
    p.add_argument("--made", default="training/train.py", help="one line on how, for the metadata")
    p.add_argument("--image-size", type=int, help="pixels that frames are resized to for tracking; default: the state's")
    p.add_argument("--mean-with", type=Path, action="append", metavar="FILE",
                   help="a state or a .safetensors: the mean of both; may be repeated")
    p.add_argument("--doubt", type=float, default=0.0, metavar="LOGIT",
                   help="taken off the object score: more of it says sooner that an object is away")
    args = p.parse_args()
    if args.image_size is not None and (args.image_size < 64 or args.image_size % 32):
        p.error(f"--image-size: expected a multiple of 32 from 64 on, got {args.image_size}")
    export(args.state, args.out, args.type, args.made, args.image_size, args.mean_with, args.doubt)


if __name__ == "__main__":
    main()
