#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds what is missing and runs every test that this machine can run; the rest is shown as skipped. With a CUDA
# compiler the GPU's kernels are built, too, for five architectures: TRK_CMAKE_OPTIONS can ask for fewer.
set -eu
unset CDPATH # else cd may go elsewhere, and print where
cd -- "$(dirname -- "$0")/.."
. scripts/packages.sh

# shellcheck disable=SC2086
cmake -S . -B build -G Ninja -DTRK_TESTS=ON ${TRK_CMAKE_OPTIONS:-}
cmake --build build
# not here: ctest --test-dir build -L large, the eight official configurations at full size and a long video
# two at a time: few use more than one core for long
ctest --test-dir build --output-on-failure --no-tests=error -LE 'large|simt' -j 2
# one thread each, and nothing that depends on time
ctest --test-dir build --output-on-failure --no-tests=error -L simt -j "$(nproc)"
