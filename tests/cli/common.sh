# SPDX-License-Identifier: Apache-2.0
# Shared by the scripts here: bash script.sh TRACK SAMPLES_DIR. Works in a scratch folder of its own, which is removed.
# Exit status: 0 all held, 1 something did not, 77 the samples are not there.
track=$(realpath "$1")
samples=$(realpath "$2")
clip=$samples/clips/plain-motion.mp4
truth=$samples/clips/plain-motion
model=$samples/models/demo-m.safetensors
for needed in "$clip" "$truth/00000.png" "$model"; do
    if [ ! -f "$needed" ]; then
        echo "skipped: no $needed"
        exit 77
    fi
done
scratch=$(mktemp -d -p .) || exit 1
scratch=$(realpath "$scratch")
trap 'rm -rf "$scratch"' EXIT
cd "$scratch" || exit 1
mkdir out
box=223,144,173,162 # object 1 of the clip on frame 0
n_failed=0

complain() {
    echo "FAILED: $*"
    n_failed=$((n_failed + 1))
}

# is WHAT FOUND EXPECTED
is() {
    [ "$2" == "$3" ] || complain "$1: expected $3, got $2"
}

# lines FILE: of what the command said, but for the line about memory that a run starts with
lines() {
    grep -vc "^track: memory: " "$1"
}

# refused STATUS PATTERN ARGUMENT...: that exit status, exactly one line on standard error, which starts with "track: "
# and holds the pattern (a run that had begun says before what memory it needs), nothing on standard output, and nothing
# new in out/
refused() {
    local status=$1 pattern=$2 found
    shift 2
    "$track" "$@" >stdout.txt 2>stderr.txt
    found=$?
    is "track $*: exit status" "$found" "$status"
    is "track $*: lines on standard error" "$(lines stderr.txt)" 1
    grep -q "^track: " stderr.txt || complain "track $*: $(cat stderr.txt)"
    grep -q -- "$pattern" stderr.txt || complain "track $*: expected \"$pattern\" in \"$(cat stderr.txt)\""
    is "track $*: bytes on standard output" "$(wc -c <stdout.txt)" 0
    is "track $*: files left" "$(find out -mindepth 1 | wc -l)" 0
    rm -rf out
    mkdir out
}

# davis_clip NAME FRAMES TRUTH N_FRAMES: a clip of the dataset in ./davis, from two folders of PNGs
davis_clip() {
    local i
    mkdir -p "davis/JPEGImages/480p/$1" "davis/Annotations/480p/$1" davis/ImageSets/2017
    for ((i = 0; i < $4; i++)); do
        cp "$2/$(printf %05d $i).png" "davis/JPEGImages/480p/$1/"
        cp "$3/$(printf %05d $i).png" "davis/Annotations/480p/$1/"
    done
    echo "$1" >>davis/ImageSets/2017/val.txt
}

# hold FOLDER: a run with masks into it cannot be over before it is stopped, since the mask of frame 5 is a pipe, at which
# it waits for a reader
hold() {
    mkdir -p "$1"
    mkfifo "$1/00005.png"
}

# stop SIGNAL PROCESS FOLDER: sends the signal once the frame before is written, and reads; frame 5 is the last one then.
# Sets status.
stop() {
    local i
    for ((i = 0; i < 1200; i++)); do
        [ -e "$3/00004.png" ] || ! kill -0 "$2" 2>/dev/null && break
        sleep 0.1
    done
    sleep 1 # frame 4 has a name before it is done with; the run waits at frame 5
    if kill "-$1" "$2"; then
        [ "$1" != HUP ] || { sleep 0.1 && kill -HUP "$2"; } # a shell's, and the closed terminal's own
        timeout 60 cat "$3/00005.png" >/dev/null
    else
        complain "the run was over before the signal"
    fi
    wait "$2"
    status=$?
}

finish() {
    [ $n_failed -eq 0 ] || exit 1
    echo "all held"
    exit 0
}
