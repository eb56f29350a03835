#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# farlaned of the initiator, and that of the target, killed with -9 and started again while fio verifies what it
# writes to a stock nvme: no error, no controller reset. Then surprise removal under I/O, and attach again.
# testbed: topology=one timeout=400 module=yes programs=fio memory=2048
# shellcheck source=tests/testbed/guest/lib.sh
. /tests/lib.sh
f() { farlane --timeout 20 "$@"; }
counter() { sed -n "s/^$1 //p" /sys/kernel/debug/farlane/nvme0/counters; }

check insmod /farlane/farlane.ko
until_ok 60 f show nvme0
check modprobe nvme
check f attach nvme0
until_ok 60 test -b /dev/nvme0n1

# fio [OPTIONS]: in the background, its process is $fio; until it is under way
start_fio() {
    fio --name=survive --filename=/dev/nvme0n1 --rw=randrw --bs=4k-64k --size=16M --numjobs=2 --offset_increment=32M \
        --ioengine=libaio --iodepth=32 --direct=1 --verify=crc32c --verify_fatal=1 --thread --group_reporting \
        --minimal --output=/tmp/fio "$@" 2>/tmp/fio.errors &
    fio=$!
    goes_on
}
goes_on() { # the device moves data
    seen=$(counter dma_bytes)
    until_ok 60 sh -c "[ \$(sed -n 's/^dma_bytes //p' /sys/kernel/debug/farlane/nvme0/counters) -gt $((seen + 1000000)) ]"
}

# back KEY SINCE: the device moves data again; nothing of it did since $seen was read
back() {
    until_ok 60 sh -c "[ \$(sed -n 's/^dma_bytes //p' /sys/kernel/debug/farlane/nvme0/counters) != $seen ]"
    row "$1" "$2" 2000
    goes_on
}

start_fio --time_based --runtime=$((25 * PATIENCE)) # longer than all rounds take
for round in 1 2 3; do
    say "initiator killed, $round"
    since=$(now_ms)
    check daemon kill9
    seen=$(counter dma_bytes)
    check daemon start
    back bus_initiator_daemon_killed "$since"
    say "target killed, $round"
    since=$(now_ms)
    check host target kill9
    seen=$(counter dma_bytes)
    check host target start
    back bus_target_killed "$since"
done
wait $fio || fail "fio ended with $?: $(cat /tmp/fio /tmp/fio.errors)"
equal "$(counter dma_refused)" 0 "refused DMA"
equal "$(counter ring_broken)" 0 "broken rings"
# On a debug kernel a daemon may take longer to start than the device waits for an answer: then the driver resets it
watched || ! dmesg | grep -i 'nvme.*\(controller is down\|timeout\|reset\)' || fail "the driver noticed"

say "surprise removal while I/O runs"
start_fio --time_based --runtime=100 --continue_on_error=none
check f detach nvme0 --force
wait $fio && fail "fio went on without its disk"
until_ok 60 sh -c '! test -e /dev/nvme0'
check f attach nvme0
until_ok 60 test -b /dev/nvme0n1
moved dd if=/dev/nvme0n1 of=/dev/null bs=64k count=16 iflag=direct
cut_stops dd if=/dev/nvme0n1 of=/dev/null bs=4k count=1 skip=9000 iflag=direct
check f detach nvme0
check daemon stop
check rmmod farlane
say "done"
