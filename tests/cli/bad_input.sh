# SPDX-License-Identifier: Apache-2.0
# What the command does with bad input: one clear line, exit status 2 for misuse and 1 for failure, nothing half-written.
. "$(dirname "$0")/common.sh"
outputs=(--overlay out/o.mp4 --jsonl out/o.jsonl --boxes out/o.txt --sheet out/o.png --masks out/masks --logits out/logits)

echo "videos"
refused 1 "nothing.mp4" nothing.mp4 --box $box "${outputs[@]}"
echo "this is not a video" >text.mp4
refused 1 "text.mp4" text.mp4 --box $box "${outputs[@]}"
: >empty.mp4
refused 1 "empty" empty.mp4 --box $box "${outputs[@]}"
head -c 4000 "$clip" >truncated.mp4 # within the header, which is in front
refused 1 "truncated.mp4" truncated.mp4 --box $box "${outputs[@]}"
# files that name addresses: nothing is fetched, nor waited for
printf 'v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n' \
    >session.sdp
timeout 20 "$track" session.sdp --box $box --jsonl out/o.jsonl >stdout.txt 2>stderr.txt
is "session description: exit status" $? 1
is "session description: lines" "$(lines stderr.txt)" 1
printf '#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:9/x.ts\n#EXT-X-ENDLIST\n' >playlist.mp4
"$track" playlist.mp4 --box $box --jsonl out/o.jsonl -v 2>stderr.txt
is "playlist: exit status" $? 1
grep -qi "connection refused\|tcp:" stderr.txt && complain "playlist: $(cat stderr.txt)"
mkdir empty_folder
refused 1 "empty_folder" empty_folder --box $box "${outputs[@]}"
refused 2 "1000" "$clip" --box $box --start 1000 "${outputs[@]}"
"$track" - --box $box --jsonl out/o.jsonl </dev/null >stdout.txt 2>stderr.txt
is "empty standard input: exit status" $? 1
is "empty standard input: lines" "$(wc -l <stderr.txt)" 1
is "empty standard input: files left" "$(ls out | wc -l)" 0

echo "prompts"
refused 2 "nothing to follow" "$clip" "${outputs[@]}"
refused 2 "480 x 480" "$clip" --box 480,10,20,20 "${outputs[@]}"
refused 2 "480 x 480" "$clip" --box 10,10,-20,20 "${outputs[@]}"
refused 2 "480 x 480" "$clip" --box 10,10,20,0 "${outputs[@]}"
refused 2 "480 x 480" "$clip" --point 10,481 "${outputs[@]}"
for malformed in 1,2,3 1,2,3,x a@1:1,2,3,4 0:1,2,3,4 1@:1,2,3,4 1,2,3,nan "1 2 3 4"; do
    refused 2 "expected \[ID@FRAME:\]x,y,w,h" "$clip" --box "$malformed" "${outputs[@]}"
done
refused 2 "expected \[ID@FRAME:\]x,y" "$clip" --point 5,6,7 "${outputs[@]}"
refused 2 "before the first" "$clip" --box @3:$box --start 5 "${outputs[@]}"
refused 1 "nothing was followed" "$clip" --box @30:$box --frames 3 --jsonl out/o.jsonl --overlay out/o.mp4
refused 1 "no_such.json" "$clip" --prompts no_such.json "${outputs[@]}"
prompts() {
    echo "$2" >prompts.json
    refused 2 "$1" "$clip" --prompts prompts.json "${outputs[@]}"
}
prompts "line 2" '{"prompts": ['
prompts "expected" '{"prompts": []}'
prompts "prompts\[0\].object" '{"prompts": [{"frame": 0, "points": [[5, 5, 1]]}]}'
prompts "prompts\[0\].object" '{"prompts": [{"object": -1, "points": [[5, 5, 1]]}]}'
prompts "prompts\[0\].objekt" '{"prompts": [{"objekt": 1, "points": [[5, 5, 1]]}]}'
prompts "prompts\[1\].box" '{"prompts": [{"object": 1, "box": [1, 2, 3, 4]}, {"object": 1, "box": [1, 2, 3]}]}'
prompts "480 x 480" '{"prompts": [{"object": 1, "box": [1000, 2, 3, 4]}]}'

