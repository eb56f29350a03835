#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Stock nvme.ko on a remote controller: lspci with and without it, identify, format, ext4, fio with verify, fsck;
# the link's frames grow, and cutting it stops the disk.
# testbed: topology=one timeout=400 module=yes daemon=no programs=fio
# shellcheck source=tests/testbed/guest/lib.sh
. /tests/lib.sh
f() { farlane --timeout 20 "$@"; }

say "without the module"
lspci >/tmp/before
check insmod /farlane/farlane.ko
check daemon start
until_ok 60 f show nvme0
check modprobe nvme

say "attach: a PCI device of this host"
moved f attach nvme0
until_ok 60 test -b /dev/nvme0n1
lspci -D >/tmp/after
check grep 'Non-Volatile memory controller' /tmp/after
readlink /sys/class/nvme/nvme0/device/driver | grep -q '/nvme$' || fail "its driver is not nvme"
check nvme id-ctrl /dev/nvme0 >/tmp/id
check grep -q 'mn .*Farlane' /tmp/id
check nvme list
check nvme smart-log /dev/nvme0 >/tmp/smart

say "a file system, and files that come back"
check modprobe ext4
moved mke2fs -q -t ext4 /dev/nvme0n1
check mount /dev/nvme0n1 /mnt
moved cp /usr/bin/farlaned /usr/bin/farlane /mnt
sum=$(cd /usr/bin && sha256sum farlaned farlane)
check umount /mnt
check e2fsck -fn /dev/nvme0n1
check mount /dev/nvme0n1 /mnt
equal "$(cd /mnt && sha256sum farlaned farlane)" "$sum" "files after a mount"
check umount /mnt

verify() {
    moved fio --name="$1" --filename=/dev/nvme0n1 --rw=randrw --bs=4k-64k --size="$2" --numjobs=2 --offset_increment=32M \
        --ioengine=libaio --iodepth=32 --direct=1 --verify=crc32c --verify_fatal=1 --thread --group_reporting \
        --minimal --output=/tmp/fio
}
say "fio: randrw with verify, 2 jobs, depth 32"
verify plain 16M
say "the same with 1 % loss and 2 % reordering"
check host link set net loss=1% reorder=2%
verify lossy 4M
say "the same with 20 ms delay"
check host link reset
check host link set net delay=10ms
verify slow 2M
check host link reset

say "a cut link stops the disk"
check dd if=/dev/nvme0n1 of=/dev/null bs=4k count=1 iflag=direct
cut_stops dd if=/dev/nvme0n1 of=/dev/null bs=4k count=1 skip=9000 iflag=direct

say "detach"
check f detach nvme0
until_ok 60 sh -c '! test -e /dev/nvme0'
check daemon stop
check rmmod farlane
lspci | cmp - /tmp/before || fail "lspci differs from what it was before"
say "done"
