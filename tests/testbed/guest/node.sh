#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# /dev/farlane/<name>: channel, memory, interrupts, holders, ends. And a daemon that is killed: its
# function stays, the next one takes it up; when nobody comes it is gone after the grace.
# testbed: topology=alone timeout=150 module=yes daemon=no
# shellcheck source=tests/testbed/guest/lib.sh
. /tests/lib.sh

ready() { grep -q READY "$1"; }
start() { # file verb name
    kmod_echo "$2" "$3" >"$1" &
    daemon=$!
    until_ok 30 ready "$1"
}
echo 4 >/proc/sys/vm/nr_hugepages
# 6.1 pins no page that a process provides; with CONFIG_DEBUG_VM it says so by a call trace
case $(uname -r) in 6.1.*-debug) slow=--no-slow-pages ;; *) slow= ;; esac
for dma in auto direct; do
    say "dma=$dma"
    check insmod /farlane/farlane.ko dma=$dma grace_ms=600000
    equal "$(stat -c %a /dev/farlane/control)" 600 "mode of the control node"
    # shellcheck disable=SC2086  # no word when there is none
    check kmod_node $slow
    start /tmp/first add kept
    equal "$(stat -c %a /dev/farlane/kept)" 660 "mode of a node"
    until_ok 30 sh -c 'ls -d /sys/bus/pci/devices/1*:0[1-9]:*'
    kill -9 $daemon
    # however long the second takes to start: what is short from here on is its own grace
    echo $((10000 * ${PATIENCE:-1})) >/sys/module/farlane/parameters/grace_ms
    start /tmp/second recover kept
    equal "$(cat /tmp/second)" "$(cat /tmp/first)" "the function"
    kill -9 $daemon
    until_ok 30 sh -c '! [ -e /dev/farlane/kept ]'
    until_ok 30 rmmod farlane
done
say "done"
