#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# run-gpu-tests.sh [QUICK|ALL|LIST [NAMES]]: what there is to check and to measure on a card, from the bundle (`--target
# bundle`) it lies in, or from a build: run-gpu-tests.sh in scripts/ takes build/ (or $TRK_BUILD) of its checkout. Prints a
# table; logs and programs' lines are in $OUT (default: ./gpu-test-results), generated weights in $MODELS (a temporary
# folder). The tests are those of `ctest -L gpu`, by the list that CMake writes (gpu-tests.txt): ALL of them, or QUICK
# without the official configurations at full size but tiny; NAMES, an extended regular expression, chooses lines of the
# table. LIST runs nothing and fails where a program or a file is missing. Each line of the table has at most $LIMIT
# seconds (default: 600). Exit status: 0 all passed, 1 some failed, 2 nothing can be run, 77 no card.
set -u
unset CDPATH # else cd may go elsewhere, and print where
what=${1:-QUICK}
names=${2:-.}
here=$(cd -- "$(dirname -- "$0")" && pwd)

if [ -d "$here/bin" ]; then # the bundle
    root=$here list=$here/gpu-tests.txt
    program() { echo "$root/bin/$1"; }
else
    root=$(dirname "$here")
    build=$(cd "${TRK_BUILD:-$root/build}" && pwd) || exit 2
    list=$build/gpu-tests.txt
    # not those of an unpacked bundle or of an installation in there
    program() { find "$build/" -maxdepth 3 -name bin -prune -o -type f -name "$1" -perm -u+x -print | head -n 1; }
fi
[ -s "$list" ] || { echo "run-gpu-tests.sh: no $list: a build with tests is expected" >&2; exit 2; }

# the lines of the list which are of this run
tests() {
    case $what in
    ALL | LIST) cat "$list" ;;
    *) grep -E '^golden\.stages-sam2\.1-tiny-1024\.|^[^|]*\|\|' "$list" ;;
    esac
}

list_all() {
    tests | while IFS='|' read -r name labels environment command; do
        path=$(program "${command%% *}")
        [ -x "$path" ] || echo "missing: program ${command%% *} of $name"
        for word in ${command#* }; do
            case $word in
            @MODELS@/* | cuda*) ;;
            */* | samples) [ -e "$word" ] || echo "missing: $word of $name" ;;
            esac
        done
        echo "$name: ${environment:+$environment }$command${labels:+ ($labels)}"
    done
    for name in track frame_bench make_weights kcheck; do
        [ -x "$(program $name)" ] || echo "missing: program $name"
    done
}

if [ "$what" = LIST ]; then
    cd "$root" || exit 2
    list_all | awk '{ print } /^missing: / { n++ } END { exit n > 0 }'
    exit
fi

out=${OUT:-$PWD/gpu-test-results}
mkdir -p "$out" && out=$(cd "$out" && pwd) || exit 2
models=${MODELS:-$(mktemp -d)} && mkdir -p "$models" && models=$(cd "$models" && pwd) || exit 2
[ -n "${MODELS:-}" ] || trap 'rm -rf "$models"' EXIT
. "$here/gpu_libraries.sh"
cd "$root" || exit 2
demo=samples/models/demo-m.safetensors
table=$out/table.txt
: >"$table"
failed=0

is_wanted() { echo "$1" | grep -qE -- "$names"; }

# tell NAME COMMAND...: of a line of the table that was wanted, what the command prints
tell() {
    is_wanted "$1" && shift && "$@" | tee -a "$table"
}

# run NAME COMMAND...: one line of the table
run() {
    name=$1
    shift
    is_wanted "$name" || return 0
    start=$(date +%s.%N)
    timeout -k 10 "${LIMIT:-600}" "$@" >"$out/$name.log" 2>&1
    rc=$?
    case $rc in
    0) result=ok ;;
    77) # there is a card: only what needs one of a certain kind may pass it over
        result=SKIPPED
        case $name in *_wgmma) ;; *) failed=1 ;; esac
        ;;
    124 | 137) result="TOO LONG" failed=1 ;;
    *) result="FAILED ($rc)" failed=1 ;;
    esac
    printf '%-48s %-12s %6.1f s\n' "$name" "$result" "$(echo "$start $(date +%s.%N)" | awk '{print $2 - $1}')" |
        tee -a "$table"
}

