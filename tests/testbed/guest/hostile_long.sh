#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# hostile.sh for ten minutes.
# testbed: topology=alone timeout=1200 module=yes daemon=no long=yes
# shellcheck disable=SC2034
HOSTILE_S=300 # for each way of DMA
# shellcheck source=tests/testbed/guest/hostile.sh
. /tests/hostile.sh
