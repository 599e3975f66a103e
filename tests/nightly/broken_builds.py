# SPDX-License-Identifier: Apache-2.0
"""Defects put into the library on purpose, each of which the nightly run has to find, on the clip and the frame.

For each of mutations.txt one source is compiled with the defect and the command is linked once more, by the build's own
commands. The baseline is made with the sound command, which has to pass against it first. Backend cpu-f32, no times.
"""
from __future__ import annotations

import argparse
import json
import re
import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
LIST = Path(__file__).resolve().parent / "mutations.txt"
CLIPS = 2  # of the manifest, those with the fewest pixels and objects,
ALSO = ("look-alike",)  # and these: without RoPE an object is its double (-23 points of J&F), others are held
FRAMES = 24  # their first ones: more than the bank has memories (7) and pointers (16), so that their order matters


class Failure(Exception):
    pass


@dataclass
class Mutation:
    name: str
    source: str = ""
    finds: str = ""
    old: list[str] = field(default_factory=list)
    new: list[str] = field(default_factory=list)


def read_mutations(path: Path) -> list[Mutation]:
    out: list[Mutation] = []
    for line in path.read_text().splitlines():
        if line.startswith("mutation "):
            out.append(Mutation(line.split()[1].rstrip(":")))
        elif line.startswith("in "):
            out[-1].source = line[3:].strip()
        elif line.startswith("finds "):
            out[-1].finds = line[6:].strip()
        elif line[:1] in "-+" and line:
            (out[-1].old if line[0] == "-" else out[-1].new).append(line[1:])
    return out


def mutated_text(mutation: Mutation) -> str:
    lines, n = (ROOT / mutation.source).read_text().split("\n"), len(mutation.old)
    places = [i for i in range(len(lines) - n + 1) if lines[i:i + n] == mutation.old]
    if not n or len(places) != 1:
        raise Failure(f"the old lines are in {mutation.source} {len(places)} times, expected once")
    return "\n".join(lines[:places[0]] + mutation.new + lines[places[0] + n:])


# --- building ---


def call(words: list[str], folder: Path) -> str:
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise Failure(f"{shlex.join(words[:1])} failed:\n{(done.stdout + done.stderr)[-3000:]}")
    return done.stdout


def compile_mutated(build: Path, mutation: Mutation, work: Path) -> Path:
    """As the build compiles the original, which is found beside its headers."""
    original = ROOT / mutation.source
    target = f"CMakeFiles/trk_{mutation.source.split('/')[0]}.dir/"
    commands = json.loads((build / "compile_commands.json").read_text())
    entry = next((c for c in commands if Path(c["file"]) == original and target in c["command"]), None)
    if not entry:
        raise Failure(f"{mutation.source}: not in compile_commands.json")
    source, output = work / original.name, work / "mutated.o"
    source.write_text(mutated_text(mutation))
    words = shlex.split(entry["command"])
    words[words.index("-o") + 1] = str(output)
    words[words.index("-c") + 1] = str(source)
    call([words[0], f"-I{original.parent}", *words[1:], "-w"], Path(entry["directory"]))
    return output


def link_command(build: Path) -> tuple[list[str], Path]:
    """The command that makes `track`, and the folder it runs in."""
    if (build / "build.ninja").exists():
        words = shlex.split(call(["ninja", "-C", str(build), "-t", "commands", "track_cli"], build).splitlines()[-1])
        words = words[words.index("&&") + 1:] if words[0] == ":" else words
        return words[:words.index("&&")] if "&&" in words else words, build
    text = (build / "cli/CMakeFiles/track_cli.dir/link.txt").read_text()
    return shlex.split(text), build / "cli"


def link_mutated(build: Path, unit: Path, program: Path) -> None:
    """With the object first, so that the library's own of the same functions is not taken."""
    words, folder = link_command(build)
    at = words.index("-o")
    words[at + 1] = str(program)
    call([*words[:at], str(unit), *words[at:]], folder)


# --- nights ---


