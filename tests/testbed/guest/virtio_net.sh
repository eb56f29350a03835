#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Stock virtio_net on two remote interfaces that are joined at the target, each in a network namespace of its own:
# ping, a TCP transfer each way, the same on a bad link; a cut link stops it; without its peer a link is down.
# testbed: topology=one timeout=300 module=yes daemon=no exports=virtio
# shellcheck source=tests/testbed/guest/lib.sh
. /tests/lib.sh
f() { farlane --timeout 20 "$@"; }
# Interface with that address.
interface() {
    for entry in /sys/class/net/*; do
        [ "$(cat "$entry/address")" = "$1" ] && echo "${entry##*/}"
    done
}
there() { [ -n "$(interface "$1")" ]; }
# transfer FROM TO ADDRESS BYTES: over TCP, compared by its sum.
transfer() {
    head -c "$4" /dev/urandom >/tmp/sent
    ip netns exec "$2" nc -l -p 7000 >/tmp/received <&4 &
    receiver=$!
    until_ok 20 ip netns exec "$2" sh -c 'netstat -ltn | grep -q :7000'
    moved ip netns exec "$1" sh -c "nc $3 7000 </tmp/sent"
    check wait $receiver
    check cmp /tmp/sent /tmp/received
}

mkfifo /tmp/open # input of receivers that does not end: nc would leave
exec 4<>/tmp/open
check insmod /farlane/farlane.ko
check daemon start
until_ok 60 f show net0
moved f attach net0
moved f attach net1
until_ok 60 there 52:54:00:fa:00:01
until_ok 60 there 52:54:00:fa:00:02
first=$(interface 52:54:00:fa:00:01)
second=$(interface 52:54:00:fa:00:02)
readlink "/sys/class/net/$first/device/driver" | grep -q '/virtio_net$' || fail "its driver is not virtio_net"
check ip netns add a
check ip netns add b
check ip link set "$first" netns a
check ip link set "$second" netns b
check ip -n a address add 10.9.0.1/24 dev "$first"
check ip -n b address add 10.9.0.2/24 dev "$second"
check ip -n a link set "$first" up
check ip -n b link set "$second" up
until_ok 30 sh -c "ip -n a link show $first | grep -q LOWER_UP"

say "ping, both ways"
moved ip netns exec a ping -c 5 -w 60 10.9.0.2
moved ip netns exec b ping -c 5 -w 60 -s 1400 10.9.0.1

say "TCP, both ways"
transfer a b 10.9.0.2 1000000
transfer b a 10.9.0.1 1000000
say "the same with 1 % loss and 2 % reordering"
check host link set net loss=1% reorder=2%
transfer a b 10.9.0.2 200000
check host link reset

say "a cut link stops it"
cut_stops ip netns exec a ping -c 1 -w 60 10.9.0.2

say "the target is killed and started again"
check host target kill9
check host target start
until_ok 60 ip netns exec a ping -c 1 -w 2 10.9.0.2
transfer a b 10.9.0.2 200000

say "one is pulled out under traffic"
ip netns exec a ping -i 0.1 -w 60 10.9.0.2 >/dev/null &
pinger=$!
moved f detach net1 --force
until_ok 60 sh -c "[ ! -e /sys/kernel/debug/farlane/net1 ]"
ip -n b link show "$second" 2>/dev/null && fail "$second is still there"
kill $pinger

say "detach"
check ip netns delete a
check ip netns delete b
check f detach net0
check daemon stop
check rmmod farlane
say "done"