echo "masks"
refused 1 "no_mask.png" "$clip" --mask no_mask.png "${outputs[@]}"
refused 1 "text.mp4" "$clip" --mask text.mp4 "${outputs[@]}"
echo '{"prompts": [{"object": 1, "box": [1, 2, 3, 4]}, {"object": 1, "mask": "no_mask.png"}]}' >prompts.json
refused 1 "prompts.json: prompts\[1\]: no_mask.png" "$clip" --prompts prompts.json "${outputs[@]}"
head -c 60 "$truth/00000.png" >half.png
refused 1 "half.png" "$clip" --mask half.png "${outputs[@]}"
refused 2 "palette PNG" "$clip" --box 256:$box --masks out/masks
printf 'P5 64 32 255\n%2048s' "" >wide.pgm
refused 2 "a mask of 64 x 32 for frames of 480 x 480" "$clip" --mask wide.pgm "${outputs[@]}"

echo "models"
refused 1 "no-such-model" "$clip" --box $box --model no-such-model "${outputs[@]}"
refused 1 "none.pt" "$clip" --box $box --model none.pt "${outputs[@]}"
head -c $(($(stat -c %s "$model") / 2)) "$model" >truncated.safetensors
refused 1 "truncated.safetensors" "$clip" --box $box --model truncated.safetensors "${outputs[@]}"
refused 1 "text.mp4" "$clip" --box $box --model text.mp4 "${outputs[@]}"
# safetensors FILE HEADER: a header of fewer than 256 characters and four bytes of data
safetensors() {
    printf "\\x$(printf %02x ${#2})\\0\\0\\0\\0\\0\\0\\0%s\\0\\0\\0\\0" "$2" >"$1"
}
safetensors other.safetensors '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
refused 1 "other.safetensors" "$clip" --box $box --model other.safetensors "${outputs[@]}"
safetensors absurd.safetensors '{"a":{"dtype":"F32","shape":[4294967296,4294967296,4294967296],"data_offsets":[0,4]}}'
refused 1 "absurd.safetensors" "$clip" --box $box --model absurd.safetensors "${outputs[@]}"
printf '\377\377\377\377\377\377\377\177{}' >huge_header.safetensors
refused 1 "huge_header.safetensors" "$clip" --box $box --model huge_header.safetensors "${outputs[@]}"
# a .pt whose pickle calls os.system("touch PWNED")
base64 -d >hostile.pt <<'PT'
UEsDBBQAAAAAAAAAIQBKu+OJIQAAACEAAAAQAAAAYXJjaGl2ZS9kYXRhLnBrbIACY29zCnN5c3RlbQpYDAAAAHRvdWNoIFBXTkVECoVSLlBLAwQUAAAA
AAAAACEA0Z5nVQIAAAACAAAADwAAAGFyY2hpdmUvdmVyc2lvbjMKUEsBAhQDFAAAAAAAAAAhAEq744khAAAAIQAAABAAAAAAAAAAAAAAAIABAAAAAGFy
Y2hpdmUvZGF0YS5wa2xQSwECFAMUAAAAAAAAACEA0Z5nVQIAAAACAAAADwAAAAAAAAAAAAAAgAFPAAAAYXJjaGl2ZS92ZXJzaW9uUEsFBgAAAAACAAIA
ewAAAH4AAAAAAA==
PT
refused 1 "hostile.pt" "$clip" --box $box --model hostile.pt "${outputs[@]}"
refused 1 "hostile.pt" info hostile.pt
[ ! -e PWNED ] || complain "the pickle was run"
refused 2 "17" "$clip" --box $box --image-size 17 "${outputs[@]}"

echo "outputs"
: >file
mkdir folder.mp4 folder.png
for option in --overlay --jsonl --boxes --sheet; do
    suffix=mp4
    [ $option = --sheet ] && suffix=png
    refused 1 "file/o.$suffix" "$clip" --box $box $option file/o.$suffix
    refused 1 "none/o.$suffix" "$clip" --box $box $option none/o.$suffix
    refused 1 "folder.$suffix" "$clip" --box $box $option folder.$suffix
