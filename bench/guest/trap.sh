#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A driver's readl that the module answers itself, beside one that a polling daemon answers on the other CPU: a daemon
# that knows nothing but the ring, then farlaned with both roles in one lane, without a network.
# testbed: topology=alone timeout=300 module=yes daemon=no smp=2
# shellcheck source=tests/testbed/guest/lib.sh
. /tests/lib.sh
# shellcheck source=bench/guest/bench.sh
. /tests/bench.sh

echo 0 >/sys/bus/pci/drivers_autoprobe
check insmod /farlane/farlane.ko selftest=1
until_ok 60 address f1a0:5e1f
module=$(address f1a0:5e1f)

kmod_echo poll echo0 >/tmp/echo &
echo=$!
until_ok 60 grep -q READY /tmp/echo
check taskset -p 2 $echo >/dev/null
until_ok 60 address 1234:0f1a
timing ring "$module" "$(address 1234:0f1a)" count=4000
kill -9 $echo
until_ok 60 sh -c '! [ -e /sys/kernel/debug/farlane/echo0 ]'

cat >/etc/farlane/farlaned.toml <<E
[daemon]
name = "self"
socket = "/run/farlane/farlaned.sock"
state_dir = "/run/farlane/state"
[lane]
never_sleep = true
cpu = 1
[[port]]
name = "here"
url = "loop:self"
listen = true
[[port]]
name = "there"
url = "loop:self"
[[peer]]
port = "there"
[[export]]
name = "nvme0"
device = "nvme"
size = "16M"
E
check daemon start
until_ok 60 farlane show nvme0
check farlane --timeout 60 attach nvme0 >/dev/null
until_ok 60 address f1a0:0001
timing farlaned "$module" "$(address f1a0:0001)" count=2000
say "done"
