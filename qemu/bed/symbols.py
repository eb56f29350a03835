# SPDX-License-Identifier: Apache-2.0
"""Names for gdb. Debian's kernels come without symbols (those are a package of 700 MB), but a running
guest knows its own, and without KASLR they are the same at each boot.

Receives: /proc/kallsyms of a guest. Hands on: an ELF file with nothing but a symbol table.
Owns: kernels/<short>/symbols.elf.
"""
import re
import struct
import subprocess
import sys

from bed import paths

LINE = re.compile(r"^([0-9a-f]{16}) ([tTdDbBrRwWVA]) (\S+)$", re.MULTILINE)
TEXT_BEGIN, TEXT_BYTES = 0xffffffff81000000, 0x3f000000
FUNCTION, OBJECT = 2, 1
GLOBAL = 1


def elf(kallsyms):
    """The symbols of the kernel itself, without its modules, as an ELF file (System V ABI, chapter 4)."""
    names, table = bytearray(b"\0"), bytearray(24)
    for address, kind, name in LINE.findall(kallsyms):
        value = int(address, 16)
        if value < TEXT_BEGIN:
            continue  # per-CPU offsets, not addresses
        info = GLOBAL << 4 | (FUNCTION if kind in "tT" else OBJECT)
        table += struct.pack("<IBBHQQ", len(names), info, 0, 1, value, 0)
        names += name.encode() + b"\0"
    section_names = b"\0.text\0.symtab\0.strtab\0.shstrtab\0"
    offset = 64
    blobs = []
    headers = [bytes(64), _section(1, 8, 6, TEXT_BEGIN, 64, TEXT_BYTES)]  # NOBITS: the code is in the guest
    for name, kind, blob, link, entry in ((7, 2, bytes(table), 3, 24), (15, 3, bytes(names), 0, 0),
                                          (23, 3, section_names, 0, 0)):
        headers.append(_section(name, kind, 0, 0, offset, len(blob), link, 1 if kind == 2 else 0, entry))
        blob += b"\0" * (-len(blob) % 8)
        blobs.append(blob)
        offset += len(blob)
    head = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 0, 0, offset, 0, 64, 0, 0, 64,
                                                          len(headers), len(headers) - 1)
    return head + b"".join(blobs) + b"".join(headers)


def _section(name, kind, flags, address, offset, size, link=0, info=0, entry=0):
    return struct.pack("<IIQQQQIIQQ", name, kind, flags, address, offset, size, link, info, 8, entry)


def of(kernel):
    """The file for that kernel; the first time a guest is asked."""
    path = kernel.folder / "symbols.elf"
    if not path.exists():
        print("testbed: asking a guest for the kernel's symbols (once)", flush=True)
        done = subprocess.run([sys.executable, paths.QEMU / "testbed", "run", "alone", "--kernel", kernel.short, "-c",
                               "cat /proc/kallsyms"], capture_output=True, text=True, check=False)
        text = "\n".join(line.partition("| ")[2] for line in done.stdout.splitlines())
        found = elf(text)
        if done.returncode != 0 or text.count("\n") < 1000:
            raise paths.Trouble(f"no guest with {kernel.release} told its symbols: {done.stdout[-500:]}")
        path.write_bytes(found)
    return path
