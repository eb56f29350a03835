#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The testbed's own test: a script that fails is a failure.
# testbed: topology=alone timeout=60 expect=rc kernels=6.12
exit 3
