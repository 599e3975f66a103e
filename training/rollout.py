# SPDX-License-Identifier: Apache-2.0
"""A clip through the graph as in tracking, with losses on every frame: prompt on the first, memories after it."""
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F

from architecture import SmallTracker
from curriculum import Batch
from losses import DICE_WEIGHT, FOCAL_WEIGHT, IOU_WEIGHT, PRESENCE_WEIGHT, Affinity, iou, mask_losses

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
LONG_VIDEO = 10_000  # frames: ages of pointers are told as in one, however short the clip
CERTAIN = 10.0       # logit of a true mask that goes into the memory
CHOSEN = 0.9         # of the loss of three hypotheses goes to the best, the rest to the others: none dies
SINGLE = 0.8         # of the loss after a box or clicks goes to the single mask
SPOILED = 0.2        # of the memories
STRAYED = 0.15       # of the loss of an object whose mask on the frame before, of the same step, showed something else
FEW_PIXELS = 20      # of the full-size mask: fewer say neither present nor absent


@dataclass
class Weights:
    """Of losses, at one step."""
    alpha: float
    bce: float
    affinity: float
    absent: float = 2.0


@dataclass
class Outcome:
    loss: torch.Tensor
    parts: dict[str, float]
    overlaps: list[tuple[int, float, int]] = field(default_factory=list)  # frame, sum of J, number of present objects
    n_presence_right: int = 0
    n_absent_right: int = 0
    n_absent: int = 0
    n_frames: int = 0  # objects times frames


def normalized(images: torch.Tensor) -> torch.Tensor:
    """[N, H, W, 3] uint8 -> [N, 3, H, W]."""
    x = images.permute(0, 3, 1, 2).float() / 255
    return (x - x.new_tensor(MEAN).view(1, 3, 1, 1)) / x.new_tensor(STD).view(1, 3, 1, 1)


def watch_decoder(model: SmallTracker):
    """Keeps what the mask decoder says before the tracker chooses: model.said = masks [N, 4, h, w], IoUs [N, 4], presence
    logit [N, 1]."""
    decoder, original = model.sam_mask_decoder, model.sam_mask_decoder.predict_masks

    def predict_masks(*args, **kwargs):
        out = original(*args, **kwargs)
        model.said = (out[0].float(), out[1].float(), out[3].float())  # losses are not for half precision
        return out

    decoder.predict_masks = predict_masks


