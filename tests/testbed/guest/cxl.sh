#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Stock cxl_pci on a remote CXL type 3 function: cxl list shows its size, serial and firmware version,
# commands of user space reach its mailbox.
# testbed: topology=one timeout=180 module=yes daemon=no exports=drivers
# shellcheck source=tests/testbed/guest/lib.sh
. /tests/lib.sh
f() { farlane --timeout 20 "$@"; }
memory() { ls -d /sys/bus/cxl/devices/mem* 2>/dev/null; }
no_memory() { [ -z "$(memory)" ]; }

check insmod /farlane/farlane.ko
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
