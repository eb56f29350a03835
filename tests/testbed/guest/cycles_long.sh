#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# cycles.sh a thousand times.
# testbed: topology=one timeout=3600 module=yes daemon=no long=yes
# shellcheck disable=SC2034
CYCLES=1000
# shellcheck source=tests/testbed/guest/cycles.sh
. /tests/cycles.sh
