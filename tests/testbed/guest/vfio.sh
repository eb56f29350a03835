#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# vfio-pci on a remote NVMe controller: a process of user space alone sends it Identify commands, with DMA through
# VFIO's maps; the kernel's nvme takes the controller back afterwards.
# testbed: topology=one timeout=240 module=yes daemon=no exports=drivers
# shellcheck source=tests/testbed/guest/lib.sh
. /tests/lib.sh
f() { farlane --timeout 20 "$@"; }
driver() { basename "$(readlink "/sys/bus/pci/devices/$bdf/driver")"; }

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
moved vfio_nvme "$bdf" >/tmp/identify
cat /tmp/identify
has "$(cat /tmp/identify)" "serial: FLVFIO0001"
has "$(cat /tmp/identify)" "mmap of BAR 0: refused"
has "$(cat /tmp/identify)" "what is not mapped: not reached"

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
