# SPDX-License-Identifier: Apache-2.0
"""What a guest may ask this machine: the command `host` in the guests.

Receives: words from a guest. Hands on: an exit code and one line. Owns: nothing.
"""
import base64
import json
import re

from bed import link
from bed.native import SIGNALS
from bed.paths import Trouble

HELP = """host link stats|set|reset|cut|heal|pcap [LINK] [from=END] [KEY=VALUE...]
host target [NAME] start|stop|restart|kill9|pause|resume|pid|log
host target [NAME] farlane WORD...      the tool, at that target's daemon
host vm NAME run SCRIPT | daemon WORD   in another VM
host hmp NAME COMMAND...                QEMU's monitor of a VM
host save FILE                          keeps a copy outside, in the run's logs; its path there
host help"""
SAVED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
MOST_SAVED_BYTES = 256 << 20
ACTIONS = ("start", "stop", "restart", "kill9", "pause", "resume", "pid", "log", "farlane")


def field_of(value, path):
    """"links.net.delivered" of an answer."""
    for part in path.split("."):
        if isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        elif isinstance(value, dict) and part in value:
            value = value[part]
        else:
            there = ", ".join(value) if isinstance(value, dict) else "nothing"
            raise Trouble(f"the answer has no '{part}' of '{path}'; there is: {there}")
    return value


def line_of(value):
    """One line: a text as it is when it has no newline, else JSON."""
    if isinstance(value, str) and "\n" not in value:
        return value
    return json.dumps(value)


async def answer(run, vm, line):
    """The answer's line to a request's line: "ID<tab>FIELD<tab>WORD<tab>..."."""
    ident, _, rest = line.partition("\t")
    field, _, words = rest.partition("\t")
    try:
        value = await execute(run, words.split("\t") if words else [])
        return f"{ident} 0 {line_of(field_of(value, field) if field else value)}"
    except Trouble as trouble:
        return f"{ident} 1 {line_of(' '.join(str(trouble).split()))}"
    except (OSError, ValueError) as error:
        run.log(f"{vm.name}: host {words!r}: {error}")
        return f"{ident} 7 {line_of(str(error))}"


async def execute(run, words):
    if not words or words[0] == "help":
        return HELP
    if words[0] == "link":
        return await run.link.ask(link.request_of(words[1:], run.topology.links))
    if words[0] == "target":
        return await target(run, words[1:])
    if words[0] == "vm" and len(words) >= 4 and words[2] in ("run", "daemon"):
        return await run.in_vm(run.vm(words[1]), " ".join(words[2:]))
    if words[0] == "hmp" and len(words) >= 3:
        answered = await run.vm(words[1]).monitor("human-monitor-command", **{"command-line": " ".join(words[2:])})
        return answered.get("return", answered)
    if words[0] == "save" and len(words) == 4:
        return save(run.folder / "saved", *words[1:])
    raise Trouble(f"'{' '.join(words)}' is not known: {HELP}")


def save(folder, name, offset, text):
    """A part of a file of a guest; parts come in order. The path of what is there of it."""
    if not SAVED.fullmatch(name):
        raise Trouble(f"host save: '{name}' is no name for a file outside (letters, digits, . _ -)")
    path = folder / name
    there = path.stat().st_size if path.exists() and offset != "0" else 0
    data = base64.b64decode(text, validate=True)
    if offset != str(there):
        raise Trouble(f"host save: {name} has {there} bytes, the next part begins at {offset}")
    if there + len(data) > MOST_SAVED_BYTES:
        raise Trouble(f"host save: {name} is larger than {MOST_SAVED_BYTES >> 20} MiB")
    folder.mkdir(exist_ok=True)
    with open(path, "ab" if there else "wb") as file:
        file.write(data)
    return str(path)


async def target(run, words):
    name = run.topology.targets[0].name
    if words and words[0] not in ACTIONS:
        name, words = words[0], words[1:]
    elif len(run.topology.targets) > 1:
        raise Trouble(f"which target? {', '.join(t.name for t in run.topology.targets)}")
    if not words or words[0] not in ACTIONS:
        raise Trouble(f"host target: one of {', '.join(ACTIONS)}")
    if not run.topology.host(name).native:
        return await run.in_vm(run.vm(name), " ".join(["daemon", *words]))
    return await native(run.native(name), words)


async def native(daemon, words):
    action = words[0]
    if action == "start":
        await daemon.start()
    elif action == "restart":
        if daemon.running():
            await daemon.signal("stop")
        await daemon.start()
    elif action in SIGNALS:
        await daemon.signal(action)
    elif action == "log":
        return daemon.log.read_text(errors="replace")
    elif action == "farlane":
        code, text = await daemon.ask(*words[1:])
        if code != 0:
            raise Trouble(text)
        return json.loads(text) if "json" in words else text
    return {"pid": daemon.process.pid if daemon.running() else None}
