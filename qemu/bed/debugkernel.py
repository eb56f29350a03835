# SPDX-License-Identifier: Apache-2.0
"""The debug kernels: Debian's sources with qemu/kernel/debug.config, which has KASAN, lockdep, kmemleak and KUnit.

Receives: "6.1-debug" or "6.12-debug". Hands on: a kernel in the form of the stock ones (bed/kernel.py).
Owns: build/testbed/kernels/<name> and build/testbed/linux-source.
"""
import fcntl
import hashlib
import os
import re
import shutil
import subprocess

from bed import kernel
from bed.paths import BUILD, QEMU, Trouble, program

FRAGMENT = QEMU / "kernel" / "debug.config"  # and debug-6.1.config, debug-6.12.config where there is one
NAMES = tuple(f"{short}-debug" for short in kernel.SHORT)
COMPILER = "gcc-12"  # of Debian's own kernels
# Program or header that building a kernel wants, and its package; `make setup` does not install them.
NEEDED = (("flex", "flex"), ("bison", "bison"), ("bc", "bc"), (COMPILER, "gcc-12"),
          ("/usr/include/libelf.h", "libelf-dev"), ("/usr/include/openssl/opensslv.h", "libssl-dev"))
PCIEHP = QEMU / "kernel" / "pciehp.h"  # a lock of pciehp's that lockdep has to leave alone
# The PVH entry runs before KASAN's shadow is mapped: an access there that is checked faults, with no handler yet. Linux
# 6.1 has it checked; and gcc calls memcmp, which is, unless it is told to write it out in functions for one use too.
WORDS = ("KASAN_SANITIZE_enlighten.o=n", "CFLAGS_enlighten.o=-Dmemcmp=__builtin_memcmp -minline-all-stringops",
         f"CFLAGS_pciehp_hpc.o=-include {PCIEHP}")
ASKED = re.compile(r"^(?:CONFIG_(\w+)=(.+)|# CONFIG_(\w+) is not set)$", re.MULTILINE)


def missing_packages():
    return [package for what, package in NEEDED
            if not (os.path.exists(what) if what.startswith("/") else shutil.which(what))]


def settings(text):
    """Name -> value of a configuration; "n" for what is not set."""
    return {name or unset: value or "n" for name, value, unset in ASKED.findall(text)}


def refused(asked, config):
    """Lines of what was asked that the configuration does not follow. A name that it lacks is as good as "n"."""
    wanted, got = settings(asked), settings(config)
    return [f"{name}={value}" for name, value in wanted.items() if got.get(name, "n") != value]


def fragment(name):
    """What is asked of a kernel's configuration: the lines for all of them, and its own."""
    own = FRAGMENT.with_name(f"debug-{name.removesuffix('-debug')}.config")
    return FRAGMENT.read_text() + (own.read_text() if own.exists() else "")


def key(name):
    """What the kernel is made of, but for Debian's updates: those come with --update only."""
    return hashlib.sha256("\n".join((fragment(name), PCIEHP.read_text(), *WORDS[:-1])).encode()).hexdigest()[:16]


def is_current(found):
    path = found.folder / "key"
    return found.complete() and path.exists() and path.read_text().strip() == key(found.short)


