# SPDX-License-Identifier: Apache-2.0
"""The baseline: a JSON file with one entry for each backend and kind of machine.

{"format": "track-baseline-1", "entries": [{"backend": , "machine": , "device": , "precision": , "model": , "weights": ,
  "options": [..], "version": , "calibration": , "clips": {NAME: {"tests": , "frames": , "J": , "F": , "J&F": ,
  "mask_hash": , "peak_bytes": , "time_ratio": , "objects": [{"id": , "index": [..], "J": [.. 3 decimals]}]}}}]}

J, F and J&F are shares of 1. What measure.py makes of a night has the same fields and more.
"""
from __future__ import annotations

import json
from pathlib import Path

from compare import J_DECIMALS, hardware
from measure import write_whole

FORMAT = "track-baseline-1"
ENTRY_FIELDS = ("backend", "machine", "device", "precision", "model", "weights", "options", "version", "calibration")
CLIP_FIELDS = ("tests", "frames", "J", "F", "J&F", "mask_hash", "peak_bytes", "time_ratio")


class BaselineError(Exception):
    pass


def read(path: Path) -> list[dict]:
    """The entries; none where there is no file."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise BaselineError(f"{path}: cannot be read: {error}") from error
    found = content.get("format") if isinstance(content, dict) else None
    if found != FORMAT:
        raise BaselineError(f"{path}: expected format {FORMAT}, found {found}")
    entries = content.get("entries")
    if not isinstance(entries, list) or not all(is_entry(entry) for entry in entries):
        raise BaselineError(f"{path}: expected entries with {', '.join(ENTRY_FIELDS)} and whole clips")
    return entries


def is_entry(entry: object) -> bool:
    return isinstance(entry, dict) and {*ENTRY_FIELDS, "clips"} <= entry.keys() and \
        isinstance(entry["clips"], dict) and all(is_clip(clip) for clip in entry["clips"].values())


def is_clip(clip: object) -> bool:
    return isinstance(clip, dict) and {*CLIP_FIELDS, "objects"} <= clip.keys()


def entry_for(entries: list[dict], backend: str, machine: str) -> dict | None:
    """The entry of this backend, of this kind of machine if there is one, or else of the same hardware."""
    of_backend = [e for e in entries if e["backend"] == backend]
    return max(of_backend, default=None,
               key=lambda e: (e["machine"] == machine, hardware(e["machine"]) == hardware(machine)))


def clip_entry(clip: dict) -> dict:
    out = {field: clip.get(field) for field in CLIP_FIELDS}
    for field in ("J", "F", "J&F"):
        out[field] = None if out[field] is None else round(out[field], 6)
    trusted = out["time_ratio"] is not None and clip.get("quiet", True)
    out["time_ratio"] = round(out["time_ratio"], 4) if trusted else None
    out["objects"] = [{"id": o["id"], "index": o["index"],
                       "J": [None if j is None else round(j, J_DECIMALS) for j in o["J"]]} for o in clip["objects"]]
    return out


def entry_of(measured: dict) -> dict:
    entry = {field: measured[field] for field in ENTRY_FIELDS}
    entry["clips"] = {name: clip_entry(clip) for name, clip in measured["clips"].items()}
    return entry


def merged(entries: list[dict], measured: list[dict]) -> list[dict]:
    """The entries with those of this machine and these backends in place of the old ones. Entries of other weights go:
    on no machine is there anything to compare with them."""
    fresh = {(m["backend"], m["machine"]): entry_of(m) for m in measured}
    weights = {m["weights"] for m in measured}
    kept = [e for e in entries if (e["backend"], e["machine"]) not in fresh and e["weights"] in weights]
    return sorted(kept + list(fresh.values()), key=lambda e: (e["backend"], e["machine"]))


def text_of(entries: list[dict]) -> str:
    """JSON with one clip a line, so that a change of the baseline can be read as a difference of lines."""
    parts = []
    for entry in entries:
        head = {field: entry[field] for field in ENTRY_FIELDS}
        clips = ",\n".join(f"  {json.dumps(name)}: {json.dumps(clip)}" for name, clip in entry["clips"].items())
        parts.append(json.dumps(head)[:-1] + f',\n "clips": {{\n{clips}\n }}}}')
    return f'{{"format": "{FORMAT}", "entries": [\n' + ",\n".join(parts) + "\n]}\n"


def write(path: Path, entries: list[dict]) -> None:
    """Whole or not at all."""
    try:
        write_whole(path, text_of(entries))
    except OSError as error:
        raise BaselineError(f"{path}: cannot be written: {error}") from error


def update(path: Path, measured: list[dict]) -> None:
    for m in measured:
        for name, clip in m["clips"].items():
            if clip.get("error"):
                raise BaselineError(f"the baseline stays as it is: {m['backend']} {name} failed: {clip['error']}")
    if not measured or not all(m["clips"] for m in measured):
        raise BaselineError("the baseline stays as it is: no clip was run")
    write(path, merged(read(path), measured))
