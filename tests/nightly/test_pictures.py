# SPDX-License-Identifier: Apache-2.0
"""PNG files of every filter and colour type that is read, and the outlines drawn on a frame."""
import random
import struct
import tempfile
import unittest
import zlib
from pathlib import Path

from synthetic import square

import pictures
import truth
from pictures import Picture


def filtered(kind, line, above, step):
    """The other direction of pictures.unfilter, written from the specification."""
    out = []
    for i, value in enumerate(line):
        a, b, c = (line[i - step] if i >= step else 0), above[i], (above[i - step] if i >= step else 0)
        guess = [0, a, b, (a + b) // 2, min((a, b, c), key=lambda v: abs(a + b - c - v))][kind]
        out.append((value - guess) & 255)
    return bytes([kind, *out])


def png_of(picture, colour, kinds):
    raw, above = b"", bytes(picture.width * picture.samples)
    for y, row in enumerate(picture.rows):
        raw += filtered(kinds[y % len(kinds)], row, above, picture.samples)
        above = row
    packed = zlib.compress(raw)
    parts = [(b"IHDR", struct.pack(">IIBBBBB", picture.width, picture.height, 8, colour, 0, 0, 0)),
             (b"PLTE", bytes(768)), (b"IDAT", packed[:10]), (b"IDAT", packed[10:]), (b"IEND", b"")]
    return pictures.SIGNATURE + b"".join(struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b))
                                         for k, b in parts)


def noise(samples):
    source = random.Random(samples)
    return Picture(13, 10, samples, [source.randbytes(13 * samples) for _ in range(10)])


class Png(unittest.TestCase):
    def test_every_filter_and_type(self):
        for colour, samples in pictures.SAMPLES.items():
            for kinds in ([0], [1], [2], [3], [4], [4, 2, 0, 3, 1]):
                self.assertEqual(pictures.decode_png(png_of(noise(samples), colour, kinds)), noise(samples))

    def test_palettes_of_few_colours_are_packed(self):
        for depth in (1, 2, 4):
            n_bytes = (13 * depth + 7) // 8  # of a row of 13 pixels
            packed = Picture(n_bytes, 10, 1, [random.Random(y).randbytes(n_bytes) for y in range(10)])
            data = png_of(packed, pictures.PALETTE, [4, 2, 0, 3, 1])
            old, new = (struct.pack(">IIBB", w, 10, d, 3) for w, d in ((n_bytes, 8), (13, depth)))
            found = pictures.decode_png(data.replace(old, new, 1))  # sums of chunks are not looked at
            digits = ["".join(f"{byte:08b}" for byte in row) for row in packed.rows]
            want = [bytes(int(d[i * depth:(i + 1) * depth], 2) for i in range(13)) for d in digits]
            self.assertEqual(found, Picture(13, 10, 1, want))

    def test_written_and_read(self):
        for samples in (1, 3, 4):
            self.assertEqual(pictures.decode_png(pictures.encode_png(noise(samples))), noise(samples))

    def test_what_is_not_read(self):
        whole = pictures.encode_png(noise(3))
        for broken in (b"", b"GIF89a", whole[:40], whole[:60], whole.replace(b"\x00\x00\x00\x0d\x00\x00\x00\x0a\x08",
                                                                         b"\x00\x00\x00\x0d\x00\x00\x00\x0a\x10", 1)):
            with self.assertRaises(pictures.PictureError):
                pictures.decode_png(broken)


class Overlay(unittest.TestCase):
    def test_outlines_on_the_frame(self):
        gray = Picture(64, 48, 3, [bytes([9] * 192)] * 48)
        drawn = pictures.overlay(gray, square(10), square(30))
        pixel = lambda x, y: tuple(drawn.rows[y][3 * x:3 * x + 3])  # noqa: E731
        self.assertEqual(pixel(10, 20), pictures.FOUND)
        self.assertEqual(pixel(11, 20), pictures.FOUND)
        self.assertEqual(pixel(16, 24), (9, 9, 9))
        self.assertEqual(pixel(0, 0), (9, 9, 9))
        self.assertIn(pictures.TRUE, [pixel(45, y) for y in range(16, 32)])
        self.assertIn((9, 9, 9), [pixel(45, y) for y in range(16, 32)])  # dashed

    def test_without_a_frame(self):
        drawn = pictures.overlay(None, square(10), square(10))
        self.assertEqual(tuple(drawn.rows[0][:3]), (pictures.EMPTY,) * 3)

    def test_large_ones_shrink(self):
        rows = [bytes(1000)] * 10
        self.assertEqual(pictures.overlay(None, Picture(1000, 10, 1, rows), Picture(1000, 10, 1, rows)).width, 334)


class Truth(unittest.TestCase):
    def test_run_lengths(self):
        """Counts of a 3 x 4 map, column by column: written by hand from COCO's rule."""
        self.assertEqual(truth.counts("123"), [1, 2, 3])
        self.assertEqual(truth.counts("1231"), [1, 2, 3, 3])  # the fourth is told as the difference to the second
        self.assertEqual(truth.counts("123O"), [1, 2, 3, 1])
        self.assertEqual(truth.counts("PR1"), [0 + (2 << 5) + (1 << 10)])
        rows = [bytearray(4) for _ in range(3)]
        truth.draw(rows, 7, "251")
        self.assertEqual([list(r) for r in rows], [[0, 7, 7, 0], [0, 7, 0, 0], [7, 7, 0, 0]])

    def test_files(self):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "t.json").write_text('{"size": [3, 4], "frames": [{"2": "251", "1": "2"}, {"2": "01"}]}')
            read = truth.read(folder, {"truth": {"rle": "t.json"}}, 0)
            self.assertEqual(read.rows, [bytes([0, 2, 2, 0]), bytes([0, 2, 0, 0]), bytes([2, 2, 0, 0])])
            with self.assertRaises(pictures.PictureError):
                truth.read(folder, {"truth": {"rle": "t.json"}}, 5)
            (folder / "00003.png").write_bytes(pictures.encode_png(square(4)))
            self.assertEqual(truth.read(folder, {"truth": "."}, 3), square(4))


if __name__ == "__main__":
    unittest.main()
