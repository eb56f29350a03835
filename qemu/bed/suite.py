# SPDX-License-Identifier: Apache-2.0
"""Several scripts on several kernels.

Receives: scripts and kernels. Hands on: one line for each run and a sum in ctest's form.
Owns: nothing that outlives it but the logs.
"""
import asyncio
import concurrent.futures
import re
import resource
import subprocess
import sys
import time

from bed import accel, kernel
from bed.paths import ROOT, Trouble
from bed.run import Options, Run


def verdict(script, run):
    """"" when the run went as the script wants it, else why not."""
    reasons = run.reasons
    if script.expect == "ok":
        return run.report() if reasons else ""
    wanted = {"console": lambda r: r.startswith("console of VM"), "timeout": lambda r: r.startswith("timeout"),
              "rc": lambda r: "ended with" in r}[script.expect]
    if any(wanted(r) for r in reasons):
        return ""
    return f"FAILED {script.name}: the testbed should have seen a failure ({script.expect}), it saw: {reasons}"


def run_one(script, name, quiet=False, **options):
    """Runs a script on a kernel; the run and the verdict.

    The emulated timer of a CPU may stop for good while a stock kernel boots, on a machine that has other work, or the kernel
    trip over the int3 with which it patches its own code (seen on 6.12): when nothing of ours has run yet, it is said, and
    tried once more.
    """
    run, wrong = attempt(script, name, quiet, options)
    if any("did not boot" in reason for reason in run.reasons):
        print(f"again   {script.name:<16} {name:<6} the stock kernel did not come up: {run.folder}", flush=True)
        run, wrong = attempt(script, name, quiet, options)
    return run, wrong


def attempt(script, name, quiet, options):
    found = kernel.get(name)
    said = []
    echo = said.append if quiet else (lambda text: print(text, flush=True))
    run = Run(script, Options(kernel=found, accel=accel.choose(found), echo=echo, **options))
    try:
        asyncio.run(run.execute())
    except Trouble as trouble:  # before anything ran
        run.reasons.append(str(trouble))
    (run.folder / "run.log").write_text("\n".join(said) + "\n") if run.folder and said else None
    return run, verdict(script, run)


def cpu_seconds():
    """Of all that this process started and waited for: guests, daemons, builds. On a busy machine it says more than
    the clock does."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def heading(found):
    """What the lines below it are about, for logs that are kept."""
    try:
        done = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True,
                              check=False)
        commit = done.stdout.strip() or "unknown"
    except OSError:  # sources without their history, on a machine without git
        commit = "unknown"
    return f"testbed: {time.strftime('%Y-%m-%d %H:%M')}, kernel {found.release}, commit {commit}"


def contract_rows(run):
    """What its scripts measured of the failure contract, a line each (tests/failures/table.py)."""
    if not run.folder:
        return ""
    said = "\n".join(path.read_text(errors="replace") for path in sorted(run.folder.glob("*.out")))
    return "".join(line + "\n" for line in said.splitlines() if line.startswith("contract: "))


def run_all(scripts, kernels, verbose, **options):
    """Runs them all, one after the other; number of failures."""
    failed, total, begin = [], 0, time.monotonic()
    for name in kernels:
        print(heading(kernel.get(name)), flush=True)
        for script in scripts:
            if name not in script.kernels and name in kernel.SHORT:
                continue
            total += 1
            start, cpu_start = time.monotonic(), cpu_seconds()
            run, wrong = run_one(script, name, quiet=not verbose, **options)
            print(f"{'FAILED' if wrong else 'passed'}  {script.name:<16} {name:<6} {time.monotonic() - start:6.1f} s, "
                  f"{cpu_seconds() - cpu_start:5.1f} s of CPU", flush=True)
            print(contract_rows(run), end="", flush=True)
            if wrong:
                print(wrong, flush=True)
                failed.append(f"{script.name}/{name}: {run.cause() if run.reasons else wrong}")
    return the_sum(failed, total, begin)


def the_sum(failed, total, begin):
    """Prints it; number of failures, and no test at all is one."""
    for each in failed:
        print(f"failed: {each}")
    passed = total - len(failed)
    print(f"testbed: {time.monotonic() - begin:.0f} s, {cpu_seconds():.0f} s of CPU")
    print(f"{100 * passed // total if total else 0}% tests passed, {len(failed)} tests failed out of {total}")
    return len(failed) if total else 1


def run_beside(kernels, words):
    """The kernels at the same time, each in a testbed of its own that is told the same words; number of failures."""
    begin, failed, total = time.monotonic(), [], 0
    testbeds = []
    for name in kernels:
        kernel.get(name)  # one download at a time
        testbeds.append(subprocess.Popen([sys.executable, ROOT / "qemu" / "testbed", "test", "--kernel", name, *words],
                                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
    with concurrent.futures.ThreadPoolExecutor(len(kernels)) as pool:
        try:
            for wrong, tests in pool.map(listen, kernels, testbeds):
                failed += wrong
                total += tests
        except KeyboardInterrupt:
            for each in testbeds:
                end(each)
            raise
    return the_sum(failed, total, begin)


def listen(name, testbed):
    """What failed in it, and how many tests there were. One that ended without its sum failed as a whole."""
    failed, total = [], 0
    for line in testbed.stdout:
        summed = re.match(r"\d+% tests passed, \d+ tests failed out of (\d+)", line)
        if line.startswith("failed: "):
            failed.append(line[8:].strip())
        elif summed:
            total = int(summed[1])
        else:
            print(f"{name:<5}| {line}", end="", flush=True)
    if testbed.wait() and not failed or not total:
        return [*failed, f"testbed/{name}"], total + 1
    return failed, total


def end(testbed):
    """Ctrl-C reached it as well, SIGTERM did not."""
    try:
        testbed.wait(2)
    except subprocess.TimeoutExpired:
        testbed.terminate()
        testbed.wait()
