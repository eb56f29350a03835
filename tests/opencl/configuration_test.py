#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# A configuration that does not work is said on stderr, in one line with what to do, and never on stdout; who configured
# nothing hears nothing. Real daemons, one with an accelerator that takes no OpenCL C.
import argparse
import os
import pathlib
import subprocess
import sys
import tempfile

from with_accelerator import Daemon, free_port, initiator_config

TARGET = '''
[[port]]
name = "lan"
url = "udp:127.0.0.1:{port}"
listen = true
[[export]]
name = "accel0"
device = "accel"
executor = "cpu"
memory = "32M"
'''


def run(args, environment):
    keep = {k: v for k, v in os.environ.items() if k not in ("FARLANE_OPENCL_CONFIG", "XDG_CONFIG_HOME", "HOME")}
    got = subprocess.run([args.program, "ask"], env={**keep, "OCL_ICD_VENDORS": args.vendors, **environment},
                         capture_output=True, text=True, timeout=60, check=False)
    assert got.returncode == 0, got
    assert got.stdout == "", f"the program's stdout has: {got.stdout}"
    return got.stderr


def expect_line(text, parts):
    lines = text.splitlines()
    assert len(lines) == 1 and lines[0].startswith("farlane-opencl["), f"one line, not: {text}"
    for part in parts:
        assert part in lines[0], f"'{part}' is missing in: {text}"
    print("ok:", lines[0])


def check(args, folder, socket):
    home = {"HOME": str(folder / "empty")}
    file = folder / "opencl.toml"
    fabric = f'[[fabric]]\nsocket = "{socket}"\n'
    cases = [
        ("[[fabric]]\nsocket = \n", [f"{file}:2:", "correct that file"]),
        ("[[fabric]]\nsockets = 1\n", [f"{file}:2:", "unknown key 'sockets'", "correct that file"]),
        ('[[fabric]]\nprovider = "embeded"\n', ["embeded", "one of daemon, embedded, kernel"]),
        (f'[[fabric]]\nsocket = "{folder}/nobody.sock"\n', [str(file), "nobody.sock", "start it"]),
        ('[[fabric]]\nprovider = "embedded"\nport = "udp:127.0.0.1:0"\npeer = "127.0.0.1:9"\nconnect_timeout_ms = 300\n',
         [str(file), "127.0.0.1:9"]),
        (fabric + 'accelerators = ["accel9"]\n', [str(file), "no accelerator 'accel9'", "'accel0'", "correct"]),
        (fabric + 'accelerators = ["accel0"]\n', [str(file), "'accel0'", "executor is not opencl"]),
        (fabric + 'accelerators = ["accel9", "accel8"]\n', ["'accel9'", "(1 more"]),
        (fabric, [str(file), "no accelerator with executor opencl"]),
        ("", [str(file), "has no [[fabric]]", "correct that file"]),
        ('log = ""\n', [str(file), "has no [[fabric]]"]),
    ]
    for text, parts in cases:
        file.write_text(text)
        expect_line(run(args, {**home, "FARLANE_OPENCL_CONFIG": str(file)}), parts)
    # The same once in the log, when that is stderr; in another log beside the line.
    file.write_text('log = "stderr"\n' + fabric + 'accelerators = ["accel9"]\n')
    expect_line(run(args, {**home, "FARLANE_OPENCL_CONFIG": str(file)}), ["no accelerator 'accel9'"])
    log = folder / "icd.log"
    file.write_text(f'log = "{log}"\n' + fabric + "accelerator = 1\n")
    expect_line(run(args, {**home, "FARLANE_OPENCL_CONFIG": str(file)}), ["unknown key 'accelerator'"])
    assert "unknown key 'accelerator'" in log.read_text(), log.read_text()
    # A file that is not there; one in a place where it is looked for; a folder in its place.
    absent = str(folder / "absent.toml")
    expect_line(run(args, {**home, "FARLANE_OPENCL_CONFIG": absent}),
                [absent, "No such file", "unset $FARLANE_OPENCL_CONFIG"])
    (folder / "config" / "farlane").mkdir(parents=True)
    (folder / "config" / "farlane" / "opencl.toml").write_text("log = 1\n")
    expect_line(run(args, {"XDG_CONFIG_HOME": str(folder / "config")}), ["'log' is a string"])
    expect_line(run(args, {**home, "FARLANE_OPENCL_CONFIG": str(folder / "config")}),
                [f"{folder / 'config'}: is a directory", "correct that file"])
    # Nobody configured anything.
    if not pathlib.Path("/etc/farlane/opencl.toml").exists():
        quiet = run(args, home)
        assert quiet == "", f"without a configuration: {quiet}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", type=pathlib.Path, required=True, help="folder of farlaned")
    parser.add_argument("--vendors", required=True)
    parser.add_argument("program", help="opencl_lifecycle")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="farlane-opencl-") as name:
        folder = pathlib.Path(name)
        (folder / "empty").mkdir()
        port = free_port()
        daemons = []
        try:
            daemons.append(Daemon(args.bin / "farlaned", folder, "target", TARGET.format(port=port)))
            daemons.append(Daemon(args.bin / "farlaned", folder, "initiator", initiator_config(port)))
            check(args, folder, daemons[1].socket)
        finally:
            for d in reversed(daemons):
                d.end()
    return 0


if __name__ == "__main__":
    sys.exit(main())
