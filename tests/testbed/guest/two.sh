#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Initiator and target in a VM each: the target's farlaned is stopped, killed and started in its VM.
# testbed: topology=two timeout=180 kernels=6.12
# shellcheck source=tests/testbed/guest/lib.sh
. /tests/lib.sh
f() { farlane --timeout 10 "$@"; }

say "attach"
until_ok 60 f show nvme0
check f attach nvme0
moved f show nvme0 >/tmp/show
check f detach nvme0

say "the target killed in its VM"
check host target kill9
check host target start
until_ok 60 f show nvme0

say "the link cut"
check host link cut net
until_ok 60 unreachable
check host link heal net
until_ok 60 f show accel0
say "done"
