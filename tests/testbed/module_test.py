#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# The testbed builds farlane.ko when its sources changed, and only then: never a stale module, no build for nothing.
import os
import pathlib
import shutil
import sys
import tempfile
import unittest
from unittest import mock

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "qemu"))
sys.dont_write_bytecode = True
# pylint: disable=wrong-import-position
from bed import module
from bed.paths import Trouble


class ModuleTest(unittest.TestCase):
    """With a kernel whose build writes down the sources that it saw, and how often it ran."""

    MAKEFILE = """modules:
\t@echo once >> $(KDIR)/builds
\t@if grep -q wrong $(M)/*.c; then exit 1; fi
\t@for each in farlane farlane_test farlane_canary_test; do cat $(M)/*.c > $(M)/$$each.ko; done
"""

    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        top = pathlib.Path(scratch.name)
        self.kmod, self.kdir = top / "kmod", top / "kdir"
        for folder in (self.kmod / "test", self.kdir):
            folder.mkdir(parents=True)
        shutil.copy(module.SOURCES / "Makefile", self.kmod)
        for name in ("Kbuild", "a.c", "b.c", "farlane.h", "test/t.c"):
            (self.kmod / name).write_text(f"{name} 1\n")
        (self.kmod / "test" / "Kbuild").write_text("obj-m := farlane_test.o farlane_canary_test.o\n")
        (self.kdir / "Makefile").write_text(self.MAKEFILE)
        for name, value in (("SOURCES", self.kmod), ("BUILD", top / "build")):
            patched = mock.patch.object(module, name, value)
            patched.start()
            self.addCleanup(patched.stop)
        self.kernel = mock.Mock(short="9.9", release="9.9.9", kdir=self.kdir, has=lambda option: False)

    def built(self):
        return module.build(self.kernel)[0].read_text()

    def builds(self):
        return len((self.kdir / "builds").read_text().splitlines()) // 2  # the module, the test drivers

    def test_what_did_not_change_is_not_built_again(self):
        self.assertEqual(self.built(), "a.c 1\nb.c 1\n")
        self.assertEqual(self.built(), "a.c 1\nb.c 1\n")
        self.assertEqual(self.builds(), 1)

    def test_a_change_is_seen_whatever_the_time_of_the_file_says(self):
        self.built()
        (self.kmod / "a.c").write_text("a.c 2\n")
        os.utime(self.kmod / "a.c", (1, 1))
        self.assertEqual(self.built(), "a.c 2\nb.c 1\n")
        for name in ("farlane.h", "Kbuild", "test/t.c", "Makefile"):
            before = self.builds()
            with open(self.kmod / name, "a", encoding="ascii") as file:
                file.write("# more\n")
            self.built()
            self.assertEqual(self.builds(), before + 1, name)

    def test_a_source_that_is_gone_is_gone(self):
        self.built()
        (self.kmod / "b.c").unlink()
        self.assertEqual(self.built(), "a.c 1\n")

    def test_a_module_that_somebody_else_wrote_is_not_taken(self):
        path = module.build(self.kernel)[0]
        path.write_text("another")
        self.assertEqual(self.built(), "a.c 1\nb.c 1\n")
        path.unlink()
        self.assertEqual(self.built(), "a.c 1\nb.c 1\n")

    def test_after_a_failure_nothing_is_current(self):
        self.built()
        (self.kmod / "a.c").write_text("wrong\n")
        for _ in range(2):
            self.assertRaisesRegex(Trouble, "did not build for 9.9.9", self.built)
        (self.kmod / "a.c").write_text("a.c 1\n")
        self.assertEqual(self.built(), "a.c 1\nb.c 1\n")


if __name__ == "__main__":
    unittest.main()
