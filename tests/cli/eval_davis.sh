# SPDX-License-Identifier: Apache-2.0
# usage: eval_davis.sh TRACK SAMPLES_DIR FOLDER
# track eval --pred in the layout of DAVIS: the numbers of davis2017-evaluation. FOLDER: data and expected.json of
# tests/eval/davis/make_davis.py, which says what each clip is there for.
folder=$(realpath "$3")
. "$(dirname "$0")/common.sh"

# A line for every number: "CLIP ID MEASURE STATISTIC VALUE", those over all objects as "mean - MEASURE - VALUE". Reads
# the result file of track and expected.json alike.
numbers() {
    tr -d '\n "' <"$1" | grep -oE 'name:[^,]*|id:[0-9]+|[JF]:\{mean:[^}]*|mean:\{[^}]*' | tr ':{,' '   ' | awk '
        $1 == "name" { clip = $2 }
        $1 == "id" { id = $2 }
        $1 == "J" || $1 == "F" { for (i = 2; i < 8; i += 2) print clip, id, $1, $i, $(i + 1) }
        $1 == "mean" { for (i = 2; i < NF; i += 2) print "mean", "-", $i, "-", $(i + 1) }'
}

# differing A B: numbers of the one that are not in the other, or not the same. Both sides compute in double what comes
# from whole numbers of pixels: only the order of sums may differ.
differing() {
    awk '{ key = $1 " " $2 " " $3 " " $4 }
         NR == FNR { expected[key] = $5; next }
         !(key in expected) { print key ": not expected"; next }
         $5 == "null" || $5 - expected[key] > 1e-9 || expected[key] - $5 > 1e-9 {
             print key ": expected " expected[key] ", got " $5
         }
         { delete expected[key] }
         END { for (key in expected) print key ": not there" }' "$1" "$2"
}

numbers "$folder/expected.json" >expected.txt
is "numbers expected" "$(wc -l <expected.txt)" 87

"$track" eval "$folder/data/DAVIS" --layout davis --pred "$folder/data/found" --out found.json >table.txt 2>stderr.txt
is "exit status" $? 0
is "standard error" "$(cat stderr.txt)" ""
is "files left" "$(ls -d found.json*)" found.json
numbers found.json >found.txt
differences=$(differing expected.txt found.txt)
[ -z "$differences" ] || complain "other numbers than davis2017-evaluation:
$differences"
is "ends that are not there" "$(ls "$folder/data/found/gone" | tr '\n' ' ' | cut -c 1-10)" "00001.png "

# one other mask shows: in its clip alone, and in the means
cp -r "$folder/data/found" other
cp other/edges/00003.png other/edges/00004.png
"$track" eval "$folder/data/DAVIS" --pred other --out other.json >/dev/null
is "one other mask: exit status" $? 0
numbers other.json >other.txt
is "one other mask: clips that differ" \
    "$(differing expected.txt other.txt | awk '{ print $1 }' | sort -u | tr '\n' ' ')" "edges mean "

# a mask of a frame that counts has to be there
rm other/edges/00001.png
"$track" eval "$folder/data/DAVIS" --clip edges --pred other >/dev/null 2>stderr.txt
is "a mask is missing: exit status" $? 1
grep -q "^track: edges: other/edges/00001.png: missing: expected a mask of every frame that counts" stderr.txt ||
    complain "a mask is missing: $(cat stderr.txt)"
finish
