# SPDX-License-Identifier: Apache-2.0
"""Stock Debian kernels.

Receives: "6.1" or "6.12". Hands on: image, modules and headers of that kernel.
Owns: build/testbed/kernels/<short>; nothing is installed on this machine.
"""
import fcntl
import lzma
import os
import pathlib
import re
import shutil
import struct
import subprocess
import tempfile

from bed.paths import BUILD, Trouble, program

SHORT = ("6.1", "6.12")
# A kernel of one's own, such as the debug kernel, lies in kernels/<name> in the same form.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,40}")


class Kernel:
    """One kernel in its folder: vmlinux, config, release, lib/modules, headers."""

    def __init__(self, short):
        if not NAME.fullmatch(short):
            raise Trouble(f"'{short}' names no kernel; there are: {', '.join(names())}")
        self.short = short
        self.folder = BUILD / "kernels" / short

    @property
    def release(self):
        return (self.folder / "release").read_text().strip()

    @property
    def vmlinux(self):
        return self.folder / "vmlinux"

    @property
    def modules(self):
        return self.folder / "lib" / "modules" / self.release

    @property
    def kdir(self):
        """What KDIR= of a module's build wants."""
        own = self.folder / "build"  # of a kernel that was built here
        return own if own.is_dir() else self.folder / "headers" / "usr" / "src" / f"linux-headers-{self.release}"

    @property
    def debug(self):
        """Everything takes several times as long: KASAN, lockdep (bed/debugkernel.py)."""
        return self.short.endswith("-debug")

    def has(self, option):
        """Whether that is in the kernel or a module of it: CONFIG_<option>."""
        config = self.folder / "config"
        return config.exists() and bool(re.search(rf"^CONFIG_{option}=[ym]$", config.read_text(), re.MULTILINE))

    def complete(self):
        return (self.folder / "release").is_file()


def names():
    """Kernels one can ask for: the stock ones, and those somebody put into the folder."""
    folder = BUILD / "kernels"
    own = [p.parent.name for p in folder.glob("*/release")] if folder.is_dir() else []
    return sorted(set(SHORT) | set(own), key=version_key)


