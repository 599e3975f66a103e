# SPDX-License-Identifier: Apache-2.0
"""What is trained on when: a list of stages, and the batch of a step. A step's batch depends on the seed, the rank and
the number of the step alone, so that a run that was broken off goes on as if it had not been."""
import signal
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image
from torch.utils.data import DataLoader

import generator

LEAST_PROMPTED = 0.003  # of the image: the smallest area that a single image is prompted for
# Scenarios in which objects get lost, and their shares: of the first object alone, of most objects, or some of each.
EVENTS = {"first": {"occlusion": 0.25, "leave": 0.25, "lookalike": 0.5},
          "most": {"vanish": 0.5, "twins": 0.4, "occlusion": 0.05, "leave": 0.05},
          "long": {"vanish": 0.25, "twins": 0.35, "lookalike": 0.2, "occlusion": 0.1, "leave": 0.1},
          "mixed": {"vanish": 0.3, "twins": 0.25, "lookalike": 0.25, "occlusion": 0.1, "leave": 0.1}}
LONGEST_GAP = 80  # frames, see Batch.gap
BANK_STEPS = 400  # after so many steps the textures are made anew


@dataclass(frozen=True)
class Stage:
    name: str
    steps: int
    size: int                      # pixels, square
    frames: int                    # of a clip; 1: single images
    clips: int                     # in a step, of each process
    objects: int                   # followed in each clip
    difficulty: tuple[float, float]  # drawn between these for every clip
    rate: tuple[float, float] = (1.0, 1.0)  # learning rate at the start and at the end, as a share of the run's
    truth_in_memory: tuple[float, float] = (0.0, 0.0)  # share of memories made of true masks, start and end
    bce: float = 0.0               # see losses.mask_losses
    alpha: float = 0.25
    affinity: float = 0.3          # weight of losses.Affinity
    silent: int = 0                # of the frames: those after the prompt that are tracked without gradients or losses
    taught: int = 0                # of the other frames: those whose encoding has gradients, the first among them; 0: all
    strides: tuple[float, float] = (1.0, 3.0)  # time from frame to frame, drawn between these for every clip
    events: float = 0.0            # share of clips that are one of EVENTS; the others are the generator's mixture
    of: str = "first"              # which of EVENTS
    absent: float = 2.0            # weight of the presence loss where an object is absent: one frame in ten is
    chunk: int = 0                 # frames of a step after the prompted one: clips go over several, see following.py; 0: one
    drawn: int = 0                 # pixels that half of the clips are drawn at, to be resized; 0: none


def between(ends: tuple[float, float], share: float) -> float:
    return ends[0] + (ends[1] - ends[0]) * share


def in_turns(n: int, rates: tuple[float, float], images: Stage, clips: Stage) -> list[Stage]:
    """n rounds of images and clips, so that neither is forgotten; the rate goes evenly from rates[0] to rates[1]."""
    share = images.steps / (images.steps + clips.steps)
    stages = []
    for number in range(n):
        start, middle, end = (between(rates, (number + x) / n) for x in (0.0, share, 1.0))
        stages += [replace(images, rate=(start, middle)), replace(clips, rate=(middle, end))]
    return stages


def far(size: int, clips: int) -> Stage:
    """Losses that begin late, on memories that have drifted as far as those of a long video do."""
    return Stage("far", 25, size, 20, clips, 4, (0.4, 1.0), silent=12, events=0.4, taught=4)


