#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# sanitize_gpu.sh [KCHECK [OPERATOR...]]: compute-sanitizer's memcheck, racecheck, initcheck and synccheck over the kernel
# check on a card. KCHECK: bin/kcheck beside this script or build/tests/kcheck/kcheck of its checkout. Many times slower
# than the check itself: name operators to choose some. Exit status: 0 nothing found, 1 something, 77 no tool or no card.
set -u
unset CDPATH # else cd may go elsewhere, and print where
here=$(cd -- "$(dirname -- "$0")" && pwd)
kcheck=${1:-}
[ $# -gt 0 ] && shift
for candidate in "$here/bin/kcheck" "$here/../build/tests/kcheck/kcheck"; do
    [ -z "$kcheck" ] && [ -x "$candidate" ] && kcheck=$candidate
done
[ -x "$kcheck" ] || { echo "sanitize_gpu.sh: no kcheck" >&2; exit 2; }
PATH=$PATH:/usr/local/cuda/bin${CUDA_HOME:+:$CUDA_HOME/bin}
. "$here/gpu_libraries.sh"
command -v compute-sanitizer >/dev/null || { echo "skipped: no compute-sanitizer (part of the CUDA toolkit)"; exit 77; }
line=$("$kcheck" --op add --backend cuda --shape 1x1 2>&1)
case $? in
0) ;;
77) echo "skipped: no device"; exit 77 ;;
*) echo "sanitize_gpu.sh: the kernel check can not be run: $(echo "$line" | tail -n 1)" >&2; exit 2 ;;
esac

probe=$(compute-sanitizer --error-exitcode 86 "$kcheck" --op add --backend cuda --shape 1x1 2>&1)
if [ $? != 0 ] && echo "$probe" | grep -qiE 'not supported|unable to|failed to (attach|initialize)'; then
    echo "skipped: compute-sanitizer cannot run here: $(echo "$probe" | grep -iE 'not supported|unable to|failed to' | head -n 1)"
    exit 77
fi

# fill_holes joins labels by atomicMin while other threads read them: racecheck may tell of it, and no order matters there.
# initcheck sees reads of device memory that nobody wrote; what the check poisons lies on the host's side
failed=0
for operator in ${*:-$("$kcheck" --list)}; do
    for tool in memcheck racecheck initcheck synccheck; do
        log=$(mktemp)
        if compute-sanitizer --tool $tool --error-exitcode 86 "$kcheck" --op "$operator" --backend cuda-all >"$log" 2>&1; then
            printf '%-18s %-10s ok\n' "$operator" $tool
        else
            failed=1
            printf '%-18s %-10s FAILED\n' "$operator" $tool
            grep -E '^=========|FAIL' "$log" | head -n 20
        fi
        rm -f "$log"
    done
done
exit $failed
