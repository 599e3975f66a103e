#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds what is missing and runs every test that this machine can run; the rest is shown as skipped.
set -eu
cd "$(dirname "$0")/.."
. scripts/packages.sh

cmake -S . -B build -G Ninja -DTRK_TESTS=ON
cmake --build build
# not here: ctest --test-dir build -L large, the eight official configurations at full size and a long video
ctest --test-dir build --output-on-failure --no-tests=error -LE large
