# SPDX-License-Identifier: Apache-2.0
"""farlane.ko for the guests' kernels.

Receives: kmod/ and a kernel. Hands on: the modules built for it, by kmod's own Makefile.
Owns: build/testbed/kmod/<short>.
"""
import fcntl
import os
import subprocess

from bed.paths import BUILD, ROOT, Trouble, program

SOURCES = ROOT / "kmod"
# farlane.ko, and the drivers that try it
KUNIT = "kunit/farlane_kunit.ko"  # for kernels with CONFIG_KUNIT
MODULES = ("farlane.ko", *(f"test/farlane_{name}.ko" for name in ("test", "trap_test", "flood_test", "canary_test")))


def there():
    return (SOURCES / "Makefile").exists()


def build(kernel):
    """Paths of farlane.ko and its test drivers for that kernel."""
    if not there():
        raise Trouble("kmod/ has no Makefile: there is no module to build")
    folder = BUILD / "kmod" / kernel.short
    folder.mkdir(parents=True, exist_ok=True)
    own = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES")}
    kunit = kernel.has("KUNIT")
    with open(folder.parent / f".{kernel.short}.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two runs at once build it once
        done = subprocess.run([program("make", "build-essential"), "-C", SOURCES, f"KDIR={kernel.kdir}", f"O={folder}",
                               "-j2", "modules", "test", *(["kunit"] if kunit else [])], capture_output=True, text=True, check=False, env=own)
    found = [folder / name for name in MODULES + ((KUNIT,) if kunit else ())]
    if done.returncode != 0 or not all(path.exists() for path in found):
        raise Trouble(f"farlane.ko did not build for {kernel.release}:\n{(done.stdout + done.stderr)[-4000:]}")
    return found
