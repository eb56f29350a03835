#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# vfio-pci on a remote NVMe controller: a process of user space alone sends it Identify commands, with DMA through
# VFIO's maps, also on a link that loses and reorders; the kernel's nvme takes the controller back afterwards.
# testbed: topology=one timeout=240 module=yes daemon=no exports=drivers
# shellcheck source=tests/testbed/guest/lib.sh
. /tests/lib.sh
f() { farlane --timeout 20 "$@"; }
identify() { vfio_nvme "$bdf" >/tmp/identify 2>&1 || { cat /tmp/identify && return 1; }; }
driver() { basename "$(readlink "/sys/bus/pci/devices/$bdf/driver")"; }

# A slow machine is no reason to give up a read: nobody could tell that from a lost one.
session completion_timeout_ms 8000
check insmod /farlane/farlane.ko
check daemon start
until_ok 60 f show nvme0
check modprobe vfio-pci
moved f attach nvme0
until_ok 60 sh -c 'ls -d /sys/bus/pci/devices/1000?:*/iommu_group && lspci -D -d ::0108 | grep .'
bdf=$(lspci -D -d ::0108 | cut -d' ' -f1)
say "$bdf in IOMMU group $(basename "$(readlink "/sys/bus/pci/devices/$bdf/iommu_group")")"

say "vfio-pci"
echo vfio-pci >"/sys/bus/pci/devices/$bdf/driver_override"
echo "$bdf" >/sys/bus/pci/drivers_probe
equal "$(driver)" vfio-pci driver
moved identify
cat /tmp/identify
has "$(cat /tmp/identify)" "serial: FLVFIO0001"
has "$(cat /tmp/identify)" "mmap of BAR 0: not offered, and refused"
has "$(cat /tmp/identify)" "DMA map of what is not memory: refused"
has "$(cat /tmp/identify)" "what is not mapped: not reached"

say "1 % loss, 2 % reordering"
check host link set net loss=1% reorder=2%
moved identify
has "$(cat /tmp/identify)" "serial: FLVFIO0001"
has "$(cat /tmp/identify)" "what is not mapped: not reached"
check host link reset

say "cut under a process: registers read all-ones, and are there again when it is healed"
mkfifo /tmp/ask
vfio_nvme "$bdf" 8 </tmp/ask >/tmp/told &
reader=$!
exec 3>/tmp/ask
asked=0
version() { # into $told: what the process reads now
    echo >&3
    asked=$((asked + 1))
    until_ok 60 sh -c "[ \$(wc -l </tmp/told) = $asked ]"
    told=$(tail -n 1 /tmp/told)
}
version
wanted=$told
equal "$wanted" 00010400 "version register"
check host link cut >/dev/null
version
equal "$told" ffffffff "version register behind a cut link"
check host link heal >/dev/null
until_ok 60 f show nvme0
version
equal "$told" "$wanted" "version register after the cut"
exec 3>&-
wait $reader || fail "the process ended with $?"
moved identify
has "$(cat /tmp/identify)" "serial: FLVFIO0001"

say "back to nvme"
echo "$bdf" >/sys/bus/pci/drivers/vfio-pci/unbind
echo >"/sys/bus/pci/devices/$bdf/driver_override"
check modprobe nvme
echo "$bdf" >/sys/bus/pci/drivers_probe
equal "$(driver)" nvme driver
until_ok 60 test -b /dev/nvme0n1
moved nvme id-ctrl /dev/nvme0 >/tmp/id
has "$(cat /tmp/id)" FLVFIO0001

say "detach"
check f detach nvme0
until_ok 60 sh -c '! test -e /dev/nvme0'
check daemon stop
check rmmod farlane
say "done"
