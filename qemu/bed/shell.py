# SPDX-License-Identifier: Apache-2.0
"""A topology for people: everything runs, and the terminal is in a VM.

Receives: topology and kernel. Hands on: a login. Owns: what Run owns, until the person leaves.
"""
import asyncio
import json
import os
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
              (f"\nOther VMs ({others}): qemu/testbed attach NAME --run {os.getpid()}" if others else ""), flush=True)
        await asyncio.get_running_loop().run_in_executor(None, terminal.join, self.vms[first].tty)


def running():
    """run.json of all runs that are going on, by the name of their folder."""
    found = {}
    for path in sorted(RUNS.glob("*/run.json")):
        entry = json.loads(path.read_text())
        if pathlib.Path(entry["sockets"]).is_dir() and pathlib.Path(f"/proc/{entry['pid']}").exists():
            found[path.parent.name] = entry
    return found


def the_run(wanted):
    """The run that is meant: the only one, or the one whose name or process id is given. Never a guess:
    several people and tests may use the testbed of one machine."""
    found = running()
    if wanted:
        found = {name: e for name, e in found.items() if wanted in (name, str(e["pid"]))}
    if len(found) == 1:
        return next(iter(found.values()))
    if found:
        raise Trouble("several testbeds run; say which by --run: " +
                      ", ".join(f"{e['pid']} ({name})" for name, e in found.items()))
    raise Trouble("no such testbed runs at the moment; start one with 'qemu/testbed shell' or 'make qemu-shell'")