class Rollout:
    def __init__(self, model: SmallTracker, affinity: Affinity, batch: Batch, weights: Weights, truth_in_memory: float,
                 n_silent: int = 0):
        self.model, self.affinity, self.batch, self.weights = model, affinity, batch, weights
        self.device = next(model.parameters()).device
        self.truth_in_memory, self.n_silent = truth_in_memory, n_silent
        self.n_clips, self.n_objects, self.n_times = batch.masks.shape[:3]
        masks = torch.from_numpy(batch.masks).to(self.device)
        self.truth = masks.flatten(0, 1).float()                  # [N, T, S, S]
        self.coarse = (F.avg_pool2d(self.truth, 2) > 0.49).float()  # the losses' resolution
        self.area = self.truth.flatten(2).sum(-1)                 # [N, T]
        self.strayed = torch.zeros(len(self.truth), dtype=torch.bool, device=self.device)  # of clips over several steps
        self.sums = dict.fromkeys(("focal", "dice", "iou", "presence"), 0.0)
        self.outcome = Outcome(torch.zeros(()), {})

    def run(self, before: dict | None = None) -> Outcome:
        """before: memories of earlier frames, by index. Afterwards self.memory has those of these frames as well."""
        self.memory = memory = {"cond_frame_outputs": {}, "non_cond_frame_outputs": dict(before or {})}
        silent = range(1, 1 + self.n_silent)
        features, affinity = self.encode(list(self.batch.taught))
        others = [t for t in range(self.n_times) if t not in self.batch.taught]
        with torch.no_grad():
            features |= self.encode(others)[0] if others else {}
        for t in range(self.n_times):
            with torch.set_grad_enabled(t not in silent):
                self.step(t, features.pop(t), memory, judged=t not in silent)
        n = max(self.n_times - self.n_silent - (self.batch.prompt == "mask"), 1)
        s = self.sums
        loss = (FOCAL_WEIGHT * s["focal"] + DICE_WEIGHT * s["dice"] + IOU_WEIGHT * s["iou"]
                + PRESENCE_WEIGHT * s["presence"]) / n
        self.outcome.loss = loss + self.weights.affinity * affinity
        self.outcome.parts = {k: float(torch.as_tensor(v).detach()) / n for k, v in s.items()}
        self.outcome.parts["affinity"] = float(affinity.detach())
        return self.outcome

    def encode(self, times: list[int]):
        """These frames of all clips at once: features, position codes and sizes by time, and the affinity loss."""
        def frame_major(array):
            return torch.from_numpy(array[:, times]).to(self.device).transpose(0, 1).flatten(0, 1)

        encoded = self.model.forward_image(normalized(frame_major(self.batch.images)))
        affinity = torch.zeros(())  # of no use without gradients
        if torch.is_grad_enabled() and self.weights.affinity > 0:
            affinity = self.affinity(encoded["backbone_fpn"], frame_major(self.batch.ids).long())
        _, features, positions, sizes = self.model._prepare_backbone_features(encoded)
        positions = [p[:, :1].expand(-1, self.n_clips * self.n_objects, -1) for p in positions]
        split = [f.unflatten(1, (len(times), self.n_clips)) for f in features]
        return {t: ([f[:, i].repeat_interleave(self.n_objects, 1) for f in split], positions, sizes)
                for i, t in enumerate(times)}, affinity

    def step(self, t: int, encoded, memory, judged: bool):
        here, positions, sizes = encoded
        points, mask = self.prompt() if t == 0 else (None, None)
        index = (self.batch.indices[t] if self.batch.indices else t) + self.batch.gap if t else 0
        current, said, _, _ = self.model._track_step(index, t == 0, here, positions, sizes, points, mask, memory,
                                                     LONG_VIDEO, False, None)
        _, _, _, low, high, pointer, presence = said
        current.update(pred_masks=low, pred_masks_high_res=high, obj_ptr=pointer)
        if mask is None and judged:
            self.judge(t, low)
        if self.batch.indices:
            self.strayed = self.astray(t, high, presence)
        if t < self.n_times - 1 or self.batch.goes_on:
            high, presence = self.some_truth(t, high, presence)
            high = self.spoiled(t, high)
            self.model._encode_memory_in_output(here, sizes, points, True, high, presence, current)
        memory["cond_frame_outputs" if t == 0 else "non_cond_frame_outputs"][index] = current

    def prompt(self):
        if self.batch.prompt == "mask":
            return None, self.truth[:, :1]
        return {"point_coords": torch.from_numpy(self.batch.coordinates).to(self.device),
                "point_labels": torch.from_numpy(self.batch.labels).to(self.device)}, None

    def judge(self, t: int, low: torch.Tensor):
        """Losses of a frame; low: [N, 1, h, w], what the tracker chose."""
        logits, ious, presence = self.model.said
        truth, present = self.coarse[:, t], (self.area[:, t] > 0).float()
        focal, dice, overlap = mask_losses(logits, truth, self.weights.alpha, self.weights.bce)
        if t > 0 or self.batch.prompt == "click":
            best = (FOCAL_WEIGHT * focal + dice)[:, 1:].detach().argmin(1) + 1
            share = F.one_hot(best, 4).float() * CHOSEN
            share[:, 1:] += (1 - CHOSEN) / 3
        else:
            share = torch.full_like(focal, (1 - SINGLE) / 3)
            share[:, 0] = SINGLE
        followed = torch.where(self.strayed, STRAYED, 1.0)
        weight = present / len(present) * followed
        clear = (self.area[:, t] == 0) | (self.area[:, t] > FEW_PIXELS)
        ce = F.binary_cross_entropy_with_logits(presence[:, 0], present, reduction="none")
        ce = ce * torch.where(present > 0, followed, self.weights.absent) * clear
        self.sums["focal"] = self.sums["focal"] + ((focal * share).sum(1) * weight).sum()
        self.sums["dice"] = self.sums["dice"] + ((dice * share).sum(1) * weight).sum()
        self.sums["iou"] = self.sums["iou"] + ((ious - overlap).abs().mean(1) * weight).sum()
        if self.n_times > 1:  # single images all show their object: absence would be forgotten
            self.sums["presence"] = self.sums["presence"] + ce.mean()
        self.count(t, low, truth, present, presence)

    @torch.no_grad()
    def count(self, t, low, truth, present, presence):
        found = F.interpolate(low, size=truth.shape[-2:], mode="bilinear", align_corners=False)[:, 0] > 0
        right = (presence[:, 0] > 0).float() == present
        out = self.outcome
        out.overlaps.append((t, float((iou(found, truth > 0.5) * present).sum()), int(present.sum())))
        out.n_presence_right += int(right.sum())
        out.n_absent_right += int((right * (1 - present)).sum())
        out.n_absent += int((1 - present).sum())
        out.n_frames += len(present)

    def some_truth(self, t: int, high: torch.Tensor, presence: torch.Tensor):
        """Masks and presence for the memory: true ones for the share asked for, so that reading memories is learnt
        before masks are good."""
        if self.truth_in_memory <= 0:
            return high, presence
        chosen = torch.from_numpy(self.batch.draws[t] < self.truth_in_memory).to(self.device)
        truth = (self.truth[:, t:t + 1] * 2 - 1) * CERTAIN
        present = ((self.area[:, t:t + 1] > 0).float() * 2 - 1) * CERTAIN
        return (torch.where(chosen.view(-1, 1, 1, 1), truth, high), torch.where(chosen.view(-1, 1), present, presence))

    @torch.no_grad()
    def astray(self, t: int, high: torch.Tensor, presence: torch.Tensor) -> torch.Tensor:
        """Of masks [N, 1, S, S] and presence [N, 1]: something is found, the object can be seen, and they are not the same:
        what comes after has little to teach. [N]"""
        found = (high[:, 0] > 0) & (presence > 0)[:, :, None]
        something = found.flatten(1).sum(1) > FEW_PIXELS
        return something & (self.area[:, t] > FEW_PIXELS) & (iou(found, self.truth[:, t] > 0.5) < 0.2)

    def spoiled(self, t: int, high: torch.Tensor) -> torch.Tensor:
        """Masks [N, 1, S, S] for the memory, a disc cut out of some or put on, as where tracking drifts: what the prompt
        showed is to be found again. Those of the prompted frame stay."""
        if t == 0 or self.batch.spoils is None:
            return high
        which, across, down, radius, kind = torch.from_numpy(self.batch.spoils[t]).to(high).unbind(1)
        found = high[:, 0] > 0
        area = found.flatten(1).sum(1).float()
        chosen = (which < SPOILED) & (area > 4 * FEW_PIXELS)
        if not chosen.any():
            return high
        high, line = high.clone(), torch.arange(high.shape[-1], device=high.device).float()
        for i in chosen.nonzero()[:, 0].tolist():
            ys, xs = found[i].nonzero(as_tuple=True)
            x = xs.min() + across[i] * (xs.max() - xs.min())
            y = ys.min() + down[i] * (ys.max() - ys.min())
            reach = area[i].sqrt() * (0.2 + 0.5 * radius[i])
            disc = ((line - x) ** 2)[None] + ((line - y) ** 2)[:, None] < reach ** 2
            high[i, 0][disc] = CERTAIN if kind[i] < 0.5 else -CERTAIN
        return high
