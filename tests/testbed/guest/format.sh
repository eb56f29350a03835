#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# nvme format to 512 and to 4096 bytes, with data after each, many times: nvme-cli's own buffers lie anywhere in a page.
# It found that 6.1.192's software IO TLB loses bit 11 of an address (docs/decisions/0013-exact-mappings-on-older-kernels.md).
# testbed: topology=one timeout=240 module=yes daemon=no
# shellcheck source=tests/testbed/guest/lib.sh
. /tests/lib.sh
f() { farlane --timeout 20 "$@"; }
counter() { sed -n "s/^$1 //p" /sys/kernel/debug/farlane/nvme0/counters; }

check insmod /farlane/farlane.ko
check daemon start
until_ok 60 f show nvme0
check modprobe nvme
moved f attach nvme0
until_ok 60 test -b /dev/nvme0n1

say "format: 512-byte blocks, and 4096 bytes again; the old bytes are gone each time"
size() { cat "/sys/block/nvme0n1/$1"; }
sized() { [ "$(size queue/logical_block_size)" = "$1" ]; }
sum_of() { dd if="$1" bs=64k count=32 ${2:+iflag="$2"} 2>/dev/null | sha256sum; }
bytes=$(($(size size) * 512))
formatted() { # LBA format, bytes of a block
    moved nvme format /dev/nvme0n1 --lbaf="$1" --force
    until_ok 60 sized "$2"
    equal "$(($(size size) * 512))" "$bytes" "bytes of the disk with LBA format $1"
    check nvme id-ns /dev/nvme0n1 >/tmp/ns
    check grep "^lbaf  $1 : ms:0 .*(in use)" /tmp/ns
    equal "$(sum_of /dev/nvme0n1 direct)" "$(sum_of /dev/zero)" "what is there after a format"
    moved dd if=/usr/bin/farlaned of=/dev/nvme0n1 bs=64k count=32 oflag=direct 2>/dev/null
    equal "$(sum_of /dev/nvme0n1 direct)" "$(sum_of /usr/bin/farlaned)" "what was written in blocks of $2 bytes"
}
for round in 1 2; do
    say "round $round"
    formatted 0 512
    formatted 1 4096
    equal "$(counter dma_refused)" 0 "refused DMA"
done
cut_stops dd if=/dev/nvme0n1 of=/dev/null bs=4k count=1 skip=9000 iflag=direct

say "detach"
check f detach nvme0
until_ok 60 sh -c '! test -e /dev/nvme0'
check daemon stop
check rmmod farlane
say "done"
