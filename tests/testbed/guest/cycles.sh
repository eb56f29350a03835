#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Attach and detach, many times, stock nvme with I/O each time, every second time by surprise while it runs. What can
# be counted exactly - rings, descriptors, mappings, interrupts, IOMMU groups, nodes, users of the module - is as before;
# kernel memory does not grow with the number of cycles.
# testbed: topology=one timeout=600 module=yes daemon=no
# shellcheck source=tests/testbed/guest/lib.sh
. /tests/lib.sh
cycles=${CYCLES:-50}
warm=10 # caches are full by then
f() { farlane --timeout 30 "$@"; }
counter() { sed -n "s/^$1 //p" /sys/kernel/debug/farlane/nvme0/counters; }
gone() { [ ! -e /dev/nvme0 ] && [ ! -e /sys/kernel/debug/farlane/nvme0 ]; }

# What has to be the same before and after, one line for each
counted() {
    echo "rings $(grep -c farlane /proc/vmallocinfo)"
    echo "descriptors $(ls "/proc/$(daemon pid)/fd" | wc -l)"
    echo "mapped $(grep -c /dev/farlane "/proc/$(daemon pid)/maps")"
    echo "functions $(lspci | wc -l)"
    echo "interrupts $(ls /sys/kernel/irq | wc -l)"
    echo "groups $(ls /sys/kernel/iommu_groups | wc -l)"
    echo "nodes $(ls /dev/farlane | wc -l) $(ls /sys/kernel/debug/farlane | wc -l)"
    echo "users $(cat /sys/module/farlane/refcnt)"
}
same() { counted >/tmp/now && cmp -s /tmp/now /tmp/counted; }
# Memory of the kernel itself, in kB: slabs, vmalloc, stacks, per-CPU, page tables
kernel_kb() {
    sed -n 's/^\(SUnreclaim\|VmallocUsed\|KernelStack\|Percpu\|PageTables\): *\([0-9]*\) kB/\2/p' /proc/meminfo |
        { total=0; while read -r kb; do total=$((total + kb)); done; echo $total; }
}
# The device moves data for somebody who reads or writes until it is gone, in pieces so small that the end of the disk is far
under_io() {
    if [ $(($1 % 4)) = 1 ]; then
        dd if=/dev/nvme0n1 of=/dev/null bs=4k count=60000 iflag=direct 2>/tmp/dd &
    else
        dd if=/dev/zero of=/dev/nvme0n1 bs=4k count=60000 oflag=direct 2>/tmp/dd &
    fi
    user=$!
    until_ok 60 sh -c "[ \$(sed -n 's/^dma_bytes //p' /sys/kernel/debug/farlane/nvme0/counters) -gt 500000 ]"
}
cycle() {
    check f attach nvme0 >/dev/null
    until_ok 60 test -b /dev/nvme0n1
    if [ $(($1 % 2)) = 1 ]; then
        under_io "$1"
        since=$(now_ms)
        check f detach nvme0 --force >/dev/null
        # an error, or, between two reads, the end of a disk whose size is 0 by now
        wait $user && grep -q '^60000+0 records in' /tmp/dd && fail "dd did not notice that its disk was gone"
        row bus_surprise_detach_while_busy "$since" 1000
    else
        check dd if=/dev/nvme0n1 of=/dev/null bs=4k count=4 iflag=direct 2>/dev/null
        check f detach nvme0 >/dev/null
    fi
    until_ok 60 gone
}

check insmod /farlane/farlane.ko
check daemon start
until_ok 60 f show nvme0
check modprobe nvme
i=0
before=$(frames)
begin=$(cut -d. -f1 /proc/uptime)
while [ $i -lt "$cycles" ]; do
    if [ $i = $warm ]; then
        counted >/tmp/counted
        memory=$(kernel_kb)
        say "after $i: $(cut -d. -f1 /proc/uptime) s, $memory kB; $(tr '\n' ',' </tmp/counted)"
    fi
    cycle $i
    i=$((i + 1))
    [ $((i % 100)) != 0 ] || say "after $i: $(cut -d. -f1 /proc/uptime) s, $(kernel_kb) kB"
done
check f attach nvme0 >/dev/null
until_ok 60 test -b /dev/nvme0n1
cut_stops dd if=/dev/nvme0n1 of=/dev/null bs=4k count=1 skip=9000 iflag=direct
check f detach nvme0 >/dev/null
until_ok 60 gone
say "$cycles cycles in $(($(cut -d. -f1 /proc/uptime) - begin)) s"
[ "$(frames)" -gt $((before + 10 * cycles)) ] || fail "too few frames crossed the link"

# what is freed by RCU and by work items is freed a little later
limit=$(($(cut -d. -f1 /proc/uptime) + 30))
until same; do
    [ "$(cut -d. -f1 /proc/uptime)" -lt $limit ] || fail "it is not as before: $(diff /tmp/counted /tmp/now)"
    usleep 200000
done
grown=$(($(kernel_kb) - memory))
say "kernel memory grew by $grown kB in $((cycles - warm)) cycles"
# caches that settle later, and two kB for each cycle: one slab page in two cycles
watched || [ $grown -lt $((1024 + 2 * (cycles - warm))) ] || fail "kernel memory grows with the cycles"
check daemon stop
check rmmod farlane
say "done"
