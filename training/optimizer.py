# SPDX-License-Identifier: Apache-2.0
"""Muon for matrices and convolutions (Jordan et al., 2024: momentum, orthogonalised by Newton-Schulz steps), AdamW for
everything else. In a side-by-side at this size it reached the same loss in fewer frames than AdamW alone."""
import math
import re

import torch
import torch.distributed as dist

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


def orthogonalize(g: torch.Tensor, steps: int = 5) -> torch.Tensor:
    """[m, n] -> about the nearest matrix with singular values near 1."""
    a, b, c = NEWTON_SCHULZ
    wide = g.shape[0] <= g.shape[1]
    x = g if wide else g.t()
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        s = x @ x.t()
        x = a * x + (b * s + c * (s @ s)) @ x
    return x if wide else x.t()


NOT_MATRICES = re.compile(r"pos_embed|point_embed|mask_embed|no_mem|no_obj|tokens?\.weight|tpos_enc|dwconv")


def is_matrix(name: str, p: torch.Tensor) -> bool:
    """Projections and convolutions; not embeddings, tokens, depth-wise kernels or what is too thin to orthogonalise."""
    return p.ndim >= 2 and not NOT_MATRICES.search(name) and min(p.shape[0], p[0].numel()) >= 8


def orthogonalizing_work(p: torch.Tensor) -> int:
    rows, columns = p.shape[0], p[0].numel()
    return min(rows, columns) * rows * columns


def even_shares(work: list[int], n: int) -> list[int]:
    """Who of n does each piece: the largest first, to whoever has least so far."""
    owners, loads = [0] * len(work), [0] * n
    for i in sorted(range(len(work)), key=lambda i: -work[i]):
        owners[i] = loads.index(min(loads))
        loads[owners[i]] += work[i]
    return owners


class Muon:
    """Steps of root mean square 0.2 x lr per element, as AdamW's are about, so that one rate serves both. Each process
    orthogonalises its share of the matrices, for all of them: doing all of it twice was a tenth of a step."""

    MOMENTUM, SIZE = 0.95, 0.2

    def __init__(self, named: list[tuple[str, torch.nn.Parameter]], weight_decay: float, rank: int = 0, processes: int = 1):
        self.matrices = [p for name, p in named if is_matrix(name, p)]
        rest = [p for name, p in named if not is_matrix(name, p)]
        self.momenta = [torch.zeros_like(p) for p in self.matrices]
        self.weight_decay, self.rank, self.processes = weight_decay, rank, processes
        self.owners = even_shares([orthogonalizing_work(p) for p in self.matrices], processes)
        self.adam = torch.optim.AdamW(rest, lr=1e-3, betas=(0.9, 0.98), weight_decay=0.0)

    def zero_grad(self):
        self.adam.zero_grad()
        for p in self.matrices:
            p.grad = None

    @torch.no_grad()
    def step(self, lr: float):
        for group in self.adam.param_groups:
            group["lr"] = lr
        self.adam.step()
        used = [p for p in self.matrices if p.grad is not None]
        for p, update in zip(used, self.updates(), strict=True):
            p.mul_(1 - lr * self.weight_decay).add_(update, alpha=-lr)

    def updates(self) -> list[torch.Tensor]:
        """Of the matrices that have a gradient: brought to full size, what is left of the others' momenta would carry
        those away. The momenta go on in every process, so that the state is whole in each."""
        parts = []
        for p, momentum, owner in zip(self.matrices, self.momenta, self.owners):
            if p.grad is None:
                continue
            momentum.mul_(self.MOMENTUM).add_(p.grad)
            if owner == self.rank:
                g = (p.grad + self.MOMENTUM * momentum).reshape(p.shape[0], -1)
                parts.append((orthogonalize(g) * (self.SIZE * math.sqrt(max(g.shape)))).view_as(p))
            else:
                parts.append(torch.zeros_like(p))
        if self.processes == 1:
            return parts
        flat = torch.cat([part.flatten() for part in parts])
        dist.all_reduce(flat)
        return [whole.view_as(part) for whole, part in zip(flat.split([part.numel() for part in parts]), parts)]

    def state_dict(self) -> dict:
        return {"momenta": self.momenta, "adam": self.adam.state_dict()}

    def load_state_dict(self, state: dict):
        for mine, kept in zip(self.momenta, state["momenta"], strict=True):
            mine.copy_(kept)
        self.adam.load_state_dict(state["adam"])
