#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes upstream.h: what Pillow's resize and torch's interpolate make of seeded images.

    python3 upstream.py > upstream.h        (needs pillow, numpy, torch)
"""
import numpy as np
import PIL
import torch
from PIL import Image

# Landscape and square, where every version of Pillow resizes rows first; version 13 resizes columns first when the
# height shrinks and the frame is tall, up to one level apart.
PILLOW = [(1, 1, 16), (5, 3, 16), (31, 17, 16), (100, 33, 48), (97, 61, 64), (64, 64, 64), (640, 480, 256),
          (854, 480, 256), (481, 479, 256), (1920, 1080, 1024), (300, 200, 1024)]
TORCH = [(4, 4, 7, 9, 0), (9, 7, 4, 4, 0), (5, 3, 5, 3, 0), (1, 6, 3, 4, 0), (9, 7, 4, 5, 1), (16, 12, 4, 3, 1),
         (4, 5, 9, 7, 1), (23, 3, 5, 11, 1)]


def stream(seed, n):
    state, out = seed, np.empty(n, np.uint8)
    for i in range(n):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        out[i] = state >> 24
    return out


def fnv(values):
    h = 2166136261
    for v in values.tolist():
        h = ((h ^ v) * 16777619) & 0xFFFFFFFF
    return h


def main():
    print("/* SPDX-License-Identifier: Apache-2.0")
    print(f" * Written by upstream.py with Pillow {PIL.__version__} and torch {torch.__version__.split('+')[0]}; see there. */")
    print("#ifndef TRK_TESTS_KCHECK_UPSTREAM_H\n#define TRK_TESTS_KCHECK_UPSTREAM_H\n\n#include <stdint.h>\n")
    print("static const struct {\n    int width, height, size;\n    uint32_t hash; /* FNV-1a of the resized bytes */")
    print("} pillow_cases[] = {")
    for i, (w, h, s) in enumerate(PILLOW):
        image = Image.fromarray(stream(i + 1, w * h * 3).reshape(h, w, 3))
        print(f"    {{{w}, {h}, {s}, 0x{fnv(np.asarray(image.resize((s, s))).reshape(-1)):08x}u}},")
    print("};\n")
    values, cases = [], []
    for i, (h, w, oh, ow, aa) in enumerate(TORCH):
        x = torch.from_numpy(stream(i + 1, h * w).astype(np.float32) / 64).reshape(1, 1, h, w)
        y = torch.nn.functional.interpolate(x, (oh, ow), mode="bilinear", align_corners=False, antialias=bool(aa))
        cases.append(f"    {{{h}, {w}, {oh}, {ow}, {aa}, {len(values)}}},")
        values += y.reshape(-1).tolist()
    print("typedef struct torch_case {\n    int in_h, in_w, out_h, out_w, antialias, first; /* first of torch_values */\n} torch_case;\n")
    print("static const torch_case torch_cases[] = {\n" + "\n".join(cases) + "\n};\n")
    print("static const float torch_values[] = {")
    for i in range(0, len(values), 6):
        print("    " + ", ".join(f"{float(np.float32(v)):.9e}f" for v in values[i:i + 6]) + ",")
    print("};\n\n#endif")


main()
