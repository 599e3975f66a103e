# SPDX-License-Identifier: Apache-2.0
# usage: eval.sh TRACK SAMPLES_DIR DUMP_FRAMES
# track eval: small datasets made of the sample clips, tracked and scored; the same results with clips at once, after an
# interruption, and from the masks on disk; what it refuses.
dump_frames=$(realpath "$3")
. "$(dirname "$0")/common.sh"
clips=$samples/clips
small=(--image-size 128)

# What may not differ between two runs.
stripped() {
    sed -e 's/"run": {[^}]*}//' -e 's/"machine": "[^"]*"//' "$1"
}

# The text behind a key at the beginning of a result file: value FILE KEY
value() {
    grep -o "\"$2\": [^,}]*" "$1" | head -1 | sed 's/^[^:]*: //'
}

# at_least WHAT FOUND FLOOR
at_least() {
    awk -v found="$2" -v floor="$3" 'BEGIN { exit !(found >= floor) }' || complain "$1: expected at least $3, got $2"
}

# --- a folder in the layout of DAVIS: three clips, of which the second lasts a while

for name in plain-motion look-alike; do
    mkdir -p "frames/$name"
    "$dump_frames" "$clips/$name.mp4" "frames/$name" || exit 1
done

davis_clip short "frames/plain-motion" "$clips/plain-motion" 6
davis_clip slow "frames/look-alike" "$clips/look-alike" 30
davis_clip tail "frames/plain-motion" "$clips/plain-motion" 5

