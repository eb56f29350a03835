#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The module by itself: it loads, its selftest function is answered in the kernel, its test drivers are
# content, it unloads and nothing of it stays, several times.
# testbed: topology=alone timeout=180 module=yes
# shellcheck source=tests/testbed/guest/lib.sh
. /tests/lib.sh

before=$(lspci | wc -l)
i=0
while [ $i -lt 3 ]; do
    say "load with the selftest function"
    check insmod /farlane/farlane.ko selftest=1
    check insmod /farlane/farlane_test.ko
    until_ok 60 sh -c 'ls /sys/bus/pci/drivers/farlane_test/*:*:*.*'
    until_ok 60 sh -c 'dmesg | grep -q "farlane_test: PASS all"'
    [ "$(lspci | wc -l)" -gt "$before" ] || fail "lspci shows nothing new"
    check rmmod farlane_test
    until_ok 20 rmmod farlane
    equal "$(lspci | wc -l)" "$before" "functions after unloading"
    [ ! -e /dev/farlane ] || fail "/dev/farlane is still there"
    i=$((i + 1))
done
say "a module that is in use is not unloaded"
check insmod /farlane/farlane.ko selftest=1
refuse 1 insmod /farlane/farlane.ko
until_ok 20 rmmod farlane
say "done"
