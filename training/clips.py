# SPDX-License-Identifier: Apache-2.0
"""Clips in files, in the manifest format that `track eval` reads: a video or a folder of frames; the true masks as a
folder of palette PNGs (index = object) or one file of run lengths; prompt boxes."""
import json
import os
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

import cv2
import numpy as np
from PIL import Image

import generator

FORMAT = "track-samples-1"
PALETTE = [0, 0, 0, 230, 60, 60, 60, 200, 80, 70, 110, 240, 240, 200, 60, 200, 80, 220, 70, 210, 220, 240, 150, 60]
RATE = 24  # frames a second


def tight_box(mask: np.ndarray) -> list[int]:
    """x, y, width, height of a mask [H, W]."""
    columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    return [int(columns[0]), int(rows[0]), int(columns[-1] - columns[0] + 1), int(rows[-1] - rows[0] + 1)]


def write_truth(folder: Path, masks: np.ndarray):
    """masks: [O, T, H, W] bool, which do not overlap; NNNNN.png, index o + 1."""
    folder.mkdir(parents=True)
    for t in range(masks.shape[1]):
        indices = sum(masks[o, t].astype(np.uint8) * (o + 1) for o in range(len(masks)))
        image = Image.fromarray(indices)
        image.putpalette(PALETTE)
        image.save(folder / f"{t:05d}.png", optimize=True)


def run_lengths(mask: np.ndarray) -> str:
    """COCO's compressed run lengths of a mask [H, W]: column by column, zeros first; see cli/rle.h."""
    flat = np.concatenate([[0], mask.T.reshape(-1).astype(np.int8), [1 - int(mask.T.reshape(-1)[-1])]])
    counts = np.diff(np.concatenate([[0], np.flatnonzero(np.diff(flat))])).tolist()
    text = []
    for i, count in enumerate(counts):
        value = count - counts[i - 2] if i > 2 else count
        while True:
            group, value = value & 31, value >> 5
            more = value != (-1 if group & 16 else 0)
            text.append(chr(48 + group + (32 if more else 0)))
            if not more:
                break
    return "".join(text)


def from_run_lengths(text: str, height: int, width: int) -> np.ndarray:
    """The mask [H, W] bool of what run_lengths makes."""
    counts, value, shift = [], 0, 0
    for c in text:
        group = ord(c) - 48
        value, shift = value | (group & 31) << shift, shift + 5
        if not group & 32:
            value -= 1 << shift if group & 16 else 0
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value, shift = 0, 0
    inside = np.arange(len(counts)) % 2 == 1
    return np.repeat(inside, counts).reshape(width, height).T


def write_run_lengths(path: Path, masks: np.ndarray):
    """masks: [O, T, H, W] bool."""
    frames = [{str(o + 1): run_lengths(m[t]) for o, m in enumerate(masks)} for t in range(masks.shape[1])]
    path.write_text(json.dumps({"size": list(masks.shape[2:]), "frames": frames}) + "\n")


def write_frames(folder: Path, images: np.ndarray, name: str = "{:05d}.png", first: int = 0):
    folder.mkdir(parents=True)
    for t, image in enumerate(images):
        cv2.imwrite(str(folder / name.format(first + t)), image[..., ::-1])


def write_video(path: Path, images: np.ndarray, pixel_format: str = "yuv420p", quality: int = 20):
    """H.264 by the ffmpeg command. quality: its -crf; pixel_format: of ffmpeg, yuv420p10le for ten bits."""
    height, width = images.shape[1:3]
    command = ["ffmpeg", "-loglevel", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}",
               "-r", str(RATE), "-i", "-", "-vf", "scale=out_color_matrix=bt709:out_range=tv", "-colorspace", "bt709",
               "-c:v", "libx264", "-preset", "veryslow", "-crf", str(quality), "-pix_fmt", pixel_format, "-threads", "1",
               "-fflags", "+bitexact", "-flags:v", "+bitexact", "-movflags", "+faststart", str(path)]
    subprocess.run(command, input=images.tobytes(), check=True)


