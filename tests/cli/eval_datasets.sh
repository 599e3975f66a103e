# SPDX-License-Identifier: Apache-2.0
# usage: eval_datasets.sh TRACK SAMPLES_DIR DUMP_FRAMES
# track eval: datasets whose truth is not public, clips by their names, truth that ends before the video, and what is
# kept of clips until all are done.
dump_frames=$(realpath "$3")
. "$(dirname "$0")/common.sh"
small=(--image-size 128)

# mean_J: of the table on standard input
mean_J() {
    awk '$1 == "mean" { print $3 }'
}

# --- YouTube-VOS: a mask where each object starts is a prompt, and no truth of the others

mkdir -p youtube/valid/{JPEGImages,Annotations}/two
for i in 0 5 10; do : >"youtube/valid/JPEGImages/two/$(printf %05d $i).jpg"; done
cp "$truth/00000.png" "$truth/00005.png" youtube/valid/Annotations/two/
cat >youtube/valid/meta.json <<END
{"videos": {"two": {"objects": {"1": {"frames": ["00000", "00005"]}, "2": {"frames": ["00005"]}}}}}
END
mkdir found
cp -r youtube/valid/Annotations/two found/
is "prompts alone: J" "$("$track" eval youtube --pred found | mean_J)" -
cp "$truth/00010.png" youtube/valid/Annotations/two/
cp "$truth/00010.png" found/two/
is "truth of another frame: J" "$("$track" eval youtube --pred found | mean_J)" 1.0000

# a clip of prompts alone among others is told
for folder in JPEGImages Annotations; do cp -r youtube/valid/$folder/two youtube/valid/$folder/alone; done
rm youtube/valid/Annotations/alone/00010.png
cp -r found/two found/alone
cat >youtube/valid/meta.json <<END
{"videos": {"two": {"objects": {"1": {"frames": ["00000", "00005"]}, "2": {"frames": ["00005"]}}},
            "alone": {"objects": {"1": {"frames": ["00000", "00005"]}, "2": {"frames": ["00005"]}}}}}
END
is "prompts alone among others: J" "$("$track" eval youtube --pred found 2>stderr.txt | mean_J)" 1.0000
is "prompts alone among others: warning" "$(grep -c "warning: .*1 of 2 clips (the last: alone)" stderr.txt)" 1

# --- names with commas

for name in a,b a c; do
    mkdir -p "named/$name" "pred/$name"
    cp "$truth/00000.png" "named/$name/"
    cp "$truth/00000.png" "pred/$name/"
done
# clip_of NAME
clip_of() {
    echo "{\"name\": \"$1\", \"video\": \"$clip\", \"frames\": 1, \"truth\": \"$1\", \"objects\": [{\"id\": 1}]}"
}
echo "{\"format\": \"track-samples-1\", \"clips\": [$(clip_of a,b), $(clip_of a), $(clip_of c)]}" >named/manifest.json
chosen() {
    "$track" eval named --pred pred "$@" | awk 'NR > 1 && $1 != "mean" { print $1 }' | tr '\n' ' '
}
is "--clip a,b" "$(chosen --clip a,b)" "a,b "
is "--clip a,c" "$(chosen --clip a,c)" "a c "
is "--clip c --clip a,b" "$(chosen --clip c --clip a,b)" "a,b c "
refused 2 "no clip \"b\" among the 3" eval named --pred pred --clip c,b

# --- without "frames" the truth has to go to the video's end

"$track" "$clip" --box $box --frames 4 -o few.mp4 -q "${small[@]}"
mkdir dense
cp "$truth"/0000[012].png dense/
echo '{"format": "track-samples-1", "clips": [{"name": "few", "video": "few.mp4", "truth": "dense",
 "objects": [{"id": 1}, {"id": 2}]}]}' >dense.json
"$track" eval dense.json "${small[@]}" >/dev/null 2>stderr.txt
is "truth of three frames in four: exit status" $? 1
grep -q "few.mp4: 4 frames, expected 3 as in ./dense$" stderr.txt ||
    complain "truth of three frames in four: $(cat stderr.txt)"
cp "$truth/00003.png" dense/
"$track" eval dense.json -q "${small[@]}" >/dev/null
is "truth of all frames: exit status" $? 0

# --- what is kept of clips

mkdir frames
"$dump_frames" "$clip" frames || exit 1
davis_clip $'b\xe4r' frames "$truth" 3
davis_clip slow frames "$truth" 24
davis_clip tail frames "$truth" 2
head -c 1000 frames/00001.png >davis/JPEGImages/480p/tail/00001.png

# a name that JSON cannot hold
latin() {
    "$track" eval davis --clip $'b\xe4r,tail' --out latin.json "${small[@]}" 2>&1 >/dev/null |
        grep -ao "1 of 2 clips are done\|begins anew"
}
is "a clip's name in Latin 1: first run" "$(latin)" ""
is "a clip's name in Latin 1: gone on with" "$(latin)" "1 of 2 clips are done"

# another command took the folder of the parts away when it was done
"$track" eval davis --clip slow --out shared.json -q "${small[@]}" >/dev/null 2>stderr.txt &
process=$!
taken=0
while kill -0 $process 2>/dev/null; do
    rmdir shared.json.d 2>/dev/null && taken=1 && break
    sleep 0.02
done
wait $process
is "folder of the parts gone: exit status" $? 0
[ $taken == 1 ] || echo "note: the run was over before its folder could go"
is "folder of the parts gone: standard error" "$(cat stderr.txt)" ""
is "folder of the parts gone: files" "$(ls -d shared.json*)" shared.json
finish
