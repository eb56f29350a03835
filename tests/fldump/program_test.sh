#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The fldump program itself: exit codes, streams. usage: program_test.sh FLDUMP CORPUS
set -u
fldump=$1 corpus=$2
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failed=0

# expect CODE COMMAND...: runs it, output in $scratch/out and $scratch/err
expect() {
    wanted=$1
    shift
    "$@" >"$scratch/out" 2>"$scratch/err"
    got=$?
    if [ "$got" -ne "$wanted" ]; then
        echo "FAIL: $*: exit code $got, not $wanted"
        cat "$scratch/err"
        failed=1
    fi
}
check() {
    if ! "$@"; then
        echo "FAIL: $*"
        failed=1
    fi
}

expect 0 "$fldump" "$corpus/mixed"
check grep -q "MWr" "$scratch/out"
check test ! -s "$scratch/err"
expect 0 "$fldump" -o json "$corpus/mixed"
check grep -q '"type":"MWr"' "$scratch/out"
expect 0 "$fldump" --help
expect 2 "$fldump"
check test ! -s "$scratch/out"
expect 2 "$fldump" -o xml "$corpus/mixed"
expect 2 "$fldump" --port 70000 "$corpus/mixed"
expect 3 "$fldump" "$scratch/none"
head -c 100 "$corpus/mixed" >"$scratch/cut"
expect 9 "$fldump" "$scratch/cut"
check grep -q "frame_length" "$scratch/out"
check test -s "$scratch/err"
expect 0 sh -c '"$1" - <"$2"' sh "$fldump" "$corpus/mixed"
check grep -q "MWr" "$scratch/out"
expect 1 sh -c '"$1" "$2" >/dev/full' sh "$fldump" "$corpus/mixed"
[ $failed -eq 0 ] && echo "fldump: exit codes and streams are as documented"
exit $failed
