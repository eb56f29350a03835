# SPDX-License-Identifier: Apache-2.0
"""A person in a guest.

Receives: the socket of a VM's second serial line. Hands on: this terminal, joined to it.
Owns: the terminal's mode while it is joined.
"""
import os
import select
import socket
import sys
import termios
import tty

LEAVE = b"\x1d"  # Ctrl-]


def join(path):
    """Until Ctrl-], the end of the input or the end of the VM."""
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(path)
        fd = sys.stdin.fileno()
        before = termios.tcgetattr(fd) if os.isatty(fd) else None
        try:
            if before:
                tty.setraw(fd)
            line.sendall(b"\r")
            _copy(fd, line)
        finally:
            if before:
                termios.tcsetattr(fd, termios.TCSADRAIN, before)
    print("\r", flush=True)


def _copy(fd, line):
    while True:
        ready, _, _ = select.select([fd, line], [], [])
        if line in ready:
            data = line.recv(65536)
            if not data:
                return
            os.write(sys.stdout.fileno(), data)
        if fd in ready:
            data = os.read(fd, 4096)
            if not data or LEAVE in data:
                return
            line.sendall(data)
