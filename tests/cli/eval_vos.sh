# SPDX-License-Identifier: Apache-2.0
# usage: eval_vos.sh TRACK SAMPLES_DIR FOLDER
# track eval --pred in the layouts of LVOS, YouTube-VOS and MOSE: the numbers of public code. FOLDER: data and
# expected.txt of tests/eval/vos/make_vos.py, which says what each clip is there for.
folder=$(realpath "$3")
. "$(dirname "$0")/common.sh"

# layout FOLDER [META NAME]: the data with what says where objects start
layout() {
    mkdir -p "$1"
    cp -r "$folder/data/JPEGImages" "$folder/data/Annotations" "$1/"
    [ $# = 1 ] || cp "$folder/data/$2" "$1/$3"
}

# numbers_are WHAT DATASET KIND: those of expected.txt, to what the order of sums changes
numbers_are() {
    "$track" eval "$2" --pred "$folder/data/found" --out found.json >/dev/null 2>stderr.txt
    is "$1: exit status" $? 0
    is "$1: standard error" "$(cat stderr.txt)" ""
    differences=$(tr -d '\n "' <found.json | grep -oE 'name:[^,]*|id:[0-9]+|[JF]:\{mean:[^,}]*' | tr ':{' '  ' | awk '
        $1 == "name" { clip = $2 }
        $1 == "id" { id = $2 }
        $1 == "J" || $1 == "F" { print clip, id, $1, $3 }' | awk -v kind="$3" '
        { key = NF == 5 ? $2 " " $3 " " $4 : $1 " " $2 " " $3 }
        NR == FNR { if ($1 == kind) expected[key] = $5; next }
        !(key in expected) { print key ": not expected"; next }
        $4 == "null" || $4 - expected[key] > 1e-9 || expected[key] - $4 > 1e-9 {
            print key ": expected " expected[key] ", got " $4
        }
        { delete expected[key] }
        END { for (key in expected) print key ": not there" }' "$folder/expected.txt" -)
    [ -z "$differences" ] || complain "$1: $differences"
}

is "numbers expected" "$(wc -l <"$folder/expected.txt")" 24
layout youtube/valid youtube.json meta.json
numbers_are "YouTube-VOS" youtube youtube
layout mose
numbers_are "MOSE" mose mose
layout lvos/valid lvos.json valid_meta.json
numbers_are "LVOS" lvos lvos

# in a folder of another name
mv lvos/valid lvos/val
numbers_are "LVOS, val/valid_meta.json" lvos lvos

# ends that have no mask: said with the number behind the range's, and with images between the masks
for behind in 1 4 5; do
    layout "later-$behind"
    awk -F'"' -v OFS='"' -v behind="$behind" '$2 == "end" { $4 = sprintf("%08d", $4 + behind) } { print }' \
        "$folder/data/lvos.json" >"later-$behind/meta.json"
    is "ends $behind later: ends" "$(grep -c "\"end\": \"000000$((31 + behind))\"" "later-$behind/meta.json")" 3
    numbers_are "LVOS, ends $behind later" "later-$behind" lvos
    for images in "later-$behind"/JPEGImages/*; do
        for i in $(seq 1 36); do : >"$images/$(printf %08d "$i").jpg"; done
    done
    numbers_are "LVOS, ends $behind later, images of all frames" "later-$behind" lvos
done
finish
