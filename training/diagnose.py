# SPDX-License-Identifier: Apache-2.0
"""Where a model loses objects: `python diagnose.py MODEL` (or a state.pt). Held-out clips, tracked with

    as tracked   the memories that tracking makes
    true masks   memories made of true masks: what is missing then is missing in the masks themselves
    first alone  the prompted frame's memory and no other
    astray       as tracked, but ten frames' memories are those of the clip's other object: does it come back?

J by time after the prompt; then how far objects are found from one memory, by the way they have gone, and the share of
the memory attention that object pointers have.
"""
import argparse
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

import architecture
import generator
from curriculum import Batch
from evaluate import HELD_OUT_SEED, held_out, overlap
from losses import Affinity
from pointers import Watch
from rollout import Rollout, Weights, watch_decoder

ASTRAY = range(15, 25)  # frames
SPAN = 9                # frames of a column of the table
TOGETHER = 4            # clips
APART = 50              # frames
WAYS = ((0, 1), (1, 3), (3, 5), (5, 8), (8, 99))  # tokens of STRIDE pixels


class Probe(Rollout):
    """Keeps the masks as they would be shown: found [T][N, S, S]. forget: leaves memories of the prompted frame only;
    astray: frames whose memories are those of the clip's next object."""

    def __init__(self, model, batch: Batch, truth_in_memory: float = 0.0, forget: bool = False, astray: range = range(0)):
        super().__init__(model, Affinity.of(model.architecture), batch, Weights(0.25, 0.0, 0.0), truth_in_memory)
        self.forget, self.astray, self.found = forget, astray, []

    def step(self, t, encoded, memory, judged):
        super().step(t, encoded, memory, judged)
        later = memory["non_cond_frame_outputs"]
        if self.forget:
            later.clear()
        elif t in self.astray and t < self.n_times - 1:
            for what in ("maskmem_features", "obj_ptr"):
                later[t][what] = later[t][what].unflatten(0, (self.n_clips, -1)).roll(-1, 1).flatten(0, 1)

    def judge(self, t, low):
        presence = self.model.said[2][:, 0] > 0
        shown = F.interpolate(low, size=self.truth.shape[-2:], mode="bilinear", align_corners=False)[:, 0] > 0
        self.found.append(shown & presence[:, None, None])

    def overlaps(self) -> np.ndarray:
        """J [N, T]."""
        found, truth = torch.stack(self.found, 1).numpy(), (self.truth > 0.5).numpy()
        return np.stack([overlap(f, t) for f, t in zip(found, truth)])


def as_batch(clips: list, boxes: np.ndarray) -> Batch:
    """clips: (images, masks, ids) of each; boxes [N, 4]."""
    images, masks, ids = (np.stack(arrays) for arrays in zip(*clips))
    labels = np.tile(np.array([2, 3], np.int32), (len(boxes), 1))
    n_frames = masks.shape[2]
    return Batch(images, masks, ids, "box", boxes.reshape(-1, 2, 2), labels, np.zeros((n_frames, len(boxes))),
                 tuple(range(n_frames)))


def held_out_batches(n_clips: int, n_frames: int, size: int):
    clips, boxes = [], []
    for _, frames, truth, prompts in held_out(n_clips, n_frames, size, 1.0):
        images = np.stack(frames)
        clips.append((images, truth.astype(np.uint8), np.zeros(images.shape[:3], np.uint8)))
        boxes += [box for _, _, box in prompts]
        if len(clips) == TOGETHER:
            yield as_batch(clips, np.array(boxes, np.float32))
            clips, boxes = [], []


def by_time(model, batches: list[Batch]):
    variants = {
        "as tracked": lambda b: Probe(model, b), "true masks": lambda b: Probe(model, b, 1.0),
        "first alone": lambda b: Probe(model, b, forget=True), "astray": lambda b: Probe(model, b, astray=ASTRAY),
    }
    for name, make in variants.items():
        scores = []
        for batch in batches:
            probe = make(batch)
            probe.run()
            scores.append(probe.overlaps())
        j = np.concatenate(scores).mean(0)
        spans = " ".join(f"{j[t:t + SPAN].mean():.3f}" for t in range(1, len(j), SPAN))
        print(f"{name:12} J {j[1:].mean():.3f}  prompted {j[0]:.3f}  then by {SPAN}: {spans}", flush=True)


def middles(masks: np.ndarray) -> np.ndarray:
    """[N, S, S] -> [N, 2]"""
    at = np.arange(masks.shape[-1])
    area = np.maximum(masks.sum((1, 2)), 1)
    return np.stack([(masks.sum(1) * at).sum(1) / area, (masks.sum(2) * at).sum(1) / area], 1)


def by_way(model, size: int, n_batches: int):
    """Two frames APART frames apart, the first with its true mask in the memory."""
    bank, ways, scores = generator.TextureBank(HELD_OUT_SEED, n=200), [], []
    for i in range(n_batches):
        rng = np.random.default_rng([HELD_OUT_SEED, i])
        made = [generator.make_clip(rng, bank, 2, size, 3, difficulty=0.8, stride=APART) for _ in range(16)]
        first = np.concatenate([c.masks[:, 0] for c in made])
        batch = as_batch([(c.images, c.masks, c.ids) for c in made], np.stack([generator.box_prompt(rng, m) for m in first]))
        probe = Probe(model, batch, 1.0)
        probe.run()
        last = np.concatenate([c.masks[:, 1] for c in made])
        there = last.sum((1, 2)) > 0.5 * first.sum((1, 2))
        ways += list(np.linalg.norm(middles(last) - middles(first), axis=1)[there] / architecture.STRIDE)
        scores += list(probe.overlaps()[there, 1])
    ways, scores = np.array(ways), np.array(scores)
    for low, high in WAYS:
        chosen = (low <= ways) & (ways < high)
        if chosen.any():
            print(f"{APART} frames apart, gone {low} to {high} tokens: J {scores[chosen].mean():.3f} ({chosen.sum()} objects)")


def pointers(model, batch: Batch):
    with Watch([layer.cross_attn_image for layer in model.memory_attention.layers]) as watch:
        Probe(model, batch).run()
    shares = [float(torch.stack(shares).mean()) for shares in watch.shares]
    print("share of attention that pointers have, by layer:", *(f"{share:.4f}" for share in shares))


@torch.no_grad()
def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", type=Path, help=".safetensors, or a state.pt, of which the averaged weights are taken")
    p.add_argument("--clips", type=int, default=16, help=f"a multiple of {TOGETHER}")
    p.add_argument("--frames", type=int, default=64)
    p.add_argument("--size", type=int, help="pixels, square; default: the model's")
    args = p.parse_args()
    if args.clips < TOGETHER or args.clips % TOGETHER or args.frames < 2:
        p.error(f"--clips {args.clips} --frames {args.frames}: expected a multiple of {TOGETHER} clips of 2 frames or more")
    architecture.use_real_rope()
    model = architecture.load_averaged(str(args.model))
    size = args.size or model.image_size
    model.set_image_size(size)
    watch_decoder(model)
    batches = list(held_out_batches(args.clips, args.frames, size))
    by_time(model, batches)
    by_way(model, size, max(args.clips // TOGETHER, 1))
    pointers(model, batches[0])


if __name__ == "__main__":
    main()