def get(short, update=False):
    """The kernel, fetched when it is not there yet."""
    kernel = Kernel(short)
    if kernel.complete() and not update:
        return kernel
    if short in (f"{stock}-debug" for stock in SHORT):
        raise Trouble(f"kernel '{short}' is not built yet: make qemu-debug-kernel KERNEL={short.removesuffix('-debug')}")
    if short not in SHORT:
        raise Trouble(f"there is no kernel '{short}'; there are: {', '.join(names())}")
    kernel.folder.parent.mkdir(parents=True, exist_ok=True)
    with open(kernel.folder.parent / f".{short}.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two runs at once fetch it once
        if not kernel.complete() or update:
            try:
                fetch(kernel, newest(short))
            except Trouble:
                if not refresh_lists():
                    raise
                fetch(kernel, newest(short))
    return kernel


def version_key(text):
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", text)]


def apt_output(*arguments):
    done = subprocess.run([program("apt-cache", "apt"), *arguments], capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else ""


def refresh_lists():
    """Package lists that are missing, or older than what they name: fetched anew, when this user may."""
    root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if root and shutil.which("sudo") is None:
        return False
    print("testbed: fetching the package lists", flush=True)
    command = [*root, program("apt-get", "apt"), "-o", "DPkg::Lock::Timeout=300", "-q", "update"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def newest(short):
    """Release of the newest kernel of that line which apt knows: "6.1.0-56-amd64"."""
    if short == "6.1":
        found = re.findall(r"Depends: linux-image-(6\.1\.\S+-amd64)$", apt_output("depends", "linux-image-amd64"),
                           re.MULTILINE)
    else:
        listed = apt_output("pkgnames", f"linux-image-{short}.")
        found = re.findall(rf"^linux-image-({re.escape(short)}\.\d+\+deb12-amd64)(?:-unsigned)?$", listed,
                           re.MULTILINE)
    if not found:
        raise Trouble(f"apt knows no kernel {short} of Debian 12: run 'apt-get update' (as root), or put one into "
                      f"{BUILD / 'kernels' / short}")
    return max(found, key=version_key)


def packages(release):
    """Image, then what a module is built with."""
    bare = release.removesuffix("-amd64")
    kbuild = "linux-kbuild-6.1" if bare.startswith("6.1.") else f"linux-kbuild-{bare}"
    common = f"linux-headers-{bare}-common"
    return f"linux-image-{release}", [f"linux-headers-{release}", common, kbuild]


def download(folder, wanted):
    """The .deb files of these packages, in that folder."""
    done = subprocess.run([program("apt-get", "apt"), "-q", "download", *wanted], cwd=folder, text=True,
                          capture_output=True, check=False)
    if done.returncode != 0:
        raise Trouble(f"apt-get download {' '.join(wanted)} failed: {' '.join(done.stderr.split())[-300:]}; "
                      "are the package lists fresh (apt-get update), is there a network?")
    return sorted(pathlib.Path(folder).glob("*.deb"))


def fetch(kernel, release):
    print(f"testbed: fetching kernel {release} (once; it stays in {kernel.folder})", flush=True)
    image, headers = packages(release)
    kernel.folder.parent.mkdir(parents=True, exist_ok=True)
    work = pathlib.Path(tempfile.mkdtemp(prefix=f".{kernel.short}.", dir=kernel.folder.parent))
    try:
        if not apt_output("show", image):
            image += "-unsigned"
        debs = work / "debs"
        debs.mkdir()
        for deb in download(debs, [image, *headers]):
            into = work / "image" if deb.name.startswith("linux-image") else work / "headers"
            subprocess.run([program("dpkg-deb", "dpkg"), "-x", deb, into], check=True)
        settle(work, release)
        if kernel.folder.exists():
            shutil.rmtree(kernel.folder)
        relocate_headers(work / "headers", kernel.folder / "headers", release)
        (work / "release").write_text(release + "\n")
        work.chmod(0o755)
        work.rename(kernel.folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def settle(work, release):
    """Keeps of the image what a guest needs, in its place."""
    boot = work / "image" / "boot"
    (work / "vmlinux").write_bytes(extract_vmlinux((boot / f"vmlinuz-{release}").read_bytes()))
    shutil.move(boot / f"config-{release}", work / "config")
    (work / "lib").mkdir()
    shutil.move(work / "image" / "lib" / "modules", work / "lib" / "modules")
    shutil.rmtree(work / "image")
    shutil.rmtree(work / "debs")
    subprocess.run([program("depmod", "kmod"), "-b", work, release], check=True)


def relocate_headers(now, later, release):
    """The packages say /usr/src; these files lie elsewhere."""
    makefile = now / "usr" / "src" / f"linux-headers-{release}" / "Makefile"
    makefile.write_text(makefile.read_text().replace("include /usr/src/", f"include {later}/usr/src/"))


def extract_vmlinux(image):
    """The ELF file inside a bzImage (Documentation/arch/x86/boot.rst, payload_offset).

    QEMU starts it by its PVH entry, which saves the guest from unpacking itself: slow under TCG.
    """
    if image[0x202:0x206] != b"HdrS" or struct.unpack_from("<H", image, 0x206)[0] < 0x208:
        raise Trouble("the kernel image is no bzImage of boot protocol 2.08 or later")
    setup_sectors = image[0x1f1] or 4
    offset, length = struct.unpack_from("<II", image, 0x248)
    begin = (setup_sectors + 1) * 512 + offset
    payload = image[begin:begin + length]
    if payload.startswith(b"\xfd7zXZ\x00"):
        elf = lzma.LZMADecompressor().decompress(payload)
    elif payload.startswith(b"\x28\xb5\x2f\xfd"):
        elf = subprocess.run([program("zstd", "zstd"), "-dc"], input=payload, stdout=subprocess.PIPE, check=False,
                             stderr=subprocess.DEVNULL).stdout
    else:
        raise Trouble(f"the kernel image is packed in an unknown way ({payload[:6].hex()}); known: xz, zstd")
    if not elf.startswith(b"\x7fELF"):
        raise Trouble("the kernel image does not hold an ELF file")
    return elf
