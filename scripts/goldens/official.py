# SPDX-License-Identifier: Apache-2.0
"""The official predictor on the CPU: built for any configuration, fed with frames in memory, watched by hooks."""
import json
import os
import struct
import sys
import warnings

import cv2
import numpy as np
import torch
from PIL import Image

import seeded

SIZES = {"tiny": "t", "small": "s", "base+": "b+", "large": "l"}
FAMILIES = ("sam2", "sam2.1")


def use_checkout(path):
    """Makes the official package importable; must precede everything else here."""
    sys.path.insert(0, os.path.abspath(path))
    warnings.filterwarnings("ignore")
    import tqdm

    class Silent:
        def __new__(cls, iterable=None, *args, **kwargs):
            return iterable

    tqdm.tqdm = Silent
    import sam2.sam2_video_predictor as predictor_module
    import sam2.utils.misc as misc

    # The CUDA extension that labels components, on the CPU: 8-connectivity, areas of the foreground components.
    def connected_components(mask):
        labels = np.zeros(mask.shape, np.int64)
        areas = np.zeros(mask.shape, np.int64)
        for n in range(mask.shape[0]):
            plane = mask[n, 0].to(torch.uint8).numpy()
            _, found, stats, _ = cv2.connectedComponentsWithStats(plane, connectivity=8)
            labels[n, 0] = found
            areas[n, 0] = np.where(found > 0, stats[found, cv2.CC_STAT_AREA], 0)
        return torch.from_numpy(labels), torch.from_numpy(areas)

    misc.get_connected_components = connected_components

    # init_state accepts (frames, image_size) in place of a path and resizes as the JPEG path does.
    def load_video_frames(video_path, image_size, **kwargs):
        images = torch.stack([normalised(f, image_size) for f in video_path])
        return images, video_path[0].shape[0], video_path[0].shape[1]

    predictor_module.load_video_frames = load_video_frames


def normalised(frame, size):
    """[3, size, size] float32 of an RGB uint8 frame, as _load_img_as_tensor and the synchronous loader do it."""
    resized = np.array(Image.fromarray(frame).resize((size, size))) / 255.0
    image = torch.empty(3, size, size, dtype=torch.float32)
    image[:] = torch.from_numpy(resized).permute(2, 0, 1)
    image -= torch.tensor((0.485, 0.456, 0.406))[:, None, None]
    image /= torch.tensor((0.229, 0.224, 0.225))[:, None, None]
    return image


def build(family, size, image_size, plain=False, correct_as_condition=False, fill_holes=True, max_prompts=-1,
          group=None):
    """The official builder's video predictor without weights. group: folder of its configuration, if not the
    family's."""
    from sam2.build_sam import build_sam2_video_predictor

    extra = [f"++model.image_size={image_size}"]
    if correct_as_condition:
        extra.append("++model.add_all_frames_to_correct_as_cond=true")
    config = f"configs/{group or family}/{family}_hiera_{SIZES[size]}.yaml"
    model = build_sam2_video_predictor(config, None, device="cpu", hydra_overrides_extra=extra,
                                      apply_postprocessing=not plain)
    if not fill_holes:
        model.fill_hole_area = 0
    model.max_cond_frames_in_attn = max_prompts
    return model


def fill_seeded(model, seed):
    """Replaces every tensor of the state dictionary by the generated one."""
    state = model.state_dict()
    with torch.no_grad():
        for name, value in state.items():
            value.copy_(torch.from_numpy(seeded.tensor(seed, name, tuple(value.shape))))
    return model


def build_seeded(family, size, image_size, seed, **kwargs):
    return fill_seeded(build(family, size, image_size, **kwargs), seed).eval()


def read_safetensors(path):
    """(tensors, metadata)"""
    from safetensors import safe_open

    with safe_open(path, "pt") as f:
        return {k: f.get_tensor(k) for k in f.keys()}, f.metadata() or {}


def build_from_file(path, plain=False, correct_as_condition=False, fill_holes=True, max_prompts=-1,
                    image_size=None, **further):
    """The official modules at the dimensions given by the architecture metadata of a .safetensors file, put together by
    training/architecture.py. further: arguments of the predictor."""
    sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..", "training"))
    import architecture

    tensors, metadata = read_safetensors(path)
    if "architecture" not in metadata:
        raise SystemExit(f"{path}: no architecture in the metadata")
    arch = json.loads(metadata["architecture"])
    arch["image_size"] = image_size or arch["image_size"]
    settings = dict(add_all_frames_to_correct_as_cond=correct_as_condition, max_cond_frames_in_attn=max_prompts,
                    **further)
    if not fill_holes:
        settings["fill_hole_area"] = 0
    model = architecture.build(arch, inference=not plain, **settings)
    model.load_state_dict({name: value.float() for name, value in tensors.items()}, strict=True)
    return model.eval()


def write_safetensors(path, tensors):
    """Own writer, so that file bytes depend on nothing but the values: names sorted, no metadata."""
    header, parts, at = {}, [], 0
    for name in sorted(tensors):
        value = tensors[name].detach().contiguous()
        if value.dtype == torch.bfloat16:
            kind, raw = "BF16", value.view(torch.int16).numpy().astype("<i2").tobytes()
        else:
            kind, raw = "F32", value.float().numpy().astype("<f4").tobytes()
        header[name] = {"dtype": kind, "shape": list(value.shape), "data_offsets": [at, at + len(raw)]}
        parts.append(raw)
        at += len(raw)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path + ".tmp", "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + b"".join(parts))
    os.replace(path + ".tmp", path)


def decode(path, dump_frames):
    """Frames of a video as RGB arrays, exactly as the project's reader delivers them (tests/tools/dump_frames)."""
    import glob
    import subprocess
    import tempfile

    from PIL import Image

    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([dump_frames, path, folder], check=True)
        return [np.array(Image.open(name)) for name in sorted(glob.glob(folder + "/*.png"))]
