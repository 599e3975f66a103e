# SPDX-License-Identifier: Apache-2.0
"""Runs the command on the sample clips, one process for each clip and backend, and collects what it found.

"measured", one for each backend: {"backend": , "machine": , ... as in baseline.py, "clips": {NAME: a clip of
  baseline.py, and "width", "height", "seconds": of its last run, "bytes": accounted after every frame,
  "quiet": whether its time can be trusted,
  "masks": folder, or "error": why there is nothing else}}
"""
from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import statistics
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
MANIFEST_FORMAT, RESULTS_FORMAT = "track-samples-1", "track-eval-1"
CLIP_SECONDS = 1800  # one clip; a run that hangs is a failed one
PROBE_SECONDS = 120
QUIET_SHARE = 0.8  # below, others take so much of the machine that a time is theirs rather than ours


class NightlyError(Exception):
    """The night can not go on: said in one line, exit status 2."""


@dataclass(frozen=True)
class Backend:
    name: str
    device: str
    precision: str

    @property
    def options(self) -> list[str]:
        return ["--device", self.device, "--dtype", self.precision]


BACKENDS = [Backend("cpu-f32", "cpu", "f32"), Backend("cpu-bf16", "cpu", "bf16"),
            Backend("cuda-f32", "cuda", "f32"), Backend("cuda-bf16", "cuda", "bf16")]


def shown(path: Path | str) -> str:
    """As one would write it in the repository's folder."""
    text = os.path.relpath(path, ROOT)
    return str(path) if text.startswith("../..") else text


