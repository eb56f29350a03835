# SPDX-License-Identifier: Apache-2.0
"""The link emulator as a process, and its client.

Receives: a topology. Hands on: farlane-link running, answers of its control socket.
Owns: that process.
"""
import asyncio
import contextlib
import json
import socket

from bed.paths import PROGRAMS, Trouble
from bed.vm import die_with_parent

MTU = 9000
FARLANE_PORT = 4793
COMMANDS = ("stats", "set", "reset", "cut", "heal", "pcap")


class LinkEmulator:
    def __init__(self, topology, folder, sockets, seed, pcap):
        self.topology = topology
        self.folder = folder
        self.sockets = sockets
        self.seed = seed
        self.pcap = pcap
        self.process = None
        self.control = f"{sockets}/link.control"

    def nic_path(self, host):
        return f"{self.sockets}/{host.name}.nic"

    def config(self, native_ports):
        endpoints = {h.name: {"stream": self.nic_path(h)} for h in self.topology.vms if h.address}
        for host in self.topology.natives:
            endpoints[host.name] = {"native": {
                "address": host.address, "mac": host.mac,
                "ports": {str(FARLANE_PORT): f"127.0.0.1:{native_ports[host.name]}"}}}
        config = {"control": self.control, "mtu": MTU, "seed": self.seed, "endpoints": endpoints,
                  "switches": self.topology.switches, "links": self.topology.links}
        if self.pcap:
            config["pcap"] = str(self.pcap)
        return config

    async def start(self, native_ports):
        program = PROGRAMS / "farlane-link"
        if not program.exists():
            raise Trouble(f"there is no {program}: run 'make build'")
        file = self.folder / "link.json"
        file.write_text(json.dumps(self.config(native_ports), indent=1))
        with open(self.folder / "link.log", "wb") as errors:
            self.process = await asyncio.create_subprocess_exec(
                program, "--config", file, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
                stderr=errors, preexec_fn=die_with_parent)
        if await self.process.stdout.readline() != b"ready\n":
            await self.process.wait()
            raise Trouble(f"farlane-link did not start: {(self.folder / 'link.log').read_text().strip()}")

    async def ask(self, request):
        """The emulator's answer; raises Trouble when it refuses."""
        reader, writer = await asyncio.open_unix_connection(self.control, limit=1 << 22)
        try:
            writer.write(json.dumps(request).encode() + b"\n")
            line = await reader.readline()
        finally:
            writer.close()
        return result_of(line)

    async def stop(self):
        """True when it ended cleanly."""
        if not self.process:
            return True
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.terminate()
        return await self.process.wait() == 0


def result_of(line):
    if not line:
        raise Trouble("the link emulator does not answer")
    answer = json.loads(line)
    if not answer.get("ok"):
        raise Trouble(answer.get("error", "the link emulator refused"))
    return answer["result"]


def ask_now(control, request):
    """The same without a loop, for the command line."""
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(control)
        s.sendall(json.dumps(request).encode() + b"\n")
        return result_of(s.makefile("rb").readline())


def request_of(words, links):
    """["set", "net", "from=i0", "loss=0.01"] as a request."""
    if not words or words[0] not in COMMANDS:
        raise Trouble(f"link: one of {', '.join(COMMANDS)} [LINK] [from=END] [KEY=VALUE...]")
    request = {"cmd": words[0]}
    for word in words[1:]:
        key, equals, value = word.partition("=")
        if equals:
            request[key] = value
        elif "link" not in request and word in links:
            request["link"] = word
        else:
            raise Trouble(f"link: '{word}' is no link (there are: {', '.join(links)}) and no KEY=VALUE")
    return request
