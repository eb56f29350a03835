# SPDX-License-Identifier: Apache-2.0
"""One run: a topology, from nothing to nothing.

Receives: topology, kernel, script. Hands on: a result with reasons. Owns: all processes of the run,
its sockets (a private folder in /tmp) and its logs (build/testbed/runs/NAME).
"""
import asyncio
import contextlib
import json
import os
import pathlib
import shutil
import tempfile
import time

from bed import console, hostcalls, module, topology as topologies
from bed.link import FARLANE_PORT, MTU, LinkEmulator
from bed.native import FRAME_BYTES, NativeTarget, daemon_config, exports
from bed.paths import RUNS, Trouble
from bed.vm import Machine, Vm, nic_address

BOOT_TIMEOUT_S = 120
STALL_S = 30  # a kernel that boots has something to say
END_TIMEOUT_S = 60
DEBUG_PATIENCE = 8  # times longer with a debug kernel
DEBUG_MEMORY = 2  # times more: shadow memory, red zones, what is kept back for a while
KEPT_RUNS = 60
# uio_pci_generic in a machine without IOMMU: DPDK has to give the card physical addresses
DPDK_URL = "dpdk:{nic}?mtu=" + str(FRAME_BYTES) + "&eal=--iova-mode=pa"


class Options:
    """What the command line adds to a script's wishes."""

    def __init__(self, **given):
        self.kernel = given["kernel"]  # a kernel.Kernel
        self.accel = given["accel"]
        self.add = given.get("add", [])
        self.gdb = given.get("gdb")  # a VM's name
        self.shells = given.get("shells", False)
        self.seed = given.get("seed", 1)
        self.pcap = given.get("pcap", False)
        self.echo = given.get("echo", print)
        self.timeout_s = given.get("timeout_s")
        self.smp = given.get("smp")
        self.qemu = given.get("qemu", [])


