# SPDX-License-Identifier: Apache-2.0
# Plans and budgets, results that do not depend on them, and runs that are saved and gone on with.
. "$(dirname "$0")/common.sh"
other=45,115,196,223 # object 2 of the clip
small=(--image-size 128 -q)

echo "plan"
"$track" "$clip" --box $box --box $other --plan --jsonl out/a --masks out/masks >plan.txt 2>stderr.txt
is "plan: exit status" $? 0
is "plan: standard error" "$(cat stderr.txt)" ""
for row in "pinned" "bank .*2 objects, .* each" "frame .*1 frame, " "scratch" "total" "budget .*none"; do
    grep -q "^$row" plan.txt || complain "plan: expected \"$row\" in $(cat plan.txt)"
done
# what is drawn into a large picture is planned for, whatever else is asked for
wide=("$samples/clips/scale-change.mp4" --box $box --image-size 64 --frames 2)
total=$("$track" "${wide[@]}" --plan | awk '$1 == "total" { print $2 + 0.1 "MB" }')
"$track" "${wide[@]}" --memory-budget "$total" -o out/a.mp4 -q 2>stderr.txt
is "overlay within its plan of $total: exit status" $? 0
is "overlay within its plan of $total: standard error" "$(cat stderr.txt)" ""
rm -f out/a.mp4
"$track" "$clip" --box $box --plan --memory-budget 4GiB >plan.txt 2>stderr.txt
is "plan within a budget: exit status" $? 0
grep -q "^budget *4 GiB *fits" plan.txt || complain "plan within a budget: $(cat plan.txt)"
total=$("$track" "$clip" --box $box --memory-budget 4GiB --frames 1 --image-size 128 --memory-report 2>&1 >/dev/null |
    awk '$1 == "cpu" && $2 == "pinned" { print $3 }')
# a little more than the model: it does not fit, before anything is tracked or written
budget=$((total + 100000))
"$track" "$clip" --box $box --plan --memory-budget $budget --image-size 128 >plan.txt 2>stderr.txt
is "plan beyond a budget: exit status" $? 1
grep -q "^budget.*does not fit" plan.txt || complain "plan beyond a budget: $(cat plan.txt)"
refused 1 "the plan needs .* MB (pinned .*, bank .*, frame .*, scratch .* MB), the budget is .* MB" "$clip" --box $box \
    --memory-budget $budget --image-size 128 --jsonl out/a --masks out/masks --sheet out/s.png -o out/o.mp4
is "refusal by the plan: not begun" "$(grep -c "memory: .* pinned, plan" stderr.txt)" 0
refused 1 "model alone" "$clip" --box $box --memory-budget 1MB --jsonl out/a
is "plan: files left" "$(find out -mindepth 1 | wc -l)" 0

