#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# usage: installed.sh CMAKE BUILD CC EXAMPLE.c MODEL
# Installs a build into a folder of its own and uses it from there, moved: the archive defines names of this project alone,
# programs look for libraries in no relative place, a program builds with what pkg-config says and follows a square.
set -eu
cmake=$1 build=$2 cc=$3 example=$4 model=$5
command -v pkg-config >/dev/null || { echo "skipped: no pkg-config"; exit 77; }
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"$cmake" --install "$build" --prefix "$scratch/first" >/dev/null
mv "$scratch/first" "$scratch/prefix"
pc=$(find "$scratch/prefix" -name libtrack.pc)
archive=$(find "$scratch/prefix" -name libtrack.a)
for file in include/track.h include/track_status.h share/track/models/demo-m.safetensors; do
    [ -s "$scratch/prefix/$file" ] || { echo "not installed: $file"; exit 1; }
done
[ -n "$(find "$scratch/prefix/share/doc" -name LICENSE)" ] || { echo "not installed: LICENSE"; exit 1; }

# names that begin with an underscore are the compiler's; C++ names of kernels among them
others=$(nm -g --defined-only "$archive" | awk 'NF == 3 { print $3 }' | grep -vE '^(trk_|_)' || true)
[ -z "$others" ] || { echo "names without trk_ in libtrack.a:" $others; exit 1; }

# an empty place in a run path is the current directory, and so is whatever is neither absolute nor $ORIGIN
for program in "$build/track" "$scratch/prefix/bin/track"; do
    [ -e "$program" ] || continue # built without FFmpeg
    path=$(readelf -d "$program" | sed -n 's/.*R\(UN\)\{0,1\}PATH.*\[\(.*\)\]/\2/p')
    for place in $(echo "$path" | sed 's/^:/EMPTY:/; s/:$/:EMPTY/; s/::/:EMPTY:/g; s/:/ /g'); do
        case $place in
        /* | '$ORIGIN'*) ;;
        *) echo "$program looks for libraries in a relative place: [$path]"; exit 1 ;;
        esac
    done
done

PKG_CONFIG_PATH=$(dirname "$pc") && export PKG_CONFIG_PATH
"$cc" -O1 -o "$scratch/example" "$example" $(pkg-config --cflags --libs libtrack)
LD_LIBRARY_PATH=$(pkg-config --libs-only-L libtrack | sed 's/-L//g; s/ *$//; s/  */:/g') && export LD_LIBRARY_PATH # CUDA's
cd "$scratch"
sh "$(dirname "$0")/readme_example.sh" "$scratch/example" "$model"
