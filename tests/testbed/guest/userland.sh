#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Farlane in a guest without its module: the initiator's daemon reaches a native target over the link,
# calls fail as documented when the link is cut, and work again when it is healed.
# testbed: topology=one timeout=120 kernels=6.1
# shellcheck source=tests/testbed/guest/lib.sh
. /tests/lib.sh
f() { farlane --timeout 10 "$@"; }

say "functions in reach"
until_ok 30 f show accel0
moved f list >/tmp/list
check cat /tmp/list
has "$(cat /tmp/list)" accel0
has "$(cat /tmp/list)" nvme0

say "attach, show, detach"
check f attach accel0
moved f show accel0 >/tmp/show
has "$(cat /tmp/show)" MSI-X
check f detach accel0
check f attach nvme0
moved f show nvme0 >/tmp/show
has "$(cat /tmp/show)" "non-volatile memory controller"
check f detach nvme0

say "link cut: unreachable (exit code 7) within the documented time"
check host link cut
until_ok 30 unreachable
refuse 7 f list
check test "$(host -f links.net.from.i0.dropped_cut link stats)" -gt 0

say "healed: as before"
check host link heal
until_ok 30 f show accel0
moved f show nvme0 >/tmp/show

say "target killed and started again"
check host target kill9
until_ok 30 unreachable
check host target start
until_ok 30 f show nvme0

say "1 % loss, 2 % reordering, 20 ms delay"
check host link set net loss=0.01 reorder=0.02 delay=10ms
i=0
while [ $i -lt 10 ]; do
    moved f show accel0 >/tmp/show
    i=$((i + 1))
done
check host link reset
say "done"
