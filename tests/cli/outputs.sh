# SPDX-License-Identifier: Apache-2.0
# Every output of the command on a real clip: all there, all whole, agreeing with each other and with the ground truth.
. "$(dirname "$0")/common.sh"
other=45,115,196,223 # object 2 of the clip

# mean J of an object is at least a floor: quality EVAL_TABLE OBJECT FLOOR
quality() {
    awk -v id="$2" -v floor="$3" '$1 == "object" && $2 == id { found = 1; if (!($4 >= floor)) exit 1 }
        END { if (!found) exit 1 }' "$1" ||
        complain "J of object $2 below $3: $(cat "$1")"
}

"$track" "$clip" --box $box --box $other -o out/o.mp4 --masks out/masks --jsonl out/o.jsonl --boxes out/o.txt \
    --logits out/logits --sheet out/o.png --memory-report=out/memory.json --quiet 2>stderr.txt
is "exit status" $? 0
is "quiet run: standard error" "$(cat stderr.txt)" ""
is "masks" "$(ls out/masks | wc -l)" 48
is "logits" "$(ls out/logits | wc -l)" 96
is "logits: file sizes" "$(stat -c %s out/logits/*.npy | sort -u | wc -l)" 1
is "JSON lines" "$(wc -l <out/o.jsonl)" 48
is "JSON lines of frame 47" "$(grep -c '^{"frame":47,"pts":1.958333,"objects":\[{"id":1,.*{"id":2,' out/o.jsonl)" 1
for object in 1 2; do
    is "boxes of object $object" "$(wc -l <out/o_$object.txt)" 48
    # the two text outputs say the same
    sed -n "s/.*{\"id\":$object,\"box\":\[\([0-9,]*\)\].*/\1/p" out/o.jsonl | cmp -s - out/o_$object.txt ||
        complain "boxes of object $object differ from those of the JSON lines"
done
is "overlay: MP4 signature" "$(head -c 8 out/o.mp4 | tail -c 4)" ftyp
is "sheet: PNG signature" "$(head -c 4 out/o.png | tail -c 3)" PNG
# a sheet by itself is the same sheet
"$track" "$clip" --box $box --box $other --sheet alone.png --quiet
cmp -s alone.png out/o.png || complain "the sheet without other outputs differs"
# two devices and their sum
is "memory report: classes" "$(grep -oE '"(pinned|bank|frame|scratch|total)": \{' out/memory.json | wc -l)" 15
is "memory report: frames" "$(grep -c '"frames_swept": 48,' out/memory.json)" 1
is "memory report: tables" "$(grep -cE '"tables_checksum": "[0-9a-f]{16}"' out/memory.json)" 1
is "memory report: RoPE" "$(grep -cE '"rope": \{"builds": 1, "bytes": [1-9][0-9]*\}' out/memory.json)" 1
grep -q '"owner": "weights"' out/memory.json || complain "memory report: no owner of the weights"
read -r process_now process_peak < <(sed -n 's/.*"process": {"now": \([0-9]*\), "peak": \([0-9]*\)}.*/\1 \2/p' out/memory.json)
# whatever of the process is accounted was resident once
accounted=$(grep -A1 '"device": "\(cpu\|host\)"' out/memory.json | grep -o '"total": {"now": [0-9]*' |
    awk '{ n += $NF } END { print n }')
[ "$process_peak" -ge "$accounted" ] && [ "$process_now" -gt 1000000 ] ||
    complain "memory report: process $process_now and $process_peak, accounted $accounted"
is "everything under its name" "$(ls -A out | tr '\n' ' ')" "logits masks memory.json o.jsonl o.mp4 o.png o_1.txt o_2.txt "
"$track" eval "$truth" --pred out/masks --by-object >eval.txt
is "eval: exit status" $? 0
# the official code with these weights reaches 0.92 and 0.97 on this clip
quality eval.txt 1 0.85
quality eval.txt 2 0.90
"$track" eval "$truth" --pred "$truth" --by-object >eval.txt
quality eval.txt 1 1
rm out/masks/00020.png
"$track" eval "$truth" --pred out/masks >eval.txt 2>stderr.txt
is "eval with a missing file: exit status" $? 1
grep -q 00020.png stderr.txt || complain "eval with a missing file: $(cat stderr.txt)"

