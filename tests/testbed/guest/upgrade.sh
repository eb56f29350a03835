#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# farlaned of the initiator, and that of the target, replaced in place while fio verifies what it writes to a stock nvme:
# no error, nothing aborted, no controller reset. How long each was away is printed.
# testbed: topology=one timeout=400 module=yes programs=fio memory=2048
# shellcheck source=tests/testbed/guest/lib.sh
. /tests/lib.sh
f() { farlane --timeout 20 "$@"; }
counter() { sed -n "s/^$1 //p" /sys/kernel/debug/farlane/nvme0/counters; }
goes_on() { # the device moves data
    seen=$(counter dma_bytes)
    until_ok 60 sh -c "[ \$(sed -n 's/^dma_bytes //p' /sys/kernel/debug/farlane/nvme0/counters) -gt $((seen + 1000000)) ]"
}

check insmod /farlane/farlane.ko
until_ok 60 f show nvme0
check modprobe nvme
check f attach nvme0
until_ok 60 test -b /dev/nvme0n1
fio --name=upgrade --filename=/dev/nvme0n1 --rw=randrw --bs=4k-64k --size=16M --numjobs=2 --offset_increment=32M \
    --ioengine=libaio --iodepth=32 --direct=1 --verify=crc32c --verify_fatal=1 --thread --group_reporting \
    --minimal --output=/tmp/fio --time_based --runtime=$((20 * PATIENCE)) 2>/tmp/fio.errors &
fio=$!
goes_on
for round in 1 2 3 4 5; do
    say "upgrade $round: of the initiator, then of the target"
    check f upgrade
    goes_on
    check host target farlane --timeout 20 upgrade
    goes_on
done
kill -0 $fio || fail "fio ended before the upgrades did"
wait $fio || fail "fio ended with $?: $(cat /tmp/fio /tmp/fio.errors)"
equal "$(counter dma_refused)" 0 "refused DMA"
equal "$(counter ring_broken)" 0 "broken rings"
daemon log | grep 'in doubt: completer abort' && fail "a request was aborted"
dmesg | grep -i 'nvme.*\(controller is down\|timeout\|reset\)' && fail "the driver noticed"
check f detach nvme0
check daemon stop
check rmmod farlane
say "done"
