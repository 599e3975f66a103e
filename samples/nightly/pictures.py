# SPDX-License-Identifier: Apache-2.0
"""Pictures for the report: a frame with the found and the true outlines, as PNG in a data: address.

PNG files are read and written here as far as the run needs it, not interlaced: palettes of any depth (read as the
indices, which are object numbers); gray, RGB and RGBA of 8 bits a sample.
"""
from __future__ import annotations

import base64
import shutil
import struct
import subprocess
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path

SIGNATURE = b"\x89PNG\r\n\x1a\n"
PALETTE = 3  # a colour type
SAMPLES = {0: 1, 2: 3, PALETTE: 1, 6: 4}  # a pixel, by colour type
WIDTH_MOST = 480
FOUND, TRUE = (255, 208, 0), (0, 236, 255)
FOUND_NAME, TRUE_NAME = "solid yellow", "dashed cyan"
EMPTY = 48  # gray of a frame that could not be decoded
DUMP_SECONDS = 300


class PictureError(Exception):
    pass


@dataclass(frozen=True)
class Picture:
    width: int
    height: int
    samples: int  # of a pixel
    rows: list[bytes]  # [height] of width * samples


def paeth(a: int, b: int, c: int) -> int:
    p = a + b - c
    pa, pb, pc = abs(p - a), abs(p - b), abs(p - c)
    return a if pa <= pb and pa <= pc else b if pb <= pc else c


def unfilter(kind: int, line: bytearray, above: bytes, step: int) -> None:
    """A row in place; step: bytes of a pixel."""
    n = len(line)
    if kind == 1:
        for i in range(step, n):
            line[i] = (line[i] + line[i - step]) & 255
    elif kind == 2:
        line[:] = bytes((x + y) & 255 for x, y in zip(line, above))
    elif kind == 3:
        for i in range(n):
            line[i] = (line[i] + ((line[i - step] if i >= step else 0) + above[i]) // 2) & 255
    elif kind == 4:
        for i in range(min(step, n)):
            line[i] = (line[i] + above[i]) & 255
        for i in range(step, n):
            line[i] = (line[i] + paeth(line[i - step], above[i], above[i - step])) & 255
    elif kind:
        raise PictureError(f"filter {kind}, expected 0 to 4")


def chunks(data: bytes):
    at = len(SIGNATURE)
    while at + 8 <= len(data):
        n, kind = struct.unpack_from(">I4s", data, at)
        yield kind, data[at + 8:at + 8 + n]
        at += 12 + n


def unpacked(row: bytes, depth: int) -> bytes:
    """Samples of less than 8 bits, the first in the highest bits of a byte, to one byte each."""
    shifts = range(8 - depth, -1, -depth)
    return bytes(byte >> shift & (1 << depth) - 1 for byte in row for shift in shifts)


def decode_png(data: bytes) -> Picture:
    if not data.startswith(SIGNATURE):
        raise PictureError("not a PNG")
    parts = list(chunks(data))
    header = next((body for kind, body in parts if kind == b"IHDR"), b"")
    if len(header) != 13:
        raise PictureError("no header")
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    if depth not in ((1, 2, 4, 8) if colour == PALETTE else (8,)) or colour not in SAMPLES or interlaced:
        raise PictureError(f"depth {depth}, colour type {colour}, interlaced {interlaced}: expected 8 bits, plain")
    step = SAMPLES[colour]
    n_bytes = (width * step * depth + 7) // 8  # of a row
    try:
        raw = zlib.decompress(b"".join(body for kind, body in parts if kind == b"IDAT"))
    except zlib.error as error:
        raise PictureError(str(error)) from error
    if len(raw) != height * (n_bytes + 1):
        raise PictureError(f"{len(raw)} bytes of pixels, expected {height * (n_bytes + 1)}")
    rows, above = [], bytes(n_bytes)
    for at in range(0, len(raw), n_bytes + 1):
        line = bytearray(raw[at + 1:at + 1 + n_bytes])
        unfilter(raw[at], line, above, step)
        above = bytes(line)
        rows.append(above if depth == 8 else unpacked(above, depth)[:width])
    return Picture(width, height, step, rows)


def read_png(path: Path) -> Picture:
    try:
        return decode_png(path.read_bytes())
    except (OSError, PictureError) as error:
        raise PictureError(f"{path}: {error}") from error


def encode_png(picture: Picture) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    colour = {1: 0, 3: 2, 4: 6}[picture.samples]
    header = struct.pack(">IIBBBBB", picture.width, picture.height, 8, colour, 0, 0, 0)
    step, raw, above = picture.samples, bytearray(), bytes(picture.width * picture.samples)
    for row in picture.rows:  # "up" packs pictures better than no filter, and is one line
        raw += b"\x02" + bytes((x - y) & 255 for x, y in zip(row, above))
        above = row
    return (SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(raw), 9)) + chunk(b"IEND", b""))