mkdir colour
"$track" "$clip" --box $box --frames 1 --sheet colour/00000.png -q
for folders in "$truth --pred colour" "colour --pred colour"; do
    # shellcheck disable=SC2086 # several arguments
    "$track" eval $folders >eval.txt 2>stderr.txt
    is "eval of colour images: exit status" $? 1
    is "eval of colour images: lines" "$(cat eval.txt stderr.txt | wc -l)" 1
done
grep -q "colour/00000.png: colour type 2, expected a palette PNG" stderr.txt || complain "eval of colour images: $(cat stderr.txt)"

# standard input and a file give the same
"$track" - --box $box --frames 3 --jsonl - <"$clip" >stdin.jsonl 2>stderr.txt
is "standard input: exit status" $? 0
is "memory and summary: lines" "$(wc -l <stderr.txt)" 2
grep -q '^track: memory: .* pinned, plan .* more (bank .*, frame .*, scratch .*), no budget$' stderr.txt ||
    complain "memory: line: $(cat stderr.txt)"
"$track" "$clip" --box $box --frames 3 --jsonl out/file.jsonl -q
cmp -s stdin.jsonl out/file.jsonl || complain "standard input and file give different results"

# links are followed, an open descriptor is written on, a pipe stays what it is
ln -s target.jsonl out/link.jsonl
mkfifo sheet.png
timeout 60 cat sheet.png >piped.png &
"$track" "$clip" --box $box --frames 3 --jsonl out/link.jsonl --sheet sheet.png -q
is "through a link: exit status" $? 0
wait $!
[ -L out/link.jsonl ] || complain "the link was replaced"
[ -p sheet.png ] || complain "the pipe was replaced"
is "sheet into a pipe: PNG signature" "$(head -c 4 piped.png | tail -c 3)" PNG
cmp -s out/target.jsonl out/file.jsonl || complain "through a link: other JSON lines"
ln -s /proc/self/fd/1 out/stdout
echo first >descriptor.txt
"$track" "$clip" --box $box --frames 3 --jsonl out/stdout -q >>descriptor.txt
[ -L out/stdout ] || complain "the link to the descriptor was replaced"
{ echo first && cat out/file.jsonl; } | cmp -s - descriptor.txt || complain "descriptor: $(head -c 200 descriptor.txt)"

# prompts from a file are those of the command line; a mask of half the size is scaled; a late object starts late
echo '{"prompts": [{"object": 1, "box": [223, 144, 173, 162]}]}' >prompts.json
"$track" "$clip" --prompts prompts.json --frames 3 --jsonl out/prompts.jsonl -q
cmp -s out/prompts.jsonl out/file.jsonl || complain "--prompts and --box give different results"
"$track" "$clip" --mask "$truth/00000.png" --frames 2 --boxes out/mask.txt -q
is "palette mask: files" "$(cd out && ls mask_*)" "mask_1.txt
mask_2.txt"
"$track" "$clip" --box $box --box @2:$other --frames 4 --boxes out/late.txt -q
is "late object before its frame" "$(head -2 out/late_2.txt | sort -u)" 0,0,0,0
[ "$(tail -1 out/late_2.txt)" != 0,0,0,0 ] || complain "the late object never appears"
"$track" "$clip" --box $box --box @90:$other --frames 3 --boxes out/never.txt -q 2>stderr.txt
is "object that never starts: exit status" $? 0
is "object that never starts: warnings" "$(grep -c "^track: warning: .*frame 90" stderr.txt)" 1
"$track" "$clip" --box $box --start 20 --frames 3 --reverse --jsonl - -q | sed 's/,.*//' >frames.txt
is "reverse" "$(tr '\n' ' ' <frames.txt)" '{"frame":20 {"frame":19 {"frame":18 '