class Run:
    def __init__(self, script, options):
        self.script = script
        self.options = options
        self.topology = topologies.load(script.topology)
        if script.port == "dpdk" and self.topology.natives:
            raise Trouble(f"port=dpdk: a native daemon, as in topology {script.topology}, speaks udp; take 'two'")
        self.reasons = []  # why it failed
        self.vms = {}
        self.natives = {}
        self.link = None
        self.folder = None
        self.sockets = None
        self.started_s = time.monotonic()
        self.patience = DEBUG_PATIENCE if options.kernel.debug else 1
        self._waiting = {}  # VM -> future of the order it works on
        self._up = {}
        self._tasks = set()

    # -- what others ask of a run

    def log(self, text):
        self.options.echo(f"[{time.monotonic() - self.started_s:6.2f}] {text}")

    def vm(self, name):
        if name not in self.vms:
            raise Trouble(f"there is no VM '{name}'; there are: {', '.join(self.vms)}")
        return self.vms[name]

    def native(self, name):
        return self.natives[name]

    async def in_vm(self, vm, order):
        """Has a VM execute an order; its answer, or Trouble when that failed."""
        if vm.name in self._waiting:
            raise Trouble(f"VM {vm.name} is busy; a script can not ask for another in its own VM")
        future = asyncio.get_running_loop().create_future()
        self._waiting[vm.name] = future
        try:
            await vm.order(order)
            code = await future
        finally:
            self._waiting.pop(vm.name, None)
        if code != 0:
            raise Trouble(f"'{order}' in VM {vm.name} ended with {code}")
        return {"rc": 0}

    # -- life

    async def execute(self):
        """Everything; True when all was well. `reasons` says what was not."""
        self.prepare()
        try:
            await self.start()
            await self.run_script()
        except Trouble as trouble:
            self.reasons.append(str(trouble))
        except asyncio.CancelledError:  # Ctrl-C: nobody waits for a VM that is at work
            self.reasons.append("stopped")
            raise
        finally:
            await self.end()
        self.judge()
        return not self.reasons

    def prepare(self):
        RUNS.mkdir(parents=True, exist_ok=True)
        forget_old_runs()
        stamp = time.strftime("%Y%m%d-%H%M%S")
        self.folder = pathlib.Path(tempfile.mkdtemp(
            prefix=f"{stamp}-{self.script.name}-{self.options.kernel.short}-", dir=RUNS))
        self.sockets = tempfile.mkdtemp(prefix="farlane-bed-")
        (self.folder / "run.json").write_text(json.dumps({
            "pid": os.getpid(), "sockets": self.sockets, "topology": self.topology.name,
            "vms": [v.name for v in self.topology.vms], "links": list(self.topology.links),
            "kernel": self.options.kernel.release, "short": self.options.kernel.short}))

    async def start(self):
        for host in self.topology.natives:
            self.natives[host.name] = daemon = NativeTarget(host, self.folder, self.sockets, self.script.exports,
                                                              self.patience)
            await daemon.start()
        if self.topology.links:
            pcap = self.folder / "link.pcap" if self.options.pcap else None
            self.link = LinkEmulator(self.topology, self.folder, self.sockets, self.options.seed, pcap)
            await self.link.start({name: d.port for name, d in self.natives.items()})
        built = module.build(self.options.kernel) if self.script.module else []
        await asyncio.gather(*(self.start_vm(host, built) for host in self.topology.vms))
        await self.wait_for_boot()
        if self.script.daemon and self.topology.links:
            # targets first: an initiator that finds its peer at once is up at once
            for role in ("target", "initiator"):
                await asyncio.gather(*(self.in_vm(self.vms[h.name], "daemon start")
                                       for h in self.topology.vms if h.role == role))

    async def start_vm(self, host, built):
        s, o = self.script, self.options
        memory_mib = s.memory * (DEBUG_MEMORY if o.kernel.debug else 1)
        machine = Machine(o.kernel, o.accel, o.smp or s.smp, memory_mib, s.swiotlb, s.threads)
        vm = Vm(host.name, machine, self.folder, self.sockets, self.heard)
        if host.address:
            vm.nics.append((host.mac, self.link.nic_path(host)))
        vm.image_options = {"modules": built, "add": o.add, "programs": s.programs, "trees": s.tree,
                            "dpdk": s.port == "dpdk"}
        vm.files = self.guest_files(host)
        vm.extra = list(o.qemu)
        if s.nvme and host.role == "initiator":
            disk = self.folder / f"{host.name}.disk"
            with open(disk, "wb") as file:
                file.truncate(s.nvme << 20)
            vm.extra += ["-drive", f"if=none,id=disk,format=raw,file={disk}", "-device", "nvme,drive=disk,serial=bed"]
        vm.wait_for_gdb = o.gdb == host.name
        self.vms[host.name] = vm
        self._up[host.name] = asyncio.Event()
        await vm.start()

    def guest_files(self, host):
        conf = {"VM": host.name, "ROLE": host.role, "MTU": MTU, "TOPOLOGY": self.topology.name,
                "ADDRESSES": f"{host.mac}={host.address}/24" if host.address else "",
                "PEERS": " ".join(host.peers), "LINKS": " ".join(self.topology.links),
                "SHELLS": "yes" if self.options.shells else "no", "SEED": self.options.seed,
                "PATIENCE": self.patience, "DPDK_NIC": ""}
        if self.script.port == "dpdk" and host.address:
            conf |= {"ADDRESSES": "", "DPDK_NIC": nic_address(0)}
            url = DPDK_URL.format(nic=nic_address(0))
            peers = [self.topology.host(p).mac for p in host.peers]
        else:
            url = f"udp:{host.address}:{FARLANE_PORT}?mtu={FRAME_BYTES}"
            peers = [f"{self.topology.host(p).address}:{FARLANE_PORT}" for p in host.peers]
        target = host.role == "target"
        config = daemon_config(host.name, "/run/farlane/farlaned.sock", "/run/farlane/state",
                               url, peers,
                               exports(self.script.exports, "/run/farlane") if target else "", target, self.patience)
        return {"etc/testbed.conf": "".join(f'{k}="{v}"\n' for k, v in conf.items()).encode(),
                "etc/farlane/farlaned.toml": config.encode(),
                f"tests/{self.script.path.name}": self.script.path.read_bytes()}

    async def wait_for_boot(self):
        if self.options.gdb:
            vm = self.vm(self.options.gdb)
            self.log(f"VM {vm.name} waits for gdb: qemu/testbed gdb {vm.name} --run {os.getpid()}, then continue")
        limit = None if self.options.gdb else BOOT_TIMEOUT_S * self.patience
        for name, event in self._up.items():
            up = event.wait() if limit is None else self.comes_up(self.vms[name], event)
            await self.or_end(self.vms[name], up, limit, f"VM {name} did not boot within {limit} s")

    async def comes_up(self, vm, event, look_s=2):
        """Waits for it no longer than its console grows."""
        limit, bytes_before, grew = STALL_S * self.patience, -1, time.monotonic()
        while True:
            with contextlib.suppress(asyncio.TimeoutError):
                return await asyncio.wait_for(event.wait(), look_s)
            size = vm.console.stat().st_size if vm.console.exists() else 0
            if size != bytes_before:
                bytes_before, grew = size, time.monotonic()
            elif time.monotonic() - grew > limit:
                raise Trouble(f"VM {vm.name} did not boot: its console has stood still for {limit} s")

    async def or_end(self, vm, awaitable, limit_s, sentence):
        """Waits for one of: it, the end of that VM, the time limit. Trouble unless it came."""
        wanted = asyncio.ensure_future(awaitable)
        ended = asyncio.ensure_future(vm.process.wait())
        try:
            await asyncio.wait({wanted, ended}, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
            if wanted.done():
                return wanted.result()
            if not ended.done():
                raise Trouble(sentence)
            raise Trouble(f"VM {vm.name} " + ("ended early" if self._up[vm.name].is_set() else "did not boot: it ended"))
        finally:
            for task in (wanted, ended):
                task.cancel()
            await asyncio.gather(wanted, ended, return_exceptions=True)

    async def run_script(self):
        first = self.vms[self.topology.vms[0].name]
        limit = self.options.timeout_s or self.script.timeout * self.patience
        self.log(f"{self.script.name} begins in VM {first.name}")
        await self.or_end(first, self.in_vm(first, f"run /tests/{self.script.path.name}"), limit,
                          f"timeout: {self.script.name} did not end within {limit} s")

    def heard(self, vm, port, line):
        """A line from a guest."""
        if port == "host":
            task = asyncio.ensure_future(self.answer_host(vm, line))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif port == "output":
            with open(self.folder / f"{vm.name}.out", "a", encoding="utf-8") as out:
                out.write(line + "\n")
            self.printed(vm, line)
        else:
            self.agent_said(vm, line)

    def printed(self, vm, line):
        """A line of a script's output."""
        self.log(f"{vm.name}| {line}")

    def agent_said(self, vm, line):
        word, _, rest = line.partition(" ")
        if word == "up":
            self.log(f"VM {vm.name} is up, {rest} s after its kernel began")
            self._up[vm.name].set()
        elif word in ("rc", "done"):
            waiting = self._waiting.get(vm.name)
            code = rest.partition(" ")[0]
            if waiting and not waiting.done():
                waiting.set_result(int(code) if code.isdigit() else 255)
        elif word == "say":
            self.reasons.append(f"VM {vm.name}: {rest}")

    async def answer_host(self, vm, line):
        await vm.send("host", await hostcalls.answer(self, vm, line))

    # -- the end

    async def end(self):
        alive = [vm for vm in self.vms.values() if vm.process and vm.process.returncode is None]
        orderly = not any(r.startswith("timeout") or r == "stopped" for r in self.reasons)
        if orderly:
            await asyncio.gather(*(self.power_off(vm) for vm in alive))
        await asyncio.gather(*(vm.kill() for vm in self.vms.values()))
        for daemon in self.natives.values():
            self.reasons += await daemon.finish()
        if self.link:
            with contextlib.suppress(Trouble, OSError, ValueError):
                (self.folder / "link.stats").write_text(json.dumps(await self.link.ask({"cmd": "stats"}), indent=1))
            if not await self.link.stop():
                self.reasons.append(f"farlane-link ended badly: {(self.folder / 'link.log').read_text().strip()}")
        for task in list(self._tasks):
            task.cancel()
        shutil.rmtree(self.sockets, ignore_errors=True)

    async def power_off(self, vm):
        limit_s = END_TIMEOUT_S * self.patience
        try:
            await asyncio.wait_for(vm.order("stop"), 5)
            await asyncio.wait_for(vm.wait(), limit_s)
        except asyncio.TimeoutError:
            self.reasons.append(f"VM {vm.name} did not power off within {limit_s} s")

    def judge(self):
        for vm in self.vms.values():
            bad = console.judge(vm.console)
            if bad:
                self.reasons.append(f"console of VM {vm.name}: {bad[0]}" +
                                    (f" (and {len(bad) - 1} more lines)" if len(bad) > 1 else ""))
        for path in self.folder.glob("*.disk"):
            path.unlink()

    def cause(self):
        """Why it failed, in one line: what the script said of it, where it came so far."""
        said = [line for path in self.told() for line in path.read_text(errors="replace").splitlines()
                if line.startswith("FAILED: ")]
        return (said or self.reasons)[0][:300]

    def told(self):
        """What scripts said in VMs."""
        return sorted(self.folder.glob("*.out")) if self.folder else []

    def report(self):
        """Why it failed, for people."""
        lines = [f"FAILED {self.script.name} on {self.options.kernel.release}: {self.reasons[0]}"]
        lines += [f"  also: {reason}" for reason in self.reasons[1:]]
        for vm in self.vms.values():
            lines.append(f"  last lines of the console of VM {vm.name}:")
            lines += [f"    {line}" for line in console.tail(vm.console).splitlines()]
        for path in self.told():
            lines.append(f"  last lines of {path.name}, what the script said:")
            lines += [f"    {line}" for line in console.tail(path, 15).splitlines()]
        lines.append(f"  logs: {self.folder}")
        return "\n".join(lines)


def forget_old_runs():
    """Logs of the last runs are kept, those before are not; never one that is going on."""
    for path in sorted(RUNS.iterdir())[:-KEPT_RUNS]:
        with contextlib.suppress(OSError, ValueError, KeyError):
            if not pathlib.Path(f"/proc/{json.loads((path / 'run.json').read_text())['pid']}").exists():
                shutil.rmtree(path)
