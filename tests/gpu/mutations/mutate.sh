#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#     mutate.sh LIST NAME SOURCES FLAGS LINK PROGRAM
# Passes if PROGRAM's check of the mutation NAME of LIST (mutations.txt) holds, and fails once one of its sources was
# compiled with the mutation. SOURCES: kernels/cuda. FLAGS: the compiler and what it is given; LINK: the folder and the
# command that made PROGRAM; one argument a line in both. The defect has to be found as one: by a line FAIL, or by the
# emulation, which ends the program with a line about an access where no memory of the device is. A program that ends
# otherwise, or does not, and sources that do not compile prove nothing.
list=$1 name=$2 sources=$3 flags=$4 link=$5 program=$6
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT

fail()
{
    echo "$name: $1"
    exit 1
}

# The lines of the mutation, into $work: in, check, old, new.
awk -v name="$name" -v work="$work" '
    /^mutation / { found = $2 == name ":"; next }
    !found { next }
    /^in / { print $2, $3 > (work "/in") }
    /^check / { print substr($0, 7) > (work "/check") }
    /^-/ { print substr($0, 2) > (work "/old") }
    /^\+/ { print substr($0, 2) > (work "/new") }' "$list"
[ -s "$work/in" ] && [ -s "$work/check" ] && [ -s "$work/old" ] || fail "not in the list"
touch "$work/new"
read -r file unit < "$work/in"
unit=${unit:-$file}

# Where the old lines are in the file, exactly once, the new ones.
mkdir "$work/cuda" && cp "$sources"/* "$work/cuda" || exit 2
awk -v old="$work/old" -v new="$work/new" '
    BEGIN {
        while ((getline line < old) > 0)
            before[n++] = line
        while ((getline line < new) > 0)
            after[m++] = line
    }
    { text[++rows] = $0 }
    END {
        for (r = 1; r + n - 1 <= rows; r++) {
            for (i = 0; i < n && text[r + i] == before[i]; i++)
                ;
            if (i == n && ++places)
                at = r
        }
        if (places != 1)
            exit 1
        for (r = 1; r <= rows; r++) {
            for (i = 0; r == at && i < m; i++)
                print after[i]
            if (r < at || r >= at + n)
                print text[r]
        }
    }' "$sources/$file" > "$work/cuda/$file" || fail "the old lines are not in $file exactly once"

eval "set -- $(cat "$work/check")"
"$program" "$@" > "$work/held" 2>&1 || { cat "$work/held"; fail "the check fails without it"; }
grep -q '^ok .* [1-9][0-9]* cases' "$work/held" || { cat "$work/held"; fail "the check has no cases"; }

set --
while IFS= read -r argument; do
    [ -z "$argument" ] || set -- "$@" "$argument"
done < "$flags"
"$@" -c "$work/cuda/$unit" -o "$work/unit.o" || fail "does not compile"

# The same link with this object first, before those that have functions of the same headers, and without the original.
{
    read -r folder
    set --
    while IFS= read -r argument; do
        case $argument in
        */kernels/cuda/"$unit".o) continue ;;
        "${program##*/}" | */"${program##*/}") argument=$work/mutated ;;
        esac
        set -- "$@" "$argument"
        [ $# != 1 ] || set -- "$@" "$work/unit.o"
    done
} < "$link"
cd "$folder" && "$@" || fail "does not link"

eval "set -- $(cat "$work/check")"
timeout 60 "$work/mutated" "$@" > "$work/found" 2>&1
status=$?
grep '^FAIL \|^simt: ' "$work/found" | head -n 2
[ $status = 1 ] && grep -q '^FAIL ' "$work/found" && exit 0
[ $status != 124 ] && grep -q '^simt: .* touched ' "$work/found" && exit 0
cat "$work/found"
fail "not found (status $status)"
