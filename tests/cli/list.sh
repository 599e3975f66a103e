# SPDX-License-Identifier: Apache-2.0
# Many videos in one command: the results of single runs, whatever goes wrong in one of them.
. "$(dirname "$0")/common.sh"
small=(--image-size 128 --frames 6)
second=$samples/clips/scale-change.mp4
third=$samples/clips/look-alike.mp4
mkdir alone

"$track" "$clip" --box $box --jsonl alone/1.jsonl --masks alone/m1 --sheet alone/1.png "${small[@]}" -q
"$track" "$second" --box 100,100,80,80 --box @2:300,200,60,60 --boxes alone/2.txt -o alone/2.mp4 "${small[@]}" -q
"$track" "$third" --point 200,200 --reverse --start 9 --jsonl alone/3.jsonl --logits alone/l3 "${small[@]}" -q
cat >list <<LIST
# three videos, quoted in every way
$clip --box $box --jsonl 'out/1.jsonl' --masks "out/m1" --sheet out/1.png

$second --box 100,100,80,80 --box @2:300,200,60,60 --boxes out/2.txt -o out/2.mp4   # with a comment
"$third" --point 200,200 --reverse --start 9 --jsonl out/3.json\\l --logits out/l3
LIST
for jobs in 1 2; do
    "$track" --list list --jobs $jobs "${small[@]}" --memory-report=memory.json 2>stderr.txt
    is "$jobs at once: exit status" $? 0
    diff -r alone out >diff.txt || complain "$jobs at once: $(cat diff.txt)"
    is "$jobs at once: summaries" "$(grep -c "^track: list:[245]: 6 frames, " stderr.txt)" 3
    is "$jobs at once: last line" "$(tail -n 1 stderr.txt)" "track: 3 of 3 jobs done"
    is "$jobs at once: memory report" "$(grep -c '"frames_swept": 18,' memory.json)" 1
    rm -r out
    mkdir out
done

# a budget with room for one at a time: they take turns, so that each has ended before the next one begins
total=$("$track" "$clip" --box $box "${small[@]}" --plan | awk '$1 == "total" { print int($2 + 1.5) "MB" }')
"$track" --list list --jobs 3 "${small[@]}" --memory-budget "$total" 2>stderr.txt
is "tight budget $total: exit status" $? 0
is "tight budget $total: warnings" "$(grep -c "^track: warning: " stderr.txt)" 0
is "tight budget $total: lines of a video in a row" \
    "$(grep -oE '^track: list:[245]: (memory: |6 frames, )' stderr.txt | cut -d: -f3 | uniq -c | awk '{ print $1 }' |
        tr '\n' ' ')" "2 2 2 "
diff -r alone out >diff.txt || complain "tight budget: $(cat diff.txt)"
rm -r out
mkdir out

# one of three fails; the others are whole
sed -i "s|$second|nothing.mp4|" list
"$track" --list list --jobs 2 "${small[@]}" 2>stderr.txt
is "one fails: exit status" $? 1
is "one fails: its line" "$(grep -c "^track: list:4: nothing.mp4: " stderr.txt)" 1
is "one fails: last line" "$(tail -n 1 stderr.txt)" "track: 2 of 3 jobs done, 1 failed"
is "one fails: files" "$(ls -A out | tr '\n' ' ')" "1.jsonl 1.png 3.jsonl l3 m1 "
cmp -s alone/3.jsonl out/3.jsonl || complain "one fails: another one has other JSON lines"
rm -r out
mkdir out

# standard input is one of the videos; options before the list are defaults
printf '%s\n' "- --jsonl -" >list
"$track" --list list --box $box "${small[@]}" -q <"$clip" >stdin.jsonl 2>stderr.txt
is "standard input: exit status" $? 0
cmp -s stdin.jsonl alone/1.jsonl || complain "standard input in a list: other JSON lines"

# stopped by a signal: the jobs going on end whole, the others do not begin
hold held
printf '%s\n' "$clip --masks held --jsonl out/1.jsonl -o out/1.mp4" "$second --jsonl out/2.jsonl" \
    "$third --jsonl out/3.jsonl" >list
env --default-signal=INT "$track" --list list --box $box --image-size 128 2>stderr.txt &
stop INT $! held
is "stopped: exit status" $status 130
is "stopped: last line" "$(tail -n 1 stderr.txt)" "track: 1 of 3 jobs done, 2 not begun"
is "stopped: files" "$(ls -A out | tr '\n' ' ')" "1.jsonl 1.mp4 "
is "stopped: JSON lines" "$(wc -l <out/1.jsonl)" 6
finish
