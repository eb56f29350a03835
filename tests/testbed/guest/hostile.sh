#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A daemon that lies in every word and dies at every moment feeds the module, with drivers that may
# bind to what it adds. The kernel stays up, serves a polite daemon afterwards, and loses nothing.
# testbed: topology=alone timeout=150 module=yes daemon=no
# shellcheck source=tests/testbed/guest/lib.sh
. /tests/lib.sh

unreclaimable() { grep SUnreclaim: /proc/meminfo | tr -dc 0-9; }
modprobe nvme
modprobe vfio-pci
for dma in auto direct; do
    say "dma=$dma"
    check insmod /farlane/farlane.ko dma=$dma grace_ms=500 completion_timeout_ms=50
    check kmod_hostile 1 0 "$PATIENCE"
    before=$(unreclaimable)
    check kmod_hostile "${HOSTILE_S:-10}" 0 "$PATIENCE"
    until_ok 60 sh -c '! ls -d /sys/bus/pci/devices/1*:0[1-9]:* 2>/dev/null'
    after=$(unreclaimable)
    watched || [ "$after" -lt $((before + 16384)) ] || fail "kernel memory grew from $before to $after kB"
    until_ok 30 rmmod farlane
done
say "done"
