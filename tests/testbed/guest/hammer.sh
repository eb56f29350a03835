#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Four CPUs on one BAR at once, 8 to 64 bits and string moves, from tasks and hard interrupts: each lane of the
# selftest function checks that every write arrives once and in order; what instructions do to a BAR is what they do
# to memory.
# testbed: topology=alone timeout=300 module=yes smp=4
# shellcheck source=tests/testbed/guest/lib.sh
. /tests/lib.sh
passed() { dmesg | grep -q "farlane_trap_test: PASS $1"; }
traps() { sed -n 's/^traps //p' /sys/kernel/debug/farlane/selftest/counters; }

equal "$(grep -c ^processor /proc/cpuinfo)" 4 "CPUs"
check insmod /farlane/farlane.ko selftest=1
until_ok 60 sh -c 'lspci -d f1a0:5e1f | grep -q .'
before=$(traps)
for seed in 1 2; do
    say "seed $seed"
    # its initialisation runs all tests; it fails when one of them does
    dmesg -c >/dev/null
    check insmod /farlane/farlane_trap_test.ko seed=$seed accesses=5000
    for test in mappings copies strings read-modify-write "frame register" "CPUs and contexts" all; do
        passed "$test" || fail "no PASS $test"
    done
    dmesg | grep 'farlane_trap_test: FAIL' && fail "it says FAIL"
    check rmmod farlane_trap_test
done
after=$(traps)
[ $((after - before)) -ge 40000 ] || fail "only $((after - before)) accesses were trapped"
echo 0 >/sys/bus/pci/slots/farlane0/power || fail "slot 0 can not be powered off"
until_ok 20 rmmod farlane
say "done"
