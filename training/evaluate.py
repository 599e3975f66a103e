# SPDX-License-Identifier: Apache-2.0
"""How well a model follows objects: `python evaluate.py MODEL.safetensors` on generated clips that no training has seen,
`python evaluate.py MODEL.safetensors --manifest DIR/manifest.json` on clips in files. By the official predictor's own
loop, free running, from a box on the first frame (or on the object's own); J as DAVIS defines it.

`python evaluate.py --results R.json` gives the same summary of what `track eval --out R.json` found, and `--against R.json`
compares the two, clip by clip (videos: with `--dump-frames`, so that both see the same pixels).

Scores leave the prompted frame out, which `track eval`'s own means of a manifest's clips have in. "recovered": of the
times an object is gone for three frames or more and then is back for eleven, those where mean J of the fourth to the
eleventh frame after its return is at least 0.5.
"""
import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import architecture
import generator
from clips import read_manifest_clip
from official_loop import follow

HELD_OUT_SEED = 20240807
GONE, BACK, BACK_FROM = 3, 11, 3  # frames
LAST = 10
SAME_J = 0.002  # of a clip, by two programs with the same weights


@dataclass
class Track:
    clip: str
    object: int
    j: np.ndarray        # [T - 1], frames after the prompt
    present: np.ndarray  # [T - 1] bool

    def recoveries(self) -> list[bool]:
        edges = np.flatnonzero(np.diff(np.concatenate([[1], self.present, [1]])))
        gone = [(a, b) for a, b in zip(edges[::2], edges[1::2]) if b - a >= GONE]
        return [bool(self.j[b + BACK_FROM:b + BACK].mean() >= 0.5) for _, b in gone
                if b + BACK <= len(self.present) and self.present[b:b + BACK].all()]


