# SPDX-License-Identifier: Apache-2.0
"""The history: a file with one JSON line a night, from which the report draws its trends."""
from __future__ import annotations

import json
import sys
from pathlib import Path


def mean(values: list[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if known else None


def summary(measured: dict) -> dict:
    clips = list(measured["clips"].values())
    out = {field: mean([c.get(field) for c in clips]) for field in ("J", "F", "J&F", "time_ratio")}
    out["peak_bytes"] = max((c.get("peak_bytes") or 0 for c in clips), default=0)
    out["machine"] = measured["machine"]
    out["clips"] = {name: c.get("J&F") for name, c in measured["clips"].items()}
    return out


def line_of(measured: list[dict], n_regressions: int, when: str, commit: str) -> dict:
    return {"time": when, "commit": commit, "regressions": n_regressions,
            "backends": {m["backend"]: summary(m) for m in measured}}


def read(path: Path) -> list[dict]:
    """Oldest first. A line that a broken-off run left unfinished is passed over, and told."""
    if not path.exists():
        return []
    nights = []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        try:
            night = json.loads(line)
            night["backends"].items(), night["time"][:10]
            nights.append(night)
        except (ValueError, KeyError, TypeError, AttributeError):
            print(f"{path}:{number}: not a night's line, passed over", file=sys.stderr)
    return nights


def append(path: Path, line: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.exists() and path.stat().st_size > 0 and not path.read_bytes().endswith(b"\n")
    with open(path, "a") as stream:
        stream.write(("\n" if unfinished else "") + json.dumps(line) + "\n")