def write_whole(path: Path, text: str) -> None:
    """A file of that text in UTF-8 or, with OSError, what was there before."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(temporary, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def shell(words: list[str | Path]) -> str:
    return " ".join(shlex.quote(str(w)) for w in words)


def last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no message"


def reason(text: str, clip: str) -> str:
    """What the command says of the clip; else the last it says."""
    lines = [line.strip() for line in re.split(r"[\r\n]", text)]
    found = next((line for line in lines if f"{clip}: " in line), "")
    return found[found.index(f"{clip}: ") + len(clip) + 2:] if found else last_line(text)


# --- the clips ---


@dataclass(frozen=True)
class Clips:
    manifest: Path
    clips: dict[str, dict]  # by name, as in the manifest

    def video(self, name: str) -> Path:
        return self.manifest.parent / self.clips[name]["video"]

    def prompts(self, name: str) -> list[str] | None:
        """A mask prompt, also meant where there is no box, is the true mask of its frame. None: the command line does not
        take it, since the truth is run lengths."""
        clip, out = self.clips[name], []
        for o in clip["objects"]:
            where = f"{o['id']}@{o.get('frame', 0)}:"
            if o.get("prompt", "box" if "box" in o else "mask") == "box":
                out += ["--box", where + ",".join(f"{v:.9g}" for v in o["box"])]
            elif isinstance(clip["truth"], str):
                mask = self.manifest.parent / clip["truth"] / f"{o.get('frame', 0):05d}.png"
                out += ["--mask", f"{where}{mask}"]
            else:
                return None
        return out


def read_manifest(path: Path) -> Clips:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise NightlyError(f"{path}: cannot be read: {error}") from error
    found = content.get("format") if isinstance(content, dict) else None
    if found != MANIFEST_FORMAT:
        raise NightlyError(f"{path}: expected format {MANIFEST_FORMAT}, found {found}")
    clips = content.get("clips")
    if not isinstance(clips, list) or not clips or not all(is_clip(clip) for clip in clips):
        raise NightlyError(f"{path}: expected clips, each with name (no path out of its folder), video, truth, objects")
    return Clips(path, {clip["name"]: clip for clip in clips})


def is_clip(clip: object) -> bool:
    """What is in it `track eval` checks; its name becomes those of files here, which are removed first."""
    return isinstance(clip, dict) and {"name", "video", "truth", "objects"} <= clip.keys() and \
        isinstance(clip["objects"], list) and is_name(clip["name"])


def is_name(name: object) -> bool:
    """Of a clip: a relative path that stays in its folder, as `track eval` takes them."""
    return isinstance(name, str) and not re.search("[\\x00-\\x1f\\x7f-\\x9f]", name) and \
        all(part not in ("", ".", "..") for part in name.split("/"))


# --- the build ---


def run_step(words: list[str | Path], what: str) -> None:
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True)
    if done.returncode:
        print((done.stdout + done.stderr)[-4000:], flush=True)
        raise NightlyError(f"{what} failed, see above")


def build(folder: Path, cmake_options: list[str], jobs: int) -> Path:
    """A release build with tests in `folder`, made where there is none. Returns the command."""
    if not (folder / "CMakeCache.txt").exists():
        run_step(["cmake", "-S", ROOT, "-B", folder, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", "-DTRK_TESTS=ON",
                  *cmake_options], "cmake")
    run_step(["cmake", "--build", folder, "-j", str(jobs)], "the build")
    return folder / "track"


# --- the unit of time ---


@dataclass(frozen=True)
class Unit:
    seconds: float
    share: float  # of the processor time that was asked for

    def is_quiet(self) -> bool:
        return self.share >= QUIET_SHARE


@dataclass
class Calibration:
    """Seconds that the fixed work of calibrate.c takes; name: of the work, that no other is mistaken for it."""

    program: Path | None = None
    name: str = "none"
    threads: int = 1

    @staticmethod
    def make(folder: Path, threads: int) -> Calibration:
        source = HERE / "calibrate.c"
        program = folder / "calibrate"
        words = ["cc", "-std=c11", "-D_GNU_SOURCE", "-O2", "-pthread", "-o", str(program), str(source)]
        try:
            done = subprocess.run(words, capture_output=True, text=True)
        except OSError:
            print("no C compiler (cc): times are left out", flush=True)
            return Calibration()
        if done.returncode:
            print(done.stderr[-2000:], flush=True)
            raise NightlyError("calibrate.c does not compile, see above")
        return Calibration(program, hashlib.sha256(source.read_bytes()).hexdigest()[:12], threads)

    def unit(self) -> Unit | None:
        if not self.program:
            return None
        words = [str(self.program), str(self.threads)]
        try:
            done = subprocess.run(words, capture_output=True, text=True, timeout=PROBE_SECONDS)
        except subprocess.TimeoutExpired:
            return None
        return Unit(*map(float, done.stdout.split())) if done.returncode == 0 else None


# --- running ---


@dataclass(frozen=True)
class Time:
    ratio: float  # in units
    quiet: bool


@dataclass
class Runner:
    track: Path
    clips: Clips
    out: Path
    model: str | None
    calibration: Calibration
    threads: int = 2
    repeats: int = 3
    times: dict[tuple[str, str], list[Time]] = field(default_factory=dict)  # of the runs of a backend's clip

    def common(self, backend: Backend) -> list[str]:
        return [*backend.options, "--threads", str(self.threads), *(["-m", self.model] if self.model else [])]

    def eval_words(self, backend: Backend, name: str, out: Path, masks: Path) -> list[str]:
        return [str(self.track), "eval", str(self.clips.manifest), "--clip", name, *self.common(backend),
                "--out", str(out), "--masks", str(masks)]

    def repeat_commands(self, backend: Backend, name: str) -> list[str]:
        """What a person types to run a clip again, and, where prompts can be typed, to look at it."""
        track = shown(self.track)
        again = [track, "eval", shown(self.clips.manifest), "--clip", name, *self.common(backend),
                 "--out", f"{name}.json", "--masks", "masks"]
        prompts = self.clips.prompts(name)
        if prompts is None:
            return [shell(again)]
        look = [track, shown(self.clips.video(name)), *prompts, *self.common(backend), "--sheet", f"{name}.png"]
        return [shell(again), shell(look)]

    def unavailable(self, backend: Backend) -> str | None:
        """Why the machine or the build does not have the backend; None: it does. Loads the model and plans a clip."""
        name = next(iter(self.clips.clips))
        words = [str(self.track), str(self.clips.video(name)), "--point", "0,0", *self.common(backend), "--plan"]
        try:
            done = subprocess.run(words, capture_output=True, text=True, timeout=PROBE_SECONDS)
        except subprocess.TimeoutExpired:
            return f"no answer in {PROBE_SECONDS} s"
        return None if done.returncode == 0 else last_line(done.stderr)

    def run_once(self, backend: Backend, name: str) -> dict:
        """The result file of one clip; {"error": text} where there is none."""
        folder = self.out / backend.name
        result = folder / f"{name}.json"
        result.parent.mkdir(parents=True, exist_ok=True)
        result.unlink(missing_ok=True)
        shutil.rmtree(f"{result}.d", ignore_errors=True)  # a run that was broken off would be taken up there
        words = self.eval_words(backend, name, result, folder / "masks")
        try:
            done = subprocess.run(words, capture_output=True, text=True, errors="replace", timeout=CLIP_SECONDS)
        except subprocess.TimeoutExpired:
            return {"error": f"no end in {CLIP_SECONDS} s"}
        if done.returncode:
            return {"error": f"exit status {done.returncode}: {reason(done.stderr, name)}"}
        return read_result(result, name, backend)

    def note_time(self, key: tuple[str, str], seconds: float | None, units: list[Unit | None]) -> None:
        """The time of a run between two calibrations, if there are such; on a card plain seconds, of which work on the
        processor tells nothing."""
        if not seconds or not all(units):
            return
        unit = 1.0 if key[0].startswith("cuda") else min(u.seconds for u in units)
        self.times.setdefault(key, []).append(Time(seconds / unit, all(u.is_quiet() for u in units)))

    def time_fields(self, key: tuple[str, str]) -> dict:
        """Of a clip: the median of its times, of the quiet ones if there are any."""
        times = self.times.get(key, [])
        quiet = [t for t in times if t.quiet]
        ratios = [t.ratio for t in quiet or times]
        return {"time_ratio": statistics.median(ratios) if ratios else None, "quiet": bool(quiet) or not times}

    def run_clip(self, backend: Backend, name: str, repeats: int, before: dict | None = None) -> tuple[dict, dict]:
        """Of `repeats` runs: the last result file, and its clip. Its time is the median of these and those before."""
        unit = self.calibration.unit()
        for _ in range(repeats):
            result = self.run_once(backend, name)
            if "error" in result:
                return result, result
            clip = flat_clip(result["clips"][0], self.out / backend.name / "masks")
            if before and clip["mask_hash"] != before["mask_hash"]:
                return result, {"error": f"two runs give different masks: hashes {before['mask_hash']} and "
                                         f"{clip['mask_hash']}"}
            before, last_unit, unit = clip, unit, self.calibration.unit()
            self.note_time((backend.name, name), clip["seconds"], [last_unit, unit])
        return result, clip | self.time_fields((backend.name, name))

    def run_backend(self, backend: Backend, names: list[str]) -> dict:
        measured = {"backend": backend.name, "device": backend.device, "precision": backend.precision, "machine": "",
                    "model": None, "weights": None, "options": [], "version": None,
                    "calibration": self.calibration.name, "clips": {}}
        for name in names:
            result, clip = self.run_clip(backend, name, self.repeats)
            measured["clips"][name] = clip
            print_clip(backend, name, clip)
            for key in ("machine", "device", "precision", "model", "weights", "options", "version"):
                measured[key] = result.get(key, measured[key])
        # accounted bytes and times follow from it, masks do not
        measured["options"] = [f"--threads {self.threads}", *measured["options"]]
        return measured


def read_result(path: Path, name: str, backend: Backend) -> dict:
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return {"error": f"{path.name}: cannot be read: {error}"}
    if result.get("format") != RESULTS_FORMAT:
        return {"error": f"{path.name}: expected format {RESULTS_FORMAT}, found {result.get('format')}"}
    found = f"{result.get('device')} {result.get('precision')}"
    if found != f"{backend.device} {backend.precision}":
        return {"error": f"{path.name}: expected results of {backend.device} {backend.precision}, found {found}"}
    names = [c["name"] for c in result["clips"]]
    return result if names == [name] else {"error": f"{path.name}: expected the clip {name}, found {names}"}


def flat_clip(clip: dict, masks: Path) -> dict:
    """A clip of the result file in the baseline's shape; what the file leaves out is None or empty."""
    run = clip.get("run", {})
    objects = [{"id": o["id"], "index": o.get("frames", {}).get("index", []), "J": o.get("frames", {}).get("J", [])}
               for o in clip["objects"]]
    out = {field: clip.get(field) for field in ("frames", "width", "height", "J", "F", "J&F", "mask_hash")}
    return out | {"tests": clip.get("tests") or "", "objects": objects, "peak_bytes": run.get("peak_bytes"),
                  "bytes": run.get("bytes", []), "seconds": run.get("seconds"), "time_ratio": None,
                  "masks": str(masks / clip["name"])}


def print_clip(backend: Backend, name: str, clip: dict) -> None:
    if "error" in clip:
        print(f"{backend.name:10} {name:20} {clip['error']}", flush=True)
        return
    quality = "-" if clip["J&F"] is None else f"{100 * clip['J&F']:.2f}"
    ratio = "-" if clip["time_ratio"] is None else f"{clip['time_ratio']:.1f}"
    print(f"{backend.name:10} {name:20} J&F {quality:>6}  {(clip['seconds'] or 0):6.2f} s  {ratio:>6} units  "
          f"{(clip['peak_bytes'] or 0) / 1e6:7.1f} MB", flush=True)
