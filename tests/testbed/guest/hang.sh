#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The testbed's own test: a script that does not end is caught by its time limit.
# testbed: topology=alone timeout=5 expect=timeout kernels=6.12
while :; do sleep 1; done
