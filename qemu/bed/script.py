# SPDX-License-Identifier: Apache-2.0
"""A test script's wishes.

Receives: tests/testbed/guest/NAME.sh. Hands on: the keys of its "# testbed:" lines, checked.
Owns: nothing.
"""
import dataclasses
import pathlib
import re

from bed import kernel, topology
from bed.paths import GUEST_TESTS, Trouble

LINE = re.compile(r"^# testbed: (.*)$", re.MULTILINE)


def _word(text):
    if not re.fullmatch(r"[a-z0-9_-]+", text):
        raise ValueError("a name")
    return text


def _yes(text):
    if text not in ("yes", "no"):
        raise ValueError("yes or no")
    return text == "yes"


def _port(text):
    if text not in ("udp", "dpdk"):
        raise ValueError("udp or dpdk")
    return text


def _number(low, high):
    def read(text):
        if not text.isdigit() or not low <= int(text) <= high:
            raise ValueError(f"a number from {low} to {high}")
        return int(text)
    return read


def _list(text):
    return [word for word in text.split(",") if word]


def _kernels(text):
    for name in text.split(","):
        if not kernel.NAME.fullmatch(name):
            raise ValueError("kernels, such as 6.1,6.12")
    return text.split(",")


# key -> reader, standard value, what it is
KEYS = {
    "topology": (_word, "one", "file of qemu/topologies"),
    "timeout": (_number(5, 3600), 60, "seconds for the script, boot not included"),
    "kernels": (_kernels, list(kernel.SHORT), "kernels it is for"),
    "smp": (_number(1, 16), 2, "CPUs of each VM"),
    "memory": (_number(256, 65536), 1024, "MiB of each VM"),
    "swiotlb": (_yes, True, "bounce buffers, as on a machine with more than 4 GiB"),
    "threads": (_word, "multi", "TCG: multi or single"),
    "module": (_yes, False, "farlane.ko is built and at /farlane/farlane.ko"),
    "daemon": (_yes, True, "farlaned runs in each VM when the script begins"),
    "port": (_port, "udp", "of the guests' farlaned: udp through the kernel, or dpdk: the network card is its own"),
    "exports": (_word, "default", "what targets export: a file of qemu/exports"),
    "programs": (_list, [], "more programs of this machine, such as fio"),
    "tree": (_list, [], "folders of this repository that lie in /tree"),
    "nvme": (_number(1, 1 << 20), 0, "MiB of a disk behind QEMU's own nvme controller"),
    "expect": (_word, "ok", "ok, or what has to go wrong: console, rc, timeout"),
    "long": (_yes, False, "only with --long"),
}


@dataclasses.dataclass
class Script:
    path: pathlib.Path
    wishes: dict

    @property
    def name(self):
        return self.path.stem

    def __getattr__(self, key):
        try:
            return self.wishes[key]
        except KeyError:
            raise AttributeError(key) from None


def parse(path, text):
    wishes = {key: standard for key, (_, standard, _) in KEYS.items()}
    for line in LINE.findall(text):
        for word in line.split():
            key, equals, value = word.partition("=")
            if key not in KEYS or not equals:
                raise Trouble(f"{path}: '# testbed:' has no '{word}'; valid: {', '.join(KEYS)}")
            try:
                wishes[key] = KEYS[key][0](value)
            except ValueError as error:
                raise Trouble(f"{path}: '{key}' has to be {error}, not '{value}'") from None
    if wishes["expect"] not in ("ok", "console", "rc", "timeout"):
        raise Trouble(f"{path}: expect is ok, console, rc or timeout")
    return Script(path, wishes)


def load(text):
    """By path, or by name below tests/testbed/guest."""
    path = pathlib.Path(text)
    if not path.is_file():
        path = GUEST_TESTS / f"{pathlib.PurePath(text).stem}.sh"
    if not path.is_file():
        raise Trouble(f"there is no test '{text}'; there are: {', '.join(s.name for s in every())}")
    script = parse(path, path.read_text())
    topology.load(script.topology)  # says what is wrong before anything starts
    return script


def every():
    """All test scripts: those with a "# testbed:" line."""
    found = []
    for path in sorted(GUEST_TESTS.glob("*.sh")):
        text = path.read_text()
        if LINE.search(text):
            found.append(parse(path, text))
    return found
