#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# From nothing to a checked model, in two hours on two CPU cores with instructions for bf16: makes a Python environment,
# trains, exports, and fails if mean J on the held-out clips is below 0.75. The same line again goes on after a break.
#   training/train.sh [FOLDER]      default: training/runs/demo
set -eu
unset CDPATH # else cd may go elsewhere, and print where
here=$(cd -- "$(dirname -- "$0")" && pwd)
out=${1:-$here/runs/demo}
mkdir -p -- "$out"
out=$(cd -- "$out" && pwd)
environment=$here/.venv
if [ ! -e "$environment/complete" ]; then
    python3 -c 'import ensurepip' 2>/dev/null ||
        { echo "train.sh: expected Python's venv module with pip (Debian: apt-get install python3-venv)" >&2; exit 1; }
    python3 -m venv "$environment"
    "$environment/bin/pip" install --quiet torch numpy setuptools wheel
    # the package would build a CUDA extension that training does not use, against the torch that is here
    SAM2_BUILD_CUDA=0 "$environment/bin/pip" install --quiet --no-build-isolation -r "$here/requirements.txt"
    touch "$environment/complete"
fi
cd "$here"
# glibc gives large blocks back to the system at every free: a fifth of the time without these
export MALLOC_MMAP_THRESHOLD_=8589934592 MALLOC_TRIM_THRESHOLD_=17179869184 MALLOC_TOP_PAD_=268435456
# processors with instructions for bf16 take three quarters of the time
precision=f32
if grep -qE 'avx512_bf16|amx_bf16' /proc/cpuinfo; then precision=bf16; fi
"$environment/bin/python" train.py --out "$out" --precision "$precision"
# tracks better at 320 pixels than at the 256 of its last rounds
"$environment/bin/python" export.py "$out/state.pt" "$out/demo.safetensors" --image-size 320
"$environment/bin/python" plot_log.py "$out/log.jsonl" "$out/training.svg" || echo "train.sh: no plot of the log" >&2
"$environment/bin/python" evaluate.py "$out/demo.safetensors" --clips 40 --floor 0.75 --out "$out/held-out.json"
