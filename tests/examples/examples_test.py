#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Receives: the folder of the programs, the source folder, the name of a case. Hands on: 0 when the example does what its
# README says, 77 when this machine has no OpenCL for it, else a traceback. Owns: a temporary folder and what it starts.
import csv
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time

import pictures

BIN, SOURCE = (pathlib.Path(p) for p in sys.argv[1:3])
EXAMPLES = SOURCE / "docs/examples/accel"
NO_OPENCL = "no OpenCL here"
SKIP = 77


def run(name, *arguments):
    return subprocess.run([BIN / f"farlane-example-{name}", *map(str, arguments)], capture_output=True, text=True,
                          timeout=240, check=False)


def results(name, *arguments, opencl=False):
    """What an example says with -o json; the test is skipped when it needs OpenCL and there is none."""
    done = run(name, *arguments, "-o", "json")
    if opencl and NO_OPENCL in done.stderr:
        print(done.stderr)
        sys.exit(SKIP)
    assert done.returncode == 0, (done.returncode, done.stderr)
    said = json.loads(done.stdout)
    assert said["example"] == f"farlane-example-{name}"
    return said


def fails(code, text, name, *arguments):
    done = run(name, *arguments)
    assert done.returncode == code, (done.returncode, done.stderr)
    lines = [line for line in done.stderr.splitlines() if NO_OPENCL not in line]
    assert lines[-1].startswith(f"farlane-example-{name}: ") and text in lines[-1], (text, done.stderr)
    return done


def image_filter(folder):
    chance = random.Random(1)
    picture = [[tuple(chance.randrange(256) for _ in range(4)) for _ in range(53)] for _ in range(37)]
    pictures.write_png(folder / "in.png", picture)
    for executor in "auto", "cpu":
        said = results("image-filter", "--picture", folder / "in.png", "--out", folder, "--executor", executor)
        own = said["filters"]["opencl_c"]
        assert own == (said["accelerator"]["executor"] == "opencl")
        clean = pictures.filtered(picture, pictures.median if own else pictures.blur)
        sharp = pictures.read_png(folder / "image-filter-sharp.png")
        edges = pictures.read_png(folder / "image-filter-edges.png")
        assert sharp == pictures.filtered(clean, pictures.sharpen)
        assert edges == pictures.filtered(clean, pictures.sobel if own else pictures.laplace)


def blocked_gemm(_):
    for executor in "auto", "cpu":
        said = results("blocked-gemm", "--size", 2048, "--block", 512, "--executor", executor)
        assert said["check"]["right"] and said["product"]["gflops"] > 0
        assert said["memory"]["larger_than_device"]
        assert said["overlap"]["moved_bytes"] == (2 * 4 + 1) * 2048 * 2048 * 4
    assert results("blocked-gemm", "--size", 48, "--block", 48)["check"]["right"]  # one block
    assert results("blocked-gemm", "--size", 96, "--block", 32)["check"]["right"]


def kmeans(folder):
    said = results("kmeans", "--plot", folder / "plot.png", opencl=True)
    with open(EXAMPLES / "kmeans/points.csv", newline="", encoding="utf-8") as file:
        points = [(float(row["x"]), float(row["y"]), int(row["group"])) for row in csv.DictReader(file)]
    clusters = [(c["centre"], c["rows"]) for c in said["clusters"]]
    found = [[] for _ in clusters]
    inertia = 0
    for x, y, group in points:
        distance, nearest = min(((x - c[0]) ** 2 + (y - c[1]) ** 2, i) for i, (c, _) in enumerate(clusters))
        inertia += distance
        found[nearest].append(group)
    assert abs(inertia - said["check"]["inertia"]) < 1e-4 * inertia
    assert [len(f) for f in found] == [rows for _, rows in clusters]
    majority = [max(f.count(group) for group in range(5)) for f in found]  # the groups that the points were made in
    assert sum(majority) > 0.97 * len(points), majority
    plot = pictures.read_png(folder / "plot.png")
    assert len(plot) == len(plot[0]) == 640 and len({pixel for row in plot for pixel in row}) > 6
    (folder / "quoted.csv").write_text('"x","y"\r\n' + '"1","2"\r\n' * 9, encoding="utf-8")
    assert results("kmeans", "--csv", folder / "quoted.csv", "--plot", folder / "q.png", opencl=True)["check"]["rows"] == 9
    one = results("kmeans", "--columns", "x", "--clusters", 1, "--plot", folder / "one.png", opencl=True)["clusters"][0]
    assert one["rows"] == len(points) and abs(one["centre"][0] - sum(p[0] for p in points) / len(points)) < 1e-4