# run_tests <LINES: those of the list that come on standard input, with the generated models that they need
run_tests() {
    while IFS='|' read -r name labels environment command; do
        is_wanted "$name" || continue
        set --
        for word in ${command#"${command%% *}"}; do
            case $word in
            @MODELS@/*)
                make_model "$(basename "$word" .safetensors)"
                set -- "$@" "$models/${word#@MODELS@/}"
                ;;
            *) set -- "$@" "$word" ;;
            esac
        done
        run "$name" env $environment "$(program "${command%% *}")" "$@" </dev/null
    done
}

# make_model FAMILY-SIZE: in $models, unless it is there
make_model() {
    [ -f "$models/$1.safetensors" ] ||
        "$(program make_weights)" "${1%-*}" "${1##*-}" "$models/$1.safetensors" >"$out/make-$1.log" 2>&1
}

{
    echo "commit: $(cat COMMIT 2>/dev/null || git describe --always --dirty --abbrev=12 2>/dev/null || echo unknown)"
    nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>/dev/null || echo "no nvidia-smi"
} | tee -a "$table"

kcheck=$(program kcheck) bench=$(program frame_bench)
"$kcheck" --op add --backend cuda --shape 1x1 >"$out/card.log" 2>&1
case $? in
0) ;;
77) cat "$out/card.log"; exit 77 ;;
*) echo "run-gpu-tests.sh: the kernel check can not be run: $(tail -n 1 "$out/card.log")" >&2; exit 2 ;;
esac

# what tells most about a failure comes first; kernels that are off by themselves (docs/gpu.md) last: should one hang, all
# else has been told
tests | grep '^kernels\.' | grep -v '_wgmma|' >"$out/first.txt"
tests | grep -v '^kernels\.' >"$out/then.txt"
tests | grep '_wgmma|' >"$out/last.txt"
run_tests <"$out/first.txt"
run_tests <"$out/then.txt"
decoders=cpu
if { ldconfig -p; find $(echo "$LD_LIBRARY_PATH" | tr ':' ' ') -name libnvcuvid.so.1; } 2>/dev/null |
    grep -q 'libnvcuvid\.so\.1'; then
    decoders="cpu cuda"
else
    echo "track.decoder-cuda: left out, the machine has no libnvcuvid.so.1 of the driver" | tee -a "$table"
fi
for decoder in $decoders; do
    run "track.decoder-$decoder" "$(program track)" samples/clips/plain-motion.mp4 --device cuda --decoder $decoder --box 223,144,173,162 \
        --jsonl "$out/objects-$decoder.jsonl"
done
# the two may turn colours into RGB a rounding apart: how many frames have other masks
[ -f "$out/objects-cuda.jsonl" ] && diff "$out/objects-cpu.jsonl" "$out/objects-cuda.jsonl" | grep -c '^>' |
    sed 's/^/frames that differ by decoder: /' | tee -a "$table"

# seconds per frame, bank full
is_wanted bench.sam2.1-tiny && make_model sam2.1-tiny
for model in "$demo" "$models/sam2.1-tiny.safetensors"; do
    for dtype in f32 bf16; do
        name=bench.$(basename "$model" .safetensors).$dtype
        run "$name" "$bench" "$model" --device cuda --dtype "$dtype" --warmup 30 --frames 100
        tell "$name" tail -n 1 "$out/$name.log"
    done
done
run flat.demo-m.bf16 "$bench" "$demo" --device cuda --dtype bf16 --long 20000
tell flat.demo-m.bf16 tail -n 3 "$out/flat.demo-m.bf16.log"
# time per stage, the host's clock around a stage that is waited for
run track.stages env TRK_LOG=debug "$(program track)" samples/clips/plain-motion.mp4 --device cuda \
    --box 223,144,173,162 --jsonl /dev/null
tell track.stages awk '/stage: / { sub(/.*stage: /, ""); ms = $(NF - 1); sub(/ [0-9.]+ ms$/, ""); n[$0]++; sum[$0] += ms }
    END { for (k in n) printf "%-16s %5d calls %8.3f ms\n", k, n[k], sum[k] / n[k] }' "$out/track.stages.log"
run bench.kernels "$kcheck" --bench --backend cuda-all

run_tests <"$out/last.txt"
run bench.attention.wgmma env TRK_CUDA_WGMMA=1 "$kcheck" --bench --backend cuda-bf16 --op attention

echo "table and logs: $out"
exit $failed
