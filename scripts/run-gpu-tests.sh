#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# run-gpu-tests.sh [QUICK|ALL]: what there is to check and to measure on a card, from the bundle (`--target bundle`) it
# lies in, or from a build: run-gpu-tests.sh in scripts/ takes build/ (or $TRK_BUILD) of its checkout. Prints a table;
# logs and programs' lines are in $OUT (default: ./gpu-test-results). ALL adds the seven larger official configurations.
# Each line of the table has at most $LIMIT seconds (default: 600). Exit status: 0 all passed, 1 some failed, 77 no card.
set -u
what=${1:-QUICK}
here=$(cd "$(dirname "$0")" && pwd)
out=${OUT:-$PWD/gpu-test-results}
mkdir -p "$out" && out=$(cd "$out" && pwd) || exit 2

if [ -d "$here/bin" ]; then # the bundle
    root=$here
    kcheck=$here/bin/kcheck stages=$here/bin/test_stages tracking=$here/bin/test_tracking samurai=$here/bin/test_samurai
    quality=$here/bin/test_quality identity=$here/bin/test_identity failures=$here/bin/test_failures
    whole=$here/bin/test_cuda memory=$here/bin/test_cuda_memory
    bench=$here/bin/frame_bench weights=$here/bin/make_weights track=$here/bin/track
else
    root=$(dirname "$here")
    build=$(cd "${TRK_BUILD:-$root/build}" && pwd) || exit 2
    kcheck=$build/tests/kcheck/kcheck
    stages=$build/tests/golden/test_stages tracking=$build/tests/golden/test_tracking
    samurai=$build/tests/golden/test_samurai
    quality=$build/tests/e2e/test_quality identity=$build/tests/e2e/test_identity
    failures=$build/tests/e2e/test_failures
    whole=$build/tests/test_cuda memory=$build/tests/test_cuda_memory
    bench=$build/tests/bench/frame_bench weights=$build/tests/tools/make_weights track=$build/track
fi
# a bundle without cuBLASLt finds that of the machine's toolkit
for folder in /usr/local/cuda/lib64 ${CUDA_HOME:+"$CUDA_HOME/lib64"}; do
    [ -d "$folder" ] && LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$folder
done
export LD_LIBRARY_PATH
cd "$root" || exit 2
data=$root/tests/golden/data
demo=$root/samples/models/demo-m.safetensors
table=$out/table.txt
: >"$table"
failed=0

# run NAME COMMAND...: one line of the table
run() {
    name=$1
    shift
    start=$(date +%s.%N)
    timeout -k 10 "${LIMIT:-600}" "$@" >"$out/$name.log" 2>&1
    rc=$?
    case $rc in
    0) result=ok ;;
    77) result=skipped ;;
    124 | 137) result="TOO LONG" failed=1 ;;
    *) result="FAILED ($rc)" failed=1 ;;
    esac
    printf '%-48s %-12s %6.1f s\n' "$name" "$result" "$(echo "$start $(date +%s.%N)" | awk '{print $2 - $1}')" |
        tee -a "$table"
}

# golden NAME MODEL-FILE: every stored output of one model
golden() {
    for file in "$data"/stages-"$1"-*.safetensors; do
        [ -f "$file" ] || continue
        side=$(basename "$file" .safetensors | sed "s/^stages-$1-//; s/-.*//")
        run "$(basename "$file" .safetensors).cuda" "$stages" "$file" "$2" "$side" cuda
    done
    for file in "$data"/track-"$1"-*.json; do
        [ -f "$file" ] || continue
        side=$(basename "$file" .json | sed "s/^track-$1-//; s/-.*//")
        for device in cuda cuda-bf16; do
            run "$(basename "$file" .json).$device" "$tracking" "$file" "$2" "$side" "$device"
        done
    done
    for file in "$data"/samurai-"$1"-*.json; do
        [ -f "$file" ] || continue
        side=$(basename "$file" .json | sed "s/^samurai-$1-//; s/-.*//")
        run "$(basename "$file" .json).cuda" "$samurai" "$file" "$2" "$side" cuda
    done
}

{
    echo "commit: $(cat COMMIT 2>/dev/null || git describe --always --dirty --abbrev=12 2>/dev/null || echo unknown)"
    nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>/dev/null || echo "no nvidia-smi"
} | tee -a "$table"

"$kcheck" --op add --backend cuda --shape 1x1 >"$out/card.log" 2>&1
[ $? = 77 ] && { cat "$out/card.log"; exit 77; }
export TEST_DEVICE=cuda # of the programs that would take the CPU where the card cannot be used

for op in $("$kcheck" --list); do
    run "kernels.$op" "$kcheck" --op "$op" --backend cuda-all
done
golden demo "$demo"
models=sam2.1:tiny
[ "$what" = ALL ] && models="sam2:tiny sam2.1:tiny sam2:small sam2.1:small sam2:base+ sam2.1:base+ sam2:large sam2.1:large"
for model in $models; do
    family=${model%%:*} size=${model##*:}
    "$weights" "$family" "$size" "$out/$family-$size.safetensors" >"$out/make-$family-$size.log" 2>&1
    golden "$family-$size" "$out/$family-$size.safetensors"
done
run backend "$whole"
run backend.memory "$memory"
run quality.f32 "$quality" f32 samples "$data/quality.json"
run quality.bf16 "$quality" bf16 samples "$data/quality.json"
run identity "$identity"
run failures "$failures"
for decoder in cpu cuda; do
    run "track.decoder-$decoder" "$track" samples/clips/plain-motion.mp4 --device cuda --decoder $decoder --box 223,144,173,162 \
        --jsonl "$out/objects-$decoder.jsonl"
done
# the two may turn colours into RGB a rounding apart: how many frames have other masks
diff "$out/objects-cpu.jsonl" "$out/objects-cuda.jsonl" 2>/dev/null | grep -c '^>' | sed 's/^/frames that differ by decoder: /' |
    tee -a "$table"

# seconds per frame, bank full
for model in "$demo" "$out/sam2.1-tiny.safetensors"; do
    for dtype in f32 bf16; do
        name=bench.$(basename "$model" .safetensors).$dtype
        run "$name" "$bench" "$model" --device cuda --dtype "$dtype" --warmup 30 --frames 100
        tail -n 1 "$out/$name.log" | tee -a "$table"
    done
done
run bench.kernels "$kcheck" --bench --backend cuda-all

# kernels that are off by themselves (docs/gpu.md), last: should one hang, all else has been told
for op in attention attend_tokens planning; do
    run "kernels.$op.wgmma" env TRK_CUDA_WGMMA=1 "$kcheck" --op "$op" --backend cuda-bf16
done
run bench.attention.wgmma env TRK_CUDA_WGMMA=1 "$kcheck" --bench --backend cuda-bf16 --op attention

echo "table and logs: $out"
exit $failed
