#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The testbed by itself: what a guest is made of, a stock driver at work, the link, commands to the host.
# testbed: topology=one timeout=90 nvme=64 daemon=no
# shellcheck source=tests/testbed/guest/lib.sh
. /tests/lib.sh

say "tools"
for tool in nvme lspci setpci mke2fs e2fsck modprobe ip cxl farlaned farlane; do
    command -v $tool >/dev/null || fail "no $tool in the guest"
done
check lspci -v >/tmp/lspci
check grep -q 'Virtio console' /tmp/lspci
dmesg | grep -q 'software bounce buffering' || fail "swiotlb is off: dma-iommu could not bounce for untrusted devices"

say "QEMU's own nvme with the stock driver"
check modprobe nvme
until_ok 30 test -b /dev/nvme0n1
check nvme id-ctrl /dev/nvme0 >/tmp/id
check grep -q 'QEMU NVMe Ctrl' /tmp/id
check modprobe ext4
check mke2fs -q -t ext4 /dev/nvme0n1
check mount /dev/nvme0n1 /mnt
check cp -r /usr/bin/farlaned /usr/bin/farlane /mnt
sum=$(cd /usr/bin && sha256sum farlaned farlane)
check umount /mnt
check e2fsck -fn /dev/nvme0n1
check mount /dev/nvme0n1 /mnt
equal "$(cd /mnt && sha256sum farlaned farlane)" "$sum" "files after a mount"
check umount /mnt

say "the link"
moved ping -q -c 3 -W 5 10.77.0.2
moved ping -q -c 1 -W 5 -s 8900 10.77.0.2
check host link cut
refuse 1 ping -q -c 1 -W 1 10.77.0.2
check test "$(host -f links.net.from.i0.dropped_cut link stats)" -gt 0
check host link heal
moved ping -q -c 1 -W 5 10.77.0.2

say "commands to the host"
refuse 1 host nonsense
refuse 1 host link set nosuch loss=1
refuse 1 host link set net loss=2
has "$(host help)" "kill9"
check host link set net from=i0 delay=20ms
equal "$(host -f links.net.from.i0.set.delay link stats)" 20ms "what was set"
took=$(ping -c 1 -W 5 10.77.0.2 | sed -n 's/.*time=\([0-9]*\).*/\1/p')
[ "$took" -ge 20 ] || fail "a delay of 20 ms was not there: $took ms"
say "done"
