#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Benchmarks in a guest of the testbed; docs/performance.md says what they measure.

Receives: which parts, kernel, repeats. Hands on: a table, and JSON as bench/README.md describes it.
Owns: the runs of the testbed that it starts.
"""
import argparse
import asyncio
import json
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "qemu"))
sys.path.insert(0, str(HERE))
sys.dont_write_bytecode = True
# pylint: disable=wrong-import-position
import rows
from bed import accel, kernel, script
from bed.paths import ROOT, Trouble
from bed.run import Options, Run

PARTS = {"trap": "trap.sh", "disk": "disk.sh"}
MOST_MEASURE_S = 10  # then others get the machine again, whatever the guest does
PROGRAM = ROOT / "build" / "release" / "bench" / "nvme_rate"


def thread_ids(pid):
    return [int(name) for name in os.listdir(f"/proc/{pid}/task")]


class BenchRun(Run):
    """A run whose guest may ask for a quiet machine while it measures: `host priority measure`."""

    repeats = 5
    priority = "normal"
    limit = None

    def guest_files(self, host):
        files = super().guest_files(host)
        files["etc/testbed.conf"] += f'REPEATS="{self.repeats}"\n'.encode()
        files["tests/bench.sh"] = (HERE / "bench.sh").read_bytes()
        return files

    async def answer_host(self, vm, line):
        ident, _, rest = line.partition("\t")
        words = rest.split("\t")[1:]
        if words[:1] != ["priority"]:
            return await super().answer_host(vm, line)
        if self.limit:
            self.limit.cancel()
        measure = words[1:] == ["measure"]
        await self.prioritize(measure)
        if measure:
            self.limit = asyncio.get_running_loop().call_later(
                MOST_MEASURE_S, lambda: self._tasks.add(asyncio.ensure_future(self.prioritize(False))))
        return await vm.send("host", f"{ident} 0 ok")

    async def prioritize(self, measure):
        """Processors of guests above what else runs on this machine, and what they wait for above them: on a busy
        machine of two cores a thread that was woken waits for milliseconds."""
        vcpus = set()
        for vm in self.vms.values():
            answer = await vm.monitor("query-cpus-fast")
            vcpus.update(cpu["thread-id"] for cpu in answer["return"])
        processes = [vm.process for vm in self.vms.values()] + [d.process for d in self.natives.values()]
        processes += [self.link.process] if self.link else []
        for tid in (t for p in processes for t in thread_ids(p.pid)):
            how = (os.SCHED_RR, 1 if tid in vcpus else 2) if measure else (os.SCHED_OTHER, 0)
            try:
                os.sched_setscheduler(tid, how[0], os.sched_param(how[1]))
                self.priority = "real time while it measures"
            except PermissionError:
                self.priority = "normal: real time needs root"
            except ProcessLookupError:
                pass  # a thread that has ended meanwhile


def cache_line_ns():
    """Round trip of a cache line between two cores, now: half of what the ring costs (docs/performance.md)."""
    done = subprocess.run([PROGRAM.with_name("cacheline"), "--repeat", "3"], capture_output=True, text=True, check=False)
    return json.loads(done.stdout)["round_trip_min_ns"] if done.returncode == 0 else None


def run_part(name, a):
    """What the guest said: its lines "BENCH KEY VALUE...", in order."""
    found = script.parse(HERE / PARTS[name], (HERE / PARTS[name]).read_text())
    machine = kernel.get(a.kernel)
    run = BenchRun(found, Options(kernel=machine, accel=accel.choose(machine), add=[str(PROGRAM)],
                                  echo=(lambda text: print(text, flush=True)) if a.verbose else (lambda _: None)))
    run.repeats = a.repeats
    before_ns = cache_line_ns()
    asyncio.run(run.execute())
    if run.reasons:
        raise Trouble(run.report())
    said = (run.folder / "i0.out").read_text(errors="replace").splitlines()
    return {"lines": [line for line in said if line.startswith("BENCH ")], "kernel": machine.release,
            "accelerator": run.options.accel, "priority": run.priority, "cacheline_ns": [before_ns, cache_line_ns()]}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", default=",".join(PARTS), help=f"any of {', '.join(PARTS)}")
    parser.add_argument("--kernel", default="6.1")
    parser.add_argument("--repeats", type=int, default=5, help="of each figure, by turns with what it stands beside")
    parser.add_argument("--out", default=str(ROOT / "bench" / "results" / "guest.json"))
    parser.add_argument("--verbose", action="store_true", help="what the testbed says, as well")
    return parser.parse_args()


def main():
    a = arguments()
    if not PROGRAM.exists():
        print(f"bench: there is no {PROGRAM}: run 'make build'", file=sys.stderr)
        return 2
    result = {"machine": rows.machine(), "cores": os.cpu_count(), "rows": {}, "raw": {}}
    commit = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    result["commit"] = commit.stdout.strip() or "unknown"
    result["command"] = " ".join(["bench/guest/bench.py", *sys.argv[1:]])
    for name in a.parts.split(","):
        if name not in PARTS:
            print(f"bench: there is no part '{name}'; there are: {', '.join(PARTS)}", file=sys.stderr)
            return 2
        try:
            said = run_part(name, a)
        except Trouble as trouble:
            print(f"bench: {name}: {trouble}", file=sys.stderr)
            result.setdefault("failed", {})[name] = str(trouble).splitlines()[0]
            continue
        result["raw"][name] = said
        found = rows.PARTS[name](said["lines"])
        result["rows"].update(found)
        for key, row in found.items():
            print(rows.text(key, row), flush=True)
    pathlib.Path(a.out).write_text(json.dumps(result, indent=1) + "\n")
    print(f"written: {a.out}")
    return 1 if "failed" in result else 0


if __name__ == "__main__":
    sys.exit(main())
