# SPDX-License-Identifier: Apache-2.0
# --policy samurai: what is said and drawn of motion, that the thresholds arrive, states, and what is refused.
. "$(dirname "$0")/common.sh"
other=45,115,196,223 # object 2 of the clip
small=(--image-size 128 -q)

# values FILE KEY: one a line, of every object of every frame
values() {
    grep -oE "\"$2\":[^,}]*" "$1" | sed 's/^[^:]*://'
}

echo "JSON lines"
"$track" "$clip" --box $box --frames 5 --jsonl plain.jsonl "${small[@]}"
"$track" "$clip" --box $box --frames 5 --jsonl sam2.jsonl --policy sam2 "${small[@]}"
cmp -s plain.jsonl sam2.jsonl || complain "--policy sam2 is not the default"
is "sam2: words of motion" "$(grep -cE 'motion|hypothesis|kept' sam2.jsonl)" 0

motion=(--policy samurai --stable-frames 3)
"$track" "$clip" --box $box --box $other --frames 12 --jsonl motion.jsonl --sheet without.png \
    "${motion[@]}" "${small[@]}"
is "samurai: exit status" $? 0
number='-?[0-9]+\.[0-9]+'
object='\{"id":[12],"box":(null|\[[0-9]+(,[0-9]+){3}\]),"area":[0-9]+,"object_score":'$number',"iou":'$number
object+=',"hypothesis":[0-3],"kept":(true|false),"motion":\{"predicted":(null|\['$number'(,'$number'){3}\])'
object+=',"score":(null|[01]\.[0-9]{4}),"stable":[0-3]\},"rle":\{"size":\[480,480\],"counts":"[^"]*"\}\}'
line='^\{"frame":[0-9]+,"pts":[0-9.]+,"objects":\['"$object,$object"'\]\}$'
is "samurai: lines" "$(grep -cE "$line" motion.jsonl)" 12
if command -v python3 >/dev/null; then
    python3 -c 'import json; [json.loads(line) for line in open("motion.jsonl")]' || complain "samurai: no JSON"
fi
# a box prompt does not touch the filter: it begins on frame 1, predicts from frame 2, takes part after 3 good frames
is "samurai: predictions on the first frames" "$(head -2 motion.jsonl | grep -o '"predicted":null' | wc -l)" 4
is "samurai: good frames" "$(head -3 motion.jsonl | values - stable | tr '\n' ' ')" "0 0 1 1 2 2 "
is "samurai: scores on the first frames" "$(head -4 motion.jsonl | values - score | sort -u)" null
[ "$(values motion.jsonl score | grep -c '^[01]\.')" -ge 8 ] ||
    complain "samurai: scores: $(values motion.jsonl score | tr '\n' ' ')"

echo "thresholds"
# with DESCRIPTION OPTION...: six frames into with.jsonl
with() {
    local what=$1
    shift
    "$track" "$clip" --box $box --frames 6 --jsonl with.jsonl --policy samurai "$@" "${small[@]}"
    is "$what: exit status" $? 0
}
with "defaults"
is "defaults: scores" "$(values with.jsonl score | sort -u)" null # 15 good frames are needed
is "defaults: kept on the last frames" "$(values with.jsonl kept | tail -3 | sort -u)" true
cp with.jsonl defaults.jsonl
with "--stable-frames" --stable-frames 1
is "--stable-frames: kept on the last frames" "$(values with.jsonl kept | tail -3 | sort -u)" true
is "--stable-frames: good frames" "$(values with.jsonl stable | tr '\n' ' ')" "0 1 1 1 1 1 "
with "--min-object-score" --min-object-score 1000
is "--min-object-score: areas after the prompt" "$(values with.jsonl area | tail -5 | sort -u)" 0
with "--memory-iou" --memory-iou 1
is "--memory-iou: kept after the prompt" "$(values with.jsonl kept | tail -5 | sort -u)" false
with "--memory-object-score" --memory-object-score 1000
is "--memory-object-score: kept after the prompt" "$(values with.jsonl kept | tail -5 | sort -u)" false
with "--memory-motion" --memory-motion 1 --stable-frames 1
is "--memory-motion: kept with a score" "$(values with.jsonl kept | tail -3 | sort -u)" false
with "--stable-iou" --stable-iou 1 --stable-frames 1
# a frame that is not good ends the filter, which begins anew on the next one
is "--stable-iou: good frames" "$(values with.jsonl stable | tr '\n' ' ')" "0 1 0 1 0 1 "
# (that the weight arrives: unit.cli_options) the first choice in which motion takes part: of the same masks the one that moves best, or the one with the best IoU
for weight in 1 0; do
    with "--motion-weight $weight" --motion-weight $weight --stable-frames 1
    values with.jsonl score | sed -n 3p >>weights.txt
    values with.jsonl iou | sed -n 3p >>weights.txt
