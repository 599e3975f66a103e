#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# bundle.sh CMAKE BUILD CUBLASLT(ON|OFF): BUILD/track-bundle.tar.gz; run by the target `bundle` (cmake/bundle.cmake).
# Programs find the libraries beside them by their rpath ($ORIGIN/lib), and the libraries each other by the same.
set -eu
cmake=$1
build=$2
cublaslt=$3
stage=$build/track-bundle

rm -rf "$stage"
"$cmake" --install "$build" --component bundle --prefix "$stage" --strip >/dev/null
mkdir -p "$stage/bin/lib"
git -C "$(dirname "$0")" describe --always --dirty --abbrev=12 >"$stage/COMMIT" 2>/dev/null || echo unknown >"$stage/COMMIT"

# glibc's own libraries and the driver's are those of the machine
is_of_the_machine() {
    case $1 in
    ld-linux* | libc.so.* | libm.so.* | libmvec.so.* | libdl.so.* | librt.so.* | libpthread.so.* | libresolv.so.* | \
        libutil.so.* | libnsl.so.* | libanl.so.* | libcuda.so.* | libnvcuvid.so.* | libnvidia-* | linux-vdso*) return 0 ;;
    libcublasLt.so.*) [ "$cublaslt" = OFF ] ;;
    *) return 1 ;;
    esac
}

find "$stage/bin" -maxdepth 1 -type f -exec ldd {} + | sed -n 's/^[[:space:]]*\([^ ]*\) => \(.*\) (0x.*/\1 \2/p; s/.*=> not found.*/missing &/p' | sort -u |
    while read -r name path; do
        if [ "$name" = missing ]; then
            echo "bundle: $path" >&2
            exit 1
        fi
        is_of_the_machine "$name" || cp -L "$path" "$stage/bin/lib/$name"
    done
chmod u+w "$stage"/bin/lib/*

# cuBLASLt is machine code that hardly gets smaller
tar -C "$build" -c track-bundle | gzip -1 >"$build/track-bundle.tar.gz"
rm -rf "$stage"
ls -l "$build/track-bundle.tar.gz"
