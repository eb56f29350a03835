# SPDX-License-Identifier: Apache-2.0
"""Where things are. Receives: nothing. Hands on: paths, and errors for people. Owns: nothing."""
import os
import pathlib
import shutil

ROOT = pathlib.Path(__file__).resolve().parents[2]
QEMU = ROOT / "qemu"
GUEST_TESTS = ROOT / "tests" / "testbed" / "guest"
BUILD = pathlib.Path(os.environ.get("FARLANE_TESTBED_BUILD", ROOT / "build" / "testbed"))
PROGRAMS = pathlib.Path(os.environ.get("FARLANE_BIN", ROOT / "build" / "release" / "bin"))
RUNS = BUILD / "runs"


class Trouble(Exception):
    """What is wrong and what to do; shown without a traceback."""


def program(name, package):
    """Path of a program of the host; sbin is searched as well."""
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin")
    if not found:
        raise Trouble(f"there is no '{name}' here: run 'make setup' (package {package})")
    return found
