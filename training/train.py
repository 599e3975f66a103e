# SPDX-License-Identifier: Apache-2.0
"""Trains the demo model: `python train.py --out runs/demo` from nothing, the same line again to go on after a break.

A step's data depend on the seed, the process and the number of the step alone and the state file holds everything else,
so a run that was broken off ends as one that was not (same machine, same options; others are told when it goes on). It is
written where no clip is under way: of stages whose clips go over several steps, before and after.
"""
import argparse
import json
import math
import os
import signal
import sys
import time
from pathlib import Path

# One thread for every process: the products are small. Before numpy and torch are loaded.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

import architecture
import products
from curriculum import (CURRICULA, WHOLE_WAY, Batch, Batches, Stage, between, chunk_of, first_with_memories, in_order,
                        is_seam, n_steps, next_seam, stage_at)
from following import Following
from losses import Affinity
from optimizer import Muon
from pointers import wake
from rollout import Outcome, Rollout, Weights, watch_decoder

AVERAGE = 0.998  # decay of the averaged weights, which are what is exported
SAME = ("processes", "threads", "precision", "device", "rate", "weight_decay", "clip", "warmup")  # or a run is another one


class Trainer:
    """The state of one process: all hold the same weights."""

    def __init__(self, args, rank: int):
        self.args, self.rank = args, rank
        self.device = torch.device(args.device)
        self.stages = CURRICULA[args.curriculum]
        torch.manual_seed(args.seed)
        known = [path for path in (args.state, args.start) if path and path.exists()]
        self.architecture = architecture.of_file(known[0]) if known else architecture.DEMO
        self.model = architecture.build(self.architecture)
        architecture.initialize(self.model)
        self.affinity = Affinity.of(self.architecture)
        if args.start and not args.state.exists():
            self.start_from(args.start)
        self.model.to(self.device).train()
        self.affinity.to(self.device)
        watch_decoder(self.model)
        named = list(self.model.named_parameters()) + [("affinity." + n, p) for n, p in self.affinity.named_parameters()]
        self.parameters = [p for _, p in named]
        self.optimizer = Muon(named, args.weight_decay, rank, args.processes)
        self.average = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        self.n_done, self.seconds = 0, 0.0
        self.following = Following()
        self.asked_to_stop = self.stopped = False  # this process, by a signal; all of them, after the same step
        if args.state.exists():
            self.load()

    # --- the state file ---

    def start_from(self, path: Path):
        """Averaged weights of another run's state, as they are exported, or a model without the affinity loss's heads."""
        if path.suffix == ".safetensors":
            self.model.load_state_dict(architecture.load(str(path)).state_dict())
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
            self.take_weights(state | {"model": state["average"]})

    def take_weights(self, state: dict):
        self.model.load_state_dict(state["model"])
        self.affinity.load_state_dict(state["affinity"])

    def load(self):
        state = torch.load(self.args.state, map_location="cpu", weights_only=True)
        for what, mine in (("curriculum", self.args.curriculum), ("seed", self.args.seed)):
            if state[what] != mine:
                raise SystemExit(f"{self.args.state}: made with --{what} {state[what]}, expected {mine}")
        if self.rank == 0:
            self.tell_of_changes(state.get("options", {}))
        self.take_weights(state)
        self.optimizer.load_state_dict(state["optimizer"])
        self.average = {name: value.to(self.device) for name, value in state["average"].items()}
        self.n_done, self.seconds = state["n_done"], state["seconds"]

    def tell_of_changes(self, before: dict):
        for name, value in before.items():
            if value != getattr(self.args, name):
                print(f"{self.args.state}: until here with --{name.replace('_', '-')} {value}, from here with "
                      f"{getattr(self.args, name)}: ends otherwise than without a break", file=sys.stderr, flush=True)

    def save(self):
        if self.rank:
            return
        temporary = self.args.state.with_suffix(".tmp")
        torch.save({"curriculum": self.args.curriculum, "seed": self.args.seed, "n_done": self.n_done,
                    "seconds": self.seconds, "architecture": self.architecture, "model": self.model.state_dict(),
                    "affinity": self.affinity.state_dict(), "average": self.average,
                    "optimizer": self.optimizer.state_dict(),
                    "options": {name: getattr(self.args, name) for name in SAME}}, temporary)
        os.replace(temporary, self.args.state)

    # --- a step ---

    def step(self, batch: Batch | None) -> tuple[Outcome, dict]:
        stage, share = stage_at(self.stages, self.n_done)
        self.model.set_image_size(stage.size)
        if self.args.curriculum == "from-nothing" and self.n_done == first_with_memories(self.stages):
            self.wake_pointers()
        weights = Weights(stage.alpha, stage.bce * (1 - share), stage.affinity, stage.absent)
        autocast = self.args.precision == "bf16" and self.device.type != "cpu"  # on a processor: products.use_bf16
        batch, before = self.follow(batch, stage) if stage.chunk else (batch, None)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=autocast):
            rollout = Rollout(self.model, self.affinity, batch, weights, between(stage.truth_in_memory, share), stage.silent)
            outcome = rollout.run(before)
        if stage.chunk:
            self.following.keep(rollout.memory)
        self.optimizer.zero_grad()
        outcome.loss.backward()
        norm = self.share_gradients()
        rate = self.args.rate * between(stage.rate, share) * min(1.0, (self.n_done + 1) / self.args.warmup)
        if math.isfinite(norm):
            self.optimizer.step(rate)
            self.update_average()
        self.n_done += 1
        return outcome, {"stage": stage.name, "prompt": batch.prompt, "rate": rate, "norm": norm,
                         "frames": batch.images.shape[0] * batch.images.shape[1] * self.args.processes}

    def follow(self, batch: Batch | None, stage: Stage) -> tuple[Batch, dict]:
        if is_seam(self.stages, self.n_done):
            self.following = Following()
        rng = np.random.default_rng([self.args.seed, self.rank, 3, self.n_done])
        return self.following.next(batch, stage, chunk_of(self.stages, self.n_done)[0], rng)

    def wake_pointers(self):
        """By the same clips in all processes."""
        batch = Batches(self.stages, self.args.seed, 0).batch(self.n_done)
        wake(self.model, Rollout(self.model, self.affinity, batch, Weights(0.25, 0.0, 0.0), 0.0).run)

    def share_gradients(self) -> float:
        """Mean over the processes, clipped; none for a parameter that no process used. The norm before clipping is the
        same in all of them."""
        flat = torch.cat([torch.zeros_like(p).flatten() if p.grad is None else p.grad.flatten() for p in self.parameters])
        flat = torch.cat([flat, flat.new_tensor([float(self.asked_to_stop)])])
        if self.args.processes > 1:
            dist.all_reduce(flat)
            flat /= self.args.processes
        self.stopped = float(flat[-1]) > 0
        flat = flat[:-1]
        norm = float(flat.norm())
        flat *= min(1.0, self.args.clip / (norm + 1e-6))
        at = 0
        for p in self.parameters:
            mean = flat[at:at + p.numel()].view_as(p)
            p.grad = mean if mean.any() else None
            at += p.numel()
        return norm

    @torch.no_grad()
    def update_average(self):
        keep = self.n_done / (self.n_done + 1) if self.args.curriculum in WHOLE_WAY else \
            min(AVERAGE, (1 + self.n_done) / (20 + self.n_done))  # short at first, when nothing is worth keeping
        for name, value in self.model.state_dict().items():
            self.average[name].lerp_(value, 1 - keep) if value.is_floating_point() else self.average[name].copy_(value)


