# SPDX-License-Identifier: Apache-2.0
"""farlane.ko for the guests' kernels.

Receives: kmod/ and a kernel. Hands on: the modules built for it, by kmod's own Makefile.
Owns: build/testbed/kmod/<short>.
"""
import fcntl
import hashlib
import os
import re
import shutil
import subprocess

from bed.paths import BUILD, ROOT, Trouble, program

SOURCES = ROOT / "kmod"
KUNIT = "kunit/farlane_kunit.ko"  # for kernels with CONFIG_KUNIT
STAMP = ".built-from"
SOURCE_NAMES = ("Kbuild", "*/Kbuild", "*.[ch]", "*/*.[ch]", "include/uapi/farlane/*.h")


def outputs(kunit):
    """Below the folder of the build: farlane.ko and what test/Kbuild lists."""
    drivers = re.findall(r"\b(\w+)\.o\b", (SOURCES / "test" / "Kbuild").read_text())
    return ["farlane.ko", *(f"test/{name}.ko" for name in drivers), *([KUNIT] if kunit else [])]


def there():
    return (SOURCES / "Makefile").exists()


def source_names(top, kunit):
    """Of all files that the modules are made of; what kbuild generates (*.mod.c) is none."""
    found = {p.relative_to(top) for pattern in SOURCE_NAMES for p in top.glob(pattern)}
    return sorted(p for p in found if not p.name.endswith(".mod.c") and (kunit or p.parts[0] != "kunit"))


def digest(folder, names):
    """Of names and contents; "" when one is missing."""
    total = hashlib.sha256()
    for name in names:
        try:
            data = (folder / name).read_bytes()
        except OSError:
            return ""
        total.update(f"{name} {len(data)}\n".encode() + data)
    return total.hexdigest()


def state_of(paths):
    """Size and time of files that are too large to be read each time."""
    lines = []
    for path in paths:
        try:
            entry = os.stat(path)
            lines.append(f"{path} {entry.st_size} {entry.st_mtime_ns}")
        except OSError:
            lines.append(f"{path} missing")
    return "\n".join(lines)


def surroundings(kernel):
    """What else decides about a module: kernel, headers, compiler, Makefile."""
    headers = [kernel.kdir / name for name in ("Makefile", ".config", "Module.symvers", "include/generated/autoconf.h")]
    tools = [os.path.realpath(shutil.which(name) or name) for name in ("gcc", "gcc-12", "ld", "make")]
    return f"{kernel.release}\n{digest(SOURCES, ['Makefile'])}\n{state_of([*headers, *tools])}"


def stamp(sources, around, found):
    return f"{sources}\n{around}\n{state_of(found)}\n"


def is_current(folder, names, around, found):
    """Whether a build would do nothing: it costs 2 s of CPU to find that out by make."""
    try:
        said = (folder / STAMP).read_text()
    except OSError:
        return False
    return all(p.exists() for p in found) and said == stamp(digest(SOURCES, names), around, found)


def forget_others(folder, names):
    """A source that was removed or renamed must not be found any more."""
    for name in set(source_names(folder, True)) - set(names):
        (folder / name).unlink()


def make(kernel, folder, kunit):
    own = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES")}
    goals = ["modules", "test", *(["kunit"] if kunit else [])]
    return subprocess.run([program("make", "build-essential"), "-C", SOURCES, f"KDIR={kernel.kdir}", f"O={folder}", "-j2",
                           *goals], capture_output=True, text=True, check=False, env=own)


def build(kernel):
    """Paths of farlane.ko and its test drivers for that kernel."""
    if not there():
        raise Trouble("kmod/ has no Makefile: there is no module to build")
    folder = BUILD / "kmod" / kernel.short
    folder.mkdir(parents=True, exist_ok=True)
    kunit = kernel.has("KUNIT")
    found = [folder / name for name in outputs(kunit)]
    with open(folder.parent / f".{kernel.short}.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two runs at once build it once
        names, around = source_names(SOURCES, kunit), surroundings(kernel)
        if is_current(folder, names, around, found):
            return found
        (folder / STAMP).unlink(missing_ok=True)
        forget_others(folder, names)
        done = make(kernel, folder, kunit)
        if done.returncode != 0 or not all(path.exists() for path in found):
            raise Trouble(f"farlane.ko did not build for {kernel.release}:\n{(done.stdout + done.stderr)[-4000:]}")
        # of the copies that were compiled: the tree may have changed meanwhile
        (folder / STAMP).write_text(stamp(digest(folder, names), around, found))
    return found
