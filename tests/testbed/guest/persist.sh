#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A disk attached with --persist: its target is away for longer than the grace, it is removed, and it is on the bus again when
# the target is back, with what was written. The same when this host has forgotten everything but the file, as after a
# reboot. After detach it stays gone.
# testbed: topology=one timeout=300 module=yes daemon=no memory=2048
# shellcheck source=tests/testbed/guest/lib.sh
. /tests/lib.sh
f() { farlane --timeout 20 "$@"; }
gone() { [ ! -e /dev/nvme0 ] && [ ! -e /sys/kernel/debug/farlane/nvme0 ]; }
there() { until_ok 60 test -b /dev/nvme0n1; }
waits() { f list -o json | grep -q 'its target does not answer'; }
reads() { # what was written first is there
    check dd if=/dev/nvme0n1 of=/tmp/back bs=64k count=16 iflag=direct 2>/dev/null
    cmp -s /tmp/data /tmp/back || fail "the disk has other data"
}

check insmod /farlane/farlane.ko
session grace_ms 2000
check daemon start
until_ok 60 f show nvme0
check modprobe nvme
check f attach nvme0 --persist
there
check dd if=/dev/urandom of=/tmp/data bs=64k count=16 2>/dev/null
check dd if=/tmp/data of=/dev/nvme0n1 bs=64k count=16 oflag=direct 2>/dev/null

say "the target is away for longer than the grace"
check host target kill9
until_ok 60 gone
until_ok 20 waits
check host target start
there
reads

say "this host forgets everything but what is wanted for good"
check daemon kill9
until_ok 60 gone # the module gives it up after the grace
check rm -r /run/farlane/state/memory /run/farlane/state/held-*
check daemon start
there
reads

say "detach ends it"
check f detach nvme0
check host target restart
until_ok 60 f show nvme0
gone || fail "it is back"
check daemon stop
check rmmod farlane
say "done"
