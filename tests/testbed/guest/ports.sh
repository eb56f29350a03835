#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Root ports removed and found again through sysfs: no function goes to a port that is not there, a function whose port
# is taken away ends with it, and afterwards all is as it was: names of the slots, hot-plug, protection of memory.
# testbed: topology=one timeout=200 module=yes daemon=no exports=ports
# shellcheck source=tests/testbed/guest/lib.sh
. /tests/lib.sh
f() { farlane --timeout 30 "$@"; }
pci=/sys/bus/pci
at=10000:00
take() { echo 1 >$pci/devices/"$at:0$1.0/remove" || fail "port $1 can not be removed"; }
rescan() { echo 1 >$pci/rescan || fail "no rescan"; }
slots() { (cd $pci/slots && echo farlane*); }
function_at() { ls -d $pci/devices/${at%:*}:0[1-9]:00.0 2>/dev/null; } # fails when there is none
slot_of() { sed -n 's/^slot farlane//p' "/sys/kernel/debug/farlane/$1/status"; }
ended() { [ ! -e "/sys/kernel/debug/farlane/$1" ]; }
# What has to be the same before and after
counted() {
    echo "rings $(grep -c farlane /proc/vmallocinfo)"
    echo "functions $(lspci -D | sort)"
    echo "interrupts $(ls /sys/kernel/irq | wc -l)"
    echo "groups $(ls /sys/kernel/iommu_groups | wc -l)"
    echo "users $(cat /sys/module/farlane/refcnt)"
    echo "slots $(slots)"
}
same() { counted >/tmp/now && cmp -s /tmp/now /tmp/counted; }
as_before() {
    limit=$(($(cut -d. -f1 /proc/uptime) + 30 * ${PATIENCE:-1}))
    until same; do
        [ "$(cut -d. -f1 /proc/uptime)" -lt $limit ] || fail "it is not as before: $(diff /tmp/counted /tmp/now)"
        usleep 100000
    done
}
# The stock driver works, and the function is one from outside: its root port says so, or its DMA is not held to bytes.
plugged() {
    moved f attach nvme0 >/dev/null
    until_ok 60 dd if=/dev/nvme0n1 of=/dev/null bs=4k count=8 iflag=direct # its node is there before it can be opened
    check dd if=/dev/zero of=/dev/nvme0n1 bs=4k count=8 oflag=direct 2>/tmp/dd
    equal "$(cat "$(function_at)/removable")" removable "$(function_at)"
}
# When detach has ended the driver has let go: nothing of the function may be freed before.
unplugged() {
    check f detach nvme0 >/dev/null
    [ -z "$(function_at)" ] || fail "detached, and still on the bus: $(function_at)"
    until_ok 60 ended nvme0
}

check insmod /farlane/farlane.ko slots=2
check daemon start
until_ok 60 f show nvme0
check modprobe nvme
plugged
cut_stops dd if=/dev/nvme0n1 of=/dev/null bs=4k count=1 skip=9000 iflag=direct
unplugged
equal "$(slots)" "farlane0 farlane1" "slots"
counted >/tmp/counted

say "No port, no function"
take 0
take 1
equal "$(slots)" "farlane*" "slots without ports"
f attach nvme0 2>/tmp/said && fail "attached, to no port: $(cat /tmp/said)"
has "$(cat /tmp/said)" "/sys/bus/pci/rescan"
until_ok 60 ended nvme0

say "Found again: both slots work as before"
rescan
as_before
for i in 0 1; do
    equal "$(basename "$(readlink $pci/devices/$at:0$i.0/driver)")" pcieport "driver of port $i"
    plugged
    slot=$(slot_of nvme0)
    equal "$(cat $pci/slots/farlane"$slot"/power)" 1 "power of slot $slot"
    unplugged
done
as_before

say "Memory is protected to the byte behind them"
moved f attach dma0 >/dev/null
until_ok 60 function_at
dmesg -c >/dev/null
check insmod /farlane/farlane_canary_test.ko rounds=150 posted=1 seed=7
has "$(dmesg | sed -n 's/.*farlane_canary_test: //p')" " 0 bytes outside"
check rmmod farlane_canary_test
check f detach dma0 >/dev/null
as_before

say "A port that is taken away takes its function along; the other slot is free for it"
plugged
slot=$(slot_of nvme0)
take "$slot"
until_ok 60 ended nvme0
[ ! -b /dev/nvme0n1 ] || fail "the disk is still there"
until_ok 60 sh -c "! farlane list | grep -q 'on the PCI bus'"
plugged
[ "$(slot_of nvme0)" != "$slot" ] || fail "a function in slot $slot, which has no port"
rescan
unplugged
as_before

say "A port without its driver for a while"
echo $at:00.0 >$pci/drivers/pcieport/unbind
echo $at:00.0 >$pci/drivers/pcieport/bind
as_before

say "Unloaded with a port away"
take 0
check daemon stop
until_ok 20 rmmod farlane
say "done"