# a video that breaks off: what is there is tracked, and said
"$track" "$clip" --box $box --frames 12 -o out/whole.mkv -q
head -c $(($(stat -c %s out/whole.mkv) / 2)) out/whole.mkv >out/half.mkv
"$track" out/half.mkv --box $box --boxes out/half.txt -q 2>stderr.txt
is "half a video: exit status" $? 0
is "half a video: warnings" "$(grep -c "^track: warning: .*about 12 were expected" stderr.txt)" 1
n_lines=$(wc -l <out/half.txt)
[ "$n_lines" -ge 1 ] && [ "$n_lines" -lt 12 ] || complain "half a video: $n_lines frames of 12"
# where the header counts the frames it is a failure, which keeps the outputs up to there; overlays have theirs in front
"$track" "$clip" --box $box --frames 24 -o out/whole.mp4 -q
head -c $(($(stat -c %s out/whole.mp4) / 2)) out/whole.mp4 >out/half.mp4
"$track" out/half.mp4 --box $box --boxes out/half2.txt 2>stderr.txt
is "half a counted video: exit status" $? 1
is "half a counted video: lines on standard error" "$(lines stderr.txt)" 1
is "half a counted video: message" "$(grep -o "ends early, after $(wc -l <out/half2.txt) of 24 frames" stderr.txt | wc -l)" 1

"$track" out/half.mp4 --box $box --start 3 --boxes out/half3.txt 2>stderr.txt
is "half a counted video from frame 3: exit status" $? 1
# frames lost before --start or at the very beginning are damage, not an early end
hundredth=$(($(stat -c %s out/o.mp4) / 100))
for lost in 8+14,20,20 4+45,0,20; do # hundredths of the file from+length zeroed, first frame, least number of frames
    IFS=+, read -r from length start floor <<<"$lost"
    cp out/o.mp4 out/damaged.mp4
    dd if=/dev/zero of=out/damaged.mp4 bs="$hundredth" seek="$from" count="$length" conv=notrunc status=none
    "$track" out/damaged.mp4 --box $box --start "$start" --boxes out/damaged.txt -q 2>stderr.txt
    is "frames lost at $lost: exit status" $? 0
    is "frames lost at $lost: warnings" "$(grep -c "^track: warning: .* damaged packets skipped" stderr.txt)" 1
    [ "$(wc -l <out/damaged.txt)" -ge "$floor" ] || complain "frames lost at $lost: $(wc -l <out/damaged.txt) frames left"
done

# ... also where the first prompt lies behind the break
"$track" out/half.mp4 --box @23:$box --boxes out/half4.txt 2>stderr.txt
is "half a counted video, prompt behind: exit status" $? 1
is "half a counted video, prompt behind: message" "$(grep -c "ends early, after [0-9]* of 24 frames; the first prompt" stderr.txt)" 1

# stopped while it waits for a video that does not come; by one signal, of which timeout makes two unless --foreground
mkfifo silent
exec 4<>silent
timeout --foreground -s KILL 300 "$track" silent --box $box --jsonl out/silent.jsonl -v 2>silent.txt &
process=$!
for _ in $(seq 1000); do # until it has begun
    [ -s silent.txt ] && break
    sleep 0.1
done
kill -TERM $process
wait $process
is "stopped before the first frame: exit status" $? 143
is "stopped before the first frame: message" "$(grep -c "^track: stopped before the first frame$" silent.txt)" 1
[ ! -e out/silent.jsonl ] || complain "stopped before the first frame: JSON lines"
exec 4>&-

# a folder of a longer run before
"$track" "$clip" --box $box --image-size 128 --frames 9 --masks again -q
"$track" "$clip" --box $box --image-size 128 --frames 5 --masks again -q 2>stderr.txt
is "masks of a longer run: warning" "$(grep -c "warning: --masks: again has 4 files of frames after 4, where" stderr.txt)" 1