done
refused 1 "file" "$clip" --box $box --masks file
refused 1 "file/logits" "$clip" --box $box --logits file/logits --masks out/masks
cp "$clip" copy.mp4
refused 2 "overwritten" copy.mp4 --box $box --overlay copy.mp4
echo "outputs that are inputs, or one output twice"
mkdir frames maps m
cp "$truth/00000.png" frames/00000.png
cp "$truth/00001.png" frames/00001.png
cp "$truth/00000.png" m/00000.png
cp "$truth/00000.png" first.png
cp "$model" copy.safetensors
ln -s copy.mp4 link.mp4
echo '{"prompts": [{"object": 1, "mask": "m/00000.png"}]}' >mask.json
sums=$(md5sum copy.mp4 frames/* m/* first.png copy.safetensors mask.json)
refused 2 "overwritten" copy.mp4 --box $box --memory-report=./copy.mp4
refused 2 "overwritten" link.mp4 --box $box --overlay "$PWD/copy.mp4"
refused 2 "overwritten" copy.mp4 --box $box --jsonl link.mp4
refused 2 "mask of a prompt" "$clip" --mask first.png --sheet ./first.png
refused 2 "model" "$clip" --box $box --model copy.safetensors --boxes copy.safetensors
refused 2 "file of --prompts" "$clip" --prompts mask.json --jsonl m/../mask.json
refused 2 "folder of the video" frames/ --box $box --masks frames
refused 2 "folder of the video" frames --box $box --logits "$PWD/frames"
refused 2 "folder of the video" frames --box $box --sheet frames/00001.png
refused 2 "overwritten" "$clip" --mask m/00000.png --masks m
refused 2 "overwritten" "$clip" --prompts mask.json --masks m/
"$track" - --box $box --frames 1 --memory-report=copy.mp4 <copy.mp4 2>stderr.txt
is "standard input overwritten: exit status" $? 2
refused 2 "also the file of" "$clip" --box $box --overlay out/s.mp4 --jsonl out/../out/s.mp4
refused 2 "also the file of" "$clip" --box $box --jsonl out/a --boxes out/a
refused 2 "also the file of" "$clip" --box $box --jsonl - --boxes -
refused 2 "also the file of" "$clip" --box 1:$box --box 2:$box --jsonl out/a_2.txt --boxes out/a.txt
refused 2 "masks may use" "$clip" --box $box --masks maps --sheet maps/00000.png
refused 2 "one object" "$clip" --box 1:$box --box 2:$box --boxes -
is "inputs after refusals" "$(md5sum copy.mp4 frames/* m/* first.png copy.safetensors mask.json)" "$sums"
is "folders after refusals" "$(ls frames maps m | tr '\n' ' ')" "frames: 00000.png 00001.png  m: 00000.png  maps: "

for option in --sheet --save-state --masks --logits; do
    refused 2 "$option: cannot go to standard output" "$clip" --box $box $option -
done
is "files named -" "$(find . -name -)" ""
mkfifo out.fifo
ln -s out.fifo out.mp4
refused 1 "save-state: out.fifo: .*not a regular file" "$clip" --box $box --save-state out.fifo
refused 1 "out.fifo: not a regular file, expected an image file" "$clip" --mask out.fifo
refused 1 "overlay: out.mp4: .*needs a regular file" "$clip" --box $box --overlay out.mp4
ln -s frames/00001.png to_frame.png
refused 2 "folder of the video" frames --box $box --sheet to_frame.png
ln -s out/a to_a
refused 2 "also the file of" "$clip" --box $box --jsonl out/a --boxes to_a
is "what is no file after refusals" "$(stat -c %F out.fifo out.mp4 | tr '\n' ' ')" "fifo symbolic link "

echo "full disks"
if [ -w /dev/full ]; then
    refused 1 "No space left" "$clip" --box $box --frames 3 --jsonl /dev/full
fi
# a limit on the size of files stands in for a full disk; what the script itself writes stays below it
limited() {
    (
        n_failed=0
        ulimit -f "$1"
        shift
        refused 1 "File too large" "$clip" --box $box "$@"
        exit $n_failed
    ) || n_failed=$((n_failed + 1))
}
limited 16 --overlay out/o.mp4 --frames 12
limited 1 --jsonl out/o.jsonl --frames 12
limited 1 --sheet out/o.png --frames 2
limited 1 --logits out/logits --frames 2
# an output that fails at the end does not take the others with it
(
    ulimit -f 40
    "$track" "$clip" --box $box --frames 2 --image-size 128 --sheet out/o.png --jsonl out/o.jsonl --boxes out/o.txt -q
) 2>stderr.txt
is "sheet beyond the limit: exit status" $? 1
is "sheet beyond the limit: message" "$(grep -c "o.png: .*File too large" stderr.txt)" 1
is "sheet beyond the limit: JSON lines" "$(wc -l <out/o.jsonl)" 2
is "sheet beyond the limit: boxes" "$(wc -l <out/o.txt)" 2
rm -r out
mkdir out
# nor does one that fails on the way: JSON lines here, at a few hundred bytes a frame
(
    ulimit -f 1
    "$track" "$clip" --box $box --frames 12 --image-size 128 --jsonl out/o.jsonl --boxes out/o.txt -q
) 2>stderr.txt
is "JSON lines beyond the limit: exit status" $? 1
whole=$(sed -n 's/^track: .*o.jsonl: .*File too large (the other outputs are whole up to there: frame \([0-9]*\))$/\1/p' \
    stderr.txt)
is "JSON lines beyond the limit: boxes" "$(wc -l <out/o.txt)" "$((whole + 1))"
is "JSON lines beyond the limit: files" "$(ls out)" o.txt
rm -r out
mkdir out
"$track" "$clip" --box $box --frames 12 --jsonl - 2>stderr.txt | head -c 1 >/dev/null
is "closed pipe: exit status" "${PIPESTATUS[0]}" 1
is "closed pipe: lines on standard error" "$(lines stderr.txt)" 1
"$track" "$clip" --box $box --image-size 128 --jsonl - --overlay out/o.mp4 --save-state out/state 2>stderr.txt |
    head -n 2 >/dev/null
is "closed pipe beside an overlay: exit status" "${PIPESTATUS[0]}" 1
is "closed pipe beside an overlay: message" "$(grep -c "standard output: .*(the other outputs are whole" stderr.txt)" 1
is "closed pipe beside an overlay: files" "$(ls out | tr '\n' ' ')" "o.mp4 state "
# to go on where the outputs end
whole=$(sed -n 's/.*whole up to there: frame \([0-9]*\))$/\1/p' stderr.txt)
"$track" "$clip" --resume out/state --image-size 128 --frames 1 --jsonl next.jsonl -q
is "closed pipe beside an overlay: next frame" "$(grep -o '^{"frame":[0-9]*' next.jsonl)" "{\"frame\":$((whole + 1))"
rm -r out
mkdir out
mkdir -p out/logits/00002_1.npy # no file can take its place
"$track" "$clip" --box $box --image-size 128 --logits out/logits --jsonl out/o.jsonl --save-state out/state -q 2>stderr.txt
is "logits that fail: exit status" $? 1
is "logits that fail: message" "$(grep -c "00002_1.npy: .*(the other outputs are whole up to there: frame 2)" stderr.txt)" 1
is "logits that fail: JSON lines" "$(wc -l <out/o.jsonl)" 3
"$track" "$clip" --resume out/state --image-size 128 --frames 1 --jsonl next.jsonl -q
is "logits that fail: next frame" "$(grep -o '^{"frame":[0-9]*' next.jsonl)" '{"frame":3'
rm -r out
mkdir out
"$track" "$clip" --box $box --image-size 128 --start 46 --save-state at_end -q
refused 1 "the state goes on behind the end: .*start at frame 48" "$clip" --resume at_end --image-size 128 "${outputs[@]}"

echo "memory"
refused 1 "30000 bytes" "$clip" --box $box --memory-budget 30kB "${outputs[@]}"
for value in 1.5 0 -1 2GiBs none; do
    refused 2 "--memory-budget: expected bytes" "$clip" --box $box --memory-budget $value "${outputs[@]}"
done
refused 2 "expected one of them" "$clip" --box $box --sweep-every 2 --sweep-never "${outputs[@]}"
refused 2 "expected a share" "$clip" --box $box --sweep-above 2 "${outputs[@]}"
refused 2 "bf16, f32, f16 or q8" "$clip" --box $box --memory-dtype f64 "${outputs[@]}"
refused 2 "bf16, f32, f16 or q8" "$clip" --box $box --older-memory-dtype q8@x "${outputs[@]}"
refused 2 "whole number or all" "$clip" --box $box --history some "${outputs[@]}"
refused 2 "overwritten" "$clip" --box $box --model copy.safetensors --save-state copy.safetensors
refused 2 "also the file of" "$clip" --box $box --jsonl out/a --save-state out/a
refused 1 "no_state" "$clip" --resume no_state "${outputs[@]}"
refused 1 "text.mp4" "$clip" --resume text.mp4 "${outputs[@]}"
# before the first frame, which would leave a mask
refused 1 "save-state: none/state" "$clip" --box $box --image-size 128 --masks out/masks --save-state none/state
refused 1 "memory-report: none/r.json" "$clip" --box $box --image-size 128 --masks out/masks --memory-report=none/r.json

echo "lists"
refused 1 "no_list" --list no_list
echo "$clip --box $box --model x" >list
refused 2 "list:1: --model" --list list
printf '%s\n' "# two" "$clip --box $box --jsonl out/a.png" "$clip --box $box --sheet out/a.png" >list
refused 2 "list:3: --sheet: out/a.png is also the file of --jsonl of list:2" --list list
echo "$clip --box $box --masks out/masks --save-state none/state" >list
"$track" --list list --image-size 128 -q 2>stderr.txt
is "list with a state in no folder: exit status" $? 1
is "list with a state in no folder: its line" "$(grep -c "^track: list:1: --save-state: none/state" stderr.txt)" 1
is "list with a state in no folder: files left" "$(ls out | wc -l)" 0
refused 2 "copy.safetensors is the model, and would be overwritten" --list list --model copy.safetensors \
    --memory-report=./copy.safetensors
refused 1 "memory-report: none/r.json" --list list --image-size 128 --memory-report=none/r.json
refused 2 "with --list" "$clip" --list list
refused 2 "expected --list" "$clip" --box $box --jobs 2

echo "command line"
refused 2 "(see track --help)" "$clip" --box $box --threads x
refused 2 "no such option" "$clip" --box $box --thread 1
refused 2 "(see track eval --help)" eval "$truth" --pred "$truth" --device cpu
refused 2 "already: --box 1:$box" "$clip" --box 1:$box --box 1:$box
refused 2 "the point 4000,5 lies outside" "$clip" --point 4000,5
refused 2 "expected --memory-budget too" "$clip" --box $box --sweep-above 0.5
refused 2 "expected --memory-budget too" "$clip" --box $box --sweep-above 0.5 --plan
refused 1 "is a folder" "$clip" --prompts "$truth"
echo "no JSON" >config.json
refused 1 "config.json: not valid JSON" "$clip" --box $box --model-config config.json
"$track" - --box $box </dev/null 2>stderr.txt
is "empty standard input: exit status" $? 1
is "empty standard input: its line" "$(cat stderr.txt)" "track: -: empty, expected a video"
grew=$("$track" "$clip" --box $box --image-size 128 --sweep-never --history all --plan | grep -c "more with every\|without end")
is "lines of a plan that grows" "$grew" 3
refused 2 "expected a video"
refused 1 "no_masks" eval "$truth" --pred no_masks
refused 1 "no_truth" eval no_truth --pred "$truth"
case $("$track" --version) in
*[Cc][Uu][Dd][Aa]*) ;;
*) refused 1 "CUDA\|cuda" "$clip" --box $box --device cuda "${outputs[@]}" ;;
esac
finish
