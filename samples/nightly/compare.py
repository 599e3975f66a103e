# SPDX-License-Identifier: Apache-2.0
"""What changed between a night's results and the baseline, and which of it is a regression.

Results of one backend ("measured") and an entry of the baseline have the same shape, see baseline.py. Every rule below
counts from its limit on: a fall of exactly 0.5 points is a regression.
"""
from __future__ import annotations

import re
from dataclasses import dataclass

QUALITY_POINTS = 0.5  # J&F of a clip, of 100
MEMORY_PERCENT = 5  # accounted peak of a clip
TIME_PERCENT = 20  # time of a clip, in units of the calibration
FRAME_POINTS = 5  # J of an object on one frame, of 100: names the frame, is no rule of its own
J_DECIMALS = 3  # of the curves in the baseline

INSTRUCTIONS = ("base", "avx2", "avx512")  # one of them is told, and has those before it

REGRESSION, NOTE = "regression", "note"


@dataclass(frozen=True)
class Finding:
    kind: str  # quality, memory, time, masks, failed, missing, backend, weights, options, build, new, machine, busy,
    # pictures
    severity: str
    backend: str
    clip: str  # "": the backend as a whole
    text: str
    frame: int | None = None

    def line(self) -> str:
        where = f"{self.backend} {self.clip}".rstrip()
        return f"{self.severity.upper()} {where}: {self.text}"


def regressions(findings: list[Finding]) -> list[Finding]:
    return [f for f in findings if f.severity == REGRESSION]


# --- curves of J ---


@dataclass(frozen=True)
class Change:
    object_id: int
    frame: int
    before: float
    after: float

    def text(self) -> str:
        return f"object {self.object_id}: J {100 * self.before:.1f} -> {100 * self.after:.1f}"


def frame_changes(before: dict, after: dict) -> list[Change]:
    """Frames on which an object's J counts in both and differs by what the baseline's decimals show, in order."""
    curves = {o["id"]: dict(zip(o["index"], o["J"])) for o in before["objects"]}
    changes = []
    for o in after["objects"]:
        curve = curves.get(o["id"], {})
        for frame, j in zip(o["index"], o["J"]):
            old = curve.get(frame)
            if j is not None and old is not None and round(j, J_DECIMALS) != round(old, J_DECIMALS):
                changes.append(Change(o["id"], frame, old, j))
    return sorted(changes, key=lambda c: (c.frame, c.object_id))


def points_lost(change: Change) -> float:
    return round(100 * (change.before - change.after), 6)


def first_change(before: dict, after: dict) -> tuple[int | None, str]:
    """The frame to look at first, and why: where an object falls by more than FRAME_POINTS, else where J differs."""
    changes = frame_changes(before, after)
    fall = next((c for c in changes if points_lost(c) > FRAME_POINTS), None)
    if fall:
        return fall.frame, f"first fall of more than {FRAME_POINTS} points on frame {fall.frame}, {fall.text()}"
    if not changes:
        return None, f"J of every frame is the same to {J_DECIMALS} decimals"
    most, first = max(changes, key=points_lost), changes[0]
    return first.frame, (f"no frame falls by more than {FRAME_POINTS} points; J differs first on frame {first.frame}, "
                         f"{first.text()}, most on frame {most.frame}, {most.text()}")


# --- rules for one clip ---


@dataclass(frozen=True)
class Sameness:
    """What may be compared bit for bit, or by the clock."""

    masks: bool
    times: bool


def quality_rule(before: dict, after: dict) -> str | None:
    if before["frames"] != after["frames"]:
        return f"{before['frames']} -> {after['frames']} frames"
    if before["J&F"] is None:
        return None
    if after["J&F"] is None:
        return f"J&F {100 * before['J&F']:.2f} -> none"
    lost = round(100 * (before["J&F"] - after["J&F"]), 6)
    if lost < QUALITY_POINTS:
        return None
    return (f"J&F {100 * before['J&F']:.2f} -> {100 * after['J&F']:.2f}, {-lost:+.2f} points "
            f"(limit -{QUALITY_POINTS})")


def memory_rule(before: dict, after: dict) -> str | None:
    old, new = before["peak_bytes"], after["peak_bytes"]
    if not old:
        return None
    if not new:
        return f"accounted peak {old} bytes -> not told"
    if 100 * new < (100 + MEMORY_PERCENT) * old:
        return None
    return f"accounted peak {old} -> {new} bytes, +{100 * (new - old) / old:.1f} % (limit +{MEMORY_PERCENT} %)"


def time_rule(before: dict, after: dict) -> str | None:
    old, new = before["time_ratio"], after["time_ratio"]
    if not old or not new or round(new / old, 6) < 1 + TIME_PERCENT / 100:
        return None
    return (f"time {old:.2f} -> {new:.2f} calibration units, +{100 * (new - old) / old:.1f} % "
            f"(limit +{TIME_PERCENT} %)")


def frame_in(text: str) -> int | None:
    found = re.search(r"\bframe (\d+)", text)
    return int(found.group(1)) if found else None


