# SPDX-License-Identifier: Apache-2.0
# What the command says of itself and of a model, what it tells on the way, and hardware that is not asked for.
. "$(dirname "$0")/common.sh"

# says WHAT PATTERN ARGUMENT...: exit status 0, a line like that on standard output, nothing on standard error
says() {
    local what=$1 pattern=$2
    shift 2
    "$track" "$@" >stdout.txt 2>stderr.txt
    is "$what: exit status" $? 0
    grep -qE -- "$pattern" stdout.txt || complain "$what: expected \"$pattern\" in $(cat stdout.txt)"
    is "$what: standard error" "$(cat stderr.txt)" ""
}
says "--version" '^track [0-9]+\.[0-9]+\.[0-9]+$' --version
is "--version: lines" "$(wc -l <stdout.txt)" 3
says "--help" '^usage: track VIDEO PROMPT\.\.\. \[OPTION\.\.\.\] ' --help
says "-h" '^Examples$' -h
says "eval --help" '^usage: track eval DATASET \[OPTION\.\.\.\] ' eval --help
says "info" '^parameters +[0-9,]+$' info "$model"
is "info: complete" "$(grep -c '^complete  *yes$' stdout.txt)" 1

# told LEVEL OPTION...: what is said of two frames: nothing, what is planned, or that and what goes on
told() {
    local level=$1
    shift
    TRK_LOG=$level "$track" "$clip" --box $box --image-size 128 --frames 2 -q "$@" 2>stderr.txt
    is "TRK_LOG=$level $*: exit status" $? 0
    grep -oE '^track: (plan: [1-9][0-9]* bytes|sweep: frame 1, [1-9][0-9]* bytes)' stderr.txt | cut -d: -f2 | sort -u |
        tr -d '\n'
}
is "told" "$(told "")" ""
is "told with TRK_LOG=info" "$(told info)" " plan"
is "told with TRK_LOG=debug" "$(told debug)" " plan sweep"
is "told with --verbose" "$(told "" --verbose)" " plan sweep"

"$track" "$clip" --box $box --image-size 128 --frames 2 --device cpu --jsonl plain.jsonl -q
for use in auto cpu; do
    "$track" "$clip" --box $box --image-size 128 --frames 2 --device cpu --decoder $use --encoder $use \
        --jsonl out/$use.jsonl -o out/$use.mp4 -q
    is "--decoder $use --encoder $use: exit status" $? 0
    cmp -s plain.jsonl out/$use.jsonl || complain "--decoder $use: other results"
    [ -s out/$use.mp4 ] || complain "--encoder $use: no overlay"
done
finish
