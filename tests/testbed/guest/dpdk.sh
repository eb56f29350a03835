#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Initiator and target in a VM each, DPDK on the network card of both: the kernel has no interface there. Stock nvme
# over it, plain and with loss, the link cut, and a daemon that comes back.
# testbed: topology=two port=dpdk timeout=240 module=yes memory=1536 programs=fio
# shellcheck source=tests/testbed/guest/lib.sh
. /tests/lib.sh
f() { farlane --timeout 20 "$@"; }

say "the card is farlaned's"
[ "$(ls /sys/class/net)" = lo ] || fail "interfaces: $(ls /sys/class/net)"
card=/sys/bus/pci/devices/$DPDK_NIC
has "$(readlink "$card/driver")" uio_pci_generic
until_ok 60 f show nvme0
has "$(f stats)" "dpdk:$DPDK_NIC"

say "stock nvme over it"
check insmod /farlane/farlane.ko
check modprobe nvme
check f attach nvme0
until_ok 60 test -b /dev/nvme0n1
fio_verify() {
    moved fio --name=dpdk --filename=/dev/nvme0n1 --rw=randrw --bs=4k-64k --size=4M --numjobs=2 \
        --offset_increment=8M --ioengine=libaio --iodepth=16 --direct=1 --verify=crc32c --verify_fatal=1 --thread \
        --group_reporting --minimal --output=/tmp/fio
}
fio_verify
say "1 % loss, 2 % reordering"
check host link set net loss=0.01 reorder=0.02
fio_verify
check host link reset

say "the initiator's daemon killed: the card is taken up again"
check daemon kill9
check daemon start
until_ok 60 f show nvme0
fio_verify
check f detach nvme0

say "the link cut"
check host link cut net
until_ok 60 unreachable
check host link heal net
until_ok 60 f show nvme0
check daemon stop
check rmmod farlane
say "done"
