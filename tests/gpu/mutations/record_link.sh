#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#     record_link.sh FILE COMMAND ...
# Runs the command and writes it to FILE, one argument a line, after the folder it runs in: a launcher of the linker.
file=$1
shift
{
    pwd
    printf '%s\n' "$@"
} > "$file" && exec "$@"
