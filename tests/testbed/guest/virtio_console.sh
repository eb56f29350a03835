#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Stock virtio_console on a remote console that gives back what it is sent: lines and many bytes come back.
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
gone() { [ -z "$(port)" ]; }

check insmod /farlane/farlane.ko
check daemon start
until_ok 60 f show console0
moved f attach console0
apart
until_ok 60 there
until_ok 20 terminal
tty=$(terminal)
say "console $tty"

say "a line comes back"
# Opened first: the last close of such a terminal brings back its echo, and two that echo never end
exec 5<>"$tty"
check stty -F "$tty" raw -echo
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
exec 5>&-

say "detach"
check f detach console0
until_ok 60 gone
check daemon stop
check rmmod farlane
say "done"
