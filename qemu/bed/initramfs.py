# SPDX-License-Identifier: Apache-2.0
"""The guest's root: programs of this machine, modules of its kernel, Farlane, the tests.

Receives: a kernel and what shall be in it. Hands on: one archive for each VM.
Owns: build/testbed/initramfs: the part that seldom changes, named by what it was made of.
"""
import contextlib
import hashlib
import lzma
import os
import pathlib
import re
import subprocess
import tempfile

from bed.cpio import Tree
from bed.paths import BUILD, GUEST_TESTS, PROGRAMS, QEMU, ROOT, Trouble, program

# Program, package. All other commands are busybox's.
TOOLS = [("kmod", "kmod"), ("nvme", "nvme-cli"), ("lspci", "pciutils"), ("setpci", "pciutils"),
         ("mke2fs", "e2fsprogs"), ("e2fsck", "e2fsprogs"), ("ip", "iproute2"), ("cxl", "ndctl"),
         # busybox's own shell prefers its applets to programs of the same name: mke2fs, lspci, modprobe
         ("dash", "dash"), ("bash", "bash"), ("flock", "util-linux")]
LINKS = {"sh": "dash", "mkfs.ext4": "mke2fs", "fsck.ext4": "e2fsck", "modprobe": "kmod", "insmod": "kmod", "rmmod": "kmod",
         "lsmod": "kmod", "modinfo": "kmod", "depmod": "kmod"}
# What stock drivers are tested with, and what they need; a name the kernel has built in is no error.
MODULES = """virtio_pci virtio_console virtio_net virtio_blk virtio_rng virtio_scsi virtio_balloon 9p 9pnet_virtio
    nvme e1000e e1000 igb vmxnet3 xhci_pci usb_storage uas megaraid_sas ahci sd_mod sg 8250_pci serial_multiport 8250_exar gpio_exar
    vfio vfio_pci vfio_iommu_type1 uio uio_pci_generic cxl_core cxl_pci cxl_acpi cxl_port cxl_mem
    ext4 crc32c_generic crc32_generic crc32c-intel crc16 mbcache jbd2 loop tun tap bridge veth af_packet
    qemu_fw_cfg pci-stub softdog rdma_rxe""".split()
KEPT_COPIES = 6
# The EAL loads all drivers it finds: only these are there. Others are found through what they need.
DPDK_DRIVERS = ("bus_pci", "bus_vdev", "mempool_ring", "net_virtio")


def libraries(binary):
    """Shared libraries of a program, as ldd finds them; nothing for a static one."""
    done = subprocess.run(["ldd", binary], capture_output=True, text=True, check=False)
    missing = re.findall(r"^\s*(\S+) => not found", done.stdout, re.MULTILINE)
    if missing:
        raise Trouble(f"{binary} needs {', '.join(missing)}, which this machine does not have: run 'make setup'")
    return re.findall(r"(/\S+) \(0x", done.stdout)


def add_program(tree, path, name=None):
    """A program with its libraries. A library keeps the path it was found under."""
    path = pathlib.Path(path)
    tree.file(f"usr/bin/{name or path.name}", path.resolve(), 0o755)
    for library in libraries(path):
        add_library(tree, library)


def add_library(tree, library):
    inside = library
    if library.startswith(str(ROOT)):
        inside = "/usr/lib/x86_64-linux-gnu/" + os.path.basename(library)
    elif library.startswith(("/lib/", "/lib64/")):
        inside = "/usr" + library  # lib and lib64 are links, as in Debian
    tree.file(inside, pathlib.Path(library).resolve(), 0o755)


def module_files(kernel, names):
    """Paths (below the kernel's modules) of the modules and all they need."""
    needs = {}
    for line in (kernel.modules / "modules.dep").read_text().splitlines():
        path, _, rest = line.partition(":")
        needs[path] = rest.split()
    by_name = {re.sub(r"\.ko(\.\w+)?$", "", os.path.basename(p)).replace("-", "_"): p for p in needs}
    chosen = set()
    for name in names:
        path = by_name.get(name.replace("-", "_"))
        if path:
            chosen.update([path, *needs[path]])
    return sorted(chosen)


def module_bytes(path):
    data = path.read_bytes()
    return lzma.decompress(data) if path.suffix == ".xz" else data


