#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# KUnit tests of what is pure in the module: configuration space check, virtio, tags, mapping table, decoder. Debug kernels only.
# testbed: topology=alone timeout=60 module=yes kernels=6.1-debug,6.12-debug
# shellcheck source=tests/testbed/guest/lib.sh
. /tests/lib.sh

check insmod /farlane/farlane_kunit.ko
results=$(dmesg | sed 's/^\[[^]]*\] //' | grep -E '^ *(not )?ok ')
echo "$results"
for suite in config virtio tag domain insn; do
    echo "$results" | grep -q "^ok [0-9]* farlane_$suite" || fail "suite $suite"
done
echo "$results" | grep -q "not ok" && fail "a test"
check rmmod farlane_kunit
say "done"
