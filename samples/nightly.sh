#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The nightly regression: builds, runs every sample clip on every backend of this machine, compares with
# samples/baseline.json, writes out/nightly/report.html; not 0 if something got worse. --help has the options,
# docs/nightly.md the rules.
set -eu
command -v python3 >/dev/null || { echo "nightly: python3 (3.11 or newer) is needed" >&2; exit 2; }
exec python3 "$(dirname "$0")/nightly/run.py" "$@"
