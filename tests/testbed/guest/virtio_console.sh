#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Stock virtio_console on a remote console that gives back what it is sent: lines and many bytes come back. A cut link
# stops it; one that stays cut ends in a surprise removal, and then it can be attached again.
# testbed: topology=one timeout=240 module=yes daemon=no exports=virtio
# shellcheck source=tests/testbed/guest/lib.sh
. /tests/lib.sh
f() { farlane --timeout 20 "$@"; }
# The port of a device of the remote bus.
port() {
    for entry in /sys/class/virtio-ports/*; do
        case "$(readlink -f "$entry")" in */pci1000?:*) echo "${entry##*/}" ;; esac
    done
}
# The only terminal of its kind: nodes of the others are there but can not be opened.
terminal() {
    for each in /dev/hvc*; do
        stty -F "$each" >/dev/null 2>&1 && echo "$each" && return 0
    done
    return 1
}
there() { [ -n "$(port)" ]; }
gone() { [ -z "$(port)" ] && [ ! -e /sys/kernel/debug/farlane/console0 ]; }
# open_terminal: as descriptor 5, after attach.
open_terminal() {
    apart
    until_ok 60 there
    until_ok 20 terminal
    tty=$(terminal)
    # Opened first: the last close of such a terminal brings back its echo, and two that echo never end
    exec 5<>"$tty"
    check stty -F "$tty" raw -echo
}
# hvc hands over what is written and waits until the device has taken it, with interrupts off, for as long as that takes:
# on CPU 0. What heals the link meanwhile runs on CPU 1.
write_on_cpu0() { taskset 1 sh -c "echo '$1' >&5"; }
aside() {
    for each in /proc/[0-9]*; do
        [ "$(cat "$each/comm" 2>/dev/null)" = khvcd ] && check taskset -p 1 "${each##*/}" >/dev/null
    done
    check taskset -p 2 $$ >/dev/null
}
comes_back() {
    write_on_cpu0 "$1"
    read -r answer <&5
    [ "$answer" = "$1" ]
}

check insmod /farlane/farlane.ko
session grace_ms 60000
check daemon start
until_ok 60 f show console0
moved f attach console0
open_terminal
say "console $tty"

say "a line comes back"
moved sh -c 'echo "hello over the fabric" >&5'
read -r answer <&5
equal "$answer" "hello over the fabric" "what came back"

say "400 bytes come back: 16 at a time, as hvc sends them, and it waits for each"
head -c 300 /dev/urandom | base64 -w 0 | head -c 400 >/tmp/out
head -c 400 <&5 >/tmp/in &
reader=$!
moved sh -c 'cat /tmp/out >&5'
check wait $reader
check cmp /tmp/out /tmp/in

say "a cut link stops it"
aside
cut_stops comes_back "through the cut"
exec 5>&-
check f detach console0
until_ok 60 gone

say "a link that stays cut: the function is removed"
# With nobody who writes: the driver frees twice what it is handing over then (docs/compatibility.md)
check daemon stop
session grace_ms 3000
check daemon start
until_ok 60 f show console0
moved f attach console0
open_terminal
aside
check comes_back "once more"
since=$(now_ms)
check host link cut
until_ok 60 gone
row bus_outage_beyond_the_grace "$since" 4000
read -r answer <&5 && fail "a terminal without a device gave '$answer'"
exec 5>&-
check host link heal
until_ok 60 f attach console0
open_terminal
aside
check comes_back "another one"
exec 5>&-

say "detach"
check f detach console0
until_ok 60 gone
check daemon stop
check rmmod farlane
say "done"
