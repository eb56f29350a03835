#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Two initiators and two targets: each initiator reaches both, a function is held by one of them, and
# a cut link takes away one target only.
# testbed: topology=mesh timeout=240 kernels=6.12
# shellcheck source=tests/testbed/guest/lib.sh
. /tests/lib.sh
f() { farlane --timeout 10 "$@"; }
reach() { f show "$1" >/dev/null; }
gone() { ! f show "$1" >/dev/null 2>&1; }

if [ "$VM" = i0 ]; then
    say "i0 reaches both targets"
    for t in t0 t1; do until_ok 60 reach $t/nvme0; done
    check f attach t0/nvme0
    say "and so does i1, which is refused what i0 holds"
    check host vm i1 run /tests/mesh.sh
    check f detach t0/nvme0
    say "the link of t0 cut: t1 stays"
    check host link cut t0
    until_ok 60 gone t0/accel0
    until_ok 60 reach t1/accel0
    moved f show t1/nvme0 >/tmp/show
    check test "$(host -f links.t0.from.sw.dropped_cut link stats)" -gt 0
    check host link heal
    until_ok 60 reach t0/accel0
else
    for t in t0 t1; do until_ok 60 reach $t/accel0; done
    refuse 4 f attach t0/nvme0
    check f attach t1/nvme0
    check f detach t1/nvme0
fi
say "done in $VM"
