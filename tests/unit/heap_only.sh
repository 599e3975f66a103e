#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# usage: heap_only.sh SOURCE_DIR
# Memory of this project comes from base/heap.c alone: lists every direct call of libc's functions in the sources and
# fails if there is one. What a library allocated may be passed to free() on a line whose comment names that library.
set -eu
cd "$1"

allocators='malloc|calloc|realloc|reallocarray|strdup|strndup|asprintf|vasprintf|aligned_alloc|memalign|posix_memalign'
libraries='libc|FFmpeg|jansson|libzip|oneDNN|zlib|xxHash|CUDA'

# calls FUNCTIONS FOLDER...: file:line:text of each; members (x.free) and longer names (av_free) are others' functions
calls() {
    functions=$1
    shift
    grep -rnE --include='*.c' --include='*.h' --include='*.cu' --include='*.cuh' --include='*.cpp' \
        "(^|[^A-Za-z0-9_.>])($functions)[[:space:]]*\(" "$@" || true
}

offenders() {
    {
        calls "$allocators" "$@"
        calls free "$@" | grep -vE "/[*/].*($libraries)" || true
    } | grep -v '^base/heap\.c:' || true
}

# the search itself: three calls to be found, and four lines that are none
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cat >"$scratch/sample.c" <<'END'
    char *a = malloc(1);
    if (asprintf(&a, "x") < 0)
        free (a);
    free(a); /* libc allocated it, in getline */
    av_free(a);
    device->free(a);
    trk_heap_release(a); trk_free_all(a);
END
found=$(offenders "$scratch" | wc -l)
if [ "$found" -ne 3 ]; then
    echo "heap_only.sh: found $found calls in its own sample, expected 3"
    exit 1
fi

list=$(offenders base rope kernels memory model tracker video cli include)
[ -z "$list" ] && exit 0
echo "direct calls outside base/heap.c, expected those of base/heap.h:"
echo "$list"
exit 1