class Log:
    """One JSON line per so many steps: means since the line before."""

    def __init__(self, path: Path):
        self.file = open(path, "a", buffering=1)
        self.clear()

    def clear(self):
        self.lines, self.overlaps, self.counts = [], {}, [0, 0, 0, 0]
        self.since = time.time()

    def add(self, outcome: Outcome, facts: dict):
        self.lines.append({**outcome.parts, "loss": float(outcome.loss.detach()), **facts})
        if facts["prompt"] == "box":
            for t, total, n in outcome.overlaps:
                before = self.overlaps.get(t, (0.0, 0))
                self.overlaps[t] = (before[0] + total, before[1] + n)
        for i, n in enumerate((outcome.n_presence_right, outcome.n_frames, outcome.n_absent_right, outcome.n_absent)):
            self.counts[i] += n

    def write(self, trainer: Trainer):
        last, n = self.lines[-1], len(self.lines)
        means = {k: round(sum(line[k] for line in self.lines) / n, 5)
                 for k in last if isinstance(last[k], float)}
        right, all_, absent_right, absent = self.counts
        line = {"step": trainer.n_done, "stage": last["stage"], "minutes": round(trainer.seconds / 60, 2),
                "frames_per_second": round(sum(x["frames"] for x in self.lines) / (time.time() - self.since), 2), **means,
                "J": [round(total / n_, 3) if n_ else None for _, (total, n_) in sorted(self.overlaps.items())],
                "presence_right": round(right / max(all_, 1), 3),
                "absent_right": round(absent_right / absent, 3) if absent else None, "absent": absent}
        text = json.dumps(line)
        self.file.write(text + "\n")
        print(text, flush=True)
        self.clear()


