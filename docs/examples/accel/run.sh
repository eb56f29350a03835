#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Receives: the folder with the programs, and one for pictures. Hands on: all examples, one after the other; 0 when every
# result was right. Owns: nothing.
set -uo pipefail

[ $# -ge 2 ] || { echo "usage: run.sh PROGRAMS OUT [OPTION...]    options go to every example: --executor cuda" >&2; exit 2; }
bin=$1
out=$2
shift 2
mkdir -p "$out" || exit 1
failed=()

# example NAME ARGUMENT...
example() {
    local name=$1
    shift
    printf '\n-- %s\n' "$name"
    "$bin/farlane-example-$name" "$@" || failed+=("$name")
}

example image-filter --out "$out" "$@"
example blocked-gemm "$@"
example kmeans --plot "$out/kmeans.png" "$@"
example n-body --picture "$out/n-body.png" "$@"
example inference "$@"
example sharing "$@"

echo
if [ ${#failed[@]} -gt 0 ]; then
    echo "failed: ${failed[*]}" >&2
    exit 1
fi
echo "all examples are right; their pictures are in $out"