"$track" eval davis --out one.json --masks masks --by-object "${small[@]}" >table.txt 2>stderr.txt
is "exit status" $? 0
is "standard error" "$(cat stderr.txt)" ""
is "layout found" "$(value one.json layout)" '"davis"'
is "files left" "$(ls -d one.json*)" one.json
is "masks" "$(find masks -name '*.png' | wc -l)" 41
is "lines of the table" "$(wc -l <table.txt)" 11
is "clips, in order" "$(grep -o '{"name": "[^"]*"' one.json | cut -d'"' -f4 | tr '\n' ' ')" "short slow tail "
is "the option in the file" "$(grep -c '"options": \["--image-size 128"\]' one.json)" 1
is "bytes after every frame" "$(grep '"run"' one.json | grep -o '"bytes": \[.*\]' | tr -cd , | wc -c)" 38
# the prompt and the last frame do not count with DAVIS
is "J of the ends" "$(grep -c '"index": \[0, 1, 2, 3, 4, 5\], "J": \[null, [^n]*, null\]' one.json)" 2
# a sane result; the model is small and 128 pixels are half of its own size (measured: 0.77 and 0.69)
at_least "mean J" "$(value one.json J)" 0.7
at_least "mean F" "$(value one.json F)" 0.6
is "mean of the table" "$(awk '$1 == "mean" { print $3 }' table.txt)" "$(printf %.4f "$(value one.json J)")"
at_least "peak of the table" "$(awk '$1 == "mean" { print $NF }' table.txt)" 5

# the same as the command gives without a dataset; objects of this clip overlap
for way in "" --non-overlap; do
    "$track" "$clip" --mask "$truth/00000.png" --frames 6 --masks "direct$way" -q "${small[@]}" $way
done
diff -r direct--non-overlap masks/short >/dev/null || complain "other masks than those of track --non-overlap"
diff -r direct direct--non-overlap >/dev/null && complain "--non-overlap: the same masks as without"

# another device, another arithmetic
"$track" --version | grep -q bf16 && bf16="cpu bf16" || bf16="" # where the processor multiplies it
for how in "reference f32" "cpu f32" ${bf16:+"$bf16"}; do
    "$track" eval davis --clip short --out how.json --device "${how% *}" --dtype "${how#* }" -q "${small[@]}" >/dev/null
    is "$how: exit status" $? 0
    is "$how: what the file says" "$(value how.json device) $(value how.json precision)" "\"${how% *}\" \"${how#* }\""
done

# clips at once
"$track" eval davis --out two.json --jobs 2 -q "${small[@]}" >table2.txt
is "--jobs 2: exit status" $? 0
cmp -s <(stripped one.json) <(stripped two.json) || complain "--jobs 2: other results"

# the masks on disk
"$track" eval davis --pred masks --out pred.json >/dev/null
is "--pred: exit status" $? 0
scores() {
    grep -oE '"(id|J|F)": (\{[^}]*\}|[0-9]+)|"frames": \{[^}]*\}' "$1"
}
cmp -s <(scores one.json) <(scores pred.json) || complain "--pred of the masks written: other scores"
is "mask hashes of --pred" "$(grep -o '"mask_hash": "[^"]*"' pred.json)" "$(grep -o '"mask_hash": "[^"]*"' one.json)"

# broken off in the second clip, then gone on with; a shell has what it runs in the background ignore Ctrl-C
hold held/slow
env --default-signal=INT "$track" eval davis --out three.json --masks held -q "${small[@]}" >/dev/null 2>stderr.txt &
stop INT $! held/slow
is "stopped: exit status" $status 130
is "stopped: masks of the clip" "$(ls held/slow | wc -l)" 6
grep -q "^track: stopped: 1 of 3 clips done; what is done is kept in three.json.d$" stderr.txt ||
    complain "stopped: $(cat stderr.txt)"
# another model or option: from the beginning
cp -r three.json.d kept
"$track" eval davis --out three.json --clip short --no-boundary "${small[@]}" >/dev/null 2>stderr.txt
is "other options: exit status" $? 0
grep -q "three.json.d/short.json: results of other options: beginning anew" stderr.txt ||
    complain "other options: $(cat stderr.txt)"
is "--no-boundary: F" "$(grep -c '"F"' three.json)" 0
rm -rf three.json three.json.d
mv kept three.json.d
# by another spelling of the same folder
"$track" eval ./davis/ --out three.json "${small[@]}" >/dev/null 2>stderr.txt
is "gone on: exit status" $? 0
grep -q "^track: 1 of 3 clips are done, in three.json.d$" stderr.txt || complain "gone on: $(cat stderr.txt)"
cmp -s <(stripped one.json) <(stripped three.json | sed 's/"\.\/davis"/"davis"/') ||
    complain "broken off and gone on with: other results"
is "gone on: files left" "$(ls -d three.json*)" three.json

# a clip that fails leaves the others, and their parts
mv davis/JPEGImages/480p/tail/00004.png keep.png
head -c 1000 keep.png >davis/JPEGImages/480p/tail/00004.png
"$track" eval davis --clip short,tail --out four.json "${small[@]}" >table.txt 2>stderr.txt
is "a clip that fails: exit status" $? 1
is "a clip that fails: lines" "$(grep -c "^track: tail: .*00004.png" stderr.txt) $(wc -l <stderr.txt)" "1 2"
is "a clip that fails: files" "$(find four.json* -type f)" four.json.d/short.json
grep -q "^mean (1 left out) " table.txt || complain "a clip that fails: $(cat table.txt)"
# what is kept of a clip is taken with --masks only where all of its masks are
taken() {
    "$track" eval davis --clip short,tail --out four.json --masks "$1" "${small[@]}" 2>&1 >/dev/null | grep -c "clips are done"
}
is "kept without masks: clips taken" "$(taken four)" 0
is "kept with masks: clips taken" "$(taken four)" 1
is "kept with masks, by another spelling: clips taken" "$(taken ./four/)" 1
rm four/short/00003.png
is "kept, one mask gone: clips taken" "$(taken four)" 0
# nor those of another run, which may be other masks
cp -r four others
is "kept, masks of others: clips taken" "$(taken others)" 0
rm -r others
is "kept, their folder gone: clips taken" "$(taken four)" 0
is "kept, one mask gone: files" "$(ls four/short)" "$(ls masks/short)"
# nor once the clip has changed: a frame in its place, or the truth
cat davis/JPEGImages/480p/short/00002.png >frame.png
cat davis/JPEGImages/480p/short/00003.png >davis/JPEGImages/480p/short/00002.png
"$track" eval davis --clip short,tail --out four.json "${small[@]}" >/dev/null 2>stderr.txt
grep -q "^track: four.json.d/short.json: results of the clip as it was before a change: it begins anew$" stderr.txt ||
    complain "a frame that has changed: $(cat stderr.txt)"
cat frame.png >davis/JPEGImages/480p/short/00002.png
"$track" eval davis --clip short,tail --out four.json "${small[@]}" >/dev/null 2>&1
touch davis/Annotations/480p/short/00003.png
"$track" eval davis --clip short,tail --out four.json "${small[@]}" >/dev/null 2>stderr.txt
is "a clip that has changed: exit status" $? 1
grep -q "^track: four.json.d/short.json: results of the clip as it was before a change: it begins anew$" stderr.txt ||
    complain "a clip that has changed: $(cat stderr.txt)"
is "a clip that has changed: clips taken" "$(grep -c "clips are done" stderr.txt)" 0
cp keep.png davis/JPEGImages/480p/tail/00004.png
"$track" eval davis --clip short --clip tail --out four.json -q "${small[@]}" >/dev/null
is "after it: exit status" $? 0
is "after it: clips" "$(grep -c '"mask_hash"' four.json)" 2

# a file of somebody else in the place of a part
mkdir foreign.json.d
echo '{"format": "track-eval-clip-1", "program": "0"}' >foreign.json.d/short.json # of another program: goes
echo '{"mine": "notes"}' >foreign.json.d/tail.json
"$track" eval davis --clip short,tail --out foreign.json -q "${small[@]}" >/dev/null 2>stderr.txt
is "not a part: exit status" $? 2
is "not a part: lines" "$(grep -c "foreign.json.d/tail.json is there and no part" stderr.txt) $(wc -l <stderr.txt)" "1 1"
is "not a part: what it says" "$(cat foreign.json.d/tail.json)" '{"mine": "notes"}'

# masks of one clip in the place of another's truth or frames, and a name too long for one file
long=$(printf 'a%.0s' $(seq 100))/$(printf 'b%.0s' $(seq 100))/$(printf 'c%.0s' $(seq 100))
clip_at() { # NAME FRAMES TRUTH
    echo "{\"name\": \"$1\", \"video\": \"JPEGImages/480p/$2\", \"truth\": \"Annotations/480p/$3\", \"frames\": 5," \
        "\"objects\": [{\"id\": 1, \"prompt\": \"mask\"}]}"
}
manifest_of() { # FILE CLIP...
    local file=$1
    shift
    (IFS=,; echo "{\"format\": \"track-samples-1\", \"clips\": [$*]}") >"$file"
}
cp -r davis/Annotations/480p/tail davis/Annotations/480p/kept
manifest_of davis/swapped.json "$(clip_at kept tail tail)" "$(clip_at other tail kept)"
"$track" eval davis/swapped.json --masks davis/Annotations/480p -q "${small[@]}" >/dev/null 2>stderr.txt
is "masks over another clip's truth: exit status" $? 2
is "masks over another clip's truth: lines" "$(grep -c "480p/kept belongs to the dataset" stderr.txt) $(wc -l <stderr.txt)" "1 1"
diff -r davis/Annotations/480p/kept davis/Annotations/480p/tail || complain "masks over another clip's truth: written"
rm -r davis/Annotations/480p/kept davis/swapped.json
manifest_of davis/long.json "$(clip_at "$long" tail tail)" "$(clip_at tail tail tail)"
"$track" eval davis/long.json --out long.json -q "${small[@]}" >/dev/null 2>stderr.txt
is "a long name: exit status" $? 0
is "a long name: clips" "$(grep -c '"mask_hash"' long.json)" 2
is "a long name: files left" "$(ls -d long.json*)" long.json
rm davis/long.json

# a command for some clips leaves the parts of others, and what is not a part
mkdir five.json.d
touch five.json.d/slow.json five.json.d/notes.json five.json.d/slow.json.part-7 five.json.d/tail.json.part-7
"$track" eval davis --clip tail --out five.json -q "${small[@]}" >/dev/null
is "parts of others: exit status" $? 0
is "parts of others: files" "$(ls five.json.d | tr '\n' ' ')" "notes.json slow.json slow.json.part-7 "

# no part is taken once the file of --model-config says something else under the same name
head -c 65536 "$model" | grep -ao '"architecture":"[^}]*}' | sed -e 's/^"architecture":"//' -e 's/\\"/"/g' >config.json
head -c 1000 keep.png >davis/JPEGImages/480p/tail/00004.png
configured() {
    "$track" eval davis --clip short,tail --model-config config.json --out six.json "${small[@]}" 2>&1 >/dev/null |
        grep -o "clips are done\|other options"
}
is "--model-config: first run" "$(configured)" ""
is "--model-config: same file" "$(configured)" "clips are done"
echo >>config.json
is "--model-config: another file" "$(configured)" "other options"
# nor once a description beside the model does
cp "$model" own.safetensors
beside() {
    "$track" eval davis --clip short,tail --model own.safetensors --out seven.json "${small[@]}" 2>&1 >/dev/null |
        grep -o "clips are done\|other options"
}
is "beside the model: first run" "$(beside)" ""
is "beside the model: nothing new" "$(beside)" "clips are done"
cp config.json own.json
is "beside the model: a description" "$(beside)" "other options"
# a folder whose name JSON cannot hold
cp -r davis $'d\xe4vis'
latin() {
    "$track" eval $'d\xe4vis' --clip short,tail --out eight.json "${small[@]}" 2>&1 >/dev/null | grep -ao "clips are done"
}
is "a name in Latin 1: first run" "$(latin)" ""
is "a name in Latin 1: gone on with" "$(latin)" "clips are done"
cp keep.png davis/JPEGImages/480p/tail/00004.png

# an object below the highest index of the first mask that is not in it counts, but is not tracked
for i in 0 1 2; do
    mkdir -p gap/JPEGImages/480p/hidden gap/Annotations/480p/hidden gap/ImageSets/2017
    cp "frames/plain-motion/0000$i.png" gap/JPEGImages/480p/hidden/
    cp "$clips/occlusion/0001$((i + 2)).png" "gap/Annotations/480p/hidden/0000$i.png"
done
echo hidden >gap/ImageSets/2017/val.txt
"$track" eval gap --out gap.json -q "${small[@]}" >/dev/null
is "an object that is not prompted: exit status" $? 0
is "an object that is not prompted: J" "$(grep -A3 '"id": 1,' gap.json | grep -c '"J": \[null, 1, null\]')" 1
is "beside it: id" "$(grep -c '"id": 2, "first_frame": 0' gap.json)" 1

# --- a folder of masks alone

"$track" eval davis/Annotations/480p/short --pred masks/short --out alone.json --layout masks >table.txt
is "masks alone: exit status" $? 0
is "masks alone: layout" "$(value alone.json layout)" '"masks"'
is "masks alone: model" "$(grep -c '"model"' alone.json)" 0
is "masks alone: frames that count" "$(grep -c '"index": \[0, 1, 2, 3, 4, 5\], "J": \[[^n]*\]' alone.json)" 2

# --- our manifest: a video, a prompt that comes later, another by a box

mkdir manifest
cat >manifest/manifest.json <<END
{"format": "track-samples-1", "clips": [{"name": "late", "tests": "a late object", "video": "$clip",
  "truth": "$truth", "frames": 48, "width": 480, "height": 480,
  "objects": [{"id": 1, "frame": 0, "box": [223, 144, 173, 162]}, {"id": 2, "frame": 40, "prompt": "mask"}]}]}
END
"$track" eval manifest --out late.json --masks late --by-object -q "${small[@]}" >table.txt
is "manifest: exit status" $? 0
is "manifest: layout" "$(value late.json layout)" '"manifest"'
is "manifest: what it is there for" "$(grep -c '"tests": "a late object"' late.json)" 1
is "late object" "$(grep -c '"id": 2, "first_frame": 40,' late.json)" 1
is "late object: frames" "$(grep -c '"frames": {"index": \[40, 41, 42, 43, 44, 45, 46, 47\]' late.json)" 1
is "late object: line" "$(awk '$1 == "object" && $2 == 2 { print $3 }' table.txt)" 8
at_least "late object: J" "$(awk '$1 == "object" && $2 == 2 { print $4 }' table.txt)" 0.8

# a prompt behind the end of the video, whose length only the video tells
sed -e 's/, "frames": 48//' -e 's/"frame": 40, "prompt": "mask"/"frame": 900, "box": [1, 2, 30, 40]/' \
    manifest/manifest.json >manifest/beyond.json
"$track" eval manifest/beyond.json --out beyond.json "${small[@]}" >/dev/null 2>stderr.txt
is "a prompt behind the end: exit status" $? 1
grep -q "prompt of object 2 on frame 900, $clip has 48$" stderr.txt ||
    complain "a prompt behind the end: $(cat stderr.txt)"

# --- boxes: what the command itself finds is taken as the truth

mkdir -p lasot/disc/disc-1/img
"$track" "$clip" --box $box --frames 8 --boxes lasot/disc/disc-1/groundtruth.txt -q
for i in 0 1 2 3 4 5 6 7; do cp "frames/plain-motion/0000$i.png" "lasot/disc/disc-1/img/0000000$((i + 1)).png"; done
echo 0,0,0,0,0,0,0,0 | tee lasot/disc/disc-1/full_occlusion.txt >lasot/disc/disc-1/out_of_view.txt
mkdir boxes
cp lasot/disc/disc-1/groundtruth.txt boxes/disc-1.txt
"$track" eval lasot --layout lasot --out boxes.json --masks masks_of_boxes -q >table.txt
is "boxes: exit status" $? 0
is "boxes: names of masks" "$(ls masks_of_boxes/disc-1 | head -1)" 00000001.png
"$track" eval lasot --layout lasot --pred masks_of_boxes --out again.json >/dev/null
is "boxes of masks: exit status" $? 0
box_scores() {
    grep -o '"boxes": {[^}]*}' "$1"
}
cmp -s <(box_scores again.json) <(box_scores boxes.json) || complain "boxes of the masks written: other scores"
at_least "boxes: AUC" "$(value boxes.json AUC)" 0.85
is "boxes: columns" "$(head -1 table.txt | tr -s ' ')" "clip frames AUC OP50 OP75 precision AO frames/s peak MB"
"$track" eval lasot --layout lasot --pred boxes --out boxes.json >/dev/null
is "boxes of --pred: exit status" $? 0
is "boxes of --pred: AO" "$(value boxes.json AO)" 1
sed -i '$d' boxes/disc-1.txt
"$track" eval lasot --layout lasot --pred boxes 2>stderr.txt >/dev/null
is "too few boxes: exit status" $? 1
grep -q "boxes/disc-1.txt: expected a box for each of 8 frames, got 7" stderr.txt ||
    complain "too few boxes: $(cat stderr.txt)"

# ids that do not fit in a map of indices
mkdir -p mot/train/M/gt mot/train/M/img1
printf '[Sequence]\nname=M\nimDir=img1\nframeRate=25\nseqLength=4\nimWidth=480\nimHeight=480\nimExt=.png\n' \
    >mot/train/M/seqinfo.ini
for id in 255 300; do
    : >mot/train/M/gt/gt.txt
    for i in 0 1 2 3; do
        cp "frames/plain-motion/0000$i.png" "mot/train/M/img1/00000$((i + 1)).png"
        echo "$((i + 1)),$id,$(sed -n "$((i + 1))p" lasot/disc/disc-1/groundtruth.txt),1,1,1" >>mot/train/M/gt/gt.txt
    done
    "$track" eval mot --layout mot --out mot.json -q >/dev/null
    is "an id of $id: exit status" $? 0
    at_least "an id of $id: AUC" "$(value mot.json AUC)" 0.85
done

# --- SA-V: a folder of masks per object; what the command itself finds is taken as the truth

mkdir -p sav/JPEGImages_24fps/a
echo a >sav/sav_val.txt
for i in 0 1 2 3 4 5 6 7 8; do cp "frames/plain-motion/0000$i.png" sav/JPEGImages_24fps/a/; done
"$track" "$clip" --box $box --frames 9 --masks object/000 -q
"$track" "$clip" --box 45,115,196,223 --frames 9 --masks object/001 -q
for object in 000 001; do
    mkdir -p "sav/Annotations_6fps/a/$object" "binary/a/$object"
    for i in 0 4 8; do cp "object/$object/0000$i.png" "sav/Annotations_6fps/a/$object/"; done
    cp "object/$object/"*.png "binary/a/$object/"
done
rm binary/a/000/00008.png # the last one does not count
"$track" eval sav --pred binary --out sav.json -q >table.txt
is "objects' masks: exit status" $? 0
is "objects' masks: layout" "$(value sav.json layout)" '"sav"'
pattern='"frames": {"index": \[0, 4, 8\], "J": \[null, 1, null\], "F": \[null, 1, null\]'
is "objects' masks: J and F" "$(grep -c "$pattern" sav.json)" 2
"$track" eval sav --out sav.json --masks sav_masks -q >table.txt
is "objects' masks, tracked: exit status" $? 0
at_least "objects' masks, tracked: J" "$(value sav.json J)" 0.8
is "objects' masks written" "$(find sav_masks/a -name '*.png' | cut -d/ -f3 | sort | uniq -c | tr -s ' \n' ' ')" \
    " 9 000 9 001 "
"$track" eval sav --pred sav_masks --out sav_again.json >/dev/null
cmp -s <(scores sav.json) <(scores sav_again.json) || complain "--pred of the objects' masks written: other scores"
rm binary/a/001/00004.png
"$track" eval sav --pred binary 2>stderr.txt >/dev/null
is "an object's mask is missing: exit status" $? 1
grep -q "^track: a: binary/a/001/00004.png: missing" stderr.txt ||
    complain "an object's mask is missing: $(cat stderr.txt)"

# --- what is refused

rm masks/slow/00003.png
"$track" eval davis --pred masks >/dev/null 2>stderr.txt
is "a mask is missing: exit status" $? 1
grep -q "^track: slow: masks/slow/00003.png: missing" stderr.txt || complain "a mask is missing: $(cat stderr.txt)"
mkdir -p other/short
cp masks/short/*.png other/short/
"$track" "$clip" --box $box --sheet other/short/00003.png --frames 2 -q
"$track" eval davis --clip short --pred other >/dev/null 2>stderr.txt
is "another size: exit status" $? 1
is "another size: lines" "$(wc -l <stderr.txt)" 1
refused 1 "nothing: " eval nothing
refused 2 "a dataset: track eval" eval
refused 2 "unexpected \"b\"" eval a b
refused 2 "expected one of" eval davis --layout nonsense
refused 2 "no clip \"x\" among the 3" eval davis --clip short,x
refused 2 "expected NAME\[,NAME...\]" eval davis --clip short,
refused 1 "nothing: cannot be read" eval davis --pred nothing
refused 2 "nothing is tracked with --pred" eval davis --pred masks --masks out/m
refused 2 "expected --pred" eval davis/Annotations/480p/short
refused 2 "belongs to the dataset" eval davis --masks davis/Annotations/480p
refused 2 "belongs to the dataset" eval davis --masks davis/JPEGImages/480p
# masks of more objects than a map of indices tells apart, for the boxes of MOT
mkdir -p many/train/M/img1 many/train/M/gt crowd/M
cp frames/plain-motion/00000.png many/train/M/img1/000001.png
cp "$clips/plain-motion/00000.png" crowd/M/000001.png
printf '[Sequence]\nname=M\nimDir=img1\nseqLength=1\nimWidth=854\nimHeight=480\nimExt=.png\n' >many/train/M/seqinfo.ini
seq 1 256 | sed 's/.*/1,&,1,1,30,40,1,1,1/' >many/train/M/gt/gt.txt
refused 1 "objects up to 254 fit in a map of indices, got 256" eval many --pred crowd
for other in manifest/manifest.json davis/ImageSets/2017/val.txt davis/Annotations/480p/short/00000.png; do
    cp "$other" before.copy
    refused 2 "$other is there and no result of track eval" eval davis --out "$other"
    cmp "$other" before.copy || complain "--out $other: written to"
done
refused 1 "cannot be written" eval davis --out nowhere/r.json
refused 2 "expected a file or folder, got \"-\"" eval davis --boxes -
refused 2 "not with track eval" eval davis --box 1,2,3,4
refused 2 "only with track eval" "$clip" --box $box --split val
finish
