# SPDX-License-Identifier: Apache-2.0
"""After a regression: which tests of single stages fail in the same build, to say where to look first."""
from __future__ import annotations

import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

# The first pattern that is found in a test's name says what the test covers.
COVERS = [
    (r"^golden\.stages", "every stage of the network against the official code: image encoder, prompts, mask decoder, "
                         "memory encoder, memory attention with RoPE; its first failing line names the stage"),
    (r"^golden\.track-.*(refine|correction)", "corrections on tracked frames, against the official predictor"),
    (r"^golden\.track-.*reverse", "tracking backwards: ages and order of memories"),
    (r"^golden\.track-.*two-objects", "several objects on one frame: their memories apart"),
    (r"^golden\.track-.*max-prompts", "which prompted frames are read when there are many"),
    (r"^golden\.track-.*long", "tracking past the length of the bank: what is dropped, and when"),
    (r"^golden\.track", "tracked frames against the official predictor: bank, temporal codes, pointers, decoder"),
    (r"^golden\.make_", "writes the generated weights that other goldens read"),
    (r"^unit\.positions", "positional tables: RoPE, sine, trunk (rope/)"),
    (r"^unit\.tables", "the model's pinned tables: RoPE, positions of memories, temporal codes (model/weights.c)"),
    (r"^unit\.bank", "the memory bank: slots, sequences, what a frame reads and in which order (memory/)"),
    (r"^unit\.memory", "ledger, arenas, sweeper: who may free what, and when (memory/)"),
    (r"^unit\.tracker", "frames, prompts and objects of a tracker (tracker/)"),
    (r"^unit\.(pool|together)", "many trackers over one model: eviction, batches of objects (tracker/)"),
    (r"^unit\.timeline", "rewinding, forks, removed frames (tracker/timeline.c)"),
    (r"^unit\.state", "saved and resumed states (tracker/state*.c)"),
    (r"^unit\.(arch|checkpoint|pickle)", "reading checkpoints and their architecture (model/)"),
    (r"^unit\.video", "decoding and encoding (video/)"),
    (r"^unit\.streams", "the seeded inputs of the goldens"),
    (r"^unit\.(paint|overlay)", "masks drawn over pictures"),
    (r"^unit\.(rle|npy|outputs|prompts|cli_options|job_list|run)", "the command: options, prompts, outputs (cli/)"),
    (r"^unit\.(log|heap_only|team)", "base: log, heap, threads"),
    (r"^unit\.(public_header|readme_example)", "the public header, and the program of the README"),
]
LABELS = "^(unit|golden)$"


@dataclass(frozen=True)
class FailedTest:
    name: str
    how: str  # Failed, Timeout, ...
    covers: str
    first_line: str  # of its output that tells of the failure, or ""


@dataclass(frozen=True)
class StageTests:
    failed: list[FailedTest]
    note: str  # how many ran, or why none did


def what_it_covers(name: str) -> str:
    return next((text for pattern, text in COVERS if re.search(pattern, name)), "a test of tests/ without a line here")


def failing_line(block: str) -> str:
    """Of a test's output: the first line that tells of a failure, which for the stages names the stage at fault."""
    lines = [line.strip() for line in block.splitlines()]
    return next((line for line in lines if re.search(r"\bFAILED\b|\bis \[.*expected|never computed|[Ee]rror:|\bFAIL\b",
                                                     line)), "")


def parse(output: str) -> StageTests:
    """Of `ctest --output-on-failure`, also of one that was broken off."""
    heads = list(re.finditer(r"^ *\d+/\d+ Test +#\d+: (\S+) \.*([^\n]*)$", output, re.MULTILINE))
    failed = []
    for i, head in enumerate(heads):
        name, rest = head.group(1), head.group(2)
        how = re.search(r"\*\*\*(Failed|Timeout|Exception|Not Run)", rest)
        if how:
            block = output[head.end():heads[i + 1].start() if i + 1 < len(heads) else len(output)]
            failed.append(FailedTest(name, how.group(1), what_it_covers(name), failing_line(block)))
    not_run = sum(f.how == "Not Run" for f in failed)
    failed = [f for f in failed if f.how != "Not Run"]
    note = f"{len(heads) - not_run} stage tests ran, {len(failed)} failed"
    return StageTests(failed, note + (f", {not_run} not built" if not_run else ""))


def run(build: Path, jobs: int, seconds: int) -> StageTests:
    if not (build / "CTestTestfile.cmake").exists():
        return StageTests([], f"stage tests did not run: no tests in {build.name}")
    words = ["ctest", "--test-dir", str(build), "-L", LABELS, "-j", str(jobs), "--output-on-failure",
             "--timeout", str(seconds), "--stop-time", stop_time(seconds)]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=seconds + 60)
        output, late = done.stdout, False
    except subprocess.TimeoutExpired as error:
        output, late = (error.stdout or b"").decode(errors="replace"), True
    except OSError as error:
        return StageTests([], f"stage tests did not run: {error}")
    found = parse(output)
    return StageTests(found.failed, found.note + (f"; broken off after {seconds} s" if late else ""))


def stop_time(seconds: int) -> str:
    return time.strftime("%H:%M:%S", time.localtime(time.time() + seconds))


def lines(tests: StageTests) -> list[str]:
    out = [tests.note]
    for t in tests.failed:
        out.append(f"{t.name} {t.how.lower()}: {t.covers}")
        if t.first_line:
            out.append(f"    {t.first_line}")
    return out