def on_signals(handler):
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handler)


def work(rank: int, args) -> bool:
    """One process. True: it was stopped by a signal, after the same step as the others."""
    torch.set_num_threads(args.threads)
    architecture.use_real_rope()
    if args.precision == "bf16" and args.device == "cpu":
        products.use_bf16()
    if args.processes > 1:
        dist.init_process_group("gloo", init_method=f"file://{args.meeting}", rank=rank, world_size=args.processes)
    trainer = Trainer(args, rank)

    def stop(*_):
        trainer.asked_to_stop = True

    on_signals(stop)
    log = Log(args.out / "log.jsonl") if rank == 0 else None
    end = next_seam(trainer.stages, min(n_steps(trainer.stages), trainer.n_done + args.stop_after))
    saved = time.time()
    batches = in_order(Batches(trainer.stages, args.seed, rank), range(trainer.n_done, end), args.workers)
    while trainer.n_done < end and not trainer.stopped:
        began = time.time()
        outcome, facts = trainer.step(next(batches))
        trainer.seconds += time.time() - began
        if rank:
            continue
        log.add(outcome, facts)
        if trainer.n_done % args.log_every == 0:
            log.write(trainer)
        if time.time() - saved > args.save_every and is_seam(trainer.stages, trainer.n_done):
            trainer.save()
            saved = time.time()
    if is_seam(trainer.stages, trainer.n_done):
        trainer.save()
    return trainer.stopped


def parse() -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", type=Path, default=Path("runs/demo"), help="folder of the state and the log")
    p.add_argument("--curriculum", choices=CURRICULA, default="from-nothing")
    p.add_argument("--start", type=Path, help="a state.pt, or a model, whose weights a new run begins with")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--device", default="cpu", help="cpu, or cuda (not run on a card yet)")
    p.add_argument("--precision", choices=("f32", "bf16"), default="f32",
                   help="bf16: of products, for a card or a processor with instructions for it")
    p.add_argument("--processes", type=int, help="each with clips of its own; 2 on the processor, 1 on a card")
    p.add_argument("--threads", type=int, default=1, help="of each process")
    p.add_argument("--workers", type=int, default=0, help="further processes that make clips ahead, for each process")
    p.add_argument("--rate", type=float, default=1.2e-3, help="learning rate")
    p.add_argument("--weight-decay", type=float, default=0.05)
    p.add_argument("--clip", type=float, default=1.0, help="largest norm of the gradient")
    p.add_argument("--warmup", type=int, default=150, help="steps")
    p.add_argument("--log-every", type=int, default=25, help="steps")
    p.add_argument("--stop-after", type=int, default=10 ** 9, help="steps, to go on later; more where clips are under way")
    p.add_argument("--save-every", type=float, default=120, help="seconds")
    args = p.parse_args()
    args.processes = args.processes or (2 if args.device == "cpu" else 1)
    args.out.mkdir(parents=True, exist_ok=True)
    args.state = args.out / "state.pt"
    if args.curriculum in ("onward", *WHOLE_WAY) and not args.start and not args.state.exists():
        p.error(f"--curriculum {args.curriculum}: expected --start, a state or a model to go on from")
    if args.start and not args.state.exists() and not args.start.exists():
        p.error(f"--start {args.start}: not there")
    args.meeting = (args.out / "meeting").absolute()
    args.meeting.unlink(missing_ok=True)
    return args


def work_together(args) -> bool:
    """All processes; one that fails ends the others. True: they were stopped by a signal."""
    context, asked = mp.spawn(work, (args,), args.processes, join=False), []

    def pass_on(*_):
        asked.append(True)
        for process in context.processes:
            if process.is_alive():
                process.terminate()

    on_signals(pass_on)
    while not context.join():
        pass
    return bool(asked)


def main():
    args = parse()
    stopped = work_together(args) if args.processes > 1 else work(0, args)
    if stopped:
        raise SystemExit(f"stopped; {args.state} has all that is needed to go on" if args.state.exists() else
                         f"stopped before {args.state} was written for the first time")


if __name__ == "__main__":
    main()
