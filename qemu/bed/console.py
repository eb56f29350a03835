# SPDX-License-Identifier: Apache-2.0
"""Judges a guest's kernel log.

Receives: the log. Hands on: lines that make the run a failure, whatever the test said.
Owns: nothing. What a stock kernel says by itself is in qemu/allowed-console.txt.
"""
import re

from bed.paths import QEMU, Trouble

BAD = re.compile("|".join([
    r"Kernel panic", r"\bOops\b", r"\bBUG\b", r"\bWARNING:", r"general protection fault", r"unable to handle",
    r"Call Trace:", r"KASAN", r"KFENCE", r"KCSAN", r"UBSAN", r"kmemleak: \d+ new", r"unreferenced object",
    r"INFO: possible", r"possible (recursive|circular|irq)", r"inconsistent lock state", r"suspicious RCU",
    r"INFO: rcu", r"rcu: INFO", r"self-detected stall", r"detected stalls?\b", r"INFO: task .* blocked for more than",
    r"soft lockup", r"LOCKUP", r"scheduling while atomic", r"sleeping function called", r"bad: scheduling",
    r"refcount_t:", r"(list|plist)_(add|del) corruption", r"DEBUG_LOCKS_WARN_ON", r"Bad page", r"Bad rss",
    r"double fault", r"int3:", r"Out of memory", r"\bsegfault at\b", r"traps: .* trap ", r"nobody cared",
    r"module verification failed: .*fatal", r"held lock freed", r"lock held when returning",
    r"cache `.*': objects remaining|Objects remaining", r"Attempted to kill init"]))
FIRST_WORDS = "Linux version"
END_OF_TRACE = re.compile(r"---\[ end trace ")


def allowed():
    """Regular expressions with their reason; one line each: EXPRESSION ## REASON."""
    found = []
    for line in (QEMU / "allowed-console.txt").read_text().splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        expression, _, reason = line.partition(" ## ")
        if not reason.strip():
            raise Trouble(f"allowed-console.txt: no reason behind '{expression}'")
        found.append(re.compile(expression))
    return found


def scan(text, allow=None):
    """Lines of the log that are a failure, in order."""
    allow = allowed() if allow is None else allow
    bad = []
    in_allowed_trace = False  # a WARNING that is allowed brings a "Call Trace:" of its own
    for line in text.splitlines():
        if in_allowed_trace:
            in_allowed_trace = not END_OF_TRACE.search(line)
        elif BAD.search(line):
            if not any(a.search(line) for a in allow):
                bad.append(line.strip())
            elif "WARNING: CPU:" in line:
                in_allowed_trace = True
    return bad


def judge(path):
    """Like scan, of a file; a log that does not begin is a failure too: nobody watched."""
    text = path.read_text(errors="replace") if path.exists() else ""
    if FIRST_WORDS not in text:
        return ["the console shows no kernel: it did not start, or its log was lost"]
    return scan(text)


def tail(path, lines=25):
    if not path.exists():
        return "(no console log)"
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