def compare_clip(backend: str, name: str, before: dict, after: dict, same: Sameness) -> list[Finding]:
    def regression(kind: str, text: str, frame: int | None = None) -> Finding:
        return Finding(kind, REGRESSION, backend, name, text, frame)

    if after.get("error"):
        return [regression("failed", f"failed: {after['error']}", frame_in(after["error"]))]
    findings = []
    frame, where = first_change(before, after)
    quality = quality_rule(before, after)
    if quality:
        findings.append(regression("quality", f"{quality}; {where}", frame))
    elif same.masks and before["mask_hash"] != after["mask_hash"]:
        findings.append(regression("masks", f"masks are not the baseline's (hash {after['mask_hash']}, was "
                                            f"{before['mask_hash']}); {where}", frame))
    if memory := memory_rule(before, after):
        findings.append(regression("memory", memory))
    if same.times and after.get("quiet", True) and (time := time_rule(before, after)):
        findings.append(regression("time", time))
    return findings


# --- a backend ---


def hardware(machine: str) -> str:
    """Of the line `machine` of a result, "HARDWARE; BUILD": what the build does not change."""
    return machine.split("; ")[0]


def abilities(machine: str) -> set[str]:
    """What the CPU backend of that build says it uses, without versions: of "...; cpu (oneDNN 2.6.3, avx512, bf16), ref"
    {"oneDNN", "avx512", "bf16"}."""
    found = re.search(r"\bcpu \(([^)]*)\)", machine.partition("; ")[2])
    words = {word.strip().split()[0] for word in found[1].split(",") if word.strip()} if found else set()
    return words | {lower for i, name in enumerate(INSTRUCTIONS) if name in words for lower in INSTRUCTIONS[:i]}


def compare_build(backend: str, before: str, after: str) -> list[Finding]:
    """Lines `machine` that differ: a build that lost something on the same hardware is no other machine."""
    lost = abilities(before) - abilities(after) if hardware(before) == hardware(after) else set()
    if lost:
        return [Finding("build", REGRESSION, backend, "", f"no {', '.join(sorted(lost))} any more, by the build or "
                        f"the machine: {after.partition('; ')[2]}, the baseline's on the same hardware "
                        f"{before.partition('; ')[2]} (--update-baseline, if it is meant)")]
    return [Finding("machine", NOTE, backend, "", f"the baseline is of another machine or build ({before}; this is "
                                                  f"{after}): masks and times are not compared")]


def compare_use(backend: str, before: dict, after: dict) -> list[Finding]:
    """The model and the options the curves were made with."""
    findings = []
    for kind, what in (("weights", "weights of the model"), ("options", "options")):
        if before[kind] != after[kind]:
            findings.append(Finding(kind, REGRESSION, backend, "", f"{what} changed: {after[kind]}, the baseline has "
                                    f"{before[kind]}; masks are not compared (--update-baseline, if it is meant)"))
    return findings


def new_clips(backend: str, before: dict, after: dict) -> list[Finding]:
    out = []
    for name, clip in after["clips"].items():
        if name in before["clips"]:
            continue
        if clip.get("error"):
            out.append(Finding("failed", REGRESSION, backend, name, f"failed: {clip['error']}",
                               frame_in(clip["error"])))
        else:
            out.append(Finding("new", NOTE, backend, name, "new clip, the baseline does not have it"))
    return out


def compare_backend(measured: dict, entry: dict | None, chosen: set[str] | None = None) -> list[Finding]:
    """entry: of the baseline, None: it has none of this backend. chosen: the clips asked for, None: all."""
    backend = measured["backend"]
    if entry is None:
        empty = {"clips": {}}
        return [Finding("new", NOTE, backend, "", "the baseline does not have this backend: nothing to compare with"),
                *(f for f in new_clips(backend, empty, measured) if f.severity == REGRESSION)]
    if measured["weights"] is None:  # no clip came as far as to say what it ran on
        measured = measured | {field: entry[field] for field in ("machine", "weights", "options")}
    machine_is_same = measured["machine"] == entry["machine"]
    findings = compare_use(backend, entry, measured)
    same = Sameness(masks=machine_is_same and not findings,
                    times=machine_is_same and measured["calibration"] == entry["calibration"])
    if not machine_is_same:
        findings += compare_build(backend, entry["machine"], measured["machine"])
    elif not same.times:
        findings.append(Finding("machine", NOTE, backend, "", "the calibration is not the baseline's: times are not "
                                                              "compared"))
    busy = [name for name, clip in measured["clips"].items() if not clip.get("quiet", True)]
    if same.times and busy:
        findings.append(Finding("busy", NOTE, backend, "", f"others used the machine: times of {len(busy)} of "
                                f"{len(measured['clips'])} clips are not compared"))
    for name, before in entry["clips"].items():
        if chosen is not None and name not in chosen:
            continue
        if name not in measured["clips"]:
            findings.append(Finding("missing", REGRESSION, backend, name, "missing clip, the baseline has it"))
        else:
            findings += compare_clip(backend, name, before, measured["clips"][name], same)
    return findings + new_clips(backend, entry, measured)


def missing_backends(entries: list[dict], machine: str, ran: set[str]) -> list[Finding]:
    """Backends that the baseline has of this machine or, if it has none of it, of its hardware, and that did not run."""
    here = [e for e in entries if e["machine"] == machine] or \
           [e for e in entries if hardware(e["machine"]) == hardware(machine)]
    return [Finding("backend", REGRESSION, name, "", "did not run, the baseline has it of this machine")
            for name in sorted({e["backend"] for e in here} - ran)]
