#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# From a fresh clone to a tracked clip: installs what is missing, builds, follows two objects through a sample clip, and
# says where the results are and how well they match the true masks.
set -eu
unset CDPATH # else cd may go elsewhere, and print where
cd -- "$(dirname -- "$0")/.."
. scripts/packages.sh

mkdir -p build
cmake -S . -B build -G Ninja -DTRK_TESTS=OFF >build/build.log 2>&1 || { cat build/build.log; exit 1; }
cmake --build build >>build/build.log 2>&1 || { tail -n 40 build/build.log; exit 1; }

rm -rf out/demo
mkdir -p out/demo
./build/track samples/clips/plain-motion.mp4 --box 223,144,173,162 --box 45,115,196,223 \
    -o out/demo/overlay.mp4 --masks out/demo/masks --sheet out/demo/sheet.png --jsonl out/demo/objects.jsonl
./build/track eval samples/clips/plain-motion --pred out/demo/masks --by-object
echo "overlay: out/demo/overlay.mp4"
echo "masks:   out/demo/masks/"
echo "sheet:   out/demo/sheet.png"
