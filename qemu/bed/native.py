# SPDX-License-Identifier: Apache-2.0
"""A target daemon on this machine, outside of all VMs.

Receives: a host of the topology and what it exports. Hands on: farlaned, started, stopped, killed
and started again. Owns: that process, its state folder and its log.
"""
import asyncio
import contextlib
import os
import signal
import socket

from bed.paths import PROGRAMS, QEMU, Trouble
from bed.vm import die_with_parent

FRAME_BYTES = 8968  # what fits into 9000 bytes of IP, a multiple of 8
SIGNALS = {"stop": signal.SIGTERM, "kill9": signal.SIGKILL, "pause": signal.SIGSTOP, "resume": signal.SIGCONT}


def exports(name, folder):
    path = QEMU / "exports" / f"{name}.toml"
    if not path.exists():
        raise Trouble(f"no exports '{name}'; there are: {', '.join(sorted(p.stem for p in path.parent.glob('*.toml')))}")
    return path.read_text().replace("{dir}", str(folder))


GRACE_MS, MOST_COMPLETION_TIMEOUT_MS = 10000, 8000  # farlaned's own default, and its limit


def daemon_config(name, socket_path, state, url, peers=(), exported="", listen=False, patience=1):
    """farlaned's configuration; the same form inside and outside of VMs. Slow guests come back later, and answer later."""
    text = f'[daemon]\nname = "{name}"\nsocket = "{socket_path}"\nstate_dir = "{state}"\n\n'
    if patience > 1 and "[session]" not in exported:
        text += f"[session]\ngrace_ms = {GRACE_MS * patience}\ncompletion_timeout_ms = {MOST_COMPLETION_TIMEOUT_MS}\n\n"
    text += f'[[port]]\nname = "net"\nurl = "{url}"\nlisten = {"true" if listen else "false"}\n\n'
    for peer in peers:
        text += f'[[peer]]\nport = "net"\naddress = "{peer}"\n\n'
    return text + exported


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class NativeTarget:
    def __init__(self, host, folder, sockets, exports_name, patience=1):
        self.host = host
        self.folder = folder / host.name
        self.socket = f"{sockets}/{host.name}.sock"
        self.log = folder / f"{host.name}.log"
        self.exports_name = exports_name
        self.patience = patience
        self.port = free_port()
        self.process = None
        self.trouble = []  # ends that nobody asked for

    def write_config(self):
        self.folder.mkdir(exist_ok=True)
        text = daemon_config(self.host.name, self.socket, self.folder / "state",
                             f"udp:127.0.0.1:{self.port}?mtu={FRAME_BYTES}", listen=True,
                             exported=exports(self.exports_name, self.folder), patience=self.patience)
        (self.folder / "farlaned.toml").write_text(text)

    def running(self):
        return self.process is not None and self.process.returncode is None

    async def start(self):
        if self.running():
            raise Trouble(f"target {self.host.name} is running (pid {self.process.pid})")
        self.write_config()
        with open(self.log, "ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                PROGRAMS / "farlaned", "--config", self.folder / "farlaned.toml", stdin=asyncio.subprocess.DEVNULL,
                stdout=log, stderr=log, preexec_fn=die_with_parent)
        while True:
            code, _ = await self.ask("--timeout", "5", "stats")  # version succeeds without a daemon
            if code == 0 and self.running():
                return
            if not self.running():
                raise Trouble(f"target {self.host.name} did not start: {self.last_words()}")
            await asyncio.sleep(0.02)

    async def ask(self, *words):
        """farlane with these words: exit code and what it printed."""
        process = await asyncio.create_subprocess_exec(
            PROGRAMS / "farlane", "--socket", self.socket, *words, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
        out, errors = await process.communicate()
        return process.returncode, (out if process.returncode == 0 else errors).decode(errors="replace")

    async def signal(self, action):
        if not self.running():
            raise Trouble(f"target {self.host.name} is not running")
        self.process.send_signal(SIGNALS[action])
        if action == "kill9":
            await self.process.wait()
        elif action == "stop" and await self.process.wait() != 0:
            raise Trouble(f"target {self.host.name} did not stop cleanly ({self.process.returncode})")

    def check(self):
        """What is wrong with it although nobody asked for that."""
        if self.process is not None and not self.running() and self.process.returncode not in (0, -signal.SIGKILL):
            return [f"target {self.host.name} ended by itself with {self.process.returncode}: {self.last_words()}"]
        return []

    def last_words(self):
        text = self.log.read_text(errors="replace").strip() if self.log.exists() else ""
        return text.splitlines()[-1] if text else "(no log)"

    async def finish(self):
        """Stops it at the end of a run; sentences about what is wrong."""
        wrong = self.check()
        if not self.running():
            return wrong
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, signal.SIGCONT)
            self.process.terminate()
        try:
            code = await asyncio.wait_for(self.process.wait(), 20)
        except asyncio.TimeoutError:
            self.process.kill()
            await self.process.wait()
            return wrong + [f"target {self.host.name} did not end on SIGTERM within 20 s"]
        return wrong + ([] if code == 0 else [f"target {self.host.name} ended with {code}: {self.last_words()}"])