# a file by its address is the file
mkdir address
cp "$clip" address/clip.mp4
"$track" "file://$PWD/address/clip.mp4" --box $box --frames 3 --jsonl address/by.jsonl -q
cmp -s address/by.jsonl out/file.jsonl || complain "a file by its address gives other results"
for address in "file://$PWD/address/clip.mp4" file:address/clip.mp4; do
    "$track" "$address" --box $box --frames 3 -o address/clip.mp4 2>stderr.txt
    is "output over $address: exit status" $? 2
done
"$track" "file:$PWD/again" --box $box --frames 3 --jsonl address/folder.jsonl -q
is "a folder by its address" "$? $(wc -l <address/folder.jsonl)" "0 3"
cmp -s address/clip.mp4 "$clip" || complain "the video was replaced through its address"

# text with a byte order mark is the text
printf '\xef\xbb\xbf{"prompts": [{"object": 1, "box": [%s]}]}' "$box" >marked.json
printf '\xef\xbb\xbf%s --box %s --frames 3 --jsonl out/listed.jsonl\n' "$clip" "$box" >marked.list
"$track" "$clip" --prompts marked.json --frames 3 --jsonl out/marked.jsonl -q
cmp -s out/marked.jsonl out/file.jsonl || complain "prompts after a byte order mark"
"$track" --list marked.list -q
cmp -s out/listed.jsonl out/file.jsonl || complain "a list after a byte order mark"

# the first byte of a mark also begins other letters
cp "$clip" $'address/\xef\xbc\x88a.mp4'
(
    cd address
    printf '\xef\xbc\x88a.mp4 --box %s --frames 3 --jsonl wide.jsonl\n' "$box" >wide.list
    "$track" --list wide.list -q
)
cmp -s address/wide.jsonl out/file.jsonl || complain "a list that begins with a wide letter"

# without standard error the messages are lost, not put into the first output
"$track" "$clip" --box $box --frames 3 --jsonl out/closed.jsonl -v 2>&-
is "standard error closed: exit status" $? 0
cmp -s out/closed.jsonl out/file.jsonl || complain "standard error closed: $(head -c 200 out/closed.jsonl)"
"$track" "$clip" --box $box --frames 3 --jsonl - -q >&- 2>stderr.txt
is "standard output closed: exit status" $? 1
grep -q "cannot be written\|write failed" stderr.txt || complain "standard output closed: $(cat stderr.txt)"
"$track" "$clip" --box $box --frames 3 --jsonl /dev/stdout -q >&- 2>stderr.txt
is "standard output closed, by its name: exit status" $? 1

# a terminal that is closed ends the run as other signals do, unless it is to be outlived
hold hung
"$track" "$clip" --box $box --masks hung --jsonl out/hung.jsonl -q &
stop HUP $! hung
is "hung up: exit status" $status 129
is "hung up: JSON lines" "$(wc -l <out/hung.jsonl)" 6
hold outlived
(
    trap '' HUP
    exec "$track" "$clip" --box $box --frames 8 --masks outlived --jsonl out/outlived.jsonl -q
) &
stop HUP $! outlived
is "outlived: exit status" $status 0
is "outlived: JSON lines" "$(wc -l <out/outlived.jsonl)" 8

# stopped by a signal: status 128 + signal, outputs whole up to there
hold held
"$track" "$clip" --box $box --masks held --jsonl out/stopped.jsonl -o out/stopped.mp4 -q &
stop TERM $! held
is "stopped: exit status" $status 143
is "stopped: JSON lines" "$(wc -l <out/stopped.jsonl)" 6
"$track" out/stopped.mp4 --box $box --image-size 128 --boxes out/stopped.txt -q
is "stopped: the overlay is whole" "$? $(wc -l <out/stopped.txt)" "0 6"
finish