def n_body(folder):
    said = results("n-body", "--bodies", 256, "--steps", 40, "--picture", folder / "sky.png", opencl=True)
    assert 0 < said["check"]["energy_drift"] < 0.01 and said["check"]["force_error"] < 1e-3
    assert said["simulation"]["interactions"] == 256 * 256 * 41
    sky = pictures.read_png(folder / "sky.png")
    assert (len(sky[0]), len(sky)) == (1024, 640) and sum(pixel[0] > 40 for row in sky for pixel in row) > 100


def inference(_):
    for arguments in (), ("--batch", 7), ("--batch", 4096), ("--executor", "cpu"):
        said = results("inference", *arguments)
        assert said["accuracy"]["digits"] == 1000 and said["accuracy"]["accuracy"] > 0.95
        assert said["check"]["largest_error"] < 1e-3


def sharing(_):
    for executor in "auto", "cpu":
        said = results("sharing", "--rounds", 8, "--executor", executor)
        assert said["processes"]["finished"] == 7 and said["killed"]["exit_code"] == 128 + 9
        assert said["killed"]["after_rounds"] >= 2


def command_line(_):
    for name in "image-filter", "blocked-gemm", "kmeans", "n-body", "inference", "sharing":
        done = run(name, "--help")
        assert done.returncode == 0 and "--device NAME" in done.stdout and not done.stderr
        fails(2, "--nonsense", name, "--nonsense")
        fails(2, "--executor needs a value", name, "--executor")
        fails(2, "one of text|json", name, "-o", "xml")
        fails(2, "goes with --device", name, "--peer", "127.0.0.1:1")
        if not os.path.exists("/dev/nvidiactl"):
            fails(2, "no device for executor cuda", name, "--executor", "cuda")
        fails(2, "memory", name, "--memory", "33M")
        fails(2, "No such file", name, "--farlaned", "/nonexistent/farlaned")
        fails(7, "/nonexistent/socket", name, "--device", "accel0", "--socket", "/nonexistent/socket")


def errors(folder):
    fails(2, "PNG", "image-filter", "--picture", __file__)
    fails(2, "No such file", "image-filter", "--picture", folder / "nothing.png")
    fails(2, "No such file", "image-filter", "--out", folder / "nowhere")
    for name, option in ("kmeans", "--plot"), ("n-body", "--picture"):  # before the work, not behind it
        done = fails(2, "No such file", name, option, folder / "nowhere/plot.png")
        assert "accelerator" not in done.stdout and "starting" not in done.stderr, done
    fails(2, "a number from", "blocked-gemm", "--size", "many")
    fails(2, "multiple", "blocked-gemm", "--size", 1000, "--block", 512)
    fails(1, "--memory gives", "blocked-gemm", "--size", 2048, "--block", 2048)
    fails(2, "takes no OpenCL C", "kmeans", "--executor", "cpu")
    fails(2, "takes no OpenCL C", "n-body", "--executor", "cpu")
    for text, word in (("", "empty"), ("x,y\n1,2\n3\n", ":3:"), ("x,y\n1,nan\n", ":2:"), ("x,z\n1,2\n", "column 'y'; it has x, z"),
                       ("x,y\n1,2\n", "1 rows are fewer than 5 clusters"), ("x,y\n1,1e30\n", ":2: 1e30 is too large")):
        (folder / "bad.csv").write_text(text, encoding="utf-8")
        fails(2, word, "kmeans", "--csv", folder / "bad.csv")
    pictures.write_png(folder / "dot.png", [[(200, 10, 10, 255)]])
    assert results("image-filter", "--picture", folder / "dot.png", "--out", folder)["check"]["pixels"] == 3
    weights = (EXAMPLES / "inference/weights.bin").read_bytes()
    for damaged, word in ((b"", "too early"), (weights[:-1], "too early"), (weights + b"x", "more than"),
                          (b"x" + weights[1:], "otherwise"), (weights[:12] + b"\xff" * 4 + weights[16:], "layers"),
                          (weights[:16] + b"\xff\xff\0\0\xff\xff\0\0" + weights[24:], "64 Mi"),
                          (weights[:24] + b"\0\0\xc0\x7f" + weights[28:], "no number")):
        (folder / "bad.bin").write_bytes(damaged)
        fails(2, word, "inference", "--weights", folder / "bad.bin")
    (folder / "bad.txt").write_text("123\n45\n", encoding="utf-8")
    fails(2, ":2:", "inference", "--labels", folder / "bad.txt")
    upside_down = "\n".join((EXAMPLES / "inference/digits.txt").read_text(encoding="utf-8").split()[::-1])
    (folder / "wrong.txt").write_text(upside_down, encoding="utf-8")
    fails(9, "the training read", "inference", "--labels", folder / "wrong.txt")


