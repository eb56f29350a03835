#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Daemons that do what no daemon should: one says all the time that it sleeps while three CPUs write, so that they ring its
# bell at once; some die while their functions are on their way out; one waits for memory that never comes. Nobody
# hangs, and nothing is left.
# testbed: topology=alone timeout=200 module=yes daemon=no smp=4
# shellcheck source=tests/testbed/guest/lib.sh
. /tests/lib.sh
nothing_left() { ! ls -d /sys/kernel/debug/farlane/* >/dev/null 2>&1; }
flood=/sys/bus/pci/drivers/farlane_flood_test

check insmod /farlane/farlane.ko slots=32 allow=all
check insmod /farlane/farlane_flood_test.ko
check sh -c "echo 1234 0f1a >$flood/new_id" # that of kmod_echo

say "three CPUs ring one bell"
taskset 8 kmod_echo doze dozer >/tmp/dozer &
daemon=$!
until_ok 60 sh -c "ls -d $flood/1000*"
bdf=$(basename "$(ls -d $flood/1000*)")
writers=""
for cpu in 1 2 4; do
    taskset $cpu sh -c "echo ${FLOOD:-300000} >$flood/$bdf/flood" &
    writers="$writers $!"
done
for each in $writers; do check wait "$each"; done
dmesg | grep 'farlane_flood_test: .* writes in'
check kill -9 $daemon
wait $daemon
check rmmod farlane_flood_test
until_ok 60 nothing_left

say "daemons die while their functions are on their way out"
check sh -c "echo none >/sys/module/farlane/parameters/allow"
check kmod_succession orphans
until_ok 60 nothing_left

say "a daemon's call waits for memory that never comes"
check kmod_succession fault
until_ok 60 nothing_left
until_ok 20 rmmod farlane
say "done"
