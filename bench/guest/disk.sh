#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A remote NVMe over a link with delay: posted writes of a driver, 4 KiB commands of the stock driver beside the SDK's own
# driver, and beside QEMU's own emulated nvme.
# testbed: topology=one timeout=900 module=yes daemon=no smp=2 programs=fio exports=bench nvme=64
# shellcheck source=tests/testbed/guest/lib.sh
. /tests/lib.sh
# shellcheck source=bench/guest/bench.sh
. /tests/bench.sh
spins() { sed -n 's/^ring_full_spins //p' /sys/kernel/debug/farlane/nvme0/counters; }
# The block device of a driver's PCI function: 1* is farlane.ko's bus, 0* QEMU's.
block() {
    for each in /sys/bus/pci/devices/"$1"*/nvme/nvme*/nvme*n1; do
        [ -e "$each" ] && echo "/dev/${each##*/}" && return
    done
    return 1
}
# disk LABEL WHO DEVICE RW DEPTH
disk() {
    check measured fio --name=bench --filename="$3" --rw="$4" --bs=4k --iodepth="$5" --ioengine=libaio --direct=1 \
        --norandommap --time_based --runtime=2 --ramp_time=0.5 --thread --output-format=terse --terse-version=3 \
        --output=/tmp/fio
    awk -F';' -v what="BENCH disk $1 $2" '{ printf "%s %s\n", what, $8 + $49 }' /tmp/fio
}
# sdk LABEL ARGUMENTS...: the better of waiting for interrupts and polling.
sdk() {
    label=$1
    shift
    check measured /add/nvme_rate --function nvme1 --seconds 2 "$@" >/tmp/polls
    check measured /add/nvme_rate --function nvme1 --seconds 2 --interrupts "$@" >/tmp/waits
    sed "s/^/BENCH sdk $label /" /tmp/polls /tmp/waits
}

echo 0 >/sys/bus/pci/drivers_autoprobe
check insmod /farlane/farlane.ko selftest=1
check daemon start
until_ok 60 farlane show nvme0
check farlane --timeout 60 attach nvme0 >/dev/null
until_ok 60 address f1a0:5e1f
until_ok 60 address f1a0:0001

before=$(spins)
for delay in 0 500us 10ms; do
    say "posted writes, $delay each way"
    check host link set net delay=$delay >/dev/null
    timing write_$delay "$(address f1a0:5e1f)" "$(address f1a0:0001)" write=1 count=4000
done
echo "BENCH waits $(($(spins) - before))"
check host link reset >/dev/null

echo 1 >/sys/bus/pci/drivers_autoprobe
check modprobe nvme
until_ok 60 block 1
until_ok 60 block 0
ours=$(block 1)
qemu=$(block 0)
for delay in 500us 1ms; do
    check host link set net delay=$delay >/dev/null
    i=0
    while [ $i -lt "$REPEATS" ]; do
        say "depth 1, $delay each way, $((i + 1)) of $REPEATS"
        disk depth1_$delay ours "$ours" randread 1
        sdk depth1_$delay --depth 1
        i=$((i + 1))
    done
done
check host link reset >/dev/null
i=0
while [ $i -lt "$REPEATS" ]; do
    say "depth 32, $((i + 1)) of $REPEATS"
    for rw in randread randwrite; do
        disk depth32_$rw ours "$ours" $rw 32
        disk depth32_$rw qemu "$qemu" $rw 32
    done
    sdk depth32_randread --depth 32
    i=$((i + 1))
done
say "done"
