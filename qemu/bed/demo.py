# SPDX-License-Identifier: Apache-2.0
"""`make demo`: the script demo.sh of the guest tests, shown to people.

Receives: kernel, picture, folder for the result. Hands on: lines that say what happens and why, the
filtered picture, an exit code. Owns: what Run owns.
"""
import asyncio
import json
import pathlib
import shutil
import sys
import time

from bed import accel, kernel, script
from bed.paths import PROGRAMS, Trouble, program
from bed.run import Options, Run

NATIVE = "'make demo-native' needs no virtual machine: two daemons on this machine, without the kernel's drivers"
PICTURE = "farlane-demo-filtered.png"
MARKS = {"title": "1;36", "command": "1", "new": "32", "good": "1;32", "bad": "1;31", "dim": "2"}


class Screen:
    """Lines for people; colours only on a terminal."""

    def __init__(self, out=sys.stdout):
        self.out = out
        self.colours = out.isatty()

    def line(self, text="", mark=""):
        if mark and self.colours:
            text = f"\033[{MARKS[mark]}m{text}\033[0m"
        print(text, file=self.out, flush=True)

    def from_guest(self, line):
        """A line of demo.sh: "-- title", "$ command", "+ new", or an answer."""
        if line.startswith("-- "):
            self.line()
            self.line(line[3:], "title")
        elif line.startswith("$ "):
            self.line("  " + line, "command")
        elif line.startswith("+ "):
            self.line("  " + line, "new")
        elif line.startswith("FAILED"):
            self.line("  " + line, "bad")
        else:
            self.line("  " + line.rstrip())


class DemoRun(Run):
    """A run that talks; its log is kept as of every run."""

    def __init__(self, found, options, screen):
        super().__init__(found, options)
        self.screen = screen

    def printed(self, vm, line):
        super().printed(vm, line)
        self.screen.from_guest(line)

    def seconds(self):
        return time.monotonic() - self.started_s

    async def start(self):
        self.screen.line(f"farlane.ko is built for {self.options.kernel.release}; the target starts; the VM boots ...",
                         "dim")
        await super().start()
        self.screen.line(f"it is up after {self.seconds():.0f} s", "dim")


def checked_picture(text):
    """PICTURE=: a file that farlane-demo can read; said before anything boots."""
    path = pathlib.Path(text)
    if not path.is_file():
        raise Trouble(f"PICTURE={text}: there is no such file")
    with open(path, "rb") as file:
        begin = file.read(8)
    if begin != b"\x89PNG\r\n\x1a\n" and begin[:2] not in (b"P3", b"P6"):
        raise Trouble(f"PICTURE={text}: it is neither PNG nor PPM; convert it first, such as "
                      "'convert photo.jpg photo.png'")
    return str(path.resolve())


def needed(kernel_name):
    """The kernel, and whether it runs with KVM; Trouble says what else can be done."""
    try:
        if kernel_name not in kernel.names():
            raise Trouble(f"KERNEL={kernel_name}: there is no such kernel; there are: {', '.join(kernel.names())}")
        program("qemu-system-x86_64", "qemu-system-x86")
        for name in ("farlaned", "farlane", "farlane-demo", "farlane-link"):
            if not (PROGRAMS / name).exists():
                raise Trouble(f"there is no {name} in {PROGRAMS}: run 'make build'")
        found = kernel.get(kernel_name)
        return found, accel.choose(found)
    except Trouble as trouble:
        raise Trouble(f"{trouble}\n  {NATIVE}") from None


def introduce(screen, found, how):
    slow = "emulated by QEMU (TCG: no usable KVM here), so times are not Farlane's" if how == "tcg" else "by QEMU with KVM"
    screen.line("Farlane: PCIe functions of another machine, used by this machine's own drivers", "title")
    screen.line(f"  initiator  a VM with Debian's stock kernel {found.release}, {slow}")
    screen.line("  target     farlaned outside of the VM, with a simulated NVMe controller and an accelerator")
    screen.line("  between    Ethernet: the VM's virtio-net, a link emulator, UDP")


def bring_back(run, out):
    """The picture that the guest saved, in the folder of the demo."""
    saved = run.folder / "saved" / PICTURE
    if not saved.exists():
        run.reasons.append("the filtered picture did not come out of the VM")
        return None
    out.mkdir(parents=True, exist_ok=True)
    return pathlib.Path(shutil.copy(saved, out / PICTURE))


def show(kernel_name, picture, out):
    """The demonstration; exit code."""
    screen = Screen()
    add = [checked_picture(picture)] if picture else []
    found, how = needed(kernel_name)
    introduce(screen, found, how)
    said = []
    run = DemoRun(script.load("demo"), Options(kernel=found, accel=how, add=add, echo=said.append),
                  screen)
    try:
        asyncio.run(run.execute())
    except Trouble as trouble:
        run.reasons.append(str(trouble))
    picture_path = None if run.reasons else bring_back(run, out)
    if run.folder:
        (run.folder / "run.log").write_text("\n".join(said) + "\n")
    return conclude(screen, run, picture_path)


def conclude(screen, run, picture_path):
    screen.line()
    if run.reasons:
        screen.line("The demo failed: " + run.reasons[0], "bad")
        for reason in run.reasons[1:]:
            screen.line("  also: " + reason)
        screen.line(f"  logs (console, output, daemons): {run.folder}")
        screen.line(f"  {NATIVE}")
        return 1
    frames = json.loads((run.folder / "link.stats").read_text())["links"]["net"]["delivered"]
    screen.line(f"All was well: every step succeeded, the VM's console has no warning, {frames} frames crossed the link; "
                f"{run.seconds():.0f} s", "good")
    screen.line(f"  filtered picture: {picture_path.resolve()}")
    screen.line(f"  logs: {run.folder}")
    screen.line("  look around in such a VM: make qemu-shell")
    return 0
