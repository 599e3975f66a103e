# SPDX-License-Identifier: Apache-2.0
"""SAM 2.1 in eager PyTorch, on a GPU or the CPU, for compare_gpu.py: models, the drawn video, one step per frame.

The code run is the port of the transformers package (Sam2VideoModel), or the official code where a checkout is given.
Weights are random (seeded), but for the last bias of the head that says whether an object is there: it says yes.
Otherwise most objects would be absent, which changes no cost in either program, and leaves nothing to compare.

The video is frame_bench's: textured frames of 640 x 480, one moving disc per object, a box for each on frame 0. As in
both packages' video interface, the frames are resized and normalised before anything is timed and lie on the device.
A step ends with every object's mask, cut at 0 at the size of the frame, in host memory.
"""
import contextlib
import os
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F

WIDTH, HEIGHT, BUFFERS = 640, 480, 16
SIZES = {"tiny": "t", "small": "s", "base+": "b+", "large": "l"}


# --- the video of frame_bench.c ------------------------------------------------------------------------------------


def disc_of(k, objects, buffer):
    """(x, y, radius) of object k"""
    columns = 1
    while columns * columns < objects:
        columns += 1
    rows = (objects + columns - 1) // columns
    width, height = WIDTH // columns, HEIGHT // rows
    return (k % columns * width + width * 5 // 16 + buffer * width // 160, k // columns * height + height // 2,
            min(width, height) * 3 // 16)


def draw(objects, buffer):
    """[480, 640, 3] uint8"""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    hashed = ((x // 4 * 73856093) & 0xFFFFFFFF) ^ ((y // 4 * 19349663) & 0xFFFFFFFF)
    rgb = np.stack([70 + hashed % 40, 110 + hashed // 64 % 40, 100 + hashed // 4096 % 40], axis=2)
    for k in range(objects):
        cx, cy, radius = disc_of(k, objects, buffer)
        inside = (x - cx) ** 2 + (y - cy) ** 2 < radius ** 2
        rgb[inside] += np.array([120 - 25 * (k % 4), -20, -50 + 25 * (k % 4)])
    return rgb.astype(np.uint8)


def buffer_of(frame):
    phase = frame % (2 * BUFFERS - 2)
    return phase if phase < BUFFERS else 2 * BUFFERS - 2 - phase


def boxes(objects):
    """[objects, 2, 2]: corners in pixels of the frame"""
    discs = [disc_of(k, objects, 0) for k in range(objects)]
    return torch.tensor([[[x - r, y - r], [x + r, y + r]] for x, y, r in discs], dtype=torch.float32)


def normalised(rgb, size):
    """[3, size, size] float32, resized as bytes, which has the filter and the roundings of the official loader."""
    image = torch.from_numpy(rgb).permute(2, 0, 1)[None].contiguous()
    image = F.interpolate(image, size=(size, size), mode="bicubic", antialias=True)[0].float() / 255
    mean, std = torch.tensor((0.485, 0.456, 0.406)), torch.tensor((0.229, 0.224, 0.225))
    return (image - mean[:, None, None]) / std[:, None, None]


def video(objects, size, count, device, dtype):
    """count frames; those with equal pixels are one tensor"""
    drawn = [normalised(draw(objects, b), size).to(device, dtype) for b in range(BUFFERS)]
    return [drawn[buffer_of(t)] for t in range(count)]


# --- models --------------------------------------------------------------------------------------------------------


def fill(model, seed):
    """Random weights of a size that keeps activations near 1."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in sorted(model.state_dict().items()):
            noise = torch.randn(value.shape, generator=generator)
            if value.dim() >= 2 and "pos" not in name and "embed" not in name and "token" not in name:
                value.copy_(noise * (value.numel() / value.shape[0]) ** -0.5)
            elif value.dim() == 1 and name.endswith("weight"):
                value.copy_(1 + 0.1 * noise)
            elif "gaussian_matrix" in name or "positional_embedding" in name:
                value.copy_(noise)
            else:
                value.copy_(0.1 * noise)
            if "pred_obj_score_head" in name and name.endswith("bias") and value.numel() == 1:
                value.fill_(10)
    return model


def transformers_config(size, image_size):
    from transformers import Sam2HieraDetConfig, Sam2VideoConfig, Sam2VisionConfig

    trunk, channels = {}, [768, 384, 192, 96]
    if size == "large":
        trunk = dict(hidden_size=144, num_attention_heads=2, blocks_per_stage=[2, 6, 36, 4],
                     embed_dim_per_stage=[144, 288, 576, 1152], num_attention_heads_per_stage=[2, 4, 8, 16],
                     window_size_per_stage=[8, 4, 16, 8], global_attention_blocks=[23, 33, 43])
        channels = [1152, 576, 288, 144]
    elif size == "small":
        trunk = dict(blocks_per_stage=[1, 2, 11, 2], global_attention_blocks=[7, 10, 13])
    elif size == "base+":
        trunk = dict(hidden_size=112, num_attention_heads=2, blocks_per_stage=[2, 3, 16, 3],
                     embed_dim_per_stage=[112, 224, 448, 896], num_attention_heads_per_stage=[2, 4, 8, 16],
                     global_attention_blocks=[12, 16, 20], window_positional_embedding_background_size=[14, 14])
        channels = [896, 448, 224, 112]
    config = Sam2VideoConfig(vision_config=Sam2VisionConfig(backbone_config=Sam2HieraDetConfig(**trunk),
                                                            backbone_channel_list=channels))
    return set_image_size(config, image_size)


def set_image_size(config, image_size):
    grid = image_size // 16
    config.image_size = config.prompt_encoder_config.image_size = image_size
    config.vision_config.backbone_config.image_size = [image_size, image_size]
    config.vision_config.backbone_feature_sizes = [[4 * grid, 4 * grid], [2 * grid, 2 * grid], [grid, grid]]
    config.memory_attention_rope_feat_sizes = [grid, grid]
    return config


def transformers_model(size, image_size, folder, seed=1):
    """(model, path for our program): of folder/size when there is a config.json, else made and saved there."""
    from transformers import Sam2VideoConfig, Sam2VideoModel
    from transformers.utils import logging

    logging.disable_progress_bar()
    path = os.path.join(folder, size)
    if not os.path.exists(os.path.join(path, "config.json")):
        model = fill(Sam2VideoModel(transformers_config(size, image_size)), seed)
        with torch.no_grad():  # one matrix under two names
            model.prompt_encoder.shared_embedding.positional_embedding.copy_(
                model.shared_image_embedding.positional_embedding)
        model.save_pretrained(path)
    config = set_image_size(Sam2VideoConfig.from_pretrained(path), image_size)
    model = Sam2VideoModel.from_pretrained(path, config=config, dtype=torch.float32)
    return model.eval(), os.path.join(path, "model.safetensors")


def official_model(size, image_size, folder, checkout, device, seed=1):
    """(model, path for our program): with the weights of folder/size.safetensors, made when there is none."""
    from safetensors.torch import load_file, save_file

    sys.path.insert(0, os.path.abspath(checkout))
    import sam2.sam2_video_predictor as predictor
    from sam2.build_sam import build_sam2_video_predictor

    predictor.load_video_frames = lambda video_path, **kwargs: (video_path, HEIGHT, WIDTH)  # init_state takes a list
    predictor.tqdm = lambda iterable, **kwargs: iterable
    model = build_sam2_video_predictor(f"configs/sam2.1/sam2.1_hiera_{SIZES[size]}.yaml", None, device=str(device),
                                      hydra_overrides_extra=[f"++model.image_size={image_size}"])
    path = os.path.join(folder, size + ".safetensors")
    if not os.path.exists(path):
        os.makedirs(folder, exist_ok=True)
        save_file({k: v.cpu().contiguous() for k, v in fill(model.cpu(), seed).state_dict().items()}, path)
    model.load_state_dict(load_file(path), strict=True)
    return model.to(device).eval(), path


# --- tracking ------------------------------------------------------------------------------------------------------


class TransformersRun:
    """One video tracked by the transformers package; step(t) for t = 0, 1, ..."""

    def __init__(self, model, objects, count, device, mode):
        from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession

        dtype = torch.bfloat16 if mode == "bf16" else torch.float32
        self.model, self.objects = model.to(device, dtype), objects
        self.session = Sam2VideoInferenceSession(
            video=None, video_height=HEIGHT, video_width=WIDTH, inference_device=device, inference_state_device=device,
            video_storage_device=device, dtype=dtype)
        size = model.config.image_size
        self.session.processed_frames = dict(enumerate(video(objects, size, count, device, dtype)))
        scale = torch.tensor([size / WIDTH, size / HEIGHT])
        for k, corners in enumerate(boxes(objects)):
            self.session.add_point_inputs(self.session.obj_id_to_idx(k + 1), 0, {
                "point_coords": (corners * scale)[None, None].to(dtype),
                "point_labels": torch.tensor([[[2, 3]]], dtype=torch.int32)})
        self.session.obj_with_new_inputs = list(range(1, objects + 1))

    def step(self, t):
        logits = self.model(inference_session=self.session, frame_idx=t).pred_masks.float()
        logits = logits.reshape(self.objects, 1, *logits.shape[-2:])
        return F.interpolate(logits, size=(HEIGHT, WIDTH), mode="bilinear", align_corners=False)[:, 0] > 0


class OfficialRun:
    """The same by the official code."""

    def __init__(self, model, objects, count, device, mode):
        if mode == "bf16":
            raise SystemExit("the official code has no weights in bf16: use autocast")
        self.model = model
        self.state = model.init_state(video(objects, model.image_size, count, device, torch.float32))
        for k, corners in enumerate(boxes(objects)):
            model.add_new_points_or_box(self.state, 0, k + 1, box=corners.reshape(4))
        self.steps = model.propagate_in_video(self.state)

    def step(self, t):
        index, _, logits = next(self.steps)
        assert index == t
        return logits[:, 0] > 0


def run(kind, model, objects, count, device, mode):
    """Tracks count frames; returns (seconds of each, masks [count, objects, 480, 640] of the first 32)."""
    device = torch.device(device)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = mode != "f32"
    autocast = torch.autocast(device.type, torch.bfloat16) if mode == "autocast" else contextlib.nullcontext()
    seconds, masks = [], []
    with torch.inference_mode(), autocast:
        tracked = (OfficialRun if kind == "official" else TransformersRun)(model, objects, count, device, mode)
        for t in range(count):
            if device.type == "cuda":
                torch.cuda.synchronize()
            start = time.perf_counter()
            mask = tracked.step(t).to(torch.uint8).cpu()
            if device.type == "cuda":
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - start)
            if t < 32:
                masks.append(mask.numpy())
    del tracked
    if device.type == "cuda":
        torch.cuda.empty_cache()
    return seconds, np.stack(masks)
