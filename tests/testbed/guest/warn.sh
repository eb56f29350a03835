#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The testbed's own test: a BUG line in the console is a failure although the script ends with 0.
# testbed: topology=alone timeout=60 expect=console kernels=6.12
echo "BUG: not a real one" >/dev/kmsg
exit 0
