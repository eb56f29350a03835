#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The module by itself: it loads, its selftest function is answered in the kernel, its test drivers are
# content, it unloads and nothing of it stays, several times.
# testbed: topology=alone timeout=180 module=yes
# shellcheck source=tests/testbed/guest/lib.sh
. /tests/lib.sh

before=$(lspci | wc -l)
# The kernel's IOMMU layer holds the module as long as a function is in a slot.
unload() {
    echo 0 >/sys/bus/pci/slots/farlane0/power || fail "slot 0 can not be powered off"
    until_ok 20 rmmod farlane
}
i=0
while [ $i -lt 3 ]; do
    say "load with the selftest function"
    check insmod /farlane/farlane.ko selftest=1
    check insmod /farlane/farlane_test.ko
    until_ok 60 sh -c 'ls /sys/bus/pci/drivers/farlane_test/*:*:*.*'
    until_ok 60 sh -c 'dmesg | grep -q "farlane_test: PASS all"'
    [ "$(lspci | wc -l)" -gt "$before" ] || fail "lspci shows nothing new"
    check rmmod farlane_test
    unload
    equal "$(lspci | wc -l)" "$before" "functions after unloading"
    [ ! -e /dev/farlane ] || fail "/dev/farlane is still there"
    i=$((i + 1))
done
say "a module that is there is not loaded again"
check insmod /farlane/farlane.ko selftest=1
until_ok 60 sh -c 'lspci -d f1a0:5e1f | grep -q .'
refuse 1 insmod /farlane/farlane.ko

say "with dma=iommu it is not unloaded while the function has power, and the function goes on"
check insmod /farlane/farlane_test.ko
until_ok 60 sh -c 'ls /sys/bus/pci/drivers/farlane_test/*:*:*.*'
until_ok 60 sh -c 'dmesg | tail -n 50 | grep -q "farlane_test: PASS all"'
refuse 1 rmmod farlane 2>/tmp/rmmod
cat /tmp/rmmod
has "$(cat /tmp/rmmod)" "in use"
check rmmod farlane_test
refuse 1 rmmod farlane 2>/tmp/rmmod
[ -d /sys/module/farlane/parameters ] || fail "half of the module has gone"
dmesg -c >/dev/null
check insmod /farlane/farlane_test.ko
until_ok 60 sh -c 'dmesg | grep -q "farlane_test: PASS all"'
check rmmod farlane_test
unload

say "with dma=direct nothing holds it: it takes the function, and its driver, along"
check insmod /farlane/farlane.ko selftest=1 dma=direct
check insmod /farlane/farlane_test.ko
until_ok 60 sh -c 'dmesg | grep -c "farlane_test: PASS all" | grep -qx 2'
ls /sys/bus/pci/drivers/farlane_test/*:*:*.* >/dev/null || fail "the driver is not bound"
check rmmod farlane
[ ! -e /sys/module/farlane ] || fail "the module is there"
ls -d /sys/bus/pci/drivers/farlane_test/*:*:*.* 2>/dev/null && fail "the driver still has a device"
check rmmod farlane_test
equal "$(lspci | wc -l)" "$before" "functions after unloading"
say "done"
