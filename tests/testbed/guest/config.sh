#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Configuration space as lspci and setpci see it: every capability is decoded, writes reach the device or are refused
# as hardware refuses them, BARs are sized, and without bus mastering no byte moves (that the module refuses what a
# device sends nevertheless: selftest.sh).
# testbed: topology=one timeout=400 module=yes daemon=no
# shellcheck source=tests/testbed/guest/lib.sh
. /tests/lib.sh
f() { farlane --timeout 20 "$@"; }
counter() { sed -n "s/^$2 //p" "/sys/kernel/debug/farlane/$1/counters"; }
# is BDF REGISTER VALUE TEXT: what setpci reads
is() { equal "$(setpci -s "$1" "$2")" "$3" "$4"; }

check insmod /farlane/farlane.ko
check daemon start
until_ok 60 f show nvme0
moved f attach nvme0
moved f attach accel0
until_ok 60 sh -c '[ "$(lspci -d ::0108 -D | grep -c ^1)" = 1 ] && [ "$(lspci -d ::1200 -D | grep -c ^1)" = 1 ]'
nvme=$(lspci -D -d ::0108 | sed -n 's/^\(1[0-9a-f]*:[^ ]*\) .*/\1/p')
accel=$(lspci -D -d ::1200 | sed -n 's/^\(1[0-9a-f]*:[^ ]*\) .*/\1/p')
say "nvme0 is $nvme, accel0 is $accel"

for bdf in $nvme $accel; do
    say "lspci decodes $bdf"
    lspci -s "$bdf" -vvv >/tmp/lspci 2>/tmp/errors
    check cat /tmp/lspci
    [ -s /tmp/errors ] && fail "lspci complains: $(cat /tmp/errors)"
    grep -qiE 'unknown|!!!|\?\?|access denied|unassigned|<chain' /tmp/lspci && fail "something is not decoded"
    # every capability of the chains is a line
    for capability in 'Power Management' 'Express (v2) Endpoint' 'MSI-X:' 'Advanced Error Reporting'; do
        has "$(cat /tmp/lspci)" "$capability"
    done
    is "$bdf" VENDOR_ID "$(cut -c3-6 "/sys/bus/pci/devices/$bdf/vendor")" "vendor"
done

# The device's own view, over the fabric.
device_has() { until_ok 30 sh -c "farlane --timeout 20 show $1 | tr -s ' ' | grep -q '$2'"; }

say "what the device has to hear, it hears"
moved setpci -s "$accel" COMMAND=0006
is "$accel" COMMAND 0006 "command"
device_has accel0 'command 0006 .*memory_space+ bus_master+'
has "$(lspci -s "$accel" -vv)" "Mem+ BusMaster+"
check setpci -s "$accel" COMMAND=0000
device_has accel0 'command 0000'
check setpci -s "$accel" CAP_MSIX+2.w=4000
is "$accel" CAP_MSIX+2.w 4010 "MSI-X control: mask, and a size that stays"
device_has accel0 'function_mask+'
check setpci -s "$accel" CAP_MSIX+2.w=0000
check setpci -s "$accel" CAP_PM+4.w=000b
is "$accel" CAP_PM+4.w 000b "power state"
device_has accel0 'power_state=D3hot'
check setpci -s "$accel" CAP_PM+4.w=0008
device_has accel0 'power_state=D0'

say "what this host keeps"
check setpci -s "$accel" INTERRUPT_LINE=5a CACHE_LINE_SIZE=10
is "$accel" INTERRUPT_LINE 5a "interrupt line"
is "$accel" CACHE_LINE_SIZE 10 "cache line size"
check setpci -s "$accel" CAP_EXP+8.w=5830
is "$accel" CAP_EXP+8.w 5830 "device control"

say "what is refused"
check setpci -s "$accel" COMMAND=ffff
equal "$(($(printf '%d' "0x$(setpci -s "$accel" COMMAND)") & ~0x0546))" 0 "bits of the command register that nothing implements"
check setpci -s "$accel" COMMAND=0000
for register in VENDOR_ID DEVICE_ID REVISION STATUS CLASS_DEVICE HEADER_TYPE SUBSYSTEM_ID 34.b INTERRUPT_PIN \
    CAP_PM+0.w CAP_EXP+0.w CAP_EXP+4.l CAP_EXP+c.l CAP_MSIX+4.l CAP_MSIX+8.l ECAP_AER+0.l ECAP_DSN+4.l \
    BASE_ADDRESS_1 BASE_ADDRESS_4 BASE_ADDRESS_5 ROM_ADDRESS; do
    # read, ones, read, zeros, read
    seen=$(setpci -s "$accel" "$register" "$register=ffffffff" "$register" "$register=0" "$register") || fail "no $register"
    equal "$(echo "$seen" | sort -u | wc -l)" 1 "values of $register, which nobody may write ($(echo $seen))"
done

# size BDF REGISTER VALUE: what ones leave of a BAR; it is as before afterwards
size() {
    was=$(setpci -s "$1" "$2")
    check setpci -s "$1" "$2=ffffffff"
    is "$1" "$2" "$3" "size in $2"
    check setpci -s "$1" "$2=$was"
    is "$1" "$2" "$was" "$2 written back"
}
say "BARs have their size"
size "$accel" BASE_ADDRESS_0 fff00000
size "$accel" BASE_ADDRESS_2 fc00000c
size "$accel" BASE_ADDRESS_3 ffffffff
size "$nvme" BASE_ADDRESS_0 ffffc004
size "$nvme" BASE_ADDRESS_1 ffffffff
is "$accel" BASE_ADDRESS_1 00000000 "no BAR 1"

say "a driver works with it"
check modprobe nvme
until_ok 60 test -b /dev/nvme0n1
moved dd if=/dev/nvme0n1 of=/dev/null bs=4k count=8 iflag=direct
device_has nvme0 'bus_master+'
equal "$(counter nvme0 dma_refused)" 0 "refused DMA"

say "bus mastering off: the doorbell arrives, no byte moves"
command=$(setpci -s "$nvme" COMMAND)
check setpci -s "$nvme" COMMAND=0000:0004
device_has nvme0 'bus_master-'
bytes=$(counter nvme0 dma_bytes)
rung=$(counter nvme0 posted)
dd if=/dev/nvme0n1 of=/dev/null bs=4k count=8 iflag=direct 2>/tmp/dd &
reader=$!
until_ok 20 sh -c "[ \$(sed -n 's/^posted //p' /sys/kernel/debug/farlane/nvme0/counters) -gt $rung ]"
device_has nvme0 'bus_master-'
kill -0 $reader 2>/dev/null || fail "the read ended without DMA: $(cat /tmp/dd)"
equal "$(counter nvme0 dma_bytes)" "$bytes" "bytes moved with bus mastering off"

say "on again: it goes on"
check setpci -s "$nvme" "COMMAND=$command"
echo 1 >/sys/class/nvme/nvme0/reset_controller || fail "the controller can not be reset"
wait $reader || fail "the read failed afterwards: $(cat /tmp/dd)"
[ "$(counter nvme0 dma_bytes)" -gt "$bytes" ] || fail "no DMA afterwards"

say "a cut link: what the shadow has is answered, the device's part is not lost"
check host link cut
check setpci -s "$accel" COMMAND=0002
is "$accel" COMMAND 0002 "command while the link is cut"
check host link heal
device_has accel0 'command 0002'

check f detach accel0
check f detach nvme0
check daemon stop
check rmmod farlane
say "done"
