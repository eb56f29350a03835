#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""farlane.ko builds alone, without a warning, with the headers of every kind of kernel that apt knows.

Receives: the package lists. Hands on: exit code 0 when the module built for the oldest and the newest kernel of each line
and flavour (amd64, cloud, real-time). Owns: a scratch folder.
"""
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "qemu"))
sys.dont_write_bytecode = True
from bed import kernel  # pylint: disable=wrong-import-position

HEADERS = re.compile(r"^linux-headers-((6\.\d+)\.[0-9.]+(?:-\d+|\+deb\d+)-((?:cloud-|rt-)?amd64))$", re.MULTILINE)


def releases():
    """The oldest and the newest of each line and flavour."""
    kinds = {}
    for release, line, flavour in HEADERS.findall(kernel.apt_output("pkgnames", "linux-headers-6.")):
        kinds.setdefault((line, flavour), set()).add(release)
    chosen = {end(each, key=kernel.version_key) for each in kinds.values() for end in (min, max)}
    return sorted(chosen, key=kernel.version_key)


def parts_of(release):
    """The package, and those of its own that it needs."""
    package = f"linux-headers-{release}"
    depends = re.findall(r"Depends: (\S+)", kernel.apt_output("depends", package))
    return [package, *(each for each in depends if re.match(r"linux-(kbuild-|headers-.*-common)", each))]


def build(release, scratch):
    """make's exit code and what it said."""
    debs, headers = scratch / "debs", scratch / "headers"
    debs.mkdir()
    for deb in kernel.download(debs, parts_of(release)):
        subprocess.run(["dpkg-deb", "-x", deb, headers], check=True)
    kernel.relocate_headers(headers, headers, release)
    done = subprocess.run(["make", "-C", ROOT / "kmod", f"KDIR={headers}/usr/src/linux-headers-{release}",
                           f"O={scratch}/out", "-j2"], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr, scratch / "out" / "farlane.ko"


class Headers(unittest.TestCase):
    def test_each_builds(self):
        found = releases()
        self.assertGreaterEqual(len(found), 2, "apt knows no kernel headers: run 'apt-get update' (as root)")
        for release in found:
            with self.subTest(release=release), tempfile.TemporaryDirectory() as scratch:
                code, said, module = build(release, pathlib.Path(scratch))
                self.assertEqual(code, 0, said[-3000:])
                self.assertNotRegex(said.replace("warning: the compiler differs", ""), r"(?i)warning:")
                about = subprocess.run(["/sbin/modinfo", "-F", "vermagic", module], capture_output=True, text=True, check=True)
                self.assertTrue(about.stdout.startswith(f"{release} "), about.stdout)
                print(f"built for {release}", flush=True)


if __name__ == "__main__":
    unittest.main()
