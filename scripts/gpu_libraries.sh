#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Sourced by the scripts for a card: where cuBLASLt (a build that leaves it out of the bundle takes the machine's) and the
# driver's libraries may lie, behind what LD_LIBRARY_PATH has: a toolkit, the driver's own folder, PyTorch's packages.
packages=$(python3 -c 'import sysconfig; print(sysconfig.get_path("purelib"))' 2>/dev/null)
for folder in ${CUDA_HOME:+"$CUDA_HOME/lib64"} /usr/local/cuda*/lib64 /usr/local/cuda*/targets/x86_64-linux/lib \
    /usr/local/nvidia/lib64 "${packages:-/nowhere}"/nvidia/*/lib; do
    [ -d "$folder" ] && LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$folder
done
export LD_LIBRARY_PATH=${LD_LIBRARY_PATH:-}
