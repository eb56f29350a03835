#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# A person's way into the testbed: login on a terminal, the link from outside, gdb at the kernel, and
# that all is gone afterwards. Boots a virtual machine; tests/run.sh calls it in the stage "testbed".
import os
import pathlib
import pty
import re
import select
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TESTBED = ROOT / "qemu" / "testbed"
LIMIT_S = 120


class Terminal:
    """The testbed's shell behind a terminal of our own."""

    def __init__(self, *words):
        self.text = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execv(TESTBED, [str(TESTBED), "shell", *words])

    def until(self, expression):
        """Reads until the words are there; what was read up to their end."""
        end = time.monotonic() + LIMIT_S
        while not (found := re.search(expression, self.text)):
            if time.monotonic() > end:
                raise AssertionError(f"'{expression}' did not come; there was: {self.text}")
            if select.select([self.fd], [], [], 1)[0]:
                try:
                    data = os.read(self.fd, 65536)
                except OSError:
                    data = b""
                if not data:
                    raise AssertionError(f"ended before '{expression}'; there was: {self.text}")
                self.text += data.decode(errors="replace")
        self.text, before = self.text[found.end():], self.text[:found.end()]
        return before

    def type(self, text):
        os.write(self.fd, text.encode())

    def wait(self):
        """Exit code, when everything is down."""
        try:
            while os.read(self.fd, 65536):
                pass
        except OSError:
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def testbed(*words):
    return subprocess.run([TESTBED, *words], capture_output=True, text=True, timeout=LIMIT_S, check=False)


class ShellTest(unittest.TestCase):
    def test_a_session(self):
        with tempfile.NamedTemporaryFile(prefix="farlane-added-") as added:
            terminal = Terminal("one", "--no-module", "--add", added.name)
            run = str(terminal.pid)
            terminal.until(r"Ctrl-\] leaves")
            terminal.until(r"# ")
            terminal.type("ls /add\r")
            terminal.until(os.path.basename(added.name))
            terminal.type("until farlane show nvme0 >/tmp/x; do :; done; echo re''ached\r")
            terminal.until("reached")

        self.assertEqual(testbed("link", "--run", run, "set", "net", "loss=1%").returncode, 0)
        wrong = testbed("link", "--run", run, "set", "net", "loss=7")
        self.assertEqual(wrong.returncode, 2)
        self.assertIn("0 to 1", wrong.stderr)
        terminal.type("host -f links.net.from.i0.set.loss link stats\r")
        terminal.until(r"[^=]1%")

        debugged = testbed("gdb", "--run", run, "--command", "info symbol $rip", "--command", "detach")
        self.assertEqual(debugged.returncode, 0, debugged.stderr)
        self.assertRegex(debugged.stdout, r"in section \.text|No symbol matches")
        self.assertIn("no VM", testbed("attach", "--run", run, "i9").stderr)

        terminal.type("\x1d")
        self.assertEqual(terminal.wait(), 0)
        self.assertIn("no such testbed", testbed("link", "--run", run, "stats").stderr)


class MistakesTest(unittest.TestCase):
    def test_each_says_what_is_valid(self):
        for words, wanted in ((["run", "five"], "there are: alone"), (["run", "--test", "nosuch"], "there are: boot"),
                              (["run", "--kernel", "5.4"], "6.1"), (["run", "--exports", "none", "-c", "true"], "default"),
                              (["run", "alone", "--add", "/nonexistent", "-c", "true"], "no such file"),
                              (["kdir", "5.4"], "6.1"), (["attach", "--run", "1"], "no such testbed")):
            done = testbed(*words)
            self.assertNotEqual(done.returncode, 0, words)
            self.assertIn(wanted, done.stdout + done.stderr, words)
            self.assertNotIn("Traceback", done.stdout + done.stderr, words)


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    unittest.main()