LEAPS = Stage("leaps", 50, 128, 8, 4, 4, (0.2, 1.0), strides=(1.0, 8.0), taught=4)
# From nothing, in 112 minutes on two cores with --precision bf16. Half of it at 128 pixels, where several times as many
# objects are seen in a given time; what is learnt there holds at the full size as well. "apart": frames so far apart that
# objects must be known by their looks.
FROM_NOTHING = [
    Stage("images", 1000, 128, 1, 16, 4, (0.0, 0.8), (1.0, 1.0), bce=4.0, alpha=0.5, affinity=1.0),
    Stage("apart", 300, 128, 3, 8, 4, (0.0, 0.8), (1.0, 1.0), (0.8, 0.2), bce=2.0, alpha=0.4, affinity=0.6,
          strides=(1.0, 20.0)),
    *in_turns(4, (1.0, 1.0), Stage("fine", 25, 128, 1, 16, 4, (0.2, 1.0)), LEAPS),
    *in_turns(5, (1.0, 1.0), Stage("fine", 50, 128, 1, 16, 4, (0.2, 1.0)), LEAPS),
    *in_turns(8, (1.0, 0.75), Stage("fine", 50, 128, 1, 16, 4, (0.3, 1.0)), far(128, 3)),
    *in_turns(13, (0.75, 0.23), Stage("fine", 40, 192, 1, 8, 4, (0.3, 1.0)), far(192, 2)),
    *in_turns(9, (0.23, 0.0), Stage("fine", 30, 256, 1, 8, 4, (0.3, 1.0)), far(256, 2)),
]


IMAGES = Stage("fine", 20, 256, 1, 8, 4, (0.3, 1.0))
CLIPS = Stage("late", 30, 256, 20, 2, 4, (0.5, 1.0), silent=12, events=0.6, of="most", taught=4)
# On from a trained state, as often as wanted: where much is seen in a given time, then towards the size of tracking.
ONWARD = [*in_turns(14, (0.7, 0.46), replace(IMAGES, size=192), replace(CLIPS, size=192)),
          *in_turns(6, (0.46, 0.26), IMAGES, CLIPS),
          *in_turns(5, (0.26, 0.0), replace(IMAGES, size=320), replace(CLIPS, size=320))]
# On from a mean of trained states (export.py --mean-with), at one rate: what counts is the mean of its way. To be
# broken off at any time.
STEADY_IMAGES = replace(IMAGES, difficulty=(0.6, 1.0), affinity=0.0, drawn=256)
STEADY_CLIPS = replace(CLIPS, difficulty=(0.75, 1.0), affinity=0.0, drawn=256, of="mixed", absent=3.0)
STEADY = [stage for size in 50 * (384, 256, 320)
          for stage in in_turns(1, (0.3, 0.3), replace(STEADY_IMAGES, size=size), replace(STEADY_CLIPS, size=size))]
# As STEADY, but that clips are 65 frames long.
FOLLOW_CLIPS = replace(STEADY_CLIPS, name="follow", steps=32, frames=65, silent=0, taught=5, chunk=8, strides=(1.0, 1.6),
                       events=0.65, of="long", rate=(0.35, 0.35))
FOLLOW = [stage for size in 50 * (256, 320, 256, 256, 384)
          for stage in (replace(STEADY_IMAGES, size=size, steps=12, rate=(0.35, 0.35)), replace(FOLLOW_CLIPS, size=size))]
# Seconds, not minutes: for the tests.
SMOKE = [
    Stage("images", 4, 64, 1, 4, 2, (0.0, 0.5), (1.0, 1.0), bce=4.0, alpha=0.5, affinity=1.0),
    Stage("clips", 4, 64, 3, 1, 2, (0.0, 1.0), (1.0, 0.5), (0.5, 0.0)),
    Stage("follow", 4, 64, 5, 1, 2, (0.0, 1.0), (0.5, 0.0), chunk=2),
]
CURRICULA = {"from-nothing": FROM_NOTHING, "onward": ONWARD, "steady": STEADY, "follow": FOLLOW, "smoke": SMOKE}
WHOLE_WAY = ("steady", "follow")  # those whose averaged weights are the mean over all steps


def stage_at(stages: list[Stage], step: int) -> tuple[Stage, float]:
    """The stage of a step, and how far through it the step is, 0..1."""
    for stage in stages:
        if step < stage.steps:
            return stage, step / stage.steps
        step -= stage.steps
    raise IndexError("past the last step")


