# SPDX-License-Identifier: Apache-2.0
"""farlane.ko for the guests' kernels.

Receives: kmod/ and a kernel. Hands on: the module built for it. Owns: build/testbed/kmod/<short>,
a copy of kmod/, so that two kernels do not build in one folder.
"""
import fcntl
import os
import shutil
import subprocess

from bed.paths import BUILD, ROOT, Trouble, program

SOURCES = ROOT / "kmod"
SKIP = {".o", ".ko", ".cmd", ".mod", ".order", ".symvers"}


def sources():
    return [p for p in sorted(SOURCES.rglob("*"))
            if p.is_file() and p.suffix not in SKIP and not p.name.endswith(".mod.c") and not p.name.startswith(".")]


def synchronize(folder):
    """Copies what changed, times included, and removes what is gone: make then builds only that."""
    wanted = {p.relative_to(SOURCES): p for p in sources()}
    listing = folder / ".sources"
    if listing.exists():
        for line in listing.read_text().splitlines():
            if line and not any(str(name) == line for name in wanted):
                (folder / line).unlink(missing_ok=True)
    for name, path in wanted.items():
        copy = folder / name
        entry = path.stat()
        if copy.exists() and copy.stat().st_mtime_ns == entry.st_mtime_ns and copy.stat().st_size == entry.st_size:
            continue
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copy)
    listing.write_text("".join(f"{name}\n" for name in wanted))


def build(kernel):
    """Path of farlane.ko for that kernel."""
    if not (SOURCES / "Kbuild").exists() and not (SOURCES / "Makefile").exists():
        raise Trouble("kmod/ has no Kbuild file: there is no module to build")
    folder = BUILD / "kmod" / kernel.short
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder.parent / f".{kernel.short}.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        synchronize(folder)
        done = subprocess.run([program("make", "build-essential"), "-C", kernel.kdir, f"M={folder}", "modules", "-s",
                               "-j2"], capture_output=True, text=True, check=False,
                              env={k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL")})
    module = folder / "farlane.ko"
    if done.returncode != 0 or not module.exists():
        raise Trouble(f"farlane.ko did not build for {kernel.release}:\n{(done.stdout + done.stderr)[-4000:]}")
    return module
