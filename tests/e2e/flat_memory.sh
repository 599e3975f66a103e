#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# flat_memory.sh TRACK MAKE_VIDEO SHORT LONG: the peak resident memory of a long run is that of a short one, within 2 %.
set -eu
track=$1 make_video=$2 short=$3 long=$4
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

"$make_video" "$folder/video.mp4" "$long"
peak() {
    "$track" "$folder/video.mp4" --box 180,80,80,80 --frames "$1" --quiet -o "$folder/overlay.mp4" \
        --masks "$folder/masks" --jsonl "$folder/objects.jsonl" --memory-report="$folder/report.json"
    grep -o '"peak": *[0-9]*' "$folder/report.json" | tail -n 1 | grep -o '[0-9]*$'
}
a=$(peak "$short")
b=$(peak "$long")
echo "peak resident memory: $short frames $a bytes, $long frames $b bytes"
awk -v a="$a" -v b="$b" 'BEGIN { exit !(a > 1e6 && b <= 1.02 * a && b >= 0.98 * a) }' || {
    echo "expected them to be equal within 2 %" >&2
    exit 1
}