def manifest_entry(name: str, tests: str, clip: generator.Clip, video: str, seed: int, prompt_frame: int = 0) -> dict:
    height, width = clip.images.shape[1:3]
    objects = [{"id": o + 1, "frame": prompt_frame, "box": tight_box(m[prompt_frame])} for o, m in enumerate(clip.masks)]
    return {"name": name, "tests": tests, "video": video, "truth": f"{name}-truth" if video == name else name,
            "frames": len(clip.images), "width": width, "height": height, "fps": RATE, "seed": seed, "objects": objects}


def write_manifest(folder: Path, entries: list[dict]):
    text = json.dumps({"format": FORMAT, "clips": entries}, indent=1) + "\n"
    temporary = folder / "manifest.json.tmp"
    temporary.write_text(text)
    temporary.replace(folder / "manifest.json")


def read_frames(path: Path, dump_frames: Path | None = None) -> list[np.ndarray]:
    """RGB frames of a folder of PNGs, or of a video by the ffmpeg command, or by dump_frames of the project's build."""
    if path.is_dir():
        return [cv2.imread(str(p))[..., ::-1].copy() for p in sorted(path.iterdir())]
    if dump_frames:
        with TemporaryDirectory() as folder:
            subprocess.run([str(dump_frames), str(path), folder], check=True, stdout=subprocess.DEVNULL)
            return read_frames(Path(folder))
    width, height = video_size(path)
    command = ["ffmpeg", "-loglevel", "error", "-i", str(path), "-f", "rawvideo", "-pix_fmt", "rgb24",
               "-sws_flags", "accurate_rnd+full_chroma_int+full_chroma_inp+bicubic", "-"]
    raw = np.frombuffer(subprocess.run(command, check=True, capture_output=True).stdout, np.uint8)
    return list(raw.reshape(-1, height, width, 3))


def video_size(path: Path) -> tuple[int, int]:
    command = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "stream=width,height", "-of", "csv=p=0",
               str(path)]
    width, height = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip().split(",")[:2]
    return int(width), int(height)


def read_truth(folder: Path, entry: dict, n_frames: int) -> np.ndarray:
    """[O, T, H, W] bool; folder: of the manifest."""
    ids = [o["id"] for o in entry["objects"]]
    if isinstance(entry["truth"], dict):
        runs = json.loads((folder / entry["truth"]["rle"]).read_text())
        height, width = runs["size"]
        truth = np.zeros((len(ids), n_frames, height, width), bool)
        for o, t in np.ndindex(truth.shape[:2]):
            if text := runs["frames"][t].get(str(ids[o])):
                truth[o, t] = from_run_lengths(text, height, width)
        return truth
    indices = [np.asarray(Image.open(folder / entry["truth"] / f"{t:05d}.png")) for t in range(n_frames)]
    return np.stack([np.stack([image == i for image in indices]) for i in ids])


def read_manifest_clip(manifest: Path, entry: dict, dump_frames: Path | None = None):
    """(name, frames, truth [O, T, H, W] bool, prompts (object, frame, x0 y0 x1 y1))."""
    folder = manifest.parent
    frames = read_frames(folder / entry["video"], dump_frames)
    truth = read_truth(folder, entry, len(frames))
    for o in entry["objects"]:
        if "box" not in o or o.get("prompt", "box") != "box":
            raise SystemExit(f"{manifest}: {entry['name']}: object {o['id']}: expected a box, found a mask as its prompt")
    prompts = [(o["id"], o.get("frame", 0), [o["box"][0], o["box"][1], o["box"][0] + o["box"][2], o["box"][1] + o["box"][3]])
               for o in entry["objects"]]
    return entry["name"], frames, truth, prompts


def is_set_of_clips(path: Path) -> bool:
    try:
        manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(manifest, dict) and manifest.get("format") == FORMAT


@contextmanager
def in_new_folder(path: Path):
    """A folder to write a set of clips in, which takes the place of the set at `path` once it is whole."""
    if path.exists() and any(path.iterdir()) and not is_set_of_clips(path):
        raise SystemExit(f"{path}: expected a set of clips or nothing, found other files: not replaced")
    path.parent.mkdir(parents=True, exist_ok=True)
    new = Path(mkdtemp(prefix=f"{path.name}.new-", dir=path.parent))
    try:
        mask = os.umask(0)
        os.umask(mask)
        new.chmod(0o777 & ~mask)
        yield new
        shutil.rmtree(path, ignore_errors=True)
        new.replace(path)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