done
awk '{ v[NR] = $1 } END { exit !(NR == 4 && v[1] + 0 == v[1] && v[1] >= v[3] && v[2] <= v[4]) }' weights.txt ||
    complain "--motion-weight: score and IoU with 1, with 0: $(tr '\n' ' ' <weights.txt)"

echo "drawing"
"$track" "$clip" --box $box --box $other --frames 12 --jsonl drawn.jsonl --sheet with.png --draw-motion \
    "${motion[@]}" "${small[@]}"
is "--draw-motion: exit status" $? 0
cmp -s motion.jsonl drawn.jsonl || complain "--draw-motion changes results"
cmp -s with.png without.png && complain "--draw-motion draws nothing"
for draw in "" --draw-motion; do # nothing is predicted on the first two frames
    # shellcheck disable=SC2086 # no argument or one
    "$track" "$clip" --box $box --frames 2 --sheet "first$draw.png" $draw "${motion[@]}" "${small[@]}"
done
cmp -s first.png first--draw-motion.png || complain "--draw-motion draws on frames without a prediction"

echo "states and plans"
"$track" "$clip" --box $box --box $other --frames 6 --save-state state "${motion[@]}" "${small[@]}"
"$track" "$clip" --resume state --frames 6 --jsonl resumed.jsonl --sheet resumed.png --draw-motion "${small[@]}"
is "resumed: exit status" $? 0
cmp -s resumed.jsonl <(tail -6 motion.jsonl) || complain "the policy of a saved state does not go on"
"$track" "$clip" --box $box --frames 2 --save-state of_sam2 "${small[@]}"
refused 2 "the state of of_sam2 is not of --policy samurai" "$clip" --resume of_sam2 --sheet out/s.png --draw-motion \
    --image-size 128
refused 2 "--policy: not with --resume" "$clip" --resume state --policy samurai --jsonl out/o.jsonl
"$track" "$clip" --box $box --plan "${motion[@]}" "${small[@]}" >plan.txt
is "plan: exit status" $? 0
[ -s plan.txt ] || complain "plan: nothing is said"
echo "$clip --box $box --frames 5 --jsonl listed.jsonl --policy sam2" >list
"$track" --list list --policy samurai "${small[@]}"
cmp -s listed.jsonl sam2.jsonl || complain "a line of --list does not choose its own policy"
echo "$clip --box $box --frames 6 --jsonl listed.jsonl" >list
"$track" --list list --policy samurai "${small[@]}"
cmp -s listed.jsonl defaults.jsonl || complain "--list: the policy of the command line does not arrive"

echo "what is refused"
refused 2 "expected sam2 or samurai" "$clip" --box $box --policy sam3 --jsonl out/o.jsonl
refused 2 "--motion-weight: expected a number from 0 to 1" "$clip" --box $box --policy samurai --motion-weight 2
for option in "--motion-weight 0.5" "--stable-frames 3" "--stable-iou 0.5" "--memory-iou 0.5" \
    "--memory-object-score 1" "--memory-motion 0.5" "--min-object-score 0" --strict-reference --draw-motion; do
    # shellcheck disable=SC2086 # option and value
    refused 2 "${option%% *}: expected --policy samurai too" "$clip" --box $box --jsonl out/o.jsonl $option
done
finish
