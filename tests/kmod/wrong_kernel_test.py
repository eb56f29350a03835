#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What farlane.ko says to a kernel that it can not work on.

Receives: the repository. Hands on: exit code 0 when compat.h ends the build with the right sentence for wrong versions
and configurations and takes the right ones, and make says what is missing. Owns: a scratch folder.
"""
import os
import pathlib
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
COMPAT = ROOT / "kmod" / "compat" / "compat.h"
COMPLETE = ("CONFIG_X86_64", "CONFIG_PCI_MSI", "CONFIG_HOTPLUG_PCI_PCIE")


def version_code(major, minor):
    return (major << 16) + (minor << 8)


def preprocess(major, minor, config=COMPLETE):
    """gcc's exit code and words for compat.h in a kernel that is nothing but its version and configuration."""
    with tempfile.TemporaryDirectory() as scratch:
        headers = pathlib.Path(scratch) / "linux"
        headers.mkdir()
        for name in ("irq", "irqdomain", "msi", "pci"):
            (headers / f"{name}.h").touch()
        (headers / "version.h").write_text(
            f"#define LINUX_VERSION_CODE {version_code(major, minor)}\n"
            "#define KERNEL_VERSION(a, b, c) (((a) << 16) + ((b) << 8) + (c))\n")
        done = subprocess.run([os.environ.get("CC", "gcc"), "-E", "-nostdinc", f"-I{scratch}",
                               *(f"-D{name}=1" for name in config), str(COMPAT)],
                              capture_output=True, text=True, check=False)
        return done.returncode, done.stderr


class WrongKernel(unittest.TestCase):
    def refused(self, words, *arguments):
        code, text = preprocess(*arguments)
        self.assertNotEqual(code, 0)
        self.assertIn("#error", text)
        self.assertIn(words, text)

    def test_versions_that_work(self):
        for version in ((6, 1), (6, 6), (6, 12), (6, 16)):
            with self.subTest(version=version):
                self.assertEqual(preprocess(*version), (0, ""))

    def test_too_old(self):
        for version in ((5, 15), (6, 0)):
            with self.subTest(version=version):
                self.refused("farlane.ko needs Linux 6.1 or later", *version)

    def test_too_new(self):
        for version in ((6, 17), (7, 0)):
            with self.subTest(version=version):
                self.refused("use an earlier kernel", *version)

    def test_configuration(self):
        self.refused("needs x86-64", 6, 12, COMPLETE[1:])
        for without in COMPLETE[1:]:
            with self.subTest(without=without):
                self.refused("CONFIG_PCI_MSI and CONFIG_HOTPLUG_PCI_PCIE", 6, 12,
                             [name for name in COMPLETE if name != without])

    def test_no_headers(self):
        with tempfile.TemporaryDirectory() as scratch:
            own = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
            done = subprocess.run(["make", "-C", str(ROOT / "kmod"), f"KDIR={scratch}/none", f"O={scratch}/out"],
                                  capture_output=True, text=True, check=False, env=own)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("no kernel headers", done.stderr)
            self.assertIn("apt-get install linux-headers-", done.stderr)


if __name__ == "__main__":
    unittest.main()
