# SPDX-License-Identifier: Apache-2.0
"""TCG or KVM.

Receives: a kernel. Hands on: "kvm" when a guest booted with it on this machine, else "tcg".
Owns: build/testbed/kvm: what the trial said, for this boot of the machine.
"""
import os
import pathlib
import subprocess
import tempfile

from bed.paths import BUILD, program

TRIAL_S = 10
# The trial's kernel finds no root and panics, which ends QEMU: by then it has run for a while.
END = "VFS: Unable to mount root fs"


def boot_id():
    return pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def choose(kernel):
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    cache = BUILD / "kvm"
    if cache.exists():
        known, _, answer = cache.read_text().strip().partition(" ")
        if known == boot_id() and answer in ("tcg", "kvm"):
            return answer
    answer = "kvm" if trial(kernel) else "tcg"
    cache.parent.mkdir(parents=True, exist_ok=True)
    cache.write_text(f"{boot_id()} {answer}\n")
    if answer == "tcg":
        print("testbed: /dev/kvm is there, but a trial guest did not boot with it; using TCG", flush=True)
    return answer


def trial(kernel):
    with tempfile.NamedTemporaryFile() as console:
        command = [program("qemu-system-x86_64", "qemu-system-x86"), "-no-user-config", "-nodefaults", "-display",
                   "none", "-no-reboot", "-machine", "q35", "-accel", "kvm", "-cpu", "host", "-smp", "2", "-m", "256M",
                   "-kernel", str(kernel.vmlinux), "-append", "console=ttyS0 panic=-1 nokaslr",
                   "-serial", f"file:{console.name}"]
        try:
            subprocess.run(command, timeout=TRIAL_S, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL, check=False)
        except subprocess.TimeoutExpired:
            return False
        return END in pathlib.Path(console.name).read_text(errors="replace")
