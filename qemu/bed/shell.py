# SPDX-License-Identifier: Apache-2.0
"""A topology for people: everything runs, and the terminal is in a VM.

Receives: topology and kernel. Hands on: a login. Owns: what Run owns, until the person leaves.
"""
import asyncio
import json
import pathlib

from bed import terminal
from bed.paths import RUNS, Trouble
from bed.run import Run


class ShellRun(Run):
    """Instead of a script, a person."""

    async def run_script(self):
        first = self.topology.vms[0].name
        others = ", ".join(v.name for v in self.topology.vms[1:])
        print(f"\nVM {first}; Ctrl-] leaves and ends everything. `host help` asks this machine; farlane.ko, when it is "
              "built, is /farlane/farlane.ko, what --add gave is in /add." +
              (f"\nOther VMs ({others}): qemu/testbed attach NAME" if others else ""), flush=True)
        await asyncio.get_running_loop().run_in_executor(None, terminal.join, self.vms[first].tty)


def latest():
    """run.json of the youngest run that is going on."""
    for path in sorted(RUNS.glob("*/run.json"), reverse=True):
        entry = json.loads(path.read_text())
        if pathlib.Path(entry["sockets"]).is_dir() and pathlib.Path(f"/proc/{entry['pid']}").exists():
            entry["folder"] = str(path.parent)
            return entry
    raise Trouble("no testbed runs at the moment: start one with 'qemu/testbed shell' or 'make qemu-shell'")
