#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The testbed's own test: a panic is a failure, whatever the script would have said.
# testbed: topology=alone timeout=60 expect=console kernels=6.12
echo c >/proc/sysrq-trigger
