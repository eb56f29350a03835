#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The suite of all providers (tests/provider) with the provider "kernel": through the module and farlaned to a native
# target, on a perfect link, and on one that loses and reorders.
# testbed: topology=one timeout=240 module=yes daemon=no memory=1536 programs=provider_test
# shellcheck source=tests/testbed/guest/lib.sh
. /tests/lib.sh
f() { farlane --timeout 20 "$@"; }
export FARLANE_TEST_PROVIDER=kernel

check insmod /farlane/farlane.ko
check daemon start
until_ok 60 f show accel0
echo 12 >/proc/sys/vm/nr_hugepages
say "$(cat /proc/sys/vm/nr_hugepages) huge pages"
for link in plain bad; do
    if [ $link = bad ]; then
        say "1 % loss, 2 % reordering"
        check host link set net loss=1% reorder=2%
    fi
    begin=$(cut -d. -f1 /proc/uptime)
    moved timeout $((100 * PATIENCE)) provider_test # a case that hangs is the last one named
    say "$(($(cut -d. -f1 /proc/uptime) - begin)) s"
done
check host link reset

say "a cut link stops it"
# registers SECONDS: shorter than the grace while the link is cut
registers() { timeout $(($1 * PATIENCE)) provider_test --gtest_filter='*/ProviderRegister.EveryWidth/*'; }
check host link cut
registers 4 >/tmp/cut && fail "registers without a link: $(cat /tmp/cut)"
check host link heal
until_ok 30 f show accel0
moved registers 100

say "detach"
check f detach accel0
until_ok 30 sh -c '! test -e /dev/farlane/accel0'
check daemon stop
check rmmod farlane
say "done"