def build(name, update=False):
    """The kernel, built when it is not there or its configuration is another one by now."""
    if name not in NAMES:
        raise Trouble(f"'{name}' is no debug kernel; there are: {', '.join(NAMES)}")
    found = kernel.Kernel(name)
    found.folder.mkdir(parents=True, exist_ok=True)
    with open(found.folder.parent / f".{name}.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not is_current(found) or update:
            make_all(found, update)
    return found


def make_all(found, update):
    lacking = missing_packages()
    if lacking:
        raise Trouble(f"building a kernel needs more packages: apt-get install {' '.join(lacking)}")
    tree = source(found.short.removesuffix("-debug"), update)
    print(f"testbed: building {found.short} in {found.folder / 'build'} (once for each qemu/kernel/debug.config; "
          "20 minutes of two cores)", flush=True)
    (found.folder / "release").unlink(missing_ok=True)
    work = found.folder / "build"
    work.mkdir(exist_ok=True)
    configure(found, tree, work)
    make(work, "vmlinux", "modules")
    install(found, work)


def source(short, update):
    """Debian's source tree of that line, unpacked."""
    folder = BUILD / "linux-source"
    tree = folder / f"linux-source-{short}"
    if (tree / "Makefile").exists() and not update:
        return tree
    work = folder / f".{short}"
    shutil.rmtree(work, ignore_errors=True)
    shutil.rmtree(tree, ignore_errors=True)
    work.mkdir(parents=True)
    print(f"testbed: fetching linux-source-{short}", flush=True)
    for deb in kernel.download(work, [f"linux-source-{short}"]):
        subprocess.run([program("dpkg-deb", "dpkg"), "-x", deb, work], check=True)
    subprocess.run(["tar", "-C", work, "-xf", work / "usr" / "src" / f"linux-source-{short}.tar.xz"], check=True)
    (work / f"linux-source-{short}").rename(tree)  # whole or not at all
    shutil.rmtree(work)
    return tree


def make(folder, *words, log=None):
    """make there, at the lowest priority; its words are in the log."""
    own = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES")}
    log = log or folder.parent / "build.log"
    with open(log, "ab") as out:
        done = subprocess.run(
            ["nice", "-n", "19", program("make", "build-essential"), "-C", folder, f"-j{os.cpu_count() or 2}",
             f"CC={COMPILER}", f"HOSTCC={COMPILER}", "KBUILD_BUILD_USER=farlane", "KBUILD_BUILD_HOST=testbed",
             "LOCALVERSION=-debug", *WORDS, *words], stdout=out, stderr=out, check=False, env=own)
    if done.returncode != 0:
        raise Trouble(f"building the kernel failed at 'make {' '.join(map(str, words))}': {log}")


def configure(found, tree, work):
    """tinyconfig and the fragments; no line of them may get lost."""
    (work.parent / "build.log").unlink(missing_ok=True)
    scratch = work / ".config"
    before = scratch.read_bytes() if scratch.exists() else b""
    make(tree, f"O={work}", "tinyconfig", log=work.parent / "build.log")
    wanted = fragment(found.short)
    with open(scratch, "a", encoding="utf-8") as config:
        config.write(wanted)
    make(work, "olddefconfig")
    lost = refused(wanted, scratch.read_text())
    if lost:
        raise Trouble(f"this kernel does not take from {FRAGMENT.parent}: {', '.join(lost)}")
    if before == scratch.read_bytes():
        print("testbed: the configuration is as it was; only what changed is built again", flush=True)


def install(found, work):
    """vmlinux, modules and release where the testbed looks for them; the build folder is the modules' KDIR."""
    release = subprocess.run(["make", "-s", "-C", work, "LOCALVERSION=-debug", "kernelrelease"], capture_output=True,
                             text=True, check=True).stdout.strip().splitlines()[-1]
    shutil.rmtree(found.folder / "lib", ignore_errors=True)
    make(work, f"INSTALL_MOD_PATH={found.folder}", "INSTALL_MOD_STRIP=1", "modules_install")
    for link in ("build", "source"):
        (found.folder / "lib" / "modules" / release / link).unlink(missing_ok=True)
    subprocess.run([program("depmod", "kmod"), "-b", found.folder, release], check=True)
    subprocess.run([program("strip", "binutils"), "--strip-debug", "-o", found.vmlinux, work / "vmlinux"], check=True)
    shutil.copy(work / ".config", found.folder / "config")
    (found.folder / "symbols.elf").unlink(missing_ok=True)  # of the one before
    (found.folder / "key").write_text(key(found.short) + "\n")
    (found.folder / "release").write_text(release + "\n")