@dataclass
class Nights:
    work: Path
    manifest: Path
    clips: list[str]
    model: Path

    def run(self, track: Path, *options: str) -> tuple[int, str]:
        words = [sys.executable, str(ROOT / "samples/nightly/run.py"), "--track", str(track), "--manifest",
                 str(self.manifest), "--baseline", str(self.work / "baseline.json"), "--out", str(self.work / "out"),
                 "--model", str(self.model), "--backend", "cpu-f32", "--repeats", "1", "--pictures", "0",
                 "--no-times", "--no-stage-tests", *options]
        done = subprocess.run(words, capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr


def shorten(clip: dict, folder: Path, work: Path) -> dict:
    """Of a clip of the manifest in `folder`, the first FRAMES, with paths that hold anywhere."""
    truth = work / f"truth-{clip['name']}"
    if isinstance(clip["truth"], dict):
        content = json.loads((folder / clip["truth"]["rle"]).read_text())
        truth.write_text(json.dumps(content | {"frames": content["frames"][:FRAMES]}))
    else:
        truth.mkdir()
        for frame in range(FRAMES):
            (truth / f"{frame:05}.png").symlink_to((folder / clip["truth"] / f"{frame:05}.png").resolve())
    return clip | {"frames": FRAMES, "video": str((folder / clip["video"]).resolve()),
                   "truth": {"rle": str(truth)} if truth.is_file() else str(truth)}


def cost(clip: dict) -> int:
    return clip["width"] * clip["height"] * len(clip["objects"])


def short_manifest(manifest: Path, work: Path) -> tuple[Path, list[str]]:
    """A manifest of few clips that start with all their objects and go on for long enough; their names."""
    content = json.loads(manifest.read_text())
    if not isinstance(content, dict) or content.get("format") != "track-samples-1":
        raise Failure(f"{manifest}: expected format track-samples-1")
    clips = [c for c in content["clips"] if c["frames"] >= FRAMES and not any(o["frame"] for o in c["objects"])]
    if not clips:
        raise Failure(f"{manifest}: no clip of {FRAMES} frames with its objects on frame 0")
    clips.sort(key=cost)
    clips = [shorten(c, manifest.parent, work) for i, c in enumerate(clips) if i < CLIPS or c["name"] in ALSO]
    path = work / "manifest.json"
    path.write_text(json.dumps(content | {"clips": clips}))
    return path, [c["name"] for c in clips]


def check_sound(nights: Nights, track: Path) -> None:
    status, said = nights.run(track, "--update-baseline")
    if status:
        raise Failure(f"no baseline (status {status}):\n{said}")
    status, said = nights.run(track)
    if status:
        raise Failure(f"the sound command does not pass (status {status}):\n{said}")


def check_mutation(nights: Nights, build: Path, mutation: Mutation) -> str:
    """The line by which it was found."""
    work = nights.work / mutation.name
    work.mkdir()
    link_mutated(build, compile_mutated(build, mutation, work), work / "track")
    status, said = nights.run(work / "track")
    if status != 1:
        raise Failure(f"not found (status {status}):\n{said}")
    names = "|".join(map(re.escape, nights.clips))
    lines = said.splitlines()
    for line, next_line in zip(lines, lines[1:]):
        at = re.match(rf"REGRESSION cpu-f32 ({names}): {mutation.finds}", line)
        if at and f"--clip {at.group(1)}" in next_line:
            return line
    raise Failure(f"found, but no line says \"{mutation.finds}\" of a clip, with its command:\n{said}")


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("build", type=Path)
    p.add_argument("--manifest", type=Path, default=ROOT / "samples/clips/manifest.json")
    p.add_argument("--model", type=Path, default=ROOT / "samples/models/demo-m.safetensors")
    wanted = p.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        try:
            nights = Nights(Path(folder), *short_manifest(wanted.manifest, Path(folder)), wanted.model)
            check_sound(nights, wanted.build / "track")
        except Failure as failure:
            print(failure)
            return 1
        for mutation in read_mutations(LIST):
            try:
                print(f"{mutation.name}: {check_mutation(nights, wanted.build, mutation)}", flush=True)
            except Failure as failure:
                failed += 1
                print(f"{mutation.name}: {failure}", flush=True)
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
