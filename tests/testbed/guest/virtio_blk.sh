#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Stock virtio_blk on a remote disk: serial number, ext4, discard, fio with verify, also on a bad link and over an outage;
# the target killed under fio; a cut link stops the disk.
# testbed: topology=one timeout=400 module=yes daemon=no exports=virtio programs=fio
# shellcheck source=tests/testbed/guest/lib.sh
. /tests/lib.sh
f() { farlane --timeout 20 "$@"; }

check insmod /farlane/farlane.ko
session grace_ms 60000
session completion_timeout_ms 8000 # a slow machine is no reason to give up a read
check daemon start
until_ok 60 f show disk0
check modprobe virtio_blk
moved f attach disk0
until_ok 60 test -b /dev/vda
equal "$(cat /sys/block/vda/serial)" FARLANE-DISK-1 "serial number"
equal "$(cat /sys/block/vda/size)" 262144 "sectors"
has "$(cat /sys/block/vda/cache_type)" "write back"
features=$(cat /sys/block/vda/device/features)
equal "$(echo "$features" | cut -c 34)" 1 "VIRTIO_F_ACCESS_PLATFORM"

say "a file system, and files that come back"
check modprobe ext4
moved mke2fs -q -t ext4 /dev/vda
check mount /dev/vda /mnt
moved cp /usr/bin/farlaned /usr/bin/farlane /mnt
sum=$(cd /usr/bin && sha256sum farlaned farlane)
check rm /mnt/farlane
check fstrim -v /mnt
check cp /usr/bin/farlane /mnt
check umount /mnt
check e2fsck -fn /dev/vda
check mount /dev/vda /mnt
equal "$(cd /mnt && sha256sum farlaned farlane)" "$sum" "files after a mount"
check umount /mnt

verify() {
    moved fio --name="$1" --filename=/dev/vda --rw=randrw --bs=4k-64k --size="$2" --numjobs=2 --offset_increment=32M \
        --ioengine=libaio --iodepth=32 --direct=1 --verify=crc32c --verify_fatal=1 --thread --group_reporting \
        --minimal --output=/tmp/fio
}
say "fio: randrw with verify, 2 jobs, depth 32"
verify plain 16M
say "the same with 1 % loss and 2 % reordering"
check host link set net loss=1% reorder=2%
verify lossy 4M
check host link reset

say "5 s without a link under fio: longer than a read waits, shorter than the grace, and no error"
asked_again() { host -f exports.0.device.dma_asked_again target farlane -o json stats; }
moved_bytes() { sed -n 's/^dma_bytes //p' /sys/kernel/debug/farlane/disk0/counters; }
before=$(moved_bytes)
fio --name=outage --filename=/dev/vda --rw=randrw --bs=4k-64k --size=8M --numjobs=2 --offset_increment=32M --ioengine=libaio \
    --iodepth=32 --direct=1 --verify=crc32c --verify_fatal=1 --thread --minimal --output=/tmp/fio --time_based --runtime=15 &
load=$!
more() { [ "$(moved_bytes)" -gt $((before + 500000)) ]; }
until_ok 60 more
check host link cut
sleep 5 # what is tested: an outage of that length
kill -0 $load || fail "fio ended while the link was cut: $(cat /tmp/fio)"
check host link heal
wait $load || fail "fio ended with $?: $(cat /tmp/fio)"
say "the device asked $(asked_again) times again for what it wanted to read"

say "the target is killed and started again under fio"
verify killed 16M &
load=$!
sleep 2
check host target kill9
check host target start
wait $load || fail "fio ended with an error"

say "a cut link stops the disk"
cut_stops dd if=/dev/vda of=/dev/null bs=4k count=1 skip=9000 iflag=direct

say "detach, also by surprise"
gone() { [ ! -e /dev/vda ] && [ ! -e /sys/kernel/debug/farlane/disk0 ]; }
check f detach disk0
until_ok 60 gone
moved f attach disk0
until_ok 60 test -b /dev/vda
moved dd if=/dev/vda of=/dev/null bs=4k count=1 iflag=direct
check f detach disk0 --force # with nothing in flight (docs/compatibility.md)
until_ok 60 gone
check daemon stop
check rmmod farlane
say "done"