def overlap(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """J of each frame: [T, H, W] bool -> [T]; two empty masks: 1."""
    both, either = (found & truth).sum((1, 2)), (found | truth).sum((1, 2))
    return np.where(either > 0, both / np.maximum(either, 1), 1.0)


def score(name: str, found: np.ndarray, truth: np.ndarray, prompts) -> list[Track]:
    """found, truth: [O, T, H, W] bool. Where objects overlap (of equal logits), the lower one has the pixel."""
    taken = np.zeros(found.shape[1:], bool)
    tracks = []
    for i, (id_, frame, _) in enumerate(prompts):
        mine = found[i] & ~taken
        taken |= found[i]
        after = slice(frame + 1, None)
        tracks.append(Track(name, id_, overlap(mine, truth[i])[after], truth[i][after].any((1, 2))))
    return tracks


def held_out(n_clips: int, n_frames: int, size: int, difficulty: float):
    """(name, frames, truth, prompts) of clips that no training draws: its seeds are sequences, these are numbers."""
    bank = generator.TextureBank(HELD_OUT_SEED, n=200)
    for i in range(n_clips):
        rng = np.random.default_rng(HELD_OUT_SEED + 1 + i)
        clip = generator.make_clip(rng, bank, n_frames, size, 2, difficulty=difficulty)
        prompts = [(o + 1, 0, generator.box_prompt(rng, m[0]).tolist()) for o, m in enumerate(clip.masks)]
        yield f"held-out-{i:03d}", list(clip.images), clip.masks.astype(bool), prompts


def read_results(path: Path) -> list[Track]:
    """Of a file of `track eval` on a manifest, the frame of each prompt left out."""
    tracks = []
    for clip in json.loads(path.read_text())["clips"]:
        for o in clip["objects"]:
            after = [i for i, frame in enumerate(o["frames"]["index"]) if frame > o["first_frame"]]
            j, present = (np.array(o["frames"][key])[after] for key in ("J", "present"))
            tracks.append(Track(clip["name"], o["id"], j.astype(float), present.astype(bool)))
    return tracks


def differences(tracks: list[Track], others: list[Track]) -> dict[str, float]:
    """By clip, mean J over its objects of others less that of tracks, which have the same objects and frames."""
    there = {(t.clip, t.object): t for t in others}
    if {(t.clip, t.object, len(t.j)) for t in tracks} != {(t.clip, t.object, len(t.j)) for t in others}:
        raise SystemExit("the two have other clips, objects or numbers of frames: not compared")
    found = {}
    for t in tracks:
        found.setdefault(t.clip, []).append(there[t.clip, t.object].j.mean() - t.j.mean())
    return {name: float(np.mean(of_objects)) for name, of_objects in found.items()}


def summary(tracks: list[Track]) -> dict:
    j, present = [t.j for t in tracks], [t.present for t in tracks]
    all_j, all_present = np.concatenate(j), np.concatenate(present)
    recoveries = [r for t in tracks for r in t.recoveries()]
    return {
        "tracks": len(tracks), "J": round(float(np.mean([x.mean() for x in j])), 4),
        "J_last10": round(float(np.mean([x[-LAST:].mean() for x in j])), 4),
        "J_present": round(float(all_j[all_present].mean()), 4),
        "J_absent": round(float(all_j[~all_present].mean()), 4) if (~all_present).any() else None,
        "absent": round(float((~all_present).mean()), 4), "median_track": round(float(np.median([x.mean() for x in j])), 4),
        "tracks_above_0.8": round(float(np.mean([x.mean() > 0.8 for x in j])), 4),
        "recovered": round(float(np.mean(recoveries)), 4) if recoveries else None, "recoveries": len(recoveries),
    }


def parse() -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", nargs="?", help=".safetensors with its architecture, as export.py writes it")
    p.add_argument("--results", type=Path, help="what `track eval --out` wrote, instead of a model")
    p.add_argument("--against", type=Path,
                   help=f"what `track eval --out` wrote of the same clips: exit with 1 where J differs by {SAME_J} or more")
    p.add_argument("--manifest", type=Path, help="clips in files, instead of the held-out ones")
    p.add_argument("--dump-frames", type=Path, metavar="BUILD/tests/tools/dump_frames",
                   help="reads videos as `track` does: others interpolate colours otherwise, which moves J by up to 0.02")
    p.add_argument("--clips", type=int, default=40)
    p.add_argument("--frames", type=int, default=64)
    p.add_argument("--size", type=int, default=256, help="side of the held-out frames, pixels")
    p.add_argument("--difficulty", type=float, default=1.0)
    p.add_argument("--device", default="cpu")
    p.add_argument("--out", type=Path, help="JSON with the scores of every track")
    p.add_argument("--floor", type=float, help="exit with 1 if J is below")
    args = p.parse_args()
    if (args.model is None) == (args.results is None):
        p.error("expected a model or --results")
    return args


def track_all(args) -> list[Track]:
    architecture.use_real_rope()
    model = architecture.load(args.model, non_overlap_masks=True).to(args.device)  # as `track eval`
    tracks = []
    if args.manifest:
        clips = (read_manifest_clip(args.manifest, c, args.dump_frames)
                 for c in json.loads(args.manifest.read_text())["clips"])
    else:
        clips = held_out(args.clips, args.frames, args.size, args.difficulty)
    for name, frames, truth, prompts in clips:
        tracks += score(name, follow(model, frames, prompts), truth, prompts)
        latest = [t for t in tracks if t.clip == name]
        print(name, *(f"{t.object}: {t.j.mean():.4f}" for t in latest), f"all {np.mean([t.j.mean() for t in tracks]):.4f}",
              flush=True)
    return tracks


def main():
    args = parse()
    tracks = read_results(args.results) if args.results else track_all(args)
    result = summary(tracks)
    print(json.dumps(result, indent=1))
    if args.out:
        rows = [{"clip": t.clip, "object": t.object, "J": round(float(t.j.mean()), 5),
                 "frames": [round(float(x), 4) for x in t.j]} for t in tracks]
        args.out.write_text(json.dumps({"summary": result, "tracks": rows}, indent=1) + "\n")
    if args.floor is not None and result["J"] < args.floor:
        raise SystemExit(f"{args.model or args.results}: mean J {result['J']:.4f}, expected at least {args.floor}")
    if args.against:
        found = differences(tracks, read_results(args.against))
        worst = max(found, key=lambda name: abs(np.nan_to_num(found[name], nan=np.inf)))
        print(f"{len(found)} clips; largest difference of J {found[worst]:+.5f} ({worst})")
        if not abs(found[worst]) < SAME_J:
            raise SystemExit(f"{args.against}: J of {worst} differs by {found[worst]:+.5f}, expected less than {SAME_J}")


if __name__ == "__main__":
    main()
