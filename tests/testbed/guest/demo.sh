#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What `make demo` shows (qemu/bed/demo.py prints it), and a test like the others: stock nvme on a remote controller
# with files that survive, the accelerator's job, a surprise removal under I/O, and a machine that is none the worse.
# testbed: topology=one timeout=400 module=yes daemon=no memory=2048 exports=demo kernels=6.1 tree=docs,kmod,sdk/include
# shellcheck source=tests/testbed/guest/lib.sh
. /tests/lib.sh
f() { farlane --timeout 20 "$@"; }
# $ COMMAND...: shown, then done; it has to succeed.
shown() {
    if [ "$1" = f ]; then
        shift
        echo "\$ farlane $*"
        check f "$@"
    else
        echo "\$ $*"
        check "$@"
    fi
}
# What is on the buses, and with + what was not there when it was shown last.
show_buses() {
    echo "\$ lspci"
    lspci -D >/tmp/now
    while read -r line; do
        if grep -qxF "$line" /tmp/shown 2>/dev/null || [ ! -e /tmp/shown ]; then echo "  $line"; else echo "+ $line"; fi
    done </tmp/now
    mv /tmp/now /tmp/shown
}
sums() { (cd "$1" && find . -type f -exec sha256sum {} + | sort); }
device_bytes() { sed -n 's/^dma_bytes //p' /sys/kernel/debug/farlane/nvme0/counters; }
busy() { [ "$(device_bytes)" -gt 4000000 ]; }
gone() { [ ! -e /dev/nvme0 ]; }

first=$(frames)
say "This VM as it is: a stock kernel, $(uname -r), and no NVMe"
show_buses
lspci -D >/tmp/before

say "farlane.ko loaded, farlaned started: what is in reach"
shown insmod /farlane/farlane.ko slots=2
check daemon start
until_ok 60 f show nvme0
shown f list

say "Attached: the remote NVMe is a PCI device of this VM, and the kernel's own driver takes it"
check modprobe nvme
moved shown f attach nvme0
until_ok 60 test -b /dev/nvme0n1
show_buses
readlink /sys/class/nvme/nvme0/device/driver | grep -q '/nvme$' || fail "its driver is not nvme"
shown nvme list

say "A file system on it, and a tree of files"
check modprobe ext4
moved shown mke2fs -q -t ext4 -L farlane /dev/nvme0n1
shown mount /dev/nvme0n1 /mnt
moved shown cp -r /tree /mnt
sums /tree >/tmp/sums
shown umount /mnt
shown mount -o ro /dev/nvme0n1 /mnt
sums /mnt/tree >/tmp/back
check cmp /tmp/sums /tmp/back
shown df -h /mnt
check umount /mnt
echo "$(wc -l </tmp/sums) files, $(du -sk /tree | cut -f1) KiB: every checksum is right after the mount"

say "The remote accelerator at work: a picture and two matrices, compared with a reference computed here"
moved shown f attach accel0
show_buses
shown ls -l /dev/farlane/accel0
# what PICTURE= gave
for picture in /add/*; do [ -f "$picture" ] || picture=""; done
mkdir /tmp/pictures
accelerator_job() {
    { farlane-demo --provider kernel --nvme none --out /tmp/pictures ${picture:+--picture "$picture"} 2>&1; echo $? >/tmp/rc; } |
        while read -r line; do
            case "$line" in output* | detached* | functions*) ;; *) echo "$line" ;; esac
        done
    return "$(cat /tmp/rc)"
}
moved accelerator_job
shown f detach accel0
saved=$(host save /tmp/pictures/farlane-demo-filtered.png) || fail "the picture did not get out of this VM"
[ "$(stat -c %s /tmp/pictures/farlane-demo-filtered.png)" -gt 100 ] || fail "no picture: $saved"
rm -r /tmp/pictures

say "The network cable cut: a read waits, and goes on when the cable is back"
cut_stops dd if=/dev/nvme0n1 of=/dev/null bs=4k count=1 skip=9000 iflag=direct
echo "the read did not end while the link was cut; afterwards it did, without an error"

say "Pulled out while it is read: a surprise removal"
dd if=/dev/nvme0n1 of=/dev/null bs=64k iflag=direct 2>/tmp/dd &
reader=$!
blocks=$(($(cat /sys/block/nvme0n1/size) / 128)) # of 64k
until_ok 60 busy
kill -0 $reader || fail "the disk was read to its end before it was pulled"
shown f detach nvme0 --force
# an error, or, between two reads, the end of a disk whose size is 0 by now
wait $reader && grep -q "^$blocks+0 records in" /tmp/dd && fail "dd did not notice that its disk was gone"
until_ok 60 gone
echo "dd ended before the end of the disk, as it has to: $(head -n 1 /tmp/dd)"

say "Attached again: the disk is back with its files"
moved shown f attach nvme0
until_ok 60 test -b /dev/nvme0n1
check e2fsck -fn /dev/nvme0n1 >/tmp/fsck 2>&1
check mount -o ro /dev/nvme0n1 /mnt
sums /mnt/tree | cmp - /tmp/sums || fail "files differ after the surprise"
check umount /mnt
echo "$(wc -l </tmp/sums) files, every checksum is right"

say "Everything put away: the VM is as it was"
shown f detach nvme0
until_ok 60 gone
check daemon stop
shown rmmod farlane
lspci -D | cmp - /tmp/before || fail "lspci differs from what it was before"
dmesg | grep -E 'WARNING|BUG|Oops|Call Trace' && fail "the kernel complained"
echo "lspci is as before, the kernel's log has no warning; $(($(frames) - first)) frames crossed the link"
