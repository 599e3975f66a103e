# SPDX-License-Identifier: Apache-2.0
"""The nightly regression, step by step: build, run the clips on every backend, compare, look for a cause, report.

Exit status: 0 nothing got worse, 1 a regression, 2 the night could not be run.
"""
from __future__ import annotations

import argparse
import datetime
import os
import subprocess
import sys
import traceback
from pathlib import Path

import baseline
import cause
import compare
import history
import measure
import report
from measure import NightlyError, Runner

TIME_RETRIES = 3  # times that a clip that seems slow is run again, RETRY_RUNS at once, before that counts
RETRY_RUNS = 2
REPORT, FINDINGS = "report.html", "findings.txt"


def arguments(words: list[str]) -> argparse.Namespace:
    p = argparse.ArgumentParser(prog="samples/nightly.sh", description=__doc__.splitlines()[0])
    p.add_argument("--track", type=Path, metavar="PATH", help="use this command and build nothing")
    p.add_argument("--build-dir", type=Path, default=measure.ROOT / "build-nightly", metavar="DIR",
                   help="release build with tests, made where there is none (build-nightly); "
                        "with --track: where stage tests are")
    p.add_argument("--cmake-option", action="append", default=[], metavar="=-DX=Y", help="for a build made anew")
    p.add_argument("--manifest", type=Path, default=measure.ROOT / "samples/clips/manifest.json")
    p.add_argument("--baseline", type=Path, default=measure.ROOT / "samples/baseline.json")
    p.add_argument("--update-baseline", action="store_true", help="write it from this run, of these backends alone")
    p.add_argument("--out", type=Path, default=measure.ROOT / "out/nightly", metavar="DIR",
                   help="results, masks and report.html (out/nightly)")
    p.add_argument("--history", type=Path, metavar="FILE", help="one JSON line a night (history.jsonl in --out)")
    p.add_argument("--backend", action="append", choices=[b.name for b in measure.BACKENDS],
                   help="only this one, which then has to be there (all that are)")
    p.add_argument("--clip", action="append", metavar="NAME", help="only this one (all)")
    p.add_argument("-m", "--model", help="as for track (its default)")
    p.add_argument("--threads", type=int, default=2, metavar="N",
                   help="of the command and of the calibration (2: the same on every machine)")
    p.add_argument("--repeats", type=int, default=3, metavar="N",
                   help="runs of a clip, the median of their times counts (3)")
    p.add_argument("--no-times", action="store_true", help="do not calibrate, nor compare times")
    p.add_argument("--no-stage-tests", action="store_true", help="do not look for a cause")
    p.add_argument("--stage-seconds", type=int, default=600, metavar="N", help="for the stage tests together (600)")
    p.add_argument("--pictures", type=int, default=12, metavar="N", help="worst frames in the report (12)")
    p.add_argument("-j", "--jobs", type=int, default=os.cpu_count() or 1)
    wanted = p.parse_args(words)
    if wanted.update_baseline and wanted.clip:
        p.error("--update-baseline takes all clips of the manifest, not some (--clip)")
    if wanted.repeats < 1 or wanted.threads < 1:
        p.error("--repeats, --threads: expected 1 or more")
    return wanted


def chosen_clips(clips: measure.Clips, wanted: argparse.Namespace) -> list[str]:
    for name in wanted.clip or []:
        if name not in clips.clips:
            raise NightlyError(f"--clip {name}: {clips.manifest} has {', '.join(clips.clips)}")
    names = [name for name in clips.clips if not wanted.clip or name in wanted.clip]
    if not names:
        raise NightlyError(f"{clips.manifest}: no clips")
    return names


def make_runner(wanted: argparse.Namespace) -> Runner:
    wanted.out.mkdir(parents=True, exist_ok=True)
    for name in (REPORT, FINDINGS):  # of a night before, should this one come to none
        (wanted.out / name).unlink(missing_ok=True)
    clips = measure.read_manifest(wanted.manifest)
    track = wanted.track or measure.build(wanted.build_dir, wanted.cmake_option, wanted.jobs)
    if not os.access(track, os.X_OK):
        raise NightlyError(f"{track}: not a program")
    unit = measure.Calibration() if wanted.no_times else measure.Calibration.make(wanted.out.resolve(), wanted.threads)
    return Runner(track.resolve(), clips, wanted.out.resolve(), wanted.model, unit, wanted.threads, wanted.repeats)


def run_backends(runner: Runner, names: list[str], only: list[str] | None) -> tuple[list[dict], dict[str, str]]:
    """What was measured, and why the other backends were not."""
    measured, absent = [], {}
    for backend in measure.BACKENDS:
        if only and backend.name not in only:
            continue
        # cpu-f32 is everywhere: where it does not start, its clips say why
        why = None if backend.name == "cpu-f32" else runner.unavailable(backend)
        if why and only:
            raise NightlyError(f"--backend {backend.name}: {why}")
        if why:
            absent[backend.name] = why
            print(f"{backend.name:10} not here: {why}", flush=True)
        else:
            measured.append(runner.run_backend(backend, names))
    return measured, absent


# --- comparing ---


