#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Runs a program whose only OpenCL device is a remote accelerator: farlaned with PoCL behind an accelerator, here and
# now, and the ICD through Debian's loader. Exit code: the program's; 77 where there is no OpenCL device to be served.
import argparse
import contextlib
import os
import pathlib
import random
import socket
import subprocess
import sys
import tempfile
import time

SKIP = 77
LOCAL_VENDORS = "/etc/OpenCL/vendors"


def free_port():
    """A UDP port that nothing uses and no "udp:127.0.0.1:0" is given: below the kernel's range (tests/transport/free_udp_port.hpp)."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            with contextlib.suppress(OSError):
                s.bind(("127.0.0.1", random.randrange(10000, 30000)))
                return s.getsockname()[1]


def answers(path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
        return s.connect_ex(str(path)) == 0


def wait_for(path, process, log):
    while not answers(path):
        if process.poll() is not None:
            print(log.read_text(), file=sys.stderr)
            sys.exit(1)
        time.sleep(0.02)


class Daemon:
    """A farlaned that is there when this returns, and gone at the end."""

    def __init__(self, binary, folder, name, config):
        self.socket = folder / f"{name}.sock"
        self.log = folder / f"{name}.log"
        file = folder / f"{name}.toml"
        file.write_text(f'[daemon]\nname = "{name}"\nsocket = "{self.socket}"\nstate_dir = "{folder / name}"\n' + config)
        with self.log.open("w") as out:
            self.process = subprocess.Popen([binary, "--config", file], stdout=out, stderr=out,
                                            env={k: v for k, v in os.environ.items() if not k.startswith("OCL_ICD")})
        wait_for(self.socket, self.process, self.log)

    def end(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()


def target_config(port, args):
    return f'''
[[port]]
name = "lan"
url = "udp:127.0.0.1:{port}"
listen = true
[[export]]
name = "accel0"
device = "accel"
executor = "opencl"
memory = "{args.memory}"
place = "{args.place}"
worker = "{args.worker}"
'''


def initiator_config(port):
    # The programs are the only application: nothing has to be kept for others.
    return f'''share_places = 1
[[port]]
name = "lan"
url = "udp:127.0.0.1:0"
[[peer]]
port = "lan"
address = "127.0.0.1:{port}"
'''


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", type=pathlib.Path, required=True, help="folder of farlaned")
    parser.add_argument("--worker", required=True)
    parser.add_argument("--vendors", required=True, help="folder with farlane.icd")
    parser.add_argument("--provider", choices=["embedded", "daemon"], default="embedded")
    parser.add_argument("--place", choices=["aperture", "local"], default="aperture")
    parser.add_argument("--memory", default="256M")
    parser.add_argument("--log", action="store_true", help="the ICD's log to stderr")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    args = parser.parse_args()
    if not any(pathlib.Path(LOCAL_VENDORS).glob("*.icd")):
        print("no OpenCL device here to be served: install pocl-opencl-icd", file=sys.stderr)
        sys.exit(SKIP)
    with tempfile.TemporaryDirectory(prefix="farlane-opencl-") as name:
        folder = pathlib.Path(name)
        port = free_port()
        daemons = []
        try:
            daemons.append(Daemon(args.bin / "farlaned", folder, "target", target_config(port, args)))
            client = 'log = "stderr"\n' if args.log else ""
            if args.provider == "daemon":
                daemons.append(Daemon(args.bin / "farlaned", folder, "initiator", initiator_config(port)))
                client += f'[[fabric]]\nprovider = "daemon"\nsocket = "{daemons[-1].socket}"\n'
            else:
                client += (f'[[fabric]]\nprovider = "embedded"\nport = "udp:127.0.0.1:0"\n'
                           f'peer = "127.0.0.1:{port}"\nconnect_timeout_ms = 20000\n')
            (folder / "opencl.toml").write_text(client)
            env = dict(os.environ, OCL_ICD_VENDORS=args.vendors, FARLANE_OPENCL_CONFIG=str(folder / "opencl.toml"),
                       POCL_CACHE_DIR=str(folder / "cache"))
            command = args.command[1:] if args.command[:1] == ["--"] else args.command
            code = subprocess.run(command, env=env, check=False).returncode
            if code != 0:
                for d in daemons:
                    print(f"--- {d.log.name}\n{d.log.read_text()[-3000:]}", file=sys.stderr)
            sys.exit(code if code >= 0 else 1)
        finally:
            for d in reversed(daemons):
                d.end()


if __name__ == "__main__":
    main()