def chunk_of(stages: list[Stage], step: int) -> tuple[int, int]:
    """The slot whose turn it is in this step, and which chunk of its clips. They all begin and end with the stage."""
    stage, share = stage_at(stages, step)
    n_slots = stage.steps * stage.chunk // (stage.frames - 1)
    chunk, slot = divmod(round(share * stage.steps), n_slots)
    return slot, chunk


def is_seam(stages: list[Stage], step: int) -> bool:
    """No clip is under way before this step."""
    stage, share = stage_at(stages, step) if step < n_steps(stages) else (stages[0], 0.0)
    return not stage.chunk or share == 0


def next_seam(stages: list[Stage], step: int) -> int:
    """The first seam from this step on."""
    return next(n for n in range(step, n_steps(stages) + 1) if is_seam(stages, n))


def first_with_memories(stages: list[Stage]) -> int:
    """The number of the first step whose clips have more than one frame."""
    return n_steps(stages[:next(i for i, stage in enumerate(stages) if stage.frames > 1)])


def n_steps(stages: list[Stage]) -> int:
    return sum(stage.steps for stage in stages)


PROMPTS = ("box", "click", "clicks", "mask")
PROMPT_SHARES = {True: (0.72, 0.12, 0.06, 0.10), False: (0.75, 0.15, 0.10, 0.0)}  # of clips, of single images


@dataclass
class Batch:
    images: np.ndarray  # [B, T, S, S, 3] uint8
    masks: np.ndarray   # [B, O, T, S, S] uint8 0/1
    ids: np.ndarray     # [B, T, S, S] uint8, all objects, 0 = background
    prompt: str         # one of PROMPTS
    coordinates: np.ndarray | None  # [B * O, P, 2] pixels: corners of the box, or clicks
    labels: np.ndarray | None       # [B * O, P]: 2 and 3 = corners, 1 and 0 = on and beside the object
    draws: np.ndarray   # [T, B * O] 0..1, to choose memories made of true masks
    taught: tuple[int, ...]  # frames whose encoding has gradients
    spoils: np.ndarray | None = None  # [T, B * O, 5] 0..1, see Rollout.spoiled
    gap: int = 0        # frames between the first and the others that nobody has seen: its memory is so much older
    indices: tuple[int, ...] = ()  # of the frames in their clips; (): all of them
    goes_on: bool = False  # the last frame's memory is wanted, too


