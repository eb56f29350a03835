# SPDX-License-Identifier: Apache-2.0
"""The testbed: stock kernels in QEMU, joined by the link emulator. `qemu/testbed` is the entry."""