def compare_all(measured: list[dict], entries: list[dict], wanted: argparse.Namespace) -> list[compare.Finding]:
    chosen = set(wanted.clip) if wanted.clip else None
    findings = []
    for m in measured:
        findings += compare.compare_backend(m, baseline.entry_for(entries, m["backend"], m["machine"]), chosen)
    if not wanted.backend:
        ran = {m["backend"] for m in measured}
        for machine in sorted({m["machine"] for m in measured} - {""}):
            findings += compare.missing_backends(entries, machine, ran)
    return findings


def time_again(runner: Runner, measured: list[dict], entries: list[dict], wanted: argparse.Namespace) -> None:
    """Clips that seem slow are run again; the median of all their runs counts."""
    backends = {b.name: b for b in measure.BACKENDS}
    for _ in range(TIME_RETRIES):
        slow = [f for f in compare_all(measured, entries, wanted) if f.kind == "time"]
        for f in slow:
            print(f"{f.backend:10} {f.clip:20} again: {f.text}", flush=True)
            m = next(m for m in measured if m["backend"] == f.backend)
            m["clips"][f.clip] = runner.run_clip(backends[f.backend], f.clip, RETRY_RUNS, m["clips"][f.clip])[1]


# --- telling ---


def commit() -> str:
    try:
        done = subprocess.run(["git", "-C", str(measure.ROOT), "rev-parse", "--short", "HEAD"], capture_output=True,
                              text=True)
    except OSError:
        return "unknown"
    return done.stdout.strip() or "unknown"


def commands_for(runner: Runner, findings: list[compare.Finding]) -> dict[tuple[str, str], list[str]]:
    backends = {b.name: b for b in measure.BACKENDS}
    return {(f.backend, f.clip): runner.repeat_commands(backends[f.backend], f.clip)
            for f in findings if f.clip in runner.clips.clips}


def tell(night: report.Night) -> str:
    """The findings as text, with the commands that run a clip again."""
    out = []
    for f in sorted(night.findings, key=lambda f: f.severity != compare.REGRESSION):
        out.append(f.line())
        if f.severity == compare.REGRESSION:
            for what, command in zip(("again", "look "), night.commands.get((f.backend, f.clip), [])):
                out.append(f"    {what}: {command}")
    out += [f"NOTE {name}: did not run: {why}" for name, why in night.absent.items()]
    out += night.stage_lines
    out.append(night.verdict())
    return "\n".join(out) + "\n"


def frames_tool(runner: Runner) -> Path:
    return runner.track.parent / "tests/tools/dump_frames"


def picture_notes(tool: Path, n_pictures: int) -> list[compare.Finding]:
    if not n_pictures or tool.exists():
        return []
    return [compare.Finding("pictures", compare.NOTE, "pictures", "",
                            "masks on gray, not on the frames: no tests/tools/dump_frames beside the command")]


def make_night(runner: Runner, wanted: argparse.Namespace) -> report.Night:
    entries = baseline.read(wanted.baseline)
    names = chosen_clips(runner.clips, wanted)
    measured, absent = run_backends(runner, names, wanted.backend)
    if not wanted.update_baseline:
        time_again(runner, measured, entries, wanted)
    findings = compare_all(measured, entries, wanted) + picture_notes(frames_tool(runner), wanted.pictures)
    stage_lines = []
    if compare.regressions(findings) and not wanted.no_stage_tests and not wanted.update_baseline:
        stage_lines = cause.lines(cause.run(wanted.build_dir, wanted.jobs, wanted.stage_seconds))
    when = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    line = history.line_of(measured, len(compare.regressions(findings)), when, commit())
    path = wanted.history or wanted.out / "history.jsonl"
    nights = history.read(path)
    if not wanted.clip:  # a mean over some clips does not belong among those over all
        history.append(path, line)
        nights.append(line)
    used = {m["backend"]: baseline.entry_for(entries, m["backend"], m["machine"]) for m in measured}
    return report.Night(when, commit(), measured, used, findings, commands_for(runner, findings), absent, stage_lines,
                        nights)


def main(words: list[str]) -> int:
    wanted = arguments(words)
    try:
        runner = make_runner(wanted)
        night = make_night(runner, wanted)
        pictures = report.worst_pictures(night, runner.clips, frames_tool(runner), wanted.pictures)
        measure.write_whole(wanted.out / REPORT, report.page(night, pictures))
        text = tell(night)
        measure.write_whole(wanted.out / FINDINGS, text)
        print("\n" + text + f"report: {measure.shown(wanted.out / REPORT)}", flush=True)
        if wanted.update_baseline:
            baseline.update(wanted.baseline, night.measured)
            print(f"baseline: {measure.shown(wanted.baseline)} is of this run now")
            return 0
        if not baseline.read(wanted.baseline):
            raise NightlyError(f"{measure.shown(wanted.baseline)}: no baseline; --update-baseline makes one")
    except (NightlyError, baseline.BaselineError, OSError) as error:
        print(f"nightly: {error}", file=sys.stderr)
        return 2
    except Exception as error:  # a fault of these scripts is no regression: 1 would say so
        traceback.print_exc()
        print(f"nightly: {type(error).__name__}: {error}", file=sys.stderr)
        return 2
    return 1 if compare.regressions(night.findings) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
