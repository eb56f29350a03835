#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Stock virtio_rng on a remote entropy source: bytes of /dev/hwrng differ and cross the link.
# testbed: topology=one timeout=120 module=yes daemon=no exports=virtio
# shellcheck source=tests/testbed/guest/lib.sh
. /tests/lib.sh
f() { farlane --timeout 20 "$@"; }
rng=/sys/class/misc/hw_random
# Ours: the machine of the guest has one of its own, which was there before.
ours() { tr ' ' '\n' <$rng/rng_available | grep -v -x -F -f /tmp/others | grep virtio_rng; }
given() { host -f exports.3.device.rng_bytes target farlane -o json stats; } # of rng0: qemu/exports/virtio.toml

check insmod /farlane/farlane.ko
check daemon start
until_ok 60 f show rng0
check modprobe virtio_rng
tr ' ' '\n' <$rng/rng_available >/tmp/others
moved f attach rng0
until_ok 60 ours
name=$(ours)
check sh -c "echo $name >$rng/rng_current"
equal "$(cat $rng/rng_current)" "$name" "source of /dev/hwrng"

say "random bytes"
had=$(given)
moved dd if=/dev/hwrng of=/tmp/one bs=512 count=32
moved dd if=/dev/hwrng of=/tmp/two bs=512 count=32
equal "$(wc -c </tmp/one)" 16384 "bytes"
cmp -s /tmp/one /tmp/two && fail "twice the same bytes"
equal "$(head -c 16384 /dev/zero | cmp -s - /tmp/one && echo zero)" "" "content"
[ $(($(given) - had)) -ge 32768 ] || fail "the device gave $had, then $(given) bytes"

say "a cut link stops it"
cut_stops dd if=/dev/hwrng of=/tmp/late bs=512 count=64
equal "$(wc -c </tmp/late)" 32768 "bytes after the link was healed"

say "one that would be given physical addresses"
before=$(lspci -D)
refuse 2 farlane --timeout 20 attach bare0 2>/tmp/refused
cat /tmp/refused
has "$(cat /tmp/refused)" "does not offer VIRTIO_F_ACCESS_PLATFORM"
equal "$(lspci -D)" "$before" "the bus after a refused attach"
has "$(f show bare0)" "state free"
moved dd if=/dev/hwrng of=/tmp/one bs=512 count=4

say "detach, also by surprise"
check f detach rng0
until_ok 60 sh -c "! grep -q $name $rng/rng_available"
moved f attach rng0
until_ok 60 ours
name=$(ours)
check f detach rng0 --force
until_ok 60 sh -c "! grep -q $name $rng/rng_available"
check daemon stop
check rmmod farlane
say "done"
