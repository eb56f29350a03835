#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What nobody should do: unloading while in use, calls and mappings that are none, opening without permission,
# configuration spaces that lie, a module that nobody signed on a locked down kernel. A clear error, nothing lost.
# testbed: topology=one timeout=400 module=yes daemon=no
# shellcheck source=tests/testbed/guest/lib.sh
. /tests/lib.sh
f() { farlane --timeout 20 "$@"; }
no_functions() { ! ls -d /sys/bus/pci/devices/1????:0[1-9]:* >/dev/null 2>&1; }

say "calls that are none, and nobody's"
check insmod /farlane/farlane.ko
check kmod_garbage
until_ok 30 no_functions

say "configuration spaces that lie"
check kmod_config_lies
until_ok 30 no_functions
check rmmod farlane

say "parameters that can not be"
for parameter in slots=0 slots=33 slots=-1 dma=sideways allow=everything-else grace_ms=x completion_timeout_ms=-1 completion_timeout_ms=0 completion_timeout_ms=9001; do
    if insmod /farlane/farlane.ko $parameter 2>/tmp/insmod; then fail "$parameter was taken"; fi
    [ ! -e /sys/module/farlane ] || fail "the module stays with $parameter"
done

check modprobe nvme
say "a function that no driver may have"
check insmod /farlane/farlane.ko allow=class:0200
check daemon start
until_ok 60 f show nvme0
f attach nvme0 >/tmp/attach
cat /tmp/attach
has "$(cat /tmp/attach)" "no driver binds: neither its class nor its id is in /sys/module/farlane/parameters/allow"
lspci | grep -q 'Non-Volatile memory controller' || fail "it is not on the bus"
[ ! -e /sys/class/nvme/nvme0 ] || fail "a driver has it"
check f detach nvme0 >/dev/null
until_ok 60 no_functions
check daemon stop
check rmmod farlane

say "unloading while in use"
check insmod /farlane/farlane.ko
check daemon start
until_ok 60 f show nvme0
moved f attach nvme0
until_ok 60 test -b /dev/nvme0n1
sum=$(dd if=/dev/urandom bs=64k count=8 2>/dev/null | tee /tmp/data | sha256sum)
check dd if=/tmp/data of=/dev/nvme0n1 bs=64k oflag=direct 2>/dev/null
since=$(now_ms)
refuse 1 rmmod farlane 2>/tmp/rmmod
row bus_module_unload_refused "$since" 1000
has "$(cat /tmp/rmmod)" "in use"
readlink /sys/class/nvme/nvme0/device/driver | grep -q '/nvme$' || fail "its driver has gone"
equal "$(dd if=/dev/nvme0n1 bs=64k count=8 iflag=direct 2>/dev/null | sha256sum)" "$sum" "data after a refused rmmod"
moved dd if=/dev/nvme0n1 of=/dev/null bs=4k count=4 skip=5000 iflag=direct
cut_stops dd if=/dev/nvme0n1 of=/dev/null bs=4k count=1 skip=9000 iflag=direct
check f detach nvme0 >/dev/null
until_ok 60 no_functions
check daemon stop
check rmmod farlane

mount -t securityfs securityfs /sys/kernel/security 2>/dev/null
if watched && [ ! -e /sys/kernel/security/lockdown ]; then
    say "a debug kernel has no lockdown: a module that is not signed is for the stock kernels to refuse"
    exit 0
fi
say "not signed, on a locked down kernel"
check test -e /sys/kernel/security/lockdown
echo integrity >/sys/kernel/security/lockdown || fail "this kernel can not be locked down"
refuse 1 insmod /farlane/farlane.ko 2>/tmp/insmod
cat /tmp/insmod
has "$(cat /tmp/insmod)" "could not insert module"
[ ! -e /sys/module/farlane ] || fail "the module is there"
say "done"
