#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# From a fresh clone to a tracked clip: installs what is missing, builds, follows two objects through a sample clip, and
# says where the results are and how well they match the true masks.
set -eu
cd "$(dirname "$0")/.."
. scripts/packages.sh

cmake -S . -B build -G Ninja -DTRK_TESTS=OFF >build.log 2>&1 || { cat build.log; exit 1; }
cmake --build build >>build.log 2>&1 || { tail -n 40 build.log; exit 1; }
mv build.log build/build.log

rm -rf out
mkdir -p out
./build/track samples/clips/plain-motion.mp4 --box 223,144,173,162 --box 45,115,196,223 \
    -o out/overlay.mp4 --masks out/masks --sheet out/sheet.png --jsonl out/objects.jsonl
./build/track eval samples/clips/plain-motion --pred out/masks --by-object
echo "overlay: out/overlay.mp4"
echo "masks:   out/masks/"
echo "sheet:   out/sheet.png"