def interrupted(folder):
    """^C ends the example and its daemons, and leaves no file."""
    for number in signal.SIGINT, signal.SIGTERM:
        process = subprocess.Popen([BIN / "farlane-example-blocked-gemm", "--executor", "cpu", "--size", "16384"],
                                   env={**os.environ, "TMPDIR": str(folder)}, stdout=subprocess.DEVNULL)
        until = time.monotonic() + 60
        while not list(folder.glob("farlane-example-*/target.sock")):
            assert process.poll() is None and time.monotonic() < until
            time.sleep(0.01)
        process.send_signal(number)
        assert process.wait(60) == 128 + number
        assert not list(folder.iterdir())


def python(folder):
    def script(*arguments):
        return subprocess.run([sys.executable, EXAMPLES / "python/kmeans.py", "--farlaned", BIN / "farlaned", *arguments],
                              capture_output=True, text=True, timeout=240, check=False)
    done = script("-o", "json")
    if "no device for executor opencl" in done.stderr:
        print(done.stderr)
        sys.exit(SKIP)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    cpp = results("kmeans", "--plot", folder / "plot.png")
    assert said["rows"] == sum(said["sizes"]) == cpp["check"]["rows"]
    assert abs(said["inertia"] - cpp["check"]["inertia"]) < 1e-3 * said["inertia"]  # the same five groups
    for name, text in (("one", "x,z\n1,2\n"), ("nan", "x,y\n1,2\n3,abc\n"), ("few", "x,y\n1,2\n3,4\n")):
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    for arguments, word in ((("--executor", "cpu"), "takes no OpenCL C"), (("--csv", folder / "none.csv"), "none.csv"),
                            (("--csv", folder / "one.csv"), "no column 'y'; it has x, z"),
                            (("--csv", folder / "nan.csv"), "row 2 has"), (("--csv", folder / "few.csv"), "from 1 to 2"),
                            (("--device", "accel0", "--socket", "/nonexistent/socket"), "/nonexistent/socket")):
        failed = script(*arguments)
        assert failed.returncode == 1 and failed.stderr.startswith("kmeans.py: ") and word in failed.stderr, failed.stderr


def existing_fabric(folder):
    """A farlaned that is there already, reached without one on this side."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "target.toml").write_text(f"""
[daemon]
name = "target"
socket = "{folder}/target.sock"
state_dir = "{folder}/target.state"
[[port]]
name = "link"
url = "udp:127.0.0.1:{port}"
listen = true
[[export]]
name = "gpu7"
device = "accel"
memory = "64M"
""", encoding="utf-8")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
        notices.bind(str(folder / "ready"))
        notices.settimeout(60)
        daemon = subprocess.Popen([BIN / "farlaned", "--config", folder / "target.toml"],
                                  env={**os.environ, "NOTIFY_SOCKET": str(folder / "ready")})
        try:
            while not notices.recv(512).startswith(b"READY=1"):
                pass
            there = ("--device", "gpu7", "--peer", f"127.0.0.1:{port}", "--port", "udp:127.0.0.1:0")
            said = results("image-filter", *there, "--out", folder)
            assert said["accelerator"]["name"] == "gpu7" and said["accelerator"]["executor"] == "cpu"
            assert results("blocked-gemm", *there, "--size", 256, "--block", 64)["check"]["right"]
            fails(3, "gpu8", "inference", "--device", "gpu8", *there[2:])
            fails(2, "--socket", "sharing", *there)
        finally:
            daemon.terminate()
            daemon.wait()


def main():
    with tempfile.TemporaryDirectory(prefix="farlane-examples-") as folder:
        globals()[sys.argv[3]](pathlib.Path(folder))


if __name__ == "__main__":
    main()
