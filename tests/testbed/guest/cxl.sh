#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Stock cxl_pci on a remote CXL type 3 function: cxl list shows its size, serial and firmware version,
# commands of user space reach its mailbox. They wait while the link is cut; when it stays cut they fail, and work again,
# with nothing but a healed link.
# testbed: topology=one timeout=180 module=yes daemon=no exports=drivers
# shellcheck source=tests/testbed/guest/lib.sh
. /tests/lib.sh
f() { farlane --timeout 20 "$@"; }
memory() { ls -d /sys/bus/cxl/devices/mem* 2>/dev/null; }
no_memory() { [ -z "$(memory)" ]; }
# Health comes through the mailbox. "-i": without a CXL root the device counts as disabled, and is left out otherwise.
healthy() { cxl list -i -M -H 2>&1 | grep -q '"temperature":25'; }
counter() { sed -n "s/^$1 //p" /sys/kernel/debug/farlane/cxl0/counters; }
complaints() { dmesg | grep -c 'cxl_pci .* mailbox queue busy'; }
becomes_healthy() { # /tmp/questions: how many it took
    questions=1
    while ! healthy; do questions=$((questions + 1)); done
    echo $questions >/tmp/questions
}

check insmod /farlane/farlane.ko
session grace_ms 60000
check daemon start
until_ok 60 f show cxl0
moved f attach cxl0
check modprobe cxl_pci
until_ok 60 memory
bdf=$(basename "$(dirname "$(readlink -f "$(memory)")")")
readlink "/sys/bus/pci/devices/$bdf/driver" | grep -q '/cxl_pci$' || fail "its driver is not cxl_pci"

say "cxl list"
check cxl list -i -vv
cxl list -i -M >/tmp/list
has "$(cat /tmp/list)" '"ram_size":1073741824'
has "$(cat /tmp/list)" '"serial":18037382563110060033'
has "$(cat /tmp/list)" "\"host\":\"$bdf\""
equal "$(cat "$(memory)/firmware_version")" "FL-CXL-7.3" "firmware version"
equal "$(cat "$(memory)/ram/size")" 0x40000000 "size"

say "a command of user space reaches the mailbox"
moved cxl list -i -M -H -I >/tmp/health
cat /tmp/health
has "$(cat /tmp/health)" '"temperature":25'

say "a cut link stops it"
timeouts=$(counter timeouts)
cut_stops becomes_healthy
# A cut that ended before the completion timeout is nothing but delay
[ "$(counter timeouts)" != "$timeouts" ] || equal "$(cat /tmp/questions)" 1 "questions for one answer"

say "longer than the completion timeout: no answer and an event; it works again once the link is healed"
timeouts=$(counter timeouts)
said=$(complaints)
echo 1 >/sys/kernel/tracing/events/farlane/farlane_event/enable
check host link cut
since=$(now_ms)
healthy && fail "health without a link"
row bus_read_times_out "$since" 4000 # completion_timeout_ms of farlaned, and what the command takes in this emulated guest
[ "$(counter timeouts)" -gt "$timeouts" ] || fail "no read timed out, and there was no health"
until_ok 20 grep -q completion_timeout /sys/kernel/tracing/trace
[ "$(complaints)" -gt "$said" ] || fail "cxl_pci said nothing about registers without an answer"
check host link heal
until_ok 60 healthy
answered=$(counter timeouts)
check healthy
equal "$(counter timeouts)" "$answered" "timeouts with a link"
echo 0 >/sys/kernel/tracing/events/farlane/farlane_event/enable

say "lspci decodes it"
lspci -D -vvv -s "$bdf" >/tmp/lspci
cat /tmp/lspci
has "$(cat /tmp/lspci)" "CXL"

say "unbind, bind"
echo "$bdf" >/sys/bus/pci/drivers/cxl_pci/unbind
until_ok 30 no_memory
echo "$bdf" >/sys/bus/pci/drivers/cxl_pci/bind
until_ok 30 memory

say "detach"
check f detach cxl0
until_ok 60 no_memory
check daemon stop
check rmmod farlane
say "done"
