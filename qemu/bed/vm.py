# SPDX-License-Identifier: Apache-2.0
"""One guest.

Receives: what it shall be. Hands on: a running QEMU, its words line by line, its end.
Owns: the process and the sockets of its chardevs, which it listens on so that no word is lost.
"""
import asyncio
import contextlib
import json
import os
import signal

from bed import initramfs, tsc
from bed.paths import Trouble, program

# No AVX-512 under TCG; programs are built for x86-64-v2. la57 costs page walks and nobody needs it.
CPU = {"tcg": "max,la57=off", "kvm": "host"}
COMMAND_LINE = "console=ttyS0,115200 panic=-1 oops=panic nokaslr mitigations=off no_timer_check net.ifnames=0 " \
               "audit=0 selinux=0 apparmor=0 random.trust_cpu=on cryptomgr.notests"


FIRST_NIC_SLOT = 0x10  # 00:10.0 and on, whatever else there is


def nic_address(number):
    """Where the guest sees its network card."""
    return f"0000:00:{FIRST_NIC_SLOT + number:02x}.0"


class Machine:
    """What is the same for all guests of a run."""

    def __init__(self, kernel, accel="tcg", smp=2, memory_mib=1024, swiotlb=True, threads="multi"):
        self.kernel = kernel
        self.accel = accel
        self.smp = smp
        self.memory_mib = memory_mib
        self.swiotlb = swiotlb
        self.threads = threads


class Vm:
    """A guest from start to end. Orders go in by `order`, lines come out by `on_line`."""

    PORTS = ("agent", "output", "host")

    def __init__(self, name, machine, folder, sockets, on_line):
        self.name = name
        self.machine = machine
        self.folder = folder  # logs
        self.sockets = sockets
        self.on_line = on_line  # (vm, port, line)
        self.console = folder / f"{name}.console"
        self.process = None
        self.nics = []  # (mac, socket path)
        self.extra = []
        self.wait_for_gdb = False
        self.files = {}
        self.image_options = {}
        self._servers = []
        self._writers = {}
        self._readers = []
        self._connected = {port: asyncio.Event() for port in self.PORTS}

    @property
    def tty(self):
        return f"{self.sockets}/{self.name}.tty"

    @property
    def gdb(self):
        return f"{self.sockets}/{self.name}.gdb"

    def arguments(self, initrd):
        m = self.machine
        accel = f"tcg,thread={m.threads}" if m.accel == "tcg" else m.accel
        command_line = COMMAND_LINE + (" iommu=soft" if m.swiotlb else "")
        if m.accel == "tcg":
            command_line += f" tsc=reliable tsc_early_khz={tsc.khz()}"
        a = [program("qemu-system-x86_64", "qemu-system-x86"), "-name", f"farlane-{self.name}", "-no-user-config",
             "-nodefaults", "-display", "none", "-no-reboot", "-machine", "q35,hpet=off", "-accel", accel,
             "-cpu", CPU[m.accel], "-smp", str(m.smp), "-m", f"{m.memory_mib}M",
             "-kernel", str(m.kernel.vmlinux), "-initrd", str(initrd), "-append", command_line,
             "-chardev", f"file,id=console,path={self.console}", "-serial", "chardev:console",
             "-chardev", f"socket,id=tty,path={self.tty},server=on,wait=off", "-serial", "chardev:tty",
             "-qmp", f"unix:{self.sockets}/{self.name}.qmp,server=on,wait=off",
             "-chardev", f"socket,id=gdb,path={self.gdb},server=on,wait=off", "-gdb", "chardev:gdb",
             "-device", "virtio-serial-pci,id=ports,max_ports=8", "-device", "virtio-rng-pci"]
        for port in self.PORTS:
            a += ["-chardev", f"socket,id={port},path={self.sockets}/{self.name}.{port},server=off",
                  "-device", f"virtserialport,chardev={port},name=farlane.{port}"]
        for number, (mac, path) in enumerate(self.nics):
            a += ["-netdev", f"stream,id=net{number},server=off,addr.type=unix,addr.path={path}",
                  "-device", f"virtio-net-pci,netdev=net{number},mac={mac},host_mtu=9000,romfile=,"
                             f"addr={FIRST_NIC_SLOT + number:#x}"]
        if self.wait_for_gdb:
            a += ["-S"]
        return a + self.extra

    async def start(self):
        for port in self.PORTS:
            server = await asyncio.start_unix_server(lambda r, w, p=port: self._serve(p, r, w),
                                                     f"{self.sockets}/{self.name}.{port}", limit=1 << 20)
            self._servers.append(server)
        initrd = self.folder / f"{self.name}.initrd"
        await asyncio.get_running_loop().run_in_executor(
            None, lambda: initramfs.image(self.machine.kernel, initrd, files=self.files, **self.image_options))
        errors = open(self.folder / f"{self.name}.qemu", "wb")
        self.process = await asyncio.create_subprocess_exec(
            *self.arguments(initrd), stdin=asyncio.subprocess.DEVNULL, stdout=errors, stderr=errors,
            preexec_fn=die_with_parent)
        errors.close()

    async def _serve(self, port, reader, writer):
        self._writers[port] = writer
        self._readers.append(asyncio.current_task())
        self._connected[port].set()
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            while True:
                try:
                    line = await reader.readline()
                except ValueError:  # longer than the limit: the guest is damaged
                    line = b"(a line above 1 MiB was cut)\n"
                if not line:
                    break
                self.on_line(self, port, line.decode(errors="replace").rstrip("\r\n"))

    async def send(self, port, line):
        await self._connected[port].wait()
        writer = self._writers[port]
        writer.write(line.encode() + b"\n")
        with contextlib.suppress(ConnectionError):
            await writer.drain()

    async def order(self, line):
        await self.send("agent", line)

    async def monitor(self, command, **arguments):
        """One QMP command, such as monitor("set_link", name="net0", up=False)."""
        reader, writer = await asyncio.open_unix_connection(f"{self.sockets}/{self.name}.qmp", limit=1 << 20)
        try:
            await reader.readline()
            for request in ({"execute": "qmp_capabilities"}, {"execute": command, "arguments": arguments}):
                writer.write(json.dumps(request).encode() + b"\n")
                while True:
                    line = await reader.readline()
                    if not line:
                        raise Trouble(f"{self.name}: QEMU ended while it was asked for {command}")
                    answer = json.loads(line)
                    if "event" not in answer:
                        break
            return answer
        finally:
            writer.close()

    async def wait(self):
        """Until QEMU is gone and everything it said was read."""
        code = await self.process.wait()
        if self._readers:
            await asyncio.wait(self._readers, timeout=5)
        return code

    async def kill(self):
        if self.process and self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            await self.process.wait()
        for server in self._servers:
            server.close()
        for writer in self._writers.values():
            writer.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.folder / f"{self.name}.initrd")


def die_with_parent():
    """In the child: ends with the runner even when that is killed; Ctrl-C is the runner's."""
    import ctypes
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG
    os.setpgid(0, 0)
