# SPDX-License-Identifier: Apache-2.0
"""The official predictor's own tracking loop over frames in memory, on any device."""
from contextlib import contextmanager

import cv2
import numpy as np
import torch
from PIL import Image

import sam2.sam2_video_predictor as predictor_module
import sam2.utils.misc as misc
from architecture import SmallTracker
from rollout import MEAN, STD


def components(mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What the package's CUDA extension gives: labels of 8-connected components and the area of each pixel's. [N, 1, H, W]."""
    labels, areas = np.zeros(mask.shape, np.int64), np.zeros(mask.shape, np.int64)
    for n in range(mask.shape[0]):
        _, found, stats, _ = cv2.connectedComponentsWithStats(mask[n, 0].to(torch.uint8).cpu().numpy(), connectivity=8)
        labels[n, 0], areas[n, 0] = found, np.where(found > 0, stats[found, cv2.CC_STAT_AREA], 0)
    return torch.from_numpy(labels).to(mask.device), torch.from_numpy(areas).to(mask.device)


def normalized(frame: np.ndarray, side: int) -> torch.Tensor:
    """[3, side, side] of an RGB frame, resized as the package resizes JPEG files."""
    resized = np.asarray(Image.fromarray(frame).resize((side, side))) / 255.0
    image = torch.from_numpy(resized).permute(2, 0, 1).float()
    return (image - image.new_tensor(MEAN)[:, None, None]) / image.new_tensor(STD)[:, None, None]


@contextmanager
def frames_in_memory():
    """init_state takes a list of RGB frames in place of a path."""
    before = predictor_module.load_video_frames, misc.get_connected_components, predictor_module.tqdm

    def load(video_path, image_size, **_):
        return torch.stack([normalized(f, image_size) for f in video_path]), *video_path[0].shape[:2]

    predictor_module.load_video_frames, misc.get_connected_components = load, components
    predictor_module.tqdm = lambda frames, **_: frames
    try:
        yield
    finally:
        predictor_module.load_video_frames, misc.get_connected_components, predictor_module.tqdm = before


@torch.inference_mode()
def follow(model: SmallTracker, frames: list[np.ndarray], prompts: list[tuple[int, int, list[float]]]) -> np.ndarray:
    """prompts: (object, frame, box x0 y0 x1 y1), each object once. Masks [O, T, H, W] bool, objects in that order; before
    its prompt an object has none."""
    ids = [prompt[0] for prompt in prompts]
    masks = np.zeros((len(ids), len(frames), *frames[0].shape[:2]), bool)
    with frames_in_memory():
        state = model.init_state(frames)
        for id_, frame, box in prompts:
            model.add_new_points_or_box(state, frame_idx=frame, obj_id=id_, box=np.asarray(box, np.float32))
        for t, found, logits in model.propagate_in_video(state):
            for id_, mask in zip(found, logits):
                masks[ids.index(id_), t] = (mask[0] > 0).cpu().numpy()
    for i, (_, frame, _) in enumerate(prompts):
        masks[i, :frame] = False
    return masks
