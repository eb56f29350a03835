# SPDX-License-Identifier: Apache-2.0
"""An initramfs archive ("newc", Documentation/driver-api/early-userspace/buffer-format.rst).

Receives: a tree described in memory. Hands on: the same bytes for the same tree. Owns: nothing.
"""
import stat


class Tree:
    """Names to what they are; folders on the way come by themselves."""

    def __init__(self):
        self.entries = {}

    def folder(self, name, mode=0o755):
        parts = name.strip("/").split("/")
        for i in range(1, len(parts)):
            self.entries.setdefault("/".join(parts[:i]), (stat.S_IFDIR | 0o755, b"", (0, 0)))
        if parts != [""]:
            self.entries.setdefault("/".join(parts), (stat.S_IFDIR | mode, b"", (0, 0)))

    def _put(self, name, mode, data, device=(0, 0)):
        name = name.strip("/")
        if "/" in name:
            self.folder(name.rsplit("/", 1)[0])
        self.entries[name] = (mode, data, device)

    def file(self, name, data, mode=0o644):
        """`data`: bytes, or the path of a file that is read when the archive is written."""
        self._put(name, stat.S_IFREG | mode, data)

    def link(self, name, target):
        self._put(name, stat.S_IFLNK | 0o777, target.encode())

    def node(self, name, major, minor, mode=0o600):
        self._put(name, stat.S_IFCHR | mode, b"", (major, minor))

    def write(self, out):
        for number, name in enumerate(sorted(self.entries), 1):
            mode, data, device = self.entries[name]
            if not isinstance(data, bytes):
                data = data.read_bytes()
            _entry(out, number, name, mode, data, device)
        _entry(out, 0, "TRAILER!!!", 0, b"", (0, 0))
        out.write(b"\0" * (-out.tell() % 512))


def _entry(out, number, name, mode, data, device):
    raw = name.encode() + b"\0"
    # ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
    fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, device[0], device[1], len(raw), 0)
    out.write(b"070701" + b"".join(b"%08X" % f for f in fields) + raw)
    out.write(b"\0" * (-(110 + len(raw)) % 4))
    out.write(data)
    out.write(b"\0" * (-len(data) % 4))
