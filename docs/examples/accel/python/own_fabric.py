# SPDX-License-Identifier: Apache-2.0
# Receives: options of a command line. Hands on: a fabric with an accelerator: one that is there, or one of one's own.
# Owns: the farlaned it starts and a temporary folder; both are gone at the end of the `with`.
import contextlib
import ctypes
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile

import farlane

CONFIG = """
[daemon]
name = "target"
socket = "{folder}/target.sock"
state_dir = "{folder}/target.state"
[[port]]
name = "link"
url = "udp:127.0.0.1:{port}"
listen = true
[[export]]
name = "accel0"
device = "accel"
executor = "{executor}"
memory = "256M"
"""
READY_WITHIN_SECONDS = 60
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


def add_options(parser):
    parser.add_argument("--executor", choices=("opencl", "cuda", "cpu"), default="opencl",
                        help="of the accelerator that is started here (opencl)")
    parser.add_argument("--farlaned", default=shutil.which("farlaned") or "farlaned", help="the daemon to start")
    parser.add_argument("--device", metavar="NAME", help="use this accelerator of a fabric that is there, and start nothing")
    parser.add_argument("--socket", default="", help="with --device: control socket of its farlaned")
    parser.add_argument("--peer", metavar="HOST:PORT", help="with --device: reach the target without a farlaned here")


def free_udp_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def wait_until_ready(notices, daemon, log):
    """As sd_notify(3) has it: the daemon tells on a socket when it is ready."""
    notices.settimeout(0.2)  # between two looks at whether it lives
    for _ in range(int(READY_WITHIN_SECONDS / 0.2)):
        with contextlib.suppress(TimeoutError):
            if notices.recv(512).startswith(b"READY=1"):
                return
        if daemon.poll() is not None:
            break
    lines = log.read_text(encoding="utf-8").splitlines()
    raise RuntimeError(lines[-1] if lines else "farlaned does not become ready")


@contextlib.contextmanager
def own_target(options):
    """Address of a farlaned with the accelerator `accel0`."""
    with tempfile.TemporaryDirectory(prefix="farlane-example-") as name:
        folder, port = pathlib.Path(name), free_udp_port()
        (folder / "target.toml").write_text(CONFIG.format(folder=folder, port=port, executor=options.executor), encoding="utf-8")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices, open(folder / "log", "wb") as log:
            notices.bind(str(folder / "ready"))
            with subprocess.Popen([options.farlaned, "--config", folder / "target.toml"], stdout=log, stderr=log,
                                  env={**os.environ, "NOTIFY_SOCKET": str(folder / "ready")},
                                  preexec_fn=lambda: LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)) as daemon:
                try:
                    wait_until_ready(notices, daemon, folder / "log")
                    yield f"127.0.0.1:{port}"
                finally:
                    daemon.terminate()


@contextlib.contextmanager
def accelerator(options):
    """An attached accelerator."""
    with contextlib.ExitStack() as stack:
        if options.device and not options.peer:
            fabric = farlane.Fabric(socket=options.socket)
        else:
            peer = options.peer or stack.enter_context(own_target(options))
            fabric = farlane.Fabric("embedded", port="udp:", peer=peer)
        stack.enter_context(fabric)
        yield stack.enter_context(fabric.attach(options.device or "accel0"))