def shrunk(picture: Picture, by: int) -> Picture:
    """Every by-th pixel of every by-th row."""
    if by == 1:
        return picture
    step, rows = picture.samples, []
    for row in picture.rows[::by]:
        planes = [row[s::step][::by] for s in range(step)]
        rows.append(bytes(v for pixel in zip(*planes) for v in pixel))
    return Picture((picture.width + by - 1) // by, len(rows), step, rows)


def outline(mask: Picture) -> list[tuple[int, int]]:
    """Pixels (x, y) of objects with another index up to two pixels away: lines of two pixels."""
    points, rows = [], mask.rows
    for y, row in enumerate(rows):
        if not any(row):
            continue
        near = [rows[max(0, min(mask.height - 1, y + d))] for d in (-2, -1, 1, 2)]
        for x, index in enumerate(row):
            if index and (any(r[x] != index for r in near) or
                          any(row[max(0, min(mask.width - 1, x + d))] != index for d in (-2, -1, 1, 2))):
                points.append((x, y))
    return points


def overlay(frame: Picture | None, found: Picture, truth: Picture) -> Picture:
    """RGB, at most WIDTH_MOST wide; a gray frame where there is none."""
    if (found.width, found.height) != (truth.width, truth.height):
        raise PictureError(f"masks of {found.width} x {found.height}, true ones of {truth.width} x {truth.height}")
    by = -(-found.width // WIDTH_MOST)
    small_found, small_true = shrunk(found, by), shrunk(truth, by)
    if frame and (frame.width, frame.height, frame.samples) == (found.width, found.height, 3):
        rows = [bytearray(row) for row in shrunk(frame, by).rows]
    else:
        rows = [bytearray([EMPTY]) * (3 * small_found.width) for _ in range(small_found.height)]
    for x, y in outline(small_found):
        rows[y][3 * x:3 * x + 3] = bytes(FOUND)
    for x, y in outline(small_true):
        if (x + y) // 4 % 2:
            rows[y][3 * x:3 * x + 3] = bytes(TRUE)
    return Picture(small_found.width, small_found.height, 3, [bytes(r) for r in rows])


def address(picture: Picture) -> str:
    return "data:image/png;base64," + base64.b64encode(encode_png(picture)).decode()


class Frames:
    """The decoded frames of a video, by a tool of the build; none where that is not there."""

    def __init__(self, tool: Path, video: Path):
        self.folder = None
        if tool.exists():
            self.folder = Path(tempfile.mkdtemp(prefix="track-frames-"))
            try:
                subprocess.run([str(tool), str(video), str(self.folder)], capture_output=True, timeout=DUMP_SECONDS)
            except (OSError, subprocess.TimeoutExpired) as error:
                print(f"not all frames of {video.name}: {error}")

    def __enter__(self) -> Frames:
        return self

    def __exit__(self, *unused) -> None:
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def frame(self, index: int) -> Picture | None:
        try:
            return read_png(self.folder / f"{index:05}.png") if self.folder else None
        except PictureError:
            return None
