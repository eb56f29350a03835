#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The device can not touch memory outside of its mappings: canaries around a driver's buffers, DMA to and from random
# addresses near them, with the kernel's IOMMU layer and without it. Bytes moved outside: 0.
# testbed: topology=alone timeout=300 module=yes
# shellcheck source=tests/testbed/guest/lib.sh
. /tests/lib.sh
counter() { sed -n "s/^$1 //p" /sys/kernel/debug/farlane/selftest/counters; }

# once DMA SEED EXACT
once() {
    say "dma=$1"
    check insmod /farlane/farlane.ko selftest=1 dma="$1"
    until_ok 60 sh -c 'lspci -d f1a0:5e1f | grep -q .'
    dmesg -c >/dev/null
    check insmod /farlane/farlane_canary_test.ko seed="$2" exact="$3" rounds=1200
    # its probe is the test, and it is over when insmod is
    said=$(dmesg | sed -n 's/.*farlane_canary_test: //p')
    say "$said"
    has "$said" "PASS"
    has "$said" " 0 bytes outside"
    [ "$(counter dma_refused)" -gt 300 ] || fail "only $(counter dma_refused) requests were refused"
    [ "$(counter dma_writes)" -gt 80 ] || fail "only $(counter dma_writes) requests were executed"
    check rmmod farlane_canary_test
    echo 0 >/sys/bus/pci/slots/farlane0/power || fail "slot 0 can not be powered off"
    until_ok 20 rmmod farlane
}
once auto 1 0
once direct 2 1
say "done"
