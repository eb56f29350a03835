#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The device can not touch memory outside of its mappings: canaries around a driver's buffers, DMA to and from random
# addresses near them. First the selftest function, with the kernel's IOMMU layer and without it; then a device outside
# of this VM, whose DMA comes over the wire from a target that does not look where it points. Bytes moved outside: 0.
# testbed: topology=one timeout=400 module=yes daemon=no exports=canary
# shellcheck source=tests/testbed/guest/lib.sh
. /tests/lib.sh
f() { farlane --timeout 20 "$@"; }
counter() { sed -n "s/^$2 //p" "/sys/kernel/debug/farlane/$1/counters"; }
rounds=500
at_target() { host -f "exports.0.device.$1" target farlane -o json stats; }

# judge FUNCTION PARAMETER...: the test driver on it, what it says, and what the module counted.
judge() {
    name=$1
    shift
    until_ok 60 sh -c 'lspci -d f1a0:5e1f | grep -q .'
    dmesg -c >/dev/null
    # its probe is the test, and it is over when insmod is
    check insmod /farlane/farlane_canary_test.ko rounds="$rounds" "$@"
    said=$(dmesg | sed -n 's/.*farlane_canary_test: //p')
    say "$said"
    has "$said" "PASS"
    has "$said" " 0 bytes outside"
    [ "$(counter "$name" dma_refused)" -gt $((rounds / 4)) ] || fail "only $(counter "$name" dma_refused) requests were refused"
    [ "$(counter "$name" dma_writes)" -gt $((rounds / 15)) ] || fail "only $(counter "$name" dma_writes) requests were executed"
    check rmmod farlane_canary_test
}

# once DMA SEED EXACT: the selftest function
once() {
    say "selftest function, dma=$1"
    check insmod /farlane/farlane.ko selftest=1 dma="$1"
    judge selftest seed="$2" exact="$3"
    echo 0 >/sys/bus/pci/slots/farlane0/power || fail "slot 0 can not be powered off"
    until_ok 20 rmmod farlane
}

# remote DMA SEED EXACT: a target that is not to be trusted
remote() {
    say "a hostile target, dma=$1"
    check insmod /farlane/farlane.ko dma="$1"
    check daemon start
    until_ok 60 f show dma0
    moved f attach dma0
    copies=$(at_target copies) refused=$(at_target copies_refused)
    moved judge dma0 posted=1 seed="$2" exact="$3"
    # it was this device that tried: of a read it hears that it was refused, of a write it does not
    copies=$(($(at_target copies) - copies)) refused=$(($(at_target copies_refused) - refused))
    say "the target: $copies copies, $refused of them could not read"
    [ "$copies" -ge "$rounds" ] || fail "the target says it did only $copies copies"
    [ "$refused" -gt $((rounds / 15)) ] || fail "the target was refused only $refused reads"
    if [ "$1" = auto ]; then stops; fi
    check f detach dma0 >/dev/null
    check daemon stop
    until_ok 20 rmmod farlane
}
# Without a link the device copies nothing.
stops() {
    copies=$(at_target copies)
    check host link cut
    dmesg -c >/dev/null
    insmod /farlane/farlane_canary_test.ko rounds=3 posted=1
    has "$(dmesg | sed -n 's/.*farlane_canary_test: //p')" "FAIL: 0 copies done"
    equal "$(at_target copies)" "$copies" "copies while the link was cut"
    rmmod farlane_canary_test
    check host link heal
}
# where drivers' mappings go through dma_map_ops they are bounded to the byte, with the IOMMU too
case $(uname -r) in
6.1.*) exact=1 ;;
*) exact=0 ;;
esac
once auto 1 "$exact"
once direct 2 1
remote auto 3 "$exact"
remote direct 4 1
say "done"