def add_modules(tree, kernel):
    """Modules unpacked (the guest is slow, this machine is not) with an index of their own."""
    with tempfile.TemporaryDirectory() as scratch:
        top = pathlib.Path(scratch) / "lib" / "modules" / kernel.release
        for name in module_files(kernel, MODULES):
            path = top / re.sub(r"\.xz$", "", name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(module_bytes(kernel.modules / name))
        for name in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
            (top / name).write_bytes((kernel.modules / name).read_bytes())
        subprocess.run([program("depmod", "kmod"), "-b", scratch, kernel.release], check=True)
        for path in sorted(top.rglob("*")):
            if path.is_file():
                tree.file(f"usr/lib/modules/{kernel.release}/{path.relative_to(top)}", path.read_bytes())


def base_tree(kernel):
    tree = Tree()
    for folder in ("proc", "sys", "dev", "run", "tmp", "mnt", "root", "var/tmp", "etc", "usr/bin", "usr/lib", "usr/lib64"):
        tree.folder(folder)
    for link, target in (("bin", "usr/bin"), ("sbin", "usr/bin"), ("lib", "usr/lib"), ("lib64", "usr/lib64"),
                         ("usr/sbin", "bin"), ("var/run", "../run"), ("etc/mtab", "../proc/self/mounts")):
        tree.link(link, target)
    tree.node("dev/console", 5, 1)
    tree.node("dev/null", 1, 3, 0o666)
    busybox = pathlib.Path(program("busybox", "busybox-static"))
    if libraries(busybox):
        raise Trouble("busybox is linked dynamically: run 'make setup' (package busybox-static)")
    tree.file("usr/bin/busybox", busybox, 0o755)
    for applet in subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split():
        if applet != "busybox":
            tree.link(f"usr/bin/{applet}", "busybox")
    for name, package in TOOLS:
        add_program(tree, program(name, package), name)
    for name, target in LINKS.items():
        tree.link(f"usr/bin/{name}", target)
    ids = pathlib.Path("/usr/share/misc/pci.ids")
    if ids.exists():
        tree.file("usr/share/misc/pci.ids", ids)
    tree.file("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n")
    tree.file("etc/group", b"root:x:0:\nnogroup:x:65534:\n")
    tree.file("etc/mke2fs.conf", pathlib.Path("/etc/mke2fs.conf"))
    add_modules(tree, kernel)
    return tree


def fingerprint(kernel):
    """What the base is made of. Libraries change with the packages of this machine."""
    digest = hashlib.sha256()
    sources = [program(name, package) for name, package in TOOLS + [("busybox", "busybox-static")]]
    for path in [*sources, "/var/lib/dpkg/status", __file__, kernel.vmlinux, kernel.modules / "modules.dep"]:
        entry = os.stat(path)
        digest.update(f"{path} {entry.st_size} {entry.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def base(kernel):
    """The archive of tools and modules for that kernel; made once."""
    folder = BUILD / "initramfs"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{kernel.short}-{fingerprint(kernel)}.cpio"
    if path.exists():
        return path
    with tempfile.NamedTemporaryFile(dir=folder, delete=False) as out:
        base_tree(kernel).write(out)
    os.chmod(out.name, 0o644)
    for old in folder.glob(f"{kernel.short}-{'[0-9a-f]' * 16}.cpio"):  # not those of 6.1-debug
        old.unlink(missing_ok=True)
    os.rename(out.name, path)
    return path


def stripped(path):
    """A copy without debug information: the guest unpacks a third of it. Cached by size and time."""
    entry = path.stat()
    copy = BUILD / "stripped" / f"{path.name}-{entry.st_size}-{entry.st_mtime_ns}-{entry.st_ino}"
    try:
        os.utime(copy)  # it is wanted again: the youngest stay
    except FileNotFoundError:
        copy.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=copy.parent, delete=False) as out:
            subprocess.run([program("strip", "binutils"), "--strip-debug", "-o", out.name, path], check=True)
        forget_old(copy.parent, path.name)
        os.rename(out.name, copy)
    return copy


def forget_old(folder, name):
    """Of each program the youngest few copies stay; others may be about to be read."""
    copies = []
    for entry in os.scandir(folder):
        if entry.name.rsplit("-", 3)[0] == name:
            with contextlib.suppress(FileNotFoundError):  # the testbed beside this one forgets as well
                copies.append((entry.stat().st_mtime_ns, entry.path))
    for _, old in sorted(copies)[:-KEPT_COPIES]:
        pathlib.Path(old).unlink(missing_ok=True)


def add_farlane(tree):
    """Our programs, and those that test the module from inside, where they are built already."""
    for name in ("farlaned", "farlane", "farlane-demo", "kmod_hostile", "kmod_node", "kmod_echo",
                 "kmod_config_lies", "kmod_garbage", "kmod_succession", "vfio_nvme"):
        if (PROGRAMS / name).exists():
            add_program(tree, PROGRAMS / name)
            tree.file(f"usr/bin/{name}", stripped(PROGRAMS / name), 0o755)
    library = PROGRAMS.parent / "lib" / "libfarlane.so.0"
    if library.exists():
        tree.file(f"usr/lib/x86_64-linux-gnu/{library.name}", stripped(library.resolve()), 0o755)


def add_dpdk(tree):
    """The plugin, and drivers for a virtio network card."""
    plugin = PROGRAMS.parent / "lib" / "libfarlane-port-dpdk.so"
    if not plugin.exists():
        raise Trouble(f"{plugin} is not there: this build is without DPDK (FARLANE_DPDK=OFF)")
    folder = pathlib.Path("/usr/lib/x86_64-linux-gnu")
    tree.file(f"usr/lib/{plugin.name}", stripped(plugin), 0o755)
    drivers = sorted(folder.glob("dpdk/pmds-*"))
    if not drivers:
        raise Trouble(f"no drivers of DPDK in {folder}/dpdk: run 'make setup'")
    for name in DPDK_DRIVERS:
        for library in libraries(drivers[-1] / f"librte_{name}.so"):
            add_library(tree, library)
    for library in libraries(plugin):
        add_library(tree, library)
    for name in DPDK_DRIVERS:  # one file each: loaded twice, a bus would be there twice
        path = drivers[-1] / f"librte_{name}.so"
        tree.file(str(path)[1:], path.resolve(), 0o755)
        tree.link(f"{folder}/{os.readlink(path)}"[1:], str(path))


def add_wanted(tree, name):
    """programs=: one of ours that few tests need, or one of this machine."""
    if not (PROGRAMS / name).exists():
        add_program(tree, program(name, name), name)
        return
    add_program(tree, PROGRAMS / name)
    tree.file(f"usr/bin/{name}", stripped(PROGRAMS / name), 0o755)


def add_guest(tree):
    """init, what it calls, and the tests."""
    tree.file("init", QEMU / "guest" / "init", 0o755)
    for path in sorted((QEMU / "guest").glob("*")):
        if path.name != "init":
            tree.file(f"usr/bin/{path.name}", path, 0o755)
    for path in sorted(GUEST_TESTS.rglob("*")):
        if path.is_file():
            tree.file(f"tests/{path.relative_to(GUEST_TESTS)}", path, 0o755)


def add_own(tree, paths):
    """--add: a module, a program or any file; lands in /add, programs with their libraries."""
    for text in paths:
        path = pathlib.Path(text)
        if not path.is_file():
            raise Trouble(f"--add {text}: there is no such file")
        with open(path, "rb") as file:
            is_program = file.read(4) == b"\x7fELF" and path.suffix != ".ko"
        if is_program:
            add_program(tree, path)
        tree.file(f"add/{path.name}", path.resolve(), 0o755)


def add_trees(tree, names):
    """Folders of this repository, in /tree."""
    for name in names:
        top = (ROOT / name).resolve()
        if not top.is_relative_to(ROOT) or not top.is_dir():
            raise Trouble(f"tree={name}: there is no such folder in {ROOT}")
        for path in sorted(top.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                tree.file(f"tree/{path.relative_to(ROOT)}", path)


def image(kernel, out, modules=(), add=(), programs=(), trees=(), files=None, dpdk=False):
    """Writes the archive of one VM. `files`: path inside -> bytes."""
    overlay = Tree()
    add_guest(overlay)
    add_farlane(overlay)
    for path in modules:
        overlay.file(f"farlane/{path.name}", stripped(path))
    for name in programs:
        add_wanted(overlay, name)
    if dpdk:
        add_dpdk(overlay)
    add_own(overlay, add)
    add_trees(overlay, trees)
    for name, data in (files or {}).items():
        overlay.file(name, data)
    with open(out, "wb") as file:
        with open(base(kernel), "rb") as first:
            while chunk := first.read(1 << 20):
                file.write(chunk)
        overlay.write(file)
