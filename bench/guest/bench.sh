# SPDX-License-Identifier: Apache-2.0
# What benchmarks in guests share: . /tests/bench.sh. Results are lines "BENCH KEY VALUE...", which rows.py reads.
# shellcheck shell=sh

# The address of the function with these ids on the bus of farlane.ko.
address() { lspci -D -d "$1" | grep -m 1 '^1' | cut -d' ' -f1 | grep .; }
# measured COMMAND...: while the machine outside gives this guest what it can, for some seconds.
measured() {
    host priority measure >/dev/null
    "$@"
    rc=$?
    host priority normal >/dev/null
    return $rc
}
# timing LABEL MODULE OTHER ARGUMENTS...: accesses on CPU 0 to a register of two functions, by turns; OTHER is answered on CPU 1.
timing() {
    label=$1 module=$2 other=$3
    shift 3
    dmesg -c >/dev/null
    check measured taskset 1 insmod /farlane/farlane_timing_test.ko devices="$module,$other" offset=28 rounds="$REPEATS" "$@"
    check rmmod farlane_timing_test
    dmesg | sed -n "s/.*farlane_timing_test: //; s/nothing/clock/; s/$module/module/; s/$other/other/; s/^\(tsc\|round\)/BENCH timing $label \1/p"
}