echo "policies that change no result"
"$track" "$clip" --box $box --frames 8 --jsonl plain.jsonl "${small[@]}"
for case in "6 --sweep-every 3" "0 --sweep-never" "0 --sweep-above 0.9 --memory-budget 1GB" \
    "8 --sweep-above 0.01 --memory-budget 1GB" "8 --reserve" "8 --memory-budget 0.5" "8 --max-prompts-in-memory all" \
    "8 --history all" "8 --older-memory-dtype bf16@1"; do
    policy=${case#* }
    # shellcheck disable=SC2086 # words
    "$track" "$clip" --box $box --frames 8 --jsonl out/policy.jsonl $policy --memory-report=report.json "${small[@]}"
    is "$policy: exit status" $? 0
    cmp -s plain.jsonl out/policy.jsonl || complain "$policy changes the result"
    is "$policy: frames swept" "$(sed -n 's/.*"frames_swept": \([0-9]*\),.*/\1/p' report.json)" "${case%% *}"
done
# bank OPTION...: bytes of the model's device after one frame
bank() {
    "$track" "$clip" --box $box --frames 1 --memory-report=report.json "$@" "${small[@]}"
    grep -o '"bank": {"now": [0-9]*' report.json | head -1 | tr -dc 0-9
}
planned=$(TRK_LOG=info "$track" "$clip" --box $box --frames 1 "${small[@]}" 2>&1 |
    sed -n 's/^track: plan: .*, bank \([0-9]*\),.*/\1/p')
is "--reserve: bank after a frame" "$(bank --reserve)" "$planned"
plain=$(bank)
[ "$plain" -lt "$planned" ] || complain "without --reserve: bank of $plain after a frame, $planned are planned"

echo "types of memories"
for case in "f32 1" "f16 0" "q8 -1"; do # 1: its memories are larger than those in bf16, 0: as large, -1: smaller
    type=${case% *}
    "$track" "$clip" --box $box --frames 8 --jsonl out/type.jsonl --memory-dtype $type "${small[@]}"
    is "--memory-dtype $type: lines" "$(wc -l <out/type.jsonl)" 8
    cmp -s plain.jsonl out/type.jsonl && complain "--memory-dtype $type changes nothing"
    found=$(bank --memory-dtype $type)
    is "--memory-dtype $type: bank of $found, with bf16 $plain" $(((found > plain) - (found < plain))) "${case#* }"
done
for age in 1 3; do # the memory of frame 1 is read in that type from frame 1 + age on
    "$track" "$clip" --box $box --frames 8 --jsonl out/older.jsonl --older-memory-dtype q8@$age "${small[@]}"
    cmp -s <(head -$((age + 1)) plain.jsonl) <(head -$((age + 1)) out/older.jsonl) ||
        complain "--older-memory-dtype q8@$age: other results before frame $((age + 1))"
    cmp -s plain.jsonl out/older.jsonl && complain "--older-memory-dtype q8@$age changes nothing"
done
prompts=(--box 1@0:$box)
for frame in 1 2 3; do prompts+=(--point 1@$frame:264,227); done
"$track" "$clip" "${prompts[@]}" --frames 12 --correct-as-condition --max-prompts-in-memory 1 \
    --image-size 128 2>stderr.txt
is "prompts left out: lines" "$(grep -c "^track: .* was not read (--max-prompts-in-memory)" stderr.txt)" 1

echo "save and resume"
# both objects, the second from frame 4 on: saved before it is prompted, on its frame, and after it
"$track" "$clip" --box $box --box @4:$other --frames 12 --masks whole --jsonl whole.jsonl "${small[@]}"
for n in 3 5 9; do
    "$track" "$clip" --box $box --box @4:$other --frames $n --masks parts --jsonl first.jsonl --save-state state \
        "${small[@]}" 2>stderr.txt
    is "saved after $n: exit status" $? 0
    "$track" "$clip" --resume state --frames $((12 - n)) --masks parts --jsonl rest.jsonl "${small[@]}"
    is "resumed after $n: exit status" $? 0
    cat first.jsonl rest.jsonl | cmp -s - whole.jsonl || complain "resumed after $n: other JSON lines"
    diff -r parts whole >diff.txt || complain "resumed after $n: $(cat diff.txt)"
    rm -r parts
done
# within a budget that fits the state's type of memories and not the usual one
q8=("$clip" --box $box --image-size 128 --memory-dtype q8)
for budget in $(seq 17000 20 20000); do
    "$track" "${q8[@]}" --plan --memory-budget "${budget}kB" >plan.txt 2>&1 && break
done
"$track" "$clip" --box $box --image-size 128 --plan --memory-budget "${budget}kB" >plan.txt 2>&1
is "budget for q8 alone: exit status" $? 1
"$track" "${q8[@]}" --memory-budget "${budget}kB" --frames 9 --save-state of_q8 -q
"$track" "$clip" --resume of_q8 --image-size 128 --memory-budget "${budget}kB" -q 2>stderr.txt
is "resumed within the budget: exit status" $? 0
# in one state file, and with a prompt that comes later: a new object
cp state again
"$track" "$clip" --resume again --save-state again --frames 1 --boxes out/b.txt --box 10,10,50,50 "${small[@]}"
is "new object: exit status" $? 0
is "new object: boxes" "$(cd out && ls b_*)" "b_1.txt
b_2.txt
b_3.txt"
cmp -s again state && complain "--save-state: the state is the old one"
rm out/*
"$track" "$clip" --resume again --frames 1 --start 10 "${small[@]}" 2>stderr.txt
is "--start where the state goes on: exit status" $? 0
refused 2 "goes on at frame 10" "$clip" --resume again --start 0 --image-size 128
refused 2 "--memory-dtype: not with --resume" "$clip" --resume again --memory-dtype q8 --jsonl out/a
refused 2 "--plan: not with --resume" "$clip" --resume again --plan
refused 2 "goes forward" "$clip" --resume again --reverse --image-size 128
mkdir other_size # a folder of sheets
"$track" "$clip" --box $box --sheet sheet.png --frames 2 "${small[@]}"
for i in 0 1 2 3 4 5 6 7 8 9 10 11; do cp sheet.png other_size/$i.png; done
refused 2 "expected frames of 480 x 480 .* found" other_size --resume again --image-size 128 --jsonl out/a
refused 1 "again" "$clip" --resume again --image-size 256 --jsonl out/a
refused 2 "state of --resume" "$clip" --resume again --jsonl again --image-size 128
head -c 1000 state >cut
refused 1 "cut" "$clip" --resume cut --image-size 128 --jsonl out/a
# backwards
"$track" "$clip" --box $box --start 12 --reverse --frames 6 --jsonl whole.jsonl "${small[@]}"
"$track" "$clip" --box $box --start 12 --reverse --frames 2 --jsonl first.jsonl --save-state state "${small[@]}"
"$track" "$clip" --resume state --frames 4 --jsonl rest.jsonl "${small[@]}"
cat first.jsonl rest.jsonl | cmp -s - whole.jsonl || complain "resumed backwards: other JSON lines"
# a state is also saved when the video breaks off
"$track" "$clip" --box $box --frames 12 -o out/whole.mp4 "${small[@]}"
head -c $(($(stat -c %s out/whole.mp4) / 2)) out/whole.mp4 >out/half.mp4
"$track" out/half.mp4 --box $box --save-state out/state "${small[@]}" 2>stderr.txt
is "broken off: exit status" $? 1
"$track" "$clip" --resume out/state --frames 1 "${small[@]}"
is "resumed after a video that broke off: exit status" $? 0
# but not before anything was tracked: it would go on at frame 0
mkdir breaks_off
cp other_size/0.png other_size/1.png breaks_off
cp "$truth/00000.png" breaks_off/2.png # of another size
"$track" breaks_off --box @5:$box --jsonl out/before.jsonl --save-state out/before.state "${small[@]}" 2>stderr.txt
is "broken off before the first prompt: exit status" $? 1
is "broken off before the first prompt: JSON lines" "$(wc -l <out/before.jsonl)" 2
is "broken off before the first prompt: no state" "$(ls out/before.state* 2>/dev/null)" ""
is "broken off before the first prompt: warning" \
    "$(grep -c "^track: warning: --save-state: nothing was tracked, no state is saved" stderr.txt)" 1
# and when the run is stopped by a signal
"$track" "$clip" --box $box --jsonl whole.jsonl "${small[@]}"
hold held
"$track" "$clip" --box $box --masks held --jsonl first.jsonl --save-state out/stopped "${small[@]}" &
stop TERM $! held
is "stopped: exit status" $status 143
is "stopped: JSON lines" "$(wc -l <first.jsonl)" 6
"$track" "$clip" --resume out/stopped --jsonl rest.jsonl "${small[@]}"
cat first.jsonl rest.jsonl | cmp -s - whole.jsonl || complain "resumed after a signal: other JSON lines"
finish
