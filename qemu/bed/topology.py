# SPDX-License-Identifier: Apache-2.0
"""Who is there and how they are joined.

Receives: qemu/topologies/NAME.toml. Hands on: VMs, native daemons and links, checked. Owns: nothing.
"""
import dataclasses
import ipaddress
import re
import tomllib

from bed.paths import QEMU, Trouble

FOLDER = QEMU / "topologies"
NAME = re.compile(r"[a-z][a-z0-9]{0,7}")
ROLES = ("initiator", "target")


@dataclasses.dataclass
class Host:
    """A VM or a native daemon."""
    name: str
    number: int
    native: bool
    role: str
    address: str = ""
    peers: list = dataclasses.field(default_factory=list)

    @property
    def mac(self):
        # locally administered; 52:54:00 is what QEMU's guests have
        return f"{'02:77:00' if self.native else '52:54:00'}:77:00:{self.number:02x}"


@dataclasses.dataclass
class Topology:
    name: str
    hosts: list
    links: dict
    switches: list

    @property
    def vms(self):
        return [h for h in self.hosts if not h.native]

    @property
    def natives(self):
        return [h for h in self.hosts if h.native]

    @property
    def targets(self):
        return [h for h in self.hosts if h.role == "target"]

    def host(self, name):
        for each in self.hosts:
            if each.name == name:
                return each
        raise Trouble(f"there is no '{name}' in topology {self.name}: {', '.join(h.name for h in self.hosts)}")


def names():
    return sorted(p.stem for p in FOLDER.glob("*.toml"))


def load(name):
    path = FOLDER / f"{name}.toml"
    if not re.fullmatch(r"[a-z0-9]+", name) or not path.exists():
        raise Trouble(f"there is no topology '{name}'; there are: {', '.join(names())}")
    return parse(name, path.read_text())


def parse(name, text):
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Trouble(f"topology {name}: {error}") from None
    _only(name, data, {"vm", "native", "links", "switches"})
    hosts = [_host(name, entry, i, False) for i, entry in enumerate(data.get("vm", []), 1)]
    hosts += [_host(name, entry, i, True) for i, entry in enumerate(data.get("native", []), len(hosts) + 1)]
    topology = Topology(name, hosts, data.get("links", {}), data.get("switches", []))
    known = [h.name for h in hosts] + topology.switches
    if len(set(known)) != len(known):
        raise Trouble(f"topology {name}: a name is there twice")
    for host in hosts:
        for peer in host.peers:
            if topology.host(peer).role != "target":
                raise Trouble(f"topology {name}: {peer}, a peer of {host.name}, is no target")
    for link, ends in topology.links.items():
        if len(ends) != 2 or any(e not in known for e in ends):
            raise Trouble(f"topology {name}: link {link} needs two ends out of {', '.join(known)}")
    if not topology.vms:
        raise Trouble(f"topology {name}: there is no VM")
    return topology


def _only(name, entry, valid):
    wrong = set(entry) - valid
    if wrong:
        raise Trouble(f"topology {name}: no key '{wrong.pop()}'; valid: {', '.join(sorted(valid))}")


def _host(name, entry, number, native):
    _only(name, entry, {"name", "address"} if native else {"name", "role", "address", "peers"})
    host = Host(entry.get("name", ""), number, native, "target" if native else entry.get("role", ""),
                entry.get("address", ""), entry.get("peers", []))
    if not NAME.fullmatch(host.name):
        raise Trouble(f"topology {name}: '{host.name}' is no name (a letter, then letters and digits, at most 8)")
    if host.role not in ROLES:
        raise Trouble(f"topology {name}: {host.name}: role is one of {', '.join(ROLES)}")
    if host.address:
        try:
            ipaddress.IPv4Address(host.address)
        except ValueError:
            raise Trouble(f"topology {name}: {host.name}: '{host.address}' is no IPv4 address") from None
    return host