class Batches:
    """batch(step) of one process; as a data set its elements are the batches."""

    def __init__(self, stages: list[Stage], seed: int, rank: int, n_textures: int = 160):
        self.stages, self.seed, self.rank, self.n_textures = stages, seed, rank, n_textures
        self.bank, self.bank_number = None, -1

    def __getitem__(self, step: int) -> Batch | None:
        return self.batch(step)

    def textures(self, step: int) -> generator.TextureBank:
        number = step // BANK_STEPS
        if number != self.bank_number:
            seed = int(np.random.SeedSequence([self.seed, self.rank, 1, number]).generate_state(1)[0])
            self.bank, self.bank_number = generator.TextureBank(seed, n=self.n_textures), number
        return self.bank

    def batch(self, step: int) -> Batch | None:
        """None: the step goes on with the clips of an earlier one."""
        stage, _ = stage_at(self.stages, step)
        if stage.chunk and chunk_of(self.stages, step)[1] > 0:
            return None
        rng = np.random.default_rng([self.seed, self.rank, 2, step])
        bank = self.textures(step)
        clips = self.clips(rng, bank, stage)
        images, masks, ids = (np.stack(arrays) for arrays in zip(*clips))
        prompt = str(rng.choice(PROMPTS, p=PROMPT_SHARES[stage.frames > 1]))
        coordinates, labels = self.prompts(rng, masks[:, :, 0].reshape(-1, stage.size, stage.size), prompt)
        draws = rng.random((stage.frames, masks.shape[0] * masks.shape[1]))
        gap = int(rng.integers(LONGEST_GAP)) if rng.random() < 0.5 else 0
        spoils = rng.random((stage.frames, masks.shape[0] * masks.shape[1], 5))
        return Batch(images, masks, ids, prompt, coordinates, labels, draws, self.taught(rng, stage, stage.frames),
                     spoils, gap)

    @staticmethod
    def taught(rng, stage: Stage, n_frames: int) -> tuple[int, ...]:
        later = range(1 + stage.silent, n_frames)
        if stage.taught:
            later = np.sort(rng.choice(later, stage.taught - 1, replace=False)).tolist()
        return 0, *later

    @staticmethod
    def clips(rng, bank, stage: Stage) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """images, masks and ids of stage.clips clips. Single images are frames of one scene far apart: planning a scene
        costs more than drawing it."""
        found = []
        n_frames, strides = (4, (6, 10)) if stage.frames == 1 else (stage.frames, stage.strides)
        while len(found) < stage.clips:
            event = rng.random() < stage.events
            events = EVENTS[stage.of]
            scenario = str(rng.choice(list(events), p=list(events.values()))) if event else None
            drawn = stage.drawn if stage.drawn and rng.random() < 0.5 else stage.size
            c = generator.make_clip(rng, bank, n_frames, drawn, stage.objects, scenario=scenario,
                                    difficulty=rng.uniform(*stage.difficulty), stride=rng.uniform(*strides))
            images, masks, ids = resized(c, stage.size)
            if stage.frames > 1:
                found.append((images, masks, ids))
                continue
            seen = masks.sum((2, 3), dtype=np.int64).min(0) >= LEAST_PROMPTED * stage.size ** 2
            found += [(images[t:t + 1], masks[:, t:t + 1], ids[t:t + 1]) for t in np.flatnonzero(seen)]
        return found[:stage.clips]

    @staticmethod
    def prompts(rng, masks: np.ndarray, prompt: str):
        """masks: [N, S, S] of the first frame."""
        if prompt == "mask":
            return None, None
        if prompt == "box":
            corners = np.stack([generator.box_prompt(rng, m) for m in masks]).reshape(-1, 2, 2)
            return corners, np.tile(np.array([2, 3], np.int32), (len(masks), 1))
        n = 1 if prompt == "click" else 2
        clicks = [[click(rng, m, on=i == 0 or rng.random() < 0.6) for i in range(n)] for m in masks]
        return (np.array([[c[:2] for c in row] for row in clicks], np.float32),
                np.array([[c[2] for c in row] for row in clicks], np.int32))


def resized(clip: generator.Clip, side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images, masks and ids of a square clip at another size: images as for tracking, the rest by the nearest pixel."""
    before = clip.ids.shape[-1]
    if before == side:
        return clip.images, clip.masks, clip.ids
    images = np.stack([np.asarray(Image.fromarray(frame).resize((side, side))) for frame in clip.images])
    at = (2 * np.arange(side) + 1) * before // (2 * side)
    return images, clip.masks[..., at[:, None], at], clip.ids[..., at[:, None], at]


def click(rng, mask: np.ndarray, on: bool) -> tuple[float, float, int]:
    ys, xs = np.nonzero(mask == int(on))
    i = int(rng.integers(len(ys)))
    return xs[i] + 0.5, ys[i] + 0.5, int(on)


def in_order(batches: Batches, steps: range, workers: int) -> Iterator[Batch | None]:
    """The batches of these steps, the same for any number of workers: processes that make them ahead. 0: made here."""
    return iter(DataLoader(batches, batch_size=None, sampler=steps, num_workers=workers, collate_fn=as_it_is,
                           worker_init_fn=leave_signals, multiprocessing_context="spawn" if workers else None))


def as_it_is(batch: Batch | None) -> Batch | None:
    return batch


def leave_signals(_):
    """They may reach every process: the one that trains ends its step, and its workers with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
