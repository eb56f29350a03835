#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The link is cut for 9 s while fio writes: it goes on without an error. It is cut while a driver posts a million writes: the function is
# contained. The daemon dies for good under I/O: surprise removal within the grace. No lockup, stall or hung task, and
# attaching works again each time.
# testbed: topology=one timeout=500 module=yes daemon=no programs=fio exports=patient
# shellcheck source=tests/testbed/guest/lib.sh
. /tests/lib.sh
f() { farlane --timeout 30 "$@"; }
counter() { sed -n "s/^$1 //p" /sys/kernel/debug/farlane/nvme0/counters; }
gone() { [ ! -e /dev/nvme0 ] && [ ! -e /sys/kernel/debug/farlane/nvme0 ]; }
moves() { # the device moves data
    until_ok 60 sh -c "[ \$(sed -n 's/^dma_bytes //p' /sys/kernel/debug/farlane/nvme0/counters) -gt $(($(counter dma_bytes) + 500000)) ]"
}
start_fio() { # until it is under way: its process is $fio
    fio --name=outage --filename=/dev/nvme0n1 --rw=randrw --bs=4k-64k --size=8M --numjobs=2 --offset_increment=32M \
        --ioengine=libaio --iodepth=32 --direct=1 --verify=crc32c --verify_fatal=1 --thread --group_reporting \
        --minimal --output=/tmp/fio "$@" 2>/tmp/fio.errors &
    fio=$!
    moves
}
echo 40 >/proc/sys/kernel/hung_task_timeout_secs
check insmod /farlane/farlane.ko
session grace_ms 60000
check daemon start
until_ok 60 f show nvme0
# soon enough for a test; what was in the device when the link went is asked for again after it
check modprobe nvme_core io_timeout=15
check modprobe nvme
moved f attach nvme0
until_ok 60 test -b /dev/nvme0n1

under_fio() {
    start_fio --time_based --runtime=15
    check host link cut >/dev/null
    dropped=$(cut_frames)
    sleep 9 # what is tested: an outage of that length
    kill -0 $fio || fail "fio ended while the link was cut: $(cat /tmp/fio)"
    [ "$(cut_frames)" -gt "$dropped" ] || fail "nothing was sent while the link was cut"
    seen=$(counter dma_bytes)
    since=$(now_ms)
    check host link heal >/dev/null
    until_ok 60 sh -c "[ \$(sed -n 's/^dma_bytes //p' /sys/kernel/debug/farlane/nvme0/counters) != $seen ]"
    row bus_outage_work_goes_on "$since" 1000 # most of it are the commands of this emulated guest
    moves
    wait $fio || fail "fio ended with $?: $(cat /tmp/fio)"
    equal "$(counter dma_refused)" 0 "refused DMA"
}
if watched; then
    say "not on a debug kernel, 9 s without a link under fio: a request that timed out is lockdep's last report, of nvme's own locks"
else
    say "9 s without a link under fio"
    under_fio
fi
check f detach nvme0 >/dev/null
until_ok 60 gone

say "a million writes into a cut link"
check rmmod nvme
check insmod /farlane/farlane_flood_test.ko
moved f attach nvme0
until_ok 60 sh -c 'ls /sys/bus/pci/drivers/farlane_flood_test/1*/flood' # each time anew: the driver may bind later
flood=$(ls /sys/bus/pci/drivers/farlane_flood_test/1*/flood)
check sh -c "echo 20000 >$flood" # more than the ring holds: the link carries them
[ "$(counter posted)" -ge 20000 ] || fail "only $(counter posted) writes were posted"
equal "$(counter contained)" 0 "containments with a link"
check host link cut >/dev/null
check sh -c "echo 1000000 >$flood"
check host link heal >/dev/null
dmesg | grep 'farlane_flood_test: 1000000 writes' || fail "the driver did not end"
took bus_full_ring_contained "$(dmesg | sed -n 's/.*_test: 1000000 writes.* of them in \([0-9]*\) ms$/\1/p')" 100
until_ok 60 gone
until_ok 60 sh -c '! ls -d /sys/bus/pci/drivers/farlane_flood_test/1*'
check rmmod farlane_flood_test
check modprobe nvme
until_ok 60 f attach nvme0 # farlaned has noticed by itself
until_ok 60 test -b /dev/nvme0n1

say "the daemon dies for good while fio runs"
check daemon stop
session grace_ms 3000
check daemon start
until_ok 60 f show nvme0
start_fio --time_based --runtime=100
since=$(now_ms)
check daemon kill9
wait $fio && fail "fio went on without its disk"
until_ok 60 gone
row bus_daemon_dies_for_good "$since" 4000
check daemon start
until_ok 60 f attach nvme0
until_ok 60 test -b /dev/nvme0n1
moved dd if=/dev/nvme0n1 of=/dev/null bs=64k count=16 iflag=direct
check f detach nvme0 >/dev/null
check daemon stop
check rmmod farlane
say "done"
