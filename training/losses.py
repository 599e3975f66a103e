# SPDX-License-Identifier: Apache-2.0
"""Losses of SAM 2 (Ravi et al., 2024, appendix D.2): focal and dice on masks, L1 on the predicted IoU, cross-entropy on
"the object is there". And one of our own, for training only: neighbouring pixels of one object get like features."""
import torch
import torch.nn.functional as F

FOCAL_WEIGHT, DICE_WEIGHT, IOU_WEIGHT, PRESENCE_WEIGHT = 20.0, 1.0, 1.0, 1.0


def iou(found: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Boolean masks [..., H, W] -> [...]; two empty masks: 1."""
    both = (found & truth).flatten(-2).sum(-1).float()
    either = (found | truth).flatten(-2).sum(-1).float()
    return torch.where(either > 0, both / either.clamp(min=1), torch.ones_like(either))


def mask_losses(logits: torch.Tensor, truth: torch.Tensor, alpha: float, bce: float):
    """logits [N, M, h, w], truth [N, H, W] 0/1 -> focal, dice, IoU, each [N, M].

    alpha: weight of the object's pixels in the focal loss. bce: of a plain cross-entropy beside it, in units of the
    focal loss's weight, which shortens the time until the first masks appear.
    """
    x = F.interpolate(logits, size=truth.shape[-2:], mode="bilinear", align_corners=False)
    g = truth[:, None]
    p = torch.sigmoid(x)
    ce = F.softplus(x) - x * g
    miss = p + g - 2 * p * g  # 1 - probability of what is true
    focal = ((alpha * g + (1 - alpha) * (1 - g)) * ce * miss * miss).flatten(2).mean(-1)
    if bce > 0:
        focal = focal + bce / FOCAL_WEIGHT * ce.flatten(2).mean(-1)
    dice = 1 - (2 * (p * g).flatten(2).sum(-1) + 1) / (p.flatten(2).sum(-1) + g.flatten(2).sum(-1) + 1)
    with torch.no_grad():
        overlap = iou(x > 0, g > 0.5)
    return focal, dice, overlap


class Affinity(torch.nn.Module):
    """Whether two pixels a few steps apart show the same object, told from the distance of their features on the levels
    the decoder reads. Dropped on export."""

    STEPS = ((0, 1), (1, 0), (1, 1), (1, -1), (0, 2), (2, 0), (0, 4), (4, 0), (3, 3), (3, -3))
    BACKGROUND, SAME, OTHER = 0.05, 1.0, 2.0  # weights of pairs

    def __init__(self, channels: list[int], width: int = 16):
        super().__init__()
        self.heads = torch.nn.ModuleList([torch.nn.Conv2d(c, width, 1) for c in channels])
        self.offset = torch.nn.Parameter(torch.full((len(channels),), 2.0))

    @classmethod
    def of(cls, architecture: dict) -> "Affinity":
        """For the levels of a model of this architecture."""
        dim = architecture["hidden_dim"]
        return cls([dim // 8, dim // 4, dim])

    def forward(self, features: list[torch.Tensor], ids: torch.Tensor) -> torch.Tensor:
        """features: [N, C, h, w] each; ids: [N, S, S] index of the object at each pixel, 0 = background."""
        total = 0.0
        for head, offset, level in zip(self.heads, self.offset, features):
            stride = ids.shape[-1] // level.shape[-1]
            labels = ids[:, stride // 2::stride, stride // 2::stride]
            total = total + sum(self.pair_loss(head(level), labels, offset, dy, dx) for dy, dx in self.STEPS)
        return total / (len(self.STEPS) * len(features))

    def pair_loss(self, e, labels, offset, dy, dx):
        h, w = labels.shape[-2:]
        here = (slice(0, h - dy), slice(max(0, -dx), w - max(0, dx)))
        there = (slice(dy, h), slice(max(0, dx), w - max(0, -dx)))
        a, b = labels[:, here[0], here[1]], labels[:, there[0], there[1]]
        distance = (e[:, :, here[0], here[1]] - e[:, :, there[0], there[1]]).pow(2).sum(1)
        same = a == b
        weight = torch.where(same, torch.where(a == 0, self.BACKGROUND, self.SAME), self.OTHER)
        ce = F.binary_cross_entropy_with_logits(offset - distance, same.float(), reduction="none")
        return (ce * weight).sum() / weight.sum().clamp(min=1)
