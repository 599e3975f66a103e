#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs the Debian packages the build needs, if any is missing. Sourced by the other scripts.
set -eu

packages="gcc g++ make cmake ninja-build pkg-config libdnnl-dev libavformat-dev libavcodec-dev libavutil-dev
libswscale-dev libjansson-dev libzip-dev libxxhash-dev libcmocka-dev libboost-context-dev python3"

missing=""
for package in $packages; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $package"
done
if [ -n "$missing" ]; then
    command -v apt-get >/dev/null || { echo "expected Debian or Ubuntu, or a system with:$missing" >&2; exit 1; }
    echo "installing:$missing"
    sudo=""
    [ "$(id -u)" = 0 ] || sudo=sudo
    $sudo apt-get update -qq
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi
